/* SPDX-License-Identifier: Apache-2.0 */
/* Host memory.  See memory.h.  A 64-byte header in front of each block holds its
 * size, which keeps the alignment and lets realloc copy:
 *
 *     aligned_alloc          pf_alloc gives
 *     v                      v
 *     | bytes | (unused)     | the block ... | up to a multiple of 64, for aligned_alloc |
 *     |<------- 64 --------->|
 */
#include "base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

enum { HEADER_BYTES = 64 };

static _Atomic int64_t allocations;

static size_t *header_of(void *block)
{
    return (size_t *)(void *)((char *)block - HEADER_BYTES);
}

void *pf_alloc(size_t bytes)
{
    if (bytes > SIZE_MAX - 2 * HEADER_BYTES || pf_fault_hit(PF_FAULT_ALLOCATION))
        return NULL;
    size_t total = (bytes + 2 * HEADER_BYTES - 1) / HEADER_BYTES * HEADER_BYTES;
    char *base = aligned_alloc(HEADER_BYTES, total);
    if (!base)
        return NULL;
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    char *block = base + HEADER_BYTES;
    *header_of(block) = bytes;
    return block;
}

void *pf_calloc(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    void *block = pf_alloc(count * size);
    if (block)
        memset(block, 0, count * size);
    return block;
}

void *pf_realloc(void *block, size_t bytes)
{
    if (!block)
        return pf_alloc(bytes);
    void *fresh = pf_alloc(bytes);
    if (!fresh)
        return NULL;
    size_t old_bytes = *header_of(block);
    memcpy(fresh, block, old_bytes < bytes ? old_bytes : bytes);
    pf_free(block);
    return fresh;
}

char *pf_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = pf_alloc(bytes);
    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

char *pf_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0)
        return NULL;
    char *text = pf_alloc((size_t)length + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

void pf_free(void *block)
{
    if (block)
        free(header_of(block));
}

int64_t pf_allocation_count(void)
{
    return atomic_load_explicit(&allocations, memory_order_relaxed);
}
