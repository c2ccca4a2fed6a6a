/* SPDX-License-Identifier: Apache-2.0 */
/* The table of components: what each computes with, and that a model's folders become
 * bound components whose parameters come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "pipeline/engine.h"

static const char *model_folder;        /* the program's first argument */

/* docs/model/numerics.md: the roundings of the reference are those of the transformers; the
 * sound's snakes are never computed in bf16. */
static const struct {
    pf_component component;
    const char *folder;
    bool fast_bf16, ref_rounds;
} expected[PF_COMPONENTS] = {
    {PF_TEXT_ENCODER, "text_encoder", true, true},
    {PF_VIDEO_VAE, "video_vae", true, false},
    {PF_AUDIO_VAE, "audio_vae", false, false},
    {PF_VIDEO_DIT, "video_dit", true, true},
    {PF_VIDEO_DIT_2, "video_dit_2", true, true},
    {PF_AUDIO_DIT, "audio_dit", true, true},
    {PF_DUAL_TOWER_BRIDGE, "dual_tower_bridge", true, true},
};

static void test_numerics_follow_the_precision(void **state)
{
    (void)state;
    for (int i = 0; i < PF_COMPONENTS; i++) {
        pf_engine engine = {.precision = PF_PRECISION_FAST};
        pf_numerics fast = pf_engine_numerics(&engine, expected[i].component);
        engine.precision = PF_PRECISION_F32;
        pf_numerics f32 = pf_engine_numerics(&engine, expected[i].component);
        engine.precision = PF_PRECISION_REF;
        pf_numerics ref = pf_engine_numerics(&engine, expected[i].component);
        assert_int_equal(fast.multiply, expected[i].fast_bf16 ? PF_MULTIPLY_BF16
                                                              : PF_MULTIPLY_F32);
        assert_false(fast.round_bf16);
        assert_int_equal(f32.multiply, PF_MULTIPLY_F32);
        assert_false(f32.round_bf16);
        assert_int_equal(ref.multiply, PF_MULTIPLY_F32);
        assert_int_equal(ref.round_bf16, expected[i].ref_rounds);
    }
}

static pf_engine *open_engine(const char *folder, pf_error *error)
{
    const pf_engine_options options = {.model_path = folder, .platform = "reference",
                                       .threads = 1};
    pf_engine *engine = NULL;
    (void)pf_engine_open(&options, &engine, error);
    return engine;
}

static void test_folders_become_components(void **state)
{
    pf_error error = {0};
    pf_engine *engine = open_engine(model_folder, &error);
    (void)state;
    if (!engine)
        fail_msg("%s", error.message);
    for (int i = 0; i < PF_COMPONENTS; i++) {
        const pf_component_info *info = &engine->component_info[i];
        assert_string_equal(info->name, expected[i].folder);
        assert_true(info->tensors > 0 && info->parameters > 0 && info->bytes > 0);
        assert_false(pf_params_loaded(engine->params[i]));
    }
    pf_engine_close(engine);
}

/* Each set is there alone, and with others that it does not name gone. */
static void test_components_come_and_go(void **state)
{
    pf_engine *engine = open_engine(model_folder, NULL);
    (void)state;
    assert_non_null(engine);
    for (int i = 0; i < PF_COMPONENTS; i++) {
        assert_int_equal(pf_residency_use(engine, 1u << i, NULL), PF_OK);
        for (int c = 0; c < PF_COMPONENTS; c++)
            assert_int_equal(pf_params_loaded(engine->params[c]), c == i);
    }
    pf_residency_evict(engine, 0);
    for (int c = 0; c < PF_COMPONENTS; c++)
        assert_false(pf_params_loaded(engine->params[c]));
    pf_engine_close(engine);
}

/* A set needs the memory of its components. */
static void test_memory_of_a_set_is_a_sum(void **state)
{
    pf_engine *engine = open_engine(model_folder, NULL);
    pf_memory sum = {0};
    (void)state;
    assert_non_null(engine);
    for (int i = 0; i < PF_COMPONENTS; i++) {
        pf_memory one = pf_residency_bytes(engine, 1u << i, 7);
        assert_true(one.host + one.device > 0);
        sum.host += one.host;
        sum.device += one.device;
    }
    pf_memory all = pf_residency_bytes(engine, (1u << PF_COMPONENTS) - 1, 7);
    assert_int_equal(all.host, sum.host);
    assert_int_equal(all.device, sum.device);
    pf_engine_close(engine);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numerics_follow_the_precision),
        cmocka_unit_test(test_folders_become_components),
        cmocka_unit_test(test_components_come_and_go),
        cmocka_unit_test(test_memory_of_a_set_is_a_sum),
    };
    if (argc != 2)
        return 2;
    model_folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
