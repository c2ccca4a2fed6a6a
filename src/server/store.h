/* SPDX-License-Identifier: Apache-2.0 */
/* The job store: what outlives the process.  Films are files; the store holds what is
 * known of them, and deliveries of webhooks that are still to be made.
 *
 *     videos.c, webhook.c ... -> store.h -> store.c: rows of drivers -> sqlite.c
 *                                           store_driver.h
 *
 * Every change is durable when its call returns.  Failures are PF_E_NO_SPACE when the disk
 * is full, PF_E_MEMORY, else PF_E_IO: also when the store was removed or replaced since it
 * was opened, because nobody would find again what is written there.
 *
 * Thread-safety: any thread, except for opening, loading and closing.
 */
#ifndef PF_SERVER_STORE_H
#define PF_SERVER_STORE_H

#include "base/error.h"
#include "server/video.h"

typedef struct pf_store pf_store;

/* Opens the store at a place, which its driver understands (a path for SQLite), or makes
 * one.  PF_E_IO says what to do when it is damaged, PF_E_UNSUPPORTED: a later version of
 * the program has made it. */
pf_status pf_store_open(const char *place, pf_store **out, pf_error *error);
void pf_store_close(pf_store *store);

/* Is the store where it was opened?  Cheap: costs no more than two looks at the file
 * system. */
pf_status pf_store_check_place(pf_store *store, pf_error *error);
/* Writes something that means nothing: whether the store takes writes (again). */
pf_status pf_store_probe(pf_store *store, pf_error *error);

/* A secret of this store, made when it is first asked for. */
pf_status pf_store_secret(pf_store *store, uint8_t out[PF_DIGEST_BYTES],
                          pf_error *error);

/* --- videos ------------------------------------------------------------------------ */

/* All videos by id; `take` owns each of them. */
pf_status pf_store_load(pf_store *store, pf_status (*take)(void *user, pf_video *video),
                        void *user, pf_error *error);
pf_status pf_store_insert(pf_store *store, const pf_video *video, pf_error *error);

typedef struct pf_delivery {
    char id[PF_VIDEO_ID_BYTES];
    char *url, *body;
    int attempts;
    double next;                        /* Unix time of the next attempt; 0: at once */
} pf_delivery;

/* Stores every member that may change but the star, and with them a delivery (or NULL):
 * both or none. */
pf_status pf_store_update(pf_store *store, const pf_video *video,
                          const pf_delivery *delivery, pf_error *error);
pf_status pf_store_star(pf_store *store, const char *id, bool starred, pf_error *error);
pf_status pf_store_delete(pf_store *store, const char *id, pf_error *error);

/* --- deliveries -------------------------------------------------------------------- */

pf_status pf_store_delivery_put(pf_store *store, const pf_delivery *delivery,
                                pf_error *error);
pf_status pf_store_delivery_delete(pf_store *store, const char *id, pf_error *error);
/* The one that is due first, of those whose ids are not in `hands` (""s are none);
 * out->url is NULL when there is none.  Release with pf_delivery_free. */
enum { PF_HANDS = 4 };
typedef char pf_hands[PF_HANDS][PF_VIDEO_ID_BYTES];
pf_status pf_store_delivery_next(pf_store *store, pf_hands *hands, pf_delivery *out,
                                 pf_error *error);
void pf_delivery_free(pf_delivery *delivery);

#endif
