/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of chat models, and a call that nobody answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>

#include <string.h>

#include "base/memory.h"
#include "chat/chat.h"

static void test_addresses(void **state)
{
    static const char whole[] = "http://h:8080/v1/chat/completions";
    static const char *const cases[][2] = {
        {"http://h:8080", whole}, {"http://h:8080/", whole}, {"http://h:8080/v1", whole},
        {"http://h:8080/v1//", whole}, {whole, whole},
        {"https://h/api/v3/chat/completions?version=7",
         "https://h/api/v3/chat/completions?version=7"},
        {"https://h/llm/v1?a=b", "https://h/llm/v1/chat/completions?a=b"},
        {"http://[::1]:1", "http://[::1]:1/v1/chat/completions"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[PF_CHAT_URL_BYTES];
        assert_int_equal(pf_chat_address(cases[i][0], out, NULL), PF_OK);
        assert_string_equal(out, cases[i][1]);
    }
}

static void test_other_addresses(void **state)
{
    static const char *const cases[] = {
        "", "server", "h:8080", "ftp://h/", "file:///etc/passwd", "http://", "http://h/#a",
        "http://user:sk-secret@h/v1", "http://sk-secret@h/v1",
    };
    char out[PF_CHAT_URL_BYTES], longest[2 * PF_CHAT_URL_BYTES] = "http://h/";
    pf_error error;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        error = (pf_error){0};
        assert_int_equal(pf_chat_address(cases[i], out, &error), PF_E_ARGUMENT);
        assert_string_equal(error.field, "rewrite_prompt");
        assert_null(strstr(error.message, "secret"));
    }
    memset(longest + 9, 'a', sizeof longest - 10);
    assert_int_equal(pf_chat_address(longest, out, &error), PF_E_ARGUMENT);
}

static bool at_once(void *user)
{
    (void)user;
    return true;
}

/* Port 1 of this machine refuses, and a stop that is asked for is no failure of the host. */
static void test_nobody_answers(void **state)
{
    static const char url[] = "http://127.0.0.1:1/v1/chat/completions";
    const pf_chat_stop stop = {at_once, NULL};
    pf_chat_call call = {.url = url, .seconds = 5, .body = "{}"};
    pf_error error = {0};
    char *out = NULL;
    size_t bytes = 0;
    (void)state;
    assert_int_equal(pf_chat_ask(&call, &out, &bytes, &error), PF_E_INPUT);
    assert_non_null(strstr(error.message, "cannot be reached"));
    assert_null(strstr(error.message, "127.0.0.1"));
    call.stop = &stop;
    assert_int_equal(pf_chat_ask(&call, &out, &bytes, &error), PF_E_CANCELLED);
    assert_null(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_other_addresses),
        cmocka_unit_test(test_nobody_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
