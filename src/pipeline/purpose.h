/* SPDX-License-Identifier: Apache-2.0 */
/* Purpose of a model: "made_for" of generation_config.json.
 * docs/model/file-formats.md.
 *
 * A small model makes films of few sizes, lengths and subjects, and fails at anything
 * else.  Its folder says for what it was made; warnings.c compares a request with that.
 * Nothing here refuses a request.  Thread-safety: constant once read.
 */
#ifndef PF_PIPELINE_PURPOSE_H
#define PF_PIPELINE_PURPOSE_H

#include <jansson.h>

#include "phonofilm.h"

enum { PF_MADE_FOR_MOST = 32 };             /* entries of a list */

struct pf_made_for {
    char *about;
    pf_size sizes[PF_MADE_FOR_MOST];
    int num_frames[PF_MADE_FOR_MOST];
    char *languages[PF_MADE_FOR_MOST];
    char *subjects[PF_MADE_FOR_MOST];
    int size_count, num_frames_count, language_count, subject_count;
    json_t *words;                          /* members are words, lower case; or NULL */
};
typedef struct pf_made_for pf_made_for;

/* Reads the member of `config` (`name` is the file's); *out is NULL when there is none.
 * Release with pf_made_for_free (NULL is fine). */
pf_status pf_made_for_read(const json_t *config, const char *name, pf_made_for **out,
                           pf_error *error);
void pf_made_for_free(pf_made_for *made_for);

/* Refuses sizes and lengths that the model's own components cannot make. */
pf_status pf_made_for_check(const pf_made_for *made_for, int size_multiple,
                            int frame_multiple, pf_error *error);

/* The public view of a purpose; empty for NULL. */
pf_purpose pf_made_for_view(const pf_made_for *made_for);

/* "English", "English and Chinese"; "" without languages. */
void pf_made_for_name_languages(const pf_made_for *made_for, char *out, size_t room);

/* The script of most letters of a prompt, if no language of the model is written
 * in it: "Chinese", "Cyrillic".  NULL: there is none, or it cannot be told. */
const char *pf_made_for_foreign_script(const pf_made_for *made_for, const char *prompt);

/* Whether fewer than half of the words of a prompt are among those of the model: it is in
 * another language.  False where the model does not tell its words. */
bool pf_made_for_knows_few(const pf_made_for *made_for, const char *prompt);

/* Whether a prompt has words, but none of them is a subject of the model, also in the
 * plural.  False where the model names no subjects. */
bool pf_made_for_lacks_subject(const pf_made_for *made_for, const char *prompt);

/* "ball, cube or box". */
void pf_made_for_name_subjects(const pf_made_for *made_for, char *out, size_t room);

#endif
