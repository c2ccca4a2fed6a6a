/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules and noise: the figures of docs/model/schedules.md, ties, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"
#include "model/scheduler.h"

static pf_scheduler open_default(int steps)
{
    pf_scheduler_config config;
    pf_scheduler scheduler;
    assert_int_equal(pf_scheduler_read_config(NULL, "", &config, NULL), PF_OK);
    assert_int_equal(pf_scheduler_open(&config, &scheduler, NULL), PF_OK);
    assert_int_equal(pf_scheduler_set_steps(&scheduler, steps, NULL, NULL), PF_OK);
    return scheduler;
}

static void test_published_timesteps(void **state)
{
    (void)state;
    pf_scheduler s = open_default(50);
    assert_true(s.timesteps[0][0] == 1000.0f);
    assert_true(fabsf(s.timesteps[0][17] - 906.5934f) < 1e-3f);
    assert_true(fabsf(s.timesteps[1][49] - 92.59258f) < 1e-4f);
    assert_true(pf_scheduler_sigma(&s, s.timesteps[0][17]) == 0.906593382f);
    assert_int_equal(pf_scheduler_switch(&s, 0.9), 18);
    pf_scheduler_close(&s);
}

static void test_switch_of_other_lengths(void **state)
{
    static const int expected[][2] = {{25, 9}, {30, 11}, {10, 4}, {5, 2}, {4, 2}};
    (void)state;
    for (int i = 0; i < 5; i++) {
        pf_scheduler s = open_default(expected[i][0]);
        assert_int_equal(pf_scheduler_switch(&s, 0.9), expected[i][1]);
        pf_scheduler_close(&s);
    }
}

/* With 80 steps some timesteps lie exactly between two entries of the train table:
 * the first one counts. */
static void test_ties_take_the_first(void **state)
{
    int ties = 0;
    (void)state;
    pf_scheduler s = open_default(80);
    for (int i = 0; i < 80; i++) {
        float t = s.timesteps[0][i];
        for (int j = 0; j + 1 < 1000; j++) {
            float before = fabsf(s.train_timesteps[j] - t);
            float after = fabsf(s.train_timesteps[j + 1] - t);
            if (before != after || before > 1.0f)
                continue;
            ties++;
            assert_true(pf_scheduler_sigma(&s, t) == s.train_sigmas[j]);
        }
    }
    assert_true(ties >= 2);
    pf_scheduler_close(&s);
}

static void test_steps_add_up_to_the_end(void **state)
{
    (void)state;
    for (int steps = 1; steps <= 64; steps *= 2) {
        pf_scheduler s = open_default(steps);
        double sum = 0.0;
        for (int i = 0; i < steps; i++)
            sum += pf_scheduler_delta(&s, i, 0);
        assert_true(fabs(sum + 1.0) < 1e-5);
        pf_scheduler_close(&s);
    }
}

static void test_bad_schedules_are_refused(void **state)
{
    pf_error error = {0};
    double shifts[2] = {5.0, 0.0};
    (void)state;
    pf_scheduler s = open_default(4);
    assert_int_equal(pf_scheduler_set_steps(&s, 0, NULL, &error), PF_E_ARGUMENT);
    assert_string_equal(error.message,
                        "num_inference_steps is 0, but must be 1 to 1000");
    assert_int_equal(pf_scheduler_set_steps(&s, 4, shifts, &error), PF_E_ARGUMENT);
    assert_non_null(strstr(error.message, "audio_shift is 0"));
    shifts[1] = NAN;
    assert_int_equal(pf_scheduler_set_steps(&s, 4, shifts, &error), PF_E_ARGUMENT);
    pf_scheduler_close(&s);
}

static void test_config_is_read_strictly(void **state)
{
    static const char *const bad[] = {
        "{\"shift\":-1}", "{\"sigma_min\":2}", "{\"shift\":\"5\"}",
        "{\"num_train_timesteps\":0}", "{\"exponential_shift\":true}",
        "{\"shift_terminal\":1.0}", "{\"use_dynamic_shifting\":true}",
    };
    pf_scheduler_config config;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *value;
        pf_error error = {0};
        assert_int_equal(pf_json_parse(bad[i], strlen(bad[i]), "s", &value, NULL),
                         PF_OK);
        assert_int_not_equal(pf_scheduler_read_config(value, "s", &config, &error),
                             PF_OK);
        assert_true(strlen(error.message) > 0);
        json_decref(value);
    }
}

static void test_missing_keys_mean_the_class_defaults(void **state)
{
    json_t *value;
    pf_scheduler_config config;
    (void)state;
    assert_int_equal(pf_json_parse("{}", 2, "s", &value, NULL), PF_OK);
    assert_int_equal(pf_scheduler_read_config(value, "s", &config, NULL), PF_OK);
    assert_true(config.shift == 3.0 && !config.extra_one_step);
    json_decref(value);
}

/* --- noise ------------------------------------------------------------------- */

static void test_own_noise_can_be_made_in_pieces(void **state)
{
    float whole[1000], piece[1000];
    (void)state;
    pf_noise_own(7, 1, 0, 1000, whole);
    for (int64_t first = 0; first < 990; first += 37) {
        pf_noise_own(7, 1, (uint64_t)first, 10, piece);
        assert_memory_equal(piece, whole + first, 10 * sizeof *piece);
    }
    pf_noise_own(8, 1, 0, 1000, piece);
    assert_memory_not_equal(piece, whole, sizeof piece);
    pf_noise_own(7, 0, 0, 1000, piece);
    assert_memory_not_equal(piece, whole, sizeof piece);
}

static void assert_normal(const float *values, int count)
{
    double sum = 0.0, squares = 0.0, fourth = 0.0;
    for (int i = 0; i < count; i++) {
        double v = values[i];
        assert_true(isfinite(v));
        sum += v;
        squares += v * v;
        fourth += v * v * v * v;
    }
    assert_true(fabs(sum / count) < 0.02);
    assert_true(fabs(squares / count - 1.0) < 0.03);
    assert_true(fabs(fourth / count - 3.0) < 0.25);
}

static void test_all_streams_are_normal(void **state)
{
    static float values[100000];
    pf_mt19937 generator;
    pf_cuda_philox cuda = {.seed = 3, .multiprocessors = 132};
    (void)state;
    pf_noise_own(3, 0, 0, 100000, values);
    assert_normal(values, 100000);
    pf_mt19937_seed(&generator, 3);
    pf_mt19937_normal(&generator, 100000, values);
    assert_normal(values, 100000);
    pf_cuda_philox_normal(&cuda, 100000, values);
    assert_normal(values, 100000);
}

/* The default video of an H100: three rounds, so the offset moves by 12. */
static void test_cuda_offset_moves_as_published(void **state)
{
    static float values[16 * 49 * 44 * 80];
    pf_cuda_philox cuda = {.seed = 42, .multiprocessors = 132};
    (void)state;
    pf_cuda_philox_normal(&cuda, 16 * 49 * 44 * 80, values);
    assert_int_equal(cuda.offset, 12);
    pf_cuda_philox_normal(&cuda, 51584, values);
    assert_int_equal(cuda.offset, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_timesteps),
        cmocka_unit_test(test_switch_of_other_lengths),
        cmocka_unit_test(test_ties_take_the_first),
        cmocka_unit_test(test_steps_add_up_to_the_end),
        cmocka_unit_test(test_bad_schedules_are_refused),
        cmocka_unit_test(test_config_is_read_strictly),
        cmocka_unit_test(test_missing_keys_mean_the_class_defaults),
        cmocka_unit_test(test_own_noise_can_be_made_in_pieces),
        cmocka_unit_test(test_all_streams_are_normal),
        cmocka_unit_test(test_cuda_offset_moves_as_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
