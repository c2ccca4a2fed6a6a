/* SPDX-License-Identifier: Apache-2.0 */
/* Files that get their name when they are whole: where they go, and what stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/part_file.h"

/* Every test works in a fresh folder, by relative names. */
static char folder[] = "/tmp/test_part_file_XXXXXX";
static pf_error error;

static int begin(void **state)
{
    (void)state;
    error = (pf_error){0};
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    umask(022);
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

/* Entries of the working folder but "." and "..". */
static int count(void)
{
    DIR *open_folder = opendir(".");
    int entries = -2;
    while (readdir(open_folder))
        entries++;
    closedir(open_folder);
    return entries;
}

static int end(void **state)
{
    (void)state;
    DIR *open_folder = opendir(folder);
    for (struct dirent *e; open_folder && (e = readdir(open_folder));)
        if (unlinkat(dirfd(open_folder), e->d_name, 0) != 0)
            unlinkat(dirfd(open_folder), e->d_name, AT_REMOVEDIR);
    closedir(open_folder);
    return rmdir(folder) == 0 && chdir("/") == 0 ? 0 : -1;
}

static pf_status put(const char *path, const char *text)
{
    return pf_write_file(path, text, strlen(text), &error);
}

static void expect(const char *path, const char *text)
{
    char *data;
    size_t bytes;
    if (pf_read_file(path, 1 << 20, &data, &bytes, &error) != PF_OK)
        fail_msg("%s", error.message);
    assert_string_equal(data, text);
    pf_free(data);
}

static void expect_refused(const char *path, pf_status status, const char *word)
{
    int before = count();
    assert_int_equal(put(path, "new"), status);
    if (!strstr(error.message, word))
        fail_msg("%s does not say %s", error.message, word);
    assert_int_equal(count(), before);
}

/* --- names ------------------------------------------------------------------------ */

static void test_names_of_every_length(void **state)
{
    char name[NAME_MAX + 2];
    (void)state;
    for (int bytes = 1; bytes <= NAME_MAX; bytes += bytes < 240 ? 60 : 1) {
        memset(name, 'n', sizeof name);
        name[bytes] = '\0';
        assert_int_equal(put(name, "old"), PF_OK);
        assert_int_equal(put(name, "new"), PF_OK);
        expect(name, "new");
        unlink(name);
    }
    memset(name, 'n', NAME_MAX + 1);
    name[NAME_MAX + 1] = '\0';
    expect_refused(name, PF_E_ARGUMENT, "256 bytes");
    assert_int_equal(count(), 0);
}

/* The temporary name ends between characters, and takes no more room by any count. */
static void test_long_names_of_other_scripts(void **state)
{
    char name[NAME_MAX + 1] = "";
    pf_part_file file;
    (void)state;
    for (int i = 0; i < 85; i++)
        memcpy(name + 3 * i, "\u98a8", 4);
    assert_int_equal(pf_part_open(name, &file, &error), PF_OK);
    assert_int_equal(strlen(file.part), 3 * 80 + 5);
    assert_string_equal(file.part + 3 * 80, ".part");
    pf_part_discard(&file);
    memset(name, '\xFF', NAME_MAX);
    assert_int_equal(put(name, "x"), PF_OK);
    expect(name, "x");
}

static void test_odd_names(void **state)
{
    static const char *const names[] = {"-", "--", "-o", " ", "a b", "a\nb", "%s%n", "'\"",
                                        "\\", "\033[2J", "\xFF\xFE", "...", "*", "\u98a8"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(put(names[i], "x"), PF_OK);
        expect(names[i], "x");
        unlink(names[i]);
        assert_int_equal(count(), 0);
    }
    mkdir("folder", 0700);
    expect_refused("folder", PF_E_ARGUMENT, "folder");
    expect_refused("new/", PF_E_ARGUMENT, "it is a folder");
    expect_refused("folder/.", PF_E_ARGUMENT, "it is a folder");
    expect_refused("..", PF_E_ARGUMENT, "it is a folder");
    expect_refused("/", PF_E_ARGUMENT, "it is a folder");
    expect_refused("", PF_E_ARGUMENT, "empty");
    expect_refused("none/x", PF_E_NOT_FOUND, "folder none");
    expect_refused("a\nb/x", PF_E_NOT_FOUND, "a\\nb");
}

/* A working folder deeper than a path may be, and a path that is as long. */
static void test_deep_folders(void **state)
{
    enum { DEPTH = 20 };
    char name[250], path[DEPTH * 250 + 8] = "";
    (void)state;
    memset(name, 'd', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(mkdir(name, 0700), 0);
        assert_int_equal(chdir(name), 0);
        memcpy(path + strlen(path), name, sizeof name);
        memcpy(path + strlen(path), "/", 2);
    }
    assert_true(strlen(path) > PATH_MAX);
    assert_int_equal(put("x", "deep"), PF_OK);
    expect("x", "deep");
    assert_int_equal(chdir(folder), 0);
    memcpy(path + strlen(path), "y", 2);
    assert_int_equal(put(path, "long"), PF_OK);
    assert_true(pf_place_is_same(path, path));
    for (int i = 0; i < DEPTH; i++)
        assert_int_equal(chdir(name), 0);
    expect("y", "long");
    assert_int_equal(count(), 2);
    unlink("x");
    unlink("y");
    for (int i = 0; i < DEPTH; i++)
        assert_true(chdir("..") == 0 && rmdir(name) == 0);
}

/* --- links ------------------------------------------------------------------------ */

static void test_links_are_followed(void **state)
{
    struct stat info;
    (void)state;
    mkdir("a", 0700);
    mkdir("b", 0700);
    assert_int_equal(symlink("../b/film", "a/one"), 0);     /* seen from a/ */
    assert_int_equal(symlink("a/one", "two"), 0);
    assert_int_equal(put("two", "new"), PF_OK);             /* nothing was there */
    expect("b/film", "new");
    assert_int_equal(put("two", "newer"), PF_OK);
    expect("b/film", "newer");
    assert_true(lstat("two", &info) == 0 && S_ISLNK(info.st_mode));
    assert_true(lstat("a/one", &info) == 0 && S_ISLNK(info.st_mode));
    assert_true(pf_place_is_same("two", "b/film"));
    assert_true(pf_place_is_same("b/other", "a/../b/other"));
    assert_false(pf_place_is_same("b/film", "b/other"));
    pf_fault_arm(PF_FAULT_WRITE, 2, false);
    assert_int_equal(put("two", "lost"), PF_E_NO_SPACE);
    pf_fault_arm(PF_FAULT_WRITE, 0, false);
    expect("two", "newer");
    assert_int_equal(count(), 3);
    unlink("b/film");
    unlink("a/one");
}

static void test_links_that_lead_nowhere(void **state)
{
    (void)state;
    assert_int_equal(symlink("loop", "loop"), 0);
    expect_refused("loop", PF_E_ARGUMENT, "loop");
    assert_int_equal(symlink("none/film", "gone"), 0);
    expect_refused("gone", PF_E_NOT_FOUND, "folder ./none");
    assert_int_equal(symlink("/tmp", "folder"), 0);
    expect_refused("folder", PF_E_ARGUMENT, "folder");
}

/* --- permissions ------------------------------------------------------------------ */

static mode_t mode_of(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info.st_mode & 07777;
}

static void test_permissions_stay(void **state)
{
    (void)state;
    assert_int_equal(put("x", "old"), PF_OK);
    assert_int_equal(mode_of("x"), 0644);
    static const mode_t modes[] = {0600, 0664, 0755, 0640, 0622};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod("x", modes[i]), 0);
        assert_int_equal(put("x", "new"), PF_OK);
        assert_int_equal(mode_of("x"), modes[i]);
    }
    assert_int_equal(link("x", "hard"), 0);                 /* keeps the older file */
    assert_int_equal(put("x", "newer"), PF_OK);
    expect("hard", "new");
}

/* As somebody who may write to the file, but not to its folder, and the other way. */
static void test_folders_that_are_locked(void **state)
{
    (void)state;
    bool root = geteuid() == 0;
    assert_int_equal(put("x", "old, and longer"), PF_OK);
    assert_int_equal(put("locked", "old"), PF_OK);
    chmod("x", 0666);
    chmod("locked", 0444);
    chmod(".", 0555);
    if (root)
        assert_int_equal(seteuid(65534), 0);
    pf_status over = put("x", "new"), fresh = put("y", "new");
    pf_status protected = put("locked", "new");
    if (root)
        assert_int_equal(seteuid(0), 0);
    chmod(".", 0755);
    assert_int_equal(over, PF_OK);
    assert_int_equal(fresh, PF_E_IO);
    assert_int_equal(protected, PF_E_IO);
    expect("x", "new");
    expect("locked", "old");
    assert_int_equal(count(), 2);
}

/* --- pipes and devices --------------------------------------------------------------- */

static void *read_pipe(void *text)
{
    int fd = open("pipe", O_RDONLY);
    ssize_t got = 0, all = 0;
    while ((got = read(fd, (char *)text + all, 63 - (size_t)all)) > 0)
        all += got;
    close(fd);
    return NULL;
}

static void test_pipes(void **state)
{
    pthread_t reader;
    char text[64] = "";
    (void)state;
    assert_int_equal(mkfifo("pipe", 0600), 0);
    for (int fails = 0; fails < 2; fails++) {
        memset(text, 0, sizeof text);
        pthread_create(&reader, NULL, read_pipe, text);
        pf_part_file file;
        assert_int_equal(pf_part_open("pipe", &file, &error), PF_OK);
        assert_int_equal(pf_part_write(&file, "xxole", 5, &error), PF_OK);
        assert_int_equal(lseek(file.fd, 0, SEEK_SET), 0);
        assert_int_equal(pf_part_write(&file, "wh", 2, &error), PF_OK);
        assert_int_equal(pf_part_finish(&file, &error), PF_OK);
        if (!fails)
            assert_int_equal(pf_part_publish(&file, &error), PF_OK);
        pf_part_discard(&file);
        pthread_join(reader, NULL);
        assert_string_equal(text, fails ? "" : "whole");    /* or nothing */
    }
    assert_int_equal(count(), 1);
}

static void test_devices(void **state)
{
    (void)state;
    assert_int_equal(put("/dev/null", "x"), PF_OK);
    assert_int_equal(symlink("/dev/null", "link"), 0);
    assert_int_equal(put("link", "x"), PF_OK);
    assert_int_equal(put("/dev/full", "x"), PF_E_NO_SPACE);
    struct stat info;
    assert_true(stat("/dev/null", &info) == 0 && S_ISCHR(info.st_mode));
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal >= 0 && unlockpt(terminal) == 0)
        expect_refused(ptsname(terminal), PF_E_ARGUMENT, "terminal");
    close(terminal);
}

/* An open file is gone on with; it is not opened anew. */
static void test_open_files_by_number(void **state)
{
    char path[64];
    (void)state;
    int fd = open("x", O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(fd, "before ", 7), 7);
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    assert_int_equal(put(path, "after"), PF_OK);
    expect("x", "before after");
    close(fd);
    fd = open("x", O_RDONLY);
    expect_refused(path, PF_E_IO, "Bad file descriptor");
    close(fd);
}

/* --- several files ----------------------------------------------------------------- */

/* Two processes with one name: each has its part, the last one to finish wins. */
static void test_parts_are_not_shared(void **state)
{
    pf_part_file one, two;
    (void)state;
    assert_int_equal(pf_part_open("x", &one, &error), PF_OK);
    assert_int_equal(pf_part_open("x", &two, &error), PF_OK);
    assert_int_equal(pf_part_write(&one, "one", 3, &error), PF_OK);
    assert_int_equal(pf_part_write(&two, "second", 6, &error), PF_OK);
    assert_int_equal(pf_part_finish(&one, &error), PF_OK);
    assert_int_equal(pf_part_publish(&one, &error), PF_OK);
    assert_int_equal(pf_part_finish(&two, &error), PF_OK);
    assert_int_equal(pf_part_publish(&two, &error), PF_OK);
    expect("x", "second");
    pf_part_discard(&one);
    pf_part_discard(&two);
    assert_int_equal(count(), 1);
}

static void test_withdrawing_brings_back_what_was_there(void **state)
{
    (void)state;
    for (int replaces = 0; replaces < 2; replaces++) {
        pf_part_file file;
        if (replaces)
            assert_int_equal(put("x", "old"), PF_OK);
        assert_int_equal(pf_part_open("x", &file, &error), PF_OK);
        assert_int_equal(pf_part_write(&file, "new", 3, &error), PF_OK);
        assert_int_equal(pf_part_finish(&file, &error), PF_OK);
        assert_int_equal(pf_part_publish(&file, &error), PF_OK);
        expect("x", "new");
        pf_part_withdraw(&file);
        pf_part_discard(&file);
        assert_int_equal(count(), replaces);
        if (replaces)
            expect("x", "old");
    }
}

/* Each write, sync and rename fails once. */
static void test_failures_leave_what_was_there(void **state)
{
    int failures = 0;
    (void)state;
    assert_int_equal(put("x", "old"), PF_OK);
    for (int nth = 1;; nth++) {
        pf_fault_arm(PF_FAULT_WRITE, nth, false);
        pf_status status = put("x", "new");
        pf_fault_arm(PF_FAULT_WRITE, 0, false);
        assert_int_equal(count(), 1);
        if (status == PF_OK)
            break;
        failures++;
        expect("x", "old");
    }
    assert_in_range(failures, 4, 8);
    expect("x", "new");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_names_of_every_length),
        TEST(test_long_names_of_other_scripts),
        TEST(test_odd_names),
        TEST(test_deep_folders),
        TEST(test_links_are_followed),
        TEST(test_links_that_lead_nowhere),
        TEST(test_permissions_stay),
        TEST(test_folders_that_are_locked),
        TEST(test_pipes),
        TEST(test_devices),
        TEST(test_open_files_by_number),
        TEST(test_parts_are_not_shared),
        TEST(test_withdrawing_brings_back_what_was_there),
        TEST(test_failures_leave_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
