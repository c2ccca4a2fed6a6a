/* SPDX-License-Identifier: Apache-2.0 */
/* The bridge between the towers.  See bridge.h; docs/model/bridge.md.
 *
 * Two things differ from the towers and are easy to get wrong: RoPE turns halves of a head
 * (j, j + head_dim / 2), not neighbours, and the pooled modulation has its scale before its
 * shift.  Every position is one f32 operation at a time, because the reference's is. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "model/bridge_parts.h"
#include "model/projection.h"

static const float epsilon = 1e-6f;             /* of every norm but the next */
static const float adaln_epsilon = 1e-5f;

/* Pooling of a latent frame's tokens, and the modulation made of it (V2A only). */
typedef struct pooling {
    pf_tensor probe;                            /* [kv] */
    pf_layer in[3], out;                        /* q, k, v: [kv, kv] */
    pf_tensor norm_weight, norm_bias;
    pf_layer adaln;                             /* [2 dim, kv] */
} pooling;

/* The parameters of one direction of one layer; dim is the width of the tokens that are
 * told, kv that of those that tell. */
typedef struct conditioner {
    pf_tensor norm_weight, norm_bias;           /* [kv] */
    pf_attention_layer inner;
    pooling pool;
} conditioner;

typedef enum strategy {
    STRATEGY_FULL,
    STRATEGY_SHALLOW_FOCUS,
    STRATEGY_DISTRIBUTED,
    STRATEGY_PROGRESSIVE,
    STRATEGY_CUSTOM
} strategy;

struct pf_bridge {
    pf_bridge_info info;
    strategy strategy;
    int layers;                                 /* min of the two towers' */
    float condition_scale;
    pf_params *params;                          /* of the caller */
    conditioner *conditioners[PF_DIRECTIONS];   /* [layers] */
};

/* --- which layers interact ---------------------------------------------------------- */

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* docs/model/bridge.md has the table; the numbers are the reference's. */
bool pf_bridge_interacts(const pf_bridge *bridge, int layer)
{
    static const int custom[] = {0, 2, 4, 6, 8, 12, 16, 20};
    int n = bridge->layers;
    if (layer < 0 || layer >= n)
        return false;
    switch (bridge->strategy) {
    case STRATEGY_FULL:
        return true;
    case STRATEGY_SHALLOW_FOCUS:
        return layer < smaller(10, n / 3);
    case STRATEGY_DISTRIBUTED:
        return layer % 3 == 0;
    case STRATEGY_PROGRESSIVE:
        return layer < 8 || (layer - 8) % 3 == 0;
    default:
        for (size_t i = 0; i < sizeof custom / sizeof custom[0]; i++)
            if (custom[i] == layer)
                return true;
        return false;
    }
}

/* --- configuration ------------------------------------------------------------------ */

static pf_status read_strategy(pf_bridge *b, const json_t *json, const char *name,
                               pf_error *error)
{
    static const char *const names[] = {"full", "shallow_focus", "distributed",
                                        "progressive", "custom"};
    const char *text = "full";
    PF_TRY(pf_json_string(json, name, "interaction_strategy", &text, error));
    for (int i = 0; i < 5; i++)
        if (strcmp(text, names[i]) == 0) {
            b->strategy = (strategy)i;
            return PF_OK;
        }
    return pf_fail(error, PF_E_UNSUPPORTED,
                   "%s: interaction_strategy is %.100s, but must be full, "
                   "shallow_focus, distributed, progressive or custom", name, text);
}

static pf_status read_sizes(pf_bridge *b, const json_t *json, const char *name,
                            pf_error *error)
{
    pf_bridge_info *info = &b->info;
    struct {
        const char *key;
        int high;
        int *out;
    } const list[] = {
        {"visual_layers", 512, &info->video_layers},
        {"audio_layers", 512, &info->audio_layers},
        {"visual_hidden_dim", 65536, &info->video_dim},
        {"audio_hidden_dim", 65536, &info->audio_dim},
        {"head_dim", 256, &info->head_dim},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        int64_t value = 0;
        PF_TRY(pf_json_require(json, name, list[i].key, error));
        PF_TRY(pf_json_int(json, name, list[i].key, 1, list[i].high, &value, error));
        *list[i].out = (int)value;
    }
    if (info->head_dim % 2 != 0 || info->video_dim % info->head_dim != 0 ||
        info->audio_dim % info->head_dim != 0)
        return pf_fail(error, PF_E_MODEL,
                       "%s: head_dim is %d, but must be even and divide "
                       "visual_hidden_dim %d and audio_hidden_dim %d", name,
                       info->head_dim, info->video_dim, info->audio_dim);
    b->layers = smaller(info->video_layers, info->audio_layers);
    return PF_OK;
}

static pf_status read_config(pf_bridge *b, const json_t *json, const char *name,
                             pf_error *error)
{
    pf_bridge_info *info = &b->info;
    info->audio_fps = 50.0;
    info->cross_rope = true;
    PF_TRY(read_sizes(b, json, name, error));
    PF_TRY(read_strategy(b, json, name, error));
    PF_TRY(pf_json_real(json, name, "audio_fps", 1e-3, 1e6, &info->audio_fps, error));
    PF_TRY(pf_json_bool(json, name, "apply_cross_rope", &info->cross_rope, error));
    PF_TRY(pf_json_bool(json, name, "apply_first_frame_bias_in_rope",
                        &info->first_frame_bias, error));
    PF_TRY(pf_json_bool(json, name, "pooled_adaln", &info->pooled_adaln, error));
    PF_TRY(pf_json_bool(json, name, "trainable_condition_scale",
                        &info->trainable_scale, error));
    int heads = info->audio_dim / info->head_dim;
    if (info->pooled_adaln && info->video_dim % heads != 0)
        return pf_fail(error, PF_E_MODEL,
                       "%s: pooled_adaln needs a visual_hidden_dim that %d audio "
                       "heads divide, but it is %d", name, heads, info->video_dim);
    return PF_OK;
}

/* --- parameters ---------------------------------------------------------------------- */

static const char *const folders[PF_DIRECTIONS] = {"audio_to_video_conditioners",
                                                   "video_to_audio_conditioners"};

static int64_t primary_dim(const pf_bridge *b, pf_direction d)
{
    return d == PF_A2V ? b->info.video_dim : b->info.audio_dim;
}

static int64_t condition_dim(const pf_bridge *b, pf_direction d)
{
    return d == PF_A2V ? b->info.audio_dim : b->info.video_dim;
}

/* The packed q, k, v of torch's MultiheadAttention as three layers. */
static pf_status bind_packed(pf_bridge *b, pooling *p, int i, pf_error *error)
{
    int64_t kv = b->info.video_dim;
    pf_weights *weights = pf_params_weights(b->params);
    pf_tensor weight, bias;
    char name[128], bias_name[128];
    snprintf(name, sizeof name, "%s.%d.per_frame_pooling.attention.in_proj_weight",
             folders[PF_V2A], i);
    PF_TRY(pf_weights_find(weights, name, 2, (int64_t[]){3 * kv, kv}, &weight, error));
    snprintf(bias_name, sizeof bias_name, "%s.%d.per_frame_pooling.attention.in_proj_bias",
             folders[PF_V2A], i);
    PF_TRY(pf_weights_find(weights, bias_name, 1, (int64_t[]){3 * kv}, &bias, error));
    for (int part = 0; part < 3; part++) {
        pf_tensor rows = pf_tensor_slice(weight, 0, part * kv, kv);
        pf_tensor values = pf_tensor_slice(bias, 0, part * kv, kv);
        PF_TRY(pf_params_layer_from(b->params, &p->in[part], PF_WEIGHT_LINEAR, &rows,
                                    name, error));
        PF_TRY(pf_params_vector_from(b->params, &p->in[part].bias, &values, bias_name,
                                     error));
    }
    return PF_OK;
}

/* The parameters of `pooled_adaln`, [kv] and [kv, kv] but for the modulation [2 dim, kv]. */
static pf_status bind_pooling(pf_bridge *b, pooling *p, int i, pf_error *error)
{
    int64_t kv = b->info.video_dim, dim = b->info.audio_dim;
    const char *folder = folders[PF_V2A];
    PF_TRY(pf_params_vector(b->params, &p->probe, 3, (int64_t[]){1, 1, kv}, error,
                            "%s.%d.per_frame_pooling.probe", folder, i));
    PF_TRY(bind_packed(b, p, i, error));
    PF_TRY(pf_params_linear(b->params, &p->out, kv, kv, PF_BIAS, error,
                            "%s.%d.per_frame_pooling.attention.out_proj", folder, i));
    PF_TRY(pf_params_vector(b->params, &p->norm_weight, 1, &kv, error,
                            "%s.%d.per_frame_pooling.layernorm.weight", folder, i));
    PF_TRY(pf_params_vector(b->params, &p->norm_bias, 1, &kv, error,
                            "%s.%d.per_frame_pooling.layernorm.bias", folder, i));
    return pf_params_linear(b->params, &p->adaln, 2 * dim, kv, PF_BIAS, error,
                            "%s.%d.adaln.linear", folder, i);
}

/* The parameters of direction d of layer i; both directions of a layer are group i, as they
 * run one after the other. */
static pf_status bind_conditioner(pf_bridge *b, pf_direction d, int i,
                                  pf_error *error)
{
    conditioner *c = &b->conditioners[d][i];
    int64_t dim = primary_dim(b, d), kv = condition_dim(b, d);
    struct {
        pf_layer *layer;
        const char *name;
        int64_t in;
    } const layers[] = {{&c->inner.q, "q", dim}, {&c->inner.k, "k", kv},
                        {&c->inner.v, "v", kv}, {&c->inner.o, "o", dim}};
    pf_params_group(b->params, i);
    PF_TRY(pf_params_vector(b->params, &c->norm_weight, 1, &kv, error,
                            "%s.%d.y_norm.weight", folders[d], i));
    PF_TRY(pf_params_vector(b->params, &c->norm_bias, 1, &kv, error,
                            "%s.%d.y_norm.bias", folders[d], i));
    for (int p = 0; p < 4; p++)
        PF_TRY(pf_params_linear(b->params, layers[p].layer, dim, layers[p].in, PF_BIAS,
                                error, "%s.%d.inner.%s", folders[d], i,
                                layers[p].name));
    PF_TRY(pf_params_vector(b->params, &c->inner.norm_q, 1, &dim, error,
                            "%s.%d.inner.norm_q.weight", folders[d], i));
    PF_TRY(pf_params_vector(b->params, &c->inner.norm_k, 1, &dim, error,
                            "%s.%d.inner.norm_k.weight", folders[d], i));
    if (b->info.pooled_adaln && d == PF_V2A)
        PF_TRY(bind_pooling(b, &c->pool, i, error));
    return PF_OK;
}

/* A trained scale is one number, needed on the host (effective_scale), so that it is read when
 * the bridge is bound and is no slot of the params. */
static pf_status read_scale(pf_bridge *b, pf_error *error)
{
    pf_tensor stored;
    b->condition_scale = 1.0f;
    if (!b->info.trainable_scale)
        return PF_OK;
    PF_TRY(pf_weights_find(pf_params_weights(b->params), "condition_scale", 1,
                           (int64_t[]){1}, &stored, error));
    pf_to_f32(stored.data, stored.dtype, 1, &b->condition_scale);
    if (!isfinite(b->condition_scale))
        return pf_fail(error, PF_E_MODEL, "%s: condition_scale is not finite",
                       pf_weights_path(pf_params_weights(b->params)));
    return PF_OK;
}

static pf_status bind_all(pf_bridge *b, pf_error *error)
{
    PF_TRY(read_scale(b, error));
    for (int d = 0; d < PF_DIRECTIONS; d++) {
        b->conditioners[d] =
            pf_calloc((size_t)b->layers, sizeof *b->conditioners[d]);
        if (!b->conditioners[d])
            return pf_fail_memory(error, "bridge", sizeof *b->conditioners[d]);
        for (int i = 0; i < b->layers; i++)
            if (pf_bridge_interacts(b, i))
                PF_TRY(bind_conditioner(b, (pf_direction)d, i, error));
    }
    return PF_OK;
}

pf_status pf_bridge_bind(pf_params *params, const json_t *config, const char *name,
                         pf_bridge **out, pf_error *error)
{
    pf_bridge *b = *out = pf_calloc(1, sizeof *b);
    if (!b)
        return pf_fail_memory(error, "bridge", sizeof *b);
    b->params = params;
    PF_TRY(read_config(b, config, name, error));
    return bind_all(b, error);
}

void pf_bridge_unbind(pf_bridge *bridge)
{
    if (!bridge)
        return;
    for (int d = 0; d < PF_DIRECTIONS; d++)
        pf_free(bridge->conditioners[d]);
    pf_free(bridge);
}

const pf_bridge_info *pf_bridge_get_info(const pf_bridge *bridge)
{
    return &bridge->info;
}

float pf_bridge_scale(const pf_bridge *bridge)
{
    return bridge->condition_scale;
}

/* --- aligned rotary tables ------------------------------------------------------------ */

/* Position of a video latent frame in units of audio latents.  A latent frame is 4 frames of
 * the film, 4 / fps seconds; with the first-frame bias, latent frame 0 is one frame of the
 * film alone, as the video VAE has it:
 *
 *     p(t) = t (audio_fps / (fps / 4))
 *     p(0) = 0,  p(t) = (1 / fps + (t - 1) / (fps / 4)) audio_fps        with the bias
 *
 * Every operation is rounded to f32 where the reference does. */
static float video_position(const pf_bridge_info *info, int64_t frame, double fps)
{
    if (!info->first_frame_bias)
        return (float)frame * (float)(info->audio_fps / (fps / 4.0));
    if (frame == 0)
        return 0.0f;
    float later = (float)(frame - 1) * (float)(1.0 / (fps / 4.0));
    float seconds = (float)(1.0 / fps) + later;
    return seconds * (float)info->audio_fps;
}

/* 1 / 10000^(2 pair / head_dim), rounded to f32 and, if asked, to bf16. */
static float inverse_frequency(int pair, int head_dim, bool rounded)
{
    float exponent = (float)(2 * pair) / (float)head_dim;
    float inverse = 1.0f / (float)pow(10000.0, (double)exponent);
    return rounded ? pf_round_bf16(inverse) : inverse;
}

/* Where a table's positions come from: fps below 0 counts 0, 1, 2 ... */
typedef struct table_spec {
    const pf_bridge_info *info;
    int64_t rows;
    double fps;
    bool rounded;
} table_spec;

static void fill_table(const table_spec *s, float *cosines, float *sines)
{
    int pairs = s->info->head_dim / 2;
    for (int64_t row = 0; row < s->rows; row++) {
        float position =
            s->fps < 0 ? (float)row : video_position(s->info, row, s->fps);
        for (int j = 0; j < pairs; j++) {
            float angle =
                inverse_frequency(j, s->info->head_dim, s->rounded) * position;
            cosines[row * pairs + j] = cosf(angle);
            sines[row * pairs + j] = sinf(angle);
        }
    }
}

/* cos and sin [rows, head_dim / 2] in the arena, filled on the host and uploaded; the host
 * copies are gone when this returns.  A dry run takes the room alone. */
static pf_status make_table(const table_spec *s, pf_ops *ops, pf_rope_table *out)
{
    int64_t pairs = s->info->head_dim / 2;
    size_t bytes = (size_t)(s->rows * pairs) * sizeof(float);
    PF_TRY(pf_ops_matrix(ops, s->rows, pairs, &out->cos));
    PF_TRY(pf_ops_matrix(ops, s->rows, pairs, &out->sin));
    if (ops->dry)
        return PF_OK;
    float *c = pf_alloc(bytes), *n = pf_alloc(bytes);
    pf_status status = PF_OK;
    if (!c || !n) {
        status = pf_fail_memory(ops->error, "rotary tables", bytes);
    } else {
        fill_table(s, c, n);
        status = pf_ops_upload(ops, &out->cos, c);
        if (status == PF_OK)
            status = pf_ops_upload(ops, &out->sin, n);
    }
    pf_free(c);
    pf_free(n);
    return status;
}

/* Taps see the tables before the r() that kernels apply to them. */
static pf_status finish_table(pf_ops *ops, const char *name, pf_rope_table *table)
{
    pf_tensor *const both[] = {&table->cos, &table->sin};
    pf_ops_tap(ops, &table->cos, "rope.%s.cos", name);
    pf_ops_tap(ops, &table->sin, "rope.%s.sin", name);
    for (int i = 0; i < 2 && ops->numerics.round_bf16; i++)
        PF_TRY(pf_op_unary(ops, &(pf_unary_args){
            .kind = PF_UNARY_ROUND_BF16, .x = *both[i], .y = *both[i]}));
    return pf_ops_rope_table(ops, PF_ROPE_HALF, table);
}

pf_status pf_bridge_make_tables(const pf_bridge *bridge, pf_ops *ops,
                                const pf_bridge_extent *extent, double fps,
                                bool round_inverse_frequencies,
                                pf_bridge_tables *out)
{
    const pf_bridge_info *info = &bridge->info;
    *out = (pf_bridge_tables){.frames = extent->frames,
                              .positions = extent->positions};
    if (!info->cross_rope)
        return PF_OK;
    table_spec video = {info, extent->frames, fps, round_inverse_frequencies};
    table_spec audio = {info, extent->audio_length, -1.0, round_inverse_frequencies};
    out->video.rows_per_position = extent->positions;
    out->audio.rows_per_position = 1;
    PF_TRY(make_table(&video, ops, &out->video));
    PF_TRY(make_table(&audio, ops, &out->audio));
    PF_TRY(finish_table(ops, "video", &out->video));
    return finish_table(ops, "audio", &out->audio);
}

/* --- one conditioner ------------------------------------------------------------------ */

/* A call of a conditioner. */
typedef struct bridge_run {
    const pf_bridge *bridge;
    const conditioner *c;
    const pf_bridge_tables *tables;
    pf_ops *ops;
    pf_direction direction;
    int groups;
} bridge_run;

/* Pools the tokens of each latent frame by the attention of one query, the probe [1, kv],
 * which is the same for every frame; the frames are the groups of the attention:
 *
 *     p_t = ln(out(attention(q(probe), k(y_t), v(y_t))); layernorm)      y_t [S, kv]
 *
 * tokens [groups * T S, kv] to pooled [groups * T, kv].  Heads are as many as the audio tower
 * has, each kv / heads wide. */
static pf_status pool_frames(const bridge_run *r, const pf_tensor *tokens,
                             const pf_tensor *pooled)
{
    const pooling *p = &r->c->pool;
    int64_t kv = tokens->shape[1], frames = pooled->shape[0];
    int heads = r->bridge->info.audio_dim / r->bridge->info.head_dim;
    pf_tensor probe = pf_tensor_reshape(p->probe, 2, (int64_t[]){1, kv});
    PF_TRY(pf_op_attend(r->ops, &(pf_attend_args){
        .x = pf_tensor_stretch(probe, 0, frames), .condition = *tokens,
        .q = pf_projection_of(&p->in[0]),
        .k = pf_projection_of(&p->in[1]), .v = pf_projection_of(&p->in[2]),
        .out = pf_projection_of(&p->out), .heads = heads, .groups = (int)frames,
        .scale = 1.0f / sqrtf((float)(kv / heads)), .y = *pooled}));
    return pf_op_norm(r->ops, &(pf_norm_args){
        .kind = PF_NORM_LAYER, .epsilon = epsilon, .x = *pooled,
        .weight = p->norm_weight, .bias = p->norm_bias, .y = *pooled});
}

/* Pooled frames as rows of the sound, linearly in time: pooled [groups * T, kv] to
 * y [groups * La, kv], each group by itself, since frames of two prompts may not mix. */
static pf_status spread_frames(const bridge_run *r, const pf_tensor *pooled,
                               const pf_tensor *y)
{
    int64_t frames = r->tables->frames, rows = y->shape[0] / r->groups;
    for (int64_t i = 0; i < r->groups; i++)
        PF_TRY(pf_op_lerp_rows(r->ops, &(pf_lerp_rows_args){
            .x = pf_tensor_slice(*pooled, 0, i * frames, frames),
            .y = pf_tensor_slice(*y, 0, i * rows, rows)}));
    return PF_OK;
}

/* x' = AdaLN(x) for audio tokens x [groups * La, dim], modulated by the pooled frames p of the
 * video tokens:
 *
 *     (scale, shift) = adaln(silu(p))                        [groups * La, 2 dim]
 *     x' = r(r(ln(x; 1e-5) r(1 + scale)) + shift)
 *
 * Scale comes first, then shift: other than in the towers. */
static pf_status modulate(const bridge_run *r, const pf_tensor *x,
                          const pf_tensor *tokens, const pf_tensor *y)
{
    int64_t dim = x->shape[1], kv = tokens->shape[1], rows = x->shape[0];
    pf_tensor pooled, spread, z;
    PF_TRY(pf_ops_matrix(r->ops, r->groups * r->tables->frames, kv, &pooled));
    PF_TRY(pool_frames(r, tokens, &pooled));
    spread = pooled;
    if (rows != pooled.shape[0]) {
        PF_TRY(pf_ops_matrix(r->ops, rows, kv, &spread));
        PF_TRY(spread_frames(r, &pooled, &spread));
    }
    PF_TRY(pf_op_unary(r->ops, &(pf_unary_args){
        .kind = PF_UNARY_SILU, .x = spread, .y = spread}));
    PF_TRY(pf_ops_matrix(r->ops, rows, 2 * dim, &z));
    PF_TRY(pf_project(r->ops, &r->c->pool.adaln, &spread, &z));
    pf_tensor factor = pf_tensor_slice(z, 1, 0, dim);
    PF_TRY(pf_op_unary(r->ops, &(pf_unary_args){
        .kind = PF_UNARY_AFFINE, .a = 1.0f, .b = 1.0f, .x = factor, .y = factor}));
    return pf_op_norm(r->ops, &(pf_norm_args){
        .kind = PF_NORM_LAYER, .epsilon = adaln_epsilon, .x = *x, .factor = factor,
        .shift = pf_tensor_slice(z, 1, dim, dim), .y = *y});
}

/* x [groups * n, dim] (pooled: x') attends to condition y [groups * m, kv]:
 *
 *     c = ln(y; y_norm)
 *     out = o(attention(rope(rms(q(x))), rope(rms(k(c))), v(c)))
 *
 * Each side turns by the table of its own tokens. */
static pf_status attend(const bridge_run *r, const pf_tensor *x,
                        const pf_tensor *condition, const pf_tensor *out)
{
    int64_t dim = x->shape[1];
    const pf_attention_layer *a = &r->c->inner;
    const pf_bridge_tables *t = r->tables;
    bool to_video = r->direction == PF_A2V;
    pf_tensor c;
    PF_TRY(pf_ops_hidden(r->ops, condition->shape[0], condition->shape[1], &c));
    PF_TRY(pf_op_norm(r->ops, &(pf_norm_args){
        .kind = PF_NORM_LAYER, .epsilon = epsilon, .x = *condition,
        .weight = r->c->norm_weight, .bias = r->c->norm_bias, .y = c}));
    return pf_op_attend(r->ops, &(pf_attend_args){
        .x = *x, .condition = c,
        .q = pf_projection_with(&a->q, a->norm_q, to_video ? t->video : t->audio),
        .k = pf_projection_with(&a->k, a->norm_k, to_video ? t->audio : t->video),
        .v = pf_projection_of(&a->v), .out = pf_projection_of(&a->o),
        .epsilon = epsilon, .form = PF_ROPE_HALF,
        .heads = (int)(dim / r->bridge->info.head_dim), .groups = r->groups,
        .scale = 1.0f / sqrtf((float)r->bridge->info.head_dim), .y = *out});
}

pf_status pf_bridge_run(const pf_bridge *bridge, pf_ops *ops, pf_bridge_place place,
                        const pf_bridge_tables *tables,
                        const pf_tensor *primary, const pf_tensor *condition,
                        const pf_tensor *out)
{
    static const char *const names[PF_DIRECTIONS] = {"a2v", "v2a"};
    bridge_run r = {bridge, &bridge->conditioners[place.direction][place.layer],
                    tables, ops, place.direction, place.groups};
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor x = *primary;
    PF_TRY(pf_params_enter(bridge->params, ops, place.layer));
    if (bridge->info.pooled_adaln && place.direction == PF_V2A) {
        PF_TRY(pf_ops_matrix(ops, primary->shape[0], primary->shape[1], &x));
        PF_TRY(modulate(&r, primary, condition, &x));
    }
    PF_TRY(attend(&r, &x, condition, out));
    pf_ops_rewind(ops, mark);
    pf_ops_tap(ops, out, "bridge.%s%d", names[place.direction], place.layer);
    return PF_OK;
}
