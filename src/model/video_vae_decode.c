/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of the video VAE, one latent frame a step.
 * docs/model/video-vae.md, sections 3, 4 and 5.
 *
 * Maps grow on the way to the film, so the levels are written from the last one
 * backwards: each makes room for its own map, has the level before fill its input, and
 * gives back the memory of that:
 *
 *     decode_step                room for film, body of the last level
 *       level_body(last)         room for its input, if that has other channels
 *         level_output(last - 1) room for the body of that level
 *           ...
 *             stem               latent frame -> conv_in -> mid block
 *
 * so that the small maps of the low levels are gone before the large ones are computed.
 *
 *     step 0      1 latent frame -> 1 film frame    time is doubled nowhere
 *     step j > 0  1 latent frame -> 4 film frames */
#include "base/memory.h"
#include "model/video_vae_parts.h"

static pf_status level_body(pf_vae_run *run, int i, const pf_tensor *y);

/* --- upsampling ------------------------------------------------------------------------ */

/* Frames k, k + 2, k + 4 ... */
static pf_tensor every_second_frame(const pf_tensor *map, int k)
{
    return pf_tensor_every(pf_tensor_slice(*map, 1, k, map->shape[1] - k), 1, 2);
}

/* y [C, 2n, h, w] of x [C, n, h, w]: time_conv makes 2C channels of each frame; the first C are
 * the earlier one of two frames, the others the later one. */
static pf_status double_time(pf_vae_run *run, const pf_vae_level *level,
                             const pf_tensor *x, const pf_tensor *y)
{
    pf_ops *ops = run->ops;
    pf_mark mark = pf_ops_mark(ops);
    int64_t c = level->out, n = x->shape[1];
    pf_tensor window, fresh, pairs;
    PF_TRY(pf_ops_map(ops, 2 * c, n, x->shape[2], x->shape[3], &pairs));
    PF_TRY(pf_vae_window_open(run, &level->time_conv, n, &window, &fresh));
    PF_TRY(pf_op_copy(ops, &(pf_copy_args){.from = *x, .to = fresh}));
    PF_TRY(pf_vae_window_close(run, &level->time_conv, &window, NULL, &pairs));
    for (int k = 0; k < 2; k++)
        PF_TRY(pf_op_copy(ops, &(pf_copy_args){
            .from = pf_tensor_slice(pairs, 0, k * c, c),
            .to = every_second_frame(y, k)}));
    pf_ops_rewind(ops, mark);
    return PF_OK;
}

/* Doubles height and width, x [C, n, h, w] to y [C / 2, n, 2h, 2w]: every pixel becomes 2x2,
 * then a 3x3 convolution.  Frame by frame, so that one enlarged frame is in memory. */
static pf_status double_space(pf_vae_run *run, const pf_vae_level *level,
                              const pf_tensor *x, const pf_tensor *y)
{
    pf_ops *ops = run->ops;
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor large;
    PF_TRY(pf_ops_map(ops, level->out, 1, y->shape[2], y->shape[3], &large));
    for (int64_t t = 0; t < x->shape[1]; t++) {
        PF_TRY(pf_op_upsample(ops, &(pf_upsample_args){
            .x = pf_tensor_slice(*x, 1, t, 1), .y = large}));
        PF_TRY(pf_op_conv(ops, &(pf_conv_args){
            .x = large, .weight = &level->resample.weight,
            .bias = level->resample.bias, .stride = {1, 1, 1},
            .dilation = {1, 1, 1}, .pad_front = {0, 1, 1},
            .y = pf_tensor_slice(*y, 1, t, 1)}));
    }
    pf_ops_rewind(ops, mark);
    return PF_OK;
}

/* --- levels ------------------------------------------------------------------------------ */

/* The latent frame up to the first level's input y [C, 1, h, w]. */
static pf_status stem(pf_vae_run *run, const pf_tensor *y)
{
    pf_ops *ops = run->ops;
    const pf_vae_coder *coder = run->coder;
    const int64_t *shape = run->latents.shape;
    pf_mark mark = pf_ops_mark(ops);
    pf_tensor map, window, fresh;
    PF_TRY(pf_ops_map(ops, shape[0], 1, shape[2], shape[3], &map));
    PF_TRY(pf_op_copy(ops, &(pf_copy_args){.from = run->latents, .to = map}));
    PF_TRY(pf_vae_window_open(run, &coder->conv_in, 1, &window, &fresh));
    PF_TRY(pf_vae_pointwise(run, &coder->quant, &map, &fresh));
    PF_TRY(pf_vae_window_close(run, &coder->conv_in, &window, NULL, y));
    pf_ops_rewind(ops, mark);
    return pf_vae_mid_forward(run, y);
}

/* Frames of a level in this step. */
static int64_t level_frames(const pf_vae_run *run, const pf_vae_level *level)
{
    return run->first ? 1 : level->frames;
}

/* The body of level i, upsampled to y. */
static pf_status level_output(pf_vae_run *run, int i, const pf_tensor *y)
{
    const pf_vae_level *level = &run->coder->level[i];
    pf_mark mark = pf_ops_mark(run->ops);
    int64_t h = run->height / level->shrink, w = run->width / level->shrink;
    pf_tensor body, doubled;
    /* Frame 0 is not doubled and is no past of time_conv. */
    bool doubles = level->resamples_time && !run->first;
    if (doubles)
        PF_TRY(pf_ops_map(run->ops, level->out, y->shape[1], h, w, &doubled));
    PF_TRY(pf_ops_map(run->ops, level->out, level_frames(run, level), h, w, &body));
    PF_TRY(level_body(run, i, &body));
    if (doubles)
        PF_TRY(double_time(run, level, &body, &doubled));
    PF_TRY(double_space(run, level, doubles ? &doubled : &body, y));
    pf_ops_rewind(run->ops, mark);
    return PF_OK;
}

/* The residual blocks of level i, from its input to y [out, n, h, w]. */
static pf_status level_body(pf_vae_run *run, int i, const pf_tensor *y)
{
    const pf_vae_level *level = &run->coder->level[i];
    pf_mark mark = pf_ops_mark(run->ops);
    pf_tensor x = *y;
    if (level->block[0].widens)
        PF_TRY(pf_ops_map(run->ops, level->in, y->shape[1], y->shape[2], y->shape[3],
                          &x));
    PF_TRY(i > 0 ? level_output(run, i - 1, &x) : stem(run, &x));
    PF_TRY(pf_vae_residual_forward(run, &level->block[0], &x, y));
    pf_ops_rewind(run->ops, mark);
    for (int j = 1; j < level->count; j++)
        PF_TRY(pf_vae_residual_forward(run, &level->block[j], y, y));
    return PF_OK;
}

/* x [z, 1, h, w] to y [3, n, H, W], not clamped. */
static pf_status decode_step(pf_vae_run *run, const pf_tensor *x, const pf_tensor *y)
{
    pf_ops *ops = run->ops;
    const pf_vae_coder *coder = run->coder;
    int last = coder->levels - 1;
    pf_tensor body, film;
    run->latents = *x;
    PF_TRY(pf_ops_map(ops, 3, y->shape[1], run->height, run->width, &film));
    PF_TRY(pf_ops_map(ops, coder->level[last].out, y->shape[1], run->height,
                      run->width, &body));
    PF_TRY(level_body(run, last, &body));
    PF_TRY(pf_vae_normed_conv(run, &coder->norm_out, &coder->conv_out, &body, NULL,
                              &film));
    return pf_op_copy(ops, &(pf_copy_args){.from = film, .to = *y});
}

/* --- the film ------------------------------------------------------------------------------ */

static void clamp(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = values[i] < -1.0f ? -1.0f : values[i] > 1.0f ? 1.0f : values[i];
}

/* Every latent frame through all tiles; the host clamps and hands on.  `frames` has room for
 * one step, [3, time, H, W], and is used again by the next. */
static pf_status decode_film(pf_vae_stream *stream, const pf_video_decode *args,
                             float *frames)
{
    const pf_video_vae_info *info = &stream->vae->info;
    int64_t area = args->height * args->width;
    pf_vae_planes in = {.count = info->latent_channels,
                        .pitch = args->frames * area, .height = args->height,
                        .width = args->width};
    pf_vae_planes out = {.data = frames, .pitch = area * info->space * info->space,
                         .height = args->height * info->space,
                         .width = args->width * info->space};
    for (int64_t j = 0, first = 0; j < args->frames; j++) {
        int64_t count = j == 0 ? 1 : info->time;
        out.count = 3 * count;
        if (!stream->ops->dry)          /* crop only reads */
            in.data = (float *)args->latents + j * area;
        PF_TRY(pf_vae_stream_step(stream, &in, 1, &out, count));
        if (!stream->ops->dry) {
            clamp(frames, out.count * out.pitch);
            PF_TRY(args->sink(args->user, first, count, frames, stream->ops->error));
        }
        first += count;
    }
    return PF_OK;
}

static pf_status check_latents(const pf_video_decode *args, pf_error *error)
{
    if (args->frames >= 1 && args->height >= 1 && args->width >= 1)
        return PF_OK;
    return pf_fail(error, PF_E_ARGUMENT,
                   "latents of %lldx%lldx%lld cannot be decoded: every extent must be "
                   "at least 1", (long long)args->frames, (long long)args->height,
                   (long long)args->width);
}

pf_status pf_video_vae_decode(pf_video_vae *vae, pf_ops *ops,
                              const pf_video_decode *args)
{
    pf_vae_stream stream;
    pf_mark mark = pf_ops_mark(ops);
    int64_t space = vae->info.space;
    float *frames = NULL;
    PF_TRY(check_latents(args, ops->error));
    PF_TRY(pf_params_enter(vae->params, ops, PF_GROUP_ALWAYS));
    if (!ops->dry) {
        size_t bytes = (size_t)(3 * vae->info.time * args->height * args->width *
                                space * space) * sizeof *frames;
        frames = pf_alloc(bytes);
        if (!frames)
            return pf_fail_memory(ops->error, "decoded frames", bytes);
    }
    pf_status status = pf_vae_stream_open(&stream, ops, &(pf_vae_stream_spec){
        .vae = vae, .coder = &vae->decoder, .forward = decode_step, .decodes = true,
        .height = args->height * space, .width = args->width * space,
        .tiling = args->tiling});
    if (status == PF_OK) {
        status = decode_film(&stream, args, frames);
        pf_vae_stream_close(&stream);
    }
    pf_free(frames);
    pf_ops_rewind(ops, mark);
    return status;
}
