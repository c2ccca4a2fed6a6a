/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm info: the contents of a model, and the needs of a film of it.
 *
 *     --platforms   the platforms of this machine; no model is opened
 *     else          engine -> component table; a request of defaults -> pf_request_check,
 *                   which predicts memory and time by a dry run; the machine's limits
 *
 * Everything is printed twice over, as a table for people and as JSON (--json) for
 * programs: a new figure goes into both. */
#include <jansson.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/default_model.h"
#include "cli/report.h"
#include "cli/say.h"
#include "cli/shared_flags.h"
#include "media/part_file.h"

typedef struct settings {
    bool json, platforms;
    cli_machine machine;
} settings;

#define AT(member) offsetof(settings, member)

static const cli_option options[] = {
    {.kind = CLI_GROUP, .name = "Film"},
    {.kind = CLI_SETTING, .name = "height",
     .help = "Predict for this size (default: the model's)"},
    {.kind = CLI_SETTING, .name = "width", .help = "by this width"},
    {.kind = CLI_SETTING, .name = "num_frames",
     .help = "and length (default: the model's)"},
    {.kind = CLI_GROUP, .name = "Output and machine"},
    {.kind = CLI_SWITCH, .name = "platforms", .offset = AT(platforms),
     .help = "Tell which platforms this machine has, and why it lacks the others"},
    {.kind = CLI_ROWS, .rows = &cli_json_rows, .offset = AT(json)},
    {.kind = CLI_ROWS, .rows = &cli_machine_rows, .offset = AT(machine)},
};

const cli_table cli_info_table = CLI_TABLE(options);

static const double gib = 1024.0 * 1024.0 * 1024.0;

/* --- the machine -------------------------------------------------------------- */

/* Makes JSON of the model's purpose: an empty object where the model says nothing. */
static json_t *purpose_json(const pf_purpose *p)
{
    json_t *root = json_object(), *list = NULL;
    char size[32];
    if (p->about)
        json_object_set_new(root, "about", json_string(p->about));
    if (p->size_count > 0)
        json_object_set_new(root, "sizes", list = json_array());
    for (int i = 0; i < p->size_count; i++) {
        snprintf(size, sizeof size, "%dx%d", p->sizes[i].width, p->sizes[i].height);
        json_array_append_new(list, json_string(size));
    }
    if (p->num_frames_count > 0)
        json_object_set_new(root, "num_frames", list = json_array());
    for (int i = 0; i < p->num_frames_count; i++)
        json_array_append_new(list, json_integer(p->num_frames[i]));
    if (p->language_count > 0)
        json_object_set_new(root, "languages", list = json_array());
    for (int i = 0; i < p->language_count; i++)
        json_array_append_new(list, json_string(p->languages[i]));
    if (p->subject_count > 0)
        json_object_set_new(root, "subjects", list = json_array());
    for (int i = 0; i < p->subject_count; i++)
        json_array_append_new(list, json_string(p->subjects[i]));
    return root;
}

static void print_purpose(const pf_purpose *p)
{
    if (p->about)
        printf("Made for this: %s\n", p->about);
    for (int i = 0; i < p->size_count; i++)
        printf("%s%dx%d", i ? ", " : "Sizes: ", p->sizes[i].width, p->sizes[i].height);
    for (int i = 0; i < p->num_frames_count; i++)
        printf("%s%d", i ? ", " : p->size_count ? "; frames: " : "Frames: ",
               p->num_frames[i]);
    for (int i = 0; i < p->language_count; i++)
        printf("%s%s", i ? ", " : p->size_count + p->num_frames_count ? "; prompts: "
                                                                      : "Prompts: ",
               p->languages[i]);
    if (p->size_count + p->num_frames_count + p->language_count > 0)
        putchar('\n');
    if (p->about || p->size_count + p->num_frames_count + p->language_count > 0)
        putchar('\n');
}

static json_t *machine_json(const pf_machine_info *m)
{
    json_t *limits = json_array();
    for (int i = 0; i < m->limit_count; i++) {
        const pf_machine_limit *l = &m->limits[i];
        json_array_append_new(limits, json_pack(
            "{s:s, s:s, s:f, s:f, s:b}", "of", l->memory ? "memory" : "processors",
            "source", l->source, "available", l->amount, "limit", l->whole, "binds",
            l->binds));
    }
    return json_pack("{s:I, s:f, s:i, s:o}", "memory_bytes", (json_int_t)m->memory_bytes,
                     "processors", m->processors, "threads", m->threads, "limits", limits);
}

static void print_limits(const pf_machine_info *m, bool memory)
{
    for (int i = 0; i < m->limit_count; i++) {
        const pf_machine_limit *l = &m->limits[i];
        if (l->memory != memory)
            continue;
        if (memory)
            printf("limit     %.2f of %.2f GiB of memory", l->amount / gib, l->whole / gib);
        else
            printf("limit     %.4g processor%s", l->amount, l->amount == 1 ? "" : "s");
        printf(": %s%s\n", l->source, l->binds ? " (the least)" : "");
    }
}

static void print_machine(const pf_machine_info *m)
{
    printf("\nThis process may use %.2f GiB of memory, and %d thread%s by default:\n",
           (double)m->memory_bytes / gib, m->threads, m->threads == 1 ? "" : "s");
    print_limits(m, true);
    print_limits(m, false);
}

/* --- a model's figures ---------------------------------------------------------- */

static void print_json(const pf_model_info *info, const pf_prediction *p,
                       const pf_machine_info *machine)
{
    char model[2 * PATH_MAX];           /* a folder's name need not be UTF-8 */
    json_t *components = json_array();
    for (int i = 0; i < info->component_count; i++) {
        const pf_component_info *c = &info->components[i];
        json_array_append_new(
            components,
            json_pack("{s:s, s:s, s:I, s:I, s:I}", "name", c->name, "dtype",
                      c->dtype, "tensors", (json_int_t)c->tensors, "parameters",
                      (json_int_t)c->parameters, "bytes", (json_int_t)c->bytes));
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:f, s:o, s:{s:I, s:I, s:f, s:f}, s:o, s:o}", "model",
        pf_escape(info->path, model, sizeof model), "platform", info->platform, "isa",
        info->isa, "device", info->device, "sample_rate", info->sample_rate, "size_multiple",
        info->size_multiple, "frame_multiple", info->frame_multiple,
        "boundary_ratio", info->boundary_ratio, "components", components,
        "prediction", "peak_bytes", (json_int_t)p->peak_bytes, "device_bytes",
        (json_int_t)p->device_bytes, "seconds", p->seconds, "flops", p->flops,
        "machine", machine_json(machine), "made_for", purpose_json(&info->made_for));
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

static void print_table(const pf_model_info *info, const pf_request *r,
                        const pf_prediction *p)
{
    int64_t bytes = 0;
    printf("%s\n\n%-18s %-6s %8s %15s %12s\n", info->path, "component", "dtype",
           "tensors", "parameters", "MiB");
    for (int i = 0; i < info->component_count; i++) {
        const pf_component_info *c = &info->components[i];
        bytes += c->bytes;
        printf("%-18s %-6s %8lld %15lld %12.1f\n", c->name, c->dtype,
               (long long)c->tensors, (long long)c->parameters,
               (double)c->bytes / (1024.0 * 1024.0));
    }
    printf("%-18s %-6s %8s %15s %12.1f\n\n", "together", "", "", "",
           (double)bytes / (1024.0 * 1024.0));
    print_purpose(&info->made_for);
    printf("A film of %dx%d, %d frames at %g a second, %d steps, on %s (%s, %d "
           "thread%s):\n", r->width, r->height, r->num_frames, r->fps,
           r->num_inference_steps, info->platform, info->isa, info->threads,
           info->threads == 1 ? "" : "s");
    report_prediction(p);
}

/* --- platforms ------------------------------------------------------------------ */

static void print_platforms_json(const pf_platform_info *list, int count)
{
    json_t *root = json_array();
    for (int i = 0; i < count; i++) {
        const pf_platform_info *p = &list[i];
        json_array_append_new(root, json_pack(
            "{s:s, s:b, s:s, s:s, s:I, s:s}", "name", p->name, "usable", p->usable,
            "isa", p->isa, "device", p->device, "memory_bytes",
            (json_int_t)p->memory_bytes, "reason", p->reason));
    }
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

static int show_platforms(const settings *s)
{
    enum { MOST = 8 };
    pf_platform_info list[MOST] = {PF_INIT(pf_platform_info)};
    int count = pf_platform_list(s->machine.device, list, MOST);
    if (s->json) {
        print_platforms_json(list, count);
        return EXIT_DONE;
    }
    for (int i = 0; i < count; i++)
        if (list[i].usable)
            printf("%-10s %s, %s, %.1f GiB available\n", list[i].name, list[i].isa,
                   list[i].device, (double)list[i].memory_bytes / gib);
        else
            printf("%-10s not usable: %s\n", list[i].name, list[i].reason);
    return EXIT_DONE;
}

/* --- a model ---------------------------------------------------------------------- */

/* Predicts a film of the model's defaults and the flags, without picture or prompt. */
static int show(const settings *s, const cli_parser *parser, pf_engine *engine)
{
    pf_error error = {0};
    pf_prediction prediction = PF_INIT(pf_prediction);
    pf_request request = PF_INIT(pf_request);
    pf_machine_info machine = PF_INIT(pf_machine_info);
    pf_machine_get(&machine);
    pf_request_init(engine, &request);
    request.text_only = true;
    request.prompt = "";
    cli_apply_settings(parser, &request);
    pf_status status = pf_request_check(engine, &request, &prediction, &error);
    /* A film that does not fit into memory is still worth telling about. */
    bool short_of_memory = status == PF_E_MEMORY || status == PF_E_TOO_LARGE;
    if (status != PF_OK && !short_of_memory)
        return cli_fail_request(parser, status, &error);
    if (s->json)
        print_json(pf_engine_info(engine), &prediction, &machine);
    else
        print_table(pf_engine_info(engine), &request, &prediction);
    if (!s->json)
        print_machine(&machine);
    if (short_of_memory)
        cli_say("warning: %s", error.message);
    return EXIT_DONE;
}

static int tell(const settings *s, const cli_parser *parser)
{
    if (s->platforms) {
        const cli_machine *m = &s->machine;
        if (parser->operand || m->platform || m->isa || m->threads) {
            fputs("phonofilm: --platforms goes with --json and --device alone\n", stderr);
            return EXIT_WRONG;
        }
        return show_platforms(s);
    }
    const char *model = parser->operand ? parser->operand : cli_default_model("MODEL");
    if (!model)
        return EXIT_WRONG;
    pf_engine *engine = NULL;
    pf_error error = {0};
    pf_engine_options engine_options = cli_engine_options(&s->machine, model, false);
    pf_status status = pf_engine_open(&engine_options, &engine, &error);
    int code = status == PF_OK ? show(s, parser, engine) : cli_fail(status, &error);
    pf_engine_close(engine);
    return code;
}

int cli_info(int argc, char **argv)
{
    settings s = {0};
    cli_parser parser = {
        .table = &cli_info_table,
        .usage = "[MODEL] | --platforms",
        .summary = "Tells what the model folder MODEL (default: the model that comes "
                   "with the program) holds: components, dtypes, bytes, and the memory "
                   "and time that a film needs.",
        .settings = &s,
        .takes_operand = true,
    };
    int code = cli_parse(&parser, argc, argv);
    if (code == EXIT_DONE)
        code = tell(&s, &parser);
    cli_parser_close(&parser);
    return code;
}
