/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of threads, or of processes that were forked from one, over shared memory.
 *
 * A hub is the memory that the members share.  Whoever starts the members makes it first;
 * each member then joins with its own rank, in a thread or behind fork().
 *
 *     hub  = pf_hub_create(3)          one anonymous shared mapping
 *       |-- rank 0: pf_hub_join(hub, 0)    thread, or child process
 *       |-- rank 1: pf_hub_join(hub, 1)
 *       `-- rank 2: pf_hub_join(hub, 2)
 *
 * Every ordered pair of ranks has a ring of bytes in it.  Each message has its length in
 * front, so that a member which expects another length fails at once.  All waiting is on one
 * condition variable with a deadline: this carrier is for tests and for ranks on one host,
 * and its speed is that of memcpy.
 */
#ifndef PF_PLATFORM_GROUP_LOCAL_H
#define PF_PLATFORM_GROUP_LOCAL_H

#include "platform/group.h"

typedef struct pf_hub pf_hub;

/* Room for `size` members (1 to PF_GROUP_MAX).  A call that waits longer than `deadline`
 * seconds for another member ends the group.  Destroy it once all members of this process
 * have left. */
pf_status pf_hub_create(int size, double deadline, pf_hub **out, pf_error *error);
void pf_hub_destroy(pf_hub *hub);

/* Member `rank` of the hub's group; each rank joins once.  `hub` outlives the group. */
pf_status pf_hub_join(pf_hub *hub, int rank, pf_group **out, pf_error *error);

#endif
