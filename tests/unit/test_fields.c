/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a body, from JSON and from a form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#include <string.h>

#include "server/fields.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_becomes_fields),
        cmocka_unit_test(test_the_digest_does_not_see_order_or_form),
        cmocka_unit_test(test_files_in_multipart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
