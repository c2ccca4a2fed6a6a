/* SPDX-License-Identifier: Apache-2.0 */
/* The chunked transfer coding of a body (RFC 9112, 7.1), strictly: extensions and trailers
 * are read and dropped, everything else is refused. */
#ifndef PF_SERVER_CHUNKS_H
#define PF_SERVER_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct pf_chunks {
    int state;                          /* all zero at first */
    int digits;
    uint64_t left;                      /* bytes of the chunk to come */
    size_t spent;                       /* bytes of extensions and trailers so far */
    bool done;                          /* the last chunk and the trailers have come */
} pf_chunks;

/* Reads from text[bytes], bytes > 0.  @return how many bytes were read, at least 1, with
 * data[data_bytes] among them (or NULL); -1: malformed.  Call it again with the rest until
 * `done`. */
ssize_t pf_chunks_read(pf_chunks *chunks, const char *text, size_t bytes,
                       const char **data, size_t *data_bytes);

#endif
