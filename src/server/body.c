/* The body of a request.  See body.h. */
#include "server/body.h"

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

static bool write_body(pf_http_request *request, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t put = pf_fault_hit(PF_FAULT_WRITE) ? (errno = ENOSPC, -1)
                                                   : write(request->body_fd, data, bytes);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        data += put;
        bytes -= (size_t)put;
    }
    return true;
}

static bool spill(pf_http_request *request, const char *spool)
{
    request->body_fd = open_spool(spool);
    if (request->body_fd < 0 || !write_body(request, request->body, request->body_bytes))
        return false;
    pf_free(request->body);
    request->body = NULL;
    return true;
}

static bool grow_body(pf_http_request *request, size_t bytes)
{
    size_t room = request->body_room ? request->body_room : 4096;
    while (room < bytes + 1)
        room *= 2;
    if (room == request->body_room)
        return true;
    char *grown = pf_realloc(request->body, room);
    if (!grown) {
        errno = ENOMEM;
        return false;
    }
    request->body = grown;
    request->body_room = room;
    return true;
}

void pf_body_take(pf_http_request *request, const char *spool, const char *data,
                  size_t bytes)
{
    size_t total = request->body_bytes + bytes;
    if (total > request->body_limit)
        request->body_error = EFBIG;
    if (request->body_ignored) {
        request->body_bytes = total;
        return;
    }
    if (request->body_error == 0 && request->body_fd < 0 && total > PF_BODY_SPILL &&
        !spill(request, spool))
        request->body_error = errno;
    if (request->body_error == 0) {
        bool kept = request->body_fd >= 0 ? write_body(request, data, bytes)
                                          : grow_body(request, total);
        if (!kept)
            request->body_error = errno;
        else if (request->body_fd < 0)
            memcpy(request->body + request->body_bytes, data, bytes);
    }
    request->body_bytes = total;
}

static void reply_body_error(pf_http_request *request)
{
    request->reply.close = true;
    if (request->body_error == EFBIG)
        pf_http_reply_error(request, &(pf_http_fault){413, "too_large", NULL, 0},
                            "the body has more than the %zu bytes that this request "
                            "takes", request->body_limit);
    else if (request->body_error == ENOSPC || request->body_error == EDQUOT)
        pf_http_reply_error(request, &(pf_http_fault){507, "no_space", NULL, 0},
                            "the disk of the server is full");
    else
        pf_http_reply_error(request, &(pf_http_fault){503, "busy", NULL, 2},
                            "the body cannot be kept: %s",
                            strerrordesc_np(request->body_error));
}

/* On a disk that fails it reads as zeros, of which no request is made. */
static bool map_body(pf_http_request *request)
{
    void *map = mmap(NULL, request->body_bytes, PROT_READ, MAP_PRIVATE, request->body_fd, 0);
    if (map == MAP_FAILED)
        return false;
    request->body_range = pf_guard_add(map, request->body_bytes);
    if (request->body_range < 0) {
        munmap(map, request->body_bytes);
        errno = ENOMEM;
        return false;
    }
    request->body = map;
    return true;
}

void pf_body_finish(pf_http_request *request)
{
    if (request->body_error == 0 && request->body_fd >= 0) {
        request->body_mapped = map_body(request);
        if (!request->body_mapped)
            request->body_error = errno;
    }
    if (request->body_error != 0)
        reply_body_error(request);
}

void pf_body_free(pf_http_request *request)
{
    if (request->body_mapped) {
        pf_guard_remove(request->body_range);
        munmap(request->body, request->body_bytes);
    } else {
        pf_free(request->body);
    }
    if (request->body_fd >= 0)
        close(request->body_fd);
}
