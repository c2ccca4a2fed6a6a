/* The parts of picture.c: reading headers, checking, JPEG, and conversion to
 * RGB.  For picture*.c alone. */
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

/* What a file says of itself before anything is decoded. */
typedef struct pf_picture_header {
    pf_picture_kind kind;
    int64_t width, height;
    size_t bytes;               /* of the picture; what follows is ignored */
} pf_picture_header;

/* Walks the file's structure: the kind, the size, that the end is there, and that
 * it is nothing that we refuse. */
pf_status pf_picture_parse(const uint8_t *data, size_t bytes, const char *name,
                           pf_picture_header *out, pf_error *error);

/* That the compressed data of a PNG is whole. */
pf_status pf_picture_check_png(const uint8_t *data, const pf_picture_header *header,
                               const char *name, pf_error *error);

/* The whole way of a JPEG, to rgb [height][width][3]. */
pf_status pf_picture_decode_jpeg(const uint8_t *data, const pf_picture_header *header,
                                 const char *name, uint8_t *rgb, pf_error *error);

/* A frame that libavcodec decoded to rgb [height][width][3]. */
pf_status pf_picture_convert(const AVFrame *frame, const char *name, uint8_t *rgb,
                             pf_error *error);

#endif
