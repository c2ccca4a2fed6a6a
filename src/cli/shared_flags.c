/* SPDX-License-Identifier: Apache-2.0 */
/* Flags that several commands share.  See shared_flags.h.  Offsets are those of the struct
 * that a table fills (cli_machine); a table of one value has offset 0. */
#include "cli/shared_flags.h"

#include <stddef.h>

#define AT(member) offsetof(cli_machine, member)

static const cli_option machine_flags[] = {
    {.kind = CLI_TEXT, .name = "platform", .argument = "NAME", .offset = AT(platform),
     .choices = "auto", .words = pf_platform_words,
     .help = "auto (default: a device before the processor), %s"},
    {.kind = CLI_INTEGER, .name = "device", .argument = "N", .offset = AT(device), .low = 0,
     .high = 1023, .help = "Which of several devices (default: 0)"},
    {.kind = CLI_TEXT, .name = "isa", .argument = "NAME", .offset = AT(isa),
     .words = pf_isa_words, .help = "Highest instruction set to use: %s"},
    {.kind = CLI_INTEGER, .name = "threads", .key = 't', .argument = "N",
     .offset = AT(threads), .low = 1, .high = 256,
     .help = "Threads that compute (default: one for each processor that the process may "
             "use)"},
};

static const cli_option engine_flags[] = {
    {.kind = CLI_CHOICE, .name = "precision", .argument = "KIND", .offset = AT(precision),
     .choices = "fast|f32|ref",
     .help = "fast (default), f32, or ref: the roundings of the Python reference"},
    {.kind = CLI_CHOICE, .name = "bridge-inv-freq", .argument = "KIND",
     .offset = AT(bridge_inv_freq), .choices = "auto|f32|bf16", .phase = PF_PHASE_STEPS,
     .help = "Rotary frequencies of the bridge (default: auto: bf16 with ref, else f32)"},
    {.kind = CLI_BYTES, .name = "memory-limit", .argument = "SIZE",
     .offset = AT(memory_limit), .low = 1,
     .help = "Refuse a film that needs more, such as 16G (default: what is available)"},
    {.kind = CLI_SWITCH, .name = "keep-resident", .offset = AT(keep_resident),
     .help = "Keep components loaded when another is needed, and between films"},
    {.kind = CLI_SWITCH, .name = "graph", .offset = AT(graph),
     .help = "On an NPU: record a denoising step once and replay it (experimental)"},
};

static const cli_option model_flags[] = {
    {.kind = CLI_TEXT, .name = "model-path", .key = 'm', .argument = "FOLDER",
     .help = "Model folder (default: the model that comes with the program)"},
};

static const cli_option quiet_flags[] = {
    {.kind = CLI_SWITCH, .name = "quiet", .key = 'q', .remote = CLI_REMOTE,
     .help = "Print nothing but errors"},
};

static const cli_option json_flags[] = {
    {.kind = CLI_SWITCH, .name = "json", .help = "Print JSON"},
};

const cli_table cli_machine_rows = CLI_TABLE(machine_flags);
const cli_table cli_engine_rows = CLI_TABLE(engine_flags);
const cli_table cli_model_rows = CLI_TABLE(model_flags);
const cli_table cli_quiet_rows = CLI_TABLE(quiet_flags);
const cli_table cli_json_rows = CLI_TABLE(json_flags);

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
