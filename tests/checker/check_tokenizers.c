/* SPDX-License-Identifier: Apache-2.0 */
/* Cleaning and tokens: tokenizer_cases.json with the model's tokenizer, and the
 * folders of tokenizers/. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "checker.h"
#include "text/clean.h"
#include "text/tokenizer.h"

enum { MAX_CASES_BYTES = 64 << 20, CUT = 512, LONGEST = 1 << 17 };

/* Ids of `text`, at most `most`, against the list. */
static bool same_ids(const pf_tokenizer *t, const char *text, int64_t most,
                     const json_t *golden)
{
    int32_t *ids = pf_alloc((size_t)most * sizeof *ids);
    int64_t count = 0;
    bool same = ids && pf_tokenizer_encode(t, text, ids, most, &count, NULL) == PF_OK &&
                count == (int64_t)json_array_size(golden);
    for (int64_t i = 0; same && i < count; i++)
        same = json_integer_value(json_array_get(golden, (size_t)i)) == ids[i];
    pf_free(ids);
    return same;
}

/* {prompt, cleaned, ids}, or {text, ids} of clean text that is not cut. */
static void check_case(checker *c, const char *name, const pf_tokenizer *t, size_t index,
                       const json_t *entry)
{
    const char *prompt = json_string_value(json_object_get(entry, "prompt"));
    const char *cleaned = json_string_value(json_object_get(entry, "cleaned"));
    const char *text = json_string_value(json_object_get(entry, "text"));
    const json_t *golden = json_object_get(entry, "ids");
    char label[48];
    snprintf(label, sizeof label, "%zu", index);
    if (text) {
        check_result(c, name, label, same_ids(t, text, LONGEST, golden), 0, 0);
        return;
    }
    char *ours = NULL;
    bool ok = prompt && cleaned &&
              pf_prompt_clean(prompt, strlen(prompt), &ours, NULL) == PF_OK &&
              strcmp(ours, cleaned) == 0;
    snprintf(label, sizeof label, "%zu cleaned", index);
    check_result(c, name, label, ok, 0, 0);
    snprintf(label, sizeof label, "%zu ids", index);
    check_result(c, name, label, ok && same_ids(t, ours, CUT, golden), 0, 0);
    pf_free(ours);
}

static void check_file(checker *c, const char *name, const char *tokenizer_path,
                       const char *cases_path)
{
    pf_error error = {0};
    pf_tokenizer *t = NULL;
    json_t *list = NULL, *entry;
    size_t i;
    if (pf_json_load(cases_path, MAX_CASES_BYTES, &list, &error) != PF_OK ||
        pf_tokenizer_open(tokenizer_path, &t, &error) != PF_OK)
        check_broken(c, name, error.message);
    if (t)
        json_array_foreach(list, i, entry)
            check_case(c, name, t, i, entry);
    pf_tokenizer_close(t);
    json_decref(list);
}

static void check_folder(checker *c, const char *name)
{
    char *tokenizer =
        pf_format("%s/tokenizers/%s/tokenizer.json", c->folder, name);
    char *cases = pf_format("%s/tokenizers/%s/cases.json", c->folder, name);
    char *label = pf_format("tokenizers/%s", name);
    if (tokenizer && cases && label && pf_path_is_file(cases))
        check_file(c, label, tokenizer, cases);
    pf_free(tokenizer);
    pf_free(cases);
    pf_free(label);
}

void check_tokenizers(checker *c)
{
    char *cases = pf_format("%s/tokenizer_cases.json", c->folder);
    char *tokenizer = pf_format("%s/model/tokenizer/tokenizer.json", c->folder);
    char *folder = pf_format("%s/tokenizers", c->folder);
    if (cases && tokenizer && pf_path_is_file(cases))
        check_file(c, "tokenizer_cases", tokenizer, cases);
    DIR *list = folder ? opendir(folder) : NULL;
    for (struct dirent *found; list && (found = readdir(list));)
        if (found->d_name[0] != '.')
            check_folder(c, found->d_name);
    if (list)
        closedir(list);
    pf_free(cases);
    pf_free(tokenizer);
    pf_free(folder);
}
