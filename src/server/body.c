/* SPDX-License-Identifier: Apache-2.0 */
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

/* --- space ------------------------------------------------------------------------ */

/* Bytes that are written now use up what was set aside for them. */
static void redeem(pf_http_request *request, const pf_http_options *options, int64_t bytes)
{
    if (bytes > request->body_promised)
        bytes = request->body_promised;
    request->body_promised -= bytes;
    if (bytes > 0)
        options->redeem(options->app, bytes);
}

static bool promise(pf_http_request *request, const pf_http_options *options, int64_t bytes)
{
    if (bytes <= request->body_promised)
        return true;
    int64_t more = bytes - request->body_promised;
    if (!options->promise(options->app, more)) {
        errno = ENOSPC;
        return false;
    }
    request->body_promised = bytes;
    return true;
}

void pf_body_expect(pf_http_request *request, const pf_http_options *options,
                    uint64_t bytes)
{
    if (bytes > PF_BODY_SPILL && !request->body_ignored &&
        !promise(request, options, (int64_t)bytes))
        request->body_error = errno;
}

/* --- keeping ---------------------------------------------------------------------- */

static bool write_all(pf_http_request *request, const char *data, size_t bytes)
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

/* Bytes of a body without a length are set aside as they come. */
static bool write_body(pf_http_request *request, const pf_http_options *options,
                       const char *data, size_t bytes)
{
    bool written = promise(request, options, (int64_t)bytes) &&
                   write_all(request, data, bytes);
    int reason = errno;
    if (written)
        redeem(request, options, (int64_t)bytes);
    errno = reason;
    return written;
}

static bool spill(pf_http_request *request, const pf_http_options *options)
{
    request->body_fd = open_spool(options->spool);
    if (request->body_fd < 0 ||
        !write_body(request, options, request->body, request->body_bytes))
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

/* Nobody will read it: neither its file nor its promise is kept any longer. */
static void drop_body(pf_http_request *request, const pf_http_options *options)
{
    redeem(request, options, request->body_promised);
    if (request->body_fd >= 0)
        close(request->body_fd);
    request->body_fd = -1;
}

void pf_body_take(pf_http_request *request, const pf_http_options *options,
                  const char *data, size_t bytes)
{
    size_t total = request->body_bytes + bytes;
    if (total > request->body_limit)
        request->body_error = EFBIG;
    if (request->body_ignored) {
        request->body_bytes = total;
        return;
    }
    if (request->body_error == 0 && request->body_fd < 0 && total > PF_BODY_SPILL &&
        !spill(request, options))
        request->body_error = errno;
    if (request->body_error == 0) {
        bool kept = request->body_fd >= 0 ? write_body(request, options, data, bytes)
                                          : grow_body(request, total);
        if (!kept)
            request->body_error = errno;
        else if (request->body_fd < 0)
            memcpy(request->body + request->body_bytes, data, bytes);
    }
    if (request->body_error != 0)
        drop_body(request, options);
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
                            "the disk of the server has no room for this body");
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

void pf_body_free(pf_http_request *request, const pf_http_options *options)
{
    redeem(request, options, request->body_promised);
    if (request->body_mapped) {
        pf_guard_remove(request->body_range);
        munmap(request->body, request->body_bytes);
    } else {
        pf_free(request->body);
    }
    if (request->body_fd >= 0)
        close(request->body_fd);
}
