/* Picture files to RGB.  See picture.h; docs/model/image.md#decoding.
 *
 * JPEG is libjpeg's, PNG and WebP are decoders of libavcodec; which one is decided by
 * the first bytes.  No demuxer and no protocol of FFmpeg is involved.
 */
#include "media/picture.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "media/libav.h"
#include "media/picture_parts.h"

static pf_status fail_decoding(pf_error *error, int code, const char *name)
{
    return pf_libav_fail(error, PF_E_INPUT, code, "%s is damaged", name);
}

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

/* One packet in, one frame out. */
static int decode_packet(AVCodecContext *decoder, const uint8_t *data, size_t bytes,
                         AVFrame *frame)
{
    AVPacket *packet = av_packet_alloc();
    int code = packet ? av_new_packet(packet, (int)bytes) : AVERROR(ENOMEM);
    if (code == 0) {
        memcpy(packet->data, data, bytes);
        code = avcodec_send_packet(decoder, packet);
    }
    if (code == 0)
        code = avcodec_send_packet(decoder, NULL);
    if (code == 0)
        code = avcodec_receive_frame(decoder, frame);
    av_packet_free(&packet);
    return code;
}

static pf_status decode_frame(const uint8_t *data, const pf_picture_header *header,
                              const char *name, AVFrame *frame, pf_error *error)
{
    AVCodecContext *decoder = NULL;
    PF_TRY(open_decoder(header->kind, &decoder, error));
    int code = decode_packet(decoder, data, header->bytes, frame);
    avcodec_free_context(&decoder);
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
    uint8_t *rgb = pf_alloc(size);
    if (!rgb)
        return pf_fail_memory(error, name, size);
    pf_status status = header.kind == PF_PICTURE_JPEG
                           ? pf_picture_decode_jpeg(data, &header, name, rgb, error)
                           : decode_others(data, &header, name, rgb, error);
    if (status != PF_OK) {
        pf_free(rgb);
        return status;
    }
    *out = (pf_picture){rgb, header.width, header.height};
    return PF_OK;
}

pf_status pf_picture_read(const char *path, pf_picture *out, pf_error *error)
{
    char *data = NULL;
    size_t bytes = 0;
    *out = (pf_picture){0};
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
