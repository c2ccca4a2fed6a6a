/* SPDX-License-Identifier: Apache-2.0 */
/* The engine behind the public header.  See engine.h. */
#include "pipeline/engine.h"

#include <stdio.h>
#include <string.h>

#include "base/guard.h"
#include "base/memory.h"
#include "base/sized.h"
#include "pipeline/purpose.h"

const char *pf_version(void)
{
    return PF_VERSION;
}

pf_status pf_guard_files(pf_error *error)
{
    return pf_guard_install(error);
}

/* Opens a platform to ask what it can do, with as little as it takes: one thread on a host. */
static void describe_platform(const pf_platform_entry *entry, int device,
                              pf_platform_info *out)
{
    pf_error error = {0};
    pf_platform *platform = NULL;
    pf_platform_options options = {.name = entry->name,
                                   .threads = entry->has_devices ? 0 : 1,
                                   .device = entry->has_devices ? device : 0};
    *out = (pf_platform_info){0};
    snprintf(out->name, sizeof out->name, "%s", entry->name);
    if (pf_platform_open(&options, &platform, &error) != PF_OK) {
        snprintf(out->reason, sizeof out->reason, "%s", error.message);
        return;
    }
    const pf_capabilities *can = &platform->capabilities;
    out->usable = true;
    out->memory_bytes = can->memory_bytes;
    snprintf(out->isa, sizeof out->isa, "%s", can->isa);
    snprintf(out->device, sizeof out->device, "%s", can->device);
    pf_platform_close(platform);
}

/* Joins the words of all platforms with '|': their names, or instruction sets. */
static void join_words(bool names, char *out, size_t bytes)
{
    int count;
    size_t used = 0;
    const pf_platform_entry *entries = pf_platform_entries(&count);
    for (int i = 0; i < count && used < bytes; i++) {
        const char *words = names ? entries[i].name : entries[i].isas;
        if (words)
            used += (size_t)snprintf(out + used, bytes - used, "%s%s", used ? "|" : "", words);
    }
}

void pf_platform_words(char *out, size_t bytes)
{
    join_words(true, out, bytes);
}

void pf_isa_words(char *out, size_t bytes)
{
    join_words(false, out, bytes);
}

int pf_platform_list(int device, pf_platform_info *out, int room)
{
    int count;
    const pf_platform_entry *entries = pf_platform_entries(&count);
    count = count < room ? count : room;
    if (count > 0 && out->size < sizeof out->size)
        return 0;
    size_t stride = room > 0 ? out->size : 0;
    for (int i = 0; i < count; i++) {
        void *place = (char *)out + (size_t)i * stride;
        pf_platform_info info;
        describe_platform(&entries[i], device, &info);
        memcpy(place, &stride, sizeof stride);
        pf_sized_give(place, &info, sizeof info);
    }
    return count;
}

/* --- the machine -------------------------------------------------------------- */

/* Adds a limit, if there is room.  A limit binds when it is the one that decides a total. */
static void add_limit(pf_machine_info *out, const pf_limit *limit)
{
    const int room = (int)(sizeof out->limits / sizeof out->limits[0]);
    bool memory = limit->kind == PF_LIMIT_MEMORY;
    if (out->limit_count == room)
        return;
    pf_machine_limit *to = &out->limits[out->limit_count++];
    *to = (pf_machine_limit){.memory = memory, .amount = limit->amount,
                             .whole = limit->whole};
    to->binds = memory ? (int64_t)limit->amount <= out->memory_bytes
                       : limit->amount <= out->processors;
    snprintf(to->source, sizeof to->source, "%s", limit->source);
}

/* Adds a limit of addresses, which counts as one of memory. */
static void add_resource(pf_machine_info *out, const char *name, int64_t left)
{
    pf_limit limit = {PF_LIMIT_MEMORY, (double)left, (double)left, ""};
    snprintf(limit.source, sizeof limit.source, "%s", name);
    if (left < INT64_MAX)
        add_limit(out, &limit);
}

void pf_machine_get(pf_machine_info *out)
{
    pf_machine machine;
    pf_machine_read(NULL, &machine);
    int64_t addresses = machine.address_space < machine.data ? machine.address_space
                                                             : machine.data;
    pf_machine_info found = {
        .memory_bytes = machine.memory < addresses ? machine.memory : addresses,
        .processors = machine.processors,
        .threads = pf_machine_threads(&machine),
    };
    if (found.threads > PF_POOL_MAX_THREADS)
        found.threads = PF_POOL_MAX_THREADS;
    add_resource(&found, "RLIMIT_AS", machine.address_space);
    add_resource(&found, "RLIMIT_DATA", machine.data);
    /* The limits that bind first, so that there is room for them. */
    add_limit(&found, &machine.memory_by);
    add_limit(&found, &machine.processors_by);
    for (int i = 0; i < machine.count; i++)
        if (strcmp(machine.limits[i].source, machine.memory_by.source) != 0 &&
            strcmp(machine.limits[i].source, machine.processors_by.source) != 0)
            add_limit(&found, &machine.limits[i]);
    pf_sized_give(out, &found, sizeof found);
}

/* --- the model ------------------------------------------------------------------ */

/* The public facts of a model.  Strings belong to the engine and live as long. */
static void fill_info(pf_engine *engine)
{
    const pf_video_vae_info *video = pf_video_vae_get_info(engine->video_vae);
    const pf_audio_vae_info *audio = pf_audio_vae_get_info(engine->audio_vae);
    const pf_capabilities *can = &engine->platform->capabilities;
    engine->info = (pf_model_info){
        .path = engine->model_path,
        .components = engine->component_info,
        .component_count = PF_COMPONENTS,
        .size_multiple =
            video->space * pf_tower_get_info(engine->expert[0])->patch[1],
        .frame_multiple = video->time,
        .latent_channels = video->latent_channels,
        .audio_latent_channels = audio->latent_channels,
        .sample_rate = audio->sample_rate,
        .audio_hop = audio->hop,
        .boundary_ratio = engine->boundary_ratio,
        .without_picture = engine->defaults.text_only,
        .made_for = pf_made_for_view(engine->made_for),
        .platform = can->name,
        .isa = can->isa,
        .device = can->device,
        .threads = can->threads,
        .latent_pixels = video->space,
    };
}

static pf_status check_options(const pf_engine_options *options, pf_error *error)
{
    if (!options->model_path || !*options->model_path)
        return pf_fail(error, PF_E_ARGUMENT,
                       "model_path is empty, but must be a model folder");
    if (options->precision > PF_PRECISION_REF)
        return pf_fail(error, PF_E_ARGUMENT,
                       "precision is %d, but must be fast, f32 or ref",
                       (int)options->precision);
    if (options->bridge_frequencies > PF_BRIDGE_FREQUENCIES_BF16)
        return pf_fail(error, PF_E_ARGUMENT,
                       "bridge_frequencies is %d, but must be auto, f32 or bf16",
                       (int)options->bridge_frequencies);
    if (options->memory_limit < 0)
        return pf_fail(error, PF_E_ARGUMENT,
                       "memory_limit is %lld, but must not be negative",
                       (long long)options->memory_limit);
    return PF_OK;
}

/* `auto` follows the reference that a precision is compared with: `ref` is a bf16 pipeline,
 * which has rounded the bridge's frequencies. */
static bool wants_rounded_frequencies(const pf_engine_options *options)
{
    if (options->bridge_frequencies == PF_BRIDGE_FREQUENCIES_AUTO)
        return options->precision == PF_PRECISION_REF;
    return options->bridge_frequencies == PF_BRIDGE_FREQUENCIES_BF16;
}

static pf_status open_parts(pf_engine *engine, const pf_engine_options *options,
                            const char *forecast, pf_error *error)
{
    pf_platform_options platform = {
        .name = options->platform, .isa = options->isa, .threads = options->threads,
        .device = options->device, .forecast = forecast, .graph = options->graph};
    engine->model_path = pf_strdup(options->model_path);
    if (!engine->model_path)
        return pf_fail_memory(error, "engine", sizeof *engine);
    PF_TRY(pf_platform_open(&platform, &engine->platform, error));
    PF_TRY(pf_components_open(engine, error));
    fill_info(engine);
    return PF_OK;
}

pf_status pf_engine_open_forecast(const pf_engine_options *options, const char *forecast,
                                 pf_engine **out, pf_error *error)
{
    *out = NULL;
    PF_TRY(check_options(options, error));
    pf_engine *engine = pf_calloc(1, sizeof *engine);
    if (!engine)
        return pf_fail_memory(error, "engine", sizeof *engine);
    pthread_mutex_init(&engine->busy, NULL);
    pthread_mutex_init(&engine->figures, NULL);
    pthread_rwlock_init(&engine->residency, NULL);
    engine->precision = options->precision;
    engine->round_bridge_frequencies = wants_rounded_frequencies(options);
    engine->keep_resident = options->keep_resident;
    engine->memory_limit = options->memory_limit;
    engine->log = (pf_log){options->warn, options->warn_user};
    pf_status status = open_parts(engine, options, forecast, error);
    if (status != PF_OK) {
        pf_engine_close(engine);
        return status;
    }
    *out = engine;
    return PF_OK;
}

pf_status pf_engine_open(const pf_engine_options *options, pf_engine **out,
                         pf_error *error)
{
    return pf_engine_open_forecast(options, NULL, out, error);
}

void pf_engine_close(pf_engine *engine)
{
    if (!engine)
        return;
    pf_components_close(engine);
    pf_platform_close(engine->platform);
    pthread_rwlock_destroy(&engine->residency);
    pthread_mutex_destroy(&engine->figures);
    pthread_mutex_destroy(&engine->busy);
    pf_free(engine->model_path);
    pf_free(engine);
}

const pf_model_info *pf_engine_info(const pf_engine *engine)
{
    return &engine->info;
}
