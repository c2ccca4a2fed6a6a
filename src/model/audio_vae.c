/* SPDX-License-Identifier: Apache-2.0 */
/* Audio VAE: binding its parameters, and the two networks.  docs/model/audio-vae.md.
 * Leaves out the quantiser of the discrete DAC and the variance of the posterior.
 *
 *     decoder   z [C, L] -> quant, first -> blocks -> snake, last, tanh -> samples [L hop]
 *               block: snake, transposed convolution (L to L rate), 3 residual units
 *
 *     encoder   samples -> first -> blocks -> snake, last, quant -> moments [2C, L]
 *               block: 3 residual units, snake, strided convolution (L rate to L)
 *
 * Maps are [channels, 1, 1, length]: a sound is a film of height 1, so that the kernels of the
 * video VAE serve here, too. */
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "base/memory.h"
#include "model/audio_vae.h"

enum {
    MAX_RATES = 8,
    UNITS = 3,                          /* residual units a block */
    STEM_BYTES = 96,
    PIECE = 256                         /* latents decoded at a time */
};

static const int dilations[UNITS] = {1, 3, 9};

/* x + conv1(snake(conv7(snake(x)))). */
typedef struct unit {
    pf_tensor alpha7, alpha1;
    pf_layer conv7, conv1;
} unit;

/* A change of rate with the residual units on its fast side. */
typedef struct block {
    int64_t wide, narrow;               /* channels on the slow and the fast side */
    int rate;
    unit units[UNITS];
    pf_tensor alpha;
    pf_layer resample;
} block;

/* Encoder or decoder: a half of the network. */
typedef struct coder {
    int count;
    block blocks[MAX_RATES];            /* in the order of execution */
    pf_layer first, last, quant;
    pf_tensor alpha;                    /* before `last` */
} coder;

struct pf_audio_vae {
    pf_params *params;                  /* of the caller */
    pf_audio_vae_info info;
    int64_t encoder_width, decoder_width;
    coder encoder, decoder;
};

/* --- configuration ------------------------------------------------------------------- */

typedef struct reader {
    const json_t *config;
    const char *name;
    pf_error *error;
} reader;

static pf_status read_int(const reader *r, const char *key, int64_t high, int64_t *out)
{
    PF_TRY(pf_json_require(r->config, r->name, key, r->error));
    return pf_json_int(r->config, r->name, key, 1, high, out, r->error);
}

/* The rates of one half, in its order; *hop is their product. */
static pf_status read_rates(const reader *r, const char *key, coder *c, int64_t *hop)
{
    int64_t rates[MAX_RATES];
    PF_TRY(pf_json_require(r->config, r->name, key, r->error));
    pf_json_list list = {1, MAX_RATES, rates, 0};
    PF_TRY(pf_json_ints(r->config, r->name, key, &list, r->error));
    c->count = list.count;
    *hop = 1;
    for (int i = 0; i < c->count; i++) {
        if (rates[i] < 1 || rates[i] > 64)
            return pf_fail(r->error, PF_E_MODEL,
                           "%s: %s holds %lld, but must hold 1 to 64", r->name, key,
                           (long long)rates[i]);
        c->blocks[i].rate = (int)rates[i];
        *hop *= rates[i];
    }
    if (*hop > 1 << 20)
        return pf_fail(r->error, PF_E_UNSUPPORTED,
                       "%s: the product of %s is %lld, but at most 1048576 is "
                       "supported", r->name, key, (long long)*hop);
    return PF_OK;
}

/* The hop is the product of the rates; a `hop_length` in the file is not asked, because the
 * network decides. */
static pf_status read_config(const reader *r, pf_audio_vae *vae)
{
    int64_t latent = 0, rate = 0, hop = 0, decoder_hop = 0;
    bool continuous = false;
    PF_TRY(pf_json_bool(r->config, r->name, "continuous", &continuous, r->error));
    if (!continuous)
        return pf_fail(r->error, PF_E_UNSUPPORTED,
                       "%s: continuous is not true, but only the continuous audio "
                       "VAE is supported", r->name);
    PF_TRY(read_int(r, "latent_dim", 1 << 16, &latent));
    PF_TRY(read_int(r, "sample_rate", 768000, &rate));
    PF_TRY(read_int(r, "encoder_dim", 1 << 16, &vae->encoder_width));
    PF_TRY(read_int(r, "decoder_dim", 1 << 20, &vae->decoder_width));
    PF_TRY(read_rates(r, "encoder_rates", &vae->encoder, &hop));
    PF_TRY(read_rates(r, "decoder_rates", &vae->decoder, &decoder_hop));
    if (hop != decoder_hop)
        return pf_fail(r->error, PF_E_UNSUPPORTED,
                       "%s: the products of encoder_rates and decoder_rates are %lld "
                       "and %lld, but must be alike", r->name, (long long)hop,
                       (long long)decoder_hop);
    if (vae->decoder_width % ((int64_t)1 << vae->decoder.count) != 0)
        return pf_fail(r->error, PF_E_MODEL,
                       "%s: decoder_dim is %lld, but must be a multiple of %d to be "
                       "halved by every block", r->name,
                       (long long)vae->decoder_width, 1 << vae->decoder.count);
    vae->info = (pf_audio_vae_info){.latent_channels = (int)latent,
                                    .sample_rate = (int)rate, .hop = (int)hop};
    return PF_OK;
}

/* --- parameters ------------------------------------------------------------------------ */

typedef struct binder {
    pf_params *params;
    pf_error *error;
} binder;

/* A convolution as stored: [axis0, axis1, kernel], bias [out]. */
typedef struct stored_conv {
    pf_weight_kind kind;
    int64_t axis0, axis1, kernel, out;
} stored_conv;

__attribute__((format(printf, 2, 3)))
static const char *stem_of(char out[STEM_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out, STEM_BYTES, format, args);
    va_end(args);
    return out;
}

static bool has(const binder *b, const char *stem, const char *member)
{
    char name[2 * STEM_BYTES];
    snprintf(name, sizeof name, "%s.%s", stem, member);
    return pf_weights_has(pf_params_weights(b->params), name);
}

static pf_status find(const binder *b, const char *stem, const char *member,
                      const int64_t shape[3], pf_tensor *out)
{
    char name[2 * STEM_BYTES];
    snprintf(name, sizeof name, "%s.%s", stem, member);
    return pf_weights_find(pf_params_weights(b->params), name, 3, shape, out,
                           b->error);
}

/* A row of weight norm: w = v g / |v|, in f64 and rounded once; false where |v| is 0.  Folding
 * when the model opens saves a norm a convolution and pass. */
static bool fold_row(float *row, int64_t count, double g)
{
    double squares = 0.0;
    for (int64_t i = 0; i < count; i++)
        squares += (double)row[i] * (double)row[i];
    double scale = g / sqrt(squares);
    for (int64_t i = 0; i < count; i++)
        row[i] = (float)((double)row[i] * scale);
    return squares > 0.0;
}

/* Folds magnitude g [axis0, 1, 1] and direction v into one weight, as v is stored. */
static pf_status fold(const pf_computed *self, pf_error *error)
{
    const pf_tensor *g = &self->g, *v = &self->v;
    int64_t row = v->shape[1] * v->shape[2];
    const char *magnitudes = g->data;
    pf_to_f32(v->data, v->dtype, pf_tensor_count(v), self->values);
    for (int64_t i = 0; i < v->shape[0]; i++) {
        float magnitude;
        pf_to_f32(magnitudes + pf_dtype_bytes(g->dtype, i), g->dtype, 1, &magnitude);
        if (!fold_row(self->values + i * row, row, magnitude))
            return pf_fail(error, PF_E_MODEL,
                           "%s: weight norm of %s cannot be folded: row %lld of its "
                           "direction is zero", self->path, self->name, (long long)i);
    }
    return PF_OK;
}

/* A convolution with weight norm, whose two tensors have these names. */
static pf_status bind_folded(const binder *b, pf_layer *layer, const stored_conv *conv,
                             const char *stem, const char *g_name, const char *v_name)
{
    const int64_t g_shape[3] = {conv->axis0, 1, 1};
    const int64_t v_shape[3] = {conv->axis0, conv->axis1, conv->kernel};
    const int64_t conv_shape[5] = {conv->axis0, conv->axis1, 1, 1, conv->kernel};
    pf_computed folded = {.name = (char *)(uintptr_t)stem, .compute = fold};
    float *weight;
    PF_TRY(find(b, stem, g_name, g_shape, &folded.g));
    PF_TRY(find(b, stem, v_name, v_shape, &folded.v));
    PF_TRY(pf_params_compute(b->params, &folded, &weight, b->error));
    pf_tensor source = conv->kind == PF_WEIGHT_CONV
                           ? pf_tensor_make(weight, PF_F32, 5, conv_shape)
                           : pf_tensor_make(weight, PF_F32, 3, v_shape);
    PF_TRY(pf_params_layer_from(b->params, layer, conv->kind, &source, stem, b->error));
    return pf_params_vector(b->params, &layer->bias, 1, &conv->out, b->error,
                            "%s.bias", stem);
}

/* The names in the file decide whether there is weight norm. */
static pf_status bind_stored(const binder *b, pf_layer *layer, const stored_conv *conv,
                             const char *stem)
{
    if (has(b, stem, "weight_v"))
        return bind_folded(b, layer, conv, stem, "weight_g", "weight_v");
    if (has(b, stem, "parametrizations.weight.original1"))
        return bind_folded(b, layer, conv, stem, "parametrizations.weight.original0",
                           "parametrizations.weight.original1");
    const pf_layer_spec spec = {
        .kind = conv->kind, .rank = 3,
        .shape = {conv->axis0, conv->axis1, conv->kernel},
        .bias = PF_BIAS, .bias_count = conv->out,
    };
    return pf_params_layer(b->params, layer, &spec, b->error, "%s", stem);
}

static pf_status bind_conv(const binder *b, pf_layer *layer, int64_t out, int64_t in,
                           int64_t kernel, const char *stem)
{
    const stored_conv conv = {PF_WEIGHT_CONV, out, in, kernel, out};
    return bind_stored(b, layer, &conv, stem);
}

static pf_status bind_alpha(const binder *b, pf_tensor *alpha, int64_t channels,
                            const char *stem)
{
    const int64_t shape[3] = {1, channels, 1};
    return pf_params_vector(b->params, alpha, 3, shape, b->error, "%s.alpha", stem);
}

/* Stored with the input channel first, [wide, narrow, 2 rate], so that weight norm has a
 * magnitude for each input channel here. */
static pf_status bind_transposed(const binder *b, block *blk, const char *stem)
{
    const stored_conv conv = {PF_WEIGHT_CONV_TRANSPOSED, blk->wide, blk->narrow,
                              2 * blk->rate, blk->narrow};
    return bind_stored(b, &blk->resample, &conv, stem);
}

static pf_status bind_unit(const binder *b, unit *u, int64_t channels,
                           const char *stem)
{
    char name[STEM_BYTES];
    PF_TRY(bind_alpha(b, &u->alpha7, channels, stem_of(name, "%s.block.0", stem)));
    PF_TRY(bind_conv(b, &u->conv7, channels, channels, 7,
                     stem_of(name, "%s.block.1", stem)));
    PF_TRY(bind_alpha(b, &u->alpha1, channels, stem_of(name, "%s.block.2", stem)));
    return bind_conv(b, &u->conv1, channels, channels, 1,
                     stem_of(name, "%s.block.3", stem));
}

/* The residual units STEM.block.FIRST and the two behind it. */
static pf_status bind_units(const binder *b, block *blk, const char *stem, int first)
{
    char name[STEM_BYTES];
    for (int i = 0; i < UNITS; i++)
        PF_TRY(bind_unit(b, &blk->units[i], blk->narrow,
                         stem_of(name, "%s.block.%d", stem, first + i)));
    return PF_OK;
}

/* Names count through the torch Sequential: block.0 is the first convolution, block.1 on are
 * the blocks, then come the last snake and the last convolution. */
static pf_status bind_encoder(pf_audio_vae *vae, const binder *b)
{
    coder *c = &vae->encoder;
    int64_t width = vae->encoder_width, latent = vae->info.latent_channels;
    char stem[STEM_BYTES], name[STEM_BYTES];
    PF_TRY(bind_conv(b, &c->first, width, 1, 7, "encoder.block.0"));
    for (int i = 0; i < c->count; i++, width *= 2) {
        block *blk = &c->blocks[i];
        blk->narrow = width;
        blk->wide = 2 * width;
        stem_of(stem, "encoder.block.%d", i + 1);
        PF_TRY(bind_units(b, blk, stem, 0));
        PF_TRY(bind_alpha(b, &blk->alpha, width, stem_of(name, "%s.block.3", stem)));
        PF_TRY(bind_conv(b, &blk->resample, blk->wide, width, 2 * blk->rate,
                         stem_of(name, "%s.block.4", stem)));
    }
    PF_TRY(bind_alpha(b, &c->alpha, width,
                      stem_of(name, "encoder.block.%d", c->count + 1)));
    PF_TRY(bind_conv(b, &c->last, latent, width, 3,
                     stem_of(name, "encoder.block.%d", c->count + 2)));
    return bind_conv(b, &c->quant, 2 * latent, latent, 1, "quant_conv");
}

static pf_status bind_decoder(pf_audio_vae *vae, const binder *b)
{
    coder *c = &vae->decoder;
    int64_t width = vae->decoder_width, latent = vae->info.latent_channels;
    char stem[STEM_BYTES], name[STEM_BYTES];
    PF_TRY(bind_conv(b, &c->quant, latent, latent, 1, "post_quant_conv"));
    PF_TRY(bind_conv(b, &c->first, width, latent, 7, "decoder.model.0"));
    for (int i = 0; i < c->count; i++, width /= 2) {
        block *blk = &c->blocks[i];
        blk->wide = width;
        blk->narrow = width / 2;
        stem_of(stem, "decoder.model.%d", i + 1);
        PF_TRY(bind_alpha(b, &blk->alpha, width, stem_of(name, "%s.block.0", stem)));
        PF_TRY(bind_transposed(b, blk, stem_of(name, "%s.block.1", stem)));
        PF_TRY(bind_units(b, blk, stem, 2));
    }
    PF_TRY(bind_alpha(b, &c->alpha, width,
                      stem_of(name, "decoder.model.%d", c->count + 1)));
    return bind_conv(b, &c->last, 1, width, 7,
                     stem_of(name, "decoder.model.%d", c->count + 2));
}

/* --- binding ---------------------------------------------------------------------------- */

pf_status pf_audio_vae_bind(pf_params *params, const json_t *config, const char *name,
                            pf_audio_vae **out, pf_error *error)
{
    const reader r = {config, name, error};
    const binder b = {params, error};
    pf_audio_vae *vae = *out = pf_calloc(1, sizeof *vae);
    if (!vae)
        return pf_fail_memory(error, "audio VAE", sizeof *vae);
    vae->params = params;
    PF_TRY(read_config(&r, vae));
    PF_TRY(bind_encoder(vae, &b));
    return bind_decoder(vae, &b);
}

void pf_audio_vae_unbind(pf_audio_vae *vae)
{
    pf_free(vae);
}

const pf_audio_vae_info *pf_audio_vae_get_info(const pf_audio_vae *vae)
{
    return &vae->info;
}

/* --- layers ------------------------------------------------------------------------------ */

/* How a convolution goes along the samples. */
typedef struct sweep {
    int stride, dilation, pad;
} sweep;

static const sweep pointwise = {1, 1, 0}, three = {1, 1, 1}, seven = {1, 1, 3};

/* y[o,n] = b[o] + sum W[o,i,k] x[i, n stride + k dilation - pad] (+ residual[o,n]), along the
 * last axis of maps [C, 1, 1, L]; residual may be NULL. */
static pf_status convolve(pf_ops *ops, const pf_layer *layer, sweep s,
                          const pf_tensor *x, const pf_tensor *residual,
                          const pf_tensor *y)
{
    assert(ops->dry || layer->weight.multiply == PF_MULTIPLY_F32);
    pf_conv_args args = {
        .x = *x, .weight = &layer->weight, .bias = layer->bias,
        .stride = {1, 1, s.stride}, .dilation = {1, 1, s.dilation},
        .pad_front = {0, 0, s.pad}, .y = *y,
    };
    if (residual)
        args.residual = *residual;
    return pf_op_conv(ops, &args);
}

static pf_status snake(pf_ops *ops, const pf_tensor *x, const pf_tensor *alpha,
                       const pf_tensor *y)
{
    return pf_op_snake(ops, &(pf_snake_args){.x = *x, .alpha = *alpha, .y = *y});
}

static pf_status make_map(pf_ops *ops, int64_t channels, int64_t length,
                          pf_tensor *out)
{
    return pf_ops_map(ops, channels, 1, 1, length, out);
}

/* x = x + conv1(snake(conv7(snake(x)))), in place on x [C, 1, 1, L]; conv7 has this dilation.
 * The sum is the epilogue of conv1. */
static pf_status unit_forward(pf_ops *ops, const unit *u, int dilation,
                              const pf_tensor *x)
{
    pf_mark mark = pf_ops_mark(ops);
    const sweep wide = {1, dilation, 3 * dilation};
    pf_tensor a, b;
    PF_TRY(make_map(ops, x->shape[0], x->shape[3], &a));
    PF_TRY(make_map(ops, x->shape[0], x->shape[3], &b));
    PF_TRY(snake(ops, x, &u->alpha7, &a));
    PF_TRY(convolve(ops, &u->conv7, wide, &a, NULL, &b));
    PF_TRY(snake(ops, &b, &u->alpha1, &b));
    PF_TRY(convolve(ops, &u->conv1, pointwise, &b, x, x));
    pf_ops_rewind(ops, mark);
    return PF_OK;
}

static pf_status units_forward(pf_ops *ops, const block *blk, const pf_tensor *x)
{
    PF_TRY(pf_ops_poll(ops));
    for (int i = 0; i < UNITS; i++)
        PF_TRY(unit_forward(ops, &blk->units[i], dilations[i], x));
    return PF_OK;
}

/* --- decoder ------------------------------------------------------------------------------ */

/* Runs blocks 0 .. i to y [narrow, 1, 1, L rate]; -1 are the layers before the first block.
 * Written backwards, as maps grow on the way: y has its memory already, and all that lies
 * below it is given back before the residual units of block i run. */
static pf_status decode_block(pf_ops *ops, const coder *c, int i,
                              const pf_tensor *latents, const pf_tensor *y)
{
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor x;
    if (i < 0) {
        PF_TRY(make_map(ops, latents->shape[0], latents->shape[3], &x));
        PF_TRY(convolve(ops, &c->quant, pointwise, latents, NULL, &x));
        PF_TRY(convolve(ops, &c->first, seven, &x, NULL, y));
        pf_ops_rewind(ops, mark);
        return PF_OK;
    }
    const block *blk = &c->blocks[i];
    assert(ops->dry || blk->resample.weight.multiply == PF_MULTIPLY_F32);
    PF_TRY(make_map(ops, blk->wide, y->shape[3] / blk->rate, &x));
    PF_TRY(decode_block(ops, c, i - 1, latents, &x));
    PF_TRY(snake(ops, &x, &blk->alpha, &x));
    PF_TRY(pf_op_conv_transposed(ops, &(pf_conv_transposed_args){
        .x = x, .weight = &blk->resample.weight, .bias = blk->resample.bias,
        .stride = blk->rate, .pad = (blk->rate + 1) / 2, .y = *y}));
    pf_ops_rewind(ops, mark);
    return units_forward(ops, blk, y);
}

/* latents [C, 1, 1, n] (any strides) to samples [1, 1, 1, n * hop]. */
static pf_status decode_piece(const pf_audio_vae *vae, pf_ops *ops,
                              const pf_tensor *latents, const pf_tensor *samples)
{
    const coder *c = &vae->decoder;
    pf_tensor map, fast, wave;
    PF_TRY(make_map(ops, latents->shape[0], latents->shape[3], &map));
    PF_TRY(pf_op_copy(ops, &(pf_copy_args){.from = *latents, .to = map}));
    PF_TRY(make_map(ops, c->blocks[c->count - 1].narrow, samples->shape[3], &fast));
    PF_TRY(decode_block(ops, c, c->count - 1, &map, &fast));
    PF_TRY(snake(ops, &fast, &c->alpha, &fast));
    PF_TRY(make_map(ops, 1, samples->shape[3], &wave));
    PF_TRY(convolve(ops, &c->last, seven, &fast, NULL, &wave));
    return pf_op_unary(ops, &(pf_unary_args){
        .kind = PF_UNARY_TANH, .x = wave, .y = *samples});
}

/* a / b, rounded towards minus infinity; C rounds towards 0. */
static int64_t divide_down(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

/* Which latents do the samples of latent 0 see?  [low, high] is followed from the
 * samples back through every layer: a convolution of K = 7 and dilation d widens it by 3d on
 * both sides, and a transposed one maps it to floor((low + p) / s) - 1 and
 * floor((high + p) / s).  10 latents for the rates of MOVA. */
int64_t pf_audio_vae_context(const pf_audio_vae *vae)
{
    const coder *c = &vae->decoder;
    int64_t low = 0, high = vae->info.hop - 1, units = 0;
    for (int i = 0; i < UNITS; i++)
        units += 3 * dilations[i];
    low -= 3;
    high += 3;
    for (int i = c->count - 1; i >= 0; i--) {
        int rate = c->blocks[i].rate, pad = (rate + 1) / 2;
        low -= units;
        high += units;
        low = divide_down(low + pad, rate) - 1;
        high = divide_down(high + pad, rate);
    }
    low -= 3;
    high += 3;
    return -low > high ? -low : high;
}

/* Decodes `piece` latents at a time, with context on both sides where there is any:
 *
 *     latents    ...[ context |  piece  | context ]...        begin .. at .. end
 *     wave          [ wrong at its ends | right | wrong ]      seen * hop samples
 *     samples                   |  own  |                      downloaded
 *
 * At the ends of the clip the zeros that the layers see are the network's own. */
static pf_status decode_pieces(const pf_audio_vae *vae, pf_ops *ops,
                               const pf_tensor *latents, int64_t piece,
                               float *samples)
{
    int64_t length = latents->shape[3], hop = vae->info.hop;
    int64_t context = pf_audio_vae_context(vae);
    for (int64_t at = 0; at < length; at += piece) {
        int64_t end = at + piece < length ? at + piece : length;
        int64_t begin = at > context ? at - context : 0;
        int64_t seen = (end + context < length ? end + context : length) - begin;
        pf_mark mark = pf_ops_mark(ops);
        pf_tensor wave;
        PF_TRY(pf_ops_tensor(ops, 4, (int64_t[]){1, 1, 1, seen * hop}, &wave));
        pf_tensor part = pf_tensor_slice(*latents, 3, begin, seen);
        PF_TRY(decode_piece(vae, ops, &part, &wave));
        pf_tensor own = pf_tensor_slice(wave, 3, (at - begin) * hop,
                                        (end - at) * hop);
        if (!ops->dry)
            PF_TRY(pf_ops_download(ops, samples + at * hop, &own));
        pf_ops_rewind(ops, mark);
    }
    return PF_OK;
}

pf_status pf_audio_vae_decode_pieces(pf_audio_vae *vae, pf_ops *ops,
                                     const float *latents, int64_t length,
                                     int64_t piece, float *samples)
{
    const pf_numerics numerics = ops->numerics;
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor all;
    int64_t shape[4] = {vae->info.latent_channels, 1, 1, length};
    if (length < 1 || piece < 1)
        return pf_fail(ops->error, PF_E_ARGUMENT,
                       "%lld audio latents in pieces of %lld cannot be decoded: both "
                       "must be at least 1", (long long)length, (long long)piece);
    PF_TRY(pf_params_enter(vae->params, ops, PF_GROUP_ALWAYS));
    PF_TRY(pf_ops_tensor(ops, 4, shape, &all));
    PF_TRY(pf_ops_upload(ops, &all, latents));
    ops->numerics = (pf_numerics){.multiply = PF_MULTIPLY_F32};
    pf_status status = decode_pieces(vae, ops, &all, piece, samples);
    ops->numerics = numerics;
    pf_ops_rewind(ops, mark);
    return status;
}

pf_status pf_audio_vae_decode(pf_audio_vae *vae, pf_ops *ops, const float *latents,
                              int64_t length, float *samples)
{
    return pf_audio_vae_decode_pieces(vae, ops, latents, length, PIECE, samples);
}

/* --- encoder ------------------------------------------------------------------------------- */

/* The samples, and zeros up to a whole number of hops. */
static pf_status upload_padded(pf_ops *ops, const float *samples, int64_t count,
                               const pf_tensor *padded)
{
    pf_tensor front = pf_tensor_slice(*padded, 3, 0, count);
    PF_TRY(pf_op_fill(ops, &(pf_fill_args){.y = *padded}));
    return pf_ops_upload(ops, &front, samples);
}

/* samples [1, 1, 1, n * hop] to mean [C, 1, 1, n]. */
static pf_status encode(const pf_audio_vae *vae, pf_ops *ops, const pf_tensor *samples,
                        const pf_tensor *mean)
{
    const coder *c = &vae->encoder;
    int64_t latent = mean->shape[0], length = samples->shape[3];
    pf_tensor x, y, moments;
    PF_TRY(make_map(ops, 1, length, &y));
    PF_TRY(pf_op_copy(ops, &(pf_copy_args){.from = *samples, .to = y}));
    PF_TRY(make_map(ops, vae->encoder_width, length, &x));
    PF_TRY(convolve(ops, &c->first, seven, &y, NULL, &x));
    for (int i = 0; i < c->count; i++, x = y) {
        const block *blk = &c->blocks[i];
        const sweep slower = {blk->rate, 1, (blk->rate + 1) / 2};
        PF_TRY(units_forward(ops, blk, &x));
        PF_TRY(snake(ops, &x, &blk->alpha, &x));
        length /= blk->rate;
        PF_TRY(make_map(ops, blk->wide, length, &y));
        PF_TRY(convolve(ops, &blk->resample, slower, &x, NULL, &y));
    }
    PF_TRY(snake(ops, &x, &c->alpha, &x));
    PF_TRY(make_map(ops, latent, length, &y));
    PF_TRY(convolve(ops, &c->last, three, &x, NULL, &y));
    PF_TRY(make_map(ops, 2 * latent, length, &moments));
    PF_TRY(convolve(ops, &c->quant, pointwise, &y, NULL, &moments));
    return pf_op_copy(ops, &(pf_copy_args){
        .from = pf_tensor_slice(moments, 0, 0, latent), .to = *mean});
}

static pf_status encode_all(pf_audio_vae *vae, pf_ops *ops, const float *samples,
                            int64_t count, float *mean)
{
    int64_t hop = vae->info.hop, length = (count - 1) / hop + 1;
    pf_tensor padded, out;
    PF_TRY(pf_ops_tensor(ops, 4, (int64_t[]){1, 1, 1, length * hop}, &padded));
    PF_TRY(pf_ops_tensor(ops, 4,
                         (int64_t[]){vae->info.latent_channels, 1, 1, length}, &out));
    PF_TRY(upload_padded(ops, samples, count, &padded));
    PF_TRY(encode(vae, ops, &padded, &out));
    return pf_ops_download(ops, mean, &out);
}

pf_status pf_audio_vae_encode(pf_audio_vae *vae, pf_ops *ops, const float *samples,
                              int64_t count, float *mean)
{
    const pf_numerics numerics = ops->numerics;
    pf_mark mark = pf_ops_mark(ops);
    if (count < 1)
        return pf_fail(ops->error, PF_E_ARGUMENT,
                       "%lld audio samples cannot be encoded: there must be at least 1",
                       (long long)count);
    PF_TRY(pf_params_enter(vae->params, ops, PF_GROUP_ALWAYS));
    ops->numerics = (pf_numerics){.multiply = PF_MULTIPLY_F32};
    pf_status status = encode_all(vae, ops, samples, count, mean);
    ops->numerics = numerics;
    pf_ops_rewind(ops, mark);
    return status;
}
