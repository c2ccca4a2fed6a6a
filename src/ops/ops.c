/* SPDX-License-Identifier: Apache-2.0 */
/* Operations: shape checks, cost, and the call of the platform's kernel.
 *
 * A wrong shape here is a fault in model code, not in somebody's input (configs
 * and weights were checked when the component opened): it is PF_E_INTERNAL.
 *
 *     pf_op_NAME      expect: ranks, shapes, dtypes, adjacent rows
 *                     count: FLOPs, bytes, launches
 *       launch_NAME   numerics, scratch memory of a layer
 *         worker      the platform, its counter, or nobody (the table in ops.h)
 *
 * So a kernel may trust its arguments, and a dry run checks and counts what a film does.
 */
#include "ops/ops.h"

#include <stdio.h>

/* --- checks ----------------------------------------------------------------- */

static pf_status refuse(pf_ops *ops, const char *op, const char *what,
                        const pf_tensor *found)
{
    char shape[128];
    pf_tensor_shape_text(found, shape);
    return pf_fail(ops->error, PF_E_INTERNAL, "%s: %s has shape %s (%s)", op, what,
                   shape, pf_dtype_name(found->dtype));
}

/* NEEDED and OPTIONAL tensors are F32, HIDDEN ones F32 or [hidden] (kernels.h). */
typedef enum demand { NEEDED, OPTIONAL, HIDDEN } demand;

typedef struct expectation {
    const char *what;
    const pf_tensor *tensor;
    demand demand;
    int rank;
    int64_t shape[4];
} expectation;

static pf_status expect(pf_ops *ops, const char *op, const expectation *e)
{
    if (pf_tensor_is_null(e->tensor) && e->demand == OPTIONAL)
        return PF_OK;
    pf_dtype other = e->demand == HIDDEN ? pf_hidden_dtype(ops->platform, ops->numerics)
                                         : PF_F32;
    if (pf_tensor_is_null(e->tensor) ||
        (e->tensor->dtype != PF_F32 && e->tensor->dtype != other) ||
        !pf_tensor_has_shape(e->tensor, e->rank, e->shape))
        return refuse(ops, op, e->what, e->tensor);
    return PF_OK;
}

/* Checks a list that ends with an empty row. */
static pf_status expect_all(pf_ops *ops, const char *op, const expectation *list)
{
    for (; list->what; list++)
        PF_TRY(expect(ops, op, list));
    return PF_OK;
}

/* Rows whose elements are adjacent: what matrix kernels take. */
static pf_status expect_rows(pf_ops *ops, const char *op, const char *what,
                             const pf_tensor *tensor)
{
    if (pf_tensor_is_null(tensor))
        return PF_OK;
    if (tensor->rank != 2 || (tensor->shape[1] > 1 && tensor->stride[1] != 1))
        return refuse(ops, op, what, tensor);
    return PF_OK;
}

/* --- cost ------------------------------------------------------------------- */

static double tensor_bytes(const pf_tensor *tensor)
{
    return pf_tensor_is_null(tensor) ? 0.0 : (double)pf_tensor_bytes(tensor);
}

/* Adds one launch.  A multiply-add is two FLOPs; a factor in front of a count of values (8 of
 * a norm, 20 of a snake) is the arithmetic of a value, roughly: it is far below the rest. */
static void count(pf_ops *ops, double flops, double bytes)
{
    ops->cost.flops += flops;
    ops->cost.bytes += bytes;
    ops->cost.launches++;
}

/* --- launches --------------------------------------------------------------- */

/* The platform that is given the kernels (the table in ops.h), or NULL. */
static pf_platform *worker_of(const pf_ops *ops)
{
    return ops->dry ? ops->counter : ops->platform;
}

/* launch_linear(ops, args) and its kin: call the kernel with the numerics of ops. */
#define LAUNCH(slot, type)                                                     \
    static pf_status launch_##slot(pf_ops *ops, const type *args)              \
    {                                                                          \
        pf_platform *worker = worker_of(ops);                                  \
        type call = *args;                                                     \
        call.numerics = ops->numerics;                                         \
        return worker ? worker->table.slot(worker, &call, ops->error) : PF_OK; \
    }
PF_SINGLE_KERNEL_LIST(LAUNCH)
#undef LAUNCH

/* Takes as much as the platform asks for; dry runs take it, too, so that it is in the peak. */
static pf_status take_scratch(pf_ops *ops, pf_kernel which, const void *args,
                              pf_scratch *out)
{
    pf_platform *platform = ops->platform;
    return pf_ops_scratch(ops, platform->table.scratch_bytes(platform, which, args), out);
}

/* launch_attend(ops, args) and its kin: layers have scratch memory during the call. */
#define LAUNCH_LAYER(slot, type)                                               \
    static pf_status launch_##slot(pf_ops *ops, const type *args)              \
    {                                                                          \
        pf_platform *worker = worker_of(ops);                                  \
        pf_mark mark = pf_ops_mark(ops);                                       \
        type call = *args;                                                     \
        call.numerics = ops->numerics;                                         \
        PF_TRY(take_scratch(ops, PF_KERNEL_##slot, &call, &call.scratch));     \
        if (worker)                                                            \
            PF_TRY(worker->table.slot(worker, &call, ops->error));             \
        pf_ops_rewind(ops, mark);                                              \
        return PF_OK;                                                          \
    }
PF_LAYER_LIST(LAUNCH_LAYER)
#undef LAUNCH_LAYER

/* --- matrices --------------------------------------------------------------- */

pf_status pf_op_linear(pf_ops *ops, const pf_linear_args *args)
{
    const pf_tensor *w = &args->weight->source.values;
    if (args->weight->source.kind != PF_WEIGHT_LINEAR || w->rank != 2)
        return refuse(ops, "linear", "weight", w);
    int64_t n = w->shape[0], k = w->shape[1], m = args->x.shape[0];
    PF_TRY(expect_all(ops, "linear", (const expectation[]){
        {"x", &args->x, HIDDEN, 2, {m, k}},
        {"y", &args->y, HIDDEN, 2, {m, n}},
        {"bias", &args->bias, OPTIONAL, 1, {n}},
        {"gate", &args->gate, OPTIONAL, 1, {n}},
        {"mul", &args->mul, OPTIONAL, 2, {m, n}},
        {"residual", &args->residual, OPTIONAL, 2, {m, n}},
        {0}}));
    PF_TRY(expect_rows(ops, "linear", "x", &args->x));
    PF_TRY(expect_rows(ops, "linear", "y", &args->y));
    PF_TRY(expect_rows(ops, "linear", "mul", &args->mul));
    PF_TRY(expect_rows(ops, "linear", "residual", &args->residual));
    count(ops, 2.0 * (double)m * (double)n * (double)k,
          tensor_bytes(&args->x) + tensor_bytes(w) + tensor_bytes(&args->y) +
              tensor_bytes(&args->residual) + tensor_bytes(&args->mul));
    return launch_linear(ops, args);
}

/* 4 Lq Lk D FLOPs a group: q k^T and p v, two each. */
pf_status pf_op_attention(pf_ops *ops, const pf_attention_args *args)
{
    int64_t lq = args->q.shape[0], lk = args->k.shape[0], d = args->q.shape[1];
    int64_t heads = args->heads, groups = args->groups > 0 ? args->groups : 1;
    PF_TRY(expect_all(ops, "attention", (const expectation[]){
        {"q", &args->q, HIDDEN, 2, {lq, d}},
        {"k", &args->k, HIDDEN, 2, {lk, d}},
        {"v", &args->v, HIDDEN, 2, {lk, d}},
        {"out", &args->out, HIDDEN, 2, {lq, d}},
        {"bias", &args->bias, OPTIONAL, 3, {heads, lq / groups, lk / groups}},
        {0}}));
    PF_TRY(expect_rows(ops, "attention", "q", &args->q));
    PF_TRY(expect_rows(ops, "attention", "k", &args->k));
    PF_TRY(expect_rows(ops, "attention", "v", &args->v));
    PF_TRY(expect_rows(ops, "attention", "out", &args->out));
    if (heads < 1 || d % heads != 0 || lk < 1 || lq % groups != 0 || lk % groups != 0)
        return refuse(ops, "attention", "q (for its heads and groups)", &args->q);
    count(ops, 4.0 * (double)lq * (double)(lk / groups) * (double)d,
          tensor_bytes(&args->q) + tensor_bytes(&args->k) +
              tensor_bytes(&args->v) + tensor_bytes(&args->out));
    return launch_attention(ops, args);
}

/* shift and factor: both null, [C], or [M, C]. */
static pf_status expect_modulation(pf_ops *ops, const pf_norm_args *args)
{
    int64_t m = args->x.shape[0], c = args->x.shape[1];
    if (pf_tensor_is_null(&args->shift) != pf_tensor_is_null(&args->factor))
        return refuse(ops, "norm", "shift without factor, or the reverse",
                      &args->x);
    if (pf_tensor_is_null(&args->shift))
        return PF_OK;
    int rank = args->shift.rank;
    return expect_all(ops, "norm", (const expectation[]){
        {"shift", &args->shift, NEEDED, rank, {rank == 1 ? c : m, c}},
        {"factor", &args->factor, NEEDED, rank, {rank == 1 ? c : m, c}},
        {0}});
}

pf_status pf_op_norm(pf_ops *ops, const pf_norm_args *args)
{
    int64_t m = args->x.shape[0], c = args->x.shape[1];
    PF_TRY(expect_all(ops, "norm", (const expectation[]){
        {"x", &args->x, NEEDED, 2, {m, c}},
        {"y", &args->y, HIDDEN, 2, {m, c}},
        {"plus", &args->plus, OPTIONAL, 2, {m, c}},
        {"sum", &args->sum, pf_tensor_is_null(&args->plus) ? OPTIONAL : NEEDED, 2, {m, c}},
        {"weight", &args->weight, OPTIONAL, 1, {c}},
        {"bias", &args->bias, OPTIONAL, 1, {c}},
        {0}}));
    PF_TRY(expect_rows(ops, "norm", "x", &args->x));
    PF_TRY(expect_rows(ops, "norm", "y", &args->y));
    PF_TRY(expect_rows(ops, "norm", "sum", &args->sum));
    PF_TRY(expect_modulation(ops, args));
    count(ops, 8.0 * (double)m * (double)c,
          tensor_bytes(&args->x) + tensor_bytes(&args->y) + tensor_bytes(&args->plus) +
              tensor_bytes(&args->sum));
    return launch_norm(ops, args);
}

/* A table for `rows` rows of heads of `width` columns. */
static pf_status expect_table(pf_ops *ops, const pf_rope_table *t, int64_t rows,
                              int64_t width)
{
    bool wide = ops->platform->capabilities.table_columns == 2;
    int64_t positions = t->cos.shape[0], each = t->rows_per_position;
    int64_t columns = wide ? width : width / 2;
    if (each < 1 || (wide && each > 1) || width % 2 != 0 ||
        (rows > positions * each && rows % (positions * each) != 0))
        return refuse(ops, "rope", "cos (for its rows)", &t->cos);
    PF_TRY(expect_all(ops, "rope", (const expectation[]){
        {"cos", &t->cos, NEEDED, 2, {positions, columns}},
        {"sin", &t->sin, NEEDED, 2, {positions, columns}},
        {0}}));
    return PF_OK;
}

/* [P, pairs] as [P * rows_per_position, 2 * pairs], an entry for each column of a head: entry j
 * stands in columns 2j and 2j + 1 of the interleaved form, in j and j + pairs of the half
 * form.  A copy from a view with repeated axes does both. */
static pf_status widen(pf_ops *ops, pf_rope_form form, int64_t each, pf_tensor *table)
{
    int64_t rows = table->shape[0], pairs = table->shape[1];
    bool half = form == PF_ROPE_HALF;
    pf_tensor wide, from = pf_tensor_repeat(*table, 1, each);
    PF_TRY(pf_ops_matrix(ops, rows * each, 2 * pairs, &wide));
    from = pf_tensor_repeat(from, half ? 2 : 3, 2);
    *table = wide;
    return pf_op_copy(ops, &(pf_copy_args){
        .from = from, .to = pf_tensor_reshape(wide, 4, from.shape)});
}

pf_status pf_ops_rope_table(pf_ops *ops, pf_rope_form form, pf_rope_table *table)
{
    bool round = ops->numerics.round_bf16;
    if (ops->platform->capabilities.table_columns != 2)
        return PF_OK;
    ops->numerics.round_bf16 = false;           /* the entries stay as they are */
    pf_status status = widen(ops, form, table->rows_per_position, &table->cos);
    if (status == PF_OK)
        status = widen(ops, form, table->rows_per_position, &table->sin);
    ops->numerics.round_bf16 = round;
    table->rows_per_position = 1;
    return status;
}

/* --- layers of several kernels ------------------------------------------------- */

/* A weight [n, k] with its bias and norm [n]. */
static pf_status expect_weight(pf_ops *ops, const char *op, const pf_projection *p,
                               int64_t n, int64_t k)
{
    const pf_tensor *w = &p->weight->source.values;
    if (p->weight->source.kind != PF_WEIGHT_LINEAR || w->rank != 2 || w->shape[0] != n ||
        w->shape[1] != k)
        return refuse(ops, op, "a weight", w);
    return expect_all(ops, op, (const expectation[]){
        {"a bias", &p->bias, OPTIONAL, 1, {n}},
        {"a norm", &p->norm, OPTIONAL, 1, {n}},
        {0}});
}

/* x [m, k] by a weight [n, k], rotated as `heads` heads where there is a table. */
static pf_status expect_projection(pf_ops *ops, const char *op, const pf_projection *p,
                                   const pf_tensor *x, int64_t n, int heads)
{
    PF_TRY(expect_all(ops, op, (const expectation[]){
        {"an input", x, HIDDEN, 2, {x->shape[0], x->shape[1]}},
        {0}}));
    PF_TRY(expect_rows(ops, op, "an input", x));
    PF_TRY(expect_weight(ops, op, p, n, x->shape[1]));
    if (pf_tensor_is_null(&p->table.cos))
        return PF_OK;
    if (heads < 1 || n % heads != 0)
        return refuse(ops, op, "a weight (for its heads)", &p->weight->source.values);
    return expect_table(ops, &p->table, x->shape[0], n / heads);
}

/* linear, then norm and rope where the projection has them: a launch each. */
static void count_projection(pf_ops *ops, const pf_projection *p, int64_t m)
{
    const pf_tensor *w = &p->weight->source.values;
    double columns = (double)w->shape[0], width = (double)w->shape[1];
    double values = (double)m * columns;
    count(ops, 2.0 * values * width,
          4.0 * (values + (double)m * width) + tensor_bytes(w));
    if (!pf_tensor_is_null(&p->norm))
        count(ops, 8.0 * values, 8.0 * values);
    if (!pf_tensor_is_null(&p->table.cos))
        count(ops, 3.0 * values, 8.0 * values);
}

/* Gate, residual and y [m, n] of the last linear layer. */
static pf_status expect_end(pf_ops *ops, const char *op, const pf_tensor *gate,
                            const pf_tensor *residual, const pf_tensor *y)
{
    int64_t m = y->shape[0], n = y->shape[1];
    PF_TRY(expect_all(ops, op, (const expectation[]){
        {"y", y, NEEDED, 2, {m, n}},
        {"gate", gate, OPTIONAL, 1, {n}},
        {"residual", residual, OPTIONAL, 2, {m, n}},
        {0}}));
    PF_TRY(expect_rows(ops, op, "y", y));
    return expect_rows(ops, op, "residual", residual);
}

/* For checks: the dtype of kept keys and values counts as F32. */
static pf_tensor as_f32(const pf_ops *ops, pf_tensor keys)
{
    if (keys.dtype == ops->platform->capabilities.keys)
        keys.dtype = PF_F32;
    return keys;
}

pf_status pf_op_project(pf_ops *ops, const pf_project_args *args)
{
    int64_t m = args->x.shape[0], n = args->y.shape[1];
    PF_TRY(expect_projection(ops, "project", &args->by, &args->x, n, args->heads));
    PF_TRY(expect_all(ops, "project", (const expectation[]){
        {"y", &args->y, HIDDEN, 2, {m, n}},
        {0}}));
    PF_TRY(expect_rows(ops, "project", "y", &args->y));
    count_projection(ops, &args->by, m);
    return launch_project(ops, args);
}

/* The extents of an attend. */
typedef struct attend_sizes {
    int64_t queries, keys, columns, groups;     /* rows of all groups */
    bool kept;
} attend_sizes;

static attend_sizes sizes_of(const pf_attend_args *args)
{
    bool kept = pf_tensor_is_null(&args->condition);
    return (attend_sizes){
        .queries = args->x.shape[0], .columns = args->q.weight->source.values.shape[0],
        .keys = kept ? args->kept.shape[1] : args->condition.shape[0],
        .groups = args->groups > 0 ? args->groups : 1, .kept = kept};
}

/* Keys and values: kept ones [2, G Lk, D], or projections of the condition. */
static pf_status expect_keys(pf_ops *ops, const pf_attend_args *args,
                             const attend_sizes *s)
{
    pf_tensor kept = as_f32(ops, args->kept);
    if (s->kept)
        return expect_all(ops, "attend", (const expectation[]){
            {"kept", &kept, NEEDED, 3, {2, s->keys, s->columns}},
            {0}});
    PF_TRY(expect_projection(ops, "attend", &args->k, &args->condition, s->columns,
                             args->heads));
    return expect_projection(ops, "attend", &args->v, &args->condition, s->columns,
                             args->heads);
}

static pf_status expect_attend(pf_ops *ops, const pf_attend_args *args,
                               const attend_sizes *s)
{
    if (args->heads < 1 || s->columns % args->heads != 0 || s->keys < 1 ||
        s->queries % s->groups != 0 || s->keys % s->groups != 0)
        return refuse(ops, "attend", "x (for its heads and groups)", &args->x);
    PF_TRY(expect_projection(ops, "attend", &args->q, &args->x, s->columns, args->heads));
    PF_TRY(expect_keys(ops, args, s));
    PF_TRY(expect_weight(ops, "attend", &args->out, args->y.shape[1], s->columns));
    PF_TRY(expect_all(ops, "attend", (const expectation[]){
        {"y", &args->y, NEEDED, 2, {s->queries, args->y.shape[1]}},
        {"bias", &args->bias, OPTIONAL, 3,
         {args->heads, s->queries / s->groups, s->keys / s->groups}},
        {0}}));
    return expect_end(ops, "attend", &args->gate, &args->residual, &args->y);
}

/* A layer counts as the kernels that define it, however few a platform makes of them; its
 * bytes are then an upper bound. */
pf_status pf_op_attend(pf_ops *ops, const pf_attend_args *args)
{
    attend_sizes s = sizes_of(args);
    PF_TRY(expect_attend(ops, args, &s));
    count_projection(ops, &args->q, s.queries);
    if (!s.kept) {
        count_projection(ops, &args->k, s.keys);
        count_projection(ops, &args->v, s.keys);
    }
    count(ops, 4.0 * (double)s.queries * (double)(s.keys / s.groups) * (double)s.columns,
          8.0 * (double)(s.queries + s.keys) * (double)s.columns);
    count_projection(ops, &args->out, s.queries);
    return launch_attend(ops, args);
}

pf_status pf_op_feed_forward(pf_ops *ops, const pf_feed_forward_args *args)
{
    int64_t m = args->x.shape[0], f = args->in.weight->source.values.shape[0];
    PF_TRY(expect_projection(ops, "feed_forward", &args->in, &args->x, f, 0));
    PF_TRY(expect_weight(ops, "feed_forward", &args->out, args->y.shape[1], f));
    PF_TRY(expect_all(ops, "feed_forward", (const expectation[]){
        {"y", &args->y, NEEDED, 2, {m, args->y.shape[1]}},
        {0}}));
    PF_TRY(expect_end(ops, "feed_forward", &args->gate, &args->residual, &args->y));
    count_projection(ops, &args->in, m);
    count_projection(ops, &args->out, m);
    return launch_feed_forward(ops, args);
}

/* --- feature maps ----------------------------------------------------------- */

pf_status pf_op_conv(pf_ops *ops, const pf_conv_args *args)
{
    const pf_tensor *w = &args->weight->source.values;
    if (args->weight->source.kind != PF_WEIGHT_CONV || w->rank != 5)
        return refuse(ops, "conv", "weight", w);
    int64_t co = w->shape[0], ci = w->shape[1];
    const int64_t *x = args->x.shape, *y = args->y.shape;
    PF_TRY(expect_all(ops, "conv", (const expectation[]){
        {"x", &args->x, NEEDED, 4, {ci, x[1], x[2], x[3]}},
        {"y", &args->y, NEEDED, 4, {co, y[1], y[2], y[3]}},
        {"bias", &args->bias, OPTIONAL, 1, {co}},
        {"residual", &args->residual, OPTIONAL, 4, {co, y[1], y[2], y[3]}},
        {0}}));
    for (int i = 0; i < 3; i++)
        if (args->stride[i] < 1 || args->dilation[i] < 1 || args->pad_front[i] < 0)
            return refuse(ops, "conv", "stride, dilation or padding of the weight", w);
    double taps = (double)(w->shape[2] * w->shape[3] * w->shape[4]);
    count(ops, 2.0 * (double)pf_tensor_count(&args->y) * (double)ci * taps,
          tensor_bytes(&args->x) + tensor_bytes(w) + tensor_bytes(&args->y) +
              tensor_bytes(&args->residual));
    return launch_conv(ops, args);
}

pf_status pf_op_conv_transposed(pf_ops *ops, const pf_conv_transposed_args *args)
{
    const pf_tensor *w = &args->weight->source.values;
    if (args->weight->source.kind != PF_WEIGHT_CONV_TRANSPOSED || w->rank != 3 ||
        args->stride < 1 || args->pad < 0)
        return refuse(ops, "conv_transposed", "weight", w);
    int64_t ci = w->shape[0], co = w->shape[1], l = args->x.shape[3];
    PF_TRY(expect_all(ops, "conv_transposed", (const expectation[]){
        {"x", &args->x, NEEDED, 4, {ci, 1, 1, l}},
        {"y", &args->y, NEEDED, 4, {co, 1, 1, args->y.shape[3]}},
        {"bias", &args->bias, OPTIONAL, 1, {co}},
        {0}}));
    count(ops, 2.0 * (double)l * (double)pf_tensor_count(w),
          tensor_bytes(&args->x) + tensor_bytes(w) + tensor_bytes(&args->y));
    return launch_conv_transposed(ops, args);
}

pf_status pf_op_channel_norm(pf_ops *ops, const pf_channel_norm_args *args)
{
    const int64_t *s = args->x.shape;
    PF_TRY(expect_all(ops, "channel_norm", (const expectation[]){
        {"x", &args->x, NEEDED, 4, {s[0], s[1], s[2], s[3]}},
        {"y", &args->y, NEEDED, 4, {s[0], s[1], s[2], s[3]}},
        {"gamma", &args->gamma, NEEDED, 1, {s[0]}},
        {0}}));
    count(ops, 8.0 * (double)pf_tensor_count(&args->x), 2.0 * tensor_bytes(&args->x));
    return launch_channel_norm(ops, args);
}

pf_status pf_op_snake(pf_ops *ops, const pf_snake_args *args)
{
    const int64_t *s = args->x.shape;
    PF_TRY(expect_all(ops, "snake", (const expectation[]){
        {"x", &args->x, NEEDED, 4, {s[0], s[1], s[2], s[3]}},
        {"y", &args->y, NEEDED, 4, {s[0], s[1], s[2], s[3]}},
        {"alpha", &args->alpha, NEEDED, 1, {s[0]}},
        {0}}));
    count(ops, 20.0 * (double)pf_tensor_count(&args->x), 2.0 * tensor_bytes(&args->x));
    return launch_snake(ops, args);
}

pf_status pf_op_upsample(pf_ops *ops, const pf_upsample_args *args)
{
    const int64_t *s = args->x.shape;
    PF_TRY(expect_all(ops, "upsample", (const expectation[]){
        {"x", &args->x, NEEDED, 4, {s[0], s[1], s[2], s[3]}},
        {"y", &args->y, NEEDED, 4, {s[0], s[1], 2 * s[2], 2 * s[3]}},
        {0}}));
    count(ops, 0.0, tensor_bytes(&args->x) + tensor_bytes(&args->y));
    return launch_upsample(ops, args);
}

/* --- element by element ----------------------------------------------------- */

static pf_status expect_same(pf_ops *ops, const char *op, const pf_tensor *a,
                             const pf_tensor *b)
{
    if (pf_tensor_is_null(a) || pf_tensor_is_null(b) || a->dtype != PF_F32 ||
        b->dtype != PF_F32 || !pf_tensor_same_shape(a, b))
        return refuse(ops, op, "an operand", b);
    return PF_OK;
}

pf_status pf_op_unary(pf_ops *ops, const pf_unary_args *args)
{
    PF_TRY(expect_same(ops, "unary", &args->x, &args->y));
    count(ops, 4.0 * (double)pf_tensor_count(&args->x), 2.0 * tensor_bytes(&args->x));
    return launch_unary(ops, args);
}

pf_status pf_op_add(pf_ops *ops, const pf_add_args *args)
{
    PF_TRY(expect_same(ops, "add", &args->a, &args->y));
    PF_TRY(expect_same(ops, "add", &args->b, &args->y));
    count(ops, (double)pf_tensor_count(&args->y), 3.0 * tensor_bytes(&args->y));
    return launch_add(ops, args);
}

pf_status pf_op_copy(pf_ops *ops, const pf_copy_args *args)
{
    pf_tensor to = as_f32(ops, args->to);
    PF_TRY(expect_same(ops, "copy", &args->from, &to));
    count(ops, 0.0, 2.0 * tensor_bytes(&args->to));
    return launch_copy(ops, args);
}

pf_status pf_op_fill(pf_ops *ops, const pf_fill_args *args)
{
    PF_TRY(expect_same(ops, "fill", &args->y, &args->y));
    count(ops, 0.0, tensor_bytes(&args->y));
    return launch_fill(ops, args);
}

pf_status pf_op_embedding(pf_ops *ops, const pf_embedding_args *args)
{
    int64_t l = args->ids.shape[0], c = args->table.shape[1];
    PF_TRY(expect_all(ops, "embedding", (const expectation[]){
        {"y", &args->y, NEEDED, 2, {l, c}},
        {0}}));
    if (args->ids.dtype != PF_I32 || args->ids.rank != 1)
        return refuse(ops, "embedding", "ids", &args->ids);
    if (args->table.rank != 2 || !pf_tensor_is_contiguous(&args->table))
        return refuse(ops, "embedding", "table", &args->table);
    count(ops, 0.0, 2.0 * tensor_bytes(&args->y));
    return launch_embedding(ops, args);
}

pf_status pf_op_lerp_rows(pf_ops *ops, const pf_lerp_rows_args *args)
{
    int64_t c = args->x.shape[1];
    PF_TRY(expect_all(ops, "lerp_rows", (const expectation[]){
        {"x", &args->x, NEEDED, 2, {args->x.shape[0], c}},
        {"y", &args->y, NEEDED, 2, {args->y.shape[0], c}},
        {0}}));
    PF_TRY(expect_rows(ops, "lerp_rows", "x", &args->x));
    PF_TRY(expect_rows(ops, "lerp_rows", "y", &args->y));
    count(ops, 3.0 * (double)pf_tensor_count(&args->y), 3.0 * tensor_bytes(&args->y));
    return launch_lerp_rows(ops, args);
}

/* --- the sampler ------------------------------------------------------------ */

pf_status pf_op_guidance(pf_ops *ops, const pf_guidance_args *args)
{
    int64_t n = pf_tensor_count(&args->v);
    PF_TRY(expect_all(ops, "guidance", (const expectation[]){
        {"v", &args->v, NEEDED, 1, {n}},
        {"positive", &args->positive, NEEDED, 1, {n}},
        {"negative", &args->negative, NEEDED, 1, {n}},
        {"bridge_off", &args->bridge_off, OPTIONAL, 1, {n}},
        {0}}));
    count(ops, 6.0 * (double)n, 4.0 * tensor_bytes(&args->v));
    return launch_guidance(ops, args);
}

pf_status pf_op_step(pf_ops *ops, const pf_step_args *args)
{
    int64_t n = pf_tensor_count(&args->x);
    PF_TRY(expect_all(ops, "step", (const expectation[]){
        {"x", &args->x, NEEDED, 1, {n}},
        {"v", &args->v, NEEDED, 1, {n}},
        {"delta", &args->delta, NEEDED, 1, {1}},
        {0}}));
    count(ops, 2.0 * (double)n, 3.0 * tensor_bytes(&args->x));
    return launch_step(ops, args);
}
