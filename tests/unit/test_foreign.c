/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of other programs: how each value is judged, and that the page about them has
 * the same table.  Argument: docs/from-sglang.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/foreign.h"

static const char *page_path;

/* --- the page --------------------------------------------------------------------- */

static char *read_page(void)
{
    enum { ROOM = 1 << 16 };
    FILE *file = fopen(page_path, "r");
    char *text = calloc(1, ROOM);
    assert_non_null(file);
    assert_non_null(text);
    size_t bytes = fread(text, 1, ROOM - 1, file);
    assert_true(bytes < ROOM - 1);
    fclose(file);
    return text;
}

/* "a|b" as `a` `b`, "a b" as `--a` `--b`. */
static void list(char *out, size_t room, const char *words, char separator,
                 const char *hyphens)
{
    size_t at = strlen(out);
    for (; words && *words; words += *words == separator) {
        size_t length = strcspn(words, (char[]){separator, '\0'});
        at += (size_t)snprintf(out + at, room - at, " `%s%.*s`", hyphens, (int)length, words);
        words += length;
    }
}

/* The row of the page that describes a flag. */
static void row_of(const foreign_flag *f, char *out, size_t room)
{
    const char *commands = f->commands == FOREIGN_BOTH      ? " generate, serve"
                           : f->commands == FOREIGN_GENERATE ? " generate"
                                                             : " serve";
    bool any = f->neutral && strcmp(f->neutral, "*") == 0;
    snprintf(out, room, "|");
    list(out, room, f->names, ' ', "--");
    snprintf(out + strlen(out), room - strlen(out), " |%s |%s", commands, any ? " any" : "");
    list(out, room, any ? NULL : f->neutral, '|', "");
    snprintf(out + strlen(out), room - strlen(out), " |");
    list(out, room, f->when, '|', "");
    snprintf(out + strlen(out), room - strlen(out), "%s", f->when ? ":" : "");
    list(out, room, f->becomes, ' ', "");
    for (char *hole; (hole = strstr(out, "%s"));) {
        *hole = 'X';                    /* %s becomes X */
        memmove(hole + 1, hole + 2, strlen(hole + 2) + 1);
    }
    snprintf(out + strlen(out), room - strlen(out), " | %s |\n", f->instead ? f->instead : "");
}

static void test_page(void **state)
{
    int count, rows = 0, missing = 0;
    char *page = read_page(), row[1024];
    const foreign_flag *flags = foreign_flags(&count);
    (void)state;
    for (int i = 0; i < count; i++) {
        row_of(&flags[i], row, sizeof row);
        if (strstr(page, row))
            continue;
        missing++;
        print_error("%s", row);         /* what the page should say */
    }
    for (const char *at = page; (at = strstr(at, "\n| `--")); at++)
        rows++;
    assert_int_equal(missing, 0);
    assert_int_equal(rows, count);
    free(page);
}

/* --- the table -------------------------------------------------------------------- */

/* A refused flag says what to use instead; whatever is not taken goes somewhere. */
static void test_rows_are_whole(void **state)
{
    int count;
    const foreign_flag *flags = foreign_flags(&count);
    (void)state;
    for (int i = 0; i < count; i++) {
        const foreign_flag *f = &flags[i];
        bool any = f->neutral && strcmp(f->neutral, "*") == 0;
        bool others = f->becomes && !f->when;
        assert_true(any + others + (f->instead != NULL) == 1);
        assert_false(f->when && !f->becomes);
    }
}

/* A name means one thing to a command. */
static void test_names_are_unique(void **state)
{
    int count;
    const foreign_flag *flags = foreign_flags(&count);
    (void)state;
    for (int i = 0; i < count; i++) {
        char names[256], *save = NULL;
        snprintf(names, sizeof names, "%s", flags[i].names);
        for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save))
            for (unsigned command = 1; command <= FOREIGN_SERVE; command *= 2)
                if (flags[i].commands & command)
                    assert_ptr_equal(foreign_find(command, name), &flags[i]);
    }
}

static foreign_verdict judge(unsigned command, const char *name, const char *value)
{
    const foreign_flag *flag = foreign_find(command, name);
    assert_non_null(flag);
    return foreign_judge(flag, value);
}

static void test_judging(void **state)
{
    (void)state;
    assert_int_equal(judge(FOREIGN_GENERATE, "num-gpus", "1"), FOREIGN_TAKEN);
    assert_int_equal(judge(FOREIGN_GENERATE, "num_gpus", "8"), FOREIGN_REFUSED);
    assert_int_equal(judge(FOREIGN_SERVE, "save-output", "true"), FOREIGN_TAKEN);
    assert_int_equal(judge(FOREIGN_SERVE, "save-output", "false"), FOREIGN_REFUSED);
    assert_int_equal(judge(FOREIGN_GENERATE, "dit-cpu-offload", "false"), FOREIGN_TAKEN);
    assert_int_equal(judge(FOREIGN_GENERATE, "dtype", "bfloat16"), FOREIGN_TAKEN);
    assert_int_equal(judge(FOREIGN_GENERATE, "dtype", "FP32"), FOREIGN_BECOMES);
    assert_int_equal(judge(FOREIGN_GENERATE, "dtype", "fp8"), FOREIGN_REFUSED);
    assert_int_equal(judge(FOREIGN_GENERATE, "cfg_scale", "5"), FOREIGN_BECOMES);
    assert_null(foreign_find(FOREIGN_SERVE, "cfg-scale"));
    assert_null(foreign_find(FOREIGN_GENERATE, ""));
    assert_null(foreign_find(FOREIGN_GENERATE, "num"));
}

static void test_booleans(void **state)
{
    static const char *const on[] = {"true", "True", "1", "yes", "ON"};
    static const char *const off[] = {"false", "FALSE", "0", "no", "off"};
    static const char *const neither[] = {"", "2", "t", "truefalse", "none", "true|yes"};
    bool value;
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_true(foreign_boolean(on[i], &value) && value);
        assert_true(foreign_boolean(off[i], &value) && !value);
    }
    for (size_t i = 0; i < sizeof neither / sizeof neither[0]; i++)
        assert_false(foreign_boolean(neither[i], &value));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_rows_are_whole),
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_judging),
        cmocka_unit_test(test_booleans),
    };
    page_path = argc > 1 ? argv[1] : "docs/from-sglang.md";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
