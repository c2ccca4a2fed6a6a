/* SPDX-License-Identifier: Apache-2.0 */
/* The table of limits, on both sides of every edge, and which operators a kernel
 * really takes there, as the emulator counts them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "emulator_test.h"
#include "platform/ascend/limits.h"
#include "platform/platform.h"

/* --- the table --------------------------------------------------------------------- */

static void test_edges(void **state)
{
    (void)state;
#define EDGES(name, low, high, multiple, section)                              \
    assert_true(pf_ascend_within(ASCEND_##name, low));                         \
    assert_true(pf_ascend_within(ASCEND_##name, high));                        \
    assert_false(pf_ascend_within(ASCEND_##name, (low) - (multiple)));         \
    assert_false(pf_ascend_within(ASCEND_##name, (high) + (multiple)));        \
    if ((multiple) > 1)                                                        \
        assert_false(pf_ascend_within(ASCEND_##name, (low) + 1));
    ASCEND_LIMIT_LIST(EDGES)
#undef EDGES
}

static void test_attention_edges(void **state)
{
    (void)state;
    assert_true(pf_ascend_attention_fits(40, 128, 176400, 176400));
    assert_true(pf_ascend_attention_fits(256, 240, 1, 1));
    assert_false(pf_ascend_attention_fits(257, 16, 1, 1));
    assert_true(pf_ascend_attention_fits(127, 512, 1, 1));
    assert_false(pf_ascend_attention_fits(128, 512, 1, 1));   /* N D is 65536 */
    assert_false(pf_ascend_attention_fits(1, 520, 1, 1));
    assert_false(pf_ascend_attention_fits(1, 24, 1, 1));
    assert_false(pf_ascend_attention_fits(1, 16, 20971521, 1));
    assert_false(pf_ascend_attention_fits(1, 16, 1, 20971521));
}

static void test_conv_edges(void **state)
{
    (void)state;
    ascend_conv_shape fine = {.axes = 3, .extent = 1000000, .kernel = {3, 3, 3},
                              .stride = {1, 63, 63}, .dilation = {1, 255, 1},
                              .padding = {255, 255, 255}};
    ascend_conv_shape s = fine;
    assert_true(pf_ascend_conv_fits(&s));
    s.extent++;
    assert_false(pf_ascend_conv_fits(&s));
    s = fine;
    s.stride[1] = 64;
    assert_false(pf_ascend_conv_fits(&s));
    s.axes = 2;
    assert_true(pf_ascend_conv_fits(&s));
    s = fine;
    s.kernel[1] = 64, s.kernel[2] = 63;
    assert_true(pf_ascend_conv_fits(&s));
    s.kernel[2] = 64;                   /* 64 * 64 * 16 is 65536 */
    assert_false(pf_ascend_conv_fits(&s));
    s = fine;
    s.transposed = true, s.kernel[2] = 255;
    assert_true(pf_ascend_conv_fits(&s));
    s.kernel[2] = 256;
    assert_false(pf_ascend_conv_fits(&s));
}

/* --- which operator it is -------------------------------------------------------------- */

static pf_platform *platform;

/* [rows, columns] of device memory, all 0.5. */
static pf_tensor matrix(int64_t rows, int64_t columns)
{
    void *memory;
    assert_int_equal(platform->table.allocate(platform, 4 * rows * columns, &memory, NULL),
                     PF_OK);
    pf_tensor t = pf_matrix(memory, PF_F32, rows, columns);
    assert_int_equal(platform->table.fill(platform, &(pf_fill_args){.value = 0.5f, .y = t}, NULL),
                     PF_OK);
    return t;
}

static void discard(pf_tensor t)
{
    platform->table.release(platform, t.data);
}

/* Does attention of this shape take the fused operator? */
static bool attention_is_fused(int heads, int64_t width, pf_multiply multiply)
{
    int64_t before = counters()->fused_attention;
    pf_tensor q = matrix(2, heads * width), k = matrix(3, heads * width);
    pf_tensor v = matrix(3, heads * width), out = matrix(2, heads * width);
    pf_attention_args args = {.numerics = {multiply, false}, .q = q, .k = k, .v = v,
                              .heads = heads, .scale = 0.1f, .out = out};
    float first = 0.0f;
    assert_int_equal(platform->table.attention(platform, &args, NULL), PF_OK);
    assert_int_equal(pf_platform_download(platform, &first, out.data, 4, NULL), PF_OK);
    assert_true(first > 0.499f && first < 0.501f);
    discard(q), discard(k), discard(v), discard(out);
    return counters()->fused_attention > before;
}

static void test_attention_falls_back_outside(void **state)
{
    (void)state;
    assert_true(attention_is_fused(2, 16, PF_MULTIPLY_BF16));
    assert_true(attention_is_fused(1, 512, PF_MULTIPLY_BF16));
    assert_true(attention_is_fused(256, 16, PF_MULTIPLY_BF16));
    assert_false(attention_is_fused(2, 16, PF_MULTIPLY_F32));
    assert_false(attention_is_fused(2, 24, PF_MULTIPLY_BF16));
    assert_false(attention_is_fused(1, 528, PF_MULTIPLY_BF16));
    assert_false(attention_is_fused(257, 16, PF_MULTIPLY_BF16));
    assert_true(attention_is_fused(127, 512, PF_MULTIPLY_BF16));
    assert_false(attention_is_fused(128, 512, PF_MULTIPLY_BF16));
}

static bool rope_is_fused(int heads, int64_t width)
{
    int64_t before = counters()->fused_rope;
    pf_tensor x = matrix(3, heads * width), c = matrix(3, width);
    pf_rope_args args = {.form = PF_ROPE_INTERLEAVED, .x = x, .heads = heads,
                         .table = {c, c, 1}};
    float pair[2] = {0};
    assert_int_equal(platform->table.rope(platform, &args, NULL), PF_OK);
    assert_int_equal(pf_platform_download(platform, pair, x.data, 8, NULL), PF_OK);
    assert_true(pair[0] == 0.0f && pair[1] == 0.5f);
    discard(x), discard(c);
    return counters()->fused_rope > before;
}

static void test_rope_falls_back_outside(void **state)
{
    (void)state;
    assert_true(rope_is_fused(1, 2));
    assert_true(rope_is_fused(1, 894));
    assert_false(rope_is_fused(1, 896));
    assert_true(rope_is_fused(999, 2));
    assert_false(rope_is_fused(1000, 2));
}

/* A linear layer of nothing but a bias of 0.5; its source lives as long. */
static pf_projection flat_layer(int64_t n, int64_t k, pf_weight *weight)
{
    static float zeros[1 << 14];
    assert_true(n * k <= (int64_t)(sizeof zeros / sizeof zeros[0]));
    const pf_weight_source source = {.kind = PF_WEIGHT_LINEAR,
                                     .values = pf_matrix(zeros, PF_F32, n, k)};
    assert_int_equal(platform->table.weight_fill(platform, &source, PF_MULTIPLY_BF16, NULL,
                                                 weight, NULL), PF_OK);
    pf_tensor bias = matrix(1, n);
    return (pf_projection){.weight = weight, .bias = pf_vector(bias.data, PF_F32, n)};
}

/* As much as the layer asks for; `memory` is to be discarded. */
static pf_scratch scratch_for(pf_kernel which, const void *args, pf_tensor *memory)
{
    int64_t bytes = platform->table.scratch_bytes(platform, which, args);
    *memory = matrix(1, bytes / (int64_t)sizeof(float));
    return (pf_scratch){memory->data, bytes};
}

static void discard_layer(pf_projection *p, pf_weight *weight)
{
    platform->table.release(platform, p->bias.data);
    platform->table.weight_release(platform, weight);
}

static bool attend_is_fused(int heads, int64_t width, bool round)
{
    int64_t before = counters()->fused_attention, d = heads * width;
    pf_weight weights[4];
    pf_projection p[4];
    for (int i = 0; i < 4; i++)
        p[i] = flat_layer(d, d, &weights[i]);
    pf_tensor x = matrix(2, d), y = matrix(2, d), work;
    pf_attend_args args = {
        .numerics = {PF_MULTIPLY_BF16, round}, .x = x, .condition = x, .q = p[0], .k = p[1],
        .v = p[2], .out = p[3], .heads = heads, .scale = 0.1f, .x_is_spent = true,
        .y = y};
    args.scratch = scratch_for(PF_KERNEL_attend, &args, &work);
    float first = 0.0f;
    assert_int_equal(platform->table.attend(platform, &args, NULL), PF_OK);
    assert_int_equal(pf_platform_download(platform, &first, y.data, 4, NULL), PF_OK);
    assert_true(first > 0.499f && first < 0.501f);
    for (int i = 0; i < 4; i++)
        discard_layer(&p[i], &weights[i]);
    discard(x), discard(work), discard(y);
    return counters()->fused_attention > before;
}

static void test_attend_falls_back_outside(void **state)
{
    (void)state;
    assert_true(attend_is_fused(2, 16, false));
    assert_false(attend_is_fused(2, 16, true));
    assert_false(attend_is_fused(2, 24, false));
    assert_false(attend_is_fused(1, 8, false));
}

/* Operators that `run` issues on a platform that is opened for it. */
static int64_t launches_of(int64_t (*run)(void))
{
    pf_platform *shared = platform;
    const pf_platform_options options = {.name = "ascend"};
    assert_int_equal(pf_platform_open(&options, &platform, NULL), PF_OK);
    int64_t launches = run();
    pf_platform_close(platform);
    platform = shared;
    return launches;
}

/* A bf16 layer with a bias. */
static int64_t run_a_layer(void)
{
    pf_weight weight;
    float first = 0.0f;
    pf_projection p = flat_layer(32, 16, &weight);
    pf_tensor x = matrix(3, 16), y = matrix(3, 32);
    int64_t before = platform->tally.launches;
    assert_int_equal(platform->table.linear(platform, &(pf_linear_args){
        .numerics = {PF_MULTIPLY_BF16, false}, .x = x, .weight = &weight, .bias = p.bias,
        .y = y}, NULL), PF_OK);
    int64_t launches = platform->tally.launches - before;
    assert_int_equal(pf_platform_download(platform, &first, y.data, 4, NULL), PF_OK);
    assert_true(first == 0.5f);
    discard_layer(&p, &weight);
    discard(x), discard(y);
    return launches;
}

/* Two of them with GELU between. */
static int64_t run_feed_forward(void)
{
    pf_weight weights[2];
    float first = 0.0f;
    pf_projection in = flat_layer(48, 16, &weights[0]);
    pf_projection out = flat_layer(16, 48, &weights[1]);
    pf_tensor x = matrix(3, 16), y = matrix(3, 16), hidden;
    pf_feed_forward_args args = {
        .numerics = {PF_MULTIPLY_BF16, false}, .x = x, .in = in, .out = out,
        .activation = PF_ACTIVATION_GELU_TANH, .y = y};
    args.scratch = scratch_for(PF_KERNEL_feed_forward, &args, &hidden);
    int64_t before = platform->tally.launches;
    assert_int_equal(platform->table.feed_forward(platform, &args, NULL), PF_OK);
    int64_t launches = platform->tally.launches - before;
    assert_int_equal(pf_platform_download(platform, &first, y.data, 4, NULL), PF_OK);
    assert_true(first == 0.5f);
    discard_layer(&in, &weights[0]);
    discard_layer(&out, &weights[1]);
    discard(x), discard(hidden), discard(y);
    return launches;
}

/* A version that does not promote the bias gets it added by another operator. */
static void test_bias_that_is_not_taken(void **state)
{
    (void)state;
    assert_int_equal(launches_of(run_a_layer), 2);
    fail_nth("aclnnAddmmGetWorkspaceSize", 1, 161002);
    assert_int_equal(launches_of(run_a_layer), 3);
    fail_nth(NULL, 0, 0);
}

/* A version that does not cast what that gives gets it cast by another operator. */
static void test_product_that_stays_wide(void **state)
{
    (void)state;
    assert_int_equal(launches_of(run_feed_forward), 4);
    fail_nth("aclnnAddmmGetWorkspaceSize", 2, 161002);
    assert_int_equal(launches_of(run_feed_forward), 5);
    fail_nth(NULL, 0, 0);
}

/* Operators of a modulated norm of x + plus. */
static int64_t launches_of_a_sum(pf_norm_kind kind)
{
    float sum = 0.0f;
    pf_tensor x = matrix(3, 16), plus = matrix(3, 16), y = matrix(3, 16);
    pf_tensor total = matrix(3, 16), rows = matrix(2, 16);
    int64_t before = platform->tally.launches;
    assert_int_equal(platform->table.norm(platform, &(pf_norm_args){
        .kind = kind, .epsilon = 1e-6f, .x = x, .plus = plus, .sum = total, .y = y,
        .factor = pf_vector(rows.data, PF_F32, 16),
        .shift = pf_vector((float *)rows.data + 16, PF_F32, 16)}, NULL), PF_OK);
    int64_t launches = platform->tally.launches - before;
    assert_int_equal(pf_platform_download(platform, &sum, total.data, 4, NULL), PF_OK);
    assert_true(sum == 1.0f);
    discard(x), discard(plus), discard(y), discard(total), discard(rows);
    return launches;
}

static void test_sum_and_norm_are_one(void **state)
{
    (void)state;
    assert_int_equal(launches_of_a_sum(PF_NORM_LAYER), 1);
    assert_true(launches_of_a_sum(PF_NORM_RMS) > 2);
}

/* A map of one channel and row through a kernel of one tap, transposed or dilated. */
static bool conv_is_native(int dilation, int pad)
{
    float one[2] = {1.0f, 1.0f};
    int64_t before = counters()->convolutions, width = 300, taps = 2;
    int64_t out = width + 2 * pad - dilation * (taps - 1);
    const pf_weight_source source = {
        .kind = PF_WEIGHT_CONV,
        .values = pf_tensor_make(one, PF_F32, 5, (int64_t[]){1, 1, 1, 1, taps})};
    pf_weight weight;
    assert_int_equal(platform->table.weight_fill(platform, &source, PF_MULTIPLY_BF16, NULL,
                                                 &weight, NULL), PF_OK);
    pf_tensor x = matrix(1, width), y = matrix(1, out);
    pf_conv_args args = {
        .numerics = {PF_MULTIPLY_BF16, false}, .weight = &weight,
        .x = pf_tensor_reshape(x, 4, (int64_t[]){1, 1, 1, width}),
        .y = pf_tensor_reshape(y, 4, (int64_t[]){1, 1, 1, out}),
        .stride = {1, 1, 1}, .dilation = {1, 1, dilation}, .pad_front = {0, 0, pad}};
    float first = 0.0f;
    assert_int_equal(platform->table.conv(platform, &args, NULL), PF_OK);
    assert_int_equal(pf_platform_download(platform, &first, y.data, 4, NULL), PF_OK);
    assert_true(first == (pad > 0 ? (pad <= dilation ? 0.5f : 0.0f) : 1.0f));
    platform->table.weight_release(platform, &weight);
    discard(x), discard(y);
    return counters()->convolutions > before;
}

static void test_conv_falls_back_outside(void **state)
{
    (void)state;
    assert_true(conv_is_native(255, 0));
    assert_false(conv_is_native(256, 0));
    assert_true(conv_is_native(255, 255));
    assert_false(conv_is_native(255, 256));
}

static int open_platform(void **state)
{
    (void)state;
    return pf_platform_open(&(pf_platform_options){.name = "ascend"}, &platform, NULL);
}

static int close_platform(void **state)
{
    (void)state;
    pf_platform_close(platform);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_attention_edges),
        cmocka_unit_test(test_conv_edges),
        cmocka_unit_test(test_attention_falls_back_outside),
        cmocka_unit_test(test_rope_falls_back_outside),
        cmocka_unit_test(test_attend_falls_back_outside),
        cmocka_unit_test(test_bias_that_is_not_taken),
        cmocka_unit_test(test_product_that_stays_wide),
        cmocka_unit_test(test_sum_and_norm_are_one),
        cmocka_unit_test(test_conv_falls_back_outside),
    };
    return cmocka_run_group_tests(tests, open_platform, close_platform);
}
