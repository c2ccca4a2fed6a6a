/* SPDX-License-Identifier: Apache-2.0 */
/* The emulator's descriptors and executors: libnnopbase.so.  docs/ascend.md,
 * "Descriptors" and "Two phases".
 */
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op.h"

enum {
    TENSOR = 0x7e4501, SCALAR = 0x5ca1a2, ARRAY = 0xa77a73, LIST = 0x115704,
    EXECUTOR = 0xe8ec05, WORKSPACE = 512, BUCKETS = 4096
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static op *executors[BUCKETS];          /* all that live, by address */

static op **bucket_of(const op *o)
{
    return &executors[((uintptr_t)o >> 5) * 2654435761u % BUCKETS];
}

static void add(int64_t *counter, int64_t amount)
{
    __atomic_fetch_add(counter, amount, __ATOMIC_RELAXED);
}

#define COUNT(name, amount) add(&cann_emulator_counters()->name, amount)

/* --- handles -------------------------------------------------------------------- */

static int element_bytes(aclDataType dtype)
{
    switch (dtype) {
    case ACL_FLOAT: case ACL_INT32: return 4;
    case ACL_FLOAT16: case ACL_BF16: return 2;
    case ACL_INT8: case ACL_UINT8: case ACL_BOOL: return 1;
    case ACL_INT64: case ACL_DOUBLE: return 8;
    default: return 0;
    }
}

CANN_API aclTensor *aclCreateTensor(const int64_t *shape, uint64_t rank,
                                    aclDataType dtype, const int64_t *stride,
                                    int64_t offset, aclFormat format,
                                    const int64_t *storage, uint64_t storage_rank,
                                    void *data)
{
    int code;
    if (cann_injected("aclCreateTensor", &code))
        return NULL;
    if ((!shape && rank) || rank > OP_RANK || !storage || offset < 0 ||
        storage_rank > OP_RANK || element_bytes(dtype) == 0) {
        cann_violation(0, "aclCreateTensor: rank %d, dtype %d, offset %lld",
                       (int)rank, (int)dtype, (long long)offset);
        return NULL;
    }
    aclTensor *t = calloc(1, sizeof *t);
    t->magic = TENSOR;
    t->v = (view){.dtype = dtype, .format = format, .rank = (int)rank,
                  .offset = offset, .storage = 1, .data = data};
    int64_t dense = 1;
    for (int i = (int)rank - 1; i >= 0; i--) {
        t->v.shape[i] = shape[i];
        t->v.stride[i] = stride ? stride[i] : dense;
        dense *= shape[i];
    }
    t->v.storage_rank = (int)storage_rank;
    for (uint64_t i = 0; i < storage_rank; i++) {
        t->v.extent[i] = storage[i];
        t->v.storage *= storage[i];
    }
    COUNT(live_tensors, 1);
    return t;
}

CANN_API aclScalar *aclCreateScalar(void *value, aclDataType dtype)
{
    int code;
    if (cann_injected("aclCreateScalar", &code) || !value)
        return NULL;
    aclScalar *s = calloc(1, sizeof *s);
    *s = (aclScalar){.magic = SCALAR, .dtype = dtype};
    switch (dtype) {
    case ACL_FLOAT: s->value = (double)*(float *)value; break;
    case ACL_DOUBLE: s->value = *(double *)value; break;
    case ACL_INT64: s->value = (double)*(int64_t *)value; break;
    case ACL_INT32: s->value = (double)*(int32_t *)value; break;
    default:
        cann_violation(0, "aclCreateScalar of dtype %d", (int)dtype);
        free(s);
        return NULL;
    }
    COUNT(live_scalars, 1);
    return s;
}

CANN_API aclIntArray *aclCreateIntArray(const int64_t *value, uint64_t count)
{
    int code;
    if (cann_injected("aclCreateIntArray", &code) || !value || count > OP_ARRAY)
        return NULL;
    aclIntArray *a = calloc(1, sizeof *a);
    a->magic = ARRAY;
    a->count = (int)count;
    memcpy(a->value, value, count * sizeof *value);
    COUNT(live_arrays, 1);
    return a;
}

CANN_API aclTensorList *aclCreateTensorList(const aclTensor *const *value,
                                            uint64_t count)
{
    int code;
    if (cann_injected("aclCreateTensorList", &code) || !value || count > OP_LIST)
        return NULL;
    aclTensorList *l = calloc(1, sizeof *l);
    l->magic = LIST;
    l->count = (int)count;
    memcpy(l->tensor, value, count * sizeof *value);
    COUNT(live_lists, 1);
    return l;
}

/* A destroyed handle keeps its memory for a while, without its magic, so that a
 * second use is seen. */
static void retire(void *handle)
{
    enum { RETIRED = 1 << 14 };
    static void *retired[RETIRED];
    static int at;
    pthread_mutex_lock(&lock);
    free(retired[at]);
    retired[at] = handle;
    at = (at + 1) % RETIRED;
    pthread_mutex_unlock(&lock);
}

static int destroy(void *handle, uint32_t magic, int64_t *counter, const char *what)
{
    uint32_t *found = handle;
    if (!found)
        return cann_fail(ACLNN_ERR_PARAM_NULLPTR, "%s: NULL", what);
    if (*found != magic)
        return cann_violation(ACLNN_ERR_PARAM_INVALID, "%s: not a living handle", what);
    *found = 0;
    add(counter, -1);
    retire(handle);
    return 0;
}

CANN_API aclnnStatus aclDestroyTensor(const aclTensor *tensor)
{
    return destroy((void *)(uintptr_t)tensor, TENSOR,
                   &cann_emulator_counters()->live_tensors, "aclDestroyTensor");
}

CANN_API aclnnStatus aclDestroyScalar(const aclScalar *scalar)
{
    return destroy((void *)(uintptr_t)scalar, SCALAR,
                   &cann_emulator_counters()->live_scalars, "aclDestroyScalar");
}

CANN_API aclnnStatus aclDestroyIntArray(const aclIntArray *array)
{
    return destroy((void *)(uintptr_t)array, ARRAY,
                   &cann_emulator_counters()->live_arrays, "aclDestroyIntArray");
}

/* Its tensors go with it. */
CANN_API aclnnStatus aclDestroyTensorList(const aclTensorList *list)
{
    int code = destroy((void *)(uintptr_t)list, LIST,
                       &cann_emulator_counters()->live_lists, "aclDestroyTensorList");
    for (int i = 0; code == 0 && i < list->count; i++)
        code = aclDestroyTensor(list->tensor[i]);
    return code;
}

/* --- views ------------------------------------------------------------------------ */

int64_t view_count(const view *v)
{
    int64_t count = 1;
    for (int i = 0; i < v->rank; i++)
        count *= v->shape[i];
    return count;
}

int view_bytes(const view *v)
{
    return element_bytes(v->dtype);
}

bool view_dense(const view *v)
{
    int64_t dense = 1;
    for (int i = v->rank - 1; i >= 0; i--) {
        if (v->shape[i] > 1 && v->stride[i] != dense)
            return false;
        dense *= v->shape[i];
    }
    return true;
}

bool view_same_shape(const view *a, const view *b)
{
    return a->rank == b->rank &&
           memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

bool view_broadcasts(const view *from, const view *to)
{
    for (int i = 1; i <= from->rank; i++) {
        int64_t extent = from->shape[from->rank - i];
        if (i > to->rank ? extent != 1
                         : extent != 1 && extent != to->shape[to->rank - i])
            return false;
    }
    return true;
}

/* The place behind the last element that the view reaches, from data on. */
static int64_t reach(const view *v)
{
    int64_t last = v->offset;
    for (int i = 0; i < v->rank; i++) {
        if (v->shape[i] == 0)
            return 0;
        last += (v->shape[i] - 1) * v->stride[i];
    }
    return last + 1;
}

/* Conditions that an operator may rely on; NULL when all is well. */
static const char *wrong_with(const view *v)
{
    for (int i = 0; i < v->rank; i++)
        if (v->shape[i] < 0 || v->stride[i] < 0)
            return "a negative extent or stride";
    for (int i = 0; i < v->rank; i++)
        if (v->stride[i] == 0 && v->shape[i] > 1)
            return "a stride of 0, which only extents of 1 document";
    if (view_count(v) == 0)
        return NULL;
    if (!v->data)
        return "no memory";
    if (((uintptr_t)v->data & 31u) != 0)
        return "memory that is not 32-byte aligned";
    if (reach(v) > v->storage)
        return "a view beyond its storage";
    if (cann_room_behind(v->data) < v->storage * view_bytes(v))
        return "storage outside of its block of device memory";
    return NULL;
}

static bool overlap(const view *a, const view *b)
{
    if (view_count(a) == 0 || view_count(b) == 0)
        return false;
    const char *a0 = a->data + a->offset * view_bytes(a);
    const char *b0 = b->data + b->offset * view_bytes(b);
    const char *a1 = a->data + reach(a) * view_bytes(a);
    const char *b1 = b->data + reach(b) * view_bytes(b);
    return a0 < b1 && b0 < a1;
}

/* Interleaved views of the same rows (the even and the odd columns) do not share
 * elements although their ranges do. */
static bool share_elements(const view *a, const view *b)
{
    int64_t step = 0;
    if (!overlap(a, b))
        return false;
    for (int i = 0; i < a->rank; i++) {
        int64_t s = a->shape[i] > 1 ? a->stride[i] : 0;
        while (s) { int64_t t = step % s; step = s; s = t; }
    }
    for (int i = 0; i < b->rank; i++) {
        int64_t s = b->shape[i] > 1 ? b->stride[i] : 0;
        while (s) { int64_t t = step % s; step = s; s = t; }
    }
    int64_t apart = (a->data - b->data) / view_bytes(a) + a->offset - b->offset;
    if (step > 1 && apart % step != 0)
        return false;
    /* Other columns of the same rows. */
    if (a->rank == b->rank && a->rank >= 2 && a->dtype == b->dtype) {
        int64_t row = a->stride[0];
        int64_t wa = reach(a) - a->offset - (a->shape[0] - 1) * row;
        int64_t wb = reach(b) - b->offset - (b->shape[0] - 1) * b->stride[0];
        int64_t shift = row > 0 ? ((apart % row) + row) % row : 0;
        if (row > 0 && b->stride[0] == row && shift >= wb && shift + wa <= row)
            return false;
    }
    return true;
}

/* --- phase one ---------------------------------------------------------------------- */

void op_require(op *o, bool fine, int code, const char *format, ...)
{
    char text[320];
    va_list list;
    if (fine || o->status)
        return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    o->status = cann_fail(code, "%s: %s", o->name, text);
}

op *op_begin(const char *name, uint64_t *workspace, aclOpExecutor **executor)
{
    char call[96];
    op *o = calloc(1, sizeof *o);
    o->name = name;
    o->out_workspace = workspace;
    o->out_executor = executor;
    o->workspace = WORKSPACE;
    snprintf(call, sizeof call, "%sGetWorkspaceSize", name);
    o->status = cann_enter_context(call);
    op_require(o, workspace && executor, ACLNN_ERR_PARAM_NULLPTR,
               "workspaceSize or executor is NULL");
    return o;
}

static bool allowed(aclDataType dtype, int dtypes)
{
    static const struct { aclDataType dtype; int bit; } bits[] = {
        {ACL_FLOAT, T_F32}, {ACL_FLOAT16, T_F16}, {ACL_BF16, T_BF16},
        {ACL_BOOL, T_BOOL}, {ACL_INT8, T_I8}, {ACL_UINT8, T_U8},
        {ACL_INT32, T_I32}, {ACL_INT64, T_I64}, {ACL_DOUBLE, T_F64},
    };
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        if (bits[i].dtype == dtype)
            return (bits[i].bit & dtypes) != 0;
    return false;
}

static void take(op *o, view *place, const aclTensor *tensor, int dtypes, int number)
{
    /* Whatever is checked after a failure finds a view, though an empty one. */
    *place = (view){.rank = 4};
    op_require(o, tensor != NULL, ACLNN_ERR_PARAM_NULLPTR, "tensor %d is NULL", number);
    if (o->status)
        return;
    if (tensor->magic != TENSOR) {
        o->status = cann_violation(ACLNN_ERR_PARAM_INVALID,
                                   "%s: tensor %d is not a living handle", o->name,
                                   number);
        return;
    }
    *place = tensor->v;
    const char *wrong = wrong_with(place);
    if (wrong)
        o->status = cann_violation(ACLNN_ERR_PARAM_INVALID, "%s: tensor %d has %s",
                                   o->name, number, wrong);
    OP_REQUIRE(o, allowed(place->dtype, dtypes), "tensor %d has dtype %d", number,
               (int)place->dtype);
    OP_REQUIRE(o, (place->format == ACL_FORMAT_FRACTAL_NZ) == (o->blocked == 1 + number &&
                                                               place == &o->in[number]),
               "tensor %d has format %d", number, (int)place->format);
}

void op_input(op *o, const aclTensor *tensor, int dtypes)
{
    take(o, &o->in[o->inputs], tensor, dtypes, o->inputs);
    o->inputs++;
}

/* Of a view [a, b]: is it the transposed one of a matrix [b, a]? */
static bool is_transposed(const view *v)
{
    return v->shape[1] > 1 && v->stride[0] == 1;
}

static int64_t blocks_of(int64_t extent)
{
    return (extent + 15) / 16;
}

/* Storage [columns / 16, rows / 16, 16, 16] of the matrix. */
static bool storage_is_blocked(const view *v)
{
    int rows = is_transposed(v), columns = !rows;
    return v->storage_rank == 4 && v->rank == 2 && v->offset == 0 &&
           v->extent[0] == blocks_of(v->shape[columns]) &&
           v->extent[1] == blocks_of(v->shape[rows]) && v->extent[2] == 16 &&
           v->extent[3] == 16;
}

void op_blocked(op *o, const aclTensor *tensor, int dtypes)
{
    o->blocked = 1 + o->inputs;
    op_input(o, tensor, dtypes);
    const view *v = &o->in[o->inputs - 1];
    OP_REQUIRE(o, v->rank == 2 && storage_is_blocked(v),
               "the storage of the weight is not that of FRACTAL_NZ");
    OP_REQUIRE(o, v->shape[0] != 1 && v->shape[1] != 1, "a weight of one row or column");
}

void op_optional(op *o, const aclTensor *tensor, int dtypes)
{
    if (tensor)
        op_input(o, tensor, dtypes);
    else
        o->in[o->inputs++].rank = -1;
}

void op_input_list(op *o, const aclTensorList *list, int dtypes)
{
    bool fine = list && list->magic == LIST && list->count == 1;
    OP_REQUIRE(o, fine, "a tensor list is not one living tensor");
    o->list[o->inputs] = true;
    if (fine)
        op_input(o, list->tensor[0], dtypes);
}

void op_output(op *o, const aclTensor *tensor, int dtypes)
{
    take(o, &o->out[o->outputs], tensor, dtypes, o->outputs);
    o->outputs++;
}

void op_optional_output(op *o, const aclTensor *tensor, int dtypes)
{
    if (tensor)
        op_output(o, tensor, dtypes);
    else
        o->out[o->outputs++].rank = -1;
}

void op_inplace(op *o, const aclTensor *tensor, int dtypes)
{
    op_input(o, tensor, dtypes);
    o->out[o->outputs++] = o->in[o->inputs - 1];
    o->changes_input = true;
}

double op_scalar(op *o, const aclScalar *scalar)
{
    op_require(o, scalar != NULL, ACLNN_ERR_PARAM_NULLPTR, "a scalar is NULL");
    if (scalar && scalar->magic != SCALAR) {
        o->status = cann_violation(ACLNN_ERR_PARAM_INVALID,
                                   "%s: a scalar is not a living handle", o->name);
        return 0.0;
    }
    return scalar ? scalar->value : 0.0;
}

int op_array(op *o, const aclIntArray *array, int which)
{
    op_require(o, array != NULL, ACLNN_ERR_PARAM_NULLPTR, "an array is NULL");
    if (!array)
        return 0;
    if (array->magic != ARRAY) {
        o->status = cann_violation(ACLNN_ERR_PARAM_INVALID,
                                   "%s: an array is not a living handle", o->name);
        return 0;
    }
    memcpy(o->array[which], array->value, sizeof array->value);
    return array->count;
}

/* An output that is an input, too, is one that op_inplace made. */
static void check_overlap(op *o)
{
    for (int i = 0; i < o->outputs && o->status == 0; i++)
        for (int k = 0; k < o->inputs && o->status == 0; k++) {
            const view *a = &o->out[i], *b = &o->in[k];
            if (!op_has(a) || !op_has(b) || memcmp(a, b, sizeof *a) == 0 || o->reformats)
                continue;
            if (share_elements(a, b))
                o->status = cann_violation(ACLNN_ERR_PARAM_INVALID,
                                           "%s: output %d overlaps input %d", o->name,
                                           i, k);
        }
}

static void check_identical(op *o)
{
    for (int i = 0; i < o->outputs && !o->changes_input && o->status == 0; i++)
        for (int k = 0; k < o->inputs; k++)
            if (op_has(&o->out[i]) && op_has(&o->in[k]) &&
                memcmp(&o->out[i], &o->in[k], sizeof(view)) == 0 &&
                view_count(&o->out[i]) > 0)
                o->status = cann_violation(ACLNN_ERR_PARAM_INVALID,
                                           "%s: output %d is input %d", o->name, i, k);
}

/* Each axis steps over all that lies inside of it. */
static bool is_written_once(const view *v)
{
    for (int i = 0; i < v->rank; i++) {
        int64_t inside = 1;
        for (int k = 0; k < v->rank; k++)
            if (v->stride[k] < v->stride[i] || (v->stride[k] == v->stride[i] && k > i))
                inside += (v->shape[k] - 1) * v->stride[k];
        if (v->shape[i] > 1 && v->stride[i] < inside)
            return false;
    }
    return true;
}

/* No element is written twice. */
static void check_outputs(op *o)
{
    for (int i = 0; i < o->outputs && o->status == 0; i++) {
        const view *v = &o->out[i];
        if (!op_has(v) || view_count(v) == 0)
            continue;
        if (!is_written_once(v))
            o->status = cann_violation(ACLNN_ERR_PARAM_INVALID,
                                       "%s: output %d overlaps itself", o->name, i);
        for (int k = 0; k < i && o->status == 0; k++)
            if (op_has(&o->out[k]) && share_elements(v, &o->out[k]))
                o->status = cann_violation(ACLNN_ERR_PARAM_INVALID,
                                           "%s: output %d overlaps output %d", o->name, i,
                                           k);
    }
}

static void check_memory(op *o)
{
    check_overlap(o);
    check_identical(o);
    check_outputs(o);
}

int op_end(op *o, int (*run)(op *o))
{
    check_memory(o);
    if (o->status) {
        int status = o->status;
        free(o);
        return status;
    }
    o->magic = EXECUTOR;
    o->run = run;
    pthread_mutex_lock(&lock);
    o->next = *bucket_of(o);
    *bucket_of(o) = o;
    pthread_mutex_unlock(&lock);
    COUNT(live_executors, 1);
    *o->out_workspace = o->workspace;
    *o->out_executor = o;
    return 0;
}

/* --- executors ------------------------------------------------------------------------ */

static bool lives(const op *o)
{
    bool found = false;
    pthread_mutex_lock(&lock);
    for (op *e = *bucket_of(o); e && !found; e = e->next)
        found = e == o;
    pthread_mutex_unlock(&lock);
    return found;
}

static void forget(op *o)
{
    pthread_mutex_lock(&lock);
    for (op **at = bucket_of(o); *at; at = &(*at)->next)
        if (*at == o) {
            *at = o->next;
            break;
        }
    pthread_mutex_unlock(&lock);
    free(o);
    COUNT(live_executors, -1);
}

static int check_executor(const op *o, const char *call)
{
    if (!o)
        return cann_fail(ACLNN_ERR_PARAM_NULLPTR, "%s: executor is NULL", call);
    if (!lives(o))
        return cann_violation(ACLNN_ERR_PARAM_INVALID,
                              "%s: not a living executor (each runs once, unless it "
                              "was made repeatable)", call);
    return 0;
}

static int enter_executor(const op *o, const char *call)
{
    int code;
    if (cann_injected(call, &code))
        return cann_fail(code, "%s fails by injection", call);
    return check_executor(o, call);
}

CANN_API aclnnStatus aclSetAclOpExecutorRepeatable(aclOpExecutor *executor)
{
    int code = enter_executor(executor, __func__);
    if (code == 0 && executor->launched)
        code = cann_violation(ACLNN_ERR_PARAM_INVALID,
                              "%s: only right after phase one", __func__);
    if (code == 0 && executor->reformats)
        code = cann_violation(ACLNN_ERR_PARAM_INVALID, "%s: not of %s", __func__,
                              executor->name);
    if (code == 0)
        executor->repeatable = true;
    return code;
}

CANN_API aclnnStatus aclDestroyAclOpExecutor(aclOpExecutor *executor)
{
    int code = check_executor(executor, __func__);
    if (code == 0 && !executor->repeatable)
        code = cann_violation(ACLNN_ERR_PARAM_INVALID, "%s: not repeatable", __func__);
    if (code == 0)
        forget(executor);
    return code;
}

/* The one-time check of a tensor given to re-address. */
static int set_address(op *o, view *list, int count, size_t index, void *address)
{
    if (!o->repeatable)
        return cann_violation(ACLNN_ERR_PARAM_INVALID,
                              "%s: an address is set, but it is not repeatable",
                              o->name);
    if ((int)index >= count || !op_has(&list[index]))
        return cann_fail(ACLNN_ERR_PARAM_INVALID, "%s: there is no tensor %zu", o->name,
                         index);
    list[index].data = address;
    const char *wrong = wrong_with(&list[index]);
    if (wrong)
        return cann_violation(ACLNN_ERR_PARAM_INVALID, "%s: tensor %zu now has %s",
                              o->name, index, wrong);
    return 0;
}

static int check_tensor(const aclTensor *tensor, const char *call)
{
    if (!tensor || tensor->magic != TENSOR)
        return cann_violation(ACLNN_ERR_PARAM_INVALID, "%s: not a living tensor", call);
    return 0;
}

CANN_API aclnnStatus aclSetInputTensorAddr(aclOpExecutor *executor, const size_t index,
                                           aclTensor *tensor, void *address)
{
    int code = enter_executor(executor, __func__);
    if (code == 0)
        code = check_tensor(tensor, __func__);
    return code ? code
                : set_address(executor, executor->in, executor->inputs, index, address);
}

CANN_API aclnnStatus aclSetOutputTensorAddr(aclOpExecutor *executor, const size_t index,
                                            aclTensor *tensor, void *address)
{
    int code = enter_executor(executor, __func__);
    if (code == 0)
        code = check_tensor(tensor, __func__);
    return code ? code
                : set_address(executor, executor->out, executor->outputs, index, address);
}

CANN_API aclnnStatus aclSetDynamicInputTensorAddr(aclOpExecutor *executor,
                                                  size_t index, const size_t relative,
                                                  aclTensorList *list, void *address)
{
    int code = enter_executor(executor, __func__);
    if (code)
        return code;
    if (!list || list->magic != LIST || (int)relative >= list->count ||
        (int)index >= executor->inputs || !executor->list[index])
        return cann_violation(ACLNN_ERR_PARAM_INVALID,
                              "%s: input %zu is no tensor list", __func__, index);
    return set_address(executor, executor->in, executor->inputs, index, address);
}

/* --- phase two -------------------------------------------------------------------------- */

typedef struct op_task {
    cann_task task;
    op *o;                              /* its own copy */
    int fault;                          /* injected */
} op_task;

static int run_op(cann_task *task)
{
    op_task *t = (op_task *)task;
    op *o = t->o;
    if (t->fault)
        return t->fault;
    int code = o->run(o);
    for (int i = 0; i < o->memories; i++)
        free(o->memory[i]);
    o->memories = 0;
    if (o->space)
        memset(cann_alias(o->space), 0xff, o->workspace);
    return code;
}

static void drop_op(cann_task *task)
{
    op_task *t = (op_task *)task;
    free(t->o);
    free(t);
}

static bool in_range(const view *v, const char *begin, const char *end)
{
    return op_has(v) && v->data && v->data < end &&
           v->data + v->storage * view_bytes(v) > begin && view_count(v) > 0;
}

static bool op_touches(const cann_task *task, const char *begin, const char *end)
{
    const op *o = ((const op_task *)task)->o;
    bool found = o->space && o->space < end && o->space + o->workspace > begin;
    for (int i = 0; i < o->inputs; i++)
        found = found || in_range(&o->in[i], begin, end);
    for (int i = 0; i < o->outputs; i++)
        found = found || in_range(&o->out[i], begin, end);
    return found;
}

static int check_workspace(const op *o, const void *workspace, uint64_t bytes)
{
    if (o->workspace == 0)
        return 0;
    if (!workspace || bytes < o->workspace)
        return cann_fail(ACLNN_ERR_PARAM_INVALID,
                         "%s: a workspace of %llu bytes, but it needs %llu", o->name,
                         (unsigned long long)bytes, (unsigned long long)o->workspace);
    if (((uintptr_t)workspace & 63u) != 0 ||
        cann_room_behind(workspace) < (int64_t)o->workspace)
        return cann_violation(ACLNN_ERR_PARAM_INVALID,
                              "%s: the workspace is not 64-byte aligned device memory",
                              o->name);
    return 0;
}

/* A repeatable executor may be given wrong addresses one after another: what
 * counts is how they are when it is launched. */
static int check_again(op *o)
{
    int before = o->status;
    check_memory(o);
    int code = o->status;
    o->status = before;
    return code;
}

/* An "execution" fault is one of the 507 codes: it belongs to the stream. */
static bool is_execution_fault(int code)
{
    return code >= 507000 && code < 508000;
}

int op_launch(const char *name, void *workspace, uint64_t bytes, aclOpExecutor *o,
              aclrtStream stream)
{
    int fault = 0;
    int code = cann_enter_context("aclnn phase two");
    if (code == 0)
        code = check_executor(o, name);
    if (code)
        return code;
    /* A refusal uses the executor up, too. */
    if (cann_injected(name, &fault) && !is_execution_fault(fault)) {
        if (!o->repeatable)
            forget(o);
        return cann_fail(fault, "%s fails by injection", name);
    }
    if (strcmp(o->name, name) != 0)
        return cann_violation(ACLNN_ERR_PARAM_INVALID, "%s: the executor is of %s",
                              name, o->name);
    code = check_workspace(o, workspace, bytes);
    if (code == 0)
        code = check_again(o);
    if (code)
        return code;
    op_task *t = calloc(1, sizeof *t);
    *t = (op_task){.task = {.run = run_op, .drop = drop_op, .fails = fault != 0,
                            .touches = op_touches}, .fault = fault};
    t->o = malloc(sizeof *o);
    *t->o = *o;
    t->o->space = workspace;
    COUNT(launches, 1);
    if (o->launched)
        COUNT(reused_executors, 1);
    o->launched = true;
    if (!o->repeatable)
        forget(o);
    code = cann_enqueue(stream, &t->task);
    return code ? ACLNN_ERR_RUNTIME_ERROR : 0;
}

/* --- values ----------------------------------------------------------------------------- */

float round_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        bits |= 0x400000u;
    else
        bits += 0x7fffu + ((bits >> 16) & 1u);
    bits &= 0xffff0000u;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float round_hf32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7f800000u) != 0x7f800000u)
        bits = (bits + 0x7ffu + ((bits >> 12) & 1u)) & ~0xfffu;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float *op_memory(op *o, int64_t count)
{
    float *memory = malloc((size_t)(count > 0 ? count : 1) * sizeof *memory);
    if (!memory || o->memories == OP_MEMORY) {
        fprintf(stderr, "cann: %s has no memory left\n", o->name);
        abort();
    }
    o->memory[o->memories++] = memory;
    return memory;
}

void op_release_to(op *o, int count)
{
    while (o->memories > count)
        free(o->memory[--o->memories]);
}

static float half_to_float(uint16_t half)
{
    int exponent = half >> 10 & 31, mantissa = half & 1023;
    float value = exponent == 31 ? (mantissa ? NAN : INFINITY)
                  : exponent     ? ldexpf((float)(1024 + mantissa), exponent - 25)
                                 : ldexpf((float)mantissa, -24);
    return half & 0x8000 ? -value : value;
}

/* To nearest even, without subnormals of the last bit lost. */
static uint16_t float_to_half(float value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    float size = fabsf(value);
    if (isnan(value))
        return sign | 0x7e00;
    if (size >= 65520.0f)
        return sign | 0x7c00;
    int exponent;
    frexpf(size, &exponent);
    int shift = exponent < -13 ? -13 : exponent;
    float scaled = rintf(ldexpf(size, 11 - shift));
    if (size < ldexpf(1.0f, -14))
        return sign | (uint16_t)rintf(ldexpf(size, 24));
    if (scaled >= 2048.0f) {
        scaled = 1024.0f;
        shift++;
    }
    return sign | (uint16_t)((shift + 14) << 10 | ((int)scaled - 1024));
}

static float read_one(const view *v, const void *data, int64_t at)
{
    switch (v->dtype) {
    case ACL_FLOAT: return ((const float *)data)[at];
    case ACL_BF16: {
        uint32_t wide = (uint32_t)((const uint16_t *)data)[at] << 16;
        float value;
        memcpy(&value, &wide, sizeof value);
        return value;
    }
    case ACL_FLOAT16: return half_to_float(((const uint16_t *)data)[at]);
    case ACL_INT32: return (float)((const int32_t *)data)[at];
    case ACL_INT64: return (float)((const int64_t *)data)[at];
    case ACL_DOUBLE: return (float)((const double *)data)[at];
    case ACL_INT8: return (float)((const int8_t *)data)[at];
    default: return (float)((const uint8_t *)data)[at];
    }
}

static void write_one(const view *v, void *data, int64_t at, float value)
{
    uint32_t bits;
    switch (v->dtype) {
    case ACL_FLOAT: ((float *)data)[at] = value; break;
    case ACL_BF16:
        value = round_bf16(value);
        memcpy(&bits, &value, sizeof bits);
        ((uint16_t *)data)[at] = (uint16_t)(bits >> 16);
        break;
    case ACL_FLOAT16: ((uint16_t *)data)[at] = float_to_half(value); break;
    case ACL_INT32: ((int32_t *)data)[at] = (int32_t)value; break;
    case ACL_INT64: ((int64_t *)data)[at] = (int64_t)value; break;
    case ACL_DOUBLE: ((double *)data)[at] = (double)value; break;
    case ACL_INT8: ((int8_t *)data)[at] = (int8_t)value; break;
    default: ((uint8_t *)data)[at] = (uint8_t)value; break;
    }
}

/* Goes over `shape` in order; the last axis is a plain loop. */
static void walk(const view *v, const view *like, float *values, bool store)
{
    int64_t stride[OP_RANK] = {0}, index[OP_RANK] = {0}, rows = 1;
    int rank = like->rank;
    for (int i = 1; i <= v->rank; i++)
        if (i <= rank && v->shape[v->rank - i] == like->shape[rank - i])
            stride[rank - i] = v->stride[v->rank - i];
    for (int i = 0; i < rank - 1; i++)
        rows *= like->shape[i];
    int64_t width = rank ? like->shape[rank - 1] : 1;
    int64_t step = rank ? stride[rank - 1] : 0;
    void *data = cann_alias(v->data);
    for (int64_t row = 0; row < rows && width > 0; row++) {
        int64_t at = v->offset;
        for (int i = 0; i < rank - 1; i++)
            at += index[i] * stride[i];
        if (v->dtype == ACL_FLOAT && !store)
            for (int64_t j = 0; j < width; j++)
                *values++ = ((const float *)data)[at + j * step];
        else if (v->dtype == ACL_FLOAT)
            for (int64_t j = 0; j < width; j++)
                ((float *)data)[at + j * step] = *values++;
        else
            for (int64_t j = 0; j < width; j++, values++) {
                if (store)
                    write_one(v, data, at + j * step, *values);
                else
                    *values = read_one(v, data, at + j * step);
            }
        for (int i = rank - 2; i >= 0 && ++index[i] == like->shape[i]; i--)
            index[i] = 0;
    }
}

float *op_load_like(op *o, const view *v, const view *like)
{
    float *values = op_memory(o, view_count(like));
    walk(v, like, values, false);
    return values;
}

int64_t nz_place(int64_t row, int64_t column, int64_t rows)
{
    return (column / 16 * blocks_of(rows) + row / 16) * 256 + row % 16 * 16 + column % 16;
}

static float *load_blocked(op *o, const view *v)
{
    bool turned = is_transposed(v);
    const void *data = cann_alias(v->data);
    float *values = op_memory(o, view_count(v)), *to = values;
    for (int64_t i = 0; i < v->shape[0]; i++)
        for (int64_t j = 0; j < v->shape[1]; j++)
            *to++ = read_one(v, data, turned ? nz_place(j, i, v->shape[1])
                                             : nz_place(i, j, v->shape[0]));
    return values;
}

float *op_load(op *o, const view *v)
{
    return v->format == ACL_FORMAT_FRACTAL_NZ ? load_blocked(o, v) : op_load_like(o, v, v);
}

void op_store(const view *v, const float *values)
{
    walk(v, v, (float *)(uintptr_t)values, true);
}
