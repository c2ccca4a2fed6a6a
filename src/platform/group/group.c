/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on groups: arguments are checked once, and everything but the exchange and messages
 * between two is made of the exchange.  See group.h.
 */
#include "platform/group.h"

#include <stddef.h>
#include <string.h>

#include "base/memory.h"

/* --- checks ----------------------------------------------------------------- */

static pf_status check_span(const pf_span *span, int rank, const char *what,
                            pf_error *error)
{
    if (span->offset >= 0 && span->bytes >= 0 && span->offset <= INT64_MAX - span->bytes)
        return PF_OK;
    return pf_fail(error, PF_E_ARGUMENT, "the span %s rank %d has offset %lld and %lld "
                   "bytes, but both must be 0 or more", what, rank,
                   (long long)span->offset, (long long)span->bytes);
}

static pf_status check_exchange(const pf_group *group, const pf_exchange *e,
                                pf_error *error)
{
    for (int rank = 0; rank < group->size; rank++) {
        PF_TRY(check_span(&e->to[rank], rank, "to", error));
        PF_TRY(check_span(&e->from[rank], rank, "from", error));
    }
    if (e->to[group->rank].bytes == e->from[group->rank].bytes)
        return PF_OK;
    return pf_fail(error, PF_E_ARGUMENT, "rank %d sends itself %lld bytes, but expects %lld",
                   group->rank, (long long)e->to[group->rank].bytes,
                   (long long)e->from[group->rank].bytes);
}

static pf_status check_rank(const pf_group *group, int rank, const char *what,
                            pf_error *error)
{
    if (rank >= 0 && rank < group->size)
        return PF_OK;
    return pf_fail(error, PF_E_ARGUMENT, "%s is rank %d, but must be 0 to %d", what, rank,
                   group->size - 1);
}

static pf_status check_message(const pf_group *group, int rank, int64_t bytes,
                               pf_error *error)
{
    PF_TRY(check_rank(group, rank, "the other end of a message", error));
    if (rank == group->rank)
        return pf_fail(error, PF_E_ARGUMENT, "rank %d cannot send messages to itself", rank);
    if (bytes < 0)
        return pf_fail(error, PF_E_ARGUMENT, "a message has %lld bytes, but must have 0 or "
                       "more", (long long)bytes);
    return PF_OK;
}

/* --- calls ------------------------------------------------------------------ */

pf_status pf_group_all_to_all(pf_group *group, const pf_exchange *exchange,
                              pf_error *error)
{
    PF_TRY(check_exchange(group, exchange, error));
    return group->table->all_to_all(group, exchange, error);
}

pf_status pf_group_all_gather(pf_group *group, const void *out, int64_t bytes, void *in,
                              const pf_span *from, pf_error *error)
{
    pf_span to[PF_GROUP_MAX];
    for (int rank = 0; rank < group->size; rank++)
        to[rank] = (pf_span){0, bytes};
    return pf_group_all_to_all(group, &(pf_exchange){out, to, in, from}, error);
}

pf_status pf_group_broadcast(pf_group *group, int root, void *data, int64_t bytes,
                             pf_error *error)
{
    pf_span to[PF_GROUP_MAX] = {{0, 0}}, from[PF_GROUP_MAX] = {{0, 0}};
    PF_TRY(check_rank(group, root, "the root of a broadcast", error));
    for (int rank = 0; rank < group->size; rank++)
        if (group->rank == root && rank != root)
            to[rank].bytes = bytes;
    if (group->rank != root)
        from[root].bytes = bytes;
    return pf_group_all_to_all(group, &(pf_exchange){data, to, data, from}, error);
}

pf_status pf_group_send(pf_group *group, int to, const void *data, int64_t bytes,
                        pf_error *error)
{
    PF_TRY(check_message(group, to, bytes, error));
    return group->table->send(group, to, data, bytes, error);
}

pf_status pf_group_receive(pf_group *group, int from, void *data, int64_t bytes,
                           pf_error *error)
{
    PF_TRY(check_message(group, from, bytes, error));
    return group->table->receive(group, from, data, bytes, error);
}

pf_status pf_group_barrier(pf_group *group, pf_error *error)
{
    pf_span none[PF_GROUP_MAX] = {{0, 0}};
    return pf_group_all_to_all(group, &(pf_exchange){NULL, none, NULL, none}, error);
}

pf_status pf_group_split(pf_group *group, int colour, pf_group **out, pf_error *error)
{
    *out = NULL;
    if (colour < 0)
        return pf_fail(error, PF_E_ARGUMENT, "the colour of a split is %d, but must be 0 or "
                       "more", colour);
    return group->table->split(group, colour, out, error);
}

void pf_group_abort(pf_group *group, const char *reason)
{
    group->table->abort(group, reason);
}

void pf_group_close(pf_group *group)
{
    if (group)
        group->table->close(group);
}

/* --- a group of one --------------------------------------------------------- */

static pf_status alone_all_to_all(pf_group *group, const pf_exchange *e, pf_error *error)
{
    const char *ended = group->state;
    if (ended)
        return pf_fail(error, PF_E_PLATFORM, "%s", ended);
    if (e->to[0].bytes > 0)
        memcpy((char *)e->in + e->from[0].offset, (const char *)e->out + e->to[0].offset,
               (size_t)e->to[0].bytes);
    return PF_OK;
}

static pf_status alone_split(pf_group *group, int colour, pf_group **out, pf_error *error)
{
    (void)group;
    (void)colour;
    return pf_group_alone(out, error);
}

static void alone_abort(pf_group *group, const char *reason)
{
    if (!group->state)
        group->state = pf_strdup(reason);
}

static void alone_close(pf_group *group)
{
    pf_free(group->state);
    pf_free(group);
}

pf_status pf_group_alone(pf_group **out, pf_error *error)
{
    /* Nobody else is there to send to: check_message has refused it. */
    static const pf_group_table table = {
        .all_to_all = alone_all_to_all,
        .split = alone_split,
        .abort = alone_abort,
        .close = alone_close,
    };
    *out = pf_calloc(1, sizeof **out);
    if (!*out)
        return pf_fail_memory(error, "group", sizeof **out);
    **out = (pf_group){.rank = 0, .size = 1, .table = &table};
    return PF_OK;
}
