/* SPDX-License-Identifier: Apache-2.0 */
/* The reference platform: scalar C, straight from docs/model.
 *
 * Every kernel is the formula in platform/kernels.h and nothing more: no packing, no
 * blocking that shows in a result, no fast mathematics.  It always multiplies in
 * f32, which PF_MULTIPLY_BF16 allows.  Feature maps may have any strides.
 */
#include "platform/reference/reference.h"

#include <stdio.h>
#include <string.h>

#include "platform/reference/kernels.h"

static pf_status no_ceilings(pf_platform *platform, double seconds,
                             pf_ceilings *out, pf_error *error)
{
    (void)platform;
    (void)seconds;
    (void)error;
    *out = (pf_ceilings){0};
    return PF_OK;
}

pf_status pf_reference_open(pf_platform *out, const pf_platform_options *options,
                            pf_error *error)
{
    if (options->isa && strcmp(options->isa, "scalar") != 0)
        return pf_fail(error, PF_E_ARGUMENT,
                       "isa is '%s', but the reference platform has only scalar",
                       options->isa);
    PF_TRY(pf_common_host_open(out, options->threads, error));
#define REFERENCE_FILL(slot, type) out->table.slot = pf_reference_##slot;
    PF_SINGLE_KERNEL_LIST(REFERENCE_FILL)
    PF_PART_KERNEL_LIST(REFERENCE_FILL)
#undef REFERENCE_FILL
    out->table.ceilings = no_ceilings;
    snprintf(out->capabilities.name, sizeof out->capabilities.name, "reference");
    snprintf(out->capabilities.isa, sizeof out->capabilities.isa, "scalar");
    return PF_OK;
}
