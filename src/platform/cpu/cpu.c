/* SPDX-License-Identifier: Apache-2.0 */
/* The cpu platform: finds out what the processor has, opens the table, and keeps
 * the scratch memory.  See cpu.h.
 */
#include "platform/cpu/cpu.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/memory.h"
#include "platform/common/common.h"
#include "platform/reference/reference.h"

/* --- instruction sets ------------------------------------------------------- */

/* A set that kernels were compiled for; the list goes from plain to rich, and a
 * richer set includes the plainer ones. */
typedef struct instruction_set {
    const char *name;
    unsigned multiplies;            /* beside f32: 1 << PF_MULTIPLY_... */
    void (*fill)(pf_platform_table *table);
    bool (*present)(void);
} instruction_set;

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)

typedef struct cpuid_words {
    unsigned a, b, c, d;
} cpuid_words;

static cpuid_words cpuid(unsigned leaf, unsigned subleaf)
{
    cpuid_words w = {0};
    __get_cpuid_count(leaf, subleaf, &w.a, &w.b, &w.c, &w.d);
    return w;
}

/* Register states that the operating system saves: XCR0. */
static bool system_saves(unsigned states)
{
    const unsigned osxsave = 1u << 27;
    if (!(cpuid(1, 0).c & osxsave))
        return false;
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & states) == states;
}

static bool has_avx2(void)
{
    const unsigned fma = 1u << 12, avx = 1u << 28, f16c = 1u << 29;
    const unsigned avx2 = 1u << 5, ymm_state = 0x6;
    return system_saves(ymm_state) &&
           (~cpuid(1, 0).c & (fma | avx | f16c)) == 0 && (cpuid(7, 0).b & avx2);
}

static bool has_avx512(void)
{
    const unsigned f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    const unsigned zmm_state = 0xe6;
    return has_avx2() && system_saves(zmm_state) &&
           (~cpuid(7, 0).b & (f | dq | bw | vl)) == 0;
}

static bool has_avx512bf16(void)
{
    const unsigned vnni = 1u << 11, bf16 = 1u << 5;
    return has_avx512() && (cpuid(7, 0).c & vnni) && (cpuid(7, 1).a & bf16);
}

/* "AMD EPYC 9B14" from the three leaves that hold it. */
static void read_device(char *out, size_t bytes)
{
    char brand[49] = {0};
    if (cpuid(0x80000000u, 0).a < 0x80000004u)
        return;
    for (unsigned i = 0; i < 3; i++) {
        cpuid_words w = cpuid(0x80000002u + i, 0);
        memcpy(brand + 16 * i, &w, sizeof w);
    }
    const char *start = brand + strspn(brand, " ");
    snprintf(out, bytes, "%s", start);
    for (size_t n = strlen(out); n > 0 && out[n - 1] == ' '; n--)
        out[n - 1] = '\0';
}

static const instruction_set sets[] = {
    {"scalar", 0, pf_cpu_fill_scalar, always},
    {"avx2", 0, pf_cpu_fill_avx2, has_avx2},
    {"avx512", 0, pf_cpu_fill_avx512, has_avx512},
    {"avx512bf16", 1u << PF_MULTIPLY_BF16, pf_cpu_fill_avx512bf16, has_avx512bf16},
};

#else

static void read_device(char *out, size_t bytes)
{
    (void)out;                      /* keeps the machine name of uname */
    (void)bytes;
}

static const instruction_set sets[] = {
    {"scalar", 0, pf_cpu_fill_scalar, always},
#if defined(__aarch64__)
    {"neon", 0, pf_cpu_fill_neon, always},
#endif
};

#endif

enum { SETS = sizeof sets / sizeof sets[0] };

/* The names that this machine accepts: "scalar, avx2". */
static void list_present(char *out, size_t bytes)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < SETS && used < bytes; i++)
        if (sets[i].present())
            used += (size_t)snprintf(out + used, bytes - used, "%s%s",
                                     i ? ", " : "", sets[i].name);
}

static pf_status choose_set(const char *mask, const instruction_set **out,
                            pf_error *error)
{
    for (int i = SETS - 1; i >= 0; i--) {
        if (mask && strcmp(mask, sets[i].name) != 0)
            continue;
        if (sets[i].present()) {
            *out = &sets[i];
            return PF_OK;
        }
        if (mask)
            break;
    }
    char present[96];
    list_present(present, sizeof present);
    return pf_fail(error, PF_E_ARGUMENT, "isa is '%s', but this machine has %s",
                   mask, present);
}

/* --- scratch memory --------------------------------------------------------- */

typedef struct region {
    void *memory;
    int64_t bytes;
} region;

typedef struct cpu_state {
    region shared;
    region *workers;                /* one for each thread of the pool */
    int threads;
} cpu_state;

static pf_status grow(region *r, int64_t bytes, pf_error *error)
{
    if (r->bytes >= bytes)
        return PF_OK;
    pf_free(r->memory);
    *r = (region){0};
    void *memory = pf_alloc((size_t)bytes);
    if (!memory)
        return pf_fail_memory(error, "scratch memory of a kernel",
                              (unsigned long long)bytes);
    *r = (region){memory, bytes};
    return PF_OK;
}

pf_status pf_cpu_scratch_reserve(pf_platform *platform, int64_t shared_bytes,
                                 int64_t worker_bytes, pf_error *error)
{
    cpu_state *state = platform->state;
    PF_TRY(grow(&state->shared, shared_bytes, error));
    for (int i = 0; i < state->threads; i++)
        PF_TRY(grow(&state->workers[i], worker_bytes, error));
    return PF_OK;
}

void *pf_cpu_scratch_shared(const pf_platform *platform)
{
    return ((const cpu_state *)platform->state)->shared.memory;
}

void *pf_cpu_scratch_worker(const pf_platform *platform, int worker)
{
    return ((const cpu_state *)platform->state)->workers[worker].memory;
}

/* --- opening and closing ---------------------------------------------------- */

static void cpu_close(pf_platform *platform)
{
    cpu_state *state = platform->state;
    for (int i = 0; i < state->threads; i++)
        pf_free(state->workers[i].memory);
    pf_free(state->workers);
    pf_free(state->shared.memory);
    pf_free(state);
    pf_common_host_close(platform);
}

static pf_status make_state(const pf_platform *platform, cpu_state **out,
                            pf_error *error)
{
    int threads = pf_pool_threads(platform->pool);
    cpu_state *state = pf_calloc(1, sizeof *state);
    region *workers = pf_calloc((size_t)threads, sizeof *workers);
    if (!state || !workers) {
        pf_free(state);
        pf_free(workers);
        return pf_fail_memory(error, "cpu platform", sizeof *state);
    }
    *state = (cpu_state){.workers = workers, .threads = threads};
    *out = state;
    return PF_OK;
}

pf_status pf_cpu_open(pf_platform *out, const pf_platform_options *options,
                      pf_error *error)
{
    const instruction_set *set = NULL;
    PF_TRY(choose_set(options->isa, &set, error));
    pf_platform_options reference = {.threads = options->threads};
    PF_TRY(pf_reference_open(out, &reference, error));
    cpu_state *state = NULL;
    pf_status status = make_state(out, &state, error);
    if (status != PF_OK) {
        pf_common_host_close(out);
        return status;
    }
    out->state = state;
    out->table.close = cpu_close;
    set->fill(&out->table);
    pf_capabilities *facts = &out->capabilities;
    snprintf(facts->name, sizeof facts->name, "cpu");
    snprintf(facts->isa, sizeof facts->isa, "%s", set->name);
    facts->maps_channels_last = true;
    facts->multiplies |= set->multiplies;
    read_device(facts->device, sizeof facts->device);
    return PF_OK;
}
