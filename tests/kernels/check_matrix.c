/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of linear, attention and embedding. */
#include <math.h>
#include <string.h>

#include "trial.h"

static const pf_dtype weight_dtypes[] = {PF_BF16, PF_F32, PF_F16};

/* --- linear ------------------------------------------------------------------- */

typedef struct linear_shape {
    int64_t m, n, k;
} linear_shape;

static const linear_shape linear_shapes[] = {
    {1, 1, 1},     {1, 16, 96},   {2, 3, 5},     {3, 130, 31},    {4, 64, 64},
    {5, 17, 33},   {7, 130, 96},  {12, 32, 16},  {13, 31, 100},   {24, 96, 128},
    {25, 33, 257}, {64, 48, 130}, {41, 130, 514}, {1, 130, 1030}, {61, 38, 1100},
    {0, 16, 8},    {6, 1, 40},    {40, 300, 3},  {490, 9, 420},
    /* bench */
    {2048, 5120, 5120}, {880, 1536, 1536}, {1, 5120, 5120},
};

enum { EXTRA_NONE, EXTRA_OWN, EXTRA_Y };

typedef struct linear_variant {
    int dtype;                          /* of weight_dtypes */
    bool odd, strided, bias, gate;
    pf_activation activation;
    int mul, residual;                  /* EXTRA_... */
    bool repeated;                      /* all rows of x are the same memory */
} linear_variant;

static const linear_variant linear_variants[] = {
    {0, false, false, false, false, PF_ACTIVATION_NONE, EXTRA_NONE, EXTRA_NONE, false},
    {1, true, true, true, false, PF_ACTIVATION_NONE, EXTRA_NONE, EXTRA_NONE, false},
    {2, false, true, true, false, PF_ACTIVATION_GELU_TANH, EXTRA_NONE, EXTRA_NONE, false},
    {0, true, true, true, true, PF_ACTIVATION_NONE, EXTRA_NONE, EXTRA_Y, false},
    {1, false, false, true, false, PF_ACTIVATION_SILU, EXTRA_NONE, EXTRA_OWN, false},
    {0, false, true, false, false, PF_ACTIVATION_GELU_TANH, EXTRA_OWN, EXTRA_NONE, false},
    {2, true, false, false, false, PF_ACTIVATION_NONE, EXTRA_Y, EXTRA_NONE, false},
    {1, false, true, true, true, PF_ACTIVATION_GELU_TANH, EXTRA_OWN, EXTRA_OWN, false},
    {0, true, false, true, false, PF_ACTIVATION_NONE, EXTRA_NONE, EXTRA_Y, false},
    {2, false, true, false, true, PF_ACTIVATION_SILU, EXTRA_Y, EXTRA_OWN, false},
    {0, false, false, true, false, PF_ACTIVATION_NONE, EXTRA_NONE, EXTRA_NONE, true},
};

/* Another matrix in the place of mul or residual, or y itself. */
static pf_tensor extra(trial *t, int which, const char *name, pf_tensor view,
                       pf_tensor y)
{
    if (which == EXTRA_NONE)
        return (pf_tensor){0};
    trial_say(t, which == EXTRA_Y ? " %s=y" : " %s", name);
    return which == EXTRA_Y ? y : trial_input(t, name, view);
}

static void build_linear(trial *t, int shape, int variant)
{
    linear_shape s = linear_shapes[shape];
    const linear_variant *v = &linear_variants[variant];
    trial_say(t, " M=%lld N=%lld K=%lld", (long long)s.m, (long long)s.n,
              (long long)s.k);
    pf_tensor source = trial_host_tensor(t, weight_dtypes[v->dtype], 2,
                                         (int64_t[]){s.n, s.k},
                                         1.0f / sqrtf((float)s.k), v->odd);
    pf_linear_args *a = &t->args.linear;
    limits allowed = tolerance_of_products(t);
    /* Products are of size 1; a few may all be small, and each counts much. */
    allowed.floor = 0.5;
    if (allowed.cosine > 0.0 && s.m * s.n < 16)
        allowed.cosine = 0.9995;
    pf_tensor y = view_rows(s.m, s.n, v->strided ? 7 : 0);
    pf_tensor x = view_rows(s.m, s.k, v->repeated ? -s.k : v->strided ? 5 : 0);
    bool inout = v->mul == EXTRA_Y || v->residual == EXTRA_Y;
    trial_say(t, v->strided ? " strided" : v->repeated ? " repeated" : "");
    *a = (pf_linear_args){
        .numerics = t->numerics,
        .x = trial_input(t, "x", view_hidden(t, x)),
        .weight = trial_weight(t, PF_WEIGHT_LINEAR, source),
        .activation = v->activation,
        .y = inout ? trial_inout(t, "y", y, allowed)
                   : trial_output(t, "y", view_hidden(t, y), allowed),
    };
    if (v->bias)
        a->bias = trial_input(t, "bias", view_make(1, &s.n));
    if (v->gate)
        a->gate = trial_input(t, "gate", view_make(1, &s.n));
    a->mul = extra(t, v->mul, "mul", view_rows(s.m, s.n, v->strided ? 3 : 0), a->y);
    a->residual = extra(t, v->residual, "residual",
                        view_rows(s.m, s.n, v->strided ? 2 : 0), a->y);
    trial_say(t, "%s%s%s", v->bias ? " bias" : "", v->gate ? " gate" : "",
              v->activation == PF_ACTIVATION_SILU        ? " silu"
              : v->activation == PF_ACTIVATION_GELU_TANH ? " gelu"
                                                         : "");
    t->flops = 2.0 * (double)s.m * (double)s.n * (double)s.k;
}

const kernel_check check_linear = {
    .shapes = sizeof linear_shapes / sizeof linear_shapes[0] - 3,
    .bench_shapes = 3,
    .variants = sizeof linear_variants / sizeof linear_variants[0],
    .multiply = PF_MULTIPLY_BF16,
    .round = true,
    .hidden = true,
    .build = build_linear,
};

/* --- attention ------------------------------------------------------------------ */

typedef struct attention_shape {
    int heads;
    int64_t width, queries, keys;
} attention_shape;

static const attention_shape attention_shapes[] = {
    {1, 1, 1, 1},      {2, 8, 3, 5},     {1, 12, 7, 17},   {3, 20, 1, 33},
    {2, 24, 33, 1},    {1, 64, 64, 64},  {2, 128, 37, 129}, {1, 130, 5, 31},
    {1, 384, 19, 70},  {2, 32, 70, 257}, {1, 128, 0, 7},  {5, 16, 65, 300},
    {2, 128, 2, 530},  {1, 128, 790, 3},
    /* bench */
    {1, 128, 4096, 4096}, {40, 128, 256, 512}, {1, 384, 1024, 1024},
};

/* Scores: of size 1; nearly equal; so large that one key takes all. */
enum { SCORES_PLAIN, SCORES_SMALL, SCORES_LARGE };
/* No bias; [H, Lq, Lk]; one for all heads; one for all queries; some keys far
 * below the others, as a mask does; one of the distance, which the next query finds
 * a step further back. */
enum {
    BIAS_NONE, BIAS_FULL, BIAS_ALL_HEADS, BIAS_ALL_QUERIES, BIAS_MASK, BIAS_DISTANCE
};

typedef struct attention_variant {
    int scores, bias;
    bool strided;
    int groups;
} attention_variant;

static const attention_variant attention_variants[] = {
    {SCORES_PLAIN, BIAS_NONE, false, 1},
    {SCORES_PLAIN, BIAS_FULL, true, 2},
    {SCORES_PLAIN, BIAS_ALL_HEADS, false, 1},
    {SCORES_SMALL, BIAS_ALL_QUERIES, true, 1},
    {SCORES_LARGE, BIAS_NONE, true, 1},
    {SCORES_PLAIN, BIAS_MASK, false, 1},
    {SCORES_PLAIN, BIAS_NONE, true, 3},
    {SCORES_PLAIN, BIAS_ALL_QUERIES, false, 2},
    {SCORES_PLAIN, BIAS_DISTANCE, false, 1},
    {SCORES_SMALL, BIAS_DISTANCE, true, 2},
};

/* [H, Lq + Lk - 1] numbers, seen as [H, Lq, Lk]: key - query + Lq - 1. */
static pf_tensor distance_bias(trial *t, const attention_shape *s)
{
    int64_t distances = s->queries + s->keys - 1;
    pf_tensor view = trial_input(t, "bias", view_make(
        2, (int64_t[]){s->heads, distances > 0 ? distances : 1}));
    view.rank = 3;
    view.shape[1] = s->queries;
    view.shape[2] = s->keys;
    view.stride[1] = -1;
    view.stride[2] = 1;
    view.data = (float *)view.data + (s->queries > 0 ? s->queries - 1 : 0);
    return view;
}

static pf_tensor attention_bias(trial *t, int kind, const attention_shape *s)
{
    int64_t shape[3] = {s->heads, s->queries, s->keys};
    pf_tensor view = view_make(3, shape);
    if (kind == BIAS_NONE)
        return (pf_tensor){0};
    if (kind == BIAS_ALL_HEADS)
        view.stride[0] = 0;
    if (kind == BIAS_ALL_QUERIES) {
        view.stride[0] = s->keys + 3;
        view.stride[1] = 0;
    }
    trial_say(t, " bias%d", kind);
    if (kind == BIAS_DISTANCE)
        return distance_bias(t, s);
    if (kind != BIAS_MASK)
        return trial_input(t, "bias", view);
    view.stride[0] = view.stride[1] = 0;
    /* About a third of the keys keep their scores; the first always does. */
    pf_tensor placed = trial_input(t, "bias", view);
    buffer *b = &t->buffers[t->count - 1];
    for (int64_t k = 0; k < s->keys && s->queries > 0; k++)
        b->before[b->first + k] = k == 0 || prng_below(&t->random, 3) == 0 ? 0.0f
                                                                           : -1e30f;
    trial_upload(t, b);
    return placed;
}

/* Wide heads: every query is a copy of some key, which then wins by hundreds.
 * Narrow ones cannot be told apart like that: there, keys only compete. */
enum { WIDE = 64 };

static float spread_of(int scores, const attention_shape *s)
{
    if (scores == SCORES_LARGE)
        return s->width >= WIDE ? 12.0f : 3.0f;
    return scores == SCORES_SMALL ? 1e-3f : 1.0f;
}

static void copy_keys(trial *t, buffer *q, const buffer *k)
{
    int64_t columns = q->view.shape[1];
    for (int64_t i = 0; i < q->view.shape[0]; i++) {
        int64_t key = prng_below(&t->random, k->view.shape[0]);
        memcpy(q->before + q->first + i * q->view.stride[0],
               k->before + k->first + key * k->view.stride[0],
               (size_t)columns * sizeof(float));
    }
    trial_upload(t, q);
}

static limits attention_limits(const trial *t, int scores, const attention_shape *s)
{
    limits allowed = tolerance_of_products(t);
    if (allowed.flips > 0.0)
        allowed.flips = 0.25;           /* P may be rounded before its final scale */
    if (scores == SCORES_LARGE && s->width < WIDE &&
        t->numerics.multiply == PF_MULTIPLY_BF16) {
        allowed.relative = 0.1;         /* a score of 9 is off by 0.03 */
        allowed.cosine = 0.998;
    }
    return allowed;
}

static void build_attention(trial *t, int shape, int variant)
{
    attention_shape s = attention_shapes[shape];
    const attention_variant *v = &attention_variants[variant];
    int64_t columns = s.heads * s.width, gap = v->strided ? 9 : 0;
    int64_t queries = v->groups * s.queries, keys = v->groups * s.keys;
    values fill = {0.0f, spread_of(v->scores, &s)};
    trial_say(t, " heads=%d D=%lld Lq=%lld Lk=%lld groups=%d%s%s", s.heads,
              (long long)s.width, (long long)s.queries, (long long)s.keys, v->groups,
              v->strided ? " strided" : "",
              v->scores == SCORES_LARGE   ? " large scores"
              : v->scores == SCORES_SMALL ? " small scores" : "");
    limits allowed = attention_limits(t, v->scores, &s);
    pf_tensor query_rows = view_hidden(t, view_rows(queries, columns, gap));
    pf_tensor key_rows = view_hidden(t, view_rows(keys, columns, gap));
    pf_attention_args *a = &t->args.attention;
    *a = (pf_attention_args){
        .numerics = t->numerics,
        .q = trial_place(t, "q", query_rows, ROLE_INPUT, fill),
        .k = trial_place(t, "k", key_rows, ROLE_INPUT, fill),
        .v = trial_input(t, "v", key_rows),
        .heads = s.heads,
        .groups = v->groups > 1 ? v->groups : 0,
        .scale = 1.0f / sqrtf((float)s.width),
        .out = trial_output(t, "out", query_rows, allowed),
    };
    if (v->scores == SCORES_LARGE && s.width >= WIDE)
        copy_keys(t, &t->buffers[0], &t->buffers[1]);
    a->bias = attention_bias(t, v->bias, &s);
    t->flops = 4.0 * (double)(queries * s.keys * columns);
}

const kernel_check check_attention = {
    .shapes = sizeof attention_shapes / sizeof attention_shapes[0] - 3,
    .bench_shapes = 3,
    .variants = sizeof attention_variants / sizeof attention_variants[0],
    .multiply = PF_MULTIPLY_BF16,
    .round = true,
    .hidden = true,
    .build = build_attention,
};

/* --- embedding ------------------------------------------------------------------ */

static const int64_t embedding_shapes[][3] = {   /* V, C, L */
    {1, 1, 1}, {5, 3, 7}, {33, 130, 18}, {300, 64, 512}, {7, 16, 0},
    /* bench */
    {1000, 4096, 512},
};

static void build_embedding(trial *t, int shape, int variant)
{
    const int64_t *s = embedding_shapes[shape];
    trial_say(t, " V=%lld C=%lld L=%lld", (long long)s[0], (long long)s[1],
              (long long)s[2]);
    int32_t *ids = trial_host(t, s[2] * (int64_t)sizeof *ids, 0);
    for (int64_t i = 0; i < s[2]; i++)
        ids[i] = (int32_t)(i == 0 ? s[0] - 1 : prng_below(&t->random, s[0]));
    pf_tensor y = view_rows(s[2], s[1], variant % 2 ? 3 : 0);
    t->args.embedding = (pf_embedding_args){
        .table = trial_host_tensor(t, weight_dtypes[variant / 2], 2, s, 1.0f,
                                   variant % 2),
        .ids = pf_vector(ids, PF_I32, s[2]),
        .y = trial_output(t, "y", y, (limits){0}),
    };
}

const kernel_check check_embedding = {
    .shapes = sizeof embedding_shapes / sizeof embedding_shapes[0] - 1,
    .bench_shapes = 1,
    .variants = 6,
    .build = build_embedding,
};
