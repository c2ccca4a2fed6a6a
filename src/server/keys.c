/* SPDX-License-Identifier: Apache-2.0 */
/* Keys.  See keys.h. */
#include "server/keys.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

enum { MAX_FILE = 1 << 20, MIN_KEY = 16, MAX_KEYS = 1000 };

static const char name_characters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* --- the file --------------------------------------------------------------------- */

static pf_status add_key(pf_keys *keys, const char *path, int number, char *line,
                         pf_error *error)
{
    char *colon = strchr(line, ':');
    size_t name = colon ? (size_t)(colon - line) : 0;
    if (name == 0 || name >= PF_OWNER_BYTES || strspn(line, name_characters) != name)
        return pf_fail(error, PF_E_INPUT,
                       "%s: line %d must be NAME:KEY, where the name has letters, "
                       "digits, - and _", path, number);
    for (const char *at = colon + 1; *at; at++)
        if (*at <= ' ' || *at > '~')    /* no header could carry it */
            return pf_fail(error, PF_E_INPUT,
                           "%s: the key on line %d must have no blanks, and ASCII alone",
                           path, number);
    if (strlen(colon + 1) < MIN_KEY)
        return pf_fail(error, PF_E_INPUT,
                       "%s: the key on line %d must have %d characters or more", path,
                       number, MIN_KEY);
    if (keys->count == MAX_KEYS)
        return pf_fail(error, PF_E_INPUT, "%s has more than %d keys", path, MAX_KEYS);
    pf_key *key = &keys->list[keys->count];
    memcpy(key->name, line, name);
    pf_digest_of(colon + 1, strlen(colon + 1), key->digest);
    for (int i = 0; i < keys->count; i++)
        if (pf_digest_equal(key->digest, keys->list[i].digest))
            return pf_fail(error, PF_E_INPUT,
                           "%s: the key on line %d is that of %s, too: whose films it sees "
                           "must be clear", path, number, keys->list[i].name);
    keys->count++;
    return PF_OK;
}

static pf_status read_lines(pf_keys *keys, const char *path, char *text, size_t bytes,
                            pf_error *error)
{
    char *rest = text, *line;
    if (strlen(text) != bytes)          /* keys after it would be overlooked */
        return pf_fail(error, PF_E_INPUT, "%s holds a NUL byte, but must be text", path);
    for (int number = 1; (line = strsep(&rest, "\n")) != NULL; number++) {
        line[strcspn(line, "\r")] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            PF_TRY(add_key(keys, path, number, line, error));
    }
    if (keys->count == 0)
        return pf_fail(error, PF_E_INPUT, "%s holds no key", path);
    return PF_OK;
}

pf_status pf_keys_open(pf_keys *keys, const char *path,
                       const uint8_t secret[PF_DIGEST_BYTES], pf_error *error)
{
    char *text = NULL;
    size_t bytes = 0;
    *keys = (pf_keys){.count = 0};
    pthread_mutex_init(&keys->lock, NULL);
    memcpy(keys->secret, secret, PF_DIGEST_BYTES);
    if (!path)
        return PF_OK;
    PF_TRY(pf_read_text(path, MAX_FILE, &text, &bytes, error));
    keys->list = pf_calloc(MAX_KEYS, sizeof *keys->list);
    pf_status status = keys->list ? read_lines(keys, path, text, bytes, error)
                                  : pf_fail_memory(error, path, MAX_FILE);
    explicit_bzero(text, bytes);
    pf_free(text);
    return status;
}

void pf_keys_close(pf_keys *keys)
{
    pf_free(keys->list);
    pthread_mutex_destroy(&keys->lock);
}

int pf_keys_names(const pf_keys *keys)
{
    int names = 0;
    for (int i = 0; i < keys->count; i++) {
        int first = 0;
        while (strcmp(keys->list[first].name, keys->list[i].name) != 0)
            first++;
        names += first == i;
    }
    return names;
}

/* --- checking --------------------------------------------------------------------- */

const char *pf_keys_check(const pf_keys *keys, const char *key)
{
    uint8_t digest[PF_DIGEST_BYTES];
    const char *found = NULL;
    pf_digest_of(key, strlen(key), digest);
    for (int i = 0; i < keys->count; i++)
        if (pf_digest_equal(digest, keys->list[i].digest))
            found = keys->list[i].name;
    return found;
}

/* Signs the key's digest, too, so that a session ends with its key. */
static void sign(const pf_keys *keys, const pf_key *key, char out[PF_DIGEST_HEX])
{
    uint8_t text[sizeof key->name + PF_DIGEST_BYTES], digest[PF_DIGEST_BYTES];
    memcpy(text, key->name, sizeof key->name);
    memcpy(text + sizeof key->name, key->digest, PF_DIGEST_BYTES);
    pf_digest_hmac(keys->secret, sizeof keys->secret, text, sizeof text, digest);
    pf_hex_encode(digest, sizeof digest, out);
}

void pf_keys_make_session(const pf_keys *keys, const char *name,
                          char out[PF_SESSION_BYTES])
{
    char signature[PF_DIGEST_HEX];
    out[0] = '\0';
    for (int i = 0; i < keys->count; i++)
        if (strcmp(keys->list[i].name, name) == 0) {
            sign(keys, &keys->list[i], signature);
            snprintf(out, PF_SESSION_BYTES, "%s.%s", name, signature);
        }
}

const char *pf_keys_check_session(const pf_keys *keys, const char *session)
{
    uint8_t given[PF_DIGEST_BYTES], wanted[PF_DIGEST_BYTES];
    const char *found = NULL;
    pf_digest_of(session, strlen(session), given);
    for (int i = 0; i < keys->count; i++) {
        char text[PF_SESSION_BYTES];
        pf_keys_make_session(keys, keys->list[i].name, text);
        pf_digest_of(text, strlen(text), wanted);
        if (pf_digest_equal(given, wanted))
            found = keys->list[i].name;
    }
    return found;
}

int pf_keys_take(pf_keys *keys, const char *name, int rate)
{
    pf_key *key = &keys->anyone;
    if (rate == 0)
        return 0;
    for (int i = 0; i < keys->count; i++)
        if (strcmp(keys->list[i].name, name) == 0)
            key = &keys->list[i];
    double now = pf_seconds(), wait = 0;
    pthread_mutex_lock(&keys->lock);
    if (key->refilled == 0)
        key->tokens = rate;
    else
        key->tokens = fmin(rate, key->tokens + (now - key->refilled) * rate / 60.0);
    key->refilled = now;
    if (key->tokens >= 1.0)
        key->tokens -= 1.0;
    else
        wait = (1.0 - key->tokens) * 60.0 / rate;
    pthread_mutex_unlock(&keys->lock);
    return (int)ceil(wait);
}
