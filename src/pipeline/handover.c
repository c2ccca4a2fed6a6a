/* SPDX-License-Identifier: Apache-2.0 */
/* Results of a step on their way to the host.  See handover.h. */
#include "pipeline/handover.h"

#include <stdio.h>

#include "base/clock.h"
#include "pipeline/preview.h"
#include "pipeline/progress.h"

void pf_handover_begin(pf_handover *h, pf_job *job, pf_ops *ops, const pf_tensor *video,
                       const pf_tensor *audio, const pf_tensor *velocity)
{
    *h = (pf_handover){.job = job, .ops = ops, .since = pf_seconds()};
    h->list[h->count++] = (pf_delivery){.to = job->video, .from = *video};
    h->list[h->count++] = (pf_delivery){.to = job->audio, .from = *audio};
    if (job->preview_velocity)
        h->list[h->count++] = (pf_delivery){.to = job->preview_velocity, .from = *velocity};
}

/* --- showing ---------------------------------------------------------------- */

static pf_status check_latents(const pf_job *job, pf_error *error)
{
    PF_TRY(pf_job_check_finite("video latents", job->video, pf_plan_video_count(&job->plan),
                               error));
    return pf_job_check_finite("audio latents", job->audio, pf_plan_audio_count(&job->plan),
                               error);
}

/* Taps know a step by its number in the name. */
static void show_to_tests(pf_job *job, int step)
{
    char name[32];
    snprintf(name, sizeof name, "latents.video.%d", step);
    pf_job_see(job, name, job->video, pf_plan_video_count(&job->plan));
    snprintf(name, sizeof name, "latents.audio.%d", step);
    pf_job_see(job, name, job->audio, pf_plan_audio_count(&job->plan));
}

/* A step's time is that between two shows, in which copying and checking of its neighbours
 * overlap: the sum over steps is the time of the loop. */
static void count_time(pf_handover *h)
{
    double now = pf_seconds();
    pf_job_profile_step(h->job, h->step, now - h->since, &h->cost);
    h->since = now;
}

/* Shows the latents, which have arrived. */
static pf_status publish(pf_handover *h)
{
    pf_job *job = h->job;
    pf_state state = PF_INIT(pf_state);
    PF_TRY(check_latents(job, h->ops->error));
    job->step = h->step + 1;
    show_to_tests(job, h->step);
    if (job->preview_velocity)
        pf_job_preview(job, h->step);
    if (job->sinks.state && pf_job_state(job, &state))
        PF_TRY(job->sinks.state(job->sinks.user, &state, h->ops->error));
    count_time(h);
    pf_job_progress(job, job->step, job->plan.steps);
    return PF_OK;
}

/* --- copying ---------------------------------------------------------------- */

pf_status pf_handover_send(pf_handover *h, int step, const pf_cost *cost)
{
    h->step = step;
    h->cost = *cost;
    for (int i = 0; i < h->count; i++) {
        pf_delivery *d = &h->list[i];
        PF_TRY(pf_ops_download_begin(h->ops, d->to, &d->from, &d->ticket));
        h->on_way |= d->ticket.number != 0;
    }
    return h->on_way ? PF_OK : publish(h);
}

pf_status pf_handover_receive(pf_handover *h)
{
    if (!h->on_way)
        return PF_OK;
    h->on_way = false;
    for (int i = 0; i < h->count; i++)
        PF_TRY(pf_ops_wait(h->ops, h->list[i].ticket));
    return publish(h);
}
