/* SPDX-License-Identifier: Apache-2.0 */
/* Errors, memory, faults, files, threads and JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/json.h"
#include "base/kind.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"

/* --- errors ----------------------------------------------------------------- */

static void test_every_status_has_text_and_http(void **state)
{
    (void)state;
    for (int s = 0; s < PF_STATUS_COUNT; s++) {
        assert_true(strlen(pf_status_text((pf_status)s)) > 0);
        assert_in_range(pf_status_http((pf_status)s), 200, 599);
    }
    assert_string_equal(pf_status_text((pf_status)-1), "unknown status");
    assert_int_equal(pf_status_http(PF_STATUS_COUNT), 500);
}

static void test_errno_chooses_the_status(void **state)
{
    pf_error error = {0};
    (void)state;
    assert_int_equal(pf_fail_errno(&error, ENOSPC, "cannot write %s", "x"),
                     PF_E_NO_SPACE);
    assert_string_equal(error.message, "cannot write x: No space left on device");
    assert_int_equal(pf_fail_errno(NULL, ENOENT, "no"), PF_E_NOT_FOUND);
    assert_int_equal(pf_fail_errno(NULL, ENOMEM, "no"), PF_E_MEMORY);
    assert_int_equal(pf_fail_errno(NULL, EACCES, "no"), PF_E_IO);
}

static void test_long_messages_are_cut(void **state)
{
    pf_error error = {0};
    char text[2000];
    (void)state;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    pf_fail(&error, PF_E_INPUT, "cannot read %s: the reason", text);
    assert_in_range(strlen(error.message), 400, sizeof error.message - 1);
    assert_memory_equal(error.message, "cannot read aaa", 15);
    assert_non_null(strstr(error.message, "a ... a"));
    assert_non_null(strstr(error.message, "aaa: the reason"));
    for (size_t i = 0; i + 2 < sizeof text; i += 2)     /* no half characters */
        memcpy(text + i, "\u00e9", 2);
    text[sizeof text - 2] = '\0';
    for (int shift = 0; shift < 2; shift++) {
        char twice[512];
        pf_fail_errno(&error, EACCES, "%s%s", shift ? "x" : "", text);
        assert_string_equal(pf_escape(error.message, twice, sizeof twice), error.message);
        assert_non_null(strstr(error.message, "Permission denied"));
    }
}

static void test_messages_are_harmless(void **state)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"", ""}, {"plain \\ 'x' \"y\" %s", "plain \\ 'x' \"y\" %s"},
        {"a\nb\tc\rd", "a\\nb\\tc\\rd"}, {"\033[31m\a\177", "\\x1B[31m\\x07\\x7F"},
        {"\u98a8\u00e4\U0001F3AC", "\u98a8\u00e4\U0001F3AC"},
        {"\xC2\x9B" "1m", "\\xC2\\x9B" "1m"},         /* a control character of Latin-1 */
        {"\xFF\xC3x\xC3", "\\xFF\\xC3x\\xC3"}, {"\xC0\xAF", "\\xC0\\xAF"},
        {"\xED\xA0\x80", "\\xED\\xA0\\x80"}, {"\xE9\xA2", "\\xE9\\xA2"},
        {"\xF4\x90\x80\x80", "\\xF4\\x90\\x80\\x80"},
    };
    char text[64];
    pf_error error = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(pf_escape(cases[i].text, text, sizeof text), cases[i].wanted);
        pf_fail(&error, PF_E_INPUT, "%s", cases[i].text);
        assert_string_equal(error.message, cases[i].wanted);
    }
    assert_string_equal(pf_escape("ab\u98a8", text, 5), "ab");
    assert_string_equal(pf_escape("ab\n", text, 4), "ab");
    assert_string_equal(pf_escape("ab\n", text, 1), "");
}

/* --- memory ----------------------------------------------------------------- */

static void test_memory_is_aligned_and_zeroed(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 300; bytes += 7) {
        unsigned char *block = pf_calloc(bytes, 1);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 64, 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(block[i], 0);
        pf_free(block);
    }
    assert_null(pf_calloc(SIZE_MAX / 2, 3));
    assert_null(pf_alloc(SIZE_MAX));
    pf_free(NULL);
}

static void test_realloc_keeps_content(void **state)
{
    (void)state;
    char *text = pf_strdup("latents");
    text = pf_realloc(text, 4000);
    assert_string_equal(text, "latents");
    pf_free(text);
    text = pf_format("%s-%d", "frame", 7);
    assert_string_equal(text, "frame-7");
    pf_free(text);
}

static void test_faults_hit_the_nth(void **state)
{
    (void)state;
    pf_fault_arm(PF_FAULT_ALLOCATION, 3, false);
    void *a = pf_alloc(1), *b = pf_alloc(1), *c = pf_alloc(1), *d = pf_alloc(1);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(c);
    assert_non_null(d);
    assert_int_equal(pf_fault_count(PF_FAULT_ALLOCATION), 4);
    pf_fault_arm(PF_FAULT_ALLOCATION, 1, true);
    assert_null(pf_alloc(1));
    assert_null(pf_alloc(1));
    pf_fault_arm(PF_FAULT_ALLOCATION, 0, false);
    pf_free(a);
    pf_free(b);
    pf_free(d);
}

/* --- files ------------------------------------------------------------------ */

static char *temporary(const char *name)
{
    const char *folder = getenv("TMPDIR");
    return pf_format("%s/pf-%d-%s", folder ? folder : "/tmp", (int)getpid(), name);
}

static void test_files_are_whole_or_not_there(void **state)
{
    pf_error error = {0};
    char *path = temporary("file"), *part = pf_format("%s.part", path), *text;
    size_t bytes;
    (void)state;
    assert_int_equal(pf_write_file(path, "abc", 3, &error), PF_OK);
    pf_fault_arm(PF_FAULT_WRITE, 1, false);
    assert_int_equal(pf_write_file(path, "xyz", 3, &error), PF_E_NO_SPACE);
    pf_fault_arm(PF_FAULT_WRITE, 0, false);
    assert_false(pf_path_is_file(part));
    assert_int_equal(pf_read_file(path, 10, &text, &bytes, &error), PF_OK);
    assert_int_equal(bytes, 3);
    assert_string_equal(text, "abc");
    pf_free(text);
    assert_int_equal(pf_read_file(path, 2, &text, &bytes, &error), PF_E_INPUT);
    unlink(path);
    assert_int_equal(pf_read_file(path, 10, &text, &bytes, &error), PF_E_NOT_FOUND);
    assert_int_equal(pf_read_file("/", 10, &text, &bytes, &error), PF_E_IO);
    pf_free(path);
    pf_free(part);
}

static void test_maps_of_empty_and_missing_files(void **state)
{
    pf_error error = {0};
    pf_map map;
    char *path = temporary("map");
    (void)state;
    assert_int_equal(pf_map_open(path, &map, &error), PF_E_NOT_FOUND);
    assert_int_equal(pf_write_file(path, "", 0, &error), PF_OK);
    assert_int_equal(pf_map_open(path, &map, &error), PF_OK);
    assert_int_equal(map.bytes, 0);
    assert_null(map.data);
    pf_map_close(&map);
    unlink(path);
    pf_free(path);
}

static void test_paths_join(void **state)
{
    (void)state;
    char *a = pf_path_join("model/", "config.json"), *b = pf_path_join("model", "x");
    assert_string_equal(a, "model/config.json");
    assert_string_equal(b, "model/x");
    pf_free(a);
    pf_free(b);
}

/* --- threads ---------------------------------------------------------------- */

typedef struct tally {
    _Atomic int visits[1000];
    int threads;
} tally;

static void visit(void *argument, int64_t begin, int64_t end, int worker)
{
    tally *t = argument;
    assert_in_range(worker, 0, t->threads - 1);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&t->visits[i], 1);
}

static void test_every_item_is_visited_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads += 2) {
        pf_pool *pool;
        assert_int_equal(pf_pool_create(threads, &pool, NULL), PF_OK);
        assert_int_equal(pf_pool_threads(pool), threads);
        for (int round = 0; round < 200; round++) {
            tally *t = pf_calloc(1, sizeof *t);
            int64_t count = round * 5;
            t->threads = threads;
            pf_pool_for(pool, count, 1 + round % 7, visit, t);
            for (int64_t i = 0; i < 1000; i++)
                assert_int_equal(t->visits[i], i < count);
            pf_free(t);
        }
        pf_pool_destroy(pool);
    }
}

static void test_pool_refuses_and_fails_cleanly(void **state)
{
    pf_pool *pool;
    pf_error error = {0};
    (void)state;
    assert_int_equal(pf_pool_create(-1, &pool, &error), PF_E_ARGUMENT);
    assert_int_equal(pf_pool_create(257, &pool, &error), PF_E_ARGUMENT);
    assert_non_null(strstr(error.message, "257"));
    pf_fault_arm(PF_FAULT_THREAD, 2, false);
    assert_int_not_equal(pf_pool_create(4, &pool, &error), PF_OK);
    assert_null(pool);
    assert_non_null(strstr(error.message, "thread 3 of 4"));
    pf_fault_arm(PF_FAULT_THREAD, 0, false);
}

/* --- JSON ------------------------------------------------------------------- */

static pf_status parse(const char *text, json_t **out, pf_error *error)
{
    return pf_json_parse(text, strlen(text), "config.json", out, error);
}

static void test_json_refuses_what_it_should(void **state)
{
    static const char *const bad[] = {"{\"a\":1,\"a\":2}", "{\"a\":NaN}", "{} x", "",
                                      "{\"a\":\"\xff\"}", "{\"a\":1e999}"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *value;
        pf_error error = {0};
        assert_int_equal(parse(bad[i], &value, &error), PF_E_MODEL);
        assert_non_null(strstr(error.message, "config.json is not valid JSON"));
    }
}

static void test_texts_lose_their_mark(void **state)
{
    static const struct {
        const char *text;
        size_t bytes;
        const char *kept;                       /* NULL: refused */
    } texts[] = {
        {"", 0, ""}, {"a", 1, "a"}, {"\xef\xbb", 2, "\xef\xbb"}, {"\xef\xbb\xbf", 3, ""},
        {"\xef\xbb\xbf" "key", 6, "key"}, {"\xff\xfe" "a\0", 4, NULL},
        {"\xfe\xff\0a", 4, NULL}, {"{\0}\0", 4, NULL}, {"\0{\0}", 4, NULL},
        {"\xff\xfe\0\0{\0\0\0", 8, NULL}, {"\0\0\xfe\xff\0\0\0{", 8, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char copy[16] = "";
        pf_error error = {0};
        size_t bytes = texts[i].bytes;
        memcpy(copy, texts[i].text, bytes);
        pf_status status = pf_text_tidy("the text", copy, &bytes, &error);
        assert_int_equal(status, texts[i].kept ? PF_OK : PF_E_INPUT);
        if (!texts[i].kept) {
            assert_non_null(strstr(error.message, "the text is UTF-"));
            continue;
        }
        assert_string_equal(copy, texts[i].kept);
        assert_int_equal(bytes, strlen(texts[i].kept));
        for (size_t at = bytes; at < texts[i].bytes; at++)
            assert_int_equal(copy[at], 0);      /* nothing of it stays behind */
    }
}

static void test_json_passes_a_mark_over(void **state)
{
    json_t *value;
    pf_error error = {0};
    (void)state;
    assert_int_equal(parse("\xef\xbb\xbf{\"a\":1}\r\n", &value, &error), PF_OK);
    json_decref(value);
    assert_int_equal(parse("\xef\xbb\xbf\xef\xbb\xbf{}", &value, &error), PF_E_MODEL);
    assert_int_equal(pf_json_parse("\xff\xfe{\0}\0", 6, "config.json", &value, &error),
                     PF_E_MODEL);
    assert_string_equal(error.message, "config.json is UTF-16 text, but must be UTF-8");
}

static void test_kinds_are_named(void **state)
{
    static const struct {
        const char *content;
        size_t bytes;
        const char *kind;                       /* how the phrase begins; NULL: none */
    } files[] = {
        {"", 0, "empty"}, {"\xef\xbb\xbf", 3, "empty"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, "a Git LFS pointer"},
        {"\n <!DOCTYPE HTML>", 17, "a web page"}, {"<HTML>", 6, "a web page"},
        {"\xef\xbb\xbf<html>", 9, "a web page"}, {"<?xml version", 13, "an XML text"},
        {"{\"error\":1}", 11, "JSON text"}, {"GGUF\3", 5, "GGUF"},
        {"PK\3\4", 4, "a zip archive"}, {"\x1f\x8b\x08", 3, "compressed with gzip"},
        {"\x80\2}", 3, "a pickle"}, {"\0\0\0\0\0\0\0\0\0", 9, "full of zeros"},
        {"\0\0\0\x18" "ftypheic", 12, "a HEIC picture"},
        {"\0\0\0\x18" "ftypisom", 12, "a film"}, {"\xff\xfe{\0", 4, "UTF-16 text"},
        {"Entry not found", 15, "text that begins \"Entry not found\""},
        {"Not Found\r\n", 11, "text that begins \"Not Found\""},
        {"\x40\0\0\0\0\0\0\0{", 9, NULL}, {"abc", 3, NULL}, {"\x91\xf2\1 text", 8, NULL},
    };
    char kind[PF_KIND_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        bool known = pf_kind_describe(files[i].content, files[i].bytes, kind);
        assert_int_equal(known, files[i].kind != NULL);
        if (known)
            assert_memory_equal(kind, files[i].kind, strlen(files[i].kind));
    }
    assert_true(pf_kind_is_unfinished_name("model.safetensors.aria2"));
    assert_false(pf_kind_is_unfinished_name("model.safetensors"));
    assert_false(pf_kind_is_unfinished_name(".part"));
}

static void test_json_members_are_checked(void **state)
{
    json_t *value;
    pf_error error = {0};
    int64_t number = 5, values[3];
    pf_json_list list = {.low = 1, .high = 3, .values = values};
    double real = 0.5;
    bool flag = true;
    const char *text = "?";
    (void)state;
    assert_int_equal(parse("{\"dim\":128,\"eps\":1e-6,\"on\":false,\"name\":\"dac\","
                           "\"patch\":[1,2,2],\"none\":null}", &value, &error), PF_OK);
    assert_int_equal(pf_json_int(value, "c", "dim", 1, 200, &number, &error), PF_OK);
    assert_int_equal(number, 128);
    assert_int_equal(pf_json_int(value, "c", "none", 1, 9, &number, &error), PF_OK);
    assert_int_equal(number, 128);
    assert_int_equal(pf_json_int(value, "c", "dim", 1, 100, &number, &error),
                     PF_E_MODEL);
    assert_string_equal(error.message,
                        "c: dim is 128, but must be an integer from 1 to 100");
    assert_int_equal(pf_json_real(value, "c", "eps", 0, 1, &real, &error), PF_OK);
    assert_true(real == 1e-6);
    assert_int_equal(pf_json_bool(value, "c", "on", &flag, &error), PF_OK);
    assert_false(flag);
    assert_int_equal(pf_json_bool(value, "c", "dim", &flag, &error), PF_E_MODEL);
    assert_int_equal(pf_json_string(value, "c", "name", &text, &error), PF_OK);
    assert_string_equal(text, "dac");
    assert_int_equal(pf_json_ints(value, "c", "patch", &list, &error), PF_OK);
    assert_int_equal(list.count, 3);
    assert_int_equal(pf_json_ints(value, "c", "name", &list, &error), PF_E_MODEL);
    assert_int_equal(pf_json_require(value, "c", "none", &error), PF_E_MODEL);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_has_text_and_http),
        cmocka_unit_test(test_errno_chooses_the_status),
        cmocka_unit_test(test_long_messages_are_cut),
        cmocka_unit_test(test_messages_are_harmless),
        cmocka_unit_test(test_memory_is_aligned_and_zeroed),
        cmocka_unit_test(test_realloc_keeps_content),
        cmocka_unit_test(test_faults_hit_the_nth),
        cmocka_unit_test(test_files_are_whole_or_not_there),
        cmocka_unit_test(test_maps_of_empty_and_missing_files),
        cmocka_unit_test(test_paths_join),
        cmocka_unit_test(test_every_item_is_visited_once),
        cmocka_unit_test(test_pool_refuses_and_fails_cleanly),
        cmocka_unit_test(test_json_refuses_what_it_should),
        cmocka_unit_test(test_texts_lose_their_mark),
        cmocka_unit_test(test_json_passes_a_mark_over),
        cmocka_unit_test(test_kinds_are_named),
        cmocka_unit_test(test_json_members_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
