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

/* Called whenever a device has been closed.  Registers aclFinalize with atexit again, behind
 * the handlers of objects that CANN has built meanwhile, so that it runs before theirs. */
void pf_ascend_library_rest(void);

#endif
