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
    double real, fps;
    uint64_t seed;
    int64_t bytes;
    cli_list list;
    bool on;
} settings;

#define AT(member) offsetof(settings, member)

/* One option of each kind. */
static const cli_option options[] = {
    {CLI_GROUP, "Group", 0, NULL, 0, 0, 0, NULL, NULL},
    {CLI_TEXT, "a-text", 'a', "TEXT", AT(text), 0, 0, NULL, ""},
    {CLI_INTEGER, "whole", 0, "N", AT(whole), 1, 100, NULL, ""},
    {CLI_CHOICE, "choice", 0, "KIND", AT(choice), 0, 0, "one|two|three", ""},
    {CLI_REAL, "real", 0, "X", AT(real), -2, 2, NULL, ""},
    {CLI_SETTING, "seed", 0, "N", AT(seed), 0, 0, "seed", ""},
    {CLI_SETTING, "fps", 0, "RATE", AT(fps), 0, 0, "fps", ""},
    {CLI_BYTES, "bytes", 0, "SIZE", AT(bytes), 0, 0, NULL, ""},
    {CLI_LIST, "list", 0, "TEXT", AT(list), 0, 0, NULL, ""},
    {CLI_SWITCH, "on", 0, NULL, AT(on), 0, 0, NULL, ""},
};

static volatile size_t sink;

static void check(const cli_parser *parser, const settings *s)
{
    if (cli_given(parser, "a-text"))
        sink += strlen(s->text);
    for (int i = 0; i < s->list.count; i++)
        sink += strlen(s->list.items[i]);
    if ((cli_given(parser, "whole") && (s->whole < 1 || s->whole > 100)) ||
        (cli_given(parser, "choice") && (s->choice < 0 || s->choice > 2)) ||
        (cli_given(parser, "real") && !(s->real >= -2 && s->real <= 2)) ||
        (cli_given(parser, "fps") && !(s->fps >= 1 && s->fps <= 120)) ||
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
    cli_parser parser = {.options = options,
                         .count = (int)(sizeof options / sizeof options[0]),
                         .settings = &s};
    input_file input;
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
