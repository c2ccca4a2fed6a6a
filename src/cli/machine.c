/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of the machine and of the engine.  See machine.h. */
#include "cli/machine.h"

pf_engine_options cli_engine_options(const cli_machine *machine, const char *model,
                                     bool quiet)
{
    return (pf_engine_options){
        .model_path = model,
        .platform = machine->platform,
        .isa = machine->isa,
        .threads = machine->threads,
        .device = machine->device,
        .precision = (pf_precision)machine->precision,
        .bridge_frequencies = (pf_bridge_frequencies)machine->bridge_inv_freq,
        .keep_resident = machine->keep_resident,
        .graph = machine->graph,
        .memory_limit = machine->memory_limit,
        .warn = quiet ? NULL : cli_warn,
    };
}
