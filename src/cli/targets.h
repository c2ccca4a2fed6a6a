/* SPDX-License-Identifier: Apache-2.0 */
/* The files that a run will write, looked at before any work is done. */
#ifndef PF_CLI_TARGETS_H
#define PF_CLI_TARGETS_H

#include <stdbool.h>
#include <stdint.h>

#include "media/film.h"

/* A file of the command line; `path` is NULL when it was not given. */
typedef struct named_file {
    const char *flag, *path;
} named_file;

/* The film's path from the three flags (each may be NULL); makes nothing.  NULL after
 * a message; otherwise free() it. */
char *targets_film_path(const char *output, const char *folder, const char *name);

/* mkdir -p.  An exit code, after a message. */
int targets_make_folder(const char *folder);

/* Whether the path names a folder: one that is there, or by the slash at its end. */
bool targets_is_folder(const char *path);

/* Whether the path leads to a pipe or a device. */
bool targets_is_stream(const char *path);

/* Files that a run writes and reads. */
typedef struct run_files {
    named_file film;
    pf_film_kind kind;
    int64_t frames;                     /* of a film of .png files */
    bool folder_is_made;                /* the film's folder, later */
    const named_file *outputs;          /* the others that are written */
    int output_count;
    const named_file *inputs;
    int input_count;
} run_files;

/* Checks that every output can be written: its folder is there and may be written to, or
 * the file, pipe or device may.  An exit code, after a message. */
int targets_check_places(const run_files *files);

/* Checks that no output is another output or an input.  An exit code, after a message. */
int targets_check_distinct(const run_files *files);

#endif
