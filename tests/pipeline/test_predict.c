/* SPDX-License-Identifier: Apache-2.0 */
/* Predictions and the judgement of memory.  test_jobs.c measures what films really take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "job_test.h"
#include "pipeline/predict.h"

const char *job_test_model;

static pf_engine *engine;
static pf_job *job;
static pf_forecast forecast;

static int predict(void **state)
{
    pf_error error = {0};
    pf_request request = small_request(engine);
    (void)state;
    if (pf_job_create(engine, &request, NULL, &job, &error) != PF_OK)
        return 1;
    return pf_job_predict(job, &forecast, &error);
}

static int forget(void **state)
{
    (void)state;
    engine->memory_limit = 0;
    pf_job_destroy(job);
    return 0;
}

/* The work of the stages is the work of the film, whose denoising stages share the steps. */
static void test_stages_add_up(void **state)
{
    double flops = 0.0;
    (void)state;
    for (int i = 0; i < PF_STAGES; i++)
        flops += job->stage_flops[i];
    assert_true(forecast.prediction.flops > 0.0);
    assert_true(flops > 0.999 * forecast.prediction.flops);
    assert_true(flops < 1.001 * forecast.prediction.flops);
    assert_true(job->stage_arena[PF_STAGE_DENOISE_LOW] > 0);
    assert_false(job->dry);
}

static void test_there_is_enough(void **state)
{
    pf_error error = {0};
    (void)state;
    assert_int_equal(pf_forecast_check(&forecast, job, &error), PF_OK);
}

static void test_memory_limit_is_for_ever(void **state)
{
    pf_error error = {0};
    (void)state;
    engine->memory_limit = forecast.prediction.peak_bytes;
    assert_int_equal(pf_forecast_check(&forecast, job, &error), PF_OK);
    engine->memory_limit--;
    assert_int_equal(pf_forecast_check(&forecast, job, &error), PF_E_TOO_LARGE);
    job->request.accepted = true;
    assert_int_equal(pf_forecast_check(&forecast, job, &error), PF_OK);
}

/* The machine has no petabyte, and will have none when other programs end. */
static void test_a_petabyte_is_too_large(void **state)
{
    pf_error error = {0};
    (void)state;
    forecast.all = (int64_t)1 << 50;
    assert_int_equal(pf_forecast_check(&forecast, job, &error), PF_E_TOO_LARGE);
    assert_int_equal(error.status, PF_E_TOO_LARGE);
    assert_string_equal(error.field, "");
}

/* All memory of the machine is there, only not now. */
static void test_memory_in_use_is_short_now(void **state)
{
    pf_error error = {0};
    pf_machine machine;
    (void)state;
    pf_machine_read(NULL, &machine);
    forecast.all = (int64_t)machine.memory_by.whole - forecast.idle.resident - (1 << 20);
    if (forecast.all <= machine.memory + (1 << 28))
        skip();                             /* hardly anything is in use */
    assert_int_equal(pf_forecast_check(&forecast, job, &error), PF_E_MEMORY);
}

static int open_engine(void **state)
{
    pf_error error = {0};
    pf_engine_options options = {.model_path = job_test_model, .threads = 1};
    (void)state;
    return pf_engine_open(&options, &engine, &error);
}

static int close_engine(void **state)
{
    (void)state;
    pf_engine_close(engine);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stages_add_up, predict, forget),
        cmocka_unit_test_setup_teardown(test_there_is_enough, predict, forget),
        cmocka_unit_test_setup_teardown(test_memory_limit_is_for_ever, predict, forget),
        cmocka_unit_test_setup_teardown(test_a_petabyte_is_too_large, predict, forget),
        cmocka_unit_test_setup_teardown(test_memory_in_use_is_short_now, predict, forget),
    };
    if (argc < 2)
        return 1;
    job_test_model = argv[1];
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
