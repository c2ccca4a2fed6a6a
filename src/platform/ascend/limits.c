/* SPDX-License-Identifier: Apache-2.0 */
/* What CANN's operators document about shapes.  See limits.h. */
#include "platform/ascend/limits.h"

static const struct {
    int64_t low, high, multiple;
} limits[ASCEND_LIMITS] = {
#define ASCEND_LIMIT(name, low, high, multiple, section) {low, high, multiple},
    ASCEND_LIMIT_LIST(ASCEND_LIMIT)
#undef ASCEND_LIMIT
};

bool ascend_within(ascend_limit limit, int64_t value)
{
    return value >= limits[limit].low && value <= limits[limit].high &&
           value % limits[limit].multiple == 0;
}

bool ascend_attention_fits(int64_t heads, int64_t width, int64_t queries, int64_t keys)
{
    return ascend_within(ASCEND_ATTENTION_WIDTH, width) &&
           ascend_within(ASCEND_ATTENTION_HEADS, heads) &&
           ascend_within(ASCEND_ATTENTION_COLUMNS, heads * width) &&
           ascend_within(ASCEND_ATTENTION_ROWS, queries) &&
           ascend_within(ASCEND_ATTENTION_ROWS, keys);
}

bool ascend_nz_fits(int64_t n, int64_t k)
{
    return ascend_within(ASCEND_NZ_EXTENT, n) && ascend_within(ASCEND_NZ_EXTENT, k);
}

bool ascend_rope_fits(int64_t heads, int64_t width)
{
    return ascend_within(ASCEND_ROPE_HEADS, heads) &&
           ascend_within(ASCEND_ROPE_WIDTH, width);
}

bool ascend_conv_fits(const ascend_conv_shape *s)
{
    bool fits = ascend_within(ASCEND_CONV_EXTENT, s->extent);
    for (int i = 0; i < 3; i++)
        fits = fits && ascend_within(ASCEND_CONV_DILATION, s->dilation[i]) &&
               ascend_within(ASCEND_CONV_PADDING, s->padding[i]);
    if (s->transposed)
        return fits && ascend_within(ASCEND_CONV_TRANSPOSED_KERNEL, s->kernel[2]);
    if (s->axes < 3)
        return fits;
    return fits && ascend_within(ASCEND_CONV3D_KERNEL, s->kernel[1]) &&
           ascend_within(ASCEND_CONV3D_KERNEL, s->kernel[2]) &&
           ascend_within(ASCEND_CONV3D_KERNEL_AREA, s->kernel[1] * s->kernel[2]) &&
           ascend_within(ASCEND_CONV3D_STRIDE, s->stride[1]) &&
           ascend_within(ASCEND_CONV3D_STRIDE, s->stride[2]);
}
