/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions: direct, channels-last, never im2col.  kernels.h has the
 * formulas; this file says how they are computed.
 *
 * A band of output rows (all frames) is made at a time.  The inputs that it reaches
 * are packed into shared memory as [frame][row][column][unit], with zeros left and
 * right of the map, so that the inner loop knows no borders; frames and rows outside
 * the map are left out of the sum.  A tile is TILE_ROWS output pixels of one row by
 * one panel of channels; its sums stay in registers while the taps go by:
 *
 *   for each band: pack                                          (in parallel)
 *     for each task, a run of tiles x a panel of channels        (in parallel)
 *       for each block of the taps (its weights fit the second-level cache)
 *         for each tile: multiply; after the last block: bias, residual, store
 *
 * Taps that are neighbours in a row are one segment, since their inputs and weights
 * are adjacent.  A transposed convolution is one convolution for each output phase.
 *
 * Every sum runs over taps, then channels, whatever the cutting.
 */
#include "platform/cpu/conv.h"

#include "platform/cpu/kernels.h"

enum {
    BLOCK_STEPS = VF_WIDTH == 16 ? 1536 : 2048,     /* of the summed axis */
    TASK_TILES = 40,
    ENOUGH_TASKS = 32,
    SHARED_BYTES = 16 << 20,
    PACK_COLUMNS = 512
};

typedef struct conv_job {
    pf_platform *platform;
    pf_tensor x, bias, residual, y;
    const float *weights;           /* conv.h */
    conv_panels panels;
    int64_t kernel[3], stride[3], dilation[3], pad[3];
    int64_t first_tap, tap_step;    /* where the weights of tap q of a row lie */
    int64_t segments;               /* in a row of the kernel */
    int64_t segment_steps;
    int64_t steps;                  /* of the whole sum */

    int64_t top, rows, left, columns;               /* the band, in y */
    int64_t in_top, in_rows, in_left, in_columns;   /* its inputs, in x */
    float *packed;
    int64_t row_tiles, tiles, task_tiles;
} conv_job;

static int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit;
}

static int64_t at_least(int64_t value, int64_t limit)
{
    return value > limit ? value : limit;
}

static int64_t blocks_of(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

/* --- packing the inputs ------------------------------------------------------ */

/* `count` elements from p on, adjacent, into units. */
static void pack_adjacent(const float *p, int64_t count, tile_form form, float *to)
{
    int64_t units = tile_steps(count, form), depth = tile_depth(form);
    for (int64_t u = 0; u < units; u += VF_WIDTH) {
        vf v = tile_load_units((const char *)(p + u * depth), PF_F32,
                               count - u * depth, form);
        vf_store_part(to + u, v, units - u);
    }
}

/* Pixels [w, w + count) of the row at p, whatever its strides. */
static void pack_scattered(const conv_job *j, const float *p, int64_t w, int64_t count,
                           float *to)
{
    const pf_tensor *x = &j->x;
    int64_t units = j->panels.units;
    memset(to, 0, (size_t)(count * units) * sizeof *to);
    for (int64_t c = 0; c < x->shape[0]; c++) {
        const float *from = p + c * x->stride[0] + w * x->stride[3];
        for (int64_t i = 0; i < count; i++)
            tile_put(to + i * units, c, 1, j->panels.form, from[i * x->stride[3]]);
    }
}

/* Pixels [w, w + count) of a row, all inside the map. */
static void pack_inside(const conv_job *j, const float *row, int64_t w, int64_t count,
                        float *to)
{
    const pf_tensor *x = &j->x;
    int64_t channels = x->shape[0], depth = tile_depth(j->panels.form);
    if (x->stride[0] != 1 && channels > 1)
        pack_scattered(j, row, w, count, to);
    else if (x->stride[3] == channels && channels % depth == 0)
        pack_adjacent(row + w * channels, count * channels, j->panels.form, to);
    else
        for (int64_t i = 0; i < count; i++)
            pack_adjacent(row + (w + i) * x->stride[3], channels, j->panels.form,
                          to + i * j->panels.units);
}

/* Items are pieces of PACK_COLUMNS columns of the rows of the frames. */
static void pack_pieces(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const conv_job *j = argument;
    int64_t pieces = blocks_of(j->in_columns, PACK_COLUMNS), units = j->panels.units;
    for (int64_t item = begin; item < end; item++) {
        int64_t row = item / pieces, first = item % pieces * PACK_COLUMNS;
        int64_t count = at_most(PACK_COLUMNS, j->in_columns - first);
        float *to = j->packed + (row * j->in_columns + first) * units;
        const float *from = (const float *)j->x.data +
                            row / j->in_rows * j->x.stride[1] +
                            (j->in_top + row % j->in_rows) * j->x.stride[2];
        int64_t w = j->in_left + first;
        int64_t before = at_most(at_least(-w, 0), count);
        int64_t inside = at_most(count, at_least(j->x.shape[3] - w, 0)) - before;
        inside = at_least(inside, 0);
        memset(to, 0, (size_t)(before * units) * sizeof *to);
        if (inside > 0)
            pack_inside(j, from, w + before, inside, to + before * units);
        memset(to + (before + inside) * units, 0,
               (size_t)((count - before - inside) * units) * sizeof *to);
    }
}

/* --- the product ------------------------------------------------------------- */

/* A tile: pixels [w, w + count) of row h (counted in the band) of frame t. */
typedef struct conv_tile {
    int64_t t, h, w, count;
    int64_t channel, channels;      /* of the panel */
} conv_tile;

/* The inputs of the tile for segment q of kernel row (a, p); NULL outside. */
VF_INLINE const float *segment_input(const conv_job *j, const conv_tile *tile,
                                     int64_t row, int64_t q)
{
    int64_t a = row / j->kernel[1], p = row % j->kernel[1];
    int64_t t = tile->t * j->stride[0] + a * j->dilation[0] - j->pad[0];
    int64_t h = (j->top + tile->h) * j->stride[1] + p * j->dilation[1] - j->pad[1];
    if (t < 0 || t >= j->x.shape[1] || h < 0 || h >= j->x.shape[2])
        return NULL;
    int64_t w = tile->w * j->stride[2] + q * j->dilation[2];
    return j->packed +
           ((t * j->in_rows + h - j->in_top) * j->in_columns + w) * j->panels.units;
}

/* `steps` steps of pixels that are `stride` units apart, and of a panel. */
typedef struct conv_run {
    const float *a, *b;
    int64_t stride, steps;
} conv_run;

VF_INLINE void conv_multiply(vf sum[TILE_ROWS][TILE_VECTORS], conv_run run, tile_form form,
                             int rows, int vectors)
{
    for (int64_t s = 0; s < run.steps; s++) {
        vf column[TILE_VECTORS];
        VF_UNROLL
        for (int j = 0; j < vectors; j++)
            column[j] = vf_load(run.b + s * TILE_COLUMNS + j * VF_WIDTH);
        VF_UNROLL
        for (int i = 0; i < rows; i++) {
            VF_UNROLL
            for (int j = 0; j < vectors; j++)
                sum[i][j] = tile_multiply(sum[i][j], run.a + i * run.stride + s,
                                          column[j], form);
        }
    }
}

/* Steps [begin, end) of the sum. */
typedef struct conv_block {
    int64_t begin, end;
} conv_block;

/* c += the sum over a block; the first one starts anew. */
VF_INLINE void conv_sum_of(const conv_job *j, const conv_tile *tile, conv_block block,
                           float *c, tile_form form, int rows, int vectors)
{
    vf sum[TILE_ROWS][TILE_VECTORS];
    const float *panel = j->weights + tile->channel / TILE_COLUMNS * j->panels.panel_floats;
    int64_t stride = j->stride[2] * j->panels.units;
    VF_UNROLL
    for (int i = 0; i < rows; i++) {
        VF_UNROLL
        for (int v = 0; v < vectors; v++)
            sum[i][v] = block.begin ? vf_load(c + i * TILE_COLUMNS + v * VF_WIDTH)
                                    : vf_zero();
    }
    for (int64_t at = block.begin; at < block.end;) {
        int64_t segment = at / j->segment_steps, skip = at - segment * j->segment_steps;
        int64_t count = at_most(j->segment_steps - skip, block.end - at);
        int64_t row = segment / j->segments, q = segment % j->segments;
        const float *a = segment_input(j, tile, row, q);
        int64_t tap = j->first_tap + row * j->kernel[2] + q * j->tap_step;
        if (a)
            conv_multiply(sum, (conv_run){a + skip, panel + (tap * j->panels.units +
                                                             skip) * TILE_COLUMNS,
                                          stride, count}, form, rows, vectors);
        at += count;
    }
    VF_UNROLL
    for (int i = 0; i < rows; i++) {
        VF_UNROLL
        for (int v = 0; v < vectors; v++)
            vf_store(c + i * TILE_COLUMNS + v * VF_WIDTH, sum[i][v]);
    }
}

VF_INLINE void conv_sum_rows(const conv_job *j, const conv_tile *tile,
                             conv_block block, float *c, tile_form form, int rows)
{
    if (tile->channels > VF_WIDTH)
        conv_sum_of(j, tile, block, c, form, rows, 2);
    else
        conv_sum_of(j, tile, block, c, form, rows, 1);
}

VF_INLINE void conv_sum_form(const conv_job *j, const conv_tile *tile,
                             conv_block block, float *c, tile_form form)
{
    if (tile->count > 2 * TILE_THIRD)
        conv_sum_rows(j, tile, block, c, form, TILE_ROWS);
    else if (tile->count > TILE_THIRD)
        conv_sum_rows(j, tile, block, c, form, 2 * TILE_THIRD);
    else
        conv_sum_rows(j, tile, block, c, form, TILE_THIRD);
}

static void conv_sum(const conv_job *j, const conv_tile *tile, conv_block block,
                     float *c)
{
    TILE_BY_FORM(j->panels.form, form, conv_sum_form(j, tile, block, c, form));
}

/* --- what comes after the sum -------------------------------------------------- */

static int64_t pixel_offset(const conv_job *j, const pf_tensor *map,
                            const conv_tile *tile)
{
    return tile->channel * map->stride[0] + tile->t * map->stride[1] +
           (j->top + tile->h) * map->stride[2] + (j->left + tile->w) * map->stride[3];
}

/* y = sum + bias + residual for the channels of one pixel. */
static void finish_pixel(const conv_job *j, const float *sum, const float *bias,
                         const float *residual, float *y, int64_t channels)
{
    for (int64_t n = 0; n < channels; n += VF_WIDTH) {
        int64_t lanes = channels - n;
        vf v = vf_load(sum + n);
        if (bias)
            v = vf_add(v, vf_load_part(bias + n, lanes));
        if (residual && j->residual.stride[0] == 1)
            v = vf_add(v, vf_load_part(residual + n, lanes));
        if (j->y.stride[0] == 1) {
            vf_store_part(y + n, v, lanes);
            continue;
        }
        float lane[VF_WIDTH];
        vf_store(lane, v);
        for (int64_t i = 0; i < at_most(lanes, VF_WIDTH); i++)
            y[(n + i) * j->y.stride[0]] = lane[i];
    }
}

static void add_scattered(const conv_job *j, const float *residual, float *sum,
                          int64_t channels)
{
    for (int64_t n = 0; n < channels; n++)
        sum[n] += residual[n * j->residual.stride[0]];
}

static void finish_tile(const conv_job *j, const conv_tile *tile, float *sum)
{
    const float *bias = j->bias.data, *residual = j->residual.data;
    float *y = (float *)j->y.data + pixel_offset(j, &j->y, tile);
    if (bias)
        bias += tile->channel;
    if (residual)
        residual += pixel_offset(j, &j->residual, tile);
    for (int64_t i = 0; i < tile->count; i++) {
        float *pixel = sum + i * TILE_COLUMNS;
        const float *more = residual ? residual + i * j->residual.stride[3] : NULL;
        if (more && j->residual.stride[0] != 1)
            add_scattered(j, more, pixel, tile->channels);
        finish_pixel(j, pixel, bias, more, y + i * j->y.stride[3], tile->channels);
    }
}

/* --- the work ------------------------------------------------------------------- */

static conv_tile tile_of(const conv_job *j, int64_t index, int64_t panel)
{
    int64_t row = index / j->row_tiles, w = index % j->row_tiles * TILE_ROWS;
    return (conv_tile){
        .t = row / j->rows,
        .h = row % j->rows,
        .w = w,
        .count = at_most(TILE_ROWS, j->columns - w),
        .channel = panel * TILE_COLUMNS,
        .channels = at_most(TILE_COLUMNS, j->y.shape[0] - panel * TILE_COLUMNS),
    };
}

static void run_task(const conv_job *j, int64_t task, float *sums)
{
    int64_t panel = task % j->panels.panels;
    int64_t first = task / j->panels.panels * j->task_tiles;
    int64_t last = at_most(first + j->task_tiles, j->tiles);
    int64_t blocks = at_least(1, blocks_of(j->steps, BLOCK_STEPS));
    int64_t size = blocks_of(j->steps, blocks);
    for (int64_t b = 0; b < blocks; b++)
        for (int64_t i = first; i < last; i++) {
            conv_tile tile = tile_of(j, i, panel);
            float *c = sums + (i - first) * TILE_ROWS * TILE_COLUMNS;
            conv_block block = {b * size, at_most((b + 1) * size, j->steps)};
            conv_sum(j, &tile, block, c);
            if (b == blocks - 1)
                finish_tile(j, &tile, c);
        }
}

static void run_tasks(void *argument, int64_t begin, int64_t end, int worker)
{
    const conv_job *j = argument;
    float *sums = pf_cpu_scratch_worker(j->platform, worker);
    for (int64_t task = begin; task < end; task++)
        run_task(j, task, sums);
}

/* Input positions that `outputs` neighbours reach along an axis. */
static int64_t reach(const conv_job *j, int axis, int64_t outputs)
{
    return (outputs - 1) * j->stride[axis] +
           (j->kernel[axis] - 1) * j->dilation[axis] + 1;
}

/* Outputs along an axis whose reach fits `inputs`; at least 1. */
static int64_t fitting(const conv_job *j, int axis, int64_t inputs)
{
    int64_t halo = (j->kernel[axis] - 1) * j->dilation[axis];
    return at_least(1, (inputs - halo - 1) / j->stride[axis] + 1);
}

/* The largest band whose inputs fit SHARED_BYTES: full rows if they can be. */
static void choose_band(conv_job *j)
{
    int64_t frames = j->x.shape[1], pixel = j->panels.units * (int64_t)sizeof(float);
    int64_t height = j->y.shape[2], width = j->y.shape[3];
    int64_t row = at_least(1, frames * reach(j, 2, width + TILE_ROWS) * pixel);
    j->rows = at_most(height, fitting(j, 1, SHARED_BYTES / row));
    j->rows = blocks_of(height, blocks_of(height, j->rows));
    j->columns = width;
    int64_t column = at_least(1, frames * reach(j, 1, j->rows) * pixel);
    if (reach(j, 2, width + TILE_ROWS) * column <= SHARED_BYTES)
        return;
    int64_t most = fitting(j, 2, SHARED_BYTES / column) / TILE_ROWS * TILE_ROWS;
    j->columns = at_most(width, at_least(most - TILE_ROWS, TILE_ROWS));
}

static void place_band(conv_job *j, int64_t top, int64_t left, int64_t rows,
                       int64_t columns)
{
    j->top = top;
    j->left = left;
    j->rows = at_most(rows, j->y.shape[2] - top);
    j->columns = at_most(columns, j->y.shape[3] - left);
    int64_t first = top * j->stride[1] - j->pad[1];
    int64_t end = at_most(first + reach(j, 1, j->rows), j->x.shape[2]);
    j->in_top = at_least(first, 0);
    j->in_rows = at_least(end - j->in_top, 0);
    j->in_left = left * j->stride[2] - j->pad[2];
    j->in_columns = reach(j, 2, tile_round_up(j->columns, TILE_THIRD));
    j->row_tiles = blocks_of(j->columns, TILE_ROWS);
    j->tiles = j->y.shape[1] * j->rows * j->row_tiles;
    j->task_tiles = TASK_TILES;
    while (j->task_tiles > 2 &&
           blocks_of(j->tiles, j->task_tiles) * j->panels.panels < ENOUGH_TASKS)
        j->task_tiles /= 2;
}

static pf_status run_band(conv_job *j, pf_error *error)
{
    int64_t packed = j->x.shape[1] * j->in_rows * j->in_columns * j->panels.units;
    int64_t sums = j->task_tiles * TILE_ROWS * TILE_COLUMNS;
    PF_TRY(pf_cpu_scratch_reserve(j->platform, packed * (int64_t)sizeof(float),
                                  sums * (int64_t)sizeof(float), error));
    j->packed = pf_cpu_scratch_shared(j->platform);
    int64_t pieces = blocks_of(j->in_columns, PACK_COLUMNS);
    int64_t piece = at_most(j->in_columns, PACK_COLUMNS) * j->panels.units;
    pf_pool_for(j->platform->pool, j->x.shape[1] * j->in_rows * pieces,
                blocks_of(16384, piece), pack_pieces, j);
    int64_t tasks = blocks_of(j->tiles, j->task_tiles) * j->panels.panels;
    int64_t work = j->task_tiles * TILE_ROWS * TILE_COLUMNS * at_least(j->steps, 1);
    pf_pool_for(j->platform->pool, tasks, blocks_of(200000, work), run_tasks, j);
    return PF_OK;
}

static pf_status run_conv(conv_job *j, pf_error *error)
{
    if (pf_tensor_count(&j->y) == 0)
        return PF_OK;
    bool merged = j->dilation[2] == 1 && j->tap_step == 1;
    j->segments = merged ? 1 : j->kernel[2];
    j->segment_steps = (merged ? j->kernel[2] : 1) * j->panels.units;
    j->steps = j->kernel[0] * j->kernel[1] * j->segments * j->segment_steps;
    choose_band(j);
    int64_t rows = j->rows, columns = j->columns;
    for (int64_t top = 0; top < j->y.shape[2]; top += rows)
        for (int64_t left = 0; left < j->y.shape[3]; left += columns) {
            place_band(j, top, left, rows, columns);
            PF_TRY(run_band(j, error));
        }
    return PF_OK;
}

/* --- the kernels ------------------------------------------------------------------ */

pf_status PF_CPU(conv)(pf_platform *platform, const pf_conv_args *args, pf_error *error)
{
    const pf_weight *weight = args->weight;
    conv_job j = {
        .platform = platform,
        .x = args->x,
        .bias = args->bias,
        .residual = args->residual,
        .y = args->y,
        .weights = weight->prepared,
        .panels = conv_panels_of(&weight->source, weight->multiply),
        .tap_step = 1,
    };
    for (int i = 0; i < 3; i++) {
        j.kernel[i] = weight->source.values.shape[2 + i];
        j.stride[i] = args->stride[i];
        j.dilation[i] = args->dilation[i];
        j.pad[i] = args->pad_front[i];
    }
    return run_conv(&j, error);
}

/* Outputs n = phase + stride * i - pad: taps phase, phase + stride, ... meet inputs
 * i, i - 1, ...; in the order of the inputs, the last tap comes first. */
static pf_status run_phase(conv_job *j, const pf_conv_transposed_args *args,
                           int64_t phase, pf_error *error)
{
    int64_t taps = args->weight->source.values.shape[2], stride = args->stride;
    int64_t count = phase < taps ? (taps - phase + stride - 1) / stride : 0;
    int64_t first = args->pad > phase ? (args->pad - phase + stride - 1) / stride : 0;
    int64_t start = phase + first * stride - args->pad, length = args->y.shape[3];
    j->y.shape[3] = start < length ? (length - start + stride - 1) / stride : 0;
    j->y.data = (float *)args->y.data + start * args->y.stride[3];
    j->y.stride[3] = stride * args->y.stride[3];
    j->kernel[2] = count;
    j->pad[2] = count - 1 - first;
    j->first_tap = phase + (count - 1) * stride;
    j->tap_step = -stride;
    return run_conv(j, error);
}

pf_status PF_CPU(conv_transposed)(pf_platform *platform,
                                  const pf_conv_transposed_args *args, pf_error *error)
{
    const pf_weight *weight = args->weight;
    for (int64_t phase = 0; phase < args->stride; phase++) {
        conv_job j = {
            .platform = platform,
            .x = args->x,
            .bias = args->bias,
            .y = args->y,
            .weights = weight->prepared,
            .panels = conv_panels_of(&weight->source, weight->multiply),
            .kernel = {1, 1, 1},
            .stride = {1, 1, 1},
            .dilation = {1, 1, 1},
        };
        PF_TRY(run_phase(&j, args, phase, error));
    }
    return PF_OK;
}
