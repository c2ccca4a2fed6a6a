/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the video VAE: layers, caches, and the drive of both directions.
 * Only video_vae*.c include this.  docs/model/video-vae.md.
 *
 * A coder is one half of the network, constant while it runs.  Caches change from step to
 * step, one set a spatial tile.  Who calls whom:
 *
 *     video_vae_encode.c, _decode.c   the film: groups of frames, in order
 *       video_vae_stream.c            a step: every tile, then blending on the host
 *         encode_step, decode_step    a tile: levels of one half
 *           video_vae_blocks.c        blocks of a level, and their caches
 *
 * A slot is the place of one cache: its convolution has the number, the coder its shape, and
 * each tile the memory.  `shrink` says how many pixels of the film are a column of a map: 1 at
 * the film's resolution, 2, 4, 8 below.
 */
#ifndef PF_MODEL_VIDEO_VAE_PARTS_H
#define PF_MODEL_VIDEO_VAE_PARTS_H

#include "model/video_vae.h"

enum {
    PF_VAE_MAX_LEVELS = 6,
    PF_VAE_MAX_BLOCKS = 9,              /* the decoder has one more than asked */
    PF_VAE_MAX_SLOTS = PF_VAE_MAX_LEVELS * (2 * PF_VAE_MAX_BLOCKS + 1) + 6
};

/* config.json after the checks of video_vae_config.c. */
typedef struct pf_vae_config {
    int levels, blocks;                 /* dim_mult, num_res_blocks */
    int64_t encoder_width[PF_VAE_MAX_LEVELS];   /* base_dim * dim_mult */
    int64_t decoder_width[PF_VAE_MAX_LEVELS];   /* the same order */
    int64_t encoder_base;
    bool halves_time[PF_VAE_MAX_LEVELS];        /* after level i */
} pf_vae_config;

/* A convolution over time that remembers the last `keep` frames of its input. */
typedef struct pf_vae_causal {
    pf_layer layer;
    int64_t in, out;
    int slot;                           /* of its cache */
    int keep;                           /* 2; 1 with a stride of 2 */
    int stride;                         /* over time */
    int pad;                            /* in space: 1, or 0 for 3x1x1 */
} pf_vae_causal;

/* y = conv2(SiLU(norm2(conv1(SiLU(norm1(x)))))) + (widens ? shortcut(x) : x) */
typedef struct pf_vae_residual {
    pf_tensor norm1, norm2;             /* gammas */
    pf_vae_causal conv1, conv2;
    bool widens;                        /* channels change: there is a shortcut */
    pf_layer shortcut;
} pf_vae_residual;

/* The deepest part of a half: residual block, attention within a frame, residual block. */
typedef struct pf_vae_mid {
    pf_vae_residual before, after;
    pf_tensor norm;                     /* of the attention */
    pf_layer to_qkv, proj;
} pf_vae_mid;

/* Residual blocks of one resolution, and the way to the next one. */
typedef struct pf_vae_level {
    int64_t in, out;                    /* channels */
    int count;
    pf_vae_residual block[PF_VAE_MAX_BLOCKS];
    int shrink;                         /* pixels of the film a column here */
    int64_t frames;                     /* here, for one latent frame */
    bool resamples;                     /* all but the last level */
    pf_layer resample;                  /* 3x3 in space */
    bool resamples_time;
    pf_vae_causal time_conv;
    int held;                           /* encoder: slot of the output of a step */
} pf_vae_level;

/* Shape of a cache: [channels, keep, tile height / shrink, tile width / shrink]. */
typedef struct pf_vae_slot {
    int64_t channels;
    int keep, shrink;
} pf_vae_slot;

/* Encoder or decoder: a half of the network. */
typedef struct pf_vae_coder {
    int levels;
    pf_vae_causal conv_in, conv_out;
    pf_vae_level level[PF_VAE_MAX_LEVELS];  /* in the order of execution */
    pf_vae_mid mid;                     /* encoder: last, decoder: first */
    pf_tensor norm_out;
    pf_layer quant;                     /* (post_)quant_conv */
    int slots;
    pf_vae_slot slot[PF_VAE_MAX_SLOTS];
} pf_vae_coder;

struct pf_video_vae {
    pf_params *params;                  /* of the caller */
    pf_video_vae_info info;
    pf_vae_config config;
    pf_vae_coder encoder, decoder;
};

/* Fills vae->config and vae->info.  Variants that are another network are refused by name. */
pf_status pf_vae_config_read(const json_t *config, const char *name,
                             pf_video_vae *vae, pf_error *error);

/* Original (Wan) to diffusers names; see pf_weights_rename. */
bool pf_vae_translate_name(const char *from, char *to, size_t to_bytes);

/* --- blocks (video_vae_blocks.c) --------------------------------------------- */

/* A step of a tile through a coder. */
typedef struct pf_vae_run {
    pf_ops *ops;
    const pf_video_vae *vae;
    const pf_vae_coder *coder;
    pf_tensor *cache;                   /* by slot: [channels, keep, h, w] */
    bool first;                         /* the step of frame 0 */
    int still, still_next;              /* pf_vae_stream */
    int64_t height, width;              /* of the tile, in pixels */
    pf_tensor latents;                  /* decoder: all latents of the call */
} pf_vae_run;

/* A causal convolution is opened, filled and closed, so that its input is written once, by the
 * kernel that makes it, and never concatenated:
 *
 *     window   | cache: keep | fresh: frames |   [in, keep + frames, h, w], of the arena
 *                              ^ the norm before the convolution writes here
 *     y        = convolution of the window, no padding in time
 *     cache    = the last `keep` frames of the window, for the next step
 *
 * Makes `window` with the cached frames in front; `fresh` is the part behind them, to be
 * filled. */
pf_status pf_vae_window_open(pf_vae_run *run, const pf_vae_causal *conv,
                             int64_t frames, pf_tensor *window,
                             pf_tensor *fresh);
/* Convolves the window to y (plus `residual`, or NULL) and renews the cache. */
pf_status pf_vae_window_close(pf_vae_run *run, const pf_vae_causal *conv,
                              const pf_tensor *window,
                              const pf_tensor *residual, const pf_tensor *y);

/* y = conv(SiLU(norm(x))) + residual (or NULL). */
pf_status pf_vae_normed_conv(pf_vae_run *run, const pf_tensor *gamma,
                             const pf_vae_causal *conv, const pf_tensor *x,
                             const pf_tensor *residual, const pf_tensor *y);
/* y may be x where the block does not widen. */
pf_status pf_vae_residual_forward(pf_vae_run *run, const pf_vae_residual *block,
                                  const pf_tensor *x, const pf_tensor *y);
/* The mid block, in place; x [C, 1, h, w]. */
pf_status pf_vae_mid_forward(pf_vae_run *run, const pf_tensor *x);
/* y = W x + b at every pixel: x [in, n, h, w], y [out, n, h, w], layer 1x1x1. */
pf_status pf_vae_pointwise(pf_vae_run *run, const pf_layer *layer,
                           const pf_tensor *x, const pf_tensor *y);

/* --- stream (video_vae_stream.c) ---------------------------------------------- */

/* Planes of host memory: plane i begins at data + i * pitch. */
typedef struct pf_vae_planes {
    float *data;
    int64_t count, pitch, height, width;
} pf_vae_planes;

/* x [Ci, n, H, W] to y [Co, m, H', W'], both contiguous on the device. */
typedef pf_status (*pf_vae_forward)(pf_vae_run *run, const pf_tensor *x,
                                    const pf_tensor *y);

typedef struct pf_vae_tile pf_vae_tile;

/* Encoding or decoding a whole film: the tiles with their caches and buffers. */
typedef struct pf_vae_stream {
    pf_ops *ops;
    const pf_video_vae *vae;
    const pf_vae_coder *coder;
    pf_vae_forward forward;
    int in_shrink, out_shrink;          /* pixels a column of input and output */
    int64_t tile, stride;               /* pixels */
    int rows, columns;
    pf_vae_tile *tiles;                 /* [rows * columns] */
    float *staging;                     /* input of one tile; NULL in a dry run */
    bool started;
    int still;                          /* encoder: levels whose output is that of the
                                         * step before, and so need no computing */
    int still_next;                     /* `still` of the next step */
} pf_vae_stream;

typedef struct pf_vae_stream_spec {
    const pf_video_vae *vae;
    const pf_vae_coder *coder;
    pf_vae_forward forward;
    bool decodes;
    int64_t height, width;              /* of the film, in pixels */
    pf_tiling tiling;
} pf_vae_stream_spec;

/* Lays out the tiles and makes all memory of the stream: caches (zeros) in the arena, and
 * buffers on the host, which a dry run leaves out.  Close after success alone. */
pf_status pf_vae_stream_open(pf_vae_stream *stream, pf_ops *ops,
                             const pf_vae_stream_spec *spec);
void pf_vae_stream_close(pf_vae_stream *stream);

/* Runs a step of every tile: `in` has Ci * n planes, `out` Co * m; the tiles are
 * blended where they overlap. */
pf_status pf_vae_stream_step(pf_vae_stream *stream, const pf_vae_planes *in,
                             int64_t in_frames, const pf_vae_planes *out,
                             int64_t out_frames);

#endif
