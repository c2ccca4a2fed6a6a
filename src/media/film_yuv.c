/* SPDX-License-Identifier: Apache-2.0 */
/* RGB to the samples that video codecs take.  docs/model/image.md#films.
 *
 *     column  2i-1   2i   2i+1          chroma sample i lies at column 2i, between the
 *     row 2y    1     2     1           two rows: "left" siting, as H.264 assumes
 *     row 2y+1  1     2     1           weights of its eight (1 + 2 + 1) * 2 parts
 *
 * Integers, so that a film has the same bytes on every processor; libswscale's results
 * depend on its version and instruction set.  16-bit fixed point of BT.709's matrix, scaled
 * to limited range (Y 16..235, chroma 16..240); the weights of each chroma row add up to
 * zero, so that grey stays grey. */
#include "media/film_parts.h"

enum { LUMA_BITS = 16, CHROMA_BITS = 16 + 3 };  /* chroma: a sum of eight pixels */

/* 0.2126, 0.7152, 0.0722 times 219/255, of 65536; rounded.  No clamp: the sum ends at 235. */
static uint8_t luma(const uint8_t *rgb)
{
    int sum = 11966 * rgb[0] + 40254 * rgb[1] + 4064 * rgb[2];
    return (uint8_t)((sum + (16 << LUMA_BITS) + (1 << (LUMA_BITS - 1))) >> LUMA_BITS);
}

/* `sum` is eight times the mean of its pixels; rounded, without a clamp. */
static uint8_t chroma(const int sum[3], int r, int g, int b)
{
    int value = r * sum[0] + g * sum[1] + b * sum[2];
    return (uint8_t)((value + (128 << CHROMA_BITS) + (1 << (CHROMA_BITS - 1))) >>
                     CHROMA_BITS);
}

/* Weights 1 2 1 around pixel 2i, over two rows.  The first column stands for its left
 * neighbour; an even width leaves every right neighbour inside. */
static void sum_around(const uint8_t *rows[2], int i, int sum[3])
{
    int here = 6 * i, before = i > 0 ? here - 3 : here;
    for (int c = 0; c < 3; c++) {
        sum[c] = 0;
        for (int k = 0; k < 2; k++)
            sum[c] += rows[k][before + c] + 2 * rows[k][here + c] +
                      rows[k][here + 3 + c];
    }
}

void pf_yuv_from_rgb(const uint8_t *rgb, int width, int height, uint8_t *planes[3],
                     const int strides[3])
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            planes[0][(int64_t)y * strides[0] + x] =
                luma(rgb + 3 * ((int64_t)y * width + x));
    for (int y = 0; y < height / 2; y++) {
        const uint8_t *first = rgb + (int64_t)6 * y * width;
        const uint8_t *rows[2] = {first, first + (int64_t)3 * width};
        for (int i = 0; i < width / 2; i++) {
            int sum[3];
            sum_around(rows, i, sum);
            planes[1][(int64_t)y * strides[1] + i] = chroma(sum, -6596, -22188, 28784);
            planes[2][(int64_t)y * strides[2] + i] = chroma(sum, 28784, -26145, -2639);
        }
    }
}
