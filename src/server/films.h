/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of the films: what lies there at a start, and whether its disk works.
 *
 *     OUTPUT/phonofilm.db     the store
 *     OUTPUT/videos/ID/       job.json, pictures, latents, film, stills of one video
 *     OUTPUT/spool/           large bodies, without names
 *
 * A folder that the store does not know is kept as it is: its film was made by somebody,
 * and a list that is too short is no reason to remove it.
 *
 * Trouble of the disk is told apart from trouble of one film by trying: a folder and a
 * file are made, synced, named, read and removed, and the store is written.  While there
 * is trouble the queue stands still, and nothing is accepted.
 */
#ifndef PF_SERVER_FILMS_H
#define PF_SERVER_FILMS_H

#include <stdatomic.h>
#include <sys/types.h>

#include "server/http/http.h"
#include "server/store.h"
#include "server/videos.h"

/* A reason why no film can be made or accepted, as clients are told. */
typedef struct pf_trouble {
    pf_http_fault fault;
    const char *message;
} pf_trouble;

typedef struct pf_films {
    char *output_dir, *videos_dir;
    dev_t device;                       /* of videos_dir when it was made or found */
    ino_t inode;
    int64_t min_free;                   /* bytes of disk that stay free */
    _Atomic int64_t promised;           /* bytes of bodies that are still to come */
    _Atomic(const pf_trouble *) standing;   /* trouble that stops the queue, or NULL */
    char (*unknown)[PF_VIDEO_ID_BYTES]; /* [unknown_count]: folders at the start */
    int unknown_count;
} pf_films;

/* Makes the folders. */
pf_status pf_films_open(pf_films *films, const char *output_dir, int64_t min_free,
                        pf_error *error);
void pf_films_close(pf_films *films);

/* Compares folders and table at the start: ends what was broken off in between, and
 * fills `unknown`.  PF_E_IO when there are videos, but no folder of any. */
pf_status pf_films_sort(pf_films *films, pf_videos *videos, pf_error *error);

/* Are there folders of videos?  Before the store is opened. */
bool pf_films_exist(const pf_films *films);

/* Whether another folder lies at its name, or none. */
bool pf_films_are_away(const pf_films *films);

/* Looks without writing: folder, place of the store, space for `bytes` more, and a standing
 * trouble of writing.  NULL: no trouble. */
const pf_trouble *pf_films_look(pf_films *films, pf_store *store, int64_t bytes);
/* Looks, and writes to disk and store.  NULL: no trouble. */
const pf_trouble *pf_films_examine(pf_films *films, pf_store *store);
/* The trouble behind a failure of writing; never NULL. */
const pf_trouble *pf_films_explain(pf_films *films, pf_store *store, pf_status status);

/* Sets space of a body aside; false when there is not as much.  Thread-safe. */
bool pf_films_promise(pf_films *films, int64_t bytes);
/* The space is written, or its bytes will not come. */
void pf_films_redeem(pf_films *films, int64_t bytes);

#endif
