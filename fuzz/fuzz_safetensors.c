/* SPDX-License-Identifier: Apache-2.0 */
/* Containers of tensors, as safetensors: a file is refused with a message, or every tensor
 * can be read. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_main.h"
#include "input_file.h"
#include "weights/container.h"

static volatile unsigned sink;

/* Every byte of every tensor, so that a range past the end of the file shows. */
static unsigned touch(const pf_container *file)
{
    unsigned sum = 0;
    for (int64_t i = 0; i < file->count; i++) {
        const unsigned char *data = file->entries[i].tensor.data;
        for (int64_t k = 0; k < file->entries[i].bytes; k++)
            sum += data[k];
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_file input;
    pf_container file;
    pf_error error = {0};
    if (!input_file_open(&input, data, size))
        abort();
    if (pf_container_open(input.path, &file, &error) == PF_OK) {
        sink += touch(&file);
        pf_container_close(&file);
    } else if (error.message[0] == '\0') {
        abort();                        /* a refusal without a sentence */
    }
    input_file_close(&input);
    return 0;
}
