/* SPDX-License-Identifier: Apache-2.0 */
/* JSON.  See json.h. */
#include "base/json.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/kind.h"
#include "base/memory.h"
#include "base/text.h"

static pthread_once_t allocator_once = PTHREAD_ONCE_INIT;
static _Thread_local bool exhausted;    /* an allocation of this parse failed */

/* A tokenizer has a million small values: plain malloc, without pf_alloc's
 * alignment, but with its faults. */
static void *json_allocate(size_t bytes)
{
    void *block = pf_fault_hit(PF_FAULT_ALLOCATION) ? NULL : malloc(bytes);
    exhausted = exhausted || !block;
    return block;
}

static void set_allocator(void)
{
    json_set_alloc_funcs(json_allocate, free);
}

pf_status pf_json_parse(const char *text, size_t bytes, const char *name,
                        json_t **out, pf_error *error)
{
    json_error_t detail;
    size_t mark = pf_text_mark(text, bytes);
    pthread_once(&allocator_once, set_allocator);
    exhausted = false;
    text += mark;
    bytes -= mark;
    *out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
                      &detail);
    if (exhausted) {                    /* jansson calls that a syntax error, or nothing */
        json_decref(*out);
        *out = NULL;
        return pf_fail_memory(error, name, bytes);
    }
    if (*out)
        return PF_OK;
    const char *encoding = pf_text_other_encoding(text, bytes);
    if (encoding)
        return pf_fail(error, PF_E_MODEL, "%s is %s, but must be UTF-8", name, encoding);
    return pf_fail(error, PF_E_MODEL,
                   "%s is not valid JSON: %s (line %d, column %d)", name,
                   detail.text, detail.line, detail.column);
}

/* Fails for a file that is no JSON at all, but of another kind. */
static bool is_another_kind(const char *text, size_t bytes, char kind[PF_KIND_BYTES])
{
    size_t begin = pf_text_mark(text, bytes);
    begin += strspn(text + begin, " \t\r\n");
    return text[begin] != '{' && text[begin] != '[' && pf_kind_describe(text, bytes, kind);
}

pf_status pf_json_load(const char *path, size_t max_bytes, json_t **out,
                       pf_error *error)
{
    char *text = NULL;
    size_t bytes = 0;
    *out = NULL;
    PF_TRY(pf_read_file(path, max_bytes, &text, &bytes, error));
    char kind[PF_KIND_BYTES];
    pf_status status = pf_json_parse(text, bytes, path, out, error);
    if (status == PF_E_MODEL && is_another_kind(text, bytes, kind))
        pf_fail(error, status, "%s is %s", path, kind);
    pf_free(text);
    return status;
}

/* The member, or NULL when it is missing or null. */
static json_t *member(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

bool pf_json_has(const json_t *object, const char *key)
{
    return member(object, key) != NULL;
}

/* "NAME: KEY is VALUE, but must be WANTED", the value as JSON text. */
static pf_status wrong(const json_t *value, const char *name, const char *key,
                       const char *wanted, pf_error *error)
{
    char shown[64];
    size_t length = json_dumpb(value, shown, sizeof shown - 1,
                               JSON_ENCODE_ANY | JSON_COMPACT);
    shown[length < sizeof shown ? length : sizeof shown - 1] = '\0';
    if (length == 0 || length >= sizeof shown)
        snprintf(shown, sizeof shown, "a longer value");
    return pf_fail(error, PF_E_MODEL, "%s: %s is %s, but must be %s", name, key,
                   shown, wanted);
}

pf_status pf_json_int(const json_t *object, const char *name, const char *key,
                      int64_t low, int64_t high, int64_t *out, pf_error *error)
{
    json_t *value = member(object, key);
    if (!value)
        return PF_OK;
    if (json_is_integer(value) && json_integer_value(value) >= low &&
        json_integer_value(value) <= high) {
        *out = json_integer_value(value);
        return PF_OK;
    }
    char wanted[80];
    snprintf(wanted, sizeof wanted, "an integer from %lld to %lld",
             (long long)low, (long long)high);
    return wrong(value, name, key, wanted, error);
}

pf_status pf_json_real(const json_t *object, const char *name, const char *key,
                       double low, double high, double *out, pf_error *error)
{
    json_t *value = member(object, key);
    if (!value)
        return PF_OK;
    double number = json_number_value(value);
    if (json_is_number(value) && isfinite(number) && number >= low &&
        number <= high) {
        *out = number;
        return PF_OK;
    }
    char wanted[80];
    snprintf(wanted, sizeof wanted, "a number from %g to %g", low, high);
    return wrong(value, name, key, wanted, error);
}

pf_status pf_json_bool(const json_t *object, const char *name, const char *key,
                       bool *out, pf_error *error)
{
    json_t *value = member(object, key);
    if (!value)
        return PF_OK;
    if (!json_is_boolean(value))
        return wrong(value, name, key, "true or false", error);
    *out = json_is_true(value);
    return PF_OK;
}

pf_status pf_json_string(const json_t *object, const char *name, const char *key,
                         const char **out, pf_error *error)
{
    json_t *value = member(object, key);
    if (!value)
        return PF_OK;
    if (!json_is_string(value))
        return wrong(value, name, key, "a string", error);
    *out = json_string_value(value);
    return PF_OK;
}

pf_status pf_json_ints(const json_t *object, const char *name, const char *key,
                       pf_json_list *list, pf_error *error)
{
    json_t *value = member(object, key);
    if (!value)
        return PF_OK;
    char wanted[80];
    snprintf(wanted, sizeof wanted, "an array of %d to %d integers", list->low,
             list->high);
    size_t found = json_array_size(value);
    if (!json_is_array(value) || found < (size_t)list->low ||
        found > (size_t)list->high)
        return wrong(value, name, key, wanted, error);
    for (size_t i = 0; i < found; i++) {
        json_t *item = json_array_get(value, i);
        if (!json_is_integer(item))
            return wrong(value, name, key, wanted, error);
        list->values[i] = json_integer_value(item);
    }
    list->count = (int)found;
    return PF_OK;
}

pf_status pf_json_require(const json_t *object, const char *name,
                          const char *key, pf_error *error)
{
    if (json_is_object(object) && pf_json_has(object, key))
        return PF_OK;
    return pf_fail(error, PF_E_MODEL, "%s: %s is missing", name, key);
}
