/* SPDX-License-Identifier: Apache-2.0 */
/* Layer and RMS norm over the rows of a matrix.  docs/model/numerics.md#norms.
 *
 * Two passes over a row that lies in the first-level cache.  The second one also
 * sums the deviations themselves: what they miss zero by is the error of the mean,
 * which is taken back, so that a mean much larger than the deviation does no harm.
 */
#include <math.h>

#include "platform/cpu/kernels.h"
#include "platform/cpu/vec.h"
#include "platform/reference/kernels.h"

/* A row at work; absent vectors are NULL. */
typedef struct norm_row {
    const float *x, *weight, *bias, *shift, *factor;
    float *y;
    int64_t count;
    float mean, error, inverse;
    bool round;
} norm_row;

/* --- statistics ------------------------------------------------------------- */

static float row_mean(const float *x, int64_t count)
{
    vf even = vf_zero(), odd = vf_zero();
    int64_t i = 0;
    for (; i + 2 * VF_WIDTH <= count; i += 2 * VF_WIDTH) {
        even = vf_add(even, vf_load(x + i));
        odd = vf_add(odd, vf_load(x + i + VF_WIDTH));
    }
    for (; i < count; i += VF_WIDTH)
        even = vf_add(even, vf_load_part(x + i, count - i));
    return vf_sum(vf_add(even, odd)) / (float)count;
}

/* Sums of x - mean and of its square; lanes past the end count as x = mean. */
static void sum_deviations(const float *x, int64_t count, float mean, double *sum,
                           double *squares)
{
    vf centre = vf_set(mean), first = vf_zero(), second = vf_zero();
    int64_t i = 0;
    for (; i + VF_WIDTH <= count; i += VF_WIDTH) {
        vf d = vf_sub(vf_load(x + i), centre);
        first = vf_add(first, d);
        second = vf_fma(d, d, second);
    }
    *sum = vf_sum(first);
    *squares = vf_sum(second);
    for (; i < count; i++) {
        double d = x[i] - mean;
        *sum += d;
        *squares += d * d;
    }
}

static void measure(norm_row *r, pf_norm_kind kind, float epsilon)
{
    double sum, squares, error = 0.0;
    r->mean = kind == PF_NORM_LAYER ? row_mean(r->x, r->count) : 0.0f;
    sum_deviations(r->x, r->count, r->mean, &sum, &squares);
    if (kind == PF_NORM_LAYER)
        error = sum / (double)r->count;
    double variance = squares / (double)r->count - error * error;
    r->error = (float)error;
    r->inverse = (float)(1.0 / sqrt(fmax(variance, 0.0) + (double)epsilon));
}

/* --- the kernel ------------------------------------------------------------- */

VF_INLINE void finish_vector(const norm_row *r, int64_t i)
{
    int64_t lanes = r->count - i;
    vf v = vf_sub(vf_load_part(r->x + i, lanes), vf_set(r->mean));
    v = vf_mul(vf_sub(v, vf_set(r->error)), vf_set(r->inverse));
    if (r->weight)
        v = vf_mul(v, vf_load_part(r->weight + i, lanes));
    if (r->bias)
        v = vf_add(v, vf_load_part(r->bias + i, lanes));
    v = vf_round_if(v, r->round);
    if (r->factor) {
        v = vf_round_if(vf_mul(v, vf_load_part(r->factor + i, lanes)), r->round);
        v = vf_round_if(vf_add(v, vf_load_part(r->shift + i, lanes)), r->round);
    }
    vf_store_part(r->y + i, v, lanes);
}

/* Row m of shift or factor, which one row may serve for all; NULL if absent. */
static const float *modulation(const pf_tensor *t, int64_t m)
{
    if (pf_tensor_is_null(t))
        return NULL;
    return t->rank == 1 ? t->data : row_of(t, m);
}

static void normalise_rows(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_norm_args *a = argument;
    for (int64_t m = begin; m < end; m++) {
        norm_row r = {
            .x = row_of(&a->x, m), .y = row_of(&a->y, m),
            .weight = a->weight.data, .bias = a->bias.data,
            .shift = modulation(&a->shift, m), .factor = modulation(&a->factor, m),
            .count = a->x.shape[1], .round = a->numerics.round_bf16,
        };
        measure(&r, a->kind, a->epsilon);
        for (int64_t i = 0; i < r.count; i += VF_WIDTH)
            finish_vector(&r, i);
    }
}

static bool is_adjacent(const pf_tensor *t)
{
    int last = t->rank - 1;
    return pf_tensor_is_null(t) || t->shape[last] == 1 || t->stride[last] == 1;
}

pf_status PF_CPU(norm)(pf_platform *platform, const pf_norm_args *args, pf_error *error)
{
    if (!is_adjacent(&args->weight) || !is_adjacent(&args->bias) ||
        !is_adjacent(&args->shift) || !is_adjacent(&args->factor))
        return pf_reference_norm(platform, args, error);
    pf_norm_args copy = *args;
    PF_TRY(pf_common_sum_first(platform, &copy, error));
    pf_pool_for(platform->pool, args->x.shape[0], 4, normalise_rows, &copy);
    return PF_OK;
}
