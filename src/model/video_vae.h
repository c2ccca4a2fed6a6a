/* SPDX-License-Identifier: Apache-2.0 */
/* Video VAE (AutoencoderKLWan).  docs/model/video-vae.md. */
#ifndef PF_MODEL_VIDEO_VAE_H
#define PF_MODEL_VIDEO_VAE_H

#include <jansson.h>

#include "model/params.h"
#include "ops/ops.h"

enum { PF_MAX_LATENT_CHANNELS = 64 };

typedef struct pf_video_vae pf_video_vae;

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

/* Writes frames [3, count, H, W] (f32, -1..1) from number `first` on to `out`. */
typedef pf_status (*pf_frame_source)(void *user, int64_t first, int64_t count,
                                     float *out, pf_error *error);

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

pf_status pf_video_vae_encode(pf_video_vae *vae, pf_ops *ops,
                              const pf_video_encode *args);

/* Takes `count` decoded frames [3, count, H, W] (f32, clamped to -1..1), in order. */
typedef pf_status (*pf_frame_sink)(void *user, int64_t first, int64_t count,
                                   const float *frames, pf_error *error);

typedef struct pf_video_decode {
    const float *latents;                       /* [z, T, h, w], denormalised */
    int64_t frames, height, width;              /* T, h, w of the latents */
    pf_tiling tiling;
    pf_frame_sink sink;
    void *user;
} pf_video_decode;

/* Streams: one latent frame at a time through the caches of the convolutions. */
pf_status pf_video_vae_decode(pf_video_vae *vae, pf_ops *ops,
                              const pf_video_decode *args);

#endif
