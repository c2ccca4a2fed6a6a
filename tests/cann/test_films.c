/* Whole films on the ascend platform over the emulator: they agree with the cpu's,
 * a step allocates nothing and waits for nothing that is behind it, and whatever
 * fails in the middle leaves nothing behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>

#include "../pipeline/job_test.h"
#include "emulator.h"

const char *job_test_model;

/* --- the emulator behind the platform --------------------------------------------- */

static void *emulator_symbol(const char *name)
{
    void *library = dlopen("libascendcl.so", RTLD_NOLOAD | RTLD_LAZY);
    if (!library)
        library = dlopen("libacl_rt.so", RTLD_NOLOAD | RTLD_LAZY);
    void *symbol = library ? dlsym(library, name) : NULL;
    if (!symbol)
        fail_msg("the emulator is not loaded");
    dlclose(library);
    return symbol;
}

static cann_counters *counters(void)
{
    cann_counters *(*get)(void);
    void *symbol = emulator_symbol("cann_emulator_counters");
    memcpy(&get, &symbol, sizeof get);
    return get();
}

static void fail_nth(const char *call, int64_t nth, int code)
{
    void (*arm)(const char *call, int64_t nth, int code);
    void *symbol = emulator_symbol("cann_emulator_fail");
    memcpy(&arm, &symbol, sizeof arm);
    arm(call, nth, code);
}

static pf_engine *open_on(const char *platform, pf_precision precision)
{
    pf_engine *engine;
    pf_error error = {0};
    bool device = strcmp(platform, "ascend") == 0;
    pf_engine_options options = {.model_path = job_test_model, .threads = device ? 0 : 1,
                                 .platform = platform, .precision = precision};
    if (pf_engine_open(&options, &engine, &error) != PF_OK)
        fail_msg("%s", error.message);
    return engine;
}

static void film_on(const char *platform, pf_precision precision, kept *k)
{
    pf_error error = {0};
    pf_engine *engine = open_on(platform, precision);
    pf_request request = small_request(engine);
    if (run_request(engine, &request, k, &error) != PF_OK)
        fail_msg("%s", error.message);
    pf_engine_close(engine);
}

/* --- results ------------------------------------------------------------------------ */

static double cosine(const float *a, const float *b, int64_t count)
{
    double ab = 0.0, aa = 0.0, bb = 0.0;
    for (int64_t i = 0; i < count; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

static double largest_difference(const float *a, const float *b, int64_t count)
{
    double most = 0.0;
    for (int64_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static void test_f32_agrees_with_the_cpu(void **state)
{
    (void)state;
    kept cpu = {0}, ascend = {0};
    film_on("cpu", PF_PRECISION_F32, &cpu);
    film_on("ascend", PF_PRECISION_F32, &ascend);
    assert_int_equal(cpu.latent_count, ascend.latent_count);
    assert_int_equal(cpu.audio_count, ascend.audio_count);
    double latents = largest_difference(cpu.latents, ascend.latents, cpu.latent_count);
    double sound = largest_difference(cpu.audio, ascend.audio, cpu.audio_count);
    print_message("  f32: latents within %.2g, sound within %.2g\n", latents, sound);
    assert_true(latents < 5e-4);
    assert_true(sound < 5e-3);
    kept_free(&cpu);
    kept_free(&ascend);
}

static void test_fast_agrees_with_the_cpu(void **state)
{
    (void)state;
    kept cpu = {0}, ascend = {0};
    film_on("cpu", PF_PRECISION_F32, &cpu);
    film_on("ascend", PF_PRECISION_FAST, &ascend);
    double near = cosine(cpu.latents, ascend.latents, cpu.latent_count);
    print_message("  fast: latents have cosine %.6f\n", near);
    assert_true(near >= 0.999);
    kept_free(&cpu);
    kept_free(&ascend);
}

/* --- what a step does ----------------------------------------------------------------- */

enum { STEPS = 12 };

typedef struct step_counts {
    cann_counters after[STEPS];
    int steps;
} step_counts;

static pf_status count_step(void *user, const pf_state *state, pf_error *error)
{
    step_counts *s = user;
    (void)state;
    (void)error;
    s->after[s->steps++] = *counters();
    return PF_OK;
}

/* Nothing waits for the stream.  Both latents come to the host through an event each,
 * and the next step, if the stage has one, is queued before they are waited for.  A
 * stage's first step makes what the others use again. */
static void test_a_step_waits_for_nothing(void **state)
{
    (void)state;
    pf_error error = {0};
    step_counts s = {0};
    pf_job *job;
    pf_prediction p;
    pf_engine *engine = open_on("ascend", PF_PRECISION_FAST);
    pf_request request = small_request(engine);
    request.num_inference_steps = STEPS;
    pf_sinks sinks = {.user = &s, .state = count_step};
    if (pf_request_check(engine, &request, &p, &error) != PF_OK ||
        pf_job_create(engine, &request, &sinks, &job, &error) != PF_OK ||
        pf_job_run(job, &error) != PF_OK)
        fail_msg("%s", error.message);
    assert_int_equal(s.steps, STEPS);
    int compared = 0;
    int64_t step = 0, bytes = 0;
    for (int i = 1; i < STEPS; i++) {
        const cann_counters *a = &s.after[i - 1], *b = &s.after[i];
        if (i == p.switch_step)
            continue;
        bool last = i + 1 == STEPS || i + 1 == p.switch_step;
        assert_int_equal(b->syncs, a->syncs);
        assert_int_equal(b->event_waits - a->event_waits, 2);
        assert_int_equal(b->allocations, a->allocations);
        /* Only the two products with the step's own delta are new. */
        assert_int_equal(b->reused_executors - a->reused_executors,
                         b->launches - a->launches - (last ? 0 : 2));
        assert_true(last ? b->launches == a->launches : b->launches > a->launches);
        step = last ? step : b->launches - a->launches;
        bytes = last ? bytes : b->upload_bytes - a->upload_bytes;
        compared++;
    }
    assert_true(compared >= STEPS - 2 && step > 0);
    assert_true(counters()->fused_attention > 0);
    print_message("  a step: %lld launches, %lld bytes up\n", (long long)step,
                  (long long)bytes);
    pf_job_destroy(job);
    pf_engine_close(engine);
}

/* --- what fails ------------------------------------------------------------------------ */

typedef struct fault {
    const char *call;
    int code;
    pf_status status;
    bool first;                         /* only while nothing is kept yet */
} fault;

static const fault faults[] = {
    {"aclrtMalloc", 207001, PF_E_MEMORY, false},
    {"aclnnMm", 507015, PF_E_PLATFORM, false},
    {"aclnnLayerNorm", 507014, PF_E_PLATFORM, false},
    {"aclrtSynchronizeEventWithTimeout", 107020, PF_E_PLATFORM, false},
    {"aclrtRecordEvent", 507899, PF_E_PLATFORM, false},
    {"aclrtSynchronizeStreamWithTimeout", 107020, PF_E_PLATFORM, false},
    {"aclnnRmsNormGetWorkspaceSize", 561003, PF_E_PLATFORM, true},
    {"aclnnInplaceCopy", 361001, PF_E_PLATFORM, false},
    {"aclCreateTensor", 1, PF_E_MEMORY, true},
    {"aclCreateIntArray", 1, PF_E_MEMORY, true},
    {"aclrtMemcpyAsync", 507899, PF_E_PLATFORM, false},
};

/* Every fifth run is cancelled instead: the two counts have no common factor. */
enum { FAULTS = sizeof faults / sizeof faults[0], RUNS = 33 };

/* Short: there are many. */
static pf_request loop_request(const pf_engine *engine)
{
    pf_request request = small_request(engine);
    request.num_frames = 1;
    return request;
}

static bool is_expected(const fault *f, pf_status status)
{
    /* Memory that is short is looked for once more. */
    return status == f->status || (f->code == 207001 && status == PF_OK);
}

static void run_fine(pf_engine *engine, const kept *expected)
{
    kept k = {0};
    pf_error error = {0};
    pf_request request = loop_request(engine);
    if (run_request(engine, &request, &k, &error) != PF_OK)
        fail_msg("%s", error.message);
    assert_memory_equal(k.latents, expected->latents,
                        (size_t)expected->latent_count * sizeof(float));
    kept_free(&k);
}

static void run_with_fault(pf_engine *engine, const fault *f, int64_t nth)
{
    kept k = {0};
    pf_error error = {0};
    pf_request request = loop_request(engine);
    fail_nth(f->call, nth, f->code);
    pf_status status = run_request(engine, &request, &k, &error);
    fail_nth(NULL, 0, 0);
    if (!is_expected(f, status))
        fail_msg("%s at %lld: status %d, %s", f->call, (long long)nth, (int)status,
                 error.message);
    assert_true(status == PF_OK || error.message[0]);
    kept_free(&k);
}

static void run_and_cancel(pf_engine *engine, int after)
{
    kept k = {.cancel_after = after};
    pf_error error = {0};
    pf_request request = loop_request(engine);
    assert_int_equal(run_request(engine, &request, &k, &error), PF_E_CANCELLED);
    kept_free(&k);
}

/* A fault, or a cancelled film, and then the film as it has to be. */
static void run_round(pf_engine *shared, int round, const kept *expected)
{
    const fault *f = &faults[round % FAULTS];
    bool cancel = round % 5 == 4, own = f->first && !cancel;
    pf_engine *engine = own ? open_on("ascend", PF_PRECISION_FAST) : shared;
    if (cancel)
        run_and_cancel(engine, 1 + round / 5 % 3);
    else
        run_with_fault(engine, f, 1 + (f->first ? 1 : 2) * (round / FAULTS));
    run_fine(engine, expected);
    if (own)
        pf_engine_close(engine);
}

static void test_faults_leave_nothing(void **state)
{
    (void)state;
    kept expected = {0};
    pf_error error = {0};
    pf_engine *engine = open_on("ascend", PF_PRECISION_FAST);
    pf_request request = loop_request(engine);
    if (run_request(engine, &request, &expected, &error) != PF_OK)
        fail_msg("%s", error.message);
    for (int i = 0; i < RUNS; i++)
        run_round(engine, i, &expected);
    pf_engine_close(engine);
    kept_free(&expected);
    assert_int_equal(counters()->live_blocks, 0);
    assert_int_equal(counters()->live_executors, 0);
    assert_int_equal(counters()->live_tensors, 0);
    assert_int_equal(counters()->live_streams, 0);
    assert_int_equal(counters()->violations, 0);
}

/* --- memory that is not there ------------------------------------------------------------ */

static void test_too_large_a_film_is_refused(void **state)
{
    (void)state;
    pf_error error = {0};
    pf_engine *engine = open_on("ascend", PF_PRECISION_F32);
    pf_request request = small_request(engine);
    request.height = 2176;
    request.width = 3840;
    request.num_frames = 193;
    pf_status status = pf_request_check(engine, &request, NULL, &error);
    assert_int_equal(status, PF_E_MEMORY);
    assert_non_null(strstr(error.message, "GiB"));
    pf_engine_close(engine);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32_agrees_with_the_cpu),
        cmocka_unit_test(test_fast_agrees_with_the_cpu),
        cmocka_unit_test(test_a_step_waits_for_nothing),
        cmocka_unit_test(test_faults_leave_nothing),
        cmocka_unit_test(test_too_large_a_film_is_refused),
    };
    if (argc != 2)
        return 2;
    job_test_model = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
