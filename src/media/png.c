/* SPDX-License-Identifier: Apache-2.0 */
/* RGB pictures to PNG files.  See png.h.  libavcodec compresses; the text chunks
 * are put behind the header here. */
#include "media/png.h"

#include <ctype.h>
#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavutil/crc.h>
#include <libavutil/intreadwrite.h>
#include <libavutil/opt.h>
#include <string.h>

#include "base/memory.h"
#include "media/libav.h"

/* Signature and IHDR chunk (4 length, 4 name, 13 body, 4 checksum): texts go behind them,
 * because PNG wants IHDR first and leaves the place of iTXt open. */
enum { HEADER_BYTES = 8 + 25 };

/* --- pixels ---------------------------------------------------------------------- */

static pf_status open_encoder(const pf_png *png, AVCodecContext **out, pf_error *error)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("png");
    if (!codec)
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "this FFmpeg has no encoder \"png\"; choose another kind of "
                       "file");
    AVCodecContext *encoder = avcodec_alloc_context3(codec);
    if (!encoder)
        return pf_fail_memory(error, "PNG encoder", sizeof *encoder);
    encoder->width = png->width;
    encoder->height = png->height;
    encoder->pix_fmt = AV_PIX_FMT_RGB24;
    encoder->time_base = (AVRational){1, 1};
    encoder->thread_count = 1;
    encoder->flags |= AV_CODEC_FLAG_BITEXACT;
    av_opt_set(encoder->priv_data, "pred", "mixed", 0);
    int code = avcodec_open2(encoder, codec, NULL);
    if (code < 0) {
        avcodec_free_context(&encoder);
        return pf_libav_fail(error, PF_E_INTERNAL, code,
                             "the PNG encoder does not open");
    }
    *out = encoder;
    return PF_OK;
}

static int fill_frame(const pf_png *png, AVFrame *frame)
{
    frame->width = png->width;
    frame->height = png->height;
    frame->format = AV_PIX_FMT_RGB24;
    int code = av_frame_get_buffer(frame, 0);
    size_t row = 3 * (size_t)png->width;
    for (int y = 0; code == 0 && y < png->height; y++)
        memcpy(frame->data[0] + (ptrdiff_t)y * frame->linesize[0],
               png->rgb + (size_t)y * row, row);
    return code;
}

/* The whole file, as libavcodec writes it, in one packet. */
static pf_status compress(const pf_png *png, AVPacket *packet, pf_error *error)
{
    AVCodecContext *encoder = NULL;
    PF_TRY(open_encoder(png, &encoder, error));
    AVFrame *frame = av_frame_alloc();
    int code = frame ? fill_frame(png, frame) : AVERROR(ENOMEM);
    if (code == 0)
        code = avcodec_send_frame(encoder, frame);
    if (code == 0)
        code = avcodec_send_frame(encoder, NULL);
    if (code == 0)
        code = avcodec_receive_packet(encoder, packet);
    av_frame_free(&frame);
    avcodec_free_context(&encoder);
    if (code < 0)
        return pf_libav_fail(error, PF_E_INTERNAL, code, "cannot make a PNG");
    return packet->size > HEADER_BYTES
               ? PF_OK
               : pf_fail(error, PF_E_INTERNAL, "the PNG encoder gave no picture");
}

/* --- text ------------------------------------------------------------------------ */

/* Length, "iTXt", keyword, five zero bytes (its end, not compressed, no method, no
 * language, no translation), text, CRC. */
static pf_status write_text(pf_part_file *file, const pf_film_tag *tag, pf_error *error)
{
    size_t key = strlen(tag->key), value = strlen(tag->value);
    size_t body = key + 5 + value, bytes = 12 + body;
    uint8_t *chunk = pf_calloc(bytes, 1);
    if (!chunk)
        return pf_fail_memory(error, "PNG text", bytes);
    AV_WB32(chunk, (uint32_t)body);
    memcpy(chunk + 4, "iTXt", 4);
    memcpy(chunk + 8, tag->key, key);
    chunk[8] = (uint8_t)toupper(chunk[8]);      /* PNG says "Title", "Comment" */
    memcpy(chunk + 8 + key + 5, tag->value, value);
    /* FFmpeg's CRC-32 neither inverts its start nor its end; PNG's does both. */
    const AVCRC *table = av_crc_get_table(AV_CRC_32_IEEE_LE);
    uint32_t crc = ~av_crc(table, UINT32_MAX, chunk + 4, 4 + body);
    AV_WB32(chunk + 8 + body, crc);
    pf_status status = pf_part_write(file, chunk, bytes, error);
    pf_free(chunk);
    return status;
}

/* --- file ------------------------------------------------------------------------ */

static pf_status write_chunks(pf_part_file *file, const pf_png *png,
                              const AVPacket *packet, pf_error *error)
{
    PF_TRY(pf_part_write(file, packet->data, HEADER_BYTES, error));
    for (int i = 0; i < png->tag_count; i++)
        PF_TRY(write_text(file, &png->tags[i], error));
    PF_TRY(pf_part_write(file, packet->data + HEADER_BYTES,
                         (size_t)packet->size - HEADER_BYTES, error));
    return pf_part_finish(file, error);
}

pf_status pf_png_write(const char *path, const pf_png *png, pf_part_file *out,
                       pf_error *error)
{
    pf_libav_quiet();
    PF_TRY(pf_part_open(path, out, error));
    AVPacket *packet = av_packet_alloc();
    pf_status status = packet ? compress(png, packet, error)
                              : pf_fail_memory(error, path, sizeof *packet);
    if (status == PF_OK)
        status = write_chunks(out, png, packet, error);
    av_packet_free(&packet);
    if (status != PF_OK)
        pf_part_discard(out);
    return status;
}
