/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures without the parts on which no pixel depends.  docs/model/image.md#decoding.
 *
 *     PNG   signature IHDR .. iCCP .. PLTE tRNS .. zTXt .. IDAT IDAT .. IEND ..
 *       ->  signature IHDR         PLTE tRNS         IDAT IDAT    IEND
 *
 * libavcodec inflates compressed texts and profiles of a PNG whole, however long they
 * become, and makes words of every tag of an EXIF block.  Nothing of that reaches it.
 * Two passes with the same walk: the first counts the bytes, the second copies them.
 */
#include <libavcodec/defs.h>
#include <libavutil/intreadwrite.h>
#include <libavutil/mem.h>
#include <string.h>

#include "base/fault.h"
#include "media/picture_parts.h"

/* Copies the parts of a file that are kept; without `out` it only counts. */
typedef struct copier {
    uint8_t *out;
    size_t bytes;
} copier;

static void put(copier *c, const uint8_t *data, size_t bytes)
{
    if (c->out)
        memcpy(c->out + c->bytes, data, bytes);
    c->bytes += bytes;
}

/* Chunks that pixels depend on.  An empty IDAT, which PNG allows, adds nothing to them. */
static bool is_kept(const uint8_t *type, size_t length)
{
    static const char names[][5] = {"IHDR", "PLTE", "tRNS", "IDAT", "IEND"};
    if (memcmp(type, "IDAT", 4) == 0)
        return length > 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (memcmp(type, names[i], 4) == 0)
            return true;
    return false;
}

static void copy_png(copier *c, const uint8_t *data, size_t bytes)
{
    put(c, data, 8);
    for (size_t at = 8, size; at < bytes; at += size) {
        size_t length = AV_RB32(data + at);
        size = 12 + length;
        if (is_kept(data + at + 4, length))
            put(c, data + at, size);
    }
}

/* RIFF, size, WEBP, and the first chunk that is a picture. */
static void copy_webp(copier *c, const uint8_t *data, size_t bytes)
{
    for (size_t at = 12, size; bytes - at >= 8; at += size) {
        size_t length = AV_RL32(data + at + 4);
        size = 8 + length + (length & 1);
        if (size > bytes - at)          /* the last one may lack its padding */
            size = bytes - at;
        if (memcmp(data + at, "VP8 ", 4) != 0 && memcmp(data + at, "VP8L", 4) != 0)
            continue;
        uint8_t head[12] = "RIFF\0\0\0\0WEBP";
        AV_WL32(head + 4, (uint32_t)(4 + size));
        put(c, head, sizeof head);
        put(c, data + at, size);
        return;
    }
}

static void copy_picture(copier *c, const uint8_t *data, const pf_picture_header *header)
{
    if (header->kind == PF_PICTURE_PNG)
        copy_png(c, data, header->bytes);
    else
        copy_webp(c, data, header->bytes);
}

pf_status pf_picture_strip(const uint8_t *data, const pf_picture_header *header,
                           const char *name, pf_picture_bytes *out, pf_error *error)
{
    copier count = {0}, copy = {0};
    copy_picture(&count, data, header);
    if (count.bytes == 0)
        return pf_fail(error, PF_E_INPUT, "%s is damaged: it holds no picture", name);
    if (!pf_fault_hit(PF_FAULT_ALLOCATION))
        copy.out = av_malloc(count.bytes + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!copy.out)
        return pf_fail_memory(error, name, count.bytes);
    copy_picture(&copy, data, header);
    memset(copy.out + copy.bytes, 0, AV_INPUT_BUFFER_PADDING_SIZE);
    *out = (pf_picture_bytes){copy.out, copy.bytes};
    return PF_OK;
}
