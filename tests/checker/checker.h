/* SPDX-License-Identifier: Apache-2.0 */
/* The golden checker: runs every case of a folder through the library's own code
 * and prints one line a tensor (case, tensor, error, tolerance, ok or FAIL).
 *
 * It knows nothing about the sets: sizes and configurations come from index.json
 * and from the files.  Each kind of case has a file of its own with one runner.
 */
#ifndef PF_TESTS_CHECKER_H
#define PF_TESTS_CHECKER_H

#include <jansson.h>
#include <stdbool.h>

#include "ops/ops.h"
#include "weights/weights.h"

typedef struct checker {
    const char *folder;             /* the goldens */
    const char *only;               /* prefix of the cases to run, or NULL */
    pf_platform *platform;
    bool fast;                      /* --precision fast: only cosines are asked for */
    json_t *index;                  /* index.json */
    int passed, failed, skipped;
} checker;

/* How a difference is judged. */
typedef enum judge {
    JUDGE_RELATIVE,                 /* max |a - b| / max |b|; absolute if b is all 0 */
    JUDGE_ABSOLUTE,                 /* max |a - b| */
    JUDGE_COSINE,                   /* at least `limit` */
    JUDGE_EXACT                     /* equal values; NaN equals NaN */
} judge;

static inline pf_multiply check_multiply(const checker *c)
{
    return c->fast ? PF_MULTIPLY_BF16 : PF_MULTIPLY_F32;
}

/* Compares `count` values and prints the line. */
void check_values(checker *c, const char *name, const char *tensor, judge how,
                  double limit, const float *ours, const float *golden,
                  int64_t count);

/* Prints a line for anything else; `value` and `limit` are shown as they are. */
void check_result(checker *c, const char *name, const char *tensor, bool ok,
                  double value, double limit);

/* A case that could not be run: one FAIL line with the reason. */
void check_broken(checker *c, const char *name, const char *reason);

/* A case that this machine or set cannot run, with the reason. */
void check_skipped(checker *c, const char *name, const char *reason);

/* Opens FOLDER/NAME.safetensors; NULL after check_broken.  Close with
 * pf_weights_close. */
pf_weights *check_open(checker *c, const char *name);

/* The tensor as f32 in fresh memory (pf_free), its shape in *shape if not NULL;
 * NULL when it is not there. */
float *check_tensor(pf_weights *file, const char *tensor, pf_tensor *shape);

/* The "meta" of a case. */
const json_t *check_meta(checker *c, const char *name);

/* The runners; `name` is the case ("step/T0"). */
void check_step(checker *c, const char *name);
void check_scheduler(checker *c, const char *name);
void check_rng(checker *c, const char *name);
void check_video_vae(checker *c, const char *name);
void check_audio_vae(checker *c, const char *name);
void check_image(checker *c, const char *name);
void check_text_encoder(checker *c, const char *name);
void check_run(checker *c, const char *name);
/* All tokenizer files of the folder: tokenizer_cases.json and tokenizers/. */
void check_tokenizers(checker *c);

#endif
