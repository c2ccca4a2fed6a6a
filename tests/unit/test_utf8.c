/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 that is sound, and that is repaired. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>

#include "server/http/utf8.h"

static void test_utf8(void **state)
{
    char text[] = "a\xc3\xa4\xff\xe2\x82z\xed\xa0\x80\xc0\x80";
    (void)state;
    assert_true(pf_utf8_is_valid("\xf0\x9f\x8e\xac", 4));
    assert_false(pf_utf8_is_valid("\xf0\x9f\x8e\xac", 3));
    assert_false(pf_utf8_is_valid("\xf4\x90\x80\x80", 4));
    pf_utf8_repair(text);
    assert_string_equal(text, "a\xc3\xa4???z?????");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
