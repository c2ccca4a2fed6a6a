/* SPDX-License-Identifier: Apache-2.0 */
/* The arena of a pf_ops: tensors that live until the next rewind.  See ops.h.
 *
 * Tensors lie on a line of bytes, each behind the one before it.  A platform may bound the
 * size of a block (capabilities.most_block_bytes); the line is then cut at every multiple of
 * that, and a tensor that would lie across a cut begins behind it:
 *
 *     |<------- most -------->|<------- most -------->|
 *     [  a  ][   b   ][ c ]....[      d      ][  e  ]      peak = end of e
 *     block 0                  block 1
 *
 * A dry run walks the same line without memory: its addresses begin at an arbitrary number
 * and are never read.  pf_ops_reserve takes the blocks that a peak needs, so that the film
 * finds every tensor where the dry run had it.
 *
 * Not only the number of bytes but the cuts must be the same in both: in_use is a position on
 * the line, gaps before a cut included, and next_place decides it for both runs.
 */
#include "ops/ops.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/guard.h"

enum { ALIGNMENT = 64 };

/* Without a reservation (tests, bench) blocks of at least this size are taken as needed. */
static const int64_t smallest_block = (int64_t)16 << 20;
static char *const dry_base = (char *)(uintptr_t)(1 << 20);

void pf_ops_init(pf_ops *ops, pf_platform *platform, pf_numerics numerics,
                 bool dry, pf_error *error)
{
    memset(ops, 0, sizeof *ops);
    ops->platform = platform;
    ops->numerics = numerics;
    ops->dry = dry;
    ops->error = error;
}

void pf_ops_release(pf_ops *ops)
{
    if (!ops->platform)
        return;
    const pf_platform_table *table = &ops->platform->table;
    if (table->reserve && !ops->dry)
        table->reserve(ops->platform, 0, NULL);
    for (int i = 0; i < ops->blocks; i++)
        table->release(ops->platform, ops->block[i].memory);
    ops->blocks = ops->current = 0;
    ops->in_use = 0;
}

/* Bytes of the largest block. */
static int64_t most_of(const pf_ops *ops)
{
    int64_t most = ops->platform->capabilities.most_block_bytes;
    return most > 0 ? most : INT64_MAX;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static pf_status add_block(pf_ops *ops, int64_t bytes)
{
    void *memory = NULL;
    if (ops->blocks == PF_ARENA_BLOCKS)
        return pf_fail(ops->error, PF_E_INTERNAL,
                       "the arena has no block left for %lld bytes",
                       (long long)bytes);
    PF_TRY(ops->platform->table.allocate(ops->platform, bytes, &memory,
                                         ops->error));
    ops->block[ops->blocks++] = (pf_arena_block){memory, bytes, 0};
    return PF_OK;
}

pf_status pf_ops_reserve(pf_ops *ops, int64_t bytes, int64_t own)
{
    if (ops->dry)
        return PF_OK;
    if (ops->platform->table.reserve)
        PF_TRY(ops->platform->table.reserve(ops->platform, own, ops->error));
    for (int64_t here; bytes > 0; bytes -= here) {
        here = smaller(bytes, most_of(ops));
        PF_TRY(add_block(ops, here));
    }
    return PF_OK;
}

pf_mark pf_ops_mark(const pf_ops *ops)
{
    int64_t used = ops->blocks > 0 ? ops->block[ops->current].used : 0;
    return (pf_mark){ops->current, used, ops->in_use};
}

void pf_ops_rewind(pf_ops *ops, pf_mark mark)
{
    for (int i = mark.current + 1; i < ops->blocks; i++)
        ops->block[i].used = 0;
    if (ops->blocks > 0)
        ops->block[mark.current].used = mark.used;
    ops->current = mark.current;
    ops->in_use = mark.in_use;
}

/* Room for `bytes` in the current block or a later one. */
static pf_status take(pf_ops *ops, int64_t bytes, void **out)
{
    int at = ops->current;
    while (at < ops->blocks && ops->block[at].bytes - ops->block[at].used < bytes)
        at++;
    if (at == ops->blocks)
        PF_TRY(add_block(ops, smaller(larger(bytes, smallest_block), most_of(ops))));
    ops->current = at;
    *out = ops->block[at].memory + ops->block[at].used;
    ops->block[at].used += bytes;
    return PF_OK;
}

/* Where the next `bytes` begin on the line. */
static int64_t next_place(const pf_ops *ops, int64_t bytes)
{
    int64_t most = most_of(ops), used = ops->in_use % most;
    return used + bytes > most ? ops->in_use - used + most : ops->in_use;
}

/* Gives a tensor its memory: its bytes and the platform's slack, rounded up to ALIGNMENT; a
 * tensor without elements has an address of its own, too. */
static pf_status make(pf_ops *ops, pf_tensor *tensor)
{
    int64_t bytes = pf_tensor_bytes(tensor) + ops->platform->capabilities.tensor_slack;
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (bytes == 0)
        bytes = ALIGNMENT;
    if (bytes > most_of(ops))
        return pf_fail(ops->error, PF_E_MEMORY,
                       "out of memory: a tensor needs %lld bytes in one piece, but the "
                       "largest block has %lld", (long long)bytes, (long long)most_of(ops));
    int64_t at = next_place(ops, bytes);
    if (ops->dry)
        tensor->data = dry_base + at;
    else
        PF_TRY(take(ops, bytes, &tensor->data));
    ops->in_use = at + bytes;
    ops->peak = larger(ops->peak, ops->in_use);
    return PF_OK;
}

pf_status pf_ops_tensor(pf_ops *ops, int rank, const int64_t *shape,
                        pf_tensor *out)
{
    *out = pf_tensor_make(NULL, PF_F32, rank, shape);
    return make(ops, out);
}

pf_status pf_ops_keys(pf_ops *ops, int rank, const int64_t *shape, pf_tensor *out)
{
    bool narrow = ops->numerics.multiply == PF_MULTIPLY_BF16 && !ops->numerics.round_bf16;
    pf_dtype keys = narrow ? ops->platform->capabilities.keys : PF_F32;
    *out = pf_tensor_make(NULL, keys, rank, shape);
    return make(ops, out);
}

pf_status pf_ops_scratch(pf_ops *ops, int64_t bytes, pf_scratch *out)
{
    pf_tensor memory = pf_vector(NULL, PF_U8, bytes);
    if (bytes > 0)
        PF_TRY(make(ops, &memory));
    *out = (pf_scratch){memory.data, bytes};
    return PF_OK;
}

pf_status pf_ops_hidden(pf_ops *ops, int64_t rows, int64_t columns, pf_tensor *out)
{
    *out = pf_matrix(NULL, pf_hidden_dtype(ops->platform, ops->numerics), rows, columns);
    return make(ops, out);
}

pf_status pf_ops_matrix(pf_ops *ops, int64_t rows, int64_t columns,
                        pf_tensor *out)
{
    return pf_ops_tensor(ops, 2, (int64_t[]){rows, columns}, out);
}

pf_status pf_ops_map(pf_ops *ops, int64_t channels, int64_t frames,
                     int64_t height, int64_t width, pf_tensor *out)
{
    if (!ops->platform->capabilities.maps_channels_last)
        return pf_ops_tensor(ops, 4,
                             (int64_t[]){channels, frames, height, width}, out);
    pf_tensor last;
    PF_TRY(pf_ops_tensor(ops, 4, (int64_t[]){frames, height, width, channels},
                         &last));
    *out = pf_tensor_permute(last, (int[]){3, 0, 1, 2});
    return PF_OK;
}

pf_tensor pf_tokens_as_map(const pf_tensor *tokens, int64_t frames,
                           int64_t height, int64_t width)
{
    pf_tensor last = pf_tensor_reshape(
        *tokens, 4, (int64_t[]){frames, height, width, tokens->shape[1]});
    return pf_tensor_permute(last, (int[]){3, 0, 1, 2});
}

pf_status pf_ops_map_tokens(pf_ops *ops, const pf_tensor *map, pf_tensor *out)
{
    pf_tensor last = pf_tensor_permute(*map, (int[]){1, 2, 3, 0});
    int64_t rows = last.shape[0] * last.shape[1] * last.shape[2];
    int64_t columns = last.shape[3];
    if (pf_tensor_is_contiguous(&last)) {
        *out = pf_matrix(last.data, last.dtype, rows, columns);
        return PF_OK;
    }
    PF_TRY(pf_ops_matrix(ops, rows, columns, out));
    pf_tensor to = pf_tensor_reshape(*out, 4, last.shape);
    return pf_op_copy(ops, &(pf_copy_args){.from = last, .to = to});
}

pf_status pf_ops_upload(pf_ops *ops, const pf_tensor *to, const float *from)
{
    if (ops->dry)
        return PF_OK;
    return pf_platform_upload(ops->platform, to->data, from, pf_tensor_bytes(to), ops->error);
}

pf_status pf_ops_download(pf_ops *ops, float *to, const pf_tensor *from)
{
    if (ops->dry)
        return PF_OK;
    return pf_platform_download(ops->platform, to, from->data, pf_tensor_bytes(from),
                                ops->error);
}

pf_status pf_ops_download_begin(pf_ops *ops, float *to, const pf_tensor *from,
                                pf_ticket *ticket)
{
    *ticket = (pf_ticket){0};
    if (ops->dry)
        return PF_OK;
    return ops->platform->table.transfer(ops->platform, &(pf_transfer){
        .kind = PF_DOWNLOAD, .to = to, .from = from->data,
        .bytes = pf_tensor_bytes(from)}, ticket, ops->error);
}

pf_status pf_ops_wait(pf_ops *ops, pf_ticket ticket)
{
    return ticket.number == 0 ? PF_OK
                              : ops->platform->table.wait(ops->platform, ticket, ops->error);
}

pf_status pf_ops_record_begin(pf_ops *ops)
{
    return ops->platform->table.record_begin(ops->platform, ops->error);
}

pf_status pf_ops_record_end(pf_ops *ops, pf_recording **out)
{
    return ops->platform->table.record_end(ops->platform, out, ops->error);
}

pf_status pf_ops_replay(pf_ops *ops, pf_recording *recording, const pf_cost *cost)
{
    ops->cost.flops += cost->flops;
    ops->cost.bytes += cost->bytes;
    ops->cost.launches += cost->launches;
    return ops->platform->table.replay(ops->platform, recording, ops->error);
}

void pf_ops_record_drop(pf_ops *ops, pf_recording *recording)
{
    if (recording)
        ops->platform->table.record_drop(ops->platform, recording);
}

/* Losses are counted by the handler of read faults (base/guard.h), so that a poll costs two
 * atomic loads while no file fails. */
pf_status pf_ops_poll(pf_ops *ops)
{
    if (!ops->dry && ops->cancel && atomic_load(ops->cancel))
        return pf_fail(ops->error, PF_E_CANCELLED, "cancelled");
    unsigned losses = pf_guard_losses();
    if (ops->dry || !ops->check_files || losses == ops->losses)
        return PF_OK;
    ops->losses = losses;
    return ops->check_files(ops->files_user, ops->error);
}

void pf_ops_tap(pf_ops *ops, const pf_tensor *value, const char *format, ...)
{
    char name[96];
    va_list args;
    if (!pf_ops_tapped(ops))
        return;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    ops->tap->see(ops->tap->user, name, value);
}
