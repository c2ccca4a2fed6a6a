/* SPDX-License-Identifier: Apache-2.0 */
/* UMT5 text encoder.  See umt5.h; docs/model/text.md#encoder.
 *
 * Runs on the real tokens only: the reference pads to 512 and masks, which gives the
 * same rows.
 *
 * T5 differs from other transformers in three ways that the code follows: no 1 / sqrt(d) in
 * the attention, no bias in any linear layer, and positions that exist only as a learned bias
 * of the scores, by the distance of key and query.
 */
#include "model/umt5.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"

/* The parameters of a block; inner = heads * d_kv, which need not be d_model. */
typedef struct encoder_block {
    pf_tensor norm_attention, norm_ffn;         /* [d_model] */
    pf_layer q, k, v, o;
    pf_layer gate, linear, out;                 /* wi_0, wi_1, wo */
    pf_tensor relative_bias;                    /* [buckets * heads] */
} encoder_block;

typedef struct umt5_config {
    int64_t d_model, d_kv, d_ff, heads, layers, vocabulary;
    int64_t buckets, max_distance;
    double epsilon;
} umt5_config;

struct pf_umt5 {
    umt5_config config;
    pf_params *params;                          /* of the caller */
    pf_tensor embedding;                        /* [vocabulary, d_model], host */
    pf_tensor norm_final;
    encoder_block *blocks;                      /* [layers] */
};

/* --- configuration ------------------------------------------------------------------ */

static pf_status require_all(const json_t *config, const char *name,
                             pf_error *error)
{
    static const char *const keys[] = {"d_model", "d_kv", "d_ff", "num_heads",
                                       "num_layers", "vocab_size"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        PF_TRY(pf_json_require(config, name, keys[i], error));
    return PF_OK;
}

/* Defaults are those of the Python class.  A max_distance within the exact buckets would make
 * the logarithm of bucket_of zero or negative. */
static pf_status read_config(const json_t *json, const char *name, umt5_config *c,
                             pf_error *error)
{
    const char *projection = "gated-gelu";
    *c = (umt5_config){.buckets = 32, .max_distance = 128, .epsilon = 1e-6};
    PF_TRY(require_all(json, name, error));
    PF_TRY(pf_json_int(json, name, "d_model", 1, 65536, &c->d_model, error));
    PF_TRY(pf_json_int(json, name, "d_kv", 1, 256, &c->d_kv, error));
    PF_TRY(pf_json_int(json, name, "d_ff", 1, 262144, &c->d_ff, error));
    PF_TRY(pf_json_int(json, name, "num_heads", 1, 1024, &c->heads, error));
    PF_TRY(pf_json_int(json, name, "num_layers", 1, 256, &c->layers, error));
    PF_TRY(pf_json_int(json, name, "vocab_size", 1, 16777216, &c->vocabulary, error));
    PF_TRY(pf_json_int(json, name, "relative_attention_num_buckets", 4, 1024,
                       &c->buckets, error));
    PF_TRY(pf_json_int(json, name, "relative_attention_max_distance", 2, 65536,
                       &c->max_distance, error));
    PF_TRY(pf_json_real(json, name, "layer_norm_epsilon", 1e-12, 1e-2, &c->epsilon,
                        error));
    PF_TRY(pf_json_string(json, name, "feed_forward_proj", &projection, error));
    if (strcmp(projection, "gated-gelu") != 0)
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "%s: feed_forward_proj is %s, but only gated-gelu is "
                       "supported", name, projection);
    if (c->max_distance <= c->buckets / 4)
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "%s: relative_attention_max_distance is %lld, but must be more "
                       "than a quarter of relative_attention_num_buckets, %lld", name,
                       (long long)c->max_distance, (long long)c->buckets);
    return PF_OK;
}

/* --- parameters ---------------------------------------------------------------------- */

/* The names of the original Wan file, as pairs: theirs, ours.  "*" is a number. */
static const char *const renamed[][2] = {
    {"token_embedding.weight", "shared.weight"},
    {"norm.weight", "encoder.final_layer_norm.weight"},
    {"blocks.*.norm1.weight", "encoder.block.*.layer.0.layer_norm.weight"},
    {"blocks.*.attn.q.weight", "encoder.block.*.layer.0.SelfAttention.q.weight"},
    {"blocks.*.attn.k.weight", "encoder.block.*.layer.0.SelfAttention.k.weight"},
    {"blocks.*.attn.v.weight", "encoder.block.*.layer.0.SelfAttention.v.weight"},
    {"blocks.*.attn.o.weight", "encoder.block.*.layer.0.SelfAttention.o.weight"},
    {"blocks.*.pos_embedding.embedding.weight",
     "encoder.block.*.layer.0.SelfAttention.relative_attention_bias.weight"},
    {"blocks.*.norm2.weight", "encoder.block.*.layer.1.layer_norm.weight"},
    {"blocks.*.ffn.gate.0.weight",
     "encoder.block.*.layer.1.DenseReluDense.wi_0.weight"},
    {"blocks.*.ffn.fc1.weight", "encoder.block.*.layer.1.DenseReluDense.wi_1.weight"},
    {"blocks.*.ffn.fc2.weight", "encoder.block.*.layer.1.DenseReluDense.wo.weight"},
};

/* Matches a name with at most one number; *number points at it. */
static bool matches(const char *name, const char *pattern, const char **number,
                    int *digits)
{
    const char *star = strchr(pattern, '*');
    if (!star)
        return strcmp(name, pattern) == 0;
    size_t head = (size_t)(star - pattern);
    if (strncmp(name, pattern, head) != 0)
        return false;
    *number = name + head;
    *digits = (int)strspn(*number, "0123456789");
    return *digits > 0 && strcmp(*number + *digits, star + 1) == 0;
}

/* Writes our name of a tensor of the original file; false where it has none (see
 * pf_weights_rename). */
static bool translate(const char *from, char *to, size_t bytes)
{
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; i++) {
        const char *number = "";
        int digits = 0;
        if (!matches(from, renamed[i][0], &number, &digits))
            continue;
        const char *ours = renamed[i][1], *star = strchr(ours, '*');
        if (star)
            snprintf(to, bytes, "%.*s%.*s%s", (int)(star - ours), ours, digits,
                     number, star + 1);
        else
            snprintf(to, bytes, "%s", ours);
        return true;
    }
    return false;
}

static pf_status bind_attention(pf_umt5 *u, encoder_block *b, int i,
                                pf_error *error)
{
    const umt5_config *c = &u->config;
    int64_t inner = c->heads * c->d_kv;
    struct {
        pf_layer *layer;
        const char *name;
    } const projections[] = {{&b->q, "q"}, {&b->k, "k"}, {&b->v, "v"}};
    for (int p = 0; p < 3; p++)
        PF_TRY(pf_params_linear(u->params, projections[p].layer, inner, c->d_model,
                                PF_BIAS_NONE, error,
                                "encoder.block.%d.layer.0.SelfAttention.%s", i,
                                projections[p].name));
    PF_TRY(pf_params_linear(u->params, &b->o, c->d_model, inner, PF_BIAS_NONE, error,
                            "encoder.block.%d.layer.0.SelfAttention.o", i));
    return pf_params_vector(
        u->params, &b->relative_bias, 2, (int64_t[]){c->buckets, c->heads}, error,
        "encoder.block.%d.layer.0.SelfAttention.relative_attention_bias.weight", i);
}

static pf_status bind_block(pf_umt5 *u, int i, pf_error *error)
{
    const umt5_config *c = &u->config;
    encoder_block *b = &u->blocks[i];
    pf_params_group(u->params, i);
    for (int half = 0; half < 2; half++)
        PF_TRY(pf_params_vector(u->params,
                                half ? &b->norm_ffn : &b->norm_attention, 1,
                                &c->d_model, error,
                                "encoder.block.%d.layer.%d.layer_norm.weight", i,
                                half));
    PF_TRY(bind_attention(u, b, i, error));
    PF_TRY(pf_params_linear(u->params, &b->gate, c->d_ff, c->d_model, PF_BIAS_NONE,
                            error, "encoder.block.%d.layer.1.DenseReluDense.wi_0",
                            i));
    PF_TRY(pf_params_linear(u->params, &b->linear, c->d_ff, c->d_model, PF_BIAS_NONE,
                            error, "encoder.block.%d.layer.1.DenseReluDense.wi_1",
                            i));
    return pf_params_linear(u->params, &b->out, c->d_model, c->d_ff, PF_BIAS_NONE,
                            error, "encoder.block.%d.layer.1.DenseReluDense.wo", i);
}

/* Asks for every parameter.  A checkpoint may hold the embedding under two names; the second
 * is looked up and not used, so that it does not count as unknown. */
static pf_status bind_all(pf_umt5 *u, pf_error *error)
{
    const umt5_config *c = &u->config;
    pf_weights *weights = pf_params_weights(u->params);
    const char *copy = "encoder.embed_tokens.weight";
    PF_TRY(pf_weights_rename(weights, translate, error));
    const char *embedding = pf_weights_has(weights, "shared.weight") ||
                                    !pf_weights_has(weights, copy)
                                ? "shared.weight"
                                : copy;
    PF_TRY(pf_params_table(u->params, &u->embedding, c->vocabulary, c->d_model, error,
                           "%s", embedding));
    if (pf_weights_has(weights, copy)) {
        pf_tensor twin;                         /* the same data once more */
        PF_TRY(pf_weights_find_any(weights, copy, &twin, error));
    }
    u->blocks = pf_calloc((size_t)c->layers, sizeof *u->blocks);
    if (!u->blocks)
        return pf_fail_memory(error, "text encoder", sizeof *u->blocks);
    for (int i = 0; i < c->layers; i++)
        PF_TRY(bind_block(u, i, error));
    pf_params_group(u->params, PF_GROUP_ALWAYS);
    return pf_params_vector(u->params, &u->norm_final, 1, &c->d_model, error,
                            "encoder.final_layer_norm.weight");
}

pf_status pf_umt5_bind(pf_params *params, const json_t *config, const char *name,
                       pf_umt5 **out, pf_error *error)
{
    pf_umt5 *u = *out = pf_calloc(1, sizeof *u);
    if (!u)
        return pf_fail_memory(error, "text encoder", sizeof *u);
    u->params = params;
    PF_TRY(read_config(config, name, &u->config, error));
    return bind_all(u, error);
}

void pf_umt5_unbind(pf_umt5 *encoder)
{
    if (!encoder)
        return;
    pf_free(encoder->blocks);
    pf_free(encoder);
}

int64_t pf_umt5_width(const pf_umt5 *encoder)
{
    return encoder->config.d_model;
}

int64_t pf_umt5_vocabulary(const pf_umt5 *encoder)
{
    return encoder->config.vocabulary;
}

/* --- encoding ------------------------------------------------------------------------- */

/* The bucket of a distance r, key minus query: one half of the buckets a side, a bucket a
 * distance near by, logarithmic beyond.  With half = buckets / 2, exact = half / 2, n = |r|:
 *
 *     n < exact:  base + n                               base = half where r > 0, else 0
 *     else:       base + min(half - 1, exact + trunc(ln(n / exact) / ln(max_distance / exact)
 *                                                    (half - exact)))
 *
 * Each operation rounds to f32, as PyTorch's does: where the value is whole, one bit decides. */
static int64_t bucket_of(const umt5_config *c, int64_t distance)
{
    int64_t half = c->buckets / 2, exact = half / 2;
    int64_t base = distance > 0 ? half : 0;
    int64_t n = distance < 0 ? -distance : distance;
    if (n < exact)
        return base + n;
    float ratio = logf((float)n / (float)exact) /
                  (float)log((double)c->max_distance / (double)exact);
    int64_t far = exact + (int64_t)(ratio * (float)(half - exact));
    return base + (far < half - 1 ? far : half - 1);
}

/* Values used by every block of one call. */
typedef struct encoding {
    pf_ops *ops;
    const umt5_config *config;
    int64_t length;
    pf_tensor bias_rows;                /* [2L - 1, heads]: by key minus query */
    pf_tensor x;                        /* [L, d_model], the residual stream */
} encoding;

/* Copies the table's rows in the order of distances -(L-1) .. L-1. */
static pf_status spread_bias(const encoding *e, const encoder_block *b)
{
    const umt5_config *c = e->config;
    pf_tensor table = pf_tensor_reshape(b->relative_bias, 2,
                                        (int64_t[]){c->buckets, c->heads});
    for (int64_t r = 0; r < 2 * e->length - 1; r++) {
        int64_t bucket = bucket_of(c, r - (e->length - 1));
        PF_TRY(pf_op_copy(e->ops, &(pf_copy_args){
            .from = pf_tensor_slice(table, 0, bucket, 1),
            .to = pf_tensor_slice(e->bias_rows, 0, r, 1)}));
    }
    return PF_OK;
}

/* The rows [2L - 1, heads] seen as the bias [heads, L, L]: element (h, i, j) is row
 * L - 1 + j - i, column h.  Strides do it (1 a head, -heads a query, heads a key), so L^2
 * values are never stored. */
static pf_tensor bias_view(const encoding *e)
{
    int64_t heads = e->config->heads, length = e->length;
    pf_tensor middle = pf_tensor_slice(e->bias_rows, 0, length - 1, 1);
    return pf_tensor_as_strided(middle, 3, (int64_t[]){heads, length, length},
                                (int64_t[]){1, -heads, heads});
}

/* The first half of a block, on x [L, d_model]; head h is columns h d_kv .. of q, k and v:
 *
 *     a = rms(x, w0);  q, k, v = Wq a, Wk a, Wv a            [L, inner] each
 *     s[h,i,j] = q_i . k_j + B[bucket(j - i), h]
 *     x = x + Wo softmax_j(s) v
 */
static pf_status attend(const encoding *e, const encoder_block *b)
{
    pf_ops *ops = e->ops;
    int64_t inner = e->config->heads * e->config->d_kv;
    pf_tensor a, q, k, v;
    PF_TRY(pf_ops_matrix(ops, e->length, e->config->d_model, &a));
    PF_TRY(pf_ops_matrix(ops, e->length, inner, &q));
    PF_TRY(pf_ops_matrix(ops, e->length, inner, &k));
    PF_TRY(pf_ops_matrix(ops, e->length, inner, &v));
    PF_TRY(spread_bias(e, b));
    PF_TRY(pf_op_norm(ops, &(pf_norm_args){
        .kind = PF_NORM_RMS, .epsilon = (float)e->config->epsilon, .x = e->x,
        .weight = b->norm_attention, .y = a}));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){.x = a, .weight = &b->q.weight, .y = q}));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){.x = a, .weight = &b->k.weight, .y = k}));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){.x = a, .weight = &b->v.weight, .y = v}));
    pf_tensor out;
    PF_TRY(pf_ops_matrix(ops, e->length, inner, &out));
    PF_TRY(pf_op_attention(ops, &(pf_attention_args){
        .q = q, .k = k, .v = v, .heads = (int)e->config->heads, .scale = 1.0f,
        .bias = bias_view(e), .out = out}));
    return pf_op_linear(ops, &(pf_linear_args){
        .x = out, .weight = &b->o.weight, .residual = e->x, .y = e->x});
}

/* The second half, with one hidden tensor [L, d_ff]: Wi1 f is written first, and the layer of
 * Wi0 multiplies by it as its epilogue.
 *
 *     f = rms(x, w1)
 *     x = x + Wo (gelu(Wi0 f) * (Wi1 f))
 */
static pf_status feed_forward(const encoding *e, const encoder_block *b)
{
    pf_ops *ops = e->ops;
    pf_tensor f, hidden;
    PF_TRY(pf_ops_matrix(ops, e->length, e->config->d_model, &f));
    PF_TRY(pf_ops_matrix(ops, e->length, e->config->d_ff, &hidden));
    PF_TRY(pf_op_norm(ops, &(pf_norm_args){
        .kind = PF_NORM_RMS, .epsilon = (float)e->config->epsilon, .x = e->x,
        .weight = b->norm_ffn, .y = f}));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = f, .weight = &b->linear.weight, .y = hidden}));
    PF_TRY(pf_op_linear(ops, &(pf_linear_args){
        .x = f, .weight = &b->gate.weight, .activation = PF_ACTIVATION_GELU_TANH,
        .mul = hidden, .y = hidden}));
    return pf_op_linear(ops, &(pf_linear_args){
        .x = hidden, .weight = &b->out.weight, .residual = e->x, .y = e->x});
}

/* Embedding, blocks and the last norm, to out [L, d_model]. */
static pf_status encode_rows(const pf_umt5 *u, const encoding *e,
                             const int32_t *ids, const pf_tensor *out)
{
    pf_ops *ops = e->ops;
    pf_tensor list = pf_vector((void *)(uintptr_t)ids, PF_I32, e->length);
    PF_TRY(pf_op_embedding(ops, &(pf_embedding_args){
        .table = u->embedding, .ids = list, .y = e->x}));
    for (int i = 0; i < u->config.layers; i++) {
        pf_mark mark = pf_ops_mark(ops);
        PF_TRY(pf_ops_poll(ops));
        PF_TRY(pf_params_enter(u->params, ops, i));
        PF_TRY(attend(e, &u->blocks[i]));
        pf_ops_rewind(ops, mark);
        PF_TRY(feed_forward(e, &u->blocks[i]));
        pf_ops_rewind(ops, mark);
    }
    return pf_op_norm(ops, &(pf_norm_args){
        .kind = PF_NORM_RMS, .epsilon = (float)u->config.epsilon, .x = e->x,
        .weight = u->norm_final, .y = *out});
}

pf_status pf_umt5_encode(pf_umt5 *encoder, pf_ops *ops, const int32_t *ids,
                         int64_t count, const pf_tensor *out)
{
    pf_numerics outer = ops->numerics;
    pf_mark mark = pf_ops_mark(ops);
    encoding e = {.ops = ops, .config = &encoder->config, .length = count};
    if (count < 1)
        return pf_fail(ops->error, PF_E_INPUT, "there are no token ids to encode");
    for (int64_t i = 0; i < count && !ops->dry; i++)
        if (ids[i] < 0 || ids[i] >= encoder->config.vocabulary)
            return pf_fail(ops->error, PF_E_INPUT,
                           "token id %d is outside the vocabulary of %lld", ids[i],
                           (long long)encoder->config.vocabulary);
    ops->numerics.round_bf16 = false;
    PF_TRY(pf_ops_matrix(ops, count, encoder->config.d_model, &e.x));
    PF_TRY(pf_ops_matrix(ops, 2 * count - 1, encoder->config.heads, &e.bias_rows));
    pf_status status = encode_rows(encoder, &e, ids, out);
    ops->numerics = outer;
    pf_ops_rewind(ops, mark);
    PF_TRY(status);
    if (!outer.round_bf16)
        return PF_OK;
    return pf_op_unary(ops, &(pf_unary_args){
        .kind = PF_UNARY_ROUND_BF16, .x = *out, .y = *out});
}
