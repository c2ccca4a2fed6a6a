/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of norm, rope and lerp_rows: kernels that go row by row. */

#include "trial.h"

/* --- norm ---------------------------------------------------------------------- */

static const int64_t norm_shapes[][2] = {        /* M, C */
    {1, 1}, {1, 3}, {3, 16}, {5, 96}, {7, 130}, {2, 1536}, {33, 257}, {4, 5120},
    {0, 16},
    /* bench */
    {2048, 5120},
};

enum { MODULATE_NOT, MODULATE_ALL, MODULATE_ROWS };
/* Plain; mean 100 and deviation 0.01; all 0; deviation 1e-4, near eps. */
enum { DATA_PLAIN, DATA_OFFSET, DATA_ZERO, DATA_SMALL };

typedef struct norm_variant {
    pf_norm_kind kind;
    bool weight, bias, in_place, strided;
    int modulate, data;
    bool plus;
} norm_variant;

static const norm_variant norm_variants[] = {
    {PF_NORM_LAYER, false, false, false, false, MODULATE_NOT, DATA_PLAIN, false},
    {PF_NORM_RMS, true, false, false, true, MODULATE_NOT, DATA_PLAIN, false},
    {PF_NORM_LAYER, true, true, true, true, MODULATE_NOT, DATA_PLAIN, false},
    {PF_NORM_LAYER, false, false, false, true, MODULATE_ALL, DATA_PLAIN, false},
    {PF_NORM_LAYER, false, false, true, false, MODULATE_ROWS, DATA_PLAIN, false},
    {PF_NORM_LAYER, true, true, false, false, MODULATE_NOT, DATA_OFFSET, false},
    {PF_NORM_LAYER, false, false, true, true, MODULATE_ALL, DATA_OFFSET, false},
    {PF_NORM_RMS, true, false, true, false, MODULATE_NOT, DATA_OFFSET, false},
    {PF_NORM_LAYER, false, true, false, true, MODULATE_NOT, DATA_ZERO, false},
    {PF_NORM_RMS, false, false, false, false, MODULATE_NOT, DATA_ZERO, false},
    {PF_NORM_RMS, true, true, true, true, MODULATE_ROWS, DATA_SMALL, false},
    {PF_NORM_LAYER, true, false, false, false, MODULATE_NOT, DATA_SMALL, false},
    {PF_NORM_LAYER, false, false, false, false, MODULATE_ALL, DATA_PLAIN, true},
    {PF_NORM_LAYER, false, false, false, true, MODULATE_ALL, DATA_PLAIN, true},
    {PF_NORM_LAYER, true, true, false, false, MODULATE_NOT, DATA_PLAIN, true},
    {PF_NORM_RMS, true, false, false, true, MODULATE_ROWS, DATA_PLAIN, true},
};

static const values norm_data[] = {
    {0.3f, 1.0f}, {100.0f, 0.01f}, {0.0f, 0.0f},
    {0.0f, 1e-4f},
};

/* A mean of 100 that is rounded to f32 is off by up to 4e-6, 4e-4 deviations;
 * one pass (mean of squares less square of mean) would be off by far more. */
static limits norm_tolerance(const trial *t, const norm_variant *v)
{
    bool offset = v->data == DATA_OFFSET && v->kind == PF_NORM_LAYER;
    limits result = tolerance_of(t, offset ? 4e-4 : 2e-6);
    if (offset && result.flips > 0.0)
        result.flips = 0.2;
    return result;
}

static pf_tensor modulation(trial *t, const char *name, int kind, const int64_t *s)
{
    return trial_input(t, name, kind == MODULATE_ALL ? view_make(1, &s[1])
                                                     : view_rows(s[0], s[1], 4));
}

static void build_norm(trial *t, int shape, int variant)
{
    static const char *const data_names[] = {"", " mean 100", " zeros", " small"};
    const int64_t *s = norm_shapes[shape];
    const norm_variant *v = &norm_variants[variant];
    pf_tensor x = view_rows(s[0], s[1], v->strided ? 5 : 0);
    limits allowed = norm_tolerance(t, v);
    trial_say(t, " %s M=%lld C=%lld%s%s%s%s%s", v->kind ? "rms" : "layer",
              (long long)s[0], (long long)s[1], v->in_place ? " y=x" : "",
              v->strided ? " strided" : "", v->modulate ? " modulated" : "",
              v->plus ? " plus" : "", data_names[v->data]);
    pf_norm_args *a = &t->args.norm;
    *a = (pf_norm_args){
        .numerics = t->numerics,
        .kind = v->kind,
        .epsilon = 1e-6f,
        .x = trial_place(t, "x", x, v->in_place ? ROLE_INOUT : ROLE_INPUT,
                         norm_data[v->data]),
    };
    if (v->in_place) {
        t->buffers[t->count - 1].allowed = allowed;
        a->y = a->x;
    } else {
        pf_tensor y = view_rows(s[0], s[1], v->strided ? 2 : 0);
        a->y = trial_output(t, "y", view_hidden(t, y), allowed);
    }
    if (v->plus) {
        a->plus = trial_input(t, "plus", view_rows(s[0], s[1], v->strided ? 4 : 0));
        a->sum = trial_output(t, "sum", view_rows(s[0], s[1], 0), tolerance_of(t, 1e-6));
    }
    if (v->weight)
        a->weight = trial_input(t, "weight", view_make(1, &s[1]));
    if (v->bias)
        a->bias = trial_input(t, "bias", view_make(1, &s[1]));
    if (v->modulate) {
        a->shift = modulation(t, "shift", v->modulate, s);
        a->factor = modulation(t, "factor", v->modulate, s);
    }
}

const kernel_check check_norm = {
    .shapes = sizeof norm_shapes / sizeof norm_shapes[0] - 1,
    .bench_shapes = 1,
    .variants = sizeof norm_variants / sizeof norm_variants[0],
    .round = true,
    .hidden = true,
    .build = build_norm,
};

/* --- rope ------------------------------------------------------------------------ */

typedef struct rope_shape {
    int64_t rows;
    int heads;
    int64_t width, rows_per_position;
} rope_shape;

static const rope_shape rope_shapes[] = {
    {1, 1, 2, 1},    {3, 2, 8, 1},    {7, 3, 20, 2},  {33, 2, 128, 1},
    {50, 5, 24, 7},  {13, 1, 12, 13}, {0, 2, 8, 1},   {9, 2, 80, 1},
    {2, 3, 2, 1},
    /* bench */
    {2048, 40, 128, 1},
};

/* Variants: form, strided, three times as many rows as the table has. */
static void build_rope(trial *t, int shape, int variant)
{
    rope_shape s = rope_shapes[shape];
    bool half = variant % 2, strided = variant / 2 % 2, again = variant / 4;
    int64_t positions = (s.rows + s.rows_per_position - 1) / s.rows_per_position + 1;
    if (again)
        s.rows = 3 * positions * s.rows_per_position;
    trial_say(t, " %s L=%lld heads=%d D=%lld rows=%lld%s",
              half ? "half" : "interleaved", (long long)s.rows, s.heads,
              (long long)s.width, (long long)s.rows_per_position,
              strided ? " strided" : "");
    pf_tensor x = view_rows(s.rows, s.heads * s.width, strided ? 6 : 0);
    pf_tensor table = view_rows(positions, s.width / 2, strided ? 1 : 0);
    pf_rope_form form = half ? PF_ROPE_HALF : PF_ROPE_INTERLEAVED;
    t->args.rope = (pf_rope_args){
        .numerics = t->numerics,
        .form = form,
        .x = trial_inout(t, "x", x, tolerance_of(t, 1e-6)),
        .heads = s.heads,
        .table = trial_table(t, form, s.rows_per_position, table),
    };
}

const kernel_check check_rope = {
    .shapes = sizeof rope_shapes / sizeof rope_shapes[0] - 1,
    .bench_shapes = 1,
    .variants = 8,
    .round = true,
    .build = build_rope,
};

/* --- lerp_rows --------------------------------------------------------------------- */

static const int64_t lerp_shapes[][3] = {        /* T, L, C */
    {1, 1, 1}, {1, 5, 3}, {3, 8, 16}, {49, 403, 33}, {8, 3, 130}, {5, 5, 7},
    {2, 0, 4},
    /* bench */
    {49, 403, 1536},
};

static void build_lerp_rows(trial *t, int shape, int variant)
{
    const int64_t *s = lerp_shapes[shape];
    trial_say(t, " T=%lld L=%lld C=%lld%s", (long long)s[0], (long long)s[1],
              (long long)s[2], variant ? " strided" : "");
    pf_tensor y = view_rows(s[1], s[2], variant ? 3 : 0);
    t->args.lerp_rows = (pf_lerp_rows_args){
        .numerics = t->numerics,
        .x = trial_input(t, "x", view_rows(s[0], s[2], variant ? 5 : 0)),
        .y = trial_output(t, "y", y, tolerance_of(t, 1e-5)),
    };
}

const kernel_check check_lerp_rows = {
    .shapes = sizeof lerp_shapes / sizeof lerp_shapes[0] - 1,
    .bench_shapes = 1,
    .variants = 2,
    .round = true,
    .build = build_lerp_rows,
};
