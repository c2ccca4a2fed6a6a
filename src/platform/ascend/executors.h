/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of executors: operators that are prepared once and run again and again with
 * other addresses.  docs/ascend.md, "Two phases".
 *
 *     ascend_call --key--> hash --> slot   slot + 1   ...   slot + 15
 *                                   the first that has the key, or is free
 *
 * Two calls that differ in addresses only have one key.  Films of other shapes fill the
 * cache up; the next time that nothing is queued it is emptied.
 */
#ifndef PF_PLATFORM_ASCEND_EXECUTORS_H
#define PF_PLATFORM_ASCEND_EXECUTORS_H

#include "platform/ascend/descriptors.h"

enum { ASCEND_KEY_WORDS = 192 };

/* A call as numbers, without its addresses. */
typedef struct ascend_key {
    int words;
    int64_t word[ASCEND_KEY_WORDS];
} ascend_key;

typedef struct ascend_executor {
    int64_t *word;                      /* the key, [words], or NULL: a free slot */
    int words;
    ascend_handles handles;
    uint64_t workspace;                 /* bytes */
    aclOpExecutor *executor;
} ascend_executor;

pf_status pf_ascend_executors_open(ascend_executors **out, pf_error *error);
/* Empties a cache that is full; nothing is queued that needs an executor. */
void pf_ascend_executors_settle(ascend *a);
void pf_ascend_executors_close(ascend *a);

void pf_ascend_key_make(const ascend_call *call, ascend_key *key);
/* The slot that has this key, else a free one, else NULL. */
ascend_executor *pf_ascend_executors_find(ascend_executors *cache, const ascend_key *key);
/* Puts `made`, whose word is NULL, into a free slot under the key; false when CANN or memory
 * refuses, and then the caller keeps it. */
bool pf_ascend_executors_keep(ascend *a, ascend_executor *slot, const ascend_key *key,
                              const ascend_executor *made);

#endif
