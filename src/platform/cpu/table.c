/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the kernels of one instruction set into the platform's table. */
#include "platform/cpu/kernels.h"

void PF_CPU(cpu_fill)(pf_platform_table *table)
{
#define PF_CPU_FILL(slot, type) table->slot = PF_CPU(slot);
    PF_CPU_KERNEL_LIST(PF_CPU_FILL)
#undef PF_CPU_FILL
    table->weight_bytes = PF_CPU(weight_bytes);
    table->weight_fill = PF_CPU(weight_fill);
    table->weight_release = PF_CPU(weight_release);
    table->ceilings = PF_CPU(ceilings);
}
