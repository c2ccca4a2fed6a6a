/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a device's blocks.  See blocks.h. */
#include "platform/common/blocks.h"

#include <string.h>

#include "base/memory.h"

enum { FIRST_ROOM = 256 };

bool pf_blocks_reserve(pf_blocks *list)
{
    if (list->count < list->room)
        return true;
    int room = list->room > 0 ? 2 * list->room : FIRST_ROOM;
    pf_block *all = pf_realloc(list->all, (size_t)room * sizeof *all);
    if (!all)
        return false;
    list->all = all;
    pf_kept_block *kept = pf_realloc(list->kept, (size_t)room * sizeof *kept);
    if (!kept)
        return false;
    list->kept = kept;
    list->room = room;
    return true;
}

/* The number of blocks that begin at or below the address. */
static int count_to(const pf_blocks *list, const char *address)
{
    int low = 0, high = list->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if ((uintptr_t)list->all[middle].memory <= (uintptr_t)address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The number of kept blocks that have fewer bytes. */
static int count_smaller(const pf_blocks *list, int64_t bytes)
{
    int low = 0, high = list->kept_count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (list->kept[middle].bytes < bytes)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static pf_block *block_at(const pf_blocks *list, const char *memory)
{
    int behind = count_to(list, memory);
    return behind > 0 && list->all[behind - 1].memory == memory ? &list->all[behind - 1]
                                                                : NULL;
}

void pf_blocks_add(pf_blocks *list, char *memory, int64_t bytes)
{
    int at = count_to(list, memory);
    memmove(&list->all[at + 1], &list->all[at],
            (size_t)(list->count - at) * sizeof *list->all);
    list->all[at] = (pf_block){memory, bytes, PF_BLOCK_USED};
    list->count++;
}

static void keep(pf_blocks *list, pf_block *block)
{
    int at = count_smaller(list, block->bytes);
    memmove(&list->kept[at + 1], &list->kept[at],
            (size_t)(list->kept_count - at) * sizeof *list->kept);
    list->kept[at] = (pf_kept_block){block->bytes, block->memory};
    list->kept_count++;
    block->state = PF_BLOCK_KEPT;
}

char *pf_blocks_take(pf_blocks *list, int64_t bytes)
{
    int at = count_smaller(list, bytes);
    if (at == list->kept_count || list->kept[at].bytes != bytes)
        return NULL;
    char *memory = list->kept[at].memory;
    list->kept_count--;
    memmove(&list->kept[at], &list->kept[at + 1],
            (size_t)(list->kept_count - at) * sizeof *list->kept);
    block_at(list, memory)->state = PF_BLOCK_USED;
    return memory;
}

void pf_blocks_give(pf_blocks *list, const char *memory, bool hold)
{
    pf_block *block = block_at(list, memory);
    if (!block || block->state != PF_BLOCK_USED)
        return;
    if (hold)
        block->state = PF_BLOCK_HELD;
    else
        keep(list, block);
}

void pf_blocks_unhold(pf_blocks *list)
{
    for (int i = 0; i < list->count; i++)
        if (list->all[i].state == PF_BLOCK_HELD)
            keep(list, &list->all[i]);
}

const pf_block *pf_blocks_find(const pf_blocks *list, const char *address)
{
    int behind = count_to(list, address);
    if (behind == 0)
        return NULL;
    const pf_block *block = &list->all[behind - 1];
    int64_t offset = (int64_t)((uintptr_t)address - (uintptr_t)block->memory);
    return offset < block->bytes ? block : NULL;
}

char *pf_blocks_drop(pf_blocks *list)
{
    if (list->kept_count == 0)
        return NULL;
    char *memory = list->kept[--list->kept_count].memory;
    pf_block *block = block_at(list, memory);
    int at = (int)(block - list->all);
    list->count--;
    memmove(block, block + 1, (size_t)(list->count - at) * sizeof *block);
    return memory;
}

void pf_blocks_close(pf_blocks *list)
{
    pf_free(list->all);
    pf_free(list->kept);
    *list = (pf_blocks){0};
}
