/* SPDX-License-Identifier: Apache-2.0 */
/* News of a film.  See news.h. */
#include "server/news.h"

#include <stdio.h>
#include <stdlib.h>

void pf_news_open(pf_news_box *box)
{
    *box = (pf_news_box){.news = {.over = false}};
    pthread_mutex_init(&box->lock, NULL);
    pthread_cond_init(&box->changed, NULL);
}

void pf_news_close(pf_news_box *box)
{
    free(box->news.preview);
    pthread_cond_destroy(&box->changed);
    pthread_mutex_destroy(&box->lock);
}

/* --- telling ------------------------------------------------------------------------ */

static pf_news *change(pf_news_box *box)
{
    pthread_mutex_lock(&box->lock);
    return &box->news;
}

static void end_change(pf_news_box *box)
{
    pthread_cond_signal(&box->changed);
    pthread_mutex_unlock(&box->lock);
}

void pf_news_tell_job(pf_news_box *box, pf_job *job)
{
    change(box)->job = job;
    end_change(box);
}

void pf_news_tell_progress(pf_news_box *box, const pf_progress *progress)
{
    pf_news *news = change(box);
    news->progressed = true;
    news->progress = *progress;
    news->progress.stage = NULL;        /* the job's text */
    snprintf(news->stage, sizeof news->stage, "%s", progress->stage);
    end_change(box);
}

void pf_news_tell_preview(pf_news_box *box, char *text)
{
    pf_news *news = change(box);
    free(news->preview);                /* nobody has seen it */
    news->preview = text;
    end_change(box);
}

void pf_news_tell_saved(pf_news_box *box)
{
    change(box)->saved = true;
    end_change(box);
}

void pf_news_tell_over(pf_news_box *box)
{
    change(box)->over = true;
    end_change(box);
}

/* --- taking ------------------------------------------------------------------------- */

pf_news pf_news_await(pf_news_box *box)
{
    pthread_mutex_lock(&box->lock);
    pf_news *n = &box->news;
    while (!n->job && !n->progressed && !n->preview && !n->saved && !n->over)
        pthread_cond_wait(&box->changed, &box->lock);
    pf_news taken = *n;
    *n = (pf_news){.over = n->over};
    pthread_mutex_unlock(&box->lock);
    return taken;
}
