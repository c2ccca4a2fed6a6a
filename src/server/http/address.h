/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of the other end: as text, compared, and named for counting. */
#ifndef PF_SERVER_ADDRESS_H
#define PF_SERVER_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { PF_ADDRESS_BYTES = 48 };

typedef struct pf_address {
    uint8_t bytes[16];                  /* IPv6, or IPv4 as ::ffff:0:0/96 */
} pf_address;

/* False when the socket is of another family. */
bool pf_address_of(const struct sockaddr *socket, pf_address *out);
/* Reads text[length], with blanks around the address and perhaps a port behind it. */
bool pf_address_parse(const char *text, size_t length, pf_address *out);
bool pf_address_is_loopback(const pf_address *address);
/* The name under which an address is counted: a network of 64 bits counts as one address,
 * and this machine is "". */
void pf_address_name(const pf_address *address, char out[PF_ADDRESS_BYTES]);
/* Whether a list with commas has the address; NULL is an empty list. */
bool pf_address_is_listed(const pf_address *address, const char *list);

#endif
