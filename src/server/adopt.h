/* SPDX-License-Identifier: Apache-2.0 */
/* Taking films into a job store that does not know them: from the job.json beside each.
 * For "phonofilm jobs"; no server may use the folder meanwhile.
 */
#ifndef PF_SERVER_ADOPT_H
#define PF_SERVER_ADOPT_H

#include "server/store.h"

typedef struct pf_adoption {
    const char *output_dir;
    pf_store *store;
    char (*known)[PF_VIDEO_ID_BYTES];   /* [count]: ids */
    int count;
} pf_adoption;

/* Opens the store of a server's folder; with `make` also where there is none.  Close also
 * after a failure. */
pf_status pf_adoption_open(const char *output_dir, bool make, pf_adoption *out,
                           pf_error *error);
void pf_adoption_close(pf_adoption *adoption);

/* Takes in one folder, OUTPUT/videos/ID or a copy elsewhere on that disk, which is moved
 * there.  A film that was not finished goes back to the queue.  PF_E_INPUT,
 * PF_E_NOT_FOUND: this folder cannot be taken in. */
typedef struct pf_adopted {
    char id[PF_VIDEO_ID_BYTES];
    pf_video_status status;
    bool was_known;                     /* the store had it already */
} pf_adopted;
pf_status pf_adoption_take(pf_adoption *adoption, const char *folder, pf_adopted *out,
                           pf_error *error);

/* Shows what the store knows, by age; then folders below OUTPUT/videos that it does not
 * know.  `see_unknown` may take the folder in. */
pf_status pf_adoption_list(const pf_adoption *adoption,
                           void (*see)(void *user, const pf_video *video), void *user,
                           pf_error *error);
pf_status pf_adoption_list_unknown(pf_adoption *adoption,
                                   void (*see_unknown)(void *user, pf_adoption *adoption,
                                                       const char *folder),
                                   void *user, pf_error *error);

#endif
