/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that an older, longer film of numbered pictures left behind.  film.h says when.
 *
 *     new film   1 2 3 4
 *     on disk    1 2 3 4 5 6 7   9        5, 6, 7: removed, from 7 down
 *                                         9: somebody else's, named in a line
 *
 * Frames are numbered without gaps, so the older film's go on where the new one's end.
 * Files after a gap, and those that are no picture like ours, are somebody else's.
 * Removing files is the one thing here that cannot be undone: each doubt keeps a file.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "media/film_parts.h"

enum { HEAD_BYTES = 64 << 10 };         /* of a first frame, where its texts are */

/* Beginning of every frame that png.c writes: signature, length and name of the first
 * chunk; then width and height, any; then 8 bits, RGB, no interlacing. */
static const uint8_t begin[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
static const uint8_t form[] = {8, 2, 0, 0, 0};
enum { BEGIN_BYTES = sizeof begin - 1, FORM_AT = BEGIN_BYTES + 8 };

/* The beginning of a regular file, which is not followed to where a link points; 0 bytes
 * if there is none. */
static size_t read_head(const char *path, uint8_t *out, size_t bytes)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t got = 0;
    if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        got = read(fd, out, bytes);
    if (fd >= 0)
        close(fd);
    return got > 0 ? (size_t)got : 0;
}

static bool is_frame(const uint8_t *head, size_t bytes)
{
    return bytes >= FORM_AT + sizeof form && memcmp(head, begin, BEGIN_BYTES) == 0 &&
           memcmp(head + FORM_AT, form, sizeof form) == 0;
}

/* The text chunk "Encoder: phonofilm", as png.c writes it from the film's tags. */
pf_status pf_film_is_ours(const char *first_frame, bool *out, pf_error *error)
{
    static const char mark[] = "iTXtEncoder\0\0\0\0\0phonofilm";
    uint8_t *head = pf_alloc(HEAD_BYTES);
    if (!head)
        return pf_fail_memory(error, first_frame, HEAD_BYTES);
    size_t bytes = read_head(first_frame, head, HEAD_BYTES);
    *out = is_frame(head, bytes) && memmem(head, bytes, mark, sizeof mark - 1);
    pf_free(head);
    return PF_OK;
}

/* Compared as files, not as names: a picture that the film began with may be given by
 * another path or link. */
static bool is_kept(const pf_film_options *o, const char *path)
{
    struct stat frame, kept;
    for (int i = 0; i < o->kept_count; i++)
        if (o->kept[i] && stat(path, &frame) == 0 && stat(o->kept[i], &kept) == 0 &&
            frame.st_dev == kept.st_dev && frame.st_ino == kept.st_ino)
            return true;
    return false;
}

static bool is_older_frame(const pf_film_options *o, int64_t number)
{
    char path[PATH_MAX];
    uint8_t head[FORM_AT + sizeof form];
    return pf_film_frame_path(o->path, number, path, sizeof path) &&
           is_frame(head, read_head(path, head, sizeof head)) && !is_kept(o, path);
}

static void say(const pf_film_options *o, const char *format, ...) PF_PRINTF(2, 3);

static void say(const pf_film_options *o, const char *format, ...)
{
    char line[2 * PATH_MAX + 128];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (o->say)
        o->say(o->user, line);
}

/* Removes frames from the last one down, so that an interruption leaves no gap.  Returns the
 * lowest number that was removed. */
static int64_t remove_frames(const pf_film_options *o, int64_t first, int64_t last)
{
    char path[PATH_MAX];
    for (int64_t i = last; i >= first; i--) {
        pf_film_frame_path(o->path, i, path, sizeof path);
        if (unlink(path) == 0)
            continue;
        say(o, "%s is left of an older film: it cannot be removed: %s", path,
            strerror(errno));
        return i + 1;
    }
    return first;
}

/* The lowest number of a frame's name above `last` in the film's folder, and how many there
 * are; 0 and 0: none. */
static int64_t find_others(const pf_film_options *o, int64_t last, int64_t *count)
{
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(o->path, '/');
    int64_t lowest = 0, number;
    size_t bytes = slash ? (size_t)(slash - o->path) + (slash == o->path) : 0;
    *count = 0;
    if (slash && bytes < sizeof folder)
        snprintf(folder, sizeof folder, "%.*s", (int)bytes, o->path);
    DIR *listing = opendir(folder);
    for (struct dirent *e; listing && (e = readdir(listing)) != NULL;) {
        if (!pf_film_frame_number(o->path, e->d_name, &number) || number <= last)
            continue;
        lowest = lowest == 0 || number < lowest ? number : lowest;
        ++*count;
    }
    if (listing)
        closedir(listing);
    return lowest;
}

static void say_removed(const pf_film_options *o, int64_t first, int64_t last)
{
    char from[PATH_MAX] = "", to[PATH_MAX] = "";
    pf_film_frame_path(o->path, first, from, sizeof from);
    pf_film_frame_path(o->path, last, to, sizeof to);
    if (first == last)
        say(o, "%s, a frame of an older film, was removed", from);
    else
        say(o, "%s to %s, frames of an older film, were removed", from, to);
}

void pf_film_clear_older(const pf_film_options *o, int64_t frames, bool ours)
{
    char path[PATH_MAX] = "";
    int64_t last = frames, count = 0;
    while (ours && is_older_frame(o, last + 1))
        last++;
    if (last > frames) {
        int64_t first = remove_frames(o, frames + 1, last);
        if (first <= last)
            say_removed(o, first, last);
    }
    int64_t other = find_others(o, last, &count);
    if (count > 0 && pf_film_frame_path(o->path, other, path, sizeof path))
        say(o, "%lld more with names like frames of this film are left, from %s on: they "
            "are not of an older one", (long long)count, path);
}
