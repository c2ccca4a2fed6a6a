/* SPDX-License-Identifier: Apache-2.0 */
/* The reference platform: scalar C, straight from docs/model. */
#ifndef PF_PLATFORM_REFERENCE_H
#define PF_PLATFORM_REFERENCE_H

#include "platform/platform.h"

/* Fills table and capabilities.  Other host platforms start from this table. */
pf_status pf_reference_open(pf_platform *out, const pf_platform_options *options,
                            pf_error *error);

#endif
