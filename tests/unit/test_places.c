/* SPDX-License-Identifier: Apache-2.0 */
/* Places of holders: each has its share, and all together theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>

#include "server/places.h"

static void test_places(void **state)
{
    pf_places p;
    (void)state;
    pf_places_open(&p);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pf_places_take(&p, "key a", PF_PLACE_STREAM, 2, 4), PF_PLACE_TAKEN);
    assert_int_equal(pf_places_take(&p, "key a", PF_PLACE_STREAM, 2, 4), PF_PLACE_TOO_MANY);
    assert_int_equal(pf_places_take(&p, "key a", PF_PLACE_REQUEST, 2, 4), PF_PLACE_TAKEN);
    assert_int_equal(pf_places_take(&p, "key b", PF_PLACE_STREAM, 2, 4), PF_PLACE_TAKEN);
    assert_int_equal(pf_places_take(&p, "", PF_PLACE_STREAM, 0, 4), PF_PLACE_TAKEN);
    assert_int_equal(pf_places_take(&p, "", PF_PLACE_STREAM, 0, 4), PF_PLACE_FULL);
    pf_places_leave(&p, "key a", PF_PLACE_STREAM);
    pf_places_leave(&p, "key b", PF_PLACE_STREAM);
    assert_int_equal(p.count, 1);       /* who holds nothing is forgotten */
    assert_int_equal(pf_places_take(&p, "key a", PF_PLACE_STREAM, 2, 4), PF_PLACE_TAKEN);
    assert_int_equal(p.streams, 3);
    pf_places_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
