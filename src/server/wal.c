/* SPDX-License-Identifier: Apache-2.0 */
/* The check of a write-ahead log.  See wal.h. */
#include "server/wal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum {
    HEAD_BYTES = 32,
    FRAME_HEAD_BYTES = 24,
    LEAST_PAGE = 512,
    MOST_PAGE = 65536
};
static const uint32_t magic = 0x377f0682;       /* its last bit: sums of big-endian words */

typedef struct sums {
    uint32_t first, second;
} sums;

typedef struct wal {
    const char *path;
    FILE *file;
    bool big_endian;
    uint32_t page_bytes;
    uint8_t salts[8];
    sums chain;                         /* of the header and of every frame so far */
    uint8_t *frame;                     /* [FRAME_HEAD_BYTES + page_bytes] */
} wal;

static uint32_t big_word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t word(const wal *w, const uint8_t *at)
{
    uint32_t value = big_word(at);
    return w->big_endian ? value : __builtin_bswap32(value);
}

static sums sums_at(const uint8_t *at)
{
    return (sums){big_word(at), big_word(at + 4)};
}

/* s0 += x0 + s1; s1 += x1 + s0, for each pair of words. */
static sums add(const wal *w, sums s, const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8) {
        s.first += word(w, data + i) + s.second;
        s.second += word(w, data + i + 4) + s.first;
    }
    return s;
}

static bool are_equal(sums a, sums b)
{
    return a.first == b.first && a.second == b.second;
}

static pf_status refuse(const wal *w, const char *reason, pf_error *error)
{
    return pf_fail(error, PF_E_IO, "the write-ahead log %s is damaged: %s", w->path,
                   reason);
}

/* *there becomes false at the end of an empty file. */
static pf_status read_head(wal *w, bool *there, pf_error *error)
{
    uint8_t head[HEAD_BYTES];
    size_t bytes = fread(head, 1, sizeof head, w->file);
    *there = bytes > 0;
    if (ferror(w->file))
        return pf_fail_errno(error, errno, "cannot read %s", w->path);
    if (bytes == 0)
        return PF_OK;
    if (bytes < sizeof head)
        return refuse(w, "it ends within its header", error);
    w->big_endian = big_word(head) & 1;
    w->page_bytes = big_word(head + 8);
    if ((big_word(head) & ~1u) != magic || w->page_bytes < LEAST_PAGE ||
        w->page_bytes > MOST_PAGE || (w->page_bytes & (w->page_bytes - 1)) != 0)
        return refuse(w, "its header is none", error);
    memcpy(w->salts, head + 16, sizeof w->salts);
    w->chain = add(w, (sums){0, 0}, head, HEAD_BYTES - 8);
    if (!are_equal(w->chain, sums_at(head + 24)))
        return refuse(w, "its header does not check", error);
    return PF_OK;
}

/* Reads the next whole frame; false when there is none. */
static bool next_frame(wal *w)
{
    size_t bytes = FRAME_HEAD_BYTES + w->page_bytes;
    return fread(w->frame, 1, bytes, w->file) == bytes;
}

/* Whether a frame belongs to this log, and not to an older one in the same file. */
static bool is_current(const wal *w)
{
    return memcmp(w->frame + 8, w->salts, sizeof w->salts) == 0;
}

static bool is_commit(const wal *w)
{
    return big_word(w->frame + 4) != 0;
}

/* Whether the frame follows on a frame with these sums. */
static bool follows(const wal *w, sums before)
{
    sums s = add(w, before, w->frame, 8);
    s = add(w, s, w->frame + FRAME_HEAD_BYTES, w->page_bytes);
    return is_current(w) && are_equal(s, sums_at(w->frame + 16));
}

/* The frame is the first that does not check.  A frame behind it that follows on a commit
 * was written when that commit was on the disk, and with it this frame. */
static bool has_lost_a_commit(wal *w)
{
    bool after_commit = false;
    sums before = {0, 0};
    do {
        if (after_commit && follows(w, before))
            return true;
        after_commit = is_current(w) && is_commit(w);
        before = sums_at(w->frame + 16);
    } while (next_frame(w));
    return false;
}

static pf_status check_frames(wal *w, pf_error *error)
{
    while (next_frame(w)) {
        if (!follows(w, w->chain))
            return has_lost_a_commit(w)
                       ? refuse(w, "a frame before its last commit does not check", error)
                       : PF_OK;
        w->chain = sums_at(w->frame + 16);
    }
    return ferror(w->file) ? pf_fail_errno(error, errno, "cannot read %s", w->path) : PF_OK;
}

static pf_status check_file(wal *w, pf_error *error)
{
    bool there;
    PF_TRY(read_head(w, &there, error));
    if (!there)
        return PF_OK;
    w->frame = pf_alloc(FRAME_HEAD_BYTES + w->page_bytes);
    if (!w->frame)
        return pf_fail_memory(error, w->path, w->page_bytes);
    return check_frames(w, error);
}

pf_status pf_wal_check(const char *path, pf_error *error)
{
    wal w = {.path = path, .file = fopen(path, "rbe")};
    if (!w.file)
        return errno == ENOENT ? PF_OK : pf_fail_errno(error, errno, "cannot open %s", path);
    pf_status status = check_file(&w, error);
    fclose(w.file);
    pf_free(w.frame);
    return status;
}
