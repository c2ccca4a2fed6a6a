/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a request body.  See fields.h. */
#include "server/fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/memory.h"
#include "media/json_numbers.h"
#include "server/http/utf8.h"
#include "base/text.h"

enum { DATA_URI_HEAD = 4096 };

/* --- the list --------------------------------------------------------------------- */

/* Objects that only hold other fields, as clients of other servers send them. */
static const char *const shells[] = {"extra_body", "extra_json", "extra_params",
                                     "video_params"};
enum { SHELLS = sizeof shells / sizeof shells[0] };

static bool is_shell(const char *name)
{
    for (size_t i = 0; i < SHELLS; i++)
        if (strcmp(name, shells[i]) == 0)
            return true;
    return false;
}

/* extra_params[seed] is seed; input_reference[image_url] stays what it is. */
static void dissolve(char name[PF_FIELD_NAME_BYTES])
{
    for (size_t i = 0; i < SHELLS; i++) {
        size_t length = strlen(shells[i]);
        if (strncmp(name, shells[i], length) != 0 || name[length] != '[')
            continue;
        char *close = strchr(name + length, ']');
        if (!close)
            return;
        size_t inner = (size_t)(close - name) - length - 1;
        char rest[PF_FIELD_NAME_BYTES];
        snprintf(rest, sizeof rest, "%.*s%s", (int)inner, name + length + 1, close + 1);
        memcpy(name, rest, sizeof rest);
        i = (size_t)-1;                 /* there may be a shell within */
    }
}

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

static bool is_data_uri(const pf_field *field)
{
    size_t at = 0;
    while (at < field->bytes && is_white(field->value[at]))
        at++;
    return field->bytes - at > 5 && strncasecmp(field->value + at, "data:", 5) == 0;
}

/* The length of a value without white space, which Base64 may have anywhere. */
static size_t bytes_without_white(const pf_field *field)
{
    size_t count = 0;
    for (size_t i = 0; i < field->bytes; i++)
        count += !is_white(field->value[i]);
    return count;
}

bool pf_field_is_blank(const pf_field *field)
{
    return !field->is_file && bytes_without_white(field) == 0;
}

/* Control characters other than white space have no place in a text. */
static bool is_text(const char *value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)value[i];
        if ((c < 32 && c != '\n' && c != '\t' && c != '\r') || c == 127)
            return false;
    }
    return true;
}

/* --- checks -------------------------------------------------------------------------- */

static pf_status check(pf_fields *fields, const pf_field *field, size_t max_file,
                       pf_error *error)
{
    size_t most = field->is_file         ? max_file
                  : is_data_uri(field) ? max_file / 3 * 4 + DATA_URI_HEAD
                                       : PF_FIELD_TEXT_BYTES;
    size_t name_bytes = strlen(field->name);
    fields->wrong[0] = '\0';
    if (name_bytes == 0 || !is_text(field->name, name_bytes) ||
        !pf_utf8_is_valid(field->name, name_bytes))
        return pf_fail(error, PF_E_ARGUMENT,
                       "a field has a name that is empty or no text");
    memcpy(fields->wrong, field->name, sizeof field->name);
    if (pf_fields_find(fields, field->name))
        return pf_fail(error, PF_E_ARGUMENT, "%s is given twice", field->name);
    if (fields->count == PF_FIELDS_MAX)
        return pf_fail(error, PF_E_ARGUMENT,
                       "the request has more than %d fields", PF_FIELDS_MAX);
    size_t bytes = is_data_uri(field) && !field->is_file ? bytes_without_white(field)
                                                         : field->bytes;
    if (bytes > most)
        return pf_fail(error, PF_E_ARGUMENT,
                       "%s has %zu bytes, but must have at most %zu", field->name,
                       bytes, most);
    const char *encoding =
        field->is_file ? NULL : pf_text_other_encoding(field->value, field->bytes);
    if (encoding)
        return pf_fail(error, PF_E_ARGUMENT, "%s is %s, but must be UTF-8", field->name,
                       encoding);
    if (!field->is_file && !pf_utf8_is_valid(field->value, field->bytes))
        return pf_fail(error, PF_E_ARGUMENT, "%s is not valid UTF-8", field->name);
    if (!field->is_file && !is_text(field->value, field->bytes))
        return pf_fail(error, PF_E_ARGUMENT,
                       "%s holds control characters, but must be UTF-8 text",
                       field->name);
    return PF_OK;
}

static pf_status copy_value(pf_field *field, pf_error *error)
{
    field->owned = pf_alloc(field->bytes + 1);
    if (!field->owned)
        return pf_fail_memory(error, field->name, field->bytes);
    memcpy(field->owned, field->value, field->bytes);
    field->owned[field->bytes] = '\0';
    field->value = field->owned;
    return PF_OK;
}

static pf_status add(pf_fields *fields, const pf_field *field, size_t max_file,
                     pf_error *error)
{
    pf_field added = *field;
    size_t mark = added.is_file ? 0 : pf_text_mark(added.value, added.bytes);
    added.value += mark;
    added.bytes -= mark;
    PF_TRY(check(fields, &added, max_file, error));
    if (!added.is_file) {
        pf_status status = copy_value(&added, error);
        if (status != PF_OK) {
            pf_free(added.owned);
            return status;
        }
    }
    fields->list[fields->count++] = added;
    fields->wrong[0] = '\0';
    return PF_OK;
}

void pf_fields_free(pf_fields *fields)
{
    for (int i = 0; i < fields->count; i++)
        pf_free(fields->list[i].owned);
    fields->count = 0;
}

const pf_field *pf_fields_find(const pf_fields *fields, const char *name)
{
    for (int i = 0; i < fields->count; i++)
        if (fields->list[i].kind != PF_FIELD_NULL &&
            strcmp(fields->list[i].name, name) == 0)
            return &fields->list[i];
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const pf_field *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

void pf_fields_digest(const pf_fields *fields, const char *context,
                      uint8_t out[PF_DIGEST_BYTES])
{
    const pf_field *sorted[PF_FIELDS_MAX];
    pf_digest digest;
    int count = 0;
    for (int i = 0; i < fields->count; i++)
        if (fields->list[i].kind != PF_FIELD_NULL)
            sorted[count++] = &fields->list[i];
    qsort(sorted, (size_t)count, sizeof *sorted, by_name);
    pf_digest_begin(&digest);
    for (int i = 0; i < count; i++) {
        pf_digest_add_piece(&digest, sorted[i]->name, strlen(sorted[i]->name));
        pf_digest_add_piece(&digest, sorted[i]->value, sorted[i]->bytes);
    }
    if (context[0])
        pf_digest_add_piece(&digest, context, strlen(context));
    pf_digest_end(&digest, out);
}

/* --- JSON ------------------------------------------------------------------------- */

typedef struct reader {
    pf_fields *fields;
    size_t max_file;
    pf_error *error;
} reader;

static pf_status add_text(const reader *r, const char *name, const char *text,
                          size_t bytes, pf_field_kind kind)
{
    pf_field field = {.kind = kind, .value = text, .bytes = bytes};
    size_t length = strlen(name);
    if (length >= sizeof field.name)
        return pf_fail(r->error, PF_E_ARGUMENT,
                       "a field has a name of %zu bytes, but at most %zu are taken",
                       length, sizeof field.name - 1);
    memcpy(field.name, name, length + 1);
    return pf_fields_add(r->fields, &field, r->max_file, r->error);
}

/* Refuses a value of a JSON type that no field has. */
static pf_status refuse(const reader *r, const char *name, const char *what)
{
    snprintf(r->fields->wrong, sizeof r->fields->wrong, "%s", name);
    return pf_fail(r->error, PF_E_ARGUMENT, "%s is %s, but no field of a film is one",
                   r->fields->wrong, what);
}

static pf_status add_value(const reader *r, const char *name, json_t *value, int depth);

static pf_status add_members(const reader *r, const char *name, json_t *object,
                             int depth)
{
    const char *key;
    json_t *member;
    if (depth > PF_FIELD_DEPTH)
        return pf_fail(r->error, PF_E_ARGUMENT,
                       "%s is nested more than %d deep", name, PF_FIELD_DEPTH);
    if (name && json_object_size(object) == 0 && !is_shell(name))
        return refuse(r, name, "an empty object");
    json_object_foreach(object, key, member) {
        char *full = name ? pf_format("%s[%s]", name, key) : pf_strdup(key);
        if (!full)
            return pf_fail_memory(r->error, "field", 1);
        pf_status status = add_value(r, full, member, depth + 1);
        pf_free(full);
        if (status != PF_OK)
            return status;
    }
    return PF_OK;
}

static pf_status add_value(const reader *r, const char *name, json_t *value, int depth)
{
    if (json_is_object(value))
        return add_members(r, name, value, depth);
    if (json_is_string(value)) {
        const char *text = json_string_value(value), *number = pf_json_number(text);
        return add_text(r, name, number ? number : text,
                        json_string_length(value) - (number != NULL),
                        number ? PF_FIELD_NUMBER : PF_FIELD_TEXT);
    }
    if (json_is_array(value))
        return refuse(r, name, "an array");
    if (json_is_null(value))
        return add_text(r, name, "", 0, PF_FIELD_NULL);
    const char *text = json_is_true(value) ? "true" : "false";
    return add_text(r, name, text, strlen(text), PF_FIELD_BOOLEAN);
}

static pf_status parse_object(const char *text, size_t bytes, const char *name,
                              json_t **out, pf_error *error)
{
    pf_error inner = {0};
    char *spelled = NULL;
    size_t spelled_bytes = 0;
    PF_TRY(pf_json_numbers(text, bytes, &spelled, &spelled_bytes, error));
    pf_status status = pf_json_parse(spelled, spelled_bytes, name, out, &inner);
    pf_json_numbers_free(spelled);
    if (status == PF_E_MODEL) {         /* again, for line and column */
        json_t *whole = NULL;
        pf_json_parse(text, bytes, name, &whole, &inner);
        json_decref(whole);
        return pf_fail(error, PF_E_ARGUMENT, "%s", inner.message);
    }
    if (status != PF_OK)
        return pf_fail(error, status, "%s", inner.message);
    if (json_is_object(*out))
        return PF_OK;
    json_decref(*out);
    return pf_fail(error, PF_E_ARGUMENT, "%s must be a JSON object", name);
}

pf_status pf_fields_from_json(const char *body, size_t bytes, size_t max_file,
                              pf_fields *out, pf_error *error)
{
    json_t *root = NULL;
    out->count = 0;
    out->wrong[0] = '\0';
    PF_TRY(parse_object(body, bytes, "the body", &root, error));
    const reader r = {out, max_file, error};
    pf_status status = add_members(&r, NULL, root, 0);
    json_decref(root);
    return status;
}

/* --- JSON in a form ---------------------------------------------------------------- */

/* Fields that hold an object: their text may be one. */
static bool holds_object(const pf_field *field)
{
    static const char *const references[] = {"input_reference", "image_reference",
                                             "last_image"};
    if (field->is_file || field->kind != PF_FIELD_TEXT)
        return false;
    if (is_shell(field->name))
        return true;
    size_t mark = pf_text_mark(field->value, field->bytes);
    for (size_t i = 0; i < sizeof references / sizeof references[0]; i++)
        if (strcmp(field->name, references[i]) == 0)
            return field->bytes > mark && field->value[mark] == '{';
    return false;
}

static pf_status add_object(pf_fields *fields, const pf_field *field, size_t max_file,
                            pf_error *error)
{
    json_t *object = NULL;
    memcpy(fields->wrong, field->name, sizeof field->name);
    PF_TRY(parse_object(field->value, field->bytes, field->name, &object, error));
    fields->wrong[0] = '\0';
    const reader r = {fields, max_file, error};
    pf_status status = add_members(&r, field->name, object, 1);
    json_decref(object);
    return status;
}

pf_status pf_fields_add(pf_fields *fields, const pf_field *field, size_t max_file,
                        pf_error *error)
{
    pf_field added = *field;
    dissolve(added.name);
    if (added.kind == PF_FIELD_NULL && is_shell(added.name))
        return PF_OK;
    return holds_object(&added) ? add_object(fields, &added, max_file, error)
                                : add(fields, &added, max_file, error);
}
