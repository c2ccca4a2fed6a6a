/* SPDX-License-Identifier: Apache-2.0 */
/* Whole jobs on a tiny model: determinism, resuming, cancelling, prediction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "job_test.h"
#include "pipeline/job.h"
#include "pipeline/stage.h"

const char *job_test_model;

static pf_engine *open_with(int threads, pf_precision precision)
{
    pf_engine *engine;
    pf_error error = {0};
    pf_engine_options options = {.model_path = job_test_model, .threads = threads,
                                 .precision = precision};
    if (pf_engine_open(&options, &engine, &error) != PF_OK)
        fail_msg("%s", error.message);
    return engine;
}

static void run_ok(pf_engine *engine, const pf_request *request, kept *k)
{
    pf_error error = {0};
    if (run_request(engine, request, k, &error) != PF_OK)
        fail_msg("%s", error.message);
}

static void assert_same_film(const kept *a, const kept *b)
{
    assert_int_equal(a->frame_count, b->frame_count);
    assert_int_equal(a->audio_count, b->audio_count);
    assert_memory_equal(a->frames, b->frames, (size_t)(a->frame_count * a->frame_bytes));
    assert_memory_equal(a->audio, b->audio, (size_t)a->audio_count * sizeof(float));
}

/* --- results -------------------------------------------------------------------- */

static void test_a_film_comes_out(void **state)
{
    (void)state;
    kept k = {0};
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    pf_request request = small_request(engine);
    run_ok(engine, &request, &k);
    assert_int_equal(k.frame_count, 9);
    assert_int_equal(k.audio_count, 48000 * 9 / 24);
    assert_int_equal(k.states, 4);
    assert_true(k.progress_calls >= 8);
    assert_true(k.last_fraction > 0.99);
    for (int64_t i = 0; i < k.audio_count; i++)
        assert_true(isfinite(k.audio[i]) && fabsf(k.audio[i]) <= 1.0f);
    kept_free(&k);
    pf_engine_close(engine);
}

static void test_threads_change_no_bit(void **state)
{
    (void)state;
    kept films[3] = {{0}};
    for (int i = 0; i < 3; i++) {
        pf_engine *engine = open_with(i + 1, PF_PRECISION_FAST);
        pf_request request = small_request(engine);
        run_ok(engine, &request, &films[i]);
        pf_engine_close(engine);
    }
    assert_same_film(&films[0], &films[1]);
    assert_same_film(&films[0], &films[2]);
    for (int i = 0; i < 3; i++)
        kept_free(&films[i]);
}

static double cosine(const float *a, const float *b, int64_t count)
{
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < count; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

static void test_fast_is_close_to_f32(void **state)
{
    (void)state;
    kept films[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        pf_engine *engine =
            open_with(2, i ? PF_PRECISION_F32 : PF_PRECISION_FAST);
        pf_request request = small_request(engine);
        run_ok(engine, &request, &films[i]);
        pf_engine_close(engine);
    }
    double c = cosine(films[0].latents, films[1].latents, films[0].latent_count);
    assert_true(c >= 0.9999);
    kept_free(&films[0]);
    kept_free(&films[1]);
}

/* Guidance 1 makes a film, too, and another one than guidance 3. */
static void test_every_guidance_steps(void **state)
{
    (void)state;
    kept films[4] = {{0}};
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    for (int i = 0; i < 4; i++) {
        pf_request request = small_request(engine);
        request.guidance_scale = i == 0 ? 1.0 : 3.0;
        if (i >= 2)
            request.bridge_guidance_scale = i == 2 ? 1.0 : 2.0;
        run_ok(engine, &request, &films[i]);
        assert_int_equal(films[i].states, 4);
    }
    size_t bytes = (size_t)films[0].latent_count * sizeof(float);
    assert_memory_not_equal(films[0].latents, films[1].latents, bytes);
    assert_memory_equal(films[1].latents, films[2].latents, bytes);
    assert_memory_not_equal(films[1].latents, films[3].latents, bytes);
    for (int i = 0; i < 4; i++)
        kept_free(&films[i]);
    pf_engine_close(engine);
}

/* --- resuming and cancelling ------------------------------------------------------- */

typedef struct snapshot {
    pf_state state;
    int wanted;
    kept film;
} snapshot;

static pf_status copy_state(void *user, const pf_state *state, pf_error *error)
{
    snapshot *s = user;
    char path[96];
    if (state->step != s->wanted)
        return PF_OK;
    snprintf(path, sizeof path, "/tmp/pf-state-%d.safetensors", (int)getpid());
    pf_status status = pf_state_write(path, state, error);
    if (status == PF_OK)
        status = pf_state_read(path, &s->state, error);
    unlink(path);
    return status;
}

/* Saves the latents after a step of the request's film. */
static void save_after(pf_engine *engine, const pf_request *request, snapshot *s)
{
    pf_job *job;
    pf_error error = {0};
    pf_sinks sinks = {.user = s, .state = copy_state};
    assert_int_equal(pf_job_create(engine, request, &sinks, &job, &error), PF_OK);
    assert_int_equal(pf_job_run(job, &error), PF_OK);
    pf_job_destroy(job);
}

/* Goes on with the request's film after each of its steps. */
static void resume_everywhere(pf_engine *engine, const pf_request *request)
{
    kept whole = {0};
    run_ok(engine, request, &whole);
    for (int step = 1; step <= request->num_inference_steps; step++) {
        snapshot s = {.state = PF_INIT(pf_state), .wanted = step};
        kept rest = {0};
        save_after(engine, request, &s);
        pf_request again = *request;
        again.resume = &s.state;
        if (step == request->num_inference_steps) {
            again.prompt = again.negative_prompt = NULL;
            again.text_only = false;
        }
        run_ok(engine, &again, &rest);
        assert_same_film(&whole, &rest);
        kept_free(&rest);
        pf_state_free(&s.state);
    }
    kept_free(&whole);
}

static void test_resuming_gives_the_same_film(void **state)
{
    (void)state;
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    pf_request request = small_request(engine);
    resume_everywhere(engine, &request);
    pf_engine_close(engine);
}

/* Steps that remain may use less of the request than the film does. */
static void test_resuming_judges_the_whole_film(void **state)
{
    static const struct {
        double first, second, bridge, rescale;
    } scales[] = {
        {3, 1, PF_UNSET, 0}, {3, 1, PF_UNSET, 0.5}, {1, 3, PF_UNSET, 0.5},
        {1, 1, 2, 0.5}, {3, 1, 1, 0},
    };
    (void)state;
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        pf_request request = small_request(engine);
        request.guidance_scale = scales[i].first;
        request.guidance_scale_2 = scales[i].second;
        request.bridge_guidance_scale = scales[i].bridge;
        request.guidance_rescale = scales[i].rescale;
        request.negative_prompt = "blur";
        resume_everywhere(engine, &request);
    }
    pf_engine_close(engine);
}

/* Members without effect are refused for a film that goes on, too. */
static void test_resuming_excuses_nothing(void **state)
{
    (void)state;
    pf_error error = {0};
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    pf_request request = small_request(engine);
    snapshot s = {.state = PF_INIT(pf_state), .wanted = 2};
    save_after(engine, &request, &s);
    request.resume = &s.state;
    request.guidance_scale = 1;
    request.negative_prompt = "blur";
    assert_int_equal(pf_request_check(engine, &request, NULL, &error), PF_E_ARGUMENT);
    assert_non_null(strstr(error.message, "negative_prompt has no effect"));
    request.accepted = true;
    assert_int_equal(pf_request_check(engine, &request, NULL, &error), PF_OK);
    pf_state_free(&s.state);
    pf_engine_close(engine);
}

/* Defaults and limits may have changed since. */
static void test_what_was_accepted_is_not_judged_again(void **state)
{
    (void)state;
    kept k = {0};
    pf_error error = {0};
    pf_engine *engine;
    pf_engine_options options = {.model_path = job_test_model, .threads = 2,
                                 .memory_limit = 1 << 10};
    assert_int_equal(pf_engine_open(&options, &engine, &error), PF_OK);
    pf_request request = small_request(engine);
    assert_int_equal(pf_request_check(engine, &request, NULL, &error), PF_E_TOO_LARGE);
    request.accepted = true;
    request.num_inference_steps = 1;
    request.guidance_scale = 1;
    request.guidance_scale_2 = 5;       /* the second expert has no step */
    request.guidance_rescale = 0.5;
    request.negative_prompt = "blur";
    run_ok(engine, &request, &k);
    assert_int_equal(k.frame_count, 9);
    kept_free(&k);
    request.accepted = false;
    assert_int_equal(pf_request_check(engine, &request, NULL, &error), PF_E_ARGUMENT);
    request.accepted = true;
    request.width = 50;                 /* of this there is no film */
    assert_int_equal(pf_request_check(engine, &request, NULL, &error), PF_E_ARGUMENT);
    pf_engine_close(engine);
}

static void test_cancel_stops_and_the_engine_goes_on(void **state)
{
    (void)state;
    pf_error error = {0};
    kept k = {.cancel_after = 2};
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    pf_request request = small_request(engine);
    assert_int_equal(run_request(engine, &request, &k, &error), PF_E_CANCELLED);
    assert_int_equal(k.states, 2);
    assert_null(k.frames);
    kept_free(&k);
    run_ok(engine, &request, &k);
    assert_int_equal(k.frame_count, 9);
    kept_free(&k);
    pf_engine_close(engine);
}

static void test_a_failing_sink_ends_the_job(void **state)
{
    (void)state;
    pf_error error = {0};
    kept k = {.fail_with = PF_E_NO_SPACE};
    pf_engine *engine = open_with(1, PF_PRECISION_FAST);
    pf_request request = small_request(engine);
    assert_int_equal(run_request(engine, &request, &k, &error), PF_E_NO_SPACE);
    kept_free(&k);
    pf_engine_close(engine);
}

/* --- memory --------------------------------------------------------------------- */

typedef struct allocation_watch {
    int64_t counts[16];
    int seen;
} allocation_watch;

static pf_status count_allocations(void *user, const pf_state *state,
                                   pf_error *error)
{
    allocation_watch *w = user;
    (void)state, (void)error;
    w->counts[w->seen++] = pf_allocation_count();
    return PF_OK;
}

static void test_steps_allocate_nothing(void **state)
{
    (void)state;
    allocation_watch watch = {{0}, 0};
    pf_job *job;
    pf_error error = {0};
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    pf_request request = small_request(engine);
    request.num_inference_steps = 10;
    pf_sinks sinks = {.user = &watch, .state = count_allocations};
    assert_int_equal(pf_job_create(engine, &request, &sinks, &job, &error), PF_OK);
    int switch_step = job->plan.switch_step;
    assert_int_equal(pf_job_run(job, &error), PF_OK);
    pf_job_destroy(job);
    for (int i = 2; i < 10; i++)
        if (i != switch_step)
            assert_int_equal(watch.counts[i], watch.counts[i - 1]);
    pf_engine_close(engine);
}

/* A dry run counts what the real run does. */
static void test_dry_run_counts_the_real_work(void **state)
{
    (void)state;
    pf_job *job;
    kept k = {0};
    pf_error error = {0};
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    pf_request request = small_request(engine);
    pf_sinks sinks = kept_sinks(&k);
    k.frame_bytes = 3 * (int64_t)request.height * request.width;
    assert_int_equal(pf_job_create(engine, &request, &sinks, &job, &error), PF_OK);
    assert_int_equal(pf_job_run(job, &error), PF_OK);
    const pf_profile_row *rows;
    int count = pf_job_profile(job, &rows), stage = 0;
    for (int i = 0; i < count; i++) {
        if (rows[i].step >= 0)
            continue;
        while (!job->plan.stage[stage].wanted)
            stage++;
        assert_string_equal(rows[i].stage, pf_stage_get((pf_stage_number)stage)->name);
        assert_int_equal(rows[i].arena_bytes, job->stage_arena[stage]);
        assert_true(fabs(rows[i].flops - job->stage_flops[stage]) <=
                    1e-6 * rows[i].flops);
        stage++;
    }
    assert_true(stage == PF_STAGES);
    pf_job_destroy(job);
    kept_free(&k);
    pf_engine_close(engine);
}

static void test_prediction_and_limits(void **state)
{
    (void)state;
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    pf_request request = small_request(engine);
    pf_prediction p = PF_INIT(pf_prediction);
    pf_error error = {0};
    assert_int_equal(pf_request_check(engine, &request, &p, &error), PF_OK);
    assert_int_equal(p.video_shape[1], 3);
    assert_int_equal(p.video_shape[2], 4);
    assert_int_equal(p.audio_samples, 18000);
    assert_int_equal(p.audio_shape[1], 19);
    assert_true(p.peak_bytes > 1 << 20 && p.seconds > 0 && p.flops > 0);
    request.num_frames = 97;
    pf_prediction longer = PF_INIT(pf_prediction);
    assert_int_equal(pf_request_check(engine, &request, &longer, &error), PF_OK);
    assert_true(longer.flops > 5 * p.flops);
    pf_engine_close(engine);
}

/* Components that stay loaded, and pages of their files, are part of what the next film
 * needs: they are not counted again.  They have 3.6 MiB; what an allocator keeps for itself
 * (a sanitizer's above all) has less than one. */
static void test_the_next_film_needs_no_more(void **state)
{
    (void)state;
    const int64_t heap = 1 << 20;
    pf_engine *engine;
    pf_prediction first = PF_INIT(pf_prediction), next = PF_INIT(pf_prediction);
    pf_error error = {0};
    pf_engine_options options = {.model_path = job_test_model, .threads = 2,
                                 .keep_resident = true};
    assert_int_equal(pf_engine_open(&options, &engine, &error), PF_OK);
    pf_request request = small_request(engine);
    assert_int_equal(pf_request_check(engine, &request, &first, &error), PF_OK);
    for (int films = 0; films < 2; films++) {
        kept k = {0};
        assert_int_equal(run_request(engine, &request, &k, &error), PF_OK);
        kept_free(&k);
        assert_int_equal(pf_request_check(engine, &request, &next, &error), PF_OK);
        assert_in_range(next.peak_bytes, first.peak_bytes - heap, first.peak_bytes + heap);
    }
    pf_engine_close(engine);
}

static void test_the_machine_is_told(void **state)
{
    (void)state;
    pf_machine_info machine = PF_INIT(pf_machine_info);
    pf_machine_get(&machine);
    bool memory = false, processors = false;
    assert_in_range(machine.threads, 1, 256);
    assert_true(machine.memory_bytes > 0 && machine.processors > 0.0);
    for (int i = 0; i < machine.limit_count; i++) {
        const pf_machine_limit *l = &machine.limits[i];
        assert_true(l->source[0] && l->amount >= 0 && l->whole >= l->amount);
        memory = memory || (l->memory && l->binds);
        processors = processors || (!l->memory && l->binds);
    }
    assert_true(memory && processors);
}

/* Values that a request leaves to the model, and those that it says itself. */
static void test_a_prediction_tells_what_is_used(void **state)
{
    (void)state;
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    pf_request request = small_request(engine);
    pf_prediction p = PF_INIT(pf_prediction);
    pf_error error = {0};
    request.negative_prompt = NULL;
    request.guidance_scale = 1;
    assert_int_equal(pf_request_check(engine, &request, &p, &error), PF_OK);
    assert_null(p.negative_prompt);
    assert_true(p.visual_shift > 0 && p.audio_shift == p.visual_shift);
    request.guidance_scale = 3;
    request.visual_shift = 2;
    request.audio_shift = 4;
    assert_int_equal(pf_request_check(engine, &request, &p, &error), PF_OK);
    assert_non_null(p.negative_prompt);
    assert_true(p.visual_shift == 2 && p.audio_shift == 4);
    request.negative_prompt = "blur";
    assert_int_equal(pf_request_check(engine, &request, &p, &error), PF_OK);
    assert_ptr_equal(p.negative_prompt, request.negative_prompt);
    pf_engine_close(engine);
}

static void test_a_job_runs_once(void **state)
{
    (void)state;
    pf_job *job;
    pf_error error = {0};
    pf_state latents = PF_INIT(pf_state);
    pf_engine *engine = open_with(1, PF_PRECISION_FAST);
    pf_request request = small_request(engine);
    assert_int_equal(pf_job_create(engine, &request, NULL, &job, &error), PF_OK);
    assert_false(pf_job_state(job, &latents));
    assert_int_equal(pf_job_run(job, &error), PF_OK);
    assert_true(pf_job_state(job, &latents));
    assert_int_equal(latents.step, 4);
    assert_int_equal(pf_job_run(job, &error), PF_E_ARGUMENT);
    pf_job_destroy(job);
    pf_job_destroy(NULL);
    pf_engine_close(engine);
    pf_engine_close(NULL);
}

/* --- several threads --------------------------------------------------------------- */

typedef struct racer {
    pf_engine *engine;
    kept film;
    pf_status status;
} racer;

static void *race(void *argument)
{
    racer *r = argument;
    pf_error error = {0};
    pf_request request = small_request(r->engine);
    r->status = run_request(r->engine, &request, &r->film, &error);
    return NULL;
}

static void test_jobs_of_several_threads_take_turns(void **state)
{
    (void)state;
    pthread_t threads[3];
    racer racers[3] = {{0}};
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    for (int i = 0; i < 3; i++) {
        racers[i].engine = engine;
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(racers[i].status, PF_OK);
        assert_same_film(&racers[0].film, &racers[i].film);
    }
    for (int i = 0; i < 3; i++)
        kept_free(&racers[i].film);
    pf_engine_close(engine);
}

/* --- previews ------------------------------------------------------------------- */

typedef struct seen {
    uint8_t *first, *last;              /* previews after the first and last step */
    size_t bytes;
    int count, steps;
} seen;

static void see_preview(void *user, const pf_preview *preview)
{
    seen *s = user;
    s->bytes = (size_t)(3 * preview->frames * preview->height * preview->width);
    uint8_t **slot = s->count++ == 0 ? &s->first : &s->last;
    free(*slot);
    *slot = malloc(s->bytes);
    memcpy(*slot, preview->rgb, s->bytes);
    assert_int_equal(preview->step, s->count);
    s->steps = preview->steps;
}

static seen preview_film(pf_engine *engine, int steps, kept *k)
{
    seen s = {0};
    pf_error error = {0};
    pf_job *job;
    pf_request request = small_request(engine);
    request.num_inference_steps = steps;
    pf_sinks sinks = {.user = &s, .preview = see_preview};
    assert_int_equal(pf_job_create(engine, &request, &sinks, &job, &error), PF_OK);
    if (pf_job_run(job, &error) != PF_OK)
        fail_msg("%s", error.message);
    pf_state end = PF_INIT(pf_state);
    assert_true(pf_job_state(job, &end));
    assert_int_equal(keep_state(k, &end, &error), PF_OK);
    pf_job_destroy(job);
    return s;
}

/* The look ahead after the first of four steps is the end of a film of one step. */
static void test_previews_look_ahead(void **state)
{
    (void)state;
    kept a = {0}, b = {0};
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    seen one = preview_film(engine, 1, &a), four = preview_film(engine, 4, &b);
    assert_int_equal(one.count, 1);
    assert_int_equal(four.count, 4);
    assert_int_equal(four.steps, 4);
    assert_int_equal(one.bytes, four.bytes);
    for (size_t i = 0; i < one.bytes; i++)
        assert_true(abs(one.first[i] - four.first[i]) <= 1);
    assert_true(memcmp(four.first, four.last, four.bytes) != 0);
    free(one.first);
    free(four.first);
    free(four.last);
    kept_free(&a);
    kept_free(&b);
    pf_engine_close(engine);
}

/* After the last step it is the map of the latents themselves. */
static void test_the_last_preview_is_the_map_of_the_latents(void **state)
{
    (void)state;
    kept k = {0};
    pf_engine *engine = open_with(2, PF_PRECISION_FAST);
    seen s = preview_film(engine, 2, &k);
    const pf_preview_map *map = &engine->preview;
    int channels = engine->info.latent_channels;
    int64_t plane = k.latent_count / channels;
    assert_int_equal(s.bytes, (size_t)(3 * plane));
    for (int64_t i = 0; i < plane; i++)
        for (int c = 0; c < 3; c++) {
            double value = (double)map->bias[c];
            for (int z = 0; z < channels; z++)
                value += (double)k.latents[z * plane + i] * (double)map->factors[z][c];
            double byte = fmin(fmax((value * 0.5 + 0.5) * 255.0, 0.0), 255.0);
            assert_true(fabs(byte - s.last[3 * i + c]) <= 1.0);
        }
    free(s.first);
    free(s.last);
    kept_free(&k);
    pf_engine_close(engine);
}

/* --- predictions beside a running job --------------------------------------------- */

typedef struct beside {
    pf_engine *engine;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool running, checked;
} beside;

static pf_status wait_for_check(void *user, const pf_state *state, pf_error *error)
{
    beside *b = user;
    struct timespec end;
    (void)state;
    (void)error;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 60;
    pthread_mutex_lock(&b->lock);
    b->running = true;
    pthread_cond_broadcast(&b->changed);
    while (!b->checked && pthread_cond_timedwait(&b->changed, &b->lock, &end) == 0)
        continue;
    pf_status status = b->checked ? PF_OK : PF_E_INTERNAL;
    pthread_mutex_unlock(&b->lock);
    return status;
}

static void *run_waiting(void *argument)
{
    beside *b = argument;
    pf_job *job;
    pf_request request = small_request(b->engine);
    pf_sinks sinks = {.user = b, .state = wait_for_check};
    pf_status status = pf_job_create(b->engine, &request, &sinks, &job, NULL);
    if (status == PF_OK)
        status = pf_job_run(job, NULL);
    pf_job_destroy(job);
    return status == PF_OK ? b : NULL;
}

static void test_a_check_does_not_wait_for_a_job(void **state)
{
    (void)state;
    pthread_t thread;
    void *result;
    beside b = {.engine = open_with(2, PF_PRECISION_FAST)};
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.changed, NULL);
    assert_int_equal(pthread_create(&thread, NULL, run_waiting, &b), 0);
    pthread_mutex_lock(&b.lock);
    while (!b.running)
        pthread_cond_wait(&b.changed, &b.lock);
    pthread_mutex_unlock(&b.lock);
    pf_request request = small_request(b.engine);
    pf_prediction before = PF_INIT(pf_prediction), after = PF_INIT(pf_prediction);
    assert_int_equal(pf_request_check(b.engine, &request, &before, NULL), PF_OK);
    /* Memory that the process holds only while the job runs is not counted. */
    size_t bytes = 64 << 20;
    char *ballast = malloc(bytes);
    memset(ballast, 1, bytes);
    assert_int_equal(pf_request_check(b.engine, &request, &after, NULL), PF_OK);
    assert_int_equal(before.peak_bytes, after.peak_bytes);
    free(ballast);
    pthread_mutex_lock(&b.lock);
    b.checked = true;
    pthread_cond_broadcast(&b.changed);
    pthread_mutex_unlock(&b.lock);
    pthread_join(thread, &result);
    assert_non_null(result);
    pf_engine_close(b.engine);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_film_comes_out),
        cmocka_unit_test(test_threads_change_no_bit),
        cmocka_unit_test(test_fast_is_close_to_f32),
        cmocka_unit_test(test_every_guidance_steps),
        cmocka_unit_test(test_resuming_gives_the_same_film),
        cmocka_unit_test(test_resuming_judges_the_whole_film),
        cmocka_unit_test(test_resuming_excuses_nothing),
        cmocka_unit_test(test_what_was_accepted_is_not_judged_again),
        cmocka_unit_test(test_cancel_stops_and_the_engine_goes_on),
        cmocka_unit_test(test_a_failing_sink_ends_the_job),
        cmocka_unit_test(test_steps_allocate_nothing),
        cmocka_unit_test(test_dry_run_counts_the_real_work),
        cmocka_unit_test(test_prediction_and_limits),
        cmocka_unit_test(test_the_next_film_needs_no_more),
        cmocka_unit_test(test_the_machine_is_told),
        cmocka_unit_test(test_a_prediction_tells_what_is_used),
        cmocka_unit_test(test_a_job_runs_once),
        cmocka_unit_test(test_previews_look_ahead),
        cmocka_unit_test(test_the_last_preview_is_the_map_of_the_latents),
        cmocka_unit_test(test_a_check_does_not_wait_for_a_job),
        cmocka_unit_test(test_jobs_of_several_threads_take_turns),
    };
    if (argc != 2)
        return 2;
    job_test_model = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
