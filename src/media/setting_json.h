/* SPDX-License-Identifier: Apache-2.0 */
/* Values of settings (phonofilm.h) as JSON, and back: the server's replies, the metadata of
 * films, and stored requests spell them alike, because all go through here. */
#ifndef PF_MEDIA_SETTING_JSON_H
#define PF_MEDIA_SETTING_JSON_H

#include <jansson.h>

#include "phonofilm.h"

/* A seed from 2^63 on becomes text: integers of JSON end there for many readers.  NULL: out of
 * memory. */
json_t *pf_setting_json(const pf_setting *setting, const pf_setting_value *value);

/* False, with *out undefined, when `json` (or NULL) is no value of the setting.  Ranges of
 * numbers are not looked at. */
bool pf_setting_from_json(const pf_setting *setting, const json_t *json,
                          pf_setting_value *out);

#endif
