/* SPDX-License-Identifier: Apache-2.0 */
/* Host memory: the only way to malloc, so that faults can be injected and allocations
 * counted.  Not for device memory: that is the platform's.
 *
 * Blocks go back by pf_free alone, never by free.  No function writes an error: the caller
 * knows what the memory was for (pf_fail_memory).  Thread-safety: any thread.
 */
#ifndef PF_BASE_MEMORY_H
#define PF_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* 64-byte aligned, uninitialised; NULL when out of memory.  0 bytes gives a
 * valid pointer.  Free with pf_free. */
void *pf_alloc(size_t bytes);

/* Zeroed; NULL also when count * size overflows. */
void *pf_calloc(size_t count, size_t size);

/* Grows or shrinks; NULL leaves the old block alone.  Memory from pf_alloc,
 * pf_calloc or NULL. */
void *pf_realloc(void *block, size_t bytes);

/* A copy of a text in fresh memory; NULL when out of memory. */
char *pf_strdup(const char *text);

/* printf into fresh memory; NULL when out of memory. */
char *pf_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

void pf_free(void *block);

/* Allocations made so far by this process: tests prove that a loop makes none. */
int64_t pf_allocation_count(void);

#endif
