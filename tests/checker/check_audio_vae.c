/* SPDX-License-Identifier: Apache-2.0 */
/* Audio VAE: encode and decode. */
#include "base/memory.h"
#include "checker.h"
#include "model/audio_vae.h"

typedef struct audio_case {
    checker *check;
    const char *name;
    pf_weights *file;
    pf_params *params;
    pf_audio_vae *vae;
} audio_case;

static pf_status open_vae(audio_case *a, pf_error *error)
{
    const json_t *meta = check_meta(a->check, a->name);
    const char *stem = json_string_value(json_object_get(meta, "weights"));
    const json_t *config = stem ? check_meta(a->check, stem) : NULL;
    pf_weights *weights = NULL;
    if (!config)
        return pf_fail(error, PF_E_INPUT, "the case names no weights");
    char *path = pf_format("%s/%s.safetensors", a->check->folder, stem);
    if (!path)
        return pf_fail_memory(error, stem, 1);
    pf_status status = pf_weights_open_file(path, "", &weights, error);
    pf_free(path);
    PF_TRY(status);
    PF_TRY(pf_params_open(weights, (pf_numerics){PF_MULTIPLY_F32, false}, &a->params, error));
    PF_TRY(pf_audio_vae_bind(a->params, config, stem, &a->vae, error));
    return pf_params_load(a->params, a->check->platform, error);
}

static pf_status encode(const audio_case *a, pf_ops *ops, const pf_tensor *in,
                        const float *from, float *to)
{
    return pf_audio_vae_encode(a->vae, ops, from, in->shape[1], to);
}

static pf_status decode(const audio_case *a, pf_ops *ops, const pf_tensor *in,
                        const float *from, float *to)
{
    return pf_audio_vae_decode(a->vae, ops, from, in->shape[1], to);
}

/* In and out of a case fit together. */
static bool shapes_fit(const audio_case *a, const pf_tensor *wave,
                       const pf_tensor *latents)
{
    const pf_audio_vae_info *info = pf_audio_vae_get_info(a->vae);
    return wave->rank == 2 && latents->rank == 2 && wave->shape[0] == 1 &&
           latents->shape[0] == info->latent_channels &&
           (wave->shape[1] - 1) / info->hop + 1 == latents->shape[1];
}

typedef struct direction {
    const char *in, *out;
    bool decodes;
    pf_status (*run)(const audio_case *, pf_ops *, const pf_tensor *, const float *,
                     float *);
} direction;

static const direction directions[] = {
    {"enc.in", "enc.mean", false, encode},
    {"dec.in", "dec.out", true, decode},
};

static void compare(const audio_case *a, const direction *d)
{
    pf_error error = {0};
    pf_ops ops;
    pf_tensor in_shape, out_shape;
    float *in = check_tensor(a->file, d->in, &in_shape);
    float *golden = check_tensor(a->file, d->out, &out_shape);
    int64_t count = golden ? pf_tensor_count(&out_shape) : 0;
    float *ours = pf_calloc((size_t)count + 1, sizeof *ours);
    pf_ops_init(&ops, a->check->platform, (pf_numerics){.multiply = PF_MULTIPLY_F32}, false,
                &error);
    if (!in || !golden || !ours)
        check_broken(a->check, a->name, "in and out of one direction are missing");
    else if (!shapes_fit(a, d->decodes ? &out_shape : &in_shape,
                         d->decodes ? &in_shape : &out_shape))
        check_broken(a->check, a->name, "in and out do not fit together");
    else if (d->run(a, &ops, &in_shape, in, ours) != PF_OK)
        check_broken(a->check, a->name, error.message);
    else
        check_values(a->check, a->name, d->out, JUDGE_RELATIVE, 2e-5, ours, golden,
                     count);
    pf_ops_release(&ops);
    pf_free(ours);
    pf_free(golden);
    pf_free(in);
}

void check_audio_vae(checker *c, const char *name)
{
    pf_error error = {0};
    audio_case a = {.check = c, .name = name, .file = check_open(c, name)};
    if (!a.file)
        return;
    bool open = open_vae(&a, &error) == PF_OK;
    if (!open)
        check_broken(c, name, error.message);
    for (size_t i = 0; open && i < sizeof directions / sizeof *directions; i++)
        if (pf_weights_has(a.file, directions[i].in))
            compare(&a, &directions[i]);
    pf_params_close(a.params);
    pf_audio_vae_unbind(a.vae);
    pf_weights_close(a.file);
}
