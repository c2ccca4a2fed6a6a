/* SPDX-License-Identifier: Apache-2.0 */
/* A film as numbered PNG files.
 *
 *     frame    NAME-0001.png.part, NAME-0002.png.part ...    closed as they come
 *     publish  every one gets its name; if one cannot, the earlier ones go back
 *     settle   frames that an older, longer film left behind are removed
 *                                                            (film_older.c)
 *
 * The first one carries the metadata, by which a later film knows this one for ours.  Part
 * files are closed once written, so the number of frames is not bounded by the number of
 * open files; a record of each stays until the end.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "media/film_parts.h"
#include "media/png.h"

typedef struct png_film {
    const pf_film_options *options;
    pf_part_file *files;                /* [capacity], `count` in use */
    int64_t count, capacity;
    bool replaces_ours;                 /* a film of ours had the name */
} png_film;

/* --- names ----------------------------------------------------------------------- */

/* Finds %d or %04d in `name`: where it begins and ends, and how many digits. */
static bool find_number(const char *name, const char **begin, const char **end,
                        int *digits)
{
    for (const char *at = strchr(name, '%'); at; at = strchr(at + 1, '%')) {
        const char *next = at + 1;
        *digits = 1;
        if (next[0] == '0' && isdigit((unsigned char)next[1])) {
            *digits = next[1] - '0';
            next += 2;
        }
        if (*next != 'd')
            continue;
        *begin = at;
        *end = next + 1;
        return true;
    }
    return false;
}

/* snprintf with the number in its place; bytes may be 0. */
static int print_path(const char *path, int64_t number, char *out, size_t bytes)
{
    const char *slash = strrchr(path, '/');
    const char *begin, *end, *dash = "";
    int digits;
    if (!find_number(slash ? slash + 1 : path, &begin, &end, &digits)) {
        begin = end = strrchr(path, '.');
        dash = "-";
        digits = 4;
    }
    return snprintf(out, bytes, "%.*s%s%0*lld%s", (int)(begin - path), path, dash,
                    digits, (long long)number, end);
}

bool pf_film_frame_path(const char *path, int64_t number, char *out, size_t bytes)
{
    int length = print_path(path, number, out, bytes);
    return length >= 0 && (size_t)length < bytes;
}

bool pf_film_frame_number(const char *path, const char *name, int64_t *number)
{
    char printed[NAME_MAX + 2];
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *begin, *end;
    int digits;
    size_t at;
    if (find_number(base, &begin, &end, &digits))
        at = (size_t)(begin - base);
    else
        at = (size_t)(strrchr(base, '.') - base) + 1;
    if (strlen(name) <= at || !isdigit((unsigned char)name[at]))
        return false;
    errno = 0;
    *number = strtoll(name + at, NULL, 10);
    /* Any other name that begins so is not that of a frame. */
    return errno == 0 && pf_film_frame_path(base, *number, printed, sizeof printed) &&
           strcmp(name, printed) == 0;
}

/* The path of a frame in fresh memory; NULL after a message. */
static char *frame_path(const pf_film_options *options, int64_t number, pf_error *error)
{
    size_t bytes = (size_t)print_path(options->path, number, NULL, 0) + 1;
    char *path = pf_alloc(bytes);
    if (path)
        print_path(options->path, number, path, bytes);
    else
        pf_fail_memory(error, options->path, bytes);
    return path;
}

/* --- frames ---------------------------------------------------------------------- */

static pf_status grow(png_film *film, pf_error *error)
{
    if (film->count < film->capacity)
        return PF_OK;
    int64_t capacity = film->capacity ? 2 * film->capacity : 64;
    size_t bytes = (size_t)capacity * sizeof *film->files;
    pf_part_file *files = pf_realloc(film->files, bytes);
    if (!files)
        return pf_fail_memory(error, "names of frames", bytes);
    film->files = files;
    film->capacity = capacity;
    return PF_OK;
}

static pf_status write_frame(void *self, const uint8_t *rgb, pf_error *error)
{
    png_film *film = self;
    const pf_film_options *options = film->options;
    pf_png png = {rgb, options->width, options->height, options->tags,
                  film->count == 0 ? options->tag_count : 0};
    PF_TRY(grow(film, error));
    char *path = frame_path(options, film->count + 1, error);
    if (!path)
        return PF_E_MEMORY;
    pf_status status = pf_png_write(path, &png, &film->files[film->count], error);
    pf_free(path);
    if (status == PF_OK)
        film->count++;
    return status;
}

/* --- file ------------------------------------------------------------------------ */

static void destroy(void *self)
{
    png_film *film = self;
    if (!film)
        return;
    for (int64_t i = 0; i < film->count; i++)
        pf_part_discard(&film->files[i]);
    pf_free(film->files);
    pf_free(film);
}

/* Checks the name of the last frame, which is the longest. */
static pf_status check_last_name(const pf_film_options *options, pf_error *error)
{
    char *path = frame_path(options, options->frames > 0 ? options->frames : 1, error);
    pf_status status = path ? pf_place_check(path, error) : PF_E_MEMORY;
    pf_free(path);
    return status;
}

static pf_status open_png(const pf_film_options *options, void **self, pf_error *error)
{
    png_film *film = pf_calloc(1, sizeof *film);
    *self = NULL;
    if (!film)
        return pf_fail_memory(error, options->path, sizeof *film);
    film->options = options;
    /* Names that cannot be written are known now, not after the first frame. */
    pf_status status = check_last_name(options, error);
    if (status != PF_OK) {
        destroy(film);
        return status;
    }
    *self = film;
    return PF_OK;
}

/* Each file was completed when its frame was written. */
static pf_status finish(void *self, pf_error *error)
{
    (void)self;
    (void)error;
    return PF_OK;
}

static void withdraw_first(png_film *film, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        pf_part_withdraw(&film->files[i]);
}

/* Renames all frames; if one cannot be renamed, those that were are withdrawn.  Whose film
 * had the name is looked up before the first rename covers it. */
static pf_status publish(void *self, pf_error *error)
{
    png_film *film = self;
    if (film->count > 0)
        PF_TRY(pf_film_is_ours(film->files[0].path, &film->replaces_ours, error));
    for (int64_t i = 0; i < film->count; i++) {
        pf_status status = pf_part_publish(&film->files[i], error);
        if (status == PF_OK)
            continue;
        withdraw_first(film, i);
        return status;
    }
    return PF_OK;
}

static void settle(void *self)
{
    png_film *film = self;
    pf_film_clear_older(film->options, film->count, film->replaces_ours);
}

static void withdraw(void *self)
{
    withdraw_first(self, ((png_film *)self)->count);
}

const pf_film_writer pf_film_png_writer = {
    .open = open_png,
    .frame = write_frame,
    .finish = finish,
    .publish = publish,
    .settle = settle,
    .withdraw = withdraw,
    .destroy = destroy,
};
