/* SPDX-License-Identifier: Apache-2.0 */
/* Platforms that compute on the host: a pool of threads, memory of the process, and weights
 * that are multiplied where they lie in the mapped file.
 */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/machine.h"
#include "base/memory.h"
#include "platform/common/common.h"

/* --- blocks ----------------------------------------------------------------- */

static pf_status allocate(pf_platform *platform, int64_t bytes, void **out,
                          pf_error *error)
{
    (void)platform;
    *out = pf_alloc((size_t)bytes);
    if (!*out)
        return pf_fail_memory(error, "tensors", (unsigned long long)bytes);
    return PF_OK;
}

static void release(pf_platform *platform, void *memory)
{
    (void)platform;
    pf_free(memory);
}

/* The copy is done when the call returns. */
static pf_status transfer(pf_platform *platform, const pf_transfer *what,
                          pf_ticket *ticket, pf_error *error)
{
    (void)platform, (void)error;
    if (ticket)
        *ticket = (pf_ticket){0};
    if (what->bytes > 0)
        memcpy(what->to, what->from, (size_t)what->bytes);
    return PF_OK;
}

static pf_status wait(pf_platform *platform, pf_ticket ticket, pf_error *error)
{
    (void)platform, (void)ticket, (void)error;
    return PF_OK;
}

/* --- weights ---------------------------------------------------------------- */

static int64_t weight_bytes(pf_platform *platform, const pf_weight_source *source,
                            pf_multiply multiply)
{
    (void)platform, (void)source, (void)multiply;
    return 0;
}

static pf_status weight_fill(pf_platform *platform, const pf_weight_source *source,
                             pf_multiply multiply, void *memory, pf_weight *out,
                             pf_error *error)
{
    (void)memory;
    PF_TRY(pf_common_weight_check(platform, source, error));
    *out = (pf_weight){.source = *source, .multiply = multiply};
    return PF_OK;
}

static void weight_release(pf_platform *platform, pf_weight *weight)
{
    (void)platform;
    *weight = (pf_weight){0};
}

static void fill_table(pf_platform_table *table)
{
    table->allocate = allocate;
    table->release = release;
    table->transfer = transfer;
    table->wait = wait;
    table->weight_bytes = weight_bytes;
    table->weight_fill = weight_fill;
    table->weight_release = weight_release;
}

/* --- opening and closing ------------------------------------------------------ */

/* Rows of the feed-forward hidden that exist at a time: all of them would be the largest
 * activation by far, and 4096 fill the threads. */
enum { FEED_ROWS = 4096 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t available_memory(void)
{
    pf_machine machine;
    pf_machine_read(NULL, &machine);
    return least(machine.memory, least(machine.address_space, machine.data));
}

pf_status pf_common_host_open(pf_platform *out, int threads, pf_error *error)
{
    struct utsname machine;
    PF_TRY(pf_pool_create(threads, &out->pool, error));
    fill_table(&out->table);
    out->table.close = pf_common_host_close;
    out->capabilities = (pf_capabilities){
        .threads = pf_pool_threads(out->pool), .memory_bytes = available_memory(),
        .multiplies = 1u << PF_MULTIPLY_F32, .table_columns = 1, .feed_rows = FEED_ROWS,
        .bias_is_fused = true};
    if (uname(&machine) == 0)
        snprintf(out->capabilities.device, sizeof out->capabilities.device, "%s",
                 machine.machine);
    return PF_OK;
}

void pf_common_host_close(pf_platform *platform)
{
    pf_pool_destroy(platform->pool);
    platform->pool = NULL;
}
