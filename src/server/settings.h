/* SPDX-License-Identifier: Apache-2.0 */
/* From the fields of a request to the settings of a film, and from those to a
 * pf_request.
 *
 * Settings are a JSON object with every value that is really used (the model's
 * defaults and a drawn seed included).  They are what a job keeps on disk, what the
 * API shows, and all that is needed to make the film again.  docs/server.md, "Fields".
 */
#ifndef PF_SERVER_SETTINGS_H
#define PF_SERVER_SETTINGS_H

#include <jansson.h>

#include "phonofilm.h"
#include "server/fields.h"

/* Where a picture comes from: bytes of the body, or an address. */
typedef struct pf_picture_source {
    const uint8_t *data;                /* NULL: there is none, or `url` is set */
    size_t bytes;
    uint8_t *owned;                     /* the memory of `data`, or NULL */
    const char *url;                    /* http(s)://, still to be fetched */
    const char *field;                  /* the name that the client gave it */
} pf_picture_source;

typedef struct pf_order {
    json_t *settings;
    pf_picture_source first, last;
    char wrong[PF_FIELD_NAME_BYTES];    /* the field that a failure is about, or "" */
} pf_order;

/* Reads fields.  A field that is unknown or has no effect is PF_E_ARGUMENT. */
pf_status pf_order_read(const pf_fields *fields, const pf_engine *engine,
                        const char *model_name, pf_order *out, pf_error *error);
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
void pf_order_free(pf_order *order);

/* The request without its pictures; strings point into `settings`. */
void pf_settings_request(const json_t *settings, const pf_engine *engine,
                         pf_request *out);

/* The field that an engine's error is about (pf_error.field), as the client called it
 * ("size" for "height").  "" when that is none. */
void pf_settings_blame(const pf_fields *fields, const char *member,
                       char out[PF_FIELD_NAME_BYTES]);

#endif
