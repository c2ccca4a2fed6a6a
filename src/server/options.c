/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the server: checked, and turned into what the server keeps of them.  See
 * options.h. */
#include "server/options.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "server/http/utf8.h"

enum { MAX_SECRET = 4096 };
static const double usual_retention = 7 * 86400.0;

/* Finds out whether the address is reachable from this machine alone. */
static pf_status find_scope(pf_server *server, const char *host, pf_error *error)
{
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, NULL, NULL, &found);
    if (code != 0)
        return pf_fail(error, PF_E_ARGUMENT, "host is \"%s\", but must be an address: %s",
                       host, gai_strerror(code));
    if (found->ai_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, found->ai_addr, sizeof v4);
        server->loopback = ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    } else if (found->ai_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, found->ai_addr, sizeof v6);
        server->loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    }
    freeaddrinfo(found);
    return PF_OK;
}

static pf_status check_proxies(const char *list, pf_error *error)
{
    pf_address address;
    while (list && *list) {
        size_t length = strcspn(list, ",");
        if (!pf_address_parse(list, length, &address))
            return pf_fail(error, PF_E_ARGUMENT,
                           "trusted_proxies has \"%.*s\", but must be addresses such as "
                           "192.0.2.1, with commas between them",
                           (int)(length < 60 ? length : 60), list);
        list += length + (list[length] == ',');
    }
    return PF_OK;
}

static pf_status check(pf_server *server, pf_error *error)
{
    const pf_server_options *o = &server->options;
    PF_TRY(find_scope(server, o->host, error));
    if (!server->loopback && !o->key_file && !o->no_auth)
        return pf_fail(error, PF_E_ARGUMENT,
                       "host is %s, which others can reach: give a file of API keys, or "
                       "say no_auth to let everybody in", o->host);
    if (o->key_file && o->no_auth)
        return pf_fail(error, PF_E_ARGUMENT,
                       "no_auth has no effect with a file of API keys; leave one out");
    if (!o->tls_cert != !o->tls_key)
        return pf_fail(error, PF_E_ARGUMENT,
                       "tls_cert and tls_key must be given together");
    if (!o->webhook_hosts != !o->webhook_secret_file)
        return pf_fail(error, PF_E_ARGUMENT,
                       "webhook_hosts and webhook_secret_file must be given together");
    PF_TRY(check_proxies(o->proxies, error));
    if (o->port < 0 || o->port > 65535)
        return pf_fail(error, PF_E_ARGUMENT, "port is %d, but must be 0 to 65535",
                       o->port);
    if (o->max_queue_per_key > o->max_queue)
        return pf_fail(error, PF_E_ARGUMENT,
                       "max_queue_per_key is %d, but must be at most max_queue, %d",
                       o->max_queue_per_key, o->max_queue);
    if (o->max_queue_per_key > 0 && !o->key_file)
        return pf_fail(error, PF_E_ARGUMENT,
                       "max_queue_per_key is %d, but has no effect without a file of API "
                       "keys", o->max_queue_per_key);
    /* Without keys on loopback the films are the user's own: they stay. */
    if (o->retention < 0)
        server->options.retention =
            server->loopback && !o->key_file ? 0 : usual_retention;
    return PF_OK;
}

/* The last part of a path, without what follows it. */
static const char *last_part(const char *path, size_t *length)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    *length = end - begin;
    return path + begin;
}

/* Clients see the name in JSON and send it in a field. */
static pf_status name_model(pf_server *server, pf_error *error)
{
    const char *name = server->options.model_name;
    size_t length = name ? strlen(name) : 0, printable = 0;
    if (!name)
        name = last_part(pf_engine_info(server->engine)->path, &length);
    while (printable < length && (unsigned char)name[printable] >= ' ')
        printable++;
    if (length == 0 || length >= sizeof server->model_name || printable < length ||
        !pf_utf8_is_valid(name, length))
        return pf_fail(error, PF_E_ARGUMENT,
                       "served_model_name is \"%.40s\", but must have 1 to %zu bytes of "
                       "text", name, sizeof server->model_name - 1);
    memcpy(server->model_name, name, length);
    return PF_OK;
}

static pf_status read_webhook_secret(pf_server *server, pf_error *error)
{
    const char *path = server->options.webhook_secret_file;
    char *text = NULL;
    if (!path)
        return PF_OK;
    PF_TRY(pf_read_text(path, MAX_SECRET, &text, NULL, error));
    text[strcspn(text, "\r\n")] = '\0';
    bool encoded = strncmp(text, "whsec_", 6) == 0;
    size_t bytes = strlen(text);
    server->post.secret = pf_alloc(bytes + 3);
    int64_t length = -1;
    if (server->post.secret && encoded) {
        length = pf_base64_decode(text + 6, bytes - 6, server->post.secret);
    } else if (server->post.secret) {
        memcpy(server->post.secret, text, bytes);
        length = (int64_t)bytes;
    }
    explicit_bzero(text, bytes);
    pf_free(text);
    server->post.secret_bytes = length > 0 ? (size_t)length : 0;
    if (length >= 16)
        return PF_OK;
    return pf_fail(error, PF_E_INPUT,
                   "%s must hold a secret of 16 bytes or more, or whsec_ and Base64",
                   path);
}

static pf_status copy_text(char **out, const char *text, pf_error *error)
{
    *out = text ? pf_strdup(text) : NULL;
    return !text || *out ? PF_OK : pf_fail_memory(error, "options", strlen(text));
}

static pf_status copy_texts(pf_server *server, pf_error *error)
{
    const pf_server_options *o = &server->options;
    PF_TRY(copy_text(&server->output_dir, o->output_dir, error));
    PF_TRY(copy_text(&server->host, o->host, error));
    PF_TRY(copy_text(&server->post.hosts, o->webhook_hosts, error));
    PF_TRY(copy_text(&server->picture_hosts, o->picture_hosts, error));
    return copy_text(&server->proxies, o->proxies, error);
}

pf_status pf_options_take(pf_server *server, pf_error *error)
{
    const pf_server_options *o = &server->options;
    PF_TRY(check(server, error));
    PF_TRY(pf_origins_open(&server->origins, o->allow_origins, o->allow_origin_count,
                           error));
    PF_TRY(name_model(server, error));
    PF_TRY(copy_texts(server, error));
    if (o->rewriter)
        PF_TRY(pf_rewriter_open(o->rewriter, &server->rewriter, error));
    return read_webhook_secret(server, error);
}
