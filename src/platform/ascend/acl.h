/* SPDX-License-Identifier: Apache-2.0 */
/* CANN's C interface, as far as it is used: types, values, and lists that make the
 * table of functions, the search for symbols, and the adapters of operators.
 * docs/ascend.md, "The interface".
 *
 * CANN's own headers are C++ and not always installed; these are declarations of
 * our own for the same binary interface.
 */
#ifndef PF_PLATFORM_ASCEND_ACL_H
#define PF_PLATFORM_ASCEND_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int aclError;
typedef int32_t aclnnStatus;
typedef void *aclrtStream, *aclrtContext, *aclrtEvent, *aclmdlRI;
typedef struct aclTensor aclTensor;
typedef struct aclScalar aclScalar;
typedef struct aclIntArray aclIntArray;
typedef struct aclTensorList aclTensorList;
typedef struct aclOpExecutor aclOpExecutor;

/* Values of CANN's enums. */
enum { ACL_FLOAT = 0, ACL_FLOAT16 = 1, ACL_BF16 = 27 };
enum {
    ACL_FORMAT_NCHW = 0, ACL_FORMAT_ND = 2, ACL_FORMAT_FRACTAL_NZ = 29,
    ACL_FORMAT_NCDHW = 30, ACL_FORMAT_NCL = 47
};
enum { ACL_HOST_TO_DEVICE = 1, ACL_DEVICE_TO_HOST = 2 };
enum { ACL_MALLOC_HUGE_FIRST = 0, ACL_HBM = 1 };
enum { ACL_CUBE_CORES = 0, ACL_VECTOR_CORES = 1, ACL_L2_BYTES = 2 };
enum { ACL_KEEP_DTYPE = 0, ACL_ALLOW_HF32 = 1 };
enum { ACL_CAPTURE_THREAD_LOCAL = 1 };
enum { ACL_EVENT_SYNC = 1 };
enum {
    ACL_REPEAT_INITIALIZE = 100002,
    ACL_OUT_OF_MEMORY = 207001, ACL_DEVICE_OUT_OF_MEMORY = 207018,
    ACL_BAD_ALLOC = 200000,
    ACLNN_INVALID = 161002, ACLNN_INNER = 561000
};

typedef struct acl_package_version {
    char version[128], major[64], minor[64], release[64], patch[64], reserved[128];
} acl_package_version;

/* --- functions ------------------------------------------------------------------
 * X(needed, result, name, parameters).  What is not needed may be missing from a
 * version; its pointer is then NULL.
 */

enum { ACL_OPTIONAL = 0, ACL_NEEDED = 1 };

/* libascendcl.so, libacl_rt.so */
#define ACL_RUNTIME_LIST(X)                                                    \
    X(ACL_NEEDED, aclError, aclInit, (const char *config))                     \
    X(ACL_NEEDED, aclError, aclFinalize, (void))                               \
    X(ACL_NEEDED, const char *, aclGetRecentErrMsg, (void))                    \
    X(ACL_NEEDED, const char *, aclrtGetSocName, (void))                       \
    X(ACL_OPTIONAL, aclError, aclsysGetCANNVersion,                            \
      (int package, acl_package_version *version))                             \
    X(ACL_OPTIONAL, aclError, aclGetDeviceCapability,                          \
      (uint32_t device, int info, int64_t *value))                             \
    X(ACL_NEEDED, aclError, aclrtGetDeviceCount, (uint32_t *count))            \
    X(ACL_NEEDED, aclError, aclrtSetDevice, (int32_t device))                  \
    X(ACL_NEEDED, aclError, aclrtResetDevice, (int32_t device))                \
    X(ACL_NEEDED, aclError, aclrtCreateContext,                                \
      (aclrtContext *context, int32_t device))                                 \
    X(ACL_NEEDED, aclError, aclrtDestroyContext, (aclrtContext context))       \
    X(ACL_NEEDED, aclError, aclrtSetCurrentContext, (aclrtContext context))    \
    X(ACL_NEEDED, aclError, aclrtCreateStream, (aclrtStream *stream))          \
    X(ACL_NEEDED, aclError, aclrtDestroyStream, (aclrtStream stream))          \
    X(ACL_OPTIONAL, aclError, aclrtDestroyStreamForce, (aclrtStream stream))   \
    X(ACL_NEEDED, aclError, aclrtSynchronizeStreamWithTimeout,                 \
      (aclrtStream stream, int32_t milliseconds))                              \
    X(ACL_NEEDED, aclError, aclrtCreateEventExWithFlag,                        \
      (aclrtEvent *event, uint32_t flag))                                      \
    X(ACL_NEEDED, aclError, aclrtDestroyEvent, (aclrtEvent event))             \
    X(ACL_NEEDED, aclError, aclrtRecordEvent,                                  \
      (aclrtEvent event, aclrtStream stream))                                  \
    X(ACL_NEEDED, aclError, aclrtSynchronizeEventWithTimeout,                  \
      (aclrtEvent event, int32_t milliseconds))                                \
    X(ACL_NEEDED, aclError, aclrtMalloc, (void **out, size_t bytes, int policy)) \
    X(ACL_NEEDED, aclError, aclrtFree, (void *memory))                         \
    X(ACL_NEEDED, aclError, aclrtMallocHost, (void **out, size_t bytes))       \
    X(ACL_NEEDED, aclError, aclrtFreeHost, (void *memory))                     \
    X(ACL_NEEDED, aclError, aclrtMemcpyAsync,                                  \
      (void *to, size_t room, const void *from, size_t bytes, int kind,        \
       aclrtStream stream))                                                    \
    X(ACL_NEEDED, aclError, aclrtGetMemInfo,                                   \
      (int attribute, size_t *free_bytes, size_t *total))                      \
    X(ACL_OPTIONAL, aclError, aclmdlRICaptureBegin,                            \
      (aclrtStream stream, int mode))                                          \
    X(ACL_OPTIONAL, aclError, aclmdlRICaptureEnd,                              \
      (aclrtStream stream, aclmdlRI *graph))                                   \
    X(ACL_OPTIONAL, aclError, aclmdlRIExecuteAsync,                            \
      (aclmdlRI graph, aclrtStream stream))                                    \
    X(ACL_OPTIONAL, aclError, aclmdlRIDestroy, (aclmdlRI graph))

/* libnnopbase.so */
#define ACL_BASE_LIST(X)                                                       \
    X(ACL_NEEDED, aclTensor *, aclCreateTensor,                                \
      (const int64_t *shape, uint64_t rank, int dtype, const int64_t *stride,  \
       int64_t offset, int format, const int64_t *storage,                     \
       uint64_t storage_rank, void *data))                                     \
    X(ACL_NEEDED, aclScalar *, aclCreateScalar, (void *value, int dtype))      \
    X(ACL_NEEDED, aclIntArray *, aclCreateIntArray,                            \
      (const int64_t *value, uint64_t count))                                  \
    X(ACL_NEEDED, aclTensorList *, aclCreateTensorList,                        \
      (const aclTensor *const *value, uint64_t count))                         \
    X(ACL_NEEDED, aclnnStatus, aclDestroyTensor, (const aclTensor *tensor))    \
    X(ACL_NEEDED, aclnnStatus, aclDestroyScalar, (const aclScalar *scalar))    \
    X(ACL_NEEDED, aclnnStatus, aclDestroyIntArray, (const aclIntArray *array)) \
    X(ACL_NEEDED, aclnnStatus, aclDestroyTensorList, (const aclTensorList *list)) \
    X(ACL_NEEDED, aclnnStatus, aclSetAclOpExecutorRepeatable,                  \
      (aclOpExecutor *executor))                                               \
    X(ACL_NEEDED, aclnnStatus, aclDestroyAclOpExecutor, (aclOpExecutor *executor)) \
    X(ACL_NEEDED, aclnnStatus, aclSetInputTensorAddr,                          \
      (aclOpExecutor *executor, const size_t index, aclTensor *tensor, void *data)) \
    X(ACL_NEEDED, aclnnStatus, aclSetOutputTensorAddr,                         \
      (aclOpExecutor *executor, const size_t index, aclTensor *tensor, void *data)) \
    X(ACL_NEEDED, aclnnStatus, aclSetDynamicInputTensorAddr,                   \
      (aclOpExecutor *executor, size_t index, const size_t relative,           \
       aclTensorList *list, void *data))

/* --- operators -------------------------------------------------------------------
 * libopapi.so, or libopapi_{math,nn,transformer}.so.  X(needed, name, parameters of
 * phase one but the last two, arguments).  The arguments speak of an ascend_call
 * (launch.h): I and O are its tensors in and out, L its input in a list, S its
 * scalars, A its arrays, N its integers, R its real number.
 */

#define ACL_UNARY(X, needed, name)                                             \
    X(needed, name, (const aclTensor *self, aclTensor *out), (I(0), O(0)))
#define ACL_BINARY(X, name)                                                    \
    X(ACL_NEEDED, name, (const aclTensor *self, const aclTensor *other,        \
      aclTensor *out), (I(0), I(1), O(0)))                                     \
    X(ACL_NEEDED, Inplace##name, (aclTensor *self, const aclTensor *other),    \
      (I(0), I(1)))
#define ACL_BINARY_ALPHA(X, name)                                              \
    X(ACL_NEEDED, name, (const aclTensor *self, const aclTensor *other,        \
      const aclScalar *alpha, aclTensor *out), (I(0), I(1), S(0), O(0)))       \
    X(ACL_NEEDED, Inplace##name, (aclTensor *self, const aclTensor *other,     \
      const aclScalar *alpha), (I(0), I(1), S(0)))

#define ACL_OPERATOR_LIST(X)                                                   \
    ACL_UNARY(X, ACL_NEEDED, Silu)                                             \
    ACL_UNARY(X, ACL_NEEDED, Tanh)                                             \
    ACL_UNARY(X, ACL_NEEDED, Sin)                                              \
    ACL_UNARY(X, ACL_NEEDED, Exp)                                              \
    ACL_UNARY(X, ACL_NEEDED, Reciprocal)                                       \
    ACL_BINARY_ALPHA(X, Add)                                                   \
    ACL_BINARY_ALPHA(X, Sub)                                                   \
    ACL_BINARY(X, Mul)                                                         \
    ACL_BINARY(X, Div)                                                         \
    X(ACL_NEEDED, GeluV2, (const aclTensor *self, int64_t approximate,         \
      aclTensor *out), (I(0), N(0), O(0)))                                     \
    X(ACL_NEEDED, Clamp, (const aclTensor *self, const aclScalar *low,         \
      const aclScalar *high, aclTensor *out), (I(0), S(0), S(1), O(0)))        \
    X(ACL_NEEDED, Muls, (const aclTensor *self, const aclScalar *other,        \
      aclTensor *out), (I(0), S(0), O(0)))                                     \
    X(ACL_NEEDED, InplaceMuls, (aclTensor *self, const aclScalar *other),      \
      (I(0), S(0)))                                                            \
    X(ACL_NEEDED, Adds, (const aclTensor *self, const aclScalar *other,        \
      const aclScalar *alpha, aclTensor *out), (I(0), S(0), S(1), O(0)))       \
    X(ACL_NEEDED, InplaceAdds, (const aclTensor *self, const aclScalar *other, \
      const aclScalar *alpha), (I(0), S(0), S(1)))                             \
    X(ACL_NEEDED, Addcmul, (const aclTensor *self, const aclTensor *tensor1,   \
      const aclTensor *tensor2, const aclScalar *value, aclTensor *out),       \
      (I(0), I(1), I(2), S(0), O(0)))                                          \
    X(ACL_NEEDED, InplaceAddcmul, (const aclTensor *self,                      \
      const aclTensor *tensor1, const aclTensor *tensor2,                      \
      const aclScalar *value), (I(0), I(1), I(2), S(0)))                       \
    X(ACL_NEEDED, Cast, (const aclTensor *self, const int dtype,               \
      aclTensor *out), (I(0), (int)N(0), O(0)))                                \
    X(ACL_NEEDED, InplaceCopy, (aclTensor *self, const aclTensor *source),     \
      (I(0), I(1)))                                                            \
    X(ACL_NEEDED, InplaceFillScalar, (aclTensor *self, const aclScalar *value), \
      (I(0), S(0)))                                                            \
    X(ACL_NEEDED, ConstantPadNd, (const aclTensor *self,                       \
      const aclIntArray *pad, const aclScalar *value, aclTensor *out),         \
      (I(0), A(0), S(0), O(0)))                                                \
    X(ACL_NEEDED, Flip, (const aclTensor *self, const aclIntArray *dims,       \
      aclTensor *out), (I(0), A(0), O(0)))                                     \
    X(ACL_NEEDED, Amax, (const aclTensor *self, const aclIntArray *dim,        \
      bool keep, aclTensor *out), (I(0), A(0), true, O(0)))                    \
    X(ACL_NEEDED, ReduceSum, (const aclTensor *self, const aclIntArray *dims,  \
      bool keep, int dtype, aclTensor *out),                                   \
      (I(0), A(0), true, ACL_FLOAT, O(0)))                                     \
    X(ACL_NEEDED, Norm, (const aclTensor *self, const aclScalar *p,            \
      const aclIntArray *dim, bool keep, aclTensor *out),                      \
      (I(0), S(0), A(0), true, O(0)))                                          \
    X(ACL_NEEDED, Std, (const aclTensor *self, const aclIntArray *dim,         \
      const int64_t correction, bool keep, aclTensor *out),                    \
      (I(0), A(0), N(0), true, O(0)))                                          \
    X(ACL_NEEDED, Mm, (const aclTensor *self, const aclTensor *other,          \
      aclTensor *out, int8_t cube), (I(0), I(1), O(0), (int8_t)N(0)))          \
    X(ACL_NEEDED, Addmm, (const aclTensor *self, const aclTensor *mat1,        \
      const aclTensor *mat2, const aclScalar *beta, const aclScalar *alpha,    \
      aclTensor *out, int8_t cube),                                            \
      (I(0), I(1), I(2), S(0), S(1), O(0), (int8_t)N(0)))                      \
    X(ACL_OPTIONAL, TransMatmulWeight, (aclTensor *weight), (I(0)))            \
    X(ACL_OPTIONAL, MatmulWeightNz, (const aclTensor *self,                    \
      const aclTensor *mat2, aclTensor *out, int8_t cube),                     \
      (I(0), I(1), O(0), (int8_t)N(0)))                                        \
    X(ACL_OPTIONAL, AddmmWeightNz, (const aclTensor *self,                     \
      const aclTensor *mat1, const aclTensor *mat2, const aclScalar *beta,     \
      const aclScalar *alpha, aclTensor *out, int8_t cube),                    \
      (I(0), I(1), I(2), S(0), S(1), O(0), (int8_t)N(0)))                      \
    X(ACL_NEEDED, BatchMatMul, (const aclTensor *self, const aclTensor *other, \
      aclTensor *out, int8_t cube), (I(0), I(1), O(0), (int8_t)N(0)))          \
    X(ACL_NEEDED, Convolution, (const aclTensor *input,                        \
      const aclTensor *weight, const aclTensor *bias,                          \
      const aclIntArray *stride, const aclIntArray *padding,                   \
      const aclIntArray *dilation, bool transposed,                            \
      const aclIntArray *output_padding, const int64_t groups,                 \
      aclTensor *out, int8_t cube),                                            \
      (I(0), I(1), I(2), A(0), A(1), A(2), N(1) != 0, A(3), 1, O(0),           \
       (int8_t)N(0)))                                                          \
    X(ACL_NEEDED, LayerNorm, (const aclTensor *input,                          \
      const aclIntArray *shape, const aclTensor *weight,                       \
      const aclTensor *bias, double epsilon, aclTensor *out,                   \
      aclTensor *mean, aclTensor *rstd),                                       \
      (I(0), A(0), I(1), I(2), R, O(0), NULL, NULL))                           \
    X(ACL_OPTIONAL, AddLayerNorm, (const aclTensor *x1, const aclTensor *x2,   \
      const aclTensor *gamma, const aclTensor *beta, const aclTensor *bias,    \
      double epsilon, bool additional, const aclTensor *y,                     \
      const aclTensor *mean, const aclTensor *rstd, const aclTensor *sum),     \
      (I(0), I(1), I(2), I(3), NULL, R, true, O(0), O(1), O(2), O(3)))         \
    X(ACL_NEEDED, RmsNorm, (const aclTensor *x, const aclTensor *gamma,        \
      double epsilon, const aclTensor *y, const aclTensor *rstd),              \
      (I(0), I(1), R, O(0), O(1)))                                             \
    X(ACL_OPTIONAL, RotaryPositionEmbedding, (const aclTensor *x,              \
      const aclTensor *cos, const aclTensor *sin, int64_t mode,                \
      aclTensor *out), (I(0), I(1), I(2), N(0), O(0)))                         \
    X(ACL_OPTIONAL, FusedInferAttentionScoreV2,                                \
      (const aclTensor *query, const aclTensorList *key,                       \
       const aclTensorList *value, const aclTensor *pse,                       \
       const aclTensor *mask, const aclIntArray *lengths,                      \
       const aclIntArray *lengths_kv, const aclTensor *deq1,                   \
       const aclTensor *quant1, const aclTensor *deq2,                         \
       const aclTensor *quant2, const aclTensor *quant_offset2,                \
       const aclTensor *antiquant, const aclTensor *antiquant_offset,          \
       const aclTensor *blocks, const aclTensor *query_padding,                \
       const aclTensor *kv_padding, const aclTensor *key_antiquant,            \
       const aclTensor *key_antiquant_offset, const aclTensor *value_antiquant, \
       const aclTensor *value_antiquant_offset, const aclTensor *key_prefix,   \
       const aclTensor *value_prefix, const aclIntArray *prefix_length,        \
       int64_t heads, double scale, int64_t before, int64_t after,             \
       char *layout, int64_t kv_heads, int64_t sparse, int64_t precise,        \
       int64_t block_size, int64_t antiquant_mode, bool lse_flag,              \
       int64_t key_antiquant_mode, int64_t value_antiquant_mode,               \
       const aclTensor *out, const aclTensor *lse),                            \
      (I(0), L(1), L(2), I(3), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
       N(0), R, INT32_MAX, INT32_MAX, ascend_layout, N(0), 0, 0, 0, 0,         \
       O(1) != NULL, 0, 0, O(0), O(1)))

typedef aclnnStatus (*acl_launch)(void *workspace, uint64_t bytes,
                                  aclOpExecutor *executor, aclrtStream stream);

#define ACL_UNPACK(...) __VA_ARGS__

/* All functions that were found; one table for the process. */
typedef struct ascend_api {
#define ACL_MEMBER(needed, result, name, parameters) result(*name) parameters;
    ACL_RUNTIME_LIST(ACL_MEMBER)
    ACL_BASE_LIST(ACL_MEMBER)
#undef ACL_MEMBER
#define ACL_OPERATOR_MEMBER(needed, name, parameters, arguments)               \
    aclnnStatus (*name##_prepare)(ACL_UNPACK parameters, uint64_t *workspace,     \
                               aclOpExecutor **executor);                      \
    acl_launch name;
    ACL_OPERATOR_LIST(ACL_OPERATOR_MEMBER)
#undef ACL_OPERATOR_MEMBER
} ascend_api;

#endif
