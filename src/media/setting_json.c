/* SPDX-License-Identifier: Apache-2.0 */
/* Values of settings as JSON.  See setting_json.h. */
#include "media/setting_json.h"

#include <string.h>

json_t *pf_setting_json(const pf_setting *setting, const pf_setting_value *value)
{
    switch (setting->kind) {
    case PF_SETTING_WHOLE: return json_integer((json_int_t)value->number);
    case PF_SETTING_REAL: return json_real(value->number);
    case PF_SETTING_SEED:
        return value->seed <= INT64_MAX ? json_integer((json_int_t)value->seed)
                                        : json_string(value->text);
    case PF_SETTING_SWITCH: return json_boolean(value->on);
    default: return json_string(value->text);
    }
}

bool pf_setting_from_json(const pf_setting *setting, const json_t *json,
                          pf_setting_value *out)
{
    const char *text = json_string_value(json);
    *out = (pf_setting_value){.number = json_number_value(json),
                              .on = json_is_true(json)};
    switch (setting->kind) {
    case PF_SETTING_WHOLE: return json_is_integer(json);
    case PF_SETTING_REAL: return json_is_number(json);
    case PF_SETTING_SWITCH: return json_is_boolean(json);
    default: break;
    }
    if (text)
        return pf_setting_read(setting, "", text, strlen(text), out, NULL) == PF_OK;
    out->seed = (uint64_t)json_integer_value(json);
    return setting->kind == PF_SETTING_SEED && json_is_integer(json) &&
           json_integer_value(json) >= 0;
}
