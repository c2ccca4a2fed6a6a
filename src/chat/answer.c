/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the answer of a chat model.  See answer.h. */
#include "chat/answer.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/memory.h"

static const char blanks[] = " \t\r\n";

/* --- the JSON --------------------------------------------------------------------- */

static pf_status refuse_shape(pf_error *error)
{
    return pf_fail(error, PF_E_INPUT, "the chat model's answer is no chat completion");
}

/* "stop" is the usual reason; servers that give none, or their own, are taken. */
static pf_status check_finish(const json_t *choice, pf_error *error)
{
    const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
    if (reason && strcmp(reason, "length") == 0)
        return pf_fail(error, PF_E_INPUT, "the chat model's answer is cut short");
    if (reason && strcmp(reason, "content_filter") == 0)
        return pf_fail(error, PF_E_INPUT, "the chat model refuses to rewrite the prompt");
    return PF_OK;
}

static pf_status find_content(const json_t *root, const char **out, pf_error *error)
{
    const json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    const char *refusal = json_string_value(json_object_get(message, "refusal"));
    if (!json_is_object(message))
        return refuse_shape(error);
    if (refusal && refusal[0])
        return pf_fail(error, PF_E_INPUT, "the chat model refuses to rewrite the prompt");
    PF_TRY(check_finish(choice, error));
    *out = json_string_value(json_object_get(message, "content"));
    if (*out)
        return PF_OK;
    if (json_is_null(json_object_get(message, "content")))
        return pf_fail(error, PF_E_INPUT, "the chat model's answer is empty");
    return refuse_shape(error);
}

/* --- the text --------------------------------------------------------------------- */

/* Where the text begins behind what a reasoning model has thought aloud. */
static const char *skip_thoughts(const char *text)
{
    static const char open[] = "<think>", close[] = "</think>";
    const char *at = text + strspn(text, blanks);
    if (strncmp(at, open, sizeof open - 1) != 0)
        return at;
    const char *end = strstr(at, close);
    return end ? end + sizeof close - 1 : "";
}

/* Control characters of ISO 6429: C0, DEL and C1, which is 0xC2 0x80 to 0xC2 0x9F. */
static bool has_controls(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    for (; *at; at++)
        if (*at == 0x7f || (*at < ' ' && !strchr(blanks, *at)) ||
            (at[0] == 0xc2 && at[1] < 0xa0))
            return true;
    return false;
}

/* Copies the text as one paragraph: white space becomes one blank, none at the ends.  `out`
 * may be the text itself, or lie before it. */
static void join_lines(const char *text, char *out)
{
    char *begin = out;
    while (*text) {
        size_t white = strspn(text, blanks);
        if (white > 0 && out > begin && text[white])
            *out++ = ' ';
        text += white;
        size_t word = strcspn(text, blanks);
        memmove(out, text, word);
        out += word;
        text += word;
    }
    *out = '\0';
}

/* Takes away quotation marks around the whole text, and the white space within them. */
static void unquote(char *text)
{
    static const struct {
        const char *open, *close;
    } pairs[] = {{"\"", "\""}, {"\u201c", "\u201d"}, {"\u00ab", "\u00bb"}, {"\u300c", "\u300d"}};
    size_t bytes = strlen(text);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t open = strlen(pairs[i].open), close = strlen(pairs[i].close);
        if (bytes <= open + close || strncmp(text, pairs[i].open, open) != 0 ||
            strstr(text + open, pairs[i].close) != text + bytes - close)
            continue;
        text[bytes - close] = '\0';
        join_lines(text + open, text);
        return;
    }
}

/* "UNCHANGED" is what the system text asks for (rewriter.h); the others are how chat models
 * decline in English whatever they were asked for. */
static bool is_refusal(const char *text)
{
    static const char *const openings[] = {
        "UNCHANGED", "I'm sorry", "I\u2019m sorry", "I am sorry", "Sorry, ", "I can't ",
        "I can\u2019t ", "I cannot ", "I'm unable", "I\u2019m unable", "I am unable",
        "As an AI",
    };
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++)
        if (strncasecmp(text, openings[i], strlen(openings[i])) == 0)
            return true;
    return false;
}

static bool is_code(const char *text)
{
    return text[0] == '{' || text[0] == '[' || strncmp(text, "```", 3) == 0 ||
           strncasecmp(text, "<!doctype", 9) == 0 || strncasecmp(text, "<html", 5) == 0;
}

static pf_status judge(const char *text, pf_error *error)
{
    if (text[0] == '\0')
        return pf_fail(error, PF_E_INPUT, "the chat model's answer is empty");
    if (has_controls(text))
        return pf_fail(error, PF_E_INPUT,
                       "the chat model's answer holds control characters");
    if (is_refusal(text))
        return pf_fail(error, PF_E_INPUT, "the chat model refuses to rewrite the prompt");
    if (is_code(text))
        return pf_fail(error, PF_E_INPUT, "the chat model's answer is code and no prompt");
    if (strlen(text) > PF_ANSWER_PROMPT_BYTES)
        return pf_fail(error, PF_E_INPUT, "the chat model's answer has %zu bytes, but a "
                       "prompt must have %d at most", strlen(text), PF_ANSWER_PROMPT_BYTES);
    return PF_OK;
}

static pf_status tidy(const char *content, char **out, pf_error *error)
{
    content = skip_thoughts(content);
    char *text = pf_alloc(strlen(content) + 1);
    if (!text)
        return pf_fail_memory(error, "answer", strlen(content) + 1);
    join_lines(content, text);
    unquote(text);
    pf_status status = judge(text, error);
    if (status == PF_OK)
        *out = text;
    else
        pf_free(text);
    return status;
}

pf_status pf_answer_read(const char *text, size_t bytes, char **out, pf_error *error)
{
    json_t *root = NULL;
    const char *content = NULL;
    size_t white = 0;
    while (white < bytes && memchr(blanks, text[white], sizeof blanks - 1))
        white++;
    if (white < bytes && text[white] == '<')
        return pf_fail(error, PF_E_INPUT,
                       "the chat model answers with HTML instead of JSON");
    pf_status status = pf_json_parse(text, bytes, "the answer", &root, NULL);
    if (status == PF_E_MEMORY)
        return pf_fail_memory(error, "answer", bytes);
    if (status != PF_OK)                /* jansson's message repeats parts of the answer */
        return pf_fail(error, PF_E_INPUT, "the chat model's answer is no JSON");
    status = find_content(root, &content, error);
    if (status == PF_OK)
        status = tidy(content, out, error);
    json_decref(root);
    return status;
}
