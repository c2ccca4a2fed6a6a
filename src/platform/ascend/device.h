/* SPDX-License-Identifier: Apache-2.0 */
/* An open Ascend device: a pf_device over CANN's run time, facts and executors.
 * docs/ascend.md, "Memory".
 *
 *     pf_platform.state --> ascend
 *                            |-- device      common/device.h: memory, copies, recordings
 *                            |     `-- driver      driver.c: CANN's run time, one stream
 *                            |-- facts       what the device and this version of CANN can do
 *                            `-- executors   operators that are prepared (executors.h)
 */
#ifndef PF_PLATFORM_ASCEND_DEVICE_H
#define PF_PLATFORM_ASCEND_DEVICE_H

#include "platform/ascend/acl.h"
#include "platform/common/device.h"
#include "platform/common/forecast.h"

/* aclrtMalloc takes a multiple of 32 bytes, and 32 more. */
enum { ASCEND_BLOCK_UNIT = 32, ASCEND_BLOCK_EXTRA = 32 };

/* Properties of the device and of CANN's version, filled when the device opens. */
typedef struct ascend_facts {
    char soc[48];                       /* "Ascend910B1" */
    char version[64];                   /* "8.1.RC1", "unknown" */
    int64_t cube_cores, vector_cores, l2_bytes;
    bool conv_f32;                      /* convolutions without HF32 are accepted */
    bool mixed_products;                /* bf16 products with an f32 bias, into f32, */
    bool narrow_products;               /* and into bf16 */
    bool blocked_weights;               /* weights of linear layers are kept in NZ */
} ascend_facts;

typedef struct ascend_executors ascend_executors;

typedef struct ascend {
    pf_device device;                   /* first: pf_device_of */
    pf_driver driver;
    const ascend_api *api;
    int number;                         /* of the device */
    bool device_set;
    aclrtContext context;
    aclrtStream stream;                 /* NULL: a failed one is still to be replaced */
    const char *call;                   /* name of the latest call of the run time */
    ascend_facts facts;
    bool fused;                         /* fused operators may be used */
    ascend_executors *executors;
    pf_counting counting;               /* kind not NULL: launches are counted for it
                                         * (forecast.h), not run */
    bool for_device;                    /* counting beside the device of `api` */
} ascend;

static inline ascend *ascend_of(const pf_platform *platform)
{
    return platform->state;
}

/* Opens device `number`, or, with `forecast`, a device that only counts; *out is NULL on
 * failure. */
pf_status pf_ascend_device_open(int number, const pf_device_kind *forecast, pf_tally *tally,
                                ascend **out, pf_error *error);
/* Opens a device that counts the work that `a` would be given. */
pf_status pf_ascend_counter_open(const ascend *a, pf_tally *tally, ascend **out,
                                 pf_error *error);
void pf_ascend_device_close(ascend *a);

/* Fills the driver as far as this version of CANN has its functions (driver.c). */
void pf_ascend_driver_fill(const ascend_api *api, pf_driver *out);

/* Gives `code` back and remembers which call of the run time it came from (errors.c). */
int pf_ascend_called(ascend *a, const char *name, int code);
/* pf_driver.explain, with CANN's own text. */
pf_status pf_ascend_explain(void *handle, int code, const char *doing, pf_error *error);

#endif
