/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of other origins: which may use the server (--allow-origin), and what their
 * browsers are told (CORS, the Fetch standard).
 *
 * They use it by an API key, or without one where nobody needs any.  The session of the
 * server's own page is never theirs, so no reply lets a browser send credentials. */
#ifndef PF_SERVER_ORIGINS_H
#define PF_SERVER_ORIGINS_H

#include "server/http/http.h"

enum { PF_ORIGINS = 32, PF_ORIGIN_BYTES = 300 };

typedef struct pf_origins {
    char list[PF_ORIGINS][PF_ORIGIN_BYTES];     /* as browsers write them */
    int count;
} pf_origins;

/* Takes "https://app.example:8443" and the like; fails with PF_E_ARGUMENT for "*", "null"
 * and whatever has a path. */
pf_status pf_origins_open(pf_origins *origins, const char *const *texts, int count,
                          pf_error *error);

/* Whether a page of another origin asks, as far as its browser tells. */
bool pf_origins_is_foreign(const pf_http_request *request);
/* Whether the page's origin is on the list. */
bool pf_origins_allow(const pf_origins *origins, const pf_http_request *request);

/* OPTIONS: which methods (as in Allow) and headers another page may use. */
void pf_origins_reply_options(const pf_origins *origins, pf_http_request *request,
                              const char *methods);
/* Adds to any reply what lets an allowed page read it. */
void pf_origins_dress(const pf_origins *origins, pf_http_request *request);

#endif
