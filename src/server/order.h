/* SPDX-License-Identifier: Apache-2.0 */
/* An order: the settings of a film, and where its pictures are, read from the fields of a
 * request.  docs/server.md, "Fields". */
#ifndef PF_SERVER_ORDER_H
#define PF_SERVER_ORDER_H

#include "server/fields.h"
#include "server/settings.h"

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
    bool rewrite;                       /* a chat model is to rewrite the prompt */
    char wrong[PF_FIELD_NAME_BYTES];    /* the field that a failure is about, or "" */
} pf_order;

/* Reads fields.  A field that is unknown or has no effect is PF_E_ARGUMENT. */
pf_status pf_order_read(const pf_fields *fields, const pf_engine *engine,
                        const char *model_name, pf_order *out, pf_error *error);
void pf_order_free(pf_order *order);

#endif
