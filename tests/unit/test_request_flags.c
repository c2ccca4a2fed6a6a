/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of a request: a row of the library's table is a flag, a member of the request and a
 * field of a server, and says by itself when it has no effect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/request_flags.h"

static const cli_option options[] = {
    {.kind = CLI_ROWS, .rows = &request_flag_rows},
};
static const cli_table table = CLI_TABLE(options);

/* Stand-ins for parts of the program that print. */
void cli_end_progress(void) { }

int cli_fail(pf_status status, const pf_error *error)
{
    (void)error;
    return status == PF_OK ? EXIT_DONE : EXIT_WRONG;
}

typedef struct run {
    request_flags flags;
    cli_parser parser;
    int code;
} run;

/* Parses one flag with its value, or a switch. */
static void parse(run *r, const char *name, const char *value)
{
    static char program[] = "test";
    static char flag[128];
    snprintf(flag, sizeof flag, "--%s%s%s", name, value ? "=" : "", value ? value : "");
    char *argv[] = {program, flag, NULL};
    *r = (run){.parser = {.table = &table, .settings = &r->flags, .usage = "", .summary = ""}};
    r->code = cli_parse(&r->parser, 2, argv);
    assert_int_equal(r->code, EXIT_DONE);
}

/* A value of a setting that its default is not, in its usual spelling. */
static const char *value_of(const pf_setting *setting)
{
    if (setting->kind == PF_SETTING_CHOICE)
        return strrchr(setting->choices, '|') + 1;
    return setting->kind == PF_SETTING_REAL && setting->low < 0.5 ? "0.5" : "7";
}

static void test_every_setting_is_a_flag(void **state)
{
    int count;
    const pf_setting *list = pf_setting_list(&count);
    (void)state;
    for (int i = 0; i < count; i++) {
        const pf_setting *setting = &list[i];
        const char *value = value_of(setting);
        char name[64];
        remote_field fields[CLI_MAX_OPTIONS];
        pf_request request = PF_INIT(pf_request);
        pf_setting_value set;
        run r;
        if (setting->section == PF_SECTION_NONE)
            continue;
        assert_true(setting->help && setting->argument);
        snprintf(name, sizeof name, "%s", setting->flag ? setting->flag : setting->name);
        for (char *at = name; *at; at++)
            *at = *at == '_' ? '-' : *at;
        parse(&r, name, value);
        request_flags_fill(&r.parser, &r.flags, &(pf_model_info){.frame_multiple = 4},
                           &request);
        if (setting->member) {
            assert_true(pf_setting_get(setting, &request, &set));
            assert_string_equal(set.text, value);
        }
        int sent = request_flags_fields(&r.parser, fields);
        assert_int_equal(sent, strcmp(name, "seed") == 0 ? 1 : 2);
        assert_string_equal(fields[0].name, setting->name);
        assert_string_equal(fields[0].text, value);
        assert_int_equal(request_flags_check_remote(&r.parser), EXIT_DONE);
        cli_parser_close(&r.parser);
    }
}

static void test_flags_without_effect(void **state)
{
    static const struct {
        const char *name, *value;
        bool with_latents, finished, remote;    /* refused */
    } cases[] = {
        {"height", "64", true, true, false},
        {"seed", "1", true, true, false},
        {"adjust-frames", NULL, true, true, true},
        {"guidance-scale", "2", false, true, false},
        {"prompt", "x", false, true, false},
        {"t2va", NULL, false, true, false},
        {"quality", "7", false, false, false},
        {"vae-tile", "64", false, false, false},
        {"no-video-output", NULL, false, false, true},
        {"no-audio-output", NULL, false, false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run r;
        parse(&r, cases[i].name, cases[i].value);
        assert_int_equal(request_flags_check_latents(&r.parser, false) != EXIT_DONE,
                         cases[i].with_latents);
        assert_int_equal(request_flags_check_latents(&r.parser, true) != EXIT_DONE,
                         cases[i].finished);
        assert_int_equal(request_flags_check_remote(&r.parser) != EXIT_DONE,
                         cases[i].remote);
        cli_parser_close(&r.parser);
    }
}

static void test_fields_of_other_flags(void **state)
{
    static const struct {
        const char *flag, *value, *field, *text;
        bool is_file;
    } cases[] = {
        {"prompt", "A ball.", "prompt", "A ball.", false},
        {"image-path", "a.png", "input_reference", "a.png", true},
        {"last-image-path", "b.png", "last_image", "b.png", true},
        {"no-audio-output", NULL, "generate_sound", "false", false},
    };
    remote_field fields[CLI_MAX_OPTIONS];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run r;
        parse(&r, cases[i].flag, cases[i].value);
        assert_int_equal(request_flags_fields(&r.parser, fields), 2);
        assert_string_equal(fields[0].name, cases[i].field);
        assert_string_equal(fields[0].text, cases[i].text);
        assert_int_equal(fields[0].is_file, cases[i].is_file);
        assert_string_equal(fields[1].name, "seed");
        assert_string_equal(fields[1].value, "42");
        cli_parser_close(&r.parser);
    }
}

static void test_frames_are_rounded_up(void **state)
{
    (void)state;
    for (int frames = 1; frames < 12; frames++) {
        run r;
        pf_request request = {.size = sizeof request, .num_frames = frames};
        parse(&r, "adjust-frames", NULL);
        request_flags_fill(&r.parser, &r.flags, &(pf_model_info){.frame_multiple = 4},
                           &request);
        assert_int_equal(request.num_frames % 4, 1);
        assert_in_range(request.num_frames, frames, frames + 3);
        cli_parser_close(&r.parser);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_setting_is_a_flag),
        cmocka_unit_test(test_flags_without_effect),
        cmocka_unit_test(test_fields_of_other_flags),
        cmocka_unit_test(test_frames_are_rounded_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
