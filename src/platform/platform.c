/* The registry of platforms, and opening one.  See platform.h. */
#include "platform/platform.h"

#include <string.h>

#include "base/memory.h"
#include "platform/cpu/cpu.h"
#include "platform/reference/reference.h"

static const pf_platform_entry entries[] = {
    {"cpu", pf_cpu_open},
    {"reference", pf_reference_open},
};

const pf_platform_entry *pf_platform_entries(int *count)
{
    *count = (int)(sizeof entries / sizeof entries[0]);
    return entries;
}

static const pf_platform_entry *find_entry(const char *name)
{
    int count;
    const pf_platform_entry *list = pf_platform_entries(&count);
    for (int i = 0; i < count; i++)
        if (!name || strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

pf_status pf_platform_open(const pf_platform_options *options,
                           pf_platform **out, pf_error *error)
{
    *out = NULL;
    const pf_platform_entry *entry = find_entry(options->name);
    if (!entry)
        return pf_fail(error, PF_E_ARGUMENT,
                       "platform is '%s', but must be cpu or reference",
                       options->name);
    pf_platform *platform = pf_calloc(1, sizeof *platform);
    if (!platform)
        return pf_fail_memory(error, "platform", sizeof *platform);
    pf_status status = pf_pool_create(options->threads, &platform->pool, error);
    if (status == PF_OK)
        status = entry->open(platform, options, error);
    if (status != PF_OK) {
        pf_pool_destroy(platform->pool);
        pf_free(platform);
        return status;
    }
    *out = platform;
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
