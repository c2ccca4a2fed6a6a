/* SPDX-License-Identifier: Apache-2.0 */
/* Structs of the public interface that begin with their size (phonofilm.h, PF_INIT).
 *
 *     caller's, older    size | a | b             the library writes a, b
 *     library's          size | a | b | c
 *     caller's, newer    size | a | b | c | d     the library writes a, b, c; d stays
 */
#ifndef PF_BASE_SIZED_H
#define PF_BASE_SIZED_H

#include <stddef.h>

#include "base/error.h"

/* Refuses a struct whose size says that it has not all of the first `least` bytes, which no
 * version of the library was without.  `type` is the struct's name. */
pf_status pf_sized_check(const void *sized, size_t least, const char *type,
                         pf_error *error);

/* Copies the members of `from`, a struct of `bytes` bytes, that the caller's struct has room
 * for.  to->size stays. */
void pf_sized_give(void *to, const void *from, size_t bytes);

/* Copies the caller's struct into `to`, a struct of `bytes` bytes: members that the caller
 * does not know become zero.  PF_E_UNSUPPORTED if a member that is unknown here is not
 * zero; PF_E_ARGUMENT if the size is not set. */
pf_status pf_sized_take(void *to, size_t bytes, const void *from, const char *type,
                        pf_error *error);

#endif
