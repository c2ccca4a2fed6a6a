/* SPDX-License-Identifier: Apache-2.0 */
/* The bridge: cross attention between the towers.  docs/model/bridge.md.
 *
 *     video tokens [T S, video_dim] <--A2V-- audio tokens [La, audio_dim]
 *                                   --V2A-->
 *
 * T latent frames of S tokens, La audio latents.  A layer of the bridge is a pair of
 * conditioners, one a direction; both read the tokens that the layer before left.  Time is
 * counted in audio latents on both sides, so that a rotary angle says how far apart picture
 * and sound are.
 *
 * Thread-safety: as a tower (tower.h). */
#ifndef PF_MODEL_BRIDGE_H
#define PF_MODEL_BRIDGE_H

#include <jansson.h>

#include "model/params.h"
#include "ops/ops.h"

typedef struct pf_bridge pf_bridge;

/* Configuration after its checks (docs/model/bridge.md, "Configuration"). */
typedef struct pf_bridge_info {
    int video_layers, audio_layers, video_dim, audio_dim, head_dim;
    double audio_fps;               /* latents a second: 50 */
    bool cross_rope, first_frame_bias, pooled_adaln, trainable_scale;
} pf_bridge_info;

/* Reads `config` (`name` is its path, for messages) and asks `params` for its parameters:
 * both conditioners of layer i are group i.  *out is to be released with pf_bridge_unbind
 * also after a failure. */
pf_status pf_bridge_bind(pf_params *params, const json_t *config, const char *name,
                         pf_bridge **out, pf_error *error);
void pf_bridge_unbind(pf_bridge *bridge);               /* NULL is fine */
const pf_bridge_info *pf_bridge_get_info(const pf_bridge *bridge);
/* Does layer `layer` of both towers interact?  False outside of the shallower tower. */
bool pf_bridge_interacts(const pf_bridge *bridge, int layer);

/* Aligned rotary tables, one row a latent frame (video) or latent (audio); in the
 * arena.  All null when the bridge has no cross rope. */
typedef struct pf_bridge_tables {
    pf_rope_table video, audio;     /* of T frames and La latents; null: no rotation */
    int64_t frames, positions;      /* T, and tokens a latent frame */
} pf_bridge_tables;

typedef struct pf_bridge_extent {
    int64_t frames, positions;      /* T, and video tokens a latent frame */
    int64_t audio_length;           /* La */
} pf_bridge_extent;

/* Makes both tables for a film of `fps` frames a second.  `round_inverse_frequencies`: the
 * official scripts load the bridge as bf16, which rounds the frequencies of its tables, too;
 * false keeps them in f32 (pf_engine_options.bridge_frequencies). */
pf_status pf_bridge_make_tables(const pf_bridge *bridge, pf_ops *ops,
                                const pf_bridge_extent *extent, double fps,
                                bool round_inverse_frequencies,
                                pf_bridge_tables *out);

#endif
