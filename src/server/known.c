/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a film.  See known.h. */
#include "server/known.h"

#include <stdio.h>
#include <string.h>

#include "phonofilm.h"
#include "server/settings.h"

/* Fields beside the library's table of settings, and other names of its rows. */
static const pf_known table[] = {
    {"prompt", PF_KNOWN_PROMPT, "prompt"},
    {"rewritten_prompt", PF_KNOWN_PROMPT, PF_SETTINGS_REWRITTEN},
    {"rewrite", PF_KNOWN_REWRITE, NULL},
    {"negative_prompt", PF_KNOWN_TEXT, "negative_prompt"},
    {"model", PF_KNOWN_MODEL, NULL},
    {"size", PF_KNOWN_SIZE, NULL},
    {"seconds", PF_KNOWN_SECONDS, NULL},
    {"flow_shift", PF_KNOWN_SETTING, "visual_shift"},
    {"audio_flow_shift", PF_KNOWN_SETTING, "audio_shift"},
    {"n", PF_KNOWN_ONE, NULL},
    {"num_outputs_per_prompt", PF_KNOWN_ONE, NULL},
    {"input_reference", PF_KNOWN_FIRST_PICTURE, NULL},
    {"input_reference[image_url]", PF_KNOWN_FIRST_PICTURE, NULL},
    {"image_reference", PF_KNOWN_FIRST_PICTURE, NULL},
    {"image_reference[image_url]", PF_KNOWN_FIRST_PICTURE, NULL},
    {"reference_url", PF_KNOWN_FIRST_PICTURE, NULL},
    {"last_image", PF_KNOWN_LAST_PICTURE, NULL},
    {"last_image[image_url]", PF_KNOWN_LAST_PICTURE, NULL},
    {"webhook_url", PF_KNOWN_WEBHOOK, "webhook_url"},
    {"picture", PF_KNOWN_TOLD, "input_reference"},
    {"last_picture", PF_KNOWN_TOLD, "last_image"},
    {"boundary_ratio", PF_KNOWN_IDLE, NULL},
    {"conditions", PF_KNOWN_IDLE, NULL},
    {"diffusers_kwargs", PF_KNOWN_IDLE, NULL},
    {"enable_frame_interpolation", PF_KNOWN_OFF, NULL},
    {"enable_teacache", PF_KNOWN_OFF, NULL},
    {"enable_upscaling", PF_KNOWN_OFF, NULL},
    {"frame_interpolation_exp", PF_KNOWN_IDLE, NULL},
    {"frame_interpolation_model_path", PF_KNOWN_IDLE, NULL},
    {"frame_interpolation_scale", PF_KNOWN_IDLE, NULL},
    {"generator_device", PF_KNOWN_IDLE, NULL},
    {"input_reference[file_id]", PF_KNOWN_IDLE, NULL},
    {"lora", PF_KNOWN_IDLE, NULL},
    {"max_sequence_length", PF_KNOWN_IDLE, NULL},
    {"num_profiled_timesteps", PF_KNOWN_IDLE, NULL},
    {"output_compression", PF_KNOWN_IDLE, NULL},
    {"output_path", PF_KNOWN_IDLE, NULL},
    {"output_quality", PF_KNOWN_IDLE, NULL},
    {"perf_dump_path", PF_KNOWN_IDLE, NULL},
    {"profile", PF_KNOWN_OFF, NULL},
    {"profile_all_stages", PF_KNOWN_OFF, NULL},
    {"sound_duration", PF_KNOWN_IDLE, NULL},
    {"target", PF_KNOWN_IDLE, NULL},
    {"task", PF_KNOWN_IDLE, NULL},
    {"true_cfg_scale", PF_KNOWN_IDLE, NULL},
    {"upscaling_model_path", PF_KNOWN_IDLE, NULL},
    {"upscaling_scale", PF_KNOWN_IDLE, NULL},
    {"user", PF_KNOWN_IDLE, NULL},
    {"video_path", PF_KNOWN_IDLE, NULL},
    {"video_reference", PF_KNOWN_IDLE, NULL},
    {"video_url", PF_KNOWN_IDLE, NULL},
};

static bool find(const char *name, size_t length, pf_known *out)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strncmp(table[i].name, name, length) == 0 && !table[i].name[length]) {
            *out = table[i];
            return true;
        }
    return false;
}

bool pf_known_find(const char *name, pf_known *out)
{
    const pf_setting *setting = pf_setting_find(name);
    if (find(name, strlen(name), out))
        return true;
    if (setting)
        *out = (pf_known){setting->name, PF_KNOWN_SETTING, setting->name};
    return setting || (strchr(name, '[') && find(name, strcspn(name, "["), out) &&
                       out->kind == PF_KNOWN_IDLE);
}

bool pf_known_is_picture(const pf_known *known)
{
    return known->kind == PF_KNOWN_FIRST_PICTURE || known->kind == PF_KNOWN_LAST_PICTURE;
}

/* --- whom to blame ---------------------------------------------------------------- */

/* Whether a field fills the engine's member, or is another way to say it. */
static bool speaks_of(const char *name, const char *member)
{
    pf_known k;
    if (!pf_known_find(name, &k))
        return false;
    if (k.kind == PF_KNOWN_SIZE)
        return strcmp(member, "width") == 0 || strcmp(member, "height") == 0;
    if (k.kind == PF_KNOWN_SECONDS)
        return strcmp(member, "num_frames") == 0;
    if (k.kind == PF_KNOWN_FIRST_PICTURE)
        return strcmp(member, "first_frame") == 0;
    if (k.kind == PF_KNOWN_LAST_PICTURE)
        return strcmp(member, "last_frame") == 0;
    return k.kind < PF_KNOWN_MODEL && k.member && strcmp(k.member, member) == 0;
}

void pf_known_blame(const pf_fields *fields, const char *member,
                    char out[PF_FIELD_NAME_BYTES])
{
    out[0] = '\0';
    for (int i = 0; i < fields->count; i++) {
        if (fields->list[i].kind == PF_FIELD_NULL ||
            !speaks_of(fields->list[i].name, member))
            continue;
        memcpy(out, fields->list[i].name, PF_FIELD_NAME_BYTES);
        return;
    }
    pf_known k;
    if (pf_known_find(member, &k) && k.kind < PF_KNOWN_OFF)     /* a default of the model */
        snprintf(out, PF_FIELD_NAME_BYTES, "%s", member);
}
