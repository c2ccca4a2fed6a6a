/* SPDX-License-Identifier: Apache-2.0 */
/* Paths to places.  See place.h.
 *
 *     path -> split: folder, name -> look: free, file, stream, or a link -> its path -> ...
 *
 * The kernel would follow links by itself, but a file that is to be renamed over must be
 * known by its last name: renaming over a link would replace the link. */
#include "base/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/memory.h"

enum { MAX_LINKS = 40 };                /* as the kernel has it */

/* --- folders ---------------------------------------------------------------------- */

/* Opens PATH[0..bytes) from the folder `from`, and closes that. */
static int step_into(int from, const char *path, size_t bytes)
{
    char part[PATH_MAX];
    memcpy(part, path, bytes);
    part[bytes] = '\0';
    int next = openat(from, part, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int reason = errno;
    if (from >= 0)
        close(from);
    errno = reason;
    return next;
}

int pf_place_open_folder(const char *path)
{
    int fd = AT_FDCWD;
    size_t rest = strlen(path);
    while (rest >= PATH_MAX) {          /* up to the last slash that fits */
        size_t bytes = PATH_MAX - 1;
        while (bytes > 1 && path[bytes - 1] != '/')
            bytes--;
        fd = step_into(fd, path, bytes);
        if (fd < 0)
            return -1;
        while (path[bytes] == '/')
            bytes++;
        path += bytes;
        rest = strlen(path);
    }
    return rest == 0 ? fd : step_into(fd, path, rest);
}

/* --- following -------------------------------------------------------------------- */

/* Splits PATH; false when it ends in a slash, "." or ".." and so names a folder. */
static pf_status split(const char *path, pf_place *out, pf_error *error)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    pf_place_free(out);
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return pf_fail(error, PF_E_ARGUMENT, "cannot write %s: %s", path,
                       *path ? "it is a folder" : "the name is empty");
    size_t bytes = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
    out->folder = bytes ? pf_format("%.*s", (int)bytes, path) : pf_strdup(".");
    out->name = pf_strdup(name);
    return out->folder && out->name ? PF_OK
                                    : pf_fail_memory(error, path, strlen(path));
}

/* The path that the link at `place` holds, from where `place` is seen; NULL, with errno. */
static char *read_link(int folder, const pf_place *place)
{
    char text[PATH_MAX];
    ssize_t bytes = readlinkat(folder, place->name, text, sizeof text - 1);
    if (bytes < 0)
        return NULL;
    text[bytes] = '\0';
    errno = ENOMEM;
    return text[0] == '/' ? pf_strdup(text) : pf_format("%s/%s", place->folder, text);
}

/* Links below /proc lead to an open file, whatever path they show. */
static bool is_magic(int folder)
{
    struct statfs info;
    return fstatfs(folder, &info) == 0 && info.f_type == PROC_SUPER_MAGIC;
}

static pf_status set_kind(const char *path, mode_t mode, bool magic, pf_place *out,
                          pf_error *error)
{
    const char *reason = S_ISDIR(mode)    ? "it is a folder"
                         : S_ISSOCK(mode) ? "it is a socket"
                         : S_ISBLK(mode)  ? "it is a disk"
                                          : NULL;
    if (reason)
        return pf_fail(error, PF_E_ARGUMENT, "cannot write %s: %s", path, reason);
    out->kind = S_ISREG(mode) && !magic ? PF_PLACE_FILE : PF_PLACE_STREAM;
    return PF_OK;
}

static pf_status fail_length(const char *path, int folder, const char *name,
                             pf_error *error)
{
    long most = fpathconf(folder, _PC_NAME_MAX);
    return pf_fail(error, PF_E_ARGUMENT,
                   "cannot write %s: its name has %zu bytes, but may have %ld there", path,
                   strlen(name), most > 0 ? most : NAME_MAX);
}

/* Looks at the name in its folder.  *link is the path to go on with, or NULL. */
static pf_status look(const char *path, int folder, pf_place *out, char **link,
                      pf_error *error)
{
    struct stat info;
    bool magic = false;
    if (fstatat(folder, out->name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        out->kind = PF_PLACE_FREE;
        if (errno == ENAMETOOLONG)
            return fail_length(path, folder, out->name, error);
        return errno == ENOENT ? PF_OK
                               : pf_fail_errno(error, errno, "cannot write %s", path);
    }
    if (S_ISLNK(info.st_mode)) {
        magic = is_magic(folder);
        if (!magic && (*link = read_link(folder, out)) != NULL)
            return PF_OK;
        if (!magic || fstatat(folder, out->name, &info, 0) != 0)
            return pf_fail_errno(error, errno, "cannot write %s", path);
    }
    return set_kind(path, info.st_mode, magic, out, error);
}

static pf_status follow_one(const char *path, const char *at, pf_place *out, char **link,
                            pf_error *error)
{
    *link = NULL;
    PF_TRY(split(at, out, error));
    int folder = pf_place_open_folder(out->folder);
    if (folder < 0)
        return pf_fail_errno(error, errno, "cannot write %s: folder %s", path,
                             out->folder);
    pf_status status = look(path, folder, out, link, error);
    close(folder);
    return status;
}

pf_status pf_place_find(const char *path, pf_place *out, pf_error *error)
{
    char *at = pf_strdup(path), *link = NULL;
    pf_status status = at ? PF_OK : pf_fail_memory(error, path, strlen(path));
    *out = (pf_place){0};
    for (int links = 0; status == PF_OK; links++) {
        status = links > MAX_LINKS ? pf_fail_errno(error, ELOOP, "cannot write %s", path)
                                   : follow_one(path, at, out, &link, error);
        pf_free(at);
        at = link;
        link = NULL;
        if (!at)
            break;
    }
    if (status != PF_OK)
        pf_place_free(out);
    return status;
}

void pf_place_free(pf_place *place)
{
    pf_free(place->folder);
    pf_free(place->name);
    *place = (pf_place){0};
}

/* --- questions -------------------------------------------------------------------- */

/* Whether the effective user has that access; sets errno if not. */
static bool may(int folder, const char *name, int mode)
{
    return faccessat(folder, name, mode, AT_EACCESS) == 0;
}

static pf_status check(const char *path, const pf_place *place, int folder,
                       pf_error *error)
{
    if (place->kind != PF_PLACE_FREE)
        return may(folder, place->name, W_OK)
                   ? PF_OK
                   : pf_fail_errno(error, errno, "cannot write %s", path);
    return may(folder, ".", W_OK | X_OK)
               ? PF_OK
               : pf_fail_errno(error, errno, "cannot write %s: folder %s", path,
                               place->folder);
}

pf_status pf_place_check(const char *path, pf_error *error)
{
    pf_place place;
    PF_TRY(pf_place_find(path, &place, error));
    int folder = pf_place_open_folder(place.folder);
    pf_status status = folder >= 0 ? check(path, &place, folder, error)
                                   : pf_fail_errno(error, errno, "cannot write %s", path);
    if (folder >= 0)
        close(folder);
    pf_place_free(&place);
    return status;
}

static bool is_same_entry(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Looks at the file, or at its folder while there is none. */
static bool look_up(const pf_place *place, struct stat *out)
{
    int folder = pf_place_open_folder(place->folder);
    if (folder < 0)
        return false;
    bool found = place->kind == PF_PLACE_FREE ? fstat(folder, out) == 0
                                              : fstatat(folder, place->name, out, 0) == 0;
    close(folder);
    return found;
}

bool pf_place_is_same(const char *a, const char *b)
{
    pf_place one = {0}, other = {0};
    struct stat info_one, info_other;
    bool same = pf_place_find(a, &one, NULL) == PF_OK &&
                pf_place_find(b, &other, NULL) == PF_OK &&
                (one.kind == PF_PLACE_FREE) == (other.kind == PF_PLACE_FREE) &&
                look_up(&one, &info_one) && look_up(&other, &info_other) &&
                is_same_entry(&info_one, &info_other) &&
                (one.kind != PF_PLACE_FREE || strcmp(one.name, other.name) == 0);
    pf_place_free(&one);
    pf_place_free(&other);
    return same;
}
