/* SPDX-License-Identifier: Apache-2.0 */
/* Files: read-only maps, bounded reads, whole-or-nothing writes.
 *
 * Weights are mapped, not read: their pages come from the disk when a kernel touches them, and
 * go when the kernel needs memory.  So a file may fail, be cut or be changed long after it was
 * opened.  Where the handler of guard.h is installed, reading then gives zeros instead of a
 * signal, and whoever computes asks pf_map_check before it believes a result.
 *
 * Thread-safety: a map may be read and checked by any thread; opening, replacing and closing
 * it are the owner's, while nobody reads. */
#ifndef PF_BASE_FILE_H
#define PF_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A file mapped read-only and private; `data` is NULL for an empty file, of which nothing
 * else is known then. */
typedef struct pf_map {
    const unsigned char *data;
    size_t bytes;
    int fd;                     /* of the mapped file: its name may be another's by now */
    int range;                  /* of base/guard.h */
    int64_t changed;            /* when, before it was mapped: Unix time in nanoseconds */
    bool in_memory;             /* its file system keeps it in memory (tmpfs): mapping takes
                                 * no more, and forgetting gives nothing back */
} pf_map;

/* Maps a regular file.  Release with pf_map_close. */
pf_status pf_map_open(const char *path, pf_map *out, pf_error *error);
void pf_map_close(pf_map *map);

/* Is the content what it was when the file was mapped?  PF_E_MODEL: the file is shorter;
 * PF_E_IO: it was changed, or could not be read. */
pf_status pf_map_check(const pf_map *map, const char *path, pf_error *error);

/* Did reading the map fail, so that zeros were read? */
bool pf_map_is_lost(const pf_map *map);

/* Puts a map of as many bytes in the place of another, whose pointers stay valid, and
 * leaves `fresh` empty.  Nobody may read meanwhile.  Should it fail, the map is lost. */
pf_status pf_map_replace(pf_map *map, pf_map *fresh, const char *path, pf_error *error);

/* Tells the system that these bytes will not be needed soon (the pages leave the
 * process; they can be read again from the file). */
void pf_map_forget(const pf_map *map);

/* Reads a whole regular file of at most `max_bytes`; a NUL is appended and not
 * counted.  The caller frees *out with pf_free. */
pf_status pf_read_file(const char *path, size_t max_bytes, char **out,
                       size_t *out_bytes, pf_error *error);

/* A pf_part_file from beginning to end: afterwards PATH has the whole content or is
 * untouched. */
pf_status pf_write_file(const char *path, const void *data, size_t bytes,
                        pf_error *error);

/* True also for a link that leads nowhere; the other two follow links. */
bool pf_path_exists(const char *path);
bool pf_path_is_file(const char *path);
bool pf_path_is_folder(const char *path);

/* FOLDER/NAME in fresh memory (pf_free); NULL when out of memory. */
char *pf_path_join(const char *folder, const char *name);

#endif
