/* SPDX-License-Identifier: Apache-2.0 */
/* The queue: fair shares, places, limits, rests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "server/queue.h"

enum { MOST = 32 };

static pf_video films[MOST];
static pf_video_list all;
static pf_queue queue;
static pf_error error;
static int woken;

static int begin(void **state)
{
    (void)state;
    memset(films, 0, sizeof films);
    error = (pf_error){0};
    all = (pf_video_list){0};
    queue = (pf_queue){.limits = {.films = MOST, .owners = 1}};
    return 0;
}

static int end(void **state)
{
    (void)state;
    pf_video_list_free(&all);
    pf_queue_free(&queue);
    return 0;
}

/* Queues a film that takes 10 seconds. */
static pf_video *add(char owner)
{
    pf_video *v = &films[all.count];
    snprintf(v->id, sizeof v->id, "video_%02d", all.count);
    v->owner[0] = owner;
    v->predicted_seconds = 10;
    v->seconds_left = -1;
    assert_int_equal(pf_queue_know_owner(&queue, &all, v->owner, &error), PF_OK);
    assert_int_equal(pf_video_list_make_room(&all, &error), PF_OK);
    pf_video_list_append(&all, v);
    queue.waiting++;
    pf_queue_arrange(&queue, &all);
    return v;
}

static void add_all(const char *owners)
{
    for (; *owners; owners++)
        add(*owners);
}

/* Begins the next film, which ends after `seconds`. */
static pf_video *make_next(double seconds)
{
    double until;
    pf_video *v = pf_queue_pick(&all, 0, &until);
    assert_non_null(v);
    pf_queue_begin(&queue, v);
    pf_queue_arrange(&queue, &all);
    v->run_seconds += seconds;
    v->status = PF_VIDEO_COMPLETED;
    pf_queue_end(&queue, v);
    pf_queue_arrange(&queue, &all);
    return v;
}

/* The owners in the order in which their films are made. */
static void expect_order(const char *wanted, double seconds)
{
    char got[MOST + 1] = "";
    for (int i = 0; queue.waiting > 0; i++)
        got[i] = make_next(seconds)->owner[0];
    assert_string_equal(got, wanted);
}

/* --- shares ----------------------------------------------------------------------- */

static void owners_take_turns(void **unused)
{
    (void)unused;
    add_all("aaaabb");
    expect_order("ababaa", 10);
}

static void one_owner_comes_in_order(void **unused)
{
    double until;
    (void)unused;
    add_all("aaa");
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(pf_queue_pick(&all, 0, &until), &films[i]);
        assert_ptr_equal(make_next(10), &films[i]);
    }
    assert_null(pf_queue_pick(&all, 0, &until));
    assert_true(until == 0);
}

/* Seconds count, and not films. */
static void long_films_cost_more(void **unused)
{
    (void)unused;
    add_all("abab");
    assert_int_equal(make_next(100)->owner[0], 'a');
    expect_order("bba", 10);
}

/* Nobody saves up by not asking: an owner who comes late starts level. */
static void newcomers_start_level(void **unused)
{
    (void)unused;
    add_all("aaaaa");
    make_next(10);
    make_next(10);
    add_all("bbb");
    expect_order("ababab", 10);
}

static void those_who_come_back_start_level(void **unused)
{
    (void)unused;
    add_all("aaaaab");
    for (int i = 0; i < 4; i++)
        make_next(10);                  /* a b a a: b has used 10, a 30 */
    add_all("bb");
    expect_order("abab", 10);
}

/* --- places ----------------------------------------------------------------------- */

static void places_tell_the_order(void **unused)
{
    (void)unused;
    static const int wanted[] = {1, 3, 5, 2, 4};
    add_all("aaabb");
    for (int i = 0; i < 5; i++)
        assert_int_equal(films[i].position, wanted[i]);
}

static void wake(pf_waiter *waiter)
{
    (void)waiter;
    woken++;
}

static void who_waits_hears_of_a_place(void **unused)
{
    (void)unused;
    pf_waiter waiter = {.wake = wake};
    pf_video *v = add('a');
    uint64_t version = v->version;
    v->waiters = &waiter;
    woken = 0;
    pf_queue_arrange(&queue, &all);
    assert_int_equal(woken, 1);
    assert_null(v->waiters);
    assert_true(v->version > version);
}

/* Places stay as they were, and the next time has them. */
static void without_memory_places_stay(void **unused)
{
    (void)unused;
    add_all("ab");
    films[0].status = PF_VIDEO_FAILED;
    queue.waiting--;
    pf_fault_arm(PF_FAULT_ALLOCATION, 1, true);
    pf_queue_arrange(&queue, &all);
    pf_fault_arm(PF_FAULT_ALLOCATION, 0, false);
    assert_int_equal(films[1].position, 2);
    pf_queue_arrange(&queue, &all);
    assert_int_equal(films[1].position, 1);
}

/* --- room ------------------------------------------------------------------------- */

static void expect_room(const char *owner, bool room)
{
    int seconds = 0;
    pf_status status = pf_queue_check_room(&queue, &all, owner, &seconds, &error);
    assert_int_equal(status, room ? PF_OK : PF_E_MEMORY);
    assert_true(seconds >= 2 && seconds <= 110);
}

static void a_full_queue_takes_no_more(void **unused)
{
    (void)unused;
    queue.limits = (pf_queue_limits){3, 0, 1};
    add_all("--");
    expect_room("-", true);
    add('-');
    expect_room("-", false);
    assert_non_null(strstr(error.message, "full with 3 films"));
}

static void one_owner_has_half_of_it(void **unused)
{
    (void)unused;
    queue.limits = (pf_queue_limits){8, 0, 3};
    add_all("aaa");
    expect_room("a", true);
    add('a');
    expect_room("a", false);
    assert_non_null(strstr(error.message, "one key may have 4"));
    expect_room("b", true);
    queue.limits.films_per_owner = 5;
    expect_room("a", true);
}

/* The last places are for owners who have none. */
static void newcomers_find_a_place(void **unused)
{
    (void)unused;
    queue.limits = (pf_queue_limits){6, 3, 4};
    add_all("aabb");
    expect_room("a", false);            /* c and d have none yet */
    assert_non_null(strstr(error.message, "a place of each key"));
    expect_room("c", true);
    add('c');
    expect_room("a", false);
    expect_room("d", true);
    add('d');
    expect_room("a", false);
    assert_non_null(strstr(error.message, "full with 6 films;"));
}

static void the_next_try_is_told_by_the_running_film(void **unused)
{
    (void)unused;
    int seconds;
    double until;
    add('a');
    pf_queue_check_room(&queue, &all, "a", &seconds, &error);
    assert_int_equal(seconds, 2);
    pf_queue_begin(&queue, pf_queue_pick(&all, 0, &until));
    films[0].seconds_left = 41.5;
    pf_queue_check_room(&queue, &all, "a", &seconds, &error);
    assert_int_equal(seconds, 42);
    films[0].seconds_left = 1e6;
    pf_queue_check_room(&queue, &all, "a", &seconds, &error);
    assert_int_equal(seconds, 110);
}

/* --- runs ------------------------------------------------------------------------- */

static void interrupted_films_go_first_after_their_rest(void **unused)
{
    (void)unused;
    double until;
    add_all("ab");
    make_next(1);
    films[0].status = PF_VIDEO_RUNNING;
    films[0].interrupted = true;
    films[0].rests_until = 100;
    assert_ptr_equal(pf_queue_pick(&all, 99, &until), &films[1]);
    assert_true(until == 100);
    assert_ptr_equal(pf_queue_pick(&all, 100, &until), &films[0]);
    pf_queue_begin(&queue, &films[0]);
    assert_false(films[0].interrupted);
    assert_int_equal(queue.waiting, 1);         /* it was not in the queue */
    assert_int_equal(films[0].starts, 2);
}

static void rests_grow(void **unused)
{
    (void)unused;
    double before = 0;
    for (int starts = 0; starts < 4; starts++)
        assert_true(pf_queue_rest(starts) == 0);
    for (int starts = 4; starts < 10; starts++) {
        assert_true(pf_queue_rest(starts) > before);
        before = pf_queue_rest(starts);
    }
    assert_true(pf_queue_rest(19) == 60);
    pf_video v = {.starts = 20};
    assert_false(pf_queue_is_hopeless(&v));
    v.starts = 21;
    assert_true(pf_queue_is_hopeless(&v));
}

static void the_mean_follows_films(void **unused)
{
    (void)unused;
    add_all("aa");
    make_next(10);
    assert_true(queue.mean_seconds == 10);
    make_next(20);
    assert_true(queue.mean_seconds > 12.9 && queue.mean_seconds < 13.1);
}

/* --- the list --------------------------------------------------------------------- */

static void the_list_is_found_by_id(void **unused)
{
    (void)unused;
    add_all("abcde");
    for (int i = 0; i < 5; i++)
        assert_ptr_equal(pf_video_list_find(&all, films[i].id), &films[i]);
    assert_null(pf_video_list_find(&all, "video_02x"));
    assert_null(pf_video_list_find(&all, "video_99"));
    assert_int_equal(pf_video_list_remove(&all, &films[2]), 2);
    assert_int_equal(pf_video_list_remove(&all, &films[2]), -1);
    assert_null(pf_video_list_find(&all, films[2].id));
    assert_ptr_equal(pf_video_list_find(&all, films[3].id), &films[3]);
    assert_int_equal(all.count, 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(owners_take_turns),
        TEST(one_owner_comes_in_order),
        TEST(long_films_cost_more),
        TEST(newcomers_start_level),
        TEST(those_who_come_back_start_level),
        TEST(places_tell_the_order),
        TEST(who_waits_hears_of_a_place),
        TEST(without_memory_places_stay),
        TEST(a_full_queue_takes_no_more),
        TEST(one_owner_has_half_of_it),
        TEST(newcomers_find_a_place),
        TEST(the_next_try_is_told_by_the_running_film),
        TEST(interrupted_films_go_first_after_their_rest),
        TEST(rests_grow),
        TEST(the_mean_follows_films),
        TEST(the_list_is_found_by_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
