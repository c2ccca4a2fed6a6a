/* SPDX-License-Identifier: Apache-2.0 */
/* The paired flow-matching scheduler: one table of timesteps a modality.
 * docs/model/schedules.md.
 *
 * Two tables: the train table (1,000 entries, made once) turns a timestep into the
 * sigma of a step by nearest neighbour; the run table (N entries a column) is what
 * the model sees.  Column 0 is video, column 1 audio.
 *
 *     S(N, shift) --> run table [N]    t_i = N_train s_i --> the towers
 *                                       |
 *                                       v  nearest entry
 *     S(N_train, shift) --> train table --> sigma(t_i) --> x <- x + v (sigma(t_i+1) - sigma(t_i))
 *
 * Sigmas go from 1 (pure noise) towards 0; the velocity v points from the film to the noise.
 *
 * Thread-safety: a scheduler belongs to one plan, which is made by one thread.
 */
#ifndef PF_MODEL_SCHEDULER_H
#define PF_MODEL_SCHEDULER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

enum { PF_STEPS_MAX = 1000 };

/* Keys of scheduler_config.json; trailing notes have the released checkpoint's values. */
typedef struct pf_scheduler_config {
    int num_train_timesteps;            /* 1000 */
    double shift;                       /* 5, above 0 */
    double sigma_max, sigma_min;        /* 1, 0 */
    bool inverse_timesteps, extra_one_step, reverse_sigmas, exponential_shift;
    double exponential_shift_mu;        /* NaN: not given */
    double shift_terminal;              /* NaN: not given */
} pf_scheduler_config;

/* From scheduler_config.json, or with `config` NULL the values of the released
 * checkpoints.  Values that cannot be honoured are refused by name. */
pf_status pf_scheduler_read_config(const json_t *config, const char *name,
                                   pf_scheduler_config *out, pf_error *error);

typedef struct pf_scheduler {
    pf_scheduler_config config;
    int steps;
    float *train_timesteps, *train_sigmas;      /* [num_train_timesteps] */
    float *timesteps[2];                        /* [steps]: video, audio */
} pf_scheduler;

/* Makes the train table, and room for PF_STEPS_MAX steps.  Close with pf_scheduler_close.  A
 * failure leaves nothing to close: PF_E_MEMORY, or PF_E_ARGUMENT for a shift_terminal that the
 * table cannot reach. */
pf_status pf_scheduler_open(const pf_scheduler_config *config, pf_scheduler *out,
                            pf_error *error);
void pf_scheduler_close(pf_scheduler *scheduler);

/* Makes the run table of `steps` (1 .. PF_STEPS_MAX).  shifts[2] replaces the configured shift
 * for video and audio (above 0, at most 1000), or is NULL.  PF_E_ARGUMENT names the field of
 * the request that is out of range. */
pf_status pf_scheduler_set_steps(pf_scheduler *scheduler, int steps,
                                 const double *shifts, pf_error *error);

/* The sigma that belongs to a timestep: the train table's nearest entry, the first
 * one of two equally near. */
float pf_scheduler_sigma(const pf_scheduler *scheduler, float timestep);

/* sigma(t[step + 1]) - sigma(t[step]) of one column; after the last step sigma is
 * exactly 0 (1 with inverse_timesteps or reverse_sigmas). */
float pf_scheduler_delta(const pf_scheduler *scheduler, int step, int column);

/* The first step of the low-noise expert: its video timestep is below boundary_ratio *
 * num_train_timesteps; `steps` if there is none. */
int pf_scheduler_switch(const pf_scheduler *scheduler, double boundary_ratio);

#endif
