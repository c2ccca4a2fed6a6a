/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of the machine and of the engine: one table for every command that has them. */
#ifndef PF_CLI_MACHINE_H
#define PF_CLI_MACHINE_H

#include <stddef.h>

#include "cli/cli.h"

typedef struct cli_machine {
    const char *platform, *isa;
    int device, threads;
    int precision, bridge_inv_freq;     /* generate and serve have these, too */
    int64_t memory_limit;
    bool keep_resident, graph;
} cli_machine;

#define CLI_AT_MACHINE(at, member) ((at) + offsetof(cli_machine, member))

/* Rows of an option table; `at` is the offset of a cli_machine in the settings. */
#define CLI_MACHINE_OPTIONS(at)                                                         \
    {CLI_TEXT, "platform", 0, "NAME", CLI_AT_MACHINE(at, platform), 0, 0,               \
     "auto|ascend|cpu|reference",                                                       \
     "auto (default: a device before the processor), ascend, cpu or reference"},        \
    {CLI_INTEGER, "device", 0, "N", CLI_AT_MACHINE(at, device), 0, 1023, NULL,          \
     "Which of several devices (default: 0)"},                                          \
    {CLI_TEXT, "isa", 0, "NAME", CLI_AT_MACHINE(at, isa), 0, 0,                         \
     "avx512bf16|avx512|avx2|neon|scalar",                                              \
     "Highest instruction set to use: avx512bf16, avx512, avx2, neon or scalar"},       \
    {CLI_INTEGER, "threads", 't', "N", CLI_AT_MACHINE(at, threads), 1, 256, NULL,       \
     "Threads that compute (default: one for each processor that the process may use)"}

#define CLI_ENGINE_OPTIONS(at)                                                          \
    {CLI_CHOICE, "precision", 0, "KIND", CLI_AT_MACHINE(at, precision), 0, 0,           \
     "fast|f32|ref",                                                                    \
     "fast (default), f32, or ref: the roundings of the Python reference"},             \
    {CLI_CHOICE, "bridge-inv-freq", 0, "KIND", CLI_AT_MACHINE(at, bridge_inv_freq), 0,  \
     0, "auto|f32|bf16",                                                                \
     "Rotary frequencies of the bridge (default: auto: bf16 with ref, else f32)"},      \
    {CLI_BYTES, "memory-limit", 0, "SIZE", CLI_AT_MACHINE(at, memory_limit), 1, 0,      \
     NULL,                                                                              \
     "Refuse a film that needs more, such as 16G (default: what is available)"},        \
    {CLI_SWITCH, "keep-resident", 0, NULL, CLI_AT_MACHINE(at, keep_resident), 0, 0,     \
     NULL, "Keep components loaded when another is needed, and between films"},         \
    {CLI_SWITCH, "graph", 0, NULL, CLI_AT_MACHINE(at, graph), 0, 0, NULL,               \
     "On an NPU: record a denoising step once and replay it (experimental)"}

/* What an engine is opened with; `model` is the model's folder. */
pf_engine_options cli_engine_options(const cli_machine *machine, const char *model,
                                     bool quiet);

#endif
