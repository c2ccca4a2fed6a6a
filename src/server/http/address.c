/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of the other end.  See address.h. */
#include "server/http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_v4(const pf_address *address)
{
    return memcmp(address->bytes, mapped, sizeof mapped) == 0;
}

static void from_v4(const struct in_addr *v4, pf_address *out)
{
    memcpy(out->bytes, mapped, sizeof mapped);
    memcpy(out->bytes + 12, v4, 4);
}

bool pf_address_of(const struct sockaddr *socket, pf_address *out)
{
    if (socket->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, socket, sizeof v4);
        from_v4(&v4.sin_addr, out);
        return true;
    }
    struct sockaddr_in6 v6;
    if (socket->sa_family != AF_INET6)
        return false;
    memcpy(&v6, socket, sizeof v6);
    memcpy(out->bytes, &v6.sin6_addr, sizeof out->bytes);
    return true;
}

/* Takes off the port that a proxy may write: 192.0.2.1:80, [2001:db8::1]:80. */
bool pf_address_parse(const char *text, size_t length, pf_address *out)
{
    char copy[64];
    struct in_addr v4;
    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    if (length == 0 || length >= sizeof copy)
        return false;
    bool bracket = text[0] == '[';
    memcpy(copy, text + bracket, length - bracket);
    copy[length - bracket] = '\0';
    if (bracket)
        copy[strcspn(copy, "]")] = '\0';
    else if (strchr(copy, '.') && strchr(copy, ':') == strrchr(copy, ':'))
        copy[strcspn(copy, ":")] = '\0';
    if (inet_pton(AF_INET, copy, &v4) == 1)
        from_v4(&v4, out);
    else if (inet_pton(AF_INET6, copy, out->bytes) != 1)
        return false;
    return true;
}

bool pf_address_is_loopback(const pf_address *address)
{
    static const uint8_t loopback[16] = {[15] = 1};
    return is_v4(address) ? address->bytes[12] == 127
                          : memcmp(address->bytes, loopback, sizeof loopback) == 0;
}

void pf_address_name(const pf_address *address, char out[PF_ADDRESS_BYTES])
{
    uint8_t network[16] = {0};
    out[0] = '\0';
    if (pf_address_is_loopback(address))
        return;
    memcpy(network, address->bytes, 8);
    if (is_v4(address))
        inet_ntop(AF_INET, address->bytes + 12, out, PF_ADDRESS_BYTES);
    else
        inet_ntop(AF_INET6, network, out, PF_ADDRESS_BYTES);
}

bool pf_address_is_listed(const pf_address *address, const char *list)
{
    while (list && *list) {
        size_t length = strcspn(list, ",");
        pf_address one;
        if (pf_address_parse(list, length, &one) &&
            memcmp(one.bytes, address->bytes, sizeof one.bytes) == 0)
            return true;
        list += length + (list[length] == ',');
    }
    return false;
}
