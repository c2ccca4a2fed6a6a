/* SPDX-License-Identifier: Apache-2.0 */
/* RGB pictures to PNG files: 8 bits, no alpha, not interlaced.  The same pixels and tags
 * give the same bytes with the same FFmpeg and zlib. */
#ifndef PF_MEDIA_PNG_H
#define PF_MEDIA_PNG_H

#include <stdint.h>

#include "base/error.h"
#include "media/film.h"
#include "media/part_file.h"

/* rgb: [height][width][3], rows without gaps. */
typedef struct pf_png {
    const uint8_t *rgb;
    int width, height;
    const pf_film_tag *tags;            /* become iTXt chunks */
    int tag_count;
} pf_png;

/* Writes PATH.part whole and closes it; publish or discard it then. */
pf_status pf_png_write(const char *path, const pf_png *png, pf_part_file *out,
                       pf_error *error);

#endif
