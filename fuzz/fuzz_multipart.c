/* SPDX-License-Identifier: Apache-2.0 */
/* multipart/form-data: the first line of the input is the Content-Type.  A body is
 * refused with a sentence, or every field lies inside it. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_main.h"
#include "server/fields.h"

enum { MAX_FILE = 4096 };

static volatile unsigned sink;

static void check_fields(const pf_fields *fields, const char *body, size_t bytes)
{
    for (int i = 0; i < fields->count; i++) {
        const pf_field *field = &fields->list[i];
        bool inside = field->value >= body && field->value + field->bytes <= body + bytes;
        if (field->is_file && field->bytes > 0 && !inside)
            abort();
        if (!field->is_file && field->value[field->bytes] != '\0')
            abort();
        for (size_t k = 0; k < field->bytes; k++)
            sink += (unsigned char)field->value[k];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pf_fields fields;
    char type[256];
    pf_error error = {0};
    const uint8_t *line = memchr(data, '\n', size);
    size_t length = line ? (size_t)(line - data) : 0;
    if (!line || length >= sizeof type || memchr(data, '\0', length))
        return 0;
    memcpy(type, data, length);
    type[length] = '\0';
    const char *body = (const char *)line + 1;
    size_t bytes = size - length - 1;
    uint8_t digest[PF_DIGEST_BYTES];
    if (pf_fields_from_multipart(body, bytes, type, MAX_FILE, &fields, &error) == PF_OK) {
        check_fields(&fields, body, bytes);
        pf_fields_digest(&fields, "", digest);
    } else if (error.message[0] == '\0') {
        abort();                        /* a refusal without a sentence */
    }
    pf_fields_free(&fields);
    return 0;
}
