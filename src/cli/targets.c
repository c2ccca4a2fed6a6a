/* SPDX-License-Identifier: Apache-2.0 */
/* Names of output files.  See targets.h.
 *
 * All looks are made before the engine opens: a film takes minutes to hours, and must not
 * end at a folder that does not exist or in a file that was its own input.  Nothing is made
 * or locked by looking; opening the files later can still fail, and says so. */
#include "cli/targets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/say.h"
#include "media/part_file.h"

enum { NAMES_TRIED = 9999 };

/* --- the film's name -------------------------------------------------------------- */

static char *join(const char *left, const char *between, const char *right)
{
    size_t bytes = strlen(left) + strlen(between) + strlen(right) + 1;
    char *text = malloc(bytes);
    if (text)
        snprintf(text, bytes, "%s%s%s", left, between, right);
    return text;
}

static bool is_kind(const char *path, pf_place_kind kind)
{
    pf_place place = {0};
    bool is = pf_place_find(path, &place, NULL) == PF_OK && place.kind == kind;
    pf_place_free(&place);
    return is;
}

/* FOLDER/film.mp4, or the first of film-2.mp4 ... that does not exist.  A folder that is
 * not there yet holds no film: its first name is free. */
static char *free_name(const char *folder)
{
    char name[32] = "film.mp4";
    int there = pf_place_open_folder(folder ? folder : ".");
    if (there >= 0)
        close(there);
    for (int i = 2; i <= NAMES_TRIED; i++) {
        char *path = folder ? join(folder, "/", name) : strdup(name);
        if (!path || there < 0 || is_kind(path, PF_PLACE_FREE))
            return path;
        free(path);
        snprintf(name, sizeof name, "film-%d.mp4", i);
    }
    return NULL;
}

char *targets_film_path(const char *output, const char *folder, const char *name)
{
    if (output)
        return strdup(output);
    if (name && strchr(name, '/')) {
        cli_say("--output-file-name is %s, but must be a name "
                "without a folder", name);
        return NULL;
    }
    const char *ending = name && !strchr(name, '.') ? ".mp4" : "";
    char *named = name ? join(name, "", ending) : NULL;
    char *path = !name    ? free_name(folder)
                 : !named ? NULL
                 : folder ? join(folder, "/", named)
                          : strdup(named);
    free(named);
    if (!path)
        fprintf(stderr, "phonofilm: no free name for the film; give one with -o\n");
    return path;
}

/* mkdir -p from the folder `from`, component by component: a path of any length.  Closes
 * `from`, changes `path`; 0 or errno. */
static int make_below(int from, char *path)
{
    int reason = 0;
    for (char *name = path, *end; !reason && *name; name = end) {
        end = name + strcspn(name, "/");
        bool last = !*end;
        *end = '\0';
        int made = *name && mkdirat(from, name, 0777) != 0 ? errno : 0;
        int next = *name ? openat(from, name, O_PATH | O_DIRECTORY | O_CLOEXEC) : from;
        if (next < 0)
            reason = made && made != EEXIST ? made : errno;
        if (next != from && from >= 0)
            close(from);
        from = next;
        end += !last;
    }
    if (from >= 0)
        close(from);
    return reason;
}

int targets_make_folder(const char *folder)
{
    char *path = strdup(folder);
    int from = open(folder[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int reason = !path ? ENOMEM : from < 0 ? errno : make_below(from, path);
    free(path);
    if (!reason)
        return EXIT_DONE;
    cli_say("cannot make the folder %s: %s", folder, strerror(reason));
    return reason == ENAMETOOLONG || reason == ELOOP ? EXIT_WRONG : EXIT_FAILED;
}

/* --- where it goes ---------------------------------------------------------------- */

bool targets_is_folder(const char *path)
{
    struct stat info;
    size_t bytes = strlen(path);
    return (bytes > 0 && path[bytes - 1] == '/') ||
           (stat(path, &info) == 0 && S_ISDIR(info.st_mode));
}

bool targets_is_stream(const char *path)
{
    return is_kind(path, PF_PLACE_STREAM);
}

static int check_place(const named_file *file)
{
    pf_error error = {0};
    if (!file->path || pf_place_check(file->path, &error) == PF_OK)
        return EXIT_DONE;
    cli_say("%s: %s", file->flag, error.message);
    return error.status == PF_E_NOT_FOUND || error.status == PF_E_ARGUMENT ? EXIT_WRONG
                                                                           : EXIT_FAILED;
}

int targets_check_places(const run_files *files)
{
    int code = files->folder_is_made ? EXIT_DONE : check_place(&files->film);
    for (int i = 0; i < files->output_count && code == EXIT_DONE; i++)
        code = check_place(&files->outputs[i]);
    return code;
}

/* --- one file, one purpose ---------------------------------------------------------- */

/* Whether the film will write the file: itself, or one of its numbered pictures. */
static bool is_film_file(const run_files *files, const char *path)
{
    enum { DIGITS = 32 };
    if (files->kind != PF_FILM_PNG)
        return pf_place_is_same(files->film.path, path);
    size_t bytes = strlen(files->film.path) + DIGITS;
    char *frame = malloc(bytes);
    bool is = false;
    for (int64_t i = 1; frame && !is && i <= files->frames; i++)
        is = pf_film_frame_path(files->film.path, i, frame, bytes) &&
             pf_place_is_same(frame, path);
    free(frame);
    return is;
}

static int complain(const named_file *a, const named_file *b)
{
    cli_say("%s and %s are both %s; the one would replace the "
            "other", a->flag, b->flag, b->path);
    return EXIT_WRONG;
}

/* Compares `other` with the film and with the outputs from number `first` on, which lets
 * each pair of outputs be looked at once. */
static int check_against(const run_files *files, const named_file *other, int first)
{
    if (!other->path)
        return EXIT_DONE;
    if (is_film_file(files, other->path))
        return complain(&files->film, other);
    for (int i = first; i < files->output_count; i++)
        if (files->outputs[i].path && pf_place_is_same(files->outputs[i].path, other->path))
            return complain(&files->outputs[i], other);
    return EXIT_DONE;
}

int targets_check_distinct(const run_files *files)
{
    int code = EXIT_DONE;
    for (int i = 0; i < files->output_count && code == EXIT_DONE; i++)
        code = check_against(files, &files->outputs[i], i + 1);
    for (int i = 0; i < files->input_count && code == EXIT_DONE; i++)
        code = check_against(files, &files->inputs[i], 0);
    return code;
}
