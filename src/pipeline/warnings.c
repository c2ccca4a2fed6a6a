/* SPDX-License-Identifier: Apache-2.0 */
/* Shortcomings of a film that is made all the same: words beyond those that are read, and wishes
 * that the model was not made for.  See phonofilm.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/sized.h"
#include "pipeline/purpose.h"
#include "pipeline/request.h"
#include "text/clean.h"

static void PF_PRINTF(2, 3) warn(pf_warnings *out, const char *format, ...)
{
    const int room = (int)(sizeof out->text / sizeof out->text[0]);
    va_list arguments;
    if (out->count == room)
        return;
    va_start(arguments, format);
    vsnprintf(out->text[out->count++], sizeof out->text[0], format, arguments);
    va_end(arguments);
}

/* --- the length of texts ---------------------------------------------------------- */

static void warn_length(const char *name, int64_t tokens, pf_warnings *out)
{
    if (tokens <= PF_CONTEXT_ROWS)
        return;
    warn(out, "%s has %lld tokens, but the text encoder reads the first %d only: the last "
              "%d %% of the text have no effect", name, (long long)tokens, PF_CONTEXT_ROWS,
         (int)(100 * (tokens - PF_CONTEXT_ROWS) / tokens) + 1);
}

/* Cleans a text, which the caller frees, and counts its tokens. */
static pf_status count_tokens(pf_engine *engine, const char *text, char **clean,
                              int64_t *tokens, pf_error *error)
{
    PF_TRY(pf_prompt_clean(text, strlen(text), clean, error));
    return pf_tokenizer_count(engine->tokenizer, *clean, tokens, error);
}

/* --- what the model was made for ---------------------------------------------------- */

/* Warns where the request's size is none of those that the model was made for. */
static void warn_size(const pf_made_for *m, const pf_request *r, pf_warnings *out)
{
    char list[128] = "";
    size_t used = 0;
    for (int i = 0; i < m->size_count; i++) {
        if (m->sizes[i].width == r->width && m->sizes[i].height == r->height)
            return;
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%dx%d",
                                     i ? ", " : "", m->sizes[i].width, m->sizes[i].height);
    }
    if (m->size_count > 0)
        warn(out, "size is %dx%d, but the model was made for %s: the film may show nothing "
                  "of what is asked for", r->width, r->height, list);
}

static void warn_frames(const pf_made_for *m, const pf_request *r, pf_warnings *out)
{
    char list[128] = "";
    size_t used = 0;
    for (int i = 0; i < m->num_frames_count; i++) {
        if (m->num_frames[i] == r->num_frames)
            return;
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%d", i ? ", " : "",
                                     m->num_frames[i]);
    }
    if (m->num_frames_count > 0)
        warn(out, "num_frames is %d, but the model was made for %s: the film may fall apart",
             r->num_frames, list);
}

/* At most one sentence about the words.  A foreign script comes first, as the worst. */
static void warn_words(const pf_made_for *m, const char *prompt, pf_warnings *out)
{
    char languages[96], subjects[128];
    const char *script = pf_made_for_foreign_script(m, prompt);
    pf_made_for_name_languages(m, languages, sizeof languages);
    pf_made_for_name_subjects(m, subjects, sizeof subjects);
    if (script)
        warn(out, "prompt is written in %s letters, but the model was made for prompts in %s",
             script, languages);
    else if (pf_made_for_knows_few(m, prompt))
        warn(out, "the model does not know most words of the prompt; it was made for %s%s%s%s",
             languages[0] ? "prompts in " : "others", languages,
             m->about ? " and this: " : "", m->about ? m->about : "");
    else if (pf_made_for_lacks_subject(m, prompt))
        warn(out, "prompt names no %s, and the model can show nothing else%s%s", subjects,
             m->about ? "; it was made for this: " : "", m->about ? m->about : "");
}

/* --- all of them ------------------------------------------------------------------------ */

static pf_status warn_texts(pf_engine *engine, const pf_request *r, const pf_plan *plan,
                            pf_warnings *out, pf_error *error)
{
    char *clean = NULL;
    const char *negative = pf_request_negative_prompt(r, plan);
    pf_status status = count_tokens(engine, r->prompt, &clean, &out->prompt_tokens, error);
    if (status == PF_OK)
        warn_length("prompt", out->prompt_tokens, out);
    if (status == PF_OK && engine->made_for)
        warn_words(engine->made_for, clean, out);
    pf_free(clean);
    clean = NULL;
    if (status == PF_OK && negative)
        status = count_tokens(engine, negative, &clean, &out->negative_prompt_tokens, error);
    pf_free(clean);
    if (status == PF_OK && negative)
        warn_length("negative_prompt", out->negative_prompt_tokens, out);
    return status;
}

static pf_status warn_all(pf_engine *engine, const pf_request *r, pf_plan *plan,
                          pf_warnings *out, pf_error *error)
{
    PF_TRY(pf_request_plan(engine, r, plan, error));
    if (plan->first_step >= plan->steps)
        return PF_OK;                       /* nothing is left but decoding */
    PF_TRY(warn_texts(engine, r, plan, out, error));
    if (engine->made_for) {
        warn_size(engine->made_for, r, out);
        warn_frames(engine->made_for, r, out);
    }
    return PF_OK;
}

pf_status pf_request_warnings(pf_engine *engine, const pf_request *request,
                              pf_warnings *out, pf_error *error)
{
    pf_request own;
    pf_warnings found = {.most_tokens = PF_CONTEXT_ROWS};
    PF_TRY(pf_sized_take(&own, sizeof own, request, "pf_request", error));
    PF_TRY(pf_sized_check(out, sizeof out->size + 1, "pf_warnings", error));
    pf_plan *plan = pf_alloc(sizeof *plan);
    if (!plan)
        return pf_fail_memory(error, "plan", sizeof *plan);
    pf_status status = warn_all(engine, &own, plan, &found, error);
    pf_free(plan);
    pf_sized_give(out, &found, sizeof found);
    return status;
}
