/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm generate: flags to a request, a request to a film.  Man page: generate.
 *
 * Uses the public header and media/ only.
 */
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/default_model.h"
#include "cli/film_sink.h"
#include "cli/foreign.h"
#include "cli/machine.h"
#include "cli/process.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "cli/say.h"
#include "cli/targets.h"
#include "media/film.h"
#include "media/part_file.h"
#include "media/picture.h"
#include "media/text_file.h"

enum { MAX_PROMPT_INPUT = 1 << 20 };

typedef struct settings {
    const char *config;
    const char *model_path;
    cli_machine machine;
    const char *prompt, *negative_prompt, *image_path, *last_image_path;
    const char *output, *output_path, *output_file_name;
    const char *save_latents, *from_latents, *perf_dump_path, *sheet;
    const char *server, *key_file;
    int rng, format, height, width, num_frames, num_inference_steps;
    int cuda_sm_count, vae_tile, vae_tile_stride, quality;
    double fps, guidance_scale, guidance_scale_2, guidance_rescale;
    double bridge_guidance_scale, visual_shift, audio_shift;
    uint64_t seed;
    bool t2va, no_audio_output, no_video_output, adjust_frames;
    bool profile, quiet, dry_run;
} settings;

#define AT(member) offsetof(settings, member)

static const cli_option options[] = {
    {CLI_GROUP, "What to make", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_TEXT, "prompt", 'p', "TEXT", AT(prompt), 0, 0, NULL,
     "What is to be seen and heard; - reads standard input"},
    {CLI_TEXT, "negative-prompt", 'n', "TEXT", AT(negative_prompt), 0, 0, NULL,
     "What is to be avoided (default: the model family's own text)"},
    {CLI_TEXT, "image-path", 'i', "FILE", AT(image_path), 0, 0, NULL,
     "First frame: PNG, JPEG or WebP; cropped and scaled to the film"},
    {CLI_TEXT, "last-image-path", 0, "FILE", AT(last_image_path), 0, 0, NULL,
     "Last frame, treated like the first (default: the film ends freely)"},
    {CLI_SWITCH, "t2va", 0, NULL, AT(t2va), 0, 0, NULL,
     "No picture: the film begins with a white frame"},
    {CLI_GROUP, "Size and length", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_SETTING, "height", 0, "PIXELS", AT(height), 0, 0, "height",
     "A multiple of 16 (default: the model's)"},
    {CLI_SETTING, "width", 0, "PIXELS", AT(width), 0, 0, "width",
     "A multiple of 16 (default: the model's)"},
    {CLI_SETTING, "num-frames", 0, "N", AT(num_frames), 0, 0, "num_frames",
     "4k + 1 (default: the model's)"},
    {CLI_SWITCH, "adjust-frames", 0, NULL, AT(adjust_frames), 0, 0, NULL,
     "Round --num-frames up to the next 4k + 1"},
    {CLI_SETTING, "fps", 0, "RATE", AT(fps), 0, 0, "fps",
     "Frames a second, 1 to 120 (default: the model's)"},
    {CLI_GROUP, "How to make it", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_SETTING, "num-inference-steps", 's', "N", AT(num_inference_steps), 0, 0,
     "num_inference_steps",
     "Denoising steps, 1 to 1000 (default: the model's)"},
    {CLI_SETTING, "guidance-scale", 'g', "X", AT(guidance_scale), 0, 0, "guidance_scale",
     "How strongly the prompt pulls, 0 to 100; 1 switches guidance off (default: the "
     "model's)"},
    {CLI_SETTING, "guidance-scale-2", 0, "X", AT(guidance_scale_2), 0, 0,
     "guidance_scale_2",
     "--guidance-scale from the low-noise expert on, 0 to 100 (default: the model's; where "
     "it has none, the same)"},
    {CLI_SETTING, "bridge-guidance-scale", 0, "X", AT(bridge_guidance_scale), 0, 0,
     "bridge_guidance_scale",
     "Dual guidance: how strongly picture and sound pull each other, "
     "0 to 100; 1 is plain guidance (default: off)"},
    {CLI_SETTING, "guidance-rescale", 0, "X", AT(guidance_rescale), 0, 0,
     "guidance_rescale",
     "Keeps the contrast of strong guidance, 0 to 1 (default: 0, off)"},
    {CLI_SETTING, "visual-shift", 0, "X", AT(visual_shift), 0, 0, "visual_shift",
     "Shift of the video timesteps; with --audio-shift (default: the model's)"},
    {CLI_SETTING, "audio-shift", 0, "X", AT(audio_shift), 0, 0, "audio_shift",
     "Shift of the audio timesteps; with --visual-shift (default: the model's)"},
    {CLI_SETTING, "seed", 0, "N", AT(seed), 0, 0, "seed", "Noise seed (default: 42)"},
    {CLI_SETTING, "rng", 0, "KIND", AT(rng), 0, 0, "rng",
     "Noise stream: own (default), torch-cpu or torch-cuda"},
    {CLI_SETTING, "cuda-sm-count", 0, "N", AT(cuda_sm_count), 0, 0, "cuda_multiprocessors",
     "Multiprocessors of the GPU that --rng torch-cuda matches (H100: 132)"},
    {CLI_GROUP, "Output", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_TEXT, "output", 'o', "FILE", AT(output), 0, 0, NULL,
     "The film; its name says what it is: .mp4 .webm .wav .png; - is standard output "
     "(default: film.mp4, or the next free number)"},
    {CLI_TEXT, "output-path", 0, "FOLDER", AT(output_path), 0, 0, NULL,
     "Folder of the film, made if missing"},
    {CLI_TEXT, "output-file-name", 0, "NAME", AT(output_file_name), 0, 0, NULL,
     "Name in the folder of --output-path (default: film.mp4, or the next free "
     "number)"},
    {CLI_CHOICE, "format", 0, "KIND", AT(format), 0, 0, "mp4|webm|wav",
     "The kind of a film whose name does not say it: mp4, webm or wav (default: mp4 for "
     "pipes and devices)"},
    {CLI_SETTING, "quality", 0, "CRF", AT(quality), 0, 0, "quality",
     "Constant rate factor of the picture, 0 (best) to 51 (default: 5)"},
    {CLI_SWITCH, "no-audio-output", 0, NULL, AT(no_audio_output), 0, 0, NULL,
     "A silent film"},
    {CLI_SWITCH, "no-video-output", 0, NULL, AT(no_video_output), 0, 0, NULL,
     "The sound alone"},
    {CLI_TEXT, "contact-sheet", 0, "FILE.png", AT(sheet), 0, 0, NULL,
     "Also draw a few frames and the waveform into one picture"},
    {CLI_TEXT, "save-latents", 0, "FILE", AT(save_latents), 0, 0, NULL,
     "Write the latents (safetensors) before they are decoded"},
    {CLI_TEXT, "from-latents", 0, "FILE", AT(from_latents), 0, 0, NULL,
     "Decode saved latents, or go on from unfinished ones"},
    {CLI_GROUP, "Model and machine", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_TEXT, "model-path", 'm', "FOLDER", AT(model_path), 0, 0, NULL,
     "Model folder (default: the model that comes with the program)"},
    CLI_MACHINE_OPTIONS(AT(machine)),
    CLI_ENGINE_OPTIONS(AT(machine)),
    {CLI_SETTING, "vae-tile", 0, "PIXELS", AT(vae_tile), 0, 0, "vae_tile",
     "Decode and encode in tiles of this side; saves memory (usual: 256)"},
    {CLI_SETTING, "vae-tile-stride", 0, "PIXELS", AT(vae_tile_stride), 0, 0,
     "vae_tile_stride", "Distance of the tiles (default: three quarters of --vae-tile)"},
    {CLI_GROUP, "By a server (phonofilm serve) instead of this machine", 0, NULL, 0, 0, 0,
     NULL, NULL},
    {CLI_TEXT, "server", 0, "URL", AT(server), 0, 0, NULL,
     "Its address, such as http://127.0.0.1:8000"},
    {CLI_TEXT, "api-key-file", 0, "FILE", AT(key_file), 0, 0, NULL,
     "Its API key (default: PHONOFILM_API_KEY)"},
    {CLI_GROUP, "This run", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_TEXT, "config", 0, "FILE.json", AT(config), 0, 0, NULL,
     "Settings from a JSON object: names as here, with _ for -; flags win; paths are "
     "relative to the working folder"},
    {CLI_SWITCH, "dry-run", 0, NULL, AT(dry_run), 0, 0, NULL,
     "Check everything, print what the film needs, and stop"},
    {CLI_SWITCH, "profile", 0, NULL, AT(profile), 0, 0, NULL,
     "Print a table of stages and steps at the end"},
    {CLI_TEXT, "perf-dump-path", 0, "FILE", AT(perf_dump_path), 0, 0, NULL,
     "Write the profile as JSON"},
    {CLI_SWITCH, "quiet", 'q', NULL, AT(quiet), 0, 0, NULL,
     "Print nothing but errors"},
};

const cli_table cli_generate_table = {options, sizeof options / sizeof options[0]};

/* Everything that is released at the end. */
typedef struct generation {
    settings s;
    cli_parser parser;
    char *prompt_text;                  /* from standard input */
    pf_picture first, last;
    pf_state resume;
    pf_engine *engine;
    pf_job *job;
    pf_request request;
    pf_warnings warnings;
    char *film_folder;                  /* of an --output-path that is a film's name */
    char *film_path;
    pf_film_kind kind;
    film_sink sink;
} generation;

/* --- Ctrl-C ------------------------------------------------------------------- */

static pf_job *volatile running;
static volatile sig_atomic_t cancelled;

static void on_signal(int number)
{
    cancelled = 1;
    (void)number;
    if (running)
        pf_job_cancel(running);
}

/* --- from flags to a request ---------------------------------------------------- */

static int complain(const char *text)
{
    cli_say("%s", text);
    return EXIT_WRONG;
}

/* Texts that come from files, in whatever way, may begin with a byte order mark. */
static int read_prompt(generation *g)
{
    g->s.prompt = pf_text_file_begin(g->s.prompt);
    g->s.negative_prompt = pf_text_file_begin(g->s.negative_prompt);
    if (!g->s.prompt || strcmp(g->s.prompt, "-") != 0)
        return EXIT_DONE;
    if (isatty(STDIN_FILENO) && !g->s.quiet)
        fputs("phonofilm: type the prompt; Ctrl-D on an empty line ends it\n", stderr);
    pf_error error = {0};
    size_t bytes = 0;
    pf_status status = pf_text_file_read(NULL, "the prompt on standard input",
                                         MAX_PROMPT_INPUT, &g->prompt_text, &bytes, &error);
    if (status != PF_OK) {
        cli_fail(status, &error);
        return status == PF_E_MEMORY ? EXIT_FAILED : EXIT_WRONG;
    }
    if (memchr(g->prompt_text, '\0', bytes))
        return complain("the prompt on standard input holds a NUL byte");
    while (bytes > 0 && strchr("\r\n", g->prompt_text[bytes - 1]))
        bytes--;
    g->prompt_text[bytes] = '\0';
    g->s.prompt = g->prompt_text;
    return EXIT_DONE;
}

static int complain_idle(const generation *g, const char *flag, const char *reason)
{
    cli_say("%s has no effect %s; leave it out",
            cli_flag(&g->parser, flag), reason);
    return EXIT_WRONG;
}

static int complain_both(const generation *g, const char *one, const char *other,
                         const char *reason)
{
    cli_say("%s and %s %s", cli_flag(&g->parser, one),
            cli_flag(&g->parser, other), reason);
    return EXIT_WRONG;
}

/* Flags that mean nothing when latents are taken from a file: the first ones always,
 * the others when they are finished and only decoded. */
static int check_latents_flags(const generation *g)
{
    static const char *const idle[] = {
        "height", "width", "num-frames", "adjust-frames", "fps", "seed", "rng",
        "cuda-sm-count", "num-inference-steps",
        "guidance-scale", "guidance-scale-2", "bridge-guidance-scale",
        "guidance-rescale", "visual-shift", "audio-shift", "save-latents",
        "bridge-inv-freq", "prompt", "negative-prompt", "image-path",
        "last-image-path", "t2va",
    };
    enum { ALWAYS = 9 };
    bool finished = g->resume.step >= g->resume.steps;
    size_t count = finished ? sizeof idle / sizeof idle[0] : ALWAYS;
    for (size_t i = 0; i < count; i++)
        if (cli_given(&g->parser, idle[i]))
            return complain_idle(g, idle[i], finished ? "on finished latents"
                                                      : "with --from-latents");
    return EXIT_DONE;
}

static int load_latents(generation *g)
{
    pf_error error = {0};
    if (!g->s.from_latents)
        return EXIT_DONE;
    pf_status status = pf_state_read(g->s.from_latents, &g->resume, &error);
    if (status != PF_OK)
        return cli_fail(status, &error);
    return check_latents_flags(g);
}

static int load_picture(const char *path, pf_picture *picture, pf_image *image)
{
    pf_error error = {0};
    if (!path)
        return EXIT_DONE;
    if (strstr(path, "://")) {
        cli_say("%s is an address, but pictures are files: download it "
                "first", path);
        return EXIT_WRONG;
    }
    pf_status status = pf_picture_read(path, picture, &error);
    if (status != PF_OK)
        return cli_fail(status, &error);
    if (picture->note[0])
        cli_warn(NULL, picture->note);
    *image = (pf_image){picture->rgb, picture->width, picture->height,
                        3 * picture->width};
    return EXIT_DONE;
}

static void take_sizes(generation *g)
{
    const settings *s = &g->s;
    const pf_model_info *info = pf_engine_info(g->engine);
    pf_request *r = &g->request;
    if (g->s.from_latents) {
        /* The VAE's compression in space: 8 for a multiple of 16. */
        int space = info->size_multiple / 2;
        r->num_frames =
            (int)(g->resume.video_shape[1] - 1) * info->frame_multiple + 1;
        r->height = (int)g->resume.video_shape[2] * space;
        r->width = (int)g->resume.video_shape[3] * space;
        r->fps = g->resume.fps;
        r->num_inference_steps = g->resume.steps;
        r->resume = &g->resume;
    }
    if (cli_given(&g->parser, "height"))
        r->height = s->height;
    if (cli_given(&g->parser, "width"))
        r->width = s->width;
    if (cli_given(&g->parser, "num-frames"))
        r->num_frames = s->num_frames;
    if (s->adjust_frames && r->num_frames > 0)
        r->num_frames = (r->num_frames + info->frame_multiple - 2) /
                            info->frame_multiple * info->frame_multiple + 1;
    if (cli_given(&g->parser, "fps"))
        r->fps = s->fps;
    if (cli_given(&g->parser, "num-inference-steps"))
        r->num_inference_steps = s->num_inference_steps;
}

static void take_guidance(generation *g)
{
    const settings *s = &g->s;
    pf_request *r = &g->request;
    if (cli_given(&g->parser, "guidance-scale"))
        r->guidance_scale = s->guidance_scale;
    if (cli_given(&g->parser, "guidance-scale-2"))
        r->guidance_scale_2 = s->guidance_scale_2;
    if (cli_given(&g->parser, "bridge-guidance-scale"))
        r->bridge_guidance_scale = s->bridge_guidance_scale;
    if (cli_given(&g->parser, "visual-shift"))
        r->visual_shift = s->visual_shift;
    if (cli_given(&g->parser, "audio-shift"))
        r->audio_shift = s->audio_shift;
    if (cli_given(&g->parser, "seed"))
        r->seed = s->seed;
    r->guidance_rescale = s->guidance_rescale;
}

/* No picture, and a model that does without one. */
static bool chooses_text_only(const generation *g)
{
    bool finished = g->s.from_latents && g->resume.step >= g->resume.steps;
    return pf_engine_info(g->engine)->without_picture && !g->s.image_path && !finished;
}

/* Everything but the pictures. */
static void fill_request(generation *g)
{
    const settings *s = &g->s;
    pf_request *r = &g->request;
    take_sizes(g);
    take_guidance(g);
    r->prompt = s->prompt;
    r->negative_prompt = s->negative_prompt;
    r->text_only = s->t2va || chooses_text_only(g);
    r->rng = (pf_rng)s->rng;
    r->cuda_multiprocessors = s->cuda_sm_count;
    r->no_video_output = s->no_video_output;
    r->no_audio_output = s->no_audio_output;
    r->vae_tile = s->vae_tile;
    r->vae_tile_stride = s->vae_tile_stride;
    if (s->vae_tile && !cli_given(&g->parser, "vae-tile-stride"))
        r->vae_tile_stride = pf_usual_tile_stride(s->vae_tile);
}

/* --- output ------------------------------------------------------------------- */

/* In the words of the command line; latents may do without. */
static int check_prompt(generation *g)
{
    if (g->s.t2va && g->s.image_path) {
        cli_say("%s makes a film without a picture; leave %s out",
                cli_flag(&g->parser, "t2va"), cli_flag(&g->parser, "image-path"));
        return EXIT_WRONG;
    }
    if (g->s.prompt || g->s.from_latents)
        return EXIT_DONE;
    return complain("--prompt is missing: say what is to be seen and heard, or - to read "
                    "it from standard input");
}

static const char picture_is_missing[] =
    "--image-path is missing: give the first frame, or --t2va to begin with a white one";

static int check_picture(const generation *g)
{
    if (g->s.image_path || g->request.text_only || g->s.from_latents)
        return EXIT_DONE;
    return complain(picture_is_missing);
}

/* Flags that mean nothing for this kind of film. */
static int check_output_flags(const generation *g)
{
    const settings *s = &g->s;
    bool sound_only = g->kind == PF_FILM_WAV || s->no_video_output;
    bool finished = s->from_latents && g->resume.step >= g->resume.steps;
    if (g->kind == PF_FILM_WAV && s->no_audio_output)
        return complain_idle(g, "no-audio-output", "on a .wav file, which holds sound alone");
    if (g->kind == PF_FILM_PNG && s->no_video_output)
        return complain_idle(g, "no-video-output", "on .png files, which hold no sound");
    if (sound_only && s->sheet)
        return complain_idle(g, "contact-sheet", "on sound alone");
    if ((sound_only || g->kind == PF_FILM_PNG) && cli_given(&g->parser, "quality"))
        return complain_idle(g, "quality", sound_only ? "on sound alone" : "on .png files");
    if (sound_only && finished && cli_given(&g->parser, "vae-tile"))
        return complain_idle(g, "vae-tile", "when only sound is decoded");
    if (s->adjust_frames && !cli_given(&g->parser, "num-frames"))
        return complain_idle(g, "adjust-frames", "without --num-frames");
    return EXIT_DONE;
}

static int check_places(const generation *g)
{
    const settings *s = &g->s;
    const named_file files[] = {
        /* The folder of --output-path is made later. */
        {s->output ? cli_flag(&g->parser, "output") : "the film",
         s->output_path ? NULL : g->film_path},
        {cli_flag(&g->parser, "contact-sheet"), s->sheet},
        {cli_flag(&g->parser, "save-latents"), s->save_latents},
        {cli_flag(&g->parser, "perf-dump-path"), s->perf_dump_path},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        int code = targets_check_place(&files[i]);
        if (code != EXIT_DONE)
            return code;
    }
    return EXIT_DONE;
}

/* --output-path may be the whole name of the film, as MOVA's own script has it. */
static int split_output_path(generation *g)
{
    settings *s = &g->s;
    struct stat info;
    pf_film_kind kind;
    if (!s->output_path || s->output_file_name ||
        pf_film_kind_of(s->output_path, &kind, NULL) != PF_OK ||
        (stat(s->output_path, &info) == 0 && S_ISDIR(info.st_mode)))
        return EXIT_DONE;
    g->film_folder = strdup(s->output_path);
    if (!g->film_folder) {
        fputs("phonofilm: out of memory: --output-path\n", stderr);
        return EXIT_FAILED;
    }
    char *slash = strrchr(g->film_folder, '/');
    s->output_file_name = s->output_path + (slash ? slash + 1 - g->film_folder : 0);
    s->output_path = !slash ? NULL : slash == g->film_folder ? "/" : g->film_folder;
    if (slash)
        *slash = '\0';
    return EXIT_DONE;
}

static int complain_folder(const generation *g)
{
    cli_say("%s is the folder %s; name the film in it, or give --output-path instead",
            cli_flag(&g->parser, "output"), g->s.output);
    return EXIT_WRONG;
}

/* By the name's ending, or else by --format; pipes and devices need neither. */
static int choose_kind(generation *g)
{
    static const pf_film_kind kinds[] = {PF_FILM_MP4, PF_FILM_WEBM, PF_FILM_WAV};
    pf_error error = {0};
    bool given = cli_given(&g->parser, "format");
    pf_status status = pf_film_kind_of(g->film_path, &g->kind, &error);
    if (status == PF_OK && given && kinds[g->s.format] != g->kind) {
        cli_say("%s is another kind than %s says; leave it out",
                cli_flag(&g->parser, "format"), g->film_path);
        return EXIT_WRONG;
    }
    if (status == PF_OK)
        return EXIT_DONE;
    g->kind = given ? kinds[g->s.format] : PF_FILM_MP4;
    return given || targets_is_stream(g->film_path) ? EXIT_DONE : cli_fail(status, &error);
}

/* The kind of file decides what is decoded at all. */
static int choose_output(generation *g)
{
    settings *s = &g->s;
    if (split_output_path(g) != EXIT_DONE)
        return EXIT_FAILED;
    if (s->output && (s->output_path || s->output_file_name))
        return complain_both(g, "output",
                             s->output_path ? "output-path" : "output-file-name",
                             "both name the film; choose one");
    if (s->output && strcmp(s->output, "-") == 0)
        s->output = "/dev/stdout";
    if (s->output && targets_is_folder(s->output))
        return complain_folder(g);
    g->film_path = targets_film_path(s->output, s->output_path, s->output_file_name);
    if (!g->film_path)
        return EXIT_WRONG;
    int code = choose_kind(g);
    if (code == EXIT_DONE)
        code = check_output_flags(g);
    s->no_video_output |= g->kind == PF_FILM_WAV;
    s->no_audio_output |= g->kind == PF_FILM_PNG;
    return code == EXIT_DONE ? check_places(g) : code;
}

/* After the request is filled: a film of pictures has as many files as frames. */
static int check_distinct(const generation *g)
{
    const settings *s = &g->s;
    const named_file outputs[] = {{cli_flag(&g->parser, "contact-sheet"), s->sheet},
                                  {cli_flag(&g->parser, "save-latents"), s->save_latents},
                                  {cli_flag(&g->parser, "perf-dump-path"), s->perf_dump_path}};
    const named_file inputs[] = {{cli_flag(&g->parser, "image-path"), s->image_path},
                                 {cli_flag(&g->parser, "last-image-path"), s->last_image_path},
                                 {cli_flag(&g->parser, "from-latents"), s->from_latents},
                                 {cli_flag(&g->parser, "config"), s->config}};
    const run_files files = {
        .film = {"the film", g->film_path},
        .kind = g->kind,
        .frames = g->request.num_frames,
        .outputs = outputs,
        .output_count = (int)(sizeof outputs / sizeof outputs[0]),
        .inputs = inputs,
        .input_count = (int)(sizeof inputs / sizeof inputs[0]),
    };
    return targets_check_distinct(&files);
}

/* --- running ------------------------------------------------------------------ */

static int open_engine(generation *g)
{
    const settings *s = &g->s;
    pf_error error = {0};
    pf_engine_options engine_options =
        cli_engine_options(&s->machine, s->model_path, s->quiet);
    pf_status status = pf_engine_open(&engine_options, &g->engine, &error);
    return status == PF_OK ? EXIT_DONE : cli_fail(status, &error);
}

/* Runs the job while signals are caught, and publishes the film. */
static pf_status make_film(generation *g, pf_error *error)
{
    static const char *const precisions[] = {"fast", "f32", "ref"};
    g->sink.save_latents = g->s.save_latents;
    g->sink.kind = g->kind;
    g->sink.precision = precisions[g->s.machine.precision];
    const char *const kept[] = {g->s.image_path, g->s.last_image_path, g->s.sheet};
    g->sink.kept = kept;
    g->sink.kept_count = (int)(sizeof kept / sizeof kept[0]);
    running = g->job;
    process_catch(on_signal);
    pf_status status = film_sink_open(&g->sink, g->engine, &g->request, g->film_path,
                                      g->s.sheet, g->s.quality, error);
    if (status == PF_OK)
        status = pf_job_run(g->job, error);
    if (cancelled) {                    /* also while a pipe waited for its reader */
        *error = (pf_error){PF_E_CANCELLED, "cancelled", ""};
        status = PF_E_CANCELLED;
    }
    cli_end_progress();
    if (status == PF_OK)
        return film_sink_close(&g->sink, error);
    film_sink_abort(&g->sink);
    return status;
}

/* Shows the warnings of the request, before the film is waited for. */
static int warn(generation *g)
{
    pf_error error = {0};
    pf_status status =
        pf_request_warnings(g->engine, &g->request, &g->warnings, &error);
    if (status != PF_OK)
        return cli_fail(status, &error);
    for (int i = 0; i < g->warnings.count && !g->s.quiet; i++)
        cli_warn(NULL, g->warnings.text[i]);
    return EXIT_DONE;
}

static bool is_on_standard_output(const generation *g)
{
    return pf_place_is_same(g->film_path, "/dev/stdout");
}

static int run_job(generation *g)
{
    pf_error error = {0};
    pf_sinks sinks = film_sink_sinks(&g->sink);
    sinks.progress = g->s.quiet ? NULL : cli_show_progress;
    pf_status status =
        pf_job_create(g->engine, &g->request, &sinks, &g->job, &error);
    if (status != PF_OK)
        return cli_fail_request(&g->parser, status, &error);
    int code = warn(g);
    if (code == EXIT_DONE && g->s.output_path)
        code = targets_make_folder(g->s.output_path);
    if (code != EXIT_DONE)
        return code;
    status = make_film(g, &error);
    if (status == PF_E_IO && is_on_standard_output(g) && process_reader_is_gone())
        return EXIT_UNREAD;
    return status == PF_OK ? EXIT_DONE : cli_fail_request(&g->parser, status, &error);
}

/* A frame's name in fresh memory (free), or NULL. */
static char *frame_path(const generation *g, int64_t number)
{
    enum { DIGITS = 32 };
    size_t bytes = strlen(g->film_path) + DIGITS;
    char *path = malloc(bytes);
    if (path && !pf_film_frame_path(g->film_path, number, path, bytes)) {
        free(path);
        path = NULL;
    }
    return path;
}

/* The name, or the first and the last of a film of pictures. */
static void print_path(const generation *g)
{
    char *first = g->kind == PF_FILM_PNG ? frame_path(g, 1) : NULL;
    char *last = first ? frame_path(g, g->request.num_frames) : NULL;
    bool several = last && g->request.num_frames > 1;
    if (several)
        cli_print_name(first, " ... ");
    cli_print_name(several ? last : first ? first : g->film_path, "\n");
    free(first);
    free(last);
}

static int report(generation *g)
{
    const pf_profile_row *rows;
    int count = pf_job_profile(g->job, &rows);
    if (g->s.profile)
        report_print(rows, count);
    if (g->s.perf_dump_path) {
        pf_error error = {0};
        pf_status status = report_write(
            g->s.perf_dump_path,
            &(report_run){g->engine, &g->request, &g->warnings, rows, count}, &error);
        if (status != PF_OK)
            return cli_fail(status, &error);
    }
    if (!g->s.quiet && !is_on_standard_output(g))
        print_path(g);
    return EXIT_DONE;
}

static int check_only(generation *g)
{
    pf_error error = {0};
    pf_prediction prediction;
    pf_status status =
        pf_request_check(g->engine, &g->request, &prediction, &error);
    if (status != PF_OK)
        return cli_fail_request(&g->parser, status, &error);
    report_prediction(&prediction);
    return warn(g);
}

/* --- by a server ---------------------------------------------------------------- */

enum { OPTIONS = sizeof options / sizeof options[0], REMOTE_EXTRA = 6 };

/* Those that choose the film, its pictures and its words. */
static const char *const remote_others[] = {
    "prompt", "negative-prompt", "image-path", "last-image-path", "t2va", "output",
    "output-path", "output-file-name", "format", "no-audio-output", "server", "api-key-file",
    "config", "quiet",
};

static bool goes_to_server(const char *name)
{
    for (size_t i = 0; i < sizeof remote_others / sizeof remote_others[0]; i++)
        if (strcmp(remote_others[i], name) == 0)
            return true;
    return false;
}

/* Without --server its key has no effect; with it many flags have none. */
static int check_remote_flags(generation *g)
{
    if (!g->s.server)
        return g->s.key_file ? complain_idle(g, "api-key-file", "without --server")
                             : EXIT_DONE;
    for (int i = 0; i < g->parser.count; i++) {
        if (options[i].kind == CLI_GROUP || !g->parser.given[i] ||
            options[i].kind == CLI_SETTING || goes_to_server(options[i].name))
            continue;
        return complain_idle(g, options[i].name, "with --server");
    }
    return check_prompt(g);
}

static void print_value(const generation *g, const cli_option *option, remote_field *out)
{
    const void *place = (const char *)&g->s + option->offset;
    const pf_setting *setting = pf_setting_find(option->choices);
    size_t room = sizeof out->value;
    const char *word = setting->choices;
    switch (setting->kind) {
    case PF_SETTING_SEED:
        snprintf(out->value, room, "%llu", (unsigned long long)*(const uint64_t *)place);
        break;
    case PF_SETTING_REAL:
        snprintf(out->value, room, "%.17g", *(const double *)place);
        break;
    case PF_SETTING_CHOICE:
        for (int i = 0; i < *(const int *)place; i++)
            word += strcspn(word, "|") + 1;
        snprintf(out->value, room, "%.*s", (int)strcspn(word, "|"), word);
        break;
    default:
        snprintf(out->value, room, "%d", *(const int *)place);
    }
}

static int fill_fields(const generation *g, pf_film_kind kind, remote_field *out)
{
    const settings *s = &g->s;
    int count = 0;
    out[count++] = (remote_field){.name = "prompt", .text = s->prompt};
    out[count++] = (remote_field){.name = "format",
                                  .text = kind == PF_FILM_WEBM ? "webm" : "mp4"};
    if (s->negative_prompt)
        out[count++] = (remote_field){.name = "negative_prompt",
                                      .text = s->negative_prompt};
    if (s->image_path)
        out[count++] = (remote_field){.name = "input_reference", .text = s->image_path,
                                      .is_file = true};
    if (s->last_image_path)
        out[count++] = (remote_field){.name = "last_image", .text = s->last_image_path,
                                      .is_file = true};
    if (s->no_audio_output)
        out[count++] = (remote_field){.name = "generate_sound", .text = "false"};
    for (int i = 0; i < OPTIONS; i++) {
        bool always = strcmp(options[i].name, "seed") == 0;     /* a server draws one */
        if (options[i].kind != CLI_SETTING || (!always && !g->parser.given[i]))
            continue;
        out[count] = (remote_field){.name = options[i].choices};
        print_value(g, &options[i], &out[count++]);
    }
    return count;
}

static int generate_remotely(generation *g)
{
    remote_field fields[OPTIONS + REMOTE_EXTRA];
    int code = read_prompt(g);
    if (code == EXIT_DONE)
        code = choose_output(g);
    if (code != EXIT_DONE)
        return code;
    if (g->kind != PF_FILM_MP4 && g->kind != PF_FILM_WEBM)
        return complain("a server makes films that end in .mp4 or .webm");
    code = g->s.output_path ? targets_make_folder(g->s.output_path) : EXIT_DONE;
    if (code != EXIT_DONE)
        return code;
    return remote_generate(&(remote_request){
        .server = g->s.server, .key_file = g->s.key_file, .fields = fields,
        .field_count = fill_fields(g, g->kind, fields), .film_path = g->film_path,
        .picture_is_missing = g->s.image_path || g->s.t2va ? NULL : picture_is_missing,
        .quiet = g->s.quiet});
}

/* --- on this machine --------------------------------------------------------------- */

static int generate(generation *g)
{
    int (*const steps[])(generation *) = {check_prompt, read_prompt, load_latents,
                                          choose_output, open_engine};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int code = steps[i](g);
        if (code != EXIT_DONE)
            return code;
    }
    pf_request_init(g->engine, &g->request);
    fill_request(g);
    int code = check_picture(g);
    if (code == EXIT_DONE)
        code = load_picture(g->s.image_path, &g->first, &g->request.first_frame);
    if (code == EXIT_DONE)
        code = load_picture(g->s.last_image_path, &g->last, &g->request.last_frame);
    if (code == EXIT_DONE)
        code = check_distinct(g);
    if (code == EXIT_DONE && g->s.dry_run)
        return check_only(g);
    if (code == EXIT_DONE)
        code = run_job(g);
    if (code == EXIT_DONE)
        code = report(g);
    return code;
}

static void clean_up(generation *g)
{
    pf_job_destroy(g->job);
    pf_engine_close(g->engine);
    pf_picture_free(&g->first);
    pf_picture_free(&g->last);
    pf_state_free(&g->resume);
    free(g->film_folder);
    free(g->film_path);
    pf_text_file_free(g->prompt_text);
    cli_parser_close(&g->parser);
}

int cli_generate(int argc, char **argv)
{
    generation g = {
        .s = {.quality = -1, .seed = PF_DEFAULT_SEED},
        .parser = {
            .options = options,
            .count = (int)(sizeof options / sizeof options[0]),
            .commands = FOREIGN_GENERATE,
            .usage = "",
            .summary = "Makes a film with sound from a prompt and a picture.\v"
                       "Example: phonofilm generate --model-path MOVA-360p --prompt "
                       "\"A red ball bounces.\" --image-path first.png -o out.mp4",
        },
    };
    g.parser.settings = &g.s;
    int code = cli_parse(&g.parser, argc, argv);
    if (code == EXIT_DONE && g.s.config)
        code = cli_parse_config(&g.parser, g.s.config);
    if (code == EXIT_DONE)
        code = check_remote_flags(&g);
    if (code == EXIT_DONE && !g.s.server && !g.s.model_path) {
        g.s.model_path = cli_default_model("--model-path");
        code = g.s.model_path ? EXIT_DONE : EXIT_WRONG;
    }
    if (code == EXIT_DONE)
        code = g.s.server ? generate_remotely(&g) : generate(&g);
    clean_up(&g);
    return code;
}
