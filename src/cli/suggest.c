/* SPDX-License-Identifier: Apache-2.0 */
/* The nearest word.  See suggest.h.
 *
 * Options are tried in this order, the surest first: a synonym of other programs, the only
 * name that has the word as a part ("steps" in "num-inference-steps"), the name that
 * differs in the fewest letters.  A suggestion that is wrong annoys more than none, so the
 * number of letters that may differ grows slowly with the word. */
#include "cli/suggest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Names in other programs; ours is suggested only where the list has it. */
typedef struct synonym {
    const char *word, *name;
    const char *text;                   /* NULL: "--NAME" */
} synonym;

#define BY_FRAMES "--num-frames (seconds times --fps, and a multiple of 4 plus 1)"

static const synonym synonyms[] = {
    {"size", "height", "--height and --width"},
    {"resolution", "height", "--height and --width"},
    {"seconds", "num-frames", BY_FRAMES},
    {"duration", "num-frames", BY_FRAMES},
    {"length", "num-frames", BY_FRAMES},
    {"cfg", "guidance-scale", NULL},
    {"cfg-scale", "guidance-scale", NULL},
    {"guidance", "guidance-scale", NULL},
    {"shift", "visual-shift", "--visual-shift and --audio-shift"},
    {"flow-shift", "visual-shift", "--visual-shift and --audio-shift"},
    {"frame-rate", "fps", NULL},
    {"framerate", "fps", NULL},
    {"crf", "quality", NULL},
    {"text", "prompt", NULL},
    {"prompt-rewrite", "rewrite-prompt", NULL},
    {"enhance-prompt", "rewrite-prompt", NULL},
    {"picture", "image-path", NULL},
    {"first-frame", "image-path", NULL},
    {"last-frame", "last-image-path", NULL},
    {"out", "output", NULL},
    {"outfile", "output", NULL},
    {"save-file", "output", NULL},
    {"output-dir", "output-path", NULL},
    {"output-path", "output-dir", NULL},
    {"ckpt-dir", "model-path", NULL},
    {"checkpoint", "model-path", NULL},
    {"silent", "no-audio-output", NULL},
    {"mute", "no-audio-output", NULL},
    {"gpu", "device", NULL},
    {"jobs", "threads", NULL},
    {"dtype", "precision", NULL},
    {"url", "server", NULL},
    {"address", "host", NULL},
    {"bind", "host", NULL},
    {"listen", "host", NULL},
    {"key", "api-key-file", NULL},
    {"cert", "tls-cert", NULL},
};

/* Lower case, '-' for '_'; false when the word is too long. */
static bool normalise(const char *word, char out[SUGGEST_MAX_WORD + 1])
{
    size_t i = 0;
    for (; word[i] && i < SUGGEST_MAX_WORD; i++)
        out[i] = word[i] == '_' ? '-' : (char)tolower((unsigned char)word[i]);
    out[i] = '\0';
    return !word[i];
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Letters that are inserted, left out, replaced, or swapped with their neighbour (Damerau's
 * distance, restricted: no letter is touched twice).  Three rows of the table are kept. */
static int distance(const char *a, const char *b)
{
    int rows[3][SUGGEST_MAX_WORD + 1];
    int *before = rows[0], *last = rows[1], *now = rows[2];
    int m = (int)strlen(a), n = (int)strlen(b);
    for (int j = 0; j <= n; j++)
        last[j] = before[j] = j;
    for (int i = 1; i <= m; i++) {
        now[0] = i;
        for (int j = 1; j <= n; j++) {
            int cost = a[i - 1] != b[j - 1];
            now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        int *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[n];
}

/* How many letters may differ. */
static int allowance(const char *word)
{
    int letters = (int)strlen(word);
    return letters < 3 ? 0 : letters < 5 ? 1 : letters < 9 ? 2 : 3;
}

/* Names are often cut short: letters that differ from the beginning count one more. */
static int distance_to_beginning(const char *word, char *known)
{
    size_t letters = strlen(word);
    if (strlen(known) <= letters)
        return SUGGEST_MAX_WORD;
    known[letters] = '\0';
    return distance(word, known) + 1;
}

const char *suggest_nearest(const char *word, suggest_list list)
{
    char wanted[SUGGEST_MAX_WORD + 1], known[SUGGEST_MAX_WORD + 1];
    const char *nearest = NULL;
    if (!normalise(word, wanted))
        return NULL;
    int best = allowance(wanted) + 1;
    for (int i = 0; i < list.count; i++) {
        if (!list.words[i] || !normalise(list.words[i], known))
            continue;
        int apart = distance(wanted, known);
        apart = least(apart, distance_to_beginning(wanted, known));
        if (apart < best) {
            best = apart;
            nearest = list.words[i];
        }
    }
    return nearest;
}

static bool holds(suggest_list list, const char *name)
{
    for (int i = 0; i < list.count; i++)
        if (list.words[i] && strcmp(list.words[i], name) == 0)
            return true;
    return false;
}

/* Whether `part` is one or more of the words that hyphens join in `name`. */
static bool is_part(const char *part, const char *name)
{
    size_t length = strlen(part);
    for (const char *at = strstr(name, part); at; at = strstr(at + 1, part))
        if ((at == name || at[-1] == '-') && (at[length] == '-' || !at[length]))
            return true;
    return false;
}

/* The only name that has `part` as a part; NULL: none or several. */
static const char *find_whole(const char *part, suggest_list list)
{
    const char *found = NULL;
    for (int i = 0; i < list.count; i++) {
        if (!list.words[i] || !is_part(part, list.words[i]))
            continue;
        if (found)
            return NULL;
        found = list.words[i];
    }
    return found;
}

bool suggest_option(const char *word, suggest_list list, char *out, size_t bytes)
{
    char wanted[SUGGEST_MAX_WORD + 1];
    if (!normalise(word, wanted) || !wanted[0])
        return false;
    for (size_t i = 0; i < sizeof synonyms / sizeof synonyms[0]; i++) {
        const synonym *s = &synonyms[i];
        if (strcmp(s->word, wanted) != 0 || !holds(list, s->name))
            continue;
        snprintf(out, bytes, "%s%s", s->text ? "" : "--", s->text ? s->text : s->name);
        return true;
    }
    const char *name = find_whole(wanted, list);
    if (!name)
        name = suggest_nearest(wanted, list);
    if (name)
        snprintf(out, bytes, "--%s", name);
    return name != NULL;
}

const char *suggest_question(const char *text, const char *otherwise, char *out,
                             size_t bytes)
{
    snprintf(out, bytes, "; %s%s%s", text ? "did you mean " : "", text ? text : otherwise,
             text ? "?" : "");
    return out;
}
