/* SPDX-License-Identifier: Apache-2.0 */
/* Video VAE: encode and decode, with and without tiles. */
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "checker.h"
#include "model/video_vae.h"

typedef struct vae_case {
    checker *check;
    const char *name;
    pf_weights *file;
    pf_params *params;
    pf_video_vae *vae;
    pf_tiling tiling;
} vae_case;

/* --- opening ---------------------------------------------------------------------- */

/* Configuration that the VAE of a case is made from; its latents are not normalised, so statistics
 * may be missing from the configuration. */
static json_t *complete_config(const json_t *meta)
{
    json_t *config = json_deep_copy(meta);
    int64_t z = json_integer_value(json_object_get(config, "z_dim"));
    if (pf_json_has(config, "latents_mean") || z == 16)
        return config;
    json_t *mean = json_array(), *deviation = json_array();
    for (int64_t i = 0; i < z; i++) {
        json_array_append_new(mean, json_real(0.0));
        json_array_append_new(deviation, json_real(1.0));
    }
    json_object_set_new(config, "latents_mean", mean);
    json_object_set_new(config, "latents_std", deviation);
    return config;
}

static pf_status open_weights(const checker *c, const char *stem, pf_weights **out,
                              pf_error *error)
{
    char *path = pf_format("%s/%s.safetensors", c->folder, stem);
    if (!path)
        return pf_fail_memory(error, stem, 1);
    pf_status status = pf_weights_open_file(path, "", out, error);
    pf_free(path);
    return status;
}

static pf_status open_vae(vae_case *v, const json_t *meta, pf_error *error)
{
    const char *stem = json_string_value(json_object_get(meta, "weights"));
    const json_t *config_meta = stem ? check_meta(v->check, stem) : NULL;
    pf_weights *weights = NULL;
    v->tiling.tile = (int)json_integer_value(json_object_get(meta, "tile"));
    v->tiling.stride = (int)json_integer_value(json_object_get(meta, "stride"));
    if (!config_meta)
        return pf_fail(error, PF_E_INPUT, "the case names no weights");
    PF_TRY(open_weights(v->check, stem, &weights, error));
    json_t *config = complete_config(config_meta);
    const pf_numerics numerics = {.multiply = check_multiply(v->check)};
    pf_status status = pf_params_open(weights, numerics, &v->params, error);
    if (status == PF_OK)
        status = pf_video_vae_bind(v->params, config, stem, &v->vae, error);
    json_decref(config);
    PF_TRY(status);
    return pf_params_load(v->params, v->check->platform, error);
}

/* --- running ------------------------------------------------------------------------ */

/* Planes of a clip [planes / F, F, H, W] that come or go in groups of frames. */
typedef struct clip {
    float *data;
    int64_t frames, area;
} clip;

static pf_status give_frames(void *user, int64_t first, int64_t count, float *out,
                             pf_error *error)
{
    const clip *f = user;
    (void)error;
    for (int64_t c = 0; c < 3; c++)
        memcpy(out + c * count * f->area, f->data + (c * f->frames + first) * f->area,
               (size_t)(count * f->area) * sizeof *out);
    return PF_OK;
}

static pf_status take_frames(void *user, int64_t first, int64_t count,
                             const float *frames, pf_error *error)
{
    const clip *f = user;
    (void)error;
    for (int64_t c = 0; c < 3; c++)
        memcpy(f->data + (c * f->frames + first) * f->area,
               frames + c * count * f->area,
               (size_t)(count * f->area) * sizeof *frames);
    return PF_OK;
}

/* `body` twice: dry for the memory, then for the values. */
static pf_status run_twice(const vae_case *v, const void *args,
                           pf_status (*body)(const vae_case *, pf_ops *, const void *),
                           pf_error *error)
{
    pf_ops ops;
    const pf_numerics numerics = {.multiply = check_multiply(v->check)};
    pf_ops_init(&ops, v->check->platform, numerics, true, error);
    PF_TRY(body(v, &ops, args));
    int64_t peak = ops.peak;
    pf_ops_init(&ops, v->check->platform, numerics, false, error);
    pf_status status = pf_ops_reserve(&ops, peak, 0);
    if (status == PF_OK)
        status = body(v, &ops, args);
    pf_ops_release(&ops);
    return status;
}

static pf_status run_encode(const vae_case *v, pf_ops *ops, const void *args)
{
    return pf_video_vae_encode(v->vae, ops, args);
}

static pf_status run_decode(const vae_case *v, pf_ops *ops, const void *args)
{
    return pf_video_vae_decode(v->vae, ops, args);
}

static pf_status encode(const vae_case *v, const pf_tensor *in, float *from, float *to,
                        pf_error *error)
{
    clip source = {from, in->shape[1], in->shape[2] * in->shape[3]};
    const pf_video_encode args = {
        .frames = in->shape[1], .height = in->shape[2], .width = in->shape[3],
        .source = give_frames, .user = &source, .tiling = v->tiling, .mean = to,
    };
    return run_twice(v, &args, run_encode, error);
}

static pf_status decode(const vae_case *v, const pf_tensor *in, float *from, float *to,
                        pf_error *error)
{
    const pf_video_vae_info *info = pf_video_vae_get_info(v->vae);
    clip sink = {to, (in->shape[1] - 1) * info->time + 1,
                 in->shape[2] * in->shape[3] * info->space * info->space};
    const pf_video_decode args = {
        .latents = from, .frames = in->shape[1], .height = in->shape[2],
        .width = in->shape[3], .tiling = v->tiling, .sink = take_frames,
        .user = &sink,
    };
    return run_twice(v, &args, run_decode, error);
}

/* --- comparing ----------------------------------------------------------------------- */

/* Halves that were stored as f16 cannot be compared more closely than that. */
static double stored_limit(const vae_case *v, const char *tensor, double limit)
{
    pf_tensor stored;
    if (pf_weights_find_any(v->file, tensor, &stored, NULL) == PF_OK &&
        stored.dtype == PF_F16)
        return 1e-3;
    return limit;
}

static pf_status expect_shape(const pf_tensor *found, const int64_t *shape,
                              pf_error *error)
{
    char text[128];
    if (pf_tensor_has_shape(found, 4, shape))
        return PF_OK;
    pf_tensor_shape_text(found, text);
    return pf_fail(error, PF_E_INPUT, "the golden result has shape %s", text);
}

/* In and out of a case fit together; `pixels` is the side of the film. */
static pf_status check_shapes(const vae_case *v, const pf_tensor *pixels,
                              const pf_tensor *latents, pf_error *error)
{
    const pf_video_vae_info *info = pf_video_vae_get_info(v->vae);
    if (pixels->rank != 4 || latents->rank != 4)
        return pf_fail(error, PF_E_INPUT, "in and out must have 4 axes");
    const int64_t *l = latents->shape;
    PF_TRY(expect_shape(latents, (int64_t[]){info->latent_channels, l[1], l[2], l[3]},
                        error));
    return expect_shape(pixels, (int64_t[]){3, (l[1] - 1) * info->time + 1,
                                          l[2] * info->space, l[3] * info->space},
                        error);
}

typedef struct direction {
    const char *in, *out;
    bool decodes;
    double limit;
    pf_status (*run)(const vae_case *, const pf_tensor *, float *, float *,
                     pf_error *);
} direction;

static const direction directions[] = {
    {"enc.in", "enc.mean", false, 4e-6, encode},
    {"dec.in", "dec.out", true, 1e-5, decode},
};

static void compare(const vae_case *v, const direction *d)
{
    pf_error error = {0};
    pf_tensor in_shape, out_shape;
    float *in = check_tensor(v->file, d->in, &in_shape);
    float *golden = check_tensor(v->file, d->out, &out_shape);
    int64_t count = golden ? pf_tensor_count(&out_shape) : 0;
    float *ours = pf_calloc((size_t)count + 1, sizeof *ours);
    if (!in || !golden || !ours)
        check_broken(v->check, v->name, "in and out of one direction are missing");
    else if (check_shapes(v, d->decodes ? &out_shape : &in_shape,
                          d->decodes ? &in_shape : &out_shape, &error) != PF_OK ||
             d->run(v, &in_shape, in, ours, &error) != PF_OK)
        check_broken(v->check, v->name, error.message);
    else
        check_values(v->check, v->name, d->out, JUDGE_RELATIVE,
                     stored_limit(v, d->out, d->limit), ours, golden, count);
    pf_free(ours);
    pf_free(golden);
    pf_free(in);
}

void check_video_vae(checker *c, const char *name)
{
    pf_error error = {0};
    vae_case v = {.check = c, .name = name, .file = check_open(c, name)};
    if (!v.file)
        return;
    bool open = open_vae(&v, check_meta(c, name), &error) == PF_OK;
    if (!open)
        check_broken(c, name, error.message);
    for (size_t i = 0; open && i < sizeof directions / sizeof *directions; i++)
        if (pf_weights_has(v.file, directions[i].in))
            compare(&v, &directions[i]);
    pf_params_close(v.params);
    pf_video_vae_unbind(v.vae);
    pf_weights_close(v.file);
}
