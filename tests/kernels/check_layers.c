/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of project, attend and feed_forward: layers of several kernels. */
#include <math.h>

#include "trial.h"

/* Errors of one kernel go through the next: several times one product's, and where
 * results are rounded, roundings fall on the other side more often. */
static limits tolerance_of_layers(const trial *t)
{
    limits result = tolerance_of_products(t);
    result.relative *= 3.0;
    if (result.cosine > 0.0)
        result.cosine = 0.9995;
    if (result.flips > 0.0)
        result.flips = 0.4;
    return result;
}

static pf_projection projection(trial *t, int64_t n, int64_t k, bool bias)
{
    pf_projection p = {.weight = trial_weight(t, PF_WEIGHT_LINEAR, trial_host_tensor(
        t, PF_BF16, 2, (int64_t[]){n, k}, 1.0f / sqrtf((float)k), false))};
    if (bias)
        p.bias = trial_input(t, "bias", view_make(1, &n));
    return p;
}

/* A table for half of the rows of a group where it can be: two rows use each entry. */
static pf_rope_table table_for(trial *t, pf_rope_form form, int64_t rows,
                               int64_t width)
{
    int64_t each = form == PF_ROPE_HALF && rows % 2 == 0 ? 2 : 1;
    int64_t positions = rows / each > 0 ? rows / each : 1;
    return trial_table(t, form, each, view_rows(positions, width / 2, 0));
}

/* The last layer adds to nothing, to another matrix, or, with a gate, to y itself. */
enum { END_PLAIN, END_RESIDUAL, END_GATED };

/* --- project ----------------------------------------------------------------------- */

typedef struct project_shape {
    int64_t rows, k;
    int heads;
    int64_t width;
} project_shape;

static const project_shape project_shapes[] = {
    {1, 3, 1, 2},      {7, 20, 2, 16},   {20, 96, 3, 32},  {9, 33, 2, 24},
    {33, 64, 1, 128},  {0, 8, 2, 16},    {65, 64, 4, 16},
    /* bench */
    {880, 1536, 12, 128},
};

typedef struct project_variant {
    bool bias, norm, table, strided;
    pf_rope_form form;
} project_variant;

static const project_variant project_variants[] = {
    {.bias = true, .norm = true, .table = true, .form = PF_ROPE_INTERLEAVED},
    {.norm = true, .table = true, .strided = true, .form = PF_ROPE_HALF},
    {.bias = true, .norm = true, .strided = true},
    {.bias = true, .table = true, .form = PF_ROPE_HALF},
    {.strided = true},
};

static void build_project(trial *t, int shape, int variant)
{
    const project_shape *s = &project_shapes[shape];
    const project_variant *v = &project_variants[variant];
    int64_t columns = s->heads * s->width;
    trial_say(t, " L=%lld K=%lld heads=%d D=%lld%s%s%s", (long long)s->rows,
              (long long)s->k, s->heads, (long long)s->width, v->norm ? " norm" : "",
              v->table ? " table" : "", v->strided ? " strided" : "");
    pf_project_args *a = &t->args.project;
    *a = (pf_project_args){
        .numerics = t->numerics, .epsilon = 1e-6f, .form = v->form, .heads = s->heads};
    pf_tensor y = view_rows(s->rows, columns, v->strided ? 3 : 0);
    a->x = trial_input(t, "x", view_hidden(t, view_rows(s->rows, s->k, v->strided ? 5 : 0)));
    a->by = projection(t, columns, s->k, v->bias);
    if (v->norm)
        a->by.norm = trial_input(t, "norm", view_make(1, &columns));
    if (v->table)
        a->by.table = table_for(t, v->form, s->rows, s->width);
    a->y = trial_output(t, "y", view_hidden(t, y), tolerance_of_layers(t));
    a->scratch = trial_scratch(t, PF_KERNEL_project, a);
    t->flops = 2.0 * (double)(s->rows * columns * s->k);
}

const kernel_check check_project = {
    .shapes = sizeof project_shapes / sizeof project_shapes[0] - 1,
    .bench_shapes = 1,
    .variants = sizeof project_variants / sizeof project_variants[0],
    .multiply = PF_MULTIPLY_BF16,
    .round = true,
    .hidden = true,
    .build = build_project,
};

/* --- attend ------------------------------------------------------------------------ */

typedef struct attend_shape {
    int heads;
    int64_t width, queries, keys;       /* of a group */
    int64_t c, k, n;                    /* columns of x, condition, y */
} attend_shape;

static const attend_shape attend_shapes[] = {
    {1, 2, 1, 1, 3, 2, 5},         {2, 16, 7, 12, 20, 33, 32}, {3, 32, 20, 5, 96, 40, 96},
    {2, 24, 9, 30, 48, 16, 48},    {1, 128, 33, 40, 64, 96, 128}, {2, 16, 0, 4, 8, 8, 32},
    {4, 16, 65, 17, 64, 64, 64},
    /* bench */
    {12, 128, 880, 880, 1536, 1536, 1536},
};

/* Looks at itself, at something else, or at keys that are there. */
enum { LOOK_SELF, LOOK_OTHER, LOOK_KEPT };

typedef struct attend_variant {
    int look, groups, end;
    bool norm, table, bias, strided;
    pf_rope_form form;
} attend_variant;

static const attend_variant attend_variants[] = {
    {LOOK_SELF, 1, END_GATED, true, true, true, false, PF_ROPE_INTERLEAVED},
    {LOOK_OTHER, 1, END_PLAIN, true, true, true, true, PF_ROPE_HALF},
    {LOOK_KEPT, 1, END_RESIDUAL, true, false, true, false, PF_ROPE_INTERLEAVED},
    {LOOK_SELF, 2, END_GATED, true, true, true, false, PF_ROPE_INTERLEAVED},
    {LOOK_OTHER, 2, END_PLAIN, true, true, false, false, PF_ROPE_HALF},
    {LOOK_KEPT, 3, END_RESIDUAL, true, false, true, true, PF_ROPE_INTERLEAVED},
    {LOOK_OTHER, 4, END_PLAIN, false, false, true, true, PF_ROPE_HALF},
    {LOOK_SELF, 1, END_RESIDUAL, false, true, false, false, PF_ROPE_HALF},
    {LOOK_SELF, 2, END_PLAIN, true, false, true, false, PF_ROPE_HALF},
};

static void place_keys(trial *t, const attend_shape *s, const attend_variant *v,
                       pf_attend_args *a)
{
    int64_t columns = s->heads * s->width, keys = v->groups * s->keys;
    if (v->look == LOOK_KEPT) {
        pf_tensor kept = view_make(3, (int64_t[]){2, keys, columns});
        kept.stride[0] += v->strided ? 64 : 0;
        a->kept = trial_input(t, "kept", kept);
        return;
    }
    pf_tensor condition = view_rows(keys, s->k, 0);
    a->condition = v->look == LOOK_SELF
                       ? a->x : trial_input(t, "condition", view_hidden(t, condition));
    a->k = projection(t, columns, a->condition.shape[1], v->bias);
    a->v = projection(t, columns, a->condition.shape[1], v->bias);
    if (v->norm)
        a->k.norm = trial_input(t, "norm k", view_make(1, &columns));
    if (v->table)
        a->k.table = v->look == LOOK_SELF
                         ? a->q.table : table_for(t, v->form, s->keys, s->width);
}

static void place_queries(trial *t, const attend_shape *s, const attend_variant *v,
                          pf_attend_args *a)
{
    int64_t columns = s->heads * s->width, queries = v->groups * s->queries;
    pf_tensor x = view_hidden(t, view_rows(queries, s->c, v->strided ? 5 : 0));
    a->x = v->look == LOOK_SELF ? trial_place(t, "x", x, ROLE_LOST, NORMAL)
                                : trial_input(t, "x", x);
    a->q = projection(t, columns, s->c, v->bias);
    if (v->norm)
        a->q.norm = trial_input(t, "norm q", view_make(1, &columns));
    if (v->table)
        a->q.table = table_for(t, v->form, s->queries, s->width);
}

static void place_end(trial *t, int end, pf_tensor view, pf_tensor *y,
                      pf_tensor *residual, pf_tensor *gate)
{
    limits allowed = tolerance_of_layers(t);
    *y = end == END_GATED ? trial_inout(t, "y", view, allowed)
                          : trial_output(t, "y", view, allowed);
    if (end == END_GATED) {
        *residual = *y;
        *gate = trial_input(t, "gate", view_make(1, &view.shape[1]));
    }
    if (end == END_RESIDUAL)
        *residual = trial_input(t, "residual", view);
}

static void build_attend(trial *t, int shape, int variant)
{
    attend_shape s = attend_shapes[shape];
    const attend_variant *v = &attend_variants[variant];
    int64_t columns = s.heads * s.width;
    if (v->look == LOOK_SELF) {
        s.c = columns;
        s.keys = s.queries;
    }
    int64_t queries = v->groups * s.queries, keys = v->groups * s.keys;
    trial_say(t, " look=%d groups=%d heads=%d D=%lld Lq=%lld Lk=%lld", v->look,
              v->groups, s.heads, (long long)s.width, (long long)s.queries,
              (long long)s.keys);
    pf_attend_args *a = &t->args.attend;
    *a = (pf_attend_args){
        .numerics = t->numerics, .epsilon = 1e-6f, .form = v->form, .heads = s.heads,
        .groups = v->groups, .scale = 1.0f / sqrtf((float)s.width)};
    place_queries(t, &s, v, a);
    place_keys(t, &s, v, a);
    a->out = projection(t, s.n, columns, v->bias);
    a->x_is_spent = v->look == LOOK_SELF;
    place_end(t, v->end, view_rows(queries, s.n, v->strided ? 3 : 0), &a->y, &a->residual,
              &a->gate);
    a->scratch = trial_scratch(t, PF_KERNEL_attend, a);
    t->flops = 2.0 * (double)(queries * columns * (s.c + s.n) + 2 * keys * columns * s.k) +
               4.0 * (double)(queries * s.keys * columns);
}

const kernel_check check_attend = {
    .shapes = sizeof attend_shapes / sizeof attend_shapes[0] - 1,
    .bench_shapes = 1,
    .variants = sizeof attend_variants / sizeof attend_variants[0],
    .multiply = PF_MULTIPLY_BF16,
    .round = true,
    .hidden = true,
    .build = build_attend,
};

/* --- feed_forward ------------------------------------------------------------------- */

static const int64_t feed_shapes[][4] = {        /* M, C, F, N */
    {1, 1, 1, 1}, {3, 16, 40, 16}, {33, 48, 130, 48}, {5, 7, 9, 11}, {0, 8, 8, 8},
    {64, 64, 96, 64},
    /* bench */
    {880, 1536, 8960, 1536},
};

typedef struct feed_variant {
    pf_activation activation;
    int end;
    bool bias, strided;
} feed_variant;

static const feed_variant feed_variants[] = {
    {PF_ACTIVATION_GELU_TANH, END_GATED, true, false},
    {PF_ACTIVATION_GELU_TANH, END_PLAIN, false, true},
    {PF_ACTIVATION_SILU, END_RESIDUAL, true, true},
    {PF_ACTIVATION_NONE, END_GATED, true, false},
};

static void build_feed_forward(trial *t, int shape, int variant)
{
    const int64_t *s = feed_shapes[shape];
    const feed_variant *v = &feed_variants[variant];
    trial_say(t, " M=%lld C=%lld F=%lld N=%lld act=%d end=%d", (long long)s[0],
              (long long)s[1], (long long)s[2], (long long)s[3], v->activation, v->end);
    pf_feed_forward_args *a = &t->args.feed_forward;
    *a = (pf_feed_forward_args){.numerics = t->numerics, .activation = v->activation};
    a->x = trial_input(t, "x", view_hidden(t, view_rows(s[0], s[1], v->strided ? 3 : 0)));
    a->in = projection(t, s[2], s[1], v->bias);
    a->out = projection(t, s[3], s[2], v->bias);
    place_end(t, v->end, view_rows(s[0], s[3], v->strided ? 2 : 0), &a->y, &a->residual,
              &a->gate);
    a->scratch = trial_scratch(t, PF_KERNEL_feed_forward, a);
    t->flops = 2.0 * (double)(s[0] * s[2] * (s[1] + s[3]));
}

const kernel_check check_feed_forward = {
    .shapes = sizeof feed_shapes / sizeof feed_shapes[0] - 1,
    .bench_shapes = 1,
    .variants = sizeof feed_variants / sizeof feed_variants[0],
    .multiply = PF_MULTIPLY_BF16,
    .round = true,
    .hidden = true,
    .build = build_feed_forward,
};
