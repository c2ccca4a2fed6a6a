/* SPDX-License-Identifier: Apache-2.0 */
/* Reference platform: rotary embedding.  docs/model/towers.md#rope and
 * docs/model/bridge.md#rope.
 */
#include "platform/reference/kernels.h"

/* Rotates a pair of elements by the angle that cos and sin stand for. */
static void rotate(const pf_rope_args *a, float *first, float *second, float cos,
                   float sin)
{
    bool round = a->numerics.round_bf16;
    bool round_products = round && a->form == PF_ROPE_HALF;
    float x = *first, y = *second;
    *first = round_if(round, round_if(round_products, x * cos) -
                                 round_if(round_products, y * sin));
    *second = round_if(round, round_if(round_products, y * cos) +
                                  round_if(round_products, x * sin));
}

static void rotate_rows(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_rope_args *a = argument;
    const pf_rope_table *t = &a->table;
    int64_t pairs = t->cos.shape[1];
    bool half = a->form == PF_ROPE_HALF;
    for (int64_t i = begin; i < end; i++) {
        int64_t position = i / t->rows_per_position % t->cos.shape[0];
        const float *cos = row_of(&t->cos, position);
        const float *sin = row_of(&t->sin, position);
        for (int head = 0; head < a->heads; head++) {
            float *x = row_of(&a->x, i) + head * 2 * pairs;
            for (int64_t j = 0; j < pairs; j++)
                rotate(a, half ? &x[j] : &x[2 * j],
                       half ? &x[j + pairs] : &x[2 * j + 1], cos[j], sin[j]);
        }
    }
}

pf_status pf_reference_rope(pf_platform *platform, const pf_rope_args *args,
                            pf_error *error)
{
    (void)error;
    pf_rope_args copy = *args;
    pf_pool_for(platform->pool, args->x.shape[0], 4, rotate_rows, &copy);
    return PF_OK;
}
