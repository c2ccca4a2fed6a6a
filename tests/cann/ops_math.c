/* SPDX-License-Identifier: Apache-2.0 */
/* Emulated operators on elements, shapes and reductions.  docs/ascend.md,
 * "Operators: elementwise", "Operators: data movement", "Operators: reductions".
 */
#include <math.h>
#include <string.h>

#include "op.h"

enum { NUMBERS = T_FLOATS | T_F64 | T_I32 | T_I64 | T_I8 | T_U8 };

static bool is_float(aclDataType dtype)
{
    return dtype == ACL_FLOAT || dtype == ACL_FLOAT16 || dtype == ACL_BF16 ||
           dtype == ACL_DOUBLE;
}

/* Integers and a float scalar make floats, which no integer takes. */
static void require_scalar(op *o, const aclScalar *scalar)
{
    OP_REQUIRE(o, !scalar || !is_float(scalar->dtype) || is_float(o->out[0].dtype),
               "a float result cannot be cast to the integer out");
}

/* --- elements ------------------------------------------------------------------- */

static void require_same(op *o)
{
    OP_REQUIRE(o, o->in[0].dtype == o->out[0].dtype, "self and out differ in dtype");
    OP_REQUIRE(o, view_same_shape(&o->in[0], &o->out[0]),
               "self and out differ in shape");
}

/* An expression of x, and of the attributes a and b. */
#define UNARY_RUN(name, expression)                                            \
    static int run_##name(op *o)                                               \
    {                                                                          \
        float *values = op_load(o, &o->in[0]);                                 \
        int64_t count = view_count(&o->in[0]);                                 \
        const float a = (float)o->number[0], b = (float)o->number[1];          \
        (void)a;                                                               \
        (void)b;                                                               \
        for (int64_t i = 0; i < count; i++) {                                  \
            const float x = values[i];                                         \
            values[i] = (expression);                                          \
        }                                                                      \
        op_store(&o->out[0], values);                                          \
        return 0;                                                              \
    }

#define UNARY(name, expression)                                                \
    UNARY_RUN(name, expression)                                                \
    PHASE_ONE(name, const aclTensor *self, aclTensor *out)                     \
    {                                                                          \
        OP_BEGIN(name);                                                        \
        op_input(o, self, T_FLOATS);                                           \
        op_output(o, out, T_FLOATS);                                           \
        require_same(o);                                                       \
        return op_end(o, run_##name);                                          \
    }

UNARY(Silu, x / (1.0f + expf(-x)))
UNARY(Tanh, tanhf(x))
UNARY(Sin, sinf(x))
UNARY(Exp, expf(x))
UNARY(Reciprocal, 1.0f / x)

UNARY_RUN(GeluErf, 0.5f * x * (1.0f + erff(x * 0.70710678f)))
UNARY_RUN(GeluTanh,
          0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * (x * x * x)))))

/* approximate: 0 erf, 1 tanh. */
PHASE_ONE(GeluV2, const aclTensor *self, int64_t approximate, aclTensor *out)
{
    OP_BEGIN(GeluV2);
    op_input(o, self, T_FLOATS);
    op_output(o, out, T_FLOATS);
    require_same(o);
    OP_REQUIRE(o, approximate == 0 || approximate == 1, "approximate is %lld",
               (long long)approximate);
    return op_end(o, approximate ? run_GeluTanh : run_GeluErf);
}

UNARY_RUN(Clamp, x < a ? a : x > b ? b : x)

/* Either bound may be left out, not both. */
PHASE_ONE(Clamp, const aclTensor *self, const aclScalar *low, const aclScalar *high,
          aclTensor *out)
{
    OP_BEGIN(Clamp);
    op_input(o, self, NUMBERS);
    op_output(o, out, NUMBERS);
    require_same(o);
    OP_REQUIRE(o, low || high, "both bounds are NULL");
    o->number[0] = low ? op_scalar(o, low) : -INFINITY;
    o->number[1] = high ? op_scalar(o, high) : INFINITY;
    return op_end(o, run_Clamp);
}

UNARY_RUN(Muls, x * a)
UNARY_RUN(Adds, x + a * b)

PHASE_ONE(Muls, const aclTensor *self, const aclScalar *other, aclTensor *out)
{
    OP_BEGIN(Muls);
    op_input(o, self, NUMBERS);
    op_output(o, out, NUMBERS);
    require_same(o);
    o->number[0] = op_scalar(o, other);
    require_scalar(o, other);
    return op_end(o, run_Muls);
}

PHASE_ONE(InplaceMuls, aclTensor *selfRef, const aclScalar *other)
{
    OP_BEGIN(InplaceMuls);
    op_inplace(o, selfRef, NUMBERS);
    o->number[0] = op_scalar(o, other);
    require_scalar(o, other);
    return op_end(o, run_Muls);
}

PHASE_ONE(Adds, const aclTensor *self, const aclScalar *other, const aclScalar *alpha,
          aclTensor *out)
{
    OP_BEGIN(Adds);
    op_input(o, self, NUMBERS);
    op_output(o, out, NUMBERS);
    require_same(o);
    o->number[0] = op_scalar(o, other);
    o->number[1] = op_scalar(o, alpha);
    require_scalar(o, other);
    return op_end(o, run_Adds);
}

PHASE_ONE(InplaceAdds, const aclTensor *selfRef, const aclScalar *other,
          const aclScalar *alpha)
{
    OP_BEGIN(InplaceAdds);
    op_inplace(o, selfRef, NUMBERS);
    o->number[0] = op_scalar(o, other);
    o->number[1] = op_scalar(o, alpha);
    require_scalar(o, other);
    return op_end(o, run_Adds);
}

/* --- two and three tensors --------------------------------------------------------- */

/* The dtype of operands before they are combined: f16 with bf16 is f32. */
static aclDataType promoted(const view *a, const view *b)
{
    if (a->dtype == b->dtype)
        return a->dtype;
    return ACL_FLOAT;
}

static void require_broadcast(op *o)
{
    const view *out = &o->out[0];
    for (int i = 0; i < o->inputs; i++)
        OP_REQUIRE(o, view_broadcasts(&o->in[i], out),
                   "tensor %d cannot be repeated to the shape of out", i);
    bool whole = out->rank == 0 || o->status != 0;
    for (int axis = 1; axis <= out->rank && !whole; axis++) {
        bool reached = out->shape[out->rank - axis] == 1;
        for (int i = 0; i < o->inputs; i++)
            reached = reached || (axis <= o->in[i].rank &&
                                  o->in[i].shape[o->in[i].rank - axis] ==
                                      out->shape[out->rank - axis]);
        OP_REQUIRE(o, reached, "out is larger than its operands");
    }
    aclDataType dtype = promoted(&o->in[0], &o->in[1]);
    OP_REQUIRE(o, !is_float(dtype) || is_float(out->dtype),
               "a float result cannot be cast to the integer out");
}

#define BINARY_RUN(name, expression)                                           \
    static int run_##name(op *o)                                               \
    {                                                                          \
        float *left = op_load_like(o, &o->in[0], &o->out[0]);                  \
        const float *right = op_load_like(o, &o->in[1], &o->out[0]);           \
        int64_t count = view_count(&o->out[0]);                                \
        const float a = (float)o->number[0];                                   \
        (void)a;                                                               \
        for (int64_t i = 0; i < count; i++) {                                  \
            const float x = left[i], y = right[i];                             \
            left[i] = (expression);                                            \
        }                                                                      \
        op_store(&o->out[0], left);                                            \
        return 0;                                                              \
    }

#define BINARY_TAIL(name)                                                      \
    require_broadcast(o);                                                      \
    return op_end(o, run_##name)

BINARY_RUN(Add, x + a * y)
BINARY_RUN(Sub, x - a * y)
BINARY_RUN(Mul, x * y)
BINARY_RUN(Div, x / y)

#define BINARY_ALPHA(name)                                                     \
    PHASE_ONE(name, const aclTensor *self, const aclTensor *other,             \
              const aclScalar *alpha, aclTensor *out)                          \
    {                                                                          \
        OP_BEGIN(name);                                                        \
        op_input(o, self, NUMBERS);                                            \
        op_input(o, other, NUMBERS);                                           \
        o->number[0] = op_scalar(o, alpha);                                    \
        op_output(o, out, NUMBERS);                                            \
        BINARY_TAIL(name);                                                     \
    }                                                                          \
    PHASE_ONE(Inplace##name, aclTensor *selfRef, const aclTensor *other,       \
              const aclScalar *alpha)                                          \
    {                                                                          \
        OP_BEGIN(Inplace##name);                                               \
        op_inplace(o, selfRef, NUMBERS);                                       \
        op_input(o, other, NUMBERS);                                           \
        o->number[0] = op_scalar(o, alpha);                                    \
        BINARY_TAIL(name);                                                     \
    }

#define BINARY_PLAIN(name)                                                     \
    PHASE_ONE(name, const aclTensor *self, const aclTensor *other,             \
              aclTensor *out)                                                  \
    {                                                                          \
        OP_BEGIN(name);                                                        \
        op_input(o, self, NUMBERS);                                            \
        op_input(o, other, NUMBERS);                                           \
        op_output(o, out, NUMBERS);                                            \
        BINARY_TAIL(name);                                                     \
    }                                                                          \
    PHASE_ONE(Inplace##name, aclTensor *selfRef, const aclTensor *other)       \
    {                                                                          \
        OP_BEGIN(Inplace##name);                                               \
        op_inplace(o, selfRef, NUMBERS);                                       \
        op_input(o, other, NUMBERS);                                           \
        BINARY_TAIL(name);                                                     \
    }

BINARY_ALPHA(Add)
BINARY_ALPHA(Sub)
BINARY_PLAIN(Mul)
BINARY_PLAIN(Div)

/* self + value * tensor1 * tensor2 */
static int run_Addcmul(op *o)
{
    float *self = op_load_like(o, &o->in[0], &o->out[0]);
    const float *x = op_load_like(o, &o->in[1], &o->out[0]);
    const float *y = op_load_like(o, &o->in[2], &o->out[0]);
    int64_t count = view_count(&o->out[0]);
    const float value = (float)o->number[0];
    for (int64_t i = 0; i < count; i++)
        self[i] += value * x[i] * y[i];
    op_store(&o->out[0], self);
    return 0;
}

static void require_one_dtype(op *o)
{
    for (int i = 1; i < o->inputs; i++)
        OP_REQUIRE(o, o->in[i].dtype == o->in[0].dtype, "dtypes differ");
}

PHASE_ONE(Addcmul, const aclTensor *self, const aclTensor *tensor1,
          const aclTensor *tensor2, const aclScalar *value, aclTensor *out)
{
    OP_BEGIN(Addcmul);
    op_input(o, self, T_FLOATS);
    op_input(o, tensor1, T_FLOATS);
    op_input(o, tensor2, T_FLOATS);
    o->number[0] = op_scalar(o, value);
    op_output(o, out, T_FLOATS);
    require_one_dtype(o);
    require_broadcast(o);
    return op_end(o, run_Addcmul);
}

PHASE_ONE(InplaceAddcmul, const aclTensor *selfRef, const aclTensor *tensor1,
          const aclTensor *tensor2, const aclScalar *value)
{
    OP_BEGIN(InplaceAddcmul);
    op_inplace(o, selfRef, T_FLOATS);
    op_input(o, tensor1, T_FLOATS);
    op_input(o, tensor2, T_FLOATS);
    o->number[0] = op_scalar(o, value);
    require_one_dtype(o);
    require_broadcast(o);
    return op_end(o, run_Addcmul);
}

/* --- data movement ------------------------------------------------------------------ */

static int run_Copy(op *o)
{
    const view *from = &o->in[o->inputs - 1];
    op_store(&o->out[0], op_load_like(o, from, &o->out[0]));
    return 0;
}

PHASE_ONE(Cast, const aclTensor *self, const aclDataType dtype, aclTensor *out)
{
    OP_BEGIN(Cast);
    op_input(o, self, NUMBERS | T_BOOL);
    op_output(o, out, NUMBERS | T_BOOL);
    OP_REQUIRE(o, o->out[0].dtype == dtype, "out is not of the dtype asked for");
    OP_REQUIRE(o, view_same_shape(&o->in[0], &o->out[0]), "shapes differ");
    OP_REQUIRE(o, o->in[0].dtype != ACL_BOOL || view_dense(&o->in[0]),
               "a BOOL input that is not contiguous");
    return op_end(o, run_Copy);
}

PHASE_ONE(InplaceCopy, aclTensor *selfRef, const aclTensor *src)
{
    OP_BEGIN(InplaceCopy);
    op_inplace(o, selfRef, NUMBERS | T_BOOL);
    op_input(o, src, NUMBERS | T_BOOL);
    OP_REQUIRE(o, view_broadcasts(&o->in[1], &o->out[0]),
               "src cannot be repeated to the shape of selfRef");
    return op_end(o, run_Copy);
}

/* array 0: a flag for each axis that is mirrored. */
static int run_Flip(op *o)
{
    const view *in = &o->in[0];
    float *from = op_load(o, in), *to = op_memory(o, view_count(in));
    for (int64_t i = 0; i < view_count(in); i++) {
        int64_t rest = i, at = 0, step = 1;
        for (int axis = in->rank - 1; axis >= 0; axis--) {
            int64_t index = rest % in->shape[axis];
            rest /= in->shape[axis];
            at += step * (o->array[0][axis] ? in->shape[axis] - 1 - index : index);
            step *= in->shape[axis];
        }
        to[i] = from[at];
    }
    op_store(&o->out[0], to);
    return 0;
}

PHASE_ONE(Flip, const aclTensor *self, const aclIntArray *dims, aclTensor *out)
{
    OP_BEGIN(Flip);
    op_input(o, self, NUMBERS);
    op_output(o, out, NUMBERS);
    require_same(o);
    int count = op_array(o, dims, 1);
    for (int i = 0; i < count && o->status == 0; i++) {
        int64_t axis = o->array[1][i];
        OP_REQUIRE(o, axis >= 0 && axis < o->in[0].rank && !o->array[0][axis],
                   "axis %lld of %d, or twice", (long long)axis, o->in[0].rank);
        if (o->status == 0)
            o->array[0][axis] = 1;
    }
    return op_end(o, run_Flip);
}

static int run_Fill(op *o)
{
    int64_t count = view_count(&o->out[0]);
    float *values = op_memory(o, count);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)o->number[0];
    op_store(&o->out[0], values);
    return 0;
}

PHASE_ONE(InplaceFillScalar, aclTensor *selfRef, const aclScalar *value)
{
    OP_BEGIN(InplaceFillScalar);
    op_inplace(o, selfRef, NUMBERS | T_BOOL);
    o->number[0] = op_scalar(o, value);
    return op_end(o, run_Fill);
}

/* array 0: (front, behind) of the last axis, then of the one before it ... */
static int run_Pad(op *o)
{
    view inner = o->out[0];
    run_Fill(o);
    for (int i = 0; i < inner.rank; i++) {
        int64_t front = o->array[0][2 * (inner.rank - 1 - i)];
        inner.offset += front * inner.stride[i];
        inner.shape[i] = o->in[0].shape[i];
    }
    op_store(&inner, op_load(o, &o->in[0]));
    return 0;
}

PHASE_ONE(ConstantPadNd, const aclTensor *self, const aclIntArray *pad,
          const aclScalar *value, aclTensor *out)
{
    OP_BEGIN(ConstantPadNd);
    op_input(o, self, NUMBERS);
    op_output(o, out, NUMBERS);
    int count = op_array(o, pad, 0);
    o->number[0] = op_scalar(o, value);
    int rank = o->in[0].rank;
    OP_REQUIRE(o, count % 2 == 0 && count <= 2 * rank, "pad has %d values", count);
    OP_REQUIRE(o, o->out[0].rank == rank, "ranks differ");
    for (int i = 0; i < count; i++)
        OP_REQUIRE(o, o->array[0][i] >= 0, "cropping is not emulated");
    for (int i = 0; i < rank && o->status == 0; i++) {
        const int64_t *p = &o->array[0][2 * (rank - 1 - i)];
        OP_REQUIRE(o, o->out[0].shape[i] == o->in[0].shape[i] + p[0] + p[1],
                   "extent %d of out is not that of self with its padding", i);
    }
    return op_end(o, run_Pad);
}

/* --- reductions ----------------------------------------------------------------------- */

enum { REDUCE_MAX, REDUCE_SUM, REDUCE_NORM };

/* Over the axes with array[0][axis] set: each output element in f64. */
static int run_Reduce(op *o)
{
    const view *in = &o->in[0];
    view kept = *in, reduced = *in;
    for (int i = 0; i < in->rank; i++) {
        bool over = o->array[0][i];
        kept.shape[i] = over ? 1 : in->shape[i];
        reduced.shape[i] = over ? in->shape[i] : 1;
    }
    int kind = (int)o->number[0];
    int64_t outputs = view_count(&kept), terms = view_count(&reduced);
    float *results = op_memory(o, outputs);
    for (int64_t i = 0; i < outputs; i++) {
        view part = reduced;
        int64_t rest = i;
        for (int axis = in->rank - 1; axis >= 0; axis--) {
            part.offset += rest % kept.shape[axis] * kept.stride[axis];
            rest /= kept.shape[axis];
        }
        int before = o->memories;
        const float *x = op_load(o, &part);
        double sum = kind == REDUCE_MAX ? -INFINITY : 0.0;
        for (int64_t k = 0; k < terms; k++)
            sum = kind == REDUCE_MAX  ? fmax(sum, (double)x[k])
                  : kind == REDUCE_SUM ? sum + (double)x[k]
                                       : sum + (double)x[k] * (double)x[k];
        results[i] = (float)(kind == REDUCE_NORM ? sqrt(sum) : sum);
        op_release_to(o, before);
    }
    op_store(&o->out[0], results);
    return 0;
}

/* dims into the flags of array 0; out has to fit. */
static void reduce_over(op *o, const aclIntArray *dims, bool keep)
{
    int count = op_array(o, dims, 1), rank = o->in[0].rank;
    int64_t flags[OP_ARRAY] = {0};
    for (int i = 0; i < count && o->status == 0; i++) {
        int64_t axis = o->array[1][i] < 0 ? o->array[1][i] + rank : o->array[1][i];
        OP_REQUIRE(o, axis >= 0 && axis < rank, "axis %lld of %d", (long long)axis, rank);
        OP_REQUIRE(o, axis < 0 || axis >= OP_ARRAY || !flags[axis], "an axis twice");
        if (o->status == 0)
            flags[axis] = 1;
    }
    memcpy(o->array[0], flags, sizeof flags);
    int at = 0;
    for (int i = 0; i < rank && o->status == 0; i++) {
        if (flags[i] && !keep)
            continue;
        OP_REQUIRE(o, at < o->out[0].rank &&
                          o->out[0].shape[at] == (flags[i] ? 1 : o->in[0].shape[i]),
                   "the shape of out is not that of the reduction");
        at++;
    }
    OP_REQUIRE(o, at == o->out[0].rank, "out has the wrong rank");
}

PHASE_ONE(Amax, const aclTensor *self, const aclIntArray *dim, bool keepDim,
          aclTensor *out)
{
    OP_BEGIN(Amax);
    op_input(o, self, NUMBERS);
    op_output(o, out, NUMBERS);
    o->number[0] = REDUCE_MAX;
    reduce_over(o, dim, keepDim);
    OP_REQUIRE(o, o->in[0].dtype == o->out[0].dtype, "dtypes differ");
    return op_end(o, run_Reduce);
}

PHASE_ONE(ReduceSum, const aclTensor *self, const aclIntArray *dims, bool keepDims,
          aclDataType dtype, aclTensor *out)
{
    OP_BEGIN(ReduceSum);
    op_input(o, self, NUMBERS);
    op_output(o, out, NUMBERS);
    o->number[0] = REDUCE_SUM;
    reduce_over(o, dims, keepDims);
    OP_REQUIRE(o, o->out[0].dtype == dtype, "out is not of the dtype asked for");
    return op_end(o, run_Reduce);
}

PHASE_ONE(Norm, const aclTensor *self, const aclScalar *p, const aclIntArray *dim,
          bool keepdim, aclTensor *out)
{
    OP_BEGIN(Norm);
    op_input(o, self, T_FLOATS);
    op_output(o, out, T_FLOATS);
    o->number[0] = REDUCE_NORM;
    reduce_over(o, dim, keepdim);
    OP_REQUIRE(o, op_scalar(o, p) == 2.0, "only the 2-norm is emulated");
    return op_end(o, run_Reduce);
}

static int run_Std(op *o)
{
    const float *x = op_load(o, &o->in[0]);
    int64_t count = view_count(&o->in[0]);
    double mean = 0.0, squares = 0.0;
    for (int64_t i = 0; i < count; i++)
        mean += (double)x[i];
    mean /= (double)count;
    for (int64_t i = 0; i < count; i++)
        squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    float result = (float)sqrt(squares / ((double)count - o->number[0]));
    op_store(&o->out[0], &result);
    return 0;
}

PHASE_ONE(Std, const aclTensor *self, const aclIntArray *dim, const int64_t correction,
          bool keepdim, aclTensor *out)
{
    OP_BEGIN(Std);
    op_input(o, self, T_FLOATS);
    op_output(o, out, T_FLOATS);
    reduce_over(o, dim, keepdim);
    OP_REQUIRE(o, view_count(&o->out[0]) == 1, "only over all axes is emulated");
    o->number[0] = (double)correction;
    return op_end(o, run_Std);
}
