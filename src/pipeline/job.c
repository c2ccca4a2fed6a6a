/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs as values: their state, their end.  creation.c makes them, runner.c runs them. */
#include "pipeline/job.h"

#include "base/memory.h"
#include "base/sized.h"

void pf_job_destroy(pf_job *job)
{
    if (!job)
        return;
    for (int i = 0; i < 4; i++)
        pf_free(job->owned[i]);
    for (int i = 0; i < PROMPTS; i++)
        pf_free(job->text[i]);
    pf_free(job->condition);
    pf_free(job->preview_velocity);
    pf_free(job->preview_rgb);
    pf_free(job->video);
    pf_free(job->audio);
    pf_free(job->profile);
    pf_free(job);
}

void pf_job_cancel(pf_job *job)
{
    atomic_store(&job->cancel, true);
}

bool pf_job_state(const pf_job *job, pf_state *out)
{
    const pf_plan *p = &job->plan;
    if (!job->has_latents)
        return false;
    const pf_state state = {
        .step = job->step,
        .steps = p->steps,
        .fps = job->request.fps,
        .video = job->video,
        .video_shape = {p->latent_channels, p->latent_frames, p->latent_height,
                        p->latent_width},
        .audio = job->audio,
        .audio_shape = {p->audio_channels, p->audio_length},
    };
    pf_sized_give(out, &state, sizeof state);
    return true;
}

int pf_job_profile(const pf_job *job, const pf_profile_row **rows)
{
    *rows = job->profile;
    return job->profile_rows;
}
