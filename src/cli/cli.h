/* SPDX-License-Identifier: Apache-2.0 */
/* The program: sub-commands, exit codes, and what they share.
 *
 *     argv --cli_rewrite--> words --argp--> settings of the command   <-- --config FILE
 *            (rewrite.h)            (options.c)   |                       (options.c)
 *                                                 v
 *                                     pf_engine_options, pf_request ...
 *
 * A command is a file: its settings (a struct), its table of options, and cli_NAME, which
 * parses, works, releases, and gives an exit code.  Functions that print a message and then
 * give an exit code are said to give it "after a message"; their callers pass it on and
 * print nothing more.  Commands run on the main thread. */
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

/* The commands.  argv[0] is "phonofilm NAME", as help and messages show it. */
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
 * One table describes every flag: the parser, --help, --config and completion read it.
 *
 *     row as written           row as used (cli_rows)
 *     CLI_GROUP .. CLI_LIST    itself
 *     CLI_SETTING "height"     with all that the library's table says of "height"
 *     CLI_SETTINGS a section   a CLI_SETTING for every setting of that section
 *     CLI_ROWS a table         the rows of a table that several commands share
 */

typedef enum cli_kind {
    CLI_GROUP,                  /* a heading in --help */
    CLI_TEXT,                   /* const char * */
    CLI_INTEGER,                /* int, low..high */
    CLI_REAL,                   /* double, low..high */
    CLI_SETTING,                /* of the library's table; its value is read with cli_setting */
    CLI_BYTES,                  /* int64_t: 8G, 500M, 1024; units of 1024; at least `low` */
    CLI_SWITCH,                 /* bool */
    CLI_CHOICE,                 /* int: place in `choices`, "fast|f32|ref" */
    CLI_LIST,                   /* cli_list: one text each time the flag is given */
    CLI_SETTINGS,
    CLI_ROWS
} cli_kind;

enum { CLI_LIST_MAX = 32 };

typedef struct cli_list {
    const char *items[CLI_LIST_MAX];
    int count;
} cli_list;

/* Uses of a flag by generate --server. */
typedef enum cli_remote {
    CLI_HERE_ONLY,              /* refused beside --server */
    CLI_REMOTE,                 /* decides on this side of the wire */
    CLI_REMOTE_FIELD,           /* CLI_TEXT: sent as the field `field` */
    CLI_REMOTE_FILE,            /* CLI_TEXT: names the file that is sent as the field */
    CLI_REMOTE_OFF              /* CLI_SWITCH: sends the field as false */
} cli_remote;

struct cli_table;

/* A row of a table.  Members that a kind does not use stay zero, which is why rows are
 * written with designated initialisers. */
typedef struct cli_option {
    cli_kind kind;
    const char *name;           /* "num-frames"; of a group: the heading; of a CLI_SETTING as
                                 * written: "num_frames" */
    int key;                    /* short option, or 0 */
    const char *argument;       /* "N" in --help; NULL for switches */
    size_t offset;              /* of the value in the settings; of CLI_ROWS: added to theirs */
    double low, high;
    const char *choices;        /* of CLI_TEXT: words to propose; others are taken, too */
    void (*words)(char *out, size_t bytes);     /* further choices, which also fill the %s of
                                                 * `help`: "a, b or c" */
    const char *help;           /* with default and unit */
    const pf_setting *setting;  /* of CLI_SETTING */
    pf_setting_section section; /* of CLI_SETTINGS; of CLI_ROWS: only its rows of it */
    const struct cli_table *rows;       /* of CLI_ROWS */
    /* Flags of a request (request_flags.h). */
    const char *member;         /* of pf_request, as errors name it: "first_frame"; NULL: the
                                 * name with '_' for '-' */
    pf_setting_phase phase;     /* last phase of a film that reads the flag */
    cli_remote remote;
    const char *field;          /* of the server's API: "input_reference" */
} cli_option;

enum { CLI_MAX_OPTIONS = 96, CLI_WRITTEN_BYTES = 48, CLI_ROWS_TEXT_BYTES = 4096 };

/* Words of a command line.  Words of argv are pointed to, words that rewriting made are
 * owned: settings point into both until cli_parser_close. */
typedef struct cli_words {
    char **words;               /* [count] and a NULL */
    int count, room;
    char **owned;               /* [owned_count] */
    int owned_count, owned_room;
} cli_words;

/* The flags of a command, as written. */
typedef struct cli_table {
    const cli_option *options;
    int count;
} cli_table;

#define CLI_TABLE(options) {options, sizeof(options) / sizeof((options)[0])}

extern const cli_table cli_generate_table, cli_serve_table, cli_info_table,
    cli_jobs_table, cli_bench_table, cli_completion_table;

/* The flags of a command, as used: every row stands for itself. */
typedef struct cli_rows {
    cli_option options[CLI_MAX_OPTIONS];
    int count;
    char text[CLI_ROWS_TEXT_BYTES];     /* names and helps that were made */
    size_t text_bytes;
} cli_rows;

/* Fills *out, which must stay where it is: its options point into it. */
void cli_rows_expand(const cli_table *table, cli_rows *out);

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

/* A command line, parsed.  The caller fills the members up to takes_operands; flags win over
 * --config, and of a flag that is given several times the last counts (a CLI_LIST keeps
 * all). */
typedef struct cli_parser {
    const cli_table *table;
    unsigned commands;          /* whose flags of other programs are known (foreign.h) */
    const char *usage;          /* the arguments after the options, or "" */
    const char *summary;
    void *settings;
    bool takes_operand;
    bool takes_operands;
    /* The rest is filled by cli_parser_open and parsing.  Arrays are in the order of the
     * rows. */
    cli_rows rows;
    const cli_option *options;          /* [count], of `rows` */
    int count;
    bool given[CLI_MAX_OPTIONS];        /* by flag or config */
    bool off[CLI_MAX_OPTIONS];  /* switches that a flag switches off: --no-quiet */
    pf_setting_value values[CLI_MAX_OPTIONS];   /* of CLI_SETTING */
    cli_words words;            /* the rewritten command line, which argp parses */
    char written[CLI_MAX_OPTIONS][CLI_WRITTEN_BYTES];   /* spellings, see cli_flag */
    const char *operand;        /* the one argument, or NULL */
    char **operands;            /* [operand_count], if it takes any number of them */
    int operand_count;
    struct json_t *config;      /* its strings are those of the settings */
} cli_parser;

/* Expands the table.  cli_parse does so; cli_parse_config without it needs it. */
void cli_parser_open(cli_parser *parser);

/* Parses argv into parser->settings and parser->values; prints help and exits as such
 * programs do.  EXIT_DONE, or another exit code after a message.  cli_parser_close in
 * either case. */
int cli_parse(cli_parser *parser, int argc, char **argv);

/* Reads a JSON object whose members are flag names with '_' for '-'; what was
 * given as a flag wins.  Strings live until cli_parser_close. */
int cli_parse_config(cli_parser *parser, const char *path);

/* Releases the words and the --config file: strings of the settings point into both. */
void cli_parser_close(cli_parser *parser);

/* Whether the option `name` ("num-frames") was given by a flag or by --config; false of a
 * switch that was switched off. */
bool cli_given(const cli_parser *parser, const char *name);

/* The value of the CLI_SETTING whose flag is `name`, or NULL when it was not given. */
const pf_setting_value *cli_setting(const cli_parser *parser, const char *name);

/* Sets the members of `request` whose settings were given; the others keep their values,
 * which are the model's defaults (pf_request_init). */
void cli_apply_settings(const cli_parser *parser, pf_request *request);

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
