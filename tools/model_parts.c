/* SPDX-License-Identifier: Apache-2.0 */
/* Which tensors and which config.json the components of a stand-in model have.
 * docs/model/file-formats.md#model-folder; the names are those of MOVA.
 *
 * Deviations are chosen so that activations keep their size from layer to layer:
 * the films of such a model are coloured, moving noise, neither flat nor saturated.
 */
#include "model_parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { STEM_BYTES = 80, VAE_LEVELS = 4, VAE_BLOCKS = 2, AUDIO_RATES = 5 };

static const int dim_mult[VAE_LEVELS] = {1, 2, 4, 4};
static const bool halves_time[VAE_LEVELS - 1] = {false, true, true};
static const int encoder_rates[AUDIO_RATES] = {2, 3, 4, 5, 8};
static const int decoder_rates[AUDIO_RATES] = {8, 5, 4, 3, 2};

/* --- presets ------------------------------------------------------------------ */

static const model_sizes presets[] = {
    {
        .name = "tiny",
        .video = {96, 3, 4, 256, 36, 16},
        .audio = {64, 2, 3, 160, 8, 8},
        .freq_dim = 64,
        .text = {64, 4, 16, 160, 2, 512},
        .video_vae_base = 8,
        .audio_vae = {4, 64, 8},
        .film = {64, 64, 25, 4, 24.0, 3.0},
    },
    {
        .name = "small",
        .video = {384, 8, 8, 1024, 36, 16},
        .audio = {192, 4, 6, 512, 32, 32},
        .freq_dim = 128,
        .text = {128, 4, 32, 320, 4, 512},
        .video_vae_base = 16,
        .audio_vae = {16, 256, 32},
        .film = {128, 224, 49, 8, 24.0, 4.0},
    },
    {
        .name = "mova-360p",
        .video = {5120, 40, 40, 13824, 36, 16},
        .audio = {1536, 12, 30, 8960, 128, 128},
        .freq_dim = 256,
        .text = {4096, 64, 64, 10240, 24, 256384},
        .video_vae_base = 96,
        .audio_vae = {128, 2048, 128},
        .film = {352, 640, 193, 50, 24.0, 5.0},
    },
};

const model_sizes *find_preset(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}

/* --- lists -------------------------------------------------------------------- */

void free_recipes(recipe_list *list)
{
    pf_free(list->items);
    *list = (recipe_list){0};
}

int64_t recipe_count(const recipe *item)
{
    int64_t count = 1;
    for (int i = 0; i < item->rank; i++)
        count *= item->shape[i];
    return count;
}

/* A fresh entry to fill in, or NULL. */
static recipe *extend(recipe_list *list)
{
    if (list->failed)
        return NULL;
    if (list->count == list->capacity) {
        int64_t capacity = 2 * list->capacity + 64;
        recipe *grown =
            pf_realloc(list->items, (size_t)capacity * sizeof *list->items);
        if (!grown) {
            list->failed = true;
            return NULL;
        }
        list->items = grown;
        list->capacity = capacity;
    }
    recipe *item = &list->items[list->count++];
    *item = (recipe){0};
    return item;
}

__attribute__((format(printf, 2, 3)))
static const char *stem_of(char out[STEM_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out, STEM_BYTES, format, args);
    va_end(args);
    return out;
}

typedef struct spread {
    double centre, deviation;
} spread;

__attribute__((format(printf, 5, 6)))
static void add(recipe_list *list, spread values, int rank, const int64_t *shape,
                const char *format, ...)
{
    va_list args;
    recipe *item = extend(list);
    if (!item)
        return;
    va_start(args, format);
    vsnprintf(item->name, sizeof item->name, format, args);
    va_end(args);
    item->rank = rank;
    for (int i = 0; i < rank; i++)
        item->shape[i] = shape[i];
    item->centre = (float)values.centre;
    item->deviation = (float)values.deviation;
}

__attribute__((format(printf, 4, 5)))
static void add_vector(recipe_list *list, spread values, int64_t count,
                       const char *format, ...)
{
    char name[STEM_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    add(list, values, 1, &count, "%s", name);
}

static const spread norm_weight = {1.0, 0.1}, small_bias = {0.0, 0.05};

/* STEM.weight of this shape, where an output sums `fan` products, and STEM.bias:
 * inputs of variance 1 give outputs of deviation `gain`. */
static void add_layer(recipe_list *list, double gain, int rank, const int64_t *shape,
                      int64_t bias, const char *stem)
{
    double fan = 1.0;
    for (int i = 1; i < rank; i++)
        fan *= (double)shape[i];
    add(list, (spread){0.0, gain / sqrt(fan)}, rank, shape, "%s.weight", stem);
    if (bias > 0)
        add_vector(list, small_bias, bias, "%s.bias", stem);
}

__attribute__((format(printf, 5, 6)))
static void add_linear(recipe_list *list, double gain, int64_t out, int64_t in,
                       const char *format, ...)
{
    char stem[STEM_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(stem, sizeof stem, format, args);
    va_end(args);
    add_layer(list, gain, 2, (int64_t[]){out, in}, out, stem);
}

/* --- towers ------------------------------------------------------------------- */

static void list_attention(recipe_list *list, int64_t dim, int64_t kv,
                           const char *stem)
{
    static const char *const names = "qkvo";
    for (const char *c = names; *c; c++)
        add_linear(list, 1.0, dim, *c == 'k' || *c == 'v' ? kv : dim, "%s.%c", stem,
                   *c);
    add_vector(list, norm_weight, dim, "%s.norm_q.weight", stem);
    add_vector(list, norm_weight, dim, "%s.norm_k.weight", stem);
}

static void list_tower_block(recipe_list *list, const tower_sizes *t, int i)
{
    char stem[STEM_BYTES];
    stem_of(stem, "blocks.%d.self_attn", i);
    list_attention(list, t->dim, t->dim, stem);
    stem_of(stem, "blocks.%d.cross_attn", i);
    list_attention(list, t->dim, t->dim, stem);
    add_vector(list, norm_weight, t->dim, "blocks.%d.norm3.weight", i);
    add_vector(list, small_bias, t->dim, "blocks.%d.norm3.bias", i);
    add_linear(list, 1.0, t->ffn_dim, t->dim, "blocks.%d.ffn.0", i);
    add_linear(list, 1.5, t->dim, t->ffn_dim, "blocks.%d.ffn.2", i);
    add(list, (spread){0.0, 0.3}, 3, (int64_t[]){1, 6, t->dim},
        "blocks.%d.modulation", i);
}

/* `patch` positions a token; the patch embedding is a convolution over them. */
static void list_tower(recipe_list *list, const tower_sizes *t,
                       const model_sizes *sizes, int rank, const int64_t *shape)
{
    int64_t patch = 1;
    for (int i = 2; i < rank; i++)
        patch *= shape[i];
    add_layer(list, 1.0, rank, shape, t->dim, "patch_embedding");
    add_linear(list, 1.0, t->dim, sizes->text.width, "text_embedding.0");
    add_linear(list, 1.5, t->dim, t->dim, "text_embedding.2");
    add_linear(list, 1.4, t->dim, sizes->freq_dim, "time_embedding.0");
    add_linear(list, 1.5, t->dim, t->dim, "time_embedding.2");
    add_linear(list, 0.5, 6 * (int64_t)t->dim, t->dim, "time_projection.1");
    for (int i = 0; i < t->layers; i++)
        list_tower_block(list, t, i);
    add_linear(list, 1.0, t->out_dim * patch, t->dim, "head.head");
    add(list, (spread){0.0, 0.3}, 3, (int64_t[]){1, 2, t->dim}, "head.modulation");
}

static void list_video(recipe_list *list, const model_sizes *s)
{
    list_tower(list, &s->video, s, 5,
               (int64_t[]){s->video.dim, s->video.in_dim, 1, 2, 2});
}

static void list_audio(recipe_list *list, const model_sizes *s)
{
    list_tower(list, &s->audio, s, 3,
               (int64_t[]){s->audio.dim, s->audio.in_dim, 1});
}

static json_t *tower_config(const tower_sizes *t, const model_sizes *s,
                            const char *class_name, json_t *patch)
{
    return json_pack(
        "{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:o, s:i, s:i, s:b, s:b, s:b, s:b,"
        " s:i, s:b, s:b, s:b, s:b}",
        "_class_name", class_name, "dim", t->dim, "in_dim", t->in_dim, "ffn_dim",
        t->ffn_dim, "out_dim", t->out_dim, "text_dim", s->text.width, "freq_dim",
        s->freq_dim, "eps", 1e-6, "patch_size", patch, "num_heads", t->heads,
        "num_layers", t->layers, "has_image_input", 0, "has_image_pos_emb", 0,
        "has_ref_conv", 0, "add_control_adapter", 0, "in_dim_control_adapter", 24,
        "seperated_timestep", 0, "require_vae_embedding", 1,
        "require_clip_embedding", 0, "fuse_vae_embedding_in_latents", 0);
}

static json_t *video_config(const model_sizes *s)
{
    return tower_config(&s->video, s, "WanModel", json_pack("[i,i,i]", 1, 2, 2));
}

static json_t *audio_config(const model_sizes *s)
{
    json_t *config =
        tower_config(&s->audio, s, "WanAudioModel", json_pack("[i]", 1));
    json_object_set_new(config, "vae_type", json_string("dac"));
    return config;
}

/* --- bridge ------------------------------------------------------------------- */

static void list_conditioner(recipe_list *list, int64_t dim, int64_t kv,
                             const char *direction, int i)
{
    char stem[STEM_BYTES];
    add_vector(list, norm_weight, kv, "%s.%d.y_norm.weight", direction, i);
    add_vector(list, small_bias, kv, "%s.%d.y_norm.bias", direction, i);
    stem_of(stem, "%s.%d.inner", direction, i);
    list_attention(list, dim, kv, stem);
}

static void list_bridge(recipe_list *list, const model_sizes *s)
{
    int layers = s->video.layers < s->audio.layers ? s->video.layers
                                                   : s->audio.layers;
    for (int i = 0; i < layers; i++) {
        list_conditioner(list, s->video.dim, s->audio.dim,
                         "audio_to_video_conditioners", i);
        list_conditioner(list, s->audio.dim, s->video.dim,
                         "video_to_audio_conditioners", i);
    }
}

static json_t *bridge_config(const model_sizes *s)
{
    return json_pack(
        "{s:s, s:i, s:i, s:i, s:i, s:f, s:i, s:s, s:b, s:b, s:b, s:b}",
        "_class_name", "DualTowerConditionalBridge", "visual_layers",
        s->video.layers, "audio_layers", s->audio.layers, "visual_hidden_dim",
        s->video.dim, "audio_hidden_dim", s->audio.dim, "audio_fps", 50.0, "head_dim",
        s->video.dim / s->video.heads, "interaction_strategy", "full",
        "apply_cross_rope", 1, "apply_first_frame_bias_in_rope", 0,
        "trainable_condition_scale", 0, "pooled_adaln", 0);
}

/* --- text encoder ------------------------------------------------------------- */

static void list_text_block(recipe_list *list, const text_sizes *t, int i)
{
    static const char *const names = "qkvo";
    char stem[STEM_BYTES];
    int64_t inner = (int64_t)t->heads * t->head_width;
    stem_of(stem, "encoder.block.%d.layer.0", i);
    add_vector(list, norm_weight, t->width, "%s.layer_norm.weight", stem);
    for (const char *c = names; *c; c++) {
        int64_t shape[2] = {*c == 'o' ? t->width : inner, *c == 'o' ? inner : t->width};
        /* scores are not divided by the root of the head width: q is smaller */
        double gain = *c == 'q' ? 1.0 / sqrt(t->head_width) : 1.0;
        add(list, (spread){0.0, gain / sqrt((double)shape[1])}, 2, shape,
            "%s.SelfAttention.%c.weight", stem, *c);
    }
    add(list, (spread){0.0, 0.5}, 2, (int64_t[]){32, t->heads},
        "%s.SelfAttention.relative_attention_bias.weight", stem);
    stem_of(stem, "encoder.block.%d.layer.1", i);
    add_vector(list, norm_weight, t->width, "%s.layer_norm.weight", stem);
    double in = 1.0 / sqrt(t->width), out = 1.0 / sqrt(t->ffn_width);
    int64_t wide[2] = {t->ffn_width, t->width}, narrow[2] = {t->width, t->ffn_width};
    add(list, (spread){0.0, in}, 2, wide, "%s.DenseReluDense.wi_0.weight", stem);
    add(list, (spread){0.0, in}, 2, wide, "%s.DenseReluDense.wi_1.weight", stem);
    add(list, (spread){0.0, out}, 2, narrow, "%s.DenseReluDense.wo.weight", stem);
}

static void list_text(recipe_list *list, const model_sizes *s)
{
    const text_sizes *t = &s->text;
    add(list, (spread){0.0, 1.0}, 2, (int64_t[]){t->vocabulary, t->width},
        "shared.weight");
    for (int i = 0; i < t->layers; i++)
        list_text_block(list, t, i);
    add_vector(list, norm_weight, t->width, "encoder.final_layer_norm.weight");
}

static json_t *text_config(const model_sizes *s)
{
    const text_sizes *t = &s->text;
    return json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:s, s:b, s:f,"
        " s:f, s:i, s:i, s:b, s:b}",
        "architectures", "UMT5EncoderModel", "model_type", "umt5", "vocab_size",
        t->vocabulary, "d_model", t->width, "d_kv", t->head_width, "num_heads",
        t->heads, "d_ff", t->ffn_width, "num_layers", t->layers,
        "relative_attention_num_buckets", 32, "relative_attention_max_distance", 128,
        "feed_forward_proj", "gated-gelu", "dense_act_fn", "gelu_new",
        "is_gated_act", 1, "layer_norm_epsilon", 1e-6, "dropout_rate", 0.0,
        "pad_token_id", 0, "eos_token_id", 1, "is_encoder_decoder", 0, "use_cache", 0);
}

/* --- video VAE ---------------------------------------------------------------- */

/* After RMS norm and SiLU the deviation is about 0.6; 1.5 makes up for it. */
static const double after_silu = 1.5;

static void add_conv3(recipe_list *list, double gain, int64_t out, int64_t in,
                      const char *stem)
{
    add_layer(list, gain, 5, (int64_t[]){out, in, 3, 3, 3}, out, stem);
}

static void add_gamma(recipe_list *list, int rank, int64_t channels, const char *stem)
{
    add(list, norm_weight, rank, (int64_t[]){channels, 1, 1, 1}, "%s.gamma", stem);
}

static void list_residual(recipe_list *list, int64_t in, int64_t out,
                          const char *stem)
{
    char name[STEM_BYTES];
    add_gamma(list, 4, in, stem_of(name, "%s.norm1", stem));
    add_conv3(list, after_silu, out, in, stem_of(name, "%s.conv1", stem));
    add_gamma(list, 4, out, stem_of(name, "%s.norm2", stem));
    add_conv3(list, 0.7, out, out, stem_of(name, "%s.conv2", stem));
    if (in != out)
        add_layer(list, 1.0, 5, (int64_t[]){out, in, 1, 1, 1}, out,
                  stem_of(name, "%s.conv_shortcut", stem));
}

static void list_middle(recipe_list *list, int64_t width, const char *half)
{
    char stem[STEM_BYTES], name[STEM_BYTES];
    list_residual(list, width, width, stem_of(stem, "%s.mid_block.resnets.0", half));
    stem_of(stem, "%s.mid_block.attentions.0", half);
    add_gamma(list, 3, width, stem_of(name, "%s.norm", stem));
    add_layer(list, 1.0, 4, (int64_t[]){3 * width, width, 1, 1}, 3 * width,
              stem_of(name, "%s.to_qkv", stem));
    add_layer(list, 1.0, 4, (int64_t[]){width, width, 1, 1}, width,
              stem_of(name, "%s.proj", stem));
    list_residual(list, width, width, stem_of(stem, "%s.mid_block.resnets.1", half));
}

/* STEM.resample.1 and, where the number of frames changes, STEM.time_conv. */
static void list_resample(recipe_list *list, int64_t out, int64_t in,
                          int64_t time_out, const char *stem)
{
    char name[STEM_BYTES];
    add_layer(list, 1.0, 4, (int64_t[]){out, in, 3, 3}, out,
              stem_of(name, "%s.resample.1", stem));
    if (time_out > 0)
        add_layer(list, 1.0, 5, (int64_t[]){time_out, in, 3, 1, 1}, time_out,
                  stem_of(name, "%s.time_conv", stem));
}

static void list_vae_encoder(recipe_list *list, int64_t base)
{
    char stem[STEM_BYTES];
    int64_t width = base, next = 0;
    add_conv3(list, 1.0, base, 3, "encoder.conv_in");
    for (int i = 0; i < VAE_LEVELS; i++) {
        int64_t out = base * dim_mult[i];
        for (int j = 0; j < VAE_BLOCKS; j++, width = out) {
            stem_of(stem, "encoder.down_blocks.%d", (int)next++);
            list_residual(list, width, out, stem);
        }
        if (i == VAE_LEVELS - 1)
            break;
        stem_of(stem, "encoder.down_blocks.%d", (int)next++);
        list_resample(list, out, out, halves_time[i] ? out : 0, stem);
    }
    list_middle(list, width, "encoder");
    add_gamma(list, 4, width, "encoder.norm_out");
    add_conv3(list, after_silu, 2 * LATENT_CHANNELS, width, "encoder.conv_out");
    add_layer(list, 1.0, 5,
              (int64_t[]){2 * LATENT_CHANNELS, 2 * LATENT_CHANNELS, 1, 1, 1},
              2 * LATENT_CHANNELS, "quant_conv");
}

static void list_vae_decoder(recipe_list *list, int64_t base)
{
    char stem[STEM_BYTES];
    int64_t width = base * dim_mult[VAE_LEVELS - 1];
    add_layer(list, 1.0, 5, (int64_t[]){LATENT_CHANNELS, LATENT_CHANNELS, 1, 1, 1},
              LATENT_CHANNELS, "post_quant_conv");
    add_conv3(list, 1.0, width, LATENT_CHANNELS, "decoder.conv_in");
    list_middle(list, width, "decoder");
    for (int i = 0; i < VAE_LEVELS; i++) {
        int level = VAE_LEVELS - 1 - i;
        int64_t out = base * dim_mult[level];
        for (int j = 0; j <= VAE_BLOCKS; j++, width = out) {
            stem_of(stem, "decoder.up_blocks.%d.resnets.%d", i, j);
            list_residual(list, width, out, stem);
        }
        if (level == 0)
            break;
        stem_of(stem, "decoder.up_blocks.%d.upsamplers.0", i);
        list_resample(list, out / 2, out, halves_time[level - 1] ? 2 * out : 0, stem);
        width = out / 2;
    }
    add_gamma(list, 4, width, "decoder.norm_out");
    add_conv3(list, 0.7, 3, width, "decoder.conv_out");
}

static void list_video_vae(recipe_list *list, const model_sizes *s)
{
    list_vae_encoder(list, s->video_vae_base);
    list_vae_decoder(list, s->video_vae_base);
}

static json_t *numbers(const double *values, int count)
{
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, json_real(values[i]));
    return array;
}

static json_t *integers(const int *values, int count)
{
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, json_integer(values[i]));
    return array;
}

static json_t *video_vae_config(const model_sizes *s)
{
    static const double mean[LATENT_CHANNELS] = {
        -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
        0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921};
    static const double deviation[LATENT_CHANNELS] = {
        2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
        3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160};
    return json_pack(
        "{s:s, s:i, s:i, s:o, s:i, s:[], s:[b,b,b], s:f, s:o, s:o, s:b, s:i, s:i, s:n,"
        " s:i, s:i}",
        "_class_name", "AutoencoderKLWan", "base_dim", s->video_vae_base, "z_dim",
        LATENT_CHANNELS, "dim_mult", integers(dim_mult, VAE_LEVELS),
        "num_res_blocks", VAE_BLOCKS, "attn_scales", "temperal_downsample",
        halves_time[0], halves_time[1], halves_time[2], "dropout", 0.0,
        "latents_mean", numbers(mean, LATENT_CHANNELS), "latents_std",
        numbers(deviation, LATENT_CHANNELS), "is_residual", 0, "in_channels", 3,
        "out_channels", 3, "patch_size", "scale_factor_spatial", 8,
        "scale_factor_temporal", 4);
}

/* --- audio VAE ---------------------------------------------------------------- */

static void add_alpha(recipe_list *list, int64_t channels, const char *stem)
{
    add(list, norm_weight, 3, (int64_t[]){1, channels, 1}, "%s.alpha", stem);
}

static void add_conv1(recipe_list *list, double gain, int64_t out, int64_t in,
                      int64_t kernel, const char *stem)
{
    add_layer(list, gain, 3, (int64_t[]){out, in, kernel}, out, stem);
}

/* Three residual units STEM.block.FIRST and the following. */
static void list_units(recipe_list *list, int64_t channels, const char *stem,
                       int first)
{
    char unit[STEM_BYTES], name[STEM_BYTES];
    for (int i = first; i < first + 3; i++) {
        stem_of(unit, "%s.block.%d", stem, i);
        add_alpha(list, channels, stem_of(name, "%s.block.0", unit));
        add_conv1(list, 0.7, channels, channels, 7, stem_of(name, "%s.block.1", unit));
        add_alpha(list, channels, stem_of(name, "%s.block.2", unit));
        add_conv1(list, 0.3, channels, channels, 1, stem_of(name, "%s.block.3", unit));
    }
}

static void list_audio_encoder(recipe_list *list, const audio_vae_sizes *a)
{
    char stem[STEM_BYTES], name[STEM_BYTES];
    int64_t width = a->encoder_dim;
    add_conv1(list, 1.0, width, 1, 7, "encoder.block.0");
    for (int i = 0; i < AUDIO_RATES; i++, width *= 2) {
        stem_of(stem, "encoder.block.%d", i + 1);
        list_units(list, width, stem, 0);
        add_alpha(list, width, stem_of(name, "%s.block.3", stem));
        add_conv1(list, 0.7, 2 * width, width, 2 * encoder_rates[i],
                  stem_of(name, "%s.block.4", stem));
    }
    stem_of(stem, "encoder.block.%d", AUDIO_RATES + 1);
    add_alpha(list, width, stem);
    stem_of(stem, "encoder.block.%d", AUDIO_RATES + 2);
    add_conv1(list, 1.0, a->latent_dim, width, 3, stem);
    add_conv1(list, 1.0, 2 * (int64_t)a->latent_dim, a->latent_dim, 1, "quant_conv");
}

/* Each sample of a transposed convolution sums two taps of every input channel. */
static void add_transposed(recipe_list *list, double gain, int64_t in, int64_t out,
                           int rate, const char *stem)
{
    add(list, (spread){0.0, gain / sqrt(2.0 * (double)in)}, 3,
        (int64_t[]){in, out, 2 * (int64_t)rate}, "%s.weight", stem);
    add_vector(list, small_bias, out, "%s.bias", stem);
}

static void list_audio_decoder(recipe_list *list, const audio_vae_sizes *a)
{
    char stem[STEM_BYTES], name[STEM_BYTES];
    int64_t width = a->decoder_dim;
    add_conv1(list, 1.0, a->latent_dim, a->latent_dim, 1, "post_quant_conv");
    add_conv1(list, 0.7, width, a->latent_dim, 7, "decoder.model.0");
    for (int i = 0; i < AUDIO_RATES; i++, width /= 2) {
        stem_of(stem, "decoder.model.%d", i + 1);
        add_alpha(list, width, stem_of(name, "%s.block.0", stem));
        add_transposed(list, 0.7, width, width / 2, decoder_rates[i],
                       stem_of(name, "%s.block.1", stem));
        list_units(list, width / 2, stem, 2);
    }
    stem_of(stem, "decoder.model.%d", AUDIO_RATES + 1);
    add_alpha(list, width, stem);
    stem_of(stem, "decoder.model.%d", AUDIO_RATES + 2);
    add_conv1(list, 0.2, 1, width, 7, stem);
}

static void list_audio_vae(recipe_list *list, const model_sizes *s)
{
    list_audio_encoder(list, &s->audio_vae);
    list_audio_decoder(list, &s->audio_vae);
}

static json_t *audio_vae_config(const model_sizes *s)
{
    const audio_vae_sizes *a = &s->audio_vae;
    return json_pack(
        "{s:s, s:i, s:o, s:i, s:i, s:o, s:i, s:i, s:i, s:b, s:i, s:b, s:b}",
        "_class_name", "DAC", "encoder_dim", a->encoder_dim, "encoder_rates",
        integers(encoder_rates, AUDIO_RATES), "latent_dim", a->latent_dim,
        "decoder_dim", a->decoder_dim, "decoder_rates",
        integers(decoder_rates, AUDIO_RATES), "n_codebooks", 9, "codebook_size", 1024,
        "codebook_dim", 8, "quantizer_dropout", 0, "sample_rate", 48000, "continuous",
        1, "use_weight_norm", 0);
}

/* --- the list of components --------------------------------------------------- */

#define DIFFUSERS "diffusion_pytorch_model"

const component components[COMPONENTS] = {
    {"text_encoder", "model", SHARDS, list_text, text_config},
    {"video_vae", DIFFUSERS, 1, list_video_vae, video_vae_config},
    {"audio_vae", DIFFUSERS, 1, list_audio_vae, audio_vae_config},
    {"video_dit", DIFFUSERS, SHARDS, list_video, video_config},
    {"video_dit_2", DIFFUSERS, SHARDS, list_video, video_config},
    {"audio_dit", DIFFUSERS, 1, list_audio, audio_config},
    {"dual_tower_bridge", DIFFUSERS, 1, list_bridge, bridge_config},
};
