/* SPDX-License-Identifier: Apache-2.0 */
/* Whole films on the ascend platform over the emulator: they agree with the cpu's,
 * a step allocates nothing and waits for nothing that is behind it, what is predicted is
 * what is needed, a recorded step is the step, and whatever fails in the middle leaves
 * nothing behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "../pipeline/job_test.h"
#include "emulator_test.h"

const char *job_test_model;

/* --- the emulator behind the platform --------------------------------------------- */

/* The emulated version has only what the platform cannot do without. */
static bool has_least(void)
{
    const char *home = getenv("ASCEND_HOME_PATH");
    return home && strstr(home, "least") != NULL;
}

static void limit_memory(int64_t bytes)
{
    void (*limit)(int64_t bytes);
    void *symbol = emulator_symbol("cann_emulator_limit");
    memcpy(&limit, &symbol, sizeof limit);
    limit(bytes);
}

static int warnings;

static void count_warning(void *user, const char *line)
{
    (void)user;
    (void)line;
    warnings++;
}

static pf_engine *open_with(pf_engine_options options)
{
    pf_engine *engine;
    pf_error error = {0};
    options.model_path = job_test_model;
    options.warn = count_warning;
    if (pf_engine_open(&options, &engine, &error) != PF_OK)
        fail_msg("%s", error.message);
    return engine;
}

static pf_engine *open_on(const char *platform, pf_precision precision)
{
    bool device = strcmp(platform, "ascend") == 0;
    return open_with((pf_engine_options){
        .threads = device ? 0 : 1, .platform = platform, .precision = precision});
}

static pf_engine *open_recording(pf_precision precision)
{
    return open_with((pf_engine_options){
        .platform = "ascend", .precision = precision, .graph = true});
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
    pf_prediction p = PF_INIT(pf_prediction);
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
        assert_int_equal(b->reused_executors - a->reused_executors,
                         b->launches - a->launches);
        assert_true(last ? b->launches == a->launches : b->launches > a->launches);
        step = last ? step : b->launches - a->launches;
        bytes = last ? bytes : b->upload_bytes - a->upload_bytes;
        compared++;
    }
    assert_true(compared >= STEPS - 2 && step > 0);
    assert_true(counters()->fused_attention > 0 || has_least());
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
    {"aclmdlRICaptureBegin", 207000, PF_OK, false},
    {"aclmdlRICaptureEnd", 507903, PF_OK, false},
    {"aclmdlRIExecuteAsync", 507011, PF_OK, false},
};

/* The last are of recordings.  Every fifth run is cancelled instead: the counts have no
 * common factor with that. */
enum { FAULTS = sizeof faults / sizeof faults[0], PLAIN_FAULTS = FAULTS - 3, RUNS = 33 };

/* Short: there are many. */
static pf_request loop_request(const pf_engine *engine)
{
    pf_request request = small_request(engine);
    request.num_frames = 1;
    return request;
}

/* Memory that is short is looked for once more, a step that cannot be recorded is
 * computed. */
static bool is_expected(const fault *f, pf_status status, bool graph)
{
    return status == f->status || ((f->code == 207001 || graph) && status == PF_OK);
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

/* Names of products where weights are in NZ. */
static const char *here(const char *call)
{
    if (!getenv("PHONOFILM_ASCEND_NZ"))
        return call;
    return strcmp(call, "aclnnMm") == 0      ? "aclnnMatmulWeightNz"
           : strcmp(call, "aclnnAddmm") == 0 ? "aclnnAddmmWeightNz"
                                             : call;
}

static void run_with_fault(pf_engine *engine, const fault *f, int64_t nth, bool graph)
{
    kept k = {0};
    pf_error error = {0};
    pf_request request = loop_request(engine);
    fail_nth(here(f->call), nth, f->code);
    pf_status status = run_request(engine, &request, &k, &error);
    fail_nth(NULL, 0, 0);
    if (!is_expected(f, status, graph))
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
static void run_round(pf_engine *shared, int round, const kept *expected, bool graph)
{
    int count = graph ? FAULTS : PLAIN_FAULTS;
    const fault *f = &faults[round % count];
    bool cancel = round % 5 == 4, own = f->first && !cancel;
    pf_engine *engine = !own    ? shared
                        : graph ? open_recording(PF_PRECISION_FAST)
                                : open_on("ascend", PF_PRECISION_FAST);
    if (cancel)
        run_and_cancel(engine, 1 + round / 5 % 3);
    else
        run_with_fault(engine, f, 1 + (f->first ? 1 : 2) * (round / count), graph);
    run_fine(engine, expected);
    if (own)
        pf_engine_close(engine);
}

static void run_loop(bool graph)
{
    kept expected = {0};
    pf_error error = {0};
    pf_engine *engine = graph ? open_recording(PF_PRECISION_FAST)
                              : open_on("ascend", PF_PRECISION_FAST);
    pf_request request = loop_request(engine);
    if (run_request(engine, &request, &expected, &error) != PF_OK)
        fail_msg("%s", error.message);
    for (int i = 0; i < RUNS; i++)
        run_round(engine, i, &expected, graph);
    pf_engine_close(engine);
    kept_free(&expected);
    assert_int_equal(counters()->live_blocks, 0);
    assert_int_equal(counters()->live_executors, 0);
    assert_int_equal(counters()->live_tensors, 0);
    assert_int_equal(counters()->live_streams, 0);
    assert_int_equal(counters()->live_events, 0);
    assert_int_equal(counters()->live_graphs, 0);
    assert_int_equal(counters()->violations, 0);
}

static void test_faults_leave_nothing(void **state)
{
    (void)state;
    run_loop(false);
}

static void test_faults_while_recording_leave_nothing(void **state)
{
    (void)state;
    if (has_least())
        skip();
    run_loop(true);
}

/* Each function that the platform calls, with something that it may return. */
static const struct {
    const char *call;
    int code;
} anywhere[] = {
    {"aclrtGetDeviceCount", 507899}, {"aclrtSetDevice", 507899},
    {"aclrtCreateContext", 207001}, {"aclrtCreateStream", 507899},
    {"aclGetDeviceCapability", 507899}, {"aclrtGetMemInfo", 507899},
    {"aclrtSetCurrentContext", 107002}, {"aclrtMalloc", 207001},
    {"aclrtMallocHost", 207001}, {"aclrtMemcpyAsync", 507899},
    {"aclrtSynchronizeStreamWithTimeout", 507015},
    {"aclrtSynchronizeEventWithTimeout", 507046},
    {"aclrtCreateEventExWithFlag", 207000}, {"aclrtRecordEvent", 507899},
    {"aclCreateTensor", 1}, {"aclCreateScalar", 1}, {"aclCreateIntArray", 1},
    {"aclCreateTensorList", 1}, {"aclSetAclOpExecutorRepeatable", 161002},
    {"aclSetInputTensorAddr", 161002}, {"aclSetOutputTensorAddr", 161002},
    {"aclSetDynamicInputTensorAddr", 161002}, {"aclnnAddmm", 507015},
    {"aclnnAddmmGetWorkspaceSize", 361001}, {"aclnnConvolution", 507014},
    {"aclnnConvolutionGetWorkspaceSize", 361001}, {"aclnnInplaceCopy", 361001},
    {"aclnnInplaceCopyGetWorkspaceSize", 561003},
};

static void check_nothing_lives(const char *call, int64_t nth)
{
    const cann_counters *c = counters();
    int64_t living = 0;
#define ADD_LIVING(name) living += strncmp(#name, "live_", 5) == 0 ? c->name : 0;
    CANN_COUNTERS(ADD_LIVING)
#undef ADD_LIVING
    if (living != 0 || c->violations != 0)
        fail_msg("%s at %lld leaves %lld handles and %lld violations", call, (long long)nth,
                 (long long)living, (long long)c->violations);
}

/* Opens, makes a film and closes with a fault on the way; did it come to that? */
static bool fault_at(const char *call, int64_t nth, int code, const kept *expected)
{
    kept k = {0};
    pf_error error = {0};
    pf_engine *engine = NULL;
    fail_nth(call, nth, code);
    pf_status status = pf_engine_open(&(pf_engine_options){
        .model_path = job_test_model, .platform = "ascend"}, &engine, &error);
    if (status == PF_OK) {
        pf_request request = loop_request(engine);
        status = run_request(engine, &request, &k, &error);
    }
    bool failed = has_failed();
    fail_nth(NULL, 0, 0);
    if (status == PF_OK)
        assert_memory_equal(k.latents, expected->latents,
                            (size_t)expected->latent_count * sizeof(float));
    else if (!failed || !error.message[0] || strpbrk(error.message, "?\n"))
        fail_msg("%s at %lld: status %d, '%s'", call, (long long)nth, (int)status,
                 error.message);
    kept_free(&k);
    if (engine && status != PF_OK)
        run_fine(engine, expected);
    pf_engine_close(engine);
    check_nothing_lives(call, nth);
    return failed;
}

/* From opening on: the first call, and some later ones.  What fails ends the film with a
 * message, or changes nothing about it. */
static void test_a_fault_anywhere(void **state)
{
    kept expected = {0};
    pf_error error = {0};
    const char *home = getenv("ASCEND_HOME_PATH");
    int faults_met = 0;
    (void)state;
    if (!home || !strstr(home, "8.3"))
        skip();
    pf_engine *engine = open_on("ascend", PF_PRECISION_FAST);
    pf_request request = loop_request(engine);
    if (run_request(engine, &request, &expected, &error) != PF_OK)
        fail_msg("%s", error.message);
    pf_engine_close(engine);
    for (size_t i = 0; i < sizeof anywhere / sizeof anywhere[0]; i++)
        for (int64_t nth = 1;
             fault_at(anywhere[i].call, nth, anywhere[i].code, &expected); nth *= 20)
            faults_met++;
    print_message("  %d faults\n", faults_met);
    assert_true(faults_met > 40);
    kept_free(&expected);
}

/* --- a recorded step ----------------------------------------------------------------------- */

static pf_request long_request(const pf_engine *engine)
{
    pf_request request = small_request(engine);
    request.num_inference_steps = STEPS;
    return request;
}

/* The first step of an expert is computed, the second recorded, and from there on all
 * are replayed. */
static int64_t replays_of(pf_engine *engine, const pf_request *request)
{
    pf_prediction p = PF_INIT(pf_prediction);
    pf_error error = {0};
    if (pf_request_check(engine, request, &p, &error) != PF_OK)
        fail_msg("%s", error.message);
    int high = p.switch_step, low = request->num_inference_steps - p.switch_step;
    return (high > 1 ? high - 1 : 0) + (low > 1 ? low - 1 : 0);
}

static void compare_recorded(pf_precision precision, const pf_request *request)
{
    kept plain = {0}, recorded = {0};
    pf_error error = {0};
    warnings = 0;
    pf_engine *engine = open_on("ascend", precision);
    if (run_request(engine, request, &plain, &error) != PF_OK)
        fail_msg("%s", error.message);
    pf_engine_close(engine);
    engine = open_recording(precision);
    int64_t before = counters()->replays;
    if (run_request(engine, request, &recorded, &error) != PF_OK)
        fail_msg("%s", error.message);
    assert_int_equal(counters()->replays - before, replays_of(engine, request));
    pf_engine_close(engine);
    assert_memory_equal(plain.latents, recorded.latents,
                        (size_t)plain.latent_count * sizeof(float));
    assert_memory_equal(plain.audio, recorded.audio,
                        (size_t)plain.audio_count * sizeof(float));
    assert_int_equal(plain.frame_count, recorded.frame_count);
    assert_memory_equal(plain.frames, recorded.frames,
                        (size_t)(plain.frame_count * plain.frame_bytes));
    assert_int_equal(counters()->live_graphs, 0);
    assert_int_equal(warnings, 0);
    kept_free(&plain);
    kept_free(&recorded);
}

static void test_recorded_films_are_the_same(void **state)
{
    (void)state;
    if (has_least())
        skip();
    pf_engine *engine = open_on("ascend", PF_PRECISION_FAST);
    pf_request request = long_request(engine);
    compare_recorded(PF_PRECISION_FAST, &request);
    compare_recorded(PF_PRECISION_F32, &request);
    compare_recorded(PF_PRECISION_REF, &request);
    request.bridge_guidance_scale = 1.5;
    request.guidance_rescale = 0.3;
    compare_recorded(PF_PRECISION_FAST, &request);
    request.bridge_guidance_scale = PF_UNSET;
    request.guidance_rescale = 0.0;
    request.guidance_scale = 1.0;
    compare_recorded(PF_PRECISION_FAST, &request);
    request.guidance_scale_2 = 4.0;
    request.num_inference_steps = 5;
    compare_recorded(PF_PRECISION_FAST, &request);
    pf_engine_close(engine);
}

/* A replay, its three uploads, and nothing else. */
static void test_a_recorded_step_is_one_launch(void **state)
{
    (void)state;
    pf_error error = {0};
    step_counts s = {0};
    pf_job *job;
    pf_prediction p = PF_INIT(pf_prediction);
    if (has_least())
        skip();
    pf_engine *engine = open_recording(PF_PRECISION_FAST);
    pf_request request = long_request(engine);
    pf_sinks sinks = {.user = &s, .state = count_step};
    if (pf_request_check(engine, &request, &p, &error) != PF_OK ||
        pf_job_create(engine, &request, &sinks, &job, &error) != PF_OK ||
        pf_job_run(job, &error) != PF_OK)
        fail_msg("%s", error.message);
    for (int i = 1; i < STEPS; i++) {
        const cann_counters *a = &s.after[i - 1], *b = &s.after[i];
        bool last = i + 1 == STEPS || i + 1 == p.switch_step;
        if (i == p.switch_step)
            continue;
        assert_int_equal(b->launches, a->launches);
        assert_int_equal(b->replays - a->replays, last ? 0 : 1);
        assert_int_equal(b->uploads - a->uploads, last ? 0 : 3);
        assert_int_equal(b->syncs, a->syncs);
        assert_int_equal(b->allocations, a->allocations);
    }
    pf_job_destroy(job);
    pf_engine_close(engine);
}

/* A call that a capture does not allow, at any place: in a step that is computed it ends the
 * film, in one that is recorded it costs the recording alone. */
static void test_a_spoilt_recording_is_a_warning(void **state)
{
    (void)state;
    kept expected = {0};
    pf_error error = {0};
    int spoilt = 0, failed = 0;
    if (has_least())
        skip();
    pf_engine *engine = open_recording(PF_PRECISION_FAST);
    pf_request request = loop_request(engine);
    if (run_request(engine, &request, &expected, &error) != PF_OK)
        fail_msg("%s", error.message);
    for (int64_t nth = 1; nth < 400; nth += 41) {
        kept k = {0};
        warnings = 0;
        fail_nth(here("aclnnAddmm"), nth, 107030);
        pf_status status = run_request(engine, &request, &k, &error);
        fail_nth(NULL, 0, 0);
        spoilt += status == PF_OK && warnings == 1;
        failed += status != PF_OK;
        assert_true(warnings <= 1);
        if (status == PF_OK)
            assert_memory_equal(k.latents, expected.latents,
                                (size_t)k.latent_count * sizeof(float));
        assert_int_equal(counters()->live_graphs, 0);
        kept_free(&k);
    }
    print_message("  %d recordings spoilt, %d films failed\n", spoilt, failed);
    assert_true(spoilt > 0 && failed > 0);
    run_fine(engine, &expected);
    pf_engine_close(engine);
    kept_free(&expected);
}

static void test_graph_is_refused_where_there_is_none(void **state)
{
    const char *platforms[] = {"cpu", "reference", "ascend"};
    (void)state;
    for (int i = 0; i < (has_least() ? 3 : 2); i++) {
        pf_engine *engine;
        pf_error error = {0};
        pf_engine_options options = {.model_path = job_test_model, .graph = true,
                                     .platform = platforms[i]};
        assert_int_equal(pf_engine_open(&options, &engine, &error), PF_E_ARGUMENT);
        assert_non_null(strstr(error.message, "graph is set"));
    }
}

/* --- memory that is not there ------------------------------------------------------------ */

/* Runs it on a device of so much memory; `unchecked` takes it whatever the prediction. */
static pf_status run_within(pf_precision precision, const pf_request *request,
                            int64_t bytes, bool unchecked)
{
    kept k = {0};
    pf_error error = {0};
    limit_memory(bytes);
    pf_engine *engine = open_with((pf_engine_options){
        .platform = "ascend", .precision = precision,
        .memory_limit = unchecked ? INT64_MAX : 0});
    counters()->peak_bytes = counters()->bytes;
    pf_status status = run_request(engine, request, &k, &error);
    if (status != PF_OK && status != (unchecked ? PF_E_MEMORY : PF_E_TOO_LARGE))
        fail_msg("%s", error.message);
    kept_free(&k);
    pf_engine_close(engine);
    limit_memory(0);
    return status;
}

/* A device with exactly what is predicted, the emulator's own rounding of every block
 * included, is enough; one with less is refused, and would indeed not have been enough. */
static void check_prediction(pf_precision precision, int height, int width, int frames)
{
    pf_error error = {0};
    pf_prediction p = PF_INIT(pf_prediction);
    pf_engine *engine = open_on("ascend", precision);
    pf_request request = small_request(engine);
    request.height = height;
    request.width = width;
    request.num_frames = frames;
    if (pf_request_check(engine, &request, &p, &error) != PF_OK)
        fail_msg("%s", error.message);
    pf_engine_close(engine);
    int64_t predicted = p.device_bytes;
    assert_int_equal(run_within(precision, &request, predicted, false), PF_OK);
    double used = (double)counters()->peak_bytes / (double)predicted;
    print_message("  %dx%d, %d frames: %lld bytes predicted, %.3f of that at the highest\n",
                  width, height, frames, (long long)predicted, used);
    assert_true(used > 0.98 && used <= 1.0);
    assert_int_equal(run_within(precision, &request, predicted * 99 / 100, false),
                     PF_E_TOO_LARGE);
    assert_int_equal(run_within(precision, &request, predicted * 95 / 100, true),
                     PF_E_MEMORY);
}

static void test_memory_is_predicted(void **state)
{
    (void)state;
    check_prediction(PF_PRECISION_FAST, 32, 48, 9);
    check_prediction(PF_PRECISION_FAST, 96, 128, 17);
    check_prediction(PF_PRECISION_F32, 64, 80, 13);
}

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
    assert_int_equal(status, PF_E_TOO_LARGE);
    assert_non_null(strstr(error.message, "memory, but only "));
    pf_engine_close(engine);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32_agrees_with_the_cpu),
        cmocka_unit_test(test_fast_agrees_with_the_cpu),
        cmocka_unit_test(test_a_step_waits_for_nothing),
        cmocka_unit_test(test_faults_leave_nothing),
        cmocka_unit_test(test_a_fault_anywhere),
        cmocka_unit_test(test_recorded_films_are_the_same),
        cmocka_unit_test(test_a_recorded_step_is_one_launch),
        cmocka_unit_test(test_a_spoilt_recording_is_a_warning),
        cmocka_unit_test(test_faults_while_recording_leave_nothing),
        cmocka_unit_test(test_graph_is_refused_where_there_is_none),
        cmocka_unit_test(test_memory_is_predicted),
        cmocka_unit_test(test_too_large_a_film_is_refused),
    };
    if (argc < 2)
        return 2;
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    job_test_model = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
