/* SPDX-License-Identifier: Apache-2.0 */
/* Video VAE: binding its parameters.  docs/model/video-vae.md,
 * sections 1 to 3.  Forward passes are in video_vae_encode.c and _decode.c.
 *
 * Binding also lays out what streaming needs: a slot for the cache of every causal
 * convolution, with the resolution at which it works (`shrink`).  Slots are numbered in the
 * order of binding, which need not be that of execution. */
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "model/video_vae_parts.h"

enum { STEM_BYTES = 96 };

/* Where parameters are being bound. */
typedef struct binder {
    pf_params *params;
    pf_vae_coder *coder;
    int shrink;                         /* of the level being bound */
    pf_error *error;
} binder;

__attribute__((format(printf, 2, 3)))
static const char *stem_of(char out[STEM_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out, STEM_BYTES, format, args);
    va_end(args);
    return out;
}

/* --- layers ------------------------------------------------------------------ */

static pf_status bind_gamma(binder *b, pf_tensor *gamma, int rank, int64_t channels,
                            const char *stem)
{
    const int64_t shape[4] = {channels, 1, 1, 1};
    return pf_params_vector(b->params, gamma, rank, shape, b->error, "%s.gamma",
                            stem);
}

/* A layer stored as [out, in, kernel...] of this rank. */
static pf_status bind_layer(binder *b, pf_layer *layer, pf_weight_kind kind, int rank,
                            const int64_t *shape, const char *stem)
{
    pf_layer_spec spec = {.kind = kind, .rank = rank, .bias = PF_BIAS,
                          .bias_count = shape[0]};
    for (int i = 0; i < rank; i++)
        spec.shape[i] = shape[i];
    return pf_params_layer(b->params, layer, &spec, b->error, "%s", stem);
}

static pf_status bind_pointwise(binder *b, pf_layer *layer, int64_t out, int64_t in,
                                const char *stem)
{
    return bind_layer(b, layer, PF_WEIGHT_CONV, 5, (int64_t[]){out, in, 1, 1, 1},
                      stem);
}

/* Gives the convolution a cache. */
static void add_slot(binder *b, pf_vae_causal *conv)
{
    conv->slot = b->coder->slots++;
    b->coder->slot[conv->slot] =
        (pf_vae_slot){.channels = conv->in, .keep = conv->keep, .shrink = b->shrink};
}

/* Gives a level of the encoder a slot for its output of a step: constant stretches begin with
 * it (video_vae_encode.c, still_levels). */
static void add_held(binder *b, pf_vae_level *level)
{
    int frames = (int)level->frames / (level->resamples_time ? 2 : 1);
    level->held = b->coder->slots++;
    b->coder->slot[level->held] =
        (pf_vae_slot){.channels = level->out, .keep = frames, .shrink = b->shrink};
}

/* 3x3x3, [out, in, 3, 3, 3], which looks two frames back. */
static pf_status bind_causal(binder *b, pf_vae_causal *conv, int64_t out, int64_t in,
                             const char *stem)
{
    conv->out = out;
    conv->in = in;
    conv->keep = 2;
    conv->stride = conv->pad = 1;
    add_slot(b, conv);
    return bind_layer(b, &conv->layer, PF_WEIGHT_CONV, 5,
                      (int64_t[]){out, in, 3, 3, 3}, stem);
}

/* 3x1x1.  With a stride of 2 output j sees 2j - 2 .. 2j, of which a step brings the last two,
 * so that one frame of the past is enough. */
static pf_status bind_time_conv(binder *b, pf_vae_causal *conv, int64_t out,
                                int64_t in, int stride, const char *stem)
{
    conv->out = out;
    conv->in = in;
    conv->keep = 3 - stride;
    conv->stride = stride;
    add_slot(b, conv);
    return bind_layer(b, &conv->layer, PF_WEIGHT_CONV, 5,
                      (int64_t[]){out, in, 3, 1, 1}, stem);
}

/* --- blocks ------------------------------------------------------------------ */

/* STEM.norm1, .conv1, .norm2, .conv2 and, where the channels change, .conv_shortcut. */
static pf_status bind_residual(binder *b, pf_vae_residual *r, int64_t in, int64_t out,
                               const char *stem)
{
    char name[STEM_BYTES];
    r->widens = in != out;
    PF_TRY(bind_gamma(b, &r->norm1, 4, in, stem_of(name, "%s.norm1", stem)));
    PF_TRY(bind_causal(b, &r->conv1, out, in, stem_of(name, "%s.conv1", stem)));
    PF_TRY(bind_gamma(b, &r->norm2, 4, out, stem_of(name, "%s.norm2", stem)));
    PF_TRY(bind_causal(b, &r->conv2, out, out, stem_of(name, "%s.conv2", stem)));
    if (!r->widens)
        return PF_OK;
    return bind_pointwise(b, &r->shortcut, out, in,
                          stem_of(name, "%s.conv_shortcut", stem));
}

static pf_status bind_mid(binder *b, pf_vae_mid *mid, int64_t width, const char *half)
{
    char name[STEM_BYTES];
    PF_TRY(bind_residual(b, &mid->before, width, width,
                         stem_of(name, "%s.mid_block.resnets.0", half)));
    PF_TRY(bind_gamma(b, &mid->norm, 3, width,
                      stem_of(name, "%s.mid_block.attentions.0.norm", half)));
    PF_TRY(bind_layer(b, &mid->to_qkv, PF_WEIGHT_LINEAR, 4,
                      (int64_t[]){3 * width, width, 1, 1},
                      stem_of(name, "%s.mid_block.attentions.0.to_qkv", half)));
    PF_TRY(bind_layer(b, &mid->proj, PF_WEIGHT_LINEAR, 4,
                      (int64_t[]){width, width, 1, 1},
                      stem_of(name, "%s.mid_block.attentions.0.proj", half)));
    return bind_residual(b, &mid->after, width, width,
                         stem_of(name, "%s.mid_block.resnets.1", half));
}

/* The 3x3 convolution in space and the one over frames: with a stride of 2 it
 * halves their number, with 1 it makes two of each. */
static pf_status bind_resample(binder *b, pf_vae_level *level, int64_t width,
                               int time_stride, const char *stem)
{
    char name[STEM_BYTES];
    int64_t time_width = time_stride == 2 ? level->out : 2 * level->out;
    level->resamples = true;
    PF_TRY(bind_layer(b, &level->resample, PF_WEIGHT_CONV, 4,
                      (int64_t[]){width, level->out, 3, 3},
                      stem_of(name, "%s.resample.1", stem)));
    if (!level->resamples_time)
        return PF_OK;
    return bind_time_conv(b, &level->time_conv, time_width, level->out, time_stride,
                          stem_of(name, "%s.time_conv", stem));
}

/* conv_in, norm_out and conv_out of a half, at the resolution of its first and last level. */
static pf_status bind_ends(binder *b, int64_t first, int64_t in, int64_t last,
                           int64_t out, const char *half)
{
    char name[STEM_BYTES];
    pf_vae_coder *c = b->coder;
    b->shrink = c->level[0].shrink;
    PF_TRY(bind_causal(b, &c->conv_in, first, in, stem_of(name, "%s.conv_in", half)));
    b->shrink = c->level[c->levels - 1].shrink;
    PF_TRY(bind_gamma(b, &c->norm_out, 4, last, stem_of(name, "%s.norm_out", half)));
    return bind_causal(b, &c->conv_out, out, last,
                       stem_of(name, "%s.conv_out", half));
}

/* --- the halves -------------------------------------------------------------- */

/* down_blocks counts residual blocks and resamplings alike: *next is the number of
 * the next one. */
static pf_status bind_down_level(binder *b, pf_vae_level *level, int *next)
{
    char name[STEM_BYTES];
    int64_t in = level->in;
    b->shrink = level->shrink;
    for (int j = 0; j < level->count; j++, in = level->out)
        PF_TRY(bind_residual(b, &level->block[j], in, level->out,
                             stem_of(name, "encoder.down_blocks.%d", (*next)++)));
    if (level->resamples) {
        b->shrink = 2 * level->shrink;  /* space is halved before time */
        PF_TRY(bind_resample(b, level, level->out, 2,
                             stem_of(name, "encoder.down_blocks.%d", (*next)++)));
    }
    add_held(b, level);
    return PF_OK;
}

/* Levels from the film down: channels grow, `frames` are what a group of `time` film frames
 * has become there. */
static pf_status bind_encoder(pf_video_vae *vae, pf_error *error)
{
    const pf_vae_config *config = &vae->config;
    pf_vae_coder *c = &vae->encoder;
    binder b = {vae->params, c, 1, error};
    int64_t width = config->encoder_base, z = vae->info.latent_channels;
    int64_t frames = vae->info.time;
    int next = 0;
    c->levels = config->levels;
    for (int i = 0; i < c->levels; i++) {
        pf_vae_level *level = &c->level[i];
        *level = (pf_vae_level){
            .in = width, .out = config->encoder_width[i], .count = config->blocks,
            .shrink = 1 << i, .frames = frames, .resamples = i < c->levels - 1,
            .resamples_time = config->halves_time[i],
        };
        PF_TRY(bind_down_level(&b, level, &next));
        width = level->out;
        frames /= config->halves_time[i] ? 2 : 1;
    }
    PF_TRY(bind_mid(&b, &c->mid, width, "encoder"));
    PF_TRY(bind_ends(&b, config->encoder_base, 3, width, 2 * z, "encoder"));
    return bind_pointwise(&b, &c->quant, 2 * z, 2 * z, "quant_conv");
}

/* The original names count blocks and upsamplings through: upsamples.K. */
static const char *up_stem(const binder *b, char out[STEM_BYTES], int level, int block,
                           int blocks)
{
    if (pf_weights_has(pf_params_weights(b->params),
                       "decoder.upsamples.0.conv1.weight"))
        return stem_of(out, "decoder.upsamples.%d", level * (blocks + 1) + block);
    if (block == blocks)
        return stem_of(out, "decoder.up_blocks.%d.upsamplers.0", level);
    return stem_of(out, "decoder.up_blocks.%d.resnets.%d", level, block);
}

static pf_status bind_up_level(binder *b, pf_vae_level *level, int i)
{
    char name[STEM_BYTES];
    int64_t in = level->in;
    b->shrink = level->shrink;
    for (int j = 0; j < level->count; j++, in = level->out)
        PF_TRY(bind_residual(b, &level->block[j], in, level->out,
                             up_stem(b, name, i, j, level->count)));
    if (!level->resamples)
        return PF_OK;
    return bind_resample(b, level, level->out / 2, 1,
                         up_stem(b, name, i, level->count, level->count));
}

/* Levels from the latents up, the encoder's reversed, with one residual block more each.  An
 * upsampling halves the channels, so the next level begins with out / 2. */
static pf_status bind_decoder(pf_video_vae *vae, pf_error *error)
{
    const pf_vae_config *config = &vae->config;
    pf_vae_coder *c = &vae->decoder;
    binder b = {vae->params, c, vae->info.space, error};
    int last = config->levels - 1;
    int64_t deepest = config->decoder_width[last], width = deepest, frames = 1;
    int64_t z = vae->info.latent_channels;
    c->levels = config->levels;
    PF_TRY(bind_pointwise(&b, &c->quant, z, z, "post_quant_conv"));
    PF_TRY(bind_mid(&b, &c->mid, deepest, "decoder"));
    for (int i = 0; i < c->levels; i++) {
        pf_vae_level *level = &c->level[i];
        bool doubles = i < last && config->halves_time[last - 1 - i];
        *level = (pf_vae_level){
            .in = width, .out = config->decoder_width[last - i],
            .count = config->blocks + 1, .shrink = vae->info.space >> i,
            .frames = frames, .resamples = i < last, .resamples_time = doubles,
        };
        PF_TRY(bind_up_level(&b, level, i));
        width = level->out / 2;
        frames *= doubles ? 2 : 1;
    }
    return bind_ends(&b, deepest, z, config->decoder_width[0], 3, "decoder");
}

/* --- binding ----------------------------------------------------------------- */

pf_status pf_video_vae_bind(pf_params *params, const json_t *config, const char *name,
                            pf_video_vae **out, pf_error *error)
{
    pf_video_vae *vae = *out = pf_calloc(1, sizeof *vae);
    if (!vae)
        return pf_fail_memory(error, "video VAE", sizeof *vae);
    vae->params = params;
    PF_TRY(pf_vae_config_read(config, name, vae, error));
    PF_TRY(pf_weights_rename(pf_params_weights(params), pf_vae_translate_name, error));
    PF_TRY(bind_encoder(vae, error));
    return bind_decoder(vae, error);
}

void pf_video_vae_unbind(pf_video_vae *vae)
{
    pf_free(vae);
}

const pf_video_vae_info *pf_video_vae_get_info(const pf_video_vae *vae)
{
    return &vae->info;
}
