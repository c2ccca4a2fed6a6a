/* Rotary embedding.  docs/ascend.md, "Operators: rotary".
 *
 * Tables are real and F32, made on the host: no complex numbers and no f64 on the
 * device.  The fused operator wants them as wide as a head and a row for each row
 * of x; the plain form multiplies and adds the two halves of every pair.
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

/* [P, pairs] written out to [rows, D], rows = P * rows_per_position. */
static pf_status widen_table(const rope_run *r, pf_tensor table, pf_tensor *out)
{
    int64_t each = r->args->rows_per_position, rows = r->args->x.shape[0];
    int64_t positions = (rows + each - 1) / each, pairs = r->pairs;
    PF_TRY(ascend_temp(r->a, PF_F32, 2, (int64_t[]){positions * each, 2 * pairs}, out));
    pf_tensor from = pf_tensor_slice(table, 0, 0, positions);
    pf_tensor to = pf_tensor_reshape(
        *out, 4, r->half ? (int64_t[]){positions, each, 2, pairs}
                         : (int64_t[]){positions, each, pairs, 2});
    from.rank = 4;
    int64_t shape[4] = {positions, 1, r->half ? 1 : pairs, r->half ? pairs : 1};
    int64_t stride[4] = {table.stride[0], 1, r->half ? 1 : table.stride[1],
                         r->half ? table.stride[1] : 1};
    for (int i = 0; i < 4; i++) {
        from.shape[i] = shape[i];
        from.stride[i] = stride[i];
    }
    PF_TRY(ascend_move(r->a, from, to));
    *out = pf_tensor_slice(*out, 0, 0, rows);
    return PF_OK;
}

static pf_tensor as_bsnd(pf_tensor rows, int64_t heads)
{
    int64_t width = rows.shape[1] / heads;
    pf_tensor result = rows;
    result.rank = 4;
    int64_t shape[4] = {1, rows.shape[0], heads, width};
    int64_t stride[4] = {rows.shape[0] * rows.stride[0], rows.stride[0], width, 1};
    for (int i = 0; i < 4; i++) {
        result.shape[i] = shape[i];
        result.stride[i] = stride[i];
    }
    return result;
}

static pf_status rotate_fused(const rope_run *r)
{
    const pf_rope_args *args = r->args;
    pf_tensor cosines, sines, y;
    PF_TRY(widen_table(r, args->cos, &cosines));
    PF_TRY(widen_table(r, args->sin, &sines));
    PF_TRY(ascend_temp(r->a, PF_F32, 2, args->x.shape, &y));
    PF_TRY(ascend_launch(r->a, &(ascend_call){
        .op = ASCEND_RotaryPositionEmbedding,
        .in = {as_bsnd(args->x, args->heads), as_bsnd(cosines, 1), as_bsnd(sines, 1)},
        .out = {as_bsnd(y, args->heads)}, .number = {r->half ? 0 : 1}}));
    return ascend_move(r->a, y, args->x);
}

/* --- the plain form ------------------------------------------------------------------------ */

/* The first or second elements of all pairs: [positions, each, heads, pairs]. */
static pf_tensor side_of(const rope_run *r, pf_tensor x, int64_t each, int second)
{
    int64_t heads = r->args->heads, step = r->half ? 1 : 2;
    pf_tensor side = x;
    side.rank = 4;
    int64_t shape[4] = {x.shape[0] / each, each, heads, r->pairs};
    int64_t stride[4] = {each * x.stride[0], x.stride[0], 2 * r->pairs, step};
    for (int i = 0; i < 4; i++) {
        side.shape[i] = shape[i];
        side.stride[i] = stride[i];
    }
    side.data = (float *)x.data + (second ? (r->half ? r->pairs : 1) : 0);
    return side;
}

/* [P, pairs] as [P, 1, 1, pairs]. */
static pf_tensor table_of(pf_tensor table, int64_t first, int64_t positions)
{
    pf_tensor t = pf_tensor_slice(table, 0, first, positions);
    int64_t row = t.stride[0], column = t.stride[1], pairs = t.shape[1];
    t.rank = 4;
    t.shape[1] = t.shape[2] = t.stride[1] = t.stride[2] = 1;
    t.shape[3] = pairs;
    t.stride[0] = row;
    t.stride[3] = column;
    return t;
}

static pf_status product(const rope_run *r, pf_tensor x, pf_tensor table, pf_tensor *out)
{
    PF_TRY(ascend_temp(r->a, PF_F32, x.rank, x.shape, out));
    PF_TRY(ascend_combine(r->a, ASCEND_Mul, x, table, *out));
    return ascend_round_if(r->a, r->half && r->args->numerics.round_bf16, *out);
}

/* Rows [first, first + rows), `each` to a position. */
static pf_status rotate_rows(const rope_run *r, int64_t first, int64_t rows,
                             int64_t each)
{
    const pf_rope_args *args = r->args;
    bool round = args->numerics.round_bf16;
    if (rows == 0)
        return PF_OK;
    pf_tensor part = pf_tensor_slice(args->x, 0, first, rows);
    pf_tensor x = side_of(r, part, each, 0), y = side_of(r, part, each, 1);
    int64_t position = first / args->rows_per_position, positions = rows / each;
    pf_tensor cosines = table_of(args->cos, position, positions);
    pf_tensor sines = table_of(args->sin, position, positions);
    pf_tensor xc, ys, yc, xs;
    PF_TRY(product(r, x, cosines, &xc));
    PF_TRY(product(r, y, sines, &ys));
    PF_TRY(product(r, y, cosines, &yc));
    PF_TRY(product(r, x, sines, &xs));
    PF_TRY(ascend_combine(r->a, ASCEND_Sub, xc, ys, x));
    PF_TRY(ascend_round_if(r->a, round, x));
    PF_TRY(ascend_combine(r->a, ASCEND_Add, yc, xs, y));
    return ascend_round_if(r->a, round, y);
}

pf_status ascend_rope(pf_platform *platform, const pf_rope_args *args, pf_error *error)
{
    ASCEND_ENTER(a, platform, error);
    rope_run r = {a, args, args->cos.shape[1], args->form == PF_ROPE_HALF};
    if (ascend_is_empty(&args->x))
        return PF_OK;
    if (a->fused && ascend_has(a, ASCEND_RotaryPositionEmbedding) &&
        !args->numerics.round_bf16 && ascend_rope_fits(args->heads, 2 * r.pairs))
        return rotate_fused(&r);
    int64_t each = args->rows_per_position, rows = args->x.shape[0];
    int64_t whole = rows / each * each;
    PF_TRY(rotate_rows(&r, 0, whole, each));
    return rotate_rows(&r, whole, rows - whole, rows - whole);
}
