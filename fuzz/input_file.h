/* SPDX-License-Identifier: Apache-2.0 */
/* The input of a fuzz target as a file in memory, for parsers that take a path. */
#ifndef PF_FUZZ_INPUT_FILE_H
#define PF_FUZZ_INPUT_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct input_file {
    int descriptor;
    char path[32];
} input_file;

static inline bool input_file_open(input_file *file, const uint8_t *data, size_t size)
{
    file->descriptor = memfd_create("input", MFD_CLOEXEC);
    if (file->descriptor < 0)
        return false;
    snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->descriptor);
    return size == 0 || write(file->descriptor, data, size) == (ssize_t)size;
}

static inline void input_file_close(input_file *file)
{
    if (file->descriptor >= 0)
        close(file->descriptor);
}

#endif
