/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of picture.c: reading headers, checking, JPEG, and conversion to
 * RGB.  For picture*.c alone.  The stages and their order: picture.c.
 *
 * pf_picture_header points into the file's bytes, which must outlive it.  The stages behind
 * pf_picture_parse walk over chunks without asking whether their lengths stay inside the
 * file: parse has compared each with the file's size. */
#ifndef PF_MEDIA_PICTURE_PARTS_H
#define PF_MEDIA_PICTURE_PARTS_H

#include <libavutil/frame.h>
#include <stdbool.h>

#include "media/picture.h"

typedef enum pf_picture_kind {
    PF_PICTURE_PNG,
    PF_PICTURE_JPEG,
    PF_PICTURE_WEBP
} pf_picture_kind;

enum {
    PF_PICTURE_PROFILE_PARTS = 255,         /* of a JPEG */
    PF_PICTURE_PROFILE_BYTES = 4 << 20      /* of all of them; a larger one is ignored */
};

/* A part of the file; NULL: there is none. */
typedef struct pf_picture_bytes {
    const uint8_t *data;
    size_t bytes;
} pf_picture_bytes;

/* Colours as a file declares them: chunks of PNG, segments of JPEG, chunks of WebP, of
 * each the first that counts. */
typedef struct pf_picture_colours {
    bool grey;                              /* one sample a pixel, or one and alpha */
    pf_picture_bytes cicp, srgb, chrm, gama;    /* PNG alone */
    pf_picture_bytes profile[PF_PICTURE_PROFILE_PARTS];     /* in order; PNG: iCCP */
    int profile_parts;                      /* how many there are to be */
    int profile_given;
} pf_picture_colours;

/* Claims of a file, read before anything is decoded.  Sides are within the limits; a
 * decoder that then finds another size has met a damaged file. */
typedef struct pf_picture_header {
    pf_picture_kind kind;
    int64_t width, height;                  /* as they are stored */
    int orientation;                        /* of EXIF, 1 to 8 */
    pf_picture_colours colours;
    size_t bytes;                           /* of the picture; bytes behind are ignored */
} pf_picture_header;

/* Walks the file's structure: the kind, the size, that the end is there, and that
 * it is nothing that we refuse. */
pf_status pf_picture_parse(const uint8_t *data, size_t bytes, const char *name,
                           pf_picture_header *out, pf_error *error);

/* Checks that the compressed data of a PNG is whole: every row there, every filter known,
 * hardly anything behind.  PF_E_INPUT, PF_E_MEMORY. */
pf_status pf_picture_check_png(const uint8_t *data, const pf_picture_header *header,
                               const char *name, pf_error *error);

/* The whole way of a JPEG, to rgb [height][width][3], as stored: neither turned nor in
 * sRGB yet. */
pf_status pf_picture_decode_jpeg(const uint8_t *data, const pf_picture_header *header,
                                 const char *name, uint8_t *rgb, pf_error *error);

/* The file without all that a decoder need not see, which could make it work or fill
 * memory for nothing: of a PNG the chunks IHDR, PLTE, tRNS, IDAT and IEND, of a WebP the
 * one that is the picture.  *out is padded for libavcodec; release with av_free. */
pf_status pf_picture_strip(const uint8_t *data, const pf_picture_header *header,
                           const char *name, pf_picture_bytes *out, pf_error *error);

/* Colours to sRGB, in place, where the file says that they are something else; `note`
 * [PF_PICTURE_NOTE_BYTES] gets a sentence when what it says cannot be followed. */
pf_status pf_picture_to_srgb(const pf_picture_header *header, const char *name,
                             uint8_t *rgb, char *note, pf_error *error);

/* A frame that libavcodec decoded to rgb [height][width][3]. */
pf_status pf_picture_convert(const AVFrame *frame, const char *name, uint8_t *rgb,
                             pf_error *error);

#endif
