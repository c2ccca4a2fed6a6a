/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the component folders of a model.  docs/model/file-formats.md.
 *
 *     FOLDER/config.json ------------.
 *     FOLDER/STEM*.safetensors        |
 *       -> pf_weights (mapped) -> pf_params -> bind: config and params -> component
 *
 * A component is one row of a table: folder, class, numerics at each precision, and how it is
 * bound.  Bind first, judge together: what does not fit is found by check_fit, once all sizes
 * are known.  Order of closing: params, then the component that their slots point into. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "pipeline/engine.h"
#include "pipeline/purpose.h"

enum { MAX_CONFIG_BYTES = 4 << 20 };

static const char diffusers_stem[] = "diffusion_pytorch_model";

/* --- the components ----------------------------------------------------------- */

/* Arguments of a component's bind function. */
typedef struct binding {
    pf_params *params;
    const json_t *config;
    const char *path;                   /* of the config, for messages */
    pf_error *error;
} binding;

/* bind_NAME makes the engine's MEMBER, a pf_KIND, by a call; unbind_NAME releases it. */
#define COMPONENT(name, member, kind, call)                                     \
    static pf_status bind_##name(pf_engine *e, const binding *b)                \
    {                                                                           \
        return call;                                                            \
    }                                                                           \
    static void unbind_##name(pf_engine *e)                                     \
    {                                                                           \
        pf_##kind##_unbind(e->member);                                          \
        e->member = NULL;                                                       \
    }
COMPONENT(text_encoder, text_encoder, umt5,
          pf_umt5_bind(b->params, b->config, b->path, &e->text_encoder, b->error))
COMPONENT(video_vae, video_vae, video_vae,
          pf_video_vae_bind(b->params, b->config, b->path, &e->video_vae, b->error))
COMPONENT(audio_vae, audio_vae, audio_vae,
          pf_audio_vae_bind(b->params, b->config, b->path, &e->audio_vae, b->error))
COMPONENT(video_dit, expert[0], tower,
          pf_tower_bind(b->params, PF_VIDEO, b->config, b->path, &e->expert[0], b->error))
COMPONENT(video_dit_2, expert[1], tower,
          pf_tower_bind(b->params, PF_VIDEO, b->config, b->path, &e->expert[1], b->error))
COMPONENT(audio_dit, audio_dit, tower,
          pf_tower_bind(b->params, PF_AUDIO, b->config, b->path, &e->audio_dit, b->error))
COMPONENT(bridge, bridge, bridge,
          pf_bridge_bind(b->params, b->config, b->path, &e->bridge, b->error))

/* Numerics of a kind of network at each precision (docs/model/pipeline.md, "Precision"): `ref`
 * rounds the transformers alone, as the reference runs its VAEs in f32, and a sound is never
 * multiplied in bf16. */
typedef pf_numerics numerics_row[PF_PRECISION_REF + 1];

static const numerics_row transformer = {[PF_PRECISION_FAST] = {PF_MULTIPLY_BF16, false},
                                         [PF_PRECISION_F32] = {PF_MULTIPLY_F32, false},
                                         [PF_PRECISION_REF] = {PF_MULTIPLY_F32, true}};
static const numerics_row picture = {[PF_PRECISION_FAST] = {PF_MULTIPLY_BF16, false},
                                     [PF_PRECISION_F32] = {PF_MULTIPLY_F32, false},
                                     [PF_PRECISION_REF] = {PF_MULTIPLY_F32, false}};
static const numerics_row sound = {[PF_PRECISION_FAST] = {PF_MULTIPLY_F32, false},
                                   [PF_PRECISION_F32] = {PF_MULTIPLY_F32, false},
                                   [PF_PRECISION_REF] = {PF_MULTIPLY_F32, false}};

typedef struct component_row {
    const char *folder, *stem;          /* STEM.safetensors, or shards of that name */
    const char *class_name;             /* the only class that is implemented; NULL: the
                                         * config names none */
    const pf_numerics *numerics;        /* [pf_precision] */
    pf_status (*bind)(pf_engine *e, const binding *b);
    void (*unbind)(pf_engine *e);
} component_row;

static const component_row components[PF_COMPONENTS] = {
    [PF_TEXT_ENCODER] = {"text_encoder", "model", NULL, transformer, bind_text_encoder,
                         unbind_text_encoder},
    [PF_VIDEO_VAE] = {"video_vae", diffusers_stem, "AutoencoderKLWan", picture,
                      bind_video_vae, unbind_video_vae},
    [PF_AUDIO_VAE] = {"audio_vae", diffusers_stem, "DAC", sound, bind_audio_vae,
                      unbind_audio_vae},
    [PF_VIDEO_DIT] = {"video_dit", diffusers_stem, "WanModel", transformer, bind_video_dit,
                      unbind_video_dit},
    [PF_VIDEO_DIT_2] = {"video_dit_2", diffusers_stem, "WanModel", transformer,
                        bind_video_dit_2, unbind_video_dit_2},
    [PF_AUDIO_DIT] = {"audio_dit", diffusers_stem, "WanAudioModel", transformer,
                      bind_audio_dit, unbind_audio_dit},
    [PF_DUAL_TOWER_BRIDGE] = {"dual_tower_bridge", diffusers_stem,
                              "DualTowerConditionalBridge", transformer, bind_bridge,
                              unbind_bridge},
};

pf_numerics pf_engine_numerics(const pf_engine *engine, pf_component component)
{
    return components[component].numerics[engine->precision];
}

/* --- files -------------------------------------------------------------------- */

/* Reads FOLDER/NAME as JSON; with `optional` a missing file gives NULL. */
static pf_status load_json(const char *folder, const char *name, bool optional,
                           json_t **out, char **out_path, pf_error *error)
{
    *out = NULL;
    char *path = pf_path_join(folder, name);
    if (!path)
        return pf_fail_memory(error, name, strlen(folder));
    pf_status status = PF_OK;
    if (!optional || pf_path_exists(path))
        status = pf_json_load(path, MAX_CONFIG_BYTES, out, error);
    if (status == PF_OK && *out && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        status = pf_fail(error, PF_E_MODEL, "%s is not a JSON object", path);
    }
    if (status == PF_OK && out_path)
        *out_path = path;
    else
        pf_free(path);
    return status;
}

/* A configuration of another class would be read with the wrong meaning. */
static pf_status check_class(const json_t *config, const char *path,
                             const char *expected, pf_error *error)
{
    const char *found = expected;
    PF_TRY(pf_json_string(config, path, "_class_name", &found, error));
    if (!expected || strcmp(found, expected) == 0)
        return PF_OK;
    return pf_fail(error, PF_E_UNSUPPORTED,
                   "%s: _class_name is %.100s, but only %s is supported", path, found,
                   expected);
}

/* Opens weights and params of a component and binds it.  Both stay in the engine when binding
 * fails, for pf_components_close. */
static pf_status bind_in(pf_engine *engine, pf_component which, const char *folder,
                         const binding *from)
{
    binding b = *from;
    const component_row *row = &components[which];
    pf_weights *weights = NULL;
    PF_TRY(check_class(b.config, b.path, row->class_name, b.error));
    PF_TRY(pf_weights_open(folder, row->stem, &weights, b.error));
    PF_TRY(pf_params_open(weights, pf_engine_numerics(engine, which),
                          &engine->params[which], b.error));
    b.params = engine->params[which];
    return row->bind(engine, &b);
}

static pf_status open_in(pf_engine *engine, pf_component which, const char *folder,
                         pf_error *error)
{
    json_t *config = NULL;
    char *path = NULL;
    PF_TRY(load_json(folder, "config.json", false, &config, &path, error));
    const binding b = {.config = config, .path = path, .error = error};
    pf_status status = bind_in(engine, which, folder, &b);
    json_decref(config);
    pf_free(path);
    return status;
}

static pf_status open_component(pf_engine *engine, pf_component which,
                                pf_error *error)
{
    char *folder = pf_path_join(engine->model_path, components[which].folder);
    if (!folder)
        return pf_fail_memory(error, components[which].folder, 1);
    pf_status status;
    if (!pf_path_is_folder(folder))
        status = pf_fail(error, PF_E_NOT_FOUND,
                         "the model has no component folder %s", folder);
    else
        status = open_in(engine, which, folder, error);
    pf_free(folder);
    return status;
}

/* The public row of a component: counted over the tensors of its files, used or not. */
static void describe(pf_engine *engine, pf_component which)
{
    pf_weights *weights = pf_params_weights(engine->params[which]);
    pf_component_info *info = &engine->component_info[which];
    *info = (pf_component_info){
        .name = components[which].folder,
        .dtype = pf_weights_dtype(weights),
        .tensors = pf_weights_count(weights),
        .bytes = pf_weights_bytes(weights),
    };
    for (int64_t i = 0; i < info->tensors; i++) {
        pf_tensor tensor = pf_weights_tensor(weights, i);
        info->parameters += pf_tensor_count(&tensor);
    }
}

/* --- the files beside the components ---------------------------------------- */

/* model_index.json: the kind of pipeline, and where the experts change over. */
static pf_status read_model_index(pf_engine *engine, pf_error *error)
{
    json_t *index = NULL;
    char *path = NULL;
    const char *vae_type = "dac", *class_name = "MOVA";
    PF_TRY(load_json(engine->model_path, "model_index.json", false, &index, &path,
                     error));
    pf_status status = pf_json_real(index, path, "boundary_ratio", 0.0, 1.0,
                                    &engine->boundary_ratio, error);
    if (status == PF_OK)
        status = pf_json_string(index, path, "audio_vae_type", &vae_type, error);
    if (status == PF_OK)
        status = pf_json_string(index, path, "_class_name", &class_name, error);
    if (status == PF_OK && strcmp(vae_type, "dac") != 0)
        status = pf_fail(error, PF_E_UNSUPPORTED,
                         "%s: audio_vae_type is %s, but only dac is supported", path,
                         vae_type);
    if (status == PF_OK && strncmp(class_name, "MOVA", 4) != 0)
        status = pf_fail(error, PF_E_UNSUPPORTED,
                         "%s: _class_name is %s, but must be MOVA", path,
                         class_name);
    json_decref(index);
    pf_free(path);
    return status;
}

static pf_status read_scheduler(pf_engine *engine, pf_error *error)
{
    json_t *config = NULL;
    char *path = NULL;
    PF_TRY(load_json(engine->model_path, "scheduler/scheduler_config.json", true,
                     &config, &path, error));
    pf_status status = check_class(config, path, "FlowMatchPairScheduler", error);
    if (status == PF_OK)
        status = pf_scheduler_read_config(config, path, &engine->scheduler, error);
    json_decref(config);
    pf_free(path);
    return status;
}

static pf_status read_int(const json_t *config, const char *path, const char *key,
                          int high, int *out, pf_error *error)
{
    int64_t value = *out;
    PF_TRY(pf_json_int(config, path, key, 1, high, &value, error));
    *out = (int)value;
    return PF_OK;
}

static pf_status parse_defaults(const json_t *config, const char *path,
                                pf_defaults *d, pf_error *error)
{
    PF_TRY(read_int(config, path, "height", 16384, &d->height, error));
    PF_TRY(read_int(config, path, "width", 16384, &d->width, error));
    PF_TRY(read_int(config, path, "num_frames", 4093, &d->num_frames, error));
    PF_TRY(read_int(config, path, "num_inference_steps", PF_STEPS_MAX,
                    &d->num_inference_steps, error));
    PF_TRY(pf_json_real(config, path, "fps", 1.0, 120.0, &d->fps, error));
    PF_TRY(pf_json_bool(config, path, "text_only", &d->text_only, error));
    PF_TRY(pf_json_real(config, path, "guidance_scale", 0.0, 100.0, &d->guidance_scale,
                        error));
    return pf_json_real(config, path, "guidance_scale_2", 0.0, 100.0,
                        &d->guidance_scale_2, error);
}

/* Defaults are those of the released checkpoint; generation_config.json is optional
 * and may replace each. */
static pf_status read_defaults(pf_engine *engine, pf_error *error)
{
    json_t *config = NULL;
    char *path = NULL;
    engine->defaults = (pf_defaults){
        .height = 352, .width = 640, .num_frames = 193,
        .num_inference_steps = 50, .fps = 24.0, .guidance_scale = 5.0,
        .guidance_scale_2 = PF_UNSET,
    };
    PF_TRY(load_json(engine->model_path, "generation_config.json", true, &config,
                     &path, error));
    pf_status status = PF_OK;
    if (config)
        status = parse_defaults(config, path, &engine->defaults, error);
    if (status == PF_OK && config)
        status = pf_made_for_read(config, path, &engine->made_for, error);
    json_decref(config);
    pf_free(path);
    return status;
}

static pf_status read_preview(pf_engine *engine, pf_error *error)
{
    json_t *config = NULL;
    char *path = NULL;
    PF_TRY(load_json(engine->model_path, "preview.json", true, &config, &path, error));
    pf_status status = pf_preview_read(engine, config, path, error);
    json_decref(config);
    pf_free(path);
    return status;
}

static pf_status open_tokenizer(pf_engine *engine, pf_error *error)
{
    char *path = pf_path_join(engine->model_path, "tokenizer/tokenizer.json");
    if (!path)
        return pf_fail_memory(error, "tokenizer", 1);
    pf_status status = pf_tokenizer_open(path, &engine->tokenizer, error);
    pf_free(path);
    return status;
}

/* --- do the parts fit together ----------------------------------------------- */

typedef struct match {
    const char *what_a;
    int64_t a;
    const char *what_b;
    int64_t b;
} match;

static pf_status check_matches(const match *list, int count, pf_error *error)
{
    for (int i = 0; i < count; i++)
        if (list[i].a != list[i].b)
            return pf_fail(error, PF_E_MODEL,
                           "the components do not fit together: %s is %lld, but %s "
                           "is %lld", list[i].what_a, (long long)list[i].a,
                           list[i].what_b, (long long)list[i].b);
    return PF_OK;
}

/* Sizes that two components share must be equal; the message names the two that are not.  The
 * input of a video expert is [noise z | mask 4 | condition z] (docs/model/pipeline.md). */
static pf_status check_fit(pf_engine *engine, pf_error *error)
{
    const pf_tower_info *video = pf_tower_get_info(engine->expert[0]);
    const pf_tower_info *low = pf_tower_get_info(engine->expert[1]);
    const pf_tower_info *audio = pf_tower_get_info(engine->audio_dit);
    const pf_bridge_info *bridge = pf_bridge_get_info(engine->bridge);
    int z = pf_video_vae_get_info(engine->video_vae)->latent_channels;
    int width = (int)pf_umt5_width(engine->text_encoder);
    const match list[] = {
        {"video_dit out_dim", video->out_dim, "video_vae z_dim", z},
        {"video_dit in_dim", video->in_dim, "twice z_dim and 4 mask channels",
         2 * z + 4},
        {"video_dit_2 in_dim", low->in_dim, "video_dit in_dim", video->in_dim},
        {"video_dit_2 out_dim", low->out_dim, "video_dit out_dim", video->out_dim},
        {"video_dit text_dim", video->text_dim, "text_encoder d_model", width},
        {"video_dit_2 text_dim", low->text_dim, "text_encoder d_model", width},
        {"audio_dit text_dim", audio->text_dim, "text_encoder d_model", width},
        {"audio_dit in_dim", audio->in_dim, "audio_vae latent_dim",
         pf_audio_vae_get_info(engine->audio_vae)->latent_channels},
        {"audio_dit out_dim", audio->out_dim, "audio_dit in_dim", audio->in_dim},
        {"dual_tower_bridge visual_layers", bridge->video_layers,
         "video_dit num_layers", video->layers},
        {"dual_tower_bridge visual_layers", bridge->video_layers,
         "video_dit_2 num_layers", low->layers},
        {"dual_tower_bridge audio_layers", bridge->audio_layers,
         "audio_dit num_layers", audio->layers},
        {"audio_dit patch_size", audio->patch[0], "the only one supported,", 1},
    };
    PF_TRY(check_matches(list, (int)(sizeof list / sizeof list[0]), error));
    PF_TRY(pf_made_for_check(engine->made_for,
                             pf_video_vae_get_info(engine->video_vae)->space *
                                 video->patch[1],
                             pf_video_vae_get_info(engine->video_vae)->time, error));
    if (pf_tokenizer_vocabulary(engine->tokenizer) >
        pf_umt5_vocabulary(engine->text_encoder))
        return pf_fail(error, PF_E_MODEL,
                       "the tokenizer makes ids up to %lld, but the text encoder has "
                       "only %lld rows",
                       (long long)pf_tokenizer_vocabulary(engine->tokenizer) - 1,
                       (long long)pf_umt5_vocabulary(engine->text_encoder));
    for (int i = 0; i < 2; i++) {
        pf_dual_tower towers = {engine->expert[i], engine->audio_dit,
                                engine->bridge};
        PF_TRY(pf_dual_tower_check(&towers, error));
    }
    return PF_OK;
}

pf_status pf_components_open(pf_engine *engine, pf_error *error)
{
    engine->boundary_ratio = 0.9;
    PF_TRY(pf_model_folder_check(engine->model_path, error));
    PF_TRY(read_model_index(engine, error));
    PF_TRY(read_scheduler(engine, error));
    PF_TRY(read_defaults(engine, error));
    for (int c = 0; c < PF_COMPONENTS; c++) {
        PF_TRY(open_component(engine, (pf_component)c, error));
        describe(engine, (pf_component)c);
    }
    PF_TRY(read_preview(engine, error));
    PF_TRY(open_tokenizer(engine, error));
    PF_TRY(check_fit(engine, error));
    PF_TRY(pf_residency_check(engine, (1u << PF_COMPONENTS) - 1, false, error));
    /* Warnings come last, so that a refused model gives one sentence. */
    for (int c = 0; c < PF_COMPONENTS; c++)
        pf_weights_warn_unused(pf_params_weights(engine->params[c]), &engine->log);
    return PF_OK;
}

void pf_components_close(pf_engine *engine)
{
    pf_made_for_free(engine->made_for);
    pf_tokenizer_close(engine->tokenizer);
    for (int c = PF_COMPONENTS - 1; c >= 0; c--) {
        pf_params_close(engine->params[c]);
        components[c].unbind(engine);
    }
}
