/* SPDX-License-Identifier: Apache-2.0 */
/* How a camera was held, from the EXIF block of a picture.  docs/model/image.md#colours. */
#ifndef PF_MEDIA_PICTURE_EXIF_H
#define PF_MEDIA_PICTURE_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* The orientation, 1 to 8, of an EXIF block: a TIFF header of either byte order, with or
 * without "Exif\0\0" before it.  1, upright, for whatever else there is; reads nothing
 * beyond `bytes` and takes no longer than one directory. */
int pf_exif_orientation(const uint8_t *data, size_t bytes);

/* rgb [height][width][3] to out as viewers show it: [height][width][3] up to orientation
 * 4, else [width][height][3].  They do not overlap. */
void pf_picture_turn(const uint8_t *rgb, int64_t width, int64_t height, int orientation,
                     uint8_t *out);

#endif
