/* SPDX-License-Identifier: Apache-2.0 */
/* The word that somebody meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/suggest.h"

static const char *const names[] = {
    "prompt", NULL, "negative-prompt", "height", "width", "num-frames", "fps",
    "num-inference-steps", "guidance-scale", "guidance-scale-2", "output", "output-path",
    "image-path", "seed", "quiet", "server",
};
static const suggest_list list = {names, sizeof names / sizeof names[0]};

static void check(const char *word, const char *wanted)
{
    char text[120] = "";
    bool near = suggest_option(word, list, text, sizeof text);
    if (!wanted)
        assert_false(near);
    else
        assert_string_equal(text, wanted);
}

static void test_letters(void **state)
{
    (void)state;
    check("promt", "--prompt");
    check("prmopt", "--prompt");                /* swapped */
    check("PROMPTS", "--prompt");
    check("heigth", "--height");
    check("num_frames", "--num-frames");
    check("negativ-promt", "--negative-prompt");
    check("sede", "--seed");
    check("outptu", "--output");
    check("imgae", "--image-path");             /* the beginning of a longer name */
    check("zebra", NULL);
    check("", NULL);
    check("ab", NULL);
}

static void test_other_names(void **state)
{
    (void)state;
    check("cfg", "--guidance-scale");
    check("steps", "--num-inference-steps");    /* a part of one name alone */
    check("scale", NULL);                       /* a part of two */
    check("size", "--height and --width");
    check("output-dir", "--output-path");
    check("crf", NULL);                         /* --quality is not in this list */
    char text[120];
    assert_true(suggest_option("seconds", list, text, sizeof text));
    assert_non_null(strstr(text, "--num-frames"));
}

static void test_long_words(void **state)
{
    char word[200];
    (void)state;
    memset(word, 'p', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    check(word, NULL);
    word[SUGGEST_MAX_WORD] = '\0';
    check(word, NULL);
    word[SUGGEST_MAX_WORD + 1] = 'p';
    check(word, NULL);
}

static void test_question(void **state)
{
    char text[64];
    (void)state;
    assert_string_equal(suggest_question("--x", "no", text, sizeof text),
                        "; did you mean --x?");
    assert_string_equal(suggest_question(NULL, "no", text, sizeof text), "; no");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_other_names),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_question),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
