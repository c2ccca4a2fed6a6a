/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a request while it comes: in memory, and beyond PF_BODY_SPILL bytes in an
 * unnamed file, so that many large ones cost no memory.  For connection.c alone.
 */
#ifndef PF_SERVER_BODY_H
#define PF_SERVER_BODY_H

#include "server/http.h"

enum { PF_BODY_SPILL = 64 << 10 };

/* Sets space aside for a body whose length is known.  When there is not as much nothing is
 * kept, and the reply says so when all has come: not every client sees an answer that
 * comes while it sends. */
void pf_body_expect(pf_http_request *request, const pf_http_options *options,
                    uint64_t bytes);
/* Keeps a piece; after a failure, or where nobody will read it, the rest is only
 * counted. */
void pf_body_take(pf_http_request *request, const pf_http_options *options,
                  const char *data, size_t bytes);
/* All has come: `body` can be read, or there is a reply that says why not. */
void pf_body_finish(pf_http_request *request);
void pf_body_free(pf_http_request *request, const pf_http_options *options);

#endif
