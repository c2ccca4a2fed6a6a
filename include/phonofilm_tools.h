/* SPDX-License-Identifier: Apache-2.0 */
/* phonofilm_tools.h - measurements and forecasts for the programs that come with
 * libphonofilm.  Films need none of this; phonofilm.h has the rules.
 *
 * Thread-safety: all functions, from any thread.  A measurement wants the machine to itself.
 */
#ifndef PHONOFILM_TOOLS_H
#define PHONOFILM_TOOLS_H

#include "phonofilm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ========================================================================= bench
 * Speed of the kernels on this machine, against register-only loops of the same run.
 */

typedef struct pf_bench_row {
    /* "linear", "attention", "conv3d" */
    char op[24];
    /* Multiplicands: "bf16", "f32". */
    char dtype[16];
    char isa[32];
    /* linear: M, K, N.  attention: heads, length, head dim.  conv3d: channels, T, H, W. */
    int64_t shape[6];
    int rank;
    /* 1e9 operations a second; a multiply-add is two. */
    double gflops;
    /* Of the ceiling of the arithmetic in use. */
    double fraction;
} pf_bench_row;

typedef struct pf_bench_report {
    size_t size;
    char cpu[96];
    char isa[32];
    int threads;
    /* Ceilings in 1e9 operations a second; 0: the processor has no such arithmetic. */
    double f32, bf16, int8;
    pf_bench_row rows[32];
    int row_count;
} pf_bench_report;

typedef struct pf_bench_options {
    /* As in pf_engine_options. */
    const char *platform;
    const char *isa;
    int threads;
    /* Only this operation; NULL: all. */
    const char *op;
    int device;
} pf_bench_options;

/* Measures for a minute or two.
 *
 * @return PF_OK; PF_E_ARGUMENT (an option); PF_E_UNSUPPORTED, PF_E_PLATFORM (the platform
 * does not open). */
PF_API pf_status pf_bench(const pf_bench_options *options, pf_bench_report *out,
                          pf_error *error);

/* ====================================================================== forecast
 * A denoising step with guidance on a device that need not be here: the operators that
 * would really be issued, and the time that their arithmetic or their memory need at least
 * (docs/ascend.md, "Prediction").
 */

typedef struct pf_step_cost {
    size_t size;
    char device[96];
    /* Tokens of the video tower. */
    int64_t tokens;
    /* Device memory of the whole film, weights included. */
    int64_t device_bytes;
    /* A multiply-add is two; bytes to and from memory. */
    double flops, bytes;
    /* Operators of a step, over all its forward passes. */
    int64_t launches;
    /* Forward passes of a step. */
    int forwards;
    /* Times that the host waits for the device. */
    int64_t waits;
    /* At least. */
    double seconds;
    /* Assumptions about the device that `seconds` rests on: sentences, a line break between
     * paragraphs. */
    char assumptions[512];
} pf_step_cost;

typedef struct pf_step_options {
    /* Only shapes are read. */
    const char *model_path;
    /* A platform that forecasts; NULL: the first that does. */
    const char *platform;
    /* A kind of device: a word of pf_forecast_words. */
    const char *device;
    int height, width, num_frames;
} pf_step_options;

/* Writes the kinds of devices that the first platform that forecasts knows:
 * "910B1|910B2|A3".  Writes at most `bytes` bytes with the NUL. */
PF_API void pf_forecast_words(char *out, size_t bytes);

/* Counts one step.
 *
 * @return PF_OK; PF_E_ARGUMENT (an option); or as pf_engine_open and pf_request_check. */
PF_API pf_status pf_predict_step(const pf_step_options *options, pf_step_cost *out,
                                 pf_error *error);

#ifdef __cplusplus
}
#endif
#endif
