/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary embedding.  docs/ascend.md, "Operators: rotary".
 *
 * Tables are real and F32, made on the host: no complex numbers and no f64 on the
 * device.  They come as wide as a head, which the fused operator wants; the plain form
 * multiplies and adds the two halves of every pair.
 */
#include "platform/ascend/limits.h"
#include "platform/ascend/operators.h"

typedef struct rope_run {
    ascend *a;
    const pf_rope_args *args;
    int64_t pairs;
    bool half;
} rope_run;

/* --- the fused operator ------------------------------------------------------------------ */

/* Rows of x that use each row of the table once. */
static int64_t rows_of_group(const pf_rope_args *args)
{
    int64_t rows = args->x.shape[0], positions = args->table.cos.shape[0];
    return rows < positions ? rows : positions;
}

/* [G * L, N * D] as [G, L, N, D]. */
static pf_tensor as_bsnd(pf_tensor rows, int64_t length, int64_t heads)
{
    int64_t width = rows.shape[1] / heads;
    pf_tensor result = rows;
    result.rank = 4;
    int64_t shape[4] = {rows.shape[0] / length, length, heads, width};
    int64_t stride[4] = {length * rows.stride[0], rows.stride[0], width, 1};
    for (int i = 0; i < 4; i++) {
        result.shape[i] = shape[i];
        result.stride[i] = stride[i];
    }
    return result;
}

bool pf_ascend_can_rotate(const ascend *a, const pf_rope_args *args)
{
    int64_t groups = args->x.shape[0] / rows_of_group(args);
    return a->fused && pf_ascend_has(a, ASCEND_RotaryPositionEmbedding) &&
           !args->numerics.round_bf16 &&
           pf_ascend_rope_fits(groups * args->heads, args->x.shape[1] / args->heads);
}

pf_status pf_ascend_rotate(ascend *a, const pf_rope_args *args, pf_tensor y)
{
    int64_t length = rows_of_group(args);
    pf_tensor cosines = pf_tensor_slice(args->table.cos, 0, 0, length);
    pf_tensor sines = pf_tensor_slice(args->table.sin, 0, 0, length);
    return pf_ascend_launch(a, &(ascend_call){
        .op = ASCEND_RotaryPositionEmbedding,
        .in = {as_bsnd(args->x, length, args->heads), as_bsnd(cosines, length, 1),
               as_bsnd(sines, length, 1)},
        .out = {as_bsnd(y, length, args->heads)},
        .number = {args->form == PF_ROPE_HALF ? 0 : 1}});
}

static pf_status rotate_fused(const rope_run *r)
{
    pf_tensor y;
    PF_TRY(pf_ascend_temp(r->a, PF_F32, 2, r->args->x.shape, &y));
    PF_TRY(pf_ascend_rotate(r->a, r->args, y));
    return pf_ascend_move(r->a, y, r->args->x);
}

/* --- the plain form ------------------------------------------------------------------------ */

/* The first or second elements of all pairs: [rows, heads, pairs]. */
static pf_tensor side_of(const rope_run *r, pf_tensor x, int second)
{
    int64_t heads = r->args->heads, step = r->half ? 1 : 2;
    pf_tensor side = x;
    side.rank = 3;
    int64_t shape[3] = {x.shape[0], heads, r->pairs};
    int64_t stride[3] = {x.stride[0], 2 * r->pairs, step};
    for (int i = 0; i < 3; i++) {
        side.shape[i] = shape[i];
        side.stride[i] = stride[i];
    }
    side.data = (float *)x.data + (second ? (r->half ? r->pairs : 1) : 0);
    return side;
}

/* A wide table [P, 2 * pairs] as [rows, 1, pairs], one entry a pair. */
static pf_tensor table_of(const rope_run *r, pf_tensor table, int64_t rows)
{
    pf_tensor t = table;
    t.rank = 3;
    t.shape[0] = rows;
    t.shape[1] = t.stride[1] = 1;
    t.shape[2] = r->pairs;
    t.stride[2] = r->half ? 1 : 2;
    return t;
}

static pf_status product(const rope_run *r, pf_tensor x, pf_tensor table, pf_tensor *out)
{
    PF_TRY(pf_ascend_temp(r->a, PF_F32, x.rank, x.shape, out));
    PF_TRY(pf_ascend_combine(r->a, ASCEND_Mul, x, table, *out));
    return pf_ascend_round_if(r->a, r->half && r->args->numerics.round_bf16, *out);
}

/* Rows [first, first + rows), which begin with the table. */
static pf_status rotate_rows(const rope_run *r, int64_t first, int64_t rows)
{
    const pf_rope_args *args = r->args;
    bool round = args->numerics.round_bf16;
    pf_tensor part = pf_tensor_slice(args->x, 0, first, rows);
    pf_tensor x = side_of(r, part, 0), y = side_of(r, part, 1);
    pf_tensor cosines = table_of(r, args->table.cos, rows);
    pf_tensor sines = table_of(r, args->table.sin, rows);
    pf_tensor xc, ys, yc, xs;
    PF_TRY(product(r, x, cosines, &xc));
    PF_TRY(product(r, y, sines, &ys));
    PF_TRY(product(r, y, cosines, &yc));
    PF_TRY(product(r, x, sines, &xs));
    PF_TRY(pf_ascend_combine(r->a, ASCEND_Sub, xc, ys, x));
    PF_TRY(pf_ascend_round_if(r->a, round, x));
    PF_TRY(pf_ascend_combine(r->a, ASCEND_Add, yc, xs, y));
    return pf_ascend_round_if(r->a, round, y);
}

pf_status pf_ascend_rotate_in_place(ascend *a, const pf_rope_args *args)
{
    rope_run r = {a, args, args->table.cos.shape[1] / 2, args->form == PF_ROPE_HALF};
    if (pf_ascend_can_rotate(a, args))
        return rotate_fused(&r);
    int64_t rows = args->x.shape[0], length = rows_of_group(args);
    for (int64_t at = 0; at < rows; at += length)
        PF_TRY(rotate_rows(&r, at, length));
    return PF_OK;
}

pf_status pf_ascend_rope(pf_platform *platform, const pf_rope_args *args, pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    return ascend_is_empty(&args->x) ? PF_OK : pf_ascend_rotate_in_place(a, args);
}
