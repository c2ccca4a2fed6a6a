/* SPDX-License-Identifier: Apache-2.0 */
/* Linear layers: y = epilogue(x W^T).  kernels.h has the formula;
 * this file says how it is computed.
 *
 * The weights stay where they are (in the mapped file, [N, K], F32, BF16 or F16).
 * Rows of x are packed once per call, the weights panel by panel into a buffer
 * that fits the first-level cache; a panel is then multiplied with all row tiles
 * of the task, whose packed rows fit the second level.  The summed axis goes in
 * blocks, between which the sums wait in the worker's scratch memory:
 *
 *   for each group of rows whose packed form fits SHARED_BYTES     (in turn)
 *     pack its rows                                                (in parallel)
 *     for each task, a block of rows x a block of columns          (in parallel)
 *       for each block of the summed axis
 *         for each panel of columns: pack it
 *           for each tile of rows: multiply; after the last block: epilogue
 *
 * A few rows alone (PF_FEW_ROWS) are multiplied by dot products, since
 * packing would cost more than it brings.
 *
 * Every sum has the same order whatever the cutting, so it may follow the shape.  Dot
 * products have an order of their own: a shard of few rows is packed like the matrix that
 * it is part of.
 */
#include "platform/cpu/kernels.h"
#include "platform/cpu/tile.h"

enum {
    BLOCK_STEPS = VF_WIDTH == 16 ? 192 : 256,       /* of the summed axis */
    BLOCK_ROWS = VF_WIDTH == 16 ? 480 : 240,
    BLOCK_PANELS = VF_WIDTH == 16 ? 4 : 8,
    SHARED_BYTES = 16 << 20,
    ENOUGH_TASKS = 32
};

/* --- the epilogue ----------------------------------------------------------- */

/* Everything after the sum, as plain pointers; absent ones are NULL. */
typedef struct epilogue {
    const float *bias, *gate, *mul, *residual;
    int64_t mul_stride, residual_stride, y_stride;
    float *y;
    pf_activation activation;
    bool round;
} epilogue;

static const float *address(const pf_tensor *t)
{
    return t->data;
}

static epilogue make_epilogue(const pf_linear_args *args)
{
    return (epilogue){
        .bias = address(&args->bias),
        .gate = address(&args->gate),
        .mul = address(&args->mul),
        .residual = address(&args->residual),
        .mul_stride = args->mul.stride[0],
        .residual_stride = args->residual.stride[0],
        .y_stride = args->y.stride[0],
        .y = args->y.data,
        .activation = args->activation,
        .round = args->numerics.round_bf16,
    };
}

/* y[m, n ..] from VF_WIDTH sums, of which `lanes` are there. */
VF_INLINE void finish_vector(const epilogue *e, vf v, int64_t m, int64_t n,
                             int64_t lanes)
{
    if (e->bias)
        v = vf_add(v, vf_load_part(e->bias + n, lanes));
    v = vf_round_if(v, e->round);
    if (e->activation == PF_ACTIVATION_GELU_TANH)
        v = vf_round_if(vf_gelu_tanh(v), e->round && !e->mul);
    else if (e->activation == PF_ACTIVATION_SILU)
        v = vf_round_if(vf_silu(v), e->round && !e->mul);
    if (e->mul)
        v = vf_round_if(vf_mul(v, vf_load_part(e->mul + m * e->mul_stride + n, lanes)),
                        e->round);
    if (e->gate)
        v = vf_round_if(vf_mul(v, vf_load_part(e->gate + n, lanes)), e->round);
    if (e->residual) {
        const float *residual = e->residual + m * e->residual_stride + n;
        v = vf_round_if(vf_add(vf_load_part(residual, lanes), v), e->round);
    }
    vf_store_part(e->y + m * e->y_stride + n, v, lanes);
}

/* Rows m .. and columns n .. of y from a tile of sums. */
static void finish_tile(const epilogue *e, const float *sum, int64_t m, int64_t rows,
                        int64_t n, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j += VF_WIDTH) {
            int64_t lanes = columns - j < VF_WIDTH ? columns - j : VF_WIDTH;
            finish_vector(e, vf_load(sum + i * TILE_COLUMNS + j), m + i, n + j, lanes);
        }
}

/* --- many rows: packed panels ----------------------------------------------- */

typedef struct packed_linear {
    epilogue epilogue;
    tile_matrix x, weight;
    tile_form form;
    int64_t n, k;
    int64_t block_elements;         /* of the summed axis */
    int64_t first_row, rows;        /* the group of rows at work */
    int64_t row_tiles;              /* of the group */
    int64_t task_rows, task_columns;
    int64_t column_tasks;
    float *packed_x;                /* [K block][row tile][steps][TILE_ROWS] */
    pf_platform *platform;
} packed_linear;

static int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit;
}

/* Where the packed rows of tile `tile` and the block from element k on lie. */
static float *packed_rows(const packed_linear *p, int64_t tile, int64_t k)
{
    int64_t steps = tile_steps(at_most(p->block_elements, p->k - k), p->form);
    return p->packed_x +
           (k / tile_depth(p->form) * p->row_tiles + tile * steps) * TILE_ROWS;
}

static void pack_row_tiles(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const packed_linear *p = argument;
    for (int64_t tile = begin; tile < end; tile++) {
        int64_t row = tile * TILE_ROWS;
        for (int64_t k = 0; k < p->k; k += p->block_elements) {
            tile_part part = {p->first_row + row, at_most(TILE_ROWS, p->rows - row),
                              k, at_most(p->block_elements, p->k - k)};
            tile_pack_rows(&p->x, part, p->form, packed_rows(p, tile, k));
        }
    }
}

/* A worker's scratch: one packed panel of columns, then the sums of its task. */
static int64_t panel_floats(void)
{
    return BLOCK_STEPS * TILE_COLUMNS;
}

/* Multiplies the panel of columns from n on with all row tiles of a task, over the block of
 * the summed axis that begins at element k; sum [row tile][TILE_ROWS][TILE_COLUMNS]. */
static void multiply_panel(const packed_linear *p, int64_t row, int64_t rows,
                           int64_t n, int64_t k, const float *panel, float *sum)
{
    int64_t elements = at_most(p->block_elements, p->k - k);
    bool last = k + elements == p->k;
    tile_job job = {
        .b = panel, .steps = tile_steps(elements, p->form), .accumulate = k > 0,
        .form = p->form, .columns = at_most(TILE_COLUMNS, p->n - n),
    };
    for (int64_t i = 0; i < rows; i += TILE_ROWS) {
        job.a = packed_rows(p, (row + i) / TILE_ROWS, k);
        job.c = sum + i * TILE_COLUMNS;
        job.rows = at_most(TILE_ROWS, rows - i);
        tile_product(&job);
        if (last)
            finish_tile(&p->epilogue, job.c, p->first_row + row + i, job.rows, n,
                        job.columns);
    }
}

static void run_task(const packed_linear *p, int64_t task, float *scratch)
{
    int64_t row = task / p->column_tasks * p->task_rows;
    int64_t column = task % p->column_tasks * p->task_columns;
    int64_t rows = at_most(p->task_rows, p->rows - row);
    int64_t column_end = at_most(column + p->task_columns, p->n);
    float *panel = scratch, *sums = scratch + panel_floats();
    for (int64_t k = 0; k < p->k; k += p->block_elements)
        for (int64_t n = column; n < column_end; n += TILE_COLUMNS) {
            tile_part part = {n, at_most(TILE_COLUMNS, p->n - n), k,
                              at_most(p->block_elements, p->k - k)};
            tile_pack_columns(&p->weight, part, p->form, panel);
            multiply_panel(p, row, rows, n, k, panel,
                           sums + (n - column) * p->task_rows);
        }
}

static void run_tasks(void *argument, int64_t begin, int64_t end, int worker)
{
    const packed_linear *p = argument;
    float *scratch = pf_cpu_scratch_worker(p->platform, worker);
    for (int64_t task = begin; task < end; task++)
        run_task(p, task, scratch);
}

static int64_t blocks_of(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

/* Cuts rows into equal blocks; a small matrix also into enough tasks for many
 * workers, columns first. */
static void choose_tasks(packed_linear *p)
{
    int64_t blocks = blocks_of(p->rows, BLOCK_ROWS);
    p->task_rows = tile_round_up(blocks_of(p->rows, blocks), TILE_ROWS);
    int64_t panels = BLOCK_PANELS;
    int64_t all_panels = blocks_of(p->n, TILE_COLUMNS);
    while (panels > 1 && blocks_of(all_panels, panels) * blocks < ENOUGH_TASKS)
        panels /= 2;
    int64_t tasks = blocks_of(all_panels, panels) * blocks;
    while (tasks < ENOUGH_TASKS / 2 && p->task_rows > 4 * TILE_ROWS) {
        p->task_rows = tile_round_up(p->task_rows / 2, TILE_ROWS);
        tasks *= 2;
    }
    p->task_columns = panels * TILE_COLUMNS;
    p->column_tasks = blocks_of(p->n, p->task_columns);
}

static pf_status run_packed(packed_linear *p, int64_t m, pf_error *error)
{
    int64_t row_bytes = tile_steps(p->k, p->form) * (int64_t)sizeof(float);
    int64_t group = SHARED_BYTES / row_bytes / BLOCK_ROWS * BLOCK_ROWS;
    if (group < BLOCK_ROWS)
        group = BLOCK_ROWS;
    group = at_most(group, tile_round_up(m, TILE_ROWS));
    int64_t worker_floats = panel_floats() + tile_round_up(at_most(group, BLOCK_ROWS),
                                                           TILE_ROWS) *
                                                 BLOCK_PANELS * TILE_COLUMNS;
    PF_TRY(pf_cpu_scratch_reserve(p->platform, group * row_bytes,
                                  worker_floats * (int64_t)sizeof(float), error));
    p->packed_x = pf_cpu_scratch_shared(p->platform);
    pf_pool *pool = p->platform->pool;
    for (p->first_row = 0; p->first_row < m; p->first_row += group) {
        p->rows = at_most(group, m - p->first_row);
        p->row_tiles = blocks_of(p->rows, TILE_ROWS);
        choose_tasks(p);
        int64_t grain = blocks_of(32768, p->k * TILE_ROWS);
        pf_pool_for(pool, p->row_tiles, grain, pack_row_tiles, p);
        int64_t tasks = blocks_of(p->rows, p->task_rows) * p->column_tasks;
        pf_pool_for(pool, tasks, 1, run_tasks, p);
    }
    return PF_OK;
}

/* --- a few rows: dot products ----------------------------------------------- */

typedef struct dot_linear {
    epilogue epilogue;
    const float *x;
    int64_t x_stride;
    tile_matrix weight;
    int64_t m, n, k;
} dot_linear;

/* sums[m] = x[m] . row for up to PF_FEW_ROWS rows of x. */
VF_INLINE void dot_row(const dot_linear *d, const char *row, pf_dtype dtype, int rows,
                       float *sums)
{
    vf sum[PF_FEW_ROWS][2];
    VF_UNROLL
    for (int i = 0; i < rows; i++)
        sum[i][0] = sum[i][1] = vf_zero();
    int64_t k = 0;
    for (; k + 2 * VF_WIDTH <= d->k; k += 2 * VF_WIDTH) {
        vf w0 = vf_load_as(row, dtype, k), w1 = vf_load_as(row, dtype, k + VF_WIDTH);
        VF_UNROLL
        for (int i = 0; i < rows; i++) {
            const float *x = d->x + i * d->x_stride + k;
            sum[i][0] = vf_fma(vf_load(x), w0, sum[i][0]);
            sum[i][1] = vf_fma(vf_load(x + VF_WIDTH), w1, sum[i][1]);
        }
    }
    for (; k < d->k; k += VF_WIDTH) {
        vf w = vf_load_as_part(row, dtype, k, d->k - k);
        VF_UNROLL
        for (int i = 0; i < rows; i++)
            sum[i][0] = vf_fma(vf_load_part(d->x + i * d->x_stride + k, d->k - k), w,
                               sum[i][0]);
    }
    VF_UNROLL
    for (int i = 0; i < rows; i++)
        sums[i * TILE_COLUMNS] = vf_sum(vf_add(sum[i][0], sum[i][1]));
}

VF_INLINE void dot_row_of(const dot_linear *d, const char *row, pf_dtype dtype,
                          float *sums)
{
    switch (d->m) {
    case 1: dot_row(d, row, dtype, 1, sums); break;
    case 2: dot_row(d, row, dtype, 2, sums); break;
    case 3: dot_row(d, row, dtype, 3, sums); break;
    default: dot_row(d, row, dtype, 4, sums); break;
    }
}

static void run_dots(void *argument, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    const dot_linear *d = argument;
    float sums[PF_FEW_ROWS * TILE_COLUMNS];
    for (int64_t n = begin; n < end; n += TILE_COLUMNS) {
        int64_t columns = at_most(TILE_COLUMNS, end - n);
        for (int64_t j = 0; j < columns; j++) {
            const char *row = d->weight.data + (n + j) * d->weight.row_bytes;
            VF_BY_DTYPE(d->weight.dtype, dtype, dot_row_of(d, row, dtype, sums + j));
        }
        finish_tile(&d->epilogue, sums, 0, d->m, n, columns);
    }
}

/* --- the kernel ------------------------------------------------------------- */

pf_status PF_CPU(linear)(pf_platform *platform, const pf_linear_args *args,
                         pf_error *error)
{
    const pf_tensor *w = &args->weight->source.values;
    int64_t m = args->x.shape[0], n = w->shape[0], k = w->shape[1];
    if (m == 0)
        return PF_OK;
    tile_matrix weight = {w->data, w->dtype, pf_dtype_bytes(w->dtype, w->stride[0])};
    if (m <= PF_FEW_ROWS && !args->shard) {
        dot_linear d = {make_epilogue(args), args->x.data, args->x.stride[0], weight,
                        m, n, k};
        int64_t grain = tile_round_up(blocks_of(32768, k), TILE_COLUMNS);
        pf_pool_for(platform->pool, n, grain, run_dots, &d);
        return PF_OK;
    }
    tile_form form = tile_form_of(args->numerics.multiply);
    packed_linear p = {
        .epilogue = make_epilogue(args),
        .x = {args->x.data, PF_F32, pf_dtype_bytes(PF_F32, args->x.stride[0])},
        .weight = weight,
        .form = form,
        .n = n,
        .k = k,
        .block_elements = BLOCK_STEPS * tile_depth(form),
        .platform = platform,
    };
    return run_packed(&p, m, error);
}
