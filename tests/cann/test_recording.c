/* SPDX-License-Identifier: Apache-2.0 */
/* Recording and replaying at the seam: what is kept, what is read anew, and what may
 * not happen while something is recorded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "emulator_test.h"
#include "platform/platform.h"

enum { ROWS = 7, LENGTH = 12, WIDTH = 5, MANY = 1 << 19 };

static pf_platform *platform;

static pf_tensor matrix(int64_t rows, int64_t columns)
{
    void *memory;
    assert_int_equal(platform->table.allocate(platform, 4 * rows * columns, &memory, NULL),
                     PF_OK);
    return pf_matrix(memory, PF_F32, rows, columns);
}

static pf_status send(pf_tensor to, float first)
{
    int64_t count = pf_tensor_count(&to);
    float *values = calloc((size_t)count, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = first + (float)i;
    pf_status status = pf_platform_upload(platform, to.data, values,
                                              pf_tensor_bytes(&to), NULL);
    free(values);
    return status;
}

static void fetch(pf_tensor from, float *values)
{
    assert_int_equal(pf_platform_download(platform, values, from.data,
                                              pf_tensor_bytes(&from), NULL), PF_OK);
}

static pf_status spread(pf_tensor x, pf_tensor y)
{
    return platform->table.lerp_rows(platform, &(pf_lerp_rows_args){.x = x, .y = y}, NULL);
}

/* Its weights go up while it is recorded; what goes up later overwrites none of them. */
static void test_uploads_of_kernels_are_kept(void **state)
{
    float plain[LENGTH * WIDTH], replayed[LENGTH * WIDTH];
    pf_recording *recording;
    pf_tensor x = matrix(ROWS, WIDTH), y = matrix(LENGTH, WIDTH), other = matrix(MANY, 1);
    (void)state;
    assert_int_equal(send(x, 3.0f), PF_OK);
    assert_int_equal(spread(x, y), PF_OK);
    fetch(y, plain);
    assert_int_equal(platform->table.record_begin(platform, NULL), PF_OK);
    assert_int_equal(spread(x, y), PF_OK);
    assert_int_equal(platform->table.record_end(platform, &recording, NULL), PF_OK);
    assert_int_equal(counters()->live_graphs, 1);
    for (int i = 0; i < 20; i++)        /* more than the pinned memory holds */
        assert_int_equal(send(other, 1e6f), PF_OK);
    assert_int_equal(send(y, 0.0f), PF_OK);
    assert_int_equal(platform->table.replay(platform, recording, NULL), PF_OK);
    fetch(y, replayed);
    assert_memory_equal(plain, replayed, sizeof plain);
    assert_int_equal(send(x, 4.0f), PF_OK);
    assert_int_equal(platform->table.replay(platform, recording, NULL), PF_OK);
    fetch(y, replayed);
    for (int i = 0; i < LENGTH * WIDTH; i++)
        assert_true(replayed[i] > plain[i]);
    platform->table.record_drop(platform, recording);
    platform->table.record_drop(platform, NULL);
    assert_int_equal(counters()->live_graphs, 0);
    platform->table.release(platform, x.data);
    platform->table.release(platform, y.data);
    platform->table.release(platform, other.data);
}

/* None of these reaches CANN, so the recording itself goes on. */
static void test_what_is_refused_while_recording(void **state)
{
    float values[LENGTH * WIDTH], before[LENGTH * WIDTH];
    void *memory;
    pf_recording *recording;
    pf_error error = {0};
    pf_tensor x = matrix(ROWS, WIDTH), y = matrix(LENGTH, WIDTH), large = matrix(MANY, 1);
    (void)state;
    assert_int_equal(send(x, 1.0f), PF_OK);
    assert_int_equal(spread(x, y), PF_OK);
    fetch(y, before);
    assert_int_equal(platform->table.record_begin(platform, NULL), PF_OK);
    assert_int_equal(platform->table.allocate(platform, 12345, &memory, &error),
                     PF_E_INTERNAL);
    assert_non_null(strstr(error.message, "12345"));
    assert_int_equal(pf_platform_download(platform, values, y.data, 4, NULL),
                     PF_E_INTERNAL);
    assert_int_equal(send(large, 1.0f), PF_E_UNSUPPORTED);
    assert_int_equal(spread(x, y), PF_OK);
    assert_int_equal(platform->table.record_end(platform, &recording, NULL), PF_OK);
    assert_int_equal(platform->table.replay(platform, recording, NULL), PF_OK);
    fetch(y, values);
    assert_memory_equal(values, before, sizeof before);
    platform->table.record_drop(platform, recording);
    assert_int_equal(platform->table.record_begin(platform, NULL), PF_OK);
    assert_int_equal(spread(x, y), PF_OK);
    assert_int_equal(platform->table.record_end(platform, NULL, NULL), PF_OK);
    assert_int_equal(counters()->live_graphs, 0);
    platform->table.release(platform, x.data);
    platform->table.release(platform, y.data);
    platform->table.release(platform, large.data);
}

static pf_recording *record_spreading(pf_tensor x, pf_tensor y)
{
    pf_recording *recording;
    assert_int_equal(platform->table.record_begin(platform, NULL), PF_OK);
    assert_int_equal(spread(x, y), PF_OK);
    assert_int_equal(platform->table.record_end(platform, &recording, NULL), PF_OK);
    return recording;
}

/* Each has its own uploads; dropping one leaves the other whole. */
static void test_two_recordings(void **state)
{
    float both[2][LENGTH * WIDTH], values[LENGTH * WIDTH];
    pf_tensor x[2] = {matrix(ROWS, WIDTH), matrix(ROWS + 2, WIDTH)};
    pf_tensor y = matrix(LENGTH, WIDTH);
    pf_recording *recording[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send(x[i], 5.0f), PF_OK);
        assert_int_equal(spread(x[i], y), PF_OK);
        fetch(y, both[i]);
    }
    for (int i = 0; i < 2; i++)
        recording[i] = record_spreading(x[i], y);
    assert_int_equal(counters()->live_graphs, 2);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(platform->table.replay(platform, recording[i % 2], NULL), PF_OK);
        fetch(y, values);
        assert_memory_equal(values, both[i % 2], sizeof values);
    }
    platform->table.record_drop(platform, recording[0]);
    assert_int_equal(platform->table.replay(platform, recording[1], NULL), PF_OK);
    fetch(y, values);
    assert_memory_equal(values, both[1], sizeof values);
    platform->table.record_drop(platform, recording[1]);
    assert_int_equal(counters()->live_graphs, 0);
    for (int i = 0; i < 2; i++)
        platform->table.release(platform, x[i].data);
    platform->table.release(platform, y.data);
}

/* Closing the platform drops the recordings that live; the emulator counts them. */
static void test_closing_with_a_recording(void **state)
{
    pf_recording *recording;
    pf_tensor x = matrix(ROWS, WIDTH), y = matrix(LENGTH, WIDTH);
    (void)state;
    assert_int_equal(send(x, 1.0f), PF_OK);
    assert_int_equal(spread(x, y), PF_OK);
    assert_int_equal(platform->table.record_begin(platform, NULL), PF_OK);
    assert_int_equal(spread(x, y), PF_OK);
    assert_int_equal(platform->table.record_end(platform, &recording, NULL), PF_OK);
    assert_int_equal(platform->table.replay(platform, recording, NULL), PF_OK);
    pf_platform_close(platform);
    assert_int_equal(counters()->live_graphs, 0);
    assert_int_equal(counters()->violations, 0);
}

static int open_platform(void **state)
{
    pf_platform_options options = {.name = "ascend", .graph = true};
    (void)state;
    return pf_platform_open(&options, &platform, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uploads_of_kernels_are_kept),
        cmocka_unit_test(test_what_is_refused_while_recording),
        cmocka_unit_test(test_two_recordings),
        cmocka_unit_test(test_closing_with_a_recording),
    };
    return cmocka_run_group_tests(tests, open_platform, NULL);
}
