/* SPDX-License-Identifier: Apache-2.0 */
/* The table of stages.  See stage.h. */
#include "pipeline/stage.h"

enum {
    TOWERS = 1 << PF_AUDIO_DIT | 1 << PF_DUAL_TOWER_BRIDGE      /* of both experts */
};

static const pf_stage stages[PF_STAGES] = {
    [PF_STAGE_TEXT] = {"text", 1 << PF_TEXT_ENCODER, PF_TEXT_ENCODER},
    [PF_STAGE_IMAGE] = {"image", 1 << PF_VIDEO_VAE, PF_VIDEO_VAE},
    [PF_STAGE_LATENTS] = {"latents", 0, PF_VIDEO_DIT},
    [PF_STAGE_DENOISE_HIGH] = {"denoise", 1 << PF_VIDEO_DIT | TOWERS, PF_VIDEO_DIT},
    [PF_STAGE_DENOISE_LOW] = {"denoise", 1 << PF_VIDEO_DIT_2 | TOWERS, PF_VIDEO_DIT_2},
    [PF_STAGE_DECODE_AUDIO] = {"decode audio", 1 << PF_AUDIO_VAE, PF_AUDIO_VAE},
    [PF_STAGE_DECODE_VIDEO] = {"decode video", 1 << PF_VIDEO_VAE, PF_VIDEO_VAE},
};

const pf_stage *pf_stage_get(pf_stage_number number)
{
    return &stages[number];
}
