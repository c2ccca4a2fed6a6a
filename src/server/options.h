/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the server: checked, and turned into what the server keeps of them. */
#ifndef PF_SERVER_OPTIONS_H
#define PF_SERVER_OPTIONS_H

#include "server/server_parts.h"

/* Reads server->options, and fills its copies of texts, loopback, model_name, origins and
 * the secret of webhooks.  PF_E_ARGUMENT, PF_E_INPUT: an option is wrong. */
pf_status pf_options_take(pf_server *server, pf_error *error);

#endif
