/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the component folders of a model.  docs/model/file-formats.md. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "pipeline/engine.h"
#include "pipeline/purpose.h"

enum { MAX_CONFIG_BYTES = 4 << 20 };

typedef struct component_file {
    const char *folder;
    const char *stem;
    const char *class_name;             /* of the only class that is implemented */
} component_file;

static const char diffusers_stem[] = "diffusion_pytorch_model";

static const component_file files[PF_COMPONENTS] = {
    [PF_TEXT_ENCODER] = {"text_encoder", "model", NULL},
    [PF_VIDEO_VAE] = {"video_vae", diffusers_stem, "AutoencoderKLWan"},
    [PF_AUDIO_VAE] = {"audio_vae", diffusers_stem, "DAC"},
    [PF_VIDEO_DIT] = {"video_dit", diffusers_stem, "WanModel"},
    [PF_VIDEO_DIT_2] = {"video_dit_2", diffusers_stem, "WanModel"},
    [PF_AUDIO_DIT] = {"audio_dit", diffusers_stem, "WanAudioModel"},
    [PF_DUAL_TOWER_BRIDGE] = {"dual_tower_bridge", diffusers_stem,
                              "DualTowerConditionalBridge"},
};

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

/* Hands configuration and weights to the component's own open function. */
static pf_status open_parsed(pf_engine *e, pf_component which, const json_t *config,
                             const char *name, pf_weights *w, pf_error *error)
{
    switch (which) {
    case PF_TEXT_ENCODER:
        return pf_umt5_open(w, config, name, &e->text_encoder, error);
    case PF_VIDEO_VAE:
        return pf_video_vae_open(w, config, name, &e->video_vae, error);
    case PF_AUDIO_VAE:
        return pf_audio_vae_open(w, config, name, &e->audio_vae, error);
    case PF_VIDEO_DIT:
        return pf_tower_open(PF_VIDEO, w, config, name, &e->expert[0], error);
    case PF_VIDEO_DIT_2:
        return pf_tower_open(PF_VIDEO, w, config, name, &e->expert[1], error);
    case PF_AUDIO_DIT:
        return pf_tower_open(PF_AUDIO, w, config, name, &e->audio_dit, error);
    default:
        return pf_bridge_open(w, config, name, &e->bridge, error);
    }
}

static pf_status open_in(pf_engine *engine, pf_component which,
                         const char *folder, pf_error *error)
{
    json_t *config = NULL;
    char *config_path = NULL;
    pf_weights *weights = NULL;
    PF_TRY(load_json(folder, "config.json", false, &config, &config_path, error));
    pf_status status =
        check_class(config, config_path, files[which].class_name, error);
    if (status == PF_OK)
        status = pf_weights_open(folder, files[which].stem, &weights, error);
    if (status == PF_OK)
        status = open_parsed(engine, which, config, config_path, weights, error);
    json_decref(config);
    pf_free(config_path);
    return status;
}

static pf_status open_component(pf_engine *engine, pf_component which,
                                pf_error *error)
{
    char *folder = pf_path_join(engine->model_path, files[which].folder);
    if (!folder)
        return pf_fail_memory(error, files[which].folder, 1);
    pf_status status;
    if (!pf_path_is_folder(folder))
        status = pf_fail(error, PF_E_NOT_FOUND,
                         "the model has no component folder %s", folder);
    else
        status = open_in(engine, which, folder, error);
    pf_free(folder);
    return status;
}

static pf_params *params_of(const pf_engine *e, pf_component which)
{
    switch (which) {
    case PF_TEXT_ENCODER: return pf_umt5_params(e->text_encoder);
    case PF_VIDEO_VAE: return pf_video_vae_params(e->video_vae);
    case PF_AUDIO_VAE: return pf_audio_vae_params(e->audio_vae);
    case PF_VIDEO_DIT: return pf_tower_params(e->expert[0]);
    case PF_VIDEO_DIT_2: return pf_tower_params(e->expert[1]);
    case PF_AUDIO_DIT: return pf_tower_params(e->audio_dit);
    default: return pf_bridge_params(e->bridge);
    }
}

static void describe(pf_engine *engine, pf_component which)
{
    pf_weights *weights = pf_params_weights(engine->params[which]);
    pf_component_info *info = &engine->component_info[which];
    *info = (pf_component_info){
        .name = files[which].folder,
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
        engine->params[c] = params_of(engine, (pf_component)c);
        pf_params_round(engine->params[c],
                        pf_engine_numerics(engine, (pf_component)c).round_bf16);
        pf_params_expect(engine->params[c],
                         pf_engine_numerics(engine, (pf_component)c).multiply);
        describe(engine, (pf_component)c);
    }
    PF_TRY(read_preview(engine, error));
    PF_TRY(open_tokenizer(engine, error));
    PF_TRY(check_fit(engine, error));
    PF_TRY(pf_residency_check(engine, (1u << PF_COMPONENTS) - 1, false, error));
    /* Now that the model is not refused: a refusal is one sentence. */
    for (int c = 0; c < PF_COMPONENTS; c++)
        pf_weights_warn_unused(pf_params_weights(engine->params[c]), &engine->log);
    return PF_OK;
}

void pf_components_close(pf_engine *engine)
{
    pf_made_for_free(engine->made_for);
    pf_tokenizer_close(engine->tokenizer);
    pf_bridge_close(engine->bridge);
    pf_tower_close(engine->audio_dit);
    pf_tower_close(engine->expert[1]);
    pf_tower_close(engine->expert[0]);
    pf_audio_vae_close(engine->audio_vae);
    pf_video_vae_close(engine->video_vae);
    pf_umt5_close(engine->text_encoder);
}
