/* SPDX-License-Identifier: Apache-2.0 */
/* Reference platform: attention.  docs/model/numerics.md#attention.
 *
 * The scores of a row are formed twice, once for their maximum and once for the
 * sums, so that they need no memory; the row of `out` is the accumulator.
 */
#include <math.h>

#include "platform/reference/kernels.h"

/* One head of one query. */
typedef struct attention_row {
    const pf_attention_args *args;
    int64_t head, query, width;     /* columns of a head */
    int64_t first, keys;            /* of its group */
    int64_t at;                     /* of the query in its group */
} attention_row;

static const float *columns(const pf_tensor *matrix, int64_t row,
                            const attention_row *r)
{
    return row_of(matrix, row) + r->head * r->width;
}

static float score(const attention_row *r, int64_t key)
{
    const pf_attention_args *a = r->args;
    float s = a->scale * reference_dot(columns(&a->q, r->query, r),
                                       columns(&a->k, r->first + key, r), r->width);
    if (!pf_tensor_is_null(&a->bias))
        s += ((const float *)a->bias.data)[r->head * a->bias.stride[0] +
                                           r->at * a->bias.stride[1] +
                                           key * a->bias.stride[2]];
    return s;
}

static void attend(const attention_row *r)
{
    const pf_attention_args *a = r->args;
    bool round = a->numerics.round_bf16;
    int64_t keys = r->keys;
    float *out = row_of(&a->out, r->query) + r->head * r->width;
    float most = -INFINITY, sum = 0.0f;
    for (int64_t key = 0; key < keys; key++)
        most = fmaxf(most, score(r, key));
    for (int64_t i = 0; i < r->width; i++)
        out[i] = 0.0f;
    for (int64_t key = 0; key < keys; key++) {
        float p = expf(score(r, key) - most);
        const float *v = columns(&a->v, r->first + key, r);
        sum += p;
        p = round_if(round, p);
        for (int64_t i = 0; i < r->width; i++)
            out[i] += p * v[i];
    }
    for (int64_t i = 0; i < r->width; i++)
        out[i] = round_if(round, out[i] / sum);
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

pf_status reference_attention(pf_platform *platform,
                              const pf_attention_args *args, pf_error *error)
{
    (void)error;
    pf_attention_args copy = *args;
    pf_pool_for(platform->pool, args->q.shape[0] * args->heads, 1, attend_rows,
                &copy);
    return PF_OK;
}
