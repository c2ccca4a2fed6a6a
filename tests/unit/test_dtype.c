/* SPDX-License-Identifier: Apache-2.0 */
/* Element types: sizes of every row, names, and conversions at any alignment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>

#include "tensor/dtype.h"

/* As safetensors defines them, in bits. */
static const struct {
    const char *name;
    int bits;
} stored[] = {
    {"F64", 64}, {"C64", 64}, {"I64", 64}, {"U64", 64}, {"F32", 32}, {"I32", 32},
    {"U32", 32}, {"F16", 16}, {"BF16", 16}, {"I16", 16}, {"U16", 16}, {"I8", 8},
    {"U8", 8}, {"BOOL", 8}, {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8},
    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},
};

enum { STORED = sizeof stored / sizeof stored[0] };

static void test_every_row_has_the_size_of_its_name(void **state)
{
    (void)state;
    assert_int_equal(STORED, PF_DTYPES);
    for (int i = 0; i < STORED; i++) {
        pf_dtype dtype = pf_dtype_find(stored[i].name);
        assert_int_not_equal(dtype, PF_DTYPES);
        assert_string_equal(pf_dtype_name(dtype), stored[i].name);
        int64_t block = pf_dtype_block(dtype);
        assert_int_equal(pf_dtype_bytes(dtype, block) * 8, block * stored[i].bits);
        assert_int_equal(pf_dtype_bytes(dtype, 24) * 8, 24 * stored[i].bits);
        assert_int_equal(pf_dtype_bytes(dtype, -24) * 8, -24 * stored[i].bits);
        assert_int_equal(pf_dtype_bytes(dtype, 0), 0);
    }
    assert_int_equal(pf_dtype_find("Q9"), PF_DTYPES);
    assert_int_equal(pf_dtype_find(""), PF_DTYPES);
}

static void test_whole_blocks_fit(void **state)
{
    (void)state;
    assert_int_equal(pf_dtype_fits(PF_F32, 15), 3);
    assert_int_equal(pf_dtype_fits(PF_BF16, 15), 7);
    assert_int_equal(pf_dtype_fits(PF_F6_E2M3, 8), 8);
    assert_int_equal(pf_dtype_fits(PF_F4, 3), 6);
    assert_int_equal(pf_dtype_fits(PF_F64, 7), 0);
}

static void test_bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    assert_int_equal(pf_f32_to_bf16(1.0f), 0x3f80);
    assert_int_equal(pf_f32_to_bf16(1.00390625f), 0x3f80);      /* half, to even */
    assert_int_equal(pf_f32_to_bf16(1.01171875f), 0x3f82);      /* half, to even */
    assert_int_equal(pf_f32_to_bf16(1.00390637f), 0x3f81);
    assert_int_equal(pf_f32_to_bf16(INFINITY), 0x7f80);
    assert_int_equal(pf_f32_to_bf16(3.4e38f), 0x7f80);
    assert_true(isnan(pf_round_bf16(NAN)));
    for (uint32_t half = 0; half < 0x10000; half++) {
        float value = pf_bf16_to_f32((uint16_t)half);
        if (!isnan(value))
            assert_int_equal(pf_f32_to_bf16(value), half);
    }
}

static void test_f16_round_trips(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 0x10000; half++) {
        float value = pf_f16_to_f32((uint16_t)half);
        if (!isnan(value))
            assert_int_equal(pf_f32_to_f16(value), half);
    }
    assert_int_equal(pf_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(pf_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(pf_f32_to_f16(1.00048828125f), 0x3c00);    /* half, to even */
    assert_int_equal(pf_f32_to_f16(0x1p-25f), 0x0000);          /* half, to even */
    assert_int_equal(pf_f32_to_f16(0x1.8p-24f), 0x0002);
}

/* --- arrays -------------------------------------------------------------------- */

enum { COUNT = 2500 };                  /* more than two pieces */

/* Values that every dtype that converts holds exactly. */
static void fill(float *values)
{
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)(i % 255 - 127) * 0.25f;
}

static void test_arrays_convert_at_odd_addresses(void **state)
{
    static float values[COUNT], back[COUNT + 1];
    static char memory[COUNT * 4 + 1];
    int converting = 0;
    (void)state;
    fill(values);
    for (int i = 0; i < PF_DTYPES; i++) {
        pf_dtype dtype = (pf_dtype)i;
        if (!pf_dtype_converts(dtype))
            continue;
        converting++;
        back[COUNT] = -1.0f;
        memset(memory, 0xff, sizeof memory);
        pf_from_f32(values, COUNT, memory + 1, dtype);
        pf_to_f32(memory + 1, dtype, COUNT, back);
        assert_memory_equal(back, values, sizeof values);
        assert_true(back[COUNT] == -1.0f);
        assert_int_equal((unsigned char)memory[0], 0xff);
        int64_t end = 1 + pf_dtype_bytes(dtype, COUNT);
        assert_true(end == sizeof memory || (unsigned char)memory[end] == 0xff);
    }
    assert_int_equal(converting, 3);
    assert_false(pf_dtype_converts(PF_I32));
    assert_false(pf_dtype_converts(PF_DTYPES));
}

static void test_one_dtype_becomes_another(void **state)
{
    static float values[COUNT];
    static uint16_t direct[COUNT], f16[COUNT], bf16[COUNT];
    (void)state;
    fill(values);
    values[COUNT - 1] = 1.00390637f;    /* rounds up in bf16, is inexact in both */
    pf_from_f32(values, COUNT, direct, PF_BF16);
    pf_convert(values, PF_F32, COUNT, bf16, PF_BF16);
    assert_memory_equal(bf16, direct, sizeof bf16);
    assert_int_equal(bf16[COUNT - 1], 0x3f81);
    pf_convert(values, PF_F32, COUNT, f16, PF_F16);
    pf_convert(f16, PF_F16, COUNT, bf16, PF_BF16);
    assert_memory_equal(bf16, direct, sizeof bf16 - sizeof bf16[0]);
}

static void test_equal_dtypes_are_copied(void **state)
{
    const unsigned char from[6] = {1, 2, 3, 4, 5, 6};
    unsigned char to[7] = {0};
    (void)state;
    pf_convert(from, PF_F6_E2M3, 8, to, PF_F6_E2M3);
    assert_memory_equal(to, from, 6);
    assert_int_equal(to[6], 0);
    pf_convert(from, PF_U8, 0, to, PF_U8);
    assert_int_equal(to[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_has_the_size_of_its_name),
        cmocka_unit_test(test_whole_blocks_fit),
        cmocka_unit_test(test_bf16_rounds_to_nearest_even),
        cmocka_unit_test(test_f16_round_trips),
        cmocka_unit_test(test_arrays_convert_at_odd_addresses),
        cmocka_unit_test(test_one_dtype_becomes_another),
        cmocka_unit_test(test_equal_dtypes_are_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
