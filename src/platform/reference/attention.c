/* SPDX-License-Identifier: Apache-2.0 */
/* Reference platform: attention.  docs/model/numerics.md#attention.
 *
 * The scores of a row are formed once for their maximum and once more for the sums, so that
 * they need no memory.  Wide heads are read and summed in pieces of their columns.
 */
#include <math.h>

#include "platform/reference/kernels.h"

enum { PIECE = 1024 };

/* A head of a query. */
typedef struct attention_row {
    const pf_attention_args *args;
    int64_t head, query, width;     /* columns of a head */
    int64_t first, keys;            /* of its group */
    int64_t at;                     /* of the query in its group */
} attention_row;

/* Columns [piece, piece + count) of the head. */
static const float *columns(const attention_row *r, const pf_tensor *matrix, int64_t row,
                            int64_t piece, int64_t count, float *room)
{
    return read_row(matrix, row, r->head * r->width + piece, count, room);
}

static float score(const attention_row *r, int64_t key)
{
    const pf_attention_args *a = r->args;
    float q[PIECE], k[PIECE], s = 0.0f;
    for (int64_t at = 0; at < r->width; at += PIECE) {
        int64_t count = least(PIECE, r->width - at);
        s += pf_reference_dot(columns(r, &a->q, r->query, at, count, q),
                              columns(r, &a->k, r->first + key, at, count, k), count);
    }
    s *= a->scale;
    if (!pf_tensor_is_null(&a->bias))
        s += ((const float *)a->bias.data)[r->head * a->bias.stride[0] +
                                           r->at * a->bias.stride[1] +
                                           key * a->bias.stride[2]];
    return s;
}

/* Columns [piece, piece + count) of the result. */
static void weigh(const attention_row *r, float most, int64_t piece, int64_t count)
{
    const pf_attention_args *a = r->args;
    bool round = a->numerics.round_bf16;
    float out[PIECE] = {0}, room[PIECE], sum = 0.0f;
    for (int64_t key = 0; key < r->keys; key++) {
        float p = expf(score(r, key) - most);
        const float *v = columns(r, &a->v, r->first + key, piece, count, room);
        sum += p;
        p = round_if(round, p);
        for (int64_t i = 0; i < count; i++)
            out[i] += p * v[i];
    }
    for (int64_t i = 0; i < count; i++)
        out[i] = round_if(round, out[i] / sum);
    write_row(&a->out, r->query, r->head * r->width + piece, count, out);
}

static void attend(const attention_row *r)
{
    float most = -INFINITY;
    for (int64_t key = 0; key < r->keys; key++)
        most = fmaxf(most, score(r, key));
    for (int64_t at = 0; at < r->width; at += PIECE)
        weigh(r, most, at, least(PIECE, r->width - at));
}

static void attend_rows(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_attention_args *a = argument;
    int64_t groups = a->groups > 0 ? a->groups : 1;
    int64_t queries = a->q.shape[0] / groups, keys = a->k.shape[0] / groups;
    for (int64_t i = begin; i < end; i++) {
        int64_t query = i / a->heads;
        attention_row row = {a, i % a->heads, query, a->q.shape[1] / a->heads,
                             query / queries * keys, keys, query % queries};
        attend(&row);
    }
}

pf_status pf_reference_attention(pf_platform *platform,
                                 const pf_attention_args *args, pf_error *error)
{
    (void)error;
    pf_attention_args copy = *args;
    pf_pool_for(platform->pool, args->q.shape[0] * args->heads, 1, attend_rows,
                &copy);
    return PF_OK;
}
