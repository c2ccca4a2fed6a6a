/* SPDX-License-Identifier: Apache-2.0 */
/* Formats of weights that every platform multiplies. */
#include "platform/common/common.h"

pf_status pf_common_weight_check(const pf_platform *platform, const pf_weight_source *source,
                                 pf_error *error)
{
    const char *name = platform->capabilities.name;
    if (!pf_dtype_converts(source->values.dtype))
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "the %s platform multiplies weights of F32, F16 and BF16, but not of "
                       "%s", name, pf_dtype_name(source->values.dtype));
    if (!pf_tensor_is_null(&source->scale))
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "the %s platform does not multiply weights that have scales", name);
    if (source->rotation != 0)
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "the %s platform does not multiply rotated weights", name);
    return PF_OK;
}
