/* SPDX-License-Identifier: Apache-2.0 */
/* Every setting of the table as JSON and back, and JSON that is no value of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "media/setting_json.h"

static void test_there_and_back(void **state)
{
    static const char *const cases[][3] = {     /* setting, value, its JSON */
        {"num_frames", "49", "49"},
        {"fps", "23.976", "23.975999999999999"},
        {"guidance_rescale", "0.5", "0.5"},
        {"seed", "9223372036854775807", "9223372036854775807"},
        {"seed", "9223372036854775808", "\"9223372036854775808\""},
        {"seed", "18446744073709551615", "\"18446744073709551615\""},
        {"generate_sound", "no", "false"},
        {"rng", "TORCH_CPU", "\"torch-cpu\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const pf_setting *setting = pf_setting_find(cases[i][0]);
        pf_setting_value value, back;
        assert_int_equal(pf_setting_read(setting, "", cases[i][1], strlen(cases[i][1]), &value,
                                         NULL), PF_OK);
        json_t *json = pf_setting_json(setting, &value);
        char *text = json_dumps(json, JSON_ENCODE_ANY);
        assert_string_equal(text, cases[i][2]);
        assert_true(pf_setting_from_json(setting, json, &back));
        pf_request one = PF_INIT(pf_request), other = one;
        pf_setting_apply(setting, &value, &one);
        pf_setting_apply(setting, &back, &other);
        assert_memory_equal(&one, &other, sizeof one);
        free(text);
        json_decref(json);
    }
}

static void test_other_json(void **state)
{
    static const char *const cases[][2] = {
        {"num_frames", "49.5"}, {"num_frames", "true"}, {"num_frames", "null"},
        {"fps", "true"}, {"fps", "[]"}, {"seed", "-1"}, {"seed", "1.0"}, {"seed", "\"x\""},
        {"generate_sound", "1"}, {"rng", "1"}, {"rng", "\"dice\""}, {"rng", "{}"},
        {"size", "640"},
    };
    pf_setting_value value;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *json = json_loads(cases[i][1], JSON_DECODE_ANY, NULL);
        assert_non_null(json);
        if (pf_setting_from_json(pf_setting_find(cases[i][0]), json, &value))
            fail_msg("%s takes %s", cases[i][0], cases[i][1]);
        json_decref(json);
    }
    assert_false(pf_setting_from_json(pf_setting_find("seed"), NULL, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_other_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
