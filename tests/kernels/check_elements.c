/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of the kernels that go element by element: unary, binary, copy, fill,
 * guidance and step.
 */
#include "trial.h"

/* --- shapes of any rank and stride ------------------------------------------------ */

typedef struct element_shape {
    int rank;
    int64_t shape[5];
} element_shape;

static const element_shape element_shapes[] = {
    {1, {1}},          {1, {5}},           {1, {4099}},  {2, {3, 17}},
    {2, {64, 33}},     {3, {3, 1, 130}},   {4, {16, 2, 5, 7}},
    {5, {2, 3, 4, 5, 6}}, {2, {0, 8}},     {0, {0}},     {1, {40001}},
    /* bench */
    {2, {2048, 5120}},
};

enum { ELEMENT_SHAPES = sizeof element_shapes / sizeof element_shapes[0] - 1 };

/* Row-major; with gaps between the innermost rows; with the axes in reverse order
 * in memory; every second element. */
typedef enum lie {
    LIE_PLAIN,
    LIE_GAPS,
    LIE_REVERSED,
    LIE_EVERY_SECOND
} lie;

static const char *const lie_names[] = {"plain", "gaps", "reversed", "every-second"};

static pf_tensor view_lying(const element_shape *s, lie how)
{
    pf_tensor view = view_make(s->rank, s->shape);
    int64_t stride = how == LIE_EVERY_SECOND ? 2 : 1;
    for (int n = 0; n < s->rank; n++) {
        int i = how == LIE_REVERSED ? n : s->rank - 1 - n;
        view.stride[i] = stride;
        stride = stride * s->shape[i] + (how == LIE_GAPS && n == 0 ? 3 : 0);
    }
    return view;
}

static void say_element_shape(trial *t, const element_shape *s)
{
    trial_say(t, " [");
    for (int i = 0; i < s->rank; i++)
        trial_say(t, i ? " %lld" : "%lld", (long long)s->shape[i]);
    trial_say(t, "]");
}

/* --- unary ------------------------------------------------------------------------ */

typedef struct unary_variant {
    pf_unary kind;
    lie x, y;
    bool in_place;
    values fill;
} unary_variant;

static const unary_variant unary_variants[] = {
    {PF_UNARY_SILU, LIE_PLAIN, LIE_PLAIN, false, {0.0f, 3.0f}},
    {PF_UNARY_SILU, LIE_GAPS, LIE_GAPS, true, {0.0f, 80.0f}},
    {PF_UNARY_TANH, LIE_PLAIN, LIE_PLAIN, true, {0.0f, 1.0f}},
    {PF_UNARY_TANH, LIE_GAPS, LIE_PLAIN, false, {0.0f, 30.0f}},
    {PF_UNARY_TANH, LIE_REVERSED, LIE_PLAIN, false, {0.0f, 1e-3f}},
    {PF_UNARY_AFFINE, LIE_PLAIN, LIE_REVERSED, false, {0.2f, 2.0f}},
    {PF_UNARY_AFFINE, LIE_PLAIN, LIE_PLAIN, true, {0.0f, 1.0f}},
    {PF_UNARY_AFFINE, LIE_EVERY_SECOND, LIE_GAPS, false, {5.0f, 1.0f}},
    {PF_UNARY_ROUND_BF16, LIE_PLAIN, LIE_PLAIN, true, {0.0f, 100.0f}},
    {PF_UNARY_ROUND_BF16, LIE_GAPS, LIE_EVERY_SECOND, false, {0.0f, 1.0f}},
};

static void build_unary(trial *t, int shape, int variant)
{
    static const char *const names[] = {"silu", "tanh", "affine", "round"};
    const element_shape *s = &element_shapes[shape];
    const unary_variant *v = &unary_variants[variant];
    bool exact = v->kind != PF_UNARY_SILU && v->kind != PF_UNARY_TANH;
    limits allowed = exact ? (limits){0} : tolerance_of(t, 1e-6);
    pf_unary_args *a = &t->args.unary;
    trial_say(t, " %s", names[v->kind]);
    say_element_shape(t, s);
    *a = (pf_unary_args){
        .numerics = t->numerics,
        .kind = v->kind,
        .a = 1.37f,
        .b = 0.81f,
        .x = trial_place(t, "x", view_lying(s, v->x),
                         v->in_place ? ROLE_INOUT : ROLE_INPUT, v->fill),
    };
    t->buffers[t->count - 1].allowed = allowed;
    a->y = v->in_place ? a->x
                       : trial_output(t, "y", view_lying(s, v->y), allowed);
    trial_say(t, " %s -> %s", lie_names[v->x],
              v->in_place ? "x" : lie_names[v->y]);
}

const kernel_check check_unary = {
    .shapes = ELEMENT_SHAPES,
    .bench_shapes = 1,
    .variants = sizeof unary_variants / sizeof unary_variants[0],
    .round = true,
    .build = build_unary,
};

/* --- add -------------------------------------------------------------------------- */

enum { REPEAT_NOT, REPEAT_FIRST_AXIS, REPEAT_LAST_AXIS };
enum { INTO_OWN, INTO_A, INTO_B };

typedef struct add_variant {
    lie a, b, y;
    int repeat;                         /* of b */
    int into;
} add_variant;

static const add_variant add_variants[] = {
    {LIE_PLAIN, LIE_PLAIN, LIE_PLAIN, REPEAT_NOT, INTO_OWN},
    {LIE_PLAIN, LIE_PLAIN, LIE_PLAIN, REPEAT_FIRST_AXIS, INTO_A},
    {LIE_PLAIN, LIE_PLAIN, LIE_PLAIN, REPEAT_NOT, INTO_B},
    {LIE_GAPS, LIE_PLAIN, LIE_PLAIN, REPEAT_LAST_AXIS, INTO_OWN},
    {LIE_PLAIN, LIE_REVERSED, LIE_GAPS, REPEAT_NOT, INTO_OWN},
    {LIE_REVERSED, LIE_GAPS, LIE_EVERY_SECOND, REPEAT_FIRST_AXIS, INTO_A},
};

static void build_add(trial *t, int shape, int variant)
{
    const element_shape *s = &element_shapes[shape];
    const add_variant *v = &add_variants[variant];
    pf_tensor b = view_lying(s, v->b);
    if (s->rank > 0 && v->repeat != REPEAT_NOT)
        b.stride[v->repeat == REPEAT_FIRST_AXIS ? 0 : s->rank - 1] = 0;
    pf_add_args *args = &t->args.add;
    say_element_shape(t, s);
    *args = (pf_add_args){
        .numerics = t->numerics,
        .a = trial_place(t, "a", view_lying(s, v->a),
                         v->into == INTO_A ? ROLE_INOUT : ROLE_INPUT, NORMAL),
        .b = trial_place(t, "b", b, v->into == INTO_B ? ROLE_INOUT : ROLE_INPUT,
                         NORMAL),
    };
    args->y = v->into == INTO_A   ? args->a
              : v->into == INTO_B ? args->b
                                  : trial_output(t, "y", view_lying(s, v->y),
                                                 (limits){0});
    trial_say(t, " %s %s repeat%d into%d", lie_names[v->a], lie_names[v->b],
              v->repeat, v->into);
}

const kernel_check check_add = {
    .shapes = ELEMENT_SHAPES,
    .bench_shapes = 1,
    .variants = sizeof add_variants / sizeof add_variants[0],
    .round = true,
    .build = build_add,
};

/* --- copy and fill ------------------------------------------------------------------ */

/* Variants: every way to lie into every way. */
static void build_copy(trial *t, int shape, int variant)
{
    const element_shape *s = &element_shapes[shape];
    lie from = (lie)(variant % 4), to = (lie)(variant / 4);
    say_element_shape(t, s);
    trial_say(t, " %s -> %s", lie_names[from], lie_names[to]);
    t->args.copy = (pf_copy_args){
        .numerics = t->numerics,
        .from = trial_input(t, "from", view_lying(s, from)),
        .to = trial_output(t, "to", view_lying(s, to), (limits){0}),
    };
}

const kernel_check check_copy = {
    .shapes = ELEMENT_SHAPES,
    .bench_shapes = 1,
    .variants = 16,
    .round = true,
    .build = build_copy,
};

static void build_fill(trial *t, int shape, int variant)
{
    const element_shape *s = &element_shapes[shape];
    say_element_shape(t, s);
    trial_say(t, " %s", lie_names[variant]);
    t->args.fill = (pf_fill_args){
        .value = -0.1f,
        .y = trial_output(t, "y", view_lying(s, (lie)variant), (limits){0}),
    };
}

const kernel_check check_fill = {
    .shapes = ELEMENT_SHAPES,
    .bench_shapes = 1,
    .variants = 4,
    .build = build_fill,
};

/* --- the sampler -------------------------------------------------------------------- */

static const int64_t counts[] = {
    2, 17, 1000, 4099, 40001, 0, 1,
    /* bench */
    2759680,
};

/* Memory of v: its own, or that of an input. */
enum { V_OWN, V_POSITIVE, V_NEGATIVE, V_BRIDGE_OFF };

typedef struct guidance_variant {
    bool three, rescale;
    int v;
} guidance_variant;

static const guidance_variant guidance_variants[] = {
    {false, false, V_OWN},     {false, false, V_POSITIVE}, {false, true, V_OWN},
    {false, true, V_POSITIVE}, {true, false, V_OWN},       {true, false, V_NEGATIVE},
    {true, true, V_BRIDGE_OFF}, {true, true, V_POSITIVE},
};

/* The rescaled result divides by deviations, which may be summed in any order; all
 * else must be exact.  Fewer than two values have no deviation. */
static void build_guidance(trial *t, int shape, int variant)
{
    const guidance_variant *v = &guidance_variants[variant];
    int64_t n = counts[shape];
    bool rescale = v->rescale && n > 1;
    limits allowed = {.relative = rescale ? 1e-6 : 0.0};
    static const char *const names[] = {NULL, "positive", "negative", "bridge_off"};
    pf_tensor input[4] = {{0}};
    for (int i = 1; i < (v->three ? 4 : 3); i++)
        input[i] = i == v->v ? trial_inout(t, names[i], view_make(1, &n), allowed)
                             : trial_input(t, names[i], view_make(1, &n));
    t->args.guidance = (pf_guidance_args){
        .bridge_off = input[V_BRIDGE_OFF],
        .negative = input[V_NEGATIVE],
        .positive = input[V_POSITIVE],
        .bridge_scale = 1.7f,
        .scale = 4.9f,
        .rescale = rescale ? 0.7f : 0.0f,
        .v = v->v ? input[v->v]
                  : trial_output(t, "v", view_make(1, &n), allowed),
    };
    trial_say(t, " %lld %s%s v=%s", (long long)n, v->three ? "three" : "two",
              rescale ? " rescaled" : "", v->v ? names[v->v] : "own");
}

const kernel_check check_guidance = {
    .shapes = sizeof counts / sizeof counts[0] - 1,
    .bench_shapes = 1,
    .variants = sizeof guidance_variants / sizeof guidance_variants[0],
    .build = build_guidance,
};

static void build_step(trial *t, int shape, int variant)
{
    int64_t n = counts[shape];
    trial_say(t, " %lld", (long long)n);
    t->args.step = (pf_step_args){
        .x = trial_inout(t, "x", view_make(1, &n), (limits){0}),
        .v = trial_input(t, "v", view_make(1, &n)),
        .delta = trial_input(t, "delta", view_make(1, (int64_t[]){1})),
    };
    if (variant == 0) {
        buffer *delta = &t->buffers[t->count - 1];
        delta->before[delta->first] = 0.0f;
        trial_upload(t, delta);
    }
}

const kernel_check check_step = {
    .shapes = sizeof counts / sizeof counts[0] - 1,
    .bench_shapes = 1,
    .variants = 2,
    .build = build_step,
};
