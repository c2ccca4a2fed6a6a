/* SPDX-License-Identifier: Apache-2.0 */
/* Counting instead of computing: what a device would be given, and how long its
 * arithmetic and its memory need for it at least.  docs/ascend.md, "Prediction".
 */
#ifndef PF_PLATFORM_ASCEND_PLAN_H
#define PF_PLATFORM_ASCEND_PLAN_H

#include "platform/ascend/launch.h"

/* One kind of device; the arithmetic follows from cores and clock. */
struct ascend_soc {
    const char *name;                   /* "Ascend910B1" */
    int cube_cores, vector_cores;
    double megahertz;
    int64_t memory_bytes;
};

/* "910B1", "Ascend910B1" or "A3"; NULL if it is not known. */
const ascend_soc *ascend_soc_find(const char *name);
/* The same, or any: of a device that is there, only its operators are asked for. */
const ascend_soc *ascend_soc_like(const char *name);

/* Multiply-adds count two; operations a second. */
double ascend_soc_peak(const ascend_soc *soc, pf_dtype dtype);

/* Adds one operator to the tally. */
void ascend_forecast_count(const ascend_soc *soc, const ascend_call *call, pf_tally *tally);

#endif
