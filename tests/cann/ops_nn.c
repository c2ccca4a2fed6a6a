/* SPDX-License-Identifier: Apache-2.0 */
/* Emulated products, convolutions and norms.  docs/ascend.md, "Operators:
 * products", "Operators: convolution", "Operators: norms".
 */
#include <math.h>
#include <string.h>

#include "op.h"

#define COUNT(name) \
    __atomic_fetch_add(&cann_emulator_counters()->name, 1, __ATOMIC_RELAXED)

/* --- products ------------------------------------------------------------------- */

enum { KEEP_DTYPE = 0, ALLOW_DOWN = 1, USE_FP16 = 2, USE_HF32 = 3, FP32_ADD = 4 };

static void require_cube(op *o, int8_t cube, int8_t most, aclDataType dtype)
{
    OP_REQUIRE(o, cube >= 0 && cube <= most, "cubeMathType is %d", cube);
    OP_REQUIRE(o, cube != USE_FP16 || dtype != ACL_FLOAT,
               "FLOAT multiplied as FLOAT16 is not emulated");
}

/* Of the inputs `first` and the next, into `out`, which has dtype `wanted` or `other`. */
static void require_products_or(op *o, int first, aclDataType wanted, aclDataType other,
                                int8_t cube)
{
    const view *x = &o->in[first], *w = &o->in[first + 1];
    require_cube(o, cube, FP32_ADD, x->dtype);
    OP_REQUIRE(o, x->dtype == w->dtype, "a product of dtypes %d and %d", (int)x->dtype,
               (int)w->dtype);
    OP_REQUIRE(o, o->out[0].dtype == wanted || o->out[0].dtype == other,
               "out has dtype %d, but must have %d", (int)o->out[0].dtype, (int)wanted);
    OP_REQUIRE(o, view_dense(&o->out[0]), "out is not contiguous");
    o->number[2] = (cube == ALLOW_DOWN || cube == USE_HF32) && x->dtype == ACL_FLOAT;
    COUNT(matmuls);
}

static void require_products(op *o, int first, aclDataType wanted, int8_t cube)
{
    require_products_or(o, first, wanted, wanted, cube);
}

static void to_hf32(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = round_hf32(values[i]);
}

/* c [m, n] = a [m, k] b [k, n], in f32, pieces of k added up. */
static void multiply(const float *a, const float *b, float *c, const int64_t size[3])
{
    enum { PIECE = 256, WIDTH = 512 };
    int64_t m = size[0], n = size[1], k = size[2];
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j += WIDTH) {
            int64_t width = n - j < WIDTH ? n - j : WIDTH;
            float *to = c + i * n + j;
            memset(to, 0, (size_t)width * sizeof *to);
            for (int64_t at = 0; at < k; at += PIECE) {
                float part[WIDTH] = {0};
                for (int64_t l = at; l < k && l < at + PIECE; l++)
                    for (int64_t x = 0; x < width; x++)
                        part[x] += a[i * k + l] * b[l * n + j + x];
                for (int64_t x = 0; x < width; x++)
                    to[x] += part[x];
            }
        }
}

/* in 0 [b, m, k], in 1 [b, k, n], with a batch of 1 for matrices. */
static float *run_product(op *o, int first)
{
    const view *a = &o->in[first], *b = &o->in[first + 1];
    int r = a->rank;
    int64_t size[3] = {a->shape[r - 2], b->shape[r - 1], a->shape[r - 1]};
    int64_t batch = r == 3 ? o->out[0].shape[0] : 1;
    float *x = op_load(o, a), *y = op_load(o, b);
    float *z = op_memory(o, view_count(&o->out[0]));
    if (o->number[2] != 0.0) {
        to_hf32(x, view_count(a));
        to_hf32(y, view_count(b));
    }
    int64_t ax = r == 3 && a->shape[0] > 1 ? size[0] * size[2] : 0;
    int64_t bx = r == 3 && b->shape[0] > 1 ? size[1] * size[2] : 0;
    for (int64_t i = 0; i < batch; i++)
        multiply(x + i * ax, y + i * bx, z + i * size[0] * size[1], size);
    return z;
}

static int run_Mm(op *o)
{
    op_store(&o->out[0], run_product(o, 0));
    return 0;
}

static void require_matrices(op *o, int first, int rank)
{
    const view *a = &o->in[first], *b = &o->in[first + 1], *c = &o->out[0];
    OP_REQUIRE(o, a->rank == rank && b->rank == rank && c->rank == rank,
               "operands must have rank %d", rank);
    if (o->status)
        return;
    OP_REQUIRE(o, a->shape[rank - 1] == b->shape[rank - 2], "inner extents differ");
    OP_REQUIRE(o, c->shape[rank - 2] == a->shape[rank - 2] &&
                      c->shape[rank - 1] == b->shape[rank - 1],
               "out has the wrong shape");
}

PHASE_ONE(Mm, const aclTensor *self, const aclTensor *mat2, aclTensor *out,
          int8_t cubeMathType)
{
    OP_BEGIN(Mm);
    op_input(o, self, T_FLOATS);
    op_input(o, mat2, T_FLOATS);
    op_output(o, out, T_FLOATS);
    require_matrices(o, 0, 2);
    require_products(o, 0, o->in[0].dtype, cubeMathType);
    return op_end(o, run_Mm);
}

PHASE_ONE(BatchMatMul, const aclTensor *self, const aclTensor *mat2, aclTensor *out,
          int8_t cubeMathType)
{
    OP_BEGIN(BatchMatMul);
    op_input(o, self, T_FLOATS);
    op_input(o, mat2, T_FLOATS);
    op_output(o, out, T_FLOATS);
    require_matrices(o, 0, 3);
    int64_t a = o->in[0].shape[0], b = o->in[1].shape[0];
    OP_REQUIRE(o, a == b || a == 1 || b == 1, "batches of %lld and %lld",
               (long long)a, (long long)b);
    OP_REQUIRE(o, o->out[0].shape[0] == (a > b ? a : b), "out has the wrong batch");
    require_products(o, 0, o->in[0].dtype, cubeMathType);
    return op_end(o, run_Mm);
}

/* beta * self + alpha * mat1 mat2.  Newer versions keep a product of bf16 as f32 until
 * self is added; at worst it is rounded before. */
static int run_Addmm(op *o)
{
    float *z = run_product(o, 1);
    const float *self = op_load_like(o, &o->in[0], &o->out[0]);
    int64_t count = view_count(&o->out[0]);
    for (int64_t i = 0; o->in[1].dtype == ACL_BF16 && i < count; i++)
        z[i] = round_bf16(z[i]);
    const float beta = (float)o->number[0], alpha = (float)o->number[1];
    for (int64_t i = 0; i < count; i++)
        z[i] = beta * self[i] + alpha * z[i];
    op_store(&o->out[0], z);
    return 0;
}

/* self and the product promote to the dtype of out; newer versions cast it. */
static void require_sum(op *o, int8_t cube)
{
    OP_REQUIRE(o, view_broadcasts(&o->in[0], &o->out[0]) && o->in[0].rank >= 1 &&
                      o->in[0].rank <= 2,
               "self cannot be repeated to the shape of out");
    aclDataType product = o->in[1].dtype, self_dtype = o->in[0].dtype;
    aclDataType promoted = self_dtype == product ? product : ACL_FLOAT;
    require_products_or(o, 1, promoted, CANN_PROFILE > 81 ? product : promoted, cube);
}

PHASE_ONE(Addmm, const aclTensor *self, const aclTensor *mat1, const aclTensor *mat2,
          const aclScalar *beta, const aclScalar *alpha, aclTensor *out,
          int8_t cubeMathType)
{
    OP_BEGIN(Addmm);
    op_input(o, self, T_FLOATS);
    op_input(o, mat1, T_FLOATS);
    op_input(o, mat2, T_FLOATS);
    o->number[0] = op_scalar(o, beta);
    o->number[1] = op_scalar(o, alpha);
    op_output(o, out, T_FLOATS);
    require_matrices(o, 1, 2);
    require_sum(o, cubeMathType);
    return op_end(o, run_Addmm);
}

/* --- weights in FRACTAL_NZ ----------------------------------------------------------- */

#if CANN_PROFILE > 80
static int run_TransMatmulWeight(op *o)
{
    const view *v = &o->in[0];
    int64_t rows = v->shape[0], columns = v->shape[1];
    const float *values = op_load(o, v);
    view blocks = {.dtype = v->dtype, .rank = 1, .shape = {o->out[0].storage}, .stride = {1},
                   .data = v->data};
    float *to = op_memory(o, blocks.shape[0]);
    memset(to, 0, (size_t)blocks.shape[0] * sizeof *to);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            to[nz_place(i, j, rows)] = values[i * columns + j];
    op_store(&blocks, to);
    return 0;
}

/* The descriptor becomes that of the result, the result takes its place in memory. */
PHASE_ONE(TransMatmulWeight, aclTensor *mmWeightRef)
{
    OP_BEGIN(TransMatmulWeight);
    op_inplace(o, mmWeightRef, T_BF16 | T_F16);
    view *to = &o->out[0];
    OP_REQUIRE(o, to->rank == 2, "the weight has rank %d", to->rank);
    OP_REQUIRE(o, to->format == ACL_FORMAT_ND, "the weight has format %d", (int)to->format);
    OP_REQUIRE(o, view_count(to) > 0, "the weight is empty");
    if (o->status == 0) {
        int64_t extent[4] = {(to->shape[1] + 15) / 16, (to->shape[0] + 15) / 16, 16, 16};
        to->storage_rank = 4;
        to->storage = extent[0] * extent[1] * 256;
        memcpy(to->extent, extent, sizeof extent);
        to->format = ACL_FORMAT_FRACTAL_NZ;
        o->workspace += (uint64_t)to->storage * 2;
        OP_REQUIRE(o, cann_room_behind(to->data) >= to->storage * 2,
                   "the weight has no room for its blocks");
        mmWeightRef->v = o->status ? mmWeightRef->v : *to;
    }
    o->reformats = true;
    return op_end(o, run_TransMatmulWeight);
}
#endif

#if CANN_PROFILE > 83
PHASE_ONE(MatmulWeightNz, const aclTensor *self, const aclTensor *mat2, aclTensor *out,
          int8_t cubeMathType)
{
    OP_BEGIN(MatmulWeightNz);
    op_input(o, self, T_BF16 | T_F16);
    op_blocked(o, mat2, T_BF16 | T_F16);
    op_output(o, out, T_BF16 | T_F16);
    require_matrices(o, 0, 2);
    require_products(o, 0, o->in[0].dtype, cubeMathType);
    COUNT(blocked_products);
    return op_end(o, run_Mm);
}

/* Its sources let self and out be f32 as well, as aclnnAddmm does. */
PHASE_ONE(AddmmWeightNz, const aclTensor *self, const aclTensor *mat1, const aclTensor *mat2,
          const aclScalar *beta, const aclScalar *alpha, aclTensor *out,
          int8_t cubeMathType)
{
    OP_BEGIN(AddmmWeightNz);
    op_input(o, self, T_FLOATS);
    op_input(o, mat1, T_BF16 | T_F16);
    op_blocked(o, mat2, T_BF16 | T_F16);
    o->number[0] = op_scalar(o, beta);
    o->number[1] = op_scalar(o, alpha);
    op_output(o, out, T_FLOATS);
    require_matrices(o, 1, 2);
    require_sum(o, cubeMathType);
    COUNT(blocked_products);
    return op_end(o, run_Addmm);
}
#endif

/* --- convolution ------------------------------------------------------------------- */

enum { STRIDE, PADDING, DILATION, OUTPUT_PADDING };

static const int64_t most_extent = 1000000;

/* Arrays of the spatial axes, moved to three axes with ones and zeros in front. */
static void to_three_axes(op *o, int spatial)
{
    for (int which = STRIDE; which <= OUTPUT_PADDING; which++) {
        int64_t value[3] = {1, 1, 1};
        if (which == PADDING || which == OUTPUT_PADDING)
            value[0] = value[1] = value[2] = 0;
        for (int i = 0; i < spatial; i++)
            value[3 - spatial + i] = o->array[which][i];
        memcpy(o->array[which], value, sizeof value);
    }
}

static void require_range(op *o, int which, const char *name, int64_t low, int64_t high)
{
    for (int i = 0; i < 3; i++)
        OP_REQUIRE(o, o->array[which][i] >= low && o->array[which][i] <= high,
                   "%s is %lld, but must be %lld to %lld", name,
                   (long long)o->array[which][i], (long long)low, (long long)high);
}

static void require_kernel(op *o, int spatial, bool transposed)
{
    const view *w = &o->in[1];
    for (int i = 2; i < w->rank; i++)
        OP_REQUIRE(o, w->shape[i] >= 1, "a kernel of %lld", (long long)w->shape[i]);
    if (spatial == 3 && !transposed) {
        OP_REQUIRE(o, w->shape[3] <= 511 && w->shape[4] <= 511 &&
                          w->shape[3] * w->shape[4] * 16 <= 65535,
                   "a conv3d kernel of %lld x %lld", (long long)w->shape[3],
                   (long long)w->shape[4]);
        OP_REQUIRE(o, o->array[STRIDE][1] <= 63 && o->array[STRIDE][2] <= 63,
                   "a conv3d stride beyond 63");
    }
    for (int i = 2; i < w->rank && transposed; i++)
        OP_REQUIRE(o, w->shape[i] <= 255, "a transposed kernel of %lld",
                   (long long)w->shape[i]);
}

static void require_extents(op *o, int spatial, bool transposed, int64_t groups)
{
    const view *x = &o->in[0], *w = &o->in[1], *y = &o->out[0];
    int64_t in = transposed ? w->shape[0] : w->shape[1] * groups;
    int64_t out = transposed ? w->shape[1] * groups : w->shape[0];
    OP_REQUIRE(o, x->shape[1] == in && y->shape[1] == out && x->shape[0] == y->shape[0],
               "channels or batch of input, weight and output do not fit");
    for (int i = 0; i < x->rank; i++)
        OP_REQUIRE(o, x->shape[i] <= most_extent && w->shape[i] <= most_extent,
                   "an extent beyond %lld", (long long)most_extent);
    for (int i = 0; i < spatial; i++) {
        int a = 3 - spatial + i;
        int64_t s = o->array[STRIDE][a], p = o->array[PADDING][a];
        int64_t d = o->array[DILATION][a], op_ = o->array[OUTPUT_PADDING][a];
        int64_t reach = d * (w->shape[2 + i] - 1) + 1, size = x->shape[2 + i];
        int64_t expected = transposed ? (size - 1) * s - 2 * p + reach + op_
                                      : (size + 2 * p - reach) / s + 1;
        OP_REQUIRE(o, transposed || size + 2 * p >= reach,
                   "axis %d is shorter than its kernel", i);
        OP_REQUIRE(o, !transposed || op_ < s || op_ < d, "outputPadding is %lld",
                   (long long)op_);
        OP_REQUIRE(o, y->shape[2 + i] == expected, "output axis %d is %lld, but must be "
                   "%lld", i, (long long)y->shape[2 + i], (long long)expected);
    }
}

/* Any rank as [N, C, T, H, W]. */
static void five(const view *v, int64_t shape[5])
{
    int64_t all[5] = {v->shape[0], v->shape[1], 1, 1, 1};
    for (int i = 2; i < v->rank; i++)
        all[5 - v->rank + i] = v->shape[i];
    memcpy(shape, all, sizeof all);
}

typedef struct convolution {
    const float *x, *w;
    float *y;
    int64_t xs[5], ws[5], ys[5];
    const int64_t *stride, *pad, *dilation;
} convolution;

/* An image row of x times one tap, into a row of y. */
static void add_row(const convolution *c, const float *x, float *y, float weight,
                    int64_t q)
{
    int64_t s = c->stride[2], off = q * c->dilation[2] - c->pad[2], width = c->xs[4];
    int64_t first = off < 0 ? (-off + s - 1) / s : 0;
    int64_t end = width > off ? (width - off + s - 1) / s : 0;
    end = end < c->ys[4] ? end : c->ys[4];
    if (s == 1)
        for (int64_t j = first; j < end; j++)
            y[j] += weight * x[j + off];
    else
        for (int64_t j = first; j < end; j++)
            y[j] += weight * x[j * s + off];
}

/* A plane (t of one output channel), summed a channel of x at a time. */
static void convolve_plane(const convolution *c, int64_t n, int64_t o, int64_t t,
                           float *part)
{
    const int64_t *ws = c->ws, *xs = c->xs, *ys = c->ys;
    int64_t plane = ys[3] * ys[4];
    float *y = c->y + ((n * ys[1] + o) * ys[2] + t) * plane;
    for (int64_t i = 0; i < ws[1]; i++) {
        memset(part, 0, (size_t)plane * sizeof *part);
        for (int64_t a = 0; a < ws[2]; a++) {
            int64_t f = t * c->stride[0] + a * c->dilation[0] - c->pad[0];
            if (f < 0 || f >= xs[2])
                continue;
            for (int64_t p = 0; p < ws[3]; p++)
                for (int64_t h = 0; h < ys[3]; h++) {
                    int64_t r = h * c->stride[1] + p * c->dilation[1] - c->pad[1];
                    if (r < 0 || r >= xs[3])
                        continue;
                    for (int64_t q = 0; q < ws[4]; q++)
                        add_row(c, c->x + (((n * xs[1] + i) * xs[2] + f) * xs[3] + r) * xs[4],
                                part + h * ys[4],
                                c->w[(((o * ws[1] + i) * ws[2] + a) * ws[3] + p) * ws[4] + q],
                                q);
                }
        }
        for (int64_t j = 0; j < plane; j++)
            y[j] += part[j];
    }
}

/* Along the last axis alone: y[o, j s + k - p] += w[i, o, k] x[i, j]. */
static void convolve_transposed(const convolution *c)
{
    const int64_t *ws = c->ws;
    int64_t length = c->xs[4], out = c->ys[4];
    for (int64_t o = 0; o < ws[1]; o++)
        for (int64_t i = 0; i < ws[0]; i++)
            for (int64_t k = 0; k < ws[4]; k++)
                for (int64_t j = 0; j < length; j++) {
                    int64_t at = j * c->stride[2] + k * c->dilation[2] - c->pad[2];
                    if (at >= 0 && at < out)
                        c->y[o * out + at] +=
                            c->w[(i * ws[1] + o) * ws[4] + k] * c->x[i * length + j];
                }
}

static int run_Convolution(op *o)
{
    const view *x = &o->in[0], *w = &o->in[1], *y = &o->out[0];
    float *xv = op_load(o, x), *wv = op_load(o, w);
    convolution c = {.x = xv, .w = wv, .y = op_memory(o, view_count(y)),
                     .stride = o->array[STRIDE], .pad = o->array[PADDING],
                     .dilation = o->array[DILATION]};
    five(x, c.xs);
    five(w, c.ws);
    five(y, c.ys);
    memset(c.y, 0, (size_t)view_count(y) * sizeof *c.y);
    if (o->number[2] != 0.0) {
        to_hf32(xv, view_count(x));
        to_hf32(wv, view_count(w));
    }
    float *part = op_memory(o, c.ys[3] * c.ys[4]);
    if (o->number[1] != 0.0)
        convolve_transposed(&c);
    for (int64_t n = 0; n < c.ys[0] && o->number[1] == 0.0; n++)
        for (int64_t k = 0; k < c.ys[1]; k++)
            for (int64_t t = 0; t < c.ys[2]; t++)
                convolve_plane(&c, n, k, t, part);
    if (op_has(&o->in[2])) {
        const float *bias = op_load(o, &o->in[2]);
        int64_t each = c.ys[2] * c.ys[3] * c.ys[4], channels = c.ys[1];
        for (int64_t i = 0; i < view_count(y); i++)
            c.y[i] += bias[i / each % channels];
    }
    op_store(y, c.y);
    return 0;
}

/* KEEP_DTYPE with FLOAT: refused by the documentation, accepted by the newer
 * source.  The oldest profile follows the documentation. */
static bool keeps_float(void)
{
    return CANN_PROFILE > 81;
}

static void require_formats(op *o, int spatial)
{
    static const aclFormat formats[] = {ACL_FORMAT_NCL, ACL_FORMAT_NCHW,
                                        ACL_FORMAT_NCDHW};
    OP_REQUIRE(o, spatial >= 1 && spatial <= 3, "input has rank %d", spatial + 2);
    if (o->status)
        return;
    const view *list[] = {&o->in[0], &o->in[1], &o->out[0]};
    for (int i = 0; i < 3; i++) {
        OP_REQUIRE(o, list[i]->rank == spatial + 2, "ranks differ");
        OP_REQUIRE(o, list[i]->format == formats[spatial - 1],
                   "format %d, but must be NCL, NCHW or NCDHW for the rank",
                   (int)list[i]->format);
        OP_REQUIRE(o, list[i]->dtype == o->in[0].dtype, "dtypes differ");
    }
}

static void require_bias(op *o, bool transposed, int64_t groups)
{
    const view *bias = &o->in[2];
    if (o->status || !op_has(bias))
        return;
    int64_t channels = transposed ? o->in[1].shape[1] * groups : o->in[1].shape[0];
    OP_REQUIRE(o, bias->rank == 1 && bias->shape[0] == channels, "bias has the wrong shape");
    OP_REQUIRE(o, bias->dtype == o->in[0].dtype, "bias has another dtype");
}

PHASE_ONE(Convolution, const aclTensor *input, const aclTensor *weight,
          const aclTensor *bias, const aclIntArray *stride, const aclIntArray *padding,
          const aclIntArray *dilation, bool transposed,
          const aclIntArray *outputPadding, const int64_t groups, aclTensor *output,
          int8_t cubeMathType)
{
    OP_BEGIN(Convolution);
    op_input(o, input, T_FLOATS);
    op_input(o, weight, T_FLOATS);
    op_optional(o, bias, T_FLOATS);
    op_output(o, output, T_FLOATS);
    int spatial = o->in[0].rank - 2;
    require_formats(o, spatial);
    require_bias(o, transposed, groups);
    int lengths[] = {op_array(o, stride, STRIDE), op_array(o, padding, PADDING),
                     op_array(o, dilation, DILATION),
                     op_array(o, outputPadding, OUTPUT_PADDING)};
    for (int i = 0; i < 4; i++)
        OP_REQUIRE(o, lengths[i] == spatial, "an array has %d values, but must have %d",
                   lengths[i], spatial);
    OP_REQUIRE(o, groups == 1, "groups other than 1 are not emulated");
    OP_REQUIRE(o, !transposed || spatial == 1, "only 1-d transposed is emulated");
    require_cube(o, cubeMathType, USE_HF32, o->in[0].dtype);
    OP_REQUIRE(o, cubeMathType != KEEP_DTYPE || o->in[0].dtype != ACL_FLOAT ||
                      keeps_float(),
               "FLOAT with KEEP_DTYPE is not supported");
    if (o->status == 0) {
        to_three_axes(o, spatial);
        require_range(o, STRIDE, "stride", 1, most_extent);
        require_range(o, PADDING, "padding", 0, 255);
        require_range(o, DILATION, "dilation", 1, 255);
        require_range(o, OUTPUT_PADDING, "outputPadding", 0, 255);
        require_kernel(o, spatial, transposed);
        require_extents(o, spatial, transposed, groups);
    }
    o->number[1] = transposed;
    o->number[2] = o->in[0].dtype == ACL_FLOAT && cubeMathType != KEEP_DTYPE;
    COUNT(convolutions);
    return op_end(o, run_Convolution);
}

/* --- norms ------------------------------------------------------------------------------ */

/* Rows x of number[1], in place, with weight and bias, where they are, from input
 * `affine` on; number[0] is eps. */
static void normalise(op *o, float *x, int affine)
{
    int64_t width = (int64_t)o->number[1], rows = view_count(&o->in[0]) / width;
    const view *weight = &o->in[affine], *bias = &o->in[affine + 1];
    const float *w = op_has(weight) ? op_load(o, weight) : NULL;
    const float *b = op_has(bias) ? op_load(o, bias) : NULL;
    for (int64_t i = 0; i < rows; i++) {
        float *row = x + i * width;
        double mean = 0.0, squares = 0.0;
        for (int64_t j = 0; j < width; j++)
            mean += (double)row[j];
        mean /= (double)width;
        for (int64_t j = 0; j < width; j++)
            squares += ((double)row[j] - mean) * ((double)row[j] - mean);
        double inverse = 1.0 / sqrt(squares / (double)width + o->number[0]);
        for (int64_t j = 0; j < width; j++) {
            float value = (float)(((double)row[j] - mean) * inverse);
            row[j] = value * (w ? w[j] : 1.0f) + (b ? b[j] : 0.0f);
        }
    }
}

static int run_LayerNorm(op *o)
{
    float *x = op_load(o, &o->in[0]);
    normalise(o, x, 1);
    op_store(&o->out[0], x);
    return 0;
}

static void require_affine(op *o, const view *v)
{
    if (o->status || !op_has(v))
        return;
    OP_REQUIRE(o, v->dtype == ACL_FLOAT || v->dtype == o->in[0].dtype,
               "weight or bias has another dtype than input or FLOAT");
    OP_REQUIRE(o, v->rank == 1 && v->shape[0] == (int64_t)o->number[1],
               "weight or bias is not of normalizedShape");
}

PHASE_ONE(LayerNorm, const aclTensor *input, const aclIntArray *normalizedShape,
          const aclTensor *weight, const aclTensor *bias, double eps, aclTensor *out,
          aclTensor *meanOut, aclTensor *rstdOut)
{
    OP_BEGIN(LayerNorm);
    op_input(o, input, T_FLOATS);
    int axes = op_array(o, normalizedShape, 0);
    op_optional(o, weight, T_FLOATS);
    op_optional(o, bias, T_FLOATS);
    op_output(o, out, T_FLOATS);
    OP_REQUIRE(o, !meanOut && !rstdOut, "mean and rstd are not emulated");
    OP_REQUIRE(o, axes == 1 && o->in[0].rank >= 1 &&
                      o->array[0][0] == o->in[0].shape[o->in[0].rank - 1],
               "normalizedShape is not the last extent");
    OP_REQUIRE(o, view_same_shape(&o->in[0], &o->out[0]) &&
                      o->in[0].dtype == o->out[0].dtype, "out is not like input");
    o->number[0] = eps;
    o->number[1] = (double)o->array[0][0];
    require_affine(o, &o->in[1]);
    require_affine(o, &o->in[2]);
    if (o->status == 0 && op_has(&o->in[1]) && op_has(&o->in[2]))
        OP_REQUIRE(o, o->in[1].dtype == o->in[2].dtype, "weight and bias differ in dtype");
    return op_end(o, run_LayerNorm);
}

#if CANN_PROFILE > 80

/* x = x1 + x2, its norm y; mean and rstd are for training: NaN here. */
static int run_AddLayerNorm(op *o)
{
    float *x = op_load(o, &o->in[0]);
    const float *plus = op_load(o, &o->in[1]);
    int64_t count = view_count(&o->in[0]), rows = view_count(&o->out[1]);
    float *unused = op_memory(o, rows);
    for (int64_t i = 0; i < count; i++)
        x[i] += plus[i];
    op_store(&o->out[3], x);
    normalise(o, x, 2);
    op_store(&o->out[0], x);
    for (int64_t i = 0; i < rows; i++)
        unused[i] = NAN;
    op_store(&o->out[1], unused);
    op_store(&o->out[2], unused);
    return 0;
}

/* A documented row: what x1 and x2 promote to is the dtype of y and x; gamma and
 * beta are FLOAT, or all is one dtype. */
static void require_sum_dtypes(op *o)
{
    const view *x1 = &o->in[0], *x2 = &o->in[1], *gamma = &o->in[2], *beta = &o->in[3];
    bool same = x1->dtype == x2->dtype;
    OP_REQUIRE(o, same || x1->dtype == ACL_FLOAT || x2->dtype == ACL_FLOAT,
               "x1 and x2 have dtypes %d and %d", (int)x1->dtype, (int)x2->dtype);
    aclDataType sum = same ? x1->dtype : ACL_FLOAT;
    OP_REQUIRE(o, gamma->dtype == beta->dtype &&
                      (gamma->dtype == ACL_FLOAT || (same && gamma->dtype == sum)),
               "gamma or beta has another dtype than FLOAT");
    OP_REQUIRE(o, o->out[0].dtype == sum && o->out[3].dtype == sum,
               "yOut or xOut is not of dtype %d", (int)sum);
}

static void require_sum_shapes(op *o)
{
    const view *x1 = &o->in[0];
    int64_t width = x1->rank > 0 ? x1->shape[x1->rank - 1] : 0;
    view each = *x1;
    each.shape[x1->rank > 0 ? x1->rank - 1 : 0] = 1;
    op_require(o, view_same_shape(x1, &o->in[1]) && view_same_shape(x1, &o->out[0]) &&
                      view_same_shape(x1, &o->out[3]), ACLNN_ERR_INNER_TILING,
               "x1, x2, yOut and xOut differ in shape");
    op_require(o, view_same_shape(&each, &o->out[1]) && view_same_shape(&each, &o->out[2]),
               ACLNN_ERR_INNER_TILING, "meanOut or rstdOut has the wrong shape");
    for (int i = 2; i < 4; i++)
        op_require(o, o->in[i].rank == 1 && o->in[i].shape[0] == width && width > 0,
                   ACLNN_ERR_INNER_TILING, "gamma or beta is not of the last extent");
    o->number[1] = (double)width;
}

PHASE_ONE(AddLayerNorm, const aclTensor *x1, const aclTensor *x2, const aclTensor *gamma,
          const aclTensor *beta, const aclTensor *biasOptional, double epsilon,
          bool additionalOutput, const aclTensor *yOut, const aclTensor *meanOut,
          const aclTensor *rstdOut, const aclTensor *xOut)
{
    OP_BEGIN(AddLayerNorm);
    op_input(o, x1, T_FLOATS);
    op_input(o, x2, T_FLOATS);
    op_input(o, gamma, T_FLOATS);
    op_input(o, beta, T_FLOATS);
    OP_REQUIRE(o, !biasOptional && additionalOutput,
               "a bias, or no output of the sum, is not emulated");
    op_output(o, yOut, T_FLOATS);
    op_output(o, meanOut, T_F32);
    op_output(o, rstdOut, T_F32);
    op_output(o, xOut, T_FLOATS);
    if (o->status == 0) {
        require_sum_shapes(o);
        require_sum_dtypes(o);
    }
    o->number[0] = epsilon;
    return op_end(o, run_AddLayerNorm);
}

#endif

static int run_RmsNorm(op *o)
{
    int64_t width = o->in[1].shape[0], rows = view_count(&o->in[0]) / width;
    float *x = op_load(o, &o->in[0]), *rstd = op_memory(o, rows);
    const float *gamma = op_load(o, &o->in[1]);
    for (int64_t i = 0; i < rows; i++) {
        double squares = 0.0;
        for (int64_t j = 0; j < width; j++)
            squares += (double)x[i * width + j] * (double)x[i * width + j];
        double inverse = 1.0 / sqrt(squares / (double)width + o->number[0]);
        for (int64_t j = 0; j < width; j++)
            x[i * width + j] = (float)((double)x[i * width + j] * inverse) * gamma[j];
        rstd[i] = (float)inverse;
    }
    op_store(&o->out[0], x);
    op_store(&o->out[1], rstd);
    return 0;
}

PHASE_ONE(RmsNorm, const aclTensor *x, const aclTensor *gamma, double epsilon,
          const aclTensor *yOut, const aclTensor *rstdOut)
{
    OP_BEGIN(RmsNorm);
    op_input(o, x, T_FLOATS);
    op_input(o, gamma, T_FLOATS);
    op_output(o, yOut, T_FLOATS);
    op_output(o, rstdOut, T_F32);
    const view *in = &o->in[0], *rstd = &o->out[1];
    OP_REQUIRE(o, o->in[1].rank == 1 && in->rank >= 1 &&
                      o->in[1].shape[0] == in->shape[in->rank - 1],
               "gamma is not of the last extent");
    OP_REQUIRE(o, o->in[1].dtype == ACL_FLOAT || o->in[1].dtype == in->dtype,
               "gamma has another dtype than x or FLOAT");
    OP_REQUIRE(o, view_same_shape(in, &o->out[0]) && in->dtype == o->out[0].dtype,
               "yOut is not like x");
    OP_REQUIRE(o, rstd->rank == in->rank, "rstdOut has another rank than x");
    for (int i = 0; i < in->rank && o->status == 0; i++)
        OP_REQUIRE(o, rstd->shape[i] == (i == in->rank - 1 ? 1 : in->shape[i]),
                   "rstdOut has the wrong shape");
    o->number[0] = epsilon;
    return op_end(o, run_RmsNorm);
}
