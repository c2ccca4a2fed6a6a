/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a rewriter: address, model, key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat/rewriter.h"

static char path[] = "/tmp/phonofilm-key-XXXXXX";

static pf_status open_with(const char *key, pf_error *error)
{
    pf_rewriter *r = NULL;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(key, file);
    fclose(file);
    *error = (pf_error){0};
    const pf_rewriter_options options = {"http://127.0.0.1:1", "m", path, 5};
    pf_status status = pf_rewriter_open(&options, &r, error);
    assert_int_equal(status == PF_OK, r != NULL);
    pf_rewriter_close(r);
    return status;
}

static void test_key_files(void **state)
{
    static const char *const good[] = {"sk-1", "sk-1\n", "\n  sk-1\r\nmore\n", "\xef\xbb\xbfsk-1"};
    static const char *const bad[] = {"", "\n", "sk 1\n", "sk-\xc3\xa4\n", "sk-\x01\n",
                                      "sk-secret: x\n"};
    pf_error error;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(open_with(good[i], &error), PF_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(open_with(bad[i], &error), PF_E_INPUT);
        assert_string_equal(error.field, "rewrite_key_file");
        assert_null(strstr(error.message, "sk"));
    }
}

static void test_variable(void **state)
{
    const pf_rewriter_options options = {.url = "http://127.0.0.1:1", .model = "m",
                                         .seconds = 5};
    pf_rewriter *r = NULL;
    pf_error error = {0};
    (void)state;
    setenv("PHONOFILM_REWRITE_KEY", "sk-\nsecret: x y", 1);
    assert_int_equal(pf_rewriter_open(&options, &r, NULL), PF_OK);     /* its first line */
    pf_rewriter_close(r);
    setenv("PHONOFILM_REWRITE_KEY", "sk secret", 1);
    assert_int_equal(pf_rewriter_open(&options, &r, &error), PF_E_ARGUMENT);
    assert_null(strstr(error.message, "secret"));
    setenv("PHONOFILM_REWRITE_KEY", "", 1);
    assert_int_equal(pf_rewriter_open(&options, &r, NULL), PF_OK);
    pf_rewriter_close(r);
    unsetenv("PHONOFILM_REWRITE_KEY");
}

static void test_what_is_missing(void **state)
{
    pf_rewriter *r = NULL;
    pf_error error = {0};
    (void)state;
    pf_rewriter_options options = {.url = "http://127.0.0.1:1", .seconds = 5};
    assert_int_equal(pf_rewriter_open(&options, &r, &error), PF_E_ARGUMENT);
    assert_string_equal(error.field, "rewrite_model");
    options = (pf_rewriter_options){.url = "here", .model = "m", .seconds = 5};
    assert_int_equal(pf_rewriter_open(&options, &r, &error), PF_E_ARGUMENT);
    assert_string_equal(error.field, "rewrite_prompt");
    options = (pf_rewriter_options){"http://127.0.0.1:1", "m", "/nowhere/key", 5};
    assert_int_equal(pf_rewriter_open(&options, &r, &error), PF_E_NOT_FOUND);
    assert_null(r);
    assert_non_null(strstr(pf_rewriter_system(), "UNCHANGED"));
}

/* A name that is not UTF-8 makes no JSON: a failure with a sentence. */
static void test_words(void **state)
{
    const pf_rewriter_options options = {.url = "http://127.0.0.1:1", .model = "m",
                                         .seconds = 5};
    pf_rewriter *r = NULL;
    pf_error error = {0};
    char *out = NULL;
    (void)state;
    assert_int_equal(pf_rewriter_open(&options, &r, NULL), PF_OK);
    assert_int_equal(pf_rewriter_ask(r, "\xff", NULL, &out, &error), PF_E_INPUT);
    assert_non_null(strstr(error.message, "UTF-8"));
    assert_int_equal(pf_rewriter_ask(r, "A ball.", NULL, &out, &error), PF_E_INPUT);
    assert_non_null(strstr(error.message, "cannot be reached"));
    assert_null(out);
    pf_rewriter_close(r);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_files),
        cmocka_unit_test(test_variable),
        cmocka_unit_test(test_what_is_missing),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
