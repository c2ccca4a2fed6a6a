/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences of the library about a request, in the words of the command line.  See cli.h.
 *
 *     "num_inference_steps is 0, but must be 1 to 1000"      error->field is the first word
 *     "-s is 0, but must be 1 to 1000"                       as the user wrote it
 *
 * Words of the sentence are replaced where they are the error's field or have a '_', which
 * no English word has, and where a flag fills that member. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Whether an option fills the member: "num-frames" fills num_frames. */
static bool fills(const cli_option *option, const char *member)
{
    if (option->member)
        return strcmp(option->member, member) == 0;
    const char *name = option->name;
    for (; *name && (*name == '-' ? '_' : *name) == *member; name++)
        member++;
    return !*name && !*member;
}

/* The flag of a member as it was written, or NULL when it has none. */
static const char *flag_of(const cli_parser *parser, const char *member)
{
    for (int i = 0; i < parser->count; i++)
        if (parser->options[i].kind != CLI_GROUP && fills(&parser->options[i], member))
            return parser->written[i];
    return NULL;
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
