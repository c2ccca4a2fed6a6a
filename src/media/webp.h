/* SPDX-License-Identifier: Apache-2.0 */
/* RGB pictures to WebP in memory, and smaller: thumbnails, sheets, previews. */
#ifndef PF_MEDIA_WEBP_H
#define PF_MEDIA_WEBP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* rgb: [height][width][3].  `quality` is 0 to 100.  pf_free(*out).  PF_E_UNSUPPORTED
 * when this FFmpeg has no WebP encoder. */
pf_status pf_webp_encode(const uint8_t *rgb, int width, int height, int quality,
                         uint8_t **out, size_t *out_bytes, pf_error *error);

/* Averages areas: rgb [height][width][3] to out [out_height][out_width][3], whose rows
 * are `stride` bytes apart.  Smaller or equal sides only. */
typedef struct pf_shrink {
    const uint8_t *rgb;
    int width, height;
    uint8_t *out;
    int out_width, out_height;
    size_t stride;
} pf_shrink;
void pf_picture_shrink(const pf_shrink *shrink);

#endif
