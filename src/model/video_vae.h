/* SPDX-License-Identifier: Apache-2.0 */
/* Video VAE (AutoencoderKLWan).  docs/model/video-vae.md.
 *
 *     film      [3, F, H, W], host, -1..1       F = 4 (T - 1) + 1
 *     latents   [z, T, h, w], host              h = H / 8, w = W / 8
 *
 * (4 and 8 for the stock configuration; pf_video_vae_info has the model's.)  Latent frame 0
 * is frame 0 of the film alone, latent frame j its frames 4j - 3 .. 4j.  Neither function holds
 * a film in memory: frames come from a callback and go to one, a group at a time.
 *
 * The mean and the deviation of the latents are the caller's affair (pipeline/stages.c).
 *
 * Thread-safety: as a tower (tower.h).  Callbacks run on the calling thread. */
#ifndef PF_MODEL_VIDEO_VAE_H
#define PF_MODEL_VIDEO_VAE_H

#include <jansson.h>

#include "model/params.h"
#include "ops/ops.h"

enum { PF_MAX_LATENT_CHANNELS = 64 };

typedef struct pf_video_vae pf_video_vae;

/* Facts that the pipeline needs.  Arrays hold latent_channels values. */
typedef struct pf_video_vae_info {
    int latent_channels;                        /* z_dim */
    int space, time;                            /* compression: 8, 4 */
    float mean[PF_MAX_LATENT_CHANNELS];         /* latents_mean */
    float deviation[PF_MAX_LATENT_CHANNELS];    /* latents_std */
} pf_video_vae_info;

/* Reads `config` (`name` is its path, for messages) and asks `params` for its parameters.
 * *out is to be released with pf_video_vae_unbind also after a failure. */
pf_status pf_video_vae_bind(pf_params *params, const json_t *config, const char *name,
                            pf_video_vae **out, pf_error *error);
void pf_video_vae_unbind(pf_video_vae *vae);            /* NULL is fine */
const pf_video_vae_info *pf_video_vae_get_info(const pf_video_vae *vae);

/* Spatial tiles in pixels; {0, 0} is none.  Tiles are used only where a side is
 * larger than the tile. */
typedef struct pf_tiling {
    int tile, stride;                           /* 256, 192 */
} pf_tiling;

/* Writes frames [3, count, H, W] (f32, -1..1) from number `first` on to `out`.  Called in
 * order; frames of a constant stretch may be left out. */
typedef pf_status (*pf_frame_source)(void *user, int64_t first, int64_t count,
                                     float *out, pf_error *error);

/* A film to encode.  In a dry run no pointer is followed and no callback is called. */
typedef struct pf_video_encode {
    int64_t frames, height, width;              /* frames % 4 == 1 */
    pf_frame_source source;
    void *user;
    /* Called after each latent frame, or NULL. */
    void (*progress)(void *user, int64_t done, int64_t total);
    int64_t constant_from;      /* frames from here up to ... */
    int64_t constant_to;        /* ... here (exclusive) are all alike: whole groups
                                 * inside, past the receptive field, are repeated
                                 * instead of computed */
    pf_tiling tiling;
    float *mean;                /* out: [z, T, h, w], mode of the posterior */
} pf_video_encode;

/* Streams: frame 0, then groups of 4 through the caches of the convolutions.  PF_E_ARGUMENT:
 * extents that the network cannot take, or impossible tiles. */
pf_status pf_video_vae_encode(pf_video_vae *vae, pf_ops *ops,
                              const pf_video_encode *args);

/* Takes `count` decoded frames [3, count, H, W] (f32, clamped to -1..1), in order. */
typedef pf_status (*pf_frame_sink)(void *user, int64_t first, int64_t count,
                                   const float *frames, pf_error *error);

/* Latents to decode.  In a dry run neither latents nor sink are used. */
typedef struct pf_video_decode {
    const float *latents;                       /* [z, T, h, w], denormalised */
    int64_t frames, height, width;              /* T, h, w of the latents */
    pf_tiling tiling;
    pf_frame_sink sink;
    void *user;
} pf_video_decode;

/* Streams: one latent frame at a time through the caches of the convolutions; the sink gets 1
 * frame of the film, then 4 a time.  A failure of the sink ends the decoding. */
pf_status pf_video_vae_decode(pf_video_vae *vae, pf_ops *ops,
                              const pf_video_decode *args);

#endif
