/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a chat model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "chat/answer.h"

/* Reads a completion with that JSON as its content. */
static pf_status read_content(const char *content, char **out, pf_error *error)
{
    char text[64 << 10];
    snprintf(text, sizeof text,
             "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":%s},"
             "\"finish_reason\":\"stop\"}]}", content);
    return pf_answer_read(text, strlen(text), out, error);
}

static void test_paragraphs(void **state)
{
    static const char *const cases[][2] = {
        {"\"A ball falls.\"", "A ball falls."},
        {"\"  A ball\\n\\nfalls.\\r\\n\\tIt thuds. \"", "A ball falls. It thuds."},
        {"\"\\\"A ball falls.\\\"\"", "A ball falls."},
        {"\"\\u201cEin Ball.\\u201d\"", "Ein Ball."},
        {"\"\\\" A ball. \\\"\"", "A ball."},
        {"\"\\\"Hi\\\", he says, \\\"you\\\"\"", "\"Hi\", he says, \"you\""},
        {"\"<think>Hm. {}</think>\\nA ball.\"", "A ball."},
        {"\"<speech> He says: no.\"", "<speech> He says: no."},
        {"\"\\u4e00\\u4e2a\\u7403\"", "\xe4\xb8\x80\xe4\xb8\xaa\xe7\x90\x83"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *prompt = NULL;
        assert_int_equal(read_content(cases[i][0], &prompt, NULL), PF_OK);
        assert_string_equal(prompt, cases[i][1]);
        pf_free(prompt);
    }
}

static void test_contents_refused(void **state)
{
    static const char *const cases[][2] = {
        {"\"\"", "empty"}, {"\" \\n \"", "empty"}, {"\"\\\" \\\"\"", "empty"}, {"null", "empty"},
        {"\"<think>for ever\"", "empty"}, {"[\"A ball\"]", "no chat completion"},
        {"\"a\\u0007b\"", "control characters"}, {"\"a\\u001b[31mb\"", "control characters"},
        {"\"a\\u007fb\"", "control characters"}, {"\"a\\u0085b\"", "control characters"},
        {"\"UNCHANGED\"", "refuses"}, {"\"I\\u2019m sorry, but no.\"", "refuses"},
        {"\"i cannot do that\"", "refuses"}, {"\"{\\\"prompt\\\": \\\"x\\\"}\"", "code"},
        {"\"```\\nA ball\\n```\"", "code"}, {"\"<html><p>A ball\"", "code"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *prompt = NULL;
        pf_error error = {0};
        assert_int_equal(read_content(cases[i][0], &prompt, &error), PF_E_INPUT);
        assert_non_null(strstr(error.message, cases[i][1]));
        assert_null(prompt);
    }
}

static void test_length(void **state)
{
    static char content[PF_ANSWER_PROMPT_BYTES + 8];
    char *prompt = NULL;
    pf_error error = {0};
    (void)state;
    memset(content, 'x', sizeof content);
    content[0] = content[PF_ANSWER_PROMPT_BYTES + 1] = '"';
    content[PF_ANSWER_PROMPT_BYTES + 2] = '\0';
    assert_int_equal(read_content(content, &prompt, &error), PF_OK);
    assert_int_equal(strlen(prompt), PF_ANSWER_PROMPT_BYTES);
    pf_free(prompt);
    memcpy(content + PF_ANSWER_PROMPT_BYTES + 1, "x\"", 3);
    assert_int_equal(read_content(content, &prompt, &error), PF_E_INPUT);
    assert_non_null(strstr(error.message, "8193 bytes"));
}

static void test_other_shapes(void **state)
{
    static const char *const cases[][2] = {
        {"", "no JSON"}, {"nonsense", "no JSON"}, {"{\"choices\":", "no JSON"},
        {"\xff\xfe", "no JSON"}, {"  <html></html>", "HTML"}, {"[]", "no chat completion"},
        {"{\"choices\":[]}", "no chat completion"}, {"7", "no chat completion"},
        {"{\"error\":{\"message\":\"sk-secret\"}}", "no chat completion"},
        {"{\"choices\":[{\"message\":{\"content\":\"a\",\"refusal\":\"no\"}}]}", "refuses"},
        {"{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"length\"}]}",
         "cut short"},
        {"{\"choices\":[{\"message\":{\"content\":null},"
         "\"finish_reason\":\"content_filter\"}]}", "refuses"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *prompt = NULL;
        pf_error error = {0};
        assert_int_equal(pf_answer_read(cases[i][0], strlen(cases[i][0]), &prompt, &error),
                         PF_E_INPUT);
        assert_non_null(strstr(error.message, cases[i][1]));
        assert_null(strstr(error.message, "secret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paragraphs),
        cmocka_unit_test(test_contents_refused),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_other_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
