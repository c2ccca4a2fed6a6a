/* SPDX-License-Identifier: Apache-2.0 */
/* Flags that several commands share: a table each, taken in with a row CLI_ROWS whose
 * `offset` is where the values lie in the settings of the command. */
#ifndef PF_CLI_SHARED_FLAGS_H
#define PF_CLI_SHARED_FLAGS_H

#include "cli/cli.h"

/* Values of cli_machine_rows and cli_engine_rows; all zero is the default. */
typedef struct cli_machine {
    const char *platform, *isa;
    int device, threads;
    int precision, bridge_inv_freq;
    int64_t memory_limit;
    bool keep_resident, graph;
} cli_machine;

extern const cli_table cli_machine_rows;    /* of a cli_machine: where to compute */
extern const cli_table cli_engine_rows;     /* of a cli_machine: how to compute */
extern const cli_table cli_model_rows;      /* const char *: --model-path */
extern const cli_table cli_quiet_rows;      /* bool: --quiet */
extern const cli_table cli_json_rows;       /* bool: --json */

/* The options of an engine; `model` is the model's folder. */
pf_engine_options cli_engine_options(const cli_machine *machine, const char *model,
                                     bool quiet);

#endif
