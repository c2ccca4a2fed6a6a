/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel of every platform and instruction set against the reference.
 *
 *   kernels [--only SLOT] [--case N] [--platform NAME] [--isa NAME] [--seed S]
 *           [--bench] [--list]
 *
 * For each case: the result is near the reference's, nothing outside of the
 * outputs is written, inputs stay as they were, and further runs with 2, 3 and 5
 * threads give the same bits.  On the host, calls that are cut as several ranks would cut
 * them give the bits of the whole, too (cuts.h).  A failure prints one line that, given back,
 * runs it again.  --bench times the same calls instead, with larger shapes behind
 * the edge shapes; --list says what the cases are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cuts.h"
#include "trial.h"

/* --- slots -------------------------------------------------------------------- */

typedef struct slot {
    const char *name;
    const kernel_check *check;
    const kernel_cuts *cuts;
    pf_status (*call)(trial *t, const kernel_args *args);
} slot;

#define SLOT_CALL(name, type)                                                  \
    static pf_status call_##name(trial *t, const kernel_args *args)            \
    {                                                                          \
        return t->platform->table.name(t->platform, &args->name, &t->error);   \
    }
PF_KERNEL_LIST(SLOT_CALL)
#undef SLOT_CALL

/* A slot without a check or without cuts does not link. */
static const slot slots[] = {
#define SLOT_ENTRY(name, type) {#name, &check_##name, &cuts_##name, call_##name},
    PF_KERNEL_LIST(SLOT_ENTRY)
#undef SLOT_ENTRY
};

enum { SLOTS = sizeof slots / sizeof slots[0] };

/* --- targets ------------------------------------------------------------------- */

static const int thread_counts[] = {1, 2, 3, 5};

enum { THREADINGS = sizeof thread_counts / sizeof thread_counts[0], TARGETS = 16 };

/* An instruction set of a platform, opened once for each thread count; a device (no isa)
 * twice. */
typedef struct target {
    const char *name, *isa;
    pf_dtype hidden;                    /* capabilities.hidden */
    bool forced;                        /* not the platform's own: only slots that look at it */
    int opened;
    pf_platform *platforms[THREADINGS];
} target;

typedef struct options {
    const char *only, *platform, *isa;
    int case_number;                    /* -1: all */
    uint64_t seed;
    bool bench, list;
} options;

typedef struct session {
    options options;
    pf_platform *reference;             /* what is right; all threads */
    target targets[TARGETS];
    int count;
    int64_t passed, failed, skipped;
} session;

static bool wanted(const char *wish, const char *name)
{
    return !wish || strcmp(wish, name) == 0;
}

static void close_target(target *t)
{
    for (int i = 0; i < THREADINGS; i++)
        pf_platform_close(t->platforms[i]);
}

static pf_status open_target(target *t, pf_error *error)
{
    t->opened = t->isa ? THREADINGS : 2;
    for (int i = 0; i < t->opened; i++) {
        pf_platform_options how = {.name = t->name, .isa = t->isa, .hosted = true,
                                   .threads = t->isa ? thread_counts[i] : 0};
        PF_TRY(pf_platform_open(&how, &t->platforms[i], error));
        pf_capabilities *can = &t->platforms[i]->capabilities;
        if (t->hidden == PF_BF16)
            can->hidden = PF_BF16;
        t->hidden = can->hidden;
    }
    return PF_OK;
}

/* `hidden`: BF16 asks a platform for activations that it accepts, but does not prefer. */
static void add_target(session *s, const char *name, const char *isa, pf_dtype hidden)
{
    pf_error error = {0};
    target *t = &s->targets[s->count];
    *t = (target){.name = name, .isa = isa, .hidden = hidden,
                  .forced = hidden != PF_F32};
    if (!wanted(s->options.platform, name) || (isa && !wanted(s->options.isa, isa)))
        return;
    if (open_target(t, &error) == PF_OK) {
        s->count++;
        return;
    }
    close_target(t);
    printf("skipped: %s %s: %s\n", name, isa ? isa : "", error.message);
    s->skipped++;
}

/* Instruction sets that this build has kernels for; a machine may lack some. */
static const char *const instruction_sets[] = {
    "scalar",
#if defined(__x86_64__)
    "avx2", "avx512", "avx512bf16",
#elif defined(__aarch64__)
    "neon",
#endif
};

static void add_targets(session *s)
{
    int count;
    const pf_platform_entry *entries = pf_platform_entries(&count);
    for (int i = 0; i < count; i++) {
        bool is_cpu = strcmp(entries[i].name, "cpu") == 0;
        bool on_host = is_cpu || strcmp(entries[i].name, "reference") == 0;
        size_t sets = is_cpu ? sizeof instruction_sets / sizeof instruction_sets[0] : 1;
        for (size_t k = 0; k < sets; k++)
            add_target(s, entries[i].name, on_host ? instruction_sets[k] : NULL, PF_F32);
    }
    add_target(s, "reference", instruction_sets[0], PF_BF16);
}

/* --- checking ------------------------------------------------------------------- */

/* Builds, runs and reads back; false with `why` when the kernel failed or wrote
 * where it must not.  The trial is to be released in any case. */
static bool run_trial(trial *t, const slot *what, pf_platform *platform,
                      const trial_case *c, char *why)
{
    trial_build(t, what->check, platform, c);
    if (what->call(t, &t->args) != PF_OK) {
        snprintf(why, WHY, "failed: %.200s", t->error.message);
        return false;
    }
    trial_download(t);
    return trial_guards_hold(t, why);
}

/* Every other thread count: each is a second run, too. */
static bool repeats(const trial *first, const slot *what, const target *on,
                    const trial_case *c, char *why)
{
    for (int i = 1; i < on->opened; i++) {
        trial again;
        char reason[WHY];
        bool fine = run_trial(&again, what, on->platforms[i], c, reason) &&
                    trial_same_bits(&again, first, reason);
        trial_release(&again);
        if (!fine) {
            snprintf(why, WHY, "with %d threads: %.200s", thread_counts[i], reason);
            return false;
        }
    }
    return true;
}

/* Ranks that a call is cut for; one unit a rank is the finest cut. */
static const int64_t degrees[] = {2, 3, 5, PF_GROUP_MAX};

/* The case once more, as `ranks` calls that share the units of one axis. */
static bool run_cut(const trial *whole, const slot *what, const kernel_cut *cut, int ranks,
                    trial *t)
{
    int64_t units = cut->units(&whole->args);
    for (int rank = 0; rank < ranks; rank++) {
        pf_share share = pf_share_of(rank, ranks, units);
        kernel_args part = t->args;
        if (share.count == 0)
            continue;
        cut->narrow(&part, share);
        if (what->call(t, &part) != PF_OK)
            return false;
    }
    trial_download(t);
    return true;
}

/* Every cut gives the bits of the whole call. */
static bool cuts_agree(const trial *whole, const slot *what, const kernel_cut *cut,
                       const trial_case *c, char *why)
{
    int64_t units = cut->units(&whole->args);
    for (size_t i = 0; i < sizeof degrees / sizeof degrees[0]; i++) {
        int ranks = (int)(units < degrees[i] ? units : degrees[i]);
        if (ranks < 2 || (i > 0 && units <= degrees[i - 1]))
            continue;
        trial t;
        char reason[WHY] = "the call failed";
        trial_build(&t, what->check, whole->platform, c);
        bool fine = run_cut(whole, what, cut, ranks, &t) && trial_guards_hold(&t, reason) &&
                    trial_same_results(&t, whole, reason);
        trial_release(&t);
        if (!fine) {
            snprintf(why, WHY, "%s cut for %d ranks: %.200s", cut->axis, ranks, reason);
            return false;
        }
    }
    return true;
}

/* A device promises no such thing for its vendor's operators. */
static bool holds_for_ranks(const trial *whole, const slot *what, const target *on,
                            const trial_case *c, char *why)
{
    for (int i = 0; on->isa && i < CUTS_MOST && what->cuts->cuts[i].axis; i++)
        if (!cuts_agree(whole, what, &what->cuts->cuts[i], c, why))
            return false;
    return true;
}

static void report_failure(const trial *t, const slot *what, const target *on,
                           const trial_case *c, const char *why)
{
    printf("FAIL %s%s: %s\n     again: --only %s --case %d --platform %s%s%s "
           "--seed %llu\n", what->name, t->text, why, what->name, c->number,
           on->name, on->isa ? " --isa " : "", on->isa ? on->isa : "",
           (unsigned long long)c->seed);
}

static void check_target(session *s, const slot *what, const target *on,
                         const trial *reference, const trial_case *c)
{
    trial t;
    char why[WHY];
    bool fine = run_trial(&t, what, on->platforms[0], c, why) &&
                trial_near(&t, reference, why) && repeats(&t, what, on, c, why) &&
                holds_for_ranks(&t, what, on, c, why);
    if (!fine)
        report_failure(&t, what, on, c, why);
    s->passed += fine;
    s->failed += !fine;
    trial_release(&t);
}

/* All targets whose activations are of the dtype c->hidden. */
static void check_targets(session *s, const slot *what, const trial_case *c)
{
    trial reference;
    char why[WHY];
    const target itself = {.name = "reference", .isa = "scalar"};
    if (run_trial(&reference, what, s->reference, c, why)) {
        for (int i = 0; i < s->count; i++)
            if (s->targets[i].hidden == c->hidden &&
                (what->check->hidden || !s->targets[i].forced))
                check_target(s, what, &s->targets[i], &reference, c);
    } else {
        report_failure(&reference, what, &itself, c, why);
        s->failed++;
    }
    trial_release(&reference);
}

static void check_case(session *s, const slot *what, int number)
{
    trial_case c = {.number = number, .seed = s->options.seed, .hidden = PF_F32};
    check_targets(s, what, &c);
    c.hidden = PF_BF16;
    check_targets(s, what, &c);
}

/* --- measuring ------------------------------------------------------------------- */

static double seconds_of(trial *t, const slot *what)
{
    double best = 1e30, begin = pf_seconds(), now = begin;
    for (int runs = 0; runs < 3 || (now - begin < 0.1 && runs < 1000); runs++) {
        double start = pf_seconds();
        if (what->call(t, &t->args) != PF_OK)
            return 0.0;
        now = pf_seconds();
        best = now - start < best ? now - start : best;
    }
    return best;
}

/* On two threads, or on one where the machine has no more. */
static void bench_case(session *s, const slot *what, int case_number)
{
    for (int i = 0; i < s->count; i++) {
        trial t;
        const target *on = &s->targets[i];
        pf_platform *platform = on->platforms[pf_processor_count() > 1];
        trial_case c = {case_number, s->options.seed, on->hidden};
        trial_build(&t, what->check, platform, &c);
        double seconds = seconds_of(&t, what);
        printf("%s case %d%s: %s %s %.3f ms", what->name, case_number, t.text,
               on->name, on->isa ? on->isa : "", 1e3 * seconds);
        if (t.flops > 0.0 && seconds > 0.0)
            printf(" %.1f GFLOP/s", 1e-9 * t.flops / seconds);
        printf("\n");
        s->passed++;
        trial_release(&t);
    }
}

static void list_case(session *s, const slot *what, int case_number)
{
    trial t;
    trial_case c = {case_number, s->options.seed, PF_F32};
    trial_build(&t, what->check, s->reference, &c);
    printf("%s case %d:%s\n", what->name, case_number, t.text);
    trial_release(&t);
}

static void run_slot(session *s, const slot *what)
{
    const options *o = &s->options;
    int end = kernel_check_cases(what->check, true);
    int all = kernel_check_cases(what->check, o->bench);
    if (o->case_number >= end) {
        fprintf(stderr, "%s has cases 0 to %d\n", what->name, end - 1);
        exit(2);
    }
    int64_t failed = s->failed, passed = s->passed;
    int first = o->case_number < 0 ? 0 : o->case_number;
    int last = o->case_number < 0 ? all : o->case_number + 1;
    for (int n = first; n < last; n++) {
        if (o->list)
            list_case(s, what, n);
        else if (o->bench)
            bench_case(s, what, n);
        else
            check_case(s, what, n);
    }
    if (!o->bench && !o->list)
        printf("%-16s %lld passed, %lld failed\n", what->name,
               (long long)(s->passed - passed), (long long)(s->failed - failed));
}

/* --- command line ----------------------------------------------------------------- */

static void usage(const char *bad)
{
    fprintf(stderr, "kernels: what is '%s'?\n"
            "usage: kernels [--only SLOT] [--case N] [--platform NAME] [--isa NAME]\n"
            "               [--seed S] [--bench] [--list]\n", bad);
    exit(2);
}

static unsigned long long number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end)
        usage(text);
    return value;
}

static options parse(int argc, char **argv)
{
    options o = {.case_number = -1, .seed = 1};
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool takes = true;
        if (strcmp(flag, "--bench") == 0)
            o.bench = true, takes = false;
        else if (strcmp(flag, "--list") == 0)
            o.list = true, takes = false;
        else if (!value)
            usage(flag);
        else if (strcmp(flag, "--only") == 0)
            o.only = value;
        else if (strcmp(flag, "--case") == 0)
            o.case_number = (int)number(value);
        else if (strcmp(flag, "--platform") == 0)
            o.platform = value;
        else if (strcmp(flag, "--isa") == 0)
            o.isa = value;
        else if (strcmp(flag, "--seed") == 0)
            o.seed = number(value);
        else
            usage(flag);
        i += takes;
    }
    return o;
}

int main(int argc, char **argv)
{
    session s = {.options = parse(argc, argv)};
    pf_error error = {0};
    const pf_platform_options right = {.name = "reference"};
    int slots_run = 0;
    if (pf_platform_open(&right, &s.reference, &error) != PF_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 2;
    }
    if (!s.options.list)
        add_targets(&s);
    for (int i = 0; i < SLOTS; i++)
        if (wanted(s.options.only, slots[i].name)) {
            run_slot(&s, &slots[i]);
            slots_run++;
        }
    for (int i = 0; i < s.count; i++)
        close_target(&s.targets[i]);
    pf_platform_close(s.reference);
    if (slots_run == 0)
        usage(s.options.only);
    printf("%lld passed, %lld failed, %lld skipped\n", (long long)s.passed,
           (long long)s.failed, (long long)s.skipped);
    return s.failed > 0 || (s.count == 0 && !s.options.list);
}
