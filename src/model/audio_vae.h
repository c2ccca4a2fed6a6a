/* SPDX-License-Identifier: Apache-2.0 */
/* Audio VAE (continuous DAC).  docs/model/audio-vae.md.  Always computes with
 * PF_MULTIPLY_F32: phases of the snake must not be rounded.
 *
 *     decode   latents [C, L], host --> device, piece by piece --> samples [L hop], host
 *     encode   samples [count], host --> device, in one pass --> mean [C, ceil(count / hop)]
 *
 * Latents are used as they are, without mean and deviation (other than the video's).
 *
 * Thread-safety: as a tower (tower.h). */
#ifndef PF_MODEL_AUDIO_VAE_H
#define PF_MODEL_AUDIO_VAE_H

#include <jansson.h>

#include "model/params.h"
#include "ops/ops.h"

typedef struct pf_audio_vae pf_audio_vae;

typedef struct pf_audio_vae_info {
    int latent_channels;                        /* latent_dim */
    int sample_rate;                            /* Hz */
    int hop;                                    /* samples a latent: 960 */
} pf_audio_vae_info;

/* Reads `config` (`name` is its path, for messages) and asks `params` for its parameters.
 * *out is to be released with pf_audio_vae_unbind also after a failure. */
pf_status pf_audio_vae_bind(pf_params *params, const json_t *config, const char *name,
                            pf_audio_vae **out, pf_error *error);
void pf_audio_vae_unbind(pf_audio_vae *vae);            /* NULL is fine */
const pf_audio_vae_info *pf_audio_vae_get_info(const pf_audio_vae *vae);

/* latents [C, length] (F32, host) to samples [hop * length] (host, -1..1), in pieces with
 * enough context that the result is the same, to the bit, as in one pass.  A dry run takes
 * NULL for both.  PF_E_ARGUMENT: length is below 1. */
pf_status pf_audio_vae_decode(pf_audio_vae *vae, pf_ops *ops,
                              const float *latents, int64_t length,
                              float *samples);

/* pf_audio_vae_decode in pieces of `piece` latents.  The result does not depend on it;
 * the memory that is needed does. */
pf_status pf_audio_vae_decode_pieces(pf_audio_vae *vae, pf_ops *ops,
                                     const float *latents, int64_t length,
                                     int64_t piece, float *samples);

/* Number of latents on each side of a sample's own that the sample depends on. */
int64_t pf_audio_vae_context(const pf_audio_vae *vae);

/* samples [count] (host, -1..1) to mean [C, ceil(count / hop)] (host), padded with zeros to a
 * whole number of hops.  Runs in one pass: memory grows with the sound.  For tests and
 * training; films need the decoder alone. */
pf_status pf_audio_vae_encode(pf_audio_vae *vae, pf_ops *ops,
                              const float *samples, int64_t count, float *mean);

#endif
