/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: what each step and each stage does is known before a film begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "job_test.h"
#include "pipeline/request.h"

const char *job_test_model;

static pf_engine *engine;

static void make_plan(const pf_request *request, pf_plan *plan)
{
    pf_error error = {0};
    if (pf_request_plan(engine, request, plan, &error) != PF_OK)
        fail_msg("%s", error.message);
}

/* Both experts take part in four steps of the tiny model. */
static void test_steps_of_a_plan(void **state)
{
    static pf_plan plan;
    pf_request request = small_request(engine);
    (void)state;
    request.guidance_scale = 3.0;
    request.guidance_scale_2 = 1.0;
    make_plan(&request, &plan);
    assert_int_equal(plan.steps, 4);
    assert_in_range(plan.switch_step, 1, 3);
    for (int i = 0; i < plan.steps; i++) {
        const pf_step_plan *s = &plan.step[i];
        bool low = i >= plan.switch_step;
        assert_int_equal(s->expert, low);
        assert_true(s->scale == (low ? 1.0 : 3.0));
        assert_int_equal(s->velocities, low ? 1 : 2);
        assert_true(s->delta[0] < 0.0f && s->delta[1] < 0.0f);
        if (i > 0)
            assert_true(s->timestep[0] < plan.step[i - 1].timestep[0]);
    }
    assert_true(plan.step[plan.steps - 1].sigma_after == 0.0);
    assert_true(pf_plan_uses_negative(&plan, 0));
    assert_false(pf_plan_uses_negative(&plan, plan.switch_step));
}

static void test_dual_guidance_needs_three_velocities(void **state)
{
    static pf_plan plan;
    pf_request request = small_request(engine);
    (void)state;
    request.guidance_scale = 1.0;
    request.bridge_guidance_scale = 2.0;
    make_plan(&request, &plan);
    for (int i = 0; i < plan.steps; i++)
        assert_int_equal(plan.step[i].velocities, 3);
    request.bridge_guidance_scale = 1.0;
    make_plan(&request, &plan);
    for (int i = 0; i < plan.steps; i++)
        assert_int_equal(plan.step[i].velocities, 1);
    assert_int_equal(plan.tokens[NEGATIVE], 0);
}

static void assert_steps(const pf_plan *plan, pf_stage_number number, int begin, int end)
{
    const pf_stage_plan *s = &plan->stage[number];
    assert_int_equal(s->wanted, begin < end);
    assert_int_equal(s->end - s->begin, end > begin ? end - begin : 0);
    if (s->wanted)
        assert_int_equal(s->begin, begin);
}

/* From every step on: the stages that remain cover the steps that remain, once. */
static void test_stages_of_a_resumed_film(void **state)
{
    static pf_plan whole, plan;
    pf_request request = small_request(engine);
    (void)state;
    make_plan(&request, &whole);
    for (int first = 0; first <= whole.steps; first++) {
        pf_state resume = {
            .size = sizeof resume, .step = first, .steps = whole.steps, .fps = request.fps,
            .video_shape = {whole.latent_channels, whole.latent_frames,
                            whole.latent_height, whole.latent_width},
            .audio_shape = {whole.audio_channels, whole.audio_length}};
        float *video = calloc((size_t)pf_plan_video_count(&whole), sizeof *video);
        float *audio = calloc((size_t)pf_plan_audio_count(&whole), sizeof *audio);
        pf_request rest = request;
        resume.video = video;
        resume.audio = audio;
        rest.resume = &resume;
        if (first == whole.steps) {
            rest.prompt = NULL;
            rest.text_only = false;
        }
        make_plan(&rest, &plan);
        int low = first > whole.switch_step ? first : whole.switch_step;
        assert_int_equal(plan.stage[PF_STAGE_TEXT].wanted, first < whole.steps);
        assert_true(plan.stage[PF_STAGE_LATENTS].wanted);
        assert_steps(&plan, PF_STAGE_DENOISE_HIGH, first, whole.switch_step);
        assert_steps(&plan, PF_STAGE_DENOISE_LOW, low, whole.steps);
        free(video);
        free(audio);
    }
}

static void test_outputs_choose_the_decoders(void **state)
{
    static pf_plan plan;
    pf_request request = small_request(engine);
    (void)state;
    request.no_audio_output = true;
    make_plan(&request, &plan);
    assert_false(plan.stage[PF_STAGE_DECODE_AUDIO].wanted);
    assert_true(plan.stage[PF_STAGE_DECODE_VIDEO].wanted);
    request.no_audio_output = false;
    request.no_video_output = true;
    make_plan(&request, &plan);
    assert_true(plan.stage[PF_STAGE_DECODE_AUDIO].wanted);
    assert_false(plan.stage[PF_STAGE_DECODE_VIDEO].wanted);
}

/* Sides end where the rotary positions of the tower do. */
static void test_positions_are_the_towers(void **state)
{
    static pf_plan plan;
    pf_error error = {0};
    pf_request request = small_request(engine);
    int positions = pf_tower_get_info(engine->expert[0])->positions;
    (void)state;
    request.width = positions * engine->info.size_multiple;
    assert_int_equal(pf_request_plan(engine, &request, &plan, &error), PF_OK);
    request.width += engine->info.size_multiple;
    assert_int_equal(pf_request_plan(engine, &request, &plan, &error), PF_E_ARGUMENT);
    assert_string_equal(error.field, "width");
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
        cmocka_unit_test(test_steps_of_a_plan),
        cmocka_unit_test(test_dual_guidance_needs_three_velocities),
        cmocka_unit_test(test_stages_of_a_resumed_film),
        cmocka_unit_test(test_outputs_choose_the_decoders),
        cmocka_unit_test(test_positions_are_the_towers),
    };
    if (argc < 2)
        return 1;
    job_test_model = argv[1];
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
