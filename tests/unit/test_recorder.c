/* SPDX-License-Identifier: Apache-2.0 */
/* Recording steps on a platform that only writes down what it is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/error.h"
#include "pipeline/recorder.h"

/* "c" computes, "[" begins and "]" ends a recording, "!" abandons one, "r" replays,
 * "d" drops; "w" waits. */
typedef struct script {
    char done[64];
    pf_status begin, replay;            /* what these return */
    pf_status recording;                /* what computing returns while recorded */
    int warnings;
} script;

static script said;

static void note(const char *what)
{
    strncat(said.done, what, sizeof said.done - strlen(said.done) - 1);
}

static pf_status transfer(pf_platform *platform, const pf_transfer *what,
                          pf_ticket *ticket, pf_error *error)
{
    (void)platform, (void)error;
    assert_null(ticket);
    memset(what->to, 0, (size_t)what->bytes);
    note("w");
    return PF_OK;
}

static pf_status record_begin(pf_platform *platform, pf_error *error)
{
    (void)platform;
    if (said.begin != PF_OK)
        return pf_fail(error, said.begin, "no recording");
    note("[");
    return PF_OK;
}

static int recorded;                    /* its address stands for the recording */

static pf_status record_end(pf_platform *platform, pf_recording **out, pf_error *error)
{
    (void)platform, (void)error;
    note(out ? "]" : "!");
    if (out)
        *out = (pf_recording *)&recorded;
    return PF_OK;
}

static pf_status replay(pf_platform *platform, pf_recording *recording, pf_error *error)
{
    (void)platform;
    assert_ptr_equal(recording, &recorded);
    if (said.replay != PF_OK)
        return pf_fail(error, said.replay, "no replay");
    note("r");
    return PF_OK;
}

static void record_drop(pf_platform *platform, pf_recording *recording)
{
    (void)platform;
    assert_ptr_equal(recording, &recorded);
    note("d");
}

static pf_status compute(void *user)
{
    pf_ops *ops = user;
    ops->cost.flops += 10.0;
    ops->cost.launches += 3;
    note("c");
    bool is_recorded = strchr(said.done, '[') && !strpbrk(said.done, "]!");
    return is_recorded ? pf_fail(ops->error, said.recording, "no kernel") : PF_OK;
}

static void warn(void *user, const char *line)
{
    (void)user, (void)line;
    said.warnings++;
}

/* Runs steps 0 to 3 of one stage; gives the status of the last that was run. */
static pf_status run_steps(bool records, pf_ops *ops, pf_error *error)
{
    static pf_platform platform;
    static float value;
    pf_log log = {warn, NULL};
    platform = (pf_platform){
        .table = {.transfer = transfer, .record_begin = record_begin,
                  .record_end = record_end, .replay = replay, .record_drop = record_drop},
        .capabilities = {.records = records}};
    *ops = (pf_ops){.platform = &platform, .error = error};
    pf_recorder recorder = {.ops = ops, .log = &log, .compute = compute, .user = ops,
                            .fence = pf_vector(&value, PF_F32, 1)};
    pf_status status = PF_OK;
    for (int step = 0; status == PF_OK && step < 4; step++)
        status = pf_recorder_run(&recorder, step);
    pf_recorder_drop(&recorder);
    return status;
}

static void check(bool records, const char *expected, int warnings)
{
    pf_ops ops;
    pf_error error = {0};
    assert_int_equal(run_steps(records, &ops, &error), PF_OK);
    assert_string_equal(said.done, expected);
    assert_int_equal(said.warnings, warnings);
    assert_true(ops.cost.flops == 40.0);        /* four steps, however they were done */
    assert_int_equal(ops.cost.launches, 12);
}

static void test_the_second_step_is_recorded(void **state)
{
    (void)state;
    said = (script){.begin = PF_OK};
    check(true, "cw[c]rrrd", 0);
}

static void test_nothing_is_recorded_where_it_cannot(void **state)
{
    (void)state;
    said = (script){.begin = PF_OK};
    check(false, "cccc", 0);
}

static void test_a_failed_recording_is_a_warning(void **state)
{
    (void)state;
    said = (script){.begin = PF_E_UNSUPPORTED};
    check(true, "cwccc", 1);
}

static void test_a_failed_replay_is_a_warning(void **state)
{
    (void)state;
    said = (script){.replay = PF_E_PLATFORM};
    pf_ops ops;
    pf_error error = {0};
    assert_int_equal(run_steps(true, &ops, &error), PF_OK);
    assert_string_equal(said.done, "cw[c]cccd");
    assert_int_equal(said.warnings, 1);
}

static void test_a_failed_kernel_abandons_the_recording(void **state)
{
    (void)state;
    said = (script){.recording = PF_E_PLATFORM};
    check(true, "cw[c!ccc", 1);
}

/* A film that is not wanted any more is not computed without a recording. */
static void test_a_cancelled_recording_ends_the_stage(void **state)
{
    pf_ops ops;
    pf_error error = {0};
    (void)state;
    said = (script){.recording = PF_E_CANCELLED};
    assert_int_equal(run_steps(true, &ops, &error), PF_E_CANCELLED);
    assert_int_equal(error.status, PF_E_CANCELLED);
    assert_string_equal(said.done, "cw[c!");
    assert_int_equal(said.warnings, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_second_step_is_recorded),
        cmocka_unit_test(test_nothing_is_recorded_where_it_cannot),
        cmocka_unit_test(test_a_failed_recording_is_a_warning),
        cmocka_unit_test(test_a_failed_replay_is_a_warning),
        cmocka_unit_test(test_a_failed_kernel_abandons_the_recording),
        cmocka_unit_test(test_a_cancelled_recording_ends_the_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
