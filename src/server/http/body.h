/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a request while it comes: in memory, and beyond PF_BODY_SPILL bytes in an
 * unnamed file, so that many large ones cost no memory.
 *
 *     pf_body_open -> pf_body_expect -> pf_body_take ... -> pf_body_finish -> pf_body_free
 *                     a known length    each piece          data[bytes] can be read
 */
#ifndef PF_SERVER_BODY_H
#define PF_SERVER_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PF_BODY_SPILL = 64 << 10 };

/* The disk of large bodies.  Any thread may call. */
typedef struct pf_body_disk {
    const char *folder;
    /* Sets bytes of the disk aside for a body; false: there are not as many. */
    bool (*promise)(void *user, int64_t bytes);
    /* Gives them back: they are written, or will not come. */
    void (*redeem)(void *user, int64_t bytes);
    void *user;
} pf_body_disk;

typedef struct pf_body {
    size_t limit;                       /* most bytes that are taken */
    bool ignored;                       /* pieces are counted, but not kept */
    char *data;                         /* [bytes], readable after pf_body_finish */
    size_t bytes;
    int error;                          /* errno of keeping it, EFBIG: beyond the limit */

    /* body.c's */
    const pf_body_disk *disk;
    int fd;                             /* -1, or the file where it lies */
    size_t room;                        /* bytes allocated at `data` */
    bool mapped;                        /* `data` is a map of the file */
    int range;                          /* of base/guard.h, while it is mapped */
    int64_t promised;                   /* bytes set aside that are not written yet */
} pf_body;

/* `disk` outlives the body. */
void pf_body_open(pf_body *body, const pf_body_disk *disk);
/* Sets space aside for a body of a known length.  A failure shows in `error`; the rest of
 * the body is then counted only, because not every client reads an answer while it
 * sends. */
void pf_body_expect(pf_body *body, uint64_t bytes);
/* Keeps a piece; after a failure, or in an ignored body, counts it only. */
void pf_body_take(pf_body *body, const char *data, size_t bytes);
/* All pieces have come: `data` can be read, or `error` says why not. */
void pf_body_finish(pf_body *body);
void pf_body_free(pf_body *body);

#endif
