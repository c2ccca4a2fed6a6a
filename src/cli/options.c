/* Flags from a table, over argp; the same table reads --config files.  See cli.h. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/rewrite.h"
#include "cli/say.h"
#include "cli/suggest.h"
#include "media/text_file.h"

enum { FIRST_LONG_KEY = 1000, MAX_CONFIG_BYTES = 16 << 20, MAX_SHOWN = 4096 };

static int choice_index(const char *choices, const char *text)
{
    size_t length = strlen(text);
    int index = 0;
    for (const char *at = choices; *at; index++) {
        const char *bar = strchr(at, '|');
        size_t size = bar ? (size_t)(bar - at) : strlen(at);
        if (size == length && memcmp(at, text, size) == 0)
            return index;
        at += size + (bar ? 1 : 0);
    }
    return -1;
}

/* strtod without what else it takes: white space, hexadecimal, words. */
static double parse_number(const char *text, char **end)
{
    size_t length = strspn(text, "0123456789+-.eE");
    double value = strtod(text, end);
    if (*end > text + length || length == 0)
        *end = (char *)(uintptr_t)text;
    return value;
}

/* "8G" to bytes; negative when it is no such thing. */
static double parse_bytes(const char *text)
{
    char *end;
    double value = parse_number(text, &end);
    if (end == text || (value < 1 && value != 0))
        return -1;
    const char *units = "KMGT";
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (*end && (!unit || end[1] != '\0'))
        return -1;
    for (long i = 0; unit && i <= unit - units; i++)
        value *= 1024;
    return value < 9e18 ? value : -1;
}

static void describe_number(const cli_option *option, char *out, size_t bytes)
{
    const char *kind = option->kind == CLI_INTEGER ? "a whole number" : "a number";
    if (option->high < CLI_UNBOUNDED)
        snprintf(out, bytes, "%s from %.10g to %.10g", kind, option->low, option->high);
    else
        snprintf(out, bytes, "%s", kind);
}

/* What a value may be, for the message. */
static void describe(const cli_option *option, char *out, size_t bytes)
{
    switch (option->kind) {
    case CLI_INTEGER:
    case CLI_REAL:
        describe_number(option, out, bytes);
        break;
    case CLI_SEED:
        snprintf(out, bytes, "a whole number from 0 to 18446744073709551615");
        break;
    case CLI_BYTES:
        snprintf(out, bytes, "a size such as 8G, 500M or a number of bytes%s",
                 option->low > 0 ? ", not 0" : "");
        break;
    case CLI_SWITCH:
        snprintf(out, bytes, "true or false");
        break;
    case CLI_CHOICE:
        snprintf(out, bytes, "one of %s", option->choices);
        break;
    case CLI_LIST:
        snprintf(out, bytes, "a string, or in a file a list of them, and %d at most",
                 CLI_LIST_MAX);
        break;
    default:
        snprintf(out, bytes, "a string");
    }
}

static bool store_number(const cli_option *option, void *place, double value)
{
    if (!(value >= option->low && value <= option->high))
        return false;
    if (option->kind == CLI_REAL)
        *(double *)place = value;
    else
        *(int *)place = (int)value;
    return true;
}

/* Whole numbers are written with digits alone. */
static bool store_number_text(const cli_option *option, void *place, const char *text)
{
    char *end = NULL;
    bool whole = option->kind == CLI_INTEGER;
    double value = parse_number(text, &end);
    if (end == text || *end != '\0' || (whole && strpbrk(text, ".eE")))
        return false;
    return store_number(option, place, value);
}

static bool append(cli_list *list, const char *text)
{
    if (list->count == CLI_LIST_MAX)
        return false;
    list->items[list->count++] = text;
    return true;
}

/* Stores a value given as text; false when it is not acceptable. */
static bool store(const cli_option *option, void *place, const char *text)
{
    char *end = NULL;
    errno = 0;
    switch (option->kind) {
    case CLI_TEXT:
        *(const char **)place = text;
        return true;
    case CLI_SWITCH:
        *(bool *)place = true;
        return true;
    case CLI_LIST:
        return append(place, text);
    case CLI_CHOICE: {
        int index = choice_index(option->choices, text);
        *(int *)place = index;
        return index >= 0;
    }
    case CLI_SEED: {
        unsigned long long seed = strtoull(text, &end, 10);
        *(uint64_t *)place = seed;
        return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    }
    case CLI_BYTES: {
        double bytes = parse_bytes(text);
        *(int64_t *)place = (int64_t)bytes;
        return bytes >= option->low;
    }
    default:
        return store_number_text(option, place, text);
    }
}

static void *place_of(const cli_parser *parser, int index)
{
    return (char *)parser->settings + parser->options[index].offset;
}

static int key_of(const cli_parser *parser, int index)
{
    int key = parser->options[index].key;
    return key ? key : FIRST_LONG_KEY + index;
}

static error_t parse_one(int key, char *text, struct argp_state *state)
{
    cli_parser *parser = state->input;
    if (key == ARGP_KEY_ARG && parser->takes_operands)
        return ARGP_ERR_UNKNOWN;        /* all of them come at once, below */
    if (key == ARGP_KEY_ARGS) {
        parser->operands = state->argv + state->next;
        parser->operand_count = state->argc - state->next;
        return 0;
    }
    if (key == ARGP_KEY_ARG && parser->takes_operand && !parser->operand) {
        parser->operand = text;
        return 0;
    }
    char safe[MAX_SHOWN];
    if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected argument '%s'; a text of several words needs quotes",
                   pf_escape(text, safe, sizeof safe));
    for (int i = 0; i < parser->count; i++) {
        const cli_option *option = &parser->options[i];
        if (option->kind == CLI_GROUP || key != key_of(parser, i))
            continue;
        if (!store(option, place_of(parser, i), text)) {
            char wanted[160];
            describe(option, wanted, sizeof wanted);
            argp_failure(state, EXIT_WRONG, 0, "%s is '%s', but must be %s",
                         parser->written[i], pf_escape(text, safe, sizeof safe), wanted);
        }
        parser->given[i] = true;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

/* A switch that was switched off last is as if it were not given, but by a flag. */
static void switch_off(cli_parser *parser)
{
    for (int i = 0; i < parser->count; i++) {
        if (!parser->off[i])
            continue;
        *(bool *)place_of(parser, i) = false;
        parser->given[i] = false;
    }
}

int cli_parse(cli_parser *parser, int argc, char **argv)
{
    arguments_note_names(parser);
    int code = cli_rewrite(parser, argc, argv);
    if (code == EXIT_DONE)
        code = arguments_check(parser);
    if (code != EXIT_DONE)
        return code;
    struct argp_option list[CLI_MAX_OPTIONS + 1] = {{0}};
    int group = 0;
    for (int i = 0; i < parser->count; i++) {
        const cli_option *option = &parser->options[i];
        bool heading = option->kind == CLI_GROUP;
        group += heading;
        list[i] = (struct argp_option){
            .name = heading ? NULL : option->name,
            .key = heading ? 0 : key_of(parser, i),
            .arg = option->argument,
            .doc = heading ? option->name : option->help,
            .group = group,
        };
    }
    struct argp argp = {list, parse_one, parser->usage, parser->summary, NULL,
                        NULL, NULL};
    argp_err_exit_status = EXIT_WRONG;
    if (argp_parse(&argp, parser->words.count, parser->words.words, 0, NULL, parser) != 0)
        return EXIT_WRONG;
    switch_off(parser);
    return EXIT_DONE;
}

/* --- --config ------------------------------------------------------------------ */

static int index_of_key(const cli_parser *parser, const char *key)
{
    for (int i = 0; i < parser->count; i++) {
        const char *name = parser->options[i].name;
        size_t at = 0;
        while (name[at] && (name[at] == '-' ? '_' : name[at]) == key[at])
            at++;
        if (parser->options[i].kind != CLI_GROUP && !name[at] && !key[at])
            return i;
    }
    return -1;
}

static bool store_list(cli_list *list, const json_t *value)
{
    size_t index;
    const json_t *item;
    list->count = 0;
    if (json_is_string(value))
        return append(list, json_string_value(value));
    json_array_foreach(value, index, item) {
        if (!json_is_string(item) || !append(list, json_string_value(item)))
            return false;
    }
    return json_is_array(value);
}

static bool store_json(const cli_option *option, void *place, const json_t *value)
{
    switch (option->kind) {
    case CLI_INTEGER:
        return json_is_integer(value) &&
               store_number(option, place, json_number_value(value));
    case CLI_REAL:
        return json_is_number(value) &&
               store_number(option, place, json_number_value(value));
    case CLI_SEED:                      /* jansson's integers end at 2^63 - 1 */
        if (json_is_string(value))
            return store(option, place, json_string_value(value));
        *(uint64_t *)place = (uint64_t)json_integer_value(value);
        return json_is_integer(value) && json_integer_value(value) >= 0;
    case CLI_BYTES:
        if (json_is_string(value))
            return store(option, place, json_string_value(value));
        *(int64_t *)place = json_integer_value(value);
        return json_is_integer(value) && (double)json_integer_value(value) >= option->low;
    case CLI_SWITCH:
        *(bool *)place = json_is_true(value);
        return json_is_boolean(value);
    case CLI_LIST:
        return store_list(place, value);
    default:
        return json_is_string(value) &&
               store(option, place, json_string_value(value));
    }
}

/* What another program's setting became: "--name=value", or a switch. */
static int take_word(cli_parser *parser, const char *word)
{
    size_t length = strcspn(word, "=");
    for (int i = 0; i < parser->count; i++) {
        const cli_option *option = &parser->options[i];
        if (option->kind == CLI_GROUP || strlen(option->name) != length - 2 ||
            memcmp(option->name, word + 2, length - 2) != 0)
            continue;
        if (parser->given[i] || parser->off[i])
            return EXIT_DONE;
        const char *value = word[length] ? word + length + 1 : NULL;
        parser->given[i] = store(option, place_of(parser, i), value);
        if (parser->given[i])
            return EXIT_DONE;
        char wanted[160];
        describe(option, wanted, sizeof wanted);
        cli_say("%.*s is '%s', but must be %s", (int)length, word,
                value, wanted);
    }
    return EXIT_WRONG;
}

/* A setting of another program; *known is false when it is none. */
static int take_foreign(cli_parser *parser, const char *key, const json_t *value,
                        bool *known)
{
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
    int before = parser->words.count;
    const char *shown = text ? text : json_is_string(value) ? json_string_value(value) : "";
    int code = cli_rewrite_setting(parser, key, shown, known);
    free(text);
    for (int i = before; code == EXIT_DONE && i < parser->words.count; i++)
        code = take_word(parser, parser->words.words[i]);
    return code;
}

/* A setting that is not known, with the one that was meant. */
static int refuse_key(const cli_parser *parser, const char *path, const char *key)
{
    const char *names[CLI_MAX_OPTIONS];
    char text[120], question[160];
    arguments_names(parser, names);
    bool near = strcmp(key, "config") != 0 &&
                suggest_option(key, (suggest_list){names, CLI_MAX_OPTIONS}, text,
                               sizeof text);
    char *at = text;
    while (near && (at = strstr(at, "--")))         /* as keys are written */
        memmove(at, at + 2, strlen(at + 2) + 1);
    for (at = text; near && *at; at++)
        *at = *at == '-' ? '_' : *at;
    cli_say("%s: there is no setting '%s'%s", path, key,
            suggest_question(near ? text : NULL, "names are those of --help", question,
                             sizeof question));
    return EXIT_WRONG;
}

static int take_member(cli_parser *parser, const char *path, const char *key,
                       const json_t *value)
{
    int index = index_of_key(parser, key);
    bool known = false;
    int code = index < 0 ? take_foreign(parser, key, value, &known) : EXIT_DONE;
    if (known || code != EXIT_DONE)
        return code;
    if (index < 0 || strcmp(key, "config") == 0)
        return refuse_key(parser, path, key);
    const cli_option *option = &parser->options[index];
    union {
        double real;
        const char *text;
        cli_list list;
    } unused;                           /* a flag wins, but the file must be right */
    bool given = parser->given[index] || parser->off[index];
    if (!store_json(option, given ? (void *)&unused : place_of(parser, index), value)) {
        char wanted[160];
        char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        describe(option, wanted, sizeof wanted);
        cli_say("%s: %s is %s, but must be %s", path, key,
                shown ? shown : "another value", wanted);
        free(shown);
        return EXIT_WRONG;
    }
    if (given)
        return EXIT_DONE;
    snprintf(parser->written[index], CLI_WRITTEN_BYTES, "%s in --config", key);
    parser->given[index] = option->kind != CLI_SWITCH || json_is_true(value);
    return EXIT_DONE;
}

int cli_parse_config(cli_parser *parser, const char *path)
{
    json_error_t detail;
    pf_error error = {0};
    char *text = NULL, name[PATH_MAX + 16];
    size_t bytes = 0;
    snprintf(name, sizeof name, "--config %s", path);
    if (pf_text_file_read(path, name, MAX_CONFIG_BYTES, &text, &bytes, &error) != PF_OK) {
        cli_say("%s", error.message);
        return EXIT_WRONG;
    }
    json_t *config = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &detail);
    pf_text_file_free(text);
    json_decref(parser->config);
    parser->config = config;
    if (!config)
        cli_say("%s, line %d: %s", name, detail.line, detail.text);
    else if (!json_is_object(config))
        cli_say("%s: not a JSON object", name);
    if (!json_is_object(config))
        return EXIT_WRONG;
    const char *key;
    json_t *value;
    json_object_foreach(config, key, value) {
        int code = take_member(parser, path, key, value);
        if (code != EXIT_DONE)
            return code;
    }
    return EXIT_DONE;
}

void cli_parser_close(cli_parser *parser)
{
    json_decref(parser->config);
    parser->config = NULL;
    cli_words_free(&parser->words);
}

static int index_of_name(const cli_parser *parser, const char *name)
{
    for (int i = 0; i < parser->count; i++)
        if (parser->options[i].kind != CLI_GROUP &&
            strcmp(parser->options[i].name, name) == 0)
            return i;
    return -1;
}

bool cli_given(const cli_parser *parser, const char *name)
{
    int index = index_of_name(parser, name);
    return index >= 0 && parser->given[index];
}

const char *cli_flag(const cli_parser *parser, const char *name)
{
    int index = index_of_name(parser, name);
    return index >= 0 ? parser->written[index] : name;
}
