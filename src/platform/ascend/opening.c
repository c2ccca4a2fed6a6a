/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing an Ascend device.  See device.h. */
#include "platform/ascend/device.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "platform/ascend/executors.h"
#include "platform/ascend/forecast.h"
#include "platform/ascend/library.h"

/* --- the device and its facts -------------------------------------------------------- */

static pf_status check(ascend *a, const char *name, int code, pf_error *error)
{
    return code == 0 ? PF_OK : pf_ascend_explain(a, pf_ascend_called(a, name, code), NULL, error);
}

/* Refuses devices without bf16, the dtype of the weights. */
static pf_status check_soc(ascend *a, pf_error *error)
{
    const char *name = a->api->aclrtGetSocName();
    snprintf(a->facts.soc, sizeof a->facts.soc, "%s", name ? name : "unknown");
    if (strncmp(a->facts.soc, "Ascend910B", 10) == 0 ||
        strncmp(a->facts.soc, "Ascend910_93", 12) == 0)
        return PF_OK;
    return pf_fail(error, PF_E_UNSUPPORTED,
                   "ascend: the device is %s, but must be Ascend910B or Ascend910_93 "
                   "(others have no bf16)", a->facts.soc);
}

static pf_status check_device(ascend *a, pf_error *error)
{
    uint32_t count = 0;
    PF_TRY(check(a, "aclrtGetDeviceCount", a->api->aclrtGetDeviceCount(&count), error));
    if (a->number >= 0 && (uint32_t)a->number < count)
        return PF_OK;
    if (count == 0)
        return pf_fail(error, PF_E_PLATFORM,
                       "ascend: CANN is installed, but finds no device");
    return pf_fail(error, PF_E_ARGUMENT,
                   "device is %d, but this machine has %u (0 to %d)", a->number,
                   count, (int)count - 1);
}

static int64_t capability(const ascend *a, int info)
{
    int64_t value = 0;
    if (!a->api->aclGetDeviceCapability ||
        a->api->aclGetDeviceCapability((uint32_t)a->number, info, &value) != 0)
        return 0;
    return value;
}

static void read_facts(ascend *a)
{
    acl_package_version version;
    memset(&version, 0, sizeof version);
    snprintf(a->facts.version, sizeof a->facts.version, "unknown");
    if (a->api->aclsysGetCANNVersion && a->api->aclsysGetCANNVersion(0, &version) == 0)
        snprintf(a->facts.version, sizeof a->facts.version, "%.63s", version.version);
    a->facts.cube_cores = capability(a, ACL_CUBE_CORES);
    a->facts.vector_cores = capability(a, ACL_VECTOR_CORES);
    a->facts.l2_bytes = capability(a, ACL_L2_BYTES);
}

/* --- opening and closing -------------------------------------------------------------- */

static pf_status open_stream(ascend *a, pf_error *error)
{
    const ascend_api *f = a->api;
    PF_TRY(check(a, "aclrtSetDevice", f->aclrtSetDevice(a->number), error));
    a->device_set = true;
    PF_TRY(check(a, "aclrtCreateContext", f->aclrtCreateContext(&a->context, a->number),
                 error));
    return check(a, "aclrtCreateStream", f->aclrtCreateStream(&a->stream), error);
}

static pf_status open_real(ascend *a, pf_tally *tally, pf_error *error)
{
    PF_TRY(check_device(a, error));
    PF_TRY(check_soc(a, error));
    PF_TRY(open_stream(a, error));
    pf_ascend_driver_fill(a->api, &a->driver);
    PF_TRY(pf_device_open(&a->device, &a->driver, a, tally, false, error));
    PF_TRY(pf_ascend_executors_open(&a->executors, error));
    read_facts(a);
    return PF_OK;
}

static pf_status open_counting(ascend *a, pf_tally *tally, pf_error *error)
{
    snprintf(a->facts.soc, sizeof a->facts.soc, "%s", a->counting.kind->name);
    return pf_device_open(&a->device, &pf_counting_driver, &a->counting, tally, true, error);
}

pf_status pf_ascend_device_open(int number, const pf_device_kind *forecast, pf_tally *tally,
                                ascend **out, pf_error *error)
{
    *out = NULL;
    const ascend_api *api = NULL;
    if (!forecast)
        PF_TRY(pf_ascend_library(&api, error));
    ascend *a = pf_calloc(1, sizeof *a);
    if (!a)
        return pf_fail_memory(error, "ascend platform", sizeof *a);
    a->api = api;
    a->number = number;
    a->counting.kind = forecast;
    pf_status status = forecast ? open_counting(a, tally, error) : open_real(a, tally, error);
    if (status != PF_OK) {
        pf_ascend_device_close(a);
        return status;
    }
    *out = a;
    return PF_OK;
}

pf_status pf_ascend_counter_open(const ascend *a, pf_tally *tally, ascend **out,
                                 pf_error *error)
{
    const pf_device_kind *kind = a->counting.kind;
    PF_TRY(pf_ascend_device_open(a->number, kind ? kind : pf_ascend_kind_like(a->facts.soc), tally,
                                 out, error));
    (*out)->api = a->api;
    (*out)->for_device = !kind || a->for_device;
    (*out)->facts = a->facts;
    (*out)->fused = a->fused;
    return PF_OK;
}

void pf_ascend_device_close(ascend *a)
{
    const ascend_api *f = a->api;
    pf_device_close(&a->device);
    if (a->executors)
        pf_ascend_executors_close(a);
    if (a->stream)
        f->aclrtDestroyStream(a->stream);
    if (a->context)
        f->aclrtDestroyContext(a->context);
    if (a->device_set) {
        f->aclrtResetDevice(a->number);
        pf_ascend_library_rest();
    }
    pf_free(a);
}
