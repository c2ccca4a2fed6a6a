/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that the server itself makes: webhooks, and pictures by address.
 *
 * Only to hosts on a list.  The address that a name resolves to is checked when the
 * socket is made, so that no second look-up can change it; private and local ranges
 * are refused, unless the list has the very address.  Redirects are not followed.
 */
#ifndef PF_SERVER_OUTBOUND_H
#define PF_SERVER_OUTBOUND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Is the host of an http(s) address on the comma-separated list?  An entry may have
 * a port: then only that one. */
bool pf_outbound_allows(const char *hosts, const char *url);

typedef struct pf_outbound {
    const char *hosts;                  /* the list */
    const atomic_bool *stop;            /* a call that is under way when this becomes
                                         * true fails with PF_E_CANCELLED */
} pf_outbound;

/* Fetches at most `max_bytes`; pf_free(*out).  PF_E_INPUT when it does not work. */
pf_status pf_outbound_get(const pf_outbound *way, const char *url, size_t max_bytes,
                          char **out, size_t *out_bytes, pf_error *error);

/* Posts JSON; `headers` is NULL-terminated.  PF_OK when the answer is a 2xx. */
pf_status pf_outbound_post(const pf_outbound *way, const char *url,
                           const char *const *headers, const char *body,
                           pf_error *error);

#endif
