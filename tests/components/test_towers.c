/* SPDX-License-Identifier: Apache-2.0 */
/* Towers and bridge on small random models, by construction: which layers interact, any
 * length on any number of threads, the text's tail in one row, layers that only one side
 * knows.  What they compute is checked against goldens. */
#include "vae_test.h"

#include "model/bridge_parts.h"
#include "model/dual_tower.h"
#include "model/tower_parts.h"

enum { VIDEO_DIM = 48, AUDIO_DIM = 32, TEXT_DIM = 24, LATENTS = 3, SOUND = 5 };

/* --- recipes -------------------------------------------------------------------------- */

static void add_linear(recipe *r, int64_t out, int64_t in, const char *stem)
{
    recipe_layer(r, 2, (int64_t[]){out, in}, out, stem);
}

static void add_vector(recipe *r, int64_t count, float centre, const char *stem,
                       const char *member)
{
    recipe_add(r, 1, &count, centre, 0.1f, "%s%s", stem, member);
}

static void add_attention(recipe *r, int64_t dim, int64_t kv, const char *stem)
{
    char name[96];
    for (const char *p = "qkvo"; *p; p++) {
        snprintf(name, sizeof name, "%s.%c", stem, *p);
        add_linear(r, dim, *p == 'k' || *p == 'v' ? kv : dim, name);
    }
    add_vector(r, dim, 1.0f, stem, ".norm_q.weight");
    add_vector(r, dim, 1.0f, stem, ".norm_k.weight");
}

static void add_block(recipe *r, int64_t dim, int i)
{
    char name[64];
    snprintf(name, sizeof name, "blocks.%d.self_attn", i);
    add_attention(r, dim, dim, name);
    snprintf(name, sizeof name, "blocks.%d.cross_attn", i);
    add_attention(r, dim, dim, name);
    snprintf(name, sizeof name, "blocks.%d.norm3", i);
    add_vector(r, dim, 1.0f, name, ".weight");
    add_vector(r, dim, 0.0f, name, ".bias");
    snprintf(name, sizeof name, "blocks.%d.ffn.0", i);
    add_linear(r, 2 * dim, dim, name);
    snprintf(name, sizeof name, "blocks.%d.ffn.2", i);
    add_linear(r, dim, 2 * dim, name);
    recipe_add(r, 3, (int64_t[]){1, 6, dim}, 0.0f, 0.3f, "blocks.%d.modulation", i);
}

static recipe *tower_recipe(pf_modality modality, int layers)
{
    recipe *r = calloc(1, sizeof *r);
    bool video = modality == PF_VIDEO;
    int64_t dim = video ? VIDEO_DIM : AUDIO_DIM, in = video ? LATENTS : SOUND;
    assert_non_null(r);
    recipe_layer(r, video ? 5 : 3, (int64_t[]){dim, in, 1, 2, 2}, dim,
                 "patch_embedding");
    add_linear(r, dim, TEXT_DIM, "text_embedding.0");
    add_linear(r, dim, dim, "text_embedding.2");
    add_linear(r, dim, 16, "time_embedding.0");
    add_linear(r, dim, dim, "time_embedding.2");
    add_linear(r, 6 * dim, dim, "time_projection.1");
    for (int i = 0; i < layers; i++)
        add_block(r, dim, i);
    add_linear(r, video ? 4 * LATENTS : SOUND, dim, "head.head");
    recipe_add(r, 3, (int64_t[]){1, 2, dim}, 0.0f, 0.3f, "head.modulation");
    return r;
}

/* Parameters of pooled_adaln. */
static void add_pooling(recipe *r, int64_t dim, int64_t kv, int layer)
{
    char name[96];
    const char *const pool = "video_to_audio_conditioners.%d.per_frame_pooling";
    snprintf(name, sizeof name, pool, layer);
    recipe_add(r, 3, (int64_t[]){1, 1, kv}, 0.0f, 1.0f, "%s.probe", name);
    recipe_add(r, 2, (int64_t[]){3 * kv, kv}, 0.0f, 0.2f, "%s.attention.in_proj_weight",
               name);
    recipe_add(r, 1, (int64_t[]){3 * kv}, 0.0f, 0.2f, "%s.attention.in_proj_bias", name);
    recipe_add(r, 2, (int64_t[]){kv, kv}, 0.0f, 0.2f, "%s.attention.out_proj.weight", name);
    recipe_add(r, 1, &kv, 0.0f, 0.2f, "%s.attention.out_proj.bias", name);
    recipe_add(r, 1, &kv, 1.0f, 0.2f, "%s.layernorm.weight", name);
    recipe_add(r, 1, &kv, 0.0f, 0.2f, "%s.layernorm.bias", name);
    recipe_add(r, 2, (int64_t[]){2 * dim, kv}, 0.0f, 0.2f,
               "video_to_audio_conditioners.%d.adaln.linear.weight", layer);
    recipe_add(r, 1, (int64_t[]){2 * dim}, 0.0f, 0.2f,
               "video_to_audio_conditioners.%d.adaln.linear.bias", layer);
}

static recipe *bridge_recipe(int layers)
{
    static const char *const folders[] = {"audio_to_video", "video_to_audio"};
    recipe *r = calloc(1, sizeof *r);
    assert_non_null(r);
    for (int i = 0; i < layers; i++)
        for (int d = 0; d < 2; d++) {
            char name[64];
            int64_t dim = d ? AUDIO_DIM : VIDEO_DIM, kv = d ? VIDEO_DIM : AUDIO_DIM;
            snprintf(name, sizeof name, "%s_conditioners.%d.y_norm", folders[d], i);
            add_vector(r, kv, 1.0f, name, ".weight");
            add_vector(r, kv, 0.0f, name, ".bias");
            snprintf(name, sizeof name, "%s_conditioners.%d.inner", folders[d], i);
            add_attention(r, dim, kv, name);
            if (d)
                add_pooling(r, dim, kv, i);
        }
    return r;
}

/* --- opening -------------------------------------------------------------------------- */

static json_t *tower_config(pf_modality modality, int layers)
{
    bool video = modality == PF_VIDEO;
    int dim = video ? VIDEO_DIM : AUDIO_DIM, in = video ? LATENTS : SOUND;
    return json_pack("{s:i s:i s:i s:i s:i s:i s:i s:i}", "dim", dim, "num_heads", 2,
                     "num_layers", layers, "ffn_dim", 2 * dim, "in_dim", in, "out_dim",
                     in, "text_dim", TEXT_DIM, "freq_dim", 16);
}

static pf_tower *open_tower(pf_modality modality, int layers, pf_platform *platform,
                            bool round)
{
    recipe *r = tower_recipe(modality, layers);
    json_t *config = tower_config(modality, layers);
    pf_error error = {0};
    pf_tower *tower = NULL;
    if (modality == PF_AUDIO)
        json_object_set_new(config, "patch_size", json_pack("[i]", 1));
    pf_params *params = test_params(recipe_open(r), round);
    if (pf_tower_bind(params, modality, config, "tower", &tower, &error) != PF_OK ||
        pf_params_load(params, platform, &error) != PF_OK)
        fail_msg("%s", error.message);
    json_decref(config);
    recipe_free(r);
    return tower;
}

static json_t *bridge_config(int video_layers, int audio_layers, const char *strategy)
{
    return json_pack("{s:i s:i s:i s:i s:i s:s}", "visual_layers", video_layers,
                     "audio_layers", audio_layers, "visual_hidden_dim", VIDEO_DIM,
                     "audio_hidden_dim", AUDIO_DIM, "head_dim", 16,
                     "interaction_strategy", strategy);
}

/* The same, with the sound modulated by the pooled frames. */
static json_t *pooled_config(int layers)
{
    json_t *config = bridge_config(layers, layers, "full");
    json_object_set_new(config, "pooled_adaln", json_true());
    return config;
}

static void close_tower(pf_tower *tower)
{
    pf_params *params = tower->params;
    pf_params_close(params);
    pf_tower_unbind(tower);
}

/* A bridge and the parameters that it is bound to. */
typedef struct opened_bridge {
    pf_params *params;
    pf_bridge *bridge;
} opened_bridge;

static void close_bridge(opened_bridge *b)
{
    pf_params_close(b->params);
    pf_bridge_unbind(b->bridge);
}

/* Takes over `config`. */
static opened_bridge open_bridge_as(json_t *config, int layers, pf_platform *platform)
{
    recipe *r = bridge_recipe(layers);
    pf_error error = {0};
    opened_bridge b = {.params = test_params(recipe_open(r), false)};
    if (pf_bridge_bind(b.params, config, "bridge", &b.bridge, &error) != PF_OK ||
        pf_params_load(b.params, platform, &error) != PF_OK)
        fail_msg("%s", error.message);
    json_decref(config);
    recipe_free(r);
    return b;
}

static opened_bridge open_bridge(int video_layers, int audio_layers, const char *strategy,
                                 pf_platform *platform)
{
    return open_bridge_as(bridge_config(video_layers, audio_layers, strategy),
                          video_layers < audio_layers ? video_layers : audio_layers,
                          platform);
}

/* --- running --------------------------------------------------------------------------- */

typedef struct size {
    int64_t frames, height, width, sound, rows;
} size;

typedef struct result {
    float *video, *audio;
    int64_t video_count, audio_count;
} result;

static pf_tensor upload(pf_ops *ops, int rank, const int64_t *shape, uint32_t seed)
{
    pf_tensor out;
    assert_int_equal(pf_ops_tensor(ops, rank, shape, &out), PF_OK);
    float *values = random_values(pf_tensor_count(&out), seed);
    assert_int_equal(pf_ops_upload(ops, &out, values), PF_OK);
    pf_free(values);
    return out;
}

/* Texts whose rows behind `rows` are zero, said to have `told` real ones. */
typedef struct prompts {
    int64_t told;
    int count;                              /* in one pass */
    uint32_t seed[2];
    int wanted;                             /* whose velocities are looked at */
} prompts;

static void embed_text(pf_tower *tower, pf_ops *ops, int64_t rows, const prompts *p,
                       pf_tower_text *out)
{
    pf_tensor texts[2];
    for (int i = 0; i < p->count; i++) {
        texts[i] = upload(ops, 2, (int64_t[]){512, TEXT_DIM}, p->seed[i]);
        if (rows < 512)
            assert_int_equal(pf_op_fill(ops, &(pf_fill_args){
                .value = 0.0f, .y = pf_tensor_slice(texts[i], 0, rows, 512 - rows)}), PF_OK);
    }
    assert_int_equal(pf_tower_embed_text(tower, ops, texts, p->count, p->told, out), PF_OK);
}

static result run(const pf_dual_tower *towers, pf_platform *platform, const size *s,
                  const prompts *p)
{
    pf_ops ops;
    pf_error error = {0};
    pf_dual_tables tables;
    pf_tower_time time[2];
    pf_tower_text text[2];
    pf_tower *const list[2] = {towers->video, towers->audio};
    const int64_t v[4] = {LATENTS, s->frames, s->height, s->width};
    const int64_t a[2] = {SOUND, s->sound};
    const pf_dual_extent extent = {v[1], v[2], v[3], a[1]};
    bool narrow = platform->capabilities.hidden == PF_BF16;
    pf_numerics numerics = {narrow ? PF_MULTIPLY_BF16 : PF_MULTIPLY_F32, false};
    pf_ops_init(&ops, platform, numerics, false, &error);
    pf_dual_inputs in = {.video_time = &time[0], .audio_time = &time[1],
                         .video_text = &text[0], .audio_text = &text[1],
                         .tables = &tables, .scales = {1.0f, NAN, NAN}};
    in.video = upload(&ops, 4, v, 1);
    in.audio = upload(&ops, 2, a, 2);
    for (int i = 0; i < 2; i++) {
        pf_tensor wave;
        int64_t width = pf_tower_get_info(list[i])->freq_dim;
        assert_int_equal(pf_ops_matrix(&ops, 1, width, &wave), PF_OK);
        assert_int_equal(pf_tower_place_time(list[i], &ops, 700.0f, &wave), PF_OK);
        assert_int_equal(pf_tower_embed_time(list[i], &ops, &wave, &time[i]), PF_OK);
        embed_text(list[i], &ops, s->rows, p, &text[i]);
    }
    assert_int_equal(pf_dual_tower_make_tables(towers, &ops, &extent, 24.0, false,
                                               &tables), PF_OK);
    for (int i = 0; i < p->count; i++) {
        assert_int_equal(pf_ops_tensor(&ops, 4, v, &in.video_out[i]), PF_OK);
        assert_int_equal(pf_ops_tensor(&ops, 2, a, &in.audio_out[i]), PF_OK);
    }
    if (pf_dual_tower_forward(towers, &ops, &in) != PF_OK)
        fail_msg("%s", error.message);
    result r = {.video_count = pf_tensor_count(&in.video_out[p->wanted]),
                .audio_count = pf_tensor_count(&in.audio_out[p->wanted])};
    r.video = random_values(r.video_count, 9);
    r.audio = random_values(r.audio_count, 9);
    assert_int_equal(pf_ops_download(&ops, r.video, &in.video_out[p->wanted]), PF_OK);
    assert_int_equal(pf_ops_download(&ops, r.audio, &in.audio_out[p->wanted]), PF_OK);
    pf_ops_release(&ops);
    return r;
}

static void free_result(result *r)
{
    pf_free(r->video);
    pf_free(r->audio);
}

static double apart(const float *a, const float *b, int64_t count)
{
    double most = 0.0, largest = 0.0;
    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs((double)a[i] - b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    assert_true(largest > 0.01);
    return most / largest;
}

static void expect_near(const result *a, const result *b, double limit)
{
    double video = apart(a->video, b->video, a->video_count);
    double audio = apart(a->audio, b->audio, a->audio_count);
    if (video > limit || audio > limit)
        fail_msg("%g and %g apart, %g allowed", video, audio, limit);
}

/* Both towers and the bridge between them. */
typedef struct opened {
    pf_dual_tower towers;
    opened_bridge bridge;
} opened;

static opened open_with(pf_platform *platform, opened_bridge bridge)
{
    opened o = {.towers = {open_tower(PF_VIDEO, 3, platform, false),
                           open_tower(PF_AUDIO, 2, platform, false), bridge.bridge},
                .bridge = bridge};
    assert_int_equal(pf_dual_tower_check(&o.towers, NULL), PF_OK);
    return o;
}

static opened open_all(pf_platform *platform, int video_layers, int audio_layers)
{
    return open_with(platform, open_bridge(video_layers, audio_layers, "full", platform));
}

static void close_all(opened *o)
{
    close_bridge(&o->bridge);
    close_tower(o->towers.audio);
    close_tower(o->towers.video);
}

static pf_platform *open_platform(const char *name, int threads)
{
    pf_platform *platform = NULL;
    const pf_platform_options options = {.name = name, .threads = threads};
    assert_int_equal(pf_platform_open(&options, &platform, NULL), PF_OK);
    return platform;
}

static result run_on(const char *name, int threads, const size *s, int64_t told,
                     int bridge_layers)
{
    pf_platform *platform = open_platform(name, threads);
    opened o = open_all(platform, bridge_layers, bridge_layers);
    result r = run(&o.towers, platform, s, &(prompts){told, 1, {3}, 0});
    close_all(&o);
    pf_platform_close(platform);
    return r;
}

/* --- tests -------------------------------------------------------------------------------- */

static void expect_layers(const char *strategy, int video_layers, int audio_layers,
                          const char *marks)
{
    pf_platform *platform = open_platform("reference", 1);
    opened_bridge b = open_bridge(video_layers, audio_layers, strategy, platform);
    assert_false(pf_bridge_interacts(b.bridge, -1));
    for (int i = 0; i < (int)strlen(marks); i++)
        if (pf_bridge_interacts(b.bridge, i) != (marks[i] == 'x'))
            fail_msg("%s: layer %d of %s", strategy, i, marks);
    close_bridge(&b);
    pf_platform_close(platform);
}

static void test_which_layers_interact(void **state)
{
    (void)state;
    expect_layers("full", 5, 3, "xxx--");
    expect_layers("full", 3, 5, "xxx--");
    expect_layers("shallow_focus", 11, 11, "xxx--------");
    expect_layers("shallow_focus", 2, 2, "--");
    expect_layers("distributed", 8, 9, "x--x--x--");
    expect_layers("progressive", 13, 13, "xxxxxxxxx--x--");
    expect_layers("progressive", 5, 6, "xxxxx-");
    expect_layers("custom", 18, 18, "x-x-x-x-x---x---x-");
}

static const size sizes[] = {
    {1, 2, 2, 1, 1}, {2, 6, 10, 19, 7}, {3, 10, 14, 33, 30}, {5, 2, 26, 67, 511},
};

static void test_any_length_on_any_platform(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        result truth = run_on("reference", 1, &sizes[i], sizes[i].rows, 3);
        result one = run_on("cpu", 1, &sizes[i], sizes[i].rows, 3);
        result three = run_on("cpu", 3, &sizes[i], sizes[i].rows, 3);
        expect_near(&one, &truth, 3e-6);
        assert_memory_equal(one.video, three.video,
                            (size_t)one.video_count * sizeof(float));
        assert_memory_equal(one.audio, three.audio,
                            (size_t)one.audio_count * sizeof(float));
        free_result(&truth);
        free_result(&one);
        free_result(&three);
    }
}

/* A single row for all the zero rows of a text is the same sum as the rows themselves. */
static void test_tail_of_the_text(void **state)
{
    (void)state;
    for (int64_t rows = 1; rows < 512; rows += 170) {
        const size s = {2, 4, 6, 9, rows};
        result shared = run_on("cpu", 1, &s, rows, 3);
        result whole = run_on("cpu", 1, &s, 512, 3);
        expect_near(&shared, &whole, 3e-6);
        free_result(&shared);
        free_result(&whole);
    }
}

/* On the reference, with what it is told of itself. */
static result run_with(const size *s, pf_dtype hidden, int64_t feed_rows)
{
    pf_platform *platform = open_platform("reference", 1);
    platform->capabilities.hidden = hidden;
    platform->capabilities.feed_rows = feed_rows;
    opened o = open_all(platform, 3, 3);
    result r = run(&o.towers, platform, s, &(prompts){s->rows, 1, {3}, 0});
    close_all(&o);
    pf_platform_close(platform);
    return r;
}

/* However many rows go at a time, and whether norm or attention adds, the bits are alike. */
static void test_rows_of_the_feed_forward(void **state)
{
    const size s = {3, 4, 6, 9, 20};
    (void)state;
    result all = run_with(&s, PF_F32, 4096);
    const int64_t rows[] = {0, 1, 7};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        result some = run_with(&s, PF_F32, rows[i]);
        assert_memory_equal(some.video, all.video, (size_t)all.video_count * sizeof(float));
        assert_memory_equal(some.audio, all.audio, (size_t)all.audio_count * sizeof(float));
        free_result(&some);
    }
    free_result(&all);
}

static void test_activations_in_bf16(void **state)
{
    const size s = {3, 4, 6, 9, 20};
    (void)state;
    result truth = run_with(&s, PF_F32, 4096), found = run_with(&s, PF_BF16, 4096);
    expect_near(&found, &truth, 2e-2);
    assert_true(apart(found.video, truth.video, truth.video_count) > 1e-5);
    assert_true(apart(found.audio, truth.audio, truth.audio_count) > 1e-5);
    free_result(&truth);
    free_result(&found);
}

/* Two prompts in one pass see nothing of each other. */
static void test_two_prompts_together(void **state)
{
    const size s = {3, 4, 6, 9, 20};
    (void)state;
    pf_platform *platform = open_platform("cpu", 1);
    opened o = open_with(platform, open_bridge_as(pooled_config(3), 3, platform));
    const pf_dual_tower towers = o.towers;
    for (int i = 0; i < 2; i++) {
        result alone = run(&towers, platform, &s, &(prompts){20, 1, {3 + 5 * i}, 0});
        result both = run(&towers, platform, &s, &(prompts){20, 2, {3, 8}, i});
        expect_near(&both, &alone, 1e-6);
        free_result(&alone);
        free_result(&both);
    }
    result first = run(&towers, platform, &s, &(prompts){20, 2, {3, 8}, 0});
    result second = run(&towers, platform, &s, &(prompts){20, 2, {3, 8}, 1});
    assert_true(apart(first.video, second.video, first.video_count) > 1e-3);
    free_result(&first);
    free_result(&second);
    close_all(&o);
    pf_platform_close(platform);
}

/* Only layers that both towers have can interact: a bridge of more is the same. */
static void test_layers_beyond_the_towers(void **state)
{
    const size s = {2, 4, 6, 9, 5};
    (void)state;
    result two = run_on("cpu", 1, &s, 5, 2), five = run_on("cpu", 1, &s, 5, 5);
    result one = run_on("cpu", 1, &s, 5, 1);
    assert_memory_equal(two.video, five.video, (size_t)two.video_count * sizeof(float));
    assert_memory_equal(two.audio, five.audio, (size_t)two.audio_count * sizeof(float));
    assert_true(apart(one.video, two.video, two.video_count) > 1e-3);
    free_result(&one);
    free_result(&two);
    free_result(&five);
}

/* ref keeps weights as bf16, whatever they were stored as; measuring says so. */
static void test_rounded_weights(void **state)
{
    pf_platform *platform = open_platform("reference", 1);
    pf_tower *plain = open_tower(PF_AUDIO, 1, platform, false);
    pf_tower *tower = open_tower(PF_AUDIO, 1, platform, true);
    const pf_weight *weight = &tower->head.weight;
    (void)state;
    assert_int_equal(plain->head.weight.source.values.dtype, PF_F32);
    for (int i = 0; i < 2; i++) {
        const float *bias = tower->head.bias.data;
        assert_int_equal(weight->source.values.dtype, PF_BF16);
        for (int k = 0; k < SOUND; k++)
            assert_true(bias[k] == pf_round_bf16(bias[k]));
        pf_params_unload(tower->params);
        assert_int_equal(weight->source.values.dtype, PF_F32);
        assert_int_equal(pf_params_load(tower->params, platform, NULL), PF_OK);
    }
    pf_params_size held = pf_params_measure(tower->params, platform);
    pf_params_size less = pf_params_measure(plain->params, platform);
    assert_int_equal(held.device_bytes, less.device_bytes);
    assert_int_equal(2 * held.rounded_bytes, less.mapped_bytes);
    close_tower(plain);
    close_tower(tower);
    pf_platform_close(platform);
}

/* The configuration is made before allocations fail. */
typedef struct opening {
    pf_platform *platform;
    json_t *config;
} opening;

static pf_status open_tower_body(void *user, pf_weights *weights, pf_error *error)
{
    const opening *o = user;
    pf_params *params = NULL;
    pf_tower *tower = NULL;
    pf_status status =
        pf_params_open(weights, (pf_numerics){PF_MULTIPLY_F32, true}, &params, error);
    if (status == PF_OK)
        status = pf_tower_bind(params, PF_VIDEO, o->config, "tower", &tower, error);
    if (status == PF_OK)
        status = pf_params_load(params, o->platform, error);
    pf_params_close(params);
    pf_tower_unbind(tower);
    return status;
}

static pf_status open_bridge_body(void *user, pf_weights *weights, pf_error *error)
{
    const opening *o = user;
    opened_bridge b = {0};
    pf_status status = pf_params_open(weights, (pf_numerics){0}, &b.params, error);
    if (status == PF_OK)
        status = pf_bridge_bind(b.params, o->config, "bridge", &b.bridge, error);
    if (status == PF_OK)
        status = pf_params_load(b.params, o->platform, error);
    close_bridge(&b);
    return status;
}

static void test_memory_runs_out(void **state)
{
    pf_platform *platform = open_platform("cpu", 1);
    recipe *tower = tower_recipe(PF_VIDEO, 1), *bridge = bridge_recipe(2);
    opening of_tower = {platform, tower_config(PF_VIDEO, 1)};
    opening of_bridge = {platform, bridge_config(2, 2, "full")};
    (void)state;
    fail_each_allocation(tower, &of_tower, open_tower_body);
    fail_each_allocation(bridge, &of_bridge, open_bridge_body);
    json_decref(of_tower.config);
    json_decref(of_bridge.config);
    recipe_free(tower);
    recipe_free(bridge);
    pf_platform_close(platform);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_layers_interact),
        cmocka_unit_test(test_any_length_on_any_platform),
        cmocka_unit_test(test_tail_of_the_text),
        cmocka_unit_test(test_rows_of_the_feed_forward),
        cmocka_unit_test(test_activations_in_bf16),
        cmocka_unit_test(test_two_prompts_together),
        cmocka_unit_test(test_layers_beyond_the_towers),
        cmocka_unit_test(test_rounded_weights),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
