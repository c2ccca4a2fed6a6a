/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules and noise streams. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/rng.h"
#include "checker.h"
#include "model/scheduler.h"

/* --- schedules ---------------------------------------------------------------- */

typedef struct schedule_case {
    checker *check;
    const char *name;
    pf_weights *file;
    long long id;
    int steps;
} schedule_case;

/* Compares against `ID.TENSOR` of the file. */
static void compare(const schedule_case *s, const char *tensor, judge how,
                    double limit, const float *ours)
{
    char full[64];
    pf_tensor shape;
    snprintf(full, sizeof full, "%lld.%s", s->id, tensor);
    float *golden = check_tensor(s->file, full, &shape);
    if (!golden) {
        check_broken(s->check, s->name, full);
        return;
    }
    check_values(s->check, s->name, full, how, limit, ours, golden,
                 pf_tensor_count(&shape));
    pf_free(golden);
}

/* Five values that follow the given velocities through all steps. */
static void follow(const schedule_case *s, const pf_scheduler *scheduler,
                   const float *velocities, float *trajectory)
{
    float x[5];
    memcpy(x, velocities, sizeof x);
    for (int i = 0; i < s->steps; i++) {
        float delta = pf_scheduler_delta(scheduler, i, 0);
        for (int k = 0; k < 5; k++) {
            x[k] = x[k] + velocities[5 * (i + 1) + k] * delta;
            trajectory[5 * i + k] = x[k];
        }
    }
}

static void compare_all(const schedule_case *s, const pf_scheduler *scheduler)
{
    static float pairs[2 * PF_STEPS_MAX], sigmas[2 * PF_STEPS_MAX];
    static float trajectory[5 * PF_STEPS_MAX];
    char name[64];
    for (int i = 0; i < 2 * s->steps; i++) {
        pairs[i] = scheduler->timesteps[i % 2][i / 2];
        sigmas[i] = pf_scheduler_sigma(scheduler, pairs[i]);
    }
    compare(s, "pairs", JUDGE_EXACT, 0, pairs);
    compare(s, "sigmas", JUDGE_EXACT, 0, sigmas);
    snprintf(name, sizeof name, "%lld.v", s->id);
    float *velocities = check_tensor(s->file, name, NULL);
    if (!velocities) {
        check_broken(s->check, s->name, name);
        return;
    }
    follow(s, scheduler, velocities, trajectory);
    compare(s, "traj", JUDGE_RELATIVE, 1e-6, trajectory);
    pf_free(velocities);
}

/* Where the reference has NaN timesteps we refuse: that is right, too. */
static void compare_refusal(const schedule_case *s, const char *reason)
{
    char name[64];
    snprintf(name, sizeof name, "%lld.pairs", s->id);
    float *golden = check_tensor(s->file, name, NULL);
    if (golden && isnan(golden[0]))
        check_result(s->check, s->name, name, true, NAN, NAN);
    else
        check_broken(s->check, s->name, reason);
    pf_free(golden);
}

static void run_schedule(checker *c, const char *name, pf_weights *file,
                         const json_t *entry)
{
    pf_error error = {0};
    pf_scheduler scheduler = {0};
    pf_scheduler_config config;
    const json_t *shifts = json_object_get(entry, "dual_sigma_shift");
    double pair[2] = {json_number_value(json_array_get(shifts, 0)),
                      json_number_value(json_array_get(shifts, 1))};
    schedule_case s = {c, name, file,
                       json_integer_value(json_object_get(entry, "id")),
                       (int)json_integer_value(json_object_get(entry, "steps"))};
    pf_status status = pf_scheduler_read_config(json_object_get(entry, "config"),
                                                name, &config, &error);
    if (status == PF_OK)
        status = pf_scheduler_open(&config, &scheduler, &error);
    if (status == PF_OK)
        status = pf_scheduler_set_steps(&scheduler, s.steps,
                                        json_is_array(shifts) ? pair : NULL, &error);
    if (status == PF_OK)
        compare_all(&s, &scheduler);
    else
        compare_refusal(&s, error.message);
    pf_scheduler_close(&scheduler);
}

static void check_train_table(checker *c, const char *name, pf_weights *file)
{
    pf_scheduler_config config;
    pf_scheduler scheduler;
    pf_error error = {0};
    if (!pf_weights_has(file, "train.timesteps"))
        return;
    if (pf_scheduler_read_config(NULL, name, &config, &error) != PF_OK ||
        pf_scheduler_open(&config, &scheduler, &error) != PF_OK) {
        check_broken(c, name, error.message);
        return;
    }
    float *timesteps = check_tensor(file, "train.timesteps", NULL);
    float *sigmas = check_tensor(file, "train.sigmas", NULL);
    if (timesteps && sigmas) {
        check_values(c, name, "train.timesteps", JUDGE_EXACT, 0,
                     scheduler.train_timesteps, timesteps,
                     config.num_train_timesteps);
        check_values(c, name, "train.sigmas", JUDGE_EXACT, 0,
                     scheduler.train_sigmas, sigmas, config.num_train_timesteps);
    }
    pf_free(timesteps);
    pf_free(sigmas);
    pf_scheduler_close(&scheduler);
}

void check_scheduler(checker *c, const char *name)
{
    pf_weights *file = check_open(c, name);
    const json_t *list = check_meta(c, name), *entry;
    size_t i;
    if (!file)
        return;
    check_train_table(c, name, file);
    json_array_foreach(list, i, entry)
        run_schedule(c, name, file, entry);
    pf_weights_close(file);
}

/* --- noise -------------------------------------------------------------------- */

/* "cpu.SEED.N" with its twin "cpu2.SEED.N": two draws of one generator. */
static void check_draws(checker *c, const char *name, pf_weights *file,
                        const char *tensor)
{
    unsigned long long seed;
    long long count;
    char second[96];
    if (sscanf(tensor, "cpu.%llu.%lld", &seed, &count) != 2)
        return;
    float *ours = pf_alloc((size_t)count * sizeof *ours);
    pf_mt19937 generator;
    pf_mt19937_seed(&generator, seed);
    snprintf(second, sizeof second, "cpu2.%llu.%lld", seed, count);
    const char *names[2] = {tensor, second};
    for (int i = 0; i < 2 && ours; i++) {
        float *golden = check_tensor(file, names[i], NULL);
        if (!golden) {
            check_broken(c, name, names[i]);
            break;
        }
        pf_mt19937_normal(&generator, count, ours);
        check_values(c, name, names[i], JUDGE_ABSOLUTE, 2e-6, ours, golden, count);
        pf_free(golden);
    }
    pf_free(ours);
}

void check_rng(checker *c, const char *name)
{
    pf_weights *file = check_open(c, name);
    if (!file)
        return;
    for (int64_t i = 0; i < pf_weights_count(file); i++)
        check_draws(c, name, file, pf_weights_name(file, i));
    pf_weights_close(file);
}
