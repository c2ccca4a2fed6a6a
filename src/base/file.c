/* SPDX-License-Identifier: Apache-2.0 */
/* Files.  See file.h.
 *
 * Opening, mapping, looking at and reading a file count as events of PF_FAULT_READ, so that
 * tests can make each of them fail in turn. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/guard.h"
#include "base/memory.h"
#include "base/part_file.h"

/* Caches and stores of models are full of links; one without its target is missing. */
static pf_status fail_opening(const char *path, int reason, pf_error *error)
{
    char target[PATH_MAX];
    ssize_t length = reason == ENOENT ? readlink(path, target, sizeof target) : -1;
    if (length < 0)
        return pf_fail_errno(error, reason, "cannot open %s", path);
    return pf_fail(error, PF_E_NOT_FOUND,
                   "cannot open %s: it is a link to %.*s, which is not there", path,
                   (int)length, target);
}

/* Opens a regular file and tells its size.  A pipe without a writer would wait for one,
 * so it is opened without waiting. */
static pf_status open_regular(const char *path, int *out_fd, size_t *out_bytes,
                              pf_error *error)
{
    struct stat info;
    int fd = pf_fault_hit(PF_FAULT_READ) ? (errno = EIO, -1)
                                         : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_opening(path, errno, error);
    if (fstat(fd, &info) != 0) {
        int reason = errno;
        close(fd);
        return pf_fail_errno(error, reason, "cannot look at %s", path);
    }
    if (!S_ISREG(info.st_mode)) {
        close(fd);
        return pf_fail(error, PF_E_IO, "%s is not a regular file", path);
    }
    *out_fd = fd;
    *out_bytes = (size_t)info.st_size;
    return PF_OK;
}

static bool lies_in_memory(int fd)
{
    struct statfs info;
    return fstatfs(fd, &info) == 0 &&
           (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC ||
            info.f_type == HUGETLBFS_MAGIC);
}

/* Time of the last write, Unix time in nanoseconds. */
static int64_t time_of_change(const struct stat *info)
{
    return info->st_mtim.tv_sec * INT64_C(1000000000) + info->st_mtim.tv_nsec;
}

/* Takes over the descriptor, also when it fails. */
static pf_status map_file(const char *path, int fd, pf_map *out, pf_error *error)
{
    struct stat info;
    void *data = pf_fault_hit(PF_FAULT_READ) || fstat(fd, &info) != 0
                     ? (errno = ENOMEM, MAP_FAILED)
                     : mmap(NULL, out->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        int reason = errno;
        close(fd);
        return pf_fail_errno(error, reason, "cannot map %s", path);
    }
    int range = pf_guard_add(data, out->bytes);
    if (range < 0) {
        munmap(data, out->bytes);
        close(fd);
        return pf_fail(error, PF_E_IO, "cannot map %s: too many files are mapped", path);
    }
    *out = (pf_map){data, out->bytes, fd, range, time_of_change(&info),
                    lies_in_memory(fd)};
    return PF_OK;
}

pf_status pf_map_open(const char *path, pf_map *out, pf_error *error)
{
    int fd = -1;
    *out = (pf_map){0};
    PF_TRY(open_regular(path, &fd, &out->bytes, error));
    if (out->bytes == 0) {
        close(fd);
        return PF_OK;
    }
    pf_status status = map_file(path, fd, out, error);
    if (status != PF_OK)
        *out = (pf_map){0};
    return status;
}

void pf_map_close(pf_map *map)
{
    if (map->data) {
        pf_guard_remove(map->range);
        munmap((void *)(uintptr_t)map->data, map->bytes);
        close(map->fd);
    }
    *map = (pf_map){0};
}

bool pf_map_is_lost(const pf_map *map)
{
    return map->data && pf_guard_is_lost(map->range);
}

/* Asks the open file, not its name: another file may have that by now, which is the business
 * of pf_map_replace. */
pf_status pf_map_check(const pf_map *map, const char *path, pf_error *error)
{
    struct stat info;
    if (!map->data)
        return PF_OK;
    if ((pf_fault_hit(PF_FAULT_READ) ? (errno = EIO, -1) : fstat(map->fd, &info)) != 0)
        return pf_fail_errno(error, errno, "cannot look at %s", path);
    if ((uint64_t)info.st_size < map->bytes)
        return pf_fail(error, PF_E_MODEL,
                       "%s was cut while it was in use: it has %lld of %zu bytes; put the "
                       "whole file back", path, (long long)info.st_size, map->bytes);
    if ((uint64_t)info.st_size > map->bytes || time_of_change(&info) != map->changed)
        return pf_fail(error, PF_E_IO, "%s was changed while it was in use", path);
    if (pf_map_is_lost(map))
        return pf_fail(error, PF_E_IO,
                       "%s could not be read while it was in use: its disk or network "
                       "drive fails", path);
    return PF_OK;
}

/* Moves the fresh mapping to the addresses of the old one, in one system call: weights hold
 * pointers into it, and between two calls another thread's mmap could take the place. */
pf_status pf_map_replace(pf_map *map, pf_map *fresh, const char *path, pf_error *error)
{
    void *place = (void *)(uintptr_t)map->data;
    void *from = (void *)(uintptr_t)fresh->data;
    pf_guard_remove(fresh->range);
    if (mremap(from, fresh->bytes, map->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place) !=
        place) {
        int reason = errno;
        pf_guard_lose(map->range);
        munmap(from, fresh->bytes);
        close(fresh->fd);
        *fresh = (pf_map){0};
        return pf_fail_errno(error, reason, "cannot map %s again", path);
    }
    close(map->fd);
    map->fd = fresh->fd;
    map->changed = fresh->changed;
    pf_guard_renew(map->range);
    *fresh = (pf_map){0};
    return PF_OK;
}

void pf_map_forget(const pf_map *map)
{
    if (map->data)
        madvise((void *)(uintptr_t)map->data, map->bytes, MADV_DONTNEED);
}

/* Reads exactly `bytes`; a file that became shorter meanwhile is a failure. */
static pf_status read_all(int fd, const char *path, char *buffer, size_t bytes,
                          pf_error *error)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pf_fault_hit(PF_FAULT_READ)
                          ? (errno = EIO, -1)
                          : read(fd, buffer + done, bytes - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pf_fail_errno(error, errno, "cannot read %s", path);
        if (got == 0)
            return pf_fail(error, PF_E_IO, "%s became shorter while it was read",
                           path);
        done += (size_t)got;
    }
    return PF_OK;
}

pf_status pf_read_file(const char *path, size_t max_bytes, char **out,
                       size_t *out_bytes, pf_error *error)
{
    int fd = -1;
    size_t bytes = 0;
    *out = NULL;
    PF_TRY(open_regular(path, &fd, &bytes, error));
    if (bytes > max_bytes) {
        close(fd);
        return pf_fail(error, PF_E_INPUT,
                       "%s has %zu bytes, more than the limit of %zu", path,
                       bytes, max_bytes);
    }
    char *buffer = pf_alloc(bytes + 1);
    pf_status status = buffer ? read_all(fd, path, buffer, bytes, error)
                              : pf_fail_memory(error, path, bytes);
    close(fd);
    if (status != PF_OK) {
        pf_free(buffer);
        return status;
    }
    buffer[bytes] = '\0';
    *out = buffer;
    if (out_bytes)
        *out_bytes = bytes;
    return PF_OK;
}

pf_status pf_write_file(const char *path, const void *data, size_t bytes,
                        pf_error *error)
{
    pf_part_file file;
    PF_TRY(pf_part_open(path, &file, error));
    pf_status status = pf_part_write(&file, data, bytes, error);
    if (status == PF_OK)
        status = pf_part_finish(&file, error);
    if (status == PF_OK)
        status = pf_part_publish(&file, error);
    pf_part_discard(&file);
    return status;
}

bool pf_path_exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

bool pf_path_is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool pf_path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

char *pf_path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder);
    const char *slash = length > 0 && folder[length - 1] == '/' ? "" : "/";
    return pf_format("%s%s%s", folder, slash, name);
}
