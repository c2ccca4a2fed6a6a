/* SPDX-License-Identifier: Apache-2.0 */
/* Counting instead of computing: kinds of devices, the time that an operator takes at least,
 * and a driver (driver.h) that has neither memory nor lanes.
 *
 * A platform forecasts a kind of device by opening its pf_device over the counting driver:
 * kernels run as always, but hand every operator to pf_forecast_add instead of the device.
 */
#ifndef PF_PLATFORM_COMMON_FORECAST_H
#define PF_PLATFORM_COMMON_FORECAST_H

#include "platform/common/driver.h"

/* A device as its maker describes it; a multiply-add is two operations. */
typedef struct pf_device_kind {
    const char *name;               /* "Ascend910B1" */
    int matrix_cores, vector_cores;
    double megahertz;
    double matrix_operations;       /* of bf16, a matrix core and cycle; f32 is taken to be
                                     * a quarter of that */
    double vector_operations;       /* of f32, a vector core and cycle */
    double bytes_per_second;        /* of device memory */
    int64_t memory_bytes;
} pf_device_kind;

/* Operations of matrix products with multiplicands of `dtype` a second. */
double pf_device_kind_peak(const pf_device_kind *kind, pf_dtype dtype);

/* An operator: a matrix product, or (flops 0) one operation for every 4 bytes. */
typedef struct pf_work {
    double flops, bytes;
    pf_dtype dtype;                 /* of the multiplicands */
} pf_work;

/* Adds one launch to the tally.  Its seconds are those of its arithmetic or of its memory,
 * whichever takes longer. */
void pf_forecast_add(const pf_device_kind *kind, const pf_work *work, pf_tally *tally);

/* The handle of the counting driver. */
typedef struct pf_counting {
    const pf_device_kind *kind;
    uintptr_t next_address;         /* bytes given out so far */
} pf_counting;

extern const pf_driver pf_counting_driver;

#endif
