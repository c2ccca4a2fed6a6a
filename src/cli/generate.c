/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm generate: flags to a request, a request to a film.  Man page: generate.
 *
 *     flags, --config --> settings
 *       --server: fields of a form --> remote.h                       generate_remotely
 *       else                                                          generate
 *         check_prompt     refused before anything is opened
 *         read_texts       standard input, byte order marks
 *         load_latents     --from-latents; flags that have no effect on them
 *         choose_output    name and kind of the film; the kind decides what is decoded
 *         open_engine      model, platform
 *         fill_request     defaults of the model < latents < flags
 *         load_picture     first and last frame
 *         check_files      no output is an input or another output
 *         run_job          warnings, sinks, the film file, signals
 *         report           profile, the film's name
 *
 * Cheap checks come first, so that a wrong flag is told in milliseconds and not after the
 * weights are mapped or a film is made.  Each step gives an exit code after a message; the
 * first that is not EXIT_DONE ends the run, and clean_up releases whatever there is.
 *
 * Uses the public header and media/ only.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/default_model.h"
#include "cli/film_file.h"
#include "cli/film_sink.h"
#include "cli/foreign.h"
#include "cli/process.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "cli/request_flags.h"
#include "cli/rewriter.h"
#include "cli/say.h"
#include "cli/shared_flags.h"
#include "cli/targets.h"
#include "media/film.h"
#include "media/part_file.h"
#include "media/picture.h"
#include "media/text_file.h"

typedef struct settings {
    const char *config, *model_path;
    cli_machine machine;
    request_flags asked;
    rewriter_flags rewriter;
    film_file_flags film;
    const char *save_latents, *from_latents, *perf_dump_path, *sheet;
    const char *server, *key_file;
    bool profile, quiet, dry_run;
} settings;

#define AT(member) offsetof(settings, member)
#define REQUEST(name)                                                                   \
    {.kind = CLI_ROWS, .rows = &request_flag_rows, .section = name, .offset = AT(asked)}

static const cli_option options[] = {
    {.kind = CLI_GROUP, .name = "What to make"},
    REQUEST(PF_SECTION_WORDS),
    {.kind = CLI_GROUP, .name = "A chat model that rewrites the prompt"},
    {.kind = CLI_ROWS, .rows = &rewriter_rows, .offset = AT(rewriter)},
    {.kind = CLI_GROUP, .name = "Size and length"},
    REQUEST(PF_SECTION_SHAPE),
    REQUEST(PF_SECTION_RATE),
    {.kind = CLI_GROUP, .name = "How to make it"},
    REQUEST(PF_SECTION_STEPS),
    REQUEST(PF_SECTION_NOISE),
    {.kind = CLI_GROUP, .name = "Output"},
    {.kind = CLI_TEXT, .name = "output", .key = 'o', .argument = "FILE",
     .offset = AT(film.output), .remote = CLI_REMOTE,
     .help = "The film; its name says what it is: .mp4 .webm .wav .png; - is standard "
             "output (default: film.mp4, or the next free number)"},
    {.kind = CLI_TEXT, .name = "output-path", .argument = "FOLDER",
     .offset = AT(film.folder), .remote = CLI_REMOTE,
     .help = "Folder of the film, made if missing"},
    {.kind = CLI_TEXT, .name = "output-file-name", .argument = "NAME",
     .offset = AT(film.name), .remote = CLI_REMOTE,
     .help = "Name in the folder of --output-path (default: film.mp4, or the next free "
             "number)"},
    {.kind = CLI_CHOICE, .name = "format", .argument = "KIND", .offset = AT(film.format),
     .remote = CLI_REMOTE, .choices = "mp4|webm|wav",
     .help = "The kind of a film whose name does not say it: mp4, webm or wav (default: mp4 "
             "for pipes and devices)"},
    REQUEST(PF_SECTION_FILE),
    {.kind = CLI_TEXT, .name = "contact-sheet", .argument = "FILE.png", .offset = AT(sheet),
     .help = "Also draw a few frames and the waveform into one picture"},
    {.kind = CLI_TEXT, .name = "save-latents", .argument = "FILE",
     .offset = AT(save_latents), .phase = PF_PHASE_STEPS,
     .help = "Write the latents (safetensors) before they are decoded"},
    {.kind = CLI_TEXT, .name = "from-latents", .argument = "FILE",
     .offset = AT(from_latents),
     .help = "Decode saved latents, or go on from unfinished ones"},
    {.kind = CLI_GROUP, .name = "Model and machine"},
    {.kind = CLI_ROWS, .rows = &cli_model_rows, .offset = AT(model_path)},
    {.kind = CLI_ROWS, .rows = &cli_machine_rows, .offset = AT(machine)},
    {.kind = CLI_ROWS, .rows = &cli_engine_rows, .offset = AT(machine)},
    REQUEST(PF_SECTION_TILES),
    {.kind = CLI_GROUP, .name = "By a server (phonofilm serve) instead of this machine"},
    {.kind = CLI_TEXT, .name = "server", .argument = "URL", .offset = AT(server),
     .remote = CLI_REMOTE, .help = "Its address, such as http://127.0.0.1:8000"},
    {.kind = CLI_TEXT, .name = "api-key-file", .argument = "FILE", .offset = AT(key_file),
     .remote = CLI_REMOTE, .help = "Its API key (default: PHONOFILM_API_KEY)"},
    {.kind = CLI_GROUP, .name = "This run"},
    {.kind = CLI_TEXT, .name = "config", .argument = "FILE.json", .offset = AT(config),
     .remote = CLI_REMOTE,
     .help = "Settings from a JSON object: names as here, with _ for -; flags win; paths "
             "are relative to the working folder"},
    {.kind = CLI_SWITCH, .name = "dry-run", .offset = AT(dry_run),
     .help = "Check everything, print what the film needs, and stop"},
    {.kind = CLI_SWITCH, .name = "profile", .offset = AT(profile),
     .help = "Print a table of stages and steps at the end"},
    {.kind = CLI_TEXT, .name = "perf-dump-path", .argument = "FILE",
     .offset = AT(perf_dump_path), .help = "Write the profile as JSON"},
    {.kind = CLI_ROWS, .rows = &cli_quiet_rows, .offset = AT(quiet)},
};

const cli_table cli_generate_table = CLI_TABLE(options);

/* Everything that is released at the end, by clean_up.  The request points into the
 * settings, the pictures and the latents. */
typedef struct generation {
    settings s;
    cli_parser parser;
    char *prompt_text;                  /* from standard input */
    pf_rewriter *rewriter;              /* NULL: none was asked for */
    char *rewritten;                    /* its prompt, or NULL */
    pf_error not_rewritten;             /* why there is none */
    pf_picture first, last;
    pf_state resume;
    pf_engine *engine;
    pf_job *job;
    pf_request request;
    pf_warnings warnings;
    film_file film;
    film_sink sink;
} generation;

/* --- Ctrl-C ------------------------------------------------------------------- */

/* A signal handler reaches nothing but these.  pf_job_cancel sets a flag at which the job
 * looks; the film file is then aborted on the main thread. */
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

static int read_texts(generation *g)
{
    return request_flags_read_texts(&g->s.asked, g->s.quiet, &g->prompt_text);
}

/* Whether saved latents have all their steps behind them, so that they are only decoded. */
static bool are_finished(const generation *g)
{
    return g->s.from_latents && g->resume.step >= g->resume.steps;
}

/* Reads --from-latents and refuses flags that come too late for them. */
static int load_latents(generation *g)
{
    pf_error error = {0};
    if (!g->s.from_latents)
        return EXIT_DONE;
    pf_status status = pf_state_read(g->s.from_latents, &g->resume, &error);
    if (status != PF_OK)
        return cli_fail(status, &error);
    return request_flags_check_latents(&g->parser, are_finished(g));
}

/* Decodes a picture; `image` points into it. */
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

/* Takes sizes and number of steps from the latents: [z, T, h, w] of the video is
 * (T - 1) * frame_multiple + 1 frames of h and w times latent_pixels. */
static void take_latents(generation *g)
{
    const pf_model_info *info = pf_engine_info(g->engine);
    pf_request *r = &g->request;
    int space = info->latent_pixels;
    if (!g->s.from_latents)
        return;
    r->num_frames = (int)(g->resume.video_shape[1] - 1) * info->frame_multiple + 1;
    r->height = (int)g->resume.video_shape[2] * space;
    r->width = (int)g->resume.video_shape[3] * space;
    r->fps = g->resume.fps;
    r->num_inference_steps = g->resume.steps;
    r->resume = &g->resume;
}

/* Fills everything but the pictures.  A model that was trained to do without one does so when none
 * is given. */
static void fill_request(generation *g)
{
    const pf_model_info *info = pf_engine_info(g->engine);
    const request_flags *asked = &g->s.asked;
    pf_request_init(g->engine, &g->request);
    take_latents(g);
    request_flags_fill(&g->parser, asked, info, &g->request);
    g->request.text_only =
        asked->t2va || (info->without_picture && !asked->image_path && !are_finished(g));
}

/* --- output ------------------------------------------------------------------- */

/* Refuses a missing prompt, in the words of the command line; latents may do without. */
static int check_prompt(generation *g)
{
    if (g->s.asked.t2va && g->s.asked.image_path) {
        cli_say("%s makes a film without a picture; leave %s out",
                cli_flag(&g->parser, "t2va"), cli_flag(&g->parser, "image-path"));
        return EXIT_WRONG;
    }
    if (g->s.asked.prompt || g->s.from_latents)
        return EXIT_DONE;
    return complain("--prompt is missing: say what is to be seen and heard, or - to read "
                    "it from standard input");
}

static const char picture_is_missing[] =
    "--image-path is missing: give the first frame, or --t2va to begin with a white one";

static int check_picture(const generation *g)
{
    if (g->s.asked.image_path || g->request.text_only || g->s.from_latents)
        return EXIT_DONE;
    return complain(picture_is_missing);
}

/* A flag without effect on this kind of film, and the reason; NULL: every flag has one. */
static const char *idle_flag(const generation *g, const char **reason)
{
    const cli_parser *parser = &g->parser;
    const request_flags *asked = &g->s.asked;
    bool pictures = g->film.kind == PF_FILM_PNG, sound = g->film.kind == PF_FILM_WAV;
    bool sound_only = sound || asked->no_video_output;
    *reason = "on a .wav file, which holds sound alone";
    if (sound && asked->no_audio_output)
        return "no-audio-output";
    *reason = "on .png files, which hold no sound";
    if (pictures && asked->no_video_output)
        return "no-video-output";
    *reason = "on sound alone";
    if (sound_only && g->s.sheet)
        return "contact-sheet";
    if (sound_only && cli_given(parser, "quality"))
        return "quality";
    *reason = "on .png files";
    if (pictures && cli_given(parser, "quality"))
        return "quality";
    *reason = "when only sound is decoded";
    if (sound_only && are_finished(g) && cli_given(parser, "vae-tile"))
        return "vae-tile";
    *reason = "without --num-frames";
    return asked->adjust_frames && !cli_given(parser, "num-frames") ? "adjust-frames" : NULL;
}

static int check_output_flags(const generation *g)
{
    const char *reason, *flag = idle_flag(g, &reason);
    return flag ? request_flags_complain_idle(&g->parser, flag, reason) : EXIT_DONE;
}

/* Checks the places of all files that are written; once the request is filled (a film of
 * pictures has as many files as frames) also that no two of the run are one. */
static int check_files(const generation *g, bool distinct)
{
    const settings *s = &g->s;
    const cli_parser *p = &g->parser;
    const named_file outputs[] = {{cli_flag(p, "contact-sheet"), s->sheet},
                                  {cli_flag(p, "save-latents"), s->save_latents},
                                  {cli_flag(p, "perf-dump-path"), s->perf_dump_path}};
    const named_file inputs[] = {{cli_flag(p, "image-path"), s->asked.image_path},
                                 {cli_flag(p, "last-image-path"), s->asked.last_image_path},
                                 {cli_flag(p, "from-latents"), s->from_latents},
                                 {cli_flag(p, "config"), s->config}};
    bool named = !distinct && s->film.output;
    const run_files files = {
        .film = {named ? cli_flag(p, "output") : "the film", g->film.path},
        .kind = g->film.kind,
        .frames = g->request.num_frames,
        .folder_is_made = s->film.folder != NULL,
        .outputs = outputs,
        .output_count = (int)(sizeof outputs / sizeof outputs[0]),
        .inputs = inputs,
        .input_count = (int)(sizeof inputs / sizeof inputs[0]),
    };
    return distinct ? targets_check_distinct(&files) : targets_check_places(&files);
}

/* Chooses the film's file.  Its kind decides what is decoded: a .wav needs no picture, .png
 * files no sound. */
static int choose_output(generation *g)
{
    int code = film_file_choose(&g->parser, &g->s.film, &g->film);
    if (code == EXIT_DONE)
        code = check_output_flags(g);
    g->s.asked.no_video_output |= g->film.kind == PF_FILM_WAV;
    g->s.asked.no_audio_output |= g->film.kind == PF_FILM_PNG;
    return code == EXIT_DONE ? check_files(g, false) : code;
}

/* --- rewriting ---------------------------------------------------------------- */

static int open_rewriter(generation *g)
{
    pf_error error = {0};
    if (!g->s.rewriter.url)
        return EXIT_DONE;
    const pf_rewriter_options rewriter = rewriter_options(&g->s.rewriter);
    pf_status status = pf_rewriter_open(&rewriter, &g->rewriter, &error);
    return status == PF_OK ? EXIT_DONE : cli_fail_request(&g->parser, status, &error);
}

static bool is_cancelled(void *user)
{
    (void)user;
    return cancelled;
}

/* Replaces the prompt; where that fails, the user's own words stay. */
static int rewrite_prompt(generation *g)
{
    pf_error *why = &g->not_rewritten;
    if (!g->rewriter)
        return EXIT_DONE;
    process_catch(on_signal);
    const pf_chat_stop stop = {is_cancelled, NULL};
    int code = rewriter_rewrite(&g->parser, g->rewriter, g->engine, &g->request, &stop,
                                &g->rewritten, why);
    if (code == EXIT_DONE)
        rewriter_tell(g->rewritten, why->message, g->s.quiet);
    return code;
}

/* --- running ------------------------------------------------------------------ */

/* Maps the weights and opens the platform; reads no tensor yet. */
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
    g->sink.kind = g->film.kind;
    g->sink.own_prompt = g->rewritten ? g->s.asked.prompt : NULL;
    g->sink.rewrite_error = g->not_rewritten.message;
    g->sink.precision = precisions[g->s.machine.precision];
    const char *const kept[] = {g->s.asked.image_path, g->s.asked.last_image_path, g->s.sheet};
    g->sink.kept = kept;
    g->sink.kept_count = (int)(sizeof kept / sizeof kept[0]);
    const pf_setting_value *quality = cli_setting(&g->parser, "quality");
    running = g->job;
    process_catch(on_signal);
    pf_status status = film_sink_open(&g->sink, g->engine, &g->request, g->film.path,
                                      g->s.sheet, quality ? (int)quality->number : -1, error);
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
    return pf_place_is_same(g->film.path, "/dev/stdout");
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
    if (code == EXIT_DONE && g->s.film.folder)
        code = targets_make_folder(g->s.film.folder);
    if (code != EXIT_DONE)
        return code;
    status = make_film(g, &error);
    if (status == PF_E_IO && is_on_standard_output(g) && process_reader_is_gone())
        return EXIT_UNREAD;
    return status == PF_OK ? EXIT_DONE : cli_fail_request(&g->parser, status, &error);
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
        film_file_print(&g->film, g->request.num_frames);
    return EXIT_DONE;
}

static int check_only(generation *g)
{
    pf_error error = {0};
    pf_prediction prediction = PF_INIT(pf_prediction);
    pf_status status =
        pf_request_check(g->engine, &g->request, &prediction, &error);
    if (status != PF_OK)
        return cli_fail_request(&g->parser, status, &error);
    report_prediction(&prediction);
    return warn(g);
}

/* --- by a server ---------------------------------------------------------------- */

/* Refuses a key without --server, and flags without effect beside it. */
static int check_remote_flags(generation *g)
{
    int idle = rewriter_check(&g->parser, &g->s.rewriter);
    if (idle != EXIT_DONE)
        return idle;
    if (!g->s.server)
        return g->s.key_file ? request_flags_complain_idle(&g->parser, "api-key-file",
                                                           "without --server")
                             : EXIT_DONE;
    int code = request_flags_check_remote(&g->parser);
    if (code == EXIT_DONE && g->s.rewriter.url && !rewriter_is_remote(&g->s.rewriter)) {
        cli_say("%s is %s, but beside --server it must be the word server, whose own chat "
                "model rewrites", cli_flag(&g->parser, "rewrite-prompt"), g->s.rewriter.url);
        return EXIT_WRONG;
    }
    return code == EXIT_DONE ? check_prompt(g) : code;
}

static int generate_remotely(generation *g)
{
    remote_field fields[CLI_MAX_OPTIONS + 2];
    int code = read_texts(g);
    if (code == EXIT_DONE)
        code = choose_output(g);
    if (code != EXIT_DONE)
        return code;
    if (g->film.kind != PF_FILM_MP4 && g->film.kind != PF_FILM_WEBM)
        return complain("a server makes films that end in .mp4 or .webm");
    code = g->s.film.folder ? targets_make_folder(g->s.film.folder) : EXIT_DONE;
    if (code != EXIT_DONE)
        return code;
    int count = request_flags_fields(&g->parser, fields);
    fields[count++] = (remote_field){
        .name = "format", .text = g->film.kind == PF_FILM_WEBM ? "webm" : "mp4"};
    if (g->s.rewriter.url)
        fields[count++] = (remote_field){.name = "rewrite", .text = "true"};
    bool decided = g->s.asked.image_path || g->s.asked.t2va;
    return remote_generate(&(remote_request){
        .server = g->s.server, .key_file = g->s.key_file, .fields = fields,
        .field_count = count, .film_path = g->film.path,
        .picture_is_missing = decided ? NULL : picture_is_missing,
        .rewrites = g->s.rewriter.url != NULL, .quiet = g->s.quiet});
}

/* --- on this machine --------------------------------------------------------------- */

static int generate(generation *g)
{
    int (*const steps[])(generation *) = {check_prompt, read_texts, load_latents,
                                          choose_output, open_rewriter, open_engine};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int code = steps[i](g);
        if (code != EXIT_DONE)
            return code;
    }
    fill_request(g);
    int code = check_picture(g);
    if (code == EXIT_DONE)
        code = load_picture(g->s.asked.image_path, &g->first, &g->request.first_frame);
    if (code == EXIT_DONE)
        code = load_picture(g->s.asked.last_image_path, &g->last, &g->request.last_frame);
    if (code == EXIT_DONE)
        code = check_files(g, true);
    if (code == EXIT_DONE && g->s.dry_run)
        return check_only(g);
    if (code == EXIT_DONE)
        code = rewrite_prompt(g);
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
    film_file_free(&g->film);
    pf_text_file_free(g->prompt_text);
    pf_rewriter_free(g->rewritten);
    pf_rewriter_close(g->rewriter);
    cli_parser_close(&g->parser);
}

int cli_generate(int argc, char **argv)
{
    generation g = {
        .parser = {
            .table = &cli_generate_table,
            .commands = FOREIGN_GENERATE,
            .usage = "",
            .summary = "Makes a film with sound from a prompt and a picture.\v"
                       "Example: phonofilm generate --model-path MOVA-360p --prompt "
                       "\"A red ball bounces.\" --image-path first.png -o out.mp4",
        },
        .request = PF_INIT(pf_request),
        .resume = PF_INIT(pf_state),
        .warnings = PF_INIT(pf_warnings),
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
