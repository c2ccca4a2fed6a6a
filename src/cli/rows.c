/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables as they are used: rows that stand for others are replaced.  See cli.h.
 *
 *     {CLI_ROWS, &cli_machine_rows, offset 16}   -> --platform ... each at 16 + its offset
 *     {CLI_SETTINGS, PF_SECTION_SHAPE}           -> --height, --width ... of the library
 *
 * Texts that are made (flags from settings' names, helps with their words) lie in the rows
 * themselves.  Too many rows or too long texts are mistakes of ours, hence the asserts. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* --- texts ------------------------------------------------------------------------ */

/* Keeps a text as long as the rows. */
static const char *keep(cli_rows *rows, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *kept = rows->text + rows->text_bytes;
    assert(rows->text_bytes + bytes <= sizeof rows->text);
    memcpy(kept, text, bytes);
    rows->text_bytes += bytes;
    return kept;
}

/* "a|b|c" as "a, b or c". */
static void spell_out(const char *words, char *out, size_t bytes)
{
    size_t used = 0;
    out[0] = '\0';
    while (*words && used < bytes) {
        size_t length = strcspn(words, "|");
        const char *before = used == 0 ? "" : words[length] ? ", " : " or ";
        used += (size_t)snprintf(out + used, bytes - used, "%s%.*s", before, (int)length,
                                 words);
        words += length + (words[length] == '|');
    }
}

/* `help` with `words` spelled out for its %s. */
static void fill_help(const char *help, const char *words, char *out, size_t bytes)
{
    char spelled[256];
    const char *hole = strstr(help, "%s");
    spell_out(words, spelled, sizeof spelled);
    snprintf(out, bytes, "%.*s%s%s", hole ? (int)(hole - help) : (int)strlen(help), help,
             hole ? spelled : "", hole ? hole + 2 : "");
}

/* --- rows ------------------------------------------------------------------------- */

static cli_option *add(cli_rows *rows, const cli_option *option, size_t offset)
{
    assert(rows->count < CLI_MAX_OPTIONS);
    cli_option *added = &rows->options[rows->count++];
    *added = *option;
    added->offset += offset;
    return added;
}

static void add_words(cli_rows *rows, cli_option *option)
{
    char words[256], text[512];
    option->words(words, sizeof words);
    fill_help(option->help, words, text, sizeof text);
    option->help = keep(rows, text);
    snprintf(text, sizeof text, "%s%s%s", option->choices ? option->choices : "",
             option->choices ? "|" : "", words);
    option->choices = keep(rows, text);
}

/* The flag of a setting.  Commands that mean something else by it have a `help` of their
 * own. */
static void add_setting(cli_rows *rows, const pf_setting *setting, const char *help)
{
    char name[CLI_WRITTEN_BYTES];
    snprintf(name, sizeof name, "%s", setting->name);
    for (char *at = name; *at; at++)
        *at = *at == '_' ? '-' : *at;
    add(rows, &(cli_option){
        .kind = CLI_SETTING,
        .name = setting->flag ? setting->flag : keep(rows, name),
        .key = setting->letter,
        .argument = setting->argument,
        .choices = setting->choices,
        .help = help ? help : setting->help,
        .setting = setting,
        .member = setting->name,
        .phase = setting->phase,
        .remote = CLI_REMOTE_FIELD,
        .field = setting->name,
    }, 0);
}

static void add_section(cli_rows *rows, pf_setting_section section)
{
    int count;
    const pf_setting *list = pf_setting_list(&count);
    for (int i = 0; i < count; i++)
        if (list[i].section == section)
            add_setting(rows, &list[i], NULL);
}

/* Adds the rows of `table` whose section is `section`, or all; their values lie `offset`
 * bytes further on. */
static void expand(const cli_table *table, pf_setting_section section, size_t offset,
                   cli_rows *out)
{
    for (int i = 0; i < table->count; i++) {
        const cli_option *row = &table->options[i];
        if (section != PF_SECTION_NONE && row->section != section)
            continue;
        if (row->kind == CLI_ROWS)
            expand(row->rows, row->section, offset + row->offset, out);
        else if (row->kind == CLI_SETTINGS)
            add_section(out, row->section);
        else if (row->kind == CLI_SETTING)
            add_setting(out, pf_setting_find(row->name), row->help);
        else if (row->words)
            add_words(out, add(out, row, offset));
        else
            add(out, row, offset);
    }
}

void cli_rows_expand(const cli_table *table, cli_rows *out)
{
    out->count = 0;
    out->text_bytes = 0;
    expand(table, PF_SECTION_NONE, 0, out);
}
