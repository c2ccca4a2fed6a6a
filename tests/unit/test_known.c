/* SPDX-License-Identifier: Apache-2.0 */
/* Known fields, and which of them an error is about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#include <string.h>

#include "server/known.h"

static pf_known known(const char *name)
{
    pf_known found = {NULL, PF_KNOWN_IDLE, NULL};
    if (!pf_known_find(name, &found))
        fail_msg("%s is not known", name);
    return found;
}

static void expect_unknown(const char *name)
{
    pf_known found;
    assert_false(pf_known_find(name, &found));
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(known("size").kind, PF_KNOWN_SIZE);
    assert_string_equal(known("flow_shift").member, "visual_shift");
    assert_int_equal(known("seed").kind, PF_KNOWN_SETTING);     /* of the library's table */
    assert_string_equal(known("seed").member, "seed");
    assert_int_equal(known("seconds").kind, PF_KNOWN_SECONDS);  /* of both: the server's own */
    expect_unknown("siz");
    expect_unknown("sizes");
    expect_unknown("");
    pf_known picture = known("input_reference[image_url]"), told = known("picture");
    assert_true(pf_known_is_picture(&picture));
    assert_false(pf_known_is_picture(&told));
}

/* A field without effect is so with all that it holds; no other is. */
static void test_brackets(void **state)
{
    (void)state;
    assert_int_equal(known("lora[name]").kind, PF_KNOWN_IDLE);
    assert_int_equal(known("lora[a][b]").kind, PF_KNOWN_IDLE);
    expect_unknown("size[x]");
    expect_unknown("input_reference[x]");
}

static void expect_blame(const char *json, const char *member, const char *wanted)
{
    static pf_fields fields;
    char found[PF_FIELD_NAME_BYTES];
    assert_int_equal(pf_fields_from_json(json, strlen(json), 100, &fields, NULL), PF_OK);
    pf_known_blame(&fields, member, found);
    assert_string_equal(found, wanted);
    pf_fields_free(&fields);
}

static void test_blame(void **state)
{
    (void)state;
    expect_blame("{\"size\": \"1x1\"}", "height", "size");
    expect_blame("{\"height\": 1}", "height", "height");
    expect_blame("{\"seconds\": 1}", "num_frames", "seconds");
    expect_blame("{\"flow_shift\": 1}", "visual_shift", "flow_shift");
    expect_blame("{\"reference_url\": \"http://a/\"}", "first_frame", "reference_url");
    expect_blame("{\"last_image\": \"http://a/\"}", "first_frame", "");
    expect_blame("{\"fps\": null}", "fps", "fps");          /* the model's own */
    expect_blame("{\"prompt\": \"x\"}", "fps", "fps");
    expect_blame("{\"prompt\": \"x\"}", "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_brackets),
        cmocka_unit_test(test_blame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
