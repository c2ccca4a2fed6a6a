/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm.h - the interface of libphonofilm, and its manual.
 *
 * Phonofilm turns a prompt and a first-frame picture into a short film with synchronised
 * sound, with a model of the MOVA family.
 *
 *     pf_engine_options options = {.model_path = "MOVA-360p"};
 *     pf_engine *engine;
 *     pf_engine_open(&options, &engine, &error);          // reads headers only
 *
 *     pf_request request = PF_INIT(pf_request);
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
 *   - Every fallible function returns a pf_status; PF_OK is 0.  The pf_error that you pass
 *     gets one sentence that names what is wrong (phonofilm_status.h).  PF_E_MEMORY and
 *     PF_E_INTERNAL may come from any of them and are named only where they mean more.
 *   - Strings are UTF-8.  Structures and strings that you pass are read during the call
 *     only; pf_job_create copies what the job needs.  Structures and strings that the
 *     library returns by pointer are its own.
 *   - Zero-initialise structures that you fill in; new members will mean "as before" when
 *     zero.
 *   - Structures that the library fills in begin with `size`: see PF_INIT.
 *   - The library never prints, never exits, installs no signal handlers unless you ask for
 *     one (pf_guard_files), and leaves the locale and the floating-point environment alone.
 *   - Results depend on the request, the precision and the instruction set, never on the
 *     number of threads.
 *
 * Thread-safety: each type says from which threads it may be used.  A function without a
 * line of its own follows its first argument.
 *
 * phonofilm_tools.h has measurements for programs that come with the library.
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

/* @return the version of the library, such as "0.2.0", valid for ever.
 * Thread-safety: any thread. */
PF_API const char *pf_version(void);

/* The initial value of a structure that begins with `size`:
 *
 *     pf_prediction prediction = PF_INIT(pf_prediction);
 *
 * `size` is the size of the structure as your program was compiled with it.  The library
 * writes no byte behind it: of a structure that has grown since, members that you do not
 * know are left out; of a newer structure than the library's, they keep their values.  A
 * structure without its size is refused with PF_E_ARGUMENT, or is left alone by functions
 * that cannot fail.
 *
 * Until 1.0 each minor version has a soname of its own, and structures may change in any
 * way between them.  Within a minor version, and from 1.0 on, members are only added, at
 * the end of structures that begin with `size` and of those that the library alone makes. */
#ifdef __cplusplus
#define PF_INIT(type) {sizeof(type)}
#else
#define PF_INIT(type) {.size = sizeof(type)}
#endif

/* ======================================================================== engine
 * An engine is an opened model: configurations, tokenizer, and the tables of contents of
 * all weight files.  Weights are mapped and come to the platform only when a stage of a job
 * needs them.
 */

/* An opened model.
 * Thread-safety: may be used from several threads at once; its jobs run one after another.
 * Closing it must be the last use.
 * Lifetime: from pf_engine_open to pf_engine_close, longer than its jobs. */
typedef struct pf_engine pf_engine;

/* Formats and roundings of numbers. */
typedef enum pf_precision {
    /* Weights as stored, accumulation in f32, multiplicands in whatever the platform is
     * fastest with (bf16 where the processor multiplies it). */
    PF_PRECISION_FAST,
    /* Every operation in f32. */
    PF_PRECISION_F32,
    /* The roundings of the bf16 Python reference in towers, bridge and text; both VAEs in
     * f32.  For comparisons, not for speed. */
    PF_PRECISION_REF
} pf_precision;

/* The rotary frequencies of the bridge. */
typedef enum pf_bridge_frequencies {
    /* BF16 with PF_PRECISION_REF, F32 otherwise. */
    PF_BRIDGE_FREQUENCIES_AUTO,
    PF_BRIDGE_FREQUENCIES_F32,
    /* Rounded to bf16, as the official scripts have them. */
    PF_BRIDGE_FREQUENCIES_BF16
} pf_bridge_frequencies;

typedef struct pf_engine_options {
    /* The model folder (docs/model/file-formats.md). */
    const char *model_path;
    /* A word of pf_platform_words.  NULL or "auto": the fastest here, a device before the
     * processor. */
    const char *platform;
    /* The highest instruction set that may be used, a word of pf_isa_words.  NULL: whatever
     * the processor has. */
    const char *isa;
    /* Threads that compute, 1 to 256.  0: pf_machine_info.threads.  Must be 0 on a device
     * platform. */
    int threads;
    /* Number of the device, from 0, where the platform has several. */
    int device;
    pf_precision precision;
    pf_bridge_frequencies bridge_frequencies;
    /* Keep components loaded between stages: faster for many films, needs the memory of
     * all components. */
    bool keep_resident;
    /* Upper bound in bytes on a job's memory: device memory on a device platform, process
     * memory otherwise.  0: no bound beyond what is free. */
    int64_t memory_limit;
    /* Record a denoising step and replay it, on a device platform that can.  An error on
     * any other platform. */
    bool graph;
    /* Called with a warning, one line each, from any thread.  NULL drops them. */
    void (*warn)(void *user, const char *line);
    void *warn_user;
} pf_engine_options;

/* Opens a model folder.  Reads configurations and tables of contents, no weights.
 *
 * @return PF_OK; PF_E_ARGUMENT (an option); PF_E_NOT_FOUND, PF_E_IO; PF_E_MODEL (the
 * sentence names component, file and value); PF_E_UNSUPPORTED; PF_E_PLATFORM.  *out is NULL
 * on failure.
 * Thread-safety: any thread. */
PF_API pf_status pf_engine_open(const pf_engine_options *options, pf_engine **out,
                                pf_error *error);

/* Makes damaged weight files a failure of the film instead of the end of the process.
 *
 * Weights are mapped: reading a file that is cut while it is in use, or whose disk or
 * network drive fails, raises SIGBUS, which ends a process that does not handle it.  After
 * this call pf_job_run, and whatever else was reading, returns PF_E_MODEL (the file is
 * shorter) or PF_E_IO with a sentence that names the file.  Nothing that was computed with
 * it reaches a sink.  A file that is changed in place fails the film in this way with or
 * without the call.  The engine stays usable: pf_request_check and pf_job_create refuse
 * films as long as the file is damaged, and films are made again once it is whole, with the
 * tensors that it had.
 *
 * Installs a handler of SIGBUS for the process, once, for ever.  A signal that is not about
 * a file that this library has mapped goes to the handler that was there before (the default
 * ends the process).  A host that installs one of its own later must pass on to this one.
 * No thread that runs jobs may block SIGBUS.
 *
 * @return PF_OK; PF_E_IO if the system refuses.
 * Thread-safety: any thread. */
PF_API pf_status pf_guard_files(pf_error *error);

/* Closes an engine; NULL is fine.  Its jobs must have been destroyed. */
PF_API void pf_engine_close(pf_engine *engine);

/* A component folder of the model. */
typedef struct pf_component_info {
    /* "video_dit" */
    const char *name;
    /* "BF16"; "mixed" if tensors differ. */
    const char *dtype;
    int64_t tensors;
    int64_t parameters;
    /* Bytes of tensor data on disk. */
    int64_t bytes;
} pf_component_info;

/* Pixels. */
typedef struct pf_size {
    int width, height;
} pf_size;

/* The purpose of a model, as its generation_config.json says ("made_for",
 * docs/model/file-formats.md).  Lists are empty where it says nothing.  Other films can be
 * asked for, too: see pf_request_warnings. */
typedef struct pf_purpose {
    /* A sentence about the world that the model shows, or NULL. */
    const char *about;
    const pf_size *sizes;
    int size_count;
    const int *num_frames;
    int num_frames_count;
    /* Languages of prompts, BCP 47: "en". */
    const char *const *languages;
    int language_count;
    /* Words of which a prompt should have one: "ball". */
    const char *const *subjects;
    int subject_count;
} pf_purpose;

/* Facts of an opened model. */
typedef struct pf_model_info {
    const char *path;
    const pf_component_info *components;
    int component_count;
    /* Height and width must be multiples of this: 16. */
    int size_multiple;
    /* num_frames - 1 must be a multiple of this: 4. */
    int frame_multiple;
    /* Channels of the video latents (16) and of the audio latents (128). */
    int latent_channels;
    int audio_latent_channels;
    /* Samples a second: 48000. */
    int sample_rate;
    /* Samples an audio latent: 960. */
    int audio_hop;
    /* The low-noise expert works on timesteps below this share of all: 0.9. */
    double boundary_ratio;
    /* The model was trained to start from the prompt alone, too: text_only is what a user
     * means who gives no picture. */
    bool without_picture;
    pf_purpose made_for;
    /* Where the engine computes: "cpu", "avx2", the processor's name, threads. */
    const char *platform;
    const char *isa;
    const char *device;
    int threads;
    /* Pixels a video latent, along height and width: 8. */
    int latent_pixels;
} pf_model_info;

/* @return facts of the model; never NULL.
 * Lifetime: all pointers stay valid as long as the engine. */
PF_API const pf_model_info *pf_engine_info(const pf_engine *engine);

/* A platform that this build knows, and whether this machine has it. */
typedef struct pf_platform_info {
    size_t size;
    /* "ascend" */
    char name[16];
    bool usable;
    /* "Ascend910B1", "avx2" */
    char isa[32];
    /* The device's or processor's name, for people. */
    char device[96];
    /* Bytes available now. */
    int64_t memory_bytes;
    /* A sentence, if the platform is not usable. */
    char reason[512];
} pf_platform_info;

/* Writes the words that pf_engine_options.platform takes beside "auto", and those of .isa,
 * best first: "ascend|cpu|reference".  Opens nothing.  Writes at most `bytes` bytes with the
 * NUL.
 * Thread-safety: any thread. */
PF_API void pf_platform_words(char *out, size_t bytes);
PF_API void pf_isa_words(char *out, size_t bytes);

/* Opens each platform, with device number `device`, to see whether it is usable.  Fills at
 * most `room` structures in order of preference.  out[0].size is the size of each.
 *
 * @return how many were filled.
 * Thread-safety: any thread. */
PF_API int pf_platform_list(int device, pf_platform_info *out, int room);

/* ======================================================================= machine
 * Limits that the surroundings set this process: the machine itself, the cgroups of a container
 * with all their parents, affinity and resource limits.
 */

/* A limit that was found. */
typedef struct pf_machine_limit {
    /* "/sys/fs/cgroup/films/memory.max", "affinity" */
    char source[256];
    /* Amounts are bytes of memory if true, processors otherwise. */
    bool memory;
    /* No other limit of this kind leaves less. */
    bool binds;
    /* Left by the limit now. */
    double amount;
    /* The whole limit, bytes in use included; of processors the same as `amount`. */
    double whole;
} pf_machine_limit;

typedef struct pf_machine_info {
    size_t size;
    /* Bytes available now: the least that any limit of memory leaves.  Clean pages of files
     * count as available. */
    int64_t memory_bytes;
    /* The least of all limits of processors, above 0; a quota need not be whole. */
    double processors;
    /* Threads of an engine whose options leave them at 0: the processors rounded down, 1 to
     * 256. */
    int threads;
    int limit_count;
    pf_machine_limit limits[32];
} pf_machine_info;

/* Reads the limits anew.  A limit that cannot be read limits nothing.
 * Thread-safety: any thread. */
PF_API void pf_machine_get(pf_machine_info *out);

/* ======================================================================= request
 * A request says what to make.  pf_request_init fills in the model's defaults
 * (generation_config.json); set what differs.
 */

/* A picture: 8-bit RGB, rows top to bottom.  It is cropped around its centre to the film's
 * shape and resized exactly as Pillow does. */
typedef struct pf_image {
    /* NULL: no picture. */
    const uint8_t *rgb;
    /* Pixels, 16 to 16384 a side. */
    int64_t width, height;
    /* Bytes from row to row, at least 3 * width. */
    int64_t stride;
} pf_image;

/* The source of noise. */
typedef enum pf_rng {
    /* A counter-based generator. */
    PF_RNG_OWN,
    /* The stream of torch.randn on a CPU with this seed (within 2e-6). */
    PF_RNG_TORCH_CPU,
    /* The stream of torch.randn on a GPU with `cuda_multiprocessors` multiprocessors (an
     * H100 or H200 has 132). */
    PF_RNG_TORCH_CUDA
} pf_rng;

/* A number that may be left out: PF_UNSET is "not given". */
#define PF_UNSET (-1e300)

/* The latents of a film after some denoising steps: all that is needed to go on, here or on
 * another machine, to the identical result.  After the last step it is what a decoder
 * needs. */
typedef struct pf_state {
    size_t size;
    /* Steps that are done, 0..steps. */
    int step;
    /* Steps of the whole film. */
    int steps;
    /* Frames a second of the film. */
    double fps;
    /* [C, T, h, w] and [C, L], f32. */
    const float *video;
    int64_t video_shape[4];
    const float *audio;
    int64_t audio_shape[2];
} pf_state;

typedef struct pf_request {
    size_t size;
    /* Up to 64 KiB; cut at 512 tokens, of which pf_request_warnings tells; may be "". */
    const char *prompt;
    /* Things to be avoided.  NULL: the model family's default. */
    const char *negative_prompt;
    /* The first frame.  Required, unless text_only or resume. */
    pf_image first_frame;
    /* Optional: the film ends there. */
    pf_image last_frame;
    /* No picture: the film begins with a white frame. */
    bool text_only;

    /* Pixels, multiples of size_multiple. */
    int height, width;
    /* A multiple of frame_multiple, plus 1: 4k + 1. */
    int num_frames;
    /* Frames a second, 1 to 120. */
    double fps;
    /* Denoising steps, 1 to 1000. */
    int num_inference_steps;

    /* Strength of the prompt, 0 to 100.  1: the negative prompt is not used. */
    double guidance_scale;
    /* guidance_scale from the low-noise expert on; PF_UNSET: guidance_scale itself. */
    double guidance_scale_2;
    /* Dual guidance: strength of the bridge between picture and sound, 0 to 100; PF_UNSET or
     * 1: plain guidance. */
    double bridge_guidance_scale;
    /* 0 (off) to 1. */
    double guidance_rescale;
    /* Shifts of the timesteps, both or none; PF_UNSET: as the scheduler's config says. */
    double visual_shift;
    double audio_shift;

    uint64_t seed;
    pf_rng rng;
    /* With PF_RNG_TORCH_CUDA only. */
    int cuda_multiprocessors;

    /* Decode and deliver the sound alone. */
    bool no_video_output;
    /* Decode and deliver the picture alone. */
    bool no_audio_output;
    /* Pixels; 0: whole frames.  Tiles take less memory and leave faint seams: 256 and 192
     * are the usual values. */
    int vae_tile, vae_tile_stride;

    /* Go on from here: latents and step are taken, seed and rng are not used.  Members
     * without effect are judged by the whole film, not by the steps that remain. */
    const pf_state *resume;
    /* pf_request_check passed this request once, perhaps with other defaults and limits:
     * members without effect and memory_limit are not judged again. */
    bool accepted;
} pf_request;

enum { PF_DEFAULT_SEED = 42 };

/* @return the usual vae_tile_stride of a vae_tile: three quarters, a multiple of 16. */
static inline int pf_usual_tile_stride(int vae_tile)
{
    return vae_tile * 3 / 4 / 16 * 16;
}

/* Fills in the model's defaults. */
PF_API void pf_request_init(const pf_engine *engine, pf_request *request);

/* The cost of a request, known before any work. */
typedef struct pf_prediction {
    size_t size;
    /* Resident memory of the process at its highest, in bytes. */
    int64_t peak_bytes;
    /* Memory of the device, in bytes; 0: the device is the process's own processor. */
    int64_t device_bytes;
    /* Roughly, on this machine when it does nothing else. */
    double seconds;
    /* A multiply-add is two. */
    double flops;
    /* Latents [C, T, h, w] and [C, L]. */
    int64_t video_shape[4];
    int64_t audio_shape[2];
    /* Samples of the film, at most; the sound is cut to the film's length. */
    int64_t audio_samples;
    /* First denoising step of the low-noise expert. */
    int switch_step;
    /* The negative prompt in use: the request's own string or the model family's default.
     * NULL: none has an effect.
     * Lifetime: as long as the request's string; the default for ever. */
    const char *negative_prompt;
    /* Shifts of the timesteps in use; PF_UNSET where the scheduler's config has another kind
     * of shift. */
    double visual_shift;
    double audio_shift;
} pf_prediction;

/* Checks everything that can be checked without computing, in the order of the members, and
 * predicts.  Reads no pixel of the pictures.  `out` may be NULL; it is filled also when
 * memory is all that is missing.
 *
 * @return PF_OK; PF_E_ARGUMENT and PF_E_INPUT (pf_error.field names the member; the sentence
 * has its value and what is accepted); PF_E_TOO_LARGE, PF_E_MEMORY (the sentence has needed
 * and available bytes); PF_E_MODEL, PF_E_IO (weight files were damaged since the engine was
 * opened); PF_E_UNSUPPORTED.
 * Thread-safety: also while a job of the engine runs. */
PF_API pf_status pf_request_check(pf_engine *engine, const pf_request *request,
                                  pf_prediction *out, pf_error *error);

/* Shortcomings of a film whose request is granted: words beyond what the text encoder reads,
 * and whatever the model was not made for. */
typedef struct pf_warnings {
    size_t size;
    /* A sentence each. */
    int count;
    char text[8][512];
    /* Tokens of the whole prompt, and of the negative prompt in use; 0: none is used. */
    int64_t prompt_tokens;
    int64_t negative_prompt_tokens;
    /* Tokens that the text encoder reads of each: 512. */
    int64_t most_tokens;
} pf_warnings;

/* Checks the request as pf_request_check does, without predicting, and fills *out, whose
 * count is 0 when there is nothing to say.
 *
 * @return as pf_request_check.
 * Thread-safety: also while a job of the engine runs. */
PF_API pf_status pf_request_warnings(pf_engine *engine, const pf_request *request,
                                     pf_warnings *out, pf_error *error);

/* ============================================================== settings as text
 * Settings of a film as people and programs write them, on command lines, in files and in
 * requests: one table of names, kinds and ranges, one way to read a value, and one sentence
 * that refuses it.
 *
 * White space around a value is passed over.  Numbers are decimal, with or without sign,
 * fraction and exponent ("7", "+7", "7.0", "7e0", "-0"); hexadecimal, "inf" and "nan" are
 * refused.  Words are taken in any case, and with '_' for '-'.
 *
 * Thread-safety: all functions of this section, from any thread.
 */

typedef enum pf_setting_kind {
    /* A whole number. */
    PF_SETTING_WHOLE,
    PF_SETTING_REAL,
    /* 0 to 18446744073709551615, exactly. */
    PF_SETTING_SEED,
    /* true false yes no on off 1 0 */
    PF_SETTING_SWITCH,
    /* A word of `choices`. */
    PF_SETTING_CHOICE,
    /* WIDTHxHEIGHT in pixels; also with '*' or the sign of multiplication, and blanks around
     * it. */
    PF_SETTING_SIZE
} pf_setting_kind;

/* Bounds of numbers of which the model decides what they may be: pf_request_check tells. */
#define PF_SETTING_OPEN 1e6

/* Headings of a list of settings, such as --help. */
typedef enum pf_setting_section {
    /* Not listed: another setting says it, or a flag. */
    PF_SECTION_NONE,
    /* Prompts and pictures. */
    PF_SECTION_WORDS,
    /* Height, width, frames. */
    PF_SECTION_SHAPE,
    /* Frames a second. */
    PF_SECTION_RATE,
    /* Number of steps, guidance, timesteps. */
    PF_SECTION_STEPS,
    PF_SECTION_NOISE,
    /* The film's file. */
    PF_SECTION_FILE,
    /* Tiles of the VAE. */
    PF_SECTION_TILES
} pf_setting_section;

/* The last phase of a film that reads a setting.  A film that goes on from latents
 * (pf_request.resume) has its noise behind it, one of finished latents its steps, too. */
typedef enum pf_setting_phase {
    PF_PHASE_DECODING,
    /* Latents have decided it: sizes, number of steps, seed. */
    PF_PHASE_NOISE,
    PF_PHASE_STEPS
} pf_setting_phase;

/* The value of a request's member that says "not given". */
typedef enum pf_setting_blank {
    PF_BLANK_NEVER,
    /* PF_UNSET. */
    PF_BLANK_UNSET,
    /* 0: off. */
    PF_BLANK_ZERO
} pf_setting_blank;

/* A row of the table. */
typedef struct pf_setting {
    /* "num_frames" */
    const char *name;
    pf_setting_kind kind;
    /* Bounds of numbers, both included; -PF_SETTING_OPEN and PF_SETTING_OPEN where the model
     * decides. */
    double low, high;
    /* "own|torch-cpu|torch-cuda" */
    const char *choices;
    /* Offset of the member of pf_request that the setting fills; 0: it fills none. */
    size_t member;
    /* A switch whose member means the opposite. */
    bool negated;
    pf_setting_blank blank;
    pf_setting_phase phase;
    pf_setting_section section;
    /* Its flag on command lines, without hyphens in front: "cuda-sm-count".  NULL: the name,
     * with '-' for '_'. */
    const char *flag;
    /* Its short flag, 's', or 0. */
    char letter;
    /* The argument of the flag: "PIXELS". */
    const char *argument;
    /* A sentence about the flag with range, unit and default. */
    const char *help;
} pf_setting;

/* A value.  Complete: members are never added within a soname. */
typedef struct pf_setting_value {
    /* WHOLE, REAL. */
    double number;
    uint64_t seed;
    /* SWITCH. */
    bool on;
    /* CHOICE: which of `choices`, from 0. */
    int choice;
    /* SIZE. */
    int width, height;
    /* The value in its usual spelling: "7", "640x352". */
    char text[64];
} pf_setting_value;

/* @return the table, which is constant; its number of rows in *count.
 * Lifetime: for ever. */
PF_API const pf_setting *pf_setting_list(int *count);

/* @return the row of that name, or NULL. */
PF_API const pf_setting *pf_setting_find(const char *name);

/* Reads `bytes` bytes of `text` as a value of `setting`, which need not be of the table.
 * `subject` begins the sentence of a refusal: a field's name, or "--num-frames".
 *
 * @return PF_OK; PF_E_ARGUMENT (the sentence has subject, value and what is accepted; *out
 * is undefined). */
PF_API pf_status pf_setting_read(const pf_setting *setting, const char *subject,
                                 const char *text, size_t bytes, pf_setting_value *out,
                                 pf_error *error);

/* Writes a value into the member of `request` that the setting fills, if it fills one. */
PF_API void pf_setting_apply(const pf_setting *setting, const pf_setting_value *value,
                             pf_request *request);

/* Reads that member back.
 *
 * @return true; false, with *out undefined, where the setting fills no member or the member
 * is blank. */
PF_API bool pf_setting_get(const pf_setting *setting, const pf_request *request,
                           pf_setting_value *out);

/* =========================================================================== job
 * A job is one request on its way.  Results leave through sinks while they are made.
 */

/* A film that is made.
 * Thread-safety: belongs to one thread at a time, except for pf_job_cancel.
 * Lifetime: from pf_job_create to pf_job_destroy, within that of its engine. */
typedef struct pf_job pf_job;

typedef struct pf_progress {
    /* "text", "image", "denoise", "decode video" ... */
    const char *stage;
    /* Of this stage; 0 of 0 where it has none. */
    int step, steps;
    /* Of the whole job, 0..1. */
    double fraction;
    /* Since the job began. */
    double seconds;
    /* An estimate; negative while unknown. */
    double seconds_left;
} pf_progress;

/* The probable look of the film, seen through a linear map from latents to colours:
 * one small picture a latent frame, rough early on and close at the end.  The map is the
 * model's preview.json (docs/model/pipeline.md); models with the 16 latent channels of Wan's
 * VAE have one without it. */
typedef struct pf_preview {
    /* Denoising steps that are done, of all. */
    int step, steps;
    /* Shape of the video latents. */
    int64_t frames, height, width;
    /* [frames][height][width][3] */
    const uint8_t *rgb;
} pf_preview;

/* Receivers of results; NULL members are skipped.  A status other than PF_OK ends the job
 * with that status and the message that the sink wrote.
 *
 * Thread-safety: all are called from the thread that runs the job, one at a time.
 * Lifetime: pointers that sinks are given are valid during the call. */
typedef struct pf_sinks {
    void *user;
    /* `count` frames from number `first` on: [count][height][width][3] RGB. */
    pf_status (*frames)(void *user, int64_t first, int64_t count,
                        const uint8_t *rgb, pf_error *error);
    /* The whole sound at once, before the first frame: mono, -1..1, cut to the film's
     * length. */
    pf_status (*audio)(void *user, const float *samples, int64_t count,
                       pf_error *error);
    /* The state after every denoising step. */
    pf_status (*state)(void *user, const pf_state *state, pf_error *error);
    void (*progress)(void *user, const pf_progress *progress);
    /* A preview after every denoising step, if there is a map for the model.  Its cost
     * cannot be measured beside that of the step. */
    void (*preview)(void *user, const pf_preview *preview);
} pf_sinks;

/* Checks the request, as pf_request_check does, and copies it with its strings and pictures.
 * `sinks` may be NULL.
 *
 * @return as pf_request_check; PF_E_MEMORY also if there is no room for the copies.  *out is
 * NULL on failure.
 * Thread-safety: also while another job of the engine runs. */
PF_API pf_status pf_job_create(pf_engine *engine, const pf_request *request,
                               const pf_sinks *sinks, pf_job **out,
                               pf_error *error);

/* Runs the job to its end, once.  Waits until no other job of the engine runs.
 *
 * @return PF_OK; PF_E_CANCELLED after pf_job_cancel; PF_E_ARGUMENT the second time;
 * PF_E_MODEL (values that are not finite, or a damaged file), PF_E_IO; PF_E_MEMORY;
 * PF_E_PLATFORM; or the status of a sink. */
PF_API pf_status pf_job_run(pf_job *job, pf_error *error);

/* Asks a running job to stop, which it does within one transformer block.  Harmless at any
 * other time of the job's life.
 * Thread-safety: any thread, and signal handlers. */
PF_API void pf_job_cancel(pf_job *job);

/* Tells the latents as they are now.  Not while the job runs.
 *
 * @return true; false before there are latents.
 * Lifetime: the arrays stay valid until the job runs on or is destroyed. */
PF_API bool pf_job_state(const pf_job *job, pf_state *out);

/* Where the time and memory went. */
typedef struct pf_profile_row {
    const char *stage;
    /* Denoising step, or -1 for the whole stage. */
    int step;
    double seconds;
    double flops;
    /* Kernels. */
    int64_t launches;
    /* Most bytes of working memory at a time. */
    int64_t arena_bytes;
    /* Bytes of the components that were resident. */
    int64_t weight_bytes;
} pf_profile_row;

/* @return the number of rows; 0 before the job has run.
 * Lifetime: *rows stays valid until the job is destroyed. */
PF_API int pf_job_profile(const pf_job *job, const pf_profile_row **rows);

/* Destroys a job that does not run; NULL is fine. */
PF_API void pf_job_destroy(pf_job *job);

/* ======================================================================= latents
 * A pf_state on disk: safetensors with latents.video and latents.audio in F32, and step,
 * steps and fps in the metadata.
 *
 * Thread-safety: all functions of this section, from any thread.
 */

/* Writes a file, whole or not at all.
 *
 * @return PF_OK; PF_E_ARGUMENT (the path); PF_E_NOT_FOUND (its folder); PF_E_NO_SPACE;
 * PF_E_IO. */
PF_API pf_status pf_state_write(const char *path, const pf_state *state,
                                pf_error *error);

/* Reads a file.
 *
 * @return PF_OK; PF_E_INPUT (the file is damaged, or of another kind); PF_E_NOT_FOUND;
 * PF_E_IO.
 * Lifetime: the arrays belong to the caller: pf_state_free. */
PF_API pf_status pf_state_read(const char *path, pf_state *out, pf_error *error);

/* Frees the arrays of a state that pf_state_read filled, or that is zero but for its
 * size. */
PF_API void pf_state_free(pf_state *state);

#ifdef __cplusplus
}
#endif
#endif
