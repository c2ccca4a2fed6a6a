/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), HMAC (RFC 2104), Base64 (RFC 4648) and unguessable names.
 *
 *     begin -> add, add_piece ... -> end         a digest in pieces
 *     pf_digest_of, pf_digest_hmac               of bytes that are there
 *
 * Thread-safety: a pf_digest belongs to one thread; all other functions have no state.
 */
#ifndef PF_BASE_DIGEST_H
#define PF_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PF_DIGEST_BYTES = 32, PF_DIGEST_HEX = 2 * PF_DIGEST_BYTES + 1 };

/* A digest in the making, zeroed by pf_digest_begin.  A value: a copy goes on by itself. */
typedef struct pf_digest {
    uint32_t state[8];
    uint64_t length;                    /* bytes so far */
    uint8_t block[64];
} pf_digest;

/* SHA-256 of all bytes that were added between begin and end, however they were cut.  After
 * pf_digest_end the digest must begin anew. */
void pf_digest_begin(pf_digest *digest);
void pf_digest_add(pf_digest *digest, const void *data, size_t bytes);
/* Adds the length before the bytes, so that "ab", "c" differs from "a", "bc". */
void pf_digest_add_piece(pf_digest *digest, const void *data, size_t bytes);
void pf_digest_end(pf_digest *digest, uint8_t out[PF_DIGEST_BYTES]);

/* SHA-256 of `bytes` bytes, and HMAC-SHA-256 of them under a key of any length. */
void pf_digest_of(const void *data, size_t bytes, uint8_t out[PF_DIGEST_BYTES]);
void pf_digest_hmac(const uint8_t *key, size_t key_bytes, const void *data, size_t bytes,
                    uint8_t out[PF_DIGEST_BYTES]);

/* Compares in constant time, so that the time of a refusal does not tell how far a guessed key
 * was right. */
bool pf_digest_equal(const uint8_t a[PF_DIGEST_BYTES], const uint8_t b[PF_DIGEST_BYTES]);

/* Lower-case hexadecimal with a NUL: out[2 * bytes + 1]. */
void pf_hex_encode(const uint8_t *data, size_t bytes, char *out);

/* Base64 with padding, in fresh memory (pf_free); NULL when out of memory. */
char *pf_base64_encode(const void *data, size_t bytes);
/* Either alphabet of RFC 4648, with white space anywhere, as base64(1) breaks lines;
 * padding may be missing, but not wrong.  `out` has room for bytes / 4 * 3 + 3, and may be
 * `text`.  Returns the length, or -1 when it is no Base64. */
int64_t pf_base64_decode(const char *text, size_t bytes, uint8_t *out);

/* Fills `out` from the system's generator; false when it fails. */
bool pf_random_bytes(void *out, size_t bytes);

#endif
