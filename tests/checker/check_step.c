/* SPDX-License-Identifier: Apache-2.0 */
/* A forward pass of the dual tower, with everything inside. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "checker.h"
#include "model/bridge_parts.h"
#include "model/dual_tower.h"
#include "model/tower_parts.h"

static const double f32_limit = 5e-6;
static const double ref_cosine = 0.9999, ref_limit = 0.03, ref_equal = 0.8;

typedef struct step_case {
    checker *check;
    const char *name;
    const json_t *meta;
    pf_weights *file;
    bool ref;
    pf_dual_tower towers;
    pf_params *params[3];               /* video, audio, bridge */
    pf_ops ops;
    pf_dual_inputs inputs;
    pf_dual_tables tables;
    pf_tower_time time[2];              /* video, audio */
    pf_tower_text text[2];
} step_case;

/* --- comparing ------------------------------------------------------------------- */

/* A device tensor of any strides as host values. */
static float *host_copy(step_case *s, const pf_tensor *value)
{
    int64_t count = pf_tensor_count(value);
    float *values = pf_alloc((size_t)count * sizeof *values);
    pf_mark mark = pf_ops_mark(&s->ops);
    pf_numerics outer = s->ops.numerics;
    pf_tensor dense;
    s->ops.numerics.round_bf16 = false;
    bool ok = values && pf_ops_tensor(&s->ops, value->rank, value->shape, &dense) == PF_OK &&
              pf_op_copy(&s->ops, &(pf_copy_args){.from = *value, .to = dense}) == PF_OK &&
              pf_ops_download(&s->ops, values, &dense) == PF_OK;
    s->ops.numerics = outer;
    pf_ops_rewind(&s->ops, mark);
    if (ok)
        return values;
    pf_free(values);
    return NULL;
}

static void compare(step_case *s, const char *tensor, const pf_tensor *value)
{
    pf_tensor shape;
    float *golden = check_tensor(s->file, tensor, &shape);
    if (!golden)
        return;
    float *ours = host_copy(s, value);
    int64_t count = pf_tensor_count(&shape);
    if (!ours || pf_tensor_count(value) != count) {
        check_broken(s->check, s->name, tensor);
    } else if (s->ref) {
        check_values(s->check, s->name, tensor, JUDGE_COSINE, ref_cosine, ours, golden,
                     count);
        check_values(s->check, s->name, tensor, JUDGE_RELATIVE, ref_limit, ours, golden,
                     count);
    } else {
        check_values(s->check, s->name, tensor, JUDGE_RELATIVE, f32_limit, ours, golden,
                     count);
    }
    pf_free(ours);
    pf_free(golden);
}

/* The golden has a row a token and each value twice; ours a row a position. */
static void compare_table(step_case *s, const char *tensor, const pf_tensor *value)
{
    pf_tensor shape;
    float *golden = check_tensor(s->file, tensor, &shape);
    float *ours = golden ? host_copy(s, value) : NULL;
    int64_t rows = value->shape[0], pairs = value->shape[1];
    int64_t count = ours ? pf_tensor_count(&shape) : 0;
    float *spread = pf_alloc((size_t)(count + 1) * sizeof *spread);
    if (golden && (!spread || count % (2 * pairs * rows) != 0))
        check_broken(s->check, s->name, tensor);
    else if (golden && count > 0) {
        int64_t repeat = count / (2 * pairs) / rows;
        for (int64_t i = 0; i < count; i++)
            spread[i] =
                ours[i / (2 * pairs) / repeat * pairs + i % (2 * pairs) % pairs];
        check_values(s->check, s->name, tensor, JUDGE_RELATIVE, f32_limit, spread,
                     golden, count);
    }
    pf_free(spread);
    pf_free(ours);
    pf_free(golden);
}

static void see(void *user, const char *name, const pf_tensor *value)
{
    if (strncmp(name, "rope.", 5) == 0)
        compare_table(user, name, value);
    else
        compare(user, name, value);
}

/* --- set-up ---------------------------------------------------------------------- */

/* Parameters of the tensors with this prefix; their config is the member `key`. */
static pf_status open_params(step_case *s, int part, const char *prefix, const char *key,
                             const json_t **config, pf_error *error)
{
    const char *file = json_string_value(json_object_get(s->meta, "weights"));
    char *path = pf_format("%s/%s.safetensors", s->check->folder, file ? file : "");
    pf_weights *weights = NULL;
    if (!path)
        return pf_fail_memory(error, "path", 1);
    *config = json_object_get(s->meta, key);
    pf_status status = pf_weights_open_file(path, prefix, &weights, error);
    pf_free(path);
    PF_TRY(status);
    const pf_numerics numerics = {s->ops.numerics.multiply, s->ref};
    return pf_params_open(weights, numerics, &s->params[part], error);
}

static pf_status open_towers(step_case *s, pf_error *error)
{
    const json_t *config = NULL;
    PF_TRY(open_params(s, 0, "video_dit.", "video", &config, error));
    PF_TRY(pf_tower_bind(s->params[0], PF_VIDEO, config, "video", &s->towers.video, error));
    PF_TRY(open_params(s, 1, "audio_dit.", "audio", &config, error));
    PF_TRY(pf_tower_bind(s->params[1], PF_AUDIO, config, "audio", &s->towers.audio, error));
    PF_TRY(open_params(s, 2, "dual_tower_bridge.", "bridge", &config, error));
    PF_TRY(pf_bridge_bind(s->params[2], config, "bridge", &s->towers.bridge, error));
    PF_TRY(pf_dual_tower_check(&s->towers, error));
    for (int i = 0; i < 3; i++)
        PF_TRY(pf_params_load(s->params[i], s->check->platform, error));
    return PF_OK;
}

static float number_or_nan(const json_t *list, size_t index)
{
    const json_t *value = json_array_get(list, index);
    return json_is_number(value) ? (float)json_number_value(value) : NAN;
}

/* A tensor of the file on the device. */
static pf_status upload(step_case *s, const char *name, pf_tensor *out)
{
    pf_tensor shape;
    float *values = check_tensor(s->file, name, &shape);
    if (!values)
        return pf_fail(s->ops.error, PF_E_INPUT, "%s is missing", name);
    pf_status status = pf_ops_tensor(&s->ops, shape.rank, shape.shape, out);
    if (status == PF_OK)
        status = pf_ops_upload(&s->ops, out, values);
    pf_free(values);
    return status;
}

/* Rows of the text that are not all zero: the last one decides. */
static int64_t real_rows(step_case *s)
{
    pf_tensor shape;
    float *values = check_tensor(s->file, "in.text", &shape);
    int64_t rows = shape.shape[0], width = shape.shape[1];
    while (values && rows > 1) {
        bool zero = true;
        for (int64_t i = 0; zero && i < width; i++)
            zero = values[(rows - 1) * width + i] == 0.0f;
        if (!zero)
            break;
        rows--;
    }
    pf_free(values);
    return rows;
}

static double meta_number(const step_case *s, const char *key)
{
    return json_number_value(json_object_get(s->meta, key));
}

static pf_status prepare(step_case *s)
{
    const char *frequencies =
        json_string_value(json_object_get(s->meta, "inv_freq"));
    const json_t *scales = json_object_get(s->meta, "scales");
    pf_tower *const towers[2] = {s->towers.video, s->towers.audio};
    const char *const times[2] = {"t_video", "t_audio"};
    pf_tensor text;
    PF_TRY(upload(s, "in.video", &s->inputs.video));
    PF_TRY(upload(s, "in.audio", &s->inputs.audio));
    PF_TRY(upload(s, "in.text", &text));
    for (int i = 0; i < 2; i++) {
        pf_tensor wave;
        PF_TRY(pf_ops_matrix(&s->ops, 1, pf_tower_get_info(towers[i])->freq_dim, &wave));
        PF_TRY(pf_tower_place_time(towers[i], &s->ops, (float)meta_number(s, times[i]),
                                   &wave));
        PF_TRY(pf_tower_embed_time(towers[i], &s->ops, &wave, &s->time[i]));
        PF_TRY(pf_tower_embed_text(towers[i], &s->ops, &text, 1, real_rows(s),
                                   &s->text[i]));
    }
    const int64_t *v = s->inputs.video.shape;
    pf_dual_extent extent = {v[1], v[2], v[3], s->inputs.audio.shape[1]};
    PF_TRY(pf_dual_tower_make_tables(&s->towers, &s->ops, &extent,
                                     meta_number(s, "fps"),
                                     frequencies && strcmp(frequencies, "bf16") == 0,
                                     &s->tables));
    s->inputs.scales = (pf_condition_scales){
        number_or_nan(scales, 0), number_or_nan(scales, 1), number_or_nan(scales, 2)};
    s->inputs.video_time = &s->time[0];
    s->inputs.audio_time = &s->time[1];
    s->inputs.video_text = &s->text[0];
    s->inputs.audio_text = &s->text[1];
    s->inputs.tables = &s->tables;
    int64_t out_v = pf_tower_get_info(s->towers.video)->out_dim;
    int64_t out_a = pf_tower_get_info(s->towers.audio)->out_dim;
    PF_TRY(pf_ops_tensor(&s->ops, 4, (int64_t[]){out_v, v[1], v[2], v[3]},
                         &s->inputs.video_out[0]));
    return pf_ops_tensor(&s->ops, 2, (int64_t[]){out_a, s->inputs.audio.shape[1]},
                         &s->inputs.audio_out[0]);
}

/* --- rounding points ---------------------------------------------------------------- */

/* The golden modulation of a tower, rounded as the blocks use it. */
static pf_status golden_time(step_case *s, int tower, const char *name,
                             pf_tower_time *out)
{
    pf_tensor m;
    *out = s->time[tower];
    PF_TRY(upload(s, name, &m));
    PF_TRY(pf_op_unary(&s->ops, &(pf_unary_args){
        .kind = PF_UNARY_ROUND_BF16, .x = m, .y = m}));
    out->modulation = pf_tensor_reshape(m, 2, out->modulation.shape);
    return pf_tower_modulate(tower == 0 ? s->towers.video : s->towers.audio, &s->ops, out);
}

static void count_equal(step_case *s, const char *tensor, const pf_tensor *value)
{
    char name[64];
    float *golden = check_tensor(s->file, tensor, NULL), *ours = host_copy(s, value);
    int64_t count = pf_tensor_count(value), equal = 0;
    for (int64_t i = 0; golden && ours && i < count; i++)
        equal += pf_f32_to_bf16(ours[i]) == pf_f32_to_bf16(golden[i]);
    double share = (double)equal / (double)count;
    snprintf(name, sizeof name, "%s (equal)", tensor);
    check_result(s->check, s->name, name, share >= ref_equal, share, ref_equal);
    pf_free(golden);
    pf_free(ours);
}

/* Tokens as they enter block 0: the golden patches and, where the bridge interacts,
 * what the golden bridge adds to them. */
static pf_status golden_tokens(step_case *s, int tower, pf_tensor *x)
{
    static const char *const patches[2] = {"video.patch", "audio.patch"};
    static const char *const bridges[2] = {"bridge.a2v0", "bridge.v2a0"};
    const pf_condition_scales *scales = &s->inputs.scales;
    float own = tower == 0 ? scales->a2v : scales->v2a;
    float scale = !isnan(own) ? own : scales->both;
    pf_tensor y;
    PF_TRY(upload(s, patches[tower], x));
    if (!pf_weights_has(s->file, bridges[tower]))
        return PF_OK;
    PF_TRY(upload(s, bridges[tower], &y));
    if (isnan(scale))
        scale = pf_round_bf16(pf_bridge_scale(s->towers.bridge));
    PF_TRY(pf_op_unary(&s->ops, &(pf_unary_args){
        .kind = PF_UNARY_AFFINE, .a = scale, .x = y, .y = y}));
    return pf_op_add(&s->ops, &(pf_add_args){.a = *x, .b = y, .y = *x});
}

/* Block 0 from the golden's own values: a cosine does not see a rounding at the wrong
 * place, the share of bit-equal values does. */
static pf_status check_block(step_case *s, int tower)
{
    static const char *const times[2] = {"video.time_mod", "audio.time_mod"};
    static const char *const contexts[2] = {"video.text", "audio.text"};
    static const char *const blocks[2] = {"video.block0", "audio.block0"};
    pf_tower *used = tower == 0 ? s->towers.video : s->towers.audio;
    pf_tower_time time;
    pf_tower_text text;
    pf_tensor x, context;
    PF_TRY(golden_time(s, tower, times[tower], &time));
    PF_TRY(golden_tokens(s, tower, &x));
    PF_TRY(upload(s, contexts[tower], &context));
    PF_TRY(pf_tower_use_context(used, &s->ops, &context, &text));
    pf_block_inputs inputs = {
        &time, &text, tower == 0 ? s->tables.video : s->tables.audio};
    PF_TRY(pf_tower_run_block(used, &s->ops, 0, &inputs, &x));
    count_equal(s, blocks[tower], &x);
    return PF_OK;
}

static pf_status check_rounding(step_case *s)
{
    if (!s->ref)
        return PF_OK;
    s->ops.tap = NULL;
    PF_TRY(check_block(s, 0));
    return check_block(s, 1);
}

/* --- running ------------------------------------------------------------------------ */

static pf_status execute(step_case *s, pf_error *error)
{
    const char *profile = json_string_value(json_object_get(s->meta, "profile"));
    if (!profile || (strcmp(profile, "F32") != 0 && strcmp(profile, "REF") != 0))
        return pf_fail(error, PF_E_UNSUPPORTED, "profile is %s",
                       profile ? profile : "missing");
    s->ref = strcmp(profile, "REF") == 0;
    if (s->ref)
        s->ops.numerics = (pf_numerics){PF_MULTIPLY_F32, true};
    PF_TRY(open_towers(s, error));
    PF_TRY(prepare(s));
    PF_TRY(pf_dual_tower_forward(&s->towers, &s->ops, &s->inputs));
    compare(s, "out.video", &s->inputs.video_out[0]);
    compare(s, "out.audio", &s->inputs.audio_out[0]);
    return check_rounding(s);
}

void check_step(checker *c, const char *name)
{
    pf_error error = {0};
    step_case s = {.check = c, .name = name, .meta = check_meta(c, name)};
    pf_tap tap = {see, &s};
    s.file = check_open(c, name);
    if (!s.file)
        return;
    pf_ops_init(&s.ops, c->platform, (pf_numerics){check_multiply(c), false}, false,
                &error);
    s.ops.tap = &tap;
    if (execute(&s, &error) != PF_OK)
        check_broken(c, name, error.message);
    pf_ops_release(&s.ops);
    for (int i = 0; i < 3; i++)
        pf_params_close(s.params[i]);
    pf_bridge_unbind(s.towers.bridge);
    pf_tower_unbind(s.towers.audio);
    pf_tower_unbind(s.towers.video);
    pf_weights_close(s.file);
}
