/* The reference platform: scalar C, straight from docs/model.
 *
 * Every kernel is the formula in platform.h and nothing more: no packing, no
 * blocking that shows in a result, no fast mathematics.  It always multiplies in
 * f32, which PF_MATH_FAST allows.  Feature maps may have any strides.
 */
#include "platform/reference/reference.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

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

static void close_nothing(pf_platform *platform)
{
    (void)platform;
}

static void fill_capabilities(const pf_platform *platform, pf_capabilities *out)
{
    struct utsname machine;
    *out = (pf_capabilities){
        .threads = pf_pool_threads(platform->pool),
        .memory_bytes = reference_available_memory(),
        .maps_channels_last = false,
    };
    snprintf(out->name, sizeof out->name, "reference");
    snprintf(out->isa, sizeof out->isa, "scalar");
    if (uname(&machine) == 0)
        snprintf(out->device, sizeof out->device, "%s", machine.machine);
}

pf_status pf_reference_open(pf_platform *out, const pf_platform_options *options,
                            pf_error *error)
{
    if (options->isa && strcmp(options->isa, "scalar") != 0)
        return pf_fail(error, PF_E_ARGUMENT,
                       "isa is '%s', but the reference platform has only scalar",
                       options->isa);
#define REFERENCE_FILL(slot, type) out->table.slot = reference_##slot;
    PF_KERNEL_LIST(REFERENCE_FILL)
#undef REFERENCE_FILL
    reference_fill_memory(&out->table);
    out->table.ceilings = no_ceilings;
    out->table.close = close_nothing;
    fill_capabilities(out, &out->capabilities);
    return PF_OK;
}
