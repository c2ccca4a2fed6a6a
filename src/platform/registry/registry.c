/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of platforms, and opening one.  See platform.h.
 *
 * Every platform has one row of facts; this file alone includes their headers.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "platform/ascend/ascend.h"
#include "platform/common/common.h"
#include "platform/cpu/cpu.h"
#include "platform/platform.h"
#include "platform/reference/reference.h"

static const pf_platform_entry entries[] = {
    {.name = "ascend", .has_devices = true, .forecasts = true, .records = true,
     .kinds = pf_ascend_kinds, .assumptions = pf_ascend_assumptions, .open = pf_ascend_open},
    {.name = "cpu", .isas = "avx512bf16|avx512|avx2|neon|scalar", .open = pf_cpu_open},
    {.name = "reference", .last_resort = true, .open = pf_reference_open},
};
enum { ENTRIES = sizeof entries / sizeof entries[0], NAMES_BYTES = 96 };

const pf_platform_entry *pf_platform_entries(int *count)
{
    *count = ENTRIES;
    return entries;
}

/* --- options ---------------------------------------------------------------- */

/* "ascend, cpu or reference": the names of the rows whose member at `fact` is true, or of
 * all rows when that is below 0. */
static const char *list_names(ptrdiff_t fact, char out[NAMES_BYTES])
{
    const char *names[ENTRIES];
    int count = 0;
    size_t used = 0;
    for (int i = 0; i < ENTRIES; i++)
        if (fact < 0 || *(const bool *)((const char *)&entries[i] + fact))
            names[count++] = entries[i].name;
    out[0] = '\0';
    for (int i = 0; i < count && used < NAMES_BYTES; i++)
        used += (size_t)snprintf(out + used, NAMES_BYTES - used, "%s%s",
                                 i == 0 ? "" : i == count - 1 ? " or " : ", ", names[i]);
    return out;
}

static pf_status check_options(const pf_platform_entry *entry,
                               const pf_platform_options *options, pf_error *error)
{
    char names[NAMES_BYTES];
    if (options->device != 0 && !entry->has_devices)
        return pf_fail(error, PF_E_ARGUMENT,
                       "device is %d, but must be 0: the %s platform has no others",
                       options->device, entry->name);
    if (options->forecast && !entry->forecasts)
        return pf_fail(error, PF_E_ARGUMENT,
                       "the %s platform cannot forecast for %s: take %s", entry->name,
                       options->forecast,
                       list_names(offsetof(pf_platform_entry, forecasts), names));
    if (options->graph && !entry->records)
        return pf_fail(error, PF_E_ARGUMENT,
                       "graph is set, but the %s platform has nothing to record: leave it "
                       "out, or take the platform %s", entry->name,
                       list_names(offsetof(pf_platform_entry, records), names));
    return PF_OK;
}

/* --- opening ---------------------------------------------------------------- */

static pf_status open_entry(const pf_platform_entry *entry,
                            const pf_platform_options *options, pf_platform **out,
                            pf_error *error)
{
    PF_TRY(check_options(entry, options, error));
    pf_platform *platform = pf_calloc(1, sizeof *platform);
    if (!platform)
        return pf_fail_memory(error, "platform", sizeof *platform);
    pf_status status = entry->open(platform, options, error);
    if (status != PF_OK) {
        pf_free(platform);
        return status;
    }
    status = pf_common_complete(platform, options->hosted, error);
    if (status != PF_OK) {
        pf_platform_close(platform);
        return status;
    }
    *out = platform;
    return PF_OK;
}

/* This machine lacks the platform, or has a kind of it that is not supported, so that the
 * next one is tried.  Missing memory or threads would be missing there, too. */
static bool is_lacking(pf_status status)
{
    return status == PF_E_PLATFORM || status == PF_E_UNSUPPORTED;
}

/* Opens the first that works; the error is that of the last one tried. */
static pf_status open_any(const pf_platform_options *options, pf_platform **out,
                          pf_error *error)
{
    pf_status status = PF_E_PLATFORM;
    for (int i = 0; i < ENTRIES && is_lacking(status); i++) {
        pf_error why = {0};
        if (entries[i].last_resort || (options->isa && entries[i].has_devices))
            continue;
        status = open_entry(&entries[i], options, out, &why);
        if (status != PF_OK && error)
            *error = why;
    }
    return status;
}

/* The row of that name; *out stays NULL for "auto". */
static pf_status find_entry(const char *name, const pf_platform_entry **out,
                            pf_error *error)
{
    char names[NAMES_BYTES];
    *out = NULL;
    if (!name || strcmp(name, "auto") == 0)
        return PF_OK;
    for (int i = 0; i < ENTRIES && !*out; i++)
        if (strcmp(entries[i].name, name) == 0)
            *out = &entries[i];
    if (*out)
        return PF_OK;
    return pf_fail(error, PF_E_ARGUMENT, "platform is '%s', but must be auto, %s", name,
                   list_names(-1, names));
}

pf_status pf_platform_open(const pf_platform_options *options,
                           pf_platform **out, pf_error *error)
{
    const pf_platform_entry *entry;
    *out = NULL;
    PF_TRY(find_entry(options->name, &entry, error));
    return entry ? open_entry(entry, options, out, error) : open_any(options, out, error);
}

pf_status pf_platform_open_counter(const pf_platform *platform, pf_platform **out,
                                   pf_error *error)
{
    *out = NULL;
    if (!platform->table.open_counter)
        return PF_OK;
    pf_platform *counter = pf_calloc(1, sizeof *counter);
    if (!counter)
        return pf_fail_memory(error, "platform", sizeof *counter);
    counter->table = platform->table;
    counter->capabilities = platform->capabilities;
    pf_status status = platform->table.open_counter(platform, counter, error);
    if (status != PF_OK) {
        pf_free(counter);
        return status;
    }
    *out = counter;
    return PF_OK;
}

void pf_platform_close(pf_platform *platform)
{
    if (!platform)
        return;
    pf_platform_close(platform->fallback);
    platform->table.close(platform);
    pf_free(platform);
}
