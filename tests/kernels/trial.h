/* SPDX-License-Identifier: Apache-2.0 */
/* A call of a kernel on a platform: its tensors, what surrounds them, and
 * how near the result must come to the reference's.
 *
 * A trial is built from a case number and a seed alone, so that the same case can
 * be built for every platform.  Elements that belong to no tensor (guard zones in
 * front and behind, gaps between strided rows) hold a NaN of a known pattern: a
 * kernel that writes there is found by the pattern, one that reads there by the
 * NaN in its result.  Outputs are NaN before the call.
 *
 * On a platform whose activations are bf16, tensors that are [hidden] (kernels.h) lie in
 * memory as bf16, and the reference computes in f32 from the same values.
 */
#ifndef PF_TESTS_KERNELS_TRIAL_H
#define PF_TESTS_KERNELS_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/platform.h"

/* --- random numbers (splitmix64) -------------------------------------------- */

typedef struct prng {
    uint64_t state;
} prng;

uint64_t prng_next(prng *r);
int64_t prng_below(prng *r, int64_t limit);
float prng_normal(prng *r);             /* mean 0, deviation 1, within +-3.5 */

/* --- how near ---------------------------------------------------------------- */

/* |found - expected| <= relative * max(max |expected|, floor) for every value;
 * `flips` is the share of values that may miss that by one bf16 step of the
 * maximum, where a rounding fell on the other side. */
typedef struct limits {
    double relative, floor;
    double cosine;                      /* at least; 0: not asked */
    double flips;
} limits;

/* --- tensors ------------------------------------------------------------------ */

typedef enum role {
    ROLE_INPUT,                         /* must not change */
    ROLE_OUTPUT,                        /* NaN before, compared after */
    ROLE_INOUT,                         /* values before, compared after */
    ROLE_WORK,                          /* NaN before, anything after */
    ROLE_LOST                           /* values before, anything after */
} buffer_role;

/* mean + spread * normal. */
typedef struct values {
    float mean, spread;
} values;

static const values NORMAL = {0.0f, 1.0f};

typedef struct buffer {
    const char *name;
    buffer_role role;
    pf_tensor view;                     /* data: device address */
    void *device;
    int64_t count, first;               /* elements in all; where the view begins */
    float *before, *after;              /* [count] host */
    unsigned char *inside;              /* [count] 1: belongs to the view */
    limits allowed;
} buffer;

/* Host memory that ends at a page that may not be touched. */
typedef struct host_block {
    void *pages;
    size_t bytes;
} host_block;

enum { TRIAL_BUFFERS = 24, TRIAL_BLOCKS = 4, TRIAL_WEIGHTS = 4 };

typedef union kernel_args {
#define KERNEL_ARGS_MEMBER(slot, type) type slot;
    PF_KERNEL_LIST(KERNEL_ARGS_MEMBER)
#undef KERNEL_ARGS_MEMBER
} kernel_args;

typedef struct trial {
    pf_platform *platform;
    pf_numerics numerics;               /* of this case */
    bool rounds_hidden;                 /* values of hidden tensors are bf16 */
    prng random;
    kernel_args args;
    pf_weight weights[TRIAL_WEIGHTS];
    void *weight_memory[TRIAL_WEIGHTS]; /* of the weights, on the device */
    int weight_count;
    buffer buffers[TRIAL_BUFFERS];
    int count;
    host_block blocks[TRIAL_BLOCKS];
    int block_count;
    double flops;                       /* of the call, for --bench */
    char text[256];                     /* what the case is, for people */
    pf_error error;
} trial;

/* A view of f32 without data, to be given to trial_place. */
pf_tensor view_make(int rank, const int64_t *shape);
pf_tensor view_rows(int64_t rows, int64_t columns, int64_t gap);

/* The view of a tensor that is [hidden]. */
pf_tensor view_hidden(const trial *t, pf_tensor view);

typedef enum map_layout {
    MAP_FIRST,                          /* [C, T, H, W] */
    MAP_LAST,                           /* [T, H, W, C] */
    MAP_FIRST_SLICED,                   /* part of the frames of a longer map */
    MAP_LAST_EVERY_OTHER,               /* every other frame */
    MAP_LAYOUTS
} map_layout;

pf_tensor view_map(map_layout layout, const int64_t shape[4]);

/* Device memory for `view`, filled by the role; `allowed` is of outputs. */
pf_tensor trial_place(trial *t, const char *name, pf_tensor view, buffer_role role,
                      values fill);
pf_tensor trial_input(trial *t, const char *name, pf_tensor view);
pf_tensor trial_output(trial *t, const char *name, pf_tensor view,
                       limits allowed);
pf_tensor trial_inout(trial *t, const char *name, pf_tensor view,
                      limits allowed);

/* Scratch memory for the call of a layer, as much as the platform asks for. */
pf_scratch trial_scratch(trial *t, pf_kernel which, const void *args);

/* Sends `before` again, after it was changed. */
void trial_upload(trial *t, const buffer *b);

/* Host memory of `bytes`, `misalign` bytes off the end of its last page. */
void *trial_host(trial *t, int64_t bytes, int misalign);

/* Random values of deviation `spread` as F32, BF16 or F16, at an odd address
 * where asked; then the platform's own form of it. */
pf_tensor trial_host_tensor(trial *t, pf_dtype dtype, int rank,
                            const int64_t *shape, float spread, bool odd);
const pf_weight *trial_weight(trial *t, pf_weight_kind kind, pf_tensor stored);

/* Rotary tables of `positions` rows of `pairs` angles, in the form that the platform
 * asks for. */
pf_rope_table trial_table(trial *t, pf_rope_form form, int64_t rows_per_position,
                          pf_tensor view);

/* Adds to the description. */
void trial_say(trial *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Sums of products: 1e-5 of the maximum, 1e-2 and cosine 0.9999 with bf16
 * multiplicands (1.5e-2 where
 * products are rounded, too); one rounding in fifty may flip. */
limits tolerance_of_products(const trial *t);
/* `relative`, and flips where the case rounds. */
limits tolerance_of(const trial *t, double relative);

/* --- running ------------------------------------------------------------------ */

/* Every slot has one: main.c makes the table from PF_KERNEL_LIST. */
typedef struct kernel_check {
    int shapes;                         /* edge shapes, of the tests */
    int bench_shapes;                   /* large ones behind them, for --bench */
    int variants;                       /* for every shape */
    pf_multiply multiply;               /* formats that the slot tells apart: all from F32
                                         * up to this one */
    bool round;                         /* it rounds where round_bf16 asks */
    bool hidden;                        /* some of its tensors are [hidden] */
    void (*build)(trial *t, int shape, int variant);
} kernel_check;

#define KERNEL_CHECK_DECLARE(slot, type) extern const kernel_check check_##slot;
PF_KERNEL_LIST(KERNEL_CHECK_DECLARE)
#undef KERNEL_CHECK_DECLARE

int kernel_check_cases(const kernel_check *check, bool bench);

/* A case of a check. */
typedef struct trial_case {
    int number;
    uint64_t seed;
    pf_dtype hidden;                    /* of the values of hidden tensors */
} trial_case;

void trial_build(trial *t, const kernel_check *check, pf_platform *platform,
                 const trial_case *c);
void trial_download(trial *t);
void trial_release(trial *t);

enum { WHY = 256 };

/* Each writes what is wrong to `why` [WHY] and returns false. */
bool trial_guards_hold(const trial *t, char *why);
bool trial_near(const trial *t, const trial *reference, char *why);
bool trial_same_bits(const trial *t, const trial *first, char *why);
/* Of outputs alone: work memory may differ. */
bool trial_same_results(const trial *t, const trial *first, char *why);

#endif
