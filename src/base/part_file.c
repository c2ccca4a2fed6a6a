/* SPDX-License-Identifier: Apache-2.0 */
/* Files under a temporary name.  See part_file.h.
 *
 *     place is           while written            publish
 *     -----------------  -----------------------  ------------------------------------
 *     free               NAME.part beside it      rename
 *     a file             NAME.part beside it      swap names; rename where it cannot;
 *                                                 copy where that is refused, too
 *     a file in a folder an unnamed file          copy over the file, room first
 *       without rights
 *     a stream           an unnamed file          copy
 *
 * Names are used within an opened folder, as a path may be longer than PATH_MAX. */
#include "base/part_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/memory.h"

enum {
    NAMES_TRIED = 100,
    COPY_BYTES = 1 << 16,
    MAX_ACL = 4096,
    MOMENTS = 200               /* of 50 ms, for the reader of a pipe to come */
};

static pf_status fail_write(const pf_part_file *file, pf_error *error)
{
    return pf_fail_errno(error, errno, "cannot write %s", file->path);
}

/* True, with errno, when a test wants the operation to fail. */
static bool is_injected(void)
{
    if (!pf_fault_hit(PF_FAULT_WRITE))
        return false;
    errno = ENOSPC;
    return true;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* --- a new file beside the place --------------------------------------------------- */

/* `name` without its last `count` characters: so many bytes at least, and so many units of
 * a file system that counts otherwise. */
static size_t cut_length(const char *name, size_t count)
{
    size_t bytes = strlen(name);
    while (bytes > 0 && count > 0) {
        bytes--;
        if (((unsigned char)name[bytes] & 0xC0) != 0x80)
            count--;
    }
    return bytes;
}

/* The nth temporary name; a short one takes no more room than the name itself. */
static char *part_name(const char *name, int n, bool is_short)
{
    char suffix[16] = ".part";
    if (n > 1)
        snprintf(suffix, sizeof suffix, ".part%d", n);
    size_t bytes = is_short ? cut_length(name, strlen(suffix)) : strlen(name);
    return pf_format("%.*s%s", (int)bytes, name, suffix);
}

/* Creates the file under the first name that is free: another process may be writing
 * the same film, or a killed one may have left its part behind. */
static pf_status create_beside(pf_part_file *file, int folder, pf_error *error)
{
    bool is_short = false;
    for (int n = 1; n <= NAMES_TRIED; n++) {
        pf_free(file->part);
        file->part = part_name(file->place.name, n, is_short);
        if (!file->part)
            return pf_fail_memory(error, file->path, strlen(file->path));
        file->fd = is_injected() ? -1
                                 : openat(folder, file->part,
                                          O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        file->exists = file->fd >= 0;
        if (file->exists)
            return PF_OK;
        if (errno == ENAMETOOLONG && !is_short) {
            is_short = true;
            n--;
        } else if (errno != EEXIST) {
            break;
        }
    }
    return fail_write(file, error);
}

/* Owner, mode and access list of the file that will be replaced, as far as they can be
 * given to another. */
static void keep_permissions(pf_part_file *file, int folder)
{
    struct stat old, new;
    char list[MAX_ACL];
    if (fstatat(folder, file->place.name, &old, 0) != 0 || fstat(file->fd, &new) != 0)
        return;
    if ((old.st_uid != new.st_uid || old.st_gid != new.st_gid) &&
        fchown(file->fd, old.st_uid, old.st_gid) != 0 &&
        fchown(file->fd, (uid_t)-1, old.st_gid) != 0)
        old.st_mode &= ~(mode_t)S_IRWXG;        /* another group gets no rights */
    fchmod(file->fd, old.st_mode & 0777);
    int fd = openat(folder, file->place.name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t bytes = fd < 0 ? -1 : fgetxattr(fd, "system.posix_acl_access", list, MAX_ACL);
    if (bytes > 0)
        fsetxattr(file->fd, "system.posix_acl_access", list, (size_t)bytes, 0);
    close_fd(&fd);
}

/* --- an unnamed file, to be copied --------------------------------------------------- */

/* In the folder of temporary files, or in memory. */
static int open_unnamed(void)
{
    const char *folders[] = {getenv("TMPDIR"), "/tmp", "/var/tmp"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (!folders[i] || !*folders[i])
            continue;
        int fd = open(folders[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0)
            return fd;
        char *path = pf_format("%s/phonofilm-XXXXXX", folders[i]);
        fd = path ? mkostemp(path, O_CLOEXEC) : -1;
        if (fd >= 0)
            unlink(path);
        pf_free(path);
        if (fd >= 0)
            return fd;
    }
    return memfd_create("phonofilm", MFD_CLOEXEC);
}

/* The number of the open file of this process that the place stands for, or -1:
 * /dev/stdout is not to be opened anew, at its beginning. */
static int own_descriptor(const pf_place *place, int folder)
{
    struct stat there, here;
    char *end = NULL;
    long number = strtol(place->name, &end, 10);
    bool is_number = place->name[0] >= '0' && place->name[0] <= '9' && !*end &&
                     number < 1 << 20;
    bool same = is_number && fstatat(folder, place->name, &there, 0) == 0 &&
                fstat((int)number, &here) == 0 && there.st_dev == here.st_dev &&
                there.st_ino == here.st_ino;
    return same ? (int)number : -1;
}

/* Opens a pipe for which somebody reads, soon; ENXIO: nobody does.  A signal ends the
 * waiting. */
static int open_pipe(const pf_place *place, int folder)
{
    static const struct timespec moment = {.tv_nsec = 50 * 1000 * 1000};
    for (int i = 0;; i++) {
        int fd = openat(folder, place->name, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0 && fcntl(fd, F_SETFL, O_WRONLY) == 0)
            return fd;
        if (fd >= 0 || errno != ENXIO || i == MOMENTS || nanosleep(&moment, NULL) != 0)
            return -1;
        errno = ENXIO;
    }
}

static int open_target(const pf_place *place, int folder)
{
    struct stat info;
    int own = place->kind == PF_PLACE_STREAM ? own_descriptor(place, folder) : -1;
    if (own < 0 && fstatat(folder, place->name, &info, 0) == 0 && S_ISFIFO(info.st_mode))
        return open_pipe(place, folder);
    if (own < 0)
        return openat(folder, place->name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if ((fcntl(own, F_GETFL) & O_ACCMODE) == O_RDONLY) {
        errno = EBADF;
        return -1;
    }
    return fcntl(own, F_DUPFD_CLOEXEC, 3);
}

/* Opens the target at once, so that a pipe without a reader is refused before a film is made,
 * and a file without a name to write to meanwhile. */
static pf_status create_unnamed(pf_part_file *file, int folder, pf_error *error)
{
    pf_free(file->part);
    file->part = NULL;
    file->target = is_injected() ? -1 : open_target(&file->place, folder);
    if (file->target < 0 && errno == ENXIO)
        return pf_fail(error, PF_E_IO, "cannot write %s: nobody reads from it", file->path);
    if (file->target < 0)
        return fail_write(file, error);
    if (isatty(file->target))
        return pf_fail(error, PF_E_ARGUMENT, "cannot write %s: it is a terminal",
                       file->path);
    file->fd = is_injected() ? -1 : open_unnamed();
    return file->fd >= 0 ? PF_OK
                         : pf_fail_errno(error, errno, "cannot write %s: no temporary file",
                                         file->path);
}

/* --- opening ---------------------------------------------------------------------- */

/* Whether a folder may not be written to although the file in it may. */
static bool only_file_is_writable(const pf_part_file *file, int folder)
{
    return file->place.kind == PF_PLACE_FILE &&
           faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) != 0;
}

static pf_status create(pf_part_file *file, int folder, pf_error *error)
{
    if (file->place.kind != PF_PLACE_FREE &&
        faccessat(folder, file->place.name, W_OK, AT_EACCESS) != 0)
        return fail_write(file, error);
    if (file->place.kind == PF_PLACE_STREAM || only_file_is_writable(file, folder))
        return create_unnamed(file, folder, error);
    PF_TRY(create_beside(file, folder, error));
    if (file->place.kind == PF_PLACE_FILE)
        keep_permissions(file, folder);
    return PF_OK;
}

pf_status pf_part_open(const char *path, pf_part_file *out, pf_error *error)
{
    *out = (pf_part_file){.fd = -1, .target = -1};
    PF_TRY(pf_place_find(path, &out->place, error));
    out->path = pf_strdup(path);
    int folder = out->path ? pf_place_open_folder(out->place.folder) : -1;
    pf_status status = !out->path    ? pf_fail_memory(error, path, strlen(path))
                       : folder >= 0 ? create(out, folder, error)
                                     : fail_write(out, error);
    close_fd(&folder);
    if (status != PF_OK)
        pf_part_discard(out);
    return status;
}

/* --- writing ---------------------------------------------------------------------- */

/* write() for all bytes, also where the other end does not wait; false with errno. */
static bool write_all(int fd, const void *data, size_t bytes)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t put = is_injected() ? -1 : write(fd, from, bytes);
        if (put < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else if (put < 0 && errno != EINTR)
            return false;
        from += put > 0 ? put : 0;
        bytes -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

pf_status pf_part_write(pf_part_file *file, const void *data, size_t bytes,
                        pf_error *error)
{
    return write_all(file->fd, data, bytes) ? PF_OK : fail_write(file, error);
}

pf_status pf_part_finish(pf_part_file *file, pf_error *error)
{
    if (file->target >= 0)
        return PF_OK;
    pf_status status = PF_OK;
    if (is_injected() || (fsync(file->fd) != 0 && errno != EINVAL))
        status = fail_write(file, error);
    if (close(file->fd) != 0 && status == PF_OK)
        status = fail_write(file, error);
    file->fd = -1;
    return status;
}

/* --- publishing ------------------------------------------------------------------- */

static bool copy_bytes(int from, int to)
{
    char block[COPY_BYTES];
    ssize_t got = 0;
    for (off_t at = 0; (got = pread(from, block, sizeof block, at)) > 0; at += got)
        if (!write_all(to, block, (size_t)got))
            return false;
    return got == 0;
}

/* Writes over a regular file.  Room is made sure of before the first byte changes. */
static bool copy_over(int from, int to, off_t bytes)
{
    struct stat old;
    if (fstat(to, &old) != 0)
        return false;
    if (bytes > 0 && fallocate(to, 0, 0, bytes) != 0 && errno != EOPNOTSUPP) {
        int reason = errno;
        int undone = ftruncate(to, old.st_size);
        errno = undone == 0 ? reason : errno;
        return false;
    }
    return copy_bytes(from, to) && ftruncate(to, bytes) == 0 &&
           (fsync(to) == 0 || errno == EINVAL);
}

static pf_status copy_to_target(pf_part_file *file, pf_error *error)
{
    struct stat info;
    bool copied = fstat(file->fd, &info) == 0 &&
                  (file->place.kind == PF_PLACE_FILE
                       ? copy_over(file->fd, file->target, info.st_size)
                       : copy_bytes(file->fd, file->target));
    if (!copied)
        return fail_write(file, error);
    int target = file->target;
    file->target = -1;
    return close(target) == 0 ? PF_OK : fail_write(file, error);
}

/* Renames.  A file of that name gets the temporary name, if the file system can swap. */
static bool give_name(pf_part_file *file, int folder)
{
    struct stat info;
    const char *name = file->place.name;
    bool replaces = fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (replaces && !S_ISREG(info.st_mode)) {
        errno = EEXIST;
        return false;
    }
    file->swapped = replaces && renameat2(folder, file->part, folder, name,
                                          RENAME_EXCHANGE) == 0;
    if (file->swapped)
        return true;
    file->exists = renameat(folder, file->part, folder, name) != 0;
    return !file->exists;
}

/* A file system may refuse to rename over a file that it lets be written: one that is
 * mounted by itself, or another's in a folder like /tmp. */
static bool copy_instead(pf_part_file *file, int folder)
{
    int reason = errno;
    if (reason != EBUSY && reason != EPERM && reason != EACCES && reason != EXDEV)
        return false;
    struct stat info;
    int from = openat(folder, file->part, O_RDONLY | O_CLOEXEC);
    int to = openat(folder, file->place.name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    bool copied = from >= 0 && to >= 0 && fstat(from, &info) == 0 &&
                  copy_over(from, to, info.st_size);
    close_fd(&from);
    close_fd(&to);
    errno = reason;
    return copied;
}

pf_status pf_part_publish(pf_part_file *file, pf_error *error)
{
    if (file->target >= 0)
        return copy_to_target(file, error);
    int folder = pf_place_open_folder(file->place.folder);
    bool published = folder >= 0 && !is_injected() &&
                     (give_name(file, folder) || copy_instead(file, folder));
    pf_status status = published ? PF_OK : fail_write(file, error);
    close_fd(&folder);
    return status;
}

void pf_part_withdraw(pf_part_file *file)
{
    int folder = file->part ? pf_place_open_folder(file->place.folder) : -1;
    if (folder >= 0 && file->swapped) {
        file->swapped = false;
        file->exists = renameat2(folder, file->part, folder, file->place.name,
                                 RENAME_EXCHANGE) == 0;     /* else nothing is removed */
    } else if (folder >= 0 && !file->exists) {
        unlinkat(folder, file->place.name, 0);
    }
    close_fd(&folder);
}

void pf_part_discard(pf_part_file *file)
{
    int folder = file->exists ? pf_place_open_folder(file->place.folder) : -1;
    if (folder >= 0)
        unlinkat(folder, file->part, 0);
    close_fd(&folder);
    if (file->path) {                   /* an empty part file has numbers of 0 */
        close_fd(&file->fd);
        close_fd(&file->target);
    }
    pf_free(file->part);
    pf_free(file->path);
    pf_place_free(&file->place);
    *file = (pf_part_file){.fd = -1, .target = -1};
}
