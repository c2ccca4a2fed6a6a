/* SPDX-License-Identifier: Apache-2.0 */
/* News of a film that is being made: everything that passes between the thread that makes
 * it and the worker, which tells others.
 *
 *     maker.c                     pf_news_box                        worker.c
 *     pf_news_tell_... ---------> news (the latest of each kind) --> pf_news_await
 *     never waits                 lock, changed                      waits
 *
 * News of a kind that nobody has taken are replaced: a worker that is held up by the disk
 * sees the latest progress, not all of it.  The lock is held for a copy only, so that the
 * maker, which has the lowest priority, never holds up a thread that answers requests.
 */
#ifndef PF_SERVER_NEWS_H
#define PF_SERVER_NEWS_H

#include <pthread.h>
#include <stdbool.h>

#include "phonofilm.h"

enum { PF_NEWS_STAGE_BYTES = 24 };

/* News since the worker last looked. */
typedef struct pf_news {
    pf_job *job;                        /* the job that begins, or NULL */
    bool progressed;
    pf_progress progress;               /* without its stage */
    char stage[PF_NEWS_STAGE_BYTES];
    char *preview;                      /* text of an event (free()), or NULL */
    bool saved;                         /* latents of a later step are on disk */
    bool over;                          /* no more news; stays */
} pf_news;

typedef struct pf_news_box {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pf_news news;
} pf_news_box;

void pf_news_open(pf_news_box *box);
/* Frees news that nobody has taken. */
void pf_news_close(pf_news_box *box);

/* --- the maker's side --------------------------------------------------------------- */

/* The job must live until the worker has taken the news that all is over. */
void pf_news_tell_job(pf_news_box *box, pf_job *job);
void pf_news_tell_progress(pf_news_box *box, const pf_progress *progress);
/* Takes over `text` (free()). */
void pf_news_tell_preview(pf_news_box *box, char *text);
void pf_news_tell_saved(pf_news_box *box);
void pf_news_tell_over(pf_news_box *box);

/* --- the worker's side -------------------------------------------------------------- */

/* Waits for news and takes them: `preview` is the caller's. */
pf_news pf_news_await(pf_news_box *box);

#endif
