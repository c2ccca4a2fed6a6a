/* SPDX-License-Identifier: Apache-2.0 */
/* Original (Wan) tensor names of the video VAE to those of diffusers.
 * docs/model/video-vae.md, section 3.
 *
 * `decoder.upsamples.K` stays as it is: which level and block K means depends on
 * the configuration, so video_vae.c asks for that name itself. */
#include <stdio.h>
#include <string.h>

#include "model/video_vae_parts.h"

typedef struct pair {
    const char *from, *to;
} pair;

static const char *const prefixes[] = {"first_stage_model.", "vae.", "model."};

/* At the beginning of a name, before a dot. */
static const pair heads[] = {
    {"conv1", "quant_conv"},
    {"conv2", "post_quant_conv"},
    {"encoder.conv1", "encoder.conv_in"},
    {"encoder.downsamples", "encoder.down_blocks"},
    {"encoder.middle.0", "encoder.mid_block.resnets.0"},
    {"encoder.middle.1", "encoder.mid_block.attentions.0"},
    {"encoder.middle.2", "encoder.mid_block.resnets.1"},
    {"encoder.head.0", "encoder.norm_out"},
    {"encoder.head.2", "encoder.conv_out"},
    {"decoder.conv1", "decoder.conv_in"},
    {"decoder.middle.0", "decoder.mid_block.resnets.0"},
    {"decoder.middle.1", "decoder.mid_block.attentions.0"},
    {"decoder.middle.2", "decoder.mid_block.resnets.1"},
    {"decoder.head.0", "decoder.norm_out"},
    {"decoder.head.2", "decoder.conv_out"},
};

/* Inside a residual block, at the end. */
static const pair members[] = {
    {".residual.0.gamma", ".norm1.gamma"},
    {".residual.2.weight", ".conv1.weight"},
    {".residual.2.bias", ".conv1.bias"},
    {".residual.3.gamma", ".norm2.gamma"},
    {".residual.6.weight", ".conv2.weight"},
    {".residual.6.bias", ".conv2.bias"},
    {".shortcut.weight", ".conv_shortcut.weight"},
    {".shortcut.bias", ".conv_shortcut.bias"},
};

#define LENGTH(array) (sizeof (array) / sizeof (array)[0])

static bool begins_with(const char *text, const char *head)
{
    return strncmp(text, head, strlen(head)) == 0;
}

static const char *strip_prefixes(const char *name)
{
    for (size_t i = 0; i < LENGTH(prefixes); i++)
        if (begins_with(name, prefixes[i]))
            return strip_prefixes(name + strlen(prefixes[i]));
    return name;
}

/* The pair whose `from` ends the name, or NULL. */
static const pair *find_member(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < LENGTH(members); i++) {
        size_t tail = strlen(members[i].from);
        if (length >= tail && strcmp(name + length - tail, members[i].from) == 0)
            return &members[i];
    }
    return NULL;
}

static const pair *find_head(const char *name)
{
    for (size_t i = 0; i < LENGTH(heads); i++) {
        size_t length = strlen(heads[i].from);
        if (begins_with(name, heads[i].from) && name[length] == '.')
            return &heads[i];
    }
    return NULL;
}

bool pf_vae_translate_name(const char *from, char *to, size_t to_bytes)
{
    const char *body = strip_prefixes(from);
    const pair *head = find_head(body);
    if (head)
        body += strlen(head->from);
    const pair *member = find_member(body);
    if (body == from && !member)
        return false;
    size_t length = strlen(body) - (member ? strlen(member->from) : 0);
    int written = snprintf(to, to_bytes, "%s%.*s%s", head ? head->to : "",
                           (int)length, body, member ? member->to : "");
    return written > 0 && (size_t)written < to_bytes;
}
