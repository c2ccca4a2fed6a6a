/* SPDX-License-Identifier: Apache-2.0 */
/* Files of tensors whose headers are written by hand, in a folder of their own.  A test
 * fills `folder` with mkdtemp first. */
#ifndef TENSOR_FILES_H
#define TENSOR_FILES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/pf-weights-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_bytes(const char *name, const void *data, size_t bytes)
{
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

/* A file whose header is `header` and whose data are `bytes` times 0, 1, 2 ... */
static void write_tensors(const char *name, const char *header, size_t bytes)
{
    size_t length = strlen(header), all = 8 + length + bytes;
    unsigned char *text = calloc(1, all);
    assert_non_null(text);
    for (int i = 0; i < 8; i++)
        text[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(text + 8, header, length);
    for (size_t i = 0; i < bytes; i++)
        text[8 + length + i] = (unsigned char)i;
    write_bytes(name, text, all);
    free(text);
}

#define ENTRY(name, dtype, shape, range)                                              \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":"     \
    range "}"

#endif
