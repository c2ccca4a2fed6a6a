/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts that the server may ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>

#include "server/outbound.h"

static void test_hosts(void **state)
{
    static const char hosts[] = "a.example,b.example:8080,127.0.0.1,[::1]:90";
    static const char *const good[] = {
        "http://a.example/x", "https://A.EXAMPLE:44/", "http://b.example:8080/",
        "http://127.0.0.1:1/", "http://[::1]:90/", "http://0x7f000001/",
    };
    static const char *const bad[] = {
        "http://b.example/", "http://a.example.evil/", "http://evil/a.example",
        "http://user@a.example/", "ftp://a.example/", "file:///a.example",
        "http://[::1]/", "a.example", "", "http://", "http://aa.example/",
        "http://evil\\@a.example/",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(pf_outbound_allows(hosts, good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(pf_outbound_allows(hosts, bad[i]));
    assert_false(pf_outbound_allows(NULL, "http://a.example/"));
    assert_false(pf_outbound_allows("", "http://a.example/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
