/* SPDX-License-Identifier: Apache-2.0 */
/* Audio VAE: against a plain model, pieces against one pass, weight norm, refusals. */
#include "vae_test.h"

#include "model/audio_vae.h"

/* --- small models ------------------------------------------------------------------- */

typedef struct model {
    int encoder_dim, decoder_dim, latent, count;
    int encoder_rates[5], decoder_rates[5];
} model;

static const model small = {2, 8, 3, 2, {2, 3}, {3, 2}};
static const model uneven = {2, 12, 2, 2, {4, 5}, {10, 2}};
static const model mova = {1, 32, 2, 5, {2, 3, 4, 5, 8}, {8, 5, 4, 3, 2}};

typedef enum norm_form { PLAIN, OLD_NORM, NEW_NORM } norm_form;

static json_t *rates_json(const int *rates, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_integer(rates[i]));
    return list;
}

static json_t *model_config(const model *m)
{
    return json_pack("{s:i,s:i,s:i,s:o,s:o,s:i,s:b,s:b}", "encoder_dim",
                     m->encoder_dim, "decoder_dim", m->decoder_dim, "latent_dim",
                     m->latent, "encoder_rates",
                     rates_json(m->encoder_rates, m->count), "decoder_rates",
                     rates_json(m->decoder_rates, m->count), "sample_rate", 48000,
                     "continuous", 1, "use_weight_norm", 0);
}

static int model_hop(const model *m)
{
    int hop = 1;
    for (int i = 0; i < m->count; i++)
        hop *= m->encoder_rates[i];
    return hop;
}

/* Stores the direction under `member` and the row lengths g under `gains`; the plain
 * form stores the folded product. */
static void add_normed(recipe *r, norm_form form, const int64_t *shape,
                       const char *stem)
{
    static const char *const gains[] = {"", "weight_g",
                                        "parametrizations.weight.original0"};
    static const char *const members[] = {"weight", "weight_v",
                                          "parametrizations.weight.original1"};
    int64_t row = shape[1] * shape[2];
    float amplitude = sqrtf(3.0f / (float)row);
    recipe_add(r, 3, shape, 0.0f, amplitude, "%s.%s", stem, members[form]);
    float *v = r->tensor[r->count - 1].tensor.data;
    recipe_add(r, 3, (int64_t[]){shape[0], 1, 1}, 0.7f, 0.2f, "%s.%s", stem,
               gains[form]);
    float *g = r->tensor[r->count - 1].tensor.data;
    if (form != PLAIN)
        return;
    for (int64_t i = 0; i < shape[0]; i++) {
        double squares = 0.0;
        for (int64_t k = 0; k < row; k++)
            squares += (double)v[i * row + k] * (double)v[i * row + k];
        for (int64_t k = 0; k < row; k++)
            v[i * row + k] = (float)((double)v[i * row + k] *
                                     ((double)g[i] / sqrt(squares)));
    }
    r->count--;
    pf_free(g);
}

typedef struct maker {
    recipe *r;
    norm_form form;
} maker;

static void add_conv(const maker *m, int64_t a, int64_t b, int64_t k, int64_t bias,
                     const char *stem)
{
    add_normed(m->r, m->form, (int64_t[]){a, b, k}, stem);
    recipe_add(m->r, 1, &bias, 0.0f, 0.1f, "%s.bias", stem);
}

/* The first channel's is negative. */
static void add_alpha(const maker *m, int64_t c, const char *stem)
{
    recipe_add(m->r, 3, (int64_t[]){1, c, 1}, 1.0f, 0.4f, "%s.alpha", stem);
    *(float *)m->r->tensor[m->r->count - 1].tensor.data *= -1.0f;
}

static void add_units(const maker *m, int64_t c, const char *stem, int first)
{
    char name[96];
    for (int i = first; i < first + 3; i++) {
        snprintf(name, sizeof name, "%s.block.%d.block.0", stem, i);
        add_alpha(m, c, name);
        snprintf(name, sizeof name, "%s.block.%d.block.1", stem, i);
        add_conv(m, c, c, 7, c, name);
        snprintf(name, sizeof name, "%s.block.%d.block.2", stem, i);
        add_alpha(m, c, name);
        snprintf(name, sizeof name, "%s.block.%d.block.3", stem, i);
        add_conv(m, c, c, 1, c, name);
    }
}

static void add_encoder(const maker *m, const model *v)
{
    char stem[48], name[96];
    int64_t c = v->encoder_dim;
    add_conv(m, c, 1, 7, c, "encoder.block.0");
    for (int i = 0; i < v->count; i++, c *= 2) {
        snprintf(stem, sizeof stem, "encoder.block.%d", i + 1);
        add_units(m, c, stem, 0);
        snprintf(name, sizeof name, "%s.block.3", stem);
        add_alpha(m, c, name);
        snprintf(name, sizeof name, "%s.block.4", stem);
        add_conv(m, 2 * c, c, 2 * v->encoder_rates[i], 2 * c, name);
    }
    snprintf(name, sizeof name, "encoder.block.%d", v->count + 1);
    add_alpha(m, c, name);
    snprintf(name, sizeof name, "encoder.block.%d", v->count + 2);
    add_conv(m, v->latent, c, 3, v->latent, name);
}

static void add_decoder(const maker *m, const model *v)
{
    char stem[48], name[96];
    int64_t c = v->decoder_dim;
    add_conv(m, c, v->latent, 7, c, "decoder.model.0");
    for (int i = 0; i < v->count; i++, c /= 2) {
        snprintf(stem, sizeof stem, "decoder.model.%d", i + 1);
        snprintf(name, sizeof name, "%s.block.0", stem);
        add_alpha(m, c, name);
        snprintf(name, sizeof name, "%s.block.1", stem);
        add_conv(m, c, c / 2, 2 * v->decoder_rates[i], c / 2, name);
        add_units(m, c / 2, stem, 2);
    }
    snprintf(name, sizeof name, "decoder.model.%d", v->count + 1);
    add_alpha(m, c, name);
    snprintf(name, sizeof name, "decoder.model.%d", v->count + 2);
    add_conv(m, 1, c, 7, 1, name);
}

static recipe *make_recipe(const model *v, norm_form form)
{
    recipe *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->seed = 11;
    const maker m = {r, form};
    add_encoder(&m, v);
    add_decoder(&m, v);
    recipe_layer(r, 3, (int64_t[]){2 * v->latent, v->latent, 1}, 2 * v->latent,
                 "quant_conv");
    recipe_layer(r, 3, (int64_t[]){v->latent, v->latent, 1}, v->latent,
                 "post_quant_conv");
    return r;
}

/* --- a plain model, in double --------------------------------------------------------- */

typedef struct wave {
    int64_t c, l;
    double *v;
} wave;

static wave wave_make(int64_t c, int64_t l)
{
    wave x = {c, l, calloc((size_t)(c * l), sizeof(double))};
    assert_non_null(x.v);
    return x;
}

static const pf_tensor *parameter(const recipe *r, const char *stem, const char *member)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", stem, member);
    for (int i = 0; i < r->count; i++)
        if (strcmp(r->name[i], name) == 0)
            return &r->tensor[i].tensor;
    fail_msg("no tensor %s", name);
    return NULL;
}

/* Frees x. */
static wave plain_conv(const recipe *r, const char *stem, wave x, int s, int d,
                           int p)
{
    const pf_tensor *weight = parameter(r, stem, "weight");
    const float *w = weight->data, *b = parameter(r, stem, "bias")->data;
    int64_t k = weight->shape[2];
    wave y = wave_make(weight->shape[0], (x.l + 2 * p - d * (k - 1) - 1) / s + 1);
    for (int64_t o = 0; o < y.c; o++)
        for (int64_t n = 0; n < y.l; n++) {
            double sum = b[o];
            for (int64_t i = 0; i < x.c; i++)
                for (int64_t a = 0; a < k; a++) {
                    int64_t from = n * s + a * d - p;
                    if (from >= 0 && from < x.l)
                        sum += (double)w[(o * x.c + i) * k + a] * x.v[i * x.l + from];
                }
            y.v[o * y.l + n] = sum;
        }
    free(x.v);
    return y;
}

/* Scatter form; frees x. */
static wave plain_transposed(const recipe *r, const char *stem, wave x, int s)
{
    const pf_tensor *weight = parameter(r, stem, "weight");
    const float *w = weight->data, *b = parameter(r, stem, "bias")->data;
    int64_t k = weight->shape[2], p = (s + 1) / 2;
    wave y = wave_make(weight->shape[1], x.l * s);
    for (int64_t o = 0; o < y.c; o++)
        for (int64_t n = 0; n < y.l; n++)
            y.v[o * y.l + n] = b[o];
    for (int64_t i = 0; i < x.c; i++)
        for (int64_t t = 0; t < x.l; t++)
            for (int64_t o = 0; o < y.c; o++)
                for (int64_t a = 0; a < k; a++) {
                    int64_t n = t * s + a - p;
                    if (n >= 0 && n < y.l)
                        y.v[o * y.l + n] +=
                            (double)w[(i * y.c + o) * k + a] * x.v[i * x.l + t];
                }
    free(x.v);
    return y;
}

static void plain_snake(const recipe *r, const char *stem, wave *x)
{
    const float *alpha = parameter(r, stem, "alpha")->data;
    for (int64_t i = 0; i < x->c * x->l; i++) {
        double a = alpha[i / x->l], s = sin(a * x->v[i]);
        x->v[i] += s * s / (a + 1e-9);
    }
}

static wave plain_units(const recipe *r, const char *stem, wave x, int first)
{
    static const int dilations[3] = {1, 3, 9};
    char name[96];
    for (int i = 0; i < 3; i++) {
        wave y = wave_make(x.c, x.l);
        memcpy(y.v, x.v, (size_t)(x.c * x.l) * sizeof(double));
        snprintf(name, sizeof name, "%s.block.%d.block.0", stem, first + i);
        plain_snake(r, name, &y);
        snprintf(name, sizeof name, "%s.block.%d.block.1", stem, first + i);
        y = plain_conv(r, name, y, 1, dilations[i], 3 * dilations[i]);
        snprintf(name, sizeof name, "%s.block.%d.block.2", stem, first + i);
        plain_snake(r, name, &y);
        snprintf(name, sizeof name, "%s.block.%d.block.3", stem, first + i);
        y = plain_conv(r, name, y, 1, 1, 0);
        for (int64_t n = 0; n < x.c * x.l; n++)
            x.v[n] += y.v[n];
        free(y.v);
    }
    return x;
}

static wave plain_encode(const recipe *r, const model *m, wave x)
{
    char stem[48], name[96];
    x = plain_conv(r, "encoder.block.0", x, 1, 1, 3);
    for (int i = 0; i < m->count; i++) {
        int s = m->encoder_rates[i];
        snprintf(stem, sizeof stem, "encoder.block.%d", i + 1);
        x = plain_units(r, stem, x, 0);
        snprintf(name, sizeof name, "%s.block.3", stem);
        plain_snake(r, name, &x);
        snprintf(name, sizeof name, "%s.block.4", stem);
        x = plain_conv(r, name, x, s, 1, (s + 1) / 2);
    }
    snprintf(name, sizeof name, "encoder.block.%d", m->count + 1);
    plain_snake(r, name, &x);
    snprintf(name, sizeof name, "encoder.block.%d", m->count + 2);
    x = plain_conv(r, name, x, 1, 1, 1);
    return plain_conv(r, "quant_conv", x, 1, 1, 0);
}

static wave plain_decode(const recipe *r, const model *m, wave x)
{
    char stem[48], name[96];
    x = plain_conv(r, "post_quant_conv", x, 1, 1, 0);
    x = plain_conv(r, "decoder.model.0", x, 1, 1, 3);
    for (int i = 0; i < m->count; i++) {
        snprintf(stem, sizeof stem, "decoder.model.%d", i + 1);
        snprintf(name, sizeof name, "%s.block.0", stem);
        plain_snake(r, name, &x);
        snprintf(name, sizeof name, "%s.block.1", stem);
        x = plain_transposed(r, name, x, m->decoder_rates[i]);
        x = plain_units(r, stem, x, 2);
    }
    snprintf(name, sizeof name, "decoder.model.%d", m->count + 1);
    plain_snake(r, name, &x);
    snprintf(name, sizeof name, "decoder.model.%d", m->count + 2);
    x = plain_conv(r, name, x, 1, 1, 3);
    for (int64_t i = 0; i < x.c * x.l; i++)
        x.v[i] = tanh(x.v[i]);
    return x;
}

/* --- running ours ----------------------------------------------------------------------- */

typedef struct bench {
    const model *m;
    recipe *r;
    json_t *config;
    pf_platform *platform;
    pf_params *params;
    pf_audio_vae *vae;
    pf_error error;
    pf_ops ops;
} bench;

static void bench_open(bench *b, const model *m, norm_form form, const char *platform)
{
    *b = (bench){.m = m, .r = make_recipe(m, form)};
    b->platform = test_platform(platform);
    b->config = model_config(m);
    b->params = test_params(recipe_open(b->r), false);
    if (pf_audio_vae_bind(b->params, b->config, "config.json", &b->vae, &b->error) !=
            PF_OK ||
        pf_params_load(b->params, b->platform, &b->error) != PF_OK)
        fail_msg("%s", b->error.message);
    pf_ops_init(&b->ops, b->platform, (pf_numerics){.multiply = PF_MULTIPLY_BF16}, false,
                &b->error);
}

static void bench_close(bench *b)
{
    pf_ops_release(&b->ops);
    pf_params_close(b->params);
    pf_audio_vae_unbind(b->vae);
    pf_platform_close(b->platform);
    json_decref(b->config);
    recipe_free(b->r);
}

static float *decode(bench *b, const float *latents, int64_t length, int64_t piece)
{
    float *samples = random_values(length * model_hop(b->m), 1);
    if (pf_audio_vae_decode_pieces(b->vae, &b->ops, latents, length, piece,
                                   samples) != PF_OK)
        fail_msg("%s", b->error.message);
    assert_int_equal(b->ops.in_use, 0);
    assert_int_equal(b->ops.numerics.multiply, PF_MULTIPLY_BF16);
    return samples;
}

static float *encode(bench *b, const float *samples, int64_t count)
{
    int64_t length = (count - 1) / model_hop(b->m) + 1;
    float *mean = random_values(length * b->m->latent, 1);
    if (pf_audio_vae_encode(b->vae, &b->ops, samples, count, mean) != PF_OK)
        fail_msg("%s", b->error.message);
    assert_int_equal(b->ops.in_use, 0);
    assert_int_equal(b->ops.numerics.multiply, PF_MULTIPLY_BF16);
    return mean;
}

/* Compares and frees the plain result. */
static void assert_near(const float *ours, wave plain, int64_t count)
{
    double largest = 0.0, off = 0.0;
    for (int64_t i = 0; i < count; i++) {
        /* No fmax here: it passes over NaN. */
        double distance = fabs(plain.v[i] - (double)ours[i]);
        largest = fmax(largest, fabs(plain.v[i]));
        if (distance > off || isnan(distance))
            off = distance;
    }
    assert_true(largest > 0.01);
    if (!(off <= 2e-5 * largest))
        fail_msg("off by %g of %g", off, largest);
    free(plain.v);
}

static wave from_floats(const float *values, int64_t c, int64_t l, int64_t padded)
{
    wave x = wave_make(c, padded);
    for (int64_t i = 0; i < c; i++)
        for (int64_t n = 0; n < l; n++)
            x.v[i * padded + n] = values[i * l + n];
    return x;
}

/* --- tests -------------------------------------------------------------------------------- */

static void check_model(const model *m, const char *platform, int64_t length)
{
    bench b;
    bench_open(&b, m, PLAIN, platform);
    int64_t hop = model_hop(m), count = length * hop - 1;
    float *latents = random_values(length * m->latent, 3);
    float *samples = decode(&b, latents, length, length);
    wave plain = plain_decode(b.r, m, from_floats(latents, m->latent, length, length));
    assert_int_equal(plain.l, length * hop);
    assert_near(samples, plain, length * hop);
    float *mean = encode(&b, samples, count);
    plain = plain_encode(b.r, m, from_floats(samples, 1, count, length * hop));
    assert_int_equal(plain.l, length);
    assert_near(mean, plain, length * m->latent);
    pf_free(latents);
    pf_free(samples);
    pf_free(mean);
    bench_close(&b);
}

static void test_against_plain_model(void **state)
{
    (void)state;
    check_model(&small, "reference", 9);
    check_model(&uneven, "reference", 4);
    check_model(&small, NULL, 9);
    check_model(&uneven, NULL, 4);
    check_model(&mova, NULL, 1);
    check_model(&mova, NULL, 5);
}

static void check_pieces(const model *m, const char *platform)
{
    static const int64_t pieces[] = {1, 2, 7, 20, 44};
    bench b;
    bench_open(&b, m, PLAIN, platform);
    int64_t length = 45;
    float *latents = random_values(length * m->latent, 3);
    float *whole = decode(&b, latents, length, length);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        float *samples = decode(&b, latents, length, pieces[i]);
        assert_memory_equal(whole, samples,
                            (size_t)(length * model_hop(m)) * sizeof *whole);
        pf_free(samples);
    }
    pf_free(whole);
    pf_free(latents);
    bench_close(&b);
}

static void test_pieces(void **state)
{
    (void)state;
    check_pieces(&small, "reference");
    check_pieces(&uneven, "reference");
    check_pieces(&small, NULL);
    check_pieces(&uneven, NULL);
    check_pieces(&mova, NULL);
}

/* Longer than a piece of the default size. */
static void test_default_pieces(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, &small, PLAIN, NULL);
    int64_t length = 600;
    float *latents = random_values(length * small.latent, 3);
    float *whole = decode(&b, latents, length, length);
    float *samples = random_values(length * model_hop(&small), 1);
    assert_int_equal(pf_audio_vae_decode(b.vae, &b.ops, latents, length, samples),
                     PF_OK);
    assert_memory_equal(whole, samples,
                        (size_t)(length * model_hop(&small)) * sizeof *whole);
    pf_free(whole);
    pf_free(samples);
    pf_free(latents);
    bench_close(&b);
}

/* A change of latent 0 reaches `context` latents far and no farther. */
static void test_context(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, &mova, PLAIN, NULL);
    assert_int_equal(pf_audio_vae_context(b.vae), 10);
    int64_t length = 12, hop = 960, changed = 0;
    float *latents = random_values(length * mova.latent, 3);
    float *before = decode(&b, latents, length, length);
    latents[0] += 1.0f;
    float *after = decode(&b, latents, length, length);
    for (int64_t i = 0; i < length * hop; i++)
        if (before[i] != after[i])
            changed = i / hop;
    assert_true(changed >= 8 && changed <= 10);
    pf_free(before);
    pf_free(after);
    pf_free(latents);
    bench_close(&b);
}

static void test_weight_norm(void **state)
{
    bench plain, b;
    (void)state;
    bench_open(&plain, &small, PLAIN, "reference");
    float *latents = random_values(6 * small.latent, 3);
    float *expected = decode(&plain, latents, 6, 6);
    float *expected_mean = encode(&plain, expected, 36);
    for (int form = OLD_NORM; form <= NEW_NORM; form++) {
        bench_open(&b, &small, (norm_form)form, "reference");
        float *samples = decode(&b, latents, 6, 6);
        float *mean = encode(&b, expected, 36);
        assert_memory_equal(expected, samples, 36 * sizeof(float));
        assert_memory_equal(expected_mean, mean, 18 * sizeof(float));
        pf_free(samples);
        pf_free(mean);
        bench_close(&b);
    }
    pf_free(latents);
    pf_free(expected);
    pf_free(expected_mean);
    bench_close(&plain);
}

static void test_info_and_dry_run(void **state)
{
    bench b;
    pf_ops dry;
    (void)state;
    bench_open(&b, &mova, PLAIN, "reference");
    const pf_audio_vae_info *info = pf_audio_vae_get_info(b.vae);
    assert_int_equal(info->hop, 960);
    assert_int_equal(info->sample_rate, 48000);
    assert_int_equal(info->latent_channels, 2);
    pf_ops_init(&dry, b.platform, b.ops.numerics, true, &b.error);
    assert_int_equal(pf_audio_vae_decode(b.vae, &dry, NULL, 3, NULL), PF_OK);
    float *latents = random_values(3 * mova.latent, 3);
    pf_free(decode(&b, latents, 3, 3));
    assert_int_equal(dry.peak, b.ops.peak);
    assert_true(dry.cost.flops == b.ops.cost.flops && dry.cost.flops > 0);
    pf_free(latents);
    bench_close(&b);
}

/* Fails to open, and says why. */
static void expect_open_fails(recipe *r, json_t *config, const char *said)
{
    pf_audio_vae *vae = NULL;
    pf_error error = {0};
    pf_params *params = test_params(recipe_open(r), false);
    assert_int_not_equal(pf_audio_vae_bind(params, config, "config.json", &vae, &error),
                         PF_OK);
    if (!strstr(error.message, said))
        fail_msg("'%s' does not say '%s'", error.message, said);
    pf_params_close(params);
    pf_audio_vae_unbind(vae);
    json_decref(config);
    recipe_free(r);
}

static void expect_refused(const char *key, json_t *value, const char *said)
{
    json_t *config = model_config(&small);
    if (value)
        json_object_set_new(config, key, value);
    else
        json_object_del(config, key);
    expect_open_fails(make_recipe(&small, PLAIN), config, said);
}

static void test_refused(void **state)
{
    (void)state;
    expect_refused("continuous", json_false(), "continuous");
    expect_refused("continuous", NULL, "continuous");
    expect_refused("encoder_rates", json_pack("[i,i]", 2, 4), "encoder_rates");
    expect_refused("encoder_rates", json_pack("[i,i]", 0, 6), "encoder_rates");
    expect_refused("decoder_rates", NULL, "decoder_rates");
    expect_refused("decoder_dim", json_integer(6), "decoder_dim");
    expect_refused("sample_rate", json_integer(0), "sample_rate");
    expect_refused("latent_dim", json_integer(4), "encoder.block.4");
    recipe *zero = make_recipe(&small, OLD_NORM);
    memset(zero->tensor[0].tensor.data, 0, (size_t)pf_tensor_bytes(&zero->tensor[0].tensor));
    expect_open_fails(zero, model_config(&small), "encoder.block.0");
}

static void test_refused_lengths(void **state)
{
    bench b;
    float value = 0.0f;
    (void)state;
    bench_open(&b, &small, PLAIN, "reference");
    assert_int_equal(pf_audio_vae_decode(b.vae, &b.ops, &value, 0, &value),
                     PF_E_ARGUMENT);
    assert_int_equal(pf_audio_vae_encode(b.vae, &b.ops, &value, 0, &value),
                     PF_E_ARGUMENT);
    bench_close(&b);
}

/* Opens, loads, decodes and encodes. */
static pf_status run_once(void *user, pf_weights *weights, pf_error *error)
{
    bench *b = user;
    pf_params *params = NULL;
    pf_audio_vae *vae = NULL;
    pf_ops ops;
    float latents[2 * 3] = {0}, samples[2 * 6];
    pf_ops_init(&ops, b->platform, (pf_numerics){.multiply = PF_MULTIPLY_F32}, false, error);
    pf_status status = pf_params_open(weights, ops.numerics, &params, error);
    if (status == PF_OK)
        status = pf_audio_vae_bind(params, b->config, "config.json", &vae, error);
    if (status == PF_OK)
        status = pf_params_load(params, b->platform, error);
    if (status == PF_OK)
        status = pf_audio_vae_decode(vae, &ops, latents, 2, samples);
    if (status == PF_OK)
        status = pf_audio_vae_encode(vae, &ops, samples, 12, latents);
    pf_ops_release(&ops);
    pf_params_close(params);
    pf_audio_vae_unbind(vae);
    return status;
}

static void test_faults(void **state)
{
    (void)state;
    for (int form = PLAIN; form <= OLD_NORM; form++) {
        bench b = {.m = &small, .r = make_recipe(&small, (norm_form)form)};
        b.platform = test_platform("reference");
        b.config = model_config(b.m);
        fail_each_allocation(b.r, &b, run_once);
        bench_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_plain_model),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_default_pieces),
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_weight_norm),
        cmocka_unit_test(test_info_and_dry_run),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_lengths),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
