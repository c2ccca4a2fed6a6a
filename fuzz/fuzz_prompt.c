/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts: refused with a message, or clean UTF-8 without stray white space. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fuzz_main.h"
#include "text/buffer.h"
#include "text/clean.h"

/* No space at the ends, none doubled, and all of it valid. */
static int is_clean(const char *text)
{
    size_t bytes = strlen(text);
    if (pf_utf8_valid_prefix(text, bytes) != bytes || strstr(text, "  ") ||
        strpbrk(text, "\t\n\v\f\r"))
        return 0;
    return bytes == 0 || (text[0] != ' ' && text[bytes - 1] != ' ');
}

static pf_status clean(const char *text, size_t bytes)
{
    pf_error error = {0};
    char *out = NULL;
    pf_status status = pf_prompt_clean(text, bytes, &out, &error);
    if (status == PF_OK ? !is_clean(out) : error.message[0] == '\0' || out)
        abort();
    pf_free(out);
    return status;
}

/* A refused prompt is tried again up to its first bad byte. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    if (clean(text, size) != PF_OK)
        clean(text, pf_utf8_valid_prefix(text, strnlen(text, size)));
    return 0;
}
