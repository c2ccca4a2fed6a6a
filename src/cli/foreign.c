/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of other programs.  See foreign.h.
 *
 * A row: names, commands, kind, neutral values, values that become, what they become, the
 * advice.  Rows without advice refuse nothing.  docs/from-sglang.md says the same for
 * people; a new row belongs there, too, if its flag is common. */
#include "cli/foreign.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define G FOREIGN_GENERATE
#define S FOREIGN_SERVE
#define GS FOREIGN_BOTH

static const char one_process[] =
    "one process computes on one device: leave it out, or start a server a device "
    "(--device)";
static const char one_place[] =
    "nothing is sent between processes: leave it out";
static const char no_lora[] = "merge the adapter into the weights of the model folder";
static const char in_folder[] = "put the component into the folder of --model-path";
static const char no_cache[] = "every denoising step is computed; --num-inference-steps "
                               "makes a film faster";
static const char no_post[] = "films are not processed further: leave it out";

static const foreign_flag flags[] = {
    /* Several devices. */
    {"num-gpus", GS, FOREIGN_VALUE, "1", NULL, NULL, one_process},
    {"tp-size tp tensor-parallel-size", GS, FOREIGN_VALUE, "1", NULL, NULL, one_process},
    {"sp-degree sp-size sp", GS, FOREIGN_VALUE, "1", NULL, NULL, one_process},
    {"ulysses-degree", GS, FOREIGN_VALUE, "1", NULL, NULL, one_process},
    {"ring-degree", GS, FOREIGN_VALUE, "1", NULL, NULL, one_process},
    {"data-parallel-size dp-size dp dp-degree", GS, FOREIGN_VALUE, "1", NULL, NULL,
     one_process},
    {"cp-size", GS, FOREIGN_VALUE, "1", NULL, NULL, one_process},
    {"cfg-parallel-size", GS, FOREIGN_VALUE, "1", NULL, NULL, one_process},
    {"vae-patch-parallel-size", GS, FOREIGN_VALUE, "1", NULL, NULL, one_process},
    {"pipeline-parallel-size", GS, FOREIGN_VALUE, "1", NULL, NULL, one_process},
    {"hsdp-replicate-dim hsdp-shard-dim", GS, FOREIGN_VALUE, "1", NULL, NULL, one_process},
    {"nnodes", GS, FOREIGN_VALUE, "1", NULL, NULL, one_process},
    {"node-rank", GS, FOREIGN_VALUE, "0", NULL, NULL, one_process},
    {"enable-cfg-parallel", GS, FOREIGN_SWITCH, "false", NULL, NULL, one_process},
    {"use-fsdp-inference", GS, FOREIGN_SWITCH, "false", NULL, NULL, one_process},
    {"vae-sp", GS, FOREIGN_SWITCH, "*", NULL, NULL, NULL},
    {"dist-timeout", GS, FOREIGN_VALUE, NULL, NULL, NULL, one_place},
    {"master-port scheduler-port nccl-port", GS, FOREIGN_VALUE, NULL, NULL, NULL, one_place},

    /* Where weights wait.  Components come to the device when a stage needs them. */
    {"dit-cpu-offload", GS, FOREIGN_SWITCH, "*", NULL, NULL, NULL},
    {"dit-layerwise-offload", GS, FOREIGN_SWITCH, "*", NULL, NULL, NULL},
    {"dit-offload-prefetch-size", GS, FOREIGN_VALUE, "*", NULL, NULL, NULL},
    {"text-encoder-cpu-offload", GS, FOREIGN_SWITCH, "*", NULL, NULL, NULL},
    {"image-encoder-cpu-offload", GS, FOREIGN_SWITCH, "*", NULL, NULL, NULL},
    {"vae-cpu-offload", GS, FOREIGN_SWITCH, "*", NULL, NULL, NULL},
    {"pin-cpu-memory", GS, FOREIGN_SWITCH, "*", NULL, NULL, NULL},
    {"enable-cpu-offload enable-layerwise-offload", GS, FOREIGN_SWITCH, "*", NULL, NULL,
     NULL},
    {"offload", GS, FOREIGN_VALUE, "none|cpu|group", NULL, NULL,
     "components are in memory one group at a time; --keep-resident keeps them all"},
    {"remove-video-dit", GS, FOREIGN_SWITCH, "*", NULL, NULL, NULL},
    {"offload-to-disk-path", GS, FOREIGN_VALUE, NULL, NULL, NULL,
     "weights are mapped from the model folder: leave it out"},
    {"performance-mode mode", GS, FOREIGN_VALUE, "auto|manual|memory", "speed",
     "--keep-resident", "choose --keep-resident or nothing"},
    {"gpu-memory-utilization mem-fraction-static", GS, FOREIGN_VALUE, NULL, NULL, NULL,
     "--memory-limit SIZE is the memory that a film may use"},

    /* How it is computed. */
    {"enable-torch-compile", GS, FOREIGN_SWITCH, "false", NULL, NULL,
     "kernels are compiled when the program is built: leave it out"},
    {"enforce-eager", GS, FOREIGN_SWITCH, "true", NULL, NULL,
     "--graph records a step on a device that can"},
    {"warmup", GS, FOREIGN_SWITCH, "false", NULL, NULL,
     "the first film needs no other before it: leave it out"},
    {"warmup-resolutions", GS, FOREIGN_VALUE, NULL, NULL, NULL,
     "the first film needs no other before it: leave it out"},
    {"skip-server-warmup", GS, FOREIGN_SWITCH, "*", NULL, NULL, NULL},
    {"attention-backend diffusers-attention-backend diffusion-attention-backend attn-type",
     GS, FOREIGN_VALUE, "auto|fa|fa2|fa3|fa4|flash|flash_attn|torch_sdpa|torch|sdpa|native",
     NULL, NULL, "attention is exact, without approximations: leave it out"},
    {"attention-backend-config component-attention-backends", GS, FOREIGN_VALUE, NULL, NULL,
     NULL, "attention is exact, without approximations: leave it out"},
    {"mask-strategy-file-path moba-config-path", GS, FOREIGN_VALUE, NULL, NULL, NULL,
     "attention is exact, without approximations: leave it out"},
    {"cache-dit-config", GS, FOREIGN_VALUE, NULL, NULL, NULL, no_cache},
    {"cache-backend", GS, FOREIGN_VALUE, "none", NULL, NULL, no_cache},
    {"enable-teacache", GS, FOREIGN_SWITCH, "false", NULL, NULL, no_cache},
    {"dtype dit-precision", GS, FOREIGN_VALUE, "auto|bf16|bfloat16", "fp32|f32|float32|float",
     "--precision=f32", "--precision is fast (default), f32 or ref"},
    {"vae-precision text-encoder-precisions text-encoder-precision", GS, FOREIGN_VALUE,
     "auto|bf16|bfloat16|fp32|f32|float32", NULL, NULL,
     "--precision is fast (default), f32 or ref"},
    {"disable-autocast", GS, FOREIGN_SWITCH, "false", NULL, "--precision=f32", NULL},
    {"quantization", GS, FOREIGN_VALUE, "none", NULL, NULL,
     "weights are used as they are stored: leave it out"},
    {"vae-tiling vae-use-tiling", G, FOREIGN_SWITCH, "false", NULL, "--vae-tile=256", NULL},
    {"vae-tiling vae-use-tiling", S, FOREIGN_SWITCH, "false", NULL, NULL,
     "vae_tile is a field of a request: send vae_tile=256"},
    {"vae-slicing vae-use-slicing", GS, FOREIGN_SWITCH, "*", NULL, NULL, NULL},

    /* The model. */
    {"ckpt-path", GS, FOREIGN_VALUE, NULL, NULL, "--model-path=%s", NULL},
    {"backend", GS, FOREIGN_VALUE, "auto|sglang", NULL, NULL,
     "--platform chooses where it is computed"},
    {"omni", GS, FOREIGN_SWITCH, "true", NULL, NULL, "leave it out"},
    {"trust-remote-code", GS, FOREIGN_SWITCH, "*", NULL, NULL, NULL},
    {"revision", GS, FOREIGN_VALUE, NULL, NULL, NULL,
     "download that revision and give its folder as --model-path"},
    {"model-id pipeline-class-name", GS, FOREIGN_VALUE, NULL, NULL, NULL,
     "the model says in its folder what it is: leave it out"},
    {"lora-path lora-nickname lora-scale lora-merge-mode lora-target-modules", GS,
     FOREIGN_VALUE, NULL, NULL, NULL, no_lora},
    {"vae-path video-vae-path audio-vae-path transformer-path transformer-weights-path "
     "text-encoder-path tokenizer-path scheduler-path", GS, FOREIGN_VALUE, NULL, NULL, NULL,
     in_folder},
    {"boundary-ratio", GS, FOREIGN_VALUE, NULL, NULL, NULL,
     "the model says where its low-noise expert begins: leave it out"},
    {"max-sequence-length", GS, FOREIGN_VALUE, "512", NULL, NULL,
     "prompts have 512 tokens: leave it out"},

    /* The film. */
    {"ref-path", G, FOREIGN_VALUE, NULL, NULL, "--image-path=%s", NULL},
    {"cfg-scale", G, FOREIGN_VALUE, NULL, NULL, "--guidance-scale=%s", NULL},
    {"sigma-shift", G, FOREIGN_VALUE, NULL, NULL, "--visual-shift=%s --audio-shift=%s", NULL},
    {"flow-shift", G, FOREIGN_VALUE, NULL, NULL, "--visual-shift=%s", NULL},
    {"audio-flow-shift", G, FOREIGN_VALUE, NULL, NULL, "--audio-shift=%s", NULL},
    {"flow-shift audio-flow-shift", S, FOREIGN_VALUE, NULL, NULL, NULL,
     "flow_shift and audio_flow_shift are fields of a request"},
    {"720p", G, FOREIGN_SWITCH, "false", NULL, "--width=1280 --height=720", NULL},
    {"2k", G, FOREIGN_SWITCH, "false", NULL, "--width=2560 --height=1440", NULL},
    {"4k", G, FOREIGN_SWITCH, "false", NULL, "--width=3840 --height=2160", NULL},
    {"1080p", G, FOREIGN_SWITCH, "false", NULL, NULL,
     "sides are multiples of 16: give --width 1920 --height 1088"},
    {"num-frames-round-down", GS, FOREIGN_SWITCH, "false", NULL, NULL,
     "give --num-frames as 4k + 1, or --adjust-frames to round up"},
    {"adjust-frames", S, FOREIGN_SWITCH, "false", NULL, NULL,
     "num_frames of a request is 4k + 1; seconds is rounded up to that"},
    {"num-outputs-per-prompt num-videos-per-prompt", GS, FOREIGN_VALUE, "1", NULL, NULL,
     "a run makes one film: run it again with another --seed"},
    {"generator-device", G, FOREIGN_VALUE, NULL, "cpu", "--rng=torch-cpu",
     "give --rng torch-cuda and --cuda-sm-count N for the noise of a GPU"},
    {"true-cfg-scale embedded-cfg-scale", G, FOREIGN_VALUE, NULL, NULL, NULL,
     "--guidance-scale is this model's guidance"},
    {"prompt-path prompt-file-path", G, FOREIGN_VALUE, NULL, NULL, NULL,
     "give --prompt - and the file as standard input"},
    {"data-type", G, FOREIGN_VALUE, "video", NULL, NULL,
     "the name of -o says what is made: .mp4 .webm .wav .png"},
    {"output-file-path", G, FOREIGN_VALUE, NULL, NULL, "--output=%s", NULL},
    {"output-path", S, FOREIGN_VALUE, NULL, NULL, "--output-dir=%s", NULL},
    {"save-output", GS, FOREIGN_SWITCH, "true", NULL, NULL,
     "films are always written; --dry-run checks a request alone"},
    {"return-frames", G, FOREIGN_SWITCH, "false", NULL, NULL,
     "give -o a name that ends in .png for the frames"},
    {"return-trajectory-latents return-trajectory-decoded", G, FOREIGN_SWITCH, "false", NULL,
     NULL, "--save-latents FILE writes the last latents"},
    {"no-override-protected-fields", G, FOREIGN_SWITCH, "false", NULL, NULL,
     "no setting is protected: leave it out"},
    {"enable-frame-interpolation enable-upscaling", G, FOREIGN_SWITCH, "false", NULL, NULL,
     no_post},
    {"frame-interpolation-exp frame-interpolation-scale frame-interpolation-model-path "
     "upscaling-scale upscaling-model-path", G, FOREIGN_VALUE, NULL, NULL, NULL, no_post},

    /* The program. */
    {"profile-all-stages", G, FOREIGN_SWITCH, "false", NULL, "--profile", NULL},
    {"num-profiled-timesteps", G, FOREIGN_VALUE, NULL, NULL, NULL,
     "--profile tells of every step"},
    {"log-level uvicorn-log-level", GS, FOREIGN_VALUE, "info|warning|warn",
     "error|critical", "--quiet", "error is --quiet, and there is no more to log"},
    {"debug", GS, FOREIGN_SWITCH, "false", NULL, NULL, "--profile tells where time went"},
    {"comfyui-mode", GS, FOREIGN_SWITCH, "false", NULL, NULL, "leave it out"},
    {"webui", S, FOREIGN_SWITCH, "true", NULL, NULL, "the page is always served, at /"},
    {"webui-port", S, FOREIGN_VALUE, NULL, NULL, NULL, "the page is at --port, too"},
    {"enable-metrics", S, FOREIGN_SWITCH, "true", NULL, NULL,
     "metrics are always served, at /metrics"},
    {"api-key", S, FOREIGN_VALUE, NULL, NULL, NULL,
     "other users of the machine can read command lines: give --api-key-file a file with a "
     "line NAME:KEY"},
    {"api-key", G, FOREIGN_VALUE, NULL, NULL, NULL,
     "other users of the machine can read command lines: give --api-key-file, or set "
     "PHONOFILM_API_KEY"},
    {"ssl-certfile", S, FOREIGN_VALUE, NULL, NULL, "--tls-cert=%s", NULL},
    {"ssl-keyfile", S, FOREIGN_VALUE, NULL, NULL, "--tls-key=%s", NULL},
    {"max-queued-requests", S, FOREIGN_VALUE, NULL, NULL, "--max-queue=%s", NULL},
    {"max-num-seqs max-running-requests", S, FOREIGN_VALUE, "1", NULL, NULL,
     "one film is made at a time; --max-queue is how many may wait"},
};

enum { FLAGS = sizeof flags / sizeof flags[0] };

const foreign_flag *foreign_flags(int *count)
{
    *count = FLAGS;
    return flags;
}

/* Whether `word` is one of the words that `separator` divides. */
static bool is_one_of(const char *word, const char *words, char separator)
{
    size_t length = strlen(word);
    while (words) {
        const char *next = strchr(words, separator);
        size_t size = next ? (size_t)(next - words) : strlen(words);
        if (size == length && strncasecmp(words, word, length) == 0)
            return true;
        words = next ? next + 1 : NULL;
    }
    return false;
}

const foreign_flag *foreign_find(unsigned commands, const char *name)
{
    char hyphens[64];
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof hyphens)
        return NULL;
    for (size_t i = 0; i <= length; i++)
        hyphens[i] = name[i] == '_' ? '-' : name[i];
    for (int i = 0; i < FLAGS; i++)
        if ((flags[i].commands & commands) && is_one_of(hyphens, flags[i].names, ' '))
            return &flags[i];
    return NULL;
}

foreign_verdict foreign_judge(const foreign_flag *flag, const char *value)
{
    bool any = flag->neutral && strcmp(flag->neutral, "*") == 0;
    if (any || is_one_of(value, flag->neutral, '|'))
        return FOREIGN_TAKEN;
    bool becomes = flag->becomes && (!flag->when || is_one_of(value, flag->when, '|'));
    return becomes ? FOREIGN_BECOMES : FOREIGN_REFUSED;
}

void foreign_sentence(const foreign_flag *flag, const char *written, const char *value,
                      char *out, size_t bytes)
{
    if (flag->kind == FOREIGN_SWITCH || !flag->neutral)
        snprintf(out, bytes, "%s has no effect here; %s", written, flag->instead);
    else
        snprintf(out, bytes, "%s is '%.60s', but must be %s%s; %s", written, value,
                 strchr(flag->neutral, '|') ? "one of " : "", flag->neutral, flag->instead);
}

bool foreign_boolean(const char *text, bool *out)
{
    *out = is_one_of(text, "true|yes|on|1", '|');
    return *out || is_one_of(text, "false|no|off|0", '|');
}
