/* SPDX-License-Identifier: Apache-2.0 */
/* The ascend platform: Huawei's NPUs through CANN's C interface, which is loaded at
 * run time.  docs/ascend.md.
 *
 * CANN is not needed to build; on a machine without it pf_ascend_open says what is missing.
 */
#ifndef PF_PLATFORM_ASCEND_ASCEND_H
#define PF_PLATFORM_ASCEND_ASCEND_H

#include "platform/platform.h"

pf_status pf_ascend_open(pf_platform *out, const pf_platform_options *options,
                         pf_error *error);

/* Words of pf_platform_options.forecast, and what a forecast takes for granted. */
extern const char pf_ascend_kinds[], pf_ascend_assumptions[];

#endif
