/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a device's blocks: which addresses are ours, and which blocks are kept.
 *
 * Two sorted arrays, so that every question is a binary search:
 *
 *     all     by address        whose block is this, and where in it?
 *     kept    by bytes          is there a kept block of exactly so many bytes?
 *
 * A block is used (somebody has it), kept (nobody has it, the next one may) or held (nobody
 * has it, but a recording knows its address).  The list calls no driver and takes host
 * memory only in pf_blocks_reserve.
 */
#ifndef PF_PLATFORM_COMMON_BLOCKS_H
#define PF_PLATFORM_COMMON_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum pf_block_state { PF_BLOCK_USED, PF_BLOCK_KEPT, PF_BLOCK_HELD } pf_block_state;

typedef struct pf_block {
    char *memory;
    int64_t bytes;
    pf_block_state state;
} pf_block;

typedef struct pf_kept_block {
    int64_t bytes;
    char *memory;
} pf_kept_block;

typedef struct pf_blocks {
    pf_block *all;                  /* [count] */
    pf_kept_block *kept;            /* [kept_count] */
    int count, kept_count, room;
} pf_blocks;

/* Makes room for one more block; false: no host memory. */
bool pf_blocks_reserve(pf_blocks *list);
/* Adds a used block; there is room. */
void pf_blocks_add(pf_blocks *list, char *memory, int64_t bytes);

/* A kept block of so many bytes becomes used; NULL: there is none. */
char *pf_blocks_take(pf_blocks *list, int64_t bytes);
/* A used block becomes kept, or held.  An address that begins no used block is ignored. */
void pf_blocks_give(pf_blocks *list, const char *memory, bool hold);
/* All held blocks become kept. */
void pf_blocks_unhold(pf_blocks *list);

/* The block that `address` lies in, or NULL. */
const pf_block *pf_blocks_find(const pf_blocks *list, const char *address);

/* Takes the last kept block from the list; NULL: none is left. */
char *pf_blocks_drop(pf_blocks *list);
/* Frees the host's memory of the list. */
void pf_blocks_close(pf_blocks *list);

#endif
