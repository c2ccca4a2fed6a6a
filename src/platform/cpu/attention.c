/* SPDX-License-Identifier: Apache-2.0 */
/* Attention: softmax(scale q k^T + bias) v, without ever holding the scores.
 *
 * Everything lies with the queries in the lanes: the scores of a block of keys
 * are tiles [keys][TILE_COLUMNS queries], so that maximum, exponential and sum
 * need no step across lanes, and the probabilities are at once the columns of the
 * second product, v^T p, which makes the output transposed.
 *
 *   for each task, a head x a block of queries               (in parallel)
 *     pack the queries as panels of columns, times scale / ln 2
 *     for each block of keys
 *       pack keys and values as panels of rows
 *       for each panel of queries
 *         scores; new maximum, and what it does to sum and output so far
 *         probabilities and their sum; output += values^T probabilities
 *     divide by the sum, turn the output, store
 *
 * Scores are in units of ln 2, which makes exp a power of two.  With round_bf16
 * a first pass over the keys finds the maximum, so that probabilities are rounded
 * with respect to the final one, as the definition has it.
 *
 * A query's arithmetic does not depend on the others in its block.
 */
#include <float.h>
#include <math.h>

#include "platform/cpu/kernels.h"
#include "platform/cpu/tile.h"

enum {
    KEY_BLOCK = 240,                /* whole row tiles, and even */
    QUERY_BYTES = 384 << 10,
    ENOUGH_TASKS = 24
};

typedef struct attention {
    const pf_attention_args *args;
    pf_platform *platform;
    tile_form form;
    bool round;
    int64_t queries, keys, width;   /* Lq, Lk, D */
    int64_t width_steps;            /* of D, when it is summed */
    int64_t width_rows;             /* D in whole row tiles */
    int64_t task_queries;           /* whole panels */
    int64_t query_tasks;            /* in a head */
} attention;

/* The scratch of a worker, in floats.  P panels of queries, C = TILE_COLUMNS. */
typedef struct work {
    float *query;                   /* [P][width_steps][C] */
    float *output;                  /* [P][width_rows][C], not yet divided */
    float *largest;                 /* [P][C], in units of ln 2 */
    float *sum;                     /* [P][C] */
    float *key;                     /* [KEY_BLOCK / R][width_steps][R] */
    float *value;                   /* [width_rows / R][steps][R] */
    float *score;                   /* [KEY_BLOCK][C], later probabilities */
    float *bias;                    /* [KEY_BLOCK][C] */
} work;

/* A block of keys of one head. */
typedef struct key_block {
    int64_t head, first, count;
} key_block;

static int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit;
}

static int64_t blocks_of(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

/* --- scratch ---------------------------------------------------------------- */

/* Lays the work out from `base` on; returns the floats it takes. */
static int64_t lay_out(const attention *a, float *base, work *w)
{
    int64_t panels = a->task_queries / TILE_COLUMNS;
    int64_t lengths[] = {
        a->task_queries * a->width_steps,
        a->task_queries * a->width_rows,
        panels * TILE_COLUMNS,
        panels * TILE_COLUMNS,
        KEY_BLOCK * a->width_steps,
        KEY_BLOCK * a->width_rows,
        KEY_BLOCK * TILE_COLUMNS,
        KEY_BLOCK * TILE_COLUMNS,
    };
    float **parts[] = {&w->query, &w->output, &w->largest, &w->sum,
                       &w->key, &w->value, &w->score, &w->bias};
    int64_t at = 0;
    for (int i = 0; i < 8; i++) {
        if (base)
            *parts[i] = base + at;
        at += tile_round_up(lengths[i], 16);
    }
    return at;
}

/* --- packing ---------------------------------------------------------------- */

/* The columns of one head. */
static tile_matrix head_of(const pf_tensor *t, int64_t head, int64_t width)
{
    const float *data = t->data;
    return (tile_matrix){(const char *)(data + head * width), PF_F32,
                         t->stride[0] * (int64_t)sizeof(float)};
}

/* Prefetches rows [first, first + count) of one head: they lie too far apart for the
 * processor to foresee them. */
static void prefetch_rows(const tile_matrix *m, int64_t first, int64_t count,
                          int64_t width)
{
    for (int64_t i = first; i < first + count; i++)
        for (int64_t b = 0; b < width * (int64_t)sizeof(float); b += 64)
            __builtin_prefetch(m->data + i * m->row_bytes + b, 0, 2);
}

/* Queries [first, first + count) times scale / ln 2, as panels.  The scaled rows
 * pass through the memory of the output, which is not in use yet. */
static void pack_queries(const attention *a, work *w, int64_t head, int64_t first,
                         int64_t count)
{
    tile_matrix q = head_of(&a->args->q, head, a->width);
    vf factor = vf_set(a->args->scale * 1.44269504f);
    for (int64_t i = 0; i < count; i++) {
        prefetch_rows(&q, first + at_most(i + 8, count - 1), 1, a->width);
        const char *from = q.data + (first + i) * q.row_bytes;
        float *to = w->output + i * a->width;
        for (int64_t d = 0; d < a->width; d += VF_WIDTH) {
            vf v = vf_load_part(from + 4 * d, a->width - d);
            vf_store_part(to + d, vf_mul(v, factor), a->width - d);
        }
    }
    tile_matrix scaled = {(const char *)w->output, PF_F32,
                          a->width * (int64_t)sizeof(float)};
    for (int64_t i = 0; i < count; i += TILE_COLUMNS) {
        tile_part part = {i, at_most(TILE_COLUMNS, count - i), 0, a->width};
        tile_pack_columns(&scaled, part, a->form, w->query + i * a->width_steps);
    }
}

static void pack_keys(const attention *a, work *w, key_block block)
{
    tile_matrix k = head_of(&a->args->k, block.head, a->width);
    for (int64_t i = 0; i < block.count; i += TILE_ROWS) {
        tile_part part = {block.first + i, at_most(TILE_ROWS, block.count - i), 0,
                          a->width};
        tile_pack_rows(&k, part, a->form, w->key + i * a->width_steps);
    }
}

/* VF_WIDTH elements of one row of values, or of two as pairs; `lanes` of them are
 * there, `next` is NULL behind the last key. */
VF_INLINE vf value_units(const float *row, const float *next, int64_t lanes, tile_form form)
{
    vf v = lanes >= VF_WIDTH ? vf_load(row) : vf_load_part(row, lanes);
#if VF_BF16_DOT
    if (form == TILE_BF16)
        return vb_float(vb_pair(v, next ? vf_load_part(next, lanes) : vf_zero()));
#endif
    (void)next, (void)form;
    return v;
}

/* The values of a block as [width_rows / R][steps][R], one step at a time.  What
 * is wider than a tile runs over into its next step, which is written later; the
 * last one is cut. */
VF_INLINE void pack_values_as(const attention *a, key_block block, tile_form form,
                              float *out)
{
    tile_matrix v = head_of(&a->args->v, block.head, a->width);
    int64_t depth = tile_depth(form), steps = tile_steps(block.count, form);
    int64_t row_floats = v.row_bytes / (int64_t)sizeof(float);
    const float *row = (const float *)(const void *)v.data + block.first * row_floats;
    for (int64_t s = 0; s < steps; s++, row += depth * row_floats, out += TILE_ROWS) {
        bool paired = form == TILE_BF16 && s * depth + 1 < block.count, last = s + 1 == steps;
        for (int64_t d = 0; d < a->width_rows; d += TILE_ROWS)
            for (int64_t i = 0; i < TILE_ROWS; i += VF_WIDTH) {
                const float *at = row + d + i;
                int64_t lanes = a->width - d - i;
                vf unit = vf_zero();
                if (lanes > 0)
                    unit = value_units(at, paired ? at + row_floats : NULL, lanes, form);
                if (last)
                    vf_store_part(out + d * steps + i, unit, TILE_ROWS - i);
                else
                    vf_store(out + d * steps + i, unit);
            }
    }
}

static void pack_values(const attention *a, work *w, key_block block)
{
    TILE_BY_FORM(a->form, form, pack_values_as(a, block, form, w->value));
}

/* The share of panel `panel` of `panels` of the block that follows. */
static void prefetch_next(const attention *a, key_block block, int64_t panel,
                          int64_t panels)
{
    int64_t first = block.first + block.count;
    int64_t count = at_most(KEY_BLOCK, a->keys - first);
    int64_t begin = count * panel / panels, end = count * (panel + 1) / panels;
    tile_matrix k = head_of(&a->args->k, block.head, a->width);
    tile_matrix v = head_of(&a->args->v, block.head, a->width);
    prefetch_rows(&k, first + begin, end - begin, a->width);
    prefetch_rows(&v, first + begin, end - begin, a->width);
}

/* The bias of a panel of queries as [keys][C]. */
static void pack_bias(const attention *a, work *w, key_block block, int64_t first,
                      int64_t count)
{
    const pf_tensor *bias = &a->args->bias;
    const float *data = (const float *)bias->data + block.head * bias->stride[0];
    if (bias->stride[2] == 1) {
        tile_matrix m = {(const char *)data, PF_F32,
                         bias->stride[1] * (int64_t)sizeof(float)};
        tile_part part = {first, count, block.first, block.count};
        tile_pack_columns(&m, part, false, w->bias);
        return;
    }
    for (int64_t k = 0; k < block.count; k++)
        for (int64_t q = 0; q < TILE_COLUMNS; q++)
            w->bias[k * TILE_COLUMNS + q] =
                q < count ? data[(first + q) * bias->stride[1] +
                                 (block.first + k) * bias->stride[2]]
                          : 0.0f;
}

/* --- one panel of queries against one block of keys ------------------------- */

static void make_scores(const attention *a, work *w, key_block block, int64_t panel)
{
    tile_job job = {
        .b = w->query + panel * TILE_COLUMNS * a->width_steps,
        .steps = a->width_steps, .form = a->form, .columns = TILE_COLUMNS,
    };
    for (int64_t i = 0; i < block.count; i += TILE_ROWS) {
        job.a = w->key + i * a->width_steps;
        job.c = w->score + i * TILE_COLUMNS;
        job.rows = at_most(TILE_ROWS, block.count - i);
        tile_product(&job);
    }
}

static void add_bias(work *w, int64_t keys)
{
    for (int64_t i = 0; i < keys * TILE_COLUMNS; i += VF_WIDTH) {
        vf s = vf_fma(vf_load(w->bias + i), vf_set(1.44269504f), vf_load(w->score + i));
        vf_store(w->score + i, s);
    }
}

static void score_panel(const attention *a, work *w, key_block block, int64_t panel,
                        int64_t first_query)
{
    make_scores(a, w, block, panel);
    if (pf_tensor_is_null(&a->args->bias))
        return;
    int64_t first = first_query + panel * TILE_COLUMNS;
    pack_bias(a, w, block, first, at_most(TILE_COLUMNS, a->queries - first));
    add_bias(w, block.count);
}

/* largest = max(largest, scores) for VF_WIDTH queries. */
VF_INLINE vf largest_score(const float *score, int64_t keys, vf largest)
{
    vf other = largest;             /* two chains */
    int64_t k = 0;
    for (; k + 1 < keys; k += 2) {
        largest = vf_max(largest, vf_load(score + k * TILE_COLUMNS));
        other = vf_max(other, vf_load(score + (k + 1) * TILE_COLUMNS));
    }
    if (k < keys)
        largest = vf_max(largest, vf_load(score + k * TILE_COLUMNS));
    return vf_max(largest, other);
}

static void update_largest(const work *w, int64_t keys, int64_t panel)
{
    for (int j = 0; j < TILE_COLUMNS; j += VF_WIDTH) {
        float *at = w->largest + panel * TILE_COLUMNS + j;
        vf_store(at, largest_score(w->score + j, keys, vf_load(at)));
    }
}

/* Sum and output so far, in terms of a new maximum. */
static void rescale(const attention *a, work *w, int64_t panel, int j, vf factor)
{
    float *sum = w->sum + panel * TILE_COLUMNS + j;
    vf_store(sum, vf_mul(vf_load(sum), factor));
    float *out = w->output + panel * TILE_COLUMNS * a->width_rows + j;
    for (int64_t d = 0; d < a->width; d++, out += TILE_COLUMNS)
        vf_store(out, vf_mul(vf_load(out), factor));
}

/* Finds the maximum with this block, and rescales when it has grown. */
static void raise_largest(const attention *a, work *w, key_block block, int64_t panel)
{
    for (int j = 0; j < TILE_COLUMNS; j += VF_WIDTH) {
        float *at = w->largest + panel * TILE_COLUMNS + j;
        vf before = vf_load(at);
        vf now = largest_score(w->score + j, block.count, before);
        vf_store(at, now);
        if (block.first > 0 && vm_any(vf_less(before, now)))
            rescale(a, w, panel, j, vf_exp2(vf_sub(before, now)));
    }
}

/* Scores become probabilities, in place and as units, and are summed. */
VF_INLINE vf probabilities_f32(float *score, int64_t keys, vf largest, bool round)
{
    vf sum = vf_zero();
    for (int64_t k = 0; k < keys; k++, score += TILE_COLUMNS) {
        vf p = vf_exp2(vf_sub(vf_load(score), largest));
        sum = vf_add(sum, p);
        vf_store(score, round ? vf_round_bf16(p) : p);
    }
    return sum;
}

#if VF_BF16_DOT
/* Pair i replaces row i, which has been read. */
VF_INLINE vf probabilities_pairs(float *score, int64_t keys, vf largest)
{
    vf sum = vf_zero();
    float *pair = score;
    for (int64_t k = 0; k < keys; k += 2, pair += TILE_COLUMNS) {
        const float *row = score + k * TILE_COLUMNS;
        vf even = vf_exp2_rough(vf_sub(vf_load(row), largest));
        vf odd = vf_zero();
        if (k + 1 < keys)
            odd = vf_exp2_rough(vf_sub(vf_load(row + TILE_COLUMNS), largest));
        sum = vf_add(sum, vf_add(even, odd));
        vb_store(pair, vb_pair(even, odd));
    }
    return sum;
}
#endif

static void make_probabilities(const attention *a, work *w, int64_t keys, int64_t panel)
{
    for (int j = 0; j < TILE_COLUMNS; j += VF_WIDTH) {
        vf largest = vf_load(w->largest + panel * TILE_COLUMNS + j), sum;
#if VF_BF16_DOT
        if (a->form == TILE_BF16)
            sum = probabilities_pairs(w->score + j, keys, largest);
        else
#endif
            sum = probabilities_f32(w->score + j, keys, largest, a->round);
        float *at = w->sum + panel * TILE_COLUMNS + j;
        vf_store(at, vf_add(vf_load(at), sum));
    }
}

static void add_values(const attention *a, work *w, key_block block, int64_t panel)
{
    tile_job job = {
        .b = w->score, .steps = tile_steps(block.count, a->form),
        .accumulate = block.first > 0, .form = a->form, .columns = TILE_COLUMNS,
    };
    float *output = w->output + panel * TILE_COLUMNS * a->width_rows;
    for (int64_t d = 0; d < a->width; d += TILE_ROWS) {
        job.a = w->value + d * job.steps;
        job.c = output + d * TILE_COLUMNS;
        job.rows = at_most(TILE_ROWS, a->width - d);
        tile_product(&job);
    }
}

/* --- the end ---------------------------------------------------------------- */

/* Queries [0, count) and elements d .. of the output of a panel, turned. */
static void store_square(const attention *a, const float *output, vf sum, int64_t d,
                         float *out, int64_t count)
{
    vf square[VF_WIDTH];
    VF_UNROLL
    for (int i = 0; i < VF_WIDTH; i++) {
        vf v = vf_zero();
        if (d + i < a->width)
            v = vf_div(vf_load(output + (d + i) * TILE_COLUMNS), sum);
        square[i] = a->round ? vf_round_bf16(v) : v;
    }
    vf_transpose(square);
    VF_UNROLL
    for (int i = 0; i < VF_WIDTH; i++)
        if (i < count)
            vf_store_part(out + i * a->args->out.stride[0] + d, square[i],
                          a->width - d);
}

static void store_output(const attention *a, const work *w, int64_t head,
                         int64_t first, int64_t count)
{
    float *out = a->args->out.data;
    for (int64_t i = 0; i < count; i += VF_WIDTH) {
        int64_t panel = i / TILE_COLUMNS, j = i % TILE_COLUMNS;
        const float *output = w->output + panel * TILE_COLUMNS * a->width_rows + j;
        vf sum = vf_load(w->sum + i);
        for (int64_t d = 0; d < a->width; d += VF_WIDTH)
            store_square(a, output, sum, d,
                         out + (first + i) * a->args->out.stride[0] + head * a->width,
                         count - i);
    }
}

/* --- tasks ------------------------------------------------------------------ */

static key_block block_at(const attention *a, int64_t head, int64_t first)
{
    return (key_block){head, first, at_most(KEY_BLOCK, a->keys - first)};
}

/* With round_bf16: the maximum over all keys before anything else. */
static void find_largest(const attention *a, work *w, int64_t head, int64_t first,
                         int64_t panels)
{
    for (int64_t k = 0; k < a->keys; k += KEY_BLOCK) {
        key_block block = block_at(a, head, k);
        pack_keys(a, w, block);
        for (int64_t panel = 0; panel < panels; panel++) {
            score_panel(a, w, block, panel, first);
            update_largest(w, block.count, panel);
        }
    }
}

static void run_task(const attention *a, work *w, int64_t task)
{
    int64_t head = task / a->query_tasks;
    int64_t first = task % a->query_tasks * a->task_queries;
    int64_t count = at_most(a->task_queries, a->queries - first);
    int64_t panels = blocks_of(count, TILE_COLUMNS);
    pack_queries(a, w, head, first, count);
    for (int64_t i = 0; i < panels * TILE_COLUMNS; i++) {
        w->largest[i] = -FLT_MAX;
        w->sum[i] = 0.0f;
    }
    if (a->round && a->keys > KEY_BLOCK)
        find_largest(a, w, head, first, panels);
    for (int64_t k = 0; k < a->keys; k += KEY_BLOCK) {
        key_block block = block_at(a, head, k);
        pack_keys(a, w, block);
        pack_values(a, w, block);
        for (int64_t panel = 0; panel < panels; panel++) {
            score_panel(a, w, block, panel, first);
            raise_largest(a, w, block, panel);
            make_probabilities(a, w, block.count, panel);
            add_values(a, w, block, panel);
            prefetch_next(a, block, panel, panels);
        }
    }
    store_output(a, w, head, first, count);
}

static void run_tasks(void *argument, int64_t begin, int64_t end, int worker)
{
    const attention *a = argument;
    work w;
    lay_out(a, pf_cpu_scratch_worker(a->platform, worker), &w);
    for (int64_t task = begin; task < end; task++)
        run_task(a, &w, task);
}

/* Equal blocks of queries, as many as fit QUERY_BYTES; fewer when there would not
 * be enough tasks for many workers. */
static void choose_tasks(attention *a)
{
    int64_t floats = TILE_COLUMNS * (a->width_steps + a->width_rows);
    int64_t panels = QUERY_BYTES / (floats * (int64_t)sizeof(float));
    int64_t all = blocks_of(a->queries, TILE_COLUMNS);
    panels = at_most(panels > 1 ? panels : 1, all);
    while (panels > 4 && a->args->heads * blocks_of(all, panels) < ENOUGH_TASKS)
        panels = (panels + 1) / 2;
    panels = blocks_of(all, blocks_of(all, panels));
    a->task_queries = panels * TILE_COLUMNS;
    a->query_tasks = blocks_of(all, panels);
}

static pf_status attend_group(pf_platform *platform, const pf_attention_args *args,
                              pf_error *error)
{
    attention a = {
        .args = args,
        .platform = platform,
        .form = args->numerics.round_bf16 ? TILE_F32
                                          : tile_form_of(args->numerics.multiply),
        .round = args->numerics.round_bf16,
        .queries = args->q.shape[0],
        .keys = args->k.shape[0],
        .width = args->q.shape[1] / args->heads,
    };
    if (a.queries == 0)
        return PF_OK;
    a.width_steps = tile_steps(a.width, a.form);
    a.width_rows = tile_round_up(a.width, TILE_ROWS);
    choose_tasks(&a);
    work layout;
    int64_t bytes = lay_out(&a, NULL, &layout) * (int64_t)sizeof(float);
    PF_TRY(pf_cpu_scratch_reserve(platform, 0, bytes, error));
    pf_pool_for(platform->pool, args->heads * a.query_tasks, 1, run_tasks, &a);
    return PF_OK;
}

/* Rows of group `group` of the `groups` that `rows` has. */
static pf_tensor rows_of(const pf_tensor *rows, int64_t group, int64_t groups)
{
    int64_t count = rows->shape[0] / groups;
    return pf_tensor_slice(*rows, 0, group * count, count);
}

pf_status PF_CPU(attention)(pf_platform *platform, const pf_attention_args *args,
                            pf_error *error)
{
    int64_t groups = args->groups > 0 ? args->groups : 1;
    for (int64_t i = 0; i < groups; i++) {
        pf_attention_args one = *args;
        one.q = rows_of(&args->q, i, groups);
        one.k = rows_of(&args->k, i, groups);
        one.v = rows_of(&args->v, i, groups);
        one.out = rows_of(&args->out, i, groups);
        PF_TRY(attend_group(platform, &one, error));
    }
    return PF_OK;
}
