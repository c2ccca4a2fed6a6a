/* Forward pieces of a Wan tower.  See tower_parts.h; docs/model/towers.md. */
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "model/tower_parts.h"

/* Rows of the feed-forward hidden that exist at a time: the whole of it would be the
 * largest activation by far. */
enum { FFN_ROWS = 4096 };

static const char *tower_name(const pf_tower *t)
{
    return t->modality == PF_VIDEO ? "video" : "audio";
}

/* The rows of a [6, dim] or [2, dim] modulation as vectors. */
static pf_tensor slot_of(const pf_tensor *modulation, int slot)
{
    int64_t dim = modulation->shape[1];
    pf_tensor row = pf_tensor_slice(*modulation, 0, slot, 1);
    return pf_tensor_reshape(row, 1, &dim);
}

/* --- time ------------------------------------------------------------------------- */

/* [cos(t w_j) ..., sin(t w_j) ...], w_j = 10000^(-j / half): f64, then f32. */
static pf_status sinusoid(const pf_tower *t, pf_ops *ops, float timestep,
                          pf_tensor *out)
{
    int64_t count = t->info.freq_dim, half = count / 2;
    PF_TRY(pf_ops_matrix(ops, 1, count, out));
    /* No allocation: this runs in every step. */
    float values[PF_MAX_FREQ_DIM];
    for (int64_t j = 0; j < half; j++) {
        double angle = (double)timestep * pow(10000.0, -(double)j / (double)half);
        values[j] = (float)cos(angle);
        values[half + j] = (float)sin(angle);
    }
    return pf_ops_upload(ops, out, values);
}

/* e and m in f32 arithmetic, into [1, dim] and [1, 6 dim]. */
static pf_status time_layers(const pf_tower *t, pf_ops *ops, float timestep,
                             const pf_tensor *e, const pf_tensor *m)
{
    pf_tensor wave, hidden;
    PF_TRY(sinusoid(t, ops, timestep, &wave));
    PF_TRY(pf_ops_matrix(ops, 1, t->info.dim, &hidden));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = wave, .weight = &t->time_embedding[0].weight,
        .bias = t->time_embedding[0].bias, .activation = PF_ACTIVATION_SILU,
        .y = hidden}));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = hidden, .weight = &t->time_embedding[1].weight,
        .bias = t->time_embedding[1].bias, .y = *e}));
    PF_TRY(pf_op_unary(ops, &(pf_unary_args){
        .kind = PF_UNARY_SILU, .x = *e, .y = hidden}));
    return pf_op_linear(ops, &(pf_linear_args){
        .x = hidden, .weight = &t->time_projection.weight,
        .bias = t->time_projection.bias, .y = *m});
}

pf_status pf_tower_embed_time(pf_tower *tower, pf_ops *ops, float timestep,
                              pf_tower_time *out)
{
    pf_numerics outer = ops->numerics;
    int64_t dim = tower->info.dim;
    pf_tensor e, m;
    PF_TRY(pf_ops_matrix(ops, 1, dim, &e));
    PF_TRY(pf_ops_matrix(ops, 1, PF_MODULATIONS * dim, &m));
    pf_mark mark = pf_ops_mark(ops);
    ops->numerics = (pf_numerics){PF_MATH_F32, false};
    pf_status status = time_layers(tower, ops, timestep, &e, &m);
    ops->numerics = outer;
    PF_TRY(status);
    pf_ops_rewind(ops, mark);
    out->embedding = pf_tensor_reshape(e, 1, &dim);
    out->modulation = pf_tensor_reshape(m, 2, (int64_t[]){PF_MODULATIONS, dim});
    pf_ops_tap(ops, &out->embedding, "%s.time", tower_name(tower));
    pf_ops_tap(ops, &out->modulation, "%s.time_mod", tower_name(tower));
    if (!outer.round_bf16)
        return PF_OK;
    PF_TRY(pf_op_unary(ops, &(pf_unary_args){
        .kind = PF_UNARY_ROUND_BF16, .x = e, .y = e}));
    return pf_op_unary(ops, &(pf_unary_args){
        .kind = PF_UNARY_ROUND_BF16, .x = m, .y = m});
}

/* --- text ------------------------------------------------------------------------- */

/* Shows the context with its repeated last row written out. */
static pf_status tap_context(const pf_tower *t, pf_ops *ops,
                             const pf_tensor *context)
{
    int64_t rows = context->shape[0];
    if (!pf_ops_tapped(ops))
        return PF_OK;
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor whole;
    PF_TRY(pf_ops_matrix(ops, PF_CONTEXT_ROWS, t->info.dim, &whole));
    PF_TRY(pf_op_copy(ops, &(pf_copy_args){
        .from = *context, .to = pf_tensor_slice(whole, 0, 0, rows)}));
    if (rows < PF_CONTEXT_ROWS) {
        pf_tensor last = pf_tensor_slice(*context, 0, rows - 1, 1);
        last.shape[0] = PF_CONTEXT_ROWS - rows;
        last.stride[0] = 0;
        PF_TRY(pf_op_copy(ops, &(pf_copy_args){
            .from = last,
            .to = pf_tensor_slice(whole, 0, rows, PF_CONTEXT_ROWS - rows)}));
    }
    pf_ops_tap(ops, &whole, "%s.text", tower_name(t));
    pf_ops_rewind(ops, mark);
    return PF_OK;
}

static pf_status embed_context(const pf_tower *t, pf_ops *ops,
                               const pf_tensor *text, const pf_tensor *context)
{
    pf_tensor rounded = *text, hidden;
    PF_TRY(pf_ops_matrix(ops, text->shape[0], t->info.dim, &hidden));
    if (ops->numerics.round_bf16) {
        PF_TRY(pf_ops_matrix(ops, text->shape[0], t->info.text_dim, &rounded));
        PF_TRY(pf_op_copy(ops, &(pf_copy_args){.from = *text, .to = rounded}));
    }
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = rounded, .weight = &t->text_embedding[0].weight,
        .bias = t->text_embedding[0].bias, .activation = PF_ACTIVATION_GELU_TANH,
        .y = hidden}));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = hidden, .weight = &t->text_embedding[1].weight,
        .bias = t->text_embedding[1].bias, .y = *context}));
    return tap_context(t, ops, context);
}

/* 0 for every real row, ln(how many) for the one that stands for the rest. */
static pf_status make_key_bias(pf_ops *ops, int64_t rows, pf_tensor *out)
{
    PF_TRY(pf_ops_tensor(ops, 1, &rows, out));
    pf_tensor last = pf_tensor_slice(*out, 0, rows - 1, 1);
    PF_TRY(pf_op_fill(ops, &(pf_fill_args){.value = 0.0f, .y = *out}));
    return pf_op_fill(ops, &(pf_fill_args){
        .value = (float)log((double)(PF_CONTEXT_ROWS - rows + 1)), .y = last});
}

static pf_status make_keys(const pf_tower *t, pf_ops *ops, const pf_tensor *context,
                           const pf_tower_text *out)
{
    for (int i = 0; i < t->info.layers; i++) {
        const pf_attention_layer *a = &t->blocks[i].cross;
        int64_t shape[2] = {out->rows, t->info.dim};
        pf_tensor k = pf_tensor_reshape(pf_tensor_slice(out->keys, 0, i, 1), 2, shape);
        pf_tensor v = pf_tensor_reshape(pf_tensor_slice(out->values, 0, i, 1), 2, shape);
        PF_TRY(pf_project(ops, &(pf_projection){
            .layer = &a->k, .norm = a->norm_k, .epsilon = (float)t->info.epsilon},
            context, &k));
        PF_TRY(pf_project(ops, &(pf_projection){.layer = &a->v}, context, &v));
    }
    return PF_OK;
}

/* Memory for the keys and values of `rows` rows, of which the last may stand for
 * all that follow. */
static pf_status new_text(const pf_tower *t, pf_ops *ops, int64_t rows,
                          pf_tower_text *out)
{
    int64_t shape[3] = {t->info.layers, rows, t->info.dim};
    *out = (pf_tower_text){.rows = rows};
    PF_TRY(pf_ops_tensor(ops, 3, shape, &out->keys));
    PF_TRY(pf_ops_tensor(ops, 3, shape, &out->values));
    return rows < PF_CONTEXT_ROWS ? make_key_bias(ops, rows, &out->key_bias) : PF_OK;
}

pf_status pf_tower_embed_text(pf_tower *tower, pf_ops *ops,
                              const pf_tensor *text, int64_t rows,
                              pf_tower_text *out)
{
    bool shared = !ops->numerics.round_bf16 && rows + 1 < PF_CONTEXT_ROWS;
    PF_TRY(new_text(tower, ops, shared ? rows + 1 : PF_CONTEXT_ROWS, out));
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor context, used = pf_tensor_slice(*text, 0, 0, out->rows);
    PF_TRY(pf_ops_matrix(ops, out->rows, tower->info.dim, &context));
    PF_TRY(embed_context(tower, ops, &used, &context));
    PF_TRY(make_keys(tower, ops, &context, out));
    pf_ops_rewind(ops, mark);
    return PF_OK;
}

pf_status pf_tower_use_context(const pf_tower *tower, pf_ops *ops,
                               const pf_tensor *context, pf_tower_text *out)
{
    PF_TRY(new_text(tower, ops, PF_CONTEXT_ROWS, out));
    return make_keys(tower, ops, context, out);
}

/* --- rotary tables ------------------------------------------------------------------ */

/* Angles of one axis at one position: pos * 10000^(-2i / dims). */
static void fill_axis(float *cosines, float *sines, int dims, double position)
{
    for (int i = 0; i < dims / 2; i++) {
        double angle = position * pow(10000.0, -2.0 * i / (double)dims);
        cosines[i] = (float)cos(angle);
        sines[i] = (float)sin(angle);
    }
}

static void fill_row(const pf_tower *t, float *cosines, float *sines,
                     const int64_t position[3])
{
    int head = t->info.dim / t->info.heads, third = head / 3;
    int first = head - 2 * third;
    if (t->modality == PF_AUDIO && !t->oobleck) {
        fill_axis(cosines, sines, head, (double)position[0]);
        return;
    }
    if (t->oobleck) {
        const double scale = 4.0 / (44100.0 / 2048.0);
        fill_axis(cosines, sines, first, (double)position[0] * scale);
        fill_axis(cosines + first / 2, sines + first / 2, 2 * third, 0.0);
        return;
    }
    fill_axis(cosines, sines, first, (double)position[0]);
    for (int axis = 1; axis < 3; axis++) {
        int at = (first + (axis - 1) * third) / 2;
        fill_axis(cosines + at, sines + at, third, (double)position[axis]);
    }
}

static pf_status check_extent(const pf_tower *t, pf_ops *ops, const int64_t extent[3])
{
    int64_t most = t->modality == PF_VIDEO ? 1024 : 16384;
    for (int axis = 0; axis < 3; axis++)
        if (extent[axis] > most)
            return pf_fail(ops->error, PF_E_ARGUMENT,
                           "the %s tower has rotary positions for %lld, but axis %d "
                           "needs %lld", tower_name(t), (long long)most, axis,
                           (long long)extent[axis]);
    return PF_OK;
}

pf_status pf_tower_rope(const pf_tower *tower, pf_ops *ops,
                        const int64_t extent[3], pf_tensor *cos, pf_tensor *sin)
{
    int64_t pairs = tower->info.dim / tower->info.heads / 2;
    int64_t rows = extent[0] * extent[1] * extent[2], row = 0;
    PF_TRY(check_extent(tower, ops, extent));
    PF_TRY(pf_ops_matrix(ops, rows, pairs, cos));
    PF_TRY(pf_ops_matrix(ops, rows, pairs, sin));
    if (ops->dry)
        return PF_OK;
    float *c = pf_alloc((size_t)(rows * pairs) * sizeof *c);
    float *s = pf_alloc((size_t)(rows * pairs) * sizeof *s);
    pf_status status = PF_OK;
    if (!c || !s)
        status = pf_fail_memory(ops->error, "rotary tables", (size_t)(rows * pairs) * 8);
    for (int64_t f = 0; status == PF_OK && f < extent[0]; f++)
        for (int64_t h = 0; h < extent[1]; h++)
            for (int64_t w = 0; w < extent[2]; w++, row++)
                fill_row(tower, c + row * pairs, s + row * pairs,
                         (int64_t[]){f, h, w});
    if (status == PF_OK)
        status = pf_ops_upload(ops, cos, c);
    if (status == PF_OK)
        status = pf_ops_upload(ops, sin, s);
    pf_free(c);
    pf_free(s);
    return status;
}

/* --- patches ------------------------------------------------------------------------ */

/* [C, T, h, w] seen as [T, Hp, Wp, C, py, px]: the order of patches and of the patch
 * embedding's rows. */
static pf_tensor patches_of(const pf_tower *t, const pf_tensor *map)
{
    pf_tensor view = pf_tensor_split(*map, 3, map->shape[3] / t->info.patch[2]);
    view = pf_tensor_split(view, 2, map->shape[2] / t->info.patch[1]);
    /* [C, T, Hp, py, Wp, px] */
    return pf_tensor_permute(view, (int[]){1, 2, 4, 0, 3, 5});
}

pf_status pf_tower_patchify(const pf_tower *tower, pf_ops *ops,
                            const pf_tensor *input, const pf_tensor *tokens)
{
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor from = patches_of(tower, input), rows;
    int64_t width = (int64_t)tower->info.in_dim * tower->info.patch[0] *
                    tower->info.patch[1] * tower->info.patch[2];
    PF_TRY(pf_ops_matrix(ops, tokens->shape[0], width, &rows));
    PF_TRY(pf_op_copy(ops, &(pf_copy_args){
        .from = from, .to = pf_tensor_reshape(rows, 6, from.shape)}));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = rows, .weight = &tower->patch_embedding.weight,
        .bias = tower->patch_embedding.bias, .y = *tokens}));
    pf_ops_rewind(ops, mark);
    pf_ops_tap(ops, tokens, "%s.patch", tower_name(tower));
    return PF_OK;
}

/* --- blocks ------------------------------------------------------------------------- */

/* One block at work: its tokens and the six modulation vectors. */
typedef struct block_run {
    const pf_tower *tower;
    const pf_tower_block *block;
    const pf_block_inputs *inputs;
    pf_ops *ops;
    pf_tensor x;                        /* [n, dim] */
    pf_tensor modulation;               /* [6, dim] */
    int index;
} block_run;

enum { SHIFT_MSA, SCALE_MSA, GATE_MSA, SHIFT_MLP, SCALE_MLP, GATE_MLP };

static pf_status modulated_norm(const block_run *r, const pf_tensor *x, int shift,
                                int scale, const pf_tensor *y)
{
    return pf_op_norm(r->ops, &(pf_norm_args){
        .kind = PF_NORM_LAYER, .epsilon = (float)r->tower->info.epsilon, .x = *x,
        .shift = slot_of(&r->modulation, shift),
        .scale = slot_of(&r->modulation, scale), .y = *y});
}

static pf_status new_tokens(const block_run *r, pf_tensor *out)
{
    return pf_ops_matrix(r->ops, r->x.shape[0], r->tower->info.dim, out);
}

static pf_status self_attention(const block_run *r)
{
    const pf_attention_layer *a = &r->block->self;
    const pf_tower_info *info = &r->tower->info;
    pf_ops *ops = r->ops;
    pf_tensor h, q, k, v;
    PF_TRY(new_tokens(r, &h));
    PF_TRY(new_tokens(r, &q));
    PF_TRY(new_tokens(r, &k));
    PF_TRY(new_tokens(r, &v));
    PF_TRY(modulated_norm(r, &r->x, SHIFT_MSA, SCALE_MSA, &h));
    pf_projection p = {.layer = &a->q, .norm = a->norm_q,
                       .epsilon = (float)info->epsilon, .heads = info->heads,
                       .form = PF_ROPE_INTERLEAVED, .cos = r->inputs->cos,
                       .sin = r->inputs->sin, .rows_per_position = 1};
    PF_TRY(pf_project(ops, &p, &h, &q));
    p.layer = &a->k;
    p.norm = a->norm_k;
    PF_TRY(pf_project(ops, &p, &h, &k));
    PF_TRY(pf_project(ops, &(pf_projection){.layer = &a->v}, &h, &v));
    /* h has been used up and takes the result. */
    PF_TRY(pf_op_attention(ops, &(pf_attention_args){
        .q = q, .k = k, .v = v, .heads = info->heads,
        .scale = 1.0f / sqrtf((float)(info->dim / info->heads)), .out = h}));
    return pf_op_linear(ops, &(pf_linear_args){
        .x = h, .weight = &a->o.weight, .bias = a->o.bias,
        .gate = slot_of(&r->modulation, GATE_MSA), .residual = r->x, .y = r->x});
}

static pf_status cross_attention(const block_run *r)
{
    const pf_attention_layer *a = &r->block->cross;
    const pf_tower_info *info = &r->tower->info;
    const pf_tower_text *text = r->inputs->text;
    pf_ops *ops = r->ops;
    int64_t shape[2] = {text->rows, info->dim};
    pf_tensor n, q, bias = text->key_bias;
    PF_TRY(new_tokens(r, &n));
    PF_TRY(new_tokens(r, &q));
    PF_TRY(pf_op_norm(ops, &(pf_norm_args){
        .kind = PF_NORM_LAYER, .epsilon = (float)info->epsilon, .x = r->x,
        .weight = r->block->norm3_weight, .bias = r->block->norm3_bias, .y = n}));
    PF_TRY(pf_project(ops, &(pf_projection){
        .layer = &a->q, .norm = a->norm_q, .epsilon = (float)info->epsilon}, &n, &q));
    if (!pf_tensor_is_null(&bias)) {
        bias.rank = 3;
        bias.shape[2] = text->rows;
        bias.stride[2] = 1;
        bias.shape[0] = info->heads;
        bias.shape[1] = r->x.shape[0];
        bias.stride[0] = bias.stride[1] = 0;
    }
    PF_TRY(pf_op_attention(ops, &(pf_attention_args){
        .q = q,
        .k = pf_tensor_reshape(pf_tensor_slice(text->keys, 0, r->index, 1), 2, shape),
        .v = pf_tensor_reshape(pf_tensor_slice(text->values, 0, r->index, 1), 2, shape),
        .heads = info->heads,
        .scale = 1.0f / sqrtf((float)(info->dim / info->heads)), .bias = bias,
        .out = n}));
    return pf_op_linear(ops, &(pf_linear_args){
        .x = n, .weight = &a->o.weight, .bias = a->o.bias, .residual = r->x,
        .y = r->x});
}

static pf_status feed_forward_rows(const block_run *r, int64_t begin, int64_t count)
{
    pf_ops *ops = r->ops;
    pf_tensor x = pf_tensor_slice(r->x, 0, begin, count), h, hidden;
    PF_TRY(pf_ops_matrix(ops, count, r->tower->info.dim, &h));
    PF_TRY(pf_ops_matrix(ops, count, r->tower->info.ffn_dim, &hidden));
    PF_TRY(modulated_norm(r, &x, SHIFT_MLP, SCALE_MLP, &h));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = h, .weight = &r->block->ffn_in.weight, .bias = r->block->ffn_in.bias,
        .activation = PF_ACTIVATION_GELU_TANH, .y = hidden}));
    return pf_op_linear(ops, &(pf_linear_args){
        .x = hidden, .weight = &r->block->ffn_out.weight,
        .bias = r->block->ffn_out.bias, .gate = slot_of(&r->modulation, GATE_MLP),
        .residual = x, .y = x});
}

static pf_status feed_forward(const block_run *r)
{
    int64_t rows = r->x.shape[0];
    for (int64_t begin = 0; begin < rows; begin += FFN_ROWS) {
        pf_mark mark = pf_ops_mark(r->ops);
        int64_t left = rows - begin;
        PF_TRY(feed_forward_rows(r, begin, left < FFN_ROWS ? left : FFN_ROWS));
        pf_ops_rewind(r->ops, mark);
    }
    return PF_OK;
}

pf_status pf_tower_run_block(const pf_tower *tower, pf_ops *ops, int index,
                             const pf_block_inputs *inputs, const pf_tensor *x)
{
    block_run r = {.tower = tower, .block = &tower->blocks[index], .inputs = inputs,
                   .ops = ops, .x = *x, .index = index};
    int64_t dim = tower->info.dim;
    pf_mark start = pf_ops_mark(ops);
    PF_TRY(pf_ops_poll(ops));
    PF_TRY(pf_ops_matrix(ops, PF_MODULATIONS, dim, &r.modulation));
    PF_TRY(pf_op_binary(ops, &(pf_binary_args){
        .kind = PF_BINARY_ADD,
        .a = pf_tensor_reshape(r.block->modulation, 2,
                               (int64_t[]){PF_MODULATIONS, dim}),
        .b = inputs->time->modulation, .y = r.modulation}));
    pf_status (*const parts[])(const block_run *) = {self_attention, cross_attention,
                                                     feed_forward};
    for (int i = 0; i < 3; i++) {
        pf_mark mark = pf_ops_mark(ops);
        PF_TRY(parts[i](&r));
        pf_ops_rewind(ops, mark);
    }
    pf_ops_rewind(ops, start);
    pf_ops_tap(ops, x, "%s.block%d", tower_name(tower), index);
    return PF_OK;
}

/* --- head --------------------------------------------------------------------------- */

/* The head's values run [py, px, C]; the map is [C, T, h, w]. */
static pf_status unpatchify(const pf_tower *t, pf_ops *ops, const pf_tensor *values,
                            const pf_tensor *output)
{
    /* patches_of gives [T, Hp, Wp, C, py, px]. */
    pf_tensor to = pf_tensor_permute(patches_of(t, output),
                                     (int[]){0, 1, 2, 4, 5, 3});
    return pf_op_copy(ops, &(pf_copy_args){
        .from = pf_tensor_reshape(*values, 6, to.shape), .to = to});
}

pf_status pf_tower_run_head(const pf_tower *tower, pf_ops *ops,
                            const pf_tower_time *time, const pf_tensor *x,
                            const pf_tensor *output)
{
    int64_t dim = tower->info.dim, n = x->shape[0];
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor modulation, h, values, e = time->embedding;
    e.rank = 2;                                 /* the same vector for both rows */
    e.shape[0] = 2;
    e.shape[1] = dim;
    e.stride[0] = 0;
    e.stride[1] = 1;
    PF_TRY(pf_ops_matrix(ops, 2, dim, &modulation));
    PF_TRY(pf_op_binary(ops, &(pf_binary_args){
        .kind = PF_BINARY_ADD,
        .a = pf_tensor_reshape(tower->head_modulation, 2, (int64_t[]){2, dim}),
        .b = e, .y = modulation}));
    PF_TRY(pf_ops_matrix(ops, n, dim, &h));
    PF_TRY(pf_ops_matrix(ops, n, tower->head.weight.source.shape[0], &values));
    PF_TRY(pf_op_norm(ops, &(pf_norm_args){
        .kind = PF_NORM_LAYER, .epsilon = (float)tower->info.epsilon, .x = *x,
        .shift = slot_of(&modulation, 0), .scale = slot_of(&modulation, 1), .y = h}));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = h, .weight = &tower->head.weight, .bias = tower->head.bias, .y = values}));
    pf_ops_tap(ops, &values, "%s.head", tower_name(tower));
    PF_TRY(unpatchify(tower, ops, &values, output));
    pf_ops_rewind(ops, mark);
    return PF_OK;
}
