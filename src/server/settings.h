/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a film, and from them to a pf_request.
 *
 * Settings are a JSON object with every value that is really used (the model's
 * defaults and a drawn seed included).  They are what a job keeps on disk, what the
 * API shows, and all that is needed to make the film again.  docs/server.md, "Fields".
 */
#ifndef PF_SERVER_SETTINGS_H
#define PF_SERVER_SETTINGS_H

#include <jansson.h>

#include "base/error.h"
#include "phonofilm.h"

/* Has every member that a film needs; false when memory ran out on the way. */
bool pf_settings_are_complete(const json_t *settings);
/* Adds what the model itself decides: the shifts of the timesteps, and the negative
 * prompt where one has an effect. */
pf_status pf_settings_complete(json_t *settings, const pf_prediction *prediction,
                               pf_error *error);
/* Warnings of the film go with the settings, as a member that pf_video_json shows
 * beside them; without warnings there is none. */
#define PF_SETTINGS_WARNINGS "warnings"
pf_status pf_settings_warn(json_t *settings, const pf_warnings *warnings, pf_error *error);
json_t *pf_warnings_json(const pf_warnings *warnings);      /* an array; NULL: no memory */

/* Words that a chat model made of `prompt`, which the film is then made from; or the sentence
 * that tells why there is nothing.  Without rewriting there is neither. */
#define PF_SETTINGS_REWRITTEN "rewritten_prompt"
#define PF_SETTINGS_REWRITE_ERROR "rewrite_error"

/* The request without its pictures; strings point into `settings`. */
void pf_settings_request(const json_t *settings, const pf_engine *engine,
                         pf_request *out);

/* A whole number of the settings; 0 when it is not there. */
int pf_settings_whole(const json_t *settings, const char *member);

#endif
