/* SPDX-License-Identifier: Apache-2.0 */
/* The level of an H.264 film.  docs/model/image.md#films.
 *
 * A level promises a decoder how large frames are, how many of them come a second, how
 * many are kept and how many bits arrive.  x264 left alone looks at all of them but the
 * bits, and calls a film of 64x64 level 1, which ends at 80 kbit/s: hardware decoders may
 * refuse a stream that breaks the promise.  So the level is chosen here, by an upper bound
 * of the bits, and the encoder is told it. */
#include "media/film_parts.h"

enum { MACROBLOCK = 16, KEPT_FRAMES = 4 };

/* ITU-T H.264 table A-1; bit rates are those of profile High. */
typedef struct level {
    int number;                         /* ten times the level's name */
    int64_t blocks, blocks_a_second;    /* macroblocks */
    int64_t kept_blocks;                /* macroblocks of all frames that are kept */
    int64_t bits_a_second;
} level;

/* Phones of 2010 play 4.0; browsers, QuickTime and Windows end at 5.2.  Beyond, programs
 * on a desktop go on. */
static const level levels[] = {
    {40, 8192, 245760, 32768, 25000000},
    {42, 8704, 522240, 34816, 62500000},
    {51, 36864, 983040, 184320, 300000000},
    {52, 36864, 2073600, 184320, 300000000},
    {60, 139264, 4177920, 696320, 300000000},
    {61, 139264, 8355840, 696320, 600000000},
    {62, 139264, 16711680, 696320, 1000000000},
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

/* Half of what white noise takes, which no film comes near: 6 bits a pixel at a factor
 * of 1, 5 bits at 5, one at 32. */
static double bits_a_pixel(int quality)
{
    double bits = 6.25 - 0.165 * quality;
    return bits > 0.5 ? bits : 0.5;
}

/* Neither side is longer than the root of eight times the area. */
static bool holds_frame(const level *l, int64_t columns, int64_t rows)
{
    return columns * rows <= l->blocks && columns * columns <= 8 * l->blocks &&
           rows * rows <= 8 * l->blocks &&
           KEPT_FRAMES * columns * rows <= l->kept_blocks;
}

bool pf_film_h264_level(int width, int height, double fps, int quality,
                        pf_film_level *out)
{
    int64_t columns = (width + MACROBLOCK - 1) / MACROBLOCK;
    int64_t rows = (height + MACROBLOCK - 1) / MACROBLOCK;
    double bits = (double)width * height * fps * bits_a_pixel(quality);
    const level *found = NULL;
    for (int i = 0; i < LEVELS; i++) {
        const level *l = &levels[i];
        if (!holds_frame(l, columns, rows) ||
            (double)(columns * rows) * fps > (double)l->blocks_a_second)
            continue;
        /* More bits alone lead to no level that hardly anything plays. */
        if (!found || (bits > (double)found->bits_a_second && l->number <= 52))
            found = l;
    }
    if (!found)
        return false;
    bool capped = bits > (double)found->bits_a_second;
    *out = (pf_film_level){found->number, capped ? found->bits_a_second : 0};
    return true;
}
