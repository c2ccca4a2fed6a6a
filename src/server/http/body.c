/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a request.  See body.h. */
#include "server/http/body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/guard.h"
#include "base/memory.h"

static int open_spool(const char *folder)
{
    int fd = pf_fault_hit(PF_FAULT_WRITE)
                 ? (errno = ENOSPC, -1)
                 : open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd;
    char *path = pf_format("%s/body-XXXXXX", folder);
    fd = path ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd >= 0)
        unlink(path);
    pf_free(path);
    return fd;
}

void pf_body_open(pf_body *body, const pf_body_disk *disk)
{
    *body = (pf_body){.disk = disk, .fd = -1};
}

/* --- space ------------------------------------------------------------------------ */

/* Gives back bytes that were set aside: they are on the disk now, or will not come. */
static void redeem(pf_body *body, int64_t bytes)
{
    if (bytes > body->promised)
        bytes = body->promised;
    body->promised -= bytes;
    if (bytes > 0)
        body->disk->redeem(body->disk->user, bytes);
}

static bool promise(pf_body *body, int64_t bytes)
{
    if (bytes <= body->promised)
        return true;
    int64_t more = bytes - body->promised;
    if (!body->disk->promise(body->disk->user, more)) {
        errno = ENOSPC;
        return false;
    }
    body->promised = bytes;
    return true;
}

void pf_body_expect(pf_body *body, uint64_t bytes)
{
    if (bytes > PF_BODY_SPILL && !body->ignored && !promise(body, (int64_t)bytes))
        body->error = errno;
}

/* --- keeping ---------------------------------------------------------------------- */

static bool write_all(pf_body *body, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t put = pf_fault_hit(PF_FAULT_WRITE) ? (errno = ENOSPC, -1)
                                                   : write(body->fd, data, bytes);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        data += put;
        bytes -= (size_t)put;
    }
    return true;
}

/* Bytes of a body without a length are set aside as they come. */
static bool write_body(pf_body *body, const char *data, size_t bytes)
{
    bool written = promise(body, (int64_t)bytes) && write_all(body, data, bytes);
    int reason = errno;
    if (written)
        redeem(body, (int64_t)bytes);
    errno = reason;
    return written;
}

static bool spill(pf_body *body)
{
    body->fd = open_spool(body->disk->folder);
    if (body->fd < 0 || !write_body(body, body->data, body->bytes))
        return false;
    pf_free(body->data);
    body->data = NULL;
    return true;
}

static bool grow_body(pf_body *body, size_t bytes)
{
    size_t room = body->room ? body->room : 4096;
    while (room < bytes + 1)
        room *= 2;
    if (room == body->room)
        return true;
    char *grown = pf_realloc(body->data, room);
    if (!grown) {
        errno = ENOMEM;
        return false;
    }
    body->data = grown;
    body->room = room;
    return true;
}

/* Gives back the file and the space of a body that nobody will read. */
static void drop_body(pf_body *body)
{
    redeem(body, body->promised);
    if (body->fd >= 0)
        close(body->fd);
    body->fd = -1;
}

void pf_body_take(pf_body *body, const char *data, size_t bytes)
{
    size_t total = body->bytes + bytes;
    if (total > body->limit)
        body->error = EFBIG;
    if (body->ignored) {
        body->bytes = total;
        return;
    }
    if (body->error == 0 && body->fd < 0 && total > PF_BODY_SPILL && !spill(body))
        body->error = errno;
    if (body->error == 0) {
        bool kept = body->fd >= 0 ? write_body(body, data, bytes) : grow_body(body, total);
        if (!kept)
            body->error = errno;
        else if (body->fd < 0)
            memcpy(body->data + body->bytes, data, bytes);
    }
    if (body->error != 0)
        drop_body(body);
    body->bytes = total;
}

/* Pages that a failing disk cannot give read as zeros (base/guard.h), of which no request
 * is made. */
static bool map_body(pf_body *body)
{
    void *map = mmap(NULL, body->bytes, PROT_READ, MAP_PRIVATE, body->fd, 0);
    if (map == MAP_FAILED)
        return false;
    body->range = pf_guard_add(map, body->bytes);
    if (body->range < 0) {
        munmap(map, body->bytes);
        errno = ENOMEM;
        return false;
    }
    body->data = map;
    return true;
}

void pf_body_finish(pf_body *body)
{
    if (body->error != 0 || body->fd < 0)
        return;
    body->mapped = map_body(body);
    if (!body->mapped)
        body->error = errno;
}

void pf_body_free(pf_body *body)
{
    redeem(body, body->promised);
    if (body->mapped) {
        pf_guard_remove(body->range);
        munmap(body->data, body->bytes);
    } else {
        pf_free(body->data);
    }
    if (body->fd >= 0)
        close(body->fd);
}
