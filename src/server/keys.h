/* SPDX-License-Identifier: Apache-2.0 */
/* Access to the server: API keys, sessions of browsers, rates. */
#ifndef PF_SERVER_KEYS_H
#define PF_SERVER_KEYS_H

#include <pthread.h>

#include "base/digest.h"
#include "server/video.h"

enum { PF_SESSION_BYTES = PF_OWNER_BYTES + PF_DIGEST_HEX + 1 };

typedef struct pf_key {
    char name[PF_OWNER_BYTES];
    uint8_t digest[PF_DIGEST_BYTES];    /* of the key */
    double tokens, refilled;            /* of the rate limit */
} pf_key;

typedef struct pf_keys {
    pf_key *list;
    int count;                          /* 0: the server is open to everybody */
    uint8_t secret[PF_DIGEST_BYTES];    /* signs sessions */
    pf_key anyone;                      /* the rate limit without keys */
    pthread_mutex_t lock;               /* guards the rates */
} pf_keys;

/* Reads NAME:KEY lines; empty lines and those that begin with # are skipped.  Names
 * are letters, digits, - and _; keys have 16 characters or more.  NULL: no keys. */
pf_status pf_keys_open(pf_keys *keys, const char *path,
                       const uint8_t secret[PF_DIGEST_BYTES], pf_error *error);
void pf_keys_close(pf_keys *keys);

/* Number of different names; each has its share of the queue. */
int pf_keys_names(const pf_keys *keys);

/* The name that belongs to a key, or NULL; in the same time for all keys. */
const char *pf_keys_check(const pf_keys *keys, const char *key);

/* A session for a name that pf_keys_check gave, and back. */
void pf_keys_make_session(const pf_keys *keys, const char *name,
                          char out[PF_SESSION_BYTES]);
const char *pf_keys_check_session(const pf_keys *keys, const char *session);

/* Takes one of `rate` requests a minute.  @return 0, or the seconds until there is one. */
int pf_keys_take(pf_keys *keys, const char *name, int rate);

#endif
