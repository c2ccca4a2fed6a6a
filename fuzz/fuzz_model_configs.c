/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations: the first byte chooses what the rest is read as.  It is refused with a
 * sentence that fits one line, or the component opens as far as its weights reach. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "fuzz_main.h"
#include "input_file.h"
#include "model/audio_vae.h"
#include "model/bridge.h"
#include "model/scheduler.h"
#include "model/tower.h"
#include "model/umt5.h"
#include "model/video_vae.h"
#include "phonofilm.h"
#include "weights/weights.h"

enum { MAX_CONFIG_BYTES = 1 << 16 };

/* A component with no tensors: what is asked for by the configuration is missing, so
 * opening ends there. */
static pf_params *no_tensors(void)
{
    static const unsigned char bytes[10] = {2, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    input_file file;
    pf_weights *weights = NULL;
    pf_params *params = NULL;
    if (!input_file_open(&file, bytes, sizeof bytes) ||
        pf_weights_open_file(file.path, "", &weights, NULL) != PF_OK)
        abort();
    input_file_close(&file);
    if (pf_params_open(weights, (pf_numerics){0}, &params, NULL) != PF_OK)
        abort();
    return params;
}

static pf_status read_tower(pf_modality modality, const json_t *config, pf_error *error)
{
    pf_params *params = no_tensors();
    pf_tower *tower = NULL;
    pf_status status = pf_tower_bind(params, modality, config, "config", &tower, error);
    pf_params_close(params);
    pf_tower_unbind(tower);
    return status;
}

static pf_status read_video_tower(const json_t *config, pf_error *error)
{
    return read_tower(PF_VIDEO, config, error);
}

static pf_status read_audio_tower(const json_t *config, pf_error *error)
{
    return read_tower(PF_AUDIO, config, error);
}

static pf_status read_bridge(const json_t *config, pf_error *error)
{
    pf_params *params = no_tensors();
    pf_bridge *bridge = NULL;
    pf_status status = pf_bridge_bind(params, config, "config", &bridge, error);
    pf_params_close(params);
    pf_bridge_unbind(bridge);
    return status;
}

static pf_status read_video_vae(const json_t *config, pf_error *error)
{
    pf_params *params = no_tensors();
    pf_video_vae *vae = NULL;
    pf_status status = pf_video_vae_bind(params, config, "config", &vae, error);
    pf_params_close(params);
    pf_video_vae_unbind(vae);
    return status;
}

static pf_status read_audio_vae(const json_t *config, pf_error *error)
{
    pf_params *params = no_tensors();
    pf_audio_vae *vae = NULL;
    pf_status status = pf_audio_vae_bind(params, config, "config", &vae, error);
    pf_params_close(params);
    pf_audio_vae_unbind(vae);
    return status;
}

static pf_status read_umt5(const json_t *config, pf_error *error)
{
    pf_params *params = no_tensors();
    pf_umt5 *encoder = NULL;
    pf_status status = pf_umt5_bind(params, config, "config", &encoder, error);
    pf_params_close(params);
    pf_umt5_unbind(encoder);
    return status;
}

/* A schedule that is read can be made, for few and for many steps. */
static pf_status read_scheduler(const json_t *json, pf_error *error)
{
    pf_scheduler_config config;
    pf_scheduler scheduler;
    PF_TRY(pf_scheduler_read_config(json, "config", &config, error));
    PF_TRY(pf_scheduler_open(&config, &scheduler, error));
    pf_status status = pf_scheduler_set_steps(&scheduler, 7, NULL, error);
    if (status == PF_OK && scheduler.steps != 7)
        abort();
    pf_scheduler_close(&scheduler);
    return status;
}

typedef pf_status (*reader)(const json_t *config, pf_error *error);

static const reader readers[] = {
    read_video_tower, read_audio_tower, read_bridge, read_video_vae,
    read_audio_vae, read_umt5, read_scheduler,
};

static pf_status read_config(size_t which, const uint8_t *data, size_t size,
                             pf_error *error)
{
    json_t *config = NULL;
    PF_TRY(pf_json_parse((const char *)data, size, "config", &config, error));
    pf_status status = readers[which](config, error);
    json_decref(config);
    return status;
}

/* --- files of a model folder ----------------------------------------------------- */

static const char *in_folder(const char *name)
{
    static char folder[] = "/tmp/pf-fuzz-XXXXXX", path[128];
    static bool made;
    if (!made && !mkdtemp(folder))
        abort();
    made = true;
    snprintf(path, sizeof path, "%s%s%s", folder, *name ? "/" : "", name);
    return path;
}

static void remove_folder(void)
{
    rmdir(in_folder(""));
}

static void write_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(in_folder(name), "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        abort();
}

/* An index beside a shard with one tensor. */
static pf_status read_index(const uint8_t *data, size_t size, pf_error *error)
{
    static const float value[1];
    static const char index[] = "m.safetensors.index.json", shard[] = "a.safetensors";
    pf_named_tensor tensor = {"x", pf_tensor_make((void *)(uintptr_t)value, PF_F32, 0,
                                                  NULL)};
    pf_weights *weights = NULL;
    write_file(index, data, size);
    if (pf_safetensors_write(in_folder(shard), &tensor, 1, NULL, NULL) != PF_OK)
        abort();
    pf_status status = pf_weights_open(in_folder(""), "m", &weights, error);
    pf_weights_close(weights);
    unlink(in_folder(index));
    unlink(in_folder(shard));
    return status;
}

/* Files that an engine reads before it looks for the first component, which is not there. */
static pf_status read_beside(const char *name, const uint8_t *data, size_t size,
                             pf_error *error)
{
    static const char index[] = "model_index.json";
    pf_engine *engine;
    write_file(index, "{}", 2);
    write_file(name, data, size);
    pf_status status = pf_engine_open(
        &(pf_engine_options){.model_path = in_folder(""), .threads = 1}, &engine,
        error);
    if (status == PF_OK)
        abort();
    unlink(in_folder(index));
    unlink(in_folder(name));
    return status;
}

/* --- choosing ---------------------------------------------------------------------- */

enum { READERS = sizeof readers / sizeof readers[0], KINDS = READERS + 3 };

static pf_status read_as(size_t which, const uint8_t *data, size_t size,
                         pf_error *error)
{
    switch (which) {
    case READERS: return read_index(data, size, error);
    case READERS + 1: return read_beside("model_index.json", data, size, error);
    case READERS + 2: return read_beside("generation_config.json", data, size, error);
    default: return read_config(which, data, size, error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool watched;
    pf_error error = {0};
    if (!watched)
        atexit(remove_folder);
    watched = true;
    if (size == 0 || size > MAX_CONFIG_BYTES)
        return 0;
    pf_status status = read_as(data[0] % KINDS, data + 1, size - 1, &error);
    if (status != PF_OK && (error.message[0] == '\0' || strchr(error.message, '\n')))
        abort();                        /* a refusal without one clear line */
    return 0;
}
