/* SPDX-License-Identifier: Apache-2.0 */
/* The cuts of every slot.  See cuts.h. */
#include "cuts.h"

/* Keeps the share's entries of an axis, where the tensor is there. */
static void keep(pf_tensor *tensor, int axis, pf_share share)
{
    if (!pf_tensor_is_null(tensor))
        *tensor = pf_tensor_slice(*tensor, axis, share.first, share.count);
}

static void keep_rows(pf_tensor *tensor, pf_share share)
{
    keep(tensor, 0, share);
}

/* Columns of the share's heads, where a head has `width` of them. */
static void keep_heads(pf_tensor *tensor, int64_t width, pf_share share)
{
    keep(tensor, 1, (pf_share){share.first * width, share.count * width});
}

/* Rows of the share's groups. */
static void keep_groups(pf_tensor *tensor, int groups, pf_share share)
{
    int64_t rows = tensor->shape[0] / groups;
    keep_rows(tensor, (pf_share){share.first * rows, share.count * rows});
}

/* --- linear ------------------------------------------------------------------- */

static int64_t linear_rows(const kernel_args *whole)
{
    int64_t rows = whole->linear.x.shape[0];
    return rows > PF_FEW_ROWS ? rows : 0;
}

static void narrow_linear(kernel_args *part, pf_share share)
{
    pf_linear_args *a = &part->linear;
    a->shard = true;
    keep_rows(&a->x, share);
    keep_rows(&a->mul, share);
    keep_rows(&a->residual, share);
    keep_rows(&a->y, share);
}

const kernel_cuts cuts_linear = {{{"rows", linear_rows, narrow_linear}}, NULL};

/* --- attention ----------------------------------------------------------------- */

static int64_t attention_heads(const kernel_args *whole)
{
    return whole->attention.heads;
}

static void narrow_attention_heads(kernel_args *part, pf_share share)
{
    pf_attention_args *a = &part->attention;
    int64_t width = a->q.shape[1] / a->heads;
    a->heads = (int)share.count;
    keep_heads(&a->q, width, share);
    keep_heads(&a->k, width, share);
    keep_heads(&a->v, width, share);
    keep_heads(&a->out, width, share);
    keep(&a->bias, 0, share);
}

static int64_t attention_queries(const kernel_args *whole)
{
    return whole->attention.groups > 1 ? 0 : whole->attention.q.shape[0];
}

static void narrow_attention_queries(kernel_args *part, pf_share share)
{
    pf_attention_args *a = &part->attention;
    keep_rows(&a->q, share);
    keep_rows(&a->out, share);
    keep(&a->bias, 1, share);
}

static int64_t attention_groups(const kernel_args *whole)
{
    return whole->attention.groups;
}

static void narrow_attention_groups(kernel_args *part, pf_share share)
{
    pf_attention_args *a = &part->attention;
    keep_groups(&a->q, a->groups, share);
    keep_groups(&a->k, a->groups, share);
    keep_groups(&a->v, a->groups, share);
    keep_groups(&a->out, a->groups, share);
    a->groups = (int)share.count;
}

const kernel_cuts cuts_attention = {{
    {"heads", attention_heads, narrow_attention_heads},
    {"queries", attention_queries, narrow_attention_queries},
    {"groups", attention_groups, narrow_attention_groups},
}, NULL};

/* --- rows ------------------------------------------------------------------------ */

static int64_t norm_rows(const kernel_args *whole)
{
    return whole->norm.x.shape[0];
}

static void narrow_norm(kernel_args *part, pf_share share)
{
    pf_norm_args *a = &part->norm;
    keep_rows(&a->x, share);
    keep_rows(&a->plus, share);
    keep_rows(&a->sum, share);
    keep_rows(&a->y, share);
    if (a->shift.rank == 2) {
        keep_rows(&a->shift, share);
        keep_rows(&a->factor, share);
    }
}

const kernel_cuts cuts_norm = {{{"rows", norm_rows, narrow_norm}}, NULL};

static int64_t rope_heads(const kernel_args *whole)
{
    return whole->rope.heads;
}

static void narrow_rope_heads(kernel_args *part, pf_share share)
{
    pf_rope_args *a = &part->rope;
    int64_t width = a->x.shape[1] / a->heads;
    keep_heads(&a->x, width, share);
    a->heads = (int)share.count;
}

/* Rows that share an entry of the table stay together, and so does each round of it. */
static int64_t rope_positions(const kernel_args *whole)
{
    const pf_rope_table *table = &whole->rope.table;
    int64_t positions = table->cos.shape[0];
    return whole->rope.x.shape[0] == positions * table->rows_per_position ? positions : 0;
}

static void narrow_rope_positions(kernel_args *part, pf_share share)
{
    pf_rope_args *a = &part->rope;
    int64_t rows = a->table.rows_per_position;
    keep_rows(&a->table.cos, share);
    keep_rows(&a->table.sin, share);
    keep_rows(&a->x, (pf_share){share.first * rows, share.count * rows});
}

const kernel_cuts cuts_rope = {{
    {"heads", rope_heads, narrow_rope_heads},
    {"positions", rope_positions, narrow_rope_positions},
}, NULL};

static int64_t embedding_ids(const kernel_args *whole)
{
    return whole->embedding.ids.shape[0];
}

static void narrow_embedding(kernel_args *part, pf_share share)
{
    keep_rows(&part->embedding.ids, share);
    keep_rows(&part->embedding.y, share);
}

const kernel_cuts cuts_embedding = {{{"ids", embedding_ids, narrow_embedding}}, NULL};

const kernel_cuts cuts_lerp_rows = {
    .whole = "a row's place depends on the number of rows of x and of y"};

/* --- feature maps ------------------------------------------------------------------ */

/* Entries of one axis of x that the windows of y's entries [first, first + count) see; the
 * front padding follows.  docs/model/video-vae.md: a band of rows with its halo. */
static void narrow_windows(pf_conv_args *a, int axis, pf_share share)
{
    int i = axis - 1;
    int64_t extent = a->x.shape[axis], reach = a->weight->source.values.shape[axis + 1] - 1;
    int64_t begin = share.first * a->stride[i] - a->pad_front[i];
    int64_t end = begin + (share.count - 1) * a->stride[i] + reach * a->dilation[i] + 1;
    int64_t first = begin > 0 ? begin : 0;
    int64_t last = end < extent ? end : extent;
    if (last <= first)                  /* padding alone: any entry serves */
        last = first + 1;
    keep(&a->x, axis, (pf_share){first, last - first});
    a->pad_front[i] = (int)(first - begin);
    keep(&a->y, axis, share);
    keep(&a->residual, axis, share);
}

/* 0 where the last window begins behind the last entry of x, which no slice can say. */
static int64_t windows(const pf_conv_args *a, int axis)
{
    int i = axis - 1;
    int64_t last = (a->y.shape[axis] - 1) * a->stride[i] - a->pad_front[i];
    return last < a->x.shape[axis] ? a->y.shape[axis] : 0;
}

static int64_t conv_frames(const kernel_args *whole)
{
    return windows(&whole->conv, 1);
}

static void narrow_conv_frames(kernel_args *part, pf_share share)
{
    narrow_windows(&part->conv, 1, share);
}

static int64_t conv_bands(const kernel_args *whole)
{
    return windows(&whole->conv, 2);
}

static void narrow_conv_bands(kernel_args *part, pf_share share)
{
    narrow_windows(&part->conv, 2, share);
}

const kernel_cuts cuts_conv = {{
    {"frames", conv_frames, narrow_conv_frames},
    {"bands", conv_bands, narrow_conv_bands},
}, NULL};

static int64_t transposed_positions(const kernel_args *whole)
{
    return whole->conv_transposed.y.shape[3];
}

static void narrow_transposed(kernel_args *part, pf_share share)
{
    keep(&part->conv_transposed.y, 3, share);
    part->conv_transposed.pad += (int)share.first;
}

const kernel_cuts cuts_conv_transposed = {
    {{"positions", transposed_positions, narrow_transposed}}, NULL};

static int64_t channel_norm_bands(const kernel_args *whole)
{
    return whole->channel_norm.x.shape[2];
}

static void narrow_channel_norm(kernel_args *part, pf_share share)
{
    keep(&part->channel_norm.x, 2, share);
    keep(&part->channel_norm.y, 2, share);
}

const kernel_cuts cuts_channel_norm = {
    {{"bands", channel_norm_bands, narrow_channel_norm}}, NULL};

static int64_t snake_positions(const kernel_args *whole)
{
    return whole->snake.x.shape[1] * whole->snake.x.shape[2] == 1 ? whole->snake.x.shape[3]
                                                                  : 0;
}

static void narrow_snake(kernel_args *part, pf_share share)
{
    keep(&part->snake.x, 3, share);
    keep(&part->snake.y, 3, share);
}

const kernel_cuts cuts_snake = {{{"positions", snake_positions, narrow_snake}}, NULL};

static int64_t upsample_bands(const kernel_args *whole)
{
    return whole->upsample.x.shape[2];
}

static void narrow_upsample(kernel_args *part, pf_share share)
{
    keep(&part->upsample.x, 2, share);
    keep(&part->upsample.y, 2, (pf_share){2 * share.first, 2 * share.count});
}

const kernel_cuts cuts_upsample = {{{"bands", upsample_bands, narrow_upsample}}, NULL};

/* --- elements ---------------------------------------------------------------------- */

static int64_t entries(const pf_tensor *tensor)
{
    return tensor->rank > 0 ? tensor->shape[0] : 0;
}

static int64_t unary_entries(const kernel_args *whole)
{
    return entries(&whole->unary.x);
}

static void narrow_unary(kernel_args *part, pf_share share)
{
    keep_rows(&part->unary.x, share);
    keep_rows(&part->unary.y, share);
}

const kernel_cuts cuts_unary = {{{"entries", unary_entries, narrow_unary}}, NULL};

static int64_t add_entries(const kernel_args *whole)
{
    return entries(&whole->add.y);
}

static void narrow_add(kernel_args *part, pf_share share)
{
    keep_rows(&part->add.a, share);
    keep_rows(&part->add.b, share);
    keep_rows(&part->add.y, share);
}

const kernel_cuts cuts_add = {{{"entries", add_entries, narrow_add}}, NULL};

static int64_t copy_entries(const kernel_args *whole)
{
    return entries(&whole->copy.from);
}

static void narrow_copy(kernel_args *part, pf_share share)
{
    keep_rows(&part->copy.from, share);
    keep_rows(&part->copy.to, share);
}

const kernel_cuts cuts_copy = {{{"entries", copy_entries, narrow_copy}}, NULL};

static int64_t fill_entries(const kernel_args *whole)
{
    return entries(&whole->fill.y);
}

static void narrow_fill(kernel_args *part, pf_share share)
{
    keep_rows(&part->fill.y, share);
}

const kernel_cuts cuts_fill = {{{"entries", fill_entries, narrow_fill}}, NULL};

/* --- the sampler ------------------------------------------------------------------- */

const kernel_cuts cuts_guidance = {
    .whole = "rescaling divides by the deviation of all values; every rank has them all"};

static int64_t step_values(const kernel_args *whole)
{
    return entries(&whole->step.x);
}

static void narrow_step(kernel_args *part, pf_share share)
{
    keep_rows(&part->step.x, share);
    keep_rows(&part->step.v, share);
}

const kernel_cuts cuts_step = {{{"values", step_values, narrow_step}}, NULL};

/* --- layers ------------------------------------------------------------------------ */

/* A table would have to be cut with the rows. */
static int64_t project_rows(const kernel_args *whole)
{
    const pf_project_args *a = &whole->project;
    bool is_cut = a->x.shape[0] > PF_FEW_ROWS && pf_tensor_is_null(&a->by.table.cos);
    return is_cut ? a->x.shape[0] : 0;
}

static void narrow_project(kernel_args *part, pf_share share)
{
    pf_project_args *a = &part->project;
    a->shard = true;
    keep_rows(&a->x, share);
    keep_rows(&a->y, share);
}

const kernel_cuts cuts_project = {{{"rows", project_rows, narrow_project}}, NULL};

/* Queries of a layer that attends to other rows than its own: keys stay whole. */
static int64_t attend_queries(const kernel_args *whole)
{
    const pf_attend_args *a = &whole->attend;
    bool looks_at_itself = a->condition.data == a->x.data;
    bool is_cut = !looks_at_itself && a->groups <= 1 && a->x.shape[0] > PF_FEW_ROWS &&
                  pf_tensor_is_null(&a->q.table.cos);
    return is_cut ? a->x.shape[0] : 0;
}

static void narrow_attend(kernel_args *part, pf_share share)
{
    pf_attend_args *a = &part->attend;
    a->shard = true;
    keep_rows(&a->x, share);
    keep(&a->bias, 1, share);
    keep_rows(&a->residual, share);
    keep_rows(&a->y, share);
}

const kernel_cuts cuts_attend = {{{"queries", attend_queries, narrow_attend}}, NULL};

static int64_t feed_forward_rows(const kernel_args *whole)
{
    int64_t rows = whole->feed_forward.x.shape[0];
    return rows > PF_FEW_ROWS ? rows : 0;
}

static void narrow_feed_forward(kernel_args *part, pf_share share)
{
    pf_feed_forward_args *a = &part->feed_forward;
    a->shard = true;
    keep_rows(&a->x, share);
    keep_rows(&a->residual, share);
    keep_rows(&a->y, share);
}

const kernel_cuts cuts_feed_forward = {
    {{"rows", feed_forward_rows, narrow_feed_forward}}, NULL};
