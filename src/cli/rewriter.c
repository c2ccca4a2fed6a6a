/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of the rewriter.  See rewriter.h. */
#include "cli/rewriter.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/say.h"

#define AT(member) offsetof(rewriter_flags, member)

static const cli_option rows[] = {
    {.kind = CLI_TEXT, .name = "rewrite-prompt", .argument = "URL", .offset = AT(url),
     .phase = PF_PHASE_NOISE, .remote = CLI_REMOTE,
     .help = "Its address, such as http://127.0.0.1:8080/v1; for a film by a server the word "
             "server: then that one asks"},
    {.kind = CLI_TEXT, .name = "rewrite-model", .argument = "NAME", .offset = AT(model),
     .help = "What the chat model is called there"},
    {.kind = CLI_TEXT, .name = "rewrite-key-file", .argument = "FILE",
     .offset = AT(key_file), .help = "Its API key (default: PHONOFILM_REWRITE_KEY)"},
    {.kind = CLI_REAL, .name = "rewrite-timeout", .argument = "SECONDS",
     .offset = AT(seconds), .low = 1, .high = 600,
     .help = "For its whole answer; then the film has your own words (default: 30)"},
};

const cli_table rewriter_rows = CLI_TABLE(rows);

int rewriter_check(const cli_parser *parser, const rewriter_flags *flags)
{
    for (int i = 1; i < rewriter_rows.count && !flags->url; i++)
        if (cli_given(parser, rows[i].name)) {
            cli_say("%s has no effect without --rewrite-prompt; leave it out",
                    cli_flag(parser, rows[i].name));
            return EXIT_WRONG;
        }
    return EXIT_DONE;
}

pf_rewriter_options rewriter_options(const rewriter_flags *flags)
{
    return (pf_rewriter_options){
        .url = flags->url, .model = flags->model, .key_file = flags->key_file,
        .seconds = flags->seconds > 0 ? flags->seconds : PF_REWRITER_SECONDS};
}

bool rewriter_is_remote(const rewriter_flags *flags)
{
    return flags->url && strcmp(flags->url, "server") == 0;
}

void rewriter_tell(const char *rewritten, const char *why, bool quiet)
{
    if (rewritten && !quiet)
        cli_say("the film is made from: %s", rewritten);
    else if (!rewritten && why)
        cli_say("the film is made from your own words: %s", why);
}

/* --- rewriting -------------------------------------------------------------------- */

/* Whether the film can be made of the request, whose prompt is read to its end. */
static pf_status check_rewritten(pf_engine *engine, const pf_request *request,
                                 pf_error *error)
{
    pf_warnings warnings = PF_INIT(pf_warnings);
    pf_prediction prediction = PF_INIT(pf_prediction);
    pf_status status = pf_request_check(engine, request, &prediction, error);
    if (status == PF_OK)
        status = pf_request_warnings(engine, request, &warnings, error);
    if (status != PF_OK || warnings.prompt_tokens <= warnings.most_tokens)
        return status;
    *error = (pf_error){.status = PF_E_INPUT};
    snprintf(error->message, sizeof error->message,
             "the chat model's answer has %lld tokens, but %lld are read",
             (long long)warnings.prompt_tokens, (long long)warnings.most_tokens);
    return PF_E_INPUT;
}

int rewriter_rewrite(const cli_parser *parser, const pf_rewriter *rewriter,
                     pf_engine *engine, pf_request *request, const pf_chat_stop *stop,
                     char **out, pf_error *why)
{
    pf_prediction prediction = PF_INIT(pf_prediction);
    const char *words = request->prompt;
    pf_status status = pf_request_check(engine, request, &prediction, why);
    if (status != PF_OK)
        return cli_fail_request(parser, status, why);
    status = pf_rewriter_ask(rewriter, words, stop, out, why);
    if (status == PF_OK) {
        request->prompt = *out;
        status = check_rewritten(engine, request, why);
    }
    if (status == PF_E_CANCELLED || stop->asked(stop->user))
        return cli_fail(PF_E_CANCELLED, &(pf_error){PF_E_CANCELLED, "cancelled", ""});
    if (status == PF_OK)
        return EXIT_DONE;
    request->prompt = words;
    pf_rewriter_free(*out);
    *out = NULL;
    return EXIT_DONE;
}
