/* SPDX-License-Identifier: Apache-2.0 */
/* The Range header.  See range.h. */
#include "server/http/range.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Reads digits at *text; false when there are none.  A number that is too large becomes
 * INT64_MAX. */
static bool read_number(const char **text, int64_t *out)
{
    const char *begin = *text;
    *out = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        int digit = **text - '0';
        *out = *out > (INT64_MAX - digit) / 10 ? INT64_MAX : *out * 10 + digit;
    }
    return *text > begin;
}

static pf_range_kind suffix(int64_t count, int64_t file_bytes, pf_range *out)
{
    if (count == 0 || file_bytes == 0)
        return PF_RANGE_OUTSIDE;
    out->length = count < file_bytes ? count : file_bytes;
    out->offset = file_bytes - out->length;
    return PF_RANGE_PART;
}

pf_range_kind pf_range_parse(const char *header, int64_t file_bytes, pf_range *out)
{
    int64_t first, last = INT64_MAX;
    *out = (pf_range){0, file_bytes};
    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return PF_RANGE_WHOLE;
    const char *at = header + 6;
    bool has_first = read_number(&at, &first);
    if (*at++ != '-')
        return PF_RANGE_WHOLE;
    bool has_last = read_number(&at, &last);
    if (*at != '\0' || (!has_first && !has_last))
        return PF_RANGE_WHOLE;
    if (!has_first)
        return suffix(last, file_bytes, out);
    if (!has_last)
        last = INT64_MAX;
    if (last < first)
        return PF_RANGE_WHOLE;
    if (first >= file_bytes)
        return PF_RANGE_OUTSIDE;
    if (last > file_bytes - 1)
        last = file_bytes - 1;
    *out = (pf_range){first, last - first + 1};
    return PF_RANGE_PART;
}
