/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256, HMAC and Base64 against published examples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#include <string.h>

#include "base/memory.h"
#include "base/digest.h"

static void assert_hex(const uint8_t *digest, const char *wanted)
{
    char hex[PF_DIGEST_HEX];
    pf_hex_encode(digest, PF_DIGEST_BYTES, hex);
    assert_string_equal(hex, wanted);
}

/* The examples of FIPS 180-2 and of RFC 4231. */
static void test_digests(void **state)
{
    static const struct {
        const char *text, *digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    uint8_t out[PF_DIGEST_BYTES], key[131];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pf_digest_of(cases[i].text, strlen(cases[i].text), out);
        assert_hex(out, cases[i].digest);
    }
    pf_digest digest;
    pf_digest_begin(&digest);
    for (int i = 0; i < 1000000; i++)
        pf_digest_add(&digest, "a", 1);
    pf_digest_end(&digest, out);
    assert_hex(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    memset(key, 0xaa, sizeof key);
    const char *text = "Test Using Larger Than Block-Size Key - Hash Key First";
    pf_digest_hmac(key, sizeof key, text, strlen(text), out);
    assert_hex(out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    pf_digest_hmac((const uint8_t *)"Jefe", 4, "what do ya want for nothing?", 28, out);
    assert_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void test_base64(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
    };
    static const char *const wrong[] = {"Z", "Zm9vY", "Zg=a", "Zg=", "Zg===", "Zm9v=",
                                        "Zm9v====", "=", "Zm9\v", "Zm9v!", "\xc3\xa9"};
    static const char *const right[][2] = {
        {"Zm9vYm\r\nFy", "foobar"}, {" Zm9v\tYmFy \n", "foobar"}, {"Zg = =\f", "f"},
        {"Zg", "f"}, {"Zm9vYmE", "fooba"}, {" \n", ""}, {"-_-_", "\xfb\xff\xbf"},
        {"+/+/", "\xfb\xff\xbf"},
    };
    uint8_t out[32];
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char *text = pf_base64_encode(pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(text, pairs[i][1]);
        int64_t bytes = pf_base64_decode(text, strlen(text), out);
        assert_int_equal(bytes, strlen(pairs[i][0]));
        assert_memory_equal(out, pairs[i][0], (size_t)bytes);
        pf_free(text);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(pf_base64_decode(wrong[i], strlen(wrong[i]), out), -1);
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        int64_t bytes = pf_base64_decode(right[i][0], strlen(right[i][0]), out);
        assert_int_equal(bytes, strlen(right[i][1]));
        assert_memory_equal(out, right[i][1], (size_t)bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
