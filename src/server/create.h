/* SPDX-License-Identifier: Apache-2.0 */
/* Creating films, for handlers that do something else with an accepted film than tell it. */
#ifndef PF_SERVER_CREATE_H
#define PF_SERVER_CREATE_H

#include "server/api.h"

/* In the create lane: takes the request's order through the lanes; `next` is called when
 * the film is accepted, and is the context's video. */
void pf_create_order(pf_http_request *request, pf_http_handler next);

#endif
