/* SPDX-License-Identifier: Apache-2.0 */
/* Outbound requests over libcurl.  See outbound.h. */
#include "server/outbound.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"

enum { CONNECT_SECONDS = 5, WHOLE_SECONDS = 20, MAX_HOST = 256 };

/* --- hosts ------------------------------------------------------------------------ */

typedef struct place {
    char host[MAX_HOST], port[8];
} place;

/* Host and port of an address, as libcurl reads them: one parser for both. */
static bool split(const char *url, place *out)
{
    CURLU *parsed = curl_url();
    char *host = NULL, *port = NULL, *scheme = NULL, *user = NULL;
    bool sound = parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
                 curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                 curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                 curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ==
                     CURLUE_OK &&
                 curl_url_get(parsed, CURLUPART_USER, &user, 0) != CURLUE_OK &&
                 (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
                 strlen(host) < sizeof out->host && strlen(port) < sizeof out->port;
    if (sound) {
        snprintf(out->host, sizeof out->host, "%s", host);
        snprintf(out->port, sizeof out->port, "%s", port);
    }
    curl_free(host);
    curl_free(port);
    curl_free(scheme);
    curl_free(user);
    curl_url_cleanup(parsed);
    return sound;
}

static bool entry_matches(const char *entry, size_t length, const place *a)
{
    size_t host = strlen(a->host);
    if (length < host || strncasecmp(entry, a->host, host) != 0)
        return false;
    if (length == host)
        return true;
    return entry[host] == ':' && length - host - 1 == strlen(a->port) &&
           memcmp(entry + host + 1, a->port, length - host - 1) == 0;
}

bool pf_outbound_allows(const char *hosts, const char *url)
{
    place a;
    if (!hosts || !split(url, &a))
        return false;
    for (const char *at = hosts; *at;) {
        size_t length = strcspn(at, ",");
        if (entry_matches(at, length, &a))
            return true;
        at += length + (at[length] == ',');
    }
    return false;
}

/* --- private ranges --------------------------------------------------------------- */

static bool in_range(uint32_t ip, uint32_t network, int bits)
{
    return ip >> (32 - bits) == network >> (32 - bits);
}

static bool is_private_v4(uint32_t ip)
{
    static const struct {
        uint32_t network;
        int bits;
    } ranges[] = {
        {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},
        {0xa9fe0000, 16}, {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24},
        {0xc0a80000, 16}, {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24},
        {0xe0000000, 3},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (in_range(ip, ranges[i].network, ranges[i].bits))
            return true;
    return false;
}

/* Only global unicast, 2000::/3, without the ranges that hold IPv4 addresses. */
static bool is_private_v6(const uint8_t *ip)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (memcmp(ip, mapped, sizeof mapped) == 0) {
        uint32_t v4;
        memcpy(&v4, ip + 12, sizeof v4);
        return is_private_v4(ntohl(v4));
    }
    bool teredo = ip[0] == 0x20 && ip[1] == 0x01 && ip[2] == 0 && ip[3] == 0;
    bool six_to_four = ip[0] == 0x20 && ip[1] == 0x02;
    bool documentation = ip[0] == 0x20 && ip[1] == 0x01 && ip[2] == 0x0d && ip[3] == 0xb8;
    return ip[0] >> 5 != 1 || teredo || six_to_four || documentation;
}

static bool is_private(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return is_private_v4(ntohl(v4.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        return is_private_v6(v6.sin6_addr.s6_addr);
    }
    return true;
}

/* A host that is written as an address was allowed on purpose, whatever its range. */
static bool is_literal(const char *host)
{
    uint8_t address[16];
    return inet_pton(AF_INET, host, address) == 1 || host[0] == '[';
}

typedef struct call {
    CURL *curl;
    struct curl_slist *headers;
    bool literal, refused;
    const atomic_bool *stop;            /* the transfer ends when this becomes true */
    char *data;                         /* of the answer */
    size_t bytes, room, most;
    char why[CURL_ERROR_SIZE];
} call;

static curl_socket_t open_socket(void *user, curlsocktype purpose,
                                 struct curl_sockaddr *address)
{
    call *c = user;
    (void)purpose;
    if (!c->literal && is_private(&address->addr)) {
        c->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* --- the call --------------------------------------------------------------------- */

static int stop_early(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const call *this = user;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return atomic_load(this->stop);
}

static size_t keep(char *data, size_t size, size_t count, void *user)
{
    call *c = user;
    size_t bytes = size * count;
    if (c->bytes + bytes > c->most)
        return 0;
    if (c->bytes + bytes + 1 > c->room) {
        size_t room = 2 * (c->bytes + bytes + 1);
        char *grown = pf_realloc(c->data, room);
        if (!grown)
            return 0;
        c->data = grown;
        c->room = room;
    }
    memcpy(c->data + c->bytes, data, bytes);
    c->bytes += bytes;
    return bytes;
}

static pf_status prepare(call *c, const char *hosts, const char *url, pf_error *error)
{
    place a;
    if (!pf_outbound_allows(hosts, url) || !split(url, &a))
        return pf_fail(error, PF_E_INPUT,
                       "the host of %.200s is not one that this server talks to", url);
    c->literal = is_literal(a.host);
    c->curl = curl_easy_init();
    if (!c->curl)
        return pf_fail_memory(error, "request", 1);
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, (long)WHOLE_SECONDS);
    curl_easy_setopt(c->curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(c->curl, CURLOPT_OPENSOCKETDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, stop_early);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, c);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->why);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "phonofilm");
    return PF_OK;
}

static pf_status perform(call *c, const char *url, pf_error *error)
{
    long status = 0;
    CURLcode code = curl_easy_perform(c->curl);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return pf_fail(error, PF_E_CANCELLED, "the server is stopping");
    if (c->refused)
        return pf_fail(error, PF_E_INPUT, "%.200s leads into a private network", url);
    if (code == CURLE_WRITE_ERROR)
        return pf_fail(error, PF_E_INPUT, "%.200s gives more than %zu bytes", url,
                       c->most);
    if (code != CURLE_OK)
        return pf_fail(error, PF_E_INPUT, "%.200s cannot be reached: %.200s", url,
                       c->why[0] ? c->why : curl_easy_strerror(code));
    if (status < 200 || status > 299)
        return pf_fail(error, PF_E_INPUT, "%.200s answers with status %ld", url, status);
    return PF_OK;
}

static void clean_up(call *c)
{
    curl_slist_free_all(c->headers);
    if (c->curl)
        curl_easy_cleanup(c->curl);
}

pf_status pf_outbound_get(const pf_outbound *way, const char *url, size_t max_bytes,
                          char **out, size_t *out_bytes, pf_error *error)
{
    call c = {.most = max_bytes, .stop = way->stop};
    pf_status status = prepare(&c, way->hosts, url, error);
    if (status == PF_OK)
        status = perform(&c, url, error);
    clean_up(&c);
    if (status == PF_OK && c.bytes == 0)
        status = pf_fail(error, PF_E_INPUT, "%.200s gives an empty file", url);
    if (status != PF_OK) {
        pf_free(c.data);
        return status;
    }
    *out = c.data;
    *out_bytes = c.bytes;
    return PF_OK;
}

pf_status pf_outbound_post(const pf_outbound *way, const char *url,
                           const char *const *headers, const char *body,
                           pf_error *error)
{
    call c = {.most = 1 << 20, .stop = way->stop};
    pf_status status = prepare(&c, way->hosts, url, error);
    for (; status == PF_OK && *headers; headers++) {
        struct curl_slist *longer = curl_slist_append(c.headers, *headers);
        if (longer)
            c.headers = longer;
        else
            status = pf_fail_memory(error, "request", 1);
    }
    if (status == PF_OK) {
        curl_easy_setopt(c.curl, CURLOPT_HTTPHEADER, c.headers);
        curl_easy_setopt(c.curl, CURLOPT_POSTFIELDS, body);
        status = perform(&c, url, error);
    }
    clean_up(&c);
    pf_free(c.data);
    return status;
}
