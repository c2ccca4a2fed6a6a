/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm: the program.  Sub-commands are in files of their own.
 *
 *     process_begin     descriptors 0 to 2 exist, lost output will be told
 *     pf_guard_files    a weight file that is cut while it is mapped fails the film that
 *                       reads it, not the process (SIGBUS)
 *     run               chooses the command by argv[1]
 *     process_end       the exit code, or the signal that ended it
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"
#include "cli/process.h"
#include "cli/say.h"
#include "cli/suggest.h"

const cli_command cli_commands[] = {
    {"generate", "make a film", cli_generate, &cli_generate_table, NULL},
    {"serve", "make films for others: a page and the /v1/videos interface", cli_serve,
     &cli_serve_table, NULL},
    {"jobs", "tell what a server's job store holds, take lost films in again", cli_jobs,
     &cli_jobs_table, "list|adopt"},
    {"info", "tell what a model holds and what a film of it needs", cli_info,
     &cli_info_table, "FOLDER"},
    {"bench", "measure the kernels on this machine", cli_bench, &cli_bench_table,
     "FOLDER"},
    {"completion", "print a script that completes flags in bash, zsh or fish",
     cli_completion, &cli_completion_table, "bash|zsh|fish"},
};
const int cli_command_count = sizeof cli_commands / sizeof cli_commands[0];

static void print_help(FILE *out)
{
    fputs("Usage: phonofilm COMMAND [OPTION...]\n"
          "Turns a prompt and a first-frame picture into a film with sound.\n"
          "\n"
          "Commands:\n", out);
    for (int i = 0; i < cli_command_count; i++)
        fprintf(out, "  %-11s%s\n", cli_commands[i].name, cli_commands[i].summary);
    fputs("\n"
          "  --version  print the version\n"
          "  --help     print this; phonofilm COMMAND --help tells more\n", out);
}

/* Statuses by who can mend it: a wrong request or input is the user's, the rest is the
 * machine's or the model's. */
int cli_fail(pf_status status, const pf_error *error)
{
    cli_end_progress();
    cli_say("%s", error->message[0] ? error->message : pf_status_text(status));
    switch (status) {
    case PF_OK:
        return EXIT_DONE;
    case PF_E_ARGUMENT:
    case PF_E_INPUT:
    case PF_E_NOT_FOUND:
    case PF_E_UNSUPPORTED:
        return EXIT_WRONG;
    case PF_E_CANCELLED:
        return EXIT_CANCELLED;
    default:
        return EXIT_FAILED;
    }
}

void cli_warn(void *user, const char *line)
{
    (void)user;
    cli_end_progress();                 /* the next step draws it again, below */
    cli_say("warning: %s", line);
}

/* Refuses an unknown command, or an option before the command. */
static int refuse_command(const char *word)
{
    const char *names[CLI_MAX_OPTIONS];
    char question[160];
    for (int i = 0; i < cli_command_count; i++)
        names[i] = cli_commands[i].name;
    const char *nearest = suggest_nearest(word, (suggest_list){names, cli_command_count});
    const char *more = word + strspn(word, "-");
    if (!nearest && (strcasecmp(more, "help") == 0 || strcasecmp(more, "version") == 0))
        nearest = tolower((unsigned char)*more) == 'h' ? "--help" : "--version";
    if (word[0] == '-' && !nearest)
        cli_say("options come after a command, as in phonofilm generate "
                "%s; phonofilm --help lists the commands", word);
    else
        cli_say("there is no command '%s'%s", word,
                suggest_question(nearest, "phonofilm --help lists them", question,
                                 sizeof question));
    return EXIT_WRONG;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_WRONG;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("phonofilm %s\n", pf_version());
        return EXIT_DONE;
    }
    for (int i = 0; i < cli_command_count; i++) {
        if (strcmp(argv[1], cli_commands[i].name) != 0)
            continue;
        static char name[64];
        snprintf(name, sizeof name, "phonofilm %s", cli_commands[i].name);
        argv[1] = name;
        return cli_commands[i].run(argc - 1, argv + 1);
    }
    return refuse_command(argv[1]);
}

int main(int argc, char **argv)
{
    pf_error error = {0};
    process_begin();
    pf_status guarded = pf_guard_files(&error);
    return process_end(guarded == PF_OK ? run(argc, argv) : cli_fail(guarded, &error));
}
