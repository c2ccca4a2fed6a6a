/* SPDX-License-Identifier: Apache-2.0 */
/* Picture files: PNG, JPEG and WebP to 8-bit sRGB, as viewers show them and as Pillow's
 * exif_transpose and convert("RGB") give them.  docs/model/image.md#decoding and #colours.
 *
 * The kind is told by the first bytes alone, never by the name.  The picture is turned
 * as EXIF says, colour profiles other than sRGB are converted, alpha is dropped, 16-bit
 * samples keep their high byte.  Only what the pixels are made of reaches a decoder;
 * time and memory are bounded by the number of pixels.  Refused: animations, CMYK,
 * 12-bit, lossless and arithmetic-coded JPEG, HDR, truncated or damaged files, sides
 * outside 16..16384, more than 64 megapixels.  Any thread may call.
 */
#ifndef PF_MEDIA_PICTURE_H
#define PF_MEDIA_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    PF_PICTURE_MIN_SIDE = 16,
    PF_PICTURE_MAX_SIDE = 16384,
    PF_PICTURE_MAX_PIXELS = 64 << 20,
    PF_PICTURE_MAX_BYTES = 256 << 20,       /* of the file */
    PF_PICTURE_NOTE_BYTES = 320
};

typedef struct pf_picture {
    uint8_t *rgb;                       /* [height][width][3], rows without gaps */
    int64_t width, height;              /* after turning */
    char note[PF_PICTURE_NOTE_BYTES];   /* a warning in one sentence, such as that a broken
                                         * colour profile was ignored; or "" */
} pf_picture;

/* Reads a file; PF_E_INPUT (damaged, too large, no regular file, no picture),
 * PF_E_UNSUPPORTED (a kind that is not read), PF_E_NOT_FOUND, PF_E_IO, PF_E_MEMORY.
 * Release with pf_picture_free; on failure *out is empty. */
pf_status pf_picture_read(const char *path, pf_picture *out, pf_error *error);

/* Reads a picture from memory, which is not kept; `name` is for messages.  Statuses and
 * release as for pf_picture_read. */
pf_status pf_picture_decode(const uint8_t *data, size_t bytes, const char *name,
                            pf_picture *out, pf_error *error);

void pf_picture_free(pf_picture *picture);      /* an empty one is fine */

#endif
