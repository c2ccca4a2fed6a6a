/* SPDX-License-Identifier: Apache-2.0 */
/* EXIF orientation.  See picture_exif.h.
 *
 *     "Exif\0\0" | "II" or "MM" | 42 | offset of the directory | ...
 *     directory: count u16 | entries of 12 bytes: tag, type, count, value
 *
 * The first directory alone is read; offsets count from "II" or "MM".  Anything odd means
 * upright: cameras and programs write much that is wrong, and the picture is still good. */
#include "media/picture_exif.h"

#include <stdbool.h>
#include <string.h>

enum {
    UPRIGHT = 1, LAST_ORIENTATION = 8, FIRST_ON_ITS_SIDE = 5,
    TIFF_MAGIC = 42, ENTRY_BYTES = 12, TAG_ORIENTATION = 0x0112,
    TYPE_BYTE = 1, TYPE_SHORT = 3, TYPE_LONG = 4
};

/* --- the tag --------------------------------------------------------------------- */

/* A TIFF block and its byte order. */
typedef struct tiff {
    const uint8_t *data;
    size_t bytes;
    bool big;
} tiff;

static uint32_t get16(const tiff *t, size_t at)
{
    const uint8_t *b = t->data + at;
    return t->big ? (uint32_t)b[0] << 8 | b[1] : (uint32_t)b[1] << 8 | b[0];
}

static uint32_t get32(const tiff *t, size_t at)
{
    return t->big ? get16(t, at) << 16 | get16(t, at + 2)
                  : get16(t, at + 2) << 16 | get16(t, at);
}

static bool open_tiff(const uint8_t *data, size_t bytes, tiff *out)
{
    if (bytes >= 6 && memcmp(data, "Exif\0", 5) == 0) {
        data += 6;
        bytes -= 6;
    }
    *out = (tiff){data, bytes, bytes > 0 && data[0] == 'M'};
    return bytes >= 8 && (memcmp(data, "MM", 2) == 0 || memcmp(data, "II", 2) == 0) &&
           get16(out, 2) == TIFF_MAGIC;
}

/* The value of the entry at `at`, which begins at its left in either byte order. */
static uint32_t read_value(const tiff *t, size_t at)
{
    uint32_t type = get16(t, at + 2);
    if (get32(t, at + 4) != 1)
        return UPRIGHT;
    return type == TYPE_SHORT  ? get16(t, at + 8)
           : type == TYPE_LONG ? get32(t, at + 8)
           : type == TYPE_BYTE ? t->data[at + 8]
                               : UPRIGHT;
}

int pf_exif_orientation(const uint8_t *data, size_t bytes)
{
    tiff t;
    if (!open_tiff(data, bytes, &t))
        return UPRIGHT;
    size_t at = get32(&t, 4);
    if (at > t.bytes || t.bytes - at < 2)
        return UPRIGHT;
    size_t entries = get16(&t, at);
    at += 2;
    for (; entries > 0 && t.bytes - at >= ENTRY_BYTES; entries--, at += ENTRY_BYTES) {
        if (get16(&t, at) != TAG_ORIENTATION)
            continue;
        uint32_t value = read_value(&t, at);
        return value >= UPRIGHT && value <= LAST_ORIENTATION ? (int)value : UPRIGHT;
    }
    return UPRIGHT;
}

/* --- turning --------------------------------------------------------------------- */

/* Where the first pixel of the result lies in the picture, and how far apart, in pixels,
 * its neighbours to the right and below are. */
typedef struct course {
    int64_t first, right, below;
} course;

static course course_of(int64_t width, int64_t height, int orientation)
{
    const int64_t right_end = width - 1, bottom = (height - 1) * width;
    const course courses[LAST_ORIENTATION] = {
        {0, 1, width},                          /* upright */
        {right_end, -1, width},                 /* mirrored left to right */
        {bottom + right_end, -1, -width},       /* upside down */
        {bottom, 1, -width},                    /* mirrored top to bottom */
        {0, width, 1},                          /* mirrored along the diagonal */
        {bottom, -width, 1},                    /* to be turned clockwise */
        {bottom + right_end, -width, -1},       /* mirrored along the other diagonal */
        {right_end, width, -1},                 /* to be turned counterclockwise */
    };
    return courses[orientation - 1];
}

void pf_picture_turn(const uint8_t *rgb, int64_t width, int64_t height, int orientation,
                     uint8_t *out)
{
    bool on_its_side = orientation >= FIRST_ON_ITS_SIDE;
    int64_t columns = on_its_side ? height : width;
    int64_t rows = on_its_side ? width : height;
    course c = course_of(width, height, orientation);
    for (int64_t y = 0; y < rows; y++) {
        const uint8_t *from = rgb + 3 * (c.first + y * c.below);
        for (int64_t x = 0; x < columns; x++, out += 3, from += 3 * c.right)
            memcpy(out, from, 3);
    }
}
