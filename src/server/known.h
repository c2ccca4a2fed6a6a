/* SPDX-License-Identifier: Apache-2.0 */
/* The fields that a request for a film may have: their names, and what each of them is. */
#ifndef PF_SERVER_KNOWN_H
#define PF_SERVER_KNOWN_H

#include <stdbool.h>

#include "server/fields.h"

typedef enum pf_known_kind {
    PF_KNOWN_TEXT,
    PF_KNOWN_PROMPT,                    /* text that says something */
    PF_KNOWN_SETTING,                   /* `member` is in the library's table */
    PF_KNOWN_SIZE,                      /* 640x352 */
    PF_KNOWN_SECONDS,
    PF_KNOWN_MODEL,
    PF_KNOWN_ONE,                       /* a number that can only be 1 */
    PF_KNOWN_FIRST_PICTURE,
    PF_KNOWN_LAST_PICTURE,
    PF_KNOWN_WEBHOOK,
    PF_KNOWN_REWRITE,                   /* a switch: a chat model rewrites the prompt */
    PF_KNOWN_TOLD,                      /* shown by settings: whether there was a picture */
    PF_KNOWN_OFF,                       /* a switch that can only be off */
    PF_KNOWN_IDLE                       /* other servers have it; without effect here */
} pf_known_kind;

typedef struct pf_known {
    const char *name;
    pf_known_kind kind;
    const char *member;                 /* of the settings; TOLD: the field that sends the
                                         * picture; NULL: several, or none */
} pf_known;

/* False: nobody knows the field.  A field without effect is so with all that it holds:
 * lora[name]. */
bool pf_known_find(const char *name, pf_known *out);

bool pf_known_is_picture(const pf_known *known);

/* The field that an engine's error is about (pf_error.field), as the client called it
 * ("size" for "height").  "" when that is none. */
void pf_known_blame(const pf_fields *fields, const char *member,
                    char out[PF_FIELD_NAME_BYTES]);

#endif
