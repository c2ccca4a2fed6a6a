/* SPDX-License-Identifier: Apache-2.0 */
/* The command line as it was written.  See arguments.h. */
#include "cli/arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/say.h"
#include "cli/suggest.h"

/* Results beside places in the table.  FOR_ARGP: known, or for argp to complain of (an
 * abbreviation of several options). */
enum { UNKNOWN = -1, FOR_ARGP = -2 };

/* Options that argp adds to every table. */
static const char *const added[] = {"help", "usage", "program-name", "HANG"};

static bool begins(const char *name, const char *word, size_t length)
{
    return strncmp(name, word, length) == 0;
}

/* Index of the option called `word` [length], or of the only one whose name begins so.
 * Several begin so: FOR_ARGP, which lists them. */
static int find_long(const cli_parser *parser, const char *word, size_t length)
{
    int found = UNKNOWN;
    for (int i = 0; i < parser->count; i++) {
        const char *name = parser->options[i].name;
        if (parser->options[i].kind == CLI_GROUP || !begins(name, word, length))
            continue;
        if (!name[length])
            return i;
        found = found == UNKNOWN ? i : FOR_ARGP;
    }
    for (size_t i = 0; i < sizeof added / sizeof added[0]; i++)
        if (begins(added[i], word, length))
            found = FOR_ARGP;
    return found;
}

static int find_short(const cli_parser *parser, char letter)
{
    for (int i = 0; i < parser->count; i++)
        if (parser->options[i].kind != CLI_GROUP && parser->options[i].key == letter)
            return i;
    return FOR_ARGP;
}

void arguments_names(const cli_parser *parser, const char *names[CLI_MAX_OPTIONS])
{
    for (int i = 0; i < CLI_MAX_OPTIONS; i++)
        names[i] = i < parser->count && parser->options[i].kind != CLI_GROUP
                       ? parser->options[i].name
                       : NULL;
}

/* Refuses the option `word` [length], which stands in `argument` behind its hyphens. */
static int refuse(const cli_parser *parser, const char *argument, const char *word,
                  size_t length)
{
    const char *names[CLI_MAX_OPTIONS];
    char wanted[SUGGEST_MAX_WORD + 2], text[120], question[160];
    snprintf(wanted, sizeof wanted, "%.*s", (int)length, word);
    arguments_names(parser, names);
    bool near = length < sizeof wanted &&
                suggest_option(wanted, (suggest_list){names, CLI_MAX_OPTIONS}, text,
                               sizeof text);
    cli_say("there is no option '%.*s'%s",
            (int)(word - argument + (ptrdiff_t)length), argument,
            suggest_question(near ? text : NULL, "--help lists them", question,
                             sizeof question));
    return EXIT_WRONG;
}

/* Bytes of a dash that word processors make of hyphens; 0: it does not begin with one. */
static size_t dash_bytes(const char *text)
{
    static const char *const dashes[] = {"-", "\u2010", "\u2011", "\u2012", "\u2013",
                                         "\u2014", "\u2015", "\u2212"};
    for (size_t i = 0; i < sizeof dashes / sizeof dashes[0]; i++)
        if (begins(text, dashes[i], strlen(dashes[i])))
            return strlen(dashes[i]);
    return 0;
}

/* Refuses "-prompt" and dashes that are no hyphens, which argp would take for letters or
 * operands. */
static int check_dash(const cli_parser *parser, const char *argument)
{
    const char *word = argument;
    for (size_t bytes = dash_bytes(word); bytes > 0; bytes = dash_bytes(word))
        word += bytes;
    size_t length = strcspn(word, "=");
    int found = word > argument && length > 1 ? find_long(parser, word, length) : UNKNOWN;
    if (found < 0 || parser->options[found].name[length])
        return EXIT_DONE;
    cli_say("'%.*s' is no option; did you mean --%s?",
            (int)(word - argument + (ptrdiff_t)length), argument,
            parser->options[found].name);
    return EXIT_WRONG;
}

void arguments_note(cli_parser *parser, int index, const char *word, size_t length)
{
    snprintf(parser->written[index], CLI_WRITTEN_BYTES, "%.*s", (int)length, word);
}

void arguments_note_names(cli_parser *parser)
{
    for (int i = 0; i < parser->count; i++)
        snprintf(parser->written[i], CLI_WRITTEN_BYTES, "--%s", parser->options[i].name);
}

/* Whether the last letter of "-qi" takes the next argument. */
static bool letters_take_next(const cli_parser *parser, const char *letters)
{
    for (; *letters; letters++) {
        int index = find_short(parser, *letters);
        if (index >= 0 && parser->options[index].argument)
            return !letters[1];
    }
    return false;
}

int arguments_check(const cli_parser *parser)
{
    for (int i = 1; i < parser->words.count; i++) {
        const char *argument = parser->words.words[i];
        size_t length = strcspn(argument, "=");
        if (strcmp(argument, "--") == 0)
            return EXIT_DONE;
        if (begins(argument, "--", 2)) {
            int index = find_long(parser, argument + 2, length - 2);
            if (index == FOR_ARGP)
                return EXIT_DONE;
            if (index == UNKNOWN)
                return refuse(parser, argument, argument + 2, length - 2);
            i += parser->options[index].argument && !argument[length];
            continue;
        }
        int code = check_dash(parser, argument);
        if (code != EXIT_DONE)
            return code;
        if (argument[0] == '-')
            i += letters_take_next(parser, argument + 1);
    }
    return EXIT_DONE;
}
