/* SPDX-License-Identifier: Apache-2.0 */
/* The name and the kind of a film's file.  See film_file.h.
 *
 *     -o FILE                                  that; "-" is /dev/stdout
 *     --output-path FOLDER                     FOLDER/film.mp4, or the next free number
 *     --output-path FOLDER --output-file-name  FOLDER/NAME
 *     --output-path FILE.mp4                   that: MOVA's own script means a file by it
 *     none                                     film.mp4, or the next free number
 *
 * The kind is that of the name's ending; --format says it where the name does not. */
#include "cli/film_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/say.h"
#include "cli/targets.h"

/* Splits an --output-path that is the whole name of the film, as MOVA's own script has it. */
static int split_folder(film_file_flags *flags, film_file *file)
{
    struct stat info;
    pf_film_kind kind;
    if (!flags->folder || flags->name ||
        pf_film_kind_of(flags->folder, &kind, NULL) != PF_OK ||
        (stat(flags->folder, &info) == 0 && S_ISDIR(info.st_mode)))
        return EXIT_DONE;
    file->folder = strdup(flags->folder);
    if (!file->folder) {
        fputs("phonofilm: out of memory: --output-path\n", stderr);
        return EXIT_FAILED;
    }
    char *slash = strrchr(file->folder, '/');
    flags->name = flags->folder + (slash ? slash + 1 - file->folder : 0);
    flags->folder = !slash ? NULL : slash == file->folder ? "/" : file->folder;
    if (slash)
        *slash = '\0';
    return EXIT_DONE;
}

static int complain_both(const cli_parser *parser, const char *other)
{
    cli_say("%s and %s both name the film; choose one", cli_flag(parser, "output"),
            cli_flag(parser, other));
    return EXIT_WRONG;
}

static int complain_folder(const cli_parser *parser, const char *path)
{
    cli_say("%s is the folder %s; name the film in it, or give --output-path instead",
            cli_flag(parser, "output"), path);
    return EXIT_WRONG;
}

/* Takes the kind from the name's ending, else from --format; pipes and devices need neither. */
static int choose_kind(const cli_parser *parser, int format, film_file *file)
{
    static const pf_film_kind kinds[] = {PF_FILM_MP4, PF_FILM_WEBM, PF_FILM_WAV};
    pf_error error = {0};
    bool given = cli_given(parser, "format");
    pf_status status = pf_film_kind_of(file->path, &file->kind, &error);
    if (status == PF_OK && given && kinds[format] != file->kind) {
        cli_say("%s is another kind than %s says; leave it out", cli_flag(parser, "format"),
                file->path);
        return EXIT_WRONG;
    }
    if (status == PF_OK)
        return EXIT_DONE;
    file->kind = given ? kinds[format] : PF_FILM_MP4;
    return given || targets_is_stream(file->path) ? EXIT_DONE : cli_fail(status, &error);
}

int film_file_choose(const cli_parser *parser, film_file_flags *flags, film_file *out)
{
    if (split_folder(flags, out) != EXIT_DONE)
        return EXIT_FAILED;
    if (flags->output && (flags->folder || flags->name))
        return complain_both(parser, flags->folder ? "output-path" : "output-file-name");
    if (flags->output && strcmp(flags->output, "-") == 0)
        flags->output = "/dev/stdout";
    if (flags->output && targets_is_folder(flags->output))
        return complain_folder(parser, flags->output);
    out->path = targets_film_path(flags->output, flags->folder, flags->name);
    return out->path ? choose_kind(parser, flags->format, out) : EXIT_WRONG;
}

/* --- telling ------------------------------------------------------------------------ */

/* A frame's name in fresh memory (free), or NULL. */
static char *frame_path(const film_file *file, int64_t number)
{
    enum { DIGITS = 32 };
    size_t bytes = strlen(file->path) + DIGITS;
    char *path = malloc(bytes);
    if (path && !pf_film_frame_path(file->path, number, path, bytes)) {
        free(path);
        path = NULL;
    }
    return path;
}

void film_file_print(const film_file *file, int frames)
{
    char *first = file->kind == PF_FILM_PNG ? frame_path(file, 1) : NULL;
    char *last = first ? frame_path(file, frames) : NULL;
    bool several = last && frames > 1;
    if (several)
        cli_print_name(first, " ... ");
    cli_print_name(several ? last : first ? first : file->path, "\n");
    free(first);
    free(last);
}

void film_file_free(film_file *file)
{
    free(file->path);
    free(file->folder);
    *file = (film_file){0};
}
