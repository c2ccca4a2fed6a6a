/* SPDX-License-Identifier: Apache-2.0 */
/* The file that a film goes into: its name and its kind, from the flags that say them. */
#ifndef PF_CLI_FILM_FILE_H
#define PF_CLI_FILM_FILE_H

#include "cli/cli.h"
#include "media/film.h"

/* Values of --output, --output-path, --output-file-name and --format. */
typedef struct film_file_flags {
    const char *output, *folder, *name;
    int format;
} film_file_flags;

typedef struct film_file {
    char *path;
    pf_film_kind kind;
    char *folder;               /* of an --output-path that was a film's name, or NULL */
} film_file;

/* Chooses path and kind.  An exit code, after a message if it is not EXIT_DONE.  An
 * --output-path that names a file is split: `flags` then hold folder and name apart, and may
 * point into *out.  Release *out with film_file_free in any case. */
int film_file_choose(const cli_parser *parser, film_file_flags *flags, film_file *out);

/* Prints the film's name, or the first and the last of a film of pictures. */
void film_file_print(const film_file *file, int frames);

void film_file_free(film_file *file);

#endif
