/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm completion: scripts for shells, written from the option tables.
 *
 * A script knows every command and flag of the program that wrote it, proposes the words
 * of a choice, files and folders, and nothing for numbers and texts.  Man page: completion.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/say.h"

enum { MAX_BRIEF = 72 };                /* characters of a help beside a proposal */

const cli_table cli_completion_table = {NULL, 0};

/* Calls `write` for every command, with its flags. */
static void each_command(void (*write)(const cli_command *, const cli_rows *))
{
    cli_rows rows;
    for (int i = 0; i < cli_command_count; i++) {
        cli_rows_expand(cli_commands[i].table, &rows);
        write(&cli_commands[i], &rows);
    }
}

/* --- what a value is -------------------------------------------------------------- */

typedef enum value_kind { NO_VALUE, ANY_TEXT, A_FILE, A_FOLDER, A_WORD } value_kind;

/* The value's kind from its name in --help: FILE..., FOLDER..., any other. */
static value_kind kind_of(const char *argument, const char *choices)
{
    if (!argument)
        return NO_VALUE;
    if (choices)
        return A_WORD;
    if (strncmp(argument, "FOLDER", 6) == 0)
        return A_FOLDER;
    return strncmp(argument, "FILE", 4) == 0 ? A_FILE : ANY_TEXT;
}

static value_kind option_kind(const cli_option *option)
{
    return kind_of(option->argument, option->choices);
}

/* Kind of a command's operand: words, "bash|zsh|fish", or the name of a file or folder. */
static value_kind operand_kind(const cli_command *command)
{
    const char *operand = command->operand;
    return kind_of(operand, operand && strchr(operand, '|') ? operand : NULL);
}

/* --- writing ------------------------------------------------------------------------ */

/* Prints "a|b|c" with blanks for bars. */
static void put_words(const char *choices)
{
    for (; *choices; choices++)
        putchar(*choices == '|' ? ' ' : *choices);
}

/* How a shell writes `from` inside single quotes. */
typedef struct escape {
    char from;
    const char *to;
} escape;

/* Prints the help up to its first bracket or semicolon, so that it fits a line of proposals. */
static void put_brief(const char *help, const escape *escapes)
{
    const char *bracket = strstr(help, " (");
    size_t length = strcspn(help, ";");
    if (bracket && (size_t)(bracket - help) < length)
        length = (size_t)(bracket - help);
    if (length > MAX_BRIEF)
        for (length = MAX_BRIEF; length > 1 && help[length] != ' '; length--)
            ;
    for (size_t i = 0; i < length; i++) {
        const escape *e = escapes;
        while (e->from && e->from != help[i])
            e++;
        if (e->from)
            fputs(e->to, stdout);
        else
            putchar(help[i]);
    }
}

/* --- bash --------------------------------------------------------------------------- */

static void bash_action(value_kind kind, const char *choices)
{
    if (kind == A_WORD) {
        fputs("set -- -W '", stdout);
        put_words(choices);
        fputs("' ;;\n", stdout);
    } else {
        puts(kind == A_FILE     ? "set -- -f; named='filenames' ;;"
             : kind == A_FOLDER ? "set -- -d; named='filenames' ;;"
                                : "return ;;");
    }
}

/* Lines of a case: "generate:--output | generate:-o) ACTION ;;". */
static void bash_values(const cli_command *command, const cli_rows *rows)
{
    for (int i = 0; i < rows->count; i++) {
        const cli_option *option = &rows->options[i];
        if (option->kind == CLI_GROUP || option_kind(option) == NO_VALUE)
            continue;
        printf("    %s:--%s", command->name, option->name);
        if (option->key)
            printf(" | %s:-%c", command->name, option->key);
        fputs(") ", stdout);
        bash_action(option_kind(option), option->choices);
    }
}

/* The flags of a command, proposed where a word begins with a hyphen, or everywhere if the
 * command has no operand. */
static void bash_flags(const cli_command *command, const cli_rows *rows)
{
    value_kind operand = operand_kind(command);
    printf("    %s:*%s) set -- -W '--help", command->name, operand ? ":-*" : "");
    for (int i = 0; i < rows->count; i++)
        if (rows->options[i].kind != CLI_GROUP)
            printf(" --%s", rows->options[i].name);
    puts("' ;;");
    if (operand == NO_VALUE)
        return;
    printf("    %s:*) ", command->name);
    bash_action(operand, command->operand);
}

/* A function with two cases: by "COMMAND:FLAG" for the value of a flag, else by
 * "COMMAND:FLAG:WORD" for flags and operands.  Each leaves the arguments of compgen. */
static void write_bash(void)
{
    fputs("# bash completion, written by: phonofilm completion bash\n"
          "_phonofilm() {\n"
          "    local command=${COMP_WORDS[1]} word=$2 flag=$3 front='' named=''\n"
          "    # --flag=value is three words, or one if = is no COMP_WORDBREAKS\n"
          "    if [[ $word == '=' ]]; then word=''; fi\n"
          "    if [[ $flag == '=' ]]; then flag=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
          "    if [[ $word == --*=* ]]; then\n"
          "        flag=${word%%=*} front=${word%%=*}= word=${word#*=}\n"
          "    fi\n"
          "    COMPREPLY=()\n"
          "    if ((COMP_CWORD == 1)); then\n"
          "        mapfile -t COMPREPLY < <(compgen -W '--help --version", stdout);
    for (int i = 0; i < cli_command_count; i++)
        printf(" %s", cli_commands[i].name);
    puts("' -- \"$word\")\n"
         "        return\n"
         "    fi\n"
         "    case $command:$flag in");
    each_command(bash_values);
    puts("    *) case $command:$flag:$word in");
    each_command(bash_flags);
    puts("    *) return ;;\n"
         "    esac ;;\n"
         "    esac\n"
         "    mapfile -t COMPREPLY < <(compgen \"$@\" -- \"$word\")\n"
         "    COMPREPLY=(\"${COMPREPLY[@]/#/$front}\")\n"
         "    if [[ $named ]]; then compopt -o \"$named\" 2>/dev/null; fi\n"
         "    return 0\n"
         "}\n"
         "complete -F _phonofilm phonofilm");
}

/* --- zsh ---------------------------------------------------------------------------- */

static const escape zsh_escapes[] = {
    {'\'', "'\\''"}, {'[', "\\["}, {']', "\\]"}, {':', "\\:"}, {0, NULL}};

static void zsh_action(const char *argument, value_kind kind, const char *choices)
{
    printf(":%s:", argument);
    if (kind == A_WORD) {
        putchar('(');
        put_words(choices);
        putchar(')');
    } else {
        fputs(kind == A_FILE ? "_files" : kind == A_FOLDER ? "_files -/" : " ", stdout);
    }
}

/* A specification of _arguments: the short and the long spelling exclude each other. */
static void zsh_flag(const cli_option *option)
{
    value_kind kind = option_kind(option);
    if (option->key)
        printf(" \\\n            '(-%c --%s)'{-%c%s,--%s%s}", option->key, option->name,
               option->key, kind ? "+" : "", option->name, kind ? "=" : "");
    else
        printf(" \\\n            --%s%s", option->name, kind ? "=" : "");
    fputs("'[", stdout);
    put_brief(option->help, zsh_escapes);
    putchar(']');
    if (kind)
        zsh_action(option->argument, kind, option->choices);
    putchar('\'');
}

static void zsh_command(const cli_command *command, const cli_rows *rows)
{
    value_kind operand = operand_kind(command);
    printf("        (%s)\n"
           "            _arguments -s '(- *)--help[Explain the options]'", command->name);
    for (int i = 0; i < rows->count; i++)
        if (rows->options[i].kind != CLI_GROUP)
            zsh_flag(&rows->options[i]);
    if (operand != NO_VALUE) {
        fputs(" \\\n            '1", stdout);
        zsh_action(operand == A_WORD ? "shell" : "model", operand, command->operand);
        putchar('\'');
    }
    puts(" ;;");
}

static void write_zsh(void)
{
    puts("#compdef phonofilm\n"
         "# zsh completion, written by: phonofilm completion zsh\n"
         "_phonofilm() {\n"
         "    local curcontext=$curcontext context state line ret=1\n"
         "    typeset -A opt_args\n"
         "    _arguments -C '(- *)--help[Explain the commands]' \\\n"
         "        '(- *)--version[Print the version]' \\\n"
         "        '1:command:->command' '*::argument:->rest' && ret=0\n"
         "    case $state in\n"
         "    (command)\n"
         "        local -a commands=(");
    for (int i = 0; i < cli_command_count; i++) {
        printf("            '%s:", cli_commands[i].name);
        put_brief(cli_commands[i].summary, zsh_escapes);
        puts("'");
    }
    puts("        )\n"
         "        _describe -t commands command commands && ret=0 ;;\n"
         "    (rest)\n"
         "        case $words[1] in");
    each_command(zsh_command);
    puts("        esac && ret=0 ;;\n"
         "    esac\n"
         "    return ret\n"
         "}\n"
         "if [[ $funcstack[1] == _phonofilm ]]; then\n"
         "    _phonofilm \"$@\"\n"
         "else\n"
         "    compdef _phonofilm phonofilm\n"
         "fi");
}

/* --- fish --------------------------------------------------------------------------- */

static const escape fish_escapes[] = {{'\'', "\\'"}, {'\\', "\\\\"}, {0, NULL}};

static void fish_value(value_kind kind, const char *choices)
{
    if (kind == A_FILE)
        fputs(" -r -F", stdout);
    else if (kind == A_FOLDER)
        fputs(" -x -a '(__fish_complete_directories)'", stdout);
    else if (kind == ANY_TEXT)
        fputs(" -x", stdout);
    else if (kind == A_WORD) {
        fputs(" -x -a '", stdout);
        put_words(choices);
        putchar('\'');
    }
}

static void fish_command(const cli_command *command, const cli_rows *rows)
{
    value_kind operand = operand_kind(command);
    for (int i = 0; i < rows->count; i++) {
        const cli_option *option = &rows->options[i];
        if (option->kind == CLI_GROUP)
            continue;
        printf("complete -c phonofilm -n '__fish_seen_subcommand_from %s' -l %s",
               command->name, option->name);
        if (option->key)
            printf(" -s %c", option->key);
        fish_value(option_kind(option), option->choices);
        fputs(" -d '", stdout);
        put_brief(option->help, fish_escapes);
        puts("'");
    }
    if (operand == NO_VALUE)
        return;
    printf("complete -c phonofilm -n '__fish_seen_subcommand_from %s'", command->name);
    fish_value(operand, command->operand);
    putchar('\n');
}

static void write_fish(void)
{
    puts("# fish completion, written by: phonofilm completion fish\n"
         "complete -c phonofilm -f\n"
         "complete -c phonofilm -l help -d 'Explain the options'\n"
         "complete -c phonofilm -n __fish_use_subcommand -l version -d 'Print the version'");
    for (int i = 0; i < cli_command_count; i++) {
        printf("complete -c phonofilm -n __fish_use_subcommand -a %s -d '",
               cli_commands[i].name);
        put_brief(cli_commands[i].summary, fish_escapes);
        puts("'");
    }
    each_command(fish_command);
}

/* --- the command -------------------------------------------------------------------- */

static int write_script(const char *shell)
{
    static const struct {
        const char *shell;
        void (*write)(void);
    } writers[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++)
        if (shell && strcmp(shell, writers[i].shell) == 0) {
            writers[i].write();
            return EXIT_DONE;
        }
    cli_say("SHELL is %s%s%s, but must be bash, zsh or fish", shell ? "'" : "",
            shell ? shell : "missing", shell ? "'" : "");
    return EXIT_WRONG;
}

int cli_completion(int argc, char **argv)
{
    cli_parser parser = {
        .table = &cli_completion_table,
        .usage = "SHELL",
        .summary = "Prints a script that completes commands, flags and file names in "
                   "SHELL: bash, zsh or fish. `make install` puts them in place.",
        .takes_operand = true,
    };
    int code = cli_parse(&parser, argc, argv);
    if (code == EXIT_DONE)
        code = write_script(parser.operand);
    cli_parser_close(&parser);
    return code;
}
