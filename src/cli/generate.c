/* phonofilm generate: flags to a request, a request to a film.  Man page: generate.
 *
 * Uses the public header and media/ only.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/film_sink.h"
#include "cli/report.h"
#include "media/film.h"
#include "media/picture.h"

enum { MAX_PROMPT_INPUT = 1 << 20 };

typedef struct settings {
    const char *config;
    const char *model_path, *platform, *isa;
    int device;
    const char *prompt, *negative_prompt, *image_path, *last_image_path;
    const char *output, *output_path, *output_file_name;
    const char *save_latents, *from_latents, *perf_dump_path, *sheet;
    int precision, rng, bridge_inv_freq;
    int threads, height, width, num_frames, num_inference_steps;
    int cuda_sm_count, vae_tile, vae_tile_stride, quality;
    double fps, guidance_scale, guidance_scale_2, guidance_rescale;
    double bridge_guidance_scale, visual_shift, audio_shift;
    uint64_t seed;
    int64_t memory_limit;
    bool t2va, no_audio_output, no_video_output, keep_resident, adjust_frames;
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
     "Last frame"},
    {CLI_SWITCH, "t2va", 0, NULL, AT(t2va), 0, 0, NULL,
     "No picture: the film begins with a white frame"},
    {CLI_GROUP, "Size and length", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_INTEGER, "height", 0, "PIXELS", AT(height), 1, 16384, NULL,
     "A multiple of 16 (default: the model's)"},
    {CLI_INTEGER, "width", 0, "PIXELS", AT(width), 1, 16384, NULL,
     "A multiple of 16 (default: the model's)"},
    {CLI_INTEGER, "num-frames", 0, "N", AT(num_frames), 0, 100000, NULL,
     "4k + 1 (default: the model's)"},
    {CLI_SWITCH, "adjust-frames", 0, NULL, AT(adjust_frames), 0, 0, NULL,
     "Round --num-frames up to the next 4k + 1"},
    {CLI_REAL, "fps", 0, "RATE", AT(fps), 0, 1000, NULL,
     "Frames a second, 1 to 120 (default: the model's)"},
    {CLI_GROUP, "How to make it", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_INTEGER, "num-inference-steps", 's', "N", AT(num_inference_steps), 0,
     100000, NULL, "Denoising steps, 1 to 1000 (default: the model's)"},
    {CLI_REAL, "guidance-scale", 'g', "X", AT(guidance_scale), -1e6, 1e6, NULL,
     "How strongly the prompt pulls, 0 to 100; 1 switches guidance off"},
    {CLI_REAL, "guidance-scale-2", 0, "X", AT(guidance_scale_2), -1e6, 1e6, NULL,
     "The same from the low-noise expert on (default: --guidance-scale)"},
    {CLI_REAL, "bridge-guidance-scale", 0, "X", AT(bridge_guidance_scale), -1e6,
     1e6, NULL, "Dual guidance: how strongly picture and sound pull each other, "
     "0 to 100; 1 is plain guidance (default: off)"},
    {CLI_REAL, "guidance-rescale", 0, "X", AT(guidance_rescale), -1e6, 1e6, NULL,
     "Keeps the contrast of strong guidance, 0 to 1 (default: 0, off)"},
    {CLI_REAL, "visual-shift", 0, "X", AT(visual_shift), -1e6, 1e6, NULL,
     "Shift of the video timesteps; with --audio-shift (default: the model's)"},
    {CLI_REAL, "audio-shift", 0, "X", AT(audio_shift), -1e6, 1e6, NULL,
     "Shift of the audio timesteps"},
    {CLI_SEED, "seed", 0, "N", AT(seed), 0, 0, NULL, "Noise seed (default: 42)"},
    {CLI_CHOICE, "rng", 0, "KIND", AT(rng), 0, 0, "own|torch-cpu|torch-cuda",
     "Noise stream: own (default), torch-cpu or torch-cuda"},
    {CLI_INTEGER, "cuda-sm-count", 0, "N", AT(cuda_sm_count), 1, 1024, NULL,
     "Multiprocessors of the GPU that --rng torch-cuda matches (H100: 132)"},
    {CLI_GROUP, "Output", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_TEXT, "output", 'o', "FILE", AT(output), 0, 0, NULL,
     "The film; its name says what it is: .mp4 .webm .wav .png (default: film.mp4, "
     "or the next free number)"},
    {CLI_TEXT, "output-path", 0, "FOLDER", AT(output_path), 0, 0, NULL,
     "Folder of the film, made if missing"},
    {CLI_TEXT, "output-file-name", 0, "NAME", AT(output_file_name), 0, 0, NULL,
     "Name in that folder (default: film.mp4)"},
    {CLI_INTEGER, "quality", 0, "CRF", AT(quality), 0, 51, NULL,
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
     "Model folder"},
    {CLI_CHOICE, "precision", 0, "KIND", AT(precision), 0, 0, "fast|f32|ref",
     "fast (default), f32, or ref: the roundings of the Python reference"},
    {CLI_CHOICE, "bridge-inv-freq", 0, "KIND", AT(bridge_inv_freq), 0, 0,
     "auto|f32|bf16",
     "Rotary frequencies of the bridge (default: auto: bf16 with ref, else f32)"},
    {CLI_TEXT, "platform", 0, "NAME", AT(platform), 0, 0, NULL,
     "auto (default: a device before the processor), ascend, cpu or reference"},
    {CLI_INTEGER, "device", 0, "N", AT(device), 0, 1023, NULL,
     "Which of several devices (default: 0)"},
    {CLI_TEXT, "isa", 0, "NAME", AT(isa), 0, 0, NULL,
     "Highest instruction set to use: avx512bf16, avx512, avx2, neon or scalar"},
    {CLI_INTEGER, "threads", 't', "N", AT(threads), 1, 256, NULL,
     "Threads (default: every processor)"},
    {CLI_BYTES, "memory-limit", 0, "SIZE", AT(memory_limit), 0, 0, NULL,
     "Refuse a film that needs more, such as 16G (default: what is available)"},
    {CLI_SWITCH, "keep-resident", 0, NULL, AT(keep_resident), 0, 0, NULL,
     "Keep components loaded between stages"},
    {CLI_INTEGER, "vae-tile", 0, "PIXELS", AT(vae_tile), 0, 16384, NULL,
     "Decode and encode in tiles of this side; saves memory (usual: 256)"},
    {CLI_INTEGER, "vae-tile-stride", 0, "PIXELS", AT(vae_tile_stride), 0, 16384,
     NULL, "Distance of the tiles (default: three quarters of --vae-tile)"},
    {CLI_GROUP, "This run", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_TEXT, "config", 0, "FILE.json", AT(config), 0, 0, NULL,
     "Settings from a file: names as here, with _ for -; flags win"},
    {CLI_SWITCH, "dry-run", 0, NULL, AT(dry_run), 0, 0, NULL,
     "Check everything, print what the film needs, and stop"},
    {CLI_SWITCH, "profile", 0, NULL, AT(profile), 0, 0, NULL,
     "Print a table of stages and steps at the end"},
    {CLI_TEXT, "perf-dump-path", 0, "FILE", AT(perf_dump_path), 0, 0, NULL,
     "Write the same as JSON"},
    {CLI_SWITCH, "quiet", 'q', NULL, AT(quiet), 0, 0, NULL,
     "Print nothing but errors"},
};

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
    char *film_path;
    film_sink sink;
} generation;

/* --- Ctrl-C ------------------------------------------------------------------- */

static pf_job *volatile running;

static void on_signal(int number)
{
    if (running)
        pf_job_cancel(running);
    signal(number, SIG_DFL);            /* the second one ends the program */
}

static void catch_signals(pf_job *job)
{
    running = job;
    signal(SIGINT, job ? on_signal : SIG_DFL);
    signal(SIGTERM, job ? on_signal : SIG_DFL);
}

/* --- from flags to a request ---------------------------------------------------- */

static int complain(const char *text)
{
    fprintf(stderr, "phonofilm: %s\n", text);
    return EXIT_WRONG;
}

static int read_prompt(generation *g)
{
    if (!g->s.prompt || strcmp(g->s.prompt, "-") != 0)
        return EXIT_DONE;
    g->prompt_text = malloc(MAX_PROMPT_INPUT + 1);
    if (!g->prompt_text)
        return complain("out of memory: prompt");
    size_t bytes = fread(g->prompt_text, 1, MAX_PROMPT_INPUT, stdin);
    if (ferror(stdin))
        return complain("cannot read the prompt from standard input");
    if (memchr(g->prompt_text, '\0', bytes))
        return complain("the prompt on standard input holds a NUL byte");
    while (bytes > 0 && g->prompt_text[bytes - 1] == '\n')
        bytes--;
    g->prompt_text[bytes] = '\0';
    g->s.prompt = g->prompt_text;
    return EXIT_DONE;
}

/* Flags that mean nothing when finished latents are only decoded. */
static int check_latents_flags(const generation *g)
{
    static const char *const idle[] = {
        "height", "width", "num-frames", "adjust-frames", "fps", "seed", "rng",
        "cuda-sm-count", "num-inference-steps", "guidance-scale",
        "guidance-scale-2", "bridge-guidance-scale", "guidance-rescale",
        "visual-shift", "audio-shift", "save-latents", "bridge-inv-freq",
    };
    bool finished = g->resume.step >= g->resume.steps;
    size_t count = sizeof idle / sizeof idle[0];
    for (size_t i = 0; i < (finished ? count : 8); i++) {
        bool applies = !finished && strcmp(idle[i], "fps") == 0;
        if (applies || !cli_given(&g->parser, idle[i]))
            continue;
        fprintf(stderr, "phonofilm: --%s has no effect with --from-latents; leave "
                "it out\n", idle[i]);
        return EXIT_WRONG;
    }
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
    pf_status status = pf_picture_read(path, picture, &error);
    if (status != PF_OK)
        return cli_fail(status, &error);
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

/* Everything but the pictures. */
static void fill_request(generation *g)
{
    const settings *s = &g->s;
    pf_request *r = &g->request;
    take_sizes(g);
    take_guidance(g);
    r->prompt = s->prompt;
    r->negative_prompt = s->negative_prompt;
    r->text_only = s->t2va;
    r->rng = (pf_rng)s->rng;
    r->cuda_multiprocessors = s->cuda_sm_count;
    r->no_video_output = s->no_video_output;
    r->no_audio_output = s->no_audio_output;
    r->vae_tile = s->vae_tile;
    r->vae_tile_stride = s->vae_tile_stride;
    if (s->vae_tile && !cli_given(&g->parser, "vae-tile-stride"))
        r->vae_tile_stride = s->vae_tile * 3 / 4 / 16 * 16;
}

/* --- output ------------------------------------------------------------------- */

/* The kind of file decides what is decoded at all. */
static int choose_output(generation *g)
{
    settings *s = &g->s;
    if (s->output && (s->output_path || s->output_file_name))
        return complain("-o and --output-path/--output-file-name both name the "
                        "film; choose one");
    g->film_path = film_path_choose(s->output, s->output_path, s->output_file_name);
    if (!g->film_path)
        return EXIT_FAILED;
    pf_film_kind kind = PF_FILM_MP4;
    pf_error error = {0};
    pf_status status = pf_film_kind_of(g->film_path, &kind, &error);
    if (status != PF_OK)
        return cli_fail(status, &error);
    bool sound_only = kind == PF_FILM_WAV, silent = kind == PF_FILM_PNG;
    if (sound_only && s->no_audio_output)
        return complain("a .wav file holds sound alone; leave out "
                        "--no-audio-output");
    if (silent && s->no_video_output)
        return complain("a .png file holds no sound; leave out --no-video-output");
    if (sound_only && (s->sheet || cli_given(&g->parser, "quality")))
        return complain("--contact-sheet and --quality have no effect on a .wav "
                        "file");
    s->no_video_output |= sound_only;
    s->no_audio_output |= silent;
    return EXIT_DONE;
}

/* --- running ------------------------------------------------------------------ */

static int open_engine(generation *g)
{
    const settings *s = &g->s;
    pf_error error = {0};
    pf_engine_options engine_options = {
        .model_path = s->model_path,
        .platform = s->platform,
        .isa = s->isa,
        .threads = s->threads,
        .device = s->device,
        .precision = (pf_precision)s->precision,
        .bridge_frequencies = (pf_bridge_frequencies)s->bridge_inv_freq,
        .keep_resident = s->keep_resident,
        .memory_limit = s->memory_limit,
        .warn = s->quiet ? NULL : cli_warn,
    };
    pf_status status = pf_engine_open(&engine_options, &g->engine, &error);
    return status == PF_OK ? EXIT_DONE : cli_fail(status, &error);
}

static int run_job(generation *g)
{
    pf_error error = {0};
    pf_sinks sinks = film_sink_sinks(&g->sink);
    sinks.progress = g->s.quiet ? NULL : cli_show_progress;
    pf_status status =
        pf_job_create(g->engine, &g->request, &sinks, &g->job, &error);
    if (status == PF_OK)
        status = film_sink_open(&g->sink, g->engine, &g->request, g->film_path,
                                g->s.sheet, g->s.quality, &error);
    g->sink.save_latents = g->s.save_latents;
    if (status == PF_OK) {
        catch_signals(g->job);
        status = pf_job_run(g->job, &error);
        catch_signals(NULL);
    }
    cli_end_progress();
    if (status == PF_OK)
        status = film_sink_close(&g->sink, &error);
    else
        film_sink_abort(&g->sink);
    return status == PF_OK ? EXIT_DONE : cli_fail(status, &error);
}

static int report(generation *g)
{
    const pf_profile_row *rows;
    int count = pf_job_profile(g->job, &rows);
    if (g->s.profile)
        report_print(rows, count);
    if (g->s.perf_dump_path) {
        pf_error error = {0};
        pf_status status = report_write(g->s.perf_dump_path, g->engine, &g->request,
                                        rows, count, &error);
        if (status != PF_OK)
            return cli_fail(status, &error);
    }
    if (!g->s.quiet)
        printf("%s\n", g->film_path);
    return EXIT_DONE;
}

static int check_only(generation *g)
{
    pf_error error = {0};
    pf_prediction prediction;
    pf_status status =
        pf_request_check(g->engine, &g->request, &prediction, &error);
    if (status != PF_OK)
        return cli_fail(status, &error);
    report_prediction(&prediction);
    return EXIT_DONE;
}

static int generate(generation *g)
{
    int (*const steps[])(generation *) = {read_prompt, load_latents, choose_output,
                                          open_engine};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int code = steps[i](g);
        if (code != EXIT_DONE)
            return code;
    }
    pf_request_init(g->engine, &g->request);
    fill_request(g);
    int code = load_picture(g->s.image_path, &g->first, &g->request.first_frame);
    if (code == EXIT_DONE)
        code = load_picture(g->s.last_image_path, &g->last, &g->request.last_frame);
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
    free(g->film_path);
    free(g->prompt_text);
}

int cli_generate(int argc, char **argv)
{
    generation g = {
        .s = {.quality = -1},
        .parser = {
            .options = options,
            .count = (int)(sizeof options / sizeof options[0]),
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
    if (code == EXIT_DONE && !g.s.model_path)
        code = complain("--model-path is missing: give a model folder");
    if (code == EXIT_DONE)
        code = generate(&g);
    clean_up(&g);
    return code;
}
