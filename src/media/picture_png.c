/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that a PNG holds every row that its header promises.  docs/model/image.md#decoding.
 *
 *     IDAT chunks -- inflate, CHUNK bytes at a time --> walk: rows of each pass counted off
 *
 * libavcodec checks the checksums of the chunks and the values, but takes a picture
 * whose compressed data ends early, or whose rows name a filter that does not exist.  So the
 * data is inflated here once for its structure, into a buffer that is used again and again:
 * the price is inflating twice.
 */
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "media/picture_parts.h"

/* Filters 0 to 4 exist.  A few bytes behind the last row are common, of writers that round
 * up; 64 KiB are not. */
enum { CHUNK = 1 << 15, PASSES = 7, MAX_FILTER = 4, MAX_SURPLUS = 1 << 16 };

/* Position in the rows of the inflated data. */
typedef struct rows {
    int64_t left[PASSES];               /* rows that are still to come, a pass */
    int64_t bytes[PASSES];              /* of a row, with its filter */
    int pass, passes;
    int64_t in_row;                     /* bytes that are still to come of this row */
    int64_t surplus;                    /* bytes after the last row */
    bool bad_filter;
} rows;

/* Adam7: first column and row, and their distances. */
static const int adam7[PASSES][4] = {
    {0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
    {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2},
};

/* Bits of a pixel; 0: there is no such PNG.  Colour types: 0 grey, 2 RGB, 3 palette, 4 grey
 * and alpha, 6 RGB and alpha. */
static int64_t pixel_bits(int depth, int colour)
{
    static const int samples[] = {1, 0, 3, 1, 2, 0, 4};
    bool known = depth == 8 || (depth == 16 && colour != 3) ||
                 ((depth == 1 || depth == 2 || depth == 4) &&
                  (colour == 0 || colour == 3));
    return known && colour <= 6 ? (int64_t)depth * samples[colour] : 0;
}

/* Rows of each pass, and their bytes: a filter byte and the packed pixels.  A picture that
 * is not interlaced is one pass of everything. */
static void count_rows(rows *r, const pf_picture_header *header, int64_t bits,
                       bool interlaced)
{
    static const int whole[4] = {0, 0, 1, 1};
    r->passes = interlaced ? PASSES : 1;
    for (int i = 0; i < r->passes; i++) {
        const int *p = interlaced ? adam7[i] : whole;
        int64_t columns = (header->width - p[0] + p[2] - 1) / p[2];
        r->left[i] = (header->height - p[1] + p[3] - 1) / p[3];
        r->bytes[i] = 1 + (columns * bits + 7) / 8;
    }
}

/* Walks over inflated bytes, row by row; counts the bytes behind the last row. */
static void walk(rows *r, const uint8_t *data, int64_t bytes)
{
    while (bytes > 0) {
        while (r->pass < r->passes && r->left[r->pass] == 0)
            r->pass++;
        if (r->pass == r->passes) {
            r->surplus += bytes;
            return;
        }
        if (r->in_row == 0) {
            r->in_row = r->bytes[r->pass];
            r->bad_filter |= *data > MAX_FILTER;
        }
        int64_t step = r->in_row < bytes ? r->in_row : bytes;
        data += step;
        bytes -= step;
        r->in_row -= step;
        if (r->in_row == 0)
            r->left[r->pass]--;
    }
}

static bool is_complete(const rows *r)
{
    for (int i = 0; i < r->passes; i++)
        if (r->left[i] > 0)
            return false;
    return true;
}

/* Inflates one IDAT chunk; zlib's last code.  Z_BUF_ERROR means that the chunk is used up
 * and the stream goes on in the next one. */
static int inflate_chunk(z_stream *stream, const uint8_t *data, uint32_t bytes,
                         uint8_t *buffer, rows *r)
{
    int code = Z_OK;
    stream->next_in = (z_const Bytef *)(uintptr_t)data;
    stream->avail_in = bytes;
    do {
        stream->next_out = buffer;
        stream->avail_out = CHUNK;
        code = inflate(stream, Z_NO_FLUSH);
        walk(r, buffer, CHUNK - (int64_t)stream->avail_out);
    } while (code == Z_OK && stream->avail_out == 0 && r->surplus <= MAX_SURPLUS);
    return code == Z_BUF_ERROR ? Z_OK : code;
}

static uint32_t big32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* All IDAT chunks; pf_picture_parse has checked the lengths. */
static int inflate_all(z_stream *stream, const uint8_t *data, size_t bytes,
                       uint8_t *buffer, rows *r)
{
    int code = Z_OK;
    for (size_t at = 8; at < bytes && code == Z_OK && r->surplus <= MAX_SURPLUS;
         at += 12 + (size_t)big32(data + at))
        if (memcmp(data + at + 4, "IDAT", 4) == 0)
            code = inflate_chunk(stream, data + at + 8, big32(data + at), buffer, r);
    return code;
}

static const char *find_damage(int code, const rows *r)
{
    if (code != Z_OK && code != Z_STREAM_END)
        return "its compressed data is broken";
    if (!is_complete(r))
        return "rows are missing";
    if (r->surplus > MAX_SURPLUS)       /* a bomb: it inflates to any size */
        return "its compressed data is much longer than its rows";
    return r->bad_filter ? "a row has an unknown filter" : NULL;
}

pf_status pf_picture_check_png(const uint8_t *data, const pf_picture_header *header,
                               const char *name, pf_error *error)
{
    /* Behind signature, length, type, width and height: depth, colour type, compression,
     * filter, interlacing. */
    const uint8_t *form = data + 24;
    int64_t bits = pixel_bits(form[0], form[1]);
    if (bits == 0 || form[2] || form[3] || form[4] > 1)
        return pf_fail(error, PF_E_INPUT, "%s is damaged: its header is wrong", name);
    rows r = {0};
    count_rows(&r, header, bits, form[4] == 1);
    z_stream stream = {0};
    uint8_t *buffer = pf_alloc(CHUNK);
    if (!buffer || inflateInit(&stream) != Z_OK) {
        pf_free(buffer);
        return pf_fail_memory(error, name, CHUNK);
    }
    int code = inflate_all(&stream, data, header->bytes, buffer, &r);
    inflateEnd(&stream);
    pf_free(buffer);
    if (code == Z_MEM_ERROR)
        return pf_fail_memory(error, name, CHUNK);
    const char *damage = find_damage(code, &r);
    return damage ? pf_fail(error, PF_E_INPUT, "%s is damaged: %s", name, damage) : PF_OK;
}
