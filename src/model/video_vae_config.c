/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration of the video VAE: read, checked, refused by name.
 * docs/model/video-vae.md, section 1.  Leaves out what only training needs
 * (dropout) and the residual variant of Wan 2.2. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "model/video_vae_parts.h"

/* Mean and deviation of the latents of Wan 2.1, which configs of that model may leave out. */
static const float stock_mean[16] = {
    -0.7571f, -0.7089f, -0.9113f, 0.1075f, -0.1745f, 0.9653f, -0.1517f, 1.5508f,
    0.4134f, -0.0715f, 0.5517f, -0.3632f, -0.1922f, -0.9497f, 0.2503f, -0.2921f,
};
static const float stock_deviation[16] = {
    2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f, 2.6052f, 2.0743f,
    3.2687f, 2.1526f, 2.8652f, 1.5579f, 1.6382f, 1.1253f, 2.8251f, 1.9160f,
};

typedef struct reader {
    const json_t *config;
    const char *name;
    pf_error *error;
} reader;

static pf_status refuse(const reader *r, const char *key, const char *found,
                        const char *accepted)
{
    return pf_fail(r->error, PF_E_UNSUPPORTED, "%s: %s is %s, but only %s is supported",
                   r->name, key, found, accepted);
}

/* An integer that must have this value where it is given. */
static pf_status expect_int(const reader *r, const char *key, int64_t value)
{
    int64_t found = value;
    PF_TRY(pf_json_int(r->config, r->name, key, INT32_MIN, INT32_MAX, &found,
                       r->error));
    if (found == value)
        return PF_OK;
    return pf_fail(r->error, PF_E_UNSUPPORTED,
                   "%s: %s is %lld, but only %lld is supported", r->name, key,
                   (long long)found, (long long)value);
}

/* Refuses what makes another network: Wan 2.2 (is_residual, patch_size), attention at other
 * resolutions, films that are not RGB. */
static pf_status refuse_variants(const reader *r)
{
    const json_t *scales = json_object_get(r->config, "attn_scales");
    bool is_residual = false;
    PF_TRY(pf_json_bool(r->config, r->name, "is_residual", &is_residual, r->error));
    if (is_residual)
        return refuse(r, "is_residual", "true", "false (the Wan 2.1 network)");
    if (pf_json_has(r->config, "patch_size"))
        return refuse(r, "patch_size", "given", "null");
    if (scales && !json_is_null(scales) &&
        !(json_is_array(scales) && json_array_size(scales) == 0))
        return refuse(r, "attn_scales", "not empty", "[]");
    PF_TRY(expect_int(r, "in_channels", 3));
    return expect_int(r, "out_channels", 3);
}

/* Channels of every level: base_dim times dim_mult, for the decoder with a base of its own. */
static pf_status read_widths(const reader *r, pf_vae_config *c)
{
    int64_t base = 96, blocks = 2, decoder_base;
    int64_t multiple[PF_VAE_MAX_LEVELS] = {1, 2, 4, 4};
    c->levels = 4;
    PF_TRY(pf_json_int(r->config, r->name, "base_dim", 1, 8192, &base, r->error));
    decoder_base = base;
    PF_TRY(pf_json_int(r->config, r->name, "decoder_base_dim", 1, 8192,
                       &decoder_base, r->error));
    PF_TRY(pf_json_int(r->config, r->name, "num_res_blocks", 1,
                       PF_VAE_MAX_BLOCKS - 1, &blocks, r->error));
    pf_json_list list = {1, PF_VAE_MAX_LEVELS, multiple, c->levels};
    PF_TRY(pf_json_ints(r->config, r->name, "dim_mult", &list, r->error));
    c->levels = list.count;
    c->blocks = (int)blocks;
    c->encoder_base = base;
    for (int i = 0; i < c->levels; i++) {
        if (multiple[i] < 1 || multiple[i] > 64)
            return pf_fail(r->error, PF_E_MODEL,
                           "%s: dim_mult holds %lld, but must hold 1 to 64",
                           r->name, (long long)multiple[i]);
        c->encoder_width[i] = base * multiple[i];
        c->decoder_width[i] = decoder_base * multiple[i];
    }
    return PF_OK;
}

/* temperal_downsample (spelt so): after which levels time is halved.  Missing, it has the
 * default of the class, which is for four levels. */
static pf_status read_time(const reader *r, pf_vae_config *c)
{
    const json_t *list = json_object_get(r->config, "temperal_downsample");
    size_t count = (size_t)c->levels - 1;
    if (!pf_json_has(r->config, "temperal_downsample") && c->levels == 4) {
        c->halves_time[1] = c->halves_time[2] = true;
        return PF_OK;
    }
    if (!json_is_array(list) || json_array_size(list) != count)
        return pf_fail(r->error, PF_E_MODEL,
                       "%s: temperal_downsample must be an array of %zu booleans, "
                       "one less than dim_mult", r->name, count);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_boolean(item))
            return pf_fail(r->error, PF_E_MODEL,
                           "%s: temperal_downsample[%zu] must be true or false",
                           r->name, i);
        c->halves_time[i] = json_is_true(item);
    }
    return PF_OK;
}

/* [count] numbers of magnitude `low` .. 1e6. */
static pf_status read_statistics(const reader *r, const char *key, double low,
                                 int count, float *out)
{
    const json_t *list = json_object_get(r->config, key);
    if (!json_is_array(list) || json_array_size(list) != (size_t)count)
        return pf_fail(r->error, PF_E_MODEL,
                       "%s: %s must be an array of %d numbers (z_dim)", r->name, key,
                       count);
    for (int i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        double value = json_number_value(item);
        if (!json_is_number(item) || !isfinite(value) || fabs(value) < low ||
            fabs(value) > 1e6)
            return pf_fail(r->error, PF_E_MODEL,
                           "%s: %s[%d] must be a number from %g to 1e6 in magnitude",
                           r->name, key, i, low);
        out[i] = (float)value;
    }
    return PF_OK;
}

/* z_dim and the statistics of the latents.  A deviation near 0 is refused, as the pipeline
 * divides by it. */
static pf_status read_latents(const reader *r, pf_video_vae_info *info)
{
    int64_t z = 16;
    PF_TRY(pf_json_int(r->config, r->name, "z_dim", 1, PF_MAX_LATENT_CHANNELS, &z,
                       r->error));
    info->latent_channels = (int)z;
    if (z == 16 && !pf_json_has(r->config, "latents_mean") &&
        !pf_json_has(r->config, "latents_std")) {
        memcpy(info->mean, stock_mean, sizeof stock_mean);
        memcpy(info->deviation, stock_deviation, sizeof stock_deviation);
        return PF_OK;
    }
    PF_TRY(read_statistics(r, "latents_mean", 0.0, (int)z, info->mean));
    return read_statistics(r, "latents_std", 1e-6, (int)z, info->deviation);
}

pf_status pf_vae_config_read(const json_t *config, const char *name,
                             pf_video_vae *vae, pf_error *error)
{
    const reader r = {config, name, error};
    pf_vae_config *c = &vae->config;
    PF_TRY(refuse_variants(&r));
    PF_TRY(read_widths(&r, c));
    PF_TRY(read_time(&r, c));
    PF_TRY(read_latents(&r, &vae->info));
    vae->info.space = 1 << (c->levels - 1);
    vae->info.time = 1;
    for (int i = 0; i < c->levels - 1; i++)
        vae->info.time *= c->halves_time[i] ? 2 : 1;
    PF_TRY(expect_int(&r, "scale_factor_spatial", vae->info.space));
    return expect_int(&r, "scale_factor_temporal", vae->info.time);
}
