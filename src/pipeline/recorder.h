/* SPDX-License-Identifier: Apache-2.0 */
/* Recording and replaying the kernels of denoising steps.
 *
 * The steps of a stage launch the same kernels at the same addresses; only uploaded values
 * differ.  Where the platform can record (platform.h, record_begin), a stage becomes:
 *
 *     step    1     2               3       4  ...
 *     mode    WARM  RECORD, REPLAY  REPLAY  REPLAY
 *
 * The warm step takes all memory that kernels need, because none may be taken while they
 * are recorded.  A step that cannot be recorded or replayed is computed instead, as are
 * all that follow (PLAIN); the film goes on with a warning.
 */
#ifndef PF_PIPELINE_RECORDER_H
#define PF_PIPELINE_RECORDER_H

#include "base/log.h"
#include "ops/ops.h"

/* The mode of the next step.  PF_RECORDER_WARM is 0, so that a recorder begins with it. */
typedef enum pf_recorder_mode {
    PF_RECORDER_WARM,
    PF_RECORDER_RECORD,
    PF_RECORDER_REPLAY,
    PF_RECORDER_PLAIN
} pf_recorder_mode;

typedef struct pf_recorder {
    pf_ops *ops;
    const pf_log *log;
    pf_tensor fence;                    /* [1], any: its download waits for all kernels
                                         * that were launched before */
    pf_status (*compute)(void *user);   /* launches the kernels of a step */
    void *user;
    pf_recorder_mode mode;
    pf_recording *recording;            /* or NULL */
    pf_cost recorded;                   /* of one replay */
} pf_recorder;

/* Computes a step or replays the recorded one.  `step` is its number in messages. */
pf_status pf_recorder_run(pf_recorder *recorder, int step);

/* Gives the recording back, if there is one. */
void pf_recorder_drop(pf_recorder *recorder);

#endif
