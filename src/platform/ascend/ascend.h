/* SPDX-License-Identifier: Apache-2.0 */
/* The ascend platform: Huawei's NPUs through CANN's C interface, which is loaded at
 * run time.  docs/ascend.md.
 *
 * Nothing of CANN is needed to build; a machine without it gets a reason.
 */
#ifndef PF_PLATFORM_ASCEND_ASCEND_H
#define PF_PLATFORM_ASCEND_ASCEND_H

#include "platform/platform.h"

pf_status pf_ascend_open(pf_platform *out, const pf_platform_options *options,
                         pf_error *error);

#endif
