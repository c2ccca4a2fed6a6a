/* SPDX-License-Identifier: Apache-2.0 */
/* Results of a denoising step on their way to the host while the next step is computed.
 *
 *     device   | step 1 | step 2         | step 3         |
 *     copies            | latents of 1 | | latents of 2 | |
 *     host                             | checks, shows 1  | checks, shows 2
 *
 * The host launches step n + 1 before it waits for the latents of step n, so the device is
 * never without work.  On a platform in host memory a copy has ended when it was begun, and
 * every step is shown before the next one is computed.
 */
#ifndef PF_PIPELINE_HANDOVER_H
#define PF_PIPELINE_HANDOVER_H

#include "pipeline/job.h"

/* A device tensor and the place of its copy in the job. */
typedef struct pf_delivery {
    float *to;
    pf_tensor from;
    pf_ticket ticket;                   /* of the copy under way */
} pf_delivery;

enum { PF_DELIVERIES = 3 };

typedef struct pf_handover {
    pf_job *job;
    pf_ops *ops;
    pf_delivery list[PF_DELIVERIES];
    int count;                          /* deliveries in `list` */
    bool on_way;                        /* copies of `step` have been begun, not awaited */
    int step;
    pf_cost cost;                       /* of `step` */
    double since;                       /* pf_seconds when the step before was shown */
} pf_handover;

/* Starts the clock of the first step.  After every step the two latents go to the job and,
 * if somebody looks at previews, the video velocity. */
void pf_handover_begin(pf_handover *handover, pf_job *job, pf_ops *ops,
                       const pf_tensor *video, const pf_tensor *audio,
                       const pf_tensor *velocity);

/* Begins the copies of a step that has been launched and cost `cost`.  Copies of the step
 * before must have been received. */
pf_status pf_handover_send(pf_handover *handover, int step, const pf_cost *cost);

/* Waits for the copies that are on their way, if any, and shows the step to the sinks. */
pf_status pf_handover_receive(pf_handover *handover);

#endif
