/* SPDX-License-Identifier: Apache-2.0 */
/* A device (platform/common/device.h) over a fake driver: memory that is used again, copies
 * in order, recordings beside one another, and whatever fails leaves nothing behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fake_driver.h"
#include "platform/common/device.h"
#include "platform/common/forecast.h"

enum { VALUES = 16, BYTES = VALUES * (int)sizeof(float) };

typedef struct world {
    fake_device *fake;
    pf_device device;
    pf_tally tally;
    pf_error error;
} world;

static pf_status open_world(world *w)
{
    *w = (world){.fake = calloc(1, sizeof *w->fake)};
    return pf_device_open(&w->device, &fake_driver, w->fake, &w->tally, false, &w->error);
}

static void close_world(world *w)
{
    pf_device_close(&w->device);
    assert_true(fake_is_empty(w->fake));
    free(w->fake);
}

static pf_device *begin(world *w)
{
    assert_int_equal(open_world(w), PF_OK);
    assert_int_equal(pf_device_enter(&w->device, &w->error), PF_OK);
    return &w->device;
}

static float *new_block(pf_device *d)
{
    void *memory;
    assert_int_equal(pf_device_allocate(d, BYTES, &memory), PF_OK);
    return memory;
}

static pf_status send(pf_device *d, float *to, float first)
{
    float values[VALUES];
    for (int i = 0; i < VALUES; i++)
        values[i] = first + (float)i;
    return pf_device_upload(d, to, PF_F32, values, PF_F32, VALUES);
}

/* --- memory ------------------------------------------------------------------------ */

static void test_blocks_are_used_again(void **state)
{
    world w;
    void *a, *b, *c;
    pf_device *d = begin(&w);
    (void)state;
    int before = w.fake->allocations;
    assert_int_equal(pf_device_allocate(d, 1000, &a), PF_OK);
    pf_device_release(d, a);
    assert_int_equal(pf_device_allocate(d, 1001, &b), PF_OK);
    assert_ptr_not_equal(a, b);
    assert_int_equal(pf_device_allocate(d, 1000, &c), PF_OK);
    assert_ptr_equal(a, c);
    assert_int_equal(w.fake->allocations - before, 2);
    pf_device_release(d, NULL);
    close_world(&w);
}

static void test_memory_that_is_short(void **state)
{
    world w;
    void *a, *b;
    pf_device *d = begin(&w);
    int64_t left;
    (void)state;
    w.fake->limit = 10000;
    assert_int_equal(pf_device_allocate(d, 6000, &a), PF_OK);
    assert_int_equal(send(d, a, 1.0f), PF_OK);      /* still queued when it goes */
    pf_device_release(d, a);
    assert_int_equal(pf_device_free_bytes(d, &left), PF_OK);
    assert_int_equal(left, 10000);
    assert_int_equal(pf_device_allocate(d, 7000, &b), PF_OK);
    assert_int_equal(w.fake->used, 7000);
    assert_int_equal(pf_device_allocate(d, 6000, &a), PF_E_MEMORY);
    assert_non_null(strstr(w.error.message, "3000 bytes left, but 6000"));
    pf_device_release(d, b);
    assert_int_equal(pf_device_allocate(d, 6000, &a), PF_OK);
    close_world(&w);
}

static void test_scratch(void **state)
{
    world w;
    void *a, *b, *c, *large;
    pf_device *d = begin(&w);
    (void)state;
    assert_int_equal(pf_device_scratch(d, 100, &a), PF_OK);
    pf_scratch_mark mark = pf_device_scratch_mark(d);
    assert_int_equal(pf_device_scratch(d, 100, &b), PF_OK);
    assert_true((uintptr_t)b % PF_ALIGNMENT == 0 && (char *)b - (char *)a >= 100 + PF_SLACK);
    pf_device_scratch_rewind(d, mark);
    assert_int_equal(pf_device_scratch(d, 100, &c), PF_OK);
    assert_ptr_equal(b, c);
    assert_int_equal(pf_device_scratch(d, 20 << 20, &large), PF_OK);
    int allocations = w.fake->allocations;
    assert_int_equal(pf_device_enter(d, &w.error), PF_OK);
    assert_int_equal(pf_device_scratch(d, 100, &b), PF_OK);
    assert_ptr_equal(a, b);
    assert_int_equal(w.fake->allocations, allocations);
    assert_int_equal(pf_device_scratch_reserve(d, 1 << 20), PF_OK);
    assert_int_equal(pf_device_enter(d, &w.error), PF_OK);
    assert_int_equal(pf_device_scratch(d, (1 << 20) - 64, &a), PF_OK);
    assert_int_equal(w.fake->allocations, allocations + 1);
    assert_int_equal(pf_device_scratch_reserve(d, 0), PF_OK);
    close_world(&w);
}

static void test_a_workspace_grows(void **state)
{
    world w;
    void *a, *b;
    pf_device *d = begin(&w);
    (void)state;
    assert_int_equal(pf_device_workspace(d, 10, &a), PF_OK);
    assert_int_equal(pf_device_workspace_bytes(d), 1 << 20);
    assert_int_equal(pf_device_workspace(d, 1 << 20, &b), PF_OK);
    assert_ptr_equal(a, b);
    assert_int_equal(pf_device_workspace(d, (1 << 20) + 1, &b), PF_OK);
    assert_int_equal(pf_device_workspace_bytes(d), 2 << 20);
    close_world(&w);
}

/* --- copies ------------------------------------------------------------------------ */

static void test_uploads_wait_for_nothing(void **state)
{
    world w;
    uint16_t halves[3];
    float values[3] = {1.0f, -2.5f, 3.0f}, back[VALUES];
    pf_device *d = begin(&w);
    float *to = new_block(d), *narrow = new_block(d);
    (void)state;
    assert_int_equal(send(d, to, 4.0f), PF_OK);
    assert_int_equal(pf_device_upload(d, narrow, PF_BF16, values, PF_F32, 3), PF_OK);
    values[1] = 0.0f;                   /* has been read */
    assert_int_equal(w.fake->drains, 0);
    assert_int_equal(pf_device_download(d, back, to, BYTES), PF_OK);
    assert_true(back[0] == 4.0f && back[VALUES - 1] == 4.0f + VALUES - 1);
    assert_int_equal(pf_device_download(d, halves, narrow, sizeof halves), PF_OK);
    assert_true(pf_bf16_to_f32(halves[1]) == -2.5f);
    assert_int_equal(w.tally.waits, 2);
    close_world(&w);
}

/* Half as much again as staging holds, up and down. */
static void test_copies_larger_than_staging(void **state)
{
    enum { MANY = 12 << 20 };
    world w;
    void *to;
    pf_device *d = begin(&w);
    float *values = malloc(MANY * sizeof *values), *back = malloc(MANY * sizeof *back);
    (void)state;
    for (int i = 0; i < MANY; i++)
        values[i] = (float)(i % 1000003);
    assert_int_equal(pf_device_allocate(d, MANY * (int64_t)sizeof *values, &to), PF_OK);
    assert_int_equal(pf_device_upload(d, to, PF_F32, values, PF_F32, MANY), PF_OK);
    assert_int_equal(w.tally.waits, 1);
    assert_int_equal(pf_device_download(d, back, to, MANY * (int64_t)sizeof *back), PF_OK);
    assert_memory_equal(values, back, MANY * sizeof *values);
    free(values);
    free(back);
    close_world(&w);
}

static void test_tickets(void **state)
{
    world w;
    pf_ticket ticket[3];
    float got[3][VALUES] = {{0}};
    pf_device *d = begin(&w);
    float *block = new_block(d);
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send(d, block, 100.0f * (float)i), PF_OK);
        assert_int_equal(pf_device_download_begin(d, got[i], block, BYTES, &ticket[i]), PF_OK);
    }
    assert_int_equal(w.fake->drains + w.fake->joins, 0);
    assert_int_equal(pf_device_wait(d, ticket[1]), PF_OK);
    assert_true(got[1][0] == 100.0f && got[0][0] == 0.0f && got[2][0] == 0.0f);
    assert_int_equal(pf_device_wait(d, ticket[0]), PF_OK);
    assert_true(got[0][3] == 3.0f);
    assert_int_equal(w.fake->joins, 2);
    assert_int_equal(pf_device_drain(d), PF_OK);
    assert_int_equal(pf_device_wait(d, ticket[2]), PF_OK);
    assert_true(got[2][0] == 200.0f);
    assert_int_equal(w.fake->joins, 2);             /* it had arrived */
    assert_int_equal(pf_device_wait(d, ticket[2]), PF_E_INTERNAL);
    assert_int_equal(pf_device_wait(d, (pf_ticket){0}), PF_OK);
    close_world(&w);
}

/* Nobody waits for the first: its place is taken, and the host's memory left alone. */
static void test_a_ticket_that_is_given_up(void **state)
{
    world w;
    pf_ticket first, later[PF_TICKETS];
    float left[VALUES] = {5.0f}, got[PF_TICKETS][VALUES];
    pf_device *d = begin(&w);
    float *block = new_block(d);
    (void)state;
    assert_int_equal(send(d, block, 1.0f), PF_OK);
    assert_int_equal(pf_device_download_begin(d, left, block, BYTES, &first), PF_OK);
    for (int i = 0; i < PF_TICKETS; i++)
        assert_int_equal(pf_device_download_begin(d, got[i], block, BYTES, &later[i]), PF_OK);
    assert_int_equal(pf_device_wait(d, first), PF_E_INTERNAL);
    assert_true(left[0] == 5.0f);
    for (int i = 0; i < PF_TICKETS; i++) {
        assert_int_equal(pf_device_wait(d, later[i]), PF_OK);
        assert_true(got[i][0] == 1.0f);
    }
    close_world(&w);
}

static void test_a_ticket_that_is_lost(void **state)
{
    world w;
    pf_ticket ticket;
    float got[VALUES] = {0};
    pf_device *d = begin(&w);
    float *block = new_block(d);
    (void)state;
    assert_int_equal(pf_device_download_begin(d, got, block, BYTES, &ticket), PF_OK);
    w.fake->fail_at = 1;
    assert_int_equal(pf_device_drain(d), PF_E_PLATFORM);
    assert_non_null(strstr(w.error.message, "failed with 7"));
    assert_int_equal(w.fake->renewals, 1);
    assert_int_equal(pf_device_wait(d, ticket), PF_E_PLATFORM);
    assert_non_null(strstr(w.error.message, "lost"));
    assert_int_equal(send(d, block, 2.0f), PF_OK);
    assert_int_equal(pf_device_download(d, got, block, BYTES), PF_OK);
    assert_true(got[0] == 2.0f);
    close_world(&w);
}

/* --- lanes --------------------------------------------------------------------------- */

/* Puts a copy between device blocks on a lane. */
static void queue_copy(world *w, pf_lane lane, float *to, const float *from)
{
    assert_int_equal(fake_driver.copy(w->fake, lane, &(pf_transfer){
        .kind = PF_UPLOAD, .to = to, .from = from, .bytes = BYTES}), 0);
}

static void test_lanes_join_by_marks(void **state)
{
    world w;
    pf_ticket ticket;
    float got[VALUES];
    pf_device *d = begin(&w);
    float *source = new_block(d), *there = new_block(d), *result = new_block(d);
    (void)state;
    source[0] = 6.0f;
    queue_copy(&w, PF_LANE_COPY, there, source);
    assert_int_equal(pf_device_mark(d, PF_LANE_COPY, &ticket), PF_OK);
    queue_copy(&w, PF_LANE_COPY, there, result);    /* behind the mark: not waited for */
    assert_int_equal(pf_device_follow(d, PF_LANE_COMPUTE, ticket), PF_OK);
    queue_copy(&w, PF_LANE_COMPUTE, result, there);
    assert_int_equal(w.fake->drains + w.fake->joins, 0);
    pf_ticket copied;
    assert_int_equal(pf_device_download_begin(d, got, result, BYTES, &copied), PF_OK);
    assert_int_equal(pf_device_wait(d, copied), PF_OK);
    assert_true(got[0] == 6.0f && there[0] == 6.0f);
    assert_int_equal(pf_device_follow(d, PF_LANE_COMPUTE, (pf_ticket){0}), PF_OK);
    assert_int_equal(w.fake->follows, 1);
    assert_int_equal(pf_device_wait(d, ticket), PF_OK);
    close_world(&w);
}

/* A mark whose slot was taken for others still orders the lanes. */
static void test_following_what_was_given_up(void **state)
{
    world w;
    pf_ticket first, other;
    pf_device *d = begin(&w);
    float *source = new_block(d), *there = new_block(d), *result = new_block(d);
    (void)state;
    source[0] = 8.0f;
    queue_copy(&w, PF_LANE_COPY, there, source);
    assert_int_equal(pf_device_mark(d, PF_LANE_COPY, &first), PF_OK);
    for (int i = 0; i < PF_TICKETS; i++)
        assert_int_equal(pf_device_mark(d, PF_LANE_COMPUTE, &other), PF_OK);
    assert_int_equal(pf_device_follow(d, PF_LANE_COMPUTE, first), PF_OK);
    queue_copy(&w, PF_LANE_COMPUTE, result, there);
    assert_int_equal(fake_driver.drain(w.fake, PF_LANE_COMPUTE), 0);
    assert_true(result[0] == 8.0f);
    close_world(&w);
}

/* --- recordings ------------------------------------------------------------------------ */

static pf_recording *record_sending(world *w, float *to, float first)
{
    pf_recording *recording = NULL;
    pf_device *d = &w->device;
    assert_int_equal(pf_device_record_begin(d), PF_OK);
    assert_int_equal(send(d, to, first), PF_OK);
    assert_int_equal(pf_device_record_end(d, &recording), PF_OK);
    assert_non_null(recording);
    return recording;
}

static float replayed(world *w, const pf_recording *recording, const float *from)
{
    float got[VALUES];
    assert_int_equal(pf_device_replay(&w->device, recording), PF_OK);
    assert_int_equal(pf_device_download(&w->device, got, from, BYTES), PF_OK);
    return got[1];
}

static void test_several_recordings(void **state)
{
    world w;
    pf_device *d = begin(&w);
    float *block = new_block(d);
    (void)state;
    assert_true(pf_device_records(d));
    pf_recording *a = record_sending(&w, block, 10.0f);
    pf_recording *b = record_sending(&w, block, 20.0f);
    assert_true(replayed(&w, a, block) == 11.0f);
    assert_true(replayed(&w, b, block) == 21.0f);
    assert_true(replayed(&w, a, block) == 11.0f);
    assert_int_equal(w.tally.launches, 3);
    assert_int_equal(w.fake->settlements, 0);       /* while any lives */
    assert_int_equal(pf_device_replay(d, a), PF_OK);
    pf_device_record_drop(d, a);                    /* which still runs */
    assert_true(replayed(&w, b, block) == 21.0f);
    pf_device_record_drop(d, b);
    assert_int_equal(w.fake->graphs, 0);
    assert_int_equal(pf_device_drain(d), PF_OK);
    assert_true(w.fake->settlements > 0);
    record_sending(&w, block, 30.0f);               /* closing drops it */
    close_world(&w);
}

static void test_recordings_hold_blocks(void **state)
{
    world w;
    pf_device *d = begin(&w);
    float *block = new_block(d);
    (void)state;
    pf_recording *r = record_sending(&w, block, 1.0f);
    pf_device_release(d, block);
    float *other = new_block(d);
    assert_ptr_not_equal(other, block);
    pf_device_trim(d);
    assert_true(replayed(&w, r, block) == 2.0f);
    pf_device_record_drop(d, r);
    assert_ptr_equal(new_block(d), block);
    close_world(&w);
}

static void test_what_a_recording_refuses(void **state)
{
    enum { LARGE = 1 << 18 };
    world w;
    void *memory;
    float got[VALUES], *many = calloc(LARGE + 1, sizeof *many);
    pf_device *d = begin(&w);
    float *block = new_block(d);
    (void)state;
    assert_int_equal(pf_device_record_begin(d), PF_OK);
    assert_int_equal(pf_device_enter(d, &w.error), PF_OK);
    assert_int_equal(pf_device_allocate(d, 12345, &memory), PF_E_INTERNAL);
    assert_non_null(strstr(w.error.message, "12345"));
    assert_int_equal(pf_device_download(d, got, block, 4), PF_E_INTERNAL);
    assert_int_equal(pf_device_upload(d, block, PF_F32, many, PF_F32, LARGE + 1),
                     PF_E_UNSUPPORTED);
    assert_int_equal(pf_device_record_end(d, NULL), PF_OK);
    assert_int_equal(w.fake->graphs, 0);
    assert_int_equal(pf_device_record_begin(d), PF_OK);
    w.fake->fail_at = 1;
    pf_recording *none = NULL;
    assert_int_equal(pf_device_record_end(d, &none), PF_E_PLATFORM);
    assert_null(none);
    assert_int_equal(w.fake->renewals, 1);
    free(many);
    close_world(&w);
}

/* --- whatever fails ---------------------------------------------------------------------- */

static pf_status record_and_replay(pf_device *d, float *block)
{
    pf_recording *r = NULL;
    PF_TRY(pf_device_record_begin(d));
    pf_status status = send(d, block, 3.0f), ended = pf_device_record_end(d, &r);
    status = status != PF_OK ? status : ended;
    if (status == PF_OK)
        status = pf_device_replay(d, r);
    if (r)
        pf_device_record_drop(d, r);
    return status;
}

static pf_status copy_around(pf_device *d, float *block)
{
    pf_ticket a, b;
    float got[VALUES];
    PF_TRY(send(d, block, 1.0f));
    PF_TRY(pf_device_mark(d, PF_LANE_COPY, &a));
    PF_TRY(pf_device_follow(d, PF_LANE_COMPUTE, a));
    PF_TRY(pf_device_download_begin(d, got, block, BYTES, &b));
    PF_TRY(pf_device_wait(d, b));
    PF_TRY(got[0] == 1.0f ? PF_OK : PF_E_INTERNAL);
    return pf_device_download(d, got, block, BYTES);
}

static pf_status do_all(world *w)
{
    void *block, *other;
    pf_device *d = &w->device;
    PF_TRY(pf_device_enter(d, &w->error));
    PF_TRY(pf_device_allocate(d, BYTES, &block));
    PF_TRY(pf_device_scratch_reserve(d, 4096));
    PF_TRY(pf_device_scratch(d, 8192, &other));
    PF_TRY(pf_device_workspace(d, 100, &other));
    PF_TRY(copy_around(d, block));
    PF_TRY(record_and_replay(d, block));
    pf_device_release(d, block);
    int64_t left;
    return pf_device_free_bytes(d, &left);
}

static void test_the_nth_call_fails(void **state)
{
    int failures = 0;
    int64_t nth = 1;
    (void)state;
    for (bool met = true; met; nth++) {
        world w = {.fake = calloc(1, sizeof *w.fake)};
        w.fake->fail_at = nth;
        pf_status status = pf_device_open(&w.device, &fake_driver, w.fake, &w.tally, false,
                                          &w.error);
        if (status == PF_OK)
            status = do_all(&w);
        met = w.fake->fail_at == 0;
        assert_true(status == PF_OK || (met && w.error.message[0]));
        failures += status != PF_OK;
        w.fake->fail_at = 0;
        close_world(&w);
    }
    print_message("  %d of %d calls failed the work\n", failures, (int)nth - 2);
    assert_true(failures > 15);
}

/* --- counting ---------------------------------------------------------------------------- */

static void test_a_device_that_counts(void **state)
{
    const pf_device_kind kind = {.name = "any", .memory_bytes = 1 << 30};
    pf_counting counting = {.kind = &kind};
    pf_tally tally = {0};
    pf_device d;
    void *a, *b;
    int64_t left;
    float got[VALUES] = {9.0f};
    pf_ticket ticket;
    (void)state;
    assert_int_equal(pf_device_open(&d, &pf_counting_driver, &counting, &tally, true, NULL),
                     PF_OK);
    assert_int_equal(pf_device_enter(&d, NULL), PF_OK);
    assert_int_equal(pf_device_free_bytes(&d, &left), PF_OK);
    assert_int_equal(left, 1 << 30);
    assert_int_equal(pf_device_allocate(&d, (int64_t)1 << 40, &a), PF_OK);
    assert_int_equal(pf_device_allocate(&d, 64, &b), PF_OK);
    assert_true((char *)b >= (char *)a + ((int64_t)1 << 40));
    assert_int_equal(pf_device_scratch(&d, (int64_t)1 << 40, &b), PF_OK);
    assert_int_equal(pf_device_enter(&d, NULL), PF_OK);
    assert_int_equal(pf_device_scratch(&d, 100, &b), PF_OK);
    assert_int_equal(tally.own_bytes, ((int64_t)1 << 40) + 64);
    assert_int_equal(pf_device_scratch_reserve(&d, 1 << 20), PF_OK);
    assert_int_equal(send(&d, a, 1.0f), PF_OK);
    assert_int_equal(pf_device_download_begin(&d, got, a, BYTES, &ticket), PF_OK);
    assert_int_equal(ticket.number, 0);
    assert_int_equal(tally.waits, 0);
    assert_int_equal(pf_device_download(&d, got, a, BYTES), PF_OK);
    assert_int_equal(tally.waits, 1);
    assert_true(got[0] == 9.0f);
    pf_device_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_used_again),
        cmocka_unit_test(test_memory_that_is_short),
        cmocka_unit_test(test_scratch),
        cmocka_unit_test(test_a_workspace_grows),
        cmocka_unit_test(test_uploads_wait_for_nothing),
        cmocka_unit_test(test_copies_larger_than_staging),
        cmocka_unit_test(test_tickets),
        cmocka_unit_test(test_a_ticket_that_is_given_up),
        cmocka_unit_test(test_a_ticket_that_is_lost),
        cmocka_unit_test(test_lanes_join_by_marks),
        cmocka_unit_test(test_following_what_was_given_up),
        cmocka_unit_test(test_several_recordings),
        cmocka_unit_test(test_recordings_hold_blocks),
        cmocka_unit_test(test_what_a_recording_refuses),
        cmocka_unit_test(test_the_nth_call_fails),
        cmocka_unit_test(test_a_device_that_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
