/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, sessions and rates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "server/keys.h"

static void test_keys(void **state)
{
    uint8_t secret[PF_DIGEST_BYTES] = {1}, other[PF_DIGEST_BYTES] = {2};
    static const char text[] = "ann:0123456789abcdef\r\nbob:fedcba9876543210";
    char path[64], session[PF_SESSION_BYTES];
    pf_keys keys, moved;
    pf_error error = {0};
    (void)state;
    snprintf(path, sizeof path, "/tmp/pf-keys-%d", (int)getpid());
    assert_int_equal(pf_write_file(path, text, sizeof text - 1, &error), PF_OK);
    assert_int_equal(pf_keys_open(&keys, path, secret, &error), PF_OK);
    assert_int_equal(pf_keys_open(&moved, path, other, &error), PF_OK);
    unlink(path);
    assert_string_equal(pf_keys_check(&keys, "0123456789abcdef"), "ann");
    assert_string_equal(pf_keys_check(&keys, "fedcba9876543210"), "bob");
    assert_null(pf_keys_check(&keys, "0123456789abcdeF"));
    assert_null(pf_keys_check(&keys, ""));
    pf_keys_make_session(&keys, "bob", session);
    assert_string_equal(pf_keys_check_session(&keys, session), "bob");
    assert_null(pf_keys_check_session(&moved, session));
    session[strlen(session) - 1] ^= 1;
    assert_null(pf_keys_check_session(&keys, session));
    assert_int_equal(pf_keys_take(&keys, "ann", 2), 0);
    assert_int_equal(pf_keys_take(&keys, "ann", 2), 0);
    assert_in_range(pf_keys_take(&keys, "ann", 2), 29, 30);
    assert_int_equal(pf_keys_take(&keys, "bob", 2), 0);
    assert_int_equal(pf_keys_take(&keys, "ann", 0), 0);
    pf_keys_close(&keys);
    pf_keys_close(&moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
