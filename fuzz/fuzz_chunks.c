/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies in chunks: the same data, however the bytes come. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_main.h"
#include "server/http/chunks.h"

typedef struct body {
    char data[4096];
    size_t bytes, read;
    bool sound, done;
} body;

/* Reads pieces of so many bytes. */
static void read_body(const char *text, size_t size, size_t piece, body *out)
{
    pf_chunks chunks = {.done = false};
    *out = (body){.sound = true};
    while (out->read < size && out->sound && !chunks.done) {
        size_t left = size - out->read, bytes = left < piece ? left : piece, got = 0;
        const char *data = NULL;
        ssize_t used = pf_chunks_read(&chunks, text + out->read, bytes, &data, &got);
        out->sound = used > 0;
        if (used > (ssize_t)bytes || used == 0)
            abort();
        if (used < 0)
            break;
        if (got > 0 && (data < text + out->read || data + got > text + out->read + used))
            abort();
        if (got > sizeof out->data - out->bytes)
            abort();
        memcpy(out->data + out->bytes, got > 0 ? data : text, got);
        out->bytes += got;
        out->read += (size_t)used;
    }
    out->done = chunks.done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static body whole, bitwise;
    if (size == 0 || size > sizeof whole.data)
        return 0;
    read_body((const char *)data, size, size, &whole);
    read_body((const char *)data, size, 1, &bitwise);
    if (whole.sound != bitwise.sound || whole.done != bitwise.done ||
        whole.bytes != bitwise.bytes || memcmp(whole.data, bitwise.data, whole.bytes) != 0 ||
        (whole.done && whole.read != bitwise.read))
        abort();
    return 0;
}
