/* SPDX-License-Identifier: Apache-2.0 */
/* A driver of the job store: a table of functions, one for each of store.h, with the same
 * meaning, errors and thread-safety.  A driver is one file and one row in
 * store.c. */
#ifndef PF_SERVER_STORE_DRIVER_H
#define PF_SERVER_STORE_DRIVER_H

#include "server/store.h"

typedef struct pf_store_driver {
    const char *scheme;                 /* the beginning of its places: "postgresql://";
                                         * "": any other, a path */
    pf_status (*open)(const char *place, pf_store **out, pf_error *error);
    void (*close)(pf_store *store);
    pf_status (*check_place)(pf_store *store, pf_error *error);
    pf_status (*probe)(pf_store *store, pf_error *error);
    pf_status (*secret)(pf_store *store, uint8_t out[PF_DIGEST_BYTES], pf_error *error);
    pf_status (*load)(pf_store *store, pf_status (*take)(void *user, pf_video *video),
                      void *user, pf_error *error);
    pf_status (*insert)(pf_store *store, const pf_video *video, pf_error *error);
    pf_status (*update)(pf_store *store, const pf_video *video,
                        const pf_delivery *delivery, pf_error *error);
    pf_status (*star)(pf_store *store, const char *id, bool starred, pf_error *error);
    pf_status (*remove)(pf_store *store, const char *id, pf_error *error);
    pf_status (*delivery_put)(pf_store *store, const pf_delivery *delivery,
                              pf_error *error);
    pf_status (*delivery_remove)(pf_store *store, const char *id, pf_error *error);
    /* `out` is empty; pf_delivery_free follows a failure. */
    pf_status (*delivery_next)(pf_store *store, pf_hands *hands, pf_delivery *out,
                               pf_error *error);
} pf_store_driver;

/* The first member of every driver's own structure. */
struct pf_store {
    const pf_store_driver *driver;
};

/* sqlite.c: a file in WAL mode, for one server. */
extern const pf_store_driver pf_store_sqlite;

#endif
