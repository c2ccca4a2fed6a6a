/* SPDX-License-Identifier: Apache-2.0 */
/* A call of an operator as a value: which one, its tensors and its attributes. */
#ifndef PF_PLATFORM_ASCEND_CALL_H
#define PF_PLATFORM_ASCEND_CALL_H

#include "platform/ascend/device.h"

typedef enum ascend_operator {
#define ASCEND_OPERATOR(needed, name, parameters, arguments) ASCEND_##name,
    ACL_OPERATOR_LIST(ASCEND_OPERATOR)
#undef ASCEND_OPERATOR
    ASCEND_OPERATORS
} ascend_operator;

enum { ASCEND_IN = 4, ASCEND_OUT = 4, ASCEND_ARRAYS = 4, ASCEND_ARRAY = 8 };

typedef struct ascend_array {
    int count;                          /* 0: left out */
    int64_t value[ASCEND_ARRAY];
} ascend_array;

typedef struct ascend_call {
    ascend_operator op;
    bool maps;                          /* NCL, NCHW or NCDHW by rank, not ND */
    pf_tensor in[ASCEND_IN];            /* null: left out.  In-place operators change
                                         * in[0] */
    pf_tensor out[ASCEND_OUT];
    int scalars;                        /* how many of: */
    float scalar[2];
    ascend_array array[ASCEND_ARRAYS];
    int64_t number[2];
    double real;
} ascend_call;

#endif
