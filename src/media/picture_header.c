/* SPDX-License-Identifier: Apache-2.0 */
/* The structure of picture files, read before decoding.
 * docs/model/image.md#decoding.
 *
 *     PNG    signature | chunk ...          length u32, type, body, CRC u32; big endian
 *     JPEG   FF D8 | FF marker ...          length u16 (itself included), body; big endian;
 *                                           behind SOS coded data up to the next marker
 *     WebP   "RIFF" size "WEBP" | chunk ... type, length u32, body, padded to even;
 *                                           little endian
 *
 * Read here: kind, size, completeness, checksums of PNG, features that are refused, and where
 * the data about turning and colours lie.  Coded data is left to the decoder.
 *
 * Every comparison subtracts from what is left (length > bytes - at) and never adds to a
 * length of the file, which could wrap around.
 */
#include <string.h>
#include <zlib.h>

#include "base/kind.h"
#include "media/picture_exif.h"
#include "media/picture_parts.h"

/* The file, for the functions below. */
typedef struct source {
    const uint8_t *data;
    size_t bytes;
    const char *name;
    pf_error *error;
} source;

static uint32_t big16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t big32(const uint8_t *at)
{
    return big16(at) << 16 | big16(at + 2);
}

static uint32_t little24(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
}

static uint32_t little32(const uint8_t *at)
{
    return little24(at) | (uint32_t)at[3] << 24;
}

static pf_status fail_short(const source *s)
{
    return pf_fail(s->error, PF_E_INPUT, "%s is cut short: its end is missing",
                   s->name);
}

static pf_status fail_damaged(const source *s, const char *what)
{
    return pf_fail(s->error, PF_E_INPUT, "%s is damaged: %s", s->name, what);
}

static pf_status fail_unsupported(const source *s, const char *what,
                                  const char *advice)
{
    return pf_fail(s->error, PF_E_UNSUPPORTED, "%s is %s, which is not read; %s",
                   s->name, what, advice);
}

/* --- turning and colours ---------------------------------------------------------- */

/* The first of several chunks of a kind counts. */
static void keep_first(pf_picture_bytes *slot, const uint8_t *data, size_t bytes)
{
    if (!slot->data)
        *slot = (pf_picture_bytes){data, bytes};
}

/* A profile in one piece: PNG (still deflated) and WebP. */
static void keep_profile(pf_picture_colours *c, const uint8_t *data, size_t bytes)
{
    c->profile_parts = 1;
    c->profile_given += !c->profile[0].data;
    keep_first(&c->profile[0], data, bytes);
}

/* Takes the orientation of the first EXIF block that has one. */
static void take_exif(pf_picture_header *out, const uint8_t *data, size_t bytes)
{
    if (out->orientation == 1)
        out->orientation = pf_exif_orientation(data, bytes);
}

/* --- size ------------------------------------------------------------------------ */

/* The limits of picture.h, before anything of the picture's size is allocated. */
static pf_status check_size(const source *s, const pf_picture_header *header)
{
    long long width = header->width, height = header->height;
    if (width < PF_PICTURE_MIN_SIDE || width > PF_PICTURE_MAX_SIDE ||
        height < PF_PICTURE_MIN_SIDE || height > PF_PICTURE_MAX_SIDE)
        return pf_fail(s->error, PF_E_INPUT,
                       "%s has %lldx%lld pixels, but each side must have %d to %d",
                       s->name, width, height, PF_PICTURE_MIN_SIDE,
                       PF_PICTURE_MAX_SIDE);
    if (width * height > PF_PICTURE_MAX_PIXELS)
        return pf_fail(s->error, PF_E_INPUT,
                       "%s has %lldx%lld pixels, more than the limit of %d million",
                       s->name, width, height, PF_PICTURE_MAX_PIXELS / 1000000);
    return PF_OK;
}

/* --- PNG ------------------------------------------------------------------------- */

static const char png_signature[] = "\x89PNG\r\n\x1a\n";

/* A chunk that no pixel depends on.  Colours are said before the picture. */
static void take_png_chunk(pf_picture_header *out, const uint8_t *type, size_t length,
                           bool begun)
{
    pf_picture_colours *c = &out->colours;
    const uint8_t *body = type + 4;
    if (memcmp(type, "eXIf", 4) == 0)
        take_exif(out, body, length);
    if (begun)
        return;
    if (memcmp(type, "iCCP", 4) == 0)
        keep_profile(c, body, length);
    else if (memcmp(type, "cICP", 4) == 0 && length == 4)
        keep_first(&c->cicp, body, length);
    else if (memcmp(type, "sRGB", 4) == 0 && length == 1)
        keep_first(&c->srgb, body, length);
    else if (memcmp(type, "cHRM", 4) == 0 && length == 32)
        keep_first(&c->chrm, body, length);
    else if (memcmp(type, "gAMA", 4) == 0 && length == 4)
        keep_first(&c->gama, body, length);
}

/* Walks chunk by chunk to IEND.  The checksum of each is compared here, before its body is
 * believed; what follows IEND is ignored. */
static pf_status parse_png(const source *s, pf_picture_header *out)
{
    size_t at = 8;
    bool first = true, begun = false;
    out->kind = PF_PICTURE_PNG;
    while (s->bytes - at >= 12) {
        uint32_t length = big32(s->data + at);
        const uint8_t *type = s->data + at + 4;
        if (length > s->bytes - at - 12)
            return fail_short(s);
        if (first && (memcmp(type, "IHDR", 4) != 0 || length != 13))
            return fail_damaged(s, "it does not begin with its header");
        if (first) {
            out->width = big32(type + 4);
            out->height = big32(type + 8);
            out->colours.grey = (type[13] & 3) == 0;
            PF_TRY(check_size(s, out));
        }
        if (crc32(0, type, 4 + length) != big32(type + 4 + length))
            return fail_damaged(s, "the checksum of a chunk is wrong");
        if (memcmp(type, "acTL", 4) == 0)
            return fail_unsupported(s, "an animated PNG", "give a still picture");
        begun |= memcmp(type, "IDAT", 4) == 0;
        take_png_chunk(out, type, length, begun);
        first = false;
        at += 12 + (size_t)length;
        if (memcmp(type, "IEND", 4) == 0) {
            out->bytes = at;
            return PF_OK;
        }
    }
    return fail_short(s);
}

/* --- JPEG ------------------------------------------------------------------------ */

enum {
    JPEG_SOF0 = 0xC0, JPEG_SOF2 = 0xC2, JPEG_DHT = 0xC4, JPEG_JPG = 0xC8,
    JPEG_DAC = 0xCC, JPEG_SOF15 = 0xCF, JPEG_RST0 = 0xD0, JPEG_RST7 = 0xD7,
    JPEG_SOI = 0xD8, JPEG_EOI = 0xD9, JPEG_SOS = 0xDA, JPEG_TEM = 0x01,
    JPEG_APP1 = 0xE1, JPEG_APP2 = 0xE2,
    JPEG_MAX_SEGMENTS = 8192,   /* bounds the work of files that are segments alone */
    JPEG_MAX_SCANS = 100        /* each takes as long as a picture; 10 are usual */
};

/* Scans times pixels: 20 scans of the largest picture.  A progressive JPEG of a few bytes
 * can ask for the whole picture to be gone through in every scan. */
#define JPEG_MAX_WORK ((int64_t)20 * PF_PICTURE_MAX_PIXELS)

static bool is_frame_marker(int marker)
{
    return marker >= JPEG_SOF0 && marker <= JPEG_SOF15 && marker != JPEG_DHT &&
           marker != JPEG_JPG && marker != JPEG_DAC;
}

/* A frame header (SOFn): depth, height, width, number of components; `body` follows the
 * segment's length.  SOF0 to SOF2 are baseline, extended and progressive; a second frame
 * header is damage. */
static pf_status parse_jpeg_frame(const source *s, int marker, const uint8_t *body,
                                  size_t length, pf_picture_header *out)
{
    if (marker > JPEG_SOF2)
        return fail_unsupported(s, marker > JPEG_JPG ? "an arithmetic-coded JPEG"
                                                     : "a lossless or layered JPEG",
                                "save it as a baseline or progressive one");
    if (length < 6 || length < 6 + 3 * (size_t)body[5] || out->width > 0)
        return fail_damaged(s, "its frame header is wrong");
    if (body[0] != 8)
        return fail_unsupported(s, "a JPEG of more than 8 bits a sample",
                                "save it with 8");
    out->height = big16(body + 1);
    out->width = big16(body + 3);
    out->colours.grey = body[5] == 1;
    if (body[5] == 4)
        return fail_unsupported(s, "a CMYK JPEG", "convert it to RGB");
    if (body[5] != 1 && body[5] != 3)
        return fail_unsupported(s, "neither a grey nor a colour JPEG",
                                "convert it to RGB");
    return out->width > 0 ? PF_OK : fail_damaged(s, "its width is 0");
}

/* "ICC_PROFILE\0", number from 1 on, count, data: a segment holds 64 KiB, so larger
 * profiles come in parts, in any order.  Parts that contradict the first are left out, so
 * that the count is short and the profile ignored. */
static void take_jpeg_profile(pf_picture_colours *c, const uint8_t *body, size_t length)
{
    if (length < 14 || memcmp(body, "ICC_PROFILE", 12) != 0)
        return;
    int number = body[12], count = body[13];
    if (c->profile_parts == 0)
        c->profile_parts = count;
    if (number < 1 || number > count || count != c->profile_parts)
        return;
    c->profile_given += !c->profile[number - 1].data;
    keep_first(&c->profile[number - 1], body + 14, length - 14);
}

static void take_jpeg_segment(pf_picture_header *out, int marker, const uint8_t *body,
                              size_t length)
{
    if (marker == JPEG_APP1 && length > 6 && memcmp(body, "Exif\0", 5) == 0)
        take_exif(out, body, length);
    else if (marker == JPEG_APP2)
        take_jpeg_profile(&out->colours, body, length);
}

/* A segment, whose length is that of `body` and of its own two bytes. */
static pf_status parse_jpeg_segment(const source *s, int marker, const uint8_t *body,
                                    size_t length, pf_picture_header *out)
{
    if (is_frame_marker(marker))
        return parse_jpeg_frame(s, marker, body, length, out);
    take_jpeg_segment(out, marker, body, length);
    return PF_OK;
}

static pf_status check_jpeg_scans(const source *s, int scans,
                                  const pf_picture_header *header)
{
    if (scans > JPEG_MAX_SCANS)
        return fail_damaged(s, "it has more than 100 scans");
    if (scans > 1 && scans * header->width * header->height > JPEG_MAX_WORK)
        return fail_damaged(s, "it has too many scans for its size");
    return PF_OK;
}

static bool has_no_body(int marker)
{
    return marker == JPEG_SOI || marker == JPEG_TEM || marker == 0 ||
           (marker >= JPEG_RST0 && marker <= JPEG_RST7);
}

/* The next marker at or after *at, which moves behind it; -1 at the end.  Coded data
 * is skipped: in it 0xFF is followed by 0 or a restart marker. */
static int next_marker(const source *s, size_t *at)
{
    while (s->bytes - *at >= 2) {
        int marker = s->data[*at + 1];
        bool is_marker = s->data[*at] == 0xFF && marker != 0xFF && !has_no_body(marker);
        *at += s->data[*at] == 0xFF && marker != 0xFF ? 2 : 1;
        if (is_marker)
            return marker;
    }
    return -1;
}

/* Walks marker by marker to the end of image.  Frame header, profile and EXIF stand before
 * the first scan; later segments are passed over, but counted. */
static pf_status parse_jpeg(const source *s, pf_picture_header *out)
{
    size_t at = 2;
    int marker, scans = 0, segments = 0;
    out->kind = PF_PICTURE_JPEG;
    while ((marker = next_marker(s, &at)) >= 0) {
        if (marker == JPEG_EOI) {
            out->bytes = at;
            return scans > 0 && out->width > 0 ? PF_OK
                                               : fail_damaged(s, "it holds no picture");
        }
        if (s->bytes - at < 2 || big16(s->data + at) > s->bytes - at)
            return fail_short(s);
        size_t length = big16(s->data + at);
        if (length < 2)
            return fail_damaged(s, "a segment has no length");
        if (++segments > JPEG_MAX_SEGMENTS)
            return fail_damaged(s, "it has more than 8192 segments");
        if (marker == JPEG_SOS)
            PF_TRY(check_jpeg_scans(s, ++scans, out));
        else if (scans == 0)
            PF_TRY(parse_jpeg_segment(s, marker, s->data + at + 2, length - 2, out));
        else if (is_frame_marker(marker))
            return fail_damaged(s, "a frame header comes after the picture");
        at += length;
    }
    return fail_short(s);
}

/* --- WebP ------------------------------------------------------------------------ */

enum { WEBP_ANIMATED = 0x02 };

/* A key frame of a known version that is shown, and whose first part is inside. */
static bool is_vp8_picture(const uint8_t *body, size_t length)
{
    uint32_t tag = little24(body);
    return (tag & 1) == 0 && (tag >> 1 & 7) <= 3 && (tag >> 4 & 1) == 1 &&
           tag >> 5 < length - 10 && little24(body + 3) == 0x2A019D;
}

/* The first chunk tells the size; `body` holds `length`, at least 10 bytes. */
static pf_status parse_webp_first(const source *s, const uint8_t *type, size_t length,
                                  pf_picture_header *out)
{
    const uint8_t *body = type + 8;
    if (memcmp(type, "VP8 ", 4) == 0) {
        if (!is_vp8_picture(body, length))
            return fail_damaged(s, "its frame header is wrong");
        out->width = (body[6] | body[7] << 8) & 0x3FFF;
        out->height = (body[8] | body[9] << 8) & 0x3FFF;
        return PF_OK;
    }
    if (memcmp(type, "VP8L", 4) == 0) {
        uint32_t bits = little32(body + 1);
        if (body[0] != 0x2F || bits >> 29 != 0)
            return fail_damaged(s, "its frame header is wrong");
        out->width = (bits & 0x3FFF) + 1;
        out->height = (bits >> 14 & 0x3FFF) + 1;
        return PF_OK;
    }
    if (memcmp(type, "VP8X", 4) != 0)
        return fail_damaged(s, "it begins with an unknown chunk");
    out->width = (int64_t)little24(body + 4) + 1;
    out->height = (int64_t)little24(body + 7) + 1;
    if (body[0] & WEBP_ANIMATED)
        return fail_unsupported(s, "an animated WebP", "give a still picture");
    return PF_OK;
}

/* Walks the chunks of the RIFF; bytes behind its size are ignored.  VP8X, if there, comes
 * first and has the size of the canvas, "VP8 " and "VP8L" that of the picture. */
static pf_status parse_webp(const source *s, pf_picture_header *out)
{
    size_t end = 8 + (size_t)little32(s->data + 4);
    out->kind = PF_PICTURE_WEBP;
    if (end > s->bytes || end < 30)
        return fail_short(s);
    for (size_t at = 12; end - at >= 8;) {
        size_t length = little32(s->data + at + 4);
        if (length > end - at - 8)
            return fail_short(s);
        if (at == 12 && length < 10)
            return fail_damaged(s, "its first chunk is too small");
        if (at == 12)
            PF_TRY(parse_webp_first(s, s->data + at, length, out));
        const uint8_t *body = s->data + at + 8;
        if (memcmp(s->data + at, "ANMF", 4) == 0)
            return fail_unsupported(s, "an animated WebP", "give a still picture");
        if (memcmp(s->data + at, "EXIF", 4) == 0)
            take_exif(out, body, length);
        if (memcmp(s->data + at, "ICCP", 4) == 0)
            keep_profile(&out->colours, body, length);
        at += 8 + length + (length & 1);
        if (at > end)
            break;
    }
    out->bytes = end;
    return PF_OK;
}

/* --- all ------------------------------------------------------------------------- */

static pf_status refuse_kind(const source *s)
{
    char kind[PF_KIND_BYTES];
    if (pf_kind_describe(s->data, s->bytes, kind))
        return pf_fail(s->error, PF_E_INPUT, "%s is %s; it must be PNG, JPEG or WebP",
                       s->name, kind);
    return pf_fail(s->error, PF_E_INPUT,
                   "%s is no picture that is read: it must be PNG, JPEG or WebP", s->name);
}

pf_status pf_picture_parse(const uint8_t *data, size_t bytes, const char *name,
                           pf_picture_header *out, pf_error *error)
{
    source s = {data, bytes, name, error};
    *out = (pf_picture_header){.orientation = 1};
    if (bytes >= 8 && memcmp(data, png_signature, 8) == 0)
        PF_TRY(parse_png(&s, out));
    else if (bytes >= 3 && memcmp(data, "\xFF\xD8\xFF", 3) == 0)
        PF_TRY(parse_jpeg(&s, out));
    else if (bytes >= 12 && memcmp(data, "RIFF", 4) == 0 &&
             memcmp(data + 8, "WEBP", 4) == 0)
        PF_TRY(parse_webp(&s, out));
    else
        return refuse_kind(&s);
    return check_size(&s, out);
}
