/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables: rows that stand for others, lists of words, and offsets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"

static const char *words;

static void fill_words(char *out, size_t bytes)
{
    snprintf(out, bytes, "%s", words);
}

static const cli_option inner[] = {
    {.kind = CLI_TEXT, .name = "first", .argument = "X", .offset = 8,
     .section = PF_SECTION_WORDS},
    {.kind = CLI_SETTINGS, .section = PF_SECTION_RATE},
    {.kind = CLI_TEXT, .name = "second", .argument = "X", .offset = 16,
     .section = PF_SECTION_FILE},
};
static const cli_table inner_table = CLI_TABLE(inner);
static const cli_option middle[] = {
    {.kind = CLI_ROWS, .rows = &inner_table, .section = PF_SECTION_FILE, .offset = 100},
};
static const cli_table middle_table = CLI_TABLE(middle);

static void test_rows_of_other_tables(void **state)
{
    const cli_option outer[] = {
        {.kind = CLI_GROUP, .name = "Heading"},
        {.kind = CLI_ROWS, .rows = &inner_table, .offset = 1000},
        {.kind = CLI_ROWS, .rows = &middle_table, .offset = 2000},
    };
    const cli_table table = CLI_TABLE(outer);
    cli_rows rows;
    (void)state;
    cli_rows_expand(&table, &rows);
    assert_int_equal(rows.count, 5);
    assert_int_equal(rows.options[0].kind, CLI_GROUP);
    assert_string_equal(rows.options[1].name, "first");
    assert_int_equal(rows.options[1].offset, 1008);
    assert_string_equal(rows.options[2].name, "fps");
    assert_int_equal(rows.options[2].kind, CLI_SETTING);
    assert_string_equal(rows.options[3].name, "second");
    assert_int_equal(rows.options[3].offset, 1016);
    assert_string_equal(rows.options[4].name, "second");
    assert_int_equal(rows.options[4].offset, 2116);
}

static void test_settings(void **state)
{
    const cli_option outer[] = {
        {.kind = CLI_SETTING, .name = "num_frames", .help = "of one's own"},
        {.kind = CLI_SETTINGS, .section = PF_SECTION_NOISE},
    };
    const cli_table table = CLI_TABLE(outer);
    cli_rows rows;
    (void)state;
    cli_rows_expand(&table, &rows);
    assert_int_equal(rows.count, 4);
    assert_string_equal(rows.options[0].name, "num-frames");
    assert_string_equal(rows.options[0].help, "of one's own");
    assert_string_equal(rows.options[0].argument, "N");
    assert_ptr_equal(rows.options[0].setting, pf_setting_find("num_frames"));
    assert_string_equal(rows.options[2].choices, "own|torch-cpu|torch-cuda");
    assert_string_equal(rows.options[3].name, "cuda-sm-count");
    assert_string_equal(rows.options[3].field, "cuda_multiprocessors");
    assert_string_equal(rows.options[3].help, rows.options[3].setting->help);
}

static void test_words(void **state)
{
    static const char *const cases[][3] = {
        {"a", "auto|a", "take a; or not"},
        {"a|b", "auto|a|b", "take a or b; or not"},
        {"a|b|c", "auto|a|b|c", "take a, b or c; or not"},
    };
    const cli_option outer[] = {
        {.kind = CLI_TEXT, .name = "kind", .argument = "X", .choices = "auto",
         .words = fill_words, .help = "take %s; or not"},
        {.kind = CLI_TEXT, .name = "other", .argument = "X", .words = fill_words,
         .help = "no hole"},
    };
    const cli_table table = CLI_TABLE(outer);
    cli_rows rows;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        words = cases[i][0];
        cli_rows_expand(&table, &rows);
        assert_string_equal(rows.options[0].choices, cases[i][1]);
        assert_string_equal(rows.options[0].help, cases[i][2]);
        assert_string_equal(rows.options[1].choices, words);
        assert_string_equal(rows.options[1].help, "no hole");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_other_tables),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
