/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors, executors and what operators are written with.
 *
 * Phase one makes an `aclOpExecutor`: op_begin, one op_input / op_output / ... a
 * parameter, checks, op_end with the function that computes.  Anything that fails
 * stays in the executor, and op_end returns it.  Phase two is op_launch.
 * Computing is plain: op_load gives a tensor as dense f32, op_store rounds dense
 * f32 into a tensor; memory from op_memory lives until the run is over.
 */
#ifndef PF_TESTS_CANN_OP_H
#define PF_TESTS_CANN_OP_H

#include "emulator.h"

enum { OP_RANK = 8, OP_VIEWS = 8, OP_LIST = 4, OP_ARRAY = 8, OP_MEMORY = 24 };

typedef struct view {
    aclDataType dtype;
    aclFormat format;
    int rank;
    int64_t shape[OP_RANK], stride[OP_RANK];
    int64_t offset;                     /* elements */
    int64_t storage;                    /* elements that the descriptor claims */
    int storage_rank;
    int64_t extent[OP_RANK];            /* of the storage */
    char *data;
} view;

struct aclTensor {
    uint32_t magic;
    view v;
};

struct aclScalar {
    uint32_t magic;
    aclDataType dtype;
    double value;
};

struct aclIntArray {
    uint32_t magic;
    int count;
    int64_t value[OP_ARRAY];
};

struct aclTensorList {
    uint32_t magic;
    int count;
    const aclTensor *tensor[OP_LIST];
};

typedef struct aclOpExecutor op;

struct aclOpExecutor {
    uint32_t magic;
    op *next;                           /* of all that live */
    const char *name;
    int status;
    bool repeatable, launched;
    view in[OP_VIEWS], out[OP_VIEWS];   /* rank -1: left out */
    bool list[OP_VIEWS];                /* came in a tensor list */
    int blocked;                        /* 1 + the input that is in the format NZ */
    bool reformats;                     /* its input, in place; then never repeatable */
    bool changes_input;                 /* an output is an input */
    int inputs, outputs;
    double number[8];                   /* attributes, for the run */
    int64_t array[4][OP_ARRAY];
    uint64_t workspace;
    int (*run)(op *o);
    void *memory[OP_MEMORY];            /* of a run */
    int memories;
    const char *space;                  /* workspace of this launch */
    uint64_t *out_workspace;
    op **out_executor;
};

/* Sets of dtypes. */
enum {
    T_F32 = 1, T_F16 = 2, T_BF16 = 4, T_BOOL = 8, T_I8 = 16, T_U8 = 32, T_I32 = 64,
    T_I64 = 128, T_F64 = 256,
    T_FLOATS = T_F32 | T_F16 | T_BF16
};

CANN_API op *op_begin(const char *name, uint64_t *workspace, aclOpExecutor **executor);
CANN_API int op_end(op *o, int (*run)(op *o));
CANN_API int op_launch(const char *name, void *workspace, uint64_t bytes,
                       aclOpExecutor *executor, aclrtStream stream);

/* Parameters in the order of the prototype.  Outputs may not overlap inputs. */
CANN_API void op_input(op *o, const aclTensor *tensor, int dtypes);
CANN_API void op_optional(op *o, const aclTensor *tensor, int dtypes);
CANN_API void op_input_list(op *o, const aclTensorList *list, int dtypes);
CANN_API void op_output(op *o, const aclTensor *tensor, int dtypes);
CANN_API void op_optional_output(op *o, const aclTensor *tensor, int dtypes);
/* Both input and output: `selfRef`. */
CANN_API void op_inplace(op *o, const aclTensor *tensor, int dtypes);
/* A matrix in FRACTAL_NZ, or the transposed view of one. */
CANN_API void op_blocked(op *o, const aclTensor *tensor, int dtypes);
CANN_API double op_scalar(op *o, const aclScalar *scalar);
CANN_API int op_array(op *o, const aclIntArray *array, int which);

/* Fails phase one with `code` unless `fine`. */
CANN_API void op_require(op *o, bool fine, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define OP_REQUIRE(o, fine, ...) op_require(o, fine, ACLNN_ERR_PARAM_INVALID, __VA_ARGS__)

static inline bool op_has(const view *v)
{
    return v->rank >= 0;
}

CANN_API int64_t view_count(const view *v);
CANN_API bool view_dense(const view *v);
CANN_API bool view_same_shape(const view *a, const view *b);
CANN_API int view_bytes(const view *v);         /* of an element */
/* Can `from` be repeated to the shape of `to`? */
CANN_API bool view_broadcasts(const view *from, const view *to);

CANN_API float *op_memory(op *o, int64_t count);
/* Frees what was taken since there were `count` pieces. */
CANN_API void op_release_to(op *o, int count);
CANN_API float *op_load(op *o, const view *v);
/* Repeated to the shape of `like`. */
CANN_API float *op_load_like(op *o, const view *v, const view *like);
CANN_API void op_store(const view *v, const float *values);
/* Where element [row, column] of a matrix of `rows` rows lies in FRACTAL_NZ. */
CANN_API int64_t nz_place(int64_t row, int64_t column, int64_t rows);

CANN_API float round_bf16(float value);
/* To 11 bits of mantissa, to nearest even: HF32. */
CANN_API float round_hf32(float value);

#define PHASE_TWO(name)                                                        \
    CANN_API aclnnStatus aclnn##name(void *workspace, uint64_t bytes,          \
                                     aclOpExecutor *executor, aclrtStream stream); \
    CANN_API aclnnStatus aclnn##name(void *workspace, uint64_t bytes,          \
                                     aclOpExecutor *executor, aclrtStream stream)  \
    {                                                                          \
        return op_launch("aclnn" #name, workspace, bytes, executor, stream);   \
    }

#define PHASE_ONE(name, ...)                                                   \
    PHASE_TWO(name)                                                            \
    CANN_API aclnnStatus aclnn##name##GetWorkspaceSize(                        \
        __VA_ARGS__, uint64_t *workspaceSize, aclOpExecutor **executor);       \
    CANN_API aclnnStatus aclnn##name##GetWorkspaceSize(                        \
        __VA_ARGS__, uint64_t *workspaceSize, aclOpExecutor **executor)

#define OP_BEGIN(name) op *o = op_begin("aclnn" #name, workspaceSize, executor)

#endif
