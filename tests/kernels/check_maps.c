/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of the kernels of feature maps: conv, conv_transposed, channel_norm,
 * snake and upsample.  Maps lie in every layout that kernels.h allows, the
 * output independently of the input.
 */
#include <math.h>

#include "trial.h"

static const char *const layout_names[] = {"first", "last", "first-sliced",
                                           "last-every-other"};

static const pf_dtype weight_dtypes[] = {PF_BF16, PF_F32, PF_F16};

static void say_shape(trial *t, const char *name, const int64_t s[4],
                      map_layout layout)
{
    trial_say(t, " %s=[%lld %lld %lld %lld] %s", name, (long long)s[0],
              (long long)s[1], (long long)s[2], (long long)s[3],
              layout_names[layout]);
}

/* x and the place for y, which is x itself where the variant says so. */
typedef struct map_pair {
    pf_tensor x, y;
} map_pair;

static map_pair place_pair(trial *t, const int64_t shape[4], map_layout x_layout,
                           map_layout y_layout, bool in_place, values fill,
                           limits allowed)
{
    map_pair pair;
    pf_tensor view = view_map(x_layout, shape);
    say_shape(t, "x", shape, x_layout);
    pair.x = trial_place(t, "x", view, in_place ? ROLE_INOUT : ROLE_INPUT, fill);
    t->buffers[t->count - 1].allowed = allowed;
    if (in_place) {
        trial_say(t, " y=x");
        pair.y = pair.x;
    } else {
        trial_say(t, " y %s", layout_names[y_layout]);
        pair.y = trial_output(t, "y", view_map(y_layout, shape), allowed);
    }
    return pair;
}

/* --- conv ---------------------------------------------------------------------- */

typedef struct conv_shape {
    int64_t ci, co;
    int64_t in[3], kernel[3];
    int stride[3], dilation[3], pad[3];
    int64_t out[3];
} conv_shape;

#define ONES {1, 1, 1}
#define NONE {0, 0, 0}
#define CUBE {3, 3, 3}

static const conv_shape conv_shapes[] = {
    /* causal 3x3x3 of the video VAE */
    {3, 16, {3, 5, 7}, CUBE, ONES, ONES, {2, 1, 1}, {3, 5, 7}},
    {16, 96, {2, 4, 9}, CUBE, ONES, ONES, {2, 1, 1}, {2, 4, 9}},
    {96, 130, {1, 3, 5}, CUBE, ONES, ONES, {2, 1, 1}, {1, 3, 5}},
    {32, 96, {3, 3, 17}, CUBE, ONES, ONES, {0, 1, 1}, {1, 3, 17}},
    {16, 3, {2, 1, 1}, CUBE, ONES, ONES, {2, 1, 1}, {2, 1, 1}},
    /* pointwise */
    {1, 1, ONES, ONES, ONES, ONES, NONE, ONES},
    {130, 3, {2, 3, 5}, ONES, ONES, ONES, NONE, {2, 3, 5}},
    {32, 96, {1, 1, 37}, ONES, ONES, ONES, NONE, {1, 1, 37}},
    /* halving height and width, padding behind only; even and odd */
    {16, 16, {2, 8, 10}, {1, 3, 3}, {1, 2, 2}, ONES, NONE, {2, 4, 5}},
    {96, 33, {1, 7, 9}, {1, 3, 3}, {1, 2, 2}, ONES, NONE, {1, 4, 5}},
    /* 2-d with padding around */
    {130, 17, {2, 3, 19}, {1, 3, 3}, ONES, ONES, {0, 1, 1}, {2, 3, 19}},
    /* over time: halving without padding, and causal into twice the channels */
    {16, 16, {5, 3, 4}, {3, 1, 1}, {2, 1, 1}, ONES, NONE, {2, 3, 4}},
    {16, 32, {3, 2, 5}, {3, 1, 1}, ONES, ONES, {2, 0, 0}, {3, 2, 5}},
    /* 1-d, dilated; a length shorter than the reach */
    {64, 64, {1, 1, 50}, {1, 1, 7}, ONES, ONES, {0, 0, 3}, {1, 1, 50}},
    {16, 48, {1, 1, 33}, {1, 1, 7}, ONES, {1, 1, 3}, {0, 0, 9}, {1, 1, 33}},
    {33, 16, {1, 1, 21}, {1, 1, 7}, ONES, {1, 1, 9}, {0, 0, 27}, {1, 1, 21}},
    /* 1-d, strided; to and from one channel */
    {16, 32, {1, 1, 45}, {1, 1, 10}, {1, 1, 5}, ONES, {0, 0, 3}, {1, 1, 9}},
    {64, 1, {1, 1, 67}, {1, 1, 7}, ONES, ONES, {0, 0, 3}, {1, 1, 67}},
    {1, 64, {1, 1, 67}, {1, 1, 7}, ONES, ONES, {0, 0, 3}, {1, 1, 67}},
    /* patches */
    {36, 130, {2, 4, 6}, {1, 2, 2}, {1, 2, 2}, ONES, NONE, {2, 2, 3}},
    /* all three axes strided, dilated and padded; nothing at all */
    {5, 7, {7, 8, 9}, {2, 3, 2}, {2, 1, 3}, {2, 1, 2}, {1, 2, 1}, {4, 7, 3}},
    {4, 8, {2, 3, 3}, CUBE, ONES, ONES, {2, 1, 1}, {0, 3, 3}},
    /* windows that see nothing but padding: some of them, all of them */
    {3, 5, {2, 3, 4}, ONES, ONES, ONES, {2, 1, 0}, {3, 2, 4}},
    {3, 5, {2, 3, 4}, {1, 2, 3}, ONES, ONES, {3, 0, 1}, {2, 2, 4}},
    /* bench */
    {96, 96, {3, 88, 160}, CUBE, ONES, ONES, {0, 1, 1}, {1, 88, 160}},
    {384, 384, {3, 44, 80}, CUBE, ONES, ONES, {0, 1, 1}, {1, 44, 80}},
    {64, 64, {1, 1, 96000}, {1, 1, 7}, ONES, ONES, {0, 0, 3}, {1, 1, 96000}},
};

enum { RESIDUAL_NONE, RESIDUAL_OWN, RESIDUAL_Y };

typedef struct conv_variant {
    map_layout x, y;
    int dtype;
    bool odd, bias;
    int residual;
} conv_variant;

static const conv_variant conv_variants[] = {
    {MAP_LAST, MAP_LAST, 0, false, true, RESIDUAL_NONE},
    {MAP_FIRST, MAP_FIRST, 1, false, true, RESIDUAL_NONE},
    {MAP_LAST, MAP_LAST, 1, true, true, RESIDUAL_Y},
    {MAP_LAST_EVERY_OTHER, MAP_LAST, 0, true, false, RESIDUAL_OWN},
    {MAP_FIRST_SLICED, MAP_LAST, 2, true, true, RESIDUAL_NONE},
    {MAP_LAST, MAP_FIRST, 0, false, true, RESIDUAL_OWN},
    {MAP_LAST, MAP_LAST_EVERY_OTHER, 2, false, true, RESIDUAL_NONE},
    {MAP_FIRST, MAP_FIRST_SLICED, 0, true, false, RESIDUAL_Y},
};

static void copy_axes(int to[3], const int from[3])
{
    for (int i = 0; i < 3; i++)
        to[i] = from[i];
}

static const pf_weight *conv_weight(trial *t, const conv_shape *s,
                                    const conv_variant *v)
{
    const int64_t *k = s->kernel;
    int64_t shape[5] = {s->co, s->ci, k[0], k[1], k[2]};
    double terms = (double)(s->ci * k[0] * k[1] * k[2]);
    trial_say(t, " k=[%lld %lld %lld]", (long long)k[0], (long long)k[1],
              (long long)k[2]);
    pf_tensor source = trial_host_tensor(t, weight_dtypes[v->dtype], 5, shape,
                                         (float)(1.0 / sqrt(terms)), v->odd);
    t->flops = 2.0 * terms * (double)(s->co * s->out[0] * s->out[1] * s->out[2]);
    return trial_weight(t, PF_WEIGHT_CONV, source);
}

static void build_conv(trial *t, int shape, int variant)
{
    const conv_shape *s = &conv_shapes[shape];
    const conv_variant *v = &conv_variants[variant];
    int64_t in[4] = {s->ci, s->in[0], s->in[1], s->in[2]};
    int64_t out[4] = {s->co, s->out[0], s->out[1], s->out[2]};
    pf_conv_args *a = &t->args.conv;
    limits allowed = tolerance_of_products(t);
    say_shape(t, "x", in, v->x);
    say_shape(t, "y", out, v->y);
    *a = (pf_conv_args){
        .numerics = t->numerics,
        .x = trial_input(t, "x", view_map(v->x, in)),
        .weight = conv_weight(t, s, v),
        .y = v->residual == RESIDUAL_Y
                 ? trial_inout(t, "y", view_map(v->y, out), allowed)
                 : trial_output(t, "y", view_map(v->y, out), allowed),
    };
    copy_axes(a->stride, s->stride);
    copy_axes(a->dilation, s->dilation);
    copy_axes(a->pad_front, s->pad);
    if (v->bias)
        a->bias = trial_input(t, "bias", view_make(1, &s->co));
    if (v->residual == RESIDUAL_Y)
        a->residual = a->y;
    if (v->residual == RESIDUAL_OWN)
        a->residual = trial_input(t, "residual", view_map(v->y, out));
    if (v->residual)
        trial_say(t, " residual%s", v->residual == RESIDUAL_Y ? "=y" : "");
}

const kernel_check check_conv = {
    .shapes = sizeof conv_shapes / sizeof conv_shapes[0] - 3,
    .bench_shapes = 3,
    .variants = sizeof conv_variants / sizeof conv_variants[0],
    .multiply = PF_MULTIPLY_BF16,
    .build = build_conv,
};

/* --- conv_transposed --------------------------------------------------------------- */

typedef struct transposed_shape {
    int64_t ci, co, length, kernel;
    int stride, pad;
    int64_t out;
} transposed_shape;

static const transposed_shape transposed_shapes[] = {
    {1, 1, 1, 4, 2, 1, 2},        {3, 16, 5, 4, 2, 1, 10},  {16, 96, 7, 6, 3, 2, 21},
    {96, 130, 9, 8, 4, 2, 36},    {64, 32, 33, 10, 5, 3, 165}, {130, 3, 11, 16, 8, 4, 88},
    {4, 6, 9, 5, 3, 1, 25},       {7, 5, 6, 2, 3, 0, 18},   {5, 9, 10, 3, 1, 1, 10},
    {8, 8, 4, 4, 2, 1, 0},
    /* bench */
    {256, 128, 4000, 6, 3, 2, 12000},
};

static const conv_variant transposed_variants[] = {
    {MAP_LAST, MAP_LAST, 0, false, true, RESIDUAL_NONE},
    {MAP_FIRST, MAP_FIRST, 1, true, true, RESIDUAL_NONE},
    {MAP_FIRST, MAP_LAST, 2, true, false, RESIDUAL_NONE},
    {MAP_LAST, MAP_FIRST, 0, true, true, RESIDUAL_NONE},
    {MAP_LAST, MAP_LAST, 1, false, false, RESIDUAL_NONE},
};

static void build_conv_transposed(trial *t, int shape, int variant)
{
    const transposed_shape *s = &transposed_shapes[shape];
    const conv_variant *v = &transposed_variants[variant];
    int64_t in[4] = {s->ci, 1, 1, s->length}, out[4] = {s->co, 1, 1, s->out};
    int64_t weight[3] = {s->ci, s->co, s->kernel};
    double terms = (double)(s->ci * 2);
    say_shape(t, "x", in, v->x);
    say_shape(t, "y", out, v->y);
    trial_say(t, " k=%lld stride=%d pad=%d", (long long)s->kernel, s->stride, s->pad);
    pf_tensor source = trial_host_tensor(t, weight_dtypes[v->dtype], 3, weight,
                                         (float)(1.0 / sqrt(terms)), v->odd);
    t->args.conv_transposed = (pf_conv_transposed_args){
        .numerics = t->numerics,
        .x = trial_input(t, "x", view_map(v->x, in)),
        .weight = trial_weight(t, PF_WEIGHT_CONV_TRANSPOSED, source),
        .stride = s->stride,
        .pad = s->pad,
        .y = trial_output(t, "y", view_map(v->y, out), tolerance_of_products(t)),
    };
    if (v->bias)
        t->args.conv_transposed.bias = trial_input(t, "bias", view_make(1, &s->co));
    t->flops = 2.0 * (double)(s->ci * s->co * s->kernel * s->length);
}

const kernel_check check_conv_transposed = {
    .shapes = sizeof transposed_shapes / sizeof transposed_shapes[0] - 1,
    .bench_shapes = 1,
    .variants = sizeof transposed_variants / sizeof transposed_variants[0],
    .multiply = PF_MULTIPLY_BF16,
    .build = build_conv_transposed,
};

/* --- channel_norm and snake ---------------------------------------------------------- */

static const int64_t map_shapes[][4] = {
    {1, 1, 1, 1},   {3, 2, 3, 5},   {16, 1, 7, 9},  {96, 2, 5, 6}, {130, 1, 4, 33},
    {384, 1, 3, 3}, {33, 3, 1, 70}, {64, 1, 1, 131}, {8, 0, 4, 4},
    /* bench */
    {96, 1, 352, 640},
};

enum { MAP_SHAPES = sizeof map_shapes / sizeof map_shapes[0] - 1 };

typedef struct norm_variant {
    map_layout x, y;
    bool in_place, silu;
    values fill;
} norm_variant;

static const norm_variant norm_variants[] = {
    {MAP_LAST, MAP_LAST, false, true, {0.0f, 1.0f}},
    {MAP_LAST, MAP_LAST, true, false, {0.5f, 20.0f}},
    {MAP_FIRST, MAP_FIRST, false, true, {100.0f, 0.01f}},
    {MAP_FIRST_SLICED, MAP_FIRST_SLICED, true, true, {0.0f, 1.0f}},
    {MAP_LAST_EVERY_OTHER, MAP_LAST, false, false, {0.0f, 1e-14f}},
    {MAP_LAST, MAP_FIRST, false, true, {0.0f, 0.0f}},
    {MAP_FIRST, MAP_LAST, false, false, {0.0f, 1e6f}},
};

static void build_channel_norm(trial *t, int shape, int variant)
{
    const int64_t *s = map_shapes[shape];
    const norm_variant *v = &norm_variants[variant];
    map_pair pair = place_pair(t, s, v->x, v->y, v->in_place, v->fill,
                               (limits){.relative = 3e-6});
    trial_say(t, "%s spread %g", v->silu ? " silu" : "", (double)v->fill.spread);
    t->args.channel_norm = (pf_channel_norm_args){
        .numerics = t->numerics,
        .x = pair.x,
        .gamma = trial_input(t, "gamma", view_make(1, s)),
        .y = pair.y,
        .silu = v->silu,
    };
}

const kernel_check check_channel_norm = {
    .shapes = MAP_SHAPES,
    .bench_shapes = 1,
    .variants = sizeof norm_variants / sizeof norm_variants[0],
    .build = build_channel_norm,
};

typedef struct snake_variant {
    map_layout x, y;
    bool in_place;
    values x_fill, alpha_fill;
} snake_variant;

static const snake_variant snake_variants[] = {
    {MAP_LAST, MAP_LAST, false, {0.0f, 1.0f}, {1.0f, 0.2f}},
    {MAP_LAST, MAP_LAST, true, {0.0f, 10.0f}, {2.0f, 1.0f}},
    {MAP_FIRST, MAP_FIRST, true, {0.0f, 1.0f}, {-1.0f, 0.2f}},
    {MAP_FIRST, MAP_LAST, false, {3.0f, 2.0f}, {1e-4f, 1e-5f}},
    {MAP_LAST, MAP_FIRST, false, {0.0f, 200.0f}, {3.0f, 1.0f}},
    {MAP_LAST, MAP_LAST, false, {0.0f, 1.0f}, {0.0f, 0.0f}},
};

static void build_snake(trial *t, int shape, int variant)
{
    const snake_variant *v = &snake_variants[variant];
    map_pair pair = place_pair(t, map_shapes[shape], v->x, v->y, v->in_place,
                               v->x_fill, (limits){.relative = 3e-6});
    trial_say(t, " alpha %g", (double)v->alpha_fill.mean);
    t->args.snake = (pf_snake_args){
        .x = pair.x,
        .alpha = trial_place(t, "alpha", view_make(1, map_shapes[shape]), ROLE_INPUT,
                             v->alpha_fill),
        .y = pair.y,
    };
}

const kernel_check check_snake = {
    .shapes = MAP_SHAPES,
    .bench_shapes = 1,
    .variants = sizeof snake_variants / sizeof snake_variants[0],
    .build = build_snake,
};

/* --- upsample ---------------------------------------------------------------------- */

/* Variants: every layout of x with every layout of y. */
static void build_upsample(trial *t, int shape, int variant)
{
    const int64_t *s = map_shapes[shape];
    map_layout x = (map_layout)(variant % MAP_LAYOUTS);
    map_layout y = (map_layout)(variant / MAP_LAYOUTS);
    int64_t out[4] = {s[0], s[1], 2 * s[2], 2 * s[3]};
    say_shape(t, "x", s, x);
    trial_say(t, " y %s", layout_names[y]);
    t->args.upsample = (pf_upsample_args){
        .x = trial_input(t, "x", view_map(x, s)),
        .y = trial_output(t, "y", view_map(y, out), (limits){0}),
    };
}

const kernel_check check_upsample = {
    .shapes = MAP_SHAPES,
    .bench_shapes = 1,
    .variants = MAP_LAYOUTS * MAP_LAYOUTS,
    .build = build_upsample,
};
