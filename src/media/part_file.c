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

pf_status pf_part_open(const char *path, pf_part_file *out, pf_error *error)
{
    *out = (pf_part_file){.fd = -1};
    if (pf_path_is_folder(path))
        return pf_fail(error, PF_E_IO, "cannot write %s: it is a folder", path);
    out->path = pf_strdup(path);
    out->part = out->path ? pf_format("%s.part", path) : NULL;
    if (!out->part) {
        pf_part_discard(out);
        return pf_fail_memory(error, path, strlen(path));
    }
    out->fd = is_injected()
                  ? -1
                  : open(out->part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out->fd < 0) {
        pf_status status = fail_write(out, error);
        pf_part_discard(out);
        return status;
    }
    out->exists = true;
    return PF_OK;
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
