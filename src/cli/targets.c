/* Names of output files.  See targets.h. */
#include "cli/targets.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

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

/* FOLDER/film.mp4, or the first of film-2.mp4 ... that does not exist. */
static char *free_name(const char *folder)
{
    char name[32] = "film.mp4";
    for (int i = 2; i <= NAMES_TRIED; i++) {
        char *path = folder ? join(folder, "/", name) : strdup(name);
        if (!path || access(path, F_OK) != 0)
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
        fprintf(stderr, "phonofilm: --output-file-name is %s, but must be a name "
                "without a folder\n", name);
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

/* 0 or errno. */
static int make_one(const char *path)
{
    return mkdir(path, 0777) != 0 && errno != EEXIST ? errno : 0;
}

int targets_make_folder(const char *folder)
{
    char *path = strdup(folder);
    int reason = path ? 0 : ENOMEM;
    for (char *at = path; !reason && *at; at++)
        if (*at == '/' && at != path) {
            *at = '\0';
            reason = make_one(path);
            *at = '/';
        }
    if (!reason)
        reason = make_one(path);
    free(path);
    if (!reason)
        return EXIT_DONE;
    fprintf(stderr, "phonofilm: cannot make the folder %s: %s\n", folder,
            strerror(reason));
    return EXIT_FAILED;
}

/* --- where it goes ---------------------------------------------------------------- */

/* The folder of a path, "." if it has none; false when it is too long. */
static bool folder_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t bytes = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
    if (bytes >= PATH_MAX)
        return false;
    memcpy(out, bytes ? path : ".", bytes ? bytes : 1);
    out[bytes ? bytes : 1] = '\0';
    return true;
}

int targets_check_place(const named_file *file)
{
    char folder[PATH_MAX];
    struct stat info;
    if (!file->path)
        return EXIT_DONE;
    if (!folder_of(file->path, folder)) {
        fprintf(stderr, "phonofilm: %s is longer than a path may be\n", file->flag);
        return EXIT_WRONG;
    }
    if (stat(file->path, &info) == 0 && !S_ISREG(info.st_mode)) {
        fprintf(stderr, "phonofilm: %s: cannot write %s: it is there and no regular "
                "file\n", file->flag, file->path);
        return EXIT_FAILED;
    }
    int reason = stat(folder, &info) != 0 ? errno : S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
    if (!reason && access(folder, W_OK | X_OK) != 0)
        reason = errno;
    if (!reason)
        return EXIT_DONE;
    fprintf(stderr, "phonofilm: %s: cannot write %s: folder %s: %s\n", file->flag,
            file->path, folder, strerror(reason));
    return reason == ENOENT || reason == ENOTDIR ? EXIT_WRONG : EXIT_FAILED;
}

/* --- one file, one purpose ---------------------------------------------------------- */

static bool is_same_entry(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whether both names are, or would become, the same file. */
static bool is_same_file(const char *a, const char *b)
{
    char folder_a[PATH_MAX], folder_b[PATH_MAX];
    struct stat info_a, info_b;
    if (stat(a, &info_a) == 0 && stat(b, &info_b) == 0)
        return is_same_entry(&info_a, &info_b);
    return strcmp(base_of(a), base_of(b)) == 0 && folder_of(a, folder_a) &&
           folder_of(b, folder_b) && stat(folder_a, &info_a) == 0 &&
           stat(folder_b, &info_b) == 0 && is_same_entry(&info_a, &info_b);
}

static bool is_film_file(const run_files *files, const char *path)
{
    char frame[PATH_MAX];
    if (files->kind != PF_FILM_PNG)
        return is_same_file(files->film.path, path);
    for (int64_t i = 1; i <= files->frames; i++)
        if (pf_film_frame_path(files->film.path, i, frame, sizeof frame) &&
            is_same_file(frame, path))
            return true;
    return false;
}

static int complain(const named_file *a, const named_file *b)
{
    fprintf(stderr, "phonofilm: %s and %s are both %s; the one would replace the "
            "other\n", a->flag, b->flag, b->path);
    return EXIT_WRONG;
}

static int check_against(const run_files *files, const named_file *other, int first)
{
    if (!other->path)
        return EXIT_DONE;
    if (is_film_file(files, other->path))
        return complain(&files->film, other);
    for (int i = first; i < files->output_count; i++)
        if (files->outputs[i].path && is_same_file(files->outputs[i].path, other->path))
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
