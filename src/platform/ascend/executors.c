/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of executors.  See executors.h. */
#include "platform/ascend/executors.h"

#include <string.h>

#include "base/memory.h"

enum { SLOTS = 4096, PROBES = 16 };

struct ascend_executors {
    ascend_executor slots[SLOTS];
    int count;
    bool full;                          /* pf_ascend_executors_settle will empty it */
};

/* --- keys ------------------------------------------------------------------------------- */

static void add_word(ascend_key *key, int64_t word)
{
    key->word[key->words++] = word;
}

static void add_tensor(ascend_key *key, const pf_tensor *t)
{
    if (pf_tensor_is_null(t)) {
        add_word(key, -1);
        return;
    }
    add_word(key, (int64_t)t->dtype * 64 + t->rank);
    add_word(key, pf_ascend_offset_of(t));
    for (int i = 0; i < t->rank; i++) {
        add_word(key, t->shape[i]);
        add_word(key, t->stride[i]);
    }
}

void pf_ascend_key_make(const ascend_call *call, ascend_key *key)
{
    int64_t bits = 0;
    key->words = 0;
    add_word(key, call->op);
    for (int i = 0; i < ASCEND_IN; i++)
        add_tensor(key, &call->in[i]);
    for (int i = 0; i < ASCEND_OUT; i++)
        add_tensor(key, &call->out[i]);
    for (int i = 0; i < call->scalars; i++) {
        uint32_t low;
        memcpy(&low, &call->scalar[i], sizeof low);
        add_word(key, low);
    }
    for (int i = 0; i < ASCEND_ARRAYS; i++) {
        add_word(key, call->array[i].count);
        for (int j = 0; j < call->array[i].count; j++)
            add_word(key, call->array[i].value[j]);
    }
    add_word(key, call->number[0]);
    add_word(key, call->number[1]);
    memcpy(&bits, &call->real, sizeof bits);
    add_word(key, bits);
}

static uint64_t hash_of(const ascend_key *key)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int i = 0; i < key->words; i++) {
        hash ^= (uint64_t)key->word[i];
        hash *= 0x100000001b3u;
        hash ^= hash >> 29;
    }
    return hash;
}

ascend_executor *pf_ascend_executors_find(ascend_executors *cache, const ascend_key *key)
{
    uint64_t hash = hash_of(key);
    for (int i = 0; i < PROBES; i++) {
        ascend_executor *slot = &cache->slots[(hash + (uint64_t)i) % SLOTS];
        if (!slot->word ||
            (slot->words == key->words &&
             memcmp(slot->word, key->word, (size_t)key->words * sizeof *key->word) == 0))
            return slot;
    }
    cache->full = true;
    return NULL;
}

static void empty_cache(ascend *a)
{
    for (int i = 0; i < SLOTS; i++) {
        ascend_executor *slot = &a->executors->slots[i];
        if (!slot->word)
            continue;
        a->api->aclDestroyAclOpExecutor(slot->executor);
        pf_ascend_handles_destroy(a, &slot->handles);
        pf_free(slot->word);
        *slot = (ascend_executor){0};
    }
    a->executors->count = 0;
    a->executors->full = false;
}

pf_status pf_ascend_executors_open(ascend_executors **out, pf_error *error)
{
    *out = pf_calloc(1, sizeof **out);
    return *out ? PF_OK : pf_fail_memory(error, "ascend executors", sizeof **out);
}

void pf_ascend_executors_settle(ascend *a)
{
    if (a->executors && (a->executors->full || a->executors->count > SLOTS * 3 / 4))
        empty_cache(a);
}

void pf_ascend_executors_close(ascend *a)
{
    empty_cache(a);
    pf_free(a->executors);
    a->executors = NULL;
}

bool pf_ascend_executors_keep(ascend *a, ascend_executor *slot, const ascend_key *key,
                              const ascend_executor *made)
{
    size_t bytes = (size_t)key->words * sizeof *key->word;
    int64_t *word = pf_alloc(bytes);
    if (!word || a->api->aclSetAclOpExecutorRepeatable(made->executor) != 0) {
        pf_free(word);
        return false;
    }
    memcpy(word, key->word, bytes);
    *slot = *made;
    slot->word = word;
    slot->words = key->words;
    a->executors->count++;
    return true;
}
