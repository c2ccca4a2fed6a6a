/* SPDX-License-Identifier: Apache-2.0 */
/* News of a film: which are kept, which replaced, and that nobody sleeps through one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/news.h"

enum { STEPS = 1000 };

static pf_news_box box;

static int begin(void **state)
{
    (void)state;
    pf_news_open(&box);
    return 0;
}

static int end(void **state)
{
    (void)state;
    pf_news_close(&box);
    return 0;
}

static void the_latest_of_a_kind_is_told(void **unused)
{
    (void)unused;
    char stage[] = "denoise";
    pf_news_tell_progress(&box, &(pf_progress){.stage = stage, .step = 1, .steps = 9});
    pf_news_tell_preview(&box, strdup("first"));
    pf_news_tell_progress(&box, &(pf_progress){.stage = stage, .step = 2, .steps = 9});
    pf_news_tell_preview(&box, strdup("second"));       /* frees the first */
    memset(stage, '?', sizeof stage - 1);               /* its text is the job's */
    pf_news n = pf_news_await(&box);
    assert_true(n.progressed);
    assert_int_equal(n.progress.step, 2);
    assert_string_equal(n.stage, "denoise");
    assert_string_equal(n.preview, "second");
    assert_false(n.saved || n.over || n.job);
    free(n.preview);
}

static void taken_news_are_gone(void **unused)
{
    (void)unused;
    int job;
    pf_news_tell_job(&box, (pf_job *)&job);
    pf_news_tell_saved(&box);
    pf_news n = pf_news_await(&box);
    assert_ptr_equal(n.job, &job);
    assert_true(n.saved);
    pf_news_tell_over(&box);
    n = pf_news_await(&box);
    assert_null(n.job);
    assert_false(n.saved || n.progressed);
    assert_true(n.over);
    assert_true(pf_news_await(&box).over);              /* it stays */
}

static void news_that_nobody_takes_are_freed(void **unused)
{
    (void)unused;
    pf_news_tell_preview(&box, strdup("nobody"));       /* memory checkers would tell */
}

static void *make(void *unused)
{
    (void)unused;
    for (int i = 1; i <= STEPS; i++) {
        pf_news_tell_progress(&box, &(pf_progress){.stage = "denoise", .step = i});
        if (i % 10 == 0)
            pf_news_tell_preview(&box, strdup("strip"));
    }
    pf_news_tell_over(&box);
    return NULL;
}

static void steps_come_in_order_and_the_last_one_comes(void **unused)
{
    (void)unused;
    pthread_t maker;
    int last = 0;
    pf_news n;
    assert_int_equal(pthread_create(&maker, NULL, make, NULL), 0);
    do {
        n = pf_news_await(&box);
        if (n.progressed) {
            assert_true(n.progress.step > last);
            last = n.progress.step;
        }
        free(n.preview);
    } while (!n.over);
    assert_int_equal(last, STEPS);
    pthread_join(maker, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_latest_of_a_kind_is_told, begin, end),
        cmocka_unit_test_setup_teardown(taken_news_are_gone, begin, end),
        cmocka_unit_test_setup_teardown(news_that_nobody_takes_are_freed, begin, end),
        cmocka_unit_test_setup_teardown(steps_come_in_order_and_the_last_one_comes, begin,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
