/* SPDX-License-Identifier: Apache-2.0 */
/* Forward pieces of a Wan tower.  See tower_parts.h; docs/model/towers.md.
 *
 * r(x) rounds to bf16 where numerics.round_bf16 asks for it (`--precision ref`); the kernels
 * apply it.  Each formula stands above the function that computes it.
 *
 * Host and device: tables and waves are made on the host in f64 and uploaded once a stage or
 * a step.  Everything else is launched on the device, and nothing here waits for it.
 *
 * Memory: a function gives back what it takes (pf_ops_mark, pf_ops_rewind), but for results
 * that its caller is promised in the arena.  A tensor behind a rewind may still be read by
 * kernels that were launched before: kernels run in the order of their launches. */
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "model/tower_parts.h"

static const char *tower_name(const pf_tower *t)
{
    return t->modality == PF_VIDEO ? "video" : "audio";
}

/* Rows of a block's modulation: a factor behind each shift. */
enum { SHIFT_MSA, FACTOR_MSA, GATE_MSA, SHIFT_MLP, FACTOR_MLP, GATE_MLP };

/* The rows of a [6, dim] or [2, dim] modulation as vectors. */
static pf_tensor slot_of(const pf_tensor *modulation, int slot)
{
    int64_t dim = modulation->shape[1];
    pf_tensor row = pf_tensor_slice(*modulation, 0, slot, 1);
    return pf_tensor_reshape(row, 1, &dim);
}

/* --- time ------------------------------------------------------------------------- */

/* wave = [cos t w_0, cos t w_1, ..., sin t w_0, sin t w_1, ...], w_j = 10000^(-j / half) with
 * half = freq_dim / 2.  Made in f64: t reaches 1000, where an f32 angle would have lost the
 * last digits of its cosine. */
pf_status pf_tower_place_time(const pf_tower *t, pf_ops *ops, float timestep,
                              const pf_tensor *wave)
{
    int64_t half = t->info.freq_dim / 2;
    /* No allocation: this runs in every step. */
    float values[PF_MAX_FREQ_DIM];
    for (int64_t j = 0; j < half; j++) {
        double angle = (double)timestep * pow(10000.0, -(double)j / (double)half);
        values[j] = (float)cos(angle);
        values[half + j] = (float)sin(angle);
    }
    return pf_ops_upload(ops, wave, values);
}

/* From wave [1, freq_dim], whatever the numerics of the job in f32 (the caller sets them):
 *
 *     e = time_embedding.2(silu(time_embedding.0(wave)))     [1, dim]
 *     m = time_projection.1(silu(e))                         [1, 6 dim]
 */
static pf_status time_layers(const pf_tower *t, pf_ops *ops, const pf_tensor *wave,
                             const pf_tensor *e, const pf_tensor *m)
{
    pf_tensor hidden;
    PF_TRY(pf_ops_matrix(ops, 1, t->info.dim, &hidden));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = *wave, .weight = &t->time_embedding[0].weight,
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

/* scale <- r(1 + scale): the factor of a norm. */
static pf_status make_factor(pf_ops *ops, pf_tensor scale)
{
    return pf_op_unary(ops, &(pf_unary_args){
        .kind = PF_UNARY_AFFINE, .a = 1.0f, .b = 1.0f, .x = scale, .y = scale});
}

/* s = r(modulation + m) for every block, [layers, 6, dim], with the scales s1 and s4 turned
 * into factors r(1 + s), as norms take them.  Two kernels for all blocks: a launch costs more
 * than the arithmetic of one block. */
pf_status pf_tower_modulate(const pf_tower *tower, pf_ops *ops, pf_tower_time *time)
{
    int64_t shape[3] = {tower->info.layers, PF_MODULATIONS, tower->info.dim};
    pf_tensor step = pf_tensor_repeat(time->modulation, 0, tower->info.layers);
    PF_TRY(pf_ops_tensor(ops, 3, shape, &time->blocks));
    PF_TRY(pf_op_add(ops, &(pf_add_args){
        .a = pf_tensor_reshape(tower->modulation, 3, shape), .b = step,
        .y = time->blocks}));
    int64_t behind = PF_MODULATIONS - FACTOR_MSA;
    pf_tensor scales = pf_tensor_slice(time->blocks, 1, FACTOR_MSA, behind);
    return make_factor(ops, pf_tensor_every(scales, 1, FACTOR_MLP - FACTOR_MSA));
}

/* e <- r(e), m <- r(m), once both are complete. */
static pf_status round_time(pf_ops *ops, const pf_tensor *e, const pf_tensor *m)
{
    const pf_tensor *const both[] = {e, m};
    for (int i = 0; i < 2; i++)
        PF_TRY(pf_op_unary(ops, &(pf_unary_args){
            .kind = PF_UNARY_ROUND_BF16, .x = *both[i], .y = *both[i]}));
    return PF_OK;
}

pf_status pf_tower_embed_time(pf_tower *tower, pf_ops *ops, const pf_tensor *wave,
                              pf_tower_time *out)
{
    pf_numerics outer = ops->numerics;
    int64_t dim = tower->info.dim;
    pf_tensor e, m;
    PF_TRY(pf_ops_matrix(ops, 1, dim, &e));
    PF_TRY(pf_ops_matrix(ops, 1, PF_MODULATIONS * dim, &m));
    pf_mark mark = pf_ops_mark(ops);
    ops->numerics = (pf_numerics){PF_MULTIPLY_F32, false};
    pf_status status = time_layers(tower, ops, wave, &e, &m);
    ops->numerics = outer;
    PF_TRY(status);
    pf_ops_rewind(ops, mark);
    out->embedding = pf_tensor_reshape(e, 1, &dim);
    out->modulation = pf_tensor_reshape(m, 2, (int64_t[]){PF_MODULATIONS, dim});
    pf_ops_tap(ops, &out->embedding, "%s.time", tower_name(tower));
    pf_ops_tap(ops, &out->modulation, "%s.time_mod", tower_name(tower));
    if (outer.round_bf16)
        PF_TRY(round_time(ops, &e, &m));
    return pf_tower_modulate(tower, ops, out);
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
        int64_t missing = PF_CONTEXT_ROWS - rows;
        PF_TRY(pf_op_copy(ops, &(pf_copy_args){
            .from = pf_tensor_stretch(last, 0, missing),
            .to = pf_tensor_slice(whole, 0, rows, missing)}));
    }
    pf_ops_tap(ops, &whole, "%s.text", tower_name(t));
    pf_ops_rewind(ops, mark);
    return PF_OK;
}

/* text [rows, text_dim] to context [rows, dim]:
 *
 *     ctx = text_embedding.2(gelu(text_embedding.0(r(text))))
 *
 * Texts lie in the job as f32, so that with round_bf16 a copy rounds them first. */
static pf_status embed_context(const pf_tower *t, pf_ops *ops,
                               const pf_tensor *text, const pf_tensor *context)
{
    pf_mark mark = pf_ops_mark(ops);
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
    PF_TRY(pf_project(ops, &t->text_embedding[1], &hidden, context));
    pf_ops_rewind(ops, mark);
    return tap_context(t, ops, context);
}

/* Bias of the scores, [rows]: 0 for every real row, ln(c) for the last one, which stands for
 * c = 512 - rows + 1 equal rows.  The sum of the softmax is unchanged, since
 * c exp(s) = exp(s + ln(c)). */
static pf_status make_key_bias(pf_ops *ops, int64_t rows, pf_tensor *out)
{
    PF_TRY(pf_ops_tensor(ops, 1, &rows, out));
    pf_tensor last = pf_tensor_slice(*out, 0, rows - 1, 1);
    PF_TRY(pf_op_fill(ops, &(pf_fill_args){.value = 0.0f, .y = *out}));
    return pf_op_fill(ops, &(pf_fill_args){
        .value = (float)log((double)(PF_CONTEXT_ROWS - rows + 1)), .y = last});
}

/* Keys, values of block `layer`: [2, groups * rows, dim]. */
static pf_tensor kept_of(const pf_tower_text *text, int layer)
{
    return pf_tensor_drop_first(pf_tensor_slice(text->kept, 0, layer, 1));
}

static const pf_rope_table not_rotated = {.rows_per_position = 1};

/* For every block, from context [groups * rows, dim]:
 *
 *     k = rms(cross.k(ctx)),  v = cross.v(ctx)               [groups * rows, dim] each
 *
 * Kernels write f32.  Where keys are kept in a narrower dtype (capabilities.keys), a block's
 * keys are made in the arena and copied, which converts them. */
static pf_status make_keys(const pf_tower *t, pf_ops *ops, const pf_tensor *context,
                           const pf_tower_text *out)
{
    for (int i = 0; i < t->info.layers; i++) {
        const pf_attention_layer *a = &t->blocks[i].cross;
        pf_tensor kept = kept_of(out, i), both = kept;
        pf_mark mark = pf_ops_mark(ops);
        if (kept.dtype != PF_F32)
            PF_TRY(pf_ops_tensor(ops, 3, kept.shape, &both));
        pf_tensor k = pf_tensor_drop_first(pf_tensor_slice(both, 0, 0, 1));
        pf_tensor v = pf_tensor_drop_first(pf_tensor_slice(both, 0, 1, 1));
        PF_TRY(pf_op_project(ops, &(pf_project_args){
            .x = *context, .by = pf_projection_with(&a->k, a->norm_k, not_rotated),
            .epsilon = (float)t->info.epsilon, .y = k}));
        PF_TRY(pf_project(ops, &a->v, context, &v));
        if (kept.dtype != PF_F32)
            PF_TRY(pf_op_copy(ops, &(pf_copy_args){.from = both, .to = kept}));
        pf_ops_rewind(ops, mark);
    }
    return PF_OK;
}

/* Memory for the keys and values of `rows` rows a group, of which the last may stand
 * for all that follow. */
static pf_status new_text(const pf_tower *t, pf_ops *ops, int groups, int64_t rows,
                          pf_tower_text *out)
{
    int64_t shape[4] = {t->info.layers, 2, groups * rows, t->info.dim};
    *out = (pf_tower_text){.groups = groups, .rows = rows};
    PF_TRY(pf_ops_keys(ops, 4, shape, &out->kept));
    return rows < PF_CONTEXT_ROWS ? make_key_bias(ops, rows, &out->key_bias) : PF_OK;
}

/* Rows behind the prompt are alike: one row for all of them saves arithmetic, but its score
 * needs a bias.  `ref` keeps all 512, because its roundings see each of them; so does a
 * platform that adds a bias by kernels of their own, which cost more than the rows. */
static int64_t rows_to_keep(const pf_ops *ops, int64_t rows)
{
    bool shared = !ops->numerics.round_bf16 && rows + 1 < PF_CONTEXT_ROWS &&
                  ops->platform->capabilities.bias_is_fused;
    return shared ? rows + 1 : PF_CONTEXT_ROWS;
}

pf_status pf_tower_embed_text(pf_tower *tower, pf_ops *ops, const pf_tensor *texts,
                              int groups, int64_t rows, pf_tower_text *out)
{
    PF_TRY(new_text(tower, ops, groups, rows_to_keep(ops, rows), out));
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor context;
    PF_TRY(pf_ops_matrix(ops, groups * out->rows, tower->info.dim, &context));
    for (int i = 0; i < groups; i++) {
        pf_tensor used = pf_tensor_slice(texts[i], 0, 0, out->rows);
        pf_tensor own = pf_tensor_slice(context, 0, i * out->rows, out->rows);
        PF_TRY(embed_context(tower, ops, &used, &own));
    }
    PF_TRY(make_keys(tower, ops, &context, out));
    pf_ops_rewind(ops, mark);
    return PF_OK;
}

/* A view: nothing is copied.  The bias is the same for all groups. */
pf_tower_text pf_tower_text_group(const pf_tower_text *text, int group)
{
    pf_tower_text one = *text;
    one.groups = 1;
    one.kept = pf_tensor_slice(text->kept, 2, group * text->rows, text->rows);
    return one;
}

pf_status pf_tower_use_context(const pf_tower *tower, pf_ops *ops,
                               const pf_tensor *context, pf_tower_text *out)
{
    PF_TRY(new_text(tower, ops, 1, PF_CONTEXT_ROWS, out));
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

/* The angles of a token, head / 2 pairs, with third = head / 3 rounded down:
 *
 *     video           | frame: head - 2 third | row: third | column: third |
 *     audio, dac      | token: head                                        |
 *     audio, oobleck  | token: head - 2 third | not turned: 2 third        |
 *
 * An oobleck token counts quarters of a second: 4 / (latents a second), for its VAE of
 * 44100 Hz and 2048 samples a latent. */
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

/* Refuses latents that are longer along an axis than the reference's tables.  Requests are
 * checked before (pipeline/request.c); this guards other callers. */
static pf_status check_extent(const pf_tower *t, pf_ops *ops, const int64_t extent[3])
{
    int64_t most = t->info.positions;
    for (int axis = 0; axis < 3; axis++)
        if (extent[axis] > most)
            return pf_fail(ops->error, PF_E_ARGUMENT,
                           "the %s tower has rotary positions for %lld, but axis %d "
                           "needs %lld", tower_name(t), (long long)most, axis,
                           (long long)extent[axis]);
    return PF_OK;
}

/* Two tables [tokens, head / 2], filled on the host in the order of the tokens (frame, row,
 * column), uploaded, and given the layout that the platform's kernels read. */
pf_status pf_tower_rope(const pf_tower *tower, pf_ops *ops, const int64_t extent[3],
                        pf_rope_table *out)
{
    int64_t pairs = tower->info.dim / tower->info.heads / 2;
    int64_t rows = extent[0] * extent[1] * extent[2], row = 0;
    PF_TRY(check_extent(tower, ops, extent));
    out->rows_per_position = 1;
    PF_TRY(pf_ops_matrix(ops, rows, pairs, &out->cos));
    PF_TRY(pf_ops_matrix(ops, rows, pairs, &out->sin));
    if (ops->dry)
        return pf_ops_rope_table(ops, PF_ROPE_INTERLEAVED, out);
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
        status = pf_ops_upload(ops, &out->cos, c);
    if (status == PF_OK)
        status = pf_ops_upload(ops, &out->sin, s);
    pf_free(c);
    pf_free(s);
    return status == PF_OK ? pf_ops_rope_table(ops, PF_ROPE_INTERLEAVED, out) : status;
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

/* tokens = patch_embedding(patches): one linear layer over rows [n, in_dim * ph * pw], made by
 * a copy that permutes.  All groups see the same latents, so the first group's tokens are
 * copied for the others instead of computed again. */
pf_status pf_tower_patchify(const pf_tower *tower, pf_ops *ops,
                            const pf_tensor *input, const pf_tensor *tokens)
{
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor from = patches_of(tower, input), rows;
    int64_t count = from.shape[0] * from.shape[1] * from.shape[2];
    int64_t width = (int64_t)tower->info.in_dim * tower->info.patch[0] *
                    tower->info.patch[1] * tower->info.patch[2];
    pf_tensor first = pf_tensor_slice(*tokens, 0, 0, count);
    PF_TRY(pf_ops_matrix(ops, count, width, &rows));
    PF_TRY(pf_op_copy(ops, &(pf_copy_args){
        .from = from, .to = pf_tensor_reshape(rows, 6, from.shape)}));
    PF_TRY(pf_project(ops, &tower->patch_embedding, &rows, &first));
    for (int64_t at = count; at < tokens->shape[0]; at += count)
        PF_TRY(pf_op_copy(ops, &(pf_copy_args){
            .from = first, .to = pf_tensor_slice(*tokens, 0, at, count)}));
    pf_ops_rewind(ops, mark);
    pf_ops_tap(ops, tokens, "%s.patch", tower_name(tower));
    return PF_OK;
}

/* --- blocks ------------------------------------------------------------------------- */

/* A block at work: its tokens and the six modulation vectors, with factors (1 + scale) in
 * the place of scales. */
typedef struct block_run {
    const pf_tower *tower;
    const pf_tower_block *block;
    const pf_block_inputs *inputs;
    pf_ops *ops;
    pf_tensor x;                        /* [groups * n, dim] */
    pf_tensor modulation;               /* [6, dim] */
    int index;
} block_run;

/* y = r(r(ln(x) factor) + shift), a LayerNorm without weights of its own, whose modulation
 * begins in row `shift`: SHIFT_MSA or SHIFT_MLP. */
static pf_norm_args modulated_norm(const block_run *r, pf_tensor x, int shift, pf_tensor y)
{
    return (pf_norm_args){
        .kind = PF_NORM_LAYER, .epsilon = (float)r->tower->info.epsilon, .x = x,
        .shift = slot_of(&r->modulation, shift),
        .factor = slot_of(&r->modulation, shift + 1), .y = y};
}

/* 1 / sqrt(columns of a head) */
static float score_scale(const pf_tower_info *info)
{
    return 1.0f / sqrtf((float)(info->dim / info->heads));
}

/* The first half of a block, on x [groups * n, dim]:
 *
 *     h = r(r(ln(x) r(1 + s1)) + s0)
 *     x = r(x + r(s2 o(attention(rope(rms(q(h))), rope(rms(k(h))), v(h)))))
 *
 * h is spent: its room may serve for the result of the attention. */
static pf_status self_attention(const block_run *r)
{
    const pf_attention_layer *a = &r->block->self;
    const pf_tower_info *info = &r->tower->info;
    pf_tensor h;
    PF_TRY(pf_ops_hidden(r->ops, r->x.shape[0], info->dim, &h));
    pf_norm_args norm = modulated_norm(r, r->x, SHIFT_MSA, h);
    PF_TRY(pf_op_norm(r->ops, &norm));
    return pf_op_attend(r->ops, &(pf_attend_args){
        .x = h, .x_is_spent = true, .condition = h,
        .q = pf_projection_with(&a->q, a->norm_q, r->inputs->table),
        .k = pf_projection_with(&a->k, a->norm_k, r->inputs->table),
        .v = pf_projection_of(&a->v), .out = pf_projection_of(&a->o),
        .epsilon = (float)info->epsilon, .form = PF_ROPE_INTERLEAVED,
        .heads = info->heads, .groups = r->inputs->text->groups,
        .scale = score_scale(info),
        .gate = slot_of(&r->modulation, GATE_MSA), .residual = r->x, .y = r->x});
}

/* y [groups * n, dim] = attention to the text; x = x + that where `y` is null:
 *
 *     n = ln(x; norm3)
 *     y = cross.o(attention(rms(cross.q(n)), k, v))          k, v: kept (make_keys)
 *
 * n [groups * n, dim] is memory of the caller, and is spent. */
static pf_status cross_attention(const block_run *r, pf_tensor n, pf_tensor y)
{
    const pf_attention_layer *a = &r->block->cross;
    const pf_tower_info *info = &r->tower->info;
    const pf_tower_text *text = r->inputs->text;
    bool adds = pf_tensor_is_null(&y);
    pf_tensor bias = {0};
    PF_TRY(pf_op_norm(r->ops, &(pf_norm_args){
        .kind = PF_NORM_LAYER, .epsilon = (float)info->epsilon, .x = r->x,
        .weight = r->block->norm3_weight, .bias = r->block->norm3_bias, .y = n}));
    if (!pf_tensor_is_null(&text->key_bias))
        bias = pf_tensor_repeat(
            pf_tensor_repeat(text->key_bias, 0, r->x.shape[0] / text->groups), 0,
            info->heads);                       /* [heads, queries, rows] */
    return pf_op_attend(r->ops, &(pf_attend_args){
        .x = n, .x_is_spent = true, .kept = kept_of(text, r->index),
        .q = pf_projection_with(&a->q, a->norm_q, not_rotated),
        .out = pf_projection_of(&a->o), .epsilon = (float)info->epsilon,
        .heads = info->heads, .groups = text->groups, .scale = score_scale(info),
        .bias = bias, .residual = adds ? r->x : (pf_tensor){0}, .y = adds ? r->x : y});
}

/* The feed-forward of a block, on x, or on x + added where `added` is not null. */
typedef struct feed_run {
    const block_run *block;
    pf_tensor added, sum;               /* [groups * n, dim]; sum is x where nothing is added */
    pf_tensor h;                        /* memory for normed rows */
    pf_mark behind;                     /* tensors behind it are spent after the norm */
} feed_run;

/* Rows [begin, begin + count) of the last third of a block:
 *
 *     x = r(x + added)                                       where `added` is not null
 *     h = r(r(ln(x) r(1 + s4)) + s3)                         [count, dim]
 *     x = r(x + r(s5 ffn.2(gelu(ffn.0(h)))))                 hidden [count, ffn_dim]
 */
static pf_status feed_forward(const feed_run *f, int64_t begin, int64_t count)
{
    const block_run *r = f->block;
    pf_tensor x = pf_tensor_slice(r->x, 0, begin, count), h = f->h;
    pf_tensor sum = pf_tensor_slice(f->sum, 0, begin, count);
    h.shape[0] = count;
    pf_norm_args norm = modulated_norm(r, x, SHIFT_MLP, h);
    if (!pf_tensor_is_null(&f->added)) {
        norm.plus = pf_tensor_slice(f->added, 0, begin, count);
        norm.sum = sum;
    }
    PF_TRY(pf_op_norm(r->ops, &norm));
    pf_ops_rewind(r->ops, f->behind);
    return pf_op_feed_forward(r->ops, &(pf_feed_forward_args){
        .x = h, .in = pf_projection_of(&r->block->ffn_in),
        .out = pf_projection_of(&r->block->ffn_out),
        .activation = PF_ACTIVATION_GELU_TANH,
        .gate = slot_of(&r->modulation, GATE_MLP), .residual = sum, .y = x});
}

/* Attention to the text, then the feed-forward, capabilities.feed_rows rows at a time.
 * Where all rows go at once, the norm between them does the sum: a kernel fewer. */
static pf_status finish_block(const block_run *r)
{
    int64_t rows = r->x.shape[0], dim = r->tower->info.dim;
    int64_t most = r->ops->platform->capabilities.feed_rows;
    bool at_once = most == 0;
    feed_run f = {.block = r, .sum = r->x};
    PF_TRY(pf_ops_hidden(r->ops, rows, dim, &f.h));
    if (at_once)
        PF_TRY(pf_ops_matrix(r->ops, rows, dim, &f.sum));
    f.behind = pf_ops_mark(r->ops);
    if (at_once)
        PF_TRY(pf_ops_matrix(r->ops, rows, dim, &f.added));
    PF_TRY(cross_attention(r, f.h, f.added));
    for (int64_t begin = 0; begin < rows; begin += at_once ? rows : most) {
        int64_t left = rows - begin;
        PF_TRY(feed_forward(&f, begin, at_once || left < most ? left : most));
    }
    return PF_OK;
}

/* x [L, dim]; s = r(modulation + m): shift, scale and gate of attention, then of the
 * feed-forward (docs/model/towers.md#block).
 *
 *     h = r(r(ln(x) r(1 + s1)) + s0)
 *     x = r(x + r(s2 o(attention(rope(rms(q(h))), rope(rms(k(h))), v(h)))))
 *     n = ln(x; norm3)
 *     x = r(x + cross.o(attention(rms(cross.q(n)), k, v)))         k, v: of the text
 *     h = r(r(ln(x) r(1 + s4)) + s3)
 *     x = r(x + r(s5 ffn.2(gelu(ffn.0(h)))))
 */
pf_status pf_tower_run_block(const pf_tower *tower, pf_ops *ops, int index,
                             const pf_block_inputs *inputs, const pf_tensor *x)
{
    block_run r = {.tower = tower, .block = &tower->blocks[index], .inputs = inputs,
                   .ops = ops, .x = *x, .index = index};
    pf_tensor own = pf_tensor_slice(inputs->time->blocks, 0, index, 1);
    r.modulation = pf_tensor_drop_first(own);
    PF_TRY(pf_ops_poll(ops));
    PF_TRY(pf_params_enter(tower->params, ops, index));
    pf_mark start = pf_ops_mark(ops);
    PF_TRY(self_attention(&r));
    pf_ops_rewind(ops, start);
    PF_TRY(finish_block(&r));
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

/* (shift, scale) = r(head.modulation + e), [2, dim], the scale as a factor r(1 + scale). */
static pf_status head_modulation(const pf_tower *t, pf_ops *ops,
                                 const pf_tower_time *time, pf_tensor *out)
{
    int64_t dim = t->info.dim;
    PF_TRY(pf_ops_matrix(ops, 2, dim, out));
    PF_TRY(pf_op_add(ops, &(pf_add_args){
        .a = pf_tensor_reshape(t->head_modulation, 2, (int64_t[]){2, dim}),
        .b = pf_tensor_repeat(time->embedding, 0, 2), .y = *out}));
    return make_factor(ops, pf_tensor_slice(*out, 0, 1, 1));
}

/* x [groups * n, dim] to values [groups * n, out_dim * ph * pw], then to maps:
 *
 *     y = head.head(r(r(ln(x) r(1 + scale)) + shift))
 */
pf_status pf_tower_run_head(const pf_tower *tower, pf_ops *ops,
                            const pf_tower_time *time, const pf_tensor *x,
                            const pf_velocities *out)
{
    int64_t n = x->shape[0], each = n / out->groups;
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor modulation, h, values;
    PF_TRY(head_modulation(tower, ops, time, &modulation));
    PF_TRY(pf_ops_matrix(ops, n, tower->info.dim, &h));
    PF_TRY(pf_ops_matrix(ops, n, tower->head.weight.source.values.shape[0], &values));
    PF_TRY(pf_op_norm(ops, &(pf_norm_args){
        .kind = PF_NORM_LAYER, .epsilon = (float)tower->info.epsilon, .x = *x,
        .shift = slot_of(&modulation, 0), .factor = slot_of(&modulation, 1), .y = h}));
    PF_TRY(pf_project(ops, &tower->head, &h, &values));
    pf_ops_tap(ops, &values, "%s.head", tower_name(tower));
    for (int i = 0; i < out->groups; i++) {
        pf_tensor own = pf_tensor_slice(values, 0, i * each, each);
        PF_TRY(unpatchify(tower, ops, &own, &out->of[i]));
    }
    pf_ops_rewind(ops, mark);
    return PF_OK;
}
