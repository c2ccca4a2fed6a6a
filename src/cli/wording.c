/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences of the library about a request, in the words of the command line.  See cli.h. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* Members of a request whose flags have other names. */
static const char *const others[][2] = {
    {"first_frame", "image-path"},
    {"last_frame", "last-image-path"},
    {"text_only", "t2va"},
    {"cuda_multiprocessors", "cuda-sm-count"},
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* The flag of a member, or NULL when it is none. */
static const char *flag_of(const cli_parser *parser, const char *member)
{
    char name[sizeof((pf_error *)0)->field];
    snprintf(name, sizeof name, "%s", member);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(others[i][0], member) == 0)
            snprintf(name, sizeof name, "%s", others[i][1]);
    for (char *at = name; *at; at++)
        *at = *at == '_' ? '-' : *at;
    const char *flag = cli_flag(parser, name);
    return strcmp(flag, name) == 0 ? NULL : flag;
}

int cli_fail_request(const cli_parser *parser, pf_status status, const pf_error *error)
{
    pf_error named = {.status = error->status};
    size_t used = 0;
    if (!error->field[0])
        return cli_fail(status, error);
    for (const char *at = error->message; *at;) {
        char word[sizeof error->field];
        size_t length = 0;
        while (is_letter(at[length]))
            length++;
        bool short_enough = length > 0 && length < sizeof word;
        snprintf(word, sizeof word, "%.*s", short_enough ? (int)length : 0, at);
        bool is_member = strchr(word, '_') || strcmp(word, error->field) == 0;
        const char *flag = short_enough && is_member ? flag_of(parser, word) : NULL;
        length = length > 0 ? length : 1;
        used += (size_t)snprintf(named.message + used, sizeof named.message - used, "%.*s",
                                 flag ? (int)strlen(flag) : (int)length, flag ? flag : at);
        if (used >= sizeof named.message)
            break;
        at += length;
    }
    return cli_fail(status, &named);
}
