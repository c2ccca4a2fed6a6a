/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm jobs: the contents of a server's job store, and films that it has lost.  Man
 * page: jobs; docs/server.md, "What is kept".
 *
 *     list     store -> lines or JSON; folders of films that the store does not know
 *     adopt    folder with job.json -> store
 *
 * The server must not run meanwhile. */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/say.h"
#include "server/adopt.h"
#include "server/http/utf8.h"

typedef struct settings {
    const char *output_dir;
    bool json;
} settings;

#define AT(member) offsetof(settings, member)

static const cli_option options[] = {
    {.kind = CLI_TEXT, .name = "output-dir", .key = 'o', .argument = "FOLDER",
     .offset = AT(output_dir),
     .help = "Folder of the server's jobs and films (default: films)"},
    {.kind = CLI_SWITCH, .name = "json", .offset = AT(json),
     .help = "Print JSON (list)"},
};
const cli_table cli_jobs_table = CLI_TABLE(options);

static const char *const statuses[] = {"queued", "in_progress", "completed", "failed"};

/* --- list ------------------------------------------------------------------------- */

static const char *text_of(const pf_video *v, const char *member)
{
    const char *text = json_string_value(json_object_get(v->settings, member));
    return text ? text : "";
}

static void print_line(const pf_video *v)
{
    char when[32] = "";
    time_t created = (time_t)v->created;
    struct tm parts;
    if (gmtime_r(&created, &parts))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &parts);
    char prompt[49];
    snprintf(prompt, sizeof prompt, "%s", text_of(v, "prompt"));
    pf_utf8_repair(prompt);
    for (char *at = prompt; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    printf("%s  %-11s  %s  %c  %5s s  %s\n", v->id, statuses[v->status], when,
           v->starred ? '*' : ' ', text_of(v, "seconds"), prompt);
}

static void list_one(void *user, const pf_video *v)
{
    json_t *rows = user;
    if (rows)
        json_array_append_new(
            rows, json_pack("{s:s, s:s, s:s, s:f, s:b, s:O}", "id", v->id, "status",
                            statuses[v->status], "owner", v->owner, "created_at",
                            v->created, "starred", v->starred, "settings", v->settings));
    else
        print_line(v);
}

static void list_unknown(void *user, pf_adoption *adoption, const char *folder)
{
    json_t *rows = user;
    const char *id = strrchr(folder, '/') + 1;
    (void)adoption;
    if (rows)
        json_array_append_new(rows, json_pack("{s:s, s:s}", "id", id, "status", "unknown"));
    else
        printf("%s  unknown: \"phonofilm jobs adopt\" takes it in\n", id);
}

static pf_status list_all(pf_adoption *adoption, const settings *s, pf_error *error)
{
    json_t *rows = s->json ? json_array() : NULL;
    pf_status status = pf_adoption_list(adoption, list_one, rows, error);
    if (status == PF_OK)
        status = pf_adoption_list_unknown(adoption, list_unknown, rows, error);
    if (status == PF_OK && rows) {
        json_dumpf(rows, stdout, JSON_INDENT(1));
        putchar('\n');
    }
    json_decref(rows);
    return status;
}

static int list(const settings *s)
{
    pf_adoption adoption = {.store = NULL};
    pf_error error = {0};
    pf_status status = pf_adoption_open(s->output_dir, false, &adoption, &error);
    if (status == PF_OK)
        status = list_all(&adoption, s, &error);
    pf_adoption_close(&adoption);
    return status == PF_OK ? EXIT_DONE : cli_fail(status, &error);
}

/* --- adopt ------------------------------------------------------------------------ */

/* A folder that cannot be taken in stops no other; its exit code is the program's. */
typedef struct adopting {
    int seen, code;
} adopting;

static void adopt_one(void *user, pf_adoption *adoption, const char *folder)
{
    adopting *a = user;
    pf_error error = {0};
    pf_adopted taken;
    pf_status status = pf_adoption_take(adoption, folder, &taken, &error);
    a->seen++;
    if (status != PF_OK)
        a->code = cli_fail(status, &error);
    else
        printf("%s %s (%s)\n", taken.was_known ? "knew" : "took in", taken.id,
               statuses[taken.status]);
}

static pf_status adopt_unknown(pf_adoption *adoption, adopting *a, pf_error *error)
{
    PF_TRY(pf_adoption_list_unknown(adoption, adopt_one, a, error));
    if (a->seen == 0)
        printf("the job store knows every film in %s/videos\n", adoption->output_dir);
    return PF_OK;
}

static int adopt(const settings *s, char *const *folders, int count)
{
    pf_adoption adoption = {.store = NULL};
    pf_error error = {0};
    adopting a = {0, EXIT_DONE};
    pf_status status = pf_adoption_open(s->output_dir, true, &adoption, &error);
    for (int i = 0; status == PF_OK && i < count; i++)
        adopt_one(&a, &adoption, folders[i]);
    if (status == PF_OK && count == 0)
        status = adopt_unknown(&adoption, &a, &error);
    pf_adoption_close(&adoption);
    return status == PF_OK ? a.code : cli_fail(status, &error);
}

/* --- choosing --------------------------------------------------------------------- */

static int run(const settings *s, const cli_parser *parser)
{
    const char *what = parser->operand_count > 0 ? parser->operands[0] : "";
    bool lists = strcmp(what, "list") == 0;
    if (!lists && strcmp(what, "adopt") != 0)
        cli_say("jobs is followed by '%s', but must be by list or adopt; phonofilm jobs --help "
                "tells more", what);
    else if (lists && parser->operand_count > 1)
        cli_say("unexpected argument '%s'", parser->operands[1]);
    else if (!lists && s->json)
        fputs("phonofilm: --json has no effect on jobs adopt; leave it out\n", stderr);
    else
        return lists ? list(s)
                     : adopt(s, parser->operands + 1, parser->operand_count - 1);
    return EXIT_WRONG;
}

int cli_jobs(int argc, char **argv)
{
    settings s = {.output_dir = "films"};
    cli_parser parser = {
        .table = &cli_jobs_table,
        .settings = &s,
        .usage = "list\nadopt [FOLDER...]",
        .summary = "Looks after the job store of \"phonofilm serve\", which must not run "
                   "meanwhile. list tells what the store knows: id, status, when it was asked "
                   "for (UTC), * for starred, length and prompt; and which folders it does "
                   "not know. adopt takes films in that a store has lost, or an older one "
                   "never knew: those in each FOLDER, or in all folders below --output-dir. "
                   "Each has a job.json that says what it is; films that were not finished go "
                   "back to the queue.",
        .takes_operands = true,
    };
    int code = cli_parse(&parser, argc, argv);
    if (code == EXIT_DONE)
        code = run(&s, &parser);
    cli_parser_close(&parser);
    return code;
}
