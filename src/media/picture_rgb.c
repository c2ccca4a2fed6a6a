/* Decoded pictures to RGB.  docs/model/image.md#colours.
 *
 * Chroma upsampling and colour arithmetic are libjpeg-turbo's for JPEG and
 * libwebp's for WebP, because those are what Pillow decodes with.  Sides are at
 * least 16, so the special cases of chroma planes with one or two columns are left
 * out.
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

/* --- planes ---------------------------------------------------------------------- */

/* A chroma plane of [height][width], half or quarter as wide and high as the
 * picture: log2 of the factors in sx and sy. */
typedef struct plane {
    const uint8_t *data;
    ptrdiff_t stride;
    int width, height, sx, sy;
} plane;

static const uint8_t *plane_row(const plane *p, int y)
{
    y = y < 0 ? 0 : y >= p->height ? p->height - 1 : y;
    return p->data + y * p->stride;
}

/* Row y of the picture lies nearest to one row of the plane, next to another. */
static void near_and_far(const plane *p, int y, const uint8_t **near,
                         const uint8_t **far)
{
    *near = plane_row(p, y / 2);
    *far = plane_row(p, y / 2 + (y % 2 ? 1 : -1));
}

/* libjpeg "h2v1": a triangle filter along the row. */
static void widen_jpeg(const plane *p, int y, uint8_t *out)
{
    const uint8_t *in = plane_row(p, y);
    int last = p->width - 1;
    for (int i = 0; i <= last; i++) {
        out[2 * i] = (uint8_t)(i == 0 ? in[0] : (3 * in[i] + in[i - 1] + 1) >> 2);
        out[2 * i + 1] =
            (uint8_t)(i == last ? in[last] : (3 * in[i] + in[i + 1] + 2) >> 2);
    }
}

/* libjpeg "h1v2". */
static void heighten_jpeg(const plane *p, int y, uint8_t *out)
{
    const uint8_t *near, *far;
    near_and_far(p, y, &near, &far);
    for (int i = 0; i < p->width; i++)
        out[i] = (uint8_t)((3 * near[i] + far[i] + (y % 2 ? 2 : 1)) >> 2);
}

/* libjpeg "h2v2": column sums first, then along the row. */
static void enlarge_jpeg(const plane *p, int y, uint8_t *out)
{
    const uint8_t *near, *far;
    near_and_far(p, y, &near, &far);
    int last = p->width - 1;
    int before = 3 * near[0] + far[0], here = before;
    for (int i = 0; i <= last; i++) {
        int after = i == last ? here : 3 * near[i + 1] + far[i + 1];
        out[2 * i] = (uint8_t)((3 * here + before + 8) >> 4);
        out[2 * i + 1] = (uint8_t)((3 * here + after + 7) >> 4);
        before = here;
        here = after;
    }
}

/* libwebp: the weights 9, 3, 3, 1 of the four samples around, rounded twice. */
static void enlarge_webp(const plane *p, int y, uint8_t *out)
{
    const uint8_t *near, *far;
    near_and_far(p, y, &near, &far);
    for (int x = 0; x < 2 * p->width; x++) {
        int i = x / 2, j = i + (x % 2 ? 1 : -1);
        j = j < 0 ? 0 : j >= p->width ? p->width - 1 : j;
        int three = near[i] + 3 * (near[j] + far[i]) + far[j];
        out[x] = (uint8_t)((((three + 8) >> 3) + near[i]) >> 1);
    }
}

/* Row y of the picture from one plane to out [width << sx]. */
static void upsample(const plane *p, bool webp, int y, uint8_t *out)
{
    if (webp) {
        enlarge_webp(p, y, out);
    } else if (p->sx == 1 && p->sy == 1) {
        enlarge_jpeg(p, y, out);
    } else if (p->sx == 1) {
        widen_jpeg(p, y, out);
    } else if (p->sy == 1) {
        heighten_jpeg(p, y, out);
    } else {
        const uint8_t *in = plane_row(p, y);
        for (int x = 0; x < p->width << p->sx; x++)
            out[x] = in[x >> p->sx];
    }
}

/* libjpeg: full range, BT.601, 16-bit fixed point. */
static void colour_jpeg(int y, int cb, int cr, uint8_t *rgb)
{
    enum { HALF = 1 << 15 };
    cb -= 128;
    cr -= 128;
    rgb[0] = clamp(y + ((91881 * cr + HALF) >> 16));
    rgb[1] = clamp(y + ((-22554 * cb - 46802 * cr + HALF) >> 16));
    rgb[2] = clamp(y + ((116130 * cb + HALF) >> 16));
}

/* libwebp: limited range, BT.601; each product loses its low byte, six binary
 * places remain. */
static void colour_webp(int y, int u, int v, uint8_t *rgb)
{
    int luma = 19077 * y >> 8;
    rgb[0] = clamp((luma + (26149 * v >> 8) - 14234) >> 6);
    rgb[1] = clamp((luma - (6419 * u >> 8) - (13320 * v >> 8) + 8708) >> 6);
    rgb[2] = clamp((luma + (33050 * u >> 8) - 17685) >> 6);
}

static void convert_row(const pf_picture_header *header, const uint8_t *const rows[3],
                        int width, uint8_t *rgb)
{
    for (int x = 0; x < width; x++, rgb += 3) {
        int a = rows[0][x], b = rows[1][x], c = rows[2][x];
        if (header->kind == PF_PICTURE_WEBP) {
            colour_webp(a, b, c, rgb);
        } else if (!header->is_rgb) {
            colour_jpeg(a, b, c, rgb);
        } else {
            rgb[0] = (uint8_t)a;
            rgb[1] = (uint8_t)b;
            rgb[2] = (uint8_t)c;
        }
    }
}

/* The planes in the order of the file: FFmpeg keeps R, G, B as G, B, R. */
static void find_planes(const AVFrame *frame, const AVPixFmtDescriptor *format,
                        plane planes[3])
{
    for (int i = 0; i < 3; i++) {
        int at = format->comp[i].plane;
        int sx = i ? format->log2_chroma_w : 0, sy = i ? format->log2_chroma_h : 0;
        planes[i] = (plane){frame->data[at], frame->linesize[at],
                            AV_CEIL_RSHIFT(frame->width, sx),
                            AV_CEIL_RSHIFT(frame->height, sy), sx, sy};
    }
}

static pf_status convert_planes(const AVFrame *frame, const AVPixFmtDescriptor *format,
                                const pf_picture_header *header, uint8_t *rgb,
                                pf_error *error)
{
    plane planes[3];
    find_planes(frame, format, planes);
    size_t row_bytes = (size_t)planes[1].width << planes[1].sx;
    uint8_t *buffer = pf_alloc(2 * row_bytes);
    if (!buffer)
        return pf_fail_memory(error, "picture rows", 2 * row_bytes);
    for (int y = 0; y < frame->height; y++) {
        const uint8_t *rows[3] = {plane_row(&planes[0], y), buffer,
                                  buffer + row_bytes};
        for (int i = 1; i < 3; i++)
            upsample(&planes[i], header->kind == PF_PICTURE_WEBP, y,
                     buffer + (size_t)(i - 1) * row_bytes);
        convert_row(header, rows, frame->width, rgb + (size_t)y * 3 * (size_t)frame->width);
    }
    pf_free(buffer);
    return PF_OK;
}

/* --- choice ---------------------------------------------------------------------- */

static bool has_known_planes(const AVPixFmtDescriptor *format, bool webp)
{
    int sx = format->log2_chroma_w, sy = format->log2_chroma_h;
    if (format->nb_components < 3 || format->comp[0].depth != 8)
        return false;
    if (webp)
        return sx == 1 && sy == 1;
    return sx + sy <= 2 && sy <= 1;     /* 4:4:4, 4:2:2, 4:4:0, 4:2:0, 4:1:1 */
}

static bool has_known_samples(const AVPixFmtDescriptor *format)
{
    int depth = format->comp[0].depth;
    return (depth == 8 || depth == 16) && (format->nb_components < 3 ||
                                           format->flags & AV_PIX_FMT_FLAG_RGB);
}

pf_status pf_picture_convert(const AVFrame *frame, const pf_picture_header *header,
                             const char *name, uint8_t *rgb, pf_error *error)
{
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
    if (frame->format == AV_PIX_FMT_PAL8)
        convert_palette(frame, rgb);
    else if (frame->format == AV_PIX_FMT_MONOBLACK)
        convert_bits(frame, rgb);
    else if (format && format->flags & AV_PIX_FMT_FLAG_PLANAR &&
             has_known_planes(format, header->kind == PF_PICTURE_WEBP))
        return convert_planes(frame, format, header, rgb, error);
    else if (format && !(format->flags & AV_PIX_FMT_FLAG_PLANAR) &&
             has_known_samples(format))
        convert_packed(frame, format, rgb);
    else
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "%s has samples of the form \"%s\", which is not read", name,
                       format ? format->name : "unknown");
    return PF_OK;
}
