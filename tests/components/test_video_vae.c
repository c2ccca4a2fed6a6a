/* SPDX-License-Identifier: Apache-2.0 */
/* Video VAE: streaming against a plain model of the whole clip, caches, tiles,
 * constant stretches, names, refusals. */
#include "vae_test.h"

#include "model/video_vae.h"

/* --- small models ------------------------------------------------------------------ */

typedef struct model {
    int base, z, blocks, levels;
    int multiple[4];
    bool time[3];
} model;

static const model stock = {4, 4, 2, 4, {1, 2, 4, 4}, {false, true, true}};
static const model shallow = {4, 3, 1, 3, {1, 3, 2}, {true, true}};
static const model deep = {2, 5, 3, 3, {2, 2, 3}, {false, true}};

static json_t *model_config(const model *m)
{
    json_t *c = json_pack("{s:i,s:i,s:i,s:[],s:f,s:b,s:n}", "base_dim", m->base, "z_dim",
                          m->z, "num_res_blocks", m->blocks, "attn_scales", "dropout",
                          0.0, "is_residual", 0, "patch_size");
    json_t *multiple = json_array(), *time = json_array();
    json_t *mean = json_array(), *deviation = json_array();
    for (int i = 0; i < m->levels; i++)
        json_array_append_new(multiple, json_integer(m->multiple[i]));
    for (int i = 0; i < m->levels - 1; i++)
        json_array_append_new(time, json_boolean(m->time[i]));
    for (int i = 0; i < m->z; i++) {
        json_array_append_new(mean, json_real(0.25 * i));
        json_array_append_new(deviation, json_real(1.0 + i));
    }
    json_object_set_new(c, "dim_mult", multiple);
    json_object_set_new(c, "temperal_downsample", time);
    json_object_set_new(c, "latents_mean", mean);
    json_object_set_new(c, "latents_std", deviation);
    return c;
}

/* The names of one convention. */
typedef struct naming {
    const char *in, *out, *norm_out, *mid[3], *quant, *post_quant, *down;
    const char *norm1, *conv1, *norm2, *conv2, *shortcut;
    const char *prefix;
    bool flat;                          /* decoder.upsamples.K */
} naming;

static const naming diffusers = {
    "conv_in", "conv_out", "norm_out",
    {"mid_block.resnets.0", "mid_block.attentions.0", "mid_block.resnets.1"},
    "quant_conv", "post_quant_conv", "down_blocks",
    "norm1", "conv1", "norm2", "conv2", "conv_shortcut", "", false,
};
static const naming original = {
    "conv1", "head.2", "head.0", {"middle.0", "middle.1", "middle.2"},
    "conv1", "conv2", "downsamples",
    "residual.0", "residual.2", "residual.3", "residual.6", "shortcut",
    "first_stage_model.", true,
};

typedef struct maker {
    recipe *r;
    const naming *n;
    const char *half;
} maker;

static void add_gamma(const maker *m, int rank, int64_t c, const char *stem)
{
    recipe_add(m->r, rank, (int64_t[]){c, 1, 1, 1}, 1.0f, 0.2f, "%s.gamma", stem);
}

static void add_conv(const maker *m, int64_t out, int64_t in, int kt, int k,
                     const char *stem)
{
    recipe_layer(m->r, 5, (int64_t[]){out, in, kt, k, k}, out, stem);
}

static void add_residual(const maker *m, int64_t in, int64_t out, const char *stem)
{
    char name[96];
    snprintf(name, sizeof name, "%.60s.%s", stem, m->n->norm1);
    add_gamma(m, 4, in, name);
    snprintf(name, sizeof name, "%.60s.%s", stem, m->n->conv1);
    add_conv(m, out, in, 3, 3, name);
    snprintf(name, sizeof name, "%.60s.%s", stem, m->n->norm2);
    add_gamma(m, 4, out, name);
    snprintf(name, sizeof name, "%.60s.%s", stem, m->n->conv2);
    add_conv(m, out, out, 3, 3, name);
    snprintf(name, sizeof name, "%.60s.%s", stem, m->n->shortcut);
    if (in != out)
        add_conv(m, out, in, 1, 1, name);
}

static void add_mid(const maker *m, int64_t c)
{
    char stem[64], name[96];
    snprintf(stem, sizeof stem, "%s%s.%s", m->n->prefix, m->half, m->n->mid[0]);
    add_residual(m, c, c, stem);
    snprintf(stem, sizeof stem, "%s%s.%s", m->n->prefix, m->half, m->n->mid[1]);
    snprintf(name, sizeof name, "%s.norm", stem);
    add_gamma(m, 3, c, name);
    snprintf(name, sizeof name, "%s.to_qkv", stem);
    recipe_layer(m->r, 4, (int64_t[]){3 * c, c, 1, 1}, 3 * c, name);
    snprintf(name, sizeof name, "%s.proj", stem);
    recipe_layer(m->r, 4, (int64_t[]){c, c, 1, 1}, c, name);
    snprintf(stem, sizeof stem, "%s%s.%s", m->n->prefix, m->half, m->n->mid[2]);
    add_residual(m, c, c, stem);
}

static void add_resample(const maker *m, int64_t out, int64_t in, int64_t time_out,
                         const char *stem)
{
    char name[96];
    snprintf(name, sizeof name, "%.60s.resample.1", stem);
    recipe_layer(m->r, 4, (int64_t[]){out, in, 3, 3}, out, name);
    snprintf(name, sizeof name, "%.60s.time_conv", stem);
    if (time_out)
        recipe_layer(m->r, 5, (int64_t[]){time_out, in, 3, 1, 1}, time_out, name);
}

static void add_ends(const maker *m, int64_t first, int64_t in, int64_t last,
                     int64_t out)
{
    char name[96];
    snprintf(name, sizeof name, "%s%s.%s", m->n->prefix, m->half, m->n->in);
    add_conv(m, first, in, 3, 3, name);
    snprintf(name, sizeof name, "%s%s.%s", m->n->prefix, m->half, m->n->norm_out);
    add_gamma(m, 4, last, name);
    snprintf(name, sizeof name, "%s%s.%s", m->n->prefix, m->half, m->n->out);
    add_conv(m, out, last, 3, 3, name);
}

static void add_encoder(const maker *m, const model *v)
{
    char stem[64];
    int64_t in = v->base;
    int next = 0;
    for (int i = 0; i < v->levels; i++) {
        int64_t out = (int64_t)v->base * v->multiple[i];
        for (int j = 0; j < v->blocks; j++, in = out) {
            snprintf(stem, sizeof stem, "%sencoder.%s.%d", m->n->prefix, m->n->down,
                     next++);
            add_residual(m, in, out, stem);
        }
        snprintf(stem, sizeof stem, "%sencoder.%s.%d", m->n->prefix, m->n->down, next++);
        if (i < v->levels - 1)
            add_resample(m, out, out, v->time[i] ? out : 0, stem);
    }
    add_mid(m, in);
    add_ends(m, v->base, 3, in, 2 * v->z);
}

static void up_stem(const maker *m, const model *v, int level, int block, char out[64])
{
    if (m->n->flat)
        snprintf(out, 64, "%sdecoder.upsamples.%d", m->n->prefix,
                 level * (v->blocks + 2) + block);
    else if (block > v->blocks)
        snprintf(out, 64, "decoder.up_blocks.%d.upsamplers.0", level);
    else
        snprintf(out, 64, "decoder.up_blocks.%d.resnets.%d", level, block);
}

static void add_decoder(const maker *m, const model *v)
{
    char stem[64];
    int last = v->levels - 1;
    int64_t deepest = (int64_t)v->base * v->multiple[last], in = deepest, out = in;
    add_mid(m, deepest);
    for (int i = 0; i <= last; i++, in = out / 2) {
        out = (int64_t)v->base * v->multiple[last - i];
        for (int j = 0; j <= v->blocks; j++, in = out) {
            up_stem(m, v, i, j, stem);
            add_residual(m, in, out, stem);
        }
        up_stem(m, v, i, v->blocks + 1, stem);
        if (i < last)
            add_resample(m, out / 2, out, v->time[last - 1 - i] ? 2 * out : 0, stem);
    }
    add_ends(m, deepest, v->z, out, 3);
}

static recipe *make_recipe(const model *v, const naming *n)
{
    recipe *r = calloc(1, sizeof *r);
    char name[64];
    assert_non_null(r);
    r->seed = 7;
    const maker encoder = {r, n, "encoder"}, decoder = {r, n, "decoder"};
    add_encoder(&encoder, v);
    snprintf(name, sizeof name, "%s%s", n->prefix, n->quant);
    add_conv(&encoder, 2 * v->z, 2 * v->z, 1, 1, name);
    snprintf(name, sizeof name, "%s%s", n->prefix, n->post_quant);
    add_conv(&decoder, v->z, v->z, 1, 1, name);
    add_decoder(&decoder, v);
    return r;
}

/* --- a plain model of the whole clip, in double ------------------------------------- */

typedef struct volume {
    int64_t c, t, h, w;
    double *v;
} volume;

static volume volume_make(int64_t c, int64_t t, int64_t h, int64_t w)
{
    volume x = {c, t, h, w, calloc((size_t)(c * t * h * w), sizeof(double))};
    assert_non_null(x.v);
    return x;
}

/* 0 outside. */
static double at(const volume *x, int64_t c, int64_t t, int64_t h, int64_t w)
{
    if (t < 0 || t >= x->t || h < 0 || h >= x->h || w < 0 || w >= x->w)
        return 0.0;
    return x->v[((c * x->t + t) * x->h + h) * x->w + w];
}

static const pf_tensor *parameter(const recipe *r, const char *stem, const char *member)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", stem, member);
    for (int i = 0; i < r->count; i++)
        if (strcmp(r->name[i], name) == 0)
            return &r->tensor[i].tensor;
    fail_msg("no tensor %s", name);
    return NULL;
}

/* How a convolution goes over a volume. */
typedef struct sweep {
    int64_t frames;                     /* of the result */
    int st, s;                          /* strides in time and space */
    int pt, ps;                         /* padding in front */
} sweep;

/* y[o,t,h,w] = b + sum W x[t*st + a - pt, h*s + p - ps, w*s + q - ps]; frees x. */
static volume plain_conv(const recipe *r, const char *stem, volume x, sweep g)
{
    const pf_tensor *weight = parameter(r, stem, "weight");
    const float *wv = weight->data, *b = parameter(r, stem, "bias")->data;
    const int64_t *ws = weight->shape;
    int64_t kt = weight->rank == 5 ? ws[2] : 1, k = ws[weight->rank - 1];
    volume y = volume_make(ws[0], g.frames, x.h / g.s, x.w / g.s);
    for (int64_t o = 0, n = 0; o < y.c; o++)
        for (int64_t t = 0; t < y.t; t++)
            for (int64_t h = 0; h < y.h; h++)
                for (int64_t w = 0; w < y.w; w++, n++) {
                    const float *tap = wv + o * x.c * kt * k * k;
                    double sum = b[o];
                    for (int64_t i = 0; i < x.c; i++)
                        for (int64_t a = 0; a < kt; a++)
                            for (int64_t p = 0; p < k; p++)
                                for (int64_t q = 0; q < k; q++)
                                    sum += *tap++ * at(&x, i, t * g.st + a - g.pt,
                                                       h * g.s + p - g.ps,
                                                       w * g.s + q - g.ps);
                    y.v[n] = sum;
                }
    free(x.v);
    return y;
}

static volume plain_causal(const recipe *r, const char *stem, volume x)
{
    return plain_conv(r, stem, x, (sweep){x.t, 1, 1, 2, 1});
}

static volume plain_copy(const volume *x)
{
    volume y = volume_make(x->c, x->t, x->h, x->w);
    memcpy(y.v, x->v, (size_t)(x->c * x->t * x->h * x->w) * sizeof(double));
    return y;
}

/* In place. */
static void plain_norm(const recipe *r, const char *stem, volume *x, bool silu)
{
    const float *gamma = parameter(r, stem, "gamma")->data;
    int64_t area = x->t * x->h * x->w;
    for (int64_t n = 0; n < area; n++) {
        double squares = 0.0;
        for (int64_t c = 0; c < x->c; c++)
            squares += x->v[c * area + n] * x->v[c * area + n];
        for (int64_t c = 0; c < x->c; c++) {
            double y = x->v[c * area + n] / fmax(sqrt(squares), 1e-12) *
                       sqrt((double)x->c) * gamma[c];
            x->v[c * area + n] = silu ? y / (1.0 + exp(-y)) : y;
        }
    }
}

static void plain_add(volume *x, volume add)
{
    for (int64_t i = 0; i < x->c * x->t * x->h * x->w; i++)
        x->v[i] += add.v[i];
    free(add.v);
}

static volume plain_residual(const recipe *r, const char *stem, volume x)
{
    char name[96];
    volume y = plain_copy(&x);
    snprintf(name, sizeof name, "%s.norm1", stem);
    plain_norm(r, name, &y, true);
    snprintf(name, sizeof name, "%s.conv1", stem);
    y = plain_causal(r, name, y);
    snprintf(name, sizeof name, "%s.norm2", stem);
    plain_norm(r, name, &y, true);
    snprintf(name, sizeof name, "%s.conv2", stem);
    y = plain_causal(r, name, y);
    snprintf(name, sizeof name, "%s.conv_shortcut", stem);
    if (x.c != y.c)
        x = plain_conv(r, name, x, (sweep){x.t, 1, 1, 0, 0});
    plain_add(&y, x);
    return y;
}

/* A query of a frame; qkv [3C, T, h, w], to out [C, T, h, w]. */
static void plain_query(const volume *qkv, volume *out, int64_t t, int64_t query)
{
    int64_t c = out->c, area = out->h * out->w, frame = out->t * area;
    const double *q = qkv->v + t * area, *k = q + c * frame, *v = k + c * frame;
    double *p = calloc((size_t)area, sizeof *p), sum = 0.0;
    assert_non_null(p);
    for (int64_t j = 0; j < area; j++) {
        for (int64_t i = 0; i < c; i++)
            p[j] += q[i * frame + query] * k[i * frame + j];
        p[j] = exp(p[j] / sqrt((double)c));
        sum += p[j];
    }
    for (int64_t i = 0; i < c; i++)
        for (int64_t j = 0; j < area; j++)
            out->v[i * frame + t * area + query] += p[j] / sum * v[i * frame + j];
    free(p);
}

static volume plain_mid(const recipe *r, const char *half, volume x)
{
    char name[96];
    snprintf(name, sizeof name, "%s.mid_block.resnets.0", half);
    x = plain_residual(r, name, x);
    volume qkv = plain_copy(&x), out = volume_make(x.c, x.t, x.h, x.w);
    snprintf(name, sizeof name, "%s.mid_block.attentions.0.norm", half);
    plain_norm(r, name, &qkv, false);
    snprintf(name, sizeof name, "%s.mid_block.attentions.0.to_qkv", half);
    qkv = plain_conv(r, name, qkv, (sweep){x.t, 1, 1, 0, 0});
    for (int64_t t = 0; t < x.t; t++)
        for (int64_t i = 0; i < x.h * x.w; i++)
            plain_query(&qkv, &out, t, i);
    free(qkv.v);
    snprintf(name, sizeof name, "%s.mid_block.attentions.0.proj", half);
    plain_add(&x, plain_conv(r, name, out, (sweep){x.t, 1, 1, 0, 0}));
    snprintf(name, sizeof name, "%s.mid_block.resnets.1", half);
    return plain_residual(r, name, x);
}

/* Frames [begin, begin + count) as a volume of their own. */
static volume plain_frames(const volume *x, int64_t begin, int64_t count)
{
    volume y = volume_make(x->c, count, x->h, x->w);
    int64_t area = x->h * x->w;
    for (int64_t c = 0; c < x->c; c++)
        memcpy(y.v + c * count * area, x->v + (c * x->t + begin) * area,
               (size_t)(count * area) * sizeof *y.v);
    return y;
}

static volume plain_down(const recipe *r, const char *stem, volume x, bool time)
{
    char name[96];
    snprintf(name, sizeof name, "%s.resample.1", stem);
    x = plain_conv(r, name, x, (sweep){x.t, 1, 2, 0, 0});
    if (!time || x.t == 1)
        return x;
    volume first = plain_frames(&x, 0, 1);
    int64_t frames = (x.t - 1) / 2, area = x.h * x.w;
    snprintf(name, sizeof name, "%s.time_conv", stem);
    volume rest = plain_conv(r, name, x, (sweep){frames, 2, 1, 0, 0});
    volume y = volume_make(rest.c, frames + 1, rest.h, rest.w);
    for (int64_t c = 0; c < y.c; c++) {
        memcpy(y.v + c * y.t * area, first.v + c * area, (size_t)area * sizeof *y.v);
        memcpy(y.v + (c * y.t + 1) * area, rest.v + c * frames * area,
               (size_t)(frames * area) * sizeof *y.v);
    }
    free(first.v);
    free(rest.v);
    return y;
}

/* The whole sequence, frame 0 apart. */
static volume plain_double_time(const recipe *r, const char *stem, volume x)
{
    char name[96];
    int64_t n = x.t - 1, c = x.c, area = x.h * x.w;
    volume y = volume_make(c, 1 + 2 * n, x.h, x.w);
    snprintf(name, sizeof name, "%s.time_conv", stem);
    volume pairs = plain_conv(r, name, plain_frames(&x, 1, n), (sweep){n, 1, 1, 2, 0});
    for (int64_t i = 0; i < c; i++) {
        memcpy(y.v + i * y.t * area, x.v + i * x.t * area,
               (size_t)area * sizeof *y.v);
        for (int64_t t = 0; t < 2 * n; t++)
            memcpy(y.v + (i * y.t + 1 + t) * area,
                   pairs.v + ((t % 2 * c + i) * n + t / 2) * area,
                   (size_t)area * sizeof *y.v);
    }
    free(x.v);
    free(pairs.v);
    return y;
}

static volume plain_up(const recipe *r, const char *stem, volume x, bool time)
{
    char name[96];
    if (time && x.t > 1)
        x = plain_double_time(r, stem, x);
    volume large = volume_make(x.c, x.t, 2 * x.h, 2 * x.w);
    for (int64_t i = 0; i < x.c * x.t; i++)
        for (int64_t h = 0; h < large.h; h++)
            for (int64_t w = 0; w < large.w; w++)
                large.v[(i * large.h + h) * large.w + w] =
                    x.v[(i * x.h + h / 2) * x.w + w / 2];
    free(x.v);
    snprintf(name, sizeof name, "%s.resample.1", stem);
    return plain_conv(r, name, large, (sweep){large.t, 1, 1, 0, 1});
}

static volume plain_encode(const recipe *r, const model *m, volume x)
{
    char stem[64];
    int next = 0;
    x = plain_causal(r, "encoder.conv_in", x);
    for (int i = 0; i < m->levels; i++) {
        for (int j = 0; j < m->blocks; j++) {
            snprintf(stem, sizeof stem, "encoder.down_blocks.%d", next++);
            x = plain_residual(r, stem, x);
        }
        snprintf(stem, sizeof stem, "encoder.down_blocks.%d", next++);
        if (i < m->levels - 1)
            x = plain_down(r, stem, x, m->time[i]);
    }
    x = plain_mid(r, "encoder", x);
    plain_norm(r, "encoder.norm_out", &x, true);
    x = plain_causal(r, "encoder.conv_out", x);
    return plain_conv(r, "quant_conv", x, (sweep){x.t, 1, 1, 0, 0});
}

static volume plain_decode(const recipe *r, const model *m, volume x)
{
    char stem[64];
    int last = m->levels - 1;
    x = plain_conv(r, "post_quant_conv", x, (sweep){x.t, 1, 1, 0, 0});
    x = plain_causal(r, "decoder.conv_in", x);
    x = plain_mid(r, "decoder", x);
    for (int i = 0; i <= last; i++) {
        for (int j = 0; j <= m->blocks; j++) {
            snprintf(stem, sizeof stem, "decoder.up_blocks.%d.resnets.%d", i, j);
            x = plain_residual(r, stem, x);
        }
        snprintf(stem, sizeof stem, "decoder.up_blocks.%d.upsamplers.0", i);
        if (i < last)
            x = plain_up(r, stem, x, m->time[last - 1 - i]);
    }
    plain_norm(r, "decoder.norm_out", &x, true);
    x = plain_causal(r, "decoder.conv_out", x);
    for (int64_t i = 0; i < x.c * x.t * x.h * x.w; i++)
        x.v[i] = fmax(-1.0, fmin(1.0, x.v[i]));
    return x;
}

/* --- running ours -------------------------------------------------------------------- */

typedef struct bench {
    const model *m;
    recipe *r;
    json_t *config;
    pf_platform *platform;
    pf_params *params;
    pf_video_vae *vae;
    pf_error error;
    pf_ops ops;
    /* the film that the source gives or the sink has taken */
    float *film;
    int64_t frames, height, width, moved;
    int fail_after;                     /* calls until source or sink refuses */
    int64_t progress;
} bench;

static void bench_open(bench *b, const model *m, const naming *n, const char *platform)
{
    *b = (bench){.m = m, .r = make_recipe(m, n), .fail_after = -1};
    b->platform = test_platform(platform);
    b->config = model_config(m);
    b->params = test_params(recipe_open(b->r), false);
    if (pf_video_vae_bind(b->params, b->config, "config.json", &b->vae, &b->error) !=
            PF_OK ||
        pf_params_load(b->params, b->platform, &b->error) != PF_OK)
        fail_msg("%s", b->error.message);
}

static void bench_close(bench *b)
{
    pf_ops_release(&b->ops);
    pf_params_close(b->params);
    pf_video_vae_unbind(b->vae);
    pf_platform_close(b->platform);
    json_decref(b->config);
    recipe_free(b->r);
    pf_free(b->film);
}

static void bench_film(bench *b, int64_t frames, int64_t height, int64_t width,
                       uint32_t seed)
{
    pf_free(b->film);
    b->film = random_values(3 * frames * height * width, seed);
    b->frames = frames;
    b->height = height;
    b->width = width;
}

static void move_frames(const bench *b, int64_t first, int64_t count, float *group,
                        bool out)
{
    int64_t area = b->height * b->width;
    for (int64_t c = 0; c < 3; c++) {
        float *film = b->film + (c * b->frames + first) * area;
        float *part = group + c * count * area;
        memcpy(out ? part : film, out ? film : part,
               (size_t)(count * area) * sizeof *film);
    }
}

static pf_status give(void *user, int64_t first, int64_t count, float *out,
                      pf_error *error)
{
    bench *b = user;
    if (b->fail_after-- == 0)
        return pf_fail(error, PF_E_IO, "the source is dry");
    move_frames(b, first, count, out, true);
    b->moved += count;
    return PF_OK;
}

static pf_status take(void *user, int64_t first, int64_t count, const float *frames,
                      pf_error *error)
{
    bench *b = user;
    if (b->fail_after-- == 0)
        return pf_fail(error, PF_E_NO_SPACE, "the sink is full");
    assert_int_equal(first, b->moved);
    move_frames(b, first, count, (float *)frames, false);
    b->moved += count;
    return PF_OK;
}

static void see_progress(void *user, int64_t done, int64_t total)
{
    bench *b = user;
    assert_int_equal(done, b->progress + 1);
    assert_true(done <= total);
    b->progress = done;
}

static void fresh_ops(bench *b, bool dry)
{
    pf_ops_release(&b->ops);
    pf_ops_init(&b->ops, b->platform, (pf_numerics){.multiply = PF_MULTIPLY_F32}, dry,
                &b->error);
    b->moved = 0;
    b->progress = 0;
}

/* Encodes the film of the bench as `args` says; dry first: the peak must be the
 * same, and the arena must not grow past it. */
static float *encode(bench *b, pf_video_encode args)
{
    const pf_video_vae_info *info = pf_video_vae_get_info(b->vae);
    int64_t count = b->m->z * ((b->frames - 1) / info->time + 1) *
                    (b->height / info->space) * (b->width / info->space);
    float *mean = random_values(count, 1);
    args.frames = b->frames;
    args.height = b->height;
    args.width = b->width;
    args.source = give;
    args.user = b;
    args.progress = see_progress;
    fresh_ops(b, true);
    assert_int_equal(pf_video_vae_encode(b->vae, &b->ops, &args), PF_OK);
    int64_t peak = b->ops.peak;
    double flops = b->ops.cost.flops;
    args.mean = mean;
    fresh_ops(b, false);
    assert_int_equal(pf_ops_reserve(&b->ops, peak, 0), PF_OK);
    if (pf_video_vae_encode(b->vae, &b->ops, &args) != PF_OK)
        fail_msg("%s", b->error.message);
    assert_int_equal(b->ops.peak, peak);
    assert_true(b->ops.cost.flops == flops);
    assert_int_equal(b->ops.blocks, 1);
    assert_int_equal(b->ops.in_use, 0);
    assert_int_equal(b->progress, (b->frames - 1) / info->time + 1);
    return mean;
}

/* Decodes to the film of the bench. */
static void decode(bench *b, const float *latents, int64_t frames, int64_t height,
                   int64_t width, pf_tiling tiling)
{
    const pf_video_vae_info *info = pf_video_vae_get_info(b->vae);
    pf_video_decode args = {
        .frames = frames, .height = height, .width = width, .tiling = tiling,
        .sink = take, .user = b,
    };
    bench_film(b, (frames - 1) * info->time + 1, height * info->space,
               width * info->space, 3);
    fresh_ops(b, true);
    assert_int_equal(pf_video_vae_decode(b->vae, &b->ops, &args), PF_OK);
    int64_t peak = b->ops.peak;
    args.latents = latents;
    fresh_ops(b, false);
    assert_int_equal(pf_ops_reserve(&b->ops, peak, 0), PF_OK);
    if (pf_video_vae_decode(b->vae, &b->ops, &args) != PF_OK)
        fail_msg("%s", b->error.message);
    assert_int_equal(b->ops.peak, peak);
    assert_int_equal(b->ops.blocks, 1);
    assert_int_equal(b->moved, b->frames);
}

static void assert_near(const float *ours, const double *plain, int64_t count)
{
    double largest = 0.0, off = 0.0;
    for (int64_t i = 0; i < count; i++) {
        /* No fmax here: it passes over NaN. */
        double distance = fabs(plain[i] - (double)ours[i]);
        largest = fmax(largest, fabs(plain[i]));
        if (distance > off || isnan(distance))
            off = distance;
    }
    assert_true(largest > 0.1);
    if (!(off <= 2e-5 * largest))
        fail_msg("off by %g of %g", off, largest);
}

static volume from_floats(const float *values, int64_t c, int64_t t, int64_t h,
                          int64_t w)
{
    volume x = volume_make(c, t, h, w);
    for (int64_t i = 0; i < c * t * h * w; i++)
        x.v[i] = values[i];
    return x;
}

/* --- streaming is the whole clip ------------------------------------------------------- */

static void check_model(const model *m, const char *platform)
{
    bench b;
    bench_open(&b, m, &diffusers, platform);
    const pf_video_vae_info *info = pf_video_vae_get_info(b.vae);
    int64_t h = 3, w = 2, t = 4, film_t = (t - 1) * info->time + 1;
    bench_film(&b, film_t, h * info->space, w * info->space, 5);
    float *mean = encode(&b, (pf_video_encode){0});
    volume plain = plain_encode(b.r, m, from_floats(b.film, 3, film_t, b.height,
                                                    b.width));
    assert_int_equal(plain.t, t);
    assert_near(mean, plain.v, m->z * t * h * w);
    free(plain.v);
    decode(&b, mean, t, h, w, (pf_tiling){0});
    plain = plain_decode(b.r, m, from_floats(mean, m->z, t, h, w));
    assert_int_equal(plain.t, film_t);
    assert_near(b.film, plain.v, 3 * film_t * b.height * b.width);
    free(plain.v);
    pf_free(mean);
    bench_close(&b);
}

static void test_streaming(void **state)
{
    (void)state;
    check_model(&stock, "reference");
    check_model(&shallow, "reference");
    check_model(&deep, "reference");
}

static void test_streaming_fast_platform(void **state)
{
    (void)state;
    check_model(&stock, NULL);
    check_model(&shallow, NULL);
    check_model(&deep, NULL);
}

static void test_info(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, &shallow, &diffusers, "reference");
    const pf_video_vae_info *info = pf_video_vae_get_info(b.vae);
    assert_int_equal(info->latent_channels, 3);
    assert_int_equal(info->space, 4);
    assert_int_equal(info->time, 4);
    assert_true(info->mean[2] == 0.5f && info->deviation[2] == 3.0f);
    bench_close(&b);
}

static void test_original_names(void **state)
{
    bench a, b;
    (void)state;
    bench_open(&a, &deep, &diffusers, "reference");
    bench_open(&b, &deep, &original, "reference");
    bench_film(&a, 5, 8, 8, 5);
    bench_film(&b, 5, 8, 8, 5);
    float *mean_a = encode(&a, (pf_video_encode){0});
    float *mean_b = encode(&b, (pf_video_encode){0});
    assert_memory_equal(mean_a, mean_b, 5 * 3 * 2 * 2 * sizeof(float));
    decode(&a, mean_a, 3, 2, 2, (pf_tiling){0});
    decode(&b, mean_a, 3, 2, 2, (pf_tiling){0});
    assert_memory_equal(a.film, b.film, 3 * 5 * 8 * 8 * sizeof(float));
    pf_free(mean_a);
    pf_free(mean_b);
    bench_close(&a);
    bench_close(&b);
}

/* --- constant stretches ------------------------------------------------------------------ */

/* Frames from..to-1 become grey. */
static void make_constant(bench *b, int64_t from, int64_t to)
{
    int64_t area = b->height * b->width;
    for (int64_t c = 0; c < 3; c++)
        for (int64_t i = (c * b->frames + from) * area;
             i < (c * b->frames + to) * area; i++)
            b->film[i] = 0.0f;
}

/* `moved` of the `frames` frames are asked for, and at most `work` of the FLOPs of all
 * are spent. */
static void check_constant(const model *m, int64_t frames, int64_t from, int64_t end,
                           int64_t moved, double work)
{
    bench b;
    bench_open(&b, m, &diffusers, NULL);
    const pf_video_vae_info *info = pf_video_vae_get_info(b.vae);
    bench_film(&b, frames, 2 * info->space, info->space, 9);
    make_constant(&b, from, end);
    size_t bytes = (size_t)(m->z * ((frames - 1) / info->time + 1) * 2) * sizeof(float);
    float *all = encode(&b, (pf_video_encode){0});
    double flops = b.ops.cost.flops;
    assert_int_equal(b.moved, frames);
    float *some = encode(&b, (pf_video_encode){.constant_from = from,
                                               .constant_to = end});
    assert_int_equal(b.moved, moved);
    assert_memory_equal(all, some, bytes);
    assert_true(b.ops.cost.flops <= work * flops);
    pf_free(all);
    pf_free(some);
    bench_close(&b);
}

static void test_constant_stretch(void **state)
{
    (void)state;
    /* The past of 112 frames: latents 0 to 29 and what follows the stretch; level 0 is
     * still from step 5 on, level 1 from step 7 (docs/model/video-vae.md, section 6). */
    check_constant(&stock, 141, 1, 141, 117, 0.21);
    check_constant(&stock, 141, 0, 141, 117, 0.21);
    check_constant(&stock, 141, 1, 140, 121, 0.24);
    check_constant(&stock, 141, 7, 139, 125, 0.27);
    check_constant(&stock, 141, 60, 141, 141, 0.62);
    check_constant(&stock, 141, 130, 141, 141, 1.0);
    for (int64_t from = 1; from <= 4; from++) {
        check_constant(&stock, 49, from, 49, 49, 0.62);
        check_constant(&shallow, 49, from, 48, 49, 0.6);
        check_constant(&deep, 49, from, 49, 49, 0.6);
    }
}

/* --- tiles --------------------------------------------------------------------------------- */

static float *crop(const float *from, int64_t planes, int64_t height, int64_t width,
                   int64_t left, int64_t columns)
{
    float *to = pf_alloc((size_t)(planes * height * columns) * sizeof *to);
    assert_non_null(to);
    for (int64_t i = 0; i < planes * height; i++)
        memcpy(to + i * columns, from + i * width + left,
               (size_t)columns * sizeof *to);
    return to;
}

/* Two tiles side by side: the first as it is, the second faded in. */
static void test_decode_tiles(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, &shallow, &diffusers, NULL);
    int64_t t = 2, h = 2, w = 5;        /* 8 x 20 pixels, tiles of 16 every 12 */
    float *latents = random_values(3 * t * h * w, 4);
    float *part[2] = {crop(latents, 3 * t, h, w, 0, 4), crop(latents, 3 * t, h, w, 3, 2)};
    float *film[2];
    for (int i = 0; i < 2; i++) {
        decode(&b, part[i], t, h, i ? 2 : 4, (pf_tiling){0});
        film[i] = b.film;
        b.film = NULL;
        pf_free(part[i]);
    }
    decode(&b, latents, t, h, w, (pf_tiling){16, 12});
    for (int64_t i = 0; i < 3 * 5 * 8; i++)
        for (int64_t x = 0; x < 20; x++) {
            float expected = x < 12 ? film[0][i * 16 + x] : film[1][i * 8 + x - 12];
            float fade = (float)(x - 12) / 4.0f;
            if (x >= 12 && x < 16)
                expected = film[0][i * 16 + x] * (1.0f - fade) + expected * fade;
            assert_true(fabsf(b.film[i * 20 + x] - expected) <= 2e-7f);
        }
    pf_free(film[0]);
    pf_free(film[1]);
    pf_free(latents);
    bench_close(&b);
}

static void test_tiles_larger_than_the_film(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, &shallow, &diffusers, NULL);
    bench_film(&b, 9, 16, 12, 5);
    float *whole = encode(&b, (pf_video_encode){0});
    float *tiled = encode(&b, (pf_video_encode){.tiling = {16, 8}});
    float *small = encode(&b, (pf_video_encode){.tiling = {8, 4}});
    size_t bytes = 3 * 3 * 4 * 3 * sizeof(float);
    assert_memory_equal(whole, tiled, bytes);
    assert_memory_not_equal(whole, small, bytes);
    pf_free(whole);
    pf_free(tiled);
    pf_free(small);
    bench_close(&b);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void expect_refused(const model *m, const char *key, json_t *value,
                           const char *said)
{
    recipe *r = make_recipe(m, &diffusers);
    json_t *config = model_config(m);
    pf_video_vae *vae = NULL;
    pf_error error = {0};
    if (value)
        json_object_set_new(config, key, value);
    else
        json_object_del(config, key);
    pf_params *params = test_params(recipe_open(r), false);
    assert_int_not_equal(pf_video_vae_bind(params, config, "config.json", &vae, &error),
                         PF_OK);
    if (!strstr(error.message, said))
        fail_msg("'%s' does not say '%s'", error.message, said);
    pf_params_close(params);
    pf_video_vae_unbind(vae);
    json_decref(config);
    recipe_free(r);
}

static void test_refused_configs(void **state)
{
    (void)state;
    expect_refused(&shallow, "attn_scales", json_pack("[f]", 1.0), "attn_scales");
    expect_refused(&shallow, "is_residual", json_true(), "is_residual");
    expect_refused(&shallow, "patch_size", json_integer(2), "patch_size");
    expect_refused(&shallow, "in_channels", json_integer(12), "in_channels");
    expect_refused(&shallow, "out_channels", json_integer(12), "out_channels");
    expect_refused(&shallow, "scale_factor_spatial", json_integer(8),
                   "scale_factor_spatial");
    expect_refused(&shallow, "latents_mean", NULL, "latents_mean");
    expect_refused(&shallow, "latents_std", json_pack("[f,f,f]", 1.0, 0.0, 1.0),
                   "latents_std[1]");
    expect_refused(&shallow, "temperal_downsample", json_pack("[b]", 1),
                   "temperal_downsample");
    expect_refused(&shallow, "dim_mult", json_pack("[i,i,i]", 1, 0, 2), "dim_mult");
    expect_refused(&shallow, "num_res_blocks", json_integer(0), "num_res_blocks");
    expect_refused(&shallow, "z_dim", json_integer(65), "z_dim");
    expect_refused(&shallow, "base_dim", json_integer(5), "encoder.");
    expect_refused(&shallow, "num_res_blocks", json_integer(2), "down_blocks");
}

static void test_refused_requests(void **state)
{
    bench b;
    float mean[64];
    (void)state;
    bench_open(&b, &shallow, &diffusers, "reference");
    bench_film(&b, 5, 8, 8, 5);
    fresh_ops(&b, false);
    pf_video_encode args = {.frames = 4, .height = 8, .width = 8, .source = give,
                            .user = &b, .mean = mean};
    assert_int_equal(pf_video_vae_encode(b.vae, &b.ops, &args), PF_E_ARGUMENT);
    args.frames = 5;
    args.width = 6;
    assert_int_equal(pf_video_vae_encode(b.vae, &b.ops, &args), PF_E_ARGUMENT);
    args.width = 8;
    args.tiling = (pf_tiling){6, 4};
    assert_int_equal(pf_video_vae_encode(b.vae, &b.ops, &args), PF_E_ARGUMENT);
    args.tiling = (pf_tiling){8, 12};
    assert_int_equal(pf_video_vae_encode(b.vae, &b.ops, &args), PF_E_ARGUMENT);
    args.tiling = (pf_tiling){0};
    b.fail_after = 1;
    assert_int_equal(pf_video_vae_encode(b.vae, &b.ops, &args), PF_E_IO);
    assert_string_equal(b.error.message, "the source is dry");
    b.fail_after = 1;
    b.moved = 0;
    assert_int_equal(pf_video_vae_decode(b.vae, &b.ops, &(pf_video_decode){
        .latents = mean, .frames = 2, .height = 2, .width = 2, .sink = take,
        .user = &b}), PF_E_NO_SPACE);
    bench_close(&b);
}

static void test_cancel(void **state)
{
    bench b;
    float mean[64];
    atomic_bool cancel = true;
    (void)state;
    bench_open(&b, &shallow, &diffusers, "reference");
    bench_film(&b, 5, 8, 8, 5);
    fresh_ops(&b, false);
    b.ops.cancel = &cancel;
    assert_int_equal(pf_video_vae_encode(b.vae, &b.ops, &(pf_video_encode){
        .frames = 5, .height = 8, .width = 8, .source = give, .user = &b,
        .mean = mean}), PF_E_CANCELLED);
    bench_close(&b);
}

/* Opens, loads, encodes and decodes. */
static pf_status run_once(void *user, pf_weights *weights, pf_error *error)
{
    bench *b = user;
    pf_params *params = NULL;
    pf_video_vae *vae = NULL;
    pf_ops ops;
    float mean[3 * 2 * 2 * 2];
    const pf_video_encode e = {.frames = 5, .height = 8, .width = 8, .source = give,
                               .user = b, .mean = mean};
    const pf_video_decode d = {.latents = mean, .frames = 2, .height = 2, .width = 2,
                               .sink = take, .user = b};
    pf_ops_init(&ops, b->platform, (pf_numerics){.multiply = PF_MULTIPLY_F32}, false, error);
    pf_status status = pf_params_open(weights, ops.numerics, &params, error);
    if (status == PF_OK)
        status = pf_video_vae_bind(params, b->config, "config.json", &vae, error);
    if (status == PF_OK)
        status = pf_params_load(params, b->platform, error);
    if (status == PF_OK)
        status = pf_video_vae_encode(vae, &ops, &e);
    b->moved = 0;
    if (status == PF_OK)
        status = pf_video_vae_decode(vae, &ops, &d);
    pf_ops_release(&ops);
    pf_params_close(params);
    pf_video_vae_unbind(vae);
    return status;
}

static void test_faults(void **state)
{
    bench b = {.m = &shallow, .r = make_recipe(&shallow, &diffusers), .fail_after = -1};
    (void)state;
    b.platform = test_platform("reference");
    b.config = model_config(b.m);
    bench_film(&b, 5, 8, 8, 5);
    fail_each_allocation(b.r, &b, run_once);
    pf_ops_init(&b.ops, b.platform, (pf_numerics){0}, false, &b.error);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_streaming),
        cmocka_unit_test(test_streaming_fast_platform),
        cmocka_unit_test(test_original_names),
        cmocka_unit_test(test_constant_stretch),
        cmocka_unit_test(test_decode_tiles),
        cmocka_unit_test(test_tiles_larger_than_the_film),
        cmocka_unit_test(test_refused_configs),
        cmocka_unit_test(test_refused_requests),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
