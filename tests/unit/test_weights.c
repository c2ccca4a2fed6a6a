/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors on disk: every check of docs/model/file-formats.md, in headers made by hand,
 * and a component in one file, in shards with and without an index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weights/safetensors.h"
#include "weights/weights.h"

static char folder[] = "/tmp/pf-weights-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_bytes(const char *name, const void *data, size_t bytes)
{
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

/* A file whose header is `header` and whose data are `bytes` times 0, 1, 2 ... */
static void write_tensors(const char *name, const char *header, size_t bytes)
{
    size_t length = strlen(header), all = 8 + length + bytes;
    unsigned char *text = calloc(1, all);
    assert_non_null(text);
    for (int i = 0; i < 8; i++)
        text[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(text + 8, header, length);
    for (size_t i = 0; i < bytes; i++)
        text[8 + length + i] = (unsigned char)i;
    write_bytes(name, text, all);
    free(text);
}

static void expect_refused(const char *header, size_t bytes, const char *word)
{
    pf_safetensors file;
    pf_error error = {0};
    write_tensors("a.safetensors", header, bytes);
    pf_status status = pf_safetensors_open(in_folder("a.safetensors"), &file, &error);
    if (status == PF_OK)
        fail_msg("accepted: %s", header);
    assert_int_equal(status, PF_E_MODEL);
    if (!strstr(error.message, word) || !strstr(error.message, "a.safetensors"))
        fail_msg("%s: %s does not say %s", header, error.message, word);
}

#define ENTRY(name, dtype, shape, range)                                              \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":"     \
    range "}"

static void test_headers_that_are_fine(void **state)
{
    static const struct {
        const char *header;
        size_t bytes;
        int64_t count;
    } fine[] = {
        {"{}", 0, 0},
        {"{}   \n ", 0, 0},
        {"{" ENTRY("a", "F32", "[]", "[0,4]") "}", 4, 1},
        {"{" ENTRY("b", "BF16", "[2]", "[4,8]") "," ENTRY("a", "F32", "[1]", "[0,4]")
         ",\"__metadata__\":{\"k\":\"v\"}}", 8, 2},
        {"{" ENTRY("none", "F16", "[3,0]", "[0,0]") ","
         ENTRY("\\u00e9\\ud83d\\ude00", "I64", "[1]", "[0,8]") "}", 8, 2},
        {"{" ENTRY("odd", "U8", "[3]", "[0,3]") "," ENTRY("a", "F32", "[1]", "[3,7]")
         "}", 7, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        pf_safetensors file;
        pf_error error = {0};
        write_tensors("a.safetensors", fine[i].header, fine[i].bytes);
        if (pf_safetensors_open(in_folder("a.safetensors"), &file, &error) != PF_OK)
            fail_msg("%s: %s", fine[i].header, error.message);
        assert_int_equal(file.count, fine[i].count);
        pf_safetensors_close(&file);
    }
}

static void test_headers_that_are_refused(void **state)
{
    static const struct {
        const char *header;
        size_t bytes;
        const char *word;
    } list[] = {
        {"", 0, "full of zeros"},
        {" {}", 0, "header"},
        {"[]", 0, "header"},
        {"{} x", 0, "JSON"},
        {"{\"a\":1}", 0, "object"},
        {"{\"\xff\":1}", 0, "JSON"},
        {"{\"__metadata__\":{\"k\":1}}", 0, "string"},
        {"{\"__metadata__\":[]}", 0, "object"},
        {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("a", "F32", "[1]", "[0,4]")
         "}", 4, "duplicate"},
        {"{" ENTRY("", "F32", "[1]", "[0,4]") "}", 4, "empty name"},
        {"{" ENTRY("a", "F31", "[1]", "[0,4]") "}", 4, "dtype"},
        {"{" ENTRY("a", "F32", "1", "[0,4]") "}", 4, "shape"},
        {"{" ENTRY("a", "F32", "[-1]", "[0,4]") "}", 4, "counts"},
        {"{" ENTRY("a", "F32", "[1.0]", "[0,4]") "}", 4, "counts"},
        {"{" ENTRY("a", "F32", "[1e0]", "[0,4]") "}", 4, "counts"},
        {"{" ENTRY("a", "F32", "[true]", "[0,4]") "}", 4, "counts"},
        {"{" ENTRY("a", "F32", "[99999999999999999999]", "[0,4]") "}", 4, "JSON"},
        {"{" ENTRY("a", "F32", "[4294967296,4294967296]", "[0,0]") "}", 0, "large"},
        {"{" ENTRY("a", "F64", "[288230376151711744]", "[0,0]") "}", 0, "large"},
        {"{" ENTRY("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "at most 8"},
        {"{" ENTRY("a", "F32", "[1]", "[0]") "}", 4, "data_offsets"},
        {"{" ENTRY("a", "F32", "[1]", "[4,0]") "}", 4, "data_offsets"},
        {"{" ENTRY("a", "F32", "[1]", "[-4,0]") "}", 4, "data_offsets"},
        {"{" ENTRY("a", "F32", "[2]", "[0,4]") "}", 4, "need 8"},
        {"{" ENTRY("a", "F4", "[3]", "[0,1]") "}", 1, "bytes"},
        {"{" ENTRY("a", "F32", "[1]", "[0,4]") "}", 3, "has 65 of 66 bytes"},
        {"{" ENTRY("a", "F32", "[1]", "[4,8]") "}", 8, "hole"},
        {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("b", "F32", "[1]", "[2,6]")
         "}", 6, "overlap"},
        {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("b", "F32", "[1]", "[6,10]")
         "}", 10, "hole"},
        {"{" ENTRY("a", "F32", "[1]", "[0,4]") "}", 5, "belong to none"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        expect_refused(list[i].header, list[i].bytes, list[i].word);
}

static void test_length_of_the_header(void **state)
{
    static const unsigned char short_file[7] = {0};
    static const unsigned char too_long[9] = {2, 0, 0, 0, 0, 0, 0, 0, '{'};
    static const unsigned char wraps[10] = {0xf8, 0xff, 0xff, 0xff, 0xff,
                                            0xff, 0xff, 0xff, '{',  '}'};
    pf_safetensors file;
    pf_error error = {0};
    (void)state;
    write_bytes("a.safetensors", short_file, sizeof short_file);
    assert_int_equal(pf_safetensors_open(in_folder("a.safetensors"), &file, &error),
                     PF_E_MODEL);
    assert_non_null(strstr(error.message, "full of zeros"));
    write_bytes("a.safetensors", too_long, sizeof too_long);
    assert_int_equal(pf_safetensors_open(in_folder("a.safetensors"), &file, &error),
                     PF_E_MODEL);
    write_bytes("a.safetensors", wraps, sizeof wraps);
    assert_int_equal(pf_safetensors_open(in_folder("a.safetensors"), &file, &error),
                     PF_E_MODEL);
    assert_non_null(strstr(error.message, "100000000"));
}

static void test_what_is_no_file(void **state)
{
    pf_safetensors file;
    pf_error error = {0};
    (void)state;
    assert_int_not_equal(pf_safetensors_open(folder, &file, &error), PF_OK);
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_int_equal(pf_safetensors_open(in_folder("pipe"), &file, &error), PF_E_IO);
    assert_non_null(strstr(error.message, "regular"));
    assert_int_not_equal(pf_safetensors_open(in_folder("none"), &file, &error), PF_OK);
    unlink(in_folder("pipe"));
}

/* --- components -------------------------------------------------------------------- */

static void expect_component_refused(const char *word)
{
    pf_weights *weights = NULL;
    pf_error error = {0};
    if (pf_weights_open(folder, "m", &weights, &error) == PF_OK)
        fail_msg("accepted, without a word of %s", word);
    assert_null(weights);
    if (!strstr(error.message, word))
        fail_msg("%s does not say %s", error.message, word);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static void remove_all(void)
{
    static const char *const names[] = {"a.safetensors", "b.safetensors",
                                        "m.safetensors",
                                        "m.safetensors.index.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(in_folder(names[i]));
}

static void write_shards(void)
{
    write_tensors("a.safetensors", "{" ENTRY("x", "F32", "[2]", "[0,8]") "}", 8);
    write_tensors("b.safetensors", "{" ENTRY("y", "BF16", "[2,2]", "[0,8]") ","
                  ENTRY("extra", "U8", "[1]", "[8,9]") "}", 9);
}

#define INDEX(map) "{\"metadata\":{\"total_size\":1},\"weight_map\":" map "}"

static void test_shards(void **state)
{
    pf_weights *weights;
    pf_tensor tensor;
    pf_error error = {0};
    (void)state;
    remove_all();
    expect_component_refused("holds no .safetensors file");
    write_shards();
    write_text("m.safetensors.index.json",
               INDEX("{\"x\":\"a.safetensors\",\"y\":\"b.safetensors\"}"));
    assert_int_equal(pf_weights_open(folder, "m", &weights, &error), PF_OK);
    assert_int_equal(pf_weights_count(weights), 2);     /* not `extra` */
    assert_int_equal(pf_weights_find(weights, "y", 2, (int64_t[]){2, 2}, &tensor,
                                     &error), PF_OK);
    assert_int_equal(((const unsigned char *)tensor.data)[7], 7);
    pf_weights_close(weights);
    unlink(in_folder("m.safetensors.index.json"));
    assert_int_equal(pf_weights_open(folder, "m", &weights, &error), PF_OK);
    assert_int_equal(pf_weights_count(weights), 3);     /* no index: all of them */
    pf_weights_close(weights);
}

static void test_indices_that_are_refused(void **state)
{
    static const char *const list[][2] = {
        {"[]", "weight_map"},
        {"{}", "weight_map"},
        {INDEX("[]"), "weight_map"},
        {INDEX("{}"), "weight_map"},
        {INDEX("{\"x\":3}"), "plain file name"},
        {INDEX("{\"x\":\"\"}"), "plain file name"},
        {INDEX("{\"x\":\"../a.safetensors\"}"), "plain file name"},
        {INDEX("{\"x\":\"/etc/passwd\"}"), "plain file name"},
        {INDEX("{\"x\":\"sub/a.safetensors\"}"), "plain file name"},
        {INDEX("{\"x\":\"sub\\\\a.safetensors\"}"), "plain file name"},
        {INDEX("{\"x\":\"c.safetensors\"}"), "c.safetensors"},
        {INDEX("{\"x\":\"a.safetensors\",\"z\":\"a.safetensors\"}"), "tensor z"},
        {INDEX("{\"x\":\"b.safetensors\",\"y\":\"b.safetensors\"}"), "tensor x"},
        {INDEX("{\"x\":\"a.safetensors\",\"x\":\"a.safetensors\"}"), "duplicate"},
    };
    (void)state;
    remove_all();
    write_shards();
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        write_text("m.safetensors.index.json", list[i][0]);
        expect_component_refused(list[i][1]);
    }
}

static void test_one_name_in_two_shards(void **state)
{
    (void)state;
    remove_all();
    write_shards();
    write_tensors("b.safetensors", "{" ENTRY("x", "F32", "[2]", "[0,8]") ","
                  ENTRY("y", "F32", "[]", "[8,12]") "}", 12);
    expect_component_refused("tensor x is there twice");
    write_text("m.safetensors.index.json",
               INDEX("{\"x\":\"a.safetensors\",\"y\":\"b.safetensors\"}"));
    expect_component_refused("tensor x is in b.safetensors");
}

static void expect_not_found(pf_weights *weights, const char *name,
                             const char *const *words)
{
    pf_error error = {0};
    pf_tensor tensor;
    assert_int_equal(pf_weights_find(weights, name, 1, (int64_t[]){3}, &tensor,
                                     &error), PF_E_MODEL);
    for (; *words; words++)
        if (!strstr(error.message, *words))
            fail_msg("%s does not say %s", error.message, *words);
}

static void test_messages_name_everything(void **state)
{
    pf_weights *weights;
    (void)state;
    remove_all();
    write_tensors("m.safetensors", "{" ENTRY("x", "F32", "[2,1]", "[0,8]") ","
                  ENTRY("n", "I64", "[3]", "[8,32]") ","
                  ENTRY("deep", "U8", "[1,1,1,1,1,1,1]", "[32,33]") "}", 33);
    assert_int_equal(pf_weights_open(folder, "m", &weights, NULL), PF_OK);
    expect_not_found(weights, "x", (const char *const[]){
        "m.safetensors", "tensor x", "2, 1", "[3]", NULL});
    expect_not_found(weights, "n", (const char *const[]){
        "m.safetensors", "tensor n", "I64", "F32, F16 or BF16", NULL});
    expect_not_found(weights, "deep", (const char *const[]){
        "m.safetensors", "tensor deep", "6 axes", NULL});
    expect_not_found(weights, "gone", (const char *const[]){
        folder, "tensor gone", "missing", NULL});
    pf_weights_close(weights);
}

/* A prefix hides what does not begin with it, and itself. */
static void test_prefix(void **state)
{
    pf_weights *weights;
    (void)state;
    remove_all();
    write_tensors("m.safetensors", "{" ENTRY("a.x", "F32", "[]", "[0,4]") ","
                  ENTRY("b.x", "F32", "[]", "[4,8]") "}", 8);
    assert_int_equal(pf_weights_open_file(in_folder("m.safetensors"), "b.", &weights,
                                          NULL), PF_OK);
    assert_int_equal(pf_weights_count(weights), 1);
    assert_true(pf_weights_has(weights, "x"));
    assert_false(pf_weights_has(weights, "b.x"));
    pf_weights_close(weights);
}

/* What is written is read again, byte by byte. */
static void test_written_is_read(void **state)
{
    static const float values[6] = {1, -2, 3.5f, 0, 1e-30f, 7};
    static const char *const metadata[] = {"key", "a \"value\"", NULL};
    pf_named_tensor tensors[2] = {
        {"b", pf_tensor_make((void *)(uintptr_t)values, PF_F32, 2,
                             (int64_t[]){2, 3})},
        {"a", pf_tensor_make((void *)(uintptr_t)values, PF_F32, 1, (int64_t[]){1})},
    };
    pf_weights *weights;
    pf_tensor found;
    (void)state;
    remove_all();
    assert_int_equal(pf_safetensors_write(in_folder("m.safetensors"), tensors, 2,
                                          metadata, NULL), PF_OK);
    assert_int_equal(pf_weights_open(folder, "m", &weights, NULL), PF_OK);
    assert_string_equal(pf_weights_metadata(weights, "key"), "a \"value\"");
    assert_int_equal(pf_weights_find(weights, "b", 2, (int64_t[]){2, 3}, &found, NULL),
                     PF_OK);
    assert_memory_equal(found.data, values, sizeof values);
    assert_string_equal(pf_weights_dtype(weights), "F32");
    assert_int_equal(pf_weights_bytes(weights), 28);
    pf_weights_close(weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_that_are_fine),
        cmocka_unit_test(test_headers_that_are_refused),
        cmocka_unit_test(test_length_of_the_header),
        cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_indices_that_are_refused),
        cmocka_unit_test(test_one_name_in_two_shards),
        cmocka_unit_test(test_messages_name_everything),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_written_is_read),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_all();
    rmdir(folder);
    return failed;
}
