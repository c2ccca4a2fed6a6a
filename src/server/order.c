/* SPDX-License-Identifier: Apache-2.0 */
/* Reading an order: field by field, then whatever was not said.  See order.h. */
#include "server/order.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "media/setting_json.h"
#include "server/known.h"

/* A reading in progress. */
typedef struct reading {
    const pf_fields *fields;
    const pf_engine *engine;
    const char *model_name;
    pf_order *order;
    pf_error *error;
} reading;

static pf_status refuse(const reading *r, const pf_field *field, const char *wanted)
{
    int shown = field->bytes > 60 ? 60 : (int)field->bytes;
    if (field->is_file)
        return pf_fail(r->error, PF_E_ARGUMENT, "%s is a file, but must be %s",
                       field->name, wanted);
    const char *quote = field->kind == PF_FIELD_TEXT ? "'" : "";
    return pf_fail(r->error, PF_E_ARGUMENT, "%s is %s%.*s%s%s, but must be %s",
                   field->name, quote, shown, field->value, quote,
                   field->bytes > 60 ? "..." : "", wanted);
}

/* Sets a member; refuses a second name of the same setting, such as flow_shift beside
 * visual_shift. */
static pf_status put(const reading *r, const pf_field *field, const char *member,
                     json_t *value)
{
    if (!value)
        return pf_fail_memory(r->error, field->name, field->bytes);
    if (json_object_get(r->order->settings, member)) {
        json_decref(value);
        return pf_fail(r->error, PF_E_ARGUMENT,
                       "%s says what another field has said already; leave one out",
                       field->name);
    }
    return json_object_set_new(r->order->settings, member, value) == 0
               ? PF_OK
               : pf_fail_memory(r->error, field->name, field->bytes);
}

/* --- values ----------------------------------------------------------------------- */

/* Reads a value of the library's table; refuses a file. */
static pf_status read_value(const reading *r, const pf_field *field,
                            const pf_setting *setting, pf_setting_value *out)
{
    if (field->is_file)
        return refuse(r, field, "text");
    return pf_setting_read(setting, field->name, field->value, field->bytes, out, r->error);
}

static pf_status read_setting(const reading *r, const pf_field *field, const pf_known *k)
{
    const pf_setting *setting = pf_setting_find(k->member);
    pf_setting_value value;
    PF_TRY(read_value(r, field, setting, &value));
    return put(r, field, k->member, pf_setting_json(setting, &value));
}

static pf_status read_size(const reading *r, const pf_field *field)
{
    pf_setting_value value;
    PF_TRY(read_value(r, field, pf_setting_find("size"), &value));
    PF_TRY(put(r, field, "width", json_integer(value.width)));
    return put(r, field, "height", json_integer(value.height));
}

/* OpenAI's interface has seconds as text: "8". */
static json_t *seconds_json(double seconds)
{
    char text[32];
    snprintf(text, sizeof text, "%.10g", seconds);
    return json_string(text);
}

/* frames_of_seconds makes num_frames of them, when fps is known. */
static pf_status read_seconds(const reading *r, const pf_field *field)
{
    pf_setting_value value;
    PF_TRY(read_value(r, field, pf_setting_find("seconds"), &value));
    return put(r, field, "seconds", seconds_json(value.number));
}

static pf_status read_webhook(const reading *r, const pf_field *field, const pf_known *k)
{
    bool http = strncmp(field->value, "http://", 7) == 0;
    if ((!http && strncmp(field->value, "https://", 8) != 0) || field->bytes > 2000)
        return refuse(r, field, "an address that begins with http:// or https://");
    return put(r, field, k->member, json_stringn(field->value, field->bytes));
}

/* --- pictures --------------------------------------------------------------------- */

/* data:image/png;charset=utf-8;BASE64,...: whether the head says Base64, in any case and
 * with blanks, as browsers take it. */
static bool says_base64(const char *head, size_t bytes)
{
    static const char word[] = "base64";
    size_t length = sizeof word - 1;
    while (bytes > 0 && head[bytes - 1] == ' ')
        bytes--;
    if (bytes < length || strncasecmp(head + bytes - length, word, length) != 0)
        return false;
    bytes -= length;
    while (bytes > 0 && head[bytes - 1] == ' ')
        bytes--;
    return bytes > 0 && head[bytes - 1] == ';';
}

static int hexadecimal(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* %2B is '+'.  Returns how many bytes were written to `out`. */
static size_t undo_percent(const char *text, size_t bytes, uint8_t *out)
{
    size_t written = 0;
    for (size_t i = 0; i < bytes; i++) {
        bool code = text[i] == '%' && i + 2 < bytes && hexadecimal(text[i + 1]) >= 0 &&
                    hexadecimal(text[i + 2]) >= 0;
        out[written++] = code ? (uint8_t)(hexadecimal(text[i + 1]) << 4 |
                                          hexadecimal(text[i + 2]))
                              : (uint8_t)text[i];
        i += code ? 2 : 0;
    }
    return written;
}

static pf_status read_data_uri(const reading *r, const pf_field *field,
                               pf_picture_source *out)
{
    const char *comma = memchr(field->value, ',', field->bytes);
    if (!comma || !says_base64(field->value, (size_t)(comma - field->value)))
        return refuse(r, field, "a data: URI with ;base64, or a file");
    size_t bytes = field->bytes - (size_t)(comma - field->value) - 1;
    out->owned = pf_alloc(bytes + 3);
    if (!out->owned)
        return pf_fail_memory(r->error, field->name, bytes);
    bytes = undo_percent(comma + 1, bytes, out->owned);
    int64_t decoded = pf_base64_decode((const char *)out->owned, bytes, out->owned);
    if (decoded < 0)
        return refuse(r, field, "a data: URI with valid Base64");
    out->data = out->owned;
    out->bytes = (size_t)decoded;
    return PF_OK;
}

static pf_status read_picture(const reading *r, const pf_field *field, const pf_known *k,
                              pf_picture_source *out)
{
    if (out->field)
        return pf_fail(r->error, PF_E_ARGUMENT,
                       "%s and %s are the same picture; leave one out", out->field,
                       field->name);
    out->field = k->name;
    if (field->is_file) {
        out->data = (const uint8_t *)field->value;
        out->bytes = field->bytes;
        return PF_OK;
    }
    if (strncasecmp(field->value, "data:", 5) == 0)
        return read_data_uri(r, field, out);
    if (strncasecmp(field->value, "http://", 7) == 0 ||
        strncasecmp(field->value, "https://", 8) == 0) {
        if (field->value[field->bytes])         /* white space follows */
            return refuse(r, field, "an address without white space");
        out->url = field->value;
        return PF_OK;
    }
    return refuse(r, field, "a picture file, or a data: URI");
}

/* --- one field -------------------------------------------------------------------- */

static pf_status read_model(const reading *r, const pf_field *field)
{
    char wanted[160];
    snprintf(wanted, sizeof wanted, "\"%s\", the model that is served here",
             r->model_name);
    bool served = field->bytes == strlen(r->model_name) &&
                  memcmp(field->value, r->model_name, field->bytes) == 0;
    return served ? PF_OK : refuse(r, field, wanted);
}

static pf_status refuse_idle(const reading *r, const pf_field *field)
{
    return pf_fail(r->error, PF_E_ARGUMENT,
                   "%s has no effect on this model; leave it out", field->name);
}

static bool is_off(const pf_field *field)
{
    static const pf_setting off = {.kind = PF_SETTING_SWITCH};
    pf_setting_value value;
    return !field->is_file &&
           pf_setting_read(&off, "", field->value, field->bytes, &value, NULL) == PF_OK &&
           !value.on;
}

static pf_status read_off(const reading *r, const pf_field *field)
{
    return is_off(field) ? PF_OK : refuse_idle(r, field);
}

/* `picture` of a video's settings may be sent again, if it is false. */
static pf_status read_told(const reading *r, const pf_field *field, const pf_known *k)
{
    if (is_off(field))
        return PF_OK;
    return pf_fail(r->error, PF_E_ARGUMENT,
                   "%s tells that a film had one; send the picture as %s", field->name,
                   k->member);
}

static pf_status read_text(const reading *r, const pf_field *field, const pf_known *k)
{
    return put(r, field, k->member, json_stringn(field->value, field->bytes));
}

static pf_status read_prompt(const reading *r, const pf_field *field, const pf_known *k)
{
    if (strspn(field->value, " \t\r\n") == field->bytes)
        return pf_fail(r->error, PF_E_ARGUMENT,
                       "%s is empty: say what is to be seen and heard", field->name);
    return read_text(r, field, k);
}

static pf_status read_one(const reading *r, const pf_field *field)
{
    static const pf_setting one = {.name = "n", .kind = PF_SETTING_WHOLE, .low = 1, .high = 1};
    pf_setting_value value;
    bool is_one = !field->is_file && pf_setting_read(&one, "n", field->value, field->bytes,
                                                     &value, NULL) == PF_OK;
    return is_one ? PF_OK : refuse(r, field, "1: a job is one film");
}

static pf_status read_rewrite(const reading *r, const pf_field *field)
{
    static const pf_setting rewrite = {.name = "rewrite", .kind = PF_SETTING_SWITCH};
    pf_setting_value value;
    PF_TRY(read_value(r, field, &rewrite, &value));
    r->order->rewrite = value.on;
    return PF_OK;
}

static pf_status read_known(const reading *r, const pf_field *field, const pf_known *k)
{
    bool picture = pf_known_is_picture(k);
    bool text = k->kind == PF_KNOWN_TEXT || k->kind == PF_KNOWN_PROMPT;
    if ((field->is_file && !picture && k->kind < PF_KNOWN_OFF) ||
        (text && field->kind != PF_FIELD_TEXT))
        return refuse(r, field, "text");
    switch (k->kind) {
    case PF_KNOWN_PROMPT: return read_prompt(r, field, k);
    case PF_KNOWN_TEXT: return read_text(r, field, k);
    case PF_KNOWN_SETTING: return read_setting(r, field, k);
    case PF_KNOWN_SIZE: return read_size(r, field);
    case PF_KNOWN_SECONDS: return read_seconds(r, field);
    case PF_KNOWN_MODEL: return read_model(r, field);
    case PF_KNOWN_ONE: return read_one(r, field);
    case PF_KNOWN_FIRST_PICTURE: return read_picture(r, field, k, &r->order->first);
    case PF_KNOWN_LAST_PICTURE: return read_picture(r, field, k, &r->order->last);
    case PF_KNOWN_WEBHOOK: return read_webhook(r, field, k);
    case PF_KNOWN_REWRITE: return read_rewrite(r, field);
    case PF_KNOWN_TOLD: return read_told(r, field, k);
    case PF_KNOWN_OFF: return read_off(r, field);
    default: return refuse_idle(r, field);
    }
}

/* Without white space at both ends; the value is no longer ended by a NUL. */
static pf_field trim(const pf_field *field)
{
    pf_field trimmed = *field;
    while (trimmed.bytes > 0 && isspace((unsigned char)trimmed.value[0])) {
        trimmed.value++;
        trimmed.bytes--;
    }
    while (trimmed.bytes > 0 &&
           isspace((unsigned char)trimmed.value[trimmed.bytes - 1]))
        trimmed.bytes--;
    return trimmed;
}

static pf_status read_field(const reading *r, const pf_field *field)
{
    pf_known k;
    memcpy(r->order->wrong, field->name, sizeof field->name);
    if (!pf_known_find(field->name, &k))
        return pf_fail(r->error, PF_E_ARGUMENT,
                       "%s is not a field of a film; see /openapi.json", field->name);
    const pf_field trimmed = trim(field);
    bool verbatim = field->is_file || k.kind == PF_KNOWN_TEXT || k.kind == PF_KNOWN_PROMPT;
    if (field->kind != PF_FIELD_NULL)
        PF_TRY(read_known(r, verbatim ? field : &trimmed, &k));
    r->order->wrong[0] = '\0';
    return PF_OK;
}

/* --- what was not said ------------------------------------------------------------ */

static void set_default(json_t *settings, const char *member, json_t *value)
{
    if (json_object_get(settings, member))
        json_decref(value);
    else
        json_object_set_new(settings, member, value);
}

static double hundredths(double seconds)
{
    return round(seconds * 100.0) / 100.0;
}

/* Sets num_frames to the next 4k + 1 that is not shorter than `seconds`.  Beside a given
 * num_frames, `seconds` must agree with it, or be its length as settings show it. */
static pf_status frames_of_seconds(const reading *r)
{
    json_t *settings = r->order->settings, *seconds = json_object_get(settings, "seconds");
    int multiple = pf_engine_info(r->engine)->frame_multiple;
    if (!seconds)
        return PF_OK;
    double fps = json_number_value(json_object_get(settings, "fps"));
    double wanted = strtod(json_string_value(seconds), NULL), least = wanted * fps - 1e-6;
    int64_t groups = least > 1 ? (int64_t)ceil((least - 1) / multiple) : 0;
    int64_t frames = groups * multiple + 1;
    if (json_object_get(settings, "num_frames")) {
        int given = pf_settings_whole(settings, "num_frames");
        if (given == frames || fabs(hundredths(given / fps) - wanted) < 1e-9)
            return PF_OK;
        snprintf(r->order->wrong, sizeof r->order->wrong, "seconds");
        return pf_fail(r->error, PF_E_ARGUMENT,
                       "seconds is %s, which at fps %g is num_frames %lld, but num_frames "
                       "is %d; leave one out", json_string_value(seconds), fps,
                       (long long)frames, given);
    }
    json_object_set_new(settings, "num_frames", json_integer(frames));
    return PF_OK;
}

/* Sets `seconds`: "8", or "2.04" for a length that was given in frames. */
static void name_seconds(json_t *settings)
{
    double fps = json_number_value(json_object_get(settings, "fps"));
    set_default(settings, "seconds",
                seconds_json(hundredths(pf_settings_whole(settings, "num_frames") / fps)));
}

static void set_stride(json_t *settings)
{
    int tile = pf_settings_whole(settings, "vae_tile");
    if (tile > 0)
        set_default(settings, "vae_tile_stride", json_integer(pf_usual_tile_stride(tile)));
}

static pf_status draw_seed(const reading *r)
{
    uint32_t seed;
    if (json_object_get(r->order->settings, "seed"))
        return PF_OK;
    if (!pf_random_bytes(&seed, sizeof seed))
        return pf_fail(r->error, PF_E_IO, "the system gives no random numbers");
    set_default(r->order->settings, "seed", json_integer(seed));
    return PF_OK;
}

/* Settings that were not sent and that a default of the model or the library decides. */
static void set_defaults(json_t *settings, const pf_request *defaults)
{
    int count;
    const pf_setting *list = pf_setting_list(&count);
    pf_setting_value value;
    for (int i = 0; i < count; i++)
        if (pf_setting_get(&list[i], defaults, &value))
            set_default(settings, list[i].name, pf_setting_json(&list[i], &value));
}

static pf_status check_missing(const reading *r)
{
    json_t *s = r->order->settings;
    if (!json_object_get(s, "width") != !json_object_get(s, "height")) {
        bool width = json_object_get(s, "width");
        snprintf(r->order->wrong, sizeof r->order->wrong, "%s",
                 width ? "width" : "height");
        return pf_fail(r->error, PF_E_ARGUMENT,
                       "width and height must be given together, or size");
    }
    if (r->order->rewrite && json_object_get(s, PF_SETTINGS_REWRITTEN)) {
        snprintf(r->order->wrong, sizeof r->order->wrong, "rewrite");
        return pf_fail(r->error, PF_E_ARGUMENT,
                       "rewrite has no effect beside rewritten_prompt; leave one out");
    }
    if (json_object_get(s, "prompt"))
        return PF_OK;
    snprintf(r->order->wrong, sizeof r->order->wrong, "prompt");
    return pf_fail(r->error, PF_E_ARGUMENT,
                   "prompt is missing: say what is to be seen and heard");
}

static pf_status fill_in(const reading *r)
{
    pf_request d = PF_INIT(pf_request);
    json_t *s = r->order->settings;
    pf_request_init(r->engine, &d);
    PF_TRY(check_missing(r));
    set_default(s, "fps", json_real(d.fps));
    PF_TRY(frames_of_seconds(r));
    PF_TRY(draw_seed(r));
    set_defaults(s, &d);
    name_seconds(s);
    set_default(s, "format", json_string("mp4"));
    set_stride(s);
    json_object_set_new(s, "picture", json_boolean(r->order->first.field));
    json_object_set_new(s, "last_picture", json_boolean(r->order->last.field));
    return pf_settings_are_complete(s) ? PF_OK : pf_fail_memory(r->error, "settings", 1);
}

pf_status pf_order_read(const pf_fields *fields, const pf_engine *engine,
                        const char *model_name, pf_order *out, pf_error *error)
{
    const reading r = {fields, engine, model_name, out, error};
    *out = (pf_order){.settings = json_object()};
    if (!out->settings)
        return pf_fail_memory(error, "settings", 1);
    for (int i = 0; i < fields->count; i++)
        PF_TRY(read_field(&r, &fields->list[i]));
    return fill_in(&r);
}

void pf_order_free(pf_order *order)
{
    json_decref(order->settings);
    pf_free(order->first.owned);
    pf_free(order->last.owned);
    *order = (pf_order){0};
}
