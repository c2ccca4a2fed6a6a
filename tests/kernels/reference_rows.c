/* SPDX-License-Identifier: Apache-2.0 */
/* The reference's linear, attention, norm, rope, embedding and lerp_rows against
 * values worked out by hand.
 */
#include "reference_test.h"

static pf_weight linear_weight(const void *data, pf_dtype dtype, int64_t out,
                               int64_t in)
{
    const pf_weight_source source = {
        .kind = PF_WEIGHT_LINEAR,
        .values = pf_matrix((void *)(uintptr_t)data, dtype, out, in)};
    pf_weight weight;
    assert_int_equal(platform->table.weight_fill(platform, &source, PF_MULTIPLY_F32, NULL,
                                                 &weight, NULL), PF_OK);
    return weight;
}

static pf_tensor rows(const float *data, int64_t m, int64_t n)
{
    return pf_matrix((void *)(uintptr_t)data, PF_F32, m, n);
}

static pf_tensor vector(const float *data, int64_t n)
{
    return pf_vector((void *)(uintptr_t)data, PF_F32, n);
}

/* --- linear --------------------------------------------------------------------- */

static void linear_multiplies_rows(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3, 4}, w[] = {1, 1, 0.5f, -1, 2, 0};
    const float bias[] = {10, 20, 30};
    float y[6];
    pf_weight weight = linear_weight(w, PF_F32, 3, 2);
    RUN(linear, .numerics = plain, .x = rows(x, 2, 2), .weight = &weight,
        .bias = vector(bias, 3), .y = rows(y, 2, 3));
    EXPECT_EXACT(y, 13, 18.5, 32, 17, 17.5, 36);
}

/* A unit matrix of every dtype, at an odd address, gives x back: also for widths
 * beyond one piece. */
static void linear_by_one_is_nothing(void **state)
{
    (void)state;
    enum { N = 1030 };
    static float x[N], y[N];
    static char memory[N * N * 4 + 1];
    const uint32_t one[] = {0x3f800000u, 0x3f80u, 0x3c00u};
    for (int i = 0; i < N; i++)
        x[i] = (float)i - 511.3f;
    for (int dtype = PF_F32; dtype <= PF_F16; dtype++) {
        size_t size = (size_t)pf_dtype_bytes((pf_dtype)dtype, 1);
        memset(memory, 0, sizeof memory);
        for (size_t i = 0; i < N; i++)
            memcpy(memory + 1 + i * (N + 1) * size, &one[dtype], size);
        pf_weight weight = linear_weight(memory + 1, (pf_dtype)dtype, N, N);
        RUN(linear, .numerics = plain, .x = rows(x, 1, N), .weight = &weight,
            .y = rows(y, 1, N));
        assert_memory_equal(x, y, sizeof x);
    }
}

static void linear_widens_exactly(void **state)
{
    (void)state;
    /* 2^-24 (subnormal), 65504, -1/3 as F16; 1e-40-ish, 3.3895e38, -1/3 as BF16 */
    const uint16_t half[] = {0x0001, 0x7bff, 0xb555}, brain[] = {0x0001, 0x7f7f, 0xbeab};
    const float x[] = {1};
    float y[3];
    pf_weight weight = linear_weight(half, PF_F16, 3, 1);
    RUN(linear, .numerics = plain, .x = rows(x, 1, 1), .weight = &weight,
        .y = rows(y, 1, 3));
    EXPECT_EXACT(y, 0x1p-24, 65504, -0.333251953125);
    weight = linear_weight(brain, PF_BF16, 3, 1);
    RUN(linear, .numerics = plain, .x = rows(x, 1, 1), .weight = &weight,
        .y = rows(y, 1, 3));
    EXPECT_EXACT(y, 0x1p-133, 0x1.fep127, -0.333984375);
}

static void linear_activates(void **state)
{
    (void)state;
    const float x[] = {1, -2, 0, 10}, w[] = {1};
    float y[4];
    pf_weight weight = linear_weight(w, PF_F32, 1, 1);
    RUN(linear, .numerics = plain, .x = rows(x, 4, 1), .weight = &weight,
        .activation = PF_ACTIVATION_GELU_TANH, .y = rows(y, 4, 1));
    EXPECT_NEAR(y, 1e-7, 0.841191990607477, -0.045402305912225, 0, 10);
    RUN(linear, .numerics = plain, .x = rows(x, 4, 1), .weight = &weight,
        .activation = PF_ACTIVATION_SILU, .y = rows(y, 4, 1));
    EXPECT_NEAR(y, 1e-7, 0.731058578630005, -0.238405844044235, 0, 9.99954602131298);
}

/* y = residual + gate * (x W + bias) * mul, mul and residual being y or
 * not. */
static void linear_finishes_in_order(void **state)
{
    (void)state;
    const float x[] = {2}, w[] = {3, 5}, bias[] = {1, -1}, gate[] = {1, 2};
    const float mul[] = {10, 100}, residual[] = {0.5f, 0.25f};
    float y[2];
    pf_weight weight = linear_weight(w, PF_F32, 2, 1);
    pf_linear_args args = {
        .numerics = plain, .x = rows(x, 1, 1), .weight = &weight,
        .bias = vector(bias, 2), .mul = rows(mul, 1, 2), .gate = vector(gate, 2),
        .residual = rows(residual, 1, 2), .y = rows(y, 1, 2),
    };
    assert_int_equal(platform->table.linear(platform, &args, NULL), PF_OK);
    EXPECT_EXACT(y, 70.5, 1800.25);
    args.residual = args.y;
    assert_int_equal(platform->table.linear(platform, &args, NULL), PF_OK);
    EXPECT_EXACT(y, 140.5, 3600.25);
    args.residual = (pf_tensor){0};
    args.mul = args.y;
    assert_int_equal(platform->table.linear(platform, &args, NULL), PF_OK);
    EXPECT_EXACT(y, 983.5, 64804.5);
}

/* r(1 + 2^-9) = 1, r(1 * (1 + 2^-8)) = 1 (tie to even), r(-1 + 1) = 0; without the
 * inner roundings it would be r(-1 + 1.0059) = 0.0059. */
static void linear_rounds_at_every_step(void **state)
{
    (void)state;
    const float x[] = {1}, w[] = {1}, bias[] = {0x1p-9f}, gate[] = {1 + 0x1p-8f};
    const float residual[] = {-1};
    float y[1];
    pf_weight weight = linear_weight(w, PF_F32, 1, 1);
    pf_linear_args args = {
        .numerics = rounded, .x = rows(x, 1, 1), .weight = &weight,
        .bias = vector(bias, 1), .gate = vector(gate, 1),
        .residual = rows(residual, 1, 1), .y = rows(y, 1, 1),
    };
    assert_int_equal(platform->table.linear(platform, &args, NULL), PF_OK);
    EXPECT_EXACT(y, 0);
    args.numerics = plain;
    assert_int_equal(platform->table.linear(platform, &args, NULL), PF_OK);
    EXPECT_NEAR(y, 1e-4, 0.005867004394531);
    /* mul: r(1 * (1 + 2^-8)) = 1, and its own r() stands before the gate's. */
    args.numerics = rounded;
    args.mul = rows(gate, 1, 1);
    args.gate = (pf_tensor){0};
    assert_int_equal(platform->table.linear(platform, &args, NULL), PF_OK);
    EXPECT_EXACT(y, 0);
}

/* --- attention ------------------------------------------------------------------ */

/* Two heads of width 2.  Scores of head 0: 0 and ln 3; of head 1: equal. */
static void attention_weighs_values(void **state)
{
    (void)state;
    const float ln3 = 1.0986122887f;
    const float q[] = {1, 0, 1, 1}, k[] = {0, 5, 7, 0, ln3 * 2, 5, 0, 7};
    const float v[] = {8, 0, 1, 2, 16, 4, 3, 4};
    float out[4];
    RUN(attention, .numerics = plain, .q = rows(q, 1, 4), .k = rows(k, 2, 4),
        .v = rows(v, 2, 4), .heads = 2, .scale = 0.5f, .out = rows(out, 1, 4));
    EXPECT_NEAR(out, 2e-7, 14, 3, 2, 3);
}

static void attention_adds_its_bias(void **state)
{
    (void)state;
    const float ln3 = 1.0986122887f;
    const float zeros[4] = {0}, v[] = {0, 4, 8, 0}, bias[] = {0, ln3};
    float out[4];
    pf_tensor repeated = {.data = (void *)(uintptr_t)bias, .dtype = PF_F32, .rank = 3,
                          .shape = {2, 2, 2}, .stride = {0, 0, 1}};
    RUN(attention, .numerics = plain, .q = rows(zeros, 2, 2), .k = rows(zeros, 2, 2),
        .v = rows(v, 2, 2), .heads = 2, .scale = 1.0f, .bias = repeated,
        .out = rows(out, 2, 2));
    EXPECT_NEAR(out, 2e-7, 6, 1, 6, 1);
}

static void attention_bears_large_scores(void **state)
{
    (void)state;
    const float q[] = {300, -300}, k[] = {300, -300}, v[] = {5, 7};
    float out[2];
    RUN(attention, .numerics = plain, .q = rows(q, 2, 1), .k = rows(k, 2, 1),
        .v = rows(v, 2, 1), .heads = 1, .scale = 1.0f, .out = rows(out, 2, 1));
    EXPECT_EXACT(out, 5, 7);
}

/* P = 1, 1/3: r(1/3) is 1/3 (1 + 2^-9), which lifts 4.012 / 4 over the middle
 * between two bf16 values; the sum is of the unrounded P. */
static void attention_rounds_p_before_v(void **state)
{
    (void)state;
    const float ln3 = 1.0986122887f;
    const float q[] = {1}, k[] = {0, -ln3}, v[] = {0, 4.012f};
    float out[1];
    RUN(attention, .numerics = rounded, .q = rows(q, 1, 1), .k = rows(k, 2, 1),
        .v = rows(v, 2, 1), .heads = 1, .scale = 1.0f, .out = rows(out, 1, 1));
    EXPECT_EXACT(out, 1.0078125);
}

/* --- norm ------------------------------------------------------------------------ */

static void norm_layer(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3, 4}, weight[] = {1, 2, 1, 2}, bias[] = {0, 0, 1, 1};
    float y[4];
    RUN(norm, .numerics = plain, .kind = PF_NORM_LAYER, .x = rows(x, 1, 4),
        .y = rows(y, 1, 4));
    EXPECT_NEAR(y, 1e-7, -1.341640786499874, -0.447213595499958, 0.447213595499958,
                1.341640786499874);
    RUN(norm, .numerics = plain, .kind = PF_NORM_LAYER, .epsilon = 3.75f,
        .x = rows(x, 1, 4), .weight = vector(weight, 4), .bias = vector(bias, 4),
        .y = rows(y, 1, 4));
    EXPECT_NEAR(y, 1e-7, -0.670820393249937, -0.447213595499958, 1.223606797749979,
                2.341640786499874);
}

static void norm_rms(void **state)
{
    (void)state;
    const float x[] = {3, 4, 30, 40}, weight[] = {1, -10};
    float y[4];
    RUN(norm, .numerics = plain, .kind = PF_NORM_RMS, .x = rows(x, 2, 2),
        .weight = vector(weight, 2), .y = rows(y, 2, 2));
    EXPECT_NEAR(y, 1e-7, 0.848528137423857, -11.31370849898476, 0.848528137423857,
                -11.31370849898476);
}

/* Deviation 2^-10 around 100: one pass in f32 would find a variance of 0 or less. */
static void norm_bears_a_large_mean(void **state)
{
    (void)state;
    float x[64], y[64];
    for (int i = 0; i < 64; i++)
        x[i] = 100.0f + (i % 2 ? 0x1p-10f : -0x1p-10f);
    RUN(norm, .numerics = plain, .kind = PF_NORM_LAYER, .x = rows(x, 1, 64),
        .y = rows(y, 1, 64));
    for (int i = 0; i < 64; i++)
        assert_true(y[i] == (i % 2 ? 1.0f : -1.0f));
}

/* a = -1, 1; y = r(r(a * factor) + shift), by column and by row. */
static void norm_modulates(void **state)
{
    (void)state;
    const float x[] = {1, 3, 5, 9}, shift[] = {10, 20, 30, 40}, factor[] = {2, 3, 4, 5};
    const float small[] = {0x1.ep-9f, 0x1.ep-9f}, zero[] = {0, 0}, one[] = {1, 1};
    const float weight[] = {2 - 0x1p-7f, 1};
    float y[4];
    RUN(norm, .numerics = plain, .kind = PF_NORM_LAYER, .x = rows(x, 2, 2),
        .shift = vector(shift, 2), .factor = vector(factor, 2), .y = rows(y, 2, 2));
    EXPECT_EXACT(y, 8, 23, 8, 23);
    RUN(norm, .numerics = plain, .kind = PF_NORM_LAYER, .x = rows(x, 2, 2),
        .shift = rows(shift, 2, 2), .factor = rows(factor, 2, 2), .y = rows(y, 2, 2));
    EXPECT_EXACT(y, 8, 23, 26, 45);
    /* The shift is too small to stay. */
    RUN(norm, .numerics = rounded, .kind = PF_NORM_LAYER, .x = rows(x, 2, 2),
        .weight = vector(weight, 2), .shift = vector(small, 2),
        .factor = vector(one, 2), .y = rows(y, 2, 2));
    EXPECT_EXACT(y, -2 + 0x1p-7, 1, -2 + 0x1p-7, 1);
    /* r(1 + 1.9 * 2^-9) is 1, and 1 * 1.5 needs no rounding. */
    const float half[] = {1.5f, 1.5f}, above[] = {1 + 0x1.ep-9f, 1 + 0x1.ep-9f};
    RUN(norm, .numerics = rounded, .kind = PF_NORM_LAYER, .x = rows(x, 2, 2),
        .weight = vector(above, 2), .shift = vector(zero, 2),
        .factor = vector(half, 2), .y = rows(y, 2, 2));
    EXPECT_EXACT(y, -1.5, 1.5, -1.5, 1.5);
    /* The product is rounded, up by a quarter of a step, before the shift is added. */
    const float up[] = {1.5f, 1.5f}, between[] = {1.5f + 0x1.8p-8f, 1.5f};
    RUN(norm, .numerics = rounded, .kind = PF_NORM_LAYER, .x = rows(x, 2, 2),
        .shift = vector(up, 2), .factor = vector(between, 2), .y = rows(y, 2, 2));
    EXPECT_EXACT(y, -0x1p-7, 3, -0x1p-7, 3);
}

/* --- rope ------------------------------------------------------------------------ */

/* A quarter turn in the second position only; two rows share a position. */
static void rope_turns_pairs(void **state)
{
    (void)state;
    const float cos[] = {1, 1, 0, 0}, sin[] = {0, 0, 1, 1};
    float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8};
    RUN(rope, .numerics = plain, .form = PF_ROPE_INTERLEAVED, .x = rows(x, 3, 8),
        .heads = 2, .table = {rows(cos, 2, 2), rows(sin, 2, 2), 2});
    EXPECT_EXACT(x, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8,
                 -2, 1, -4, 3, -6, 5, -8, 7);
}

static void rope_turns_halves(void **state)
{
    (void)state;
    const float cos[] = {0, 0.5f}, sin[] = {1, 2};
    float x[] = {1, 2, 3, 4};
    RUN(rope, .numerics = plain, .form = PF_ROPE_HALF, .x = rows(x, 1, 4), .heads = 1,
        .table = {rows(cos, 1, 2), rows(sin, 1, 2), 1});
    EXPECT_EXACT(x, -3, -7, 1, 6);
}

/* Halves round every product: r(1 + 2^-9) - 1 = 0; pairs only the sum: 2^-9. */
static void rope_rounds_by_its_form(void **state)
{
    (void)state;
    const float cos[] = {1 + 0x1p-9f}, sin[] = {1};
    float x[] = {1, 1};
    pf_rope_args args = {.numerics = rounded, .form = PF_ROPE_HALF,
                         .x = rows(x, 1, 2), .heads = 1,
                         .table = {rows(cos, 1, 1), rows(sin, 1, 1), 1}};
    assert_int_equal(platform->table.rope(platform, &args, NULL), PF_OK);
    EXPECT_EXACT(x, 0, 2);
    x[0] = x[1] = 1;
    args.form = PF_ROPE_INTERLEAVED;
    assert_int_equal(platform->table.rope(platform, &args, NULL), PF_OK);
    EXPECT_EXACT(x, 0x1p-9, 2);
}

/* --- rows from rows ---------------------------------------------------------------- */

static void embedding_takes_rows(void **state)
{
    (void)state;
    const uint16_t table[] = {0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0};
    int32_t ids[] = {2, 0, 2};
    float y[6];
    RUN(embedding,
        .table = pf_matrix((void *)(uintptr_t)table, PF_BF16, 3, 2),
        .ids = pf_vector(ids, PF_I32, 3), .y = rows(y, 3, 2));
    EXPECT_EXACT(y, 5, 6, 1, 2, 5, 6);
}

static void lerp_stretches_and_keeps(void **state)
{
    (void)state;
    const float x[] = {0, 10, 4, 30};
    float y[8];
    RUN(lerp_rows, .numerics = plain, .x = rows(x, 2, 2), .y = rows(y, 4, 2));
    EXPECT_EXACT(y, 0, 10, 1, 15, 3, 25, 4, 30);
    RUN(lerp_rows, .numerics = plain, .x = rows(x, 2, 2), .y = rows(y, 2, 2));
    EXPECT_EXACT(y, 0, 10, 4, 30);
    RUN(lerp_rows, .numerics = plain, .x = rows(x, 2, 2), .y = rows(y, 1, 2));
    EXPECT_EXACT(y, 2, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_multiplies_rows),
        cmocka_unit_test(linear_by_one_is_nothing),
        cmocka_unit_test(linear_widens_exactly),
        cmocka_unit_test(linear_activates),
        cmocka_unit_test(linear_finishes_in_order),
        cmocka_unit_test(linear_rounds_at_every_step),
        cmocka_unit_test(attention_weighs_values),
        cmocka_unit_test(attention_adds_its_bias),
        cmocka_unit_test(attention_bears_large_scores),
        cmocka_unit_test(attention_rounds_p_before_v),
        cmocka_unit_test(norm_layer),
        cmocka_unit_test(norm_rms),
        cmocka_unit_test(norm_bears_a_large_mean),
        cmocka_unit_test(norm_modulates),
        cmocka_unit_test(rope_turns_pairs),
        cmocka_unit_test(rope_turns_halves),
        cmocka_unit_test(rope_rounds_by_its_form),
        cmocka_unit_test(embedding_takes_rows),
        cmocka_unit_test(lerp_stretches_and_keeps),
    };
    return cmocka_run_group_tests(tests, open_reference, close_reference);
}
