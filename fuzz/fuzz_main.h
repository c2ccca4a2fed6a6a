/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that every fuzz target defines. */
#ifndef PF_FUZZ_MAIN_H
#define PF_FUZZ_MAIN_H

#include <stddef.h>
#include <stdint.h>

/* Gives the parser `size` bytes; returns 0.  What must never happen aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
