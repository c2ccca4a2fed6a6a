/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a component: in one file, in shards with and without an index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tensor_files.h"
#include "weights/weights.h"

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
    assert_int_equal(pf_weights_bytes(weights), 33);
    assert_string_equal(pf_weights_dtype(weights), "mixed");
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

/* Written tensors are read again, byte by byte. */
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
