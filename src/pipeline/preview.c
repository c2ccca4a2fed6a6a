/* SPDX-License-Identifier: Apache-2.0 */
/* Previews: a linear map from latents to colours.  docs/model/pipeline.md.
 *
 * Latents are noise for most of the way, so a preview shows where their velocity leads
 * them: x + (sigma_end - sigma) v.
 */
#include "pipeline/preview.h"

#include <string.h>

#include "base/json.h"

enum { WAN_CHANNELS = 16 };

/* Wan 2.1's VAE, as fitted and published by others (ComfyUI's latent formats). */
static const float wan_factors[WAN_CHANNELS][3] = {
    {-0.1299f, -0.1692f, 0.2932f},  {0.0671f, 0.0406f, 0.0442f},
    {0.3568f, 0.2548f, 0.1747f},    {0.0372f, 0.2344f, 0.1420f},
    {0.0313f, 0.0189f, -0.0328f},   {0.0296f, -0.0956f, -0.0665f},
    {-0.3477f, -0.4059f, -0.2925f}, {0.0166f, 0.1902f, 0.1975f},
    {-0.0412f, 0.0267f, -0.1364f},  {-0.1293f, 0.0740f, 0.1636f},
    {0.0680f, 0.3019f, 0.1128f},    {0.0032f, 0.0581f, 0.0639f},
    {-0.1251f, 0.0927f, 0.1699f},   {0.0060f, -0.0633f, 0.0005f},
    {0.3477f, 0.2275f, 0.2950f},    {0.1984f, 0.0913f, 0.1861f},
};
static const float wan_bias[3] = {-0.1835f, -0.0868f, -0.3360f};

static pf_status read_triple(const json_t *value, const char *name, const char *what,
                             float out[3], pf_error *error)
{
    for (size_t i = 0; i < 3; i++) {
        json_t *number = json_array_get(value, i);
        if (json_array_size(value) != 3 || !json_is_number(number))
            return pf_fail(error, PF_E_MODEL,
                           "%s: %s must be an array of three numbers", name, what);
        out[i] = (float)json_number_value(number);
    }
    return PF_OK;
}

pf_status pf_preview_read(pf_engine *engine, const json_t *config, const char *name,
                          pf_error *error)
{
    pf_preview_map *map = &engine->preview;
    int channels = pf_video_vae_get_info(engine->video_vae)->latent_channels;
    if (!config) {
        map->known = channels == WAN_CHANNELS;
        memcpy(map->factors, wan_factors, sizeof wan_factors);
        memcpy(map->bias, wan_bias, sizeof wan_bias);
        return PF_OK;
    }
    const json_t *rows = json_object_get(config, "factors");
    if (channels > PF_PREVIEW_CHANNELS || json_array_size(rows) != (size_t)channels)
        return pf_fail(error, PF_E_MODEL,
                       "%s: factors must be an array of %d rows, one a latent channel",
                       name, channels);
    for (int c = 0; c < channels; c++)
        PF_TRY(read_triple(json_array_get(rows, (size_t)c), name, "a row of factors",
                           map->factors[c], error));
    PF_TRY(read_triple(json_object_get(config, "bias"), name, "bias", map->bias,
                       error));
    map->known = true;
    return PF_OK;
}

/* -1..1 to 0..255, rounded half up; NaN becomes 0. */
static uint8_t to_byte(float value)
{
    float v = (value * 0.5f + 0.5f) * 255.0f + 0.5f;
    return v >= 255.0f ? 255 : v > 0.0f ? (uint8_t)v : 0;
}

/* At every position of the latents [z, T, h, w], with s the sigma after this step and s_N that
 * after the last one:
 *
 *     x' = x + (s_N - s) v
 *     rgb = bias + sum over c of x'[c] factors[c],  -1..1 to 0..255
 *
 * Runs on the host, between two steps. */
void pf_job_preview(pf_job *job, int step)
{
    const pf_plan *p = &job->plan;
    const pf_preview_map *map = &job->engine->preview;
    const float *x = job->video, *v = job->preview_velocity;
    int64_t plane = p->latent_frames * p->latent_height * p->latent_width;
    float ahead = (float)(p->step[p->steps - 1].sigma_after - p->step[step].sigma_after);
    for (int64_t i = 0; i < plane; i++) {
        float rgb[3] = {map->bias[0], map->bias[1], map->bias[2]};
        for (int64_t c = 0; c < p->latent_channels; c++) {
            float value = x[c * plane + i] + ahead * v[c * plane + i];
            for (int k = 0; k < 3; k++)
                rgb[k] += value * map->factors[c][k];
        }
        for (int k = 0; k < 3; k++)
            job->preview_rgb[3 * i + k] = to_byte(rgb[k]);
    }
    job->sinks.preview(job->sinks.user, &(pf_preview){
        .step = step + 1, .steps = p->steps, .frames = p->latent_frames,
        .height = p->latent_height, .width = p->latent_width,
        .rgb = job->preview_rgb});
}
