/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this machine against its ceilings.  See phonofilm_tools.h "bench".
 *
 * Each round runs the ceiling loops and then the kernel, so that both see the machine
 * in the same state (clock, heat, neighbours); the medians of the rounds are compared.
 * Shapes are those of MOVA's layers; values are noise, as zeros may be multiplied faster.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/sized.h"
#include "ops/ops.h"
#include "phonofilm_tools.h"

enum { ROUNDS = 5 };

static const double ceiling_seconds = 0.03, kernel_seconds = 0.25;

typedef struct bench_case {
    const char *op;
    pf_multiply multiply;
    int rank;
    int64_t shape[5];
} bench_case;

/* linear: M, K, N.  attention: heads, L, head dim.  conv3d: channels, F, H, W. */
static const bench_case cases[] = {
    {"linear", PF_MULTIPLY_BF16, 3, {2048, 5120, 5120}},
    {"linear", PF_MULTIPLY_BF16, 3, {880, 1536, 1536}},
    {"linear", PF_MULTIPLY_F32, 3, {2048, 5120, 5120}},
    {"linear", PF_MULTIPLY_F32, 3, {880, 1536, 1536}},
    {"attention", PF_MULTIPLY_BF16, 3, {12, 880, 128}},
    {"attention", PF_MULTIPLY_BF16, 3, {12, 4096, 128}},
    {"attention", PF_MULTIPLY_F32, 3, {12, 4096, 128}},
    {"conv3d", PF_MULTIPLY_BF16, 4, {96, 5, 44, 80}},
    {"conv3d", PF_MULTIPLY_BF16, 4, {384, 5, 44, 80}},
    {"conv3d", PF_MULTIPLY_F32, 4, {96, 5, 44, 80}},
    {"conv3d", PF_MULTIPLY_F32, 4, {384, 5, 44, 80}},
};

/* A case at work. */
typedef struct bench_run {
    const bench_case *spec;
    pf_ops ops;
    pf_weight weight;
    pf_tensor x, y, q, k, v;
    void *source;                       /* of the weight */
} bench_run;

/* --- data ------------------------------------------------------------------------- */

static float noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) * 0x1p-23f - 1.0f;
}

static pf_status fill(pf_ops *ops, const pf_tensor *tensor)
{
    pf_tensor flat = *tensor;
    int64_t count = pf_tensor_count(&flat);
    uint32_t state = 7;
    float *values = pf_alloc((size_t)count * sizeof *values);
    if (!values)
        return pf_fail_memory(ops->error, "bench", (size_t)count * 4);
    for (int64_t i = 0; i < count; i++)
        values[i] = noise(&state);
    pf_status status = pf_ops_upload(ops, &flat, values);
    pf_free(values);
    return status;
}

/* BF16, as models have them, or F32 with PF_MULTIPLY_F32. */
static pf_status make_weight(bench_run *r, pf_weight_kind kind, int rank,
                             const int64_t *shape)
{
    bool wide = r->spec->multiply == PF_MULTIPLY_F32;
    pf_tensor source = pf_tensor_make(NULL, wide ? PF_F32 : PF_BF16, rank, shape);
    int64_t count = pf_tensor_count(&source);
    uint32_t state = 11;
    r->source = source.data = pf_alloc((size_t)pf_tensor_bytes(&source));
    if (!r->source)
        return pf_fail_memory(r->ops.error, "bench",
                              (unsigned long long)pf_tensor_bytes(&source));
    for (int64_t i = 0; i < count; i++) {
        float value = 0.05f * noise(&state);
        pf_from_f32(&value, 1, (char *)r->source + pf_dtype_bytes(source.dtype, i),
                    source.dtype);
    }
    pf_platform *platform = r->ops.platform;
    pf_weight_source weight = {.kind = kind, .values = source};
    return platform->table.weight_fill(platform, &weight, r->spec->multiply, NULL,
                                       &r->weight, r->ops.error);
}

/* --- the three operations ----------------------------------------------------------- */

static pf_status prepare(bench_run *r)
{
    const int64_t *s = r->spec->shape;
    if (strcmp(r->spec->op, "linear") == 0) {
        PF_TRY(pf_ops_matrix(&r->ops, s[0], s[1], &r->x));
        PF_TRY(pf_ops_matrix(&r->ops, s[0], s[2], &r->y));
        PF_TRY(fill(&r->ops, &r->x));
        return make_weight(r, PF_WEIGHT_LINEAR, 2, (int64_t[]){s[2], s[1]});
    }
    if (strcmp(r->spec->op, "attention") == 0) {
        pf_tensor *const list[] = {&r->q, &r->k, &r->v, &r->y};
        for (int i = 0; i < 4; i++) {
            PF_TRY(pf_ops_matrix(&r->ops, s[1], s[0] * s[2], list[i]));
            PF_TRY(fill(&r->ops, list[i]));
        }
        return PF_OK;
    }
    PF_TRY(pf_ops_map(&r->ops, s[0], s[1] + 2, s[2], s[3], &r->x));
    PF_TRY(pf_ops_map(&r->ops, s[0], s[1], s[2], s[3], &r->y));
    PF_TRY(fill(&r->ops, &r->x));
    return make_weight(r, PF_WEIGHT_CONV, 5, (int64_t[]){s[0], s[0], 3, 3, 3});
}

static pf_status run_once(bench_run *r)
{
    const int64_t *s = r->spec->shape;
    if (strcmp(r->spec->op, "linear") == 0)
        return pf_op_linear(&r->ops, &(pf_linear_args){
            .x = r->x, .weight = &r->weight, .y = r->y});
    if (strcmp(r->spec->op, "attention") == 0)
        return pf_op_attention(&r->ops, &(pf_attention_args){
            .q = r->q, .k = r->k, .v = r->v, .heads = (int)s[0], .scale = 0.088f,
            .out = r->y});
    return pf_op_conv(&r->ops, &(pf_conv_args){
        .x = r->x, .weight = &r->weight, .stride = {1, 1, 1}, .dilation = {1, 1, 1},
        .pad_front = {0, 1, 1}, .y = r->y});
}

/* --- measuring ---------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

/* Repeats until the kernel has run long enough: 1e9 operations a second. */
static pf_status measure(bench_run *r, double *gflops)
{
    double started = pf_seconds(), seconds;
    double before = r->ops.cost.flops;
    do {
        PF_TRY(run_once(r));
        seconds = pf_seconds() - started;
    } while (seconds < kernel_seconds);
    *gflops = (r->ops.cost.flops - before) / seconds * 1e-9;
    return PF_OK;
}

static bool is_attention(const bench_case *spec)
{
    return strcmp(spec->op, "attention") == 0;
}

/* ROUNDS rounds of one case.  The ceiling that a row is compared with is that of the number
 * format in which its products are made. */
static pf_status run_rounds(bench_run *r, pf_bench_row *row, pf_bench_report *out)
{
    double speed[ROUNDS], f32[ROUNDS], bf16[ROUNDS], int8[ROUNDS];
    pf_platform *platform = r->ops.platform;
    PF_TRY(prepare(r));
    PF_TRY(run_once(r));                        /* warms caches and scratch */
    for (int i = 0; i < ROUNDS; i++) {
        pf_ceilings c = {0};
        PF_TRY(platform->table.ceilings(platform, ceiling_seconds, &c, r->ops.error));
        PF_TRY(measure(r, &speed[i]));
        f32[i] = c.f32;
        bf16[i] = c.bf16;
        int8[i] = c.int8;
    }
    out->f32 = median(f32, ROUNDS);
    out->bf16 = median(bf16, ROUNDS);
    out->int8 = median(int8, ROUNDS);
    bool fast = r->spec->multiply == PF_MULTIPLY_BF16, halves = fast && out->bf16 > 0;
    double ceiling = halves ? out->bf16 : out->f32;
    bool has_bf16 = is_attention(r->spec) ? halves : fast;
    row->gflops = median(speed, ROUNDS);
    row->fraction = ceiling > 0 ? row->gflops / ceiling : 0;
    snprintf(row->dtype, sizeof row->dtype, "%s", has_bf16 ? "bf16" : "f32");
    return PF_OK;
}

static pf_status bench_one(pf_platform *platform, const bench_case *spec,
                           pf_bench_report *out, pf_error *error)
{
    bench_run r = {.spec = spec};
    pf_bench_row *row = &out->rows[out->row_count];
    *row = (pf_bench_row){.rank = spec->rank};
    snprintf(row->op, sizeof row->op, "%s", spec->op);
    snprintf(row->isa, sizeof row->isa, "%s", platform->capabilities.isa);
    memcpy(row->shape, spec->shape, sizeof spec->shape);
    pf_ops_init(&r.ops, platform, (pf_numerics){spec->multiply, false}, false, error);
    pf_status status = run_rounds(&r, row, out);
    if (r.source)
        platform->table.weight_release(platform, &r.weight);
    pf_free(r.source);
    pf_ops_release(&r.ops);
    if (status == PF_OK)
        out->row_count++;
    return status;
}

/* Attention has no weights: without a bf16 multiply FAST is F32 once more, and is not
 * measured twice. */
static bool is_worth(const pf_platform *platform, const bench_case *spec)
{
    bool halves = platform->capabilities.multiplies >> PF_MULTIPLY_BF16 & 1u;
    return halves || !is_attention(spec) || spec->multiply == PF_MULTIPLY_F32 ||
           spec->shape[1] < 4096;
}

static pf_status bench_on(pf_platform *platform, const char *op, pf_bench_report *out,
                          pf_error *error)
{
    snprintf(out->cpu, sizeof out->cpu, "%s", platform->capabilities.device);
    snprintf(out->isa, sizeof out->isa, "%s", platform->capabilities.isa);
    out->threads = platform->capabilities.threads;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if ((!op || strcmp(op, cases[i].op) == 0) && is_worth(platform, &cases[i]))
            PF_TRY(bench_one(platform, &cases[i], out, error));
    if (out->row_count == 0)
        return pf_fail(error, PF_E_ARGUMENT,
                       "op is %s, but must be linear, attention or conv3d", op);
    return PF_OK;
}

pf_status pf_bench(const pf_bench_options *options, pf_bench_report *out,
                   pf_error *error)
{
    pf_platform *platform = NULL;
    pf_bench_report report = PF_INIT(pf_bench_report);
    pf_platform_options wanted = {.name = options->platform, .isa = options->isa,
                                  .threads = options->threads, .device = options->device};
    PF_TRY(pf_sized_check(out, sizeof out->size + 1, "pf_bench_report", error));
    PF_TRY(pf_platform_open(&wanted, &platform, error));
    pf_status status = bench_on(platform, options->op, &report, error);
    pf_platform_close(platform);
    pf_sized_give(out, &report, sizeof report);
    return status;
}
