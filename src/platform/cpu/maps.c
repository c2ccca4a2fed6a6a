/* SPDX-License-Identifier: Apache-2.0 */
/* Feature maps that lie channels-last: channel norm, snake, upsampling.  A pixel's
 * channels are adjacent, so that they are the lanes.  Other layouts, which occur at
 * the edges of a network only, are left to the reference.
 */
#include <math.h>

#include "platform/cpu/kernels.h"
#include "platform/cpu/vec.h"
#include "platform/reference/kernels.h"

enum { PIXELS = 128 };

static bool is_channels_last(const pf_tensor *map)
{
    return map->stride[0] == 1;
}

static bool is_adjacent(const pf_tensor *vector)
{
    return vector->shape[0] == 1 || vector->stride[0] == 1;
}

/* --- runs of pixels --------------------------------------------------------- */

/* Pixels [w, w + count) of row h of frame t. */
typedef struct run {
    int64_t t, h, w, count;
} run;

static int64_t runs_in_row(const pf_tensor *map)
{
    return (map->shape[3] + PIXELS - 1) / PIXELS;
}

static int64_t runs_in(const pf_tensor *map)
{
    return map->shape[1] * map->shape[2] * runs_in_row(map);
}

static run run_at(const pf_tensor *map, int64_t index)
{
    int64_t in_row = runs_in_row(map), row = index / in_row;
    int64_t w = index % in_row * PIXELS;
    return (run){row / map->shape[2], row % map->shape[2], w,
                 least(PIXELS, map->shape[3] - w)};
}

/* The channels of pixel w + i of a run. */
static float *pixel(const pf_tensor *map, const run *r, int64_t i)
{
    const int64_t *s = map->stride;
    return (float *)map->data + r->t * s[1] + r->h * s[2] + (r->w + i) * s[3];
}

/* --- channel norm ----------------------------------------------------------- */

VF_INLINE float sum_of_squares(const float *x, int64_t channels)
{
    vf sum = vf_zero();
    for (int64_t c = 0; c < channels; c += VF_WIDTH) {
        vf v = vf_load_part(x + c, channels - c);
        sum = vf_fma(v, v, sum);
    }
    return vf_sum(sum);
}

VF_INLINE void normalise_pixel(const float *x, const float *gamma, float *y,
                               int64_t channels, bool silu)
{
    double norm = sqrt((double)sum_of_squares(x, channels));
    vf factor = vf_set((float)(sqrt((double)channels) / fmax(norm, 1e-12)));
    for (int64_t c = 0; c < channels; c += VF_WIDTH) {
        vf v = vf_mul(vf_load_part(x + c, channels - c), factor);
        v = vf_mul(v, vf_load_part(gamma + c, channels - c));
        vf_store_part(y + c, silu ? vf_silu(v) : v, channels - c);
    }
}

static void normalise_runs(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_channel_norm_args *a = argument;
    for (int64_t index = begin; index < end; index++) {
        run r = run_at(&a->x, index);
        for (int64_t i = 0; i < r.count; i++)
            normalise_pixel(pixel(&a->x, &r, i), a->gamma.data, pixel(&a->y, &r, i),
                            a->x.shape[0], a->silu);
    }
}

pf_status PF_CPU(channel_norm)(pf_platform *platform, const pf_channel_norm_args *args,
                               pf_error *error)
{
    if (!is_channels_last(&args->x) || !is_channels_last(&args->y) ||
        !is_adjacent(&args->gamma))
        return pf_reference_channel_norm(platform, args, error);
    pf_channel_norm_args copy = *args;
    pf_pool_for(platform->pool, runs_in(&args->x), 1, normalise_runs, &copy);
    return PF_OK;
}

/* --- snake ------------------------------------------------------------------ */

VF_INLINE void snake_pixel(const float *x, const float *alpha, float *y,
                           int64_t channels)
{
    for (int64_t c = 0; c < channels; c += VF_WIDTH) {
        vf v = vf_load_part(x + c, channels - c);
        vf a = vf_load_part(alpha + c, channels - c);
        vf sine = vf_sin(vf_mul(a, v));
        vf wave = vf_div(vf_mul(sine, sine), vf_add(a, vf_set(1e-9f)));
        vf_store_part(y + c, vf_add(v, wave), channels - c);
    }
}

static void snake_runs(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_snake_args *a = argument;
    for (int64_t index = begin; index < end; index++) {
        run r = run_at(&a->x, index);
        for (int64_t i = 0; i < r.count; i++)
            snake_pixel(pixel(&a->x, &r, i), a->alpha.data, pixel(&a->y, &r, i),
                        a->x.shape[0]);
    }
}

pf_status PF_CPU(snake)(pf_platform *platform, const pf_snake_args *args,
                        pf_error *error)
{
    if (!is_channels_last(&args->x) || !is_channels_last(&args->y) ||
        !is_adjacent(&args->alpha))
        return pf_reference_snake(platform, args, error);
    pf_snake_args copy = *args;
    pf_pool_for(platform->pool, runs_in(&args->x), 1, snake_runs, &copy);
    return PF_OK;
}

/* --- upsampling ------------------------------------------------------------- */

VF_INLINE void spread_pixel(const float *x, float *const y[4], int64_t channels)
{
    for (int64_t c = 0; c < channels; c += VF_WIDTH) {
        vf v = vf_load_part(x + c, channels - c);
        VF_UNROLL
        for (int k = 0; k < 4; k++)
            vf_store_part(y[k] + c, v, channels - c);
    }
}

static void upsample_runs(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_upsample_args *a = argument;
    for (int64_t index = begin; index < end; index++) {
        run r = run_at(&a->x, index);
        run above = {r.t, 2 * r.h, 2 * r.w, 2 * r.count}, below = above;
        below.h++;
        for (int64_t i = 0; i < r.count; i++) {
            float *const y[4] = {
                pixel(&a->y, &above, 2 * i), pixel(&a->y, &above, 2 * i + 1),
                pixel(&a->y, &below, 2 * i), pixel(&a->y, &below, 2 * i + 1),
            };
            spread_pixel(pixel(&a->x, &r, i), y, a->x.shape[0]);
        }
    }
}

pf_status PF_CPU(upsample)(pf_platform *platform, const pf_upsample_args *args,
                           pf_error *error)
{
    if (!is_channels_last(&args->x) || !is_channels_last(&args->y))
        return pf_reference_upsample(platform, args, error);
    pf_upsample_args copy = *args;
    pf_pool_for(platform->pool, runs_in(&args->x), 4, upsample_runs, &copy);
    return PF_OK;
}
