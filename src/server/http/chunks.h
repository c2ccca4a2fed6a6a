/* SPDX-License-Identifier: Apache-2.0 */
/* The chunked transfer coding of a body (RFC 9112, 7.1), and nothing beside it: extensions
 * and trailers are read and thrown away, whatever is no such thing is refused. */
#ifndef PF_SERVER_CHUNKS_H
#define PF_SERVER_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct pf_chunks {
    int state;                          /* all zero at first */
    int digits;
    uint64_t left;                      /* of the chunk */
    size_t spent;                       /* on extensions and trailers */
    bool done;                          /* the last chunk and the trailers have come */
} pf_chunks;

/* Reads from `text`: how much it has read, at least 1, with data[data_bytes] inside (or
 * none); -1: that is no chunk.  Call it again with the rest until it is done. */
ssize_t pf_chunks_read(pf_chunks *chunks, const char *text, size_t bytes,
                       const char **data, size_t *data_bytes);

#endif
