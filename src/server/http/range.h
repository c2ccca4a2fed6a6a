/* SPDX-License-Identifier: Apache-2.0 */
/* The Range header (RFC 9110, 14.2), one range of bytes. */
#ifndef PF_SERVER_RANGE_H
#define PF_SERVER_RANGE_H

#include <stdint.h>

typedef enum pf_range_kind {
    PF_RANGE_WHOLE,             /* no range, or one that is to be ignored */
    PF_RANGE_PART,
    PF_RANGE_OUTSIDE            /* beyond the file: 416 */
} pf_range_kind;

typedef struct pf_range {
    int64_t offset, length;     /* bytes; inside the file */
} pf_range;

/* `header` may be NULL; several ranges are answered with the whole. */
pf_range_kind pf_range_parse(const char *header, int64_t file_bytes, pf_range *out);

#endif
