/* SPDX-License-Identifier: Apache-2.0 */
/* Reference platform: convolutions.  docs/model/video-vae.md#2-layers and
 * docs/model/audio-vae.md#2-layers.
 *
 * Outputs are made in runs along the last axis: each weight is multiplied with a
 * whole run of inputs.  Weights are summed in pieces, and the pieces added up,
 * which keeps long sums exact.
 */
#include "platform/reference/kernels.h"

enum { RUN = 128, PIECE = 256 };

/* Outputs [n, n + count) of one row of y: channel o, frame t, image row h. */
typedef struct output_run {
    int64_t o, t, h, n, count;
} output_run;

/* x[i, frame, row, 0] for tap (i, a, p), or NULL where padding lies. */
static const float *input_row(const pf_conv_args *a, const output_run *r,
                              const int64_t tap[4])
{
    const pf_tensor *x = &a->x;
    int64_t t = r->t * a->stride[0] + tap[1] * a->dilation[0] - a->pad_front[0];
    int64_t h = r->h * a->stride[1] + tap[2] * a->dilation[1] - a->pad_front[1];
    if (t < 0 || t >= x->shape[1] || h < 0 || h >= x->shape[2])
        return NULL;
    return (const float *)x->data + tap[0] * x->stride[0] + t * x->stride[1] +
           h * x->stride[2];
}

/* sum[j] += weight * x[.., (n + j) * stride + offset] where that is inside. */
static void add_tap(const pf_conv_args *a, const output_run *r,
                    const int64_t tap[4], float weight, float *sum)
{
    const float *row = input_row(a, r, tap);
    if (!row)
        return;
    int64_t stride = a->stride[2], width = a->x.shape[3], step = a->x.stride[3];
    int64_t offset = tap[3] * a->dilation[2] - a->pad_front[2] + r->n * stride;
    int64_t first = offset < 0 ? (-offset + stride - 1) / stride : 0;
    int64_t end = width > offset
                      ? least(r->count, (width - offset + stride - 1) / stride)
                      : 0;
    for (int64_t j = first; j < end; j++)
        sum[j] += weight * row[(j * stride + offset) * step];
}

/* The next tap (i, a, p, q) in the order of the weight. */
static void advance(int64_t tap[4], const int64_t *shape)
{
    for (int axis = 3; axis >= 0; axis--) {
        if (++tap[axis] < shape[axis + 1] || axis == 0)
            return;
        tap[axis] = 0;
    }
}

static void convolve(const pf_conv_args *a, const output_run *r, float *sum)
{
    const pf_tensor *w = &a->weight->source.values;
    int64_t weights = w->shape[1] * w->shape[2] * w->shape[3] * w->shape[4];
    int64_t tap[4] = {0};
    float piece[PIECE];
    for (int64_t at = 0; at < weights; at += PIECE) {
        float part[RUN] = {0};
        int64_t count = least(PIECE, weights - at);
        widen(w, r->o * w->stride[0] + at, count, piece);
        for (int64_t k = 0; k < count; k++) {
            add_tap(a, r, tap, piece[k], part);
            advance(tap, w->shape);
        }
        for (int64_t j = 0; j < r->count; j++)
            sum[j] += part[j];
    }
}

static void store(const pf_conv_args *a, const output_run *r, const float *sum)
{
    const int64_t *ys = a->y.stride, *rs = a->residual.stride;
    float *y = (float *)a->y.data + r->o * ys[0] + r->t * ys[1] + r->h * ys[2] +
               r->n * ys[3];
    const float *residual = a->residual.data;
    if (residual)
        residual += r->o * rs[0] + r->t * rs[1] + r->h * rs[2] + r->n * rs[3];
    float bias = pf_tensor_is_null(&a->bias) ? 0.0f : element_of(&a->bias, r->o);
    for (int64_t j = 0; j < r->count; j++) {
        float value = sum[j] + bias;
        y[j * ys[3]] = residual ? value + residual[j * rs[3]] : value;
    }
}

/* Items are rows (o, t, h) of y. */
static void convolve_rows(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const pf_conv_args *a = argument;
    int64_t frames = a->y.shape[1], height = a->y.shape[2], width = a->y.shape[3];
    for (int64_t row = begin; row < end; row++)
        for (int64_t n = 0; n < width; n += RUN) {
            output_run r = {row / height / frames, row / height % frames,
                            row % height, n, least(RUN, width - n)};
            float sum[RUN] = {0};
            convolve(a, &r, sum);
            store(a, &r, sum);
        }
}

pf_status pf_reference_conv(pf_platform *platform, const pf_conv_args *args,
                            pf_error *error)
{
    (void)error;
    pf_conv_args copy = *args;
    const int64_t *s = args->y.shape;
    pf_pool_for(platform->pool, s[0] * s[1] * s[2], 1, convolve_rows, &copy);
    return PF_OK;
}

/* --- transposed, 1-d -------------------------------------------------------- */

/* sum[j] += W[i, o, k] x[i, t] for each output n + j = t * stride + k - pad. */
static void add_transposed_tap(const pf_conv_transposed_args *a,
                               const output_run *r, int64_t i, int64_t k,
                               float *sum)
{
    const pf_tensor *w = &a->weight->source.values;
    const float *x = (const float *)a->x.data + i * a->x.stride[0];
    int64_t offset = r->n + a->pad - k, stride = a->stride;
    int64_t first = offset > 0 ? (offset + stride - 1) / stride : 0;
    float weight;
    widen(w, (i * w->shape[1] + r->o) * w->shape[2] + k, 1, &weight);
    for (int64_t t = first; t < a->x.shape[3]; t++) {
        int64_t j = t * stride - offset;
        if (j >= r->count)
            return;
        sum[j] += weight * x[t * a->x.stride[3]];
    }
}

static void convolve_transposed(void *argument, int64_t begin, int64_t end,
                                int worker)
{
    (void)worker;
    const pf_conv_transposed_args *a = argument;
    const int64_t *w = a->weight->source.values.shape, *ys = a->y.stride;
    int64_t length = a->y.shape[3], runs = (length + RUN - 1) / RUN;
    for (int64_t item = begin; item < end; item++) {
        int64_t n = item % runs * RUN;
        output_run r = {item / runs, 0, 0, n, least(RUN, length - n)};
        float *y = (float *)a->y.data + r.o * ys[0] + n * ys[3];
        float bias = pf_tensor_is_null(&a->bias) ? 0.0f : element_of(&a->bias, r.o);
        float sum[RUN] = {0};
        for (int64_t i = 0; i < w[0]; i++)
            for (int64_t k = 0; k < w[2]; k++)
                add_transposed_tap(a, &r, i, k, sum);
        for (int64_t j = 0; j < r.count; j++)
            y[j * ys[3]] = sum[j] + bias;
    }
}

pf_status pf_reference_conv_transposed(pf_platform *platform,
                                       const pf_conv_transposed_args *args,
                                       pf_error *error)
{
    (void)error;
    pf_conv_transposed_args copy = *args;
    int64_t runs = (args->y.shape[3] + RUN - 1) / RUN;
    pf_pool_for(platform->pool, args->y.shape[0] * runs, 1, convolve_transposed,
                &copy);
    return PF_OK;
}
