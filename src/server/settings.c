/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a film.  See settings.h. */
#include "server/settings.h"

#include "media/setting_json.h"

int pf_settings_whole(const json_t *settings, const char *member)
{
    return (int)json_integer_value(json_object_get(settings, member));
}

/* --- completing ------------------------------------------------------------------- */

bool pf_settings_are_complete(const json_t *settings)
{
    static const char *const members[] = {
        "prompt", "width", "height", "fps", "num_frames", "seconds",
        "num_inference_steps", "guidance_scale", "rng", "generate_sound", "format",
        "picture", "last_picture", "seed",
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (!json_object_get(settings, members[i]))
            return false;
    return true;
}

static bool add_shift(json_t *settings, const char *member, double shift)
{
    return shift == PF_UNSET || json_object_get(settings, member) ||
           json_object_set_new(settings, member, json_real(shift)) == 0;
}

pf_status pf_settings_complete(json_t *settings, const pf_prediction *p, pf_error *error)
{
    static const char negative[] = "negative_prompt";
    bool said = !p->negative_prompt || json_object_get(settings, negative);
    if ((said ||
         json_object_set_new(settings, negative, json_string(p->negative_prompt)) == 0) &&
        add_shift(settings, "visual_shift", p->visual_shift) &&
        add_shift(settings, "audio_shift", p->audio_shift))
        return PF_OK;
    return pf_fail_memory(error, "settings", 1);
}

json_t *pf_warnings_json(const pf_warnings *warnings)
{
    json_t *list = json_array();
    for (int i = 0; i < warnings->count; i++)
        if (json_array_append_new(list, json_string(warnings->text[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

pf_status pf_settings_warn(json_t *settings, const pf_warnings *warnings, pf_error *error)
{
    json_object_del(settings, PF_SETTINGS_WARNINGS);    /* a remix has its own */
    if (warnings->count == 0 ||
        json_object_set_new(settings, PF_SETTINGS_WARNINGS,
                            pf_warnings_json(warnings)) == 0)
        return PF_OK;
    return pf_fail_memory(error, "warnings", sizeof *warnings);
}

/* --- to a request ----------------------------------------------------------------- */

void pf_settings_request(const json_t *s, const pf_engine *engine, pf_request *out)
{
    int count;
    const pf_setting *list = pf_setting_list(&count);
    pf_setting_value value;
    pf_request_init(engine, out);
    out->prompt = json_string_value(json_object_get(s, PF_SETTINGS_REWRITTEN));
    if (!out->prompt)
        out->prompt = json_string_value(json_object_get(s, "prompt"));
    out->negative_prompt = json_string_value(json_object_get(s, "negative_prompt"));
    out->text_only = !json_is_true(json_object_get(s, "picture"));
    for (int i = 0; i < count; i++)
        if (pf_setting_from_json(&list[i], json_object_get(s, list[i].name), &value))
            pf_setting_apply(&list[i], &value, out);
}
