/* SPDX-License-Identifier: Apache-2.0 */
/* Byte order marks and encodings.  See text.h. */
#include "base/text.h"

#include <stdbool.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

size_t pf_text_mark(const char *text, size_t bytes)
{
    return bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static bool is_ascii(char c)
{
    return (unsigned char)c >= 1 && (unsigned char)c < 0x80;
}

static bool begins(const char *text, size_t bytes, const char *with, size_t length)
{
    return bytes >= length && memcmp(text, with, length) == 0;
}

const char *pf_text_other_encoding(const char *text, size_t bytes)
{
    if (begins(text, bytes, "\xff\xfe\0\0", 4) || begins(text, bytes, "\0\0\xfe\xff", 4))
        return "UTF-32 text";
    if (begins(text, bytes, "\xff\xfe", 2) || begins(text, bytes, "\xfe\xff", 2))
        return "UTF-16 text";
    /* Without a mark: two ASCII characters, of two bytes each. */
    bool little = bytes >= 4 && is_ascii(text[0]) && !text[1] && is_ascii(text[2]) && !text[3];
    bool big = bytes >= 4 && !text[0] && is_ascii(text[1]) && !text[2] && is_ascii(text[3]);
    return little || big ? "UTF-16 text" : NULL;
}

/* In place, because texts may be keys and prompts, of which no second copy is wanted. */
pf_status pf_text_tidy(const char *name, char *text, size_t *bytes, pf_error *error)
{
    const char *encoding = pf_text_other_encoding(text, *bytes);
    if (encoding)
        return pf_fail(error, PF_E_INPUT,
                       "%s is %s, but must be UTF-8: save it again in that encoding", name,
                       encoding);
    size_t mark = pf_text_mark(text, *bytes);
    *bytes -= mark;
    memmove(text, text + mark, *bytes);
    memset(text + *bytes, '\0', mark + 1);      /* no rest of a secret stays there */
    return PF_OK;
}

pf_status pf_read_text(const char *path, size_t max_bytes, char **out,
                       size_t *out_bytes, pf_error *error)
{
    size_t bytes = 0;
    PF_TRY(pf_read_file(path, max_bytes, out, &bytes, error));
    pf_status status = pf_text_tidy(path, *out, &bytes, error);
    if (status != PF_OK) {
        pf_free(*out);
        *out = NULL;
    }
    if (out_bytes)
        *out_bytes = bytes;
    return status;
}
