/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm.h - the whole interface of libphonofilm, and its manual.
 *
 * Phonofilm turns a prompt and a first-frame picture into a short film with
 * synchronised sound, with a model of the MOVA family.
 *
 *     pf_engine_options options = {.model_path = "MOVA-360p"};
 *     pf_engine *engine;
 *     pf_engine_open(&options, &engine, &error);          // reads headers only
 *
 *     pf_request request;
 *     pf_request_init(engine, &request);                  // the model's defaults
 *     request.prompt = "A red ball bounces on a wooden floor.";
 *     request.first_frame = (pf_image){rgb, width, height, 3 * width};
 *
 *     pf_job *job;
 *     pf_job_create(engine, &request, &sinks, &job, &error);   // checks all
 *     pf_job_run(job, &error);                            // minutes; calls sinks
 *     pf_job_destroy(job);
 *     pf_engine_close(engine);
 *
 * Rules that hold everywhere
 *   - Every fallible function returns a pf_status; PF_OK is 0.  The pf_error that
 *     you pass gets one sentence that names what is wrong (phonofilm_status.h).
 *   - Strings are UTF-8.  Structures that you pass are read during the call only;
 *     pf_job_create copies what the job needs.
 *   - Zero-initialise structures; new members will mean "as before" when zero.
 *   - The library never prints, never exits, installs no signal handlers unless you
 *     ask for one (pf_guard_files), and leaves the locale and the floating-point
 *     environment alone.
 *   - Threads: an engine may be used from several threads; its jobs run one after
 *     another.  One job belongs to one thread, except for pf_job_cancel.
 *   - Results depend on the request, the precision and the instruction set, never
 *     on the number of threads.
 */
#ifndef PHONOFILM_H
#define PHONOFILM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "phonofilm_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library, such as "0.2.0". */
PF_API const char *pf_version(void);

/* ======================================================================== engine
 * An engine is an opened model: configurations, tokenizer, and the tables of
 * contents of all weight files.  Weights are mapped and come to the platform only
 * when a stage of a job needs them.
 */

typedef struct pf_engine pf_engine;

/* How numbers are treated.
 * FAST  weights as stored, accumulation in f32, multiplicands in whatever the
 *       platform is fastest with (bf16 where the processor multiplies it).
 * F32   every operation in f32.
 * REF   the roundings of the bf16 Python reference, in towers, bridge and text;
 *       both VAEs in f32.  For comparisons, not for speed. */
typedef enum pf_precision {
    PF_PRECISION_FAST,
    PF_PRECISION_F32,
    PF_PRECISION_REF
} pf_precision;

/* The rotary frequencies of the bridge: rounded to bf16, as the official scripts
 * have them, or not.  AUTO: bf16 with PF_PRECISION_REF, f32 otherwise. */
typedef enum pf_bridge_frequencies {
    PF_BRIDGE_FREQUENCIES_AUTO,
    PF_BRIDGE_FREQUENCIES_F32,
    PF_BRIDGE_FREQUENCIES_BF16
} pf_bridge_frequencies;

typedef struct pf_engine_options {
    const char *model_path;     /* model folder (docs/model/file-formats.md) */
    const char *platform;       /* "ascend", "cpu" or "reference"; NULL or "auto":
                                 * the fastest here, a device before the processor */
    const char *isa;            /* highest instruction set that may be used:
                                 * "avx512bf16" "avx512" "avx2" "neon" "scalar";
                                 * NULL: whatever the processor has */
    int threads;                /* 1..256; 0: as pf_machine_get says.  Must be 0 where the
                                 * platform has a device of its own */
    int device;                 /* which of several devices, from 0; docs/ascend.md */
    pf_precision precision;
    pf_bridge_frequencies bridge_frequencies;
    bool keep_resident;         /* keep components loaded between stages: faster
                                 * for many films, needs the memory of all */
    int64_t memory_limit;       /* bytes a job may use, of the device's memory where that
                                 * is not the process's; 0: what is available */
    bool graph;                 /* on a device: record a denoising step and replay it, if
                                 * the device's interface can; docs/ascend.md */
    /* Warnings, one line each, from any thread; NULL drops them. */
    void (*warn)(void *user, const char *line);
    void *warn_user;
} pf_engine_options;

/* Opens a model folder.  Fails with PF_E_NOT_FOUND, PF_E_MODEL (a file is wrong:
 * the message names component, file and value), PF_E_UNSUPPORTED or PF_E_MEMORY.
 * *out is NULL on failure. */
PF_API pf_status pf_engine_open(const pf_engine_options *options, pf_engine **out,
                                pf_error *error);

/* Weights are mapped: reading a file that is cut while it is in use, or whose disk or
 * network drive fails, raises SIGBUS, which ends a process that does not handle it.
 *
 * After this call such a film fails instead: pf_job_run, and whatever else was reading,
 * returns PF_E_MODEL (the file is shorter) or PF_E_IO with a message that names the file.
 * Nothing that was computed with it reaches a sink.  A file that is changed in place fails
 * the film in this way with or without the call.  The engine stays usable: pf_request_check
 * and pf_job_create refuse films as long as the file is damaged, and once it is whole again,
 * with the tensors that it had, films are made again.
 *
 * It installs a handler of SIGBUS for the process, once, from any thread, and nothing takes
 * it away again.  What is not about a file that this library has mapped goes to the handler
 * that was there before (the default ends the process).  A host that installs one of its
 * own later must pass on to this one.  No thread that runs jobs may block SIGBUS.  Fails
 * with PF_E_IO if the system refuses. */
PF_API pf_status pf_guard_files(pf_error *error);

/* Closes; NULL is fine.  All jobs must have been destroyed. */
PF_API void pf_engine_close(pf_engine *engine);

/* One component folder of the model. */
typedef struct pf_component_info {
    const char *name;           /* "video_dit" */
    const char *dtype;          /* "BF16"; "mixed" if tensors differ */
    int64_t tensors;
    int64_t parameters;
    int64_t bytes;              /* of tensor data on disk */
} pf_component_info;

typedef struct pf_size {
    int width, height;          /* pixels */
} pf_size;

/* The purpose of a model, as its generation_config.json says ("made_for",
 * docs/model/file-formats.md).  Lists are empty where it says nothing.  Other films can be
 * asked for, too: see pf_request_warnings. */
typedef struct pf_purpose {
    const char *about;          /* a sentence about its world, or NULL */
    const pf_size *sizes;
    int size_count;
    const int *num_frames;
    int num_frames_count;
    const char *const *languages;   /* of prompts, BCP 47: "en" */
    int language_count;
    const char *const *subjects;    /* words of which a prompt should have one: "ball" */
    int subject_count;
} pf_purpose;

/* What is known of the model; pointers stay valid as long as the engine. */
typedef struct pf_model_info {
    const char *path;
    const pf_component_info *components;
    int component_count;
    int size_multiple;          /* height and width must be multiples of this: 16 */
    int frame_multiple;         /* num_frames - 1 must be one of this: 4 */
    int latent_channels;        /* of the video latents: 16 */
    int audio_latent_channels;  /* 128 */
    int sample_rate;            /* Hz: 48000 */
    int audio_hop;              /* samples an audio latent: 960 */
    double boundary_ratio;      /* the low-noise expert works below it: 0.9 */
    bool without_picture;       /* trained to start from the prompt alone, too: text_only
                                 * is what a user means who gives no picture */
    pf_purpose made_for;
    const char *platform;       /* where it computes: "cpu" */
    const char *isa;            /* "avx2" */
    const char *device;         /* the processor's name */
    int threads;
} pf_model_info;

PF_API const pf_model_info *pf_engine_info(const pf_engine *engine);

/* A platform that this build knows, and whether this machine has it. */
typedef struct pf_platform_info {
    char name[16];              /* "ascend" */
    bool usable;
    char isa[32];               /* "Ascend910B1", "avx2" */
    char device[96];            /* for people */
    int64_t memory_bytes;       /* available now */
    char reason[512];           /* one sentence, if it is not usable */
} pf_platform_info;

/* The words that pf_engine_options.platform takes beside "auto", and those of .isa, best
 * first: "ascend|cpu|reference".  Opens nothing.  Writes at most `bytes` bytes with the NUL. */
PF_API void pf_platform_words(char *out, size_t bytes);
PF_API void pf_isa_words(char *out, size_t bytes);

/* Opens each platform (with device number `device`) to see; in order of preference.
 * Fills at most `room` and returns how many. */
PF_API int pf_platform_list(int device, pf_platform_info *out, int room);

/* ======================================================================= machine
 * What the surroundings allow this process: the machine itself, the cgroups of a
 * container with all their parents, affinity and resource limits.
 */

/* A limit that was found. */
typedef struct pf_machine_limit {
    char source[256];           /* "/sys/fs/cgroup/films/memory.max", "affinity" */
    bool memory;                /* amounts are bytes of memory; else processors */
    bool binds;                 /* no other of its kind leaves less */
    double amount;              /* what it leaves now */
    double whole;               /* with the bytes in use; processors: the same */
} pf_machine_limit;

typedef struct pf_machine_info {
    int64_t memory_bytes;       /* available now: the least of all limits of memory.  Clean
                                 * pages of files count as available */
    double processors;          /* the least of all limits of processors, above 0; a quota
                                 * need not be whole */
    int threads;                /* of an engine whose options leave them at 0: the
                                 * processors rounded down, 1 to 256 */
    int limit_count;
    pf_machine_limit limits[32];
} pf_machine_info;

/* Reads the limits anew.  What cannot be read limits nothing; there is no failure.
 * Thread-safe. */
PF_API void pf_machine_get(pf_machine_info *out);

/* ======================================================================= request
 * A request says what to make.  pf_request_init fills in the model's defaults
 * (generation_config.json); set what differs.
 */

/* A picture: 8-bit RGB, rows top to bottom, `stride` bytes apart.  It is cropped
 * around its centre to the film's shape and resized exactly as Pillow does. */
typedef struct pf_image {
    const uint8_t *rgb;         /* NULL: no picture */
    int64_t width, height;      /* pixels, 16 to 16384 a side */
    int64_t stride;             /* bytes, at least 3 * width */
} pf_image;

/* Where noise comes from.
 * OWN         a counter-based generator; the default.
 * TORCH_CPU   the stream of torch.randn on a CPU with this seed (within 2e-6).
 * TORCH_CUDA  the stream of torch.randn on a GPU with `cuda_multiprocessors`
 *             multiprocessors (an H100 or H200 has 132). */
typedef enum pf_rng { PF_RNG_OWN, PF_RNG_TORCH_CPU, PF_RNG_TORCH_CUDA } pf_rng;

/* A number that may be left out: PF_UNSET is "not given". */
#define PF_UNSET (-1e300)

/* The latents of a film after some denoising steps: all that is needed to go on,
 * here or on another machine, to the identical result.  After the last step it is
 * what a decoder needs. */
typedef struct pf_state {
    int step;                   /* steps that are done, 0..steps */
    int steps;                  /* of the whole film */
    double fps;                 /* frames a second of the film */
    const float *video;         /* [C, T, h, w] */
    int64_t video_shape[4];
    const float *audio;         /* [C, L] */
    int64_t audio_shape[2];
} pf_state;

typedef struct pf_request {
    const char *prompt;         /* up to 64 KiB; cut at 512 tokens, of which
                                 * pf_request_warnings tells; may be "" */
    const char *negative_prompt;/* NULL: the model family's default */
    pf_image first_frame;       /* required, unless text_only or resume */
    pf_image last_frame;        /* optional: the film ends there */
    bool text_only;             /* T2VA: a white first frame */

    int height, width;          /* pixels, multiples of 16 */
    int num_frames;             /* 4k + 1 */
    double fps;                 /* frames a second, 1 to 120 */
    int num_inference_steps;    /* 1 to 1000 */

    double guidance_scale;      /* 1: the negative prompt is not used; 0 to 100 */
    double guidance_scale_2;    /* from the low-noise expert on; PF_UNSET: the same */
    double bridge_guidance_scale;   /* dual guidance: strength of the bridge
                                 * between picture and sound, or PF_UNSET */
    double guidance_rescale;    /* 0 (off) to 1 */
    double visual_shift;        /* of the timesteps, both or none; PF_UNSET: as */
    double audio_shift;         /* the scheduler's config says */

    uint64_t seed;
    pf_rng rng;
    int cuda_multiprocessors;   /* with PF_RNG_TORCH_CUDA only */

    bool no_video_output;       /* decode and deliver the sound alone */
    bool no_audio_output;       /* decode and deliver the picture alone */
    int vae_tile, vae_tile_stride;  /* pixels; 0: whole frames.  Less memory,
                                 * faint seams: 256 and 192 are the usual values */

    const pf_state *resume;     /* go on from here: latents and step are taken,
                                 * seed and rng are not used; members without effect
                                 * are judged by the whole film, not by what remains */
    bool accepted;              /* pf_request_check passed it once, perhaps with other
                                 * defaults and limits: members without effect and
                                 * memory_limit are not judged again */
} pf_request;

enum { PF_DEFAULT_SEED = 42 };

/* The usual vae_tile_stride of a vae_tile: three quarters, a multiple of 16. */
static inline int pf_usual_tile_stride(int vae_tile)
{
    return vae_tile * 3 / 4 / 16 * 16;
}

/* The model's defaults. */
PF_API void pf_request_init(const pf_engine *engine, pf_request *request);

/* What a request will cost, known before any work. */
typedef struct pf_prediction {
    int64_t peak_bytes;         /* resident memory of the process at its highest */
    int64_t device_bytes;       /* memory of the device; 0: it is the process's */
    double seconds;             /* on this machine when it does nothing else, roughly */
    double flops;
    int64_t video_shape[4];     /* latents [C, T, h, w] */
    int64_t audio_shape[2];     /* latents [C, L] */
    int64_t audio_samples;      /* of the film, at most; cut to its length */
    int switch_step;            /* first step of the low-noise expert */
    const char *negative_prompt;/* the one that is used, the request's own string or the
                                 * model family's default; NULL: none has an effect */
    double visual_shift;        /* of the timesteps, as they are used; PF_UNSET where */
    double audio_shift;         /* the scheduler's config has another kind of shift */
} pf_prediction;

/* Checks everything that can be checked without computing, in the order of the
 * members, and predicts; reads no pixel of the pictures.  PF_E_ARGUMENT names the
 * member, its value and what is accepted; PF_E_TOO_LARGE and PF_E_MEMORY give needed and
 * available bytes.  `out` may be NULL. */
PF_API pf_status pf_request_check(pf_engine *engine, const pf_request *request,
                                  pf_prediction *out, pf_error *error);

/* Shortcomings of a film whose request is granted, a sentence each: words beyond
 * what the text encoder reads, and what the model was not made for. */
typedef struct pf_warnings {
    int count;
    char text[8][512];
    int64_t prompt_tokens;      /* of the whole prompt; 0: none is used */
    int64_t negative_prompt_tokens;     /* likewise, of the one that is used */
    int64_t most_tokens;        /* that the text encoder reads of each: 512 */
} pf_warnings;

/* Fills *out, which has a count of 0 when there is nothing to say.  Checks the request as
 * pf_request_check does, without predicting, and fails with the same statuses. */
PF_API pf_status pf_request_warnings(pf_engine *engine, const pf_request *request,
                                     pf_warnings *out, pf_error *error);

/* ============================================================== settings as text
 * Settings of a film as people and programs write them, on command lines, in files and in
 * requests: one table of names, kinds and ranges, one way to read a value, and one
 * sentence that refuses it.
 *
 * White space around a value is passed over.  Numbers are decimal, with or without sign,
 * fraction and exponent ("7", "+7", "7.0", "7e0", "-0"); hexadecimal, "inf" and "nan" are
 * refused.  Words are taken in any case, and with '_' for '-'.
 */

typedef enum pf_setting_kind {
    PF_SETTING_WHOLE,           /* a whole number */
    PF_SETTING_REAL,
    PF_SETTING_SEED,            /* 0 to 18446744073709551615, exactly */
    PF_SETTING_SWITCH,          /* true false yes no on off 1 0 */
    PF_SETTING_CHOICE,          /* one of `choices` */
    PF_SETTING_SIZE             /* WIDTHxHEIGHT, in pixels; also with '*' or the sign of
                                 * multiplication, and blanks around it */
} pf_setting_kind;

/* Numbers of which the model decides what they may be: pf_request_check tells. */
#define PF_SETTING_OPEN 1e6

/* Headings of a list of settings, such as --help. */
typedef enum pf_setting_section {
    PF_SECTION_NONE,            /* not listed: another setting says it, or a flag */
    PF_SECTION_WORDS,           /* prompts and pictures */
    PF_SECTION_SHAPE,           /* height, width, frames */
    PF_SECTION_RATE,            /* frames a second */
    PF_SECTION_STEPS,           /* number of steps, guidance, timesteps */
    PF_SECTION_NOISE,
    PF_SECTION_FILE,            /* of the film */
    PF_SECTION_TILES            /* of the VAE */
} pf_setting_section;

/* The last phase of a film that reads a setting.  A film that goes on from latents
 * (pf_request.resume) has its noise behind it; one of finished latents its steps, too. */
typedef enum pf_setting_phase {
    PF_PHASE_DECODING,
    PF_PHASE_NOISE,             /* latents have decided it: sizes, number of steps, seed */
    PF_PHASE_STEPS
} pf_setting_phase;

/* The value of a request's member that says "not given". */
typedef enum pf_setting_blank {
    PF_BLANK_NEVER,
    PF_BLANK_UNSET,             /* PF_UNSET */
    PF_BLANK_ZERO               /* 0: off */
} pf_setting_blank;

typedef struct pf_setting {
    const char *name;           /* "num_frames" */
    pf_setting_kind kind;
    double low, high;           /* of numbers, both included; -PF_SETTING_OPEN to
                                 * PF_SETTING_OPEN where the model decides */
    const char *choices;        /* "own|torch-cpu|torch-cuda" */
    size_t member;              /* offset in pf_request of the member it fills; 0: none */
    bool negated;               /* a switch whose member means the opposite */
    pf_setting_blank blank;
    pf_setting_phase phase;
    pf_setting_section section;
    const char *flag;           /* on command lines, without hyphens in front:
                                 * "cuda-sm-count"; NULL: the name, with '-' for '_' */
    char letter;                /* its short flag, 's', or 0 */
    const char *argument;       /* of the flag: "PIXELS" */
    const char *help;           /* of the flag: a sentence with range, unit and default */
} pf_setting;

typedef struct pf_setting_value {
    double number;              /* WHOLE, REAL */
    uint64_t seed;
    bool on;                    /* SWITCH */
    int choice;                 /* which of `choices`, from 0 */
    int width, height;          /* SIZE */
    char text[64];              /* the value in its usual spelling: "7", "640x352" */
} pf_setting_value;

/* The table, which is constant. */
PF_API const pf_setting *pf_setting_list(int *count);

/* The row of that name, or NULL. */
PF_API const pf_setting *pf_setting_find(const char *name);

/* Reads `bytes` bytes of `text` as a value of `setting`, which need not be of the table.
 * `subject` is what the sentence calls it: a field's name, or "--num-frames".  On
 * PF_E_ARGUMENT the sentence has subject, value and what is accepted, and *out is
 * undefined.  Thread-safe. */
PF_API pf_status pf_setting_read(const pf_setting *setting, const char *subject,
                                 const char *text, size_t bytes, pf_setting_value *out,
                                 pf_error *error);

/* Writes a value into the member of `request` that the setting fills, if it fills one. */
PF_API void pf_setting_apply(const pf_setting *setting, const pf_setting_value *value,
                             pf_request *request);

/* Reads that member back.  Returns false, with *out undefined, where the setting fills
 * none or the member is blank. */
PF_API bool pf_setting_get(const pf_setting *setting, const pf_request *request,
                           pf_setting_value *out);

/* =========================================================================== job
 * A job is one request on its way.  Results leave through sinks while they are
 * made; whatever a sink returns other than PF_OK ends the job with that status
 * and the message that the sink wrote.
 */

typedef struct pf_job pf_job;

typedef struct pf_progress {
    const char *stage;          /* "text", "image", "denoise", "decode video" ... */
    int step, steps;            /* of this stage; 0 of 0 where it has none */
    double fraction;            /* of the whole job, 0..1 */
    double seconds;             /* since the job began */
    double seconds_left;        /* estimate; negative while unknown */
} pf_progress;

/* What the film will probably look like, seen through a linear map from latents to
 * colours: one small picture a latent frame, rough early on and close at the end.
 * The map is the model's preview.json (docs/model/pipeline.md); models with the
 * 16 latent channels of Wan's VAE have one without it. */
typedef struct pf_preview {
    int step, steps;            /* denoising steps that are done, of all */
    int64_t frames, height, width;  /* of the video latents */
    const uint8_t *rgb;         /* [frames][height][width][3] */
} pf_preview;

/* All are called from the thread that runs the job; NULL members are skipped. */
typedef struct pf_sinks {
    void *user;
    /* `count` frames from number `first` on: [count][height][width][3] RGB. */
    pf_status (*frames)(void *user, int64_t first, int64_t count,
                        const uint8_t *rgb, pf_error *error);
    /* The whole sound at once, before the first frame: mono, -1..1, cut to the
     * film's length. */
    pf_status (*audio)(void *user, const float *samples, int64_t count,
                       pf_error *error);
    /* After every denoising step.  Pointers are valid during the call. */
    pf_status (*state)(void *user, const pf_state *state, pf_error *error);
    void (*progress)(void *user, const pf_progress *progress);
    /* After every denoising step, if there is a map for the model.  Costs nothing
     * that could be measured beside the step. */
    void (*preview)(void *user, const pf_preview *preview);
} pf_sinks;

/* Checks the request (as pf_request_check does) and copies it. */
PF_API pf_status pf_job_create(pf_engine *engine, const pf_request *request,
                               const pf_sinks *sinks, pf_job **out,
                               pf_error *error);

/* Runs the job to its end; once a job.  PF_E_CANCELLED after pf_job_cancel. */
PF_API pf_status pf_job_run(pf_job *job, pf_error *error);

/* Asks a running job to stop, from any thread or signal handler; it does so
 * within one transformer block.  Harmless at any other time. */
PF_API void pf_job_cancel(pf_job *job);

/* The latents as they are now; false before there are any.  Not while running. */
PF_API bool pf_job_state(const pf_job *job, pf_state *out);

/* Where the time and memory went. */
typedef struct pf_profile_row {
    const char *stage;
    int step;                   /* denoising step, or -1 for the whole stage */
    double seconds;
    double flops;
    int64_t launches;           /* kernels */
    int64_t arena_bytes;        /* most working memory at a time */
    int64_t weight_bytes;       /* of the components that were resident */
} pf_profile_row;

/* *rows stays valid until the job is destroyed. */
PF_API int pf_job_profile(const pf_job *job, const pf_profile_row **rows);

PF_API void pf_job_destroy(pf_job *job);        /* NULL is fine */

/* ======================================================================= latents
 * A pf_state on disk: safetensors with latents.video and latents.audio in F32,
 * step, steps and fps in the metadata.
 */

PF_API pf_status pf_state_write(const char *path, const pf_state *state,
                                pf_error *error);

/* The arrays of *out belong to the caller: pf_state_free.  PF_E_INPUT: the file is damaged,
 * or another thing; PF_E_NOT_FOUND and PF_E_IO: it cannot be read. */
PF_API pf_status pf_state_read(const char *path, pf_state *out, pf_error *error);
PF_API void pf_state_free(pf_state *state);

/* ========================================================================= bench
 * Speed of the kernels on this machine, against register-only loops.
 */

typedef struct pf_bench_row {
    char op[24];                /* "linear", "attention", "conv" */
    char dtype[16];             /* of the weights; attention: as it multiplies */
    char isa[32];
    int64_t shape[6];
    int rank;
    double gflops;              /* 1e9 operations a second, a multiply-add is two */
    double fraction;            /* of the ceiling of the arithmetic in use */
} pf_bench_row;

typedef struct pf_bench_report {
    char cpu[96];
    char isa[32];
    int threads;
    double f32, bf16, int8;     /* ceilings in GFLOP/s; 0: the processor has none */
    pf_bench_row rows[32];
    int row_count;
} pf_bench_report;

typedef struct pf_bench_options {
    const char *platform;       /* as in pf_engine_options */
    const char *isa;
    int threads;
    const char *op;             /* only this operation; NULL: all */
    int device;
} pf_bench_options;

PF_API pf_status pf_bench(const pf_bench_options *options, pf_bench_report *out,
                          pf_error *error);

/* What one denoising step with guidance gives a device that need not be here: the
 * operators that would really be issued, and the time that their arithmetic or their
 * memory need at least (docs/ascend.md, "Prediction"). */
typedef struct pf_step_cost {
    char device[96];
    int64_t tokens;             /* of the video tower */
    int64_t device_bytes;       /* memory for the whole film, weights included */
    double flops, bytes;        /* multiply-adds count two; bytes to and from memory */
    int64_t launches;           /* of a step: all its forward passes */
    int forwards;               /* how many these are */
    int64_t waits;              /* of the host for the device */
    double seconds;             /* at least */
} pf_step_cost;

typedef struct pf_step_options {
    const char *model_path;     /* only shapes are read */
    const char *platform;       /* "ascend" */
    const char *device;         /* "910B1" "910B2" "910B3" "910B4" "A3" */
    int height, width, num_frames;
} pf_step_options;

PF_API pf_status pf_predict_step(const pf_step_options *options, pf_step_cost *out,
                                 pf_error *error);

#ifdef __cplusplus
}
#endif
#endif
