/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the emulator's own tests: its functions, what every case finds ready, and
 * running a list of wrong uses.
 */
#ifndef TESTS_CANN_MISUSE_H
#define TESTS_CANN_MISUSE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulator.h"

/* --- what the emulator exports ----------------------------------------------------- */

const char *aclGetRecentErrMsg(void);
aclError aclInit(const char *config);
aclError aclFinalize(void);
aclError aclrtGetDeviceCount(uint32_t *count);
aclError aclrtSetDevice(int32_t device);
aclError aclrtResetDevice(int32_t device);
aclError aclrtCreateContext(aclrtContext *out, int32_t device);
aclError aclrtDestroyContext(aclrtContext context);
aclError aclrtSetCurrentContext(aclrtContext context);
aclError aclrtCreateStream(aclrtStream *out);
aclError aclrtDestroyStream(aclrtStream stream);
aclError aclrtSynchronizeStream(aclrtStream stream);
aclError aclrtSynchronizeStreamWithTimeout(aclrtStream stream, int32_t milliseconds);
aclError aclrtCreateEvent(aclrtEvent *out);
aclError aclrtCreateEventExWithFlag(aclrtEvent *out, uint32_t flag);
aclError aclrtDestroyEvent(aclrtEvent event);
aclError aclrtRecordEvent(aclrtEvent event, aclrtStream stream);
aclError aclrtSynchronizeEvent(aclrtEvent event);
aclError aclrtSynchronizeEventWithTimeout(aclrtEvent event, int32_t milliseconds);
aclError aclrtMalloc(void **out, size_t bytes, int policy);
aclError aclrtFree(void *memory);
aclError aclrtMallocHost(void **out, size_t bytes);
aclError aclrtFreeHost(void *memory);
aclError aclrtGetMemInfo(int attribute, size_t *free_bytes, size_t *total);
aclError aclGetDeviceCapability(uint32_t device, int info, int64_t *value);
aclError aclrtMemcpy(void *to, size_t room, const void *from, size_t bytes, int kind);
aclError aclrtMemset(void *to, size_t room, int32_t value, size_t bytes);
aclError aclrtStreamQuery(aclrtStream stream, int *status);
aclError aclrtSynchronizeDevice(void);
aclError aclmdlRICaptureBegin(aclrtStream stream, int mode);
aclError aclmdlRICaptureEnd(aclrtStream stream, aclmdlRI *graph);
aclError aclmdlRIExecuteAsync(aclmdlRI graph, aclrtStream stream);
aclError aclmdlRIDestroy(aclmdlRI graph);
aclError aclrtMemcpyAsync(void *to, size_t room, const void *from, size_t bytes,
                          int kind, aclrtStream stream);
aclTensor *aclCreateTensor(const int64_t *shape, uint64_t rank, aclDataType dtype,
                           const int64_t *stride, int64_t offset, aclFormat format,
                           const int64_t *storage, uint64_t storage_rank, void *data);
aclScalar *aclCreateScalar(void *value, aclDataType dtype);
aclIntArray *aclCreateIntArray(const int64_t *value, uint64_t count);
aclTensorList *aclCreateTensorList(const aclTensor *const *value, uint64_t count);
aclnnStatus aclDestroyTensor(const aclTensor *tensor);
aclnnStatus aclDestroyScalar(const aclScalar *scalar);
aclnnStatus aclDestroyIntArray(const aclIntArray *array);
aclnnStatus aclDestroyTensorList(const aclTensorList *list);
aclnnStatus aclSetAclOpExecutorRepeatable(aclOpExecutor *executor);
aclnnStatus aclDestroyAclOpExecutor(aclOpExecutor *executor);
aclnnStatus aclSetInputTensorAddr(aclOpExecutor *executor, const size_t index,
                                  aclTensor *tensor, void *data);
aclnnStatus aclSetOutputTensorAddr(aclOpExecutor *executor, const size_t index,
                                   aclTensor *tensor, void *data);
aclnnStatus aclSetDynamicInputTensorAddr(aclOpExecutor *executor, size_t index,
                                         const size_t relative, aclTensorList *list,
                                         void *data);

#define OPERATOR(name, ...)                                                    \
    aclnnStatus aclnn##name##GetWorkspaceSize(__VA_ARGS__, uint64_t *workspace, \
                                              aclOpExecutor **executor);       \
    aclnnStatus aclnn##name(void *workspace, uint64_t bytes,                   \
                            aclOpExecutor *executor, aclrtStream stream);

OPERATOR(Silu, const aclTensor *self, aclTensor *out)
OPERATOR(Muls, const aclTensor *self, const aclScalar *other, aclTensor *out)
OPERATOR(GeluV2, const aclTensor *self, int64_t approximate, aclTensor *out)
OPERATOR(Mul, const aclTensor *self, const aclTensor *other, aclTensor *out)
OPERATOR(Add, const aclTensor *self, const aclTensor *other, const aclScalar *alpha,
         aclTensor *out)
OPERATOR(Clamp, const aclTensor *self, const aclScalar *low, const aclScalar *high,
         aclTensor *out)
OPERATOR(Addcmul, const aclTensor *self, const aclTensor *x, const aclTensor *y,
         const aclScalar *value, aclTensor *out)
OPERATOR(Cast, const aclTensor *self, aclDataType dtype, aclTensor *out)
OPERATOR(InplaceCopy, aclTensor *self, const aclTensor *source)
OPERATOR(ConstantPadNd, const aclTensor *self, const aclIntArray *pad,
         const aclScalar *value, aclTensor *out)
OPERATOR(Flip, const aclTensor *self, const aclIntArray *dims, aclTensor *out)
OPERATOR(Amax, const aclTensor *self, const aclIntArray *dim, bool keep, aclTensor *out)
OPERATOR(ReduceSum, const aclTensor *self, const aclIntArray *dims, bool keep,
         aclDataType dtype, aclTensor *out)
OPERATOR(Mm, const aclTensor *self, const aclTensor *other, aclTensor *out, int8_t cube)
OPERATOR(Addmm, const aclTensor *self, const aclTensor *mat1, const aclTensor *mat2,
         const aclScalar *beta, const aclScalar *alpha, aclTensor *out, int8_t cube)
OPERATOR(BatchMatMul, const aclTensor *self, const aclTensor *other, aclTensor *out,
         int8_t cube)
OPERATOR(TransMatmulWeight, aclTensor *weight)
OPERATOR(MatmulWeightNz, const aclTensor *self, const aclTensor *mat2, aclTensor *out,
         int8_t cube)
OPERATOR(AddmmWeightNz, const aclTensor *self, const aclTensor *mat1,
         const aclTensor *mat2, const aclScalar *beta, const aclScalar *alpha,
         aclTensor *out, int8_t cube)
OPERATOR(Convolution, const aclTensor *input, const aclTensor *weight,
         const aclTensor *bias, const aclIntArray *stride, const aclIntArray *padding,
         const aclIntArray *dilation, bool transposed, const aclIntArray *more,
         int64_t groups, aclTensor *output, int8_t cube)
OPERATOR(LayerNorm, const aclTensor *input, const aclIntArray *shape,
         const aclTensor *weight, const aclTensor *bias, double eps, aclTensor *out,
         aclTensor *mean, aclTensor *rstd)
OPERATOR(AddLayerNorm, const aclTensor *x1, const aclTensor *x2, const aclTensor *gamma,
         const aclTensor *beta, const aclTensor *bias, double eps, bool additional,
         const aclTensor *y, const aclTensor *mean, const aclTensor *rstd,
         const aclTensor *x)
OPERATOR(RmsNorm, const aclTensor *x, const aclTensor *gamma, double eps,
         const aclTensor *y, const aclTensor *rstd)
OPERATOR(RotaryPositionEmbedding, const aclTensor *x, const aclTensor *cos,
         const aclTensor *sin, int64_t mode, aclTensor *out)
OPERATOR(FusedInferAttentionScoreV2, const aclTensor *query, const aclTensorList *key,
         const aclTensorList *value, const void *n1, const void *n2, const void *n3,
         const void *n4, const void *n5, const void *n6, const void *n7,
         const void *n8, const void *n9, const void *n10, const void *n11,
         const void *n12, const void *n13, const void *n14, const void *n15,
         const void *n16, const void *n17, const void *n18, const void *n19,
         const void *n20, const void *n21, int64_t heads, double scale, int64_t before,
         int64_t after, char *layout, int64_t kv_heads, int64_t sparse, int64_t precise,
         int64_t block, int64_t antiquant, bool lse_flag, int64_t key_mode,
         int64_t value_mode, const aclTensor *out, const aclTensor *lse)

/* --- what every case finds ready ------------------------------------------------------- */

static aclrtStream stream;
static char *memory;                    /* 1 MiB on the device */
static uint64_t workspace;
static aclOpExecutor *executor;

enum { ROOM = 1 << 20 };

static inline aclTensor *tensor_of(aclDataType dtype, aclFormat format, char *data,
                                   int rank, const int64_t *shape)
{
    return aclCreateTensor(shape, (uint64_t)rank, dtype, NULL, 0, format, shape,
                           (uint64_t)rank, data);
}

#define SHAPE(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
    (int64_t[]){__VA_ARGS__}
#define F32(data, ...) tensor_of(ACL_FLOAT, ACL_FORMAT_ND, data, SHAPE(__VA_ARGS__))
#define F16(data, ...) tensor_of(ACL_FLOAT16, ACL_FORMAT_ND, data, SHAPE(__VA_ARGS__))
#define BF16(data, ...) tensor_of(ACL_BF16, ACL_FORMAT_ND, data, SHAPE(__VA_ARGS__))
#define OF(dtype, data, ...) tensor_of(dtype, ACL_FORMAT_ND, data, SHAPE(__VA_ARGS__))
#define MAP(format, data, ...) tensor_of(ACL_FLOAT, format, data, SHAPE(__VA_ARGS__))
#define ARRAY(...) aclCreateIntArray((int64_t[]){__VA_ARGS__}, \
    sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static inline char *at(int part)
{
    return memory + part * (ROOM / 8);
}

static inline aclScalar *number(float value)
{
    return aclCreateScalar(&value, ACL_FLOAT);
}

static inline int plan_silu(aclTensor *x, aclTensor *y)
{
    return aclnnSiluGetWorkspaceSize(x, y, &workspace, &executor);
}

/* A good executor. */
static inline void silu_ready(void)
{
    if (plan_silu(F32(at(0), 8), F32(at(1), 8)) != 0)
        abort();
}

static inline int launch_silu(void)
{
    return aclnnSilu(at(7), workspace, executor, stream);
}

/* --- wrong uses ------------------------------------------------------------------------ */

typedef struct wrong_use {
    const char *what;
    int code;
    int (*run)(void);
} wrong_use;

#define CASE(name) static int name(void)

static int failures;

static inline void expect(const char *what, int found, int code)
{
    const char *text = aclGetRecentErrMsg();
    bool fine = found == code && (code == 0 || (text && text[0]));
    if (!fine)
        printf("FAIL %s: %d (%s), expected %d\n", what, found, text ? text : "no message",
               code);
    failures += !fine;
}

/* A device with a stream and memory. */
static inline void make_ready(void)
{
    void *block;
    if (aclrtSetDevice(0) != 0 || aclrtCreateStream(&stream) != 0 ||
        aclrtMalloc(&block, ROOM, 0) != 0)
        abort();
    memory = block;
}

static inline void run_cases(const wrong_use *list, int count)
{
    for (int i = 0; i < count; i++) {
        expect(list[i].what, list[i].run(), list[i].code);
        aclrtSynchronizeStream(stream);
    }
}

#endif
