/* SPDX-License-Identifier: Apache-2.0 */
/* probe [TOKENIZER.json]...: cleaned text and ids, for comparisons from outside.
 *
 * Reads a JSON array of strings from standard input and prints one line of JSON for
 * each: {"cleaned": the text after cleaning, "ids": one list a tokenizer of the text
 * as it came, uncut}.  What is refused has its message in place of the result.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/clean.h"
#include "text/tokenizer.h"

enum { LONGEST = 1 << 20, MAX_TOKENIZERS = 64 };

static int32_t ids[LONGEST];

static json_t *clean(const char *text)
{
    pf_error error = {0};
    char *cleaned = NULL;
    if (pf_prompt_clean(text, strlen(text), &cleaned, &error) != PF_OK)
        return json_pack("{s:s}", "error", error.message);
    json_t *result = json_string(cleaned);
    pf_free(cleaned);
    return result;
}

static json_t *encode(const pf_tokenizer *tokenizer, const char *text)
{
    pf_error error = {0};
    int64_t count = 0;
    if (pf_tokenizer_encode(tokenizer, text, ids, LONGEST, &count, &error) != PF_OK)
        return json_pack("{s:s}", "error", error.message);
    json_t *list = json_array();
    for (int64_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static void print_one(const char *text, pf_tokenizer *const *tokenizers, int count)
{
    json_t *lists = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(lists, encode(tokenizers[i], text));
    json_t *line = json_pack("{s:o,s:o}", "cleaned", clean(text), "ids", lists);
    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(line);
}

int main(int argc, char **argv)
{
    pf_tokenizer *tokenizers[MAX_TOKENIZERS] = {0};
    int count = argc - 1 < MAX_TOKENIZERS ? argc - 1 : MAX_TOKENIZERS;
    pf_error error = {0};
    json_error_t detail;
    json_t *text;
    size_t i;
    for (int t = 0; t < count; t++)
        if (pf_tokenizer_open(argv[t + 1], &tokenizers[t], &error) != PF_OK) {
            fprintf(stderr, "probe: %s\n", error.message);
            return 1;
        }
    json_t *texts = json_loadf(stdin, 0, &detail);
    if (!json_is_array(texts)) {
        fprintf(stderr, "probe: standard input is no JSON array: %s\n", detail.text);
        return 1;
    }
    json_array_foreach(texts, i, text)
        print_one(json_string_value(text), tokenizers, count);
    json_decref(texts);
    for (int t = 0; t < count; t++)
        pf_tokenizer_close(tokenizers[t]);
    return 0;
}
