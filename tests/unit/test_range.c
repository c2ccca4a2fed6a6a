/* SPDX-License-Identifier: Apache-2.0 */
/* The Range header: parts, and what is answered with the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>

#include "server/http/range.h"

static void test_ranges(void **state)
{
    static const struct {
        const char *header;
        pf_range_kind kind;
        int64_t offset, length;
    } cases[] = {
        {NULL, PF_RANGE_WHOLE, 0, 100},
        {"bytes=0-0", PF_RANGE_PART, 0, 1},
        {"bytes=10-19", PF_RANGE_PART, 10, 10},
        {"bytes=90-", PF_RANGE_PART, 90, 10},
        {"bytes=-1", PF_RANGE_PART, 99, 1},
        {"bytes=-1000", PF_RANGE_PART, 0, 100},
        {"bytes=50-99999999999999999999999", PF_RANGE_PART, 50, 50},
        {"bytes=100-", PF_RANGE_OUTSIDE, 0, 0},
        {"bytes=99999999999999999999999-", PF_RANGE_OUTSIDE, 0, 0},
        {"bytes=-0", PF_RANGE_OUTSIDE, 0, 0},
        {"bytes=5-4", PF_RANGE_WHOLE, 0, 100},
        {"bytes=-", PF_RANGE_WHOLE, 0, 100},
        {"bytes=1-2,4-5", PF_RANGE_WHOLE, 0, 100},
        {"bytes= 1-2", PF_RANGE_WHOLE, 0, 100},
        {"items=1-2", PF_RANGE_WHOLE, 0, 100},
        {"bytes=1", PF_RANGE_WHOLE, 0, 100},
        {"", PF_RANGE_WHOLE, 0, 100},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pf_range range;
        assert_int_equal(pf_range_parse(cases[i].header, 100, &range), cases[i].kind);
        if (cases[i].kind == PF_RANGE_OUTSIDE)
            continue;
        assert_int_equal(range.offset, cases[i].offset);
        assert_int_equal(range.length, cases[i].length);
    }
    pf_range range;
    assert_int_equal(pf_range_parse("bytes=0-", 0, &range), PF_RANGE_OUTSIDE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
