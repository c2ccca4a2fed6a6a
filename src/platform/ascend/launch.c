/* SPDX-License-Identifier: Apache-2.0 */
/* Launching operators.  See launch.h. */
#include "platform/ascend/launch.h"

#include <string.h>

#include "base/memory.h"
#include "platform/ascend/limits.h"
#include "platform/ascend/forecast.h"

/* BSND: batch, sequence, heads, width. */
static char ascend_layout[] = "BSND";

enum { CACHE_SLOTS = 4096, PROBES = 16, KEY_WORDS = 192 };

/* --- handles of one call ------------------------------------------------------------- */

typedef struct handles {
    aclTensor *in[ASCEND_IN], *out[ASCEND_OUT];
    aclTensorList *list[ASCEND_IN];     /* of in, which then belongs to it */
    aclScalar *scalar[2];
    aclIntArray *array[ASCEND_ARRAYS];
} handles;

static int acl_dtype(pf_dtype dtype)
{
    return dtype == PF_BF16 ? ACL_BF16 : dtype == PF_F16 ? ACL_FLOAT16 : ACL_FLOAT;
}

static int format_of(const ascend_call *call, const pf_tensor *t)
{
    if (!call->maps || t->rank < 3)
        return ACL_FORMAT_ND;
    return t->rank == 3   ? ACL_FORMAT_NCL
           : t->rank == 4 ? ACL_FORMAT_NCHW
                          : ACL_FORMAT_NCDHW;
}

/* Descriptors begin at 32-byte boundaries; the rest is an offset in elements. */
static int64_t offset_of(const pf_tensor *t)
{
    return pf_dtype_fits(t->dtype, (int64_t)((uintptr_t)t->data & 31u));
}

static void *base_of(const pf_tensor *t)
{
    return (char *)t->data - ((uintptr_t)t->data & 31u);
}

/* Which inputs are weights in blocks. */
static bool is_blocked(ascend_operator op, int input)
{
    return (op == ASCEND_AddmmWeightNz && input == 2) ||
           (op == ASCEND_MatmulWeightNz && input == 1);
}

/* The transposed view [K, N] of a weight [N, K], whose storage is blocks of 16 x 16:
 * [K / 16, N / 16, 16 of N, 16 of K]. */
static aclTensor *make_blocked(const ascend *a, const pf_tensor *t)
{
    const int64_t storage[] = {t->shape[0] / ASCEND_NZ_BLOCK, t->shape[1] / ASCEND_NZ_BLOCK,
                               ASCEND_NZ_BLOCK, ASCEND_NZ_BLOCK};
    return a->api->aclCreateTensor(t->shape, 2, acl_dtype(t->dtype), t->stride, 0,
                                   ACL_FORMAT_FRACTAL_NZ, storage, 4, t->data);
}

static aclTensor *make_tensor(const ascend *a, const ascend_call *call,
                              const pf_tensor *t)
{
    int64_t offset = offset_of(t), storage = offset + 1;
    for (int i = 0; i < t->rank; i++)
        storage += (t->shape[i] - 1) * t->stride[i];
    return a->api->aclCreateTensor(t->shape, (uint64_t)t->rank, acl_dtype(t->dtype),
                                   t->stride, offset, format_of(call, t), &storage, 1,
                                   base_of(t));
}

/* Which inputs travel in tensor lists. */
static bool is_listed(ascend_operator op, int input)
{
    return op == ASCEND_FusedInferAttentionScoreV2 && (input == 1 || input == 2);
}

static void destroy_handles(const ascend *a, const handles *h)
{
    const ascend_api *f = a->api;
    for (int i = 0; i < ASCEND_IN; i++) {
        if (h->list[i])
            f->aclDestroyTensorList(h->list[i]);
        else if (h->in[i])
            f->aclDestroyTensor(h->in[i]);
    }
    for (int i = 0; i < ASCEND_OUT; i++)
        if (h->out[i])
            f->aclDestroyTensor(h->out[i]);
    for (int i = 0; i < 2; i++)
        if (h->scalar[i])
            f->aclDestroyScalar(h->scalar[i]);
    for (int i = 0; i < ASCEND_ARRAYS; i++)
        if (h->array[i])
            f->aclDestroyIntArray(h->array[i]);
}

static bool make_tensors(const ascend *a, const ascend_call *call, handles *h)
{
    for (int i = 0; i < ASCEND_IN; i++) {
        if (pf_tensor_is_null(&call->in[i]))
            continue;
        h->in[i] = is_blocked(call->op, i) ? make_blocked(a, &call->in[i])
                                           : make_tensor(a, call, &call->in[i]);
        if (!h->in[i])
            return false;
        if (is_listed(call->op, i)) {
            const aclTensor *only = h->in[i];
            if (!(h->list[i] = a->api->aclCreateTensorList(&only, 1)))
                return false;
        }
    }
    for (int i = 0; i < ASCEND_OUT; i++)
        if (!pf_tensor_is_null(&call->out[i]) &&
            !(h->out[i] = make_tensor(a, call, &call->out[i])))
            return false;
    return true;
}

static pf_status make_handles(ascend *a, const ascend_call *call, handles *h)
{
    *h = (handles){0};
    bool fine = make_tensors(a, call, h);
    for (int i = 0; fine && i < call->scalars; i++) {
        float value = call->scalar[i];
        fine = (h->scalar[i] = a->api->aclCreateScalar(&value, ACL_FLOAT)) != NULL;
    }
    for (int i = 0; fine && i < ASCEND_ARRAYS; i++) {
        const ascend_array *v = &call->array[i];
        if (v->count > 0)
            fine = (h->array[i] = a->api->aclCreateIntArray(
                        v->value, (uint64_t)v->count)) != NULL;
    }
    if (fine)
        return PF_OK;
    destroy_handles(a, h);
    return pf_fail(a->error, PF_E_MEMORY, "out of memory: a descriptor of CANN");
}

/* --- phase one: an adapter for each operator ---------------------------------------------- */

/* Arguments and results of CANN's phase one (GetWorkspaceSize). */
typedef struct preparation {
    const ascend_api *api;
    const ascend_call *call;
    const handles *handles;
    uint64_t workspace;                 /* bytes */
    aclOpExecutor *executor;
} preparation;

/* The words of ACL_OPERATOR_LIST (acl.h) for the arguments of phase one: an input, an
 * output, a tensor list, a scalar, an integer array, a whole and a real number. */
#define I(i) p->handles->in[i]
#define O(i) p->handles->out[i]
#define L(i) p->handles->list[i]
#define S(i) p->handles->scalar[i]
#define A(i) p->handles->array[i]
#define N(i) p->call->number[i]
#define R p->call->real
#define ASCEND_PREPARE(needed, name, parameters, arguments)                    \
    static aclnnStatus prepare_##name(preparation *p)                          \
    {                                                                          \
        return p->api->name##_prepare(ACL_UNPACK arguments, &p->workspace,     \
                                      &p->executor);                           \
    }
ACL_OPERATOR_LIST(ASCEND_PREPARE)
#undef ASCEND_PREPARE
#undef I
#undef O
#undef L
#undef S
#undef A
#undef N
#undef R

typedef struct operator_entry {
    const char *name;
    aclnnStatus (*prepare)(preparation *p);
    size_t launch;                      /* offset of phase two in ascend_api */
} operator_entry;

static const operator_entry entries[ASCEND_OPERATORS] = {
#define ASCEND_ENTRY(needed, name, parameters, arguments) \
    {"aclnn" #name, prepare_##name, offsetof(ascend_api, name)},
    ACL_OPERATOR_LIST(ASCEND_ENTRY)
#undef ASCEND_ENTRY
};

static acl_launch phase_two(const ascend *a, ascend_operator op)
{
    acl_launch launch;
    memcpy(&launch, (const char *)a->api + entries[op].launch, sizeof launch);
    return launch;
}

bool ascend_has(const ascend *a, ascend_operator op)
{
    return (a->forecast && !a->for_device) || phase_two(a, op) != NULL;
}

/* --- the cache of executors --------------------------------------------------------------- */

/* A call as numbers, without its addresses. */
typedef struct call_key {
    int words;
    int64_t word[KEY_WORDS];
} call_key;

typedef struct executor_slot {
    int64_t *word;                      /* [words], or NULL: a free slot */
    int words;
    handles handles;
    uint64_t workspace;
    aclOpExecutor *executor;
} executor_slot;

struct ascend_cache {
    executor_slot slots[CACHE_SLOTS];
    int count;
    bool full;                          /* ascend_cache_settle is to empty it */
};

static void add_word(call_key *key, int64_t word)
{
    key->word[key->words++] = word;
}

static void add_tensor(call_key *key, const pf_tensor *t)
{
    if (pf_tensor_is_null(t)) {
        add_word(key, -1);
        return;
    }
    add_word(key, (int64_t)t->dtype * 64 + t->rank);
    add_word(key, offset_of(t));
    for (int i = 0; i < t->rank; i++) {
        add_word(key, t->shape[i]);
        add_word(key, t->stride[i]);
    }
}

static void make_key(const ascend_call *call, call_key *key)
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

static uint64_t hash_of(const call_key *key)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int i = 0; i < key->words; i++) {
        hash ^= (uint64_t)key->word[i];
        hash *= 0x100000001b3u;
        hash ^= hash >> 29;
    }
    return hash;
}

/* The slot that has this key, else a free one, else NULL. */
static executor_slot *find_slot(ascend_cache *cache, const call_key *key)
{
    uint64_t hash = hash_of(key);
    for (int i = 0; i < PROBES; i++) {
        executor_slot *slot = &cache->slots[(hash + (uint64_t)i) % CACHE_SLOTS];
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
    for (int i = 0; i < CACHE_SLOTS; i++) {
        executor_slot *slot = &a->cache->slots[i];
        if (!slot->word)
            continue;
        a->api->aclDestroyAclOpExecutor(slot->executor);
        destroy_handles(a, &slot->handles);
        pf_free(slot->word);
        *slot = (executor_slot){0};
    }
    a->cache->count = 0;
    a->cache->full = false;
}

pf_status ascend_cache_create(ascend_cache **out, pf_error *error)
{
    *out = pf_calloc(1, sizeof **out);
    return *out ? PF_OK : pf_fail_memory(error, "ascend executors", sizeof **out);
}

/* Films of other shapes fill the cache up, which is then emptied. */
void ascend_cache_settle(ascend *a)
{
    if (a->cache && (a->cache->full || a->cache->count > CACHE_SLOTS * 3 / 4))
        empty_cache(a);
}

void ascend_cache_destroy(ascend *a)
{
    empty_cache(a);
    pf_free(a->cache);
    a->cache = NULL;
}

/* Keeps what phase one made; false when CANN or memory refuses. */
static bool keep_executor(ascend *a, executor_slot *slot, const call_key *key,
                          const preparation *p)
{
    size_t bytes = (size_t)key->words * sizeof *key->word;
    int64_t *word = pf_alloc(bytes);
    if (!word || a->api->aclSetAclOpExecutorRepeatable(p->executor) != 0) {
        pf_free(word);
        return false;
    }
    memcpy(word, key->word, bytes);
    *slot = (executor_slot){word, key->words, *p->handles, p->workspace, p->executor};
    a->cache->count++;
    return true;
}

/* --- launching ------------------------------------------------------------------------------- */

static int move_input(const ascend *a, const executor_slot *slot, const ascend_call *call, int i)
{
    const ascend_api *f = a->api;
    void *base = base_of(&call->in[i]);
    if (slot->handles.list[i])
        return f->aclSetDynamicInputTensorAddr(slot->executor, (size_t)i, 0, slot->handles.list[i],
                                               base);
    return f->aclSetInputTensorAddr(slot->executor, (size_t)i, slot->handles.in[i], base);
}

static bool is_inplace(const ascend_call *call)
{
    return pf_tensor_is_null(&call->out[0]);
}

/* Gives a kept executor the addresses of this call. */
static int move_all(const ascend *a, const executor_slot *slot, const ascend_call *call)
{
    const ascend_api *f = a->api;
    int code = 0;
    for (int i = 0; code == 0 && i < ASCEND_IN; i++)
        if (slot->handles.in[i])
            code = move_input(a, slot, call, i);
    for (int i = 0; code == 0 && i < ASCEND_OUT; i++)
        if (slot->handles.out[i])
            code = f->aclSetOutputTensorAddr(slot->executor, (size_t)i, slot->handles.out[i],
                                             base_of(&call->out[i]));
    if (code == 0 && is_inplace(call))
        code = f->aclSetOutputTensorAddr(slot->executor, 0, slot->handles.in[0],
                                         base_of(&call->in[0]));
    return code;
}

/* An executor that will not be run has to be made repeatable to be destroyed. */
static bool discard(const ascend *a, aclOpExecutor *executor)
{
    return a->api->aclSetAclOpExecutorRepeatable(executor) == 0 &&
           a->api->aclDestroyAclOpExecutor(executor) == 0;
}

static pf_status run_in(ascend *a, ascend_operator op, const preparation *p, void *workspace)
{
    if (a->tally)
        a->tally->launches++;
    return ascend_check_queued(a, phase_two(a, op)(workspace, p->workspace, p->executor,
                                                   a->stream), entries[op].name);
}

static pf_status run(ascend *a, ascend_operator op, const preparation *p, bool stays)
{
    void *workspace = NULL;
    if (p->workspace > 0) {
        pf_status status = ascend_workspace(a, (int64_t)p->workspace, &workspace);
        if (status != PF_OK && !stays)
            discard(a, p->executor);
        PF_TRY(status);
    }
    return run_in(a, op, p, workspace);
}

/* Phase one; handles are there only if it went well. */
static pf_status prepare(ascend *a, const ascend_call *call, handles *h, preparation *p)
{
    *p = (preparation){.api = a->api, .call = call, .handles = h};
    PF_TRY(make_handles(a, call, h));
    int code = entries[call->op].prepare(p);
    if (code != 0)
        destroy_handles(a, h);
    return ascend_check(a, code, entries[call->op].name);
}

/* Phase one, then phase two once, or as often as the executor is kept for. */
static pf_status launch_new(ascend *a, const ascend_call *call, executor_slot *slot,
                            const call_key *key)
{
    handles h;
    preparation p;
    PF_TRY(prepare(a, call, &h, &p));
    bool stays = slot && keep_executor(a, slot, key, &p);
    pf_status status = run(a, call->op, &p, stays);
    if (!stays)
        destroy_handles(a, &h);
    return status;
}

pf_status ascend_launch(ascend *a, const ascend_call *call)
{
    call_key key;
    if (a->forecast) {
        ascend_forecast_count(a->forecast, call, a->tally);
        return PF_OK;
    }
    make_key(call, &key);
    executor_slot *slot = find_slot(a->cache, &key);
    if (!slot || !slot->word)
        return launch_new(a, call, slot, &key);
    PF_TRY(ascend_check(a, move_all(a, slot, call), entries[call->op].name));
    preparation p = {.workspace = slot->workspace, .executor = slot->executor};
    return run(a, call->op, &p, true);
}

static pf_status prepare_and_run(ascend *a, const ascend_call *call, void *workspace,
                              int64_t room)
{
    handles h;
    preparation p;
    void *more = NULL;
    pf_status status = PF_OK;
    PF_TRY(prepare(a, call, &h, &p));
    if ((int64_t)p.workspace > room)
        status = ascend_allocate(a, (int64_t)p.workspace, &more);
    if (status == PF_OK)
        status = run_in(a, call->op, &p, more ? more : workspace);
    ascend_release(a, more);
    destroy_handles(a, &h);
    return status;
}

pf_status ascend_launch_once(ascend *a, const ascend_call *call, int64_t room)
{
    void *workspace;
    if (a->forecast)
        return ascend_launch(a, call);
    PF_TRY(ascend_allocate(a, room, &workspace));
    pf_status status = prepare_and_run(a, call, workspace, room);
    ascend_release(a, workspace);
    return status;
}

/* The parameters are not what it takes, or there is no kernel for them. */
static bool is_refusal(int code)
{
    return code == ACLNN_INVALID || code / 1000 == ACLNN_INNER / 1000;
}

pf_status ascend_accepts(ascend *a, const ascend_call *call, bool *out)
{
    handles h;
    preparation p = {.api = a->api, .call = call, .handles = &h};
    PF_TRY(make_handles(a, call, &h));
    int code = entries[call->op].prepare(&p);
    *out = code == 0;
    if (*out && !discard(a, p.executor))
        run(a, call->op, &p, false);    /* which uses it up, whatever it computes */
    destroy_handles(a, &h);
    if (*out || is_refusal(code)) {
        a->api->aclGetRecentErrMsg();
        return PF_OK;
    }
    return ascend_check(a, code, entries[call->op].name);
}
