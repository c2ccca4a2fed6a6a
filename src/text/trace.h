/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a normalised text still stands for the first character of the prompt:
 * Metaspace's scheme "first" asks for it.  docs/model/text.md#the-first-character.
 *
 *     prompt        | A | b | c           start = bytes of A
 *     rule 1        | a   a | b | c       A became two characters: start = both
 *     rule 2        | b | c               Strip took them away:    start = 0
 *
 * The reference keeps, for each byte of the normalised text, the range of the prompt it
 * stands for (NormalizedString of Hugging Face's tokenizers), and Metaspace asks whether
 * that begins at 0.  Only the leading bytes can, so a single length is enough.
 * pf_trace serves the charsmap, whose replacements change the number of characters; the
 * other normalizers know their start without it (normalize.c). */
#ifndef PF_TEXT_TRACE_H
#define PF_TEXT_TRACE_H

#include <stdbool.h>
#include <stddef.h>

/* Follows one normalizer through its text.  New characters are told in order, each
 * with its `change`: 0 takes the place of the next old one, 1 is inserted, -n takes
 * the place of the next and of the n after it.  These are the pairs (char, change) of the
 * reference's NormalizedString::transform.  The last character is held back (`pending`),
 * because removed characters that follow change its `change`. */
typedef struct pf_trace {
    const char *text;                   /* the old text [bytes] */
    size_t bytes;
    size_t old_start;                   /* its leading bytes that stand for the first */
    size_t at;                          /* old bytes that have been replaced */
    bool pending, past;                 /* one is held back; one stood behind the first */
    size_t length;                      /* bytes of the new character that is pending */
    long change;
    size_t start;                       /* new bytes that stand for the first */
} pf_trace;

/* text[bytes] must stay as long as the trace; nothing is to be freed. */
void pf_trace_begin(pf_trace *trace, const char *text, size_t bytes, size_t start);
/* The next new character, of `length` bytes. */
void pf_trace_add(pf_trace *trace, size_t length, long change);
/* Adds to the change of the last character; false when there is none yet. */
bool pf_trace_amend(pf_trace *trace, long change);
/* The new start: leading bytes of the new text that stand for the prompt's first
 * character. */
size_t pf_trace_end(pf_trace *trace);

#endif
