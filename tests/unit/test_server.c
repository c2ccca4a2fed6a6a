/* SPDX-License-Identifier: Apache-2.0 */
/* The server's small parts: digests, Base64, ranges, fields, hosts, keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "server/http/address.h"
#include "server/digest.h"
#include "server/fields.h"
#include "server/keys.h"
#include "server/outbound.h"
#include "server/places.h"
#include "server/utf8.h"
#include "server/http/range.h"

/* --- digests ---------------------------------------------------------------------- */

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

/* --- ranges ------------------------------------------------------------------------ */

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

/* --- fields -------------------------------------------------------------------------- */

static const char *value_of(const pf_fields *fields, const char *name)
{
    const pf_field *field = pf_fields_find(fields, name);
    assert_non_null(field);
    return field->value;
}

static void test_json_becomes_fields(void **state)
{
    static pf_fields fields;
    pf_error error = {0};
    const char *body = "{\"a\": \"x\", \"b\": 3, \"c\": 2.5, \"d\": true, \"e\": null,"
                       " \"f\": {\"g\": {\"h\": \"deep\"}}, \"extra_params\": {\"i\": 1},"
                       " \"extra_body\": {\"extra_json\": {\"j\": \"two\"}}}";
    (void)state;
    assert_int_equal(pf_fields_from_json(body, strlen(body), 100, &fields, &error), PF_OK);
    assert_int_equal(fields.count, 8);         /* null is remembered */
    assert_string_equal(value_of(&fields, "a"), "x");
    assert_string_equal(value_of(&fields, "b"), "3");
    assert_string_equal(value_of(&fields, "c"), "2.5");
    assert_string_equal(value_of(&fields, "d"), "true");
    assert_string_equal(value_of(&fields, "f[g][h]"), "deep");
    assert_string_equal(value_of(&fields, "i"), "1");
    assert_string_equal(value_of(&fields, "j"), "two");
    assert_null(pf_fields_find(&fields, "e"));
    pf_fields_free(&fields);
}

static void test_the_digest_does_not_see_order_or_form(void **state)
{
    static pf_fields a, b;
    uint8_t first[PF_DIGEST_BYTES], second[PF_DIGEST_BYTES];
    const char *json = "{\"prompt\": \"x\", \"seed\": 3}";
    const char *form = "--b\r\nContent-Disposition: form-data; name=\"seed\"\r\n\r\n3\r\n"
                       "--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nx"
                       "\r\n--b--";
    (void)state;
    assert_int_equal(pf_fields_from_json(json, strlen(json), 100, &a, NULL), PF_OK);
    assert_int_equal(pf_fields_from_multipart(form, strlen(form),
                                              "multipart/form-data; boundary=b", 100, &b,
                                              NULL), PF_OK);
    pf_fields_digest(&a, "", first);
    pf_fields_digest(&b, "", second);
    assert_true(pf_digest_equal(first, second));
    pf_fields_free(&b);
    json = "{\"prompt\": \"x3\", \"seed\": \"\"}";
    assert_int_equal(pf_fields_from_json(json, strlen(json), 100, &b, NULL), PF_OK);
    pf_fields_digest(&b, "", second);
    assert_false(pf_digest_equal(first, second));
    pf_fields_free(&a);
    pf_fields_free(&b);
}

static void test_files_in_multipart(void **state)
{
    static pf_fields fields;
    static const char body[] =
        "--b\r\nContent-Type: image/png\r\nContent-Disposition: form-data; "
        "filename=\"a;\\\"b\\\".png\"; name=\"file\"\r\n\r\n\0\r\n--c\r\n\xff\r\n--b\r\n"
        "content-disposition: form-data; name=empty\r\n\r\n\r\n--b--\r\n";
    (void)state;
    assert_int_equal(pf_fields_from_multipart(body, sizeof body - 1,
                                              "multipart/form-data; boundary=\"b\"", 100,
                                              &fields, NULL), PF_OK);
    assert_int_equal(fields.count, 2);
    assert_true(fields.list[0].is_file);
    assert_int_equal(fields.list[0].bytes, 9);
    assert_memory_equal(fields.list[0].value, "\0\r\n--c\r\n\xff", 9);
    assert_null(pf_fields_find(&fields, "empty"));      /* left blank */
    pf_fields_free(&fields);
    /* Its limit is its own. */
    assert_int_equal(pf_fields_from_multipart(body, sizeof body - 1,
                                              "multipart/form-data; boundary=b", 8,
                                              &fields, NULL), PF_E_ARGUMENT);
    assert_string_equal(fields.wrong, "file");
    pf_fields_free(&fields);
}

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

/* --- hosts and keys -------------------------------------------------------------------- */

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

/* --- who asks --------------------------------------------------------------------- */

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
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_json_becomes_fields),
        cmocka_unit_test(test_the_digest_does_not_see_order_or_form),
        cmocka_unit_test(test_files_in_multipart),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
