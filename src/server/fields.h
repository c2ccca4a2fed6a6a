/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a request body: one list, whether they came as multipart/form-data
 * or as JSON.
 *
 * Names keep their brackets: "input_reference[image_url]".  Members of JSON objects
 * get such names; numbers and booleans become their text.  "extra_body", "extra_json",
 * "extra_params" and "video_params" are dissolved: extra_params[seed] is seed.  A form
 * may also hold them, and references to pictures, as the text of a JSON object.  Every
 * limit is checked here.
 */
#ifndef PF_SERVER_FIELDS_H
#define PF_SERVER_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/digest.h"

enum {
    PF_FIELDS_MAX = 64,                 /* fields of a body */
    PF_FIELD_NAME_BYTES = 96,           /* with the NUL */
    PF_FIELD_TEXT_BYTES = 64 << 10,     /* of a value, unless it is a file */
    PF_FIELD_DEPTH = 4                  /* of JSON objects */
};

/* The JSON type of a value; values of a form are text. */
typedef enum pf_field_kind {
    PF_FIELD_TEXT,
    PF_FIELD_NUMBER,
    PF_FIELD_BOOLEAN,
    PF_FIELD_NULL                       /* counts as not given */
} pf_field_kind;

typedef struct pf_field {
    char name[PF_FIELD_NAME_BYTES];
    pf_field_kind kind;
    bool is_file;                       /* multipart: with a filename, or an image */
    bool unnamed;                       /* multipart: the filename is empty */
    const char *value;                  /* `bytes` bytes and a NUL, or for a file
                                         * bytes of the body without one */
    size_t bytes;
    char *owned;                        /* the value's memory, or NULL */
} pf_field;

typedef struct pf_fields {
    pf_field list[PF_FIELDS_MAX];
    int count;
    char wrong[PF_FIELD_NAME_BYTES];    /* the field that a failure is about, or "" */
} pf_fields;

/* Both fail with PF_E_ARGUMENT or PF_E_MEMORY; pf_fields_free(out) also then.  Files point
 * into `body`.  A file may have `max_file` bytes, a data: URI 4/3 of that beside white
 * space.  A blank value of a form counts as not given (PF_FIELD_NULL), because a form has
 * no other way to say so. */
pf_status pf_fields_from_multipart(const char *body, size_t bytes,
                                   const char *content_type, size_t max_file,
                                   pf_fields *out, pf_error *error);
pf_status pf_fields_from_json(const char *body, size_t bytes, size_t max_file,
                              pf_fields *out, pf_error *error);
void pf_fields_free(pf_fields *fields);

/* Whether its text is empty or white space; files are not. */
bool pf_field_is_blank(const pf_field *field);

/* NULL when the field is not there, or null. */
const pf_field *pf_fields_find(const pf_fields *fields, const char *name);

/* Digest of fields and `context` (what else the request is about, or "").  Order and form
 * of the fields make no difference. */
void pf_fields_digest(const pf_fields *fields, const char *context,
                      uint8_t out[PF_DIGEST_BYTES]);

/* Adds a field; for the two readers.  Values of files are not copied. */
pf_status pf_fields_add(pf_fields *fields, const pf_field *field, size_t max_file,
                        pf_error *error);

#endif
