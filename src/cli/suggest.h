/* SPDX-License-Identifier: Apache-2.0 */
/* The word that somebody meant who wrote one that is not known. */
#ifndef PF_CLI_SUGGEST_H
#define PF_CLI_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>

enum { SUGGEST_MAX_WORD = 64 };         /* longer words get no suggestion */

/* Words to choose from; those that are NULL are passed over. */
typedef struct suggest_list {
    const char *const *words;
    int count;
} suggest_list;

/* The nearest word of the list: few letters differ, or are swapped.  In any case, with
 * '_' as '-'.  NULL: none is near. */
const char *suggest_nearest(const char *word, suggest_list list);

/* For an option without its hyphens: a name of other programs ("cfg"), a part of a longer
 * name ("steps"), or the nearest name.  Writes "--height and --width" or the like; false
 * when nothing is near. */
bool suggest_option(const char *word, suggest_list list, char *out, size_t bytes);

/* "; did you mean TEXT?", or "; OTHERWISE" when `text` is NULL.  Gives `out`. */
const char *suggest_question(const char *text, const char *otherwise, char *out,
                             size_t bytes);

#endif
