/* SPDX-License-Identifier: Apache-2.0 */
/* Digests and encodings.  See digest.h. */
#include "base/digest.h"

#include <string.h>
#include <sys/random.h>

#include "base/memory.h"

/* --- SHA-256 ---------------------------------------------------------------------- */

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
    0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
    0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
    0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
    0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
};

static uint32_t rotate(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

/* The message schedule (FIPS 180-4, 6.2.2): the block as 16 big-endian words, and 48 more of
 * them. */
static void expand(const uint8_t block[64], uint32_t w[64])
{
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
}

/* Adds a block to the state: 64 rounds over s = a .. h (FIPS 180-4, 6.2.2). */
static void absorb(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64], s[8];
    expand(block, w);
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t sum1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t t1 = s[7] + sum1 + choice + round_constants[i] + w[i];
        uint32_t sum0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + sum0 + majority;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

void pf_digest_begin(pf_digest *digest)
{
    *digest = (pf_digest){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void pf_digest_add(pf_digest *digest, const void *data, size_t bytes)
{
    const uint8_t *from = data;
    while (bytes > 0) {
        size_t used = digest->length % 64, room = 64 - used;
        size_t piece = bytes < room ? bytes : room;
        memcpy(digest->block + used, from, piece);
        digest->length += piece;
        from += piece;
        bytes -= piece;
        if (used + piece == 64)
            absorb(digest->state, digest->block);
    }
}

static void put_big_endian(uint64_t value, uint8_t out[8])
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}

void pf_digest_add_piece(pf_digest *digest, const void *data, size_t bytes)
{
    uint8_t length[8];
    put_big_endian(bytes, length);
    pf_digest_add(digest, length, sizeof length);
    pf_digest_add(digest, data, bytes);
}

/* Pads with one bit, zeros, and the length in bits, so that 8 bytes are left in the block: 56
 * - used bytes of padding, or 64 more where the length does not fit. */
void pf_digest_end(pf_digest *digest, uint8_t out[PF_DIGEST_BYTES])
{
    static const uint8_t padding[64] = {0x80};
    uint8_t length[8];
    put_big_endian(digest->length * 8, length);
    size_t used = digest->length % 64;
    pf_digest_add(digest, padding, used < 56 ? 56 - used : 120 - used);
    pf_digest_add(digest, length, sizeof length);
    for (int i = 0; i < PF_DIGEST_BYTES; i++)
        out[i] = (uint8_t)(digest->state[i / 4] >> (24 - 8 * (i % 4)));
}

void pf_digest_of(const void *data, size_t bytes, uint8_t out[PF_DIGEST_BYTES])
{
    pf_digest digest;
    pf_digest_begin(&digest);
    pf_digest_add(&digest, data, bytes);
    pf_digest_end(&digest, out);
}

/* H((K ^ opad) | H((K ^ ipad) | data)), K being the key padded with zeros to a block of 64
 * bytes, or its digest where it is longer. */
void pf_digest_hmac(const uint8_t *key, size_t key_bytes, const void *data, size_t bytes,
                    uint8_t out[PF_DIGEST_BYTES])
{
    uint8_t inner[64] = {0}, outer[64], middle[PF_DIGEST_BYTES];
    pf_digest digest;
    if (key_bytes > 64)
        pf_digest_of(key, key_bytes, inner);
    else if (key_bytes > 0)
        memcpy(inner, key, key_bytes);
    for (int i = 0; i < 64; i++) {
        outer[i] = inner[i] ^ 0x5c;
        inner[i] ^= 0x36;
    }
    pf_digest_begin(&digest);
    pf_digest_add(&digest, inner, sizeof inner);
    pf_digest_add(&digest, data, bytes);
    pf_digest_end(&digest, middle);
    pf_digest_begin(&digest);
    pf_digest_add(&digest, outer, sizeof outer);
    pf_digest_add(&digest, middle, sizeof middle);
    pf_digest_end(&digest, out);
}

bool pf_digest_equal(const uint8_t a[PF_DIGEST_BYTES], const uint8_t b[PF_DIGEST_BYTES])
{
    volatile uint8_t difference = 0;
    for (int i = 0; i < PF_DIGEST_BYTES; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

/* --- encodings -------------------------------------------------------------------- */

void pf_hex_encode(const uint8_t *data, size_t bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * bytes] = '\0';
}

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *pf_base64_encode(const void *data, size_t bytes)
{
    const uint8_t *from = data;
    char *out = pf_alloc((bytes + 2) / 3 * 4 + 1), *at = out;
    if (!out)
        return NULL;
    for (size_t i = 0; i < bytes; i += 3) {
        size_t have = bytes - i < 3 ? bytes - i : 3;
        uint32_t group = (uint32_t)from[i] << 16;
        group |= have > 1 ? (uint32_t)from[i + 1] << 8 : 0;
        group |= have > 2 ? from[i + 2] : 0;
        for (size_t k = 0; k < 4; k++)
            *at++ = k <= have ? alphabet[group >> (18 - 6 * k) & 63] : '=';
    }
    *at = '\0';
    return out;
}

/* Both alphabets of RFC 4648. */
static int value_of(char c)
{
    const char *found = c ? strchr(alphabet, c == '-' ? '+' : c == '_' ? '/' : c) : NULL;
    return found ? (int)(found - alphabet) : -1;
}

static bool is_white(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f';
}

int64_t pf_base64_decode(const char *text, size_t bytes, uint8_t *out)
{
    int64_t written = 0;
    uint32_t bits = 0;
    int have = 0, digits = 0, padding = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (is_white(text[i]))
            continue;
        int value = value_of(text[i]);
        padding += text[i] == '=';
        if ((value < 0 && text[i] != '=') || (value >= 0 && padding > 0))
            return -1;
        if (value < 0)
            continue;
        digits = (digits + 1) % 4;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[written++] = (uint8_t)(bits >> have);
        }
    }
    bool whole = padding == 0 || (digits + padding) % 4 == 0;
    return digits == 1 || padding > 2 || !whole ? -1 : written;
}

bool pf_random_bytes(void *out, size_t bytes)
{
    return getrandom(out, bytes, 0) == (ssize_t)bytes;
}
