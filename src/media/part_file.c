/* Files under a temporary name.  See part_file.h. */
#include "media/part_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/memory.h"

enum { NAMES_TRIED = 100 };

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

/* Creates the file under the first name that is free: another process may be writing
 * the same film, or a killed one may have left its part behind. */
static pf_status create(pf_part_file *file, pf_error *error)
{
    for (int i = 1; i <= NAMES_TRIED; i++) {
        pf_free(file->part);
        file->part = i == 1 ? pf_format("%s.part", file->path)
                            : pf_format("%s.part%d", file->path, i);
        if (!file->part)
            return pf_fail_memory(error, file->path, strlen(file->path));
        file->fd = is_injected() ? -1
                                 : open(file->part,
                                        O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->fd >= 0) {
            file->exists = true;
            return PF_OK;
        }
        if (errno != EEXIST)
            break;
    }
    return fail_write(file, error);
}

pf_status pf_part_open(const char *path, pf_part_file *out, pf_error *error)
{
    *out = (pf_part_file){.fd = -1};
    PF_TRY(pf_path_check_target(path, error));
    out->path = pf_strdup(path);
    pf_status status = out->path ? create(out, error)
                                 : pf_fail_memory(error, path, strlen(path));
    if (status != PF_OK)
        pf_part_discard(out);
    return status;
}

pf_status pf_part_write(pf_part_file *file, const void *data, size_t bytes,
                        pf_error *error)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t put = is_injected() ? -1 : write(file->fd, from, bytes);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail_write(file, error);
        from += put;
        bytes -= (size_t)put;
    }
    return PF_OK;
}

pf_status pf_part_finish(pf_part_file *file, pf_error *error)
{
    pf_status status = PF_OK;
    if (is_injected() || (fsync(file->fd) != 0 && errno != EINVAL))
        status = fail_write(file, error);
    if (close(file->fd) != 0 && status == PF_OK)
        status = fail_write(file, error);
    file->fd = -1;
    return status;
}

pf_status pf_part_publish(pf_part_file *file, pf_error *error)
{
    if (is_injected() || rename(file->part, file->path) != 0)
        return fail_write(file, error);
    file->exists = false;
    return PF_OK;
}

void pf_part_withdraw(pf_part_file *file)
{
    unlink(file->path);
}

void pf_part_discard(pf_part_file *file)
{
    if (file->exists && file->fd >= 0)
        close(file->fd);
    if (file->exists)
        unlink(file->part);
    pf_free(file->part);
    pf_free(file->path);
    *file = (pf_part_file){.fd = -1};
}
