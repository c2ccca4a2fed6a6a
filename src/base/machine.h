/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of the surroundings: the memory and the processors that this process may use.
 *
 *   memory      the least over MemAvailable of /proc/meminfo and the memory controllers of
 *               the process's own cgroups and of all their parents (v1, v2, or both)
 *   processors  the least over the affinity of the process, and the cpuset and the quota
 *               (cpu.max, cpu.cfs_quota_us) of the same cgroups and their parents
 *
 * A cgroup has its limit less what it uses; clean pages of files do not count as used,
 * since the kernel takes them back before it refuses memory (pages of tmpfs and pages
 * that are not written yet do count).  RLIMIT_AS and RLIMIT_DATA bound addresses rather
 * than memory and are told apart: a mapped file counts towards the first alone.
 *
 * Files that are missing, cannot be read or hold something else bound nothing.
 * Thread-safety: all functions may be called from any thread.
 */
#ifndef PF_BASE_MACHINE_H
#define PF_BASE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

enum { PF_MACHINE_LIMITS = 32, PF_LIMIT_SOURCE_BYTES = 256 };

typedef enum pf_limit_kind { PF_LIMIT_MEMORY, PF_LIMIT_PROCESSORS } pf_limit_kind;

/* A limit that was found. */
typedef struct pf_limit {
    pf_limit_kind kind;
    double amount;              /* bytes that may still be used, or processors */
    double whole;               /* bytes with those in use; processors: the same */
    char source[PF_LIMIT_SOURCE_BYTES];     /* "/sys/fs/cgroup/films/memory.max" */
} pf_limit;

typedef struct pf_machine {
    int64_t memory;             /* bytes available now, without the two below */
    int64_t address_space;      /* RLIMIT_AS, bytes; INT64_MAX: none */
    int64_t data;               /* RLIMIT_DATA, likewise */
    double processors;          /* above 0; a quota need not be whole */
    pf_limit memory_by;         /* the limits that bind: amount is the value above */
    pf_limit processors_by;
    pf_limit limits[PF_MACHINE_LIMITS];     /* all, as far as there is room */
    int count;
} pf_machine;

/* Reads all limits anew, in well under a millisecond.  `root` (NULL: none) is put in front
 * of the path of every file, for tests; affinity and rlimits are always the process's. */
void pf_machine_read(const char *root, pf_machine *out);

/* Threads that keep the processors busy: the processors rounded down, at least 1.  The
 * threads of a loop wait for each other, so one more than a quota pays for would stop all
 * of them until the next period; the rest of a quota is left to encoding and answering. */
int pf_machine_threads(const pf_machine *machine);

/* Memory of this process, bytes.  Zeros where the system does not tell. */
typedef struct pf_process_memory {
    int64_t resident;
    int64_t anonymous;          /* of `resident`: pages of no file */
    int64_t address_space;      /* counts towards RLIMIT_AS */
    int64_t data;               /* counts towards RLIMIT_DATA */
} pf_process_memory;

/* Reads them anew from /proc/self/statm. */
void pf_process_memory_read(pf_process_memory *out);

#endif
