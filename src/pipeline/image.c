/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting and scaling a picture.  docs/model/image.md#crop and #resize.
 *
 * The filter is Pillow's: weights in f64, rounded to 22 binary places, two passes
 * with 8-bit values between them.  Only bicubic, only RGB.
 */
#include "pipeline/image.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* Binary places of a weight: 8 bits of a value, 22 of a weight and 2 for the overshoot of the
 * filter fill an int32_t, as in Pillow. */
enum { WEIGHT_BITS = 22 };

/* Rows of RGB pixels somewhere in memory. */
typedef struct pixels {
    const uint8_t *rgb;
    int64_t width, height, stride;      /* pixels, pixels, bytes */
} pixels;

/* The weights of one axis: output i is the sum of `count[i]` inputs from `first[i]`
 * on, weighted with row i of `weights`. */
typedef struct taps {
    int64_t outputs, longest;
    int64_t *first, *count;             /* [outputs] */
    int32_t *weights;                   /* [outputs, longest] */
} taps;

/* --- weights --------------------------------------------------------------------- */

/* Keys with a = -0.5; the order of operations decides the last bit. */
static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static void free_taps(taps *t)
{
    pf_free(t->first);
    pf_free(t->count);
    pf_free(t->weights);
}

/* Fills the weights of output `i`; `scratch` holds t->longest values.  The filter reaches 2
 * inputs to both sides of the centre when enlarging, 2 * scale when shrinking (antialiasing):
 *
 *     centre = (i + 0.5) scale,  scale = inputs / outputs
 *     w[x]   = bicubic((x - centre + 0.5) / max(scale, 1)), divided by their sum
 */
static void fill_output(taps *t, int64_t inputs, int64_t i, double *scratch)
{
    double scale = (double)inputs / (double)t->outputs;
    double widening = scale > 1.0 ? scale : 1.0;
    double support = 2.0 * widening, inverse = 1.0 / widening;
    double centre = ((double)i + 0.5) * scale;
    int64_t low = (int64_t)(centre - support + 0.5);
    int64_t high = (int64_t)(centre + support + 0.5);
    low = low > 0 ? low : 0;
    high = high < inputs ? high : inputs;
    assert(high - low <= t->longest);
    double sum = 0.0;
    for (int64_t x = low; x < high; x++) {
        scratch[x - low] = bicubic(((double)x - centre + 0.5) * inverse);
        sum += scratch[x - low];
    }
    int32_t *weights = t->weights + i * t->longest;
    for (int64_t k = 0; k < high - low; k++) {
        double weight = sum != 0.0 ? scratch[k] / sum : scratch[k];
        double half = weight < 0 ? -0.5 : 0.5;
        weights[k] = (int32_t)(half + weight * (1 << WEIGHT_BITS));
    }
    t->first[i] = low;
    t->count[i] = high - low;
}

/* Makes the weights of an axis.  Release with free_taps, also after a failure. */
static pf_status make_taps(int64_t inputs, int64_t outputs, taps *t, pf_error *error)
{
    double scale = (double)inputs / (double)outputs;
    *t = (taps){.outputs = outputs,
                .longest = 2 * (int64_t)ceil(2.0 * (scale > 1.0 ? scale : 1.0)) + 1};
    size_t values = (size_t)(outputs * t->longest);
    double *scratch = pf_alloc((size_t)t->longest * sizeof *scratch);
    t->first = pf_alloc((size_t)outputs * sizeof *t->first);
    t->count = pf_alloc((size_t)outputs * sizeof *t->count);
    t->weights = pf_alloc(values * sizeof *t->weights);
    bool ready = scratch && t->first && t->count && t->weights;
    for (int64_t i = 0; ready && i < outputs; i++)
        fill_output(t, inputs, i, scratch);
    pf_free(scratch);
    return ready ? PF_OK
                 : pf_fail_memory(error, "picture filter", values * sizeof *t->weights);
}

/* --- passes ---------------------------------------------------------------------- */

/* Sums begin at a half, so that the shift rounds. */
static uint8_t to_byte(int32_t sum)
{
    int32_t value = sum >> WEIGHT_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* [height][width][3] to out [height][outputs][3]. */
static void scale_rows(const pixels *in, const taps *t, uint8_t *out)
{
    for (int64_t y = 0; y < in->height; y++) {
        const uint8_t *row = in->rgb + y * in->stride;
        for (int64_t i = 0; i < t->outputs; i++) {
            const int32_t *weights = t->weights + i * t->longest;
            const uint8_t *from = row + 3 * t->first[i];
            int32_t sum[3];
            sum[0] = sum[1] = sum[2] = 1 << (WEIGHT_BITS - 1);
            for (int64_t k = 0; k < t->count[i]; k++)
                for (int c = 0; c < 3; c++)
                    sum[c] += from[3 * k + c] * weights[k];
            for (int c = 0; c < 3; c++)
                *out++ = to_byte(sum[c]);
        }
    }
}

/* [height][width][3] to out [outputs][width][3]. */
static void scale_columns(const pixels *in, const taps *t, uint8_t *out)
{
    for (int64_t i = 0; i < t->outputs; i++) {
        const int32_t *weights = t->weights + i * t->longest;
        const uint8_t *from = in->rgb + t->first[i] * in->stride;
        for (int64_t x = 0; x < 3 * in->width; x++) {
            int32_t sum = 1 << (WEIGHT_BITS - 1);
            for (int64_t k = 0; k < t->count[i]; k++)
                sum += from[k * in->stride + x] * weights[k];
            *out++ = to_byte(sum);
        }
    }
}

/* Resamples along one axis, whose length changes to `size`. */
static pf_status run_pass(const pixels *in, bool vertical, int64_t size, uint8_t *out,
                          pf_error *error)
{
    taps t;
    pf_status status = make_taps(vertical ? in->height : in->width, size, &t, error);
    if (status == PF_OK && vertical)
        scale_columns(in, &t, out);
    else if (status == PF_OK)
        scale_rows(in, &t, out);
    free_taps(&t);
    return status;
}

/* Pillow takes the vertical pass first where that shrinks the picture much more. */
static bool is_vertical_first(const pixels *in, int64_t width, int64_t height)
{
    return in->height > height && in->height - height > 2 * (in->width - width);
}

/* Two passes with 8-bit values between them, as in Pillow; the order changes the result. */
static pf_status scale_both(const pixels *in, int64_t width, int64_t height,
                            uint8_t *out, pf_error *error)
{
    bool vertical = is_vertical_first(in, width, height);
    pixels middle = {.width = vertical ? in->width : width,
                     .height = vertical ? height : in->height};
    size_t bytes = (size_t)(3 * middle.width * middle.height);
    uint8_t *values = pf_alloc(bytes);
    if (!values)
        return pf_fail_memory(error, "picture scaling", bytes);
    middle.rgb = values;
    middle.stride = 3 * middle.width;
    pf_status status = run_pass(in, vertical, vertical ? height : width, values, error);
    if (status == PF_OK)
        status = run_pass(&middle, !vertical, vertical ? width : height, out, error);
    pf_free(values);
    return status;
}

static pf_status scale(const pixels *in, int64_t width, int64_t height, uint8_t *out,
                       pf_error *error)
{
    if (in->width != width && in->height != height)
        return scale_both(in, width, height, out, error);
    if (in->width != width)
        return run_pass(in, false, width, out, error);
    if (in->height != height)
        return run_pass(in, true, height, out, error);
    for (int64_t y = 0; y < height; y++)
        memcpy(out + 3 * width * y, in->rgb + y * in->stride, (size_t)(3 * width));
    return PF_OK;
}

/* --- crop ------------------------------------------------------------------------ */

/* The centre of the picture in the target's shape.  Division before product: the
 * truncation must see the reference's rounding. */
static pixels crop(const pixels *in, int64_t width, int64_t height)
{
    double iw = (double)in->width, ih = (double)in->height;
    double w = (double)width, h = (double)height;
    pixels out = *in;
    if (ih / iw < h / w) {
        out.width = (int64_t)(ih / h * w);
        out.rgb += (in->width - out.width) / 2 * 3;
    } else {
        out.height = (int64_t)(iw / w * h);
        out.rgb += (in->height - out.height) / 2 * in->stride;
    }
    return out;
}

pf_status pf_image_fit(const pf_image *image, int64_t to_width, int64_t to_height,
                       uint8_t *out, pf_error *error)
{
    assert(image->width > 0 && image->height > 0 && image->stride >= 3 * image->width);
    assert(to_width > 0 && to_height > 0);
    pixels whole = {image->rgb, image->width, image->height, image->stride};
    pixels cut = crop(&whole, to_width, to_height);
    if (cut.width < 1 || cut.height < 1)
        return pf_fail(error, PF_E_INPUT,
                       "the picture of %lldx%lld pixels is too narrow to be cut to "
                       "the shape of %lldx%lld: nothing would be left of it",
                       (long long)image->width, (long long)image->height, (long long)to_width,
                       (long long)to_height);
    return scale(&cut, to_width, to_height, out, error);
}

void pf_image_normalize(const uint8_t *rgb, int64_t height, int64_t width, float *out)
{
    int64_t count = height * width;
    for (int64_t i = 0; i < count; i++) {
        for (int64_t c = 0; c < 3; c++) {
            float unit = (float)rgb[3 * i + c] / 255.0f;
            out[c * count + i] = 2.0f * unit - 1.0f;
        }
    }
}
