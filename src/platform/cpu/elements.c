/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that goes element by element, for tensors of any strides.
 *
 * The axes are first put in the order in which the result lies in memory, and
 * axes that follow one another without gaps become one, so that the innermost run
 * is long and adjacent whenever the operands allow it.  A run goes in pieces of
 * PIECE elements: what is not adjacent is gathered into a buffer before and
 * scattered from one after, and the arithmetic sees adjacent floats only.
 */
#include "platform/cpu/kernels.h"
#include "platform/cpu/vec.h"
#include "platform/reference/kernels.h"

enum { OPERANDS = 3, PIECE = 512, BLOCK = 4096 };

/* --- the walk --------------------------------------------------------------- */

/* Result and inputs over the same axes; operand 0 is the result. */
typedef struct walk {
    int operands, rank;
    float *data[OPERANDS];
    int64_t shape[PF_MAX_RANK];
    int64_t stride[PF_MAX_RANK][OPERANDS];
} walk;

static void add_operand(walk *w, const pf_tensor *t)
{
    w->data[w->operands] = t->data;
    for (int i = 0; i < t->rank; i++)
        w->stride[i][w->operands] = t->stride[i];
    w->operands++;
}

static void swap_axes(walk *w, int a, int b)
{
    int64_t extent = w->shape[a];
    w->shape[a] = w->shape[b];
    w->shape[b] = extent;
    for (int k = 0; k < w->operands; k++) {
        int64_t stride = w->stride[a][k];
        w->stride[a][k] = w->stride[b][k];
        w->stride[b][k] = stride;
    }
}

/* Whether a step of axis `outer` is a whole run of axis `inner`, in every operand. */
static bool follows(const walk *w, int outer, int inner)
{
    for (int k = 0; k < w->operands; k++)
        if (w->stride[outer][k] != w->stride[inner][k] * w->shape[inner])
            return false;
    return true;
}

static void drop_axis(walk *w, int axis)
{
    for (int i = axis; i + 1 < w->rank; i++)
        swap_axes(w, i, i + 1);
    w->rank--;
}

/* The result's largest stride first. */
static void order_axes(walk *w)
{
    for (int i = 1; i < w->rank; i++)
        for (int k = i; k > 0 && w->stride[k - 1][0] < w->stride[k][0]; k--)
            swap_axes(w, k - 1, k);
}

static walk make_walk(const pf_tensor *y, const pf_tensor *a, const pf_tensor *b)
{
    walk w = {.rank = y->rank};
    for (int i = 0; i < y->rank; i++)
        w.shape[i] = y->shape[i];
    add_operand(&w, y);
    if (a)
        add_operand(&w, a);
    if (b)
        add_operand(&w, b);
    for (int i = w.rank - 1; i >= 0; i--)
        if (w.shape[i] == 1)
            drop_axis(&w, i);
    order_axes(&w);
    for (int i = w.rank - 1; i > 0; i--)
        if (follows(&w, i - 1, i)) {
            int64_t extent = w.shape[i - 1];
            drop_axis(&w, i - 1);
            w.shape[i - 1] *= extent;
        }
    if (w.rank == 0)
        w.shape[w.rank++] = 1;          /* strides are 0 */
    return w;
}

/* --- pieces ----------------------------------------------------------------- */

/* y[0 .. n) from a and b (NULL where there is none), all adjacent. */
typedef void (*piece_body)(const void *args, const float *a, const float *b, float *y,
                           int64_t n);

typedef struct element_job {
    walk walk;
    piece_body body;
    const void *args;
} element_job;

/* Where operand k of piece `first` of a row lies. */
static float *operand_at(const walk *w, int k, int64_t row, int64_t first)
{
    float *p = w->data[k] + first * w->stride[w->rank - 1][k];
    for (int i = w->rank - 2; i >= 0; i--) {
        p += row % w->shape[i] * w->stride[i][k];
        row /= w->shape[i];
    }
    return p;
}

static const float *gather(const float *p, int64_t stride, int64_t n, float *buffer)
{
    if (stride == 1)
        return p;
    for (int64_t i = 0; i < n; i++)
        buffer[i] = p[i * stride];
    return buffer;
}

static void run_piece(const element_job *j, int64_t row, int64_t first, int64_t n)
{
    const walk *w = &j->walk;
    const int64_t *stride = w->stride[w->rank - 1];
    float buffer[OPERANDS][PIECE];
    const float *input[OPERANDS] = {NULL};
    for (int k = 1; k < w->operands; k++)
        input[k] = gather(operand_at(w, k, row, first), stride[k], n, buffer[k]);
    float *y = operand_at(w, 0, row, first);
    j->body(j->args, input[1], input[2], stride[0] == 1 ? y : buffer[0], n);
    if (stride[0] != 1)
        for (int64_t i = 0; i < n; i++)
            y[i * stride[0]] = buffer[0][i];
}

/* Items are blocks of the last axis. */
static void run_blocks(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const element_job *j = argument;
    int64_t extent = j->walk.shape[j->walk.rank - 1];
    int64_t blocks = (extent + BLOCK - 1) / BLOCK;
    for (int64_t item = begin; item < end; item++) {
        int64_t first = item % blocks * BLOCK, last = least(first + BLOCK, extent);
        for (; first < last; first += PIECE)
            run_piece(j, item / blocks, first, least(PIECE, last - first));
    }
}

static void run_elements(pf_platform *platform, element_job *j)
{
    const walk *w = &j->walk;
    int64_t extent = w->shape[w->rank - 1];
    int64_t items = (extent + BLOCK - 1) / BLOCK;
    for (int i = 0; i < w->rank - 1; i++)
        items *= w->shape[i];
    if (items > 0)
        pf_pool_for(platform->pool, items, extent < BLOCK ? BLOCK / extent : 1,
                    run_blocks, j);
}

/* --- the kernels ------------------------------------------------------------ */

VF_INLINE vf unary_of(const pf_unary_args *a, pf_unary kind, vf x)
{
    switch (kind) {
    case PF_UNARY_SILU: return vf_silu(x);
    case PF_UNARY_TANH: return vf_tanh(x);
    case PF_UNARY_AFFINE: return vf_add(vf_mul(vf_set(a->a), x), vf_set(a->b));
    case PF_UNARY_ROUND_BF16: return vf_round_bf16(x);
    }
    return x;
}

static void unary_piece(const void *args, const float *x, const float *none, float *y,
                        int64_t n)
{
    (void)none;
    const pf_unary_args *a = args;
    for (int64_t i = 0; i < n; i += VF_WIDTH) {
        vf v = unary_of(a, a->kind, vf_load_part(x + i, n - i));
        vf_store_part(y + i, vf_round_if(v, a->numerics.round_bf16), n - i);
    }
}

pf_status PF_CPU(unary)(pf_platform *platform, const pf_unary_args *args,
                        pf_error *error)
{
    (void)error;
    element_job job = {make_walk(&args->y, &args->x, NULL), unary_piece, args};
    run_elements(platform, &job);
    return PF_OK;
}

static void add_piece(const void *args, const float *a, const float *b, float *y,
                         int64_t n)
{
    const pf_add_args *op = args;
    for (int64_t i = 0; i < n; i += VF_WIDTH) {
        vf v = vf_add(vf_load_part(a + i, n - i), vf_load_part(b + i, n - i));
        vf_store_part(y + i, vf_round_if(v, op->numerics.round_bf16), n - i);
    }
}

pf_status PF_CPU(add)(pf_platform *platform, const pf_add_args *args,
                         pf_error *error)
{
    (void)error;
    element_job job = {make_walk(&args->y, &args->a, &args->b), add_piece, args};
    run_elements(platform, &job);
    return PF_OK;
}

static void copy_piece(const void *args, const float *x, const float *none, float *y,
                       int64_t n)
{
    (void)none;
    const pf_copy_args *a = args;
    for (int64_t i = 0; i < n; i += VF_WIDTH) {
        vf v = vf_load_part(x + i, n - i);
        vf_store_part(y + i, vf_round_if(v, a->numerics.round_bf16), n - i);
    }
}

pf_status PF_CPU(copy)(pf_platform *platform, const pf_copy_args *args,
                       pf_error *error)
{
    (void)error;
    element_job job = {make_walk(&args->to, &args->from, NULL), copy_piece, args};
    run_elements(platform, &job);
    return PF_OK;
}

static void fill_piece(const void *args, const float *none, const float *neither,
                       float *y, int64_t n)
{
    (void)none, (void)neither;
    const pf_fill_args *a = args;
    for (int64_t i = 0; i < n; i += VF_WIDTH)
        vf_store_part(y + i, vf_set(a->value), n - i);
}

pf_status PF_CPU(fill)(pf_platform *platform, const pf_fill_args *args,
                       pf_error *error)
{
    (void)error;
    element_job job = {make_walk(&args->y, NULL, NULL), fill_piece, args};
    run_elements(platform, &job);
    return PF_OK;
}
