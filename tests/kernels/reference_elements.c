/* SPDX-License-Identifier: Apache-2.0 */
/* The reference's kernels that go element by element, its memory, and what it says
 * of itself.
 */
#include "reference_test.h"

#include "base/fault.h"

static pf_tensor vector(const float *data, int64_t n)
{
    return pf_vector((void *)(uintptr_t)data, PF_F32, n);
}

static pf_tensor matrix(const float *data, int64_t m, int64_t n)
{
    return pf_matrix((void *)(uintptr_t)data, PF_F32, m, n);
}

static pf_tensor transposed(const float *data, int64_t m, int64_t n)
{
    return pf_tensor_permute(matrix(data, n, m), (int[]){1, 0});
}

/* --- elements -------------------------------------------------------------------------- */

static void unary_functions(void **state)
{
    (void)state;
    const float x[] = {-2, 0.5f, 1};
    float y[3];
    RUN(unary, .numerics = plain, .kind = PF_UNARY_SILU, .x = vector(x, 3),
        .y = vector(y, 3));
    EXPECT_NEAR(y, 1e-7, -0.238405844044235, 0.311229665600927, 0.731058578630005);
    RUN(unary, .numerics = plain, .kind = PF_UNARY_TANH, .x = vector(x, 3),
        .y = vector(y, 3));
    EXPECT_NEAR(y, 1e-7, -0.964027580075817, 0.46211715726001, 0.761594155955765);
    RUN(unary, .numerics = plain, .kind = PF_UNARY_AFFINE, .a = 3, .b = 10,
        .x = vector(x, 3), .y = vector(y, 3));
    EXPECT_EXACT(y, 4, 11.5, 13);
}

/* (1 + 2^-12)^2 is 1 + 2^-11 + 2^-24, whose last bit falls off before 1 is taken
 * away: fused, it would stay. */
static void affine_rounds_twice(void **state)
{
    (void)state;
    const float x[] = {1 + 0x1p-12f};
    float y[1];
    RUN(unary, .numerics = plain, .kind = PF_UNARY_AFFINE, .a = 1 + 0x1p-12f, .b = -1,
        .x = vector(x, 1), .y = vector(y, 1));
    EXPECT_EXACT(y, 0x1p-11);
}

/* Halfway goes to the even neighbour; only where asked, but PF_UNARY_ROUND_BF16
 * always. */
static void rounding_goes_to_even(void **state)
{
    (void)state;
    const float x[] = {1 + 0x1p-8f, 1 + 0x3p-8f, -1 - 0x1.02p-8f, 0x1.ffp127f};
    float y[4];
    RUN(unary, .numerics = plain, .kind = PF_UNARY_ROUND_BF16, .x = vector(x, 3),
        .y = vector(y, 3));
    EXPECT_EXACT(y, 1, 1 + 0x1p-6, -1 - 0x1p-7);
    RUN(copy, .numerics = rounded, .from = vector(x, 3), .to = vector(y, 3));
    EXPECT_EXACT(y, 1, 1 + 0x1p-6, -1 - 0x1p-7);
    RUN(copy, .numerics = plain, .from = vector(x, 4), .to = vector(y, 4));
    assert_memory_equal(x, y, sizeof x);
}

static void add_repeats_by_strides(void **state)
{
    (void)state;
    const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {10, 20, 30};
    float y[6];
    RUN(add, .numerics = plain, .a = matrix(a, 2, 3),
        .b = pf_tensor_stretch(matrix(b, 1, 3), 0, 2), .y = matrix(y, 2, 3));
    EXPECT_EXACT(y, 11, 22, 33, 14, 25, 36);
    RUN(add, .numerics = plain, .a = matrix(y, 2, 3), .b = transposed(a, 2, 3),
        .y = matrix(y, 2, 3));
    EXPECT_EXACT(y, 12, 25, 38, 16, 29, 42);
}

static void copy_and_fill_obey_strides(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3, 4, 5, 6};
    float y[6];
    RUN(copy, .numerics = plain, .from = transposed(x, 2, 3), .to = matrix(y, 2, 3));
    EXPECT_EXACT(y, 1, 3, 5, 2, 4, 6);
    pf_tensor column = pf_tensor_slice(matrix(y, 2, 3), 1, 1, 1);
    RUN(fill, .value = -7, .y = column);
    EXPECT_EXACT(y, 1, -7, 5, 2, -7, 6);
}

/* --- the sampler ------------------------------------------------------------------------ */

static void guidance_combines(void **state)
{
    (void)state;
    const float n0[] = {1, 0}, n1[] = {2, 1}, p[] = {4, -1};
    float v[2];
    RUN(guidance, .negative = vector(n1, 2), .positive = vector(p, 2), .scale = 5,
        .v = vector(v, 2));
    EXPECT_EXACT(v, 12, -9);
    RUN(guidance, .bridge_off = vector(n0, 2), .negative = vector(n1, 2),
        .positive = vector(p, 2), .bridge_scale = 3, .scale = 5, .v = vector(v, 2));
    EXPECT_EXACT(v, 14, -7);
}

/* v = 2, -2 (deviation 2) is drawn halfway to the deviation of p, which is 1; v
 * lies over p. */
static void guidance_rescales(void **state)
{
    (void)state;
    const float n[] = {0, 0};
    float p[] = {1, -1};
    RUN(guidance, .negative = vector(n, 2), .positive = vector(p, 2), .scale = 2,
        .rescale = 0.5f, .v = vector(p, 2));
    EXPECT_EXACT(p, 1.5, -1.5);
}

static void step_moves(void **state)
{
    (void)state;
    float x[] = {1, -1 - 0x1p-11f};
    const float v[] = {2, 1 + 0x1p-12f}, delta[] = {-0.25f, 1 + 0x1p-12f};
    for (int i = 0; i < 2; i++)
        RUN(step, .x = vector(x + i, 1), .v = vector(v + i, 1),
            .delta = vector(delta + i, 1));
    EXPECT_EXACT(x, 0.5, 0);
}

/* --- memory and facts --------------------------------------------------------------------- */

static void memory_goes_round(void **state)
{
    (void)state;
    const char text[] = "one frame";
    char back[sizeof text];
    void *device;
    pf_platform_table *t = &platform->table;
    assert_int_equal(t->allocate(platform, sizeof text, &device, NULL), PF_OK);
    assert_int_equal((uintptr_t)device % 64, 0);
    assert_int_equal(pf_platform_upload(platform, device, text, sizeof text, NULL), PF_OK);
    assert_int_equal(pf_platform_download(platform, back, device, sizeof text, NULL), PF_OK);
    assert_string_equal(back, text);
    assert_int_equal(pf_platform_upload(platform, device, NULL, 0, NULL), PF_OK);
    t->release(platform, device);
    t->release(platform, NULL);
}

static void allocation_fails_with_a_sentence(void **state)
{
    (void)state;
    pf_error error = {0};
    void *device;
    pf_fault_arm(PF_FAULT_ALLOCATION, 1, false);
    pf_status status = platform->table.allocate(platform, 4096, &device, &error);
    pf_fault_arm(PF_FAULT_ALLOCATION, 0, false);
    assert_int_equal(status, PF_E_MEMORY);
    assert_non_null(strstr(error.message, "4096"));
}

static void weights_stay_where_they_are(void **state)
{
    (void)state;
    const float data[] = {1, 2};
    const pf_weight_source source = {.values = matrix(data, 1, 2)};
    pf_weight weight;
    pf_platform_table *t = &platform->table;
    assert_int_equal(t->weight_fill(platform, &source, PF_MULTIPLY_BF16, NULL, &weight, NULL),
                     PF_OK);
    assert_ptr_equal(weight.source.values.data, data);
    assert_null(weight.prepared);
    assert_int_equal(t->weight_bytes(platform, &source, PF_MULTIPLY_BF16), 0);
    t->weight_release(platform, &weight);
}

static void says_what_it_is(void **state)
{
    (void)state;
    const pf_capabilities *facts = &platform->capabilities;
    pf_ceilings ceilings = {1, 1, 1};
    assert_string_equal(facts->name, "reference");
    assert_string_equal(facts->isa, "scalar");
    assert_int_equal(facts->threads, 2);
    assert_true(facts->memory_bytes > 0);
    assert_false(facts->maps_channels_last);
    assert_int_equal(platform->table.ceilings(platform, 0.1, &ceilings, NULL), PF_OK);
    assert_true(ceilings.f32 == 0.0 && ceilings.bf16 == 0.0 && ceilings.int8 == 0.0);
}

static void refuses_an_instruction_set(void **state)
{
    (void)state;
    pf_error error = {0};
    pf_platform *none = NULL;
    pf_platform_options options = {.name = "reference", .isa = "avx2", .threads = 1};
    assert_int_equal(pf_platform_open(&options, &none, &error), PF_E_ARGUMENT);
    assert_null(none);
    assert_non_null(strstr(error.message, "avx2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary_functions),
        cmocka_unit_test(affine_rounds_twice),
        cmocka_unit_test(rounding_goes_to_even),
        cmocka_unit_test(add_repeats_by_strides),
        cmocka_unit_test(copy_and_fill_obey_strides),
        cmocka_unit_test(guidance_combines),
        cmocka_unit_test(guidance_rescales),
        cmocka_unit_test(step_moves),
        cmocka_unit_test(memory_goes_round),
        cmocka_unit_test(allocation_fails_with_a_sentence),
        cmocka_unit_test(weights_stay_where_they_are),
        cmocka_unit_test(says_what_it_is),
        cmocka_unit_test(refuses_an_instruction_set),
    };
    return cmocka_run_group_tests(tests, open_reference, close_reference);
}
