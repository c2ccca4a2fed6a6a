/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of the surroundings, read below a root of the test's own: cgroups of both
 * versions as hosts, containers and hybrid systems show them, and garbage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/machine.h"

static const int64_t mib = 1 << 20;
static char root[64];

/* Writes ROOT/path, with its folders. */
static void put(const char *path, const char *text)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(whole, 0700);
        *at = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void put_amount(const char *path, int64_t amount)
{
    char text[32];
    snprintf(text, sizeof text, "%lld\n", (long long)amount);
    put(path, text);
}

static int begin(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/pf-machine-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    put("proc/meminfo", "MemTotal: 33554432 kB\nMemFree: 1 kB\n"
                        "MemAvailable: 16777216 kB\n");
    return 0;
}

static int end(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static pf_machine read_machine(void)
{
    pf_machine machine;
    pf_machine_read(root, &machine);
    assert_true(machine.memory >= 0 && machine.processors > 0.0);
    assert_true(pf_machine_threads(&machine) >= 1);
    return machine;
}

static void assert_memory(int64_t bytes, const char *source)
{
    pf_machine machine = read_machine();
    assert_int_equal(machine.memory, bytes);
    assert_string_equal(machine.memory_by.source, source);
}

static void assert_processors(double processors, int threads, const char *source)
{
    pf_machine machine = read_machine();
    assert_true(fabs(machine.processors - processors) < 1e-9);
    assert_string_equal(machine.processors_by.source, source);
    assert_int_equal(pf_machine_threads(&machine), threads);
}

#define MEMINFO "MemAvailable of /proc/meminfo"

static void test_without_cgroups(void **state)
{
    cpu_set_t set;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    assert_memory(16384 * mib, MEMINFO);
    assert_processors(CPU_COUNT(&set), CPU_COUNT(&set), "affinity");
    pf_machine machine = read_machine();
    assert_int_equal(machine.count, 2);
    assert_true(machine.limits[0].whole == 32768.0 * (double)mib);
}

static void test_without_proc(void **state)
{
    (void)state;
    put("proc/meminfo", "");
    assert_memory(sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE),
                  "the memory of the machine");
}

/* --- v2 ------------------------------------------------------------------------- */

#define V2_MOUNT "31 23 0:28 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n"

static void test_page_cache_is_available(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/\n");
    put("proc/self/mountinfo", V2_MOUNT);
    put_amount("sys/fs/cgroup/memory.max", 4096 * mib);
    put_amount("sys/fs/cgroup/memory.current", 4000 * mib);
    put("sys/fs/cgroup/memory.stat", "anon 52428800\nfile 3984588800\nshmem 104857600\n"
                                     "file_dirty 1048576\nfile_writeback 1048576\n"
                                     "inactive_file 3145728000\nactive_file 524288000\n"
                                     "slab_reclaimable 10485760\nslab 20971520\n");
    /* 4000 in use, of which 3000 + 500 + 10 are clean, but for 2. */
    assert_memory((4096 - 4000 + 3510 - 2) * mib, "/sys/fs/cgroup/memory.max");
    /* Figures that do not fit together. */
    put_amount("sys/fs/cgroup/memory.current", 5 * mib);
    assert_memory(4096 * mib, "/sys/fs/cgroup/memory.max");
    put("sys/fs/cgroup/memory.stat", "inactive_file 5\nfile_dirty 99999999999\n");
    put_amount("sys/fs/cgroup/memory.current", 9000 * mib);
    assert_memory(0, "/sys/fs/cgroup/memory.max");
}

static void test_parents_bind(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/films.slice/one.service\n");
    put("proc/self/mountinfo", V2_MOUNT);
    put("sys/fs/cgroup/films.slice/one.service/memory.max", "max\n");
    put("sys/fs/cgroup/films.slice/one.service/memory.current", "1\n");
    put("sys/fs/cgroup/films.slice/one.service/cpu.max", "max 100000\n");
    put_amount("sys/fs/cgroup/films.slice/memory.max", 2048 * mib);
    put_amount("sys/fs/cgroup/films.slice/memory.current", 48 * mib);
    put("sys/fs/cgroup/films.slice/cpu.max", "50000 100000\n");
    put_amount("sys/fs/cgroup/other.slice/memory.max", mib);
    assert_memory(2000 * mib, "/sys/fs/cgroup/films.slice/memory.max");
    assert_processors(0.5, 1, "/sys/fs/cgroup/films.slice/cpu.max");
    /* The lower one of both, whichever it is. */
    put_amount("sys/fs/cgroup/films.slice/one.service/memory.max", 100 * mib);
    put("sys/fs/cgroup/films.slice/one.service/cpu.max", "20000 100000\n");
    assert_memory(100 * mib - 1, "/sys/fs/cgroup/films.slice/one.service/memory.max");
    assert_processors(0.2, 1, "/sys/fs/cgroup/films.slice/one.service/cpu.max");
}

static void test_memory_high_binds(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/\n");
    put_amount("sys/fs/cgroup/memory.max", 4096 * mib);
    put_amount("sys/fs/cgroup/memory.high", 1024 * mib);
    put_amount("sys/fs/cgroup/memory.current", 24 * mib);
    assert_memory(1000 * mib, "/sys/fs/cgroup/memory.high");
}

/* A path that the container cannot see, or one outside of it. */
static void test_paths_outside_of_the_mount(void **state)
{
    static const char *const paths[] = {"0::/docker/abc/def\n", "0::/../../elsewhere\n",
                                        "0::/gone (deleted)\n", "0::\n", ""};
    (void)state;
    put("proc/self/mountinfo", V2_MOUNT);
    put_amount("sys/fs/cgroup/memory.max", 3 * mib);
    put("sys/fs/cgroup/cpu.max", "100000 100000\n");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        put("proc/self/cgroup", paths[i]);
        assert_memory(3 * mib, "/sys/fs/cgroup/memory.max");
        assert_processors(1.0, 1, "/sys/fs/cgroup/cpu.max");
    }
}

/* A container without a namespace of cgroups: the mount is a part of the hierarchy. */
static void test_a_part_is_mounted(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/docker/abc/inner\n");
    put("proc/self/mountinfo", "31 23 0:28 /docker/abc /mnt/c\\040g rw - cgroup2 none rw\n");
    put_amount("mnt/c g/memory.max", 7 * mib);
    put_amount("mnt/c g/inner/memory.max", 6 * mib);
    assert_memory(6 * mib, "/mnt/c g/inner/memory.max");
    put("proc/self/cgroup", "0::/docker/abcd\n");
    assert_memory(7 * mib, "/mnt/c g/memory.max");
}

static void test_quotas_round_down(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/cpu.max", "90000 100000\n");
    assert_processors(0.9, 1, "/sys/fs/cgroup/cpu.max");
    put("sys/fs/cgroup/cpu.max", "10000\n");
    assert_processors(0.1, 1, "/sys/fs/cgroup/cpu.max");
    pf_machine machine = {.processors = 2.999};
    assert_int_equal(pf_machine_threads(&machine), 2);
    machine.processors = 3.0;
    assert_int_equal(pf_machine_threads(&machine), 3);
    put("sys/fs/cgroup/cpuset.cpus.effective", "7\n");
    put("sys/fs/cgroup/cpu.max", "max 100000\n");
    assert_true(read_machine().processors == 1.0);
}

static void test_one_mount_of_a_hierarchy_is_enough(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/a\n");
    put("proc/self/mountinfo", "29 23 0:28 /b /part rw - cgroup2 cgroup2 rw\n"
                               "30 23 0:28 / /whole rw - cgroup2 cgroup2 rw\n"
                               "31 23 0:28 / /again rw - cgroup2 cgroup2 rw\n");
    put_amount("part/memory.max", 5 * mib);
    put_amount("whole/a/memory.max", 4 * mib);
    put_amount("again/a/memory.max", 4 * mib);
    put_amount("sys/fs/cgroup/memory.max", 9 * mib);
    assert_memory(4 * mib, "/whole/a/memory.max");
    assert_int_equal(read_machine().count, 2 + 3);
}

/* --- v1 ------------------------------------------------------------------------- */

static void put_v1(void)
{
    put("proc/self/cgroup", "12:cpuset:/a\n9:cpu,cpuacct:/a/b\n4:memory:/a/b\n"
                            "1:name=systemd:/a\n0::/s\n");
    put("proc/self/mountinfo",
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
}

static void test_v1(void **state)
{
    (void)state;
    put_v1();
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824\n");
    put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1073000000\n");
    put("sys/fs/cgroup/memory/a/memory.stat",
        "inactive_file 1\nactive_file 1\ndirty 0\ntotal_inactive_file 1000000000\n"
        "total_active_file 60000000\ntotal_dirty 10000000\ntotal_writeback 0\n");
    put("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
    assert_memory(1073741824 - 1073000000 + 1050000000,
                  "/sys/fs/cgroup/memory/a/memory.limit_in_bytes");
    put("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "30000\n");
    put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "50000\n");
    assert_processors(0.6, 1, "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us");
}

/* Controllers of either version may bind in a hybrid system. */
static void test_hybrid(void **state)
{
    (void)state;
    put_v1();
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8388608\n");
    put_amount("sys/fs/cgroup/unified/s/memory.max", 5 * mib);
    assert_memory(5 * mib, "/sys/fs/cgroup/unified/s/memory.max");
    put_amount("sys/fs/cgroup/unified/s/memory.max", 9 * mib);
    assert_memory(8 * mib, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes");
}

/* --- garbage ----------------------------------------------------------------------- */

static void test_garbage_limits_nothing(void **state)
{
    static const char *const values[] = {
        "", "\n", "max\n", "-1\n", "-5", "18446744073709551615\n", "99999999999999999999999",
        "9223372036854771712\n", "12abc\n", "0x10\n", "1e9\n", "\xff\xfe\n", "nan\n", " 7\n"};
    (void)state;
    put("proc/self/mountinfo", "nonsense\n - \n1 2 3 - cgroup2\n\\777 a b c - cgroup2 d e\n");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        put("proc/self/cgroup", values[i]);
        put("sys/fs/cgroup/memory.max", values[i]);
        put("sys/fs/cgroup/memory.high", values[i]);
        put("sys/fs/cgroup/memory/memory.limit_in_bytes", values[i]);
        put("sys/fs/cgroup/cpu.max", values[i]);
        put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", values[i]);
        put("sys/fs/cgroup/cpu/cpu.cfs_period_us", values[i]);
        pf_machine machine = read_machine();
        assert_string_equal(machine.memory_by.source, MEMINFO);
        assert_string_equal(machine.processors_by.source, "affinity");
    }
    static const char *const quotas[] = {"0 100000\n", "100 0\n", "100 max\n", "5 -5\n"};
    for (size_t i = 0; i < sizeof quotas / sizeof quotas[0]; i++) {
        put("sys/fs/cgroup/cpu.max", quotas[i]);
        assert_string_equal(read_machine().processors_by.source, "affinity");
    }
    static const char *const sets[] = {"\n", "3-1\n", "a\n", "0-99999999999\n", "0-1;2\n"};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        put("sys/fs/cgroup/cpuset.cpus.effective", sets[i]);
        assert_string_equal(read_machine().processors_by.source, "affinity");
    }
}

/* The use of memory cannot be read: its limit is all that is known. */
static void test_unreadable_files(void **state)
{
    char path[128];
    (void)state;
    put_amount("sys/fs/cgroup/memory.max", 5 * mib);
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/memory.current", root);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/memory.stat", root);
    assert_int_equal(mkfifo(path, 0700), 0);
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu.max", root);
    assert_int_equal(mkfifo(path, 0700), 0);
    assert_memory(5 * mib, "/sys/fs/cgroup/memory.max");
    pf_fault_arm(PF_FAULT_READ, 1, true);
    pf_machine machine = read_machine();
    pf_fault_arm(PF_FAULT_READ, 0, false);
    assert_string_equal(machine.memory_by.source, "the memory of the machine");
}

static void test_more_limits_than_room(void **state)
{
    char path[512] = "sys/fs/cgroup", line[512] = "0::";
    (void)state;
    for (int i = 0; i < 50; i++) {
        char file[600];
        strcat(path, "/d");
        strcat(line, "/d");
        snprintf(file, sizeof file, "%s/memory.max", path);
        put_amount(file, (i == 3 ? 1 : 100 + i) * mib);
    }
    put("proc/self/cgroup", line);
    assert_memory(mib, "/sys/fs/cgroup/d/d/d/d/memory.max");
    assert_int_equal(read_machine().count, PF_MACHINE_LIMITS);
}

/* --- resource limits ------------------------------------------------------------------ */

static void test_resource_limits(void **state)
{
    struct rlimit before[2];
    pf_process_memory own;
    (void)state;
    assert_true(read_machine().address_space > 0);
    pf_process_memory_read(&own);
    assert_true(own.resident > 0 && own.anonymous > 0 && own.anonymous <= own.resident);
    assert_true(own.address_space >= own.resident && own.data > 0);
    getrlimit(RLIMIT_AS, &before[0]);
    getrlimit(RLIMIT_DATA, &before[1]);
    rlim_t room = (rlim_t)(512 * mib);
    setrlimit(RLIMIT_AS, &(struct rlimit){(rlim_t)own.address_space + room,
                                          before[0].rlim_max});
    setrlimit(RLIMIT_DATA, &(struct rlimit){(rlim_t)own.data + room / 2,
                                            before[1].rlim_max});
    pf_machine machine = read_machine();
    setrlimit(RLIMIT_AS, &before[0]);
    setrlimit(RLIMIT_DATA, &before[1]);
    assert_in_range(machine.address_space, 500 * mib, 512 * mib);
    assert_in_range(machine.data, 250 * mib, 256 * mib);
    assert_int_equal(machine.memory, 16384 * mib);
}

int main(void)
{
#define IN_ROOT(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        IN_ROOT(test_without_cgroups),
        IN_ROOT(test_without_proc),
        IN_ROOT(test_page_cache_is_available),
        IN_ROOT(test_parents_bind),
        IN_ROOT(test_memory_high_binds),
        IN_ROOT(test_paths_outside_of_the_mount),
        IN_ROOT(test_a_part_is_mounted),
        IN_ROOT(test_quotas_round_down),
        IN_ROOT(test_one_mount_of_a_hierarchy_is_enough),
        IN_ROOT(test_v1),
        IN_ROOT(test_hybrid),
        IN_ROOT(test_garbage_limits_nothing),
        IN_ROOT(test_unreadable_files),
        IN_ROOT(test_more_limits_than_room),
        IN_ROOT(test_resource_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
