/* SPDX-License-Identifier: Apache-2.0 */
/* The encoder of the video VAE, frame 0 and then group by group.
 * docs/model/video-vae.md, sections 3, 5 and 6.
 *
 *     step 0      film frame 0             -> latent frame 0    time is halved nowhere
 *     step j > 0  film frames 4j - 3 .. 4j -> latent frame j
 *
 * A condition is one picture and then grey to the end.  In such a constant stretch the first
 * levels of the network become still one after another, since each sees further back than the
 * one before; a step then begins with what the last still level made, and once the latent
 * itself is still it is copied.  The result is the same to the bit. */
#include <string.h>

#include "base/memory.h"
#include "model/video_vae_parts.h"

/* --- one step ------------------------------------------------------------------------ */

/* Halves height and width, x [C, n, h, w] to y [C, n, h / 2, w / 2]: a 3x3 convolution with a
 * stride of 2, whose zeros are right and below only, as the extents of y imply. */
static pf_status halve_space(pf_vae_run *run, const pf_vae_level *level,
                             const pf_tensor *x, const pf_tensor *y)
{
    return pf_op_conv(run->ops, &(pf_conv_args){
        .x = *x, .weight = &level->resample.weight, .bias = level->resample.bias,
        .stride = {1, 2, 2}, .dilation = {1, 1, 1}, .y = *y});
}

/* Frame 0 passes, and is the past of the next step. */
static pf_status halve_first(pf_vae_run *run, const pf_vae_level *level,
                             const pf_tensor *x, pf_tensor *y)
{
    PF_TRY(pf_ops_map(run->ops, level->out, 1, x->shape[2] / 2, x->shape[3] / 2, y));
    PF_TRY(halve_space(run, level, x, y));
    return pf_op_copy(run->ops, &(pf_copy_args){
        .from = *y, .to = run->cache[level->time_conv.slot]});
}

/* x [C, n, h, w] to y [C, n / 2, h / 2, w / 2], space first:
 *
 *     y[j] = b + sum W[a] x'[2j - 2 + a],  a = 0 .. 2         x': halved in space
 */
static pf_status halve_space_and_time(pf_vae_run *run, const pf_vae_level *level,
                                      const pf_tensor *x, pf_tensor *y)
{
    int64_t frames = x->shape[1];
    pf_tensor window, fresh;
    PF_TRY(pf_ops_map(run->ops, level->out, frames / 2, x->shape[2] / 2,
                      x->shape[3] / 2, y));
    pf_mark mark = pf_ops_mark(run->ops);
    PF_TRY(pf_vae_window_open(run, &level->time_conv, frames, &window, &fresh));
    PF_TRY(halve_space(run, level, x, &fresh));
    PF_TRY(pf_vae_window_close(run, &level->time_conv, &window, NULL, y));
    pf_ops_rewind(run->ops, mark);
    return PF_OK;
}

static pf_status downsample(pf_vae_run *run, const pf_vae_level *level,
                            const pf_tensor *x, pf_tensor *y)
{
    if (level->resamples_time && run->first)
        return halve_first(run, level, x, y);
    if (level->resamples_time)
        return halve_space_and_time(run, level, x, y);
    PF_TRY(pf_ops_map(run->ops, level->out, x->shape[1], x->shape[2] / 2,
                      x->shape[3] / 2, y));
    return halve_space(run, level, x, y);
}

/* *x becomes the input of the next level.  Maps shrink on the way, so those left
 * behind in the arena do not make the peak. */
static pf_status down_level(pf_vae_run *run, const pf_vae_level *level, pf_tensor *x)
{
    pf_tensor y = *x;
    if (level->block[0].widens)
        PF_TRY(pf_ops_map(run->ops, level->out, x->shape[1], x->shape[2],
                          x->shape[3], &y));
    PF_TRY(pf_vae_residual_forward(run, &level->block[0], x, &y));
    for (int j = 1; j < level->count; j++)
        PF_TRY(pf_vae_residual_forward(run, &level->block[j], &y, &y));
    if (level->resamples)
        return downsample(run, level, &y, x);
    *x = y;
    return PF_OK;
}

/* The first convolution: frames [3, n, H, W] to y [base, n, H, W]. */
static pf_status conv_in(pf_vae_run *run, const pf_tensor *frames, const pf_tensor *y)
{
    pf_mark mark = pf_ops_mark(run->ops);
    const pf_vae_causal *conv = &run->coder->conv_in;
    pf_tensor window, fresh;
    PF_TRY(pf_vae_window_open(run, conv, frames->shape[1], &window, &fresh));
    PF_TRY(pf_op_copy(run->ops, &(pf_copy_args){.from = *frames, .to = fresh}));
    PF_TRY(pf_vae_window_close(run, conv, &window, NULL, y));
    pf_ops_rewind(run->ops, mark);
    return PF_OK;
}

/* Output of the levels that are still: a copy of the held one. */
static pf_status take_held(pf_vae_run *run, const pf_vae_level *level, pf_tensor *x)
{
    pf_tensor held = run->cache[level->held];
    PF_TRY(pf_ops_map(run->ops, held.shape[0], held.shape[1], held.shape[2],
                      held.shape[3], x));
    return pf_op_copy(run->ops, &(pf_copy_args){.from = held, .to = *x});
}

/* frames [3, n, H, W] to x, the output of the last level.  The first run->still levels are not
 * computed; if the next step will leave out run->still_next, the output that it begins with is
 * held now. */
static pf_status down_levels(pf_vae_run *run, const pf_tensor *frames, pf_tensor *x)
{
    const pf_vae_coder *coder = run->coder;
    if (run->still > 0) {
        PF_TRY(take_held(run, &coder->level[run->still - 1], x));
    } else {
        PF_TRY(pf_ops_map(run->ops, coder->conv_in.out, frames->shape[1], run->height,
                          run->width, x));
        PF_TRY(conv_in(run, frames, x));
    }
    for (int i = run->still; i < coder->levels; i++) {
        const pf_vae_level *level = &coder->level[i];
        PF_TRY(down_level(run, level, x));
        if (i + 1 == run->still_next)
            PF_TRY(pf_op_copy(run->ops, &(pf_copy_args){
                .from = *x, .to = run->cache[level->held]}));
    }
    return PF_OK;
}

/* x [3, n, H, W] to y [z, 1, h, w]: the mean rows of the posterior. */
static pf_status encode_step(pf_vae_run *run, const pf_tensor *x, const pf_tensor *y)
{
    pf_ops *ops = run->ops;
    const pf_vae_coder *coder = run->coder;
    int64_t z = y->shape[0];
    pf_tensor map, moments, posterior;
    PF_TRY(down_levels(run, x, &map));
    PF_TRY(pf_vae_mid_forward(run, &map));
    PF_TRY(pf_ops_map(ops, 2 * z, 1, y->shape[2], y->shape[3], &moments));
    PF_TRY(pf_vae_normed_conv(run, &coder->norm_out, &coder->conv_out, &map, NULL,
                              &moments));
    PF_TRY(pf_ops_map(ops, 2 * z, 1, y->shape[2], y->shape[3], &posterior));
    PF_TRY(pf_vae_pointwise(run, &coder->quant, &moments, &posterior));
    return pf_op_copy(ops, &(pf_copy_args){
        .from = pf_tensor_slice(posterior, 0, 0, z), .to = *y});
}

/* --- the film ------------------------------------------------------------------------- */

/* Receptive field over time of the first levels of the encoder. */
typedef struct view {
    int64_t reach;              /* frames of the past that an output depends on */
    int64_t frame;              /* frames of the film for one of an output */
} view;

/* Each convolution over time looks back (kernel - 1) = 2 of its own input frames, each of which
 * is v.frame frames of the film.  A residual block has two of them. */
static view view_of_levels(const pf_vae_coder *encoder, int levels)
{
    view v = {.reach = 2, .frame = 1};  /* conv_in */
    for (int i = 0; i < levels; i++) {
        const pf_vae_level *level = &encoder->level[i];
        v.reach += 2 * 2 * level->count * v.frame;
        if (level->resamples_time) {
            v.reach += 2 * v.frame;
            v.frame *= 2;
        }
    }
    return v;
}

static view view_of_latent(const pf_vae_coder *encoder)
{
    view v = view_of_levels(encoder, encoder->levels);
    v.reach += (2 * 2 * 2 + 2) * v.frame;       /* mid block, conv_out */
    return v;
}

/* True where all frames in the receptive field of step j are alike, and were in step
 * j - 1, so that outputs and caches stay unchanged.  With `time` film frames a step, the oldest
 * frame that step j - 1 saw is time (j - 2) + v.frame - v.reach, the newest of step j is
 * time j.  Frame 0 never counts, as it goes through the network in a way of its own. */
static bool repeats(const pf_video_encode *args, int64_t time, view v, int64_t j)
{
    int64_t begin = args->constant_from > 1 ? args->constant_from : 1;
    int64_t oldest = time * (j - 2) + v.frame - v.reach;
    return oldest >= begin && time * j < args->constant_to;
}

static bool latent_repeats(const pf_video_vae *vae, const pf_video_encode *args, int64_t j)
{
    return repeats(args, vae->info.time, view_of_latent(&vae->encoder), j);
}

/* Number of levels that repeat in step j; the levels after them see more of the past. */
static int still_levels(const pf_video_vae *vae, const pf_video_encode *args, int64_t j)
{
    int count = 0;
    while (count < vae->encoder.levels &&
           repeats(args, vae->info.time, view_of_levels(&vae->encoder, count + 1), j))
        count++;
    return count;
}

/* Copies latent frame j - 1, which lies right before frame j in every plane. */
static void repeat_latent(const pf_vae_planes *out)
{
    int64_t count = out->height * out->width;
    for (int64_t p = 0; p < out->count; p++) {
        float *plane = out->data + p * out->pitch;
        memcpy(plane, plane - count, (size_t)count * sizeof *plane);
    }
}

/* Computes latent j to `out`; `frames` is host memory for a group. */
static pf_status encode_group(pf_vae_stream *stream, const pf_video_encode *args,
                              int64_t j, float *frames, const pf_vae_planes *out)
{
    int64_t time = stream->vae->info.time;
    int64_t first = j == 0 ? 0 : time * (j - 1) + 1;
    int64_t count = j == 0 ? 1 : time;
    pf_vae_planes in = {.data = frames, .count = 3 * count,
                        .pitch = args->height * args->width,
                        .height = args->height, .width = args->width};
    stream->still = still_levels(stream->vae, args, j);
    stream->still_next = still_levels(stream->vae, args, j + 1);
    if (!stream->ops->dry)
        PF_TRY(args->source(args->user, first, count, frames, stream->ops->error));
    return pf_vae_stream_step(stream, &in, count, out, 1);
}

/* Every latent frame, computed or repeated. */
static pf_status encode_film(pf_vae_stream *stream, const pf_video_encode *args,
                             float *frames)
{
    const pf_video_vae_info *info = &stream->vae->info;
    int64_t total = (args->frames - 1) / info->time + 1;
    int64_t height = args->height / info->space, width = args->width / info->space;
    for (int64_t j = 0; j < total; j++) {
        pf_vae_planes out = {.count = info->latent_channels,
                             .pitch = total * height * width,
                             .height = height, .width = width};
        if (!stream->ops->dry)
            out.data = args->mean + j * height * width;
        if (!latent_repeats(stream->vae, args, j))
            PF_TRY(encode_group(stream, args, j, frames, &out));
        else if (!stream->ops->dry)
            repeat_latent(&out);
        if (args->progress && !stream->ops->dry)
            args->progress(args->user, j + 1, total);
    }
    return PF_OK;
}

static pf_status check_film(const pf_video_vae *vae, const pf_video_encode *args,
                            pf_error *error)
{
    int time = vae->info.time, space = vae->info.space;
    if (args->frames < 1 || (args->frames - 1) % time != 0)
        return pf_fail(error, PF_E_ARGUMENT,
                       "%lld frames cannot be encoded: the number must be a multiple "
                       "of %d plus 1", (long long)args->frames, time);
    if (args->height < 1 || args->width < 1 || args->height % space != 0 ||
        args->width % space != 0)
        return pf_fail(error, PF_E_ARGUMENT,
                       "frames of %lldx%lld cannot be encoded: height and width must "
                       "be multiples of %d", (long long)args->height,
                       (long long)args->width, space);
    return PF_OK;
}

pf_status pf_video_vae_encode(pf_video_vae *vae, pf_ops *ops,
                              const pf_video_encode *args)
{
    pf_vae_stream stream;
    pf_mark mark = pf_ops_mark(ops);
    float *frames = NULL;
    PF_TRY(check_film(vae, args, ops->error));
    PF_TRY(pf_params_enter(vae->params, ops, PF_GROUP_ALWAYS));
    if (!ops->dry) {
        size_t bytes = (size_t)(3 * vae->info.time * args->height * args->width) *
                       sizeof *frames;
        frames = pf_alloc(bytes);
        if (!frames)
            return pf_fail_memory(ops->error, "frames to encode", bytes);
    }
    pf_status status = pf_vae_stream_open(&stream, ops, &(pf_vae_stream_spec){
        .vae = vae, .coder = &vae->encoder, .forward = encode_step,
        .height = args->height, .width = args->width, .tiling = args->tiling});
    if (status == PF_OK) {
        status = encode_film(&stream, args, frames);
        pf_vae_stream_close(&stream);
    }
    pf_free(frames);
    pf_ops_rewind(ops, mark);
    return status;
}
