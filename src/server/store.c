/* SPDX-License-Identifier: Apache-2.0 */
/* The job store: its drivers, and the way to them.  See store.h. */
#include "server/store.h"

#include <string.h>

#include "base/memory.h"
#include "server/store_driver.h"

/* The first whose scheme begins the place. */
static const pf_store_driver *const drivers[] = {&pf_store_sqlite};

static const pf_store_driver *driver_of(const char *place)
{
    size_t i = 0;
    while (strncmp(place, drivers[i]->scheme, strlen(drivers[i]->scheme)) != 0)
        i++;                            /* the last one takes any */
    return drivers[i];
}

pf_status pf_store_open(const char *place, pf_store **out, pf_error *error)
{
    return driver_of(place)->open(place, out, error);
}

void pf_store_close(pf_store *store)
{
    if (store)
        store->driver->close(store);
}

pf_status pf_store_check_place(pf_store *store, pf_error *error)
{
    return store->driver->check_place(store, error);
}

pf_status pf_store_probe(pf_store *store, pf_error *error)
{
    return store->driver->probe(store, error);
}

pf_status pf_store_secret(pf_store *store, uint8_t out[PF_DIGEST_BYTES], pf_error *error)
{
    return store->driver->secret(store, out, error);
}

/* --- videos ----------------------------------------------------------------------- */

pf_status pf_store_load(pf_store *store, pf_status (*take)(void *user, pf_video *video),
                        void *user, pf_error *error)
{
    return store->driver->load(store, take, user, error);
}

pf_status pf_store_insert(pf_store *store, const pf_video *video, pf_error *error)
{
    return store->driver->insert(store, video, error);
}

pf_status pf_store_update(pf_store *store, const pf_video *video,
                          const pf_delivery *delivery, pf_error *error)
{
    return store->driver->update(store, video, delivery, error);
}

pf_status pf_store_star(pf_store *store, const char *id, bool starred, pf_error *error)
{
    return store->driver->star(store, id, starred, error);
}

pf_status pf_store_delete(pf_store *store, const char *id, pf_error *error)
{
    return store->driver->remove(store, id, error);
}

/* --- deliveries ------------------------------------------------------------------- */

pf_status pf_store_delivery_put(pf_store *store, const pf_delivery *delivery,
                                pf_error *error)
{
    return store->driver->delivery_put(store, delivery, error);
}

pf_status pf_store_delivery_delete(pf_store *store, const char *id, pf_error *error)
{
    return store->driver->delivery_remove(store, id, error);
}

pf_status pf_store_delivery_next(pf_store *store, pf_hands *hands, pf_delivery *out,
                                 pf_error *error)
{
    *out = (pf_delivery){.url = NULL};
    pf_status status = store->driver->delivery_next(store, hands, out, error);
    if (status != PF_OK)
        pf_delivery_free(out);
    return status;
}

void pf_delivery_free(pf_delivery *delivery)
{
    pf_free(delivery->url);
    pf_free(delivery->body);
    *delivery = (pf_delivery){.url = NULL};
}
