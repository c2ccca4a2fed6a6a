/* SPDX-License-Identifier: Apache-2.0 */
/* The program: sub-commands, exit codes, and what they share. */
#ifndef PF_CLI_CLI_H
#define PF_CLI_CLI_H

#include <stdbool.h>

#include "phonofilm.h"

/* Exit codes, also in the manual page. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,            /* model, memory, disk, platform */
    EXIT_WRONG = 2,             /* command line, request or input is wrong */
    EXIT_CANCELLED = 130,       /* then the program ends by the signal (process.h) */
    EXIT_UNREAD = 141           /* the reader of standard output is gone: by SIGPIPE */
};

int cli_generate(int argc, char **argv);
int cli_info(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_serve(int argc, char **argv);
int cli_completion(int argc, char **argv);
int cli_jobs(int argc, char **argv);

/* Prints "phonofilm: MESSAGE" and gives the exit code for the status. */
int cli_fail(pf_status status, const pf_error *error);

/* pf_engine_options.warn: one line on standard error. */
void cli_warn(void *user, const char *line);

/* --- options ------------------------------------------------------------------
 * One table describes every flag: the parser, --help and --config read it.
 */

typedef enum cli_kind {
    CLI_GROUP,                  /* a heading in --help */
    CLI_TEXT,                   /* const char * */
    CLI_INTEGER,                /* int, low..high */
    CLI_REAL,                   /* double, low..high */
    CLI_SETTING,                /* one of the library's table, called `choices`: int, double,
                                 * uint64_t of a seed, or int of a choice */
    CLI_BYTES,                  /* int64_t: 8G, 500M, 1024; at least `low` */
    CLI_SWITCH,                 /* bool */
    CLI_CHOICE,                 /* int: place in `choices`, "fast|f32|ref" */
    CLI_LIST                    /* cli_list: one text each time the flag is given */
} cli_kind;

enum { CLI_LIST_MAX = 32 };

typedef struct cli_list {
    const char *items[CLI_LIST_MAX];
    int count;
} cli_list;

typedef struct cli_option {
    cli_kind kind;
    const char *name;           /* "num-frames"; the heading of a group */
    int key;                    /* short option, or 0 */
    const char *argument;       /* "N" in --help; NULL for switches */
    size_t offset;              /* of the value in the settings */
    double low, high;
    const char *choices;        /* of CLI_TEXT: words to propose; others are taken, too;
                                 * of CLI_SETTING: its name in the table */
    const char *help;           /* with default and unit */
} cli_option;

enum { CLI_MAX_OPTIONS = 64, CLI_WRITTEN_BYTES = 48 };

/* Words of a command line; those that are new belong to it. */
typedef struct cli_words {
    char **words;               /* [count] and a NULL */
    int count, room;
    char **owned;               /* [owned_count] */
    int owned_count, owned_room;
} cli_words;

/* The flags of a command. */
typedef struct cli_table {
    const cli_option *options;
    int count;
} cli_table;

extern const cli_table cli_generate_table, cli_serve_table, cli_info_table,
    cli_jobs_table, cli_bench_table, cli_completion_table;

typedef struct cli_command {
    const char *name;
    const char *summary;        /* for --help, in lower case */
    int (*run)(int argc, char **argv);
    const cli_table *table;
    const char *operand;        /* "FILE", "FOLDER", the words "a|b" it may be, or NULL */
} cli_command;

/* Every command, in the order of --help. */
extern const cli_command cli_commands[];
extern const int cli_command_count;

typedef struct cli_parser {
    const cli_option *options;
    int count;
    unsigned commands;          /* whose flags of other programs are known (foreign.h) */
    const char *usage;          /* the arguments after the options, or "" */
    const char *summary;
    void *settings;
    bool given[CLI_MAX_OPTIONS];    /* by flag or config, in the table's order */
    bool off[CLI_MAX_OPTIONS];  /* switches that a flag switches off: --no-quiet */
    cli_words words;            /* the command line as it is parsed */
    char written[CLI_MAX_OPTIONS][CLI_WRITTEN_BYTES];   /* how, see cli_flag */
    const char *operand;        /* the one argument, or NULL */
    bool takes_operand;
    char **operands;            /* [operand_count], if it takes any number of them */
    int operand_count;
    bool takes_operands;
    struct json_t *config;      /* its strings are those of the settings */
} cli_parser;

/* Parses argv; prints help and exits as such programs do.  EXIT_DONE, or another
 * exit code after a message. */
int cli_parse(cli_parser *parser, int argc, char **argv);

/* Reads a JSON object whose members are flag names with '_' for '-'; what was
 * given as a flag wins.  Strings live until cli_parser_close. */
int cli_parse_config(cli_parser *parser, const char *path);

/* Releases what the settings' strings may point into. */
void cli_parser_close(cli_parser *parser);

bool cli_given(const cli_parser *parser, const char *name);

/* How the option was written, for messages: "-i", "--image-path", or "image_path in
 * --config"; "--image-path" when it was not given.  Valid as long as the parser. */
const char *cli_flag(const cli_parser *parser, const char *name);

/* As cli_fail, for an error of a request: members of it are called as the user wrote them,
 * "-s is 0" for "num_inference_steps is 0". */
int cli_fail_request(const cli_parser *parser, pf_status status, const pf_error *error);

/* --- progress ------------------------------------------------------------------ */

/* "41 s", "3 min 05 s", "2 h 05 min", "16 days 3 h". */
enum { CLI_DURATION_BYTES = 40 };
void cli_duration(double seconds, char out[CLI_DURATION_BYTES]);

/* Draws one line on a terminal, as wide as that is, while we are in its foreground, and
 * again after Ctrl-Z; nothing elsewhere.  `user` is NULL. */
void cli_show_progress(void *user, const pf_progress *progress);
/* Ends the line. */
void cli_end_progress(void);

#endif
