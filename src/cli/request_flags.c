/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of a request.  See request_flags.h.
 *
 * Three columns of a row decide where the flag may stand:
 *
 *     section   under which heading of generate --help
 *     phase     the last phase that reads it: with --from-latents flags of earlier phases
 *               have no effect, and are refused
 *     remote    with --server: sent as a field, used here, or refused
 */
#include "cli/request_flags.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/say.h"
#include "media/text_file.h"

/* Bytes, far above the library's limit of a prompt, so that mostly its sentence refuses. */
enum { MAX_PROMPT_INPUT = 1 << 20 };

#define AT(member) offsetof(request_flags, member)
#define SETTINGS(name) {.kind = CLI_SETTINGS, .section = name}

static const cli_option rows[] = {
    {.kind = CLI_TEXT, .name = "prompt", .key = 'p', .argument = "TEXT",
     .offset = AT(prompt), .section = PF_SECTION_WORDS, .phase = PF_PHASE_STEPS,
     .remote = CLI_REMOTE_FIELD, .field = "prompt",
     .help = "What is to be seen and heard; - reads standard input"},
    {.kind = CLI_TEXT, .name = "negative-prompt", .key = 'n', .argument = "TEXT",
     .offset = AT(negative_prompt), .section = PF_SECTION_WORDS, .phase = PF_PHASE_STEPS,
     .remote = CLI_REMOTE_FIELD, .field = "negative_prompt",
     .help = "What is to be avoided (default: the model family's own text)"},
    {.kind = CLI_TEXT, .name = "image-path", .key = 'i', .argument = "FILE",
     .offset = AT(image_path), .section = PF_SECTION_WORDS, .member = "first_frame",
     .phase = PF_PHASE_STEPS, .remote = CLI_REMOTE_FILE, .field = "input_reference",
     .help = "First frame: PNG, JPEG or WebP; cropped and scaled to the film"},
    {.kind = CLI_TEXT, .name = "last-image-path", .argument = "FILE",
     .offset = AT(last_image_path), .section = PF_SECTION_WORDS, .member = "last_frame",
     .phase = PF_PHASE_STEPS, .remote = CLI_REMOTE_FILE, .field = "last_image",
     .help = "Last frame, treated like the first (default: the film ends freely)"},
    {.kind = CLI_SWITCH, .name = "t2va", .offset = AT(t2va), .section = PF_SECTION_WORDS,
     .member = "text_only", .phase = PF_PHASE_STEPS, .remote = CLI_REMOTE,
     .help = "No picture: the film begins with a white frame"},
    SETTINGS(PF_SECTION_SHAPE),
    {.kind = CLI_SWITCH, .name = "adjust-frames", .offset = AT(adjust_frames),
     .section = PF_SECTION_SHAPE, .phase = PF_PHASE_NOISE,
     .help = "Round --num-frames up to the next 4k + 1"},
    SETTINGS(PF_SECTION_RATE),
    SETTINGS(PF_SECTION_STEPS),
    SETTINGS(PF_SECTION_NOISE),
    SETTINGS(PF_SECTION_FILE),
    {.kind = CLI_SWITCH, .name = "no-audio-output", .offset = AT(no_audio_output),
     .section = PF_SECTION_FILE, .remote = CLI_REMOTE_OFF, .field = "generate_sound",
     .help = "A silent film"},
    {.kind = CLI_SWITCH, .name = "no-video-output", .offset = AT(no_video_output),
     .section = PF_SECTION_FILE, .help = "The sound alone"},
    SETTINGS(PF_SECTION_TILES),
};

const cli_table request_flag_rows = CLI_TABLE(rows);

/* --- texts -------------------------------------------------------------------------- */

/* The prompt from standard input, without the line ends behind it. */
static int read_input(bool quiet, char **out)
{
    static const char name[] = "the prompt on standard input";
    pf_error error = {0};
    size_t bytes = 0;
    if (isatty(STDIN_FILENO) && !quiet)
        fputs("phonofilm: type the prompt; Ctrl-D on an empty line ends it\n", stderr);
    pf_status status = pf_text_file_read(NULL, name, MAX_PROMPT_INPUT, out, &bytes, &error);
    if (status != PF_OK) {
        cli_fail(status, &error);
        return status == PF_E_MEMORY ? EXIT_FAILED : EXIT_WRONG;
    }
    if (memchr(*out, '\0', bytes)) {
        cli_say("%s holds a NUL byte", name);
        return EXIT_WRONG;
    }
    while (bytes > 0 && strchr("\r\n", (*out)[bytes - 1]))
        bytes--;
    (*out)[bytes] = '\0';
    return EXIT_DONE;
}

/* Texts that come from files, in whatever way, may begin with a byte order mark. */
int request_flags_read_texts(request_flags *flags, bool quiet, char **owned)
{
    flags->prompt = pf_text_file_begin(flags->prompt);
    flags->negative_prompt = pf_text_file_begin(flags->negative_prompt);
    if (!flags->prompt || strcmp(flags->prompt, "-") != 0)
        return EXIT_DONE;
    int code = read_input(quiet, owned);
    flags->prompt = *owned;
    return code;
}

/* --- flags without effect ----------------------------------------------------------- */

int request_flags_complain_idle(const cli_parser *parser, const char *flag,
                                const char *reason)
{
    cli_say("%s has no effect %s; leave it out", cli_flag(parser, flag), reason);
    return EXIT_WRONG;
}

int request_flags_check_latents(const cli_parser *parser, bool finished)
{
    for (int i = 0; i < parser->count; i++) {
        const cli_option *option = &parser->options[i];
        bool idle = option->phase == PF_PHASE_NOISE ||
                    (finished && option->phase == PF_PHASE_STEPS);
        if (parser->given[i] && idle)
            return request_flags_complain_idle(parser, option->name,
                                               finished ? "on finished latents"
                                                        : "with --from-latents");
    }
    return EXIT_DONE;
}

int request_flags_check_remote(const cli_parser *parser)
{
    for (int i = 0; i < parser->count; i++)
        if (parser->given[i] && parser->options[i].remote == CLI_HERE_ONLY)
            return request_flags_complain_idle(parser, parser->options[i].name,
                                               "with --server");
    return EXIT_DONE;
}

/* --- the request -------------------------------------------------------------------- */

/* The next 4k + 1 that is not less. */
static int round_up(int frames, int multiple)
{
    return (frames + multiple - 2) / multiple * multiple + 1;
}

void request_flags_fill(const cli_parser *parser, const request_flags *flags,
                        const pf_model_info *info, pf_request *request)
{
    cli_apply_settings(parser, request);
    if (flags->adjust_frames && request->num_frames > 0)
        request->num_frames = round_up(request->num_frames, info->frame_multiple);
    if (request->vae_tile && !cli_setting(parser, "vae-tile-stride"))
        request->vae_tile_stride = pf_usual_tile_stride(request->vae_tile);
    request->prompt = flags->prompt;
    request->negative_prompt = flags->negative_prompt;
    request->no_video_output = flags->no_video_output;
    request->no_audio_output = flags->no_audio_output;
}

/* --- the fields of a server ---------------------------------------------------------- */

/* A field as the server reads it.  Settings are sent as they were spelled: the server has
 * the same table and refuses in the same sentences. */
static remote_field field_of(const cli_parser *parser, int index)
{
    const cli_option *option = &parser->options[index];
    const char *place = (const char *)parser->settings + option->offset;
    remote_field field = {.name = option->field,
                          .is_file = option->remote == CLI_REMOTE_FILE};
    if (option->kind == CLI_SETTING)
        field.text = parser->values[index].text;
    else if (option->remote == CLI_REMOTE_OFF)
        field.text = "false";
    else
        field.text = *(const char *const *)place;
    return field;
}

int request_flags_fields(const cli_parser *parser, remote_field *out)
{
    static const char seed[] = "seed";
    int count = 0;
    for (int i = 0; i < parser->count; i++)
        if (parser->given[i] && parser->options[i].remote >= CLI_REMOTE_FIELD)
            out[count++] = field_of(parser, i);
    if (cli_setting(parser, seed))
        return count;
    /* A server that is not sent a seed draws one; here there is a usual one. */
    out[count] = (remote_field){.name = seed};
    snprintf(out[count].value, sizeof out[count].value, "%d", PF_DEFAULT_SEED);
    return count + 1;
}
