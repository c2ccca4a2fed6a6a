/* Files: read-only maps, bounded reads, whole-or-nothing writes. */
#ifndef PF_BASE_FILE_H
#define PF_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A file mapped read-only and private; `data` is NULL for an empty file. */
typedef struct pf_map {
    const unsigned char *data;
    size_t bytes;
} pf_map;

/* Maps a regular file.  Release with pf_map_close. */
pf_status pf_map_open(const char *path, pf_map *out, pf_error *error);
void pf_map_close(pf_map *map);

/* Tells the system that these bytes will not be needed soon (the pages leave the
 * process; they can be read again from the file). */
void pf_map_forget(const pf_map *map);

/* Reads a whole regular file of at most `max_bytes`; a NUL is appended and not
 * counted.  The caller frees *out with pf_free. */
pf_status pf_read_file(const char *path, size_t max_bytes, char **out,
                       size_t *out_bytes, pf_error *error);

/* Writes to PATH.part in the same folder, syncs and renames: afterwards PATH has
 * the whole content or is untouched. */
pf_status pf_write_file(const char *path, const void *data, size_t bytes,
                        pf_error *error);

/* Refuses a path that exists and is no regular file: it would be replaced. */
pf_status pf_path_check_target(const char *path, pf_error *error);

/* Also a link that leads nowhere. */
bool pf_path_exists(const char *path);
bool pf_path_is_file(const char *path);
bool pf_path_is_folder(const char *path);

/* FOLDER/NAME in fresh memory (pf_free); NULL when out of memory. */
char *pf_path_join(const char *folder, const char *name);

#endif
