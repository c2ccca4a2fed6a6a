/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of the server beside those of HTTP; each takes the pf_server and ends when
 * it closes. */
#ifndef PF_SERVER_THREADS_H
#define PF_SERVER_THREADS_H

#include "server/store.h"

/* worker.c: one film after another. */
void *pf_worker_run(void *server);
/* housekeeping.c: every second. */
void *pf_housekeeping_run(void *server);
/* webhook.c: PF_HANDS of them. */
void *pf_webhook_run(void *server);

/* The delivery of "video.completed" or "video.failed", if the job asked for one
 * (webhook.c). */
pf_status pf_webhook_announce(const pf_video *video, pf_delivery *out, pf_error *error);

#endif
