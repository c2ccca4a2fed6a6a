/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and JSON about a run. */
#ifndef PF_CLI_REPORT_H
#define PF_CLI_REPORT_H

#include "phonofilm.h"

/* --profile: a table on standard error. */
void report_print(const pf_profile_row *rows, int count);

/* A run that is over. */
typedef struct report_run {
    const pf_engine *engine;
    const pf_request *request;
    const pf_warnings *warnings;
    const pf_profile_row *rows;
    int count;
} report_run;

/* --perf-dump-path: the table and the warnings as JSON, whole or not at all. */
pf_status report_write(const char *path, const report_run *run, pf_error *error);

/* Prints the needs of a film, in a few lines on standard output. */
void report_prediction(const pf_prediction *prediction);

#endif
