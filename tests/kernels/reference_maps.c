/* SPDX-License-Identifier: Apache-2.0 */
/* The reference's kernels of feature maps: values worked out by hand, and
 * convolutions against sums that go the other way, from each input to the outputs
 * that it reaches, in f64.
 */
#include "reference_test.h"

enum { ROOM = 4096 };

static pf_tensor map(const float *data, int64_t c, int64_t t, int64_t h, int64_t w)
{
    return pf_tensor_make((void *)(uintptr_t)data, PF_F32, 4,
                          (int64_t[]){c, t, h, w});
}

static pf_tensor line(const float *data, int64_t c, int64_t length)
{
    return map(data, c, 1, 1, length);
}

static pf_tensor vector(const float *data, int64_t n)
{
    return pf_vector((void *)(uintptr_t)data, PF_F32, n);
}

static pf_weight conv_weight(pf_weight_kind kind, const float *data, int rank,
                             const int64_t *shape)
{
    const pf_weight_source source = {
        .kind = kind,
        .values = pf_tensor_make((void *)(uintptr_t)data, PF_F32, rank, shape)};
    pf_weight weight;
    assert_int_equal(platform->table.weight_fill(platform, &source, PF_MULTIPLY_F32, NULL,
                                                 &weight, NULL), PF_OK);
    return weight;
}

/* Numbers that are neither equal nor ordered: multiples of 1/8 from -4 to 4. */
static void fill_pattern(float *out, int64_t count, int64_t seed)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)((i * 37 + seed * 11) % 65 - 32) / 8.0f;
}

/* --- conv ------------------------------------------------------------------------- */

static void conv_slides_over_a_line(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3}, w[] = {1, 10, 100}, bias[] = {0.5f};
    float y[3] = {1000, 2000, 3000};
    pf_weight weight = conv_weight(PF_WEIGHT_CONV, w, 5, (int64_t[]){1, 1, 1, 1, 3});
    pf_conv_args args = {.numerics = plain, .x = line(x, 1, 3), .weight = &weight,
                         .stride = {1, 1, 1}, .dilation = {1, 1, 1},
                         .pad_front = {0, 0, 1}, .y = line(y, 1, 3)};
    args.residual = args.y;
    assert_int_equal(platform->table.conv(platform, &args, NULL), PF_OK);
    EXPECT_EXACT(y, 1210, 2321, 3032);
    args.residual = (pf_tensor){0};
    args.bias = vector(bias, 1);
    args.dilation[2] = 2;
    args.pad_front[2] = 2;
    assert_int_equal(platform->table.conv(platform, &args, NULL), PF_OK);
    EXPECT_EXACT(y, 310.5, 20.5, 31.5);
}

typedef struct conv_case {
    int64_t ci, co, in[3], out[3], kernel[3];
    int stride[3], dilation[3], pad[3];
} conv_case;

static const conv_case conv_cases[] = {
    {2, 3, {3, 4, 5}, {3, 4, 5}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {2, 1, 1}},
    {1, 2, {2, 6, 8}, {2, 3, 4}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, 0, 0}},
    {3, 1, {5, 2, 2}, {2, 2, 2}, {3, 1, 1}, {2, 1, 1}, {1, 1, 1}, {0, 0, 0}},
    {12, 2, {3, 3, 4}, {3, 3, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {2, 1, 1}},
    {2, 2, {1, 1, 200}, {1, 1, 200}, {1, 1, 7}, {1, 1, 1}, {1, 1, 9}, {0, 0, 27}},
    {2, 2, {1, 1, 300}, {1, 1, 60}, {1, 1, 10}, {1, 1, 5}, {1, 1, 1}, {0, 0, 3}},
    {4, 3, {5, 6, 7}, {2, 4, 3}, {2, 3, 2}, {3, 1, 3}, {2, 1, 2}, {1, 0, 2}},
};

/* Output index that input `at` reaches through tap k; -1: none. */
static int64_t reached(int64_t at, int64_t k, const conv_case *c, int axis)
{
    int64_t n = at + c->pad[axis] - k * c->dilation[axis];
    if (n < 0 || n % c->stride[axis] != 0 || n / c->stride[axis] >= c->out[axis])
        return -1;
    return n / c->stride[axis];
}

/* Adds x[i, at] through every tap to the outputs of all channels. */
static void scatter(const conv_case *c, const float *w, int64_t i,
                    const int64_t at[3], double value, double *y)
{
    const int64_t *k = c->kernel, *out = c->out;
    int64_t taps = k[0] * k[1] * k[2];
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t t = reached(at[0], tap / (k[1] * k[2]), c, 0);
        int64_t h = reached(at[1], tap / k[2] % k[1], c, 1);
        int64_t v = reached(at[2], tap % k[2], c, 2);
        for (int64_t o = 0; o < c->co && t >= 0 && h >= 0 && v >= 0; o++)
            y[((o * out[0] + t) * out[1] + h) * out[2] + v] +=
                value * (double)w[(o * c->ci + i) * taps + tap];
    }
}

static void expected_conv(const conv_case *c, const float *x, const float *w,
                          const float *bias, double *y)
{
    const int64_t *in = c->in;
    int64_t pixels = in[0] * in[1] * in[2], outs = c->out[0] * c->out[1] * c->out[2];
    for (int64_t n = 0; n < c->co * outs; n++)
        y[n] = (double)bias[n / outs];
    for (int64_t n = 0; n < c->ci * pixels; n++) {
        int64_t p = n % pixels;
        int64_t at[3] = {p / in[2] / in[1], p / in[2] % in[1], p % in[2]};
        scatter(c, w, n / pixels, at, (double)x[n], y);
    }
}

/* A channels-last map of the same shape in other memory. */
static pf_tensor channels_last(const pf_tensor *like, float *room)
{
    pf_tensor last = *like;
    const int64_t *s = like->shape;
    int64_t stride[4] = {1, s[2] * s[3] * s[0], s[3] * s[0], s[0]};
    last.data = room;
    memcpy(last.stride, stride, sizeof stride);
    return last;
}

/* A call with both maps channels-last gives the bits of the call channels-first. */
static void expect_same_channels_last(pf_conv_args args)
{
    static float x[ROOM], y[ROOM], back[ROOM];
    pf_tensor from = args.x, first = args.y, again = args.y;
    again.data = back;
    args.x = channels_last(&from, x);
    args.y = channels_last(&first, y);
    RUN(copy, .numerics = plain, .from = from, .to = args.x);
    assert_int_equal(platform->table.conv(platform, &args, NULL), PF_OK);
    RUN(copy, .numerics = plain, .from = args.y, .to = again);
    assert_memory_equal(back, first.data, (size_t)pf_tensor_bytes(&first));
}

static void conv_agrees_with_scattering(void **state)
{
    (void)state;
    static float x[ROOM], w[ROOM], y[ROOM], bias[8];
    static double expected[ROOM];
    for (size_t n = 0; n < sizeof conv_cases / sizeof conv_cases[0]; n++) {
        const conv_case *c = &conv_cases[n];
        const int64_t *k = c->kernel, *in = c->in, *out = c->out;
        int64_t weights = c->co * c->ci * k[0] * k[1] * k[2];
        fill_pattern(x, c->ci * in[0] * in[1] * in[2], 1);
        fill_pattern(w, weights, 2);
        fill_pattern(bias, c->co, 3);
        pf_weight weight = conv_weight(PF_WEIGHT_CONV, w, 5,
                                       (int64_t[]){c->co, c->ci, k[0], k[1], k[2]});
        pf_conv_args args = {
            .numerics = plain, .x = map(x, c->ci, in[0], in[1], in[2]),
            .weight = &weight, .bias = vector(bias, c->co),
            .y = map(y, c->co, out[0], out[1], out[2]),
        };
        memcpy(args.stride, c->stride, sizeof args.stride);
        memcpy(args.dilation, c->dilation, sizeof args.dilation);
        memcpy(args.pad_front, c->pad, sizeof args.pad_front);
        expected_conv(c, x, w, bias, expected);
        assert_int_equal(platform->table.conv(platform, &args, NULL), PF_OK);
        expect_near(y, expected, (int)pf_tensor_count(&args.y), 1e-6);
        expect_same_channels_last(args);
    }
}

/* --- conv_transposed ---------------------------------------------------------------- */

static void transposed_spreads_a_line(void **state)
{
    (void)state;
    const float x[] = {1, 2}, w[] = {1, 10, 100, 1000};
    float y[4];
    pf_weight weight = conv_weight(PF_WEIGHT_CONV_TRANSPOSED, w, 3,
                                   (int64_t[]){1, 1, 4});
    RUN(conv_transposed, .numerics = plain, .x = line(x, 1, 2), .weight = &weight,
        .stride = 2, .pad = 1, .y = line(y, 1, 4));
    EXPECT_EXACT(y, 10, 102, 1020, 200);
}

static void transposed_agrees_with_gathering(void **state)
{
    (void)state;
    enum { CI = 3, CO = 2, K = 6, L = 70, STRIDE = 3, PAD = 2, OUT = L * STRIDE };
    static float x[CI * L], w[CI * CO * K], y[CO * OUT], bias[CO];
    static double expected[CO * OUT];
    fill_pattern(x, CI * L, 4);
    fill_pattern(w, CI * CO * K, 5);
    fill_pattern(bias, CO, 6);
    pf_weight weight = conv_weight(PF_WEIGHT_CONV_TRANSPOSED, w, 3,
                                   (int64_t[]){CI, CO, K});
    for (int o = 0; o < CO; o++)
        for (int n = 0; n < OUT; n++) {
            double sum = (double)bias[o];
            for (int k = (n + PAD) % STRIDE; k < K; k += STRIDE) {
                int t = (n + PAD - k) / STRIDE;
                for (int i = 0; i < CI && n + PAD >= k && t < L; i++)
                    sum += (double)w[(i * CO + o) * K + k] * (double)x[i * L + t];
            }
            expected[o * OUT + n] = sum;
        }
    RUN(conv_transposed, .numerics = plain, .x = line(x, CI, L), .weight = &weight,
        .bias = vector(bias, CO), .stride = STRIDE, .pad = PAD,
        .y = line(y, CO, OUT));
    expect_near(y, expected, CO * OUT, 1e-6);
}

/* --- per pixel ------------------------------------------------------------------------ */

static void channel_norm_divides_by_length(void **state)
{
    (void)state;
    const float gamma[] = {1, 2};
    float x[] = {3, 0, 1e-13f, 4, 0, 0}, y[6];
    RUN(channel_norm, .numerics = plain, .x = line(x, 2, 3), .gamma = vector(gamma, 2),
        .y = line(y, 2, 3));
    EXPECT_NEAR(y, 1e-7, 0.848528137423857, 0, 0.141421356237310,
                2.262741699796952, 0, 0);
    RUN(channel_norm, .numerics = plain, .x = line(x, 2, 3), .gamma = vector(gamma, 2),
        .y = line(x, 2, 3), .silu = true);
    EXPECT_NEAR(x, 1e-7, 0.594188866424346, 0, 0.075702361418326,
                2.049464617529392, 0, 0);
}

static void snake_adds_a_square(void **state)
{
    (void)state;
    const float alpha[] = {1, 2, -1, 0};
    float x[] = {1.57079632679f, 0, 1, 20, 1, -1, 5, -5};
    RUN(snake, .x = line(x, 4, 2), .alpha = vector(alpha, 4), .y = line(x, 4, 2));
    EXPECT_NEAR(x, 1e-7, 2.57079632679, 0, 1.413410905215903, 20.277596810959762,
                0.291926581726429, -1.708073418273571, 5, -5);
}

static void upsample_doubles(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3, 4};
    float y[16];
    RUN(upsample, .x = map(x, 2, 1, 1, 2), .y = map(y, 2, 1, 2, 4));
    EXPECT_EXACT(y, 1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_slides_over_a_line),
        cmocka_unit_test(conv_agrees_with_scattering),
        cmocka_unit_test(transposed_spreads_a_line),
        cmocka_unit_test(transposed_agrees_with_gathering),
        cmocka_unit_test(channel_norm_divides_by_length),
        cmocka_unit_test(snake_adds_a_square),
        cmocka_unit_test(upsample_doubles),
    };
    return cmocka_run_group_tests(tests, open_reference, close_reference);
}
