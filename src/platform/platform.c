/* The registry of platforms, and opening one.  See platform.h. */
#include "platform/platform.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "platform/ascend/ascend.h"
#include "platform/cpu/cpu.h"
#include "platform/reference/reference.h"

static const pf_platform_entry entries[] = {
    {"ascend", true, pf_ascend_open},
    {"cpu", false, pf_cpu_open},
    {"reference", false, pf_reference_open},
};

const pf_platform_entry *pf_platform_entries(int *count)
{
    *count = (int)(sizeof entries / sizeof entries[0]);
    return entries;
}

/* The platform owns the pool once it is open. */
static pf_status open_entry(const pf_platform_entry *entry,
                            const pf_platform_options *options, pf_pool *pool,
                            pf_platform **out, pf_error *error)
{
    if (options->device != 0 && !entry->has_devices)
        return pf_fail(error, PF_E_ARGUMENT,
                       "device is %d, but must be 0: the %s platform has no others",
                       options->device, entry->name);
    if (options->plan && !entry->has_devices)
        return pf_fail(error, PF_E_ARGUMENT,
                       "the %s platform cannot plan for %s, but the ascend platform can",
                       entry->name, options->plan);
    if (options->graph && !entry->has_devices)
        return pf_fail(error, PF_E_ARGUMENT,
                       "graph is set, but the %s platform has nothing to record: leave it "
                       "out, or take the ascend platform", entry->name);
    pf_platform *platform = pf_calloc(1, sizeof *platform);
    if (!platform)
        return pf_fail_memory(error, "platform", sizeof *platform);
    platform->pool = pool;
    pf_status status = entry->open(platform, options, error);
    if (status != PF_OK) {
        pf_free(platform);
        return status;
    }
    *out = platform;
    return PF_OK;
}

/* "ascend, cpu or reference" */
static void list_names(char *out, size_t bytes)
{
    int count;
    const pf_platform_entry *list = pf_platform_entries(&count);
    size_t used = 0;
    for (int i = 0; i < count && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%s",
                                 i == 0 ? "" : i == count - 1 ? " or " : ", ",
                                 list[i].name);
}

/* What sends us on to the next platform: that this machine lacks one, or that it is a
 * kind that is not supported.  No memory or no thread is wrong with any of them. */
static bool is_lacking(pf_status status)
{
    return status == PF_E_PLATFORM || status == PF_E_UNSUPPORTED;
}

/* The first that opens; what is wrong with the last is what is wrong. */
static pf_status open_any(const pf_platform_options *options, pf_pool *pool,
                          pf_platform **out, pf_error *error)
{
    int count;
    const pf_platform_entry *list = pf_platform_entries(&count);
    pf_status status = PF_E_PLATFORM;
    for (int i = 0; i < count && is_lacking(status); i++) {
        pf_error why = {0};
        if (strcmp(list[i].name, "reference") == 0)
            break;
        if (options->isa && list[i].has_devices)
            continue;                   /* it is a processor that is asked for */
        status = open_entry(&list[i], options, pool, out, &why);
        if (status != PF_OK && error)
            *error = why;
    }
    return status;
}

/* The entry of that name; *out stays NULL for "auto". */
static pf_status find_entry(const char *name, const pf_platform_entry **out,
                            pf_error *error)
{
    int count;
    char names[96];
    const pf_platform_entry *list = pf_platform_entries(&count);
    *out = NULL;
    if (!name || strcmp(name, "auto") == 0)
        return PF_OK;
    for (int i = 0; i < count && !*out; i++)
        if (strcmp(list[i].name, name) == 0)
            *out = &list[i];
    if (*out)
        return PF_OK;
    list_names(names, sizeof names);
    return pf_fail(error, PF_E_ARGUMENT, "platform is '%s', but must be auto, %s", name,
                   names);
}

pf_status pf_platform_open(const pf_platform_options *options,
                           pf_platform **out, pf_error *error)
{
    const pf_platform_entry *entry;
    pf_pool *pool = NULL;
    *out = NULL;
    PF_TRY(find_entry(options->name, &entry, error));
    PF_TRY(pf_pool_create(options->threads, &pool, error));
    pf_status status = entry ? open_entry(entry, options, pool, out, error)
                             : open_any(options, pool, out, error);
    if (status != PF_OK)
        pf_pool_destroy(pool);
    return status;
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
    platform->table.close(platform);
    pf_pool_destroy(platform->pool);
    pf_free(platform);
}
