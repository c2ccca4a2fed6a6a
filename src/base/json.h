/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: jansson with our messages.  Duplicate keys, invalid UTF-8 and text after
 * the value are refused; the message names file and position.
 *
 * Content that is refused is PF_E_MODEL, as most JSON here belongs to a model.
 *
 * Thread-safety: any thread, each with its own values.
 */
#ifndef PF_BASE_JSON_H
#define PF_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Parses `bytes` bytes, a byte order mark aside; `name` (a file name) is for the message.
 * Release with json_decref.  Failures are PF_E_MODEL. */
pf_status pf_json_parse(const char *text, size_t bytes, const char *name,
                        json_t **out, pf_error *error);

/* Reads and parses a file of at most `max_bytes`.  The message about a file of another kind
 * names the kind. */
pf_status pf_json_load(const char *path, size_t max_bytes, json_t **out,
                       pf_error *error);

/* Members of an object.  A missing member (or null) leaves *out as it was, so set
 * the default first; `pf_json_has` tells them apart.  A value of another type or
 * outside [low, high] fails: "NAME: KEY is VALUE, but must be ...". */
bool pf_json_has(const json_t *object, const char *key);
pf_status pf_json_int(const json_t *object, const char *name, const char *key,
                      int64_t low, int64_t high, int64_t *out, pf_error *error);
pf_status pf_json_real(const json_t *object, const char *name, const char *key,
                       double low, double high, double *out, pf_error *error);
pf_status pf_json_bool(const json_t *object, const char *name, const char *key,
                       bool *out, pf_error *error);
/* *out points into the JSON value. */
pf_status pf_json_string(const json_t *object, const char *name, const char *key,
                         const char **out, pf_error *error);
/* An array of low..high integers into values[high]; `count` as found. */
typedef struct pf_json_list {
    int low, high;
    int64_t *values;
    int count;
} pf_json_list;
pf_status pf_json_ints(const json_t *object, const char *name, const char *key,
                       pf_json_list *list, pf_error *error);

/* Fails when the member is missing. */
pf_status pf_json_require(const json_t *object, const char *name,
                          const char *key, pf_error *error);

#endif
