/* SPDX-License-Identifier: Apache-2.0 */
/* The table of settings, and the members of a request that they fill.  See phonofilm.h.
 *
 * A row is all that command lines, --config, completion, requests to a server and the
 * metadata of films need to know of a setting: docs/adding-a-flag.md.
 */
#include <stddef.h>
#include <string.h>

#include "pipeline/setting.h"

/* Numbers whose range the model decides. */
#define OPEN .low = -PF_SETTING_OPEN, .high = PF_SETTING_OPEN
#define FILLS(name) .member = offsetof(pf_request, name)

static const pf_setting table[] = {
    {.name = "size", .kind = PF_SETTING_SIZE},
    {.name = "height", .kind = PF_SETTING_WHOLE, OPEN, FILLS(height),
     .phase = PF_PHASE_NOISE, .section = PF_SECTION_SHAPE, .argument = "PIXELS",
     .help = "A multiple of 16 (default: the model's)"},
    {.name = "width", .kind = PF_SETTING_WHOLE, OPEN, FILLS(width),
     .phase = PF_PHASE_NOISE, .section = PF_SECTION_SHAPE, .argument = "PIXELS",
     .help = "A multiple of 16 (default: the model's)"},
    {.name = "num_frames", .kind = PF_SETTING_WHOLE, OPEN, FILLS(num_frames),
     .phase = PF_PHASE_NOISE, .section = PF_SECTION_SHAPE, .argument = "N",
     .help = "4k + 1 (default: the model's)"},
    {.name = "seconds", .kind = PF_SETTING_REAL, .low = 0.001, .high = 3600},
    {.name = "fps", .kind = PF_SETTING_REAL, .low = 1, .high = 120, FILLS(fps),
     .phase = PF_PHASE_NOISE, .section = PF_SECTION_RATE, .argument = "RATE",
     .help = "Frames a second, 1 to 120 (default: the model's)"},
    {.name = "num_inference_steps", .kind = PF_SETTING_WHOLE, .low = 1, .high = 1000,
     FILLS(num_inference_steps), .phase = PF_PHASE_NOISE, .section = PF_SECTION_STEPS,
     .letter = 's', .argument = "N",
     .help = "Denoising steps, 1 to 1000 (default: the model's)"},
    {.name = "guidance_scale", .kind = PF_SETTING_REAL, .low = 0, .high = 100,
     FILLS(guidance_scale), .phase = PF_PHASE_STEPS, .section = PF_SECTION_STEPS,
     .letter = 'g', .argument = "X",
     .help = "How strongly the prompt pulls, 0 to 100; 1 switches guidance off (default: "
             "the model's)"},
    {.name = "guidance_scale_2", .kind = PF_SETTING_REAL, .low = 0, .high = 100,
     FILLS(guidance_scale_2), .blank = PF_BLANK_UNSET, .phase = PF_PHASE_STEPS,
     .section = PF_SECTION_STEPS, .argument = "X",
     .help = "--guidance-scale from the low-noise expert on, 0 to 100 (default: the "
             "model's; where it has none, the same)"},
    {.name = "bridge_guidance_scale", .kind = PF_SETTING_REAL, .low = 0, .high = 100,
     FILLS(bridge_guidance_scale), .blank = PF_BLANK_UNSET, .phase = PF_PHASE_STEPS,
     .section = PF_SECTION_STEPS, .argument = "X",
     .help = "Dual guidance: how strongly picture and sound pull each other, 0 to 100; 1 "
             "is plain guidance (default: off)"},
    {.name = "guidance_rescale", .kind = PF_SETTING_REAL, .low = 0, .high = 1,
     FILLS(guidance_rescale), .blank = PF_BLANK_ZERO, .phase = PF_PHASE_STEPS,
     .section = PF_SECTION_STEPS, .argument = "X",
     .help = "Keeps the contrast of strong guidance, 0 to 1 (default: 0, off)"},
    {.name = "visual_shift", .kind = PF_SETTING_REAL, OPEN, FILLS(visual_shift),
     .blank = PF_BLANK_UNSET, .phase = PF_PHASE_STEPS, .section = PF_SECTION_STEPS,
     .argument = "X",
     .help = "Shift of the video timesteps; with --audio-shift (default: the model's)"},
    {.name = "audio_shift", .kind = PF_SETTING_REAL, OPEN, FILLS(audio_shift),
     .blank = PF_BLANK_UNSET, .phase = PF_PHASE_STEPS, .section = PF_SECTION_STEPS,
     .argument = "X",
     .help = "Shift of the audio timesteps; with --visual-shift (default: the model's)"},
    {.name = "seed", .kind = PF_SETTING_SEED, FILLS(seed), .phase = PF_PHASE_NOISE,
     .section = PF_SECTION_NOISE, .argument = "N", .help = "Noise seed (default: 42)"},
    {.name = "rng", .kind = PF_SETTING_CHOICE, .choices = "own|torch-cpu|torch-cuda",
     FILLS(rng), .phase = PF_PHASE_NOISE, .section = PF_SECTION_NOISE, .argument = "KIND",
     .help = "Noise stream: own (default), torch-cpu or torch-cuda"},
    {.name = "cuda_multiprocessors", .kind = PF_SETTING_WHOLE, .low = 1, .high = 1024,
     FILLS(cuda_multiprocessors), .blank = PF_BLANK_ZERO, .phase = PF_PHASE_NOISE,
     .section = PF_SECTION_NOISE, .flag = "cuda-sm-count", .argument = "N",
     .help = "Multiprocessors of the GPU that --rng torch-cuda matches (H100: 132)"},
    {.name = "vae_tile", .kind = PF_SETTING_WHOLE, OPEN, FILLS(vae_tile),
     .blank = PF_BLANK_ZERO, .section = PF_SECTION_TILES, .argument = "PIXELS",
     .help = "Decode and encode in tiles of this side; saves memory (usual: 256)"},
    {.name = "vae_tile_stride", .kind = PF_SETTING_WHOLE, OPEN, FILLS(vae_tile_stride),
     .blank = PF_BLANK_ZERO, .section = PF_SECTION_TILES, .argument = "PIXELS",
     .help = "Distance of the tiles (default: three quarters of --vae-tile)"},
    {.name = "generate_sound", .kind = PF_SETTING_SWITCH, FILLS(no_audio_output),
     .negated = true},
    {.name = "quality", .kind = PF_SETTING_WHOLE, .low = 0, .high = 51,
     .section = PF_SECTION_FILE, .argument = "CRF",
     .help = "Constant rate factor of the picture, 0 (best) to 51 (default: 5)"},
    {.name = "format", .kind = PF_SETTING_CHOICE, .choices = "mp4|webm"},
};

enum { COUNT = sizeof table / sizeof table[0] };

const pf_setting *pf_setting_list(int *count)
{
    *count = COUNT;
    return table;
}

const pf_setting *pf_setting_find(const char *name)
{
    for (int i = 0; i < COUNT; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

/* --- members of a request ---------------------------------------------------------- */

_Static_assert(sizeof(pf_rng) == sizeof(int), "members of choices are read as int");

void pf_setting_apply(const pf_setting *setting, const pf_setting_value *value,
                      pf_request *request)
{
    void *member = (char *)request + setting->member;
    if (setting->member == 0 || setting->member >= request->size)
        return;
    switch (setting->kind) {
    case PF_SETTING_WHOLE: *(int *)member = (int)value->number; break;
    case PF_SETTING_REAL: *(double *)member = value->number; break;
    case PF_SETTING_SEED: *(uint64_t *)member = value->seed; break;
    case PF_SETTING_SWITCH: *(bool *)member = value->on != setting->negated; break;
    case PF_SETTING_CHOICE: *(int *)member = value->choice; break;
    case PF_SETTING_SIZE: break;
    }
}

bool pf_setting_get(const pf_setting *setting, const pf_request *request,
                    pf_setting_value *out)
{
    const void *member = (const char *)request + setting->member;
    *out = (pf_setting_value){0};
    if (setting->member == 0 || setting->member >= request->size)
        return false;
    switch (setting->kind) {
    case PF_SETTING_WHOLE: out->number = *(const int *)member; break;
    case PF_SETTING_REAL: out->number = *(const double *)member; break;
    case PF_SETTING_SEED: out->seed = *(const uint64_t *)member; break;
    case PF_SETTING_SWITCH: out->on = *(const bool *)member != setting->negated; break;
    case PF_SETTING_CHOICE: out->choice = *(const int *)member; break;
    case PF_SETTING_SIZE: return false;
    }
    pf_setting_spell(setting, out);
    return !((setting->blank == PF_BLANK_UNSET && out->number == PF_UNSET) ||
             (setting->blank == PF_BLANK_ZERO && out->number == 0));
}
