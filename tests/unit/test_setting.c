/* SPDX-License-Identifier: Apache-2.0 */
/* Settings as text: every kind in every spelling, and the sentence that refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/json_numbers.h"
#include "pipeline/setting.h"

static pf_status read(const char *name, const char *text, pf_setting_value *out,
                      pf_error *error)
{
    *error = (pf_error){0};
    return pf_setting_read(pf_setting_find(name), name, text, strlen(text), out, error);
}

/* A value in many spellings, and texts that are no value. */
typedef struct spellings {
    const char *name;
    const char *canonical;
    const char *good[16];
    const char *bad[16];
} spellings;

static const spellings all[] = {
    {"num_frames", "7",
     {"7", " 7", "7\n", "+7", "007", "7.0", "7.", "70e-1", "0.7e1", "7E0", "\t7 \r\n"},
     {"", " ", "seven", "7.5", "0x7", "7,0", "7 0", "--7", "7e", "7e+", ".", "e1", "inf", "nan",
      "1e99", "7\v7"}},
    {"fps", "12.5",
     {"12.5", "+12.5", "12.50", "1.25e1", "125e-1", "1250E-2", " 12.5 ", "0012.5"},
     {"0.99", "121", "nan", "NaN", "inf", "-Infinity", "0x1p3", "12,5", "1e400", "-12.5", "true"}},
    {"guidance_scale", "0", {"0", "-0", "-0.0", "0e9", "+.0", "1e-400"},
     {"-1e-300", "100.1", "1_0", "%", "0 0", "1e"}},
    {"seed", "18446744073709551615",
     {"18446744073709551615", "+18446744073709551615", "18446744073709551615.000",
      "1844674407370955161.5e1", "184467440737095516150e-1", "0018446744073709551615"},
     {"18446744073709551616", "-1", "1e20", "1.5", "0x10", "", "9e99999999999", "1e-1"}},
    {"seed", "9007199254740993", {"9007199254740993", "9007199254740993.0"}, {"x"}},
    {"seed", "1000", {"1e3", "1000", "10E+2", "1000.0"}, {"1e3e", "1 000", "1'000"}},
    {"seed", "0", {"0", "-0", "0.0", "0e5"}, {"-", "+", "--0"}},
    {"generate_sound", "true", {"true", "True", "TRUE", "1", "yes", "on", " true "},
     {"", "2", "t", "truee", "1.0", "null"}},
    {"generate_sound", "false", {"false", "False", "0", "no", "OFF"}, {"-0", "falsey"}},
    {"rng", "torch-cpu", {"torch-cpu", "Torch-CPU", "torch_cpu", " torch-cpu"},
     {"torch", "", "own|torch-cpu", "torch cpu", "torch-cpu|"}},
    {"size", "640x352",
     {"640x352", "640X352", "640*352", "640\u00d7352", "640 x 352", " 640x352\n", "640.0x3.52e2"},
     {"640", "640x", "x352", "640x352x1", "640xx352", "-640x352", "0x0", "640/352", "1e9x1",
      "0x352", "640\u00b7352"}},
    {"quality", "51", {"51", "51.0"}, {"52", "-1", "5.5"}},
    {"seconds", "0.5", {"0.5", ".5", "5e-1"}, {"0", "3601", "2s"}},
};

static void test_spellings(void **state)
{
    pf_setting_value value;
    pf_error error;
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const spellings *s = &all[i];
        for (int k = 0; k < 16 && s->good[k]; k++) {
            if (read(s->name, s->good[k], &value, &error) != PF_OK)
                fail_msg("%s", error.message);
            assert_string_equal(value.text, s->canonical);
        }
        for (int k = 0; k < 16 && s->bad[k]; k++) {
            if (read(s->name, s->bad[k], &value, &error) != PF_E_ARGUMENT)
                fail_msg("%s takes \"%s\"", s->name, s->bad[k]);
            assert_string_equal(error.field, s->name);
            assert_non_null(strstr(error.message, ", but must be "));
        }
    }
}

static void test_members(void **state)
{
    pf_setting_value value;
    pf_error error;
    (void)state;
    assert_int_equal(read("size", "640*352", &value, &error), PF_OK);
    assert_int_equal(value.width, 640);
    assert_int_equal(value.height, 352);
    assert_int_equal(read("rng", "TORCH_CUDA", &value, &error), PF_OK);
    assert_int_equal(value.choice, 2);
    assert_int_equal(read("fps", "2.4e1", &value, &error), PF_OK);
    assert_true(value.number == 24.0);
    assert_int_equal(read("guidance_rescale", "0.1", &value, &error), PF_OK);
    assert_true(value.number == 0.1);
    assert_int_equal(read("seed", "18446744073709551615", &value, &error), PF_OK);
    assert_true(value.seed == UINT64_MAX);
}

static void test_sentences(void **state)
{
    static const struct {
        const char *name, *text, *sentence;
    } cases[] = {
        {"fps", "200", "fps is '200', but must be a number from 1 to 120"},
        {"num_frames", "x", "num_frames is 'x', but must be a whole number"},
        {"seed", " -1 ", "seed is '-1', but must be a whole number from 0 to 18446744073709551615"},
        {"seed", "", "seed is '', but must be a whole number from 0 to 18446744073709551615"},
        {"rng", "dice", "rng is 'dice', but must be one of own|torch-cpu|torch-cuda"},
        {"generate_sound", "perhaps", "generate_sound is 'perhaps', but must be true or false"},
        {"size", "big", "size is 'big', but must be WIDTHxHEIGHT in pixels, such as 640x352"},
        {"quality", "99", "quality is '99', but must be a whole number from 0 to 51"},
    };
    pf_setting_value value;
    pf_error error;
    char row[200];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(read(cases[i].name, cases[i].text, &value, &error), PF_E_ARGUMENT);
        assert_string_equal(error.message, cases[i].sentence);
    }
    assert_int_equal(pf_setting_check("fps", 200, &error), PF_E_ARGUMENT);
    assert_string_equal(error.message, "fps is 200, but must be a number from 1 to 120");
    memset(row, 'a', sizeof row - 1);
    row[sizeof row - 1] = '\0';
    assert_int_equal(read("fps", row, &value, &error), PF_E_ARGUMENT);
    assert_non_null(strstr(error.message, "aaa'..., but must be"));
    assert_true(strlen(error.message) < 150);
}

static void test_table(void **state)
{
    int count;
    const pf_setting *list = pf_setting_list(&count);
    pf_setting_value value;
    (void)state;
    for (int i = 0; i < count; i++) {
        assert_ptr_equal(pf_setting_find(list[i].name), &list[i]);
        assert_true(strlen(list[i].name) < sizeof((pf_error *)0)->field);
        assert_int_equal(pf_setting_read(&list[i], "x", "what", 4, &value, NULL), PF_E_ARGUMENT);
    }
    assert_null(pf_setting_find("what"));
}

/* Every value of a member comes back; a blank one does not. */
static void test_request(void **state)
{
    int count;
    const pf_setting *list = pf_setting_list(&count);
    (void)state;
    for (int i = 0; i < count; i++) {
        const pf_setting *setting = &list[i];
        pf_request request = PF_INIT(pf_request), before = request;
        pf_setting_value value = {.number = 7.0, .seed = UINT64_MAX, .choice = 1}, back;
        pf_setting_apply(setting, &value, &request);
        assert_int_equal(memcmp(&request, &before, sizeof request) != 0, setting->member != 0);
        assert_int_equal(pf_setting_get(setting, &request, &back), setting->member != 0);
        if (setting->member == 0)
            continue;
        pf_setting_spell(setting, &value);
        assert_string_equal(back.text, value.text);
        value.number = setting->blank == PF_BLANK_UNSET ? PF_UNSET : 0.0;
        pf_setting_apply(setting, &value, &request);
        assert_int_equal(pf_setting_get(setting, &request, &back),
                         setting->blank == PF_BLANK_NEVER);
    }
    pf_request request = {.size = sizeof request, .no_audio_output = true};
    pf_setting_value sound;
    assert_true(pf_setting_get(pf_setting_find("generate_sound"), &request, &sound));
    assert_false(sound.on);
    assert_string_equal(sound.text, "false");
}

/* --- numbers of JSON -------------------------------------------------------------- */

static void test_json_numbers(void **state)
{
    static const char *const cases[][2] = {
        {"{\"a\": 18446744073709551615, \"b\":-0.5e-7}",
         "{\"a\": \"\x7f" "18446744073709551615\", \"b\":\"\x7f-0.5e-7\"}"},
        {"[1,2.0, 3E4\n]", "[\"\x7f" "1\",\"\x7f" "2.0\", \"\x7f" "3E4\"\n]"},
        {"7", "\"\x7f" "7\""},
        {"\"7, 8\"", "\"7, 8\""}, {"\"\\\"7\\\\\", 8", "\"\\\"7\\\\\", \"\x7f" "8\""},
        {"007", "007"}, {"1.", "1."}, {"-", "-"}, {"1e", "1e"}, {"1x", "1x"},
        {"1true", "1true"}, {"", ""}, {"\"", "\""},
        {"\"\\", "\"\\"},
        {"\"\x7f" "5\"", "\"\\u00015\""}, {"\"\\u007F5\"", "\"\\u00015\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *out = NULL;
        size_t bytes = 0;
        assert_int_equal(pf_json_numbers(cases[i][0], strlen(cases[i][0]), &out, &bytes, NULL),
                         PF_OK);
        assert_string_equal(out, cases[i][1]);
        assert_int_equal(bytes, strlen(out));
        pf_json_numbers_free(out);
    }
    assert_string_equal(pf_json_number("\x7f" "5"), "5");
    assert_null(pf_json_number("5"));
    assert_null(pf_json_number(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_json_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
