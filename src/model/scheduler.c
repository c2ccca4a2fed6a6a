/* SPDX-License-Identifier: Apache-2.0 */
/* The paired flow-matching scheduler.  See scheduler.h; docs/model/schedules.md.
 *
 * The order of the f32 operations is that of the reference: the tables equal its
 * bit for bit.
 */
#include "model/scheduler.h"

#include <math.h>

#include "base/json.h"
#include "base/memory.h"

static const char *const unsupported_keys[] = {
    "use_dynamic_shifting", "use_karras_sigmas", "use_beta_sigmas",
    "stochastic_sampling",
};

static pf_status refuse_unsupported(const json_t *config, const char *name,
                                    pf_error *error)
{
    size_t count = sizeof unsupported_keys / sizeof unsupported_keys[0];
    for (size_t i = 0; i < count; i++) {
        bool value = false;
        PF_TRY(pf_json_bool(config, name, unsupported_keys[i], &value, error));
        if (value)
            return pf_fail(error, PF_E_UNSUPPORTED,
                           "%s: %s is true, but only false is supported", name,
                           unsupported_keys[i]);
    }
    return PF_OK;
}

pf_status pf_scheduler_read_config(const json_t *config, const char *name,
                                   pf_scheduler_config *out, pf_error *error)
{
    int64_t train = 1000;
    *out = (pf_scheduler_config){
        .num_train_timesteps = 1000, .shift = 5.0, .sigma_max = 1.0,
        .sigma_min = 0.0, .extra_one_step = true,
        .exponential_shift_mu = NAN, .shift_terminal = NAN,
    };
    if (!config)
        return PF_OK;
    if (!json_is_object(config))
        return pf_fail(error, PF_E_MODEL, "%s is not a JSON object", name);
    PF_TRY(refuse_unsupported(config, name, error));
    out->shift = 3.0;                   /* the class's default of a missing key */
    out->sigma_min = 0.003 / 1.002;
    out->extra_one_step = false;
    PF_TRY(pf_json_int(config, name, "num_train_timesteps", 1, 100000, &train, error));
    PF_TRY(pf_json_real(config, name, "shift", 1e-3, 1e3, &out->shift, error));
    PF_TRY(pf_json_real(config, name, "sigma_max", 0.0, 1.0, &out->sigma_max, error));
    PF_TRY(pf_json_real(config, name, "sigma_min", 0.0, 1.0, &out->sigma_min, error));
    PF_TRY(pf_json_bool(config, name, "inverse_timesteps", &out->inverse_timesteps, error));
    PF_TRY(pf_json_bool(config, name, "extra_one_step", &out->extra_one_step, error));
    PF_TRY(pf_json_bool(config, name, "reverse_sigmas", &out->reverse_sigmas, error));
    PF_TRY(pf_json_bool(config, name, "exponential_shift", &out->exponential_shift, error));
    PF_TRY(pf_json_real(config, name, "exponential_shift_mu", -20.0, 20.0,
                        &out->exponential_shift_mu, error));
    PF_TRY(pf_json_real(config, name, "shift_terminal", 0.0, 0.999,
                        &out->shift_terminal, error));
    if (out->exponential_shift && isnan(out->exponential_shift_mu))
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "%s: exponential_shift is true, which needs a number in "
                       "exponential_shift_mu", name);
    out->num_train_timesteps = (int)train;
    return PF_OK;
}

/* Entry i of linspace(start, end, count), as PyTorch makes it: with d = (end - start) /
 * (count - 1), fma(d, i, start) in the first half and fma(-d, count - 1 - i, end) in the
 * second.  The fused multiply-adds decide the last bit. */
static float linspace(float start, float end, int count, int i)
{
    if (count == 1)
        return start;
    float step = (end - start) / (float)(count - 1);
    if (i < count / 2)
        return fmaf(step, (float)i, start);
    return fmaf(-step, (float)(count - 1 - i), end);
}

/* shift s / (1 + (shift - 1) s), numerator and denominator rounded each; with
 * exponential_shift E / (E + (1 / s - 1)), E = exp(mu).  A shift above 1 moves sigmas up, so
 * that more steps are spent on noise. */
static float shifted(const pf_scheduler_config *c, float shift, float sigma)
{
    if (c->exponential_shift) {
        float e = (float)exp(c->exponential_shift_mu);
        return (1.0f / (e + (1.0f / sigma - 1.0f))) * e;
    }
    float numerator = shift * sigma;
    float slope = (shift - 1.0f) * sigma;
    return numerator / (1.0f + slope);
}

/* Stretches the table so that it ends at shift_terminal: with z = 1 - s,
 * s <- 1 - z / (z_last / (1 - shift_terminal)). */
static pf_status stretch(const pf_scheduler_config *c, float *sigmas, int steps,
                         pf_error *error)
{
    float last = 1.0f - sigmas[steps - 1];
    if (last == 0.0f)
        return pf_fail_field(error, PF_E_ARGUMENT, "num_inference_steps",
                             "num_inference_steps is %d, but shift_terminal %g needs a "
                             "schedule whose last sigma is below 1", steps,
                             c->shift_terminal);
    float divisor = last / (float)(1.0 - c->shift_terminal);
    for (int i = 0; i < steps; i++)
        sigmas[i] = 1.0f - (1.0f - sigmas[i]) / divisor;
    return PF_OK;
}

static void reverse(float *values, int count)
{
    for (int i = 0; i < count / 2; i++) {
        float kept = values[i];
        values[i] = values[count - 1 - i];
        values[count - 1 - i] = kept;
    }
}

/* S(steps, shift) in the order of docs/model/schedules.md: linspace, reversal, shift, stretch,
 * complement.  Each option acts on what the ones before it left. */
static pf_status make_sigmas(const pf_scheduler_config *c, double shift,
                             float *sigmas, int steps, pf_error *error)
{
    int points = c->extra_one_step ? steps + 1 : steps;
    for (int i = 0; i < steps; i++)
        sigmas[i] = linspace((float)c->sigma_max, (float)c->sigma_min, points, i);
    if (c->inverse_timesteps)
        reverse(sigmas, steps);
    for (int i = 0; i < steps; i++)
        sigmas[i] = shifted(c, (float)shift, sigmas[i]);
    if (!isnan(c->shift_terminal))
        PF_TRY(stretch(c, sigmas, steps, error));
    if (c->reverse_sigmas)
        for (int i = 0; i < steps; i++)
            sigmas[i] = 1.0f - sigmas[i];
    return PF_OK;
}

static void timesteps_from(const pf_scheduler_config *c, const float *sigmas,
                           float *timesteps, int steps)
{
    for (int i = 0; i < steps; i++)
        timesteps[i] = sigmas[i] * (float)c->num_train_timesteps;
}

static float *new_table(int count)
{
    return pf_alloc((size_t)count * sizeof(float));
}

pf_status pf_scheduler_open(const pf_scheduler_config *config, pf_scheduler *out,
                            pf_error *error)
{
    int count = config->num_train_timesteps;
    *out = (pf_scheduler){
        .config = *config,
        .train_timesteps = new_table(count),
        .train_sigmas = new_table(count),
        .timesteps = {new_table(PF_STEPS_MAX), new_table(PF_STEPS_MAX)},
    };
    pf_status status;
    if (!out->train_timesteps || !out->train_sigmas || !out->timesteps[0] ||
        !out->timesteps[1])
        status = pf_fail_memory(error, "the schedule",
                                (unsigned long long)count * sizeof(float));
    else
        status = make_sigmas(config, config->shift, out->train_sigmas, count, error);
    if (status != PF_OK) {
        pf_scheduler_close(out);
        return status;
    }
    timesteps_from(config, out->train_sigmas, out->train_timesteps, count);
    return PF_OK;
}

void pf_scheduler_close(pf_scheduler *scheduler)
{
    pf_free(scheduler->train_timesteps);
    pf_free(scheduler->train_sigmas);
    pf_free(scheduler->timesteps[0]);
    pf_free(scheduler->timesteps[1]);
    *scheduler = (pf_scheduler){0};
}

pf_status pf_scheduler_set_steps(pf_scheduler *scheduler, int steps,
                                 const double *shifts, pf_error *error)
{
    static const char *const names[2] = {"visual_shift", "audio_shift"};
    if (steps < 1 || steps > PF_STEPS_MAX)
        return pf_fail_field(error, PF_E_ARGUMENT, "num_inference_steps",
                             "num_inference_steps is %d, but must be 1 to %d", steps,
                             PF_STEPS_MAX);
    for (int column = 0; column < 2; column++) {
        double shift = shifts ? shifts[column] : scheduler->config.shift;
        if (!(shift > 0.0 && shift <= 1000.0))
            return pf_fail_field(error, PF_E_ARGUMENT, names[column],
                                 "%s is %g, but must be above 0 and at most 1000",
                                 names[column], shift);
        float *table = scheduler->timesteps[column];
        PF_TRY(make_sigmas(&scheduler->config, shift, table, steps, error));
        timesteps_from(&scheduler->config, table, table, steps);
    }
    scheduler->steps = steps;
    return PF_OK;
}

/* Linear search: 1,000 distances, a few hundred times a film.  The comparison is strict, so
 * the first of two equally near entries wins, as argmin does in the reference. */
float pf_scheduler_sigma(const pf_scheduler *scheduler, float timestep)
{
    int nearest = 0;
    float least = fabsf(scheduler->train_timesteps[0] - timestep);
    for (int i = 1; i < scheduler->config.num_train_timesteps; i++) {
        float distance = fabsf(scheduler->train_timesteps[i] - timestep);
        if (distance < least) {
            least = distance;
            nearest = i;
        }
    }
    return scheduler->train_sigmas[nearest];
}

float pf_scheduler_delta(const pf_scheduler *scheduler, int step, int column)
{
    const float *timesteps = scheduler->timesteps[column];
    const pf_scheduler_config *c = &scheduler->config;
    float from = pf_scheduler_sigma(scheduler, timesteps[step]);
    float to = c->inverse_timesteps || c->reverse_sigmas ? 1.0f : 0.0f;
    if (step + 1 < scheduler->steps)
        to = pf_scheduler_sigma(scheduler, timesteps[step + 1]);
    return to - from;
}

int pf_scheduler_switch(const pf_scheduler *scheduler, double boundary_ratio)
{
    double boundary = boundary_ratio * scheduler->config.num_train_timesteps;
    for (int i = 0; i < scheduler->steps; i++)
        if ((double)scheduler->timesteps[0][i] < boundary)
            return i;
    return scheduler->steps;
}
