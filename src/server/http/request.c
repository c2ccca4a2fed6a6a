/* SPDX-License-Identifier: Apache-2.0 */
/* A request: its life, reading it, sleeping and waking.  See http.h. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/digest.h"
#include "server/http/parts.h"

/* --- from the first byte to the last ------------------------------------------------ */

/* The context lies behind the request, aligned as malloc aligns. */
static size_t context_offset(void)
{
    const size_t unit = _Alignof(max_align_t);
    return (sizeof(pf_http_request) + unit - 1) / unit * unit;
}

pf_http_request *pf_request_new(pf_connection *c)
{
    const pf_http_options *options = &c->http->options;
    uint8_t noise[12];
    pf_http_request *request = pf_calloc(1, context_offset() + options->context_bytes);
    if (!request)
        return NULL;
    if (!pf_random_bytes(noise, sizeof noise))
        memset(noise, 0, sizeof noise);
    memcpy(request->id, "req_", 4);
    pf_hex_encode(noise, sizeof noise, request->id + 4);
    request->app = options->app;
    request->context = (char *)request + context_offset();
    request->http = c->http;
    request->connection = c;
    request->method = "";
    request->path = "/";
    request->owner = "";
    request->reply.fd = -1;
    pf_body_open(&request->body, &options->disk);
    return request;
}

void pf_request_end(pf_connection *c)
{
    pf_http_request *request = c->request;
    c->request = NULL;
    if (!request)
        return;
    c->http->options.release(request);
    pf_body_free(&request->body);
    if (request->reply.fd >= 0)
        close(request->reply.fd);
    free(request->reply.owned);
    pf_free(request->text);
    pf_free(request);
}

/* --- reading ------------------------------------------------------------------------ */

const char *pf_http_header(const pf_http_request *request, const char *name)
{
    return pf_head_get(&request->head, name);
}

const char *pf_http_query(const pf_http_request *request, const char *name)
{
    const pf_head *head = &request->head;
    for (int i = 0; i < head->argument_count; i++)
        if (strcmp(head->arguments[i].name, name) == 0)
            return head->arguments[i].value;
    return NULL;
}

void pf_http_each_query(const pf_http_request *request,
                        bool (*see)(void *user, const char *name, const char *value),
                        void *user)
{
    const pf_head *head = &request->head;
    for (int i = 0; i < head->argument_count; i++)
        if (!see(user, head->arguments[i].name, head->arguments[i].value))
            return;
}

/* The last address of X-Forwarded-For is the one that the proxy itself has seen. */
void pf_http_client(const pf_http_request *request, char out[PF_ADDRESS_BYTES])
{
    const pf_connection *c = request->connection;
    const char *list = NULL;
    pf_address address;
    for (int i = 0; c->trusted && i < request->head.field_count; i++)
        if (strcasecmp(request->head.fields[i].name, "X-Forwarded-For") == 0)
            list = request->head.fields[i].value;
    const char *comma = list ? strrchr(list, ',') : NULL;
    const char *last = comma ? comma + 1 : list;
    if (last && pf_address_parse(last, strlen(last), &address))
        pf_address_name(&address, out);
    else
        snprintf(out, PF_ADDRESS_BYTES, "%s", c->trusted ? "" : c->address);
}

void pf_http_mark_known(pf_http_request *request)
{
    pthread_mutex_lock(&request->http->lock);
    request->connection->known = true;
    pthread_mutex_unlock(&request->http->lock);
}

/* --- sleeping and waking ------------------------------------------------------------ */

void pf_http_sleep(pf_http_request *request)
{
    request->asleep = true;
}

void pf_http_wake(pf_http_request *request)
{
    event_active(request->connection->resume, 0, 0);
}

bool pf_http_is_gone(const pf_http_request *request)
{
    struct pollfd end = {.fd = request->connection->fd, .events = POLLRDHUP};
    return poll(&end, 1, 0) > 0;
}
