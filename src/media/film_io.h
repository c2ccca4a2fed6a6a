/* SPDX-License-Identifier: Apache-2.0 */
/* libavformat's input and output over a part file: no name is opened by FFmpeg.
 *
 * "faststart" moves the index of an MP4 to its front at the end, for which libavformat opens
 * its output a second time while it writes:
 *
 *     muxer -- film_io_attach: pb -------> part file's descriptor
 *           -- io_open, at the end ------> reader of the same descriptor, from 0
 */
#ifndef PF_MEDIA_FILM_IO_H
#define PF_MEDIA_FILM_IO_H

#include <libavformat/avformat.h>

#include "media/part_file.h"

enum { FILM_IO_BYTES = 1 << 16 };       /* of a buffer */

typedef struct film_io {
    pf_part_file file;                  /* open */
    pf_error error;                     /* the first of the file, or none */
    int64_t read_at;                    /* of the reader */
} film_io;

/* Gives the muxer its output, format->pb, which is NULL when memory is out.  `io` must stay
 * where it is, with an open file, until film_io_free(&format->pb). */
void film_io_attach(film_io *io, AVFormatContext *format);

void film_io_free(AVIOContext **context);       /* NULL is fine */

#endif
