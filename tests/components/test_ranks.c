/* SPDX-License-Identifier: Apache-2.0 */
/* A self-attention layer that several ranks share gives the bits of one rank, whatever their
 * number: rows are cut for projections, heads for attention, uneven and without padding.
 *
 *     own rows: q, k, v --exchange--> own heads: attention --exchange--> own rows: output
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "platform/group/local.h"
#include "platform/platform.h"

enum { ROWS = 37, HEADS = 5, WIDTH = 24, DIM = HEADS * WIDTH, MOST = 9 };

/* --- the layer -------------------------------------------------------------------- */

static float x[ROWS * DIM], residual[ROWS * DIM], whole[ROWS * DIM], shared[ROWS * DIM];
static float weights[4][DIM * DIM], biases[4][DIM], norms[2][DIM];
static float cosines[ROWS * WIDTH / 2], sines[ROWS * WIDTH / 2];
static pf_numerics numerics;

/* Numbers in (-scale, scale) that look random. */
static void fill(float *out, int64_t count, float scale)
{
    static uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        out[i] = scale * ((float)(state >> 8) / 8388608.0f - 1.0f);
    }
}

static int fill_layer(void **unused)
{
    (void)unused;
    fill(x, ROWS * DIM, 1.0f);
    fill(residual, ROWS * DIM, 1.0f);
    for (int i = 0; i < 4; i++) {
        fill(weights[i], DIM * DIM, 0.2f);
        fill(biases[i], DIM, 0.1f);
    }
    fill(norms[0], DIM, 2.0f);
    fill(norms[1], DIM, 2.0f);
    for (int i = 0; i < ROWS * WIDTH / 2; i++) {
        cosines[i] = cosf(0.37f * (float)i);
        sines[i] = sinf(0.37f * (float)i);
    }
    return 0;
}

/* --- one rank's part ---------------------------------------------------------------- */

typedef struct rank {
    pf_platform *platform;
    pf_weight weight[4];
    pf_group *group;
    pf_share rows, heads;
    float q[ROWS * DIM], k[ROWS * DIM], v[ROWS * DIM];      /* [own rows, DIM] */
    float all[3][ROWS * DIM];                               /* [ROWS, own heads] */
    float attended[ROWS * DIM];                             /* [ROWS, own heads] */
    float back[ROWS * DIM];                                 /* [own rows, DIM] */
    float out[3 * ROWS * DIM], in[3 * ROWS * DIM];          /* of an exchange */
    pf_error error;
} rank;

static pf_status open_rank(rank *r, const char *isa)
{
    PF_TRY(pf_platform_open(&(pf_platform_options){.name = "cpu", .isa = isa, .threads = 1},
                            &r->platform, &r->error));
    for (int i = 0; i < 4; i++) {
        const pf_weight_source source = {
            .kind = PF_WEIGHT_LINEAR, .values = pf_matrix(weights[i], PF_F32, DIM, DIM)};
        PF_TRY(r->platform->table.weight_fill(r->platform, &source, numerics.multiply, NULL,
                                              &r->weight[i], &r->error));
    }
    return PF_OK;
}

static void close_rank(rank *r)
{
    for (int i = 0; i < 4; i++)
        r->platform->table.weight_release(r->platform, &r->weight[i]);
    pf_platform_close(r->platform);
}

static pf_tensor rows_of(float *data, pf_share rows)
{
    return pf_matrix(data + rows.first * DIM, PF_F32, rows.count, DIM);
}

static pf_status project(rank *r, int which, float *out)
{
    pf_projection by = {.weight = &r->weight[which],
                        .bias = pf_vector(biases[which], PF_F32, DIM)};
    if (which < 2) {
        by.norm = pf_vector(norms[which], PF_F32, DIM);
        by.table = (pf_rope_table){
            pf_matrix(cosines + r->rows.first * WIDTH / 2, PF_F32, r->rows.count, WIDTH / 2),
            pf_matrix(sines + r->rows.first * WIDTH / 2, PF_F32, r->rows.count, WIDTH / 2),
            1};
    }
    return r->platform->table.project(r->platform, &(pf_project_args){
        .numerics = numerics, .shard = true, .x = rows_of(x, r->rows), .by = by,
        .epsilon = 1e-6f, .form = PF_ROPE_INTERLEAVED, .heads = HEADS,
        .y = pf_matrix(out, PF_F32, r->rows.count, DIM)}, &r->error);
}

static void copy_block(float *to, int64_t to_stride, const float *from, int64_t from_stride,
                       int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        memcpy(to + i * to_stride, from + i * from_stride,
               (size_t)columns * sizeof(float));
}

/* The span behind `at` floats, for so many. */
static pf_span span_of(int64_t *at, int64_t floats)
{
    pf_span span = {*at * (int64_t)sizeof(float), floats * (int64_t)sizeof(float)};
    *at += floats;
    return span;
}

/* q, k, v of own rows and all heads -> those of all rows and own heads. */
static pf_status rows_to_heads(rank *r)
{
    const float *own[3] = {r->q, r->k, r->v};
    pf_span to[MOST], from[MOST];
    int64_t sent = 0, received = 0, columns = r->heads.count * WIDTH;
    for (int other = 0; other < r->group->size; other++) {
        pf_share heads = pf_share_of(other, r->group->size, HEADS);
        int64_t theirs = heads.count * WIDTH, rows = r->rows.count;
        for (int i = 0; i < 3; i++)
            copy_block(r->out + sent + i * rows * theirs, theirs,
                       own[i] + heads.first * WIDTH, DIM, rows, theirs);
        to[other] = span_of(&sent, 3 * rows * theirs);
        rows = pf_share_of(other, r->group->size, ROWS).count;
        from[other] = span_of(&received, 3 * rows * columns);
    }
    PF_TRY(pf_group_all_to_all(r->group, &(pf_exchange){r->out, to, r->in, from},
                               &r->error));
    for (int other = 0; other < r->group->size; other++) {
        pf_share rows = pf_share_of(other, r->group->size, ROWS);
        const float *piece = r->in + from[other].offset / (int64_t)sizeof(float);
        for (int i = 0; i < 3; i++)
            copy_block(r->all[i] + rows.first * columns, columns,
                       piece + i * rows.count * columns, columns, rows.count, columns);
    }
    return PF_OK;
}

/* Results of own heads for all rows -> all heads of own rows. */
static pf_status heads_to_rows(rank *r)
{
    pf_span to[MOST], from[MOST];
    int64_t sent = 0, received = 0, columns = r->heads.count * WIDTH;
    for (int other = 0; other < r->group->size; other++) {
        int64_t rows = pf_share_of(other, r->group->size, ROWS).count;
        to[other] = span_of(&sent, rows * columns);
        int64_t theirs = pf_share_of(other, r->group->size, HEADS).count * WIDTH;
        from[other] = span_of(&received, r->rows.count * theirs);
    }
    PF_TRY(pf_group_all_to_all(r->group, &(pf_exchange){r->attended, to, r->in, from},
                               &r->error));
    for (int other = 0; other < r->group->size; other++) {
        pf_share heads = pf_share_of(other, r->group->size, HEADS);
        copy_block(r->back + heads.first * WIDTH, DIM,
                   r->in + from[other].offset / (int64_t)sizeof(float), heads.count * WIDTH,
                   r->rows.count, heads.count * WIDTH);
    }
    return PF_OK;
}

static pf_status attend(rank *r)
{
    int64_t columns = r->heads.count * WIDTH;
    if (columns == 0)
        return PF_OK;
    return r->platform->table.attention(r->platform, &(pf_attention_args){
        .numerics = numerics, .heads = (int)r->heads.count,
        .q = pf_matrix(r->all[0], PF_F32, ROWS, columns),
        .k = pf_matrix(r->all[1], PF_F32, ROWS, columns),
        .v = pf_matrix(r->all[2], PF_F32, ROWS, columns),
        .scale = 1.0f / sqrtf((float)WIDTH),
        .out = pf_matrix(r->attended, PF_F32, ROWS, columns)}, &r->error);
}

static pf_status run_rank(rank *r, float *y)
{
    r->rows = pf_share_of(r->group->rank, r->group->size, ROWS);
    r->heads = pf_share_of(r->group->rank, r->group->size, HEADS);
    PF_TRY(project(r, 0, r->q));
    PF_TRY(project(r, 1, r->k));
    PF_TRY(project(r, 2, r->v));
    PF_TRY(rows_to_heads(r));
    PF_TRY(attend(r));
    PF_TRY(heads_to_rows(r));
    return r->platform->table.linear(r->platform, &(pf_linear_args){
        .numerics = numerics, .shard = true,
        .x = pf_matrix(r->back, PF_F32, r->rows.count, DIM), .weight = &r->weight[3],
        .bias = pf_vector(biases[3], PF_F32, DIM), .residual = rows_of(residual, r->rows),
        .y = rows_of(y, r->rows)}, &r->error);
}

/* --- all ranks ----------------------------------------------------------------------- */

typedef struct member {
    pthread_t thread;
    rank rank;
    pf_status status;
} member;

static member members[MOST];

static void *run_member(void *argument)
{
    member *m = argument;
    m->status = run_rank(&m->rank, shared);
    if (m->status != PF_OK)
        pf_group_abort(m->rank.group, m->rank.error.message);
    return NULL;
}

static void run_ranks(int size, const char *isa)
{
    pf_hub *hub;
    assert_int_equal(pf_hub_create(size, 60.0, &hub, NULL), PF_OK);
    memset(shared, 0xFF, sizeof shared);
    for (int i = 0; i < size; i++) {
        assert_int_equal(open_rank(&members[i].rank, isa), PF_OK);
        assert_int_equal(pf_hub_join(hub, i, &members[i].rank.group, NULL), PF_OK);
        assert_int_equal(pthread_create(&members[i].thread, NULL, run_member, &members[i]),
                         0);
    }
    for (int i = 0; i < size; i++) {
        pthread_join(members[i].thread, NULL);
        if (members[i].status != PF_OK)
            fail_msg("rank %d of %d: %s", i, size, members[i].rank.error.message);
        pf_group_close(members[i].rank.group);
        close_rank(&members[i].rank);
    }
    pf_hub_destroy(hub);
}

/* A rank alone: the slot of the whole layer. */
static void run_whole(const char *isa)
{
    rank *r = &members[0].rank;
    const pf_share all = {0, ROWS};
    pf_projection by[4];
    static char memory[1 << 20];
    assert_int_equal(open_rank(r, isa), PF_OK);
    for (int i = 0; i < 4; i++)
        by[i] = (pf_projection){.weight = &r->weight[i],
                                .bias = pf_vector(biases[i], PF_F32, DIM)};
    by[0].norm = pf_vector(norms[0], PF_F32, DIM);
    by[1].norm = pf_vector(norms[1], PF_F32, DIM);
    by[0].table = by[1].table = (pf_rope_table){
        pf_matrix(cosines, PF_F32, ROWS, WIDTH / 2),
        pf_matrix(sines, PF_F32, ROWS, WIDTH / 2), 1};
    pf_attend_args args = {
        .numerics = numerics, .x = rows_of(x, all), .condition = rows_of(x, all),
        .q = by[0], .k = by[1], .v = by[2], .out = by[3], .epsilon = 1e-6f,
        .form = PF_ROPE_INTERLEAVED, .heads = HEADS, .groups = 1,
        .scale = 1.0f / sqrtf((float)WIDTH), .residual = rows_of(residual, all),
        .y = rows_of(whole, all), .scratch = {memory, sizeof memory}};
    assert_in_range(r->platform->table.scratch_bytes(r->platform, PF_KERNEL_attend, &args), 1,
                    sizeof memory);
    assert_int_equal(r->platform->table.attend(r->platform, &args, &r->error), PF_OK);
    close_rank(r);
}

/* Sizes beyond HEADS leave ranks without heads. */
static void expect_bits_of_one(const char *isa)
{
    pf_platform *platform;
    if (pf_platform_open(&(pf_platform_options){.name = "cpu", .isa = isa}, &platform, NULL))
        return;                         /* not this machine's */
    pf_platform_close(platform);
    for (int mode = 0; mode < 4; mode++) {
        numerics = (pf_numerics){mode % 2 ? PF_MULTIPLY_BF16 : PF_MULTIPLY_F32, mode >= 2};
        run_whole(isa);
        for (int size = 1; size <= MOST; size++) {
            run_ranks(size, isa);
            assert_memory_equal(shared, whole, sizeof whole);
        }
    }
}

static void every_size_gives_the_bits_of_one(void **unused)
{
    (void)unused;
    static const char *const sets[] = {"scalar", "avx2", "avx512", "avx512bf16", "neon"};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        expect_bits_of_one(sets[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_gives_the_bits_of_one),
    };
    return cmocka_run_group_tests(tests, fill_layer, NULL);
}
