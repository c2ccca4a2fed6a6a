/* SPDX-License-Identifier: Apache-2.0 */
/* Launching operators: descriptors, both phases and workspaces.  docs/ascend.md, "Two phases".
 *
 * A call is a value: the operator, its tensors and attributes.  Calls that differ in
 * addresses only share one executor, which is cached and given the addresses of each call.
 *
 *     ascend_call --key--> cached executor ---- addresses of the call ----.
 *         |                      ^                                        v
 *         |  not cached          | if it can be repeated         phase two: the stream
 *         v                      |                                        ^
 *     descriptors ---> phase one: GetWorkspaceSize ---> workspace --------'
 *                      executor, bytes of workspace     (common/device.h)
 *
 * Phase one runs on the host and queues nothing; phase two queues the operator.
 */
#ifndef PF_PLATFORM_ASCEND_LAUNCH_H
#define PF_PLATFORM_ASCEND_LAUNCH_H

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

/* Queues one operator. */
pf_status pf_ascend_launch(ascend *a, const ascend_call *call);
/* Launches an operator whose executor can neither be cached nor destroyed.  The workspace
 * must exist before phase one, so the caller gives an upper bound in bytes, `room`. */
pf_status pf_ascend_launch_once(ascend *a, const ascend_call *call, int64_t room);

/* Runs phase one alone: would this version of CANN take the call?  Failures that are no
 * refusal are errors. */
pf_status pf_ascend_accepts(ascend *a, const ascend_call *call, bool *out);

/* Does this version of CANN have the operator? */
bool pf_ascend_has(const ascend *a, ascend_operator op);

#endif
