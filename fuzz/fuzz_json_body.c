/* SPDX-License-Identifier: Apache-2.0 */
/* JSON bodies: refused with a sentence, or all fields are text within the limits. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_main.h"
#include "server/fields.h"
#include "server/http/utf8.h"

enum { MAX_FILE = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pf_fields fields;
    pf_error error = {0};
    if (pf_fields_from_json((const char *)data, size, MAX_FILE, &fields, &error) == PF_OK) {
        for (int i = 0; i < fields.count; i++) {
            const pf_field *field = &fields.list[i];
            if (field->is_file || strlen(field->value) != field->bytes ||
                !pf_utf8_is_valid(field->value, field->bytes) || field->name[0] == '\0')
                abort();
        }
    } else if (error.message[0] == '\0') {
        abort();                        /* a refusal without a sentence */
    }
    pf_fields_free(&fields);
    return 0;
}
