/* SPDX-License-Identifier: Apache-2.0 */
/* multipart/form-data (RFC 7578), from a whole body.  See fields.h.
 *
 * Strict: the last boundary must be there, every part needs a Content-Disposition
 * with a name, and what is declared but cannot be honoured (transfer encodings other
 * than binary) is refused.  Preamble and epilogue are skipped.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "server/fields.h"

enum { MAX_BOUNDARY = 70, MAX_PART_HEADER = 2048 };

typedef struct span {
    const char *at, *end;
} span;

static pf_status malformed(pf_error *error, const char *what)
{
    return pf_fail(error, PF_E_ARGUMENT, "the multipart body is malformed: %s", what);
}

/* The first `needle` in `s`, or NULL. */
static const char *find(span s, const char *needle, size_t bytes)
{
    if (s.end < s.at)
        return NULL;
    return memmem(s.at, (size_t)(s.end - s.at), needle, bytes);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(span *s)
{
    while (s->at < s->end && is_blank(*s->at))
        s->at++;
}

/* Reads a token or a quoted string with its backslashes undone. */
static bool read_word(span *s, char *out, size_t room)
{
    bool quoted = s->at < s->end && *s->at == '"';
    size_t length = 0;
    s->at += quoted;
    while (s->at < s->end) {
        char c = *s->at;
        if (quoted ? c == '"' : c == ';' || is_blank(c))
            break;
        if (quoted && c == '\\' && s->at + 1 < s->end &&
            (s->at[1] == '"' || s->at[1] == '\\'))
            c = *++s->at;
        if (length + 1 >= room)
            return false;
        out[length++] = c;
        s->at++;
    }
    out[length] = '\0';
    if (!quoted)
        return true;
    return s->at < s->end && *s->at++ == '"';
}

/* The parameter KEY=VALUE of a header value such as 'form-data; name="x"'.
 * 1: found, 0: not there, -1: malformed or too long. */
static int parameter(span s, const char *key, char *out, size_t room)
{
    size_t length = strlen(key);
    char skipped[512];
    const char *semicolon;
    while ((semicolon = memchr(s.at, ';', (size_t)(s.end - s.at))) != NULL) {
        s.at = semicolon + 1;
        skip_blanks(&s);
        const char *equals = memchr(s.at, '=', (size_t)(s.end - s.at));
        if (!equals)
            return 0;
        bool found = (size_t)(equals - s.at) == length &&
                     strncasecmp(s.at, key, length) == 0;
        s.at = equals + 1;
        if (!read_word(&s, found ? out : skipped, found ? room : sizeof skipped))
            return -1;
        if (found)
            return 1;
    }
    return 0;
}

/* --- headers of a part ------------------------------------------------------------ */

static bool starts_with(span s, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(s.end - s.at) >= length && strncasecmp(s.at, text, length) == 0;
}

static pf_status read_disposition(span value, pf_field *field, pf_error *error)
{
    char filename[512];
    skip_blanks(&value);
    if (!starts_with(value, "form-data"))
        return malformed(error, "a part's Content-Disposition is not form-data");
    if (parameter(value, "name", field->name, sizeof field->name) != 1)
        return malformed(error, "a part has no name, or one that is too long");
    int named = parameter(value, "filename", filename, sizeof filename);
    field->unnamed = named == 1 && !filename[0];
    /* filename*=UTF-8''...: how some send names that are not ASCII. */
    int extended = parameter(value, "filename*", filename, sizeof filename);
    if (named < 0 || extended < 0)
        return malformed(error, "a filename is malformed or too long");
    field->is_file = field->is_file || named == 1 || extended == 1;
    return PF_OK;
}

static pf_status read_header(span line, pf_field *field, pf_error *error)
{
    static const char disposition[] = "Content-Disposition:";
    static const char encoding[] = "Content-Transfer-Encoding:";
    static const char type[] = "Content-Type:";
    if (starts_with(line, disposition)) {
        if (field->name[0])
            return malformed(error, "a part has two Content-Dispositions");
        line.at += sizeof disposition - 1;
        return read_disposition(line, field, error);
    }
    if (starts_with(line, encoding)) {
        line.at += sizeof encoding - 1;
        skip_blanks(&line);
        if (!starts_with(line, "binary") && !starts_with(line, "8bit") &&
            !starts_with(line, "7bit"))
            return malformed(error, "only binary transfer encoding is taken");
    }
    if (starts_with(line, type)) {      /* a picture is a file without a name, too */
        line.at += sizeof type - 1;
        skip_blanks(&line);
        field->is_file = field->is_file || starts_with(line, "image/");
    }
    return PF_OK;
}

/* Header lines up to the empty one; *part then begins at the content. */
static pf_status read_headers(span *part, pf_field *field, pf_error *error)
{
    const char *begin = part->at;
    for (;;) {
        const char *end = find(*part, "\r\n", 2);
        if (!end || end - begin > MAX_PART_HEADER)
            return malformed(error, "the headers of a part do not end");
        span line = {part->at, end};
        part->at = end + 2;
        if (line.at == line.end)
            break;
        PF_TRY(read_header(line, field, error));
    }
    return field->name[0] ? PF_OK : malformed(error, "a part has no name");
}

/* --- the body --------------------------------------------------------------------- */

static pf_status read_boundary(const char *content_type, char *out, size_t *length,
                               pf_error *error)
{
    char boundary[MAX_BOUNDARY + 1];
    span value = {content_type, content_type + strlen(content_type)};
    if (parameter(value, "boundary", boundary, sizeof boundary) != 1 || !boundary[0])
        return malformed(error, "the Content-Type has no usable boundary");
    *length = (size_t)snprintf(out, MAX_BOUNDARY + 5, "\r\n--%s", boundary);
    return PF_OK;
}

/* After a boundary: true when another part follows. */
static bool another_part(span *rest, pf_status *status, pf_error *error)
{
    if (rest->end - rest->at >= 2 && memcmp(rest->at, "--", 2) == 0)
        return false;
    skip_blanks(rest);
    if (rest->end - rest->at >= 2 && memcmp(rest->at, "\r\n", 2) == 0) {
        rest->at += 2;
        return true;
    }
    *status = malformed(error, "something follows a boundary on its line");
    return false;
}

pf_status pf_fields_from_multipart(const char *body, size_t bytes,
                                   const char *content_type, size_t max_file,
                                   pf_fields *out, pf_error *error)
{
    char boundary[MAX_BOUNDARY + 5];
    size_t length = 0;
    span rest = {body, body + bytes};
    out->count = 0;
    out->wrong[0] = '\0';
    PF_TRY(read_boundary(content_type, boundary, &length, error));
    /* The first boundary may stand at the very beginning, without a line before it. */
    bool first = bytes >= length - 2 && memcmp(body, boundary + 2, length - 2) == 0;
    const char *at = first ? body : find(rest, boundary, length);
    if (!at)
        return malformed(error, "there is no boundary");
    rest.at = at + length - (first ? 2 : 0);
    pf_status status = PF_OK;
    while (another_part(&rest, &status, error)) {
        pf_field field = {.name = ""};
        PF_TRY(read_headers(&rest, &field, error));
        /* An empty part's content ends where its headers do. */
        span tail = {rest.at - 2, rest.end};
        const char *end = find(tail, boundary, length);
        if (!end)
            return malformed(error, "the last boundary is missing");
        field.value = rest.at;
        field.bytes = end > rest.at ? (size_t)(end - rest.at) : 0;
        if (pf_field_is_blank(&field))
            field.kind = PF_FIELD_NULL;
        /* A form sends an empty file without a name where none was chosen. */
        if (!field.unnamed || field.bytes > 0)
            PF_TRY(pf_fields_add(out, &field, max_file, error));
        rest.at = end + length;
    }
    return status;
}
