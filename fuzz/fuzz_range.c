/* SPDX-License-Identifier: Apache-2.0 */
/* Range headers: what is answered lies inside the file. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_main.h"
#include "server/http/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t sizes[] = {0, 1, 100, INT64_MAX};
    char header[256];
    if (size >= sizeof header)
        return 0;
    memcpy(header, data, size);
    header[size] = '\0';
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        pf_range r;
        pf_range_kind kind = pf_range_parse(header, sizes[i], &r);
        if (kind == PF_RANGE_OUTSIDE)
            continue;
        if (r.offset < 0 || r.length < 0 || r.offset > sizes[i] - r.length)
            abort();
        if (kind == PF_RANGE_PART && r.length == 0)
            abort();
    }
    return 0;
}
