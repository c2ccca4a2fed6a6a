/* SPDX-License-Identifier: Apache-2.0 */
/* Where a file of some path is, or would be made: the folder and the name in it, behind
 * all symbolic links. */
#ifndef PF_BASE_PLACE_H
#define PF_BASE_PLACE_H

#include <stdbool.h>

#include "base/error.h"

typedef enum pf_place_kind {
    PF_PLACE_FREE,              /* nothing has that name */
    PF_PLACE_FILE,              /* a regular file */
    PF_PLACE_STREAM             /* a pipe, a device, or an open file below /proc/ID/fd */
} pf_place_kind;

/* Zero-initialised it is empty. */
typedef struct pf_place {
    char *folder;               /* "." or a path, of any length */
    char *name;                 /* one component, not "." or ".." */
    pf_place_kind kind;
} pf_place;

/* Follows PATH.  A folder, a socket and a block device are PF_E_ARGUMENT: no file can be
 * written there.  A folder that is missing is PF_E_NOT_FOUND. */
pf_status pf_place_find(const char *path, pf_place *out, pf_error *error);
void pf_place_free(pf_place *place);

/* Checks that the file can be written: into its folder, or where it is. */
pf_status pf_place_check(const char *path, pf_error *error);

/* Whether both paths are, or would become, one file; false when either is no place. */
bool pf_place_is_same(const char *a, const char *b);

/* A descriptor (O_PATH) of a folder, whose path may be longer than PATH_MAX; -1 with
 * errno. */
int pf_place_open_folder(const char *path);

#endif
