/* SPDX-License-Identifier: Apache-2.0 */
/* The engine inside: components, residency, defaults.  Public side: phonofilm.h.
 *
 * An engine is a model on a platform.  After opening it is constant, but for the residence of
 * its components and two figures.  Threads and locks:
 *
 *     lock        held by                                     for
 *     ----------  ------------------------------------------  --------------------------
 *     busy        pf_job_run, from beginning to end           one film at a time
 *     residency   the runner, to write; dry runs, to read     components that come and go
 *     figures     predictions                                 idle memory, speed
 *
 * `busy` is taken before `residency`; under `figures`, `busy` is only tried.  So a prediction
 * waits at most for the components of one stage to be loaded, never for a film.
 */
#ifndef PF_PIPELINE_ENGINE_H
#define PF_PIPELINE_ENGINE_H

#include <pthread.h>

#include "base/log.h"
#include "base/machine.h"
#include "model/audio_vae.h"
#include "model/dual_tower.h"
#include "model/scheduler.h"
#include "model/umt5.h"
#include "model/video_vae.h"
#include "phonofilm.h"
#include "platform/platform.h"
#include "text/tokenizer.h"

/* The parts of a model, in the order in which they are opened; each is a folder. */
typedef enum pf_component {
    PF_TEXT_ENCODER,
    PF_VIDEO_VAE,
    PF_AUDIO_VAE,
    PF_VIDEO_DIT,                       /* high noise */
    PF_VIDEO_DIT_2,                     /* low noise */
    PF_AUDIO_DIT,
    PF_DUAL_TOWER_BRIDGE,
    PF_COMPONENTS
} pf_component;

/* Defaults of requests (generation_config.json). */
typedef struct pf_defaults {
    int height, width, num_frames, num_inference_steps;
    double fps, guidance_scale;
    double guidance_scale_2;            /* or PF_UNSET */
    bool text_only;                     /* when no picture is given */
} pf_defaults;

enum { PF_PREVIEW_CHANNELS = 64 };      /* latent channels that a map may have */

/* Colours from normalised latents: rgb = latents * factors + bias, -1..1. */
typedef struct pf_preview_map {
    bool known;
    float factors[PF_PREVIEW_CHANNELS][3], bias[3];
} pf_preview_map;

typedef struct pf_made_for pf_made_for;    /* purpose.h */

struct pf_engine {
    char *model_path;
    pf_platform *platform;
    pf_precision precision;
    bool round_bridge_frequencies;
    bool keep_resident;
    int64_t memory_limit;               /* 0: what is available */
    pf_log log;

    pf_umt5 *text_encoder;
    pf_video_vae *video_vae;
    pf_audio_vae *audio_vae;
    pf_tower *expert[2];                /* high noise, low noise */
    pf_tower *audio_dit;
    pf_bridge *bridge;
    pf_params *params[PF_COMPONENTS];   /* of the components above */
    pf_tokenizer *tokenizer;
    pf_scheduler_config scheduler;
    double boundary_ratio;
    pf_defaults defaults;
    pf_made_for *made_for;              /* NULL: the model does not say */
    pf_preview_map preview;

    pf_component_info component_info[PF_COMPONENTS];
    pf_model_info info;
    pthread_mutex_t busy;               /* one job at a time */
    pthread_rwlock_t residency;         /* written while components come and go, read
                                         * by dry runs beside a running job */
    pthread_mutex_t figures;            /* guards the next members alone: predictions
                                         * never wait for a running job */
    pf_process_memory idle;             /* when a job was last predicted while none ran and
                                         * no component was loaded */
    double flops_per_second;            /* measured when first asked for; 0: not yet */
};

/* The numerics of a component at this precision. */
pf_numerics pf_engine_numerics(const pf_engine *engine, pf_component component);

/* --- residency -------------------------------------------------------------- */

/* A set of components: bit 1 << pf_component. */
typedef unsigned pf_component_set;

/* Makes exactly these resident (with keep_resident: at least these).  Takes `residency` for
 * writing; the caller holds `busy` or is alone with the engine.  A failure may leave some of
 * them loaded. */
pf_status pf_residency_use(pf_engine *engine, pf_component_set set,
                           pf_error *error);

/* Gives back what all others hold (with keep_resident: nothing), so that the working memory of
 * a stage can be taken before its weights are loaded.  The caller holds `busy`. */
void pf_residency_evict(pf_engine *engine, pf_component_set set);

/* Are the weight files of these components what they were when they were opened?  Names
 * the first that is not.  `lost_only`: could they be read, that is all. */
pf_status pf_residency_check(const pf_engine *engine, pf_component_set set, bool lost_only,
                             pf_error *error);

/* Reads files anew that are not; for whoever holds `busy`. */
pf_status pf_residency_renew(pf_engine *engine, pf_error *error);

/* Would that work?  Beside a running job, too. */
pf_status pf_residency_check_renewal(pf_engine *engine, pf_error *error);

/* Bytes of memory: in the process, and where kernels compute, which may be the same. */
typedef struct pf_memory {
    int64_t host, device;
    int64_t mapped;                     /* of `host`: pages of weight files, which have their
                                         * addresses since the engine was opened */
    int64_t there;                      /* of `mapped`: of files that lie in memory */
    int64_t loading;                    /* beside `device` while components are loaded */
} pf_memory;

/* Bytes that these components hold while resident.  `text_tokens` is the number of rows of
 * the embedding table that a request touches. */
pf_memory pf_residency_bytes(pf_engine *engine, pf_component_set set,
                             int64_t text_tokens);

/* --- opening (components.c) -------------------------------------------------- */

/* Binds all components of engine->model_path on engine->platform and checks that they fit
 * together; no weight is loaded.  pf_components_close also follows a failure. */
pf_status pf_components_open(pf_engine *engine, pf_error *error);
void pf_components_close(pf_engine *engine);

/* Refuses a folder without a model, and says which is meant (model_folder.c). */
pf_status pf_model_folder_check(const char *path, pf_error *error);

/* The map for previews from preview.json (`config`, NULL if there is none), once the
 * components are open (preview.c). */
pf_status pf_preview_read(pf_engine *engine, const json_t *config, const char *name,
                          pf_error *error);

/* pf_engine_open on a platform that only counts (pf_platform_options.forecast). */
pf_status pf_engine_open_forecast(const pf_engine_options *options, const char *forecast,
                                 pf_engine **out, pf_error *error);

#endif
