/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of Ascend devices, and the work of an operator.  docs/ascend.md, "Prediction". */
#ifndef PF_PLATFORM_ASCEND_FORECAST_H
#define PF_PLATFORM_ASCEND_FORECAST_H

#include "platform/ascend/call.h"

/* "910B1", "Ascend910B1" or "A3"; NULL if it is not known. */
const pf_device_kind *pf_ascend_kind_find(const char *name);
/* The kind of that name, or any where it is not known: a counter beside a real device needs
 * only the operators. */
const pf_device_kind *pf_ascend_kind_like(const char *name);

/* Adds one operator to the tally. */
void pf_ascend_forecast_count(const pf_device_kind *kind, const ascend_call *call,
                              pf_tally *tally);

#endif
