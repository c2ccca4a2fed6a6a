/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of the server's side: certificate and key into a context of OpenSSL. */
#ifndef PF_SERVER_TLS_H
#define PF_SERVER_TLS_H

#include <openssl/ssl.h>

#include "base/error.h"

/* `cert` and `key` are PEM text; SSL_CTX_free(*out), also after a failure.  PF_E_IO when
 * they are none, or do not belong together. */
pf_status pf_tls_open(const char *cert, const char *key, SSL_CTX **out, pf_error *error);

#endif
