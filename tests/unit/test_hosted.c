/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that a device platform lacks (platform/common/hosted.c): a platform without any
 * kernel, over a fake driver, gives the bits of the reference, wherever its tensors lie.
 *
 * Every case has its tensors in one arena, so that what lies between them is compared too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/rng.h"
#include "fake_driver.h"
#include "platform/common/common.h"
#include "platform/common/device.h"

enum { ARENA = 4096 };

static pf_platform *reference;
static pf_platform device;
static pf_device state_of_device;
static fake_device fake;
static float *arena;                    /* of the device */

static void close_device(pf_platform *platform)
{
    pf_device_close(pf_device_of(platform));
}

static void open_device(void)
{
    void *memory;
    pf_error error = {0};
    memset(&fake, 0, sizeof fake);
    device = (pf_platform){.state = &state_of_device, .capabilities = {.name = "fake"}};
    assert_int_equal(pf_device_open(&state_of_device, &fake_driver, &fake, &device.tally,
                                    false, &error), PF_OK);
    pf_device_fill_table(&device.table);
    device.table.close = close_device;
    assert_int_equal(device.table.allocate(&device, sizeof(float) * ARENA, &memory, &error),
                     PF_OK);
    arena = memory;
}

static void shut_device(void)
{
    pf_platform_close(device.fallback);
    close_device(&device);
    assert_true(fake_is_empty(&fake));
}

/* --- cases ------------------------------------------------------------------------- */

static pf_tensor rows_of(float *at, int64_t rows, int64_t columns, int64_t stride)
{
    pf_tensor t = pf_matrix(at, PF_F32, rows, columns);
    t.stride[0] = stride;
    return t;
}

static float weight_values[24 * 27];

static const pf_weight *weight_of(pf_weight_kind kind, int rank, const int64_t *shape)
{
    static pf_weight weight;
    weight = (pf_weight){.multiply = PF_MULTIPLY_F32, .source = {.kind = kind}};
    weight.source.values = pf_tensor_make(weight_values, PF_F32, rank, shape);
    return &weight;
}

/* y is its own residual and shares rows with x. */
static pf_status linear(pf_platform *p, float *base)
{
    pf_tensor x = rows_of(base, 5, 6, 16), y = rows_of(base + 6, 5, 8, 16);
    return p->table.linear(p, &(pf_linear_args){
        .x = x, .weight = weight_of(PF_WEIGHT_LINEAR, 2, (int64_t[]){8, 6}),
        .bias = pf_vector(base + 200, PF_F32, 8), .gate = pf_vector(base + 300, PF_F32, 8),
        .residual = y, .y = y}, NULL);
}

/* q, k, v and the result are columns of one matrix. */
static pf_status attention(pf_platform *p, float *base)
{
    return p->table.attention(p, &(pf_attention_args){
        .q = rows_of(base, 7, 8, 32), .k = rows_of(base + 8, 7, 8, 32),
        .v = rows_of(base + 16, 7, 8, 32), .heads = 2, .scale = 0.5f,
        .bias = pf_tensor_as_strided(pf_vector(base + 1000, PF_F32, 7), 3,
                                     (int64_t[]){2, 7, 7}, (int64_t[]){0, 0, 1}),
        .out = rows_of(base + 24, 7, 8, 32)}, NULL);
}

static pf_status norm(pf_platform *p, float *base)
{
    return p->table.norm(p, &(pf_norm_args){
        .kind = PF_NORM_RMS, .epsilon = 1e-6f, .x = rows_of(base, 3, 10, 40),
        .weight = pf_vector(base + 500, PF_F32, 10), .plus = rows_of(base + 10, 3, 10, 40),
        .sum = rows_of(base + 20, 3, 10, 40), .y = rows_of(base + 30, 3, 10, 40)}, NULL);
}

static pf_status rope(pf_platform *p, float *base)
{
    pf_tensor cos = pf_matrix(base + 700, PF_F32, 4, 2);
    pf_tensor sin = pf_matrix(base + 720, PF_F32, 4, 2);
    return p->table.rope(p, &(pf_rope_args){
        .form = PF_ROPE_HALF, .x = rows_of(base, 4, 8, 9), .heads = 2,
        .table = {cos, sin, 1}}, NULL);
}

static pf_status conv(pf_platform *p, float *base)
{
    pf_tensor x = pf_tensor_make(base, PF_F32, 4, (int64_t[]){3, 1, 5, 5});
    pf_tensor y = pf_tensor_make(base + 400, PF_F32, 4, (int64_t[]){4, 1, 5, 5});
    return p->table.conv(p, &(pf_conv_args){
        .x = x, .weight = weight_of(PF_WEIGHT_CONV, 5, (int64_t[]){4, 3, 1, 3, 3}),
        .bias = pf_vector(base + 300, PF_F32, 4), .stride = {1, 1, 1},
        .dilation = {1, 1, 1}, .pad_front = {0, 1, 1}, .residual = y, .y = y}, NULL);
}

static pf_status conv_transposed(pf_platform *p, float *base)
{
    return p->table.conv_transposed(p, &(pf_conv_transposed_args){
        .x = pf_tensor_make(base, PF_F32, 4, (int64_t[]){3, 1, 1, 6}),
        .weight = weight_of(PF_WEIGHT_CONV_TRANSPOSED, 3, (int64_t[]){3, 2, 4}),
        .stride = 2, .pad = 1,
        .y = pf_tensor_make(base + 100, PF_F32, 4, (int64_t[]){2, 1, 1, 12})}, NULL);
}

static pf_status channel_norm(pf_platform *p, float *base)
{
    pf_tensor x = pf_tensor_make(base, PF_F32, 4, (int64_t[]){4, 2, 3, 3});
    return p->table.channel_norm(p, &(pf_channel_norm_args){
        .x = x, .gamma = pf_vector(base + 100, PF_F32, 4), .y = x, .silu = true}, NULL);
}

static pf_status snake(pf_platform *p, float *base)
{
    return p->table.snake(p, &(pf_snake_args){
        .x = pf_tensor_make(base, PF_F32, 4, (int64_t[]){4, 1, 1, 9}),
        .alpha = pf_vector(base + 64, PF_F32, 4),
        .y = pf_tensor_make(base + 100, PF_F32, 4, (int64_t[]){4, 1, 1, 9})}, NULL);
}

/* x runs backwards. */
static pf_status unary(pf_platform *p, float *base)
{
    pf_tensor x = pf_tensor_as_strided(pf_vector(base + 80, PF_F32, 1), 2,
                                       (int64_t[]){3, 5}, (int64_t[]){-20, -2});
    return p->table.unary(p, &(pf_unary_args){
        .kind = PF_UNARY_SILU, .x = x, .y = pf_matrix(base + 100, PF_F32, 3, 5)}, NULL);
}

static pf_status add(pf_platform *p, float *base)
{
    pf_tensor y = pf_matrix(base, PF_F32, 6, 4);
    return p->table.add(p, &(pf_add_args){
        .a = y, .b = pf_tensor_repeat(pf_vector(base + 60, PF_F32, 4), 0, 6), .y = y}, NULL);
}

static pf_status copy(pf_platform *p, float *base)
{
    pf_tensor from = pf_tensor_permute(pf_matrix(base, PF_F32, 5, 7), (int[]){1, 0});
    return p->table.copy(p, &(pf_copy_args){
        .from = from, .to = pf_matrix(base + 50, PF_F32, 7, 5)}, NULL);
}

static pf_status fill(pf_platform *p, float *base)
{
    return p->table.fill(p, &(pf_fill_args){
        .value = 1.25f, .y = rows_of(base + 3, 4, 5, 11)}, NULL);
}

static pf_status upsample(pf_platform *p, float *base)
{
    return p->table.upsample(p, &(pf_upsample_args){
        .x = pf_tensor_make(base, PF_F32, 4, (int64_t[]){2, 1, 3, 4}),
        .y = pf_tensor_make(base + 64, PF_F32, 4, (int64_t[]){2, 1, 6, 8})}, NULL);
}

/* Table and ids lie in host memory. */
static pf_status embedding(pf_platform *p, float *base)
{
    static int32_t ids[] = {3, 0, 2};
    return p->table.embedding(p, &(pf_embedding_args){
        .table = pf_matrix(weight_values, PF_F32, 4, 6), .ids = pf_vector(ids, PF_I32, 3),
        .y = pf_matrix(base, PF_F32, 3, 6)}, NULL);
}

static pf_status lerp_rows(pf_platform *p, float *base)
{
    return p->table.lerp_rows(p, &(pf_lerp_rows_args){
        .x = pf_matrix(base, PF_F32, 4, 3), .y = pf_matrix(base + 20, PF_F32, 9, 3)}, NULL);
}

static pf_status guidance(pf_platform *p, float *base)
{
    pf_tensor v = pf_vector(base + 40, PF_F32, 30);
    return p->table.guidance(p, &(pf_guidance_args){
        .negative = pf_vector(base, PF_F32, 30), .positive = v, .scale = 5.0f,
        .rescale = 0.4f, .v = v}, NULL);
}

static pf_status step(pf_platform *p, float *base)
{
    return p->table.step(p, &(pf_step_args){
        .x = pf_vector(base, PF_F32, 30), .v = pf_vector(base + 30, PF_F32, 30),
        .delta = pf_vector(base + 60, PF_F32, 1)}, NULL);
}

/* A tensor without elements has no memory to copy. */
static pf_status nothing(pf_platform *p, float *base)
{
    return p->table.unary(p, &(pf_unary_args){
        .kind = PF_UNARY_TANH, .x = pf_matrix(base, PF_F32, 0, 5),
        .y = pf_matrix(base + 10, PF_F32, 0, 5)}, NULL);
}

typedef struct test_case {
    const char *name;
    pf_status (*run)(pf_platform *platform, float *base);
} test_case;

/* A kernel without a case does not compile. */
static const test_case cases[] = {
#define CASE(slot, type) {#slot, slot},
    PF_SINGLE_KERNEL_LIST(CASE)
    PF_PART_KERNEL_LIST(CASE)
#undef CASE
    {"nothing", nothing},
};

/* --- tests ------------------------------------------------------------------------- */

static void check_case(const test_case *c)
{
    static float begin[ARENA], expected[ARENA], got[ARENA];
    pf_noise_own(7, 0, 0, ARENA, begin);
    memcpy(expected, begin, sizeof begin);
    assert_int_equal(c->run(reference, expected), PF_OK);
    assert_int_equal(pf_platform_upload(&device, arena, begin, sizeof begin, NULL), PF_OK);
    assert_int_equal(c->run(&device, arena), PF_OK);
    assert_int_equal(pf_platform_download(&device, got, arena, sizeof got, NULL), PF_OK);
    if (memcmp(got, expected, sizeof got) != 0)
        fail_msg("%s differs from the reference", c->name);
    if (c->run != nothing && memcmp(begin, got, sizeof got) == 0)
        fail_msg("%s changed nothing", c->name);
}

static void test_every_kernel_is_the_reference(void **state)
{
    (void)state;
    open_device();
    assert_int_equal(pf_common_complete(&device, true, NULL), PF_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_case(&cases[i]);
    assert_ptr_equal(device.table.feed_forward, pf_common_feed_forward);
    shut_device();
}

/* An installed program refuses such a platform. */
static void test_a_missing_kernel_is_refused(void **state)
{
    pf_error error = {0};
    (void)state;
    open_device();
    assert_int_equal(pf_common_complete(&device, false, &error), PF_E_INTERNAL);
    assert_non_null(strstr(error.message, "the fake platform has no kernel rope"));
    assert_null(device.fallback);
    shut_device();
}

static void test_forms_that_the_reference_lacks(void **state)
{
    pf_error error = {0};
    (void)state;
    open_device();
    device.capabilities.table_columns = 2;
    assert_int_equal(pf_common_complete(&device, true, &error), PF_E_INTERNAL);
    assert_non_null(strstr(error.message, "narrow"));
    shut_device();
}

/* Host memory and each call of the device. */
static void test_failures_leave_nothing(void **state)
{
    int failures = 0;
    (void)state;
    open_device();
    assert_int_equal(pf_common_complete(&device, true, NULL), PF_OK);
    assert_int_equal(pf_platform_upload(&device, arena, weight_values, 64, NULL), PF_OK);
    for (int64_t nth = 1; nth < 4; nth++) {
        pf_fault_arm(PF_FAULT_ALLOCATION, nth, false);
        failures += linear(&device, arena) != PF_OK;
        pf_fault_arm(PF_FAULT_ALLOCATION, 0, false);
    }
    for (int64_t nth = 1; nth < 6; nth++) {
        fake.fail_at = nth;
        failures += linear(&device, arena) != PF_OK;
    }
    fake.fail_at = 0;
    assert_int_equal(failures, 8);
    assert_int_equal(linear(&device, arena), PF_OK);
    shut_device();
}

static int open_reference(void **state)
{
    (void)state;
    pf_noise_own(3, 0, 0, sizeof weight_values / sizeof weight_values[0], weight_values);
    return pf_platform_open(&(pf_platform_options){.name = "reference", .threads = 1},
                            &reference, NULL) != PF_OK;
}

static int close_reference(void **state)
{
    (void)state;
    pf_platform_close(reference);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kernel_is_the_reference),
        cmocka_unit_test(test_a_missing_kernel_is_refused),
        cmocka_unit_test(test_forms_that_the_reference_lacks),
        cmocka_unit_test(test_failures_leave_nothing),
    };
    return cmocka_run_group_tests(tests, open_reference, close_reference);
}
