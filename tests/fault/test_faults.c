/* SPDX-License-Identifier: Apache-2.0 */
/* Every public entry with the Nth allocation, read, write or thread start failing:
 * a clean status with a sentence, nothing leaked (under ASan), nothing crashed, and
 * the same call works afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../pipeline/job_test.h"
#include "base/fault.h"
#include "phonofilm_tools.h"

const char *job_test_model;

/* A call of the entry under test. */
typedef pf_status (*entry)(pf_error *error);

static pf_engine *shared_engine, *renewed_engine;
static char copied_model[] = "/tmp/pf-faults-XXXXXX";

/* Fails the 1st, 2nd ... event of a kind (with growing steps, so that long calls stay
 * short) until the call gets through without meeting its fault. */
static void fail_each(entry call, pf_fault_kind kind, bool sticky)
{
    int64_t failures = 0;
    for (int64_t nth = 1;; nth += 1 + nth / 24) {
        pf_error error = {0};
        pf_fault_arm(kind, nth, sticky);
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
    for (int kind = 0; kind < PF_FAULT_KINDS; kind++) {
        fail_each(call, (pf_fault_kind)kind, false);
        fail_each(call, (pf_fault_kind)kind, true);
    }
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

static pf_status guard_files(pf_error *error)
{
    return pf_guard_files(error);
}

/* A film of weights that were written again since the last one, and are read anew. */
static pf_status run_renewed_film(pf_error *error)
{
    static const struct timespec old[2];        /* another time each other call */
    static int calls;
    char path[128];
    kept k = {0};
    snprintf(path, sizeof path, "%s/audio_vae/diffusion_pytorch_model.safetensors",
             copied_model);
    assert_int_equal(utimensat(AT_FDCWD, path, calls++ % 2 ? NULL : old, 0), 0);
    pf_request request = small_request(renewed_engine);
    request.num_inference_steps = 1;
    request.num_frames = 1;
    pf_status status = run_request(renewed_engine, &request, &k, error);
    kept_free(&k);
    return status;
}

static pf_status check_request(pf_error *error)
{
    pf_prediction prediction = PF_INIT(pf_prediction);
    pf_request request = small_request(shared_engine);
    return pf_request_check(shared_engine, &request, &prediction, error);
}

/* With texts that are too long, so that there is something to say. */
static pf_status ask_for_warnings(pf_error *error)
{
    static char prompt[3000];
    pf_warnings warnings = PF_INIT(pf_warnings);
    memset(prompt, 'x', sizeof prompt - 1);
    for (size_t i = 0; i < sizeof prompt - 1; i += 2)
        prompt[i] = ' ';
    pf_request request = small_request(shared_engine);
    request.prompt = request.negative_prompt = prompt;
    pf_status status = pf_request_warnings(shared_engine, &request, &warnings, error);
    if (status == PF_OK)
        assert_int_equal(warnings.count, 2);
    return status;
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

/* Both pictures, three branches, resumed from latents, in the roundings of the
 * reference: what run_film leaves out. */
static pf_status run_other_film(pf_error *error)
{
    static uint8_t pixels[3 * 32 * 32];
    static float video[16 * 2 * 4 * 4], audio[8 * 11];
    kept k = {0};
    pf_engine *engine;
    pf_engine_options options = {.model_path = job_test_model, .threads = 1,
                                 .precision = PF_PRECISION_REF,
                                 .keep_resident = true};
    pf_status opened = pf_engine_open(&options, &engine, error);
    if (opened != PF_OK)
        return opened;
    pf_request request = small_request(engine);
    pf_state noise = {.size = sizeof noise, .steps = 1, .fps = request.fps, .video = video,
                      .video_shape = {16, 2, 4, 4}, .audio = audio,
                      .audio_shape = {8, 11}};
    request.num_inference_steps = 1;
    request.num_frames = 5;
    request.height = request.width = 32;
    request.text_only = false;
    request.bridge_guidance_scale = 2.0;
    request.guidance_rescale = 0.5;
    request.first_frame = request.last_frame = (pf_image){pixels, 32, 32, 96};
    request.resume = &noise;
    pf_status status = run_request(engine, &request, &k, error);
    kept_free(&k);
    pf_engine_close(engine);
    return status;
}

/* Opening the platform and the first tensors; what follows takes seconds. */
static pf_status start_bench(pf_error *error)
{
    pf_bench_report report = PF_INIT(pf_bench_report);
    return pf_bench(&(pf_bench_options){.threads = 3, .op = "attention"}, &report,
                    error);
}

static pf_status write_and_read_state(pf_error *error)
{
    static const float values[16];
    char path[96];
    pf_state state = {.size = sizeof state, .step = 1, .steps = 2, .fps = 24, .video = values,
                      .video_shape = {2, 1, 2, 2}, .audio = values,
                      .audio_shape = {2, 3}};
    pf_state back = PF_INIT(pf_state);
    snprintf(path, sizeof path, "/tmp/pf-fault-%d.safetensors", (int)getpid());
    pf_status status = pf_state_write(path, &state, error);
    if (status == PF_OK) {
        status = pf_state_read(path, &back, error);
        pf_state_free(&back);
    } else {
        char part[112];
        snprintf(part, sizeof part, "%s.part", path);
        assert_int_not_equal(access(path, F_OK), 0);
        assert_int_not_equal(access(part, F_OK), 0);
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

static void test_request_warnings(void **state)
{
    (void)state;
    fail_all_kinds(ask_for_warnings);
}

static void test_job(void **state)
{
    (void)state;
    fail_all_kinds(run_film);
}

static void run_program(const char *name, const char *flags, const char *from, const char *to)
{
    int status = 1;
    pid_t child = fork();
    if (child == 0) {
        execlp(name, name, flags, from, to, NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_renewed_job(void **state)
{
    pf_engine_options options = {.model_path = copied_model, .threads = 2,
                                 .keep_resident = true};
    (void)state;
    assert_non_null(mkdtemp(copied_model));
    run_program("cp", "-rT", job_test_model, copied_model);
    assert_int_equal(pf_engine_open(&options, &renewed_engine, NULL), PF_OK);
    fail_all_kinds(run_renewed_film);
    pf_engine_close(renewed_engine);
    run_program("rm", "-r", copied_model, NULL);
}

static void test_guard_files(void **state)
{
    (void)state;
    fail_all_kinds(guard_files);
}

static void test_other_job(void **state)
{
    (void)state;
    fail_all_kinds(run_other_film);
}

static void test_bench(void **state)
{
    (void)state;
    for (int nth = 1; nth <= 2; nth++)
        for (int kind = 0; kind < 2; kind++) {
            pf_fault_kind which = kind ? PF_FAULT_THREAD : PF_FAULT_ALLOCATION;
            pf_error error = {0};
            pf_fault_arm(which, nth, false);
            pf_status status = start_bench(&error);
            pf_fault_arm(which, 0, false);
            assert_int_not_equal(status, PF_OK);
            assert_int_equal(error.status, status);
            assert_true(error.message[0] != '\0');
        }
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
        cmocka_unit_test(test_request_warnings),
        cmocka_unit_test(test_job),
        cmocka_unit_test(test_other_job),
        cmocka_unit_test(test_renewed_job),
        cmocka_unit_test(test_guard_files),
        cmocka_unit_test(test_bench),
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
