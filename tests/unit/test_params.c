/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a component: groups, what is measured and loaded, and messages that
 * name what they are about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/params.h"

enum { BLOCKS = 3, WIDTH = 4 };

/* A component of blocks, a weight [4, 4] and a bias [4] each, with an embedding in front
 * and a convolution behind them. */
typedef struct model {
    pf_platform *platform;
    pf_params *params;
    pf_tensor table;
    pf_layer block[BLOCKS], last;
} model;

static float values[256];

static pf_weights *open_weights(void)
{
    enum { COUNT = 2 * BLOCKS + 3 };
    char names[COUNT][32], path[] = "/tmp/pf-params-XXXXXX";
    pf_named_tensor list[COUNT];
    pf_weights *weights = NULL;
    int n = 0, file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    for (int i = 0; i < 256; i++)
        values[i] = 1.0f + (float)i / 512.0f;       /* not all of them are bf16 */
    for (int i = 0; i < BLOCKS; i++) {
        snprintf(names[n], sizeof names[n], "blocks.%d.fc.weight", i);
        list[n++].tensor = pf_matrix(values, PF_F32, WIDTH, WIDTH);
        snprintf(names[n], sizeof names[n], "blocks.%d.fc.bias", i);
        list[n++].tensor = pf_vector(values, PF_F32, WIDTH);
    }
    snprintf(names[n], sizeof names[n], "table");
    list[n++].tensor = pf_matrix(values, PF_F32, 8, WIDTH);
    snprintf(names[n], sizeof names[n], "last.weight");
    list[n++].tensor = pf_tensor_make(values, PF_F32, 3, (int64_t[]){WIDTH, WIDTH, 3});
    snprintf(names[n], sizeof names[n], "last.bias");
    list[n++].tensor = pf_vector(values, PF_F32, WIDTH);
    for (int i = 0; i < COUNT; i++)
        list[i].name = names[i];
    assert_int_equal(pf_safetensors_write(path, list, COUNT, NULL, NULL), PF_OK);
    assert_int_equal(pf_weights_open_file(path, "", &weights, NULL), PF_OK);
    unlink(path);
    return weights;
}

static void bind(model *m)
{
    pf_layer_spec conv = {.kind = PF_WEIGHT_CONV, .rank = 3, .shape = {WIDTH, WIDTH, 3},
                          .bias = PF_BIAS, .bias_count = WIDTH};
    assert_int_equal(pf_params_table(m->params, &m->table, 8, WIDTH, NULL, "table"), PF_OK);
    for (int i = 0; i < BLOCKS; i++) {
        pf_params_group(m->params, i);
        assert_int_equal(pf_params_linear(m->params, &m->block[i], WIDTH, WIDTH, PF_BIAS,
                                          NULL, "blocks.%d.fc", i), PF_OK);
    }
    pf_params_group(m->params, PF_GROUP_ALWAYS);
    assert_int_equal(pf_params_layer(m->params, &m->last, &conv, NULL, "last"), PF_OK);
}

static void open_model(model *m, const char *platform, pf_numerics numerics)
{
    const pf_platform_options options = {.name = platform, .threads = 1};
    *m = (model){0};
    assert_int_equal(pf_platform_open(&options, &m->platform, NULL), PF_OK);
    assert_int_equal(pf_params_open(open_weights(), numerics, &m->params, NULL), PF_OK);
    bind(m);
}

static void close_model(model *m)
{
    pf_params_close(m->params);
    pf_platform_close(m->platform);
}

/* Dry runs ask weights for what they will be multiplied in before anything is loaded. */
static void test_weights_know_their_format_at_once(void **state)
{
    model m;
    (void)state;
    open_model(&m, "cpu", (pf_numerics){PF_MULTIPLY_BF16, false});
    assert_int_equal(m.block[1].weight.multiply, PF_MULTIPLY_BF16);
    assert_int_equal(m.block[1].weight.source.kind, PF_WEIGHT_LINEAR);
    assert_int_equal(m.last.weight.source.kind, PF_WEIGHT_CONV);
    assert_int_equal(pf_params_load(m.params, m.platform, NULL), PF_OK);
    pf_params_unload(m.params);
    assert_int_equal(m.block[1].weight.multiply, PF_MULTIPLY_BF16);
    assert_null(m.last.weight.prepared);
    close_model(&m);
}

/* The sum of the groups is the component, and no weight counts twice. */
static void test_groups_are_measured(void **state)
{
    model m;
    (void)state;
    open_model(&m, "cpu", (pf_numerics){PF_MULTIPLY_F32, false});
    pf_params_size all = pf_params_measure(m.params, m.platform);
    pf_params_size always = pf_params_measure_group(m.params, m.platform, PF_GROUP_ALWAYS);
    const int64_t block = WIDTH * WIDTH * (int64_t)sizeof(float);
    for (int i = 0; i < BLOCKS; i++) {
        pf_params_size size = pf_params_measure_group(m.params, m.platform, i);
        assert_int_equal(size.mapped_bytes, block);
        assert_int_equal(size.device_bytes, 0);
    }
    assert_int_equal(all.mapped_bytes, BLOCKS * block);
    assert_int_equal(always.mapped_bytes, 0);
    assert_int_equal(always.table_bytes, 8 * WIDTH * (int64_t)sizeof(float));
    assert_int_equal(all.device_bytes, always.device_bytes);
    int64_t conv = m.platform->table.weight_bytes(m.platform, &m.last.weight.source,
                                                  PF_MULTIPLY_F32);
    assert_true(always.device_bytes > conv);
    close_model(&m);
}

static void test_rounded_copies_are_measured(void **state)
{
    model m;
    (void)state;
    open_model(&m, "reference", (pf_numerics){PF_MULTIPLY_F32, true});
    pf_params_size size = pf_params_measure_group(m.params, m.platform, 0);
    assert_int_equal(size.mapped_bytes, 0);
    assert_int_equal(size.rounded_bytes, WIDTH * WIDTH * 2);
    assert_int_equal(pf_params_load(m.params, m.platform, NULL), PF_OK);
    const pf_tensor *rounded = &m.block[0].weight.source.values;
    assert_int_equal(rounded->dtype, PF_BF16);
    for (int i = 0; i < WIDTH * WIDTH; i++)
        assert_int_equal(((const uint16_t *)rounded->data)[i], pf_f32_to_bf16(values[i]));
    const float *bias = m.block[0].bias.data;
    for (int i = 0; i < WIDTH; i++)
        assert_true(bias[i] == pf_round_bf16(values[i]));
    close_model(&m);
}

static int64_t six_bytes(pf_platform *platform, const pf_weight_source *source,
                         pf_multiply multiply)
{
    (void)platform, (void)source, (void)multiply;
    return 6;
}

static int64_t room_of_linear(pf_platform *platform, const pf_weight_source *source,
                              pf_multiply multiply)
{
    (void)platform, (void)multiply;
    return source->kind == PF_WEIGHT_LINEAR ? 100 : 0;
}

/* The last linear layer is loaded when all else is there, so its room comes on top. */
static void test_room_for_loading_is_measured(void **state)
{
    model m;
    (void)state;
    open_model(&m, "cpu", (pf_numerics){PF_MULTIPLY_F32, false});
    pf_params_size plain = pf_params_measure(m.params, m.platform);
    assert_int_equal(plain.loading_bytes, plain.device_bytes);
    m.platform->table.weight_bytes = six_bytes;
    m.platform->table.weight_room = room_of_linear;
    pf_params_size all = pf_params_measure(m.params, m.platform);
    assert_int_equal(all.loading_bytes, all.device_bytes + 100);
    assert_int_equal(pf_params_measure_group(m.params, m.platform, 1).loading_bytes, 106);
    close_model(&m);
}

/* --- entering ---------------------------------------------------------------------- */

/* Does entering a group abort?  In a process of its own, without its message. */
static bool aborts(const model *m, const pf_ops *ops, int group)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        (void)pf_params_enter(m->params, ops, group);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_groups_are_there_when_blocks_run(void **state)
{
    model m;
    pf_ops ops, dry;
    (void)state;
    open_model(&m, "reference", (pf_numerics){0});
    pf_ops_init(&ops, m.platform, (pf_numerics){0}, false, NULL);
    pf_ops_init(&dry, m.platform, (pf_numerics){0}, true, NULL);
    for (int g = PF_GROUP_ALWAYS; g < BLOCKS; g++) {
        assert_int_equal(pf_params_enter(m.params, &dry, g), PF_OK);
        assert_true(aborts(&m, &ops, g));
    }
    assert_true(aborts(&m, &dry, BLOCKS));
    assert_int_equal(pf_params_load(m.params, m.platform, NULL), PF_OK);
    assert_int_equal(pf_params_load(m.params, m.platform, NULL), PF_OK);
    for (int g = PF_GROUP_ALWAYS; g < BLOCKS; g++)
        assert_int_equal(pf_params_enter(m.params, &ops, g), PF_OK);
    assert_true(aborts(&m, &ops, BLOCKS));
    pf_params_unload(m.params);
    assert_true(aborts(&m, &ops, 0));
    close_model(&m);
}

/* A platform that does not multiply a weight says which one it is, and nothing stays. */
static void test_a_refused_weight_is_named(void **state)
{
    model m;
    pf_layer odd = {0};
    pf_error error = {0};
    pf_tensor bytes = pf_matrix(values, PF_I8, WIDTH, WIDTH);
    (void)state;
    open_model(&m, "cpu", (pf_numerics){PF_MULTIPLY_F32, false});
    pf_params_group(m.params, 1);
    assert_int_equal(pf_params_layer_from(m.params, &odd, PF_WEIGHT_LINEAR, &bytes,
                                          "blocks.1.odd", NULL), PF_OK);
    assert_int_equal(pf_params_load(m.params, m.platform, &error), PF_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "blocks.1.odd"));
    assert_non_null(strstr(error.message, "I8"));
    assert_false(pf_params_loaded(m.params));
    assert_null(m.last.weight.prepared);
    close_model(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_know_their_format_at_once),
        cmocka_unit_test(test_groups_are_measured),
        cmocka_unit_test(test_room_for_loading_is_measured),
        cmocka_unit_test(test_rounded_copies_are_measured),
        cmocka_unit_test(test_groups_are_there_when_blocks_run),
        cmocka_unit_test(test_a_refused_weight_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
