/* SPDX-License-Identifier: Apache-2.0 */
/* Documented limits of CANN's operators.  See limits.h. */
#include "platform/ascend/limits.h"

static const struct {
    int64_t low, high, multiple;
} limits[ASCEND_LIMITS] = {
#define ASCEND_LIMIT(name, low, high, multiple, section) {low, high, multiple},
    ASCEND_LIMIT_LIST(ASCEND_LIMIT)
#undef ASCEND_LIMIT
};

bool pf_ascend_within(ascend_limit limit, int64_t value)
{
    return value >= limits[limit].low && value <= limits[limit].high &&
           value % limits[limit].multiple == 0;
}

bool pf_ascend_attention_fits(int64_t heads, int64_t width, int64_t queries, int64_t keys)
{
    return pf_ascend_within(ASCEND_ATTENTION_WIDTH, width) &&
           pf_ascend_within(ASCEND_ATTENTION_HEADS, heads) &&
           pf_ascend_within(ASCEND_ATTENTION_COLUMNS, heads * width) &&
           pf_ascend_within(ASCEND_ATTENTION_ROWS, queries) &&
           pf_ascend_within(ASCEND_ATTENTION_ROWS, keys);
}

bool pf_ascend_nz_fits(int64_t n, int64_t k)
{
    return pf_ascend_within(ASCEND_NZ_EXTENT, n) && pf_ascend_within(ASCEND_NZ_EXTENT, k);
}

bool pf_ascend_rope_fits(int64_t heads, int64_t width)
{
    return pf_ascend_within(ASCEND_ROPE_HEADS, heads) &&
           pf_ascend_within(ASCEND_ROPE_WIDTH, width);
}

bool pf_ascend_conv_fits(const ascend_conv_shape *s)
{
    bool fits = pf_ascend_within(ASCEND_CONV_EXTENT, s->extent);
    for (int i = 0; i < 3; i++)
        fits = fits && pf_ascend_within(ASCEND_CONV_DILATION, s->dilation[i]) &&
               pf_ascend_within(ASCEND_CONV_PADDING, s->padding[i]);
    if (s->transposed)
        return fits && pf_ascend_within(ASCEND_CONV_TRANSPOSED_KERNEL, s->kernel[2]);
    if (s->axes < 3)
        return fits;
    return fits && pf_ascend_within(ASCEND_CONV3D_KERNEL, s->kernel[1]) &&
           pf_ascend_within(ASCEND_CONV3D_KERNEL, s->kernel[2]) &&
           pf_ascend_within(ASCEND_CONV3D_KERNEL_AREA, s->kernel[1] * s->kernel[2]) &&
           pf_ascend_within(ASCEND_CONV3D_STRIDE, s->stride[1]) &&
           pf_ascend_within(ASCEND_CONV3D_STRIDE, s->stride[2]);
}
