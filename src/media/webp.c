/* SPDX-License-Identifier: Apache-2.0 */
/* WebP through libavcodec.  See webp.h.  Lossy, for pictures that are looked at and thrown
 * away: previews, thumbnails, the sheets of the web page. */
#include "media/webp.h"

#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>
#include <string.h>

#include "base/memory.h"
#include "media/libav.h"

/* Sends a picture through the encoder. */
typedef struct encoding {
    AVCodecContext *encoder;
    AVFrame *frame;
    AVPacket *packet;
} encoding;

/* Allocates encoder, frame and packet; pf_webp_encode frees them, also after a failure.  The
 * time base has no meaning for a single picture, but libavcodec asks for one. */
static pf_status open_encoder(encoding *e, int width, int height, int quality,
                              pf_error *error)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("libwebp");
    if (!codec)
        return pf_fail(error, PF_E_UNSUPPORTED, "this FFmpeg has no encoder \"libwebp\"");
    e->encoder = avcodec_alloc_context3(codec);
    e->frame = av_frame_alloc();
    e->packet = av_packet_alloc();
    if (!e->encoder || !e->frame || !e->packet)
        return pf_fail_memory(error, "libwebp", 1);
    e->encoder->width = e->frame->width = width;
    e->encoder->height = e->frame->height = height;
    e->encoder->pix_fmt = AV_PIX_FMT_BGRA;
    e->frame->format = AV_PIX_FMT_BGRA;
    e->encoder->time_base = (AVRational){1, 25};
    e->encoder->thread_count = 1;
    av_opt_set_double(e->encoder->priv_data, "quality", quality, 0);
    int code = avcodec_open2(e->encoder, codec, NULL);
    if (code >= 0)
        code = av_frame_get_buffer(e->frame, 0);
    return code >= 0 ? PF_OK
                     : pf_libav_fail(error, PF_E_UNSUPPORTED, code,
                                     "libwebp does not take %dx%d pixels", width, height);
}

/* FFmpeg's libwebp takes BGRA, or YUV that would have to be made first; alpha is opaque. */
static void fill(AVFrame *frame, const uint8_t *rgb)
{
    for (int y = 0; y < frame->height; y++) {
        uint8_t *out = frame->data[0] + (ptrdiff_t)y * frame->linesize[0];
        for (int x = 0; x < frame->width; x++, rgb += 3, out += 4) {
            out[0] = rgb[2];
            out[1] = rgb[1];
            out[2] = rgb[0];
            out[3] = 255;
        }
    }
}

static pf_status encode(encoding *e, uint8_t **out, size_t *out_bytes, pf_error *error)
{
    int code = avcodec_send_frame(e->encoder, e->frame);
    if (code >= 0)
        code = avcodec_send_frame(e->encoder, NULL);
    if (code >= 0)
        code = avcodec_receive_packet(e->encoder, e->packet);
    if (code < 0)
        return pf_libav_fail(error, PF_E_IO, code, "cannot encode a WebP picture");
    *out_bytes = (size_t)e->packet->size;
    *out = pf_alloc(*out_bytes);
    if (!*out)
        return pf_fail_memory(error, "picture", *out_bytes);
    memcpy(*out, e->packet->data, *out_bytes);
    return PF_OK;
}

pf_status pf_webp_encode(const uint8_t *rgb, int width, int height, int quality,
                         uint8_t **out, size_t *out_bytes, pf_error *error)
{
    encoding e = {0};
    *out = NULL;
    pf_libav_quiet();
    pf_status status = open_encoder(&e, width, height, quality, error);
    if (status == PF_OK) {
        fill(e.frame, rgb);
        status = encode(&e, out, out_bytes, error);
    }
    av_packet_free(&e.packet);
    av_frame_free(&e.frame);
    avcodec_free_context(&e.encoder);
    return status;
}

/* --- smaller ------------------------------------------------------------------------- */

/* The average of rows y0..y1 and columns x0..x1 of one channel, rounded. */
static uint8_t average(const pf_shrink *s, int x0, int x1, int y0, int y1, int channel)
{
    uint64_t sum = 0, count = (uint64_t)(x1 - x0) * (uint64_t)(y1 - y0);
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++)
            sum += s->rgb[3 * ((size_t)y * (size_t)s->width + (size_t)x) +
                          (size_t)channel];
    return (uint8_t)((sum + count / 2) / count);
}

void pf_picture_shrink(const pf_shrink *s)
{
    for (int y = 0; y < s->out_height; y++)
        for (int x = 0; x < s->out_width; x++) {
            int x0 = (int)((int64_t)x * s->width / s->out_width);
            int y0 = (int)((int64_t)y * s->height / s->out_height);
            int x1 = (int)((int64_t)(x + 1) * s->width / s->out_width);
            int y1 = (int)((int64_t)(y + 1) * s->height / s->out_height);
            for (int c = 0; c < 3; c++)
                s->out[(size_t)y * s->stride + (size_t)(3 * x + c)] =
                    average(s, x0, x1, y0, y1, c);
        }
}
