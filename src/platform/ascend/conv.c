/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions.  docs/ascend.md, "Operators: convolution".
 *
 * Maps are channels first, which is the only layout the operator knows.  A kernel
 * without extent in time is two-dimensional with the frames as its batch; padding
 * that is not the same on both sides is written out first.  Where the operator does
 * not take a shape, or not f32 without HF32, windows are laid out as columns of a
 * matrix product.
 */
#include "platform/ascend/limits.h"
#include "platform/ascend/operators.h"

enum { T, H, W };

/* Upper bound in bytes on the columns that exist at a time. */
static const int64_t most_columns = (int64_t)64 << 20;

typedef struct conv_run {
    ascend *a;
    const pf_conv_args *args;
    pf_tensor x;                        /* what is left to do with it: */
    int64_t front[3], behind[3];        /* padding */
    pf_tensor weight;                   /* [Co, Ci, kt, kh, kw] F32 */
} conv_run;

/* Derives the padding behind from the extents of y, and cuts off inputs and padding that no
 * window reaches. */
static void measure(conv_run *r)
{
    const pf_conv_args *args = r->args;
    for (int i = 0; i < 3; i++) {
        int64_t reach = (args->y.shape[1 + i] - 1) * args->stride[i] +
                        (r->weight.shape[2 + i] - 1) * args->dilation[i] + 1;
        int64_t front = args->pad_front[i] < reach ? args->pad_front[i] : reach;
        int64_t read = reach - front, there = r->x.shape[1 + i];
        r->front[i] = front;
        r->behind[i] = read > there ? read - there : 0;
        if (read < there)
            r->x = pf_tensor_slice(r->x, 1 + i, 0, read);
    }
}

static pf_status write_padding(conv_run *r)
{
    const int64_t *f = r->front, *b = r->behind;
    int64_t shape[4] = {r->x.shape[0], r->x.shape[1] + f[T] + b[T],
                        r->x.shape[2] + f[H] + b[H], r->x.shape[3] + f[W] + b[W]};
    pf_tensor padded;
    PF_TRY(pf_ascend_temp(r->a, PF_F32, 4, shape, &padded));
    if (ascend_is_empty(&r->x))
        PF_TRY(pf_ascend_set(r->a, padded, 0.0f));
    else
        PF_TRY(pf_ascend_launch(r->a, &(ascend_call){
            .op = ASCEND_ConstantPadNd, .in = {r->x}, .out = {padded},
            .array = {{6, {f[W], b[W], f[H], b[H], f[T], b[T]}}}, .scalars = 1}));
    r->x = padded;
    for (int i = 0; i < 3; i++)
        r->front[i] = r->behind[i] = 0;
    return PF_OK;
}

static bool is_symmetric(const conv_run *r)
{
    for (int i = 0; i < 3; i++)
        if (r->front[i] != r->behind[i])
            return false;
    return true;
}

/* --- the operator --------------------------------------------------------------------- */

/* 1: along w alone; 2: frames are a batch; 3: all. */
static int axes_of(const conv_run *r)
{
    bool in_time = r->weight.shape[2] > 1 || r->args->stride[T] > 1 || r->front[T] > 0 ||
                   r->behind[T] > 0;
    if (in_time)
        return 3;
    bool one_row = r->x.shape[1] == 1 && r->x.shape[2] == 1 && r->weight.shape[3] == 1 &&
                   r->args->stride[H] == 1 && r->front[H] == 0;
    return one_row ? 1 : 2;
}

/* [C, T, H, W] as [1, C, W], [T, C, H, W] or [1, C, T, H, W]. */
static pf_tensor as_batch(pf_tensor map, int axes)
{
    if (axes == 2)
        return pf_tensor_permute(map, (int[]){1, 0, 2, 3});
    pf_tensor batch = map;
    int skip = axes == 1 ? 2 : 0;
    batch.rank = axes + 2;
    batch.shape[0] = 1;
    batch.stride[0] = map.shape[0] * map.stride[0];
    batch.shape[1] = map.shape[0];
    batch.stride[1] = map.stride[0];
    for (int i = 0; i < axes; i++) {
        batch.shape[2 + i] = map.shape[1 + skip + i];
        batch.stride[2 + i] = map.stride[1 + skip + i];
    }
    return batch;
}

/* [Co, Ci, kt, kh, kw] without the axes that the operator does not have. */
static pf_tensor as_kernel(pf_tensor weight, int axes)
{
    int64_t shape[5] = {weight.shape[0], weight.shape[1]};
    for (int i = 0; i < axes; i++)
        shape[2 + i] = weight.shape[5 - axes + i];
    return pf_tensor_reshape(weight, axes + 2, shape);
}

static ascend_array last_of(const int64_t values[3], int axes)
{
    ascend_array array = {.count = axes};
    for (int i = 0; i < axes; i++)
        array.value[i] = values[3 - axes + i];
    return array;
}

static int64_t largest_extent(const pf_tensor *a, const pf_tensor *b, const pf_tensor *c)
{
    const pf_tensor *list[] = {a, b, c};
    int64_t most = 0;
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < list[k]->rank; i++)
            most = list[k]->shape[i] > most ? list[k]->shape[i] : most;
    return most;
}

static int8_t cube_type(pf_multiply multiply)
{
    return multiply == PF_MULTIPLY_BF16 ? ACL_ALLOW_HF32 : ACL_KEEP_DTYPE;
}

static void shape_of(const conv_run *r, ascend_conv_shape *s)
{
    *s = (ascend_conv_shape){
        .axes = axes_of(r),
        .extent = largest_extent(&r->x, &r->weight, &r->args->y)};
    for (int i = 0; i < 3; i++) {
        s->kernel[i] = r->weight.shape[2 + i];
        s->stride[i] = r->args->stride[i];
        s->dilation[i] = r->args->dilation[i];
        s->padding[i] = r->front[i];
    }
}

/* A missing time axis counts as kernel 1, stride 1, dilation 1. */
static pf_status convolve(const conv_run *r, const ascend_conv_shape *s, pf_tensor y)
{
    static const int64_t none[3] = {0};
    return pf_ascend_launch(r->a, &(ascend_call){
        .op = ASCEND_Convolution, .maps = true,
        .in = {as_batch(r->x, s->axes), as_kernel(r->weight, s->axes), r->args->bias},
        .out = {as_batch(y, s->axes)},
        .array = {last_of(s->stride, s->axes), last_of(s->padding, s->axes),
                  last_of(s->dilation, s->axes), last_of(none, s->axes)},
        .number = {cube_type(r->args->weight->multiply)}});
}

/* --- columns -------------------------------------------------------------------------- */

/* Rows of y that one product makes. */
typedef struct column_block {
    int64_t frame, row, rows;
} column_block;

/* The windows of tap row (a): [Ci, kh, kw, rows, Wo], as they lie in x. */
static pf_tensor windows(const conv_run *r, const column_block *b, int64_t a)
{
    const pf_conv_args *args = r->args;
    const int64_t *s = r->x.stride, *k = r->weight.shape;
    int64_t frame = b->frame * args->stride[T] + a * args->dilation[T];
    pf_tensor t = {
        .data = (float *)r->x.data + frame * s[1] + b->row * args->stride[H] * s[2],
        .dtype = PF_F32, .rank = 5,
        .shape = {k[1], k[3], k[4], b->rows, args->y.shape[3]},
        .stride = {s[0], args->dilation[H] * s[2], args->dilation[W] * s[3],
                   args->stride[H] * s[2], args->stride[W] * s[3]},
    };
    return t;
}

static pf_status multiply_columns(const conv_run *r, const column_block *b, pf_tensor y)
{
    const int64_t *k = r->weight.shape;
    int64_t pixels = b->rows * y.shape[3], terms = k[1] * k[2] * k[3] * k[4];
    int64_t shape[6] = {k[1], k[2], k[3], k[4], b->rows, y.shape[3]};
    pf_tensor columns, sums, none = {0};
    PF_TRY(pf_ascend_temp(r->a, PF_F32, 6, shape, &columns));
    PF_TRY(pf_ascend_temp(r->a, PF_F32, 2, (int64_t[]){k[0], pixels}, &sums));
    for (int64_t a = 0; a < k[2]; a++) {
        pf_tensor to = pf_tensor_slice(columns, 1, a, 1);
        to = pf_tensor_drop_first(pf_tensor_permute(to, (int[]){1, 0, 2, 3, 4, 5}));
        PF_TRY(pf_ascend_move(r->a, windows(r, b, a), to));
    }
    PF_TRY(pf_ascend_product(r->a, pf_tensor_reshape(r->weight, 2, (int64_t[]){k[0], terms}),
                             pf_tensor_reshape(columns, 2, (int64_t[]){terms, pixels}), none,
                             sums));
    pf_tensor to = pf_tensor_slice(pf_tensor_slice(y, 1, b->frame, 1), 2, b->row, b->rows);
    sums = pf_tensor_reshape(sums, 4, (int64_t[]){k[0], 1, b->rows, y.shape[3]});
    if (pf_tensor_is_null(&r->args->bias))
        return pf_ascend_move(r->a, sums, to);
    return pf_ascend_combine(r->a, ASCEND_Add, sums, pf_ascend_along(r->args->bias, 0, 4), to);
}

static pf_status convolve_columns(conv_run *r, pf_tensor y)
{
    const int64_t *k = r->weight.shape;
    int64_t row_bytes = 4 * k[1] * k[2] * k[3] * k[4] * y.shape[3];
    int64_t rows = row_bytes > 0 ? most_columns / row_bytes : 1;
    rows = rows < 1 ? 1 : rows;
    PF_TRY(write_padding(r));
    pf_scratch_mark mark = pf_device_scratch_mark(&r->a->device);
    for (int64_t t = 0; t < y.shape[1]; t++)
        for (int64_t h = 0; h < y.shape[2]; h += rows) {
            column_block b = {t, h, y.shape[2] - h < rows ? y.shape[2] - h : rows};
            PF_TRY(multiply_columns(r, &b, y));
            pf_device_scratch_rewind(&r->a->device, mark);
        }
    return PF_OK;
}

/* --- the kernel ------------------------------------------------------------------------ */

static bool takes(const ascend *a, pf_multiply multiply, const ascend_conv_shape *s)
{
    return (multiply == PF_MULTIPLY_BF16 || a->facts.conv_f32) && pf_ascend_conv_fits(s);
}

pf_status pf_ascend_conv(pf_platform *platform, const pf_conv_args *args, pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    const pf_tensor *w = &args->weight->source.values;
    conv_run r = {.a = a, .args = args, .x = args->x};
    r.weight = pf_tensor_make(args->weight->prepared, PF_F32, 5, w->shape);
    pf_tensor y = args->y;
    bool added = !pf_tensor_is_null(&args->residual);
    if (ascend_is_empty(&y))
        return PF_OK;
    if (added)
        PF_TRY(pf_ascend_like(a, y, &y));
    measure(&r);
    if (!is_symmetric(&r) || ascend_is_empty(&r.x))
        PF_TRY(write_padding(&r));
    ascend_conv_shape shape;
    shape_of(&r, &shape);
    if (takes(a, args->weight->multiply, &shape))
        PF_TRY(convolve(&r, &shape, y));
    else
        PF_TRY(convolve_columns(&r, y));
    return added ? pf_ascend_combine(a, ASCEND_Add, args->residual, y, args->y) : PF_OK;
}

/* --- transposed ---------------------------------------------------------------------------- */

typedef struct transposed_run {
    ascend *a;
    const pf_conv_transposed_args *args;
    pf_tensor x, weight;                /* [Ci, L], [Ci, Co, k] */
    int64_t length;                     /* what the operator makes without more */
} transposed_run;

/* Outputs beyond the last tap become the operator's outputPadding; surplus ones are cut. */
static pf_status convolve_transposed(const transposed_run *r, int64_t more)
{
    const pf_conv_transposed_args *args = r->args;
    int64_t co = r->weight.shape[1], made = r->length + more;
    int64_t wanted = args->y.shape[3];
    pf_tensor y = as_batch(args->y, 1), x = as_batch(args->x, 1);
    bool cut = made != wanted;
    if (cut)
        PF_TRY(pf_ascend_temp(r->a, PF_F32, 3, (int64_t[]){1, co, made}, &y));
    PF_TRY(pf_ascend_launch(r->a, &(ascend_call){
        .op = ASCEND_Convolution, .maps = true, .in = {x, r->weight, args->bias},
        .out = {y},
        .array = {{1, {args->stride}}, {1, {args->pad}}, {1, {1}}, {1, {more}}},
        .number = {cube_type(args->weight->multiply), 1}}));
    if (!cut)
        return PF_OK;
    return pf_ascend_move(r->a, pf_tensor_slice(y, 2, 0, wanted), as_batch(args->y, 1));
}

/* columns [Co, k, L] = W^T x; each tap is then added at its place in y. */
static pf_status add_taps(const transposed_run *r)
{
    const pf_conv_transposed_args *args = r->args;
    int64_t ci = r->weight.shape[0], co = r->weight.shape[1], k = r->weight.shape[2];
    int64_t l = r->x.shape[1], out = args->y.shape[3];
    pf_tensor columns, none = {0}, bias = args->bias;
    pf_tensor y = args->y;
    PF_TRY(pf_ascend_temp(r->a, PF_F32, 2, (int64_t[]){co * k, l}, &columns));
    pf_tensor w = pf_tensor_reshape(r->weight, 2, (int64_t[]){ci, co * k});
    PF_TRY(pf_ascend_product(r->a, pf_tensor_permute(w, (int[]){1, 0}), r->x, none, columns));
    if (pf_tensor_is_null(&bias))
        PF_TRY(pf_ascend_set(r->a, y, 0.0f));
    else
        PF_TRY(pf_ascend_move(r->a, pf_ascend_along(bias, 0, 4), y));
    columns = pf_tensor_reshape(columns, 3, (int64_t[]){co, k, l});
    for (int64_t tap = 0; tap < k; tap++) {
        int64_t first = 0, s = args->stride, at = tap - args->pad;
        while (at + first * s < 0)
            first++;
        int64_t end = out > at ? (out - at + s - 1) / s : 0;
        end = end < l ? end : l;
        if (end <= first)
            continue;
        pf_tensor from = pf_tensor_slice(columns, 1, tap, 1);
        from = pf_tensor_slice(from, 2, first, end - first);
        pf_tensor to = from;
        to.data = (float *)y.data + (at + first * s) * y.stride[3];
        to.stride[0] = y.stride[0];
        to.stride[2] = s * y.stride[3];
        PF_TRY(pf_ascend_combine(r->a, ASCEND_Add, to, from, to));
    }
    return PF_OK;
}

pf_status pf_ascend_conv_transposed(pf_platform *platform,
                                    const pf_conv_transposed_args *args, pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    const pf_tensor *w = &args->weight->source.values;
    transposed_run r = {.a = a, .args = args};
    if (ascend_is_empty(&args->y))
        return PF_OK;
    r.weight = pf_tensor_make(args->weight->prepared, PF_F32, 3, w->shape);
    r.x = args->x;
    r.x.rank = 2;
    r.x.shape[1] = args->x.shape[3];
    r.x.stride[1] = args->x.stride[3];
    r.length = (r.x.shape[1] - 1) * args->stride - 2 * args->pad + w->shape[2];
    int64_t more = args->y.shape[3] > r.length ? args->y.shape[3] - r.length : 0;
    ascend_conv_shape shape = {
        .axes = 1, .extent = largest_extent(&args->x, &r.weight, &args->y),
        .kernel = {1, 1, w->shape[2]}, .stride = {1, 1, args->stride},
        .dilation = {1, 1, 1}, .padding = {0, 0, args->pad}, .transposed = true};
    if (takes(a, args->weight->multiply, &shape) && more < args->stride)
        return convolve_transposed(&r, more);
    return add_taps(&r);
}
