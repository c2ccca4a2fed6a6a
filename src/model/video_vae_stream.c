/* SPDX-License-Identifier: Apache-2.0 */
/* Streaming a film through one half of the video VAE: spatial tiles, their caches,
 * and the blending of their results.  docs/model/video-vae.md, sections 5 and 7.
 *
 * Latent frames (decoding) or film frames (encoding) go in a few at a time, and only the
 * caches of causal convolutions stay between steps:
 *
 *     host                     device                           host
 *
 *     in -> crop -> staging -> x -> blocks + caches -> y -> out of the tile
 *           each tile          each tile has its caches        |
 *                                                              v
 *                                       blended with the tiles above and to the left,
 *                                       then its first `stride` rows and columns -> out
 *
 * A film without tiling is a film of one tile. */
#include <assert.h>

#include "base/memory.h"
#include "model/video_vae_parts.h"

/* A tile in pixels of the film, its caches, and the output of its last step. */
struct pf_vae_tile {
    int64_t top, left, height, width;
    pf_tensor cache[PF_VAE_MAX_SLOTS];
    pf_vae_planes out;                  /* host; no data in a dry run */
};

/* --- opening ---------------------------------------------------------------------- */

static pf_status check_tiling(const pf_vae_stream_spec *spec, pf_error *error)
{
    int space = spec->vae->info.space;
    const pf_tiling *t = &spec->tiling;
    if (t->tile == 0 && t->stride == 0)
        return PF_OK;
    if (t->tile > 0 && t->stride > 0 && t->stride <= t->tile &&
        t->tile % space == 0 && t->stride % space == 0)
        return PF_OK;
    return pf_fail(error, PF_E_ARGUMENT,
                   "tiles of %d pixels every %d pixels are not possible: both must be "
                   "multiples of %d, and a tile must be no smaller than its stride",
                   t->tile, t->stride, space);
}

/* Tiles begin every `stride` pixels; the last of a row and of a column may be smaller.  A film
 * no side of which is longer than a tile is one tile. */
static void lay_out(pf_vae_stream *stream, const pf_vae_stream_spec *spec)
{
    int64_t h = spec->height, w = spec->width;
    stream->tile = stream->stride = h > w ? h : w;
    if (spec->tiling.tile > 0 && stream->tile > spec->tiling.tile) {
        stream->tile = spec->tiling.tile;
        stream->stride = spec->tiling.stride;
    }
    stream->rows = (int)((h + stream->stride - 1) / stream->stride);
    stream->columns = (int)((w + stream->stride - 1) / stream->stride);
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Caches begin as zeros, the frames before frame 0. */
static pf_status make_caches(pf_vae_stream *stream, pf_vae_tile *tile)
{
    const pf_vae_coder *coder = stream->coder;
    for (int i = 0; i < coder->slots; i++) {
        const pf_vae_slot *slot = &coder->slot[i];
        PF_TRY(pf_ops_map(stream->ops, slot->channels, slot->keep,
                          tile->height / slot->shrink, tile->width / slot->shrink,
                          &tile->cache[i]));
        PF_TRY(pf_op_fill(stream->ops, &(pf_fill_args){.y = tile->cache[i]}));
    }
    return PF_OK;
}

static pf_status make_buffer(pf_ops *ops, int64_t count, float **out)
{
    if (ops->dry)
        return PF_OK;
    *out = pf_alloc((size_t)count * sizeof **out);
    if (*out)
        return PF_OK;
    return pf_fail_memory(ops->error, "frames of the video VAE",
                          (unsigned long long)count * sizeof **out);
}

/* `planes_in` and `planes_out` are those of the largest step. */
static pf_status make_tiles(pf_vae_stream *stream, const pf_vae_stream_spec *spec,
                            int64_t planes_in, int64_t planes_out)
{
    int64_t largest = 0;
    for (int i = 0; i < stream->rows * stream->columns; i++) {
        pf_vae_tile *tile = &stream->tiles[i];
        tile->top = i / stream->columns * stream->stride;
        tile->left = i % stream->columns * stream->stride;
        tile->height = lesser(stream->tile, spec->height - tile->top);
        tile->width = lesser(stream->tile, spec->width - tile->left);
        tile->out.height = tile->height / stream->out_shrink;
        tile->out.width = tile->width / stream->out_shrink;
        tile->out.pitch = tile->out.height * tile->out.width;
        PF_TRY(make_buffer(stream->ops, planes_out * tile->out.pitch,
                           &tile->out.data));
        PF_TRY(make_caches(stream, tile));
        if (tile->height * tile->width > largest)
            largest = tile->height * tile->width;
    }
    largest /= stream->in_shrink * stream->in_shrink;
    return make_buffer(stream->ops, planes_in * largest, &stream->staging);
}

pf_status pf_vae_stream_open(pf_vae_stream *stream, pf_ops *ops,
                             const pf_vae_stream_spec *spec)
{
    const pf_video_vae_info *info = &spec->vae->info;
    *stream = (pf_vae_stream){
        .ops = ops, .vae = spec->vae, .coder = spec->coder, .forward = spec->forward,
        .in_shrink = spec->decodes ? info->space : 1,
        .out_shrink = spec->decodes ? 1 : info->space,
    };
    PF_TRY(check_tiling(spec, ops->error));
    lay_out(stream, spec);
    stream->tiles = pf_calloc((size_t)stream->rows * (size_t)stream->columns,
                              sizeof *stream->tiles);
    if (!stream->tiles)
        return pf_fail_memory(ops->error, "tiles of the video VAE",
                              sizeof *stream->tiles);
    int64_t film = 3 * info->time, latents = info->latent_channels;
    pf_status status = make_tiles(stream, spec, spec->decodes ? latents : film,
                                  spec->decodes ? film : latents);
    if (status != PF_OK)
        pf_vae_stream_close(stream);
    return status;
}

void pf_vae_stream_close(pf_vae_stream *stream)
{
    for (int i = 0; stream->tiles && i < stream->rows * stream->columns; i++)
        pf_free(stream->tiles[i].out.data);
    pf_free(stream->tiles);
    pf_free(stream->staging);
    stream->tiles = NULL;
    stream->staging = NULL;
}

/* --- one step of one tile ---------------------------------------------------------- */

/* The tile's part of every plane, without gaps. */
static void crop(const pf_vae_planes *from, const pf_vae_tile *tile, int shrink,
                 float *to)
{
    int64_t top = tile->top / shrink, left = tile->left / shrink;
    int64_t height = tile->height / shrink, width = tile->width / shrink;
    for (int64_t p = 0; p < from->count; p++)
        for (int64_t y = 0; y < height; y++) {
            const float *row =
                from->data + p * from->pitch + (top + y) * from->width + left;
            for (int64_t x = 0; x < width; x++)
                *to++ = row[x];
        }
}

/* crop -> upload -> forward -> download.  The download waits for the tile's kernels, so that
 * one staging buffer serves all tiles. */
static pf_status step_tile(pf_vae_stream *stream, pf_vae_tile *tile,
                           const pf_vae_planes *in, int64_t in_frames,
                           int64_t out_frames)
{
    pf_ops *ops = stream->ops;
    pf_mark mark = pf_ops_mark(ops);
    pf_vae_run run = {
        .ops = ops, .vae = stream->vae, .coder = stream->coder, .cache = tile->cache,
        .first = !stream->started, .height = tile->height, .width = tile->width,
        .still = stream->still, .still_next = stream->still_next,
    };
    int64_t in_shape[4] = {in->count / in_frames, in_frames,
                           tile->height / stream->in_shrink,
                           tile->width / stream->in_shrink};
    int64_t out_shape[4] = {tile->out.count / out_frames, out_frames,
                            tile->out.height, tile->out.width};
    pf_tensor x, y;
    PF_TRY(pf_ops_poll(ops));
    PF_TRY(pf_ops_tensor(ops, 4, in_shape, &x));
    PF_TRY(pf_ops_tensor(ops, 4, out_shape, &y));
    if (!ops->dry)
        crop(in, tile, stream->in_shrink, stream->staging);
    PF_TRY(pf_ops_upload(ops, &x, stream->staging));
    PF_TRY(stream->forward(&run, &x, &y));
    PF_TRY(pf_ops_download(ops, tile->out.data, &y));
    pf_ops_rewind(ops, mark);
    return PF_OK;
}

/* --- blending ----------------------------------------------------------------------- */

/* Fades the first e rows of `below` in over the last e rows of `above`, which has n:
 *
 *     b[y] = a[n - e + y] f32(1 - y / e) + b[y] f32(y / e),   y < e
 *
 * Fractions are made in f64; both products and the sum are rounded to f32, as in the
 * reference. */
static void blend_rows(const pf_vae_planes *above, pf_vae_planes *below,
                       int64_t extent)
{
    int64_t width = below->width;
    extent = lesser(extent, lesser(above->height, below->height));
    for (int64_t p = 0; p < below->count; p++)
        for (int64_t y = 0; y < extent; y++) {
            float in = (float)((double)y / (double)extent);
            float out = (float)(1.0 - (double)y / (double)extent);
            const float *a = above->data + p * above->pitch +
                             (above->height - extent + y) * above->width;
            float *b = below->data + p * below->pitch + y * width;
            for (int64_t x = 0; x < width; x++)
                b[x] = a[x] * out + b[x] * in;
        }
}

/* Fades the first columns of `right` in over the last columns of `left`. */
static void blend_columns(const pf_vae_planes *left, pf_vae_planes *right,
                          int64_t extent)
{
    extent = lesser(extent, lesser(left->width, right->width));
    for (int64_t p = 0; p < right->count; p++)
        for (int64_t y = 0; y < right->height; y++) {
            const float *a = left->data + p * left->pitch + y * left->width +
                             left->width - extent;
            float *b = right->data + p * right->pitch + y * right->width;
            for (int64_t x = 0; x < extent; x++) {
                float in = (float)((double)x / (double)extent);
                float out = (float)(1.0 - (double)x / (double)extent);
                b[x] = a[x] * out + b[x] * in;
            }
        }
}

/* Blends in reading order, in place: a neighbour is blended already. */
static void blend_tiles(pf_vae_stream *stream)
{
    int64_t extent = (stream->tile - stream->stride) / stream->out_shrink;
    for (int i = 0; i < stream->rows * stream->columns; i++) {
        pf_vae_tile *tile = &stream->tiles[i];
        if (i >= stream->columns)
            blend_rows(&tile[-stream->columns].out, &tile->out, extent);
        if (i % stream->columns > 0)
            blend_columns(&tile[-1].out, &tile->out, extent);
    }
}

/* Every tile gives its first `stride` rows and columns. */
static void assemble(const pf_vae_stream *stream, const pf_vae_planes *out)
{
    int64_t stride = stream->stride / stream->out_shrink;
    for (int i = 0; i < stream->rows * stream->columns; i++) {
        const pf_vae_tile *tile = &stream->tiles[i];
        int64_t top = tile->top / stream->out_shrink;
        int64_t left = tile->left / stream->out_shrink;
        int64_t height = lesser(stride, tile->out.height);
        int64_t width = lesser(stride, tile->out.width);
        for (int64_t p = 0; p < out->count; p++)
            for (int64_t y = 0; y < height; y++) {
                const float *from = tile->out.data + p * tile->out.pitch +
                                    y * tile->out.width;
                float *to = out->data + p * out->pitch + (top + y) * out->width +
                            left;
                for (int64_t x = 0; x < width; x++)
                    to[x] = from[x];
            }
    }
}

pf_status pf_vae_stream_step(pf_vae_stream *stream, const pf_vae_planes *in,
                             int64_t in_frames, const pf_vae_planes *out,
                             int64_t out_frames)
{
    assert(in->count % in_frames == 0 && out->count % out_frames == 0);
    for (int i = 0; i < stream->rows * stream->columns; i++) {
        pf_vae_tile *tile = &stream->tiles[i];
        tile->out.count = out->count;
        PF_TRY(step_tile(stream, tile, in, in_frames, out_frames));
    }
    stream->started = true;
    if (stream->ops->dry)
        return PF_OK;
    blend_tiles(stream);
    assemble(stream, out);
    return PF_OK;
}
