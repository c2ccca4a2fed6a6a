/* SPDX-License-Identifier: Apache-2.0 */
/* The maker: one film, by a thread of its own.
 *
 *     worker.c                        maker.c (its thread)
 *     pf_maker_start(task, box) ----> latents of an earlier run, pictures, job
 *     pf_news_await(box) <----------- the job begins, progress, previews, latents saved
 *                                     film and stills in the folder
 *     pf_maker_end <----------------- over
 *
 * The thread stands back for those that answer requests (pf_server_stand_back).  It must
 * therefore never hold the lock of the table of videos: it could lose the processor with
 * it, and every status call would wait until computing lets it go on.  So it knows neither
 * table nor server, but a task that does not change, and the box of news.
 */
#ifndef PF_SERVER_MAKER_H
#define PF_SERVER_MAKER_H

#include <jansson.h>

#include "base/error.h"
#include "server/news.h"

/* A film to be made.  Everything outlives the maker. */
typedef struct pf_maker_task {
    pf_engine *engine;
    const char *model_name;
    const char *output_dir, *id;        /* of the video */
    const char *folder, *film_name;     /* the video's folder, which exists; a file in it */
    json_t *settings;                   /* read only: jansson copies no const */
    double began;                       /* pf_seconds() of the run */
    void (*log)(void *user, const char *line);  /* any thread, or NULL */
    void *log_user;
} pf_maker_task;

typedef struct pf_maker pf_maker;

/* Starts the thread.  PF_E_MEMORY: it does not start. */
pf_status pf_maker_start(const pf_maker_task *task, pf_news_box *box, pf_maker **out,
                         pf_error *error);

/* After the news that all is over: how it ended.  Frees the maker and its job. */
pf_status pf_maker_end(pf_maker *maker, pf_error *error);

#endif
