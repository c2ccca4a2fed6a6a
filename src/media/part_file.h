/* Files that get their name only when they are whole. */
#ifndef PF_MEDIA_PART_FILE_H
#define PF_MEDIA_PART_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* open -> write ... -> finish -> publish; discard at any time, also after publish
 * (then it only frees).  Zero-initialised it is empty. */
typedef struct pf_part_file {
    char *path;                 /* the name that it will have */
    char *part;                 /* the name that it has: PATH.part, or PATH.part2 ... */
    int fd;                     /* open for reading and writing, or -1 */
    bool exists;                /* under `part` */
} pf_part_file;

/* Creates a new file beside PATH.  If PATH is there and no regular file, that is an
 * error now, not at the end. */
pf_status pf_part_open(const char *path, pf_part_file *out, pf_error *error);

/* Writes all bytes at the current position. */
pf_status pf_part_write(pf_part_file *file, const void *data, size_t bytes,
                        pf_error *error);

/* Syncs and closes. */
pf_status pf_part_finish(pf_part_file *file, pf_error *error);

/* Gives it its name. */
pf_status pf_part_publish(pf_part_file *file, pf_error *error);

/* Removes a published PATH again, because what belongs to it failed. */
void pf_part_withdraw(pf_part_file *file);

/* Closes, removes what has not got its name, and frees the names. */
void pf_part_discard(pf_part_file *file);

#endif
