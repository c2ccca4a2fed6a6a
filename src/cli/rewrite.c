/* SPDX-License-Identifier: Apache-2.0 */
/* Spellings of a command line.  See rewrite.h.
 *
 * The walk goes over argv once, word by word, and appends to parser->words: the word itself
 * (keep), a new one (add), or none.  A long option is, in this order, our own by its whole
 * name, another program's, our own by the beginning of its name, or --no-SWITCH; any other
 * word stays for arguments.c to refuse.  Refusals are printed as they come and the walk goes
 * on, so that a command line of another program is corrected at once. */
#include "cli/rewrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/foreign.h"
#include "cli/say.h"

/* A walk over the arguments. */
typedef struct walk {
    cli_parser *parser;
    int argc;
    char **argv;
    int at;
    bool full, refused;         /* out of memory; a flag was refused */
} walk;

/* --- the new command line --------------------------------------------------------- */

/* Appends to a list that ends with NULL; false: out of memory, and the list is as before. */
static bool append(char ***list, int *count, int *room, char *word)
{
    if (*count + 1 >= *room) {
        int grown = *room * 2 + 16;
        char **moved = realloc(*list, (size_t)grown * sizeof *moved);
        if (!moved)
            return false;
        *list = moved;
        *room = grown;
    }
    (*list)[(*count)++] = word;
    (*list)[*count] = NULL;
    return true;
}

static void keep(walk *w, char *word)
{
    cli_words *words = &w->parser->words;
    w->full |= !append(&words->words, &words->count, &words->room, word);
}

/* A new word: `length` bytes of `text`, with %s for `value`. */
static void add(walk *w, const char *text, size_t length, const char *value)
{
    cli_words *words = &w->parser->words;
    size_t room = length + strlen(value) + 1;
    char *word = malloc(room);
    if (!word || !append(&words->owned, &words->owned_count, &words->owned_room, word)) {
        free(word);
        w->full = true;
        return;
    }
    const char *hole = memmem(text, length, "%s", 2);
    size_t before = hole ? (size_t)(hole - text) : length;
    snprintf(word, room, "%.*s%s%.*s", (int)before, text, hole ? value : "",
             (int)(hole ? length - before - 2 : 0), hole ? hole + 2 : "");
    keep(w, word);
}

void cli_words_free(cli_words *words)
{
    for (int i = 0; i < words->owned_count; i++)
        free(words->owned[i]);
    free(words->owned);
    free(words->words);
    *words = (cli_words){0};
}

/* --- names ------------------------------------------------------------------------ */

/* Whether `name` is the first `length` bytes of `word`, where '_' stands for '-', too. */
static bool is_name(const char *name, const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (name[i] != (word[i] == '_' ? '-' : word[i]))
            return false;
    return !name[length];
}

/* Index of our own option called `word` [length]; with `begins` also of the only option
 * whose name begins so; -1: none. */
static int find_own(const cli_parser *parser, const char *word, size_t length, bool begins)
{
    int found = -1, several = 0;
    for (int i = 0; i < parser->count; i++) {
        const cli_option *option = &parser->options[i];
        if (option->kind == CLI_GROUP)
            continue;
        if (is_name(option->name, word, length))
            return i;
        if (strncmp(option->name, word, length) == 0) {
            found = i;
            several++;
        }
    }
    return begins && several == 1 ? found : -1;
}

static const foreign_flag *find_foreign(const cli_parser *parser, const char *word,
                                        size_t length)
{
    char name[64];
    if (length >= sizeof name)
        return NULL;
    memcpy(name, word, length);
    name[length] = '\0';
    return foreign_find(parser->commands, name);
}

/* --- values ----------------------------------------------------------------------- */

/* The value of a switch: after its '=', or in the next word if that says true or false.
 * A switch without one is on.  A command with operands leaves the next word alone, which
 * may be one.  False when the text behind '=' is no such value. */
static bool switch_value(walk *w, const char *equals, bool *on)
{
    if (equals)
        return foreign_boolean(equals + 1, on);
    bool operands = w->parser->takes_operand || w->parser->takes_operands;
    bool follows = !operands && w->at + 1 < w->argc &&
                   foreign_boolean(w->argv[w->at + 1], on);
    w->at += follows;
    *on = *on || !follows;
    return true;
}

static void refuse(walk *w, const char *text)
{
    cli_say("%s", text);
    w->refused = true;
}

static void refuse_switch(walk *w, const char *word, size_t length, const char *value)
{
    char text[256];
    snprintf(text, sizeof text, "%.*s is '%.60s', but must be true or false", (int)length,
             word, value);
    refuse(w, text);
}

/* --- our own flags ---------------------------------------------------------------- */

static void take_switch(walk *w, int index, const char *word, const char *equals)
{
    bool on = false;
    if (!switch_value(w, equals, &on)) {
        refuse_switch(w, word, strcspn(word, "="), equals + 1);
        return;
    }
    w->parser->off[index] = !on;
    if (on)
        add(w, "--%s", 4, w->parser->options[index].name);
}

/* The word with '-' for every '_' of its name, which are the first `length` bytes. */
static void add_hyphens(walk *w, const char *word, size_t length)
{
    add(w, "%s", 2, word);
    if (w->full)
        return;
    char *added = w->parser->words.words[w->parser->words.count - 1];
    for (size_t i = 0; i < length; i++)
        if (added[i] == '_')
            added[i] = '-';
}

/* An option of ours, with its value if that is the next word: a value that begins with a
 * hyphen must not be taken for an option. */
static void take_own(walk *w, int index, char *word, const char *equals)
{
    const cli_option *option = &w->parser->options[index];
    size_t length = strcspn(word, "=");
    arguments_note(w->parser, index, word, length);
    if (!option->argument) {
        take_switch(w, index, word, equals);
        return;
    }
    if (memchr(word, '_', length))
        add_hyphens(w, word, length);
    else
        keep(w, word);
    if (!equals && w->at + 1 < w->argc)
        keep(w, w->argv[++w->at]);
}

/* --- those of others -------------------------------------------------------------- */

/* Adds the words of flag->becomes, and notes for each that it was written as `written`. */
static void become(walk *w, const foreign_flag *flag, const char *written, const char *value)
{
    for (const char *at = flag->becomes; *at;) {
        size_t length = strcspn(at, " ");
        int own = find_own(w->parser, at + 2, strcspn(at + 2, "= "), false);
        if (own >= 0)
            arguments_note(w->parser, own, written, strlen(written));
        add(w, at, length, value);
        at += length + (at[length] == ' ');
    }
}

static void judge(walk *w, const foreign_flag *flag, const char *written, const char *value)
{
    char text[512];
    switch (foreign_judge(flag, value)) {
    case FOREIGN_TAKEN:
        break;
    case FOREIGN_BECOMES:
        become(w, flag, written, value);
        break;
    default:
        foreign_sentence(flag, written, value, text, sizeof text);
        refuse(w, text);
    }
}

static void take_foreign(walk *w, const foreign_flag *flag, const char *word,
                         const char *equals)
{
    char written[80], text[120];
    bool on = false;
    snprintf(written, sizeof written, "%.*s", (int)strcspn(word, "="), word);
    if (flag->kind == FOREIGN_SWITCH) {
        if (switch_value(w, equals, &on))
            judge(w, flag, written, on ? "true" : "false");
        else
            refuse_switch(w, written, strlen(written), equals + 1);
    } else if (equals || w->at + 1 < w->argc) {
        judge(w, flag, written, equals ? equals + 1 : w->argv[++w->at]);
    } else {
        snprintf(text, sizeof text, "%s needs a value", written);
        refuse(w, text);
    }
}

/* --no-FLAG, ours or another program's; false when there is no such switch. */
static bool take_negated(walk *w, const char *word, size_t length)
{
    if (length < 4 || (strncmp(word, "--no-", 5) != 0 && strncmp(word, "--no_", 5) != 0) ||
        word[length])
        return false;
    int own = find_own(w->parser, word + 5, length - 5, false);
    const foreign_flag *flag = find_foreign(w->parser, word + 5, length - 5);
    if (own >= 0 && !w->parser->options[own].argument)
        w->parser->off[own] = true;
    else if (own < 0 && flag && flag->kind == FOREIGN_SWITCH)
        judge(w, flag, word, "false");
    else
        return false;
    return true;
}

/* --- the walk --------------------------------------------------------------------- */

static void take_long(walk *w, char *word)
{
    size_t length = strcspn(word, "=");
    const char *equals = word[length] ? word + length : NULL;
    const foreign_flag *flag = find_foreign(w->parser, word + 2, length - 2);
    int own = find_own(w->parser, word + 2, length - 2, !flag);
    if (own >= 0)
        take_own(w, own, word, equals);
    else if (flag)
        take_foreign(w, flag, word, equals);
    else if (!take_negated(w, word, length))
        keep(w, word);
}

/* "-qp TEXT": the last letter may take the next word. */
static void take_letters(walk *w, char *word)
{
    const cli_parser *parser = w->parser;
    keep(w, word);
    for (const char *letter = word + 1; *letter; letter++)
        for (int i = 0; i < parser->count; i++) {
            if (parser->options[i].kind == CLI_GROUP || parser->options[i].key != *letter)
                continue;
            arguments_note(w->parser, i, (char[]){'-', *letter}, 2);
            if (!parser->options[i].argument) {
                w->parser->off[i] = false;
                continue;
            }
            if (!letter[1] && w->at + 1 < w->argc)
                keep(w, w->argv[++w->at]);
            return;
        }
}

static int finish(const walk *w)
{
    if (w->full)
        fputs("phonofilm: out of memory: command line\n", stderr);
    return w->full ? EXIT_FAILED : w->refused ? EXIT_WRONG : EXIT_DONE;
}

int cli_rewrite(cli_parser *parser, int argc, char **argv)
{
    walk w = {.parser = parser, .argc = argc, .argv = argv};
    if (argc > 0)
        keep(&w, argv[0]);
    for (w.at = 1; w.at < argc; w.at++) {
        char *word = argv[w.at];
        if (strcmp(word, "--") == 0)
            break;
        if (strncmp(word, "--", 2) == 0)
            take_long(&w, word);
        else if (word[0] == '-' && word[1])
            take_letters(&w, word);
        else
            keep(&w, word);
    }
    for (; w.at < argc; w.at++)
        keep(&w, argv[w.at]);
    return finish(&w);
}

int cli_rewrite_setting(cli_parser *parser, const char *key, const char *value, bool *known)
{
    walk w = {.parser = parser};
    char text[256];
    bool on;
    const foreign_flag *flag = foreign_find(parser->commands, key);
    *known = flag != NULL;
    if (!flag)
        return EXIT_DONE;
    if (flag->kind == FOREIGN_VALUE) {
        judge(&w, flag, key, value);
    } else if (foreign_boolean(value, &on)) {
        judge(&w, flag, key, on ? "true" : "false");
    } else {
        snprintf(text, sizeof text, "%s is '%.60s', but must be true or false", key, value);
        refuse(&w, text);
    }
    return finish(&w);
}
