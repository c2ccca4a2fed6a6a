/* SPDX-License-Identifier: Apache-2.0 */
/* A file of tensors: every check of docs/model/file-formats.md, in headers made by hand,
 * and files that are renewed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tensor_files.h"
#include "weights/container.h"

static void expect_refused(const char *header, size_t bytes, const char *word)
{
    pf_container file;
    pf_error error = {0};
    write_tensors("a.safetensors", header, bytes);
    pf_status status = pf_container_open(in_folder("a.safetensors"), &file, &error);
    if (status == PF_OK)
        fail_msg("accepted: %s", header);
    assert_int_equal(status, PF_E_MODEL);
    if (!strstr(error.message, word) || !strstr(error.message, "a.safetensors"))
        fail_msg("%s: %s does not say %s", header, error.message, word);
}

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
        pf_container file;
        pf_error error = {0};
        write_tensors("a.safetensors", fine[i].header, fine[i].bytes);
        if (pf_container_open(in_folder("a.safetensors"), &file, &error) != PF_OK)
            fail_msg("%s: %s", fine[i].header, error.message);
        assert_int_equal(file.count, fine[i].count);
        pf_container_close(&file);
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
    pf_container file;
    pf_error error = {0};
    (void)state;
    write_bytes("a.safetensors", short_file, sizeof short_file);
    assert_int_equal(pf_container_open(in_folder("a.safetensors"), &file, &error),
                     PF_E_MODEL);
    assert_non_null(strstr(error.message, "full of zeros"));
    write_bytes("a.safetensors", too_long, sizeof too_long);
    assert_int_equal(pf_container_open(in_folder("a.safetensors"), &file, &error),
                     PF_E_MODEL);
    write_bytes("a.safetensors", wraps, sizeof wraps);
    assert_int_equal(pf_container_open(in_folder("a.safetensors"), &file, &error),
                     PF_E_MODEL);
    assert_non_null(strstr(error.message, "100000000"));
}

static void test_what_is_no_file(void **state)
{
    pf_container file;
    pf_error error = {0};
    (void)state;
    assert_int_not_equal(pf_container_open(folder, &file, &error), PF_OK);
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_int_equal(pf_container_open(in_folder("pipe"), &file, &error), PF_E_IO);
    assert_non_null(strstr(error.message, "regular"));
    assert_int_not_equal(pf_container_open(in_folder("none"), &file, &error), PF_OK);
    unlink(in_folder("pipe"));
}

/* --- what an entry says ---------------------------------------------------------- */

static void test_entries_have_the_bytes_of_the_file(void **state)
{
    static const struct {
        const char *name;
        pf_dtype dtype;
        int64_t bytes;
        bool fits;
    } expected[] = {
        {"four", PF_F4, 3, true}, {"six", PF_F6_E3M2, 3, true}, {"wide", PF_I64, 16, true},
        {"deep", PF_U8, 2, false},
    };
    pf_container file;
    pf_error error = {0};
    (void)state;
    write_tensors("a.safetensors", "{" ENTRY("six", "F6_E3M2", "[2,2]", "[3,6]") ","
                  ENTRY("four", "F4", "[6]", "[0,3]") ","
                  ENTRY("wide", "I64", "[2]", "[6,22]") ","
                  ENTRY("deep", "U8", "[1,1,1,1,1,1,2]", "[22,24]") ","
                  "\"__metadata__\":{\"k\":\"v\"}}", 24);
    assert_int_equal(pf_container_open(in_folder("a.safetensors"), &file, &error), PF_OK);
    assert_int_equal(file.count, 4);
    for (int i = 0, at = 0; i < 4; at += (int)file.entries[i++].bytes) {
        const pf_entry *entry = &file.entries[i];
        assert_string_equal(entry->name, expected[i].name);
        assert_int_equal(entry->tensor.dtype, expected[i].dtype);
        assert_int_equal(entry->bytes, expected[i].bytes);
        assert_int_equal(entry->fits, expected[i].fits);
        assert_int_equal(*(const unsigned char *)entry->tensor.data, at);
    }
    assert_string_equal(pf_container_metadata(&file, "k"), "v");
    assert_null(pf_container_metadata(&file, "v"));
    pf_container_close(&file);
}

/* --- renewal ----------------------------------------------------------------------- */

/* A file of one tensor [2] whose bytes are all `value`. */
static void write_values(const char *name, unsigned char value)
{
    char header[128];
    unsigned char text[256] = {0};
    int length = snprintf(header, sizeof header,
                          "{\"%s\":{\"dtype\":\"F32\",\"shape\":[2],"
                          "\"data_offsets\":[0,8]}}", name);
    text[0] = (unsigned char)length;
    memcpy(text + 8, header, (size_t)length);
    memset(text + 8 + length, value, 8);
    unlink(in_folder("a.safetensors"));
    write_bytes("a.safetensors", text, (size_t)length + 16);
}

static void test_renewed_tensors_stay_where_they_are(void **state)
{
    pf_container file;
    pf_error error = {0};
    (void)state;
    write_values("x", 1);
    assert_int_equal(pf_container_open(in_folder("a.safetensors"), &file, &error), PF_OK);
    const unsigned char *data = file.entries[0].tensor.data;
    write_values("x", 2);
    assert_int_equal(data[7], 1);
    assert_int_equal(pf_container_check_renewal(&file, &error), PF_OK);
    assert_int_equal(data[7], 1);
    assert_int_equal(pf_container_renew(&file, &error), PF_OK);
    assert_int_equal(data[7], 2);
    write_values("y", 3);
    assert_int_equal(pf_container_check_renewal(&file, &error), PF_E_MODEL);
    assert_int_equal(pf_container_renew(&file, &error), PF_E_MODEL);
    assert_non_null(strstr(error.message, "other tensors"));
    assert_int_equal(data[7], 2);
    pf_container_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_that_are_fine),
        cmocka_unit_test(test_headers_that_are_refused),
        cmocka_unit_test(test_length_of_the_header),
        cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_entries_have_the_bytes_of_the_file),
        cmocka_unit_test(test_renewed_tensors_stay_where_they_are),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(in_folder("a.safetensors"));
    rmdir(folder);
    return failed;
}
