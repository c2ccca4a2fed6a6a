/* Every public entry with the Nth allocation, read, write or thread start failing:
 * a clean status with a sentence, nothing leaked (under ASan), nothing crashed, and
 * the same call works afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "../pipeline/job_test.h"
#include "base/fault.h"

const char *job_test_model;

/* One call of the entry under test. */
typedef pf_status (*entry)(pf_error *error);

static pf_engine *shared_engine;

/* Fails the 1st, 2nd ... event of a kind (with growing steps, so that long calls stay
 * short) until the call gets through without meeting its fault. */
static void fail_each(entry call, pf_fault_kind kind)
{
    int64_t failures = 0;
    for (int64_t nth = 1;; nth += 1 + nth / 24) {
        pf_error error = {0};
        pf_fault_arm(kind, nth, false);
        pf_status status = call(&error);
        int64_t seen = pf_fault_count(kind);
        pf_fault_arm(kind, 0, false);
        if (status != PF_OK) {
            failures++;
            assert_true(error.message[0] != '\0');
            assert_int_equal(error.status, status);
        }
        if (seen < nth) {
            assert_int_equal(status, PF_OK);
            break;
        }
    }
    print_message("  kind %d: %lld failures\n", (int)kind, (long long)failures);
}

static void fail_all_kinds(entry call)
{
    for (int kind = 0; kind < PF_FAULT_KINDS; kind++)
        fail_each(call, (pf_fault_kind)kind);
}

/* --- the entries ------------------------------------------------------------------ */

static pf_status open_engine(pf_error *error)
{
    pf_engine *engine;
    pf_engine_options options = {.model_path = job_test_model, .threads = 3};
    pf_status status = pf_engine_open(&options, &engine, error);
    assert_true((status == PF_OK) == (engine != NULL));
    pf_engine_close(engine);
    return status;
}

static pf_status check_request(pf_error *error)
{
    pf_prediction prediction;
    pf_request request = small_request(shared_engine);
    return pf_request_check(shared_engine, &request, &prediction, error);
}

static pf_status run_film(pf_error *error)
{
    static uint8_t pixels[3 * 40 * 60];
    kept k = {0};
    pf_request request = small_request(shared_engine);
    request.num_inference_steps = 2;
    request.num_frames = 5;
    request.text_only = false;
    request.first_frame = (pf_image){pixels, 60, 40, 180};
    pf_status status = run_request(shared_engine, &request, &k, error);
    kept_free(&k);
    return status;
}

static pf_status write_and_read_state(pf_error *error)
{
    static const float values[16];
    char path[96];
    pf_state state = {.step = 1, .steps = 2, .fps = 24, .video = values,
                      .video_shape = {2, 1, 2, 2}, .audio = values,
                      .audio_shape = {2, 3}};
    pf_state back;
    snprintf(path, sizeof path, "/tmp/pf-fault-%d.safetensors", (int)getpid());
    pf_status status = pf_state_write(path, &state, error);
    if (status == PF_OK) {
        status = pf_state_read(path, &back, error);
        pf_state_free(&back);
    } else {
        assert_int_not_equal(access(path, F_OK), 0);
    }
    unlink(path);
    return status;
}

static void test_engine_open(void **state)
{
    (void)state;
    fail_all_kinds(open_engine);
}

static void test_request_check(void **state)
{
    (void)state;
    fail_all_kinds(check_request);
}

static void test_job(void **state)
{
    (void)state;
    fail_all_kinds(run_film);
}

static void test_state(void **state)
{
    (void)state;
    fail_all_kinds(write_and_read_state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engine_open),
        cmocka_unit_test(test_request_check),
        cmocka_unit_test(test_job),
        cmocka_unit_test(test_state),
    };
    if (argc != 2)
        return 2;
    job_test_model = argv[1];
    pf_engine_options options = {.model_path = job_test_model, .threads = 2};
    if (pf_engine_open(&options, &shared_engine, NULL) != PF_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pf_engine_close(shared_engine);
    return failed;
}
