/* SPDX-License-Identifier: Apache-2.0 */
/* libavformat's input and output over a part file.  See film_io.h. */
#include "media/film_io.h"

#include <errno.h>
#include <unistd.h>

/* avio_alloc_context's writer takes const data since FFmpeg 7. */
#if LIBAVFORMAT_VERSION_MAJOR >= 61
typedef const uint8_t *io_data;
#else
typedef uint8_t *io_data;
#endif

/* Keeps the first failure with its sentence and reports EIO; later writes fail at once. */
static int write_bytes(void *opaque, io_data data, int bytes)
{
    film_io *io = opaque;
    pf_status status = io->error.status;
    if (status == PF_OK)
        status = pf_part_write(&io->file, data, (size_t)bytes, &io->error);
    return status == PF_OK ? bytes : AVERROR(EIO);
}

/* The muxer goes back to fill in lengths.  The size of the file is not asked for by those
 * in use here. */
static int64_t seek_to(void *opaque, int64_t offset, int whence)
{
    film_io *io = opaque;
    if (whence & AVSEEK_SIZE)
        return AVERROR(ENOSYS);
    off_t at = lseek(io->file.fd, offset, whence & ~AVSEEK_FORCE);
    return at < 0 ? AVERROR(errno) : at;
}

/* Reads at its own position (pread), while the muxer writes at the descriptor's. */
static int read_bytes(void *opaque, uint8_t *data, int bytes)
{
    film_io *io = opaque;
    ssize_t got = pread(io->file.fd, data, (size_t)bytes, io->read_at);
    if (got < 0)
        return AVERROR(errno);
    io->read_at += got;
    return got == 0 ? AVERROR_EOF : (int)got;
}

/* FFmpeg may replace the buffer, so it is freed through the context (film_io_free). */
static AVIOContext *make_context(film_io *io, bool writes)
{
    uint8_t *buffer = av_malloc(FILM_IO_BYTES);
    AVIOContext *context =
        buffer ? avio_alloc_context(buffer, FILM_IO_BYTES, writes, io,
                                    writes ? NULL : read_bytes,
                                    writes ? write_bytes : NULL,
                                    writes ? seek_to : NULL)
               : NULL;
    if (!context)
        av_free(buffer);
    return context;
}

void film_io_free(AVIOContext **context)
{
    if (*context)
        av_freep(&(*context)->buffer);
    avio_context_free(context);
}

/* Serves the reader of faststart.  Any name is this film's own file; writing elsewhere is
 * refused, so that FFmpeg never opens a path. */
static int open_again(AVFormatContext *format, AVIOContext **out, const char *url,
                      int flags, AVDictionary **options)
{
    film_io *io = format->opaque;
    (void)url;
    (void)options;
    if (flags & AVIO_FLAG_WRITE)
        return AVERROR(ENOSYS);
    io->read_at = 0;
    *out = make_context(io, false);
    return *out ? 0 : AVERROR(ENOMEM);
}

static int close_again(AVFormatContext *format, AVIOContext *context)
{
    (void)format;
    film_io_free(&context);
    return 0;
}

void film_io_attach(film_io *io, AVFormatContext *format)
{
    format->pb = make_context(io, true);
    format->opaque = io;
    format->io_open = open_again;
    format->io_close2 = close_again;
}
