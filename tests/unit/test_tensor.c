/* SPDX-License-Identifier: Apache-2.0 */
/* Views of tensors: shapes, strides and the elements that they reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tensor/tensor.h"

static void test_views(void **state)
{
    float data[24];
    char text[128];
    (void)state;
    pf_tensor t = pf_tensor_make(data, PF_F32, 3, (int64_t[]){2, 3, 4});
    assert_int_equal(pf_tensor_count(&t), 24);
    assert_int_equal(pf_tensor_bytes(&t), 96);
    pf_tensor row = pf_tensor_slice(t, 1, 2, 1);
    assert_ptr_equal(row.data, data + 8);
    assert_false(pf_tensor_is_contiguous(&row));
    pf_tensor turned = pf_tensor_permute(t, (int[]){2, 0, 1});
    assert_int_equal(turned.shape[0], 4);
    assert_int_equal(turned.stride[1], 12);
    pf_tensor split = pf_tensor_split(t, 2, 2);
    assert_true(pf_tensor_has_shape(&split, 4, (int64_t[]){2, 3, 2, 2}));
    assert_int_equal(split.stride[2], 2);
    assert_true(pf_tensor_is_contiguous(&split));
    pf_tensor flat = pf_tensor_reshape(t, 1, (int64_t[]){24});
    assert_int_equal(flat.shape[0], 24);
    pf_tensor_shape_text(&t, text);
    assert_string_equal(text, "[2, 3, 4]");
}

/* The element of a view at `index`, through its strides. */
static float at(pf_tensor t, const int64_t *index)
{
    const float *data = t.data;
    for (int i = 0; i < t.rank; i++)
        data += index[i] * t.stride[i];
    return *data;
}

static void count_up(float *data, int count)
{
    for (int i = 0; i < count; i++)
        data[i] = (float)i;
}

static void test_repeat_inserts_an_axis(void **state)
{
    float data[6];
    (void)state;
    count_up(data, 6);
    pf_tensor t = pf_tensor_make(data, PF_F32, 2, (int64_t[]){2, 3});
    for (int axis = 0; axis <= 2; axis++) {
        pf_tensor r = pf_tensor_repeat(t, axis, 5);
        int64_t index[3] = {1, 1, 1}, shape[3] = {2, 2, 2};
        for (int i = 0; i < 3; i++)
            shape[i] = i == axis ? 5 : t.shape[i < axis ? i : i - 1];
        assert_true(pf_tensor_has_shape(&r, 3, shape));
        for (index[axis] = 0; index[axis] < 5; index[axis]++)
            assert_true(at(r, index) == 4.0f);
    }
}

static void test_stretch_broadcasts_one_entry(void **state)
{
    float data[6];
    (void)state;
    count_up(data, 6);
    pf_tensor t = pf_tensor_make(data, PF_F32, 2, (int64_t[]){2, 3});
    pf_tensor s = pf_tensor_stretch(pf_tensor_slice(t, 0, 1, 1), 0, 4);
    assert_true(pf_tensor_has_shape(&s, 2, (int64_t[]){4, 3}));
    for (int64_t i = 0; i < 4; i++)
        assert_true(at(s, (int64_t[]){i, 2}) == 5.0f);
}

static void test_every_takes_each_nth(void **state)
{
    float data[7];
    (void)state;
    count_up(data, 7);
    pf_tensor e = pf_tensor_every(pf_vector(data, PF_F32, 7), 0, 3);
    assert_int_equal(e.shape[0], 3);
    assert_true(at(e, (int64_t[]){2}) == 6.0f);
    assert_int_equal(pf_tensor_every(pf_vector(data, PF_F32, 6), 0, 3).shape[0], 2);
}

/* A Toeplitz matrix: element (i, j) is entry 2 + j - i. */
static void test_as_strided_goes_backwards(void **state)
{
    float data[5];
    (void)state;
    count_up(data, 5);
    pf_tensor middle = pf_tensor_slice(pf_vector(data, PF_F32, 5), 0, 2, 1);
    pf_tensor m = pf_tensor_as_strided(middle, 2, (int64_t[]){3, 3}, (int64_t[]){-1, 1});
    for (int64_t i = 0; i < 3; i++)
        for (int64_t j = 0; j < 3; j++)
            assert_true(at(m, (int64_t[]){i, j}) == (float)(2 + j - i));
}

static void test_flatten_keeps_the_order(void **state)
{
    float values[6] = {0, 1, 2, 3, 4, 5};
    (void)state;
    pf_tensor flat = pf_tensor_flatten(pf_matrix(values, PF_F32, 2, 3));
    assert_true(pf_tensor_has_shape(&flat, 1, (int64_t[]){6}));
    assert_ptr_equal(flat.data, values);
    assert_int_equal(flat.stride[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_flatten_keeps_the_order),
        cmocka_unit_test(test_repeat_inserts_an_axis),
        cmocka_unit_test(test_stretch_broadcasts_one_entry),
        cmocka_unit_test(test_every_takes_each_nth),
        cmocka_unit_test(test_as_strided_goes_backwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
