/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and loading CANN. */
#ifndef PF_PLATFORM_ASCEND_LIBRARY_H
#define PF_PLATFORM_ASCEND_LIBRARY_H

#include "base/error.h"
#include "platform/ascend/acl.h"

/* The functions, loaded and initialised at the first call that succeeds and kept
 * until the process ends: aclInit works once a process.  A library or a needed
 * symbol that is missing is the reason in the error. */
pf_status pf_ascend_library(const ascend_api **out, pf_error *error);

/* Whenever a device has been closed.  aclFinalize has to come before CANN's own objects
 * are taken down at exit, the last built first: what they are is only known by now. */
void pf_ascend_library_rest(void);

#endif
