/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a Wan tower: configuration and parameters.  See tower.h;
 * docs/model/towers.md#configuration and #tensors.
 *
 * Nothing is computed here.  Every size of the config is bounded before anything is
 * allocated, and every tensor is asked for with its exact shape, so that a file of another
 * network is refused by the name of the first tensor that differs. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "model/tower_parts.h"

enum { MAX_DIM = 65536, MAX_LAYERS = 512, MAX_HEAD_DIM = 256 };

/* --- configuration ------------------------------------------------------------------ */

/* Switches of other Wan models that change the network. */
static const char *const unsupported[] = {
    "has_image_input", "has_image_pos_emb", "has_ref_conv", "add_control_adapter",
    "fuse_vae_embedding_in_latents", "require_clip_embedding",
    "seperated_timestep",               /* a time a token; so spelt */
};

static pf_status refuse_unsupported(const json_t *json, const char *name,
                                    pf_error *error)
{
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++) {
        bool value = false;
        PF_TRY(pf_json_bool(json, name, unsupported[i], &value, error));
        if (value)
            return pf_fail(error, PF_E_UNSUPPORTED,
                           "%s: %s is true, but only false is supported", name,
                           unsupported[i]);
    }
    return PF_OK;
}

/* The sizes, with bounds far above any released model: they keep the products of sizes that
 * follow within int64_t. */
static pf_status read_dims(const json_t *json, const char *name,
                           pf_tower_info *info, pf_error *error)
{
    struct {
        const char *key;
        int low, high;
        int *out;
    } const list[] = {
        {"dim", 2, MAX_DIM, &info->dim},
        {"num_heads", 1, 1024, &info->heads},
        {"num_layers", 1, MAX_LAYERS, &info->layers},
        {"ffn_dim", 1, 4 * MAX_DIM, &info->ffn_dim},
        {"in_dim", 1, 4096, &info->in_dim},
        {"out_dim", 1, 4096, &info->out_dim},
        {"text_dim", 1, MAX_DIM, &info->text_dim},
        {"freq_dim", 2, PF_MAX_FREQ_DIM, &info->freq_dim},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        int64_t value = 0;
        PF_TRY(pf_json_require(json, name, list[i].key, error));
        PF_TRY(pf_json_int(json, name, list[i].key, list[i].low, list[i].high, &value,
                           error));
        *list[i].out = (int)value;
    }
    info->epsilon = 1e-6;
    return pf_json_real(json, name, "eps", 1e-12, 1e-2, &info->epsilon, error);
}

/* patch_size: [1, ph, pw] of a video, [p] of a sound.  Time is never patched: a token belongs
 * to one latent frame, which the bridge's tables rely on. */
static pf_status read_patch(const pf_tower *t, const json_t *json, const char *name,
                            pf_tower_info *info, pf_error *error)
{
    int64_t patch[3] = {1, 2, 2};
    int rank = t->modality == PF_VIDEO ? 3 : 1;
    pf_json_list list = {.low = rank, .high = rank, .values = patch};
    if (t->modality == PF_AUDIO)
        patch[1] = patch[2] = 1;
    PF_TRY(pf_json_ints(json, name, "patch_size", &list, error));
    for (int i = 0; i < 3; i++) {
        if (patch[i] < 1 || patch[i] > 64)
            return pf_fail(error, PF_E_MODEL,
                           "%s: patch_size has %lld, but each must be 1 to 64", name,
                           (long long)patch[i]);
        info->patch[i] = (int)patch[i];
    }
    if (patch[0] != 1)
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "%s: patch_size begins with %lld, but only 1 is supported",
                       name, (long long)patch[0]);
    return PF_OK;
}

/* RoPE turns pairs of columns.  Three axes share a head of head_dim columns as
 * head_dim - 2 third, third, third; where third = head_dim / 3 is odd, an axis would end in
 * the middle of a pair. */
static pf_status check_heads(const pf_tower *t, const char *name, pf_error *error)
{
    const pf_tower_info *info = &t->info;
    if (info->dim % info->heads != 0)
        return pf_fail(error, PF_E_MODEL,
                       "%s: num_heads is %d, but must divide dim, %d", name,
                       info->heads, info->dim);
    int head_dim = info->dim / info->heads;
    bool three_axes = t->modality == PF_VIDEO || t->oobleck;
    if (head_dim % 2 != 0 || head_dim > MAX_HEAD_DIM ||
        (three_axes && head_dim / 3 % 2 != 0))
        return pf_fail(error, PF_E_MODEL,
                       "%s: dim %d with num_heads %d makes heads of %d, but they must "
                       "be even%s and at most %d", name, info->dim, info->heads,
                       head_dim, three_axes ? " with an even third" : "",
                       MAX_HEAD_DIM);
    if (info->freq_dim % 2 != 0)
        return pf_fail(error, PF_E_MODEL, "%s: freq_dim is %d, but must be even",
                       name, info->freq_dim);
    return PF_OK;
}

/* Reads the whole config.  `positions` is the length of the reference's rotary tables, not a
 * key: 1024 along each axis of a video, 16384 for a sound. */
static pf_status read_config(pf_tower *t, const json_t *json, const char *name,
                             pf_error *error)
{
    const char *vae = "dac";
    t->info.positions = t->modality == PF_VIDEO ? 1024 : 16384;
    PF_TRY(refuse_unsupported(json, name, error));
    PF_TRY(read_dims(json, name, &t->info, error));
    PF_TRY(read_patch(t, json, name, &t->info, error));
    if (t->modality == PF_AUDIO)
        PF_TRY(pf_json_string(json, name, "vae_type", &vae, error));
    t->oobleck = strcmp(vae, "oobleck") == 0;
    if (!t->oobleck && strcmp(vae, "dac") != 0)
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "%s: vae_type is %s, but must be dac or oobleck", name, vae);
    return check_heads(t, name, error);
}

/* --- parameters ---------------------------------------------------------------------- */

/* blocks.i.NAME, self_attn or cross_attn: q, k, v, o [dim, dim] with biases, and the norms of
 * q and k over the whole width. */
static pf_status bind_attention(pf_tower *t, pf_attention_layer *a, int i,
                                const char *name, pf_error *error)
{
    int64_t dim = t->info.dim;
    struct {
        pf_layer *layer;
        const char *name;
    } const layers[] = {{&a->q, "q"}, {&a->k, "k"}, {&a->v, "v"}, {&a->o, "o"}};
    for (int p = 0; p < 4; p++)
        PF_TRY(pf_params_linear(t->params, layers[p].layer, dim, dim, PF_BIAS, error,
                                "blocks.%d.%s.%s", i, name, layers[p].name));
    PF_TRY(pf_params_vector(t->params, &a->norm_q, 1, &dim, error,
                            "blocks.%d.%s.norm_q.weight", i, name));
    return pf_params_vector(t->params, &a->norm_k, 1, &dim, error,
                            "blocks.%d.%s.norm_k.weight", i, name);
}

static pf_status bind_block(pf_tower *t, int i, pf_error *error)
{
    int64_t dim = t->info.dim, ffn = t->info.ffn_dim;
    pf_tower_block *b = &t->blocks[i];
    pf_params_group(t->params, i);
    PF_TRY(bind_attention(t, &b->self, i, "self_attn", error));
    PF_TRY(bind_attention(t, &b->cross, i, "cross_attn", error));
    PF_TRY(pf_params_vector(t->params, &b->norm3_weight, 1, &dim, error,
                            "blocks.%d.norm3.weight", i));
    PF_TRY(pf_params_vector(t->params, &b->norm3_bias, 1, &dim, error,
                            "blocks.%d.norm3.bias", i));
    PF_TRY(pf_params_linear(t->params, &b->ffn_in, ffn, dim, PF_BIAS, error,
                            "blocks.%d.ffn.0", i));
    return pf_params_linear(t->params, &b->ffn_out, dim, ffn, PF_BIAS, error,
                            "blocks.%d.ffn.2", i);
}

/* Stored as a convolution whose stride is its kernel, used as a matrix: a patch is one row of
 * in_dim * ph * pw values, in the order of the stored kernel (patches_of). */
static pf_status bind_patch_embedding(pf_tower *t, pf_error *error)
{
    const pf_tower_info *info = &t->info;
    pf_layer_spec spec = {
        .kind = PF_WEIGHT_LINEAR,
        .rank = t->modality == PF_VIDEO ? 5 : 3,
        .shape = {info->dim, info->in_dim, info->patch[0], info->patch[1],
                  info->patch[2]},
        .bias = PF_BIAS,
        .bias_count = info->dim,
    };
    return pf_params_layer(t->params, &t->patch_embedding, &spec, error,
                           "patch_embedding");
}

static pf_status bind_embeddings(pf_tower *t, pf_error *error)
{
    const pf_tower_info *info = &t->info;
    PF_TRY(bind_patch_embedding(t, error));
    for (int i = 0; i < 2; i++) {
        PF_TRY(pf_params_linear(t->params, &t->text_embedding[i], info->dim,
                                i ? info->dim : info->text_dim, PF_BIAS, error,
                                "text_embedding.%d", 2 * i));
        PF_TRY(pf_params_linear(t->params, &t->time_embedding[i], info->dim,
                                i ? info->dim : info->freq_dim, PF_BIAS, error,
                                "time_embedding.%d", 2 * i));
    }
    return pf_params_linear(t->params, &t->time_projection,
                            (int64_t)PF_MODULATIONS * info->dim, info->dim, PF_BIAS,
                            error, "time_projection.1");
}

/* Asks for every parameter: embeddings and head in PF_GROUP_ALWAYS, block i in group i.  The
 * modulations of all blocks become one tensor, which pf_tower_modulate adds m to at once. */
static pf_status bind_all(pf_tower *t, pf_error *error)
{
    const pf_tower_info *info = &t->info;
    int64_t values = (int64_t)info->out_dim * info->patch[0] * info->patch[1] *
                     info->patch[2];
    t->blocks = pf_calloc((size_t)info->layers, sizeof *t->blocks);
    if (!t->blocks)
        return pf_fail_memory(error, "tower", sizeof *t->blocks);
    PF_TRY(bind_embeddings(t, error));
    for (int i = 0; i < info->layers; i++)
        PF_TRY(bind_block(t, i, error));
    pf_params_group(t->params, PF_GROUP_ALWAYS);
    t->modulation = pf_tensor_make(
        NULL, PF_F32, 4, (int64_t[]){info->layers, 1, PF_MODULATIONS, info->dim});
    PF_TRY(pf_params_stack(t->params, &t->modulation, "blocks", "modulation", error));
    PF_TRY(pf_params_linear(t->params, &t->head, values, info->dim, PF_BIAS, error,
                            "head.head"));
    return pf_params_vector(t->params, &t->head_modulation, 3,
                            (int64_t[]){1, 2, info->dim}, error, "head.modulation");
}

pf_status pf_tower_bind(pf_params *params, pf_modality modality, const json_t *config,
                        const char *name, pf_tower **out, pf_error *error)
{
    pf_tower *t = *out = pf_calloc(1, sizeof *t);
    if (!t)
        return pf_fail_memory(error, "tower", sizeof *t);
    t->modality = modality;
    t->params = params;
    PF_TRY(read_config(t, config, name, error));
    return bind_all(t, error);
}

void pf_tower_unbind(pf_tower *tower)
{
    if (!tower)
        return;
    pf_free(tower->blocks);
    pf_free(tower);
}

const pf_tower_info *pf_tower_get_info(const pf_tower *tower)
{
    return &tower->info;
}

int64_t pf_tower_token_count(const pf_tower *tower, int64_t frames, int64_t height,
                             int64_t width)
{
    const int *patch = tower->info.patch;
    return frames * (height / patch[1]) * (width / patch[2]);
}
