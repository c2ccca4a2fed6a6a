/* SPDX-License-Identifier: Apache-2.0 */
/* Flags from a table, over argp; the same table reads --config files.  See cli.h.
 *
 *     cli_parse          rows of the table, expanded            rows.c
 *                        words in the spellings of others       rewrite.c
 *                        unknown options, refused with a guess  arguments.c
 *                        argp: parse_one -> store               one value at a time
 *     cli_parse_config   JSON -> numbers as they are spelled    media/json_numbers.h
 *                        our own name -> store; another program's -> its words -> store
 *
 * Numbers, switches and choices are read by the library (pf_setting_read), so that flags,
 * files and the server accept the same values and refuse them in the same sentence.  Texts,
 * lists and sizes in bytes are the program's own.
 *
 * A value goes to `offset` in the command's settings, or, of a CLI_SETTING, to
 * parser->values: a request can be filled only once the engine has given its defaults. */
#include <argp.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/foreign.h"
#include "cli/rewrite.h"
#include "cli/say.h"
#include "cli/suggest.h"
#include "media/json_numbers.h"
#include "media/text_file.h"

/* argp takes a key that is a printable character for a short option; options without one
 * get keys above all characters. */
enum { FIRST_LONG_KEY = 1000, MAX_CONFIG_BYTES = 16 << 20, MAX_SHOWN = 4096 };

/* --- one value -------------------------------------------------------------------- */

/* "8G" to bytes (K, M, G and T are powers of 1024); negative when the text is no size, or
 * none that 63 bits hold. */
static double parse_bytes(const char *text)
{
    static const pf_setting number = {.kind = PF_SETTING_REAL, .low = 0, .high = 9e18};
    static const char units[] = "KMGT";
    pf_setting_value value;
    size_t length = strlen(text);
    const char *unit = length > 0 ? strchr(units, text[length - 1]) : NULL;
    if (pf_setting_read(&number, "", text, length - (unit != NULL), &value, NULL) != PF_OK ||
        (value.number > 0 && value.number < 1) ||
        (!unit && value.number != (double)(int64_t)value.number))
        return -1;
    for (const char *at = units; unit && at <= unit; at++)
        value.number *= 1024;
    return value.number < 9e18 ? value.number : -1;
}

/* Makes the setting by which the library reads a value of this option; false where this file
 * reads it. */
static bool setting_of(const cli_option *option, pf_setting *out)
{
    *out = (pf_setting){.name = option->name, .kind = PF_SETTING_WHOLE, .low = option->low,
                        .high = option->high, .choices = option->choices};
    switch (option->kind) {
    case CLI_SETTING: *out = *option->setting; return true;
    case CLI_INTEGER: return true;
    case CLI_REAL: out->kind = PF_SETTING_REAL; return true;
    case CLI_SWITCH: out->kind = PF_SETTING_SWITCH; return true;
    case CLI_CHOICE: out->kind = PF_SETTING_CHOICE; return true;
    default: return false;
    }
}

static void store_value(const cli_option *option, void *place, const pf_setting_value *value)
{
    switch (option->kind) {
    case CLI_SETTING: *(pf_setting_value *)place = *value; break;
    case CLI_REAL: *(double *)place = value->number; break;
    case CLI_SWITCH: *(bool *)place = value->on; break;
    case CLI_CHOICE: *(int *)place = value->choice; break;
    default: *(int *)place = (int)value->number;
    }
}

/* Describes the accepted values of an option that the library does not read. */
static const char *wanted_of(const cli_option *option)
{
    switch (option->kind) {
    case CLI_BYTES:
        return option->low > 0 ? "a size such as 8G, 500M or a number of bytes, not 0"
                               : "a size such as 8G, 500M or a number of bytes";
    case CLI_LIST: return "a string, or in a file a list of them, and 32 at most";
    default: return "a string";
    }
}

/* False: the list is full. */
static bool append(cli_list *list, const char *text)
{
    if (list->count == CLI_LIST_MAX)
        return false;
    list->items[list->count++] = text;
    return true;
}

static bool store_bytes(const cli_option *option, void *place, const char *text)
{
    double bytes = parse_bytes(text);
    *(int64_t *)place = (int64_t)bytes;
    return bytes >= option->low;
}

/* Stores a value given as text, NULL of a switch that is on.  False, and a sentence about
 * `subject`, when it is not acceptable. */
static bool store(const cli_option *option, void *place, const char *subject,
                  const char *text, pf_error *error)
{
    pf_setting setting;
    pf_setting_value value;
    bool good = true;
    if (setting_of(option, &setting)) {
        if (!text)
            text = "true";
        if (pf_setting_read(&setting, subject, text, strlen(text), &value, error) != PF_OK)
            return false;
        store_value(option, place, &value);
        return true;
    }
    if (option->kind == CLI_TEXT)
        *(const char **)place = text;
    else
        good = option->kind == CLI_LIST ? append(place, text)
                                        : store_bytes(option, place, text);
    if (!good)
        snprintf(error->message, sizeof error->message, "%.60s is '%.60s', but must be %s",
                 subject, text, wanted_of(option));
    return good;
}

/* Where the value of an option is stored. */
static void *place_of(cli_parser *parser, int index)
{
    const cli_option *option = &parser->options[index];
    return option->kind == CLI_SETTING ? (void *)&parser->values[index]
                                       : (char *)parser->settings + option->offset;
}

static int key_of(const cli_parser *parser, int index)
{
    int key = parser->options[index].key;
    return key ? key : FIRST_LONG_KEY + index;
}

/* argp calls this for every option and operand.  argp_error and argp_failure print and exit
 * with argp_err_exit_status: nothing is open yet that had to be released. */
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
        pf_error error = {0};
        if (!store(option, place_of(parser, i), parser->written[i], text, &error))
            argp_failure(state, EXIT_WRONG, 0, "%s",
                         pf_escape(error.message, safe, sizeof safe));
        parser->given[i] = true;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

/* Clears switches that were switched off last; --config may not switch them on again. */
static void switch_off(cli_parser *parser)
{
    for (int i = 0; i < parser->count; i++) {
        if (!parser->off[i])
            continue;
        *(bool *)place_of(parser, i) = false;
        parser->given[i] = false;
    }
}

void cli_parser_open(cli_parser *parser)
{
    cli_rows_expand(parser->table, &parser->rows);
    parser->options = parser->rows.options;
    parser->count = parser->rows.count;
}

int cli_parse(cli_parser *parser, int argc, char **argv)
{
    cli_parser_open(parser);
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

/* A string that is none of the numbers that pf_json_numbers turned into strings. */
static bool is_text(const json_t *value)
{
    return json_is_string(value) && !pf_json_number(json_string_value(value));
}

/* A string, or a list of strings, in place of what the list held. */
static bool store_list(cli_list *list, const json_t *value)
{
    size_t index;
    const json_t *item;
    list->count = 0;
    if (is_text(value))
        return append(list, json_string_value(value));
    json_array_foreach(value, index, item) {
        if (!is_text(item) || !append(list, json_string_value(item)))
            return false;
    }
    return json_is_array(value);
}

/* The value of a member as text, numbers as they are spelled.  NULL: a list, an object or
 * null. */
static const char *text_of(const json_t *value)
{
    if (json_is_boolean(value))
        return json_is_true(value) ? "true" : "false";
    const char *text = json_string_value(value);
    const char *number = text ? pf_json_number(text) : NULL;
    return number ? number : text;
}

/* Stores a value given as a member of a file, as `store` does. */
static bool store_json(const cli_option *option, void *place, const char *key,
                       const json_t *value, pf_error *error)
{
    const char *text = text_of(value);
    bool needs_text = option->kind == CLI_TEXT || option->kind == CLI_LIST;
    if (option->kind == CLI_LIST && store_list(place, value))
        return true;
    if (option->kind != CLI_LIST && text && (!needs_text || is_text(value)))
        return store(option, place, key, text, error);
    const char *shown = text ? text : json_is_array(value) ? "a list" : "an object";
    snprintf(error->message, sizeof error->message, "%.60s is %.60s, but must be %s", key,
             shown, needs_text ? wanted_of(option) : "a number, text, true or false");
    return false;
}

/* Takes the words that another program's setting `key` became: "--name=value", or a switch. */
static int take_word(cli_parser *parser, const char *path, const char *key, const char *word)
{
    size_t length = strcspn(word, "=");
    pf_error error = {0};
    for (int i = 0; i < parser->count; i++) {
        const cli_option *option = &parser->options[i];
        if (option->kind == CLI_GROUP || strlen(option->name) != length - 2 ||
            memcmp(option->name, word + 2, length - 2) != 0)
            continue;
        if (parser->given[i] || parser->off[i])
            return EXIT_DONE;
        const char *value = word[length] ? word + length + 1 : NULL;
        snprintf(parser->written[i], CLI_WRITTEN_BYTES, "%.30s in --config", key);
        parser->given[i] = store(option, place_of(parser, i), key, value, &error);
        if (!parser->given[i])
            cli_say("%s: %s", path, error.message);
        return parser->given[i] ? EXIT_DONE : EXIT_WRONG;
    }
    return EXIT_WRONG;
}

/* A setting of another program; *known is false when it is none. */
static int take_foreign(cli_parser *parser, const char *path, const char *key,
                        const json_t *value, bool *known)
{
    int before = parser->words.count;
    const char *text = text_of(value);
    int code = cli_rewrite_setting(parser, key, text ? text : "", known);
    for (int i = before; code == EXIT_DONE && i < parser->words.count; i++)
        code = take_word(parser, path, key, parser->words.words[i]);
    return code;
}

/* Refuses an unknown setting and proposes the nearest known one. */
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

/* A setting of our own; null counts as not given. */
static int take_own(cli_parser *parser, const char *path, int index, const json_t *value)
{
    const cli_option *option = &parser->options[index];
    union {
        double real;
        const char *text;
        cli_list list;
        pf_setting_value value;
    } unused;                           /* a flag wins, but the file must be right */
    char key[CLI_WRITTEN_BYTES];
    pf_error error = {0};
    bool given = parser->given[index] || parser->off[index];
    void *place = given ? (void *)&unused : place_of(parser, index);
    snprintf(key, sizeof key, "%s", option->name);
    for (char *at = key; *at; at++)
        *at = *at == '-' ? '_' : *at;
    if (json_is_null(value))
        return EXIT_DONE;
    if (!store_json(option, place, key, value, &error)) {
        cli_say("%s: %s", path, error.message);
        return EXIT_WRONG;
    }
    if (given)
        return EXIT_DONE;
    snprintf(parser->written[index], CLI_WRITTEN_BYTES, "%.30s in --config", key);
    parser->given[index] = option->kind != CLI_SWITCH || *(bool *)place;
    return EXIT_DONE;
}

static int take_member(cli_parser *parser, const char *path, const char *key,
                       const json_t *value)
{
    bool known = false;
    int index = index_of_key(parser, key);
    if (index >= 0 && strcmp(key, "config") != 0)
        return take_own(parser, path, index, value);
    int code = index < 0 && !json_is_null(value)
                   ? take_foreign(parser, path, key, value, &known)
                   : EXIT_DONE;
    known = known || (json_is_null(value) && foreign_find(parser->commands, key));
    return known || code != EXIT_DONE ? code : refuse_key(parser, path, key);
}

/* The members of a file; NULL after a message. */
static json_t *load_config(const char *path)
{
    json_error_t detail;
    pf_error error = {0};
    json_t *config = NULL;
    char *text = NULL, *spelled = NULL, name[PATH_MAX + 16];
    size_t bytes = 0, spelled_bytes = 0;
    snprintf(name, sizeof name, "--config %s", path);
    if (pf_text_file_read(path, name, MAX_CONFIG_BYTES, &text, &bytes, &error) != PF_OK ||
        pf_json_numbers(text, bytes, &spelled, &spelled_bytes, &error) != PF_OK) {
        pf_text_file_free(text);
        cli_say("%s", error.message);
        return NULL;
    }
    config = json_loadb(spelled, spelled_bytes, JSON_REJECT_DUPLICATES, &detail);
    if (!config)                        /* again, for the place in the file itself */
        json_decref(json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &detail));
    if (!config)
        cli_say("%s, line %d: %s", name, detail.line, detail.text);
    else if (!json_is_object(config))
        cli_say("%s: not a JSON object", name);
    pf_json_numbers_free(spelled);
    pf_text_file_free(text);
    return config;
}

int cli_parse_config(cli_parser *parser, const char *path)
{
    json_decref(parser->config);
    parser->config = load_config(path);
    if (!json_is_object(parser->config))
        return EXIT_WRONG;
    const char *key;
    json_t *value;
    json_object_foreach(parser->config, key, value) {
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

const pf_setting_value *cli_setting(const cli_parser *parser, const char *name)
{
    int index = index_of_name(parser, name);
    return index >= 0 && parser->given[index] ? &parser->values[index] : NULL;
}

void cli_apply_settings(const cli_parser *parser, pf_request *request)
{
    for (int i = 0; i < parser->count; i++)
        if (parser->options[i].kind == CLI_SETTING && parser->given[i])
            pf_setting_apply(parser->options[i].setting, &parser->values[i], request);
}

const char *cli_flag(const cli_parser *parser, const char *name)
{
    int index = index_of_name(parser, name);
    return index >= 0 ? parser->written[index] : name;
}
