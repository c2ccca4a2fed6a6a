/* SPDX-License-Identifier: Apache-2.0 */
/* Reference platform: guidance and the sampler's step.  docs/model/guidance.md and
 * docs/model/schedules.md.  Every operation is rounded to f32 on its own.
 */
#include <math.h>

#include "platform/reference/kernels.h"

enum { GRAIN = 16384 };

/* --- guidance --------------------------------------------------------------- */

/* Of all elements, by f64 sums in two passes. */
static float deviation(const pf_tensor *t)
{
    const float *x = t->data;
    int64_t count = t->shape[0];
    double mean = 0.0, squares = 0.0;
    for (int64_t i = 0; i < count; i++)
        mean += x[i];
    mean /= (double)count;
    for (int64_t i = 0; i < count; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    return (float)sqrt(squares / (double)count);
}

static void combine(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_guidance_args *a = argument;
    const float *n0 = a->bridge_off.data, *n1 = a->negative.data;
    const float *p = a->positive.data;
    float *v = a->v.data;
    for (int64_t i = begin; i < end; i++) {
        float text = a->scale * (p[i] - n1[i]);
        float base = n0 ? n0[i] + a->bridge_scale * (n1[i] - n0[i]) : n1[i];
        v[i] = base + text;
    }
}

typedef struct rescale_job {
    float *v;
    float positive, combined;       /* deviations */
    float amount;
} rescale_job;

static void rescale(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const rescale_job *job = argument;
    for (int64_t i = begin; i < end; i++) {
        float matched = job->v[i] * job->positive / job->combined;
        job->v[i] = job->amount * matched + (1.0f - job->amount) * job->v[i];
    }
}

pf_status pf_reference_guidance(pf_platform *platform, const pf_guidance_args *args,
                                pf_error *error)
{
    (void)error;
    pf_guidance_args copy = *args;
    int64_t count = args->v.shape[0];
    if (args->rescale <= 0.0f) {
        pf_pool_for(platform->pool, count, GRAIN, combine, &copy);
        return PF_OK;
    }
    float positive = deviation(&args->positive);        /* v may overwrite it */
    pf_pool_for(platform->pool, count, GRAIN, combine, &copy);
    rescale_job job = {args->v.data, positive, deviation(&args->v), args->rescale};
    pf_pool_for(platform->pool, count, GRAIN, rescale, &job);
    return PF_OK;
}

/* --- step ------------------------------------------------------------------- */

static void advance(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_step_args *a = argument;
    float *x = a->x.data;
    const float *v = a->v.data;
    float delta = *(const float *)a->delta.data;
    for (int64_t i = begin; i < end; i++)
        x[i] = x[i] + v[i] * delta;
}

pf_status pf_reference_step(pf_platform *platform, const pf_step_args *args,
                            pf_error *error)
{
    (void)error;
    pf_step_args copy = *args;
    pf_pool_for(platform->pool, args->x.shape[0], GRAIN, advance, &copy);
    return PF_OK;
}
