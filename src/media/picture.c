/* SPDX-License-Identifier: Apache-2.0 */
/* Picture files to RGB.  See picture.h; docs/model/image.md#decoding.
 *
 *     bytes of a file
 *       pf_picture_parse       kind by the first bytes; structure, size, limits; where
 *                              orientation and colours are said
 *       JPEG                   pf_picture_decode_jpeg (libjpeg-turbo)
 *       PNG                    pf_picture_check_png, then as WebP
 *       WebP                   pf_picture_strip -> libavcodec -> AVFrame
 *                              -> pf_picture_convert
 *     rgb [height][width][3]
 *       pf_picture_to_srgb     colour profile, in place
 *       turn                   orientation of EXIF; may swap the sides
 *
 * The bytes come from anybody, so nothing is allocated by a number of the file before parse
 * has bounded it, and a decoder sees a picture only, no metadata.  No demuxer and no
 * protocol of FFmpeg is involved.
 */
#include "media/picture.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "media/libav.h"
#include "media/picture_exif.h"
#include "media/picture_parts.h"

static pf_status fail_decoding(pf_error *error, int code, const char *name)
{
    return pf_libav_fail(error, PF_E_INPUT, code, "%s is damaged", name);
}

/* A single thread (pictures are small beside films), and every check that the decoder
 * knows ends it: libavcodec's default is to show damaged pictures as far as they go. */
static pf_status open_decoder(pf_picture_kind kind, AVCodecContext **out,
                              pf_error *error)
{
    const char *name = kind == PF_PICTURE_PNG ? "png" : "webp";
    const AVCodec *codec = avcodec_find_decoder_by_name(name);
    if (!codec)
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "this FFmpeg has no decoder \"%s\"", name);
    AVCodecContext *decoder = avcodec_alloc_context3(codec);
    if (!decoder)
        return pf_fail_memory(error, "picture decoder", sizeof *decoder);
    decoder->thread_count = 1;
    decoder->max_pixels = PF_PICTURE_MAX_PIXELS;
    decoder->err_recognition =
        AV_EF_EXPLODE | AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER;
    int code = avcodec_open2(decoder, codec, NULL);
    if (code < 0) {
        avcodec_free_context(&decoder);
        return pf_libav_fail(error, PF_E_UNSUPPORTED, code,
                             "the decoder \"%s\" does not open", name);
    }
    *out = decoder;
    return PF_OK;
}

/* Decodes a packet to a frame.  The packet owns the bytes, also on failure. */
static int decode_packet(AVCodecContext *decoder, const pf_picture_bytes *picture,
                         AVFrame *frame)
{
    uint8_t *data = (uint8_t *)(uintptr_t)picture->data;
    AVPacket *packet = av_packet_alloc();
    int code = packet ? av_packet_from_data(packet, data, (int)picture->bytes)
                      : AVERROR(ENOMEM);
    if (code < 0)
        av_free(data);
    if (code == 0)
        code = avcodec_send_packet(decoder, packet);
    if (code == 0)
        code = avcodec_send_packet(decoder, NULL);
    if (code == 0)
        code = avcodec_receive_frame(decoder, frame);
    av_packet_free(&packet);
    return code;
}

/* Strips and decodes to `frame`; a frame that is marked as damaged, or of another size than
 * the header's, is a damaged file. */
static pf_status decode_frame(const uint8_t *data, const pf_picture_header *header,
                              const char *name, AVFrame *frame, pf_error *error)
{
    AVCodecContext *decoder = NULL;
    pf_picture_bytes picture;
    PF_TRY(open_decoder(header->kind, &decoder, error));
    pf_status status = pf_picture_strip(data, header, name, &picture, error);
    int code = status == PF_OK ? decode_packet(decoder, &picture, frame) : 0;
    avcodec_free_context(&decoder);
    if (status != PF_OK)
        return status;
    if (code < 0)
        return fail_decoding(error, code, name);
    bool whole = !(frame->flags & AV_FRAME_FLAG_CORRUPT) &&
                 frame->decode_error_flags == 0;
    if (!whole || frame->width != header->width || frame->height != header->height)
        return fail_decoding(error, AVERROR_INVALIDDATA, name);
    return PF_OK;
}

static pf_status decode_others(const uint8_t *data, const pf_picture_header *header,
                               const char *name, uint8_t *rgb, pf_error *error)
{
    if (header->kind == PF_PICTURE_PNG)
        PF_TRY(pf_picture_check_png(data, header, name, error));
    pf_libav_quiet();
    AVFrame *frame = av_frame_alloc();
    if (!frame)
        return pf_fail_memory(error, name, sizeof *frame);
    pf_status status = decode_frame(data, header, name, frame, error);
    if (status == PF_OK)
        status = pf_picture_convert(frame, name, rgb, error);
    av_frame_free(&frame);
    return status;
}

/* Gives the picture the shape that it is shown in, in fresh memory: in place, pixels would
 * be overwritten before they are read. */
static pf_status turn(pf_picture *picture, int orientation, const char *name,
                      pf_error *error)
{
    if (orientation == 1)
        return PF_OK;
    int64_t width = picture->width, height = picture->height;
    size_t size = 3 * (size_t)width * (size_t)height;
    uint8_t *rgb = pf_alloc(size);
    if (!rgb)
        return pf_fail_memory(error, name, size);
    pf_picture_turn(picture->rgb, width, height, orientation, rgb);
    pf_free(picture->rgb);
    picture->rgb = rgb;
    if (orientation > 4) {
        picture->width = height;
        picture->height = width;
    }
    return PF_OK;
}

static pf_status decode_pixels(const uint8_t *data, const pf_picture_header *header,
                               const char *name, pf_picture *out, pf_error *error)
{
    uint8_t *rgb = out->rgb;
    if (header->kind == PF_PICTURE_JPEG)
        PF_TRY(pf_picture_decode_jpeg(data, header, name, rgb, error));
    else
        PF_TRY(decode_others(data, header, name, rgb, error));
    PF_TRY(pf_picture_to_srgb(header, name, rgb, out->note, error));
    return turn(out, header->orientation, name, error);
}

pf_status pf_picture_decode(const uint8_t *data, size_t bytes, const char *name,
                            pf_picture *out, pf_error *error)
{
    pf_picture_header header;
    *out = (pf_picture){0};
    if (bytes > PF_PICTURE_MAX_BYTES)
        return pf_fail(error, PF_E_INPUT,
                       "%s has %zu bytes, more than the limit of %d", name, bytes,
                       PF_PICTURE_MAX_BYTES);
    PF_TRY(pf_picture_parse(data, bytes, name, &header, error));
    size_t size = 3 * (size_t)header.width * (size_t)header.height;
    *out = (pf_picture){.rgb = pf_alloc(size), .width = header.width,
                        .height = header.height};
    if (!out->rgb)
        return pf_fail_memory(error, name, size);
    pf_status status = decode_pixels(data, &header, name, out, error);
    if (status != PF_OK)
        pf_picture_free(out);
    return status;
}

/* A folder or a pipe is the caller's mistake, not the disk's. */
static pf_status check_regular(const char *path, pf_error *error)
{
    struct stat info;
    if (stat(path, &info) != 0 || S_ISREG(info.st_mode))
        return PF_OK;                   /* reading reports a file that is not there */
    const char *what = S_ISDIR(info.st_mode)    ? "a folder"
                       : S_ISFIFO(info.st_mode) ? "a pipe"
                       : S_ISSOCK(info.st_mode) ? "a socket"
                                                : "a device";
    return pf_fail(error, PF_E_INPUT,
                   "%s is %s and no regular file: it must be a PNG, JPEG or WebP file",
                   path, what);
}

pf_status pf_picture_read(const char *path, pf_picture *out, pf_error *error)
{
    char *data = NULL;
    size_t bytes = 0;
    *out = (pf_picture){0};
    PF_TRY(check_regular(path, error));
    PF_TRY(pf_read_file(path, PF_PICTURE_MAX_BYTES, &data, &bytes, error));
    pf_status status =
        pf_picture_decode((const uint8_t *)data, bytes, path, out, error);
    pf_free(data);
    return status;
}

void pf_picture_free(pf_picture *picture)
{
    pf_free(picture->rgb);
    *picture = (pf_picture){0};
}
