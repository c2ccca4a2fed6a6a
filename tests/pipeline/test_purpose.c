/* SPDX-License-Identifier: Apache-2.0 */
/* The purpose that a model was made for: reading it, and judging prompts by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "pipeline/purpose.h"

/* {"made_for": TEXT} */
static pf_status read_text(const char *text, pf_made_for **out, pf_error *error)
{
    json_error_t where;
    json_t *config = json_object();
    json_object_set_new(config, "made_for",
                        json_loads(text, JSON_DECODE_ANY, &where));
    pf_status status = pf_made_for_read(config, "config", out, error);
    json_decref(config);
    return status;
}

static pf_made_for *read_good(const char *text)
{
    pf_made_for *m = NULL;
    pf_error error = {0};
    pf_status status = read_text(text, &m, &error);
    if (status != PF_OK)
        print_error("%s\n", error.message);
    assert_int_equal(status, PF_OK);
    assert_non_null(m);
    return m;
}

static const char whole[] =
    "{\"about\": \"Balls fall.\", \"sizes\": [\"64x64\", \"64x96\"], \"num_frames\": [49, 97],"
    " \"languages\": [\"en\", \"zh\", \"tlh-x1\"],"
    " \"subjects\": [\"ball\", \"box\", \"caf\u00e9\"],"
    " \"words\": \"a red ball falls medium-sized don't na\u00efve dog\"}";

static void test_everything_is_read(void **state)
{
    char names[64], subjects[64];
    (void)state;
    pf_made_for *m = read_good(whole);
    pf_purpose p = pf_made_for_view(m);
    assert_string_equal(p.about, "Balls fall.");
    assert_int_equal(p.size_count, 2);
    assert_int_equal(p.sizes[1].width, 64);
    assert_int_equal(p.sizes[1].height, 96);
    assert_int_equal(p.num_frames_count, 2);
    assert_int_equal(p.num_frames[1], 97);
    assert_int_equal(p.language_count, 3);
    pf_made_for_name_languages(m, names, sizeof names);
    assert_string_equal(names, "English, Chinese and tlh-x1");
    assert_int_equal(p.subject_count, 3);
    pf_made_for_name_subjects(m, subjects, sizeof subjects);
    assert_string_equal(subjects, "ball, box or caf\u00e9");
    pf_made_for_name_subjects(m, subjects, 8);
    assert_string_equal(subjects, "ball, b");
    pf_made_for_free(m);
    p = pf_made_for_view(NULL);
    assert_int_equal(p.size_count + p.num_frames_count + p.language_count, 0);
    assert_null(p.about);
    pf_made_for_free(NULL);
}

static void test_missing_members_say_nothing(void **state)
{
    pf_error error = {0};
    pf_made_for *m = NULL;
    (void)state;
    assert_int_equal(read_text("null", &m, &error), PF_OK);
    assert_null(m);
    m = read_good("{\"about\": null, \"sizes\": null}");
    assert_null(pf_made_for_foreign_script(m, "\u7ea2\u7403"));
    assert_false(pf_made_for_lacks_subject(m, "a dog"));
    pf_made_for_free(m);
}

static void test_what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text, *named;
    } wrong[] = {
        {"[]", "made_for must be an object"}, {"\"x\"", "made_for must be an object"},
        {"{\"sises\": []}", "made_for.sises is unknown"},
        {"{\"about\": \"\"}", "made_for.about"}, {"{\"about\": 3}", "made_for.about is 3"},
        {"{\"about\": \"a\\nb\"}", "made_for.about"},
        {"{\"sizes\": []}", "made_for.sizes is []"},
        {"{\"sizes\": \"64x64\"}", "made_for.sizes"},
        {"{\"sizes\": [\"64\"]}", "\"64\""}, {"{\"sizes\": [\"64x64x3\"]}", "64x64x3"},
        {"{\"sizes\": [\"-64x64\"]}", "-64x64"}, {"{\"sizes\": [\"64 x64\"]}", "64 x64"},
        {"{\"sizes\": [\"0x64\"]}", "0x64"}, {"{\"sizes\": [\"99999x64\"]}", "99999x64"},
        {"{\"sizes\": [64]}", "made_for.sizes is 64"},
        {"{\"num_frames\": [0]}", "made_for.num_frames is 0"},
        {"{\"num_frames\": [49.0]}", "made_for.num_frames is 49.0"},
        {"{\"num_frames\": [4094]}", "4094"}, {"{\"num_frames\": 49}", "49"},
        {"{\"languages\": [\"English\"]}", "English"}, {"{\"languages\": [\"e\"]}", "\"e\""},
        {"{\"languages\": [null]}", "null"}, {"{\"languages\": [\"en-\"]}", "en-"},
        {"{\"words\": \"\"}", "made_for.words"}, {"{\"words\": [\"a\"]}", "made_for.words"},
        {"{\"words\": \"a  b\"}", "made_for.words"}, {"{\"words\": \"Ball\"}", "Ball"},
        {"{\"words\": \"a, b\"}", "a, b"}, {"{\"words\": \"ball-\"}", "ball-"},
        {"{\"words\": \"a \"}", "made_for.words"}, {"{\"words\": \" a\"}", "made_for.words"},
        {"{\"subjects\": \"ball\"}", "made_for.subjects"},
        {"{\"subjects\": [\"\"]}", "made_for.subjects"},
        {"{\"subjects\": [\"red ball\"]}", "red ball"},
        {"{\"subjects\": [\"Ball\"]}", "Ball"}, {"{\"subjects\": [\"ball-\"]}", "ball-"},
        {"{\"subjects\": [3]}", "made_for.subjects is 3"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        pf_error error = {0};
        pf_made_for *m = NULL;
        assert_int_equal(read_text(wrong[i].text, &m, &error), PF_E_MODEL);
        assert_non_null(strstr(error.message, "config: "));
        if (!strstr(error.message, wrong[i].named))
            fail_msg("%s does not name %s", error.message, wrong[i].named);
        pf_made_for_free(m);
    }
}

static void test_lists_end(void **state)
{
    char text[512] = "{\"num_frames\": [1";
    pf_error error = {0};
    pf_made_for *m = NULL;
    (void)state;
    for (int i = 1; i < PF_MADE_FOR_MOST; i++)
        strcat(text, ",5");
    strcat(text, "]}");
    m = read_good(text);
    assert_int_equal(m->num_frames_count, PF_MADE_FOR_MOST);
    pf_made_for_free(m);
    text[strlen(text) - 2] = '\0';
    strcat(text, ",5]}");
    assert_int_equal(read_text(text, &m, &error), PF_E_MODEL);
    pf_made_for_free(m);
}

static void test_the_components_must_be_able_to(void **state)
{
    pf_error error = {0};
    (void)state;
    pf_made_for *m = read_good(whole);
    assert_int_equal(pf_made_for_check(m, 16, 4, &error), PF_OK);
    assert_int_equal(pf_made_for_check(m, 64, 4, &error), PF_E_MODEL);
    assert_non_null(strstr(error.message, "64x96"));
    assert_int_equal(pf_made_for_check(m, 16, 7, &error), PF_E_MODEL);
    assert_non_null(strstr(error.message, "num_frames"));
    assert_int_equal(pf_made_for_check(NULL, 16, 4, &error), PF_OK);
    pf_made_for_free(m);
}

static void assert_script(const char *languages, const char *prompt, const char *script)
{
    char text[64];
    snprintf(text, sizeof text, "{\"languages\": [%s]}", languages);
    pf_made_for *m = read_good(text);
    const char *found = pf_made_for_foreign_script(m, prompt);
    if (script)
        assert_string_equal(found, script);
    else
        assert_null(found);
    pf_made_for_free(m);
}

static void test_scripts(void **state)
{
    (void)state;
    assert_script("\"en\"", "A red ball, 100 times!", NULL);
    assert_script("\"en\"", "Fa\u00e7ade \u2013 \u201cna\u00efve\u201d \U0001F600", NULL);
    assert_script("\"en\"", "", NULL);
    assert_script("\"en\"", "123 !? \U0001F600", NULL);
    assert_script("\"en\"", "\u7ea2\u7403\u843d\u5730", "Chinese");
    assert_script("\"en\"", "\u041a\u0440\u0430\u0441\u043d\u044b\u0439", "Cyrillic");
    assert_script("\"en\"", "a \u3042\u304b\u3044\u7403", "Japanese");
    assert_script("\"en\"", "A ball with the sign \u798f on it", NULL);
    assert_script("\"en\", \"zh-CN\"", "\u7ea2\u7403", NULL);
    assert_script("\"zh\"", "A red ball", "Latin");
    assert_script("\"ja\"", "\u7403", NULL);
    assert_script("\"en\", \"xx\"", "\u7ea2\u7403", NULL);   /* who knows how that is written */
}

static void assert_subject(const char *prompt, bool lacks)
{
    pf_made_for *m = read_good(whole);
    if (pf_made_for_lacks_subject(m, prompt) != lacks)
        fail_msg("%s", prompt);
    pf_made_for_free(m);
}

static void test_subjects(void **state)
{
    static const char *const with[] = {
        "A ball.", "BALLS fall", "two boxes,", "the box's lid", "a toy-ball", "(ball)",
        "\"Caf\u00e9\" \u2013 a caf\u00e9", "\u7ea2\u7403 ball", "dog and ball"};
    static const char *const without[] = {
        "A dog.", "A football", "ballroom", "Ein Hund \u2013 l\u00e4uft", "boxing", "a-dog",
        "\u7ea2\u7403", "the cafe"};
    static const char *const wordless[] = {"", " ", "123", "\U0001F600", "''- -- '"};
    char longest[4096];
    (void)state;
    for (size_t i = 0; i < sizeof with / sizeof with[0]; i++)
        assert_subject(with[i], false);
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
        assert_subject(without[i], true);
    for (size_t i = 0; i < sizeof wordless / sizeof wordless[0]; i++)
        assert_subject(wordless[i], false);
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_subject(longest, true);
}

static void test_few_words(void **state)
{
    static const char *const few[] = {"Ein roter Ball f\u00e4llt", "Une balle rouge", "Hund",
                                      "a b c", "\u7ea2\u7403"};
    static const char *const enough[] = {"A red ball", "a wooden ball falls down fast", "Ball",
                                         "", "12 + 3", "dog b", "Don't! Na\u00efve balls."};
    (void)state;
    pf_made_for *m = read_good(whole);
    for (size_t i = 0; i < sizeof few / sizeof few[0]; i++)
        if (!pf_made_for_knows_few(m, few[i]))
            fail_msg("%s", few[i]);
    for (size_t i = 0; i < sizeof enough / sizeof enough[0]; i++)
        if (pf_made_for_knows_few(m, enough[i]))
            fail_msg("%s", enough[i]);
    pf_made_for_free(m);
    m = read_good("{\"languages\": [\"en\"]}");
    assert_false(pf_made_for_knows_few(m, few[0]));
    pf_made_for_free(m);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (int64_t nth = 1;; nth++) {
        pf_error error = {0};
        pf_made_for *m = NULL;
        pf_fault_arm(PF_FAULT_ALLOCATION, nth, false);
        pf_status status = read_text(whole, &m, &error);
        int64_t seen = pf_fault_count(PF_FAULT_ALLOCATION);
        pf_fault_arm(PF_FAULT_ALLOCATION, 0, false);
        pf_made_for_free(m);
        if (seen < nth)
            break;
        assert_int_equal(status, PF_E_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_read),
        cmocka_unit_test(test_missing_members_say_nothing),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_lists_end),
        cmocka_unit_test(test_the_components_must_be_able_to),
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_subjects),
        cmocka_unit_test(test_few_words),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
