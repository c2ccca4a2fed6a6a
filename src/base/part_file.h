/* SPDX-License-Identifier: Apache-2.0 */
/* Files that get their name only when they are whole.
 *
 *     open -> write ... -> finish -> publish; discard at any time, also after publish.
 *
 * Beside the place that the path leads to (behind symbolic links) a new file is written
 * under a temporary name, with the permissions of the file that it replaces, and renamed
 * by publish.  Where there is nothing to rename - a pipe, a device, standard output, a
 * file whose folder may not be written to - an unnamed file is written instead, and
 * publish copies it: until then nothing of it can be seen there, too.
 */
#ifndef PF_BASE_PART_FILE_H
#define PF_BASE_PART_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/place.h"

/* Zero-initialised it is empty.  Used by one thread at a time. */
typedef struct pf_part_file {
    char *path;                 /* as it was given, for messages */
    pf_place place;             /* where it leads */
    char *part;                 /* in place.folder: NAME.part, NAME.part2 ...; NULL: none */
    int fd;                     /* the file while it is written: for reading and writing */
    int target;                 /* where publish copies it to, or -1 */
    bool exists;                /* under `part` */
    bool swapped;               /* `part` is the file that was replaced */
} pf_part_file;

/* Creates the file.  A pipe is opened: its reader must come within 10 s, and a signal ends
 * the waiting. */
pf_status pf_part_open(const char *path, pf_part_file *out, pf_error *error);

/* Writes all bytes at the current position. */
pf_status pf_part_write(pf_part_file *file, const void *data, size_t bytes,
                        pf_error *error);

/* Ends the writing: syncs, and closes a file that has a name. */
pf_status pf_part_finish(pf_part_file *file, pf_error *error);

/* Gives it its name, or copies it. */
pf_status pf_part_publish(pf_part_file *file, pf_error *error);

/* After publish, because a file that belongs to it failed: removes it and brings back the file
 * that it replaced.  Bytes that were copied stay. */
void pf_part_withdraw(pf_part_file *file);

/* Closes, removes what has not got its name, and frees the names. */
void pf_part_discard(pf_part_file *file);

#endif
