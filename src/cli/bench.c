/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm bench: the kernels of this machine against its ceilings.
 *
 *     bench                       measures: a row for each kernel, dtype and shape, as
 *                                 GFLOP/s and as part of the ceiling, which is a loop on
 *                                 registers alone, measured in the same run
 *     bench --predict DEVICE M    measures nothing: counts a denoising step of the model M
 *                                 by a dry run, and divides by the device's figures
 */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/shared_flags.h"
#include "phonofilm_tools.h"

typedef struct settings {
    bool json;
    const char *op, *predict;
    cli_machine machine;
} settings;

#define AT(member) offsetof(settings, member)

static const cli_option options[] = {
    {.kind = CLI_ROWS, .rows = &cli_json_rows, .offset = AT(json)},
    {.kind = CLI_TEXT, .name = "predict", .argument = "DEVICE", .offset = AT(predict),
     .words = pf_forecast_words,
     .help = "Measure nothing: tell what a denoising step of MODEL gives a device that "
             "need not be here: %s"},
    {.kind = CLI_TEXT, .name = "op", .argument = "NAME", .offset = AT(op),
     .choices = "linear|attention|conv3d",
     .help = "Only this operation: linear, attention or conv3d"},
    {.kind = CLI_ROWS, .rows = &cli_machine_rows, .offset = AT(machine)},
};

const cli_table cli_bench_table = CLI_TABLE(options);

static json_t *row_json(const pf_bench_row *row)
{
    json_t *shape = json_array();
    for (int i = 0; i < row->rank; i++)
        json_array_append_new(shape, json_integer(row->shape[i]));
    return json_pack("{s:s, s:s, s:s, s:o, s:f, s:f}", "op", row->op, "dtype",
                     row->dtype, "isa", row->isa, "shape", shape, "gflops",
                     row->gflops, "fraction", row->fraction);
}

static void print_json(const pf_bench_report *report)
{
    json_t *ops = json_array();
    for (int i = 0; i < report->row_count; i++)
        json_array_append_new(ops, row_json(&report->rows[i]));
    json_t *root = json_pack("{s:s, s:s, s:i, s:{s:f, s:f, s:f}, s:o}", "cpu",
                             report->cpu, "isa", report->isa, "threads",
                             report->threads, "ceilings", "f32", report->f32, "bf16",
                             report->bf16, "int8", report->int8, "ops", ops);
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

static void print_table(const pf_bench_report *report)
{
    printf("%s, %s, %d threads\n", report->cpu, report->isa, report->threads);
    printf("ceilings in GFLOP/s: f32 %.0f, bf16 %.0f, int8 %.0f\n\n", report->f32,
           report->bf16, report->int8);
    printf("%-10s %-6s %-11s %-28s %9s %9s\n", "op", "dtype", "isa", "shape",
           "GFLOP/s", "ceiling");
    for (int i = 0; i < report->row_count; i++) {
        const pf_bench_row *row = &report->rows[i];
        char shape[96];
        int at = 0;
        shape[0] = '\0';
        for (int k = 0; k < row->rank; k++)
            at += snprintf(shape + at, sizeof shape - (size_t)at,
                           k ? "x%lld" : "%lld", (long long)row->shape[k]);
        printf("%-10s %-6s %-11s %-28s %9.1f %7.1f %%\n", row->op, row->dtype,
               row->isa, shape, row->gflops, 100.0 * row->fraction);
    }
}

/* --- prediction ------------------------------------------------------------------- */

/* MOVA's two sizes, 193 frames each: eight seconds at 24 a second, and a first one. */
static const struct {
    const char *name;
    int height, width, frames;
} films[] = {{"MOVA-360p", 352, 640, 193}, {"MOVA-720p", 720, 1280, 193}};

enum { FILMS = sizeof films / sizeof films[0] };

static void print_cost(const char *name, const pf_step_cost *c)
{
    printf("%-10s %8lld %9.1f %9.2f %9lld %9lld %6lld %9.1f %9.1f\n", name,
           (long long)c->tokens, 1e-12 * c->flops, 1e-12 * c->bytes,
           (long long)c->launches, (long long)(c->launches / c->forwards),
           (long long)c->waits, (double)c->device_bytes / (1024.0 * 1024.0 * 1024.0),
           c->seconds);
}

/* Prints words, at most `width` characters a line. */
static void print_wrapped(const char *text, size_t width)
{
    size_t column = 0;
    while (*text) {
        size_t length = strcspn(text, " \n");
        bool wrap = column > 0 && column + 1 + length > width;
        printf("%s%.*s", wrap ? "\n" : column > 0 ? " " : "", (int)length, text);
        column = wrap || column == 0 ? length : column + 1 + length;
        text += length;
        if (*text == '\n') {
            putchar('\n');
            column = 0;
        }
        text += *text != '\0';
    }
    putchar('\n');
}

static void print_assumptions(const pf_step_cost *c)
{
    char text[64 + sizeof c->assumptions];
    static const char *const passes[] = {"", "one forward pass (no guidance)",
                                         "two forward passes (guidance)",
                                         "three forward passes (dual guidance)"};
    snprintf(text, sizeof text, "A step has %s. %s", passes[c->forwards & 3],
             c->assumptions);
    putchar('\n');
    print_wrapped(text, 83);
}

static json_t *cost_json(const char *name, const pf_step_cost *c)
{
    return json_pack("{s:s, s:s, s:I, s:f, s:f, s:I, s:i, s:I, s:I, s:f}", "film", name,
                     "device", c->device, "tokens", (json_int_t)c->tokens, "flops",
                     c->flops, "bytes", c->bytes, "launches", (json_int_t)c->launches,
                     "forwards", c->forwards, "waits", (json_int_t)c->waits,
                     "device_bytes", (json_int_t)c->device_bytes, "seconds", c->seconds);
}

static int predict(const settings *s, const char *model)
{
    pf_error error = {0};
    pf_step_cost cost[FILMS];
    for (int i = 0; i < FILMS; i++) {
        cost[i] = (pf_step_cost)PF_INIT(pf_step_cost);
        pf_step_options film = {model, s->machine.platform, s->predict,
                                films[i].height, films[i].width,
                                films[i].frames};
        pf_status status = pf_predict_step(&film, &cost[i], &error);
        if (status != PF_OK)
            return cli_fail(status, &error);
    }
    if (s->json) {
        json_t *root = json_array();
        for (int i = 0; i < FILMS; i++)
            json_array_append_new(root, cost_json(films[i].name, &cost[i]));
        json_dumpf(root, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(root);
        return EXIT_DONE;
    }
    printf("One denoising step on %s, counted and calculated, not measured\n\n"
           "%-10s %8s %9s %9s %9s %9s %6s %9s %9s\n", cost[0].device, "film", "tokens",
           "TFLOP", "TB", "launches", "a pass", "waits", "GiB", "s");
    for (int i = 0; i < FILMS; i++)
        print_cost(films[i].name, &cost[i]);
    print_assumptions(&cost[0]);
    return EXIT_DONE;
}

/* Either command: a prediction needs a model and uses none of the flags of measuring. */
static int measure(const settings *s, const cli_parser *parser)
{
    const cli_machine *m = &s->machine;
    bool idle = s->op || m->isa || m->threads || cli_given(parser, "device");
    if (!s->predict != !parser->operand || (s->predict && idle)) {
        fputs("phonofilm: --predict DEVICE goes with a MODEL folder, --platform and "
              "--json alone\n", stderr);
        return EXIT_WRONG;
    }
    if (s->predict)
        return predict(s, parser->operand);
    pf_error error = {0};
    pf_bench_report report = PF_INIT(pf_bench_report);
    pf_bench_options bench = {m->platform, m->isa, m->threads, s->op, m->device};
    pf_status status = pf_bench(&bench, &report, &error);
    if (status != PF_OK)
        return cli_fail(status, &error);
    if (s->json)
        print_json(&report);
    else
        print_table(&report);
    return EXIT_DONE;
}

int cli_bench(int argc, char **argv)
{
    settings s = {0};
    cli_parser parser = {
        .table = &cli_bench_table,
        .usage = "[--predict DEVICE MODEL]",
        .takes_operand = true,
        .summary = "Measures linear layers, attention and convolutions against "
                   "register-only loops of the same run; takes a minute or two.",
        .settings = &s,
    };
    int code = cli_parse(&parser, argc, argv);
    if (code == EXIT_DONE)
        code = measure(&s, &parser);
    cli_parser_close(&parser);
    return code;
}
