/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of clients: parsed, named, on a list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#include <string.h>

#include "server/http/address.h"

static const char *name_of(const char *text, char out[PF_ADDRESS_BYTES])
{
    pf_address address;
    if (!pf_address_parse(text, strlen(text), &address))
        return NULL;
    pf_address_name(&address, out);
    return out;
}

static void test_addresses(void **state)
{
    static const char *const pairs[][2] = {
        {"192.0.2.1", "192.0.2.1"}, {" 192.0.2.1:80 ", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"}, {"2001:db8:1:2:3::4", "2001:db8:1:2::"},
        {"[2001:db8:1:2::9]:80", "2001:db8:1:2::"}, {"127.3.2.1", ""}, {"::1", ""},
        {"::ffff:127.0.0.1", ""},
    };
    static const char *const wrong[] = {"", " ", "192.0.2", "192.0.2.256", "unknown",
                                        "_hidden", "::g", "192.0.2.1,192.0.2.2"};
    char name[PF_ADDRESS_BYTES];
    pf_address address;
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_string_equal(name_of(pairs[i][0], name), pairs[i][1]);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_null(name_of(wrong[i], name));
    assert_true(pf_address_parse("192.0.2.7", 9, &address));
    assert_true(pf_address_is_listed(&address, "2001:db8::1, 192.0.2.7"));
    assert_false(pf_address_is_listed(&address, "192.0.2.77,192.0.2.8"));
    assert_false(pf_address_is_listed(&address, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
