/* SPDX-License-Identifier: Apache-2.0 */
/* Refusing films that do not fit into memory.  See predict.h.
 *
 *     memory_limit given   it alone decides
 *     device with memory   the device's memory decides
 *     host                 memory that is available now, then RLIMIT_AS, then RLIMIT_DATA
 *
 * A film that runs now will have given its memory back when this one begins, so its share is
 * added to what is left. */
#include <stdio.h>

#include "pipeline/predict.h"

/* "47.9 MiB", "36.70 GiB" */
typedef struct amount {
    char text[32];
} amount;

static amount amount_of(double bytes)
{
    const double mib = 1024.0 * 1024.0;
    amount out;
    if (bytes < 1024.0 * mib)
        snprintf(out.text, sizeof out.text, "%.1f MiB", bytes / mib);
    else
        snprintf(out.text, sizeof out.text, "%.2f GiB", bytes / (1024.0 * mib));
    return out;
}

/* Refuses by the limit that binds.  A film that would fit if other programs left the limit
 * alone is PF_E_MEMORY: it may be asked for again. */
static pf_status refuse_memory(const pf_forecast *f, int64_t available, const pf_limit *limit,
                               pf_error *error)
{
    double needed = (double)(f->idle.resident + f->all);
    bool never = needed > limit->whole;
    return pf_fail(error, never ? PF_E_TOO_LARGE : PF_E_MEMORY,
                   "%sthe film needs %s of memory, but only %s are available (%s)",
                   never ? "" : "memory is short now: ",
                   amount_of(needed).text,
                   amount_of((double)(f->idle.resident + available)).text, limit->source);
}

static pf_status refuse_addresses(const pf_forecast *f, int64_t left, const char *limit,
                                  pf_error *error)
{
    return pf_fail(error, PF_E_TOO_LARGE,
                   "the film needs %s more of memory, but %s leaves %s",
                   amount_of((double)f->taken).text, limit, amount_of((double)left).text);
}

/* The rest of a limit once a running film has given back its share; INT64_MAX (no limit)
 * stays that. */
static int64_t left_without_film(int64_t left, int64_t now, int64_t idle)
{
    int64_t back = now > idle ? now - idle : 0;
    return left < INT64_MAX - back ? left + back : INT64_MAX;
}

/* Judges the process's memory by what the machine has now, not by what it had when the engine
 * was opened. */
static pf_status check_host_memory(const pf_forecast *f, pf_error *error)
{
    pf_machine machine;
    pf_process_memory now;
    pf_machine_read(NULL, &machine);
    pf_process_memory_read(&now);
    /* Clean pages of files, weights included, are available memory. */
    int64_t memory =
        left_without_film(machine.memory, now.anonymous, f->idle.anonymous);
    if (f->all > memory)
        return refuse_memory(f, memory, &machine.memory_by, error);
    int64_t addresses = left_without_film(machine.address_space, now.address_space,
                                          f->idle.address_space);
    if (f->taken > addresses)
        return refuse_addresses(f, addresses, "RLIMIT_AS", error);
    int64_t data = left_without_film(machine.data, now.data, f->idle.data);
    if (f->taken > data)
        return refuse_addresses(f, data, "RLIMIT_DATA", error);
    return PF_OK;
}

/* Judges the memory in which kernels compute.  memory_limit judges no film that was
 * accepted before. */
pf_status pf_forecast_check(const pf_forecast *f, const pf_job *job, pf_error *error)
{
    const pf_prediction *p = &f->prediction;
    const pf_engine *engine = job->engine;
    const pf_capabilities *c = &engine->platform->capabilities;
    const char *whose = c->own_memory ? "the device's memory" : "memory";
    int64_t limit = engine->memory_limit;
    int64_t peak = c->own_memory ? p->device_bytes : p->peak_bytes;
    if (limit > 0 && peak > limit && !job->request.accepted)
        return pf_fail(error, PF_E_TOO_LARGE,
                       "the film needs %s of %s, but memory_limit is %s",
                       amount_of((double)peak).text, whose, amount_of((double)limit).text);
    if (limit > 0)
        return PF_OK;
    if (!c->own_memory)
        return check_host_memory(f, error);
    if (peak > c->memory_bytes)
        return pf_fail(error, PF_E_TOO_LARGE,
                       "the film needs %s of %s, but only %s are available",
                       amount_of((double)peak).text, whose,
                       amount_of((double)c->memory_bytes).text);
    return PF_OK;
}
