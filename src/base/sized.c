/* SPDX-License-Identifier: Apache-2.0 */
/* Structs that begin with their size.  See sized.h. */
#include "base/sized.h"

#include <string.h>

/* By memcpy: the struct may have any type and, in bindings of other languages, any alignment. */
static size_t size_of(const void *sized)
{
    size_t size;
    memcpy(&size, sized, sizeof size);
    return size;
}

pf_status pf_sized_check(const void *sized, size_t least, const char *type,
                         pf_error *error)
{
    size_t size = size_of(sized);
    if (size >= least)
        return PF_OK;
    return pf_fail(error, PF_E_ARGUMENT, "the size of a %s is %zu, but must be at least %zu: "
                   "begin with PF_INIT(%s)", type, size, least, type);
}

void pf_sized_give(void *to, const void *from, size_t bytes)
{
    size_t size = size_of(to), shared = size < bytes ? size : bytes;
    if (shared > sizeof size)
        memcpy((char *)to + sizeof size, (const char *)from + sizeof size,
               shared - sizeof size);
}

pf_status pf_sized_take(void *to, size_t bytes, const void *from, const char *type,
                        pf_error *error)
{
    size_t size = size_of(from), shared = size < bytes ? size : bytes;
    PF_TRY(pf_sized_check(from, sizeof size + 1, type, error));
    for (size_t i = bytes; i < size; i++)
        if (((const char *)from)[i] != 0)
            return pf_fail(error, PF_E_UNSUPPORTED,
                           "a %s of %zu bytes sets members that this version of the "
                           "library, which has %zu, does not know", type, size, bytes);
    memset(to, 0, bytes);
    memcpy(to, from, shared);
    memcpy(to, &bytes, sizeof bytes);
    return PF_OK;
}
