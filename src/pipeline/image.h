/* SPDX-License-Identifier: Apache-2.0 */
/* A picture cut and scaled to the film, bit-equal to Pillow.
 * docs/model/image.md.
 */
#ifndef PF_PIPELINE_IMAGE_H
#define PF_PIPELINE_IMAGE_H

#include <stdint.h>

#include "phonofilm.h"

/* Cuts the centre of the picture to the shape of the target and scales it with
 * Pillow's antialiased bicubic filter into out [to_height][to_width][3].  PF_E_INPUT
 * when the cut would be empty.  Source: docs/model/image.md. */
pf_status pf_image_fit(const pf_image *image, int64_t to_width, int64_t to_height,
                       uint8_t *out, pf_error *error);

/* [height][width][3] of 0..255 to [3][height][width] of -1..1: 2 (x / 255) - 1, each operation
 * rounded to f32. */
void pf_image_normalize(const uint8_t *rgb, int64_t height, int64_t width,
                        float *out);

#endif
