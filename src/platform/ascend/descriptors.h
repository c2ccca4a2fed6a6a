/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of CANN: handles of tensors, lists, scalars and arrays that operators take.
 * docs/ascend.md, "Descriptors".
 */
#ifndef PF_PLATFORM_ASCEND_DESCRIPTORS_H
#define PF_PLATFORM_ASCEND_DESCRIPTORS_H

#include "platform/ascend/call.h"

/* The descriptors of one call; NULL where the call leaves something out. */
typedef struct ascend_handles {
    aclTensor *in[ASCEND_IN], *out[ASCEND_OUT];
    aclTensorList *list[ASCEND_IN];     /* owns the tensor of `in` */
    aclScalar *scalar[2];
    aclIntArray *array[ASCEND_ARRAYS];
} ascend_handles;

/* Makes all descriptors of the call; on failure none is left. */
pf_status pf_ascend_handles_make(ascend *a, const ascend_call *call, ascend_handles *h);
void pf_ascend_handles_destroy(const ascend *a, const ascend_handles *h);

/* A descriptor begins at a 32-byte boundary, its tensor so many elements behind. */
void *pf_ascend_base_of(const pf_tensor *t);
int64_t pf_ascend_offset_of(const pf_tensor *t);

#endif
