/* SPDX-License-Identifier: Apache-2.0 */
/* The library under programs that were compiled with an older phonofilm.h: their structures
 * are prefixes of today's, and not a byte behind them is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "job_test.h"
#include "phonofilm_tools.h"

const char *job_test_model;

static pf_engine *engine;

/* The older structures.  Each ends before a member that today's has. */
typedef struct old_prediction {
    size_t size;
    int64_t peak_bytes;
} old_prediction;

typedef struct old_warnings {
    size_t size;
    int count;
    char text[8][512];
} old_warnings;

typedef struct old_machine {
    size_t size;
    int64_t memory_bytes;
    double processors;
} old_machine;

typedef struct old_platform {
    size_t size;
    char name[16];
} old_platform;

typedef struct old_report {
    size_t size;
    char cpu[96];
} old_report;

typedef struct old_cost {
    size_t size;
    char device[96];
    int64_t tokens;
} old_cost;

typedef struct old_state {
    size_t size;
    int step, steps;
} old_state;

enum { ROOM = 16384, GUARD = 0x5a };

/* Memory that an older structure begins, and that nobody may touch behind it. */
static struct {
    union {
        size_t size;
        old_prediction prediction;
        old_warnings warnings;
        old_machine machine;
        old_platform platform[2];
        old_report report;
        old_cost cost;
        old_state state;
        char bytes[ROOM];
    } it;
} room;

static void guard(size_t size)
{
    memset(&room, GUARD, sizeof room);
    room.it.size = size;
}

static void assert_guarded(size_t from)
{
    for (size_t i = from; i < ROOM; i++)
        assert_int_equal(room.it.bytes[i], GUARD);
}

static void test_request(void **state)
{
    pf_error error = {0};
    pf_request request = small_request(engine);
    size_t older = offsetof(pf_request, resume);
    (void)state;
    guard(older);
    pf_request_init(engine, (pf_request *)(void *)&room.it);
    assert_guarded(older);
    assert_int_equal(room.it.size, older);
    /* Members behind the older structure are not read. */
    request.resume = (const pf_state *)(uintptr_t)1;
    guard(older);
    memcpy(room.it.bytes + sizeof older, (const char *)&request + sizeof older,
           older - sizeof older);
    assert_int_equal(pf_request_check(engine, (const pf_request *)(const void *)&room.it,
                                      NULL, &error), PF_OK);
}

static void test_prediction(void **state)
{
    pf_error error = {0};
    pf_request request = small_request(engine);
    pf_prediction today = PF_INIT(pf_prediction);
    (void)state;
    guard(sizeof(old_prediction));
    assert_int_equal(pf_request_check(engine, &request, &today, &error), PF_OK);
    assert_int_equal(pf_request_check(engine, &request,
                                      (pf_prediction *)(void *)&room.it, &error), PF_OK);
    assert_true(room.it.prediction.peak_bytes > 0);
    assert_true(today.peak_bytes > 0 && today.flops > 0.0);
    assert_guarded(sizeof(old_prediction));
}

static void test_warnings(void **state)
{
    pf_error error = {0};
    pf_request request = small_request(engine);
    (void)state;
    guard(sizeof(old_warnings));
    assert_int_equal(pf_request_warnings(engine, &request,
                                         (pf_warnings *)(void *)&room.it, &error), PF_OK);
    assert_int_equal(room.it.warnings.count, 0);
    assert_guarded(sizeof(old_warnings));
}

static void test_machine(void **state)
{
    (void)state;
    guard(sizeof(old_machine));
    pf_machine_get((pf_machine_info *)(void *)&room.it);
    assert_true(room.it.machine.memory_bytes > 0 && room.it.machine.processors > 0.0);
    assert_guarded(sizeof(old_machine));
}

/* Elements lie as far apart as the caller has them. */
static void test_platforms(void **state)
{
    (void)state;
    guard(sizeof(old_platform));
    assert_int_equal(pf_platform_list(0, (pf_platform_info *)(void *)&room.it, 2), 2);
    assert_string_equal(room.it.platform[0].name, "ascend");
    assert_int_equal(room.it.platform[1].size, sizeof(old_platform));
    assert_string_equal(room.it.platform[1].name, "cpu");
    assert_guarded(sizeof room.it.platform);
}

static void test_tools(void **state)
{
    pf_error error = {0};
    pf_step_options step = {.model_path = job_test_model, .platform = "ascend",
                            .device = "910B1", .height = 32, .width = 48, .num_frames = 9};
    (void)state;
    guard(sizeof(old_report));
    assert_int_equal(pf_bench(&(pf_bench_options){.op = "none"},
                              (pf_bench_report *)(void *)&room.it, &error), PF_E_ARGUMENT);
    assert_guarded(sizeof(old_report));
    guard(sizeof(old_cost));
    if (pf_predict_step(&step, (pf_step_cost *)(void *)&room.it, &error) == PF_OK)
        assert_true(room.it.cost.tokens > 0);
    assert_guarded(sizeof(old_cost));
}

/* A sink that was compiled with fewer members reads what it knows. */
static pf_status read_old_state(void *user, const pf_state *state, pf_error *error)
{
    const old_state *old = (const old_state *)(const void *)state;
    (void)error;
    assert_int_equal(old->size, sizeof *state);
    *(int *)user = old->step;
    return PF_OK;
}

/* Its arrays must be freed, so a state without them is refused. */
static void test_state(void **state)
{
    pf_job *job = NULL;
    pf_error error = {0};
    int step = 0;
    pf_request request = small_request(engine);
    pf_sinks sinks = {.user = &step, .state = read_old_state};
    (void)state;
    assert_int_equal(pf_job_create(engine, &request, &sinks, &job, &error), PF_OK);
    assert_int_equal(pf_job_run(job, &error), PF_OK);
    assert_int_equal(step, 4);
    guard(sizeof(old_state));
    assert_true(pf_job_state(job, (pf_state *)(void *)&room.it));
    assert_int_equal(room.it.state.step, 4);
    assert_guarded(sizeof(old_state));
    assert_int_equal(pf_state_read("none", (pf_state *)(void *)&room.it, &error),
                     PF_E_ARGUMENT);
    assert_guarded(sizeof(old_state));
    pf_job_destroy(job);
}

static void test_a_forgotten_size_is_refused(void **state)
{
    pf_error error = {0};
    pf_request request = small_request(engine);
    pf_prediction prediction = {.seconds = 3.0};
    pf_job *job;
    (void)state;
    assert_int_equal(pf_request_check(engine, &request, &prediction, &error),
                     PF_E_ARGUMENT);
    assert_non_null(strstr(error.message, "pf_prediction"));
    request.size = 0;
    assert_int_equal(pf_request_check(engine, &request, NULL, &error), PF_E_ARGUMENT);
    assert_int_equal(pf_job_create(engine, &request, NULL, &job, &error), PF_E_ARGUMENT);
    assert_null(job);
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
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_prediction),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_machine),
        cmocka_unit_test(test_platforms),
        cmocka_unit_test(test_tools),
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_a_forgotten_size_is_refused),
    };
    if (argc < 2)
        return 1;
    job_test_model = argv[1];
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
