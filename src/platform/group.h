/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes, or threads, that make one film together: their messages.
 *
 * A group has `size` members, numbered by `rank`.  Each member computes on a platform of its
 * own; the group is an optional second table beside the platform's and carries bytes between
 * members.  Every member makes the same calls in the same order (send and receive: in
 * pairs).  A carrier knows nothing of tensors: counts and offsets are bytes, explicit for
 * each rank, may differ from rank to rank and may be 0, so that nobody has to pad.
 *
 *      rank 0            rank 1            rank 2
 *     [rows 0]          [rows 1]          [rows 2]       each projects its own rows
 *         \      all_to_all: rows -> heads      /
 *     [heads 0]         [heads 1]         [heads 2]      each attends with its own heads
 *         \      all_to_all: heads -> rows      /
 *     [rows 0]          [rows 1]          [rows 2]
 *
 * Messages only copy.  No call adds numbers of several ranks, so that no sum depends on how
 * many ranks there are: a film has the same bits at every size (docs/model/numerics.md).
 *
 * Memory is that of the platform which the carrier serves; src/platform/group/local.h
 * carries host memory.
 *
 * Thread-safety: a pf_group belongs to one thread at a time; pf_group_abort may be called
 * from any thread.
 */
#ifndef PF_PLATFORM_GROUP_H
#define PF_PLATFORM_GROUP_H

#include <stdint.h>

#include "base/error.h"

typedef struct pf_group pf_group;

/* --- shares ----------------------------------------------------------------- */

/* Units [first, first + count) of something that is cut among the ranks: rows, heads. */
typedef struct pf_share {
    int64_t first, count;
} pf_share;

/* The share of `rank` among `size` ranks: counts differ by 1 at most, and are 0 for some
 * where there are fewer units than ranks. */
static inline pf_share pf_share_of(int rank, int size, int64_t units)
{
    int64_t first = units * rank / size;
    return (pf_share){first, units * (rank + 1) / size - first};
}

/* --- messages --------------------------------------------------------------- */

/* Bytes [offset, offset + bytes) of a buffer. */
typedef struct pf_span {
    int64_t offset, bytes;
} pf_span;

/* An exchange as one member sees it: span to[r] of `out` goes to rank r, and what rank r
 * sends comes into span from[r] of `in`.  Spans of `in` do not overlap each other or `out`;
 * spans of `out` may.  to[r].bytes here equals from[this rank].bytes at rank r. */
typedef struct pf_exchange {
    const void *out;
    const pf_span *to;              /* [size] */
    void *in;
    const pf_span *from;            /* [size] */
} pf_exchange;

/* Filled by a carrier.  A call that fails, at any member, ends the group: every later call
 * of every member fails with the same reason. */
typedef struct pf_group_table {
    pf_status (*all_to_all)(pf_group *group, const pf_exchange *exchange, pf_error *error);
    pf_status (*send)(pf_group *group, int to, const void *data, int64_t bytes,
                      pf_error *error);
    pf_status (*receive)(pf_group *group, int from, void *data, int64_t bytes,
                         pf_error *error);
    pf_status (*split)(pf_group *group, int colour, pf_group **out, pf_error *error);
    void (*abort)(pf_group *group, const char *reason);
    void (*close)(pf_group *group);
} pf_group_table;

struct pf_group {
    int rank, size;
    const pf_group_table *table;
    void *state;                    /* the carrier's own */
};

/* --- calls ------------------------------------------------------------------ */

/* The most members of a group: spans of all of them fit on the stack. */
enum { PF_GROUP_MAX = 64 };

/* Returns when the spans of `in` are filled and those of `out` may be changed. */
pf_status pf_group_all_to_all(pf_group *group, const pf_exchange *exchange,
                              pf_error *error);

/* Each rank's own `bytes` from `out` into span from[r] of everybody's `in`. */
pf_status pf_group_all_gather(pf_group *group, const void *out, int64_t bytes, void *in,
                              const pf_span *from, pf_error *error);

/* `bytes` at `data` of rank `root` to `data` of every other. */
pf_status pf_group_broadcast(pf_group *group, int root, void *data, int64_t bytes,
                             pf_error *error);

/* `bytes` at `data` to rank `to`, another one, which receives as many. */
pf_status pf_group_send(pf_group *group, int to, const void *data, int64_t bytes,
                        pf_error *error);
pf_status pf_group_receive(pf_group *group, int from, void *data, int64_t bytes,
                           pf_error *error);

/* Returns when every member has called it. */
pf_status pf_group_barrier(pf_group *group, pf_error *error);

/* A group of those members that give the same `colour` (>= 0), in the order of their ranks.
 * Close it before `group`. */
pf_status pf_group_split(pf_group *group, int colour, pf_group **out, pf_error *error);

/* Ends the group for all members: calls under way and later ones fail with PF_E_PLATFORM and
 * `reason`, of which the first one given counts. */
void pf_group_abort(pf_group *group, const char *reason);

/* Leaves the group: members that wait for this one fail.  NULL is fine. */
void pf_group_close(pf_group *group);

/* A group of one member, without a carrier.  *out is for pf_group_close. */
pf_status pf_group_alone(pf_group **out, pf_error *error);

#endif
