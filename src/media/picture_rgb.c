/* SPDX-License-Identifier: Apache-2.0 */
/* Decoded PNG and WebP to RGB.  docs/model/image.md#colours.
 *
 *     grey, RGB(A), 8 or 16 bits   convert_packed     high byte, alpha dropped
 *     palette                      convert_palette
 *     1 bit                        convert_bits
 *     4:2:0 (lossy WebP)           convert_planes
 *
 * libswscale would do all of this, but neither to the same bytes as Pillow nor to the same
 * bytes in all its versions.  Chroma upsampling and colour arithmetic of lossy WebP are
 * libwebp's, because Pillow decodes with that.
 */
#include <libavutil/intreadwrite.h>
#include <libavutil/pixdesc.h>

#include "base/memory.h"
#include "media/picture_parts.h"

static uint8_t clamp(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* --- packed pixels (PNG, lossless WebP) ------------------------------------------ */

/* Gray or colour samples of 8 or 16 bits; the high byte of the latter. */
static void convert_packed(const AVFrame *frame, const AVPixFmtDescriptor *format,
                           uint8_t *rgb)
{
    bool grey = format->nb_components < 3;
    int step = format->comp[0].step;
    int offset[3];
    for (int c = 0; c < 3; c++) {
        const AVComponentDescriptor *component = &format->comp[grey ? 0 : c];
        bool low_first = component->depth > 8 && !(format->flags & AV_PIX_FMT_FLAG_BE);
        offset[c] = component->offset + low_first;
    }
    for (int y = 0; y < frame->height; y++) {
        const uint8_t *row = frame->data[0] + (ptrdiff_t)y * frame->linesize[0];
        for (int x = 0; x < frame->width; x++)
            for (int c = 0; c < 3; c++)
                *rgb++ = row[x * step + offset[c]];
    }
}

/* data[1] holds 256 colours as 32-bit words 0xAARRGGBB of the machine's byte order. */
static void convert_palette(const AVFrame *frame, uint8_t *rgb)
{
    for (int y = 0; y < frame->height; y++) {
        const uint8_t *row = frame->data[0] + (ptrdiff_t)y * frame->linesize[0];
        for (int x = 0; x < frame->width; x++) {
            uint32_t colour = AV_RN32(frame->data[1] + 4 * row[x]);
            *rgb++ = (uint8_t)(colour >> 16);
            *rgb++ = (uint8_t)(colour >> 8);
            *rgb++ = (uint8_t)colour;
        }
    }
}

/* Eight pixels a byte, the leftmost in the highest bit; 1 is white. */
static void convert_bits(const AVFrame *frame, uint8_t *rgb)
{
    for (int y = 0; y < frame->height; y++) {
        const uint8_t *row = frame->data[0] + (ptrdiff_t)y * frame->linesize[0];
        for (int x = 0; x < frame->width; x++) {
            uint8_t value = row[x / 8] >> (7 - x % 8) & 1 ? 255 : 0;
            for (int c = 0; c < 3; c++)
                *rgb++ = value;
        }
    }
}

/* --- planes (lossy WebP) ---------------------------------------------------------- */

/* A chroma plane of [height][width], half as wide and high as the picture. */
typedef struct plane {
    const uint8_t *data;
    ptrdiff_t stride;
    int width, height;
} plane;

/* Row y, or the nearest that there is. */
static const uint8_t *plane_row(const plane *p, int y)
{
    y = y < 0 ? 0 : y >= p->height ? p->height - 1 : y;
    return p->data + y * p->stride;
}

/* Row y of the picture to out [2 * width]: the weights 9, 3, 3, 1 of the four samples
 * around, rounded twice. */
static void enlarge(const plane *p, int y, uint8_t *out)
{
    const uint8_t *near = plane_row(p, y / 2);
    const uint8_t *far = plane_row(p, y / 2 + (y % 2 ? 1 : -1));
    for (int x = 0; x < 2 * p->width; x++) {
        int i = x / 2, j = i + (x % 2 ? 1 : -1);
        j = j < 0 ? 0 : j >= p->width ? p->width - 1 : j;
        int three = near[i] + 3 * (near[j] + far[i]) + far[j];
        out[x] = (uint8_t)((((three + 8) >> 3) + near[i]) >> 1);
    }
}

/* Limited range, BT.601; each product loses its low byte, six binary places remain. */
static void put_colour(int y, int u, int v, uint8_t *rgb)
{
    int luma = 19077 * y >> 8;
    rgb[0] = clamp((luma + (26149 * v >> 8) - 14234) >> 6);
    rgb[1] = clamp((luma - (6419 * u >> 8) - (13320 * v >> 8) + 8708) >> 6);
    rgb[2] = clamp((luma + (33050 * u >> 8) - 17685) >> 6);
}

static pf_status convert_planes(const AVFrame *frame, uint8_t *rgb, pf_error *error)
{
    plane planes[2];
    for (int i = 0; i < 2; i++)
        planes[i] = (plane){frame->data[1 + i], frame->linesize[1 + i],
                            (frame->width + 1) / 2, (frame->height + 1) / 2};
    size_t row_bytes = 2 * (size_t)planes[0].width;
    uint8_t *u = pf_alloc(2 * row_bytes), *v = u + row_bytes;
    if (!u)
        return pf_fail_memory(error, "picture rows", 2 * row_bytes);
    for (int y = 0; y < frame->height; y++) {
        const uint8_t *luma = frame->data[0] + (ptrdiff_t)y * frame->linesize[0];
        enlarge(&planes[0], y, u);
        enlarge(&planes[1], y, v);
        for (int x = 0; x < frame->width; x++, rgb += 3)
            put_colour(luma[x], u[x], v[x], rgb);
    }
    pf_free(u);
    return PF_OK;
}

/* --- choice ---------------------------------------------------------------------- */

static bool has_known_samples(const AVPixFmtDescriptor *format)
{
    int depth = format->comp[0].depth;
    return (depth == 8 || depth == 16) && (format->nb_components < 3 ||
                                           format->flags & AV_PIX_FMT_FLAG_RGB);
}

pf_status pf_picture_convert(const AVFrame *frame, const char *name, uint8_t *rgb,
                             pf_error *error)
{
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
    if (frame->format == AV_PIX_FMT_YUV420P || frame->format == AV_PIX_FMT_YUVA420P)
        return convert_planes(frame, rgb, error);
    if (frame->format == AV_PIX_FMT_PAL8)
        convert_palette(frame, rgb);
    else if (frame->format == AV_PIX_FMT_MONOBLACK)
        convert_bits(frame, rgb);
    else if (format && !(format->flags & AV_PIX_FMT_FLAG_PLANAR) &&
             has_known_samples(format))
        convert_packed(frame, format, rgb);
    else
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "%s has samples of the form \"%s\", which is not read", name,
                       format ? format->name : "unknown");
    return PF_OK;
}
