/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of the surroundings.  See machine.h.
 *
 * Cgroups: /proc/self/cgroup has the path of the process in each hierarchy, and
 * /proc/self/mountinfo where hierarchies are mounted, and which part of them.  A container
 * may see a path that does not exist below its mount, or a mount without a line, so every
 * directory from the path up to the mount is tried, at the usual places, too.
 */
#include "base/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fault.h"

enum {
    PATH_BYTES = 1024,          /* longer paths are not looked at */
    LINE_BYTES = 8192,
    MOUNTS = 16,
    MOST_PROCESSORS = 1 << 20,  /* a mask of more is not asked for */
    NO_LIMIT_BITS = 60          /* 2^60 bytes and more are how v1 says "none" */
};

/* Hierarchies that matter; v1 has one for each controller. */
typedef enum hierarchy { UNIFIED, MEMORY, CPU, CPUSET, HIERARCHIES } hierarchy;

typedef struct mount {
    unsigned holds;                         /* bit 1 << hierarchy */
    bool usual;                             /* a usual place, not one of mountinfo */
    char root[PATH_BYTES];                  /* the cgroup that is mounted, "" for / */
    char at[PATH_BYTES];
} mount;

typedef struct reader {
    const char *prefix;                     /* in front of every path */
    pf_machine *machine;
    char path[HIERARCHIES][PATH_BYTES];     /* of the process; "" for / */
    mount mounts[MOUNTS];
    int mount_count;
} reader;

/* --- files -------------------------------------------------------------------- */

/* Calls `take` with each line, without its end; of long lines with the beginning. */
static bool each_line(const char *prefix, const char *path,
                      void (*take)(void *user, char *line), void *user)
{
    char whole[2 * PATH_BYTES], line[LINE_BYTES];
    int length = snprintf(whole, sizeof whole, "%s%s", prefix, path);
    if (length < 0 || (size_t)length >= sizeof whole)
        return false;
    /* Without waiting: a pipe in the place of a file has no writer. */
    int fd = open(whole, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *file = fd < 0 || pf_fault_hit(PF_FAULT_READ) ? NULL : fdopen(fd, "r");
    if (!file) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool begins = true;
    while (fgets(line, sizeof line, file)) {
        size_t bytes = strcspn(line, "\n");
        bool ends = line[bytes] == '\n';
        line[bytes] = '\0';
        if (begins)
            take(user, line);
        begins = ends;
    }
    fclose(file);
    return true;
}

/* A whole number of bytes or microseconds at the start of `text`; false for "max", for
 * what v1 writes where there is no limit, and for anything else. */
static bool parse_amount(const char *text, int64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || (*end && !strchr(" \t\r", *end)) || value >> NO_LIMIT_BITS)
        return false;
    *out = (int64_t)value;
    return true;
}

static void take_first(void *user, char *line)
{
    char *first = user;
    if (!first[0])
        snprintf(first, PATH_BYTES, "%.*s", PATH_BYTES - 1, line);
}

/* The first line that is not empty. */
static bool read_line(const reader *r, const char *folder, const char *name,
                      char out[PATH_BYTES])
{
    char path[PATH_BYTES];
    out[0] = '\0';
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path &&
           each_line(r->prefix, path, take_first, out) && out[0];
}

static bool read_amount(const reader *r, const char *folder, const char *name,
                        int64_t *out)
{
    char line[PATH_BYTES];
    return read_line(r, folder, name, line) && parse_amount(line, out);
}

/* --- what was found ----------------------------------------------------------- */

/* Takes note of a limit; the smallest of its kind binds.  A file that is reached by two mounts
 * is noted once. */
static void note(reader *r, pf_limit limit)
{
    pf_machine *m = r->machine;
    bool memory = limit.kind == PF_LIMIT_MEMORY;
    pf_limit *binding = memory ? &m->memory_by : &m->processors_by;
    for (int i = 0; i < m->count; i++)
        if (m->limits[i].kind == limit.kind &&
            strcmp(m->limits[i].source, limit.source) == 0)
            return;
    if (m->count < PF_MACHINE_LIMITS)
        m->limits[m->count++] = limit;
    if (!binding->source[0] || limit.amount < binding->amount)
        *binding = limit;
}

static void note_file(reader *r, pf_limit limit, const char *folder, const char *name)
{
    snprintf(limit.source, sizeof limit.source, "%.*s/%s",
             PF_LIMIT_SOURCE_BYTES - 64, folder, name);
    note(r, limit);
}

/* --- memory of a cgroup --------------------------------------------------------- */

/* Names of one version of the memory controller; NULL: it has no such file. */
typedef struct memory_names {
    const char *limits[2], *used;
    const char *total;                      /* in front of sums over children */
} memory_names;

static const memory_names memory_v2 = {{"memory.max", "memory.high"}, "memory.current", ""};
static const memory_names memory_v1 = {{"memory.limit_in_bytes", NULL},
                                       "memory.usage_in_bytes", "total_"};

typedef struct page_count {
    const char *total;
    int64_t clean, busy;                    /* bytes of files: all; not written yet */
} page_count;

/* A line of memory.stat.  Pages of files count as clean but for those that still have to be
 * written. */
static void count_pages(void *user, char *line)
{
    static const char *const files[] = {"inactive_file", "active_file",
                                        "slab_reclaimable"};
    static const char *const waiting[] = {"file_dirty", "file_writeback", "dirty",
                                          "writeback"};
    page_count *pages = user;
    size_t skip = strlen(pages->total);
    char *blank = strchr(line, ' ');
    int64_t bytes;
    if (!blank || strncmp(line, pages->total, skip) != 0 ||
        !parse_amount(blank + 1, &bytes))
        return;
    *blank = '\0';
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (strcmp(line + skip, files[i]) == 0)
            pages->clean += bytes;
    for (size_t i = 0; i < sizeof waiting / sizeof waiting[0]; i++)
        if (strcmp(line + skip, waiting[i]) == 0)
            pages->busy += bytes;
}

/* Bytes that the kernel takes back before it refuses memory. */
static int64_t reclaimable(const reader *r, const char *folder, const char *total)
{
    char path[PATH_BYTES];
    page_count pages = {.total = total};
    int length = snprintf(path, sizeof path, "%s/memory.stat", folder);
    if (length > 0 && (size_t)length < sizeof path)
        each_line(r->prefix, path, count_pages, &pages);
    return pages.clean > pages.busy ? pages.clean - pages.busy : 0;
}

/* The limits of one cgroup: what is left of each is the limit less the bytes in use, clean
 * pages of files aside. */
static void read_memory(reader *r, const char *folder, const memory_names *names)
{
    for (int i = 0; i < 2 && names->limits[i]; i++) {
        int64_t limit, used = 0;
        if (!read_amount(r, folder, names->limits[i], &limit))
            continue;
        if (read_amount(r, folder, names->used, &used))
            used -= reclaimable(r, folder, names->total);
        used = used < 0 ? 0 : used < limit ? used : limit;
        note_file(r, (pf_limit){PF_LIMIT_MEMORY, (double)(limit - used), (double)limit, ""},
                  folder, names->limits[i]);
    }
}

/* --- processors of a cgroup ------------------------------------------------------ */

static void note_quota(reader *r, double quota, double period, const char *folder,
                       const char *name)
{
    if (quota > 0.0 && period > 0.0)
        note_file(r, (pf_limit){PF_LIMIT_PROCESSORS, quota / period, quota / period, ""},
                  folder, name);
}

/* "QUOTA PERIOD", microseconds. */
static void read_quota_v2(reader *r, const char *folder)
{
    char line[PATH_BYTES];
    int64_t quota, period = 100000;
    if (!read_line(r, folder, "cpu.max", line) || !parse_amount(line, &quota))
        return;
    const char *second = line + strcspn(line, " \t");
    second += strspn(second, " \t");
    if (*second && !parse_amount(second, &period))
        return;
    note_quota(r, (double)quota, (double)period, folder, "cpu.max");
}

static void read_quota_v1(reader *r, const char *folder)
{
    int64_t quota, period;
    if (read_amount(r, folder, "cpu.cfs_quota_us", &quota) &&
        read_amount(r, folder, "cpu.cfs_period_us", &period))
        note_quota(r, (double)quota, (double)period, folder, "cpu.cfs_quota_us");
}

/* How many numbers "0-3,8" has; 0 if it is no such list. */
static int64_t count_list(const char *text)
{
    int64_t count = 0;
    while (*text >= '0' && *text <= '9') {
        char *end;
        long first = strtol(text, &end, 10), last = first;
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        if (last < first || last > MOST_PROCESSORS)
            return 0;
        count += last - first + 1;
        text = *end == ',' ? end + 1 : end;
    }
    return *text == '\0' ? count : 0;
}

static void read_cpuset(reader *r, const char *folder)
{
    static const char *const names[] = {"cpuset.cpus.effective", "cpuset.effective_cpus",
                                        "cpuset.cpus"};
    char line[PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int64_t count = read_line(r, folder, names[i], line) ? count_list(line) : 0;
        if (count == 0)
            continue;
        note_file(r, (pf_limit){PF_LIMIT_PROCESSORS, (double)count, (double)count, ""},
                  folder, names[i]);
        return;
    }
}

/* --- cgroups --------------------------------------------------------------------- */

static void read_folder(reader *r, hierarchy which, const char *folder)
{
    if (which == UNIFIED || which == MEMORY)
        read_memory(r, folder, which == MEMORY ? &memory_v1 : &memory_v2);
    if (which == UNIFIED)
        read_quota_v2(r, folder);
    if (which == CPU)
        read_quota_v1(r, folder);
    if (which == UNIFIED || which == CPUSET)
        read_cpuset(r, folder);
}

/* The path below the mount: without the part that is mounted.  A process outside of that
 * part, or of the container's own root ("/../x"), has none that could be named: NULL. */
static const char *path_below(const char *path, const char *root)
{
    size_t skip = strlen(root);
    bool inside = strncmp(path, root, skip) == 0 && (path[skip] == '/' || !path[skip]);
    return inside && !strstr(path + skip, "/..") ? path + skip : NULL;
}

/* Every folder from the process's own up to the mount. */
static void read_mount(reader *r, const mount *m, hierarchy which)
{
    char folder[2 * PATH_BYTES];
    size_t top = strlen(m->at);
    const char *path = path_below(r->path[which], m->root);
    snprintf(folder, sizeof folder, "%s%s", m->at, path ? path : "");
    for (;;) {
        read_folder(r, which, folder);
        char *last = strrchr(folder, '/');
        if (!last || strlen(folder) <= top)
            return;
        *last = '\0';
    }
}

/* "NUMBER:CONTROLLER,CONTROLLER:PATH"; v2 is 0 and has no controllers. */
static void take_cgroup(void *user, char *line)
{
    reader *r = user;
    char *list = strchr(line, ':');
    char *path = list ? strchr(list + 1, ':') : NULL;
    if (!path || path[1] != '/' || strlen(path + 1) >= PATH_BYTES)
        return;
    *path++ = '\0';
    const char *shown = strcmp(path, "/") == 0 ? "" : path;
    if (list[1] == '\0')
        snprintf(r->path[UNIFIED], PATH_BYTES, "%s", shown);
    for (char *rest = NULL, *name = strtok_r(list + 1, ",", &rest); name;
         name = strtok_r(NULL, ",", &rest)) {
        hierarchy which = strcmp(name, "memory") == 0   ? MEMORY
                          : strcmp(name, "cpu") == 0    ? CPU
                          : strcmp(name, "cpuset") == 0 ? CPUSET
                                                        : HIERARCHIES;
        if (which < HIERARCHIES)
            snprintf(r->path[which], PATH_BYTES, "%s", shown);
    }
}

/* Blanks and the like are "\040" in mountinfo. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *in = text; *in; out++) {
        bool octal = in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' &&
                     in[2] <= '7' && in[3] >= '0' && in[3] <= '7';
        *out = octal ? (char)((in[1] - '0') * 64 + (in[2] - '0') * 8 + in[3] - '0') : *in;
        in += octal ? 4 : 1;
    }
    *out = '\0';
}

static mount *add_mount(reader *r, unsigned holds, const char *root, const char *at)
{
    for (int i = 0; i < r->mount_count; i++)
        if (r->mounts[i].holds == holds && strcmp(r->mounts[i].at, at) == 0)
            return &r->mounts[i];
    if (r->mount_count == MOUNTS)
        return NULL;
    mount *m = &r->mounts[r->mount_count++];
    m->holds = holds;
    snprintf(m->root, sizeof m->root, "%s", strcmp(root, "/") == 0 ? "" : root);
    snprintf(m->at, sizeof m->at, "%s", at);
    return m;
}

static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
        if ((at == list || at[-1] == ',') && (!at[length] || at[length] == ','))
            return true;
    return false;
}

/* "ID PARENT DEVICE ROOT PLACE OPTIONS ... - TYPE SOURCE OPTIONS" */
static void take_mount(void *user, char *line)
{
    reader *r = user;
    char root[PATH_BYTES], at[PATH_BYTES], type[32], options[PATH_BYTES] = "";
    char *behind = strstr(line, " - ");
    if (!behind || sscanf(line, "%*s %*s %*s %1023s %1023s", root, at) != 2 ||
        sscanf(behind + 3, "%31s %*s %1023s", type, options) < 1)
        return;
    unsigned holds = 0;
    if (strcmp(type, "cgroup2") == 0)
        holds = 1u << UNIFIED;
    else if (strcmp(type, "cgroup") == 0)
        holds = (unsigned)has_word(options, "memory") << MEMORY |
                (unsigned)has_word(options, "cpu") << CPU |
                (unsigned)has_word(options, "cpuset") << CPUSET;
    unescape(root);
    unescape(at);
    if (holds)
        add_mount(r, holds, root, at);
}

/* By one mount of those that show the process's own cgroup, and at the usual places, which
 * may have been mounted over. */
static void read_hierarchy(reader *r, hierarchy which)
{
    bool found = false;
    for (int i = 0; i < r->mount_count; i++) {
        const mount *m = &r->mounts[i];
        if (!(m->holds >> which & 1u) || (found && !m->usual))
            continue;
        read_mount(r, m, which);
        found = found || path_below(r->path[which], m->root);
    }
}

/* Where the process is, what is mounted where, and then every hierarchy. */
static void read_cgroups(reader *r)
{
    static const struct {
        hierarchy which;
        const char *at;
    } usual[] = {
        {UNIFIED, "/sys/fs/cgroup"}, {UNIFIED, "/sys/fs/cgroup/unified"},
        {MEMORY, "/sys/fs/cgroup/memory"}, {CPU, "/sys/fs/cgroup/cpu"},
        {CPU, "/sys/fs/cgroup/cpu,cpuacct"}, {CPUSET, "/sys/fs/cgroup/cpuset"},
    };
    each_line(r->prefix, "/proc/self/cgroup", take_cgroup, r);
    each_line(r->prefix, "/proc/self/mountinfo", take_mount, r);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        mount *m = add_mount(r, 1u << usual[i].which, "/", usual[i].at);
        if (m)
            m->usual = true;
    }
    for (int which = 0; which < HIERARCHIES; which++)
        read_hierarchy(r, (hierarchy)which);
}

/* --- the system ---------------------------------------------------------------------- */

/* A line "LABEL:  N kB" in bytes. */
typedef struct labelled {
    const char *label;
    int64_t bytes;                          /* -1: not found */
} labelled;

static void take_labelled(void *user, char *line)
{
    labelled *l = user;
    size_t skip = strlen(l->label);
    int64_t kib;
    if (strncmp(line, l->label, skip) == 0 &&
        parse_amount(line + skip + strspn(line + skip, " \t"), &kib) && kib < 1LL << 50)
        l->bytes = kib * 1024;
}

static void read_system_memory(reader *r)
{
    labelled available = {"MemAvailable:", -1}, total = {"MemTotal:", -1};
    pf_limit limit = {PF_LIMIT_MEMORY, 0, 0, "MemAvailable of /proc/meminfo"};
    each_line(r->prefix, "/proc/meminfo", take_labelled, &available);
    each_line(r->prefix, "/proc/meminfo", take_labelled, &total);
    if (available.bytes < 0) {
        available.bytes = sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
        snprintf(limit.source, sizeof limit.source, "the memory of the machine");
    }
    limit.amount = (double)available.bytes;
    limit.whole = total.bytes > available.bytes ? (double)total.bytes : limit.amount;
    note(r, limit);
}

/* Processors of the affinity mask.  The kernel refuses a mask shorter than its own, so the
 * length is doubled until it accepts. */
static void read_affinity(reader *r)
{
    int count = 0;
    for (int most = CPU_SETSIZE; count == 0 && most <= MOST_PROCESSORS; most *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)most);
        size_t bytes = CPU_ALLOC_SIZE((size_t)most);
        if (set && sched_getaffinity(0, bytes, set) == 0)
            count = CPU_COUNT_S(bytes, set);
        if (set)
            CPU_FREE(set);
    }
    count = count > 0 ? count : 1;
    note(r, (pf_limit){PF_LIMIT_PROCESSORS, count, count, "affinity"});
}

/* Bytes left of a limit of addresses. */
static int64_t read_rlimit(int resource, int64_t used)
{
    struct rlimit own;
    if (getrlimit(resource, &own) != 0 || own.rlim_cur == RLIM_INFINITY ||
        own.rlim_cur >> NO_LIMIT_BITS)
        return INT64_MAX;
    int64_t limit = (int64_t)own.rlim_cur;
    return limit > used ? limit - used : 0;
}

void pf_machine_read(const char *root, pf_machine *out)
{
    pf_process_memory own;
    memset(out, 0, sizeof *out);
    reader r = {.prefix = root ? root : "", .machine = out};
    read_system_memory(&r);
    read_affinity(&r);
    read_cgroups(&r);
    pf_process_memory_read(&own);
    out->memory = (int64_t)out->memory_by.amount;
    out->processors = out->processors_by.amount;
    out->address_space = read_rlimit(RLIMIT_AS, own.address_space);
    out->data = read_rlimit(RLIMIT_DATA, own.data);
}

int pf_machine_threads(const pf_machine *machine)
{
    double count = machine->processors;
    return count < 1.0 ? 1 : count > MOST_PROCESSORS ? MOST_PROCESSORS : (int)count;
}

/* --- this process --------------------------------------------------------------------- */

static void take_statm(void *user, char *line)
{
    long long size, resident, shared, data;
    pf_process_memory *m = user;
    int64_t page = sysconf(_SC_PAGESIZE);
    if (sscanf(line, "%lld %lld %lld %*s %*s %lld", &size, &resident, &shared, &data) != 4)
        return;
    *m = (pf_process_memory){.resident = resident * page,
                             .anonymous = (resident - shared) * page,
                             .address_space = size * page, .data = data * page};
}

void pf_process_memory_read(pf_process_memory *out)
{
    *out = (pf_process_memory){0};
    each_line("", "/proc/self/statm", take_statm, out);
}
