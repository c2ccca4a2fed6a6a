/* SPDX-License-Identifier: Apache-2.0 */
/* --config: a file is refused with a line on standard error, or every setting of it
 * has a value that its option may have. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "fuzz_main.h"
#include "input_file.h"

typedef struct settings {
    const char *text;
    int whole, choice;
    double real;
    int64_t bytes;
    cli_list list;
    bool on;
} settings;

#define AT(member) offsetof(settings, member)

/* An option of each kind. */
static const cli_option options[] = {
    {.kind = CLI_GROUP, .name = "Group"},
    {.kind = CLI_TEXT, .name = "a-text", .key = 'a', .argument = "TEXT",
     .offset = AT(text)},
    {.kind = CLI_INTEGER, .name = "whole", .argument = "N", .offset = AT(whole), .low = 1,
     .high = 100},
    {.kind = CLI_CHOICE, .name = "choice", .argument = "KIND", .offset = AT(choice),
     .choices = "one|two|three"},
    {.kind = CLI_REAL, .name = "real", .argument = "X", .offset = AT(real), .low = -2,
     .high = 2},
    {.kind = CLI_SETTING, .name = "seed"},
    {.kind = CLI_SETTING, .name = "fps"},
    {.kind = CLI_BYTES, .name = "bytes", .argument = "SIZE", .offset = AT(bytes)},
    {.kind = CLI_LIST, .name = "list", .argument = "TEXT", .offset = AT(list)},
    {.kind = CLI_SWITCH, .name = "on", .offset = AT(on)},
};
static const cli_table table = CLI_TABLE(options);

static volatile size_t sink;

static void check(const cli_parser *parser, const settings *s)
{
    const pf_setting_value *fps = cli_setting(parser, "fps");
    if (cli_given(parser, "a-text"))
        sink += strlen(s->text);
    for (int i = 0; i < s->list.count; i++)
        sink += strlen(s->list.items[i]);
    if ((cli_given(parser, "whole") && (s->whole < 1 || s->whole > 100)) ||
        (cli_given(parser, "choice") && (s->choice < 0 || s->choice > 2)) ||
        (cli_given(parser, "real") && !(s->real >= -2 && s->real <= 2)) ||
        (fps && !(fps->number >= 1 && fps->number <= 120)) ||
        (cli_given(parser, "bytes") && s->bytes < 1) || cli_given(parser, "on") != s->on ||
        s->list.count > CLI_LIST_MAX)
        abort();
}

/* Messages go nowhere; the file descriptor stays a sanitizer's. */
static void silence(void)
{
    static FILE *nowhere;
    if (!nowhere && !(nowhere = fopen("/dev/null", "w")))
        abort();
    stderr = nowhere;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    settings s = {0};
    cli_parser parser = {.table = &table, .settings = &s};
    input_file input;
    cli_parser_open(&parser);
    silence();
    if (!input_file_open(&input, data, size))
        abort();
    int code = cli_parse_config(&parser, input.path);
    if (code == EXIT_DONE)
        check(&parser, &s);
    else if (code != EXIT_WRONG)
        abort();
    input_file_close(&input);
    cli_parser_close(&parser);
    return 0;
}
