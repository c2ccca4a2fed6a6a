/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a normalised text still stands for the first character of the prompt:
 * what Metaspace's scheme "first" asks.  docs/model/text.md#the-first-character. */
#ifndef PF_TEXT_TRACE_H
#define PF_TEXT_TRACE_H

#include <stdbool.h>
#include <stddef.h>

/* Follows one normalizer through its text.  New characters are told in order, each
 * with its `change`: 0 takes the place of the next old one, 1 is inserted, -n takes
 * the place of the next and of the n after it. */
typedef struct pf_trace {
    const char *text;                   /* the old text [bytes] */
    size_t bytes;
    size_t old_start;                   /* its leading bytes that stand for the first */
    size_t at;                          /* old bytes that have been replaced */
    bool pending, past;
    size_t length;                      /* bytes of the new character that is pending */
    long change;
    size_t start;                       /* new bytes that stand for the first */
} pf_trace;

void pf_trace_begin(pf_trace *trace, const char *text, size_t bytes, size_t start);
void pf_trace_add(pf_trace *trace, size_t length, long change);
/* Adds to the change of the last character; false when there is none yet. */
bool pf_trace_amend(pf_trace *trace, long change);
/* The new start. */
size_t pf_trace_end(pf_trace *trace);

#endif
