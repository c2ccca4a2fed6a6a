/* SPDX-License-Identifier: Apache-2.0 */
/* TLS.  See tls.h. */
#include "server/http/tls.h"

#include <openssl/pem.h>
#include <stdbool.h>

/* The server's certificate, then the chain that leads to one that clients know. */
static bool use_certificates(SSL_CTX *tls, const char *text)
{
    BIO *source = BIO_new_mem_buf(text, -1);
    X509 *one = source ? PEM_read_bio_X509_AUX(source, NULL, NULL, NULL) : NULL;
    bool sound = one && SSL_CTX_use_certificate(tls, one) == 1;
    X509_free(one);
    while (sound && (one = PEM_read_bio_X509(source, NULL, NULL, NULL)) != NULL)
        if (SSL_CTX_add0_chain_cert(tls, one) != 1) {
            X509_free(one);
            sound = false;
        }
    BIO_free(source);
    return sound;
}

static bool use_key(SSL_CTX *tls, const char *text)
{
    BIO *source = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = source ? PEM_read_bio_PrivateKey(source, NULL, NULL, NULL) : NULL;
    bool sound = key && SSL_CTX_use_PrivateKey(tls, key) == 1 &&
                 SSL_CTX_check_private_key(tls) == 1;
    EVP_PKEY_free(key);
    BIO_free(source);
    return sound;
}

/* Versions before 1.2 are not to be used any more (RFC 8996). */
pf_status pf_tls_open(const char *cert, const char *key, SSL_CTX **out, pf_error *error)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    *out = tls;
    if (tls && SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1 &&
        use_certificates(tls, cert) && use_key(tls, key)) {
        SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION);
        SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
        return PF_OK;
    }
    return pf_fail(error, PF_E_IO, "the web server does not start; are certificate and key "
                   "right?");
}
