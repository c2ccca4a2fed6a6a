/* Tables and JSON about a run. */
#ifndef PF_CLI_REPORT_H
#define PF_CLI_REPORT_H

#include "phonofilm.h"

/* --profile: a table on standard error. */
void report_print(const pf_profile_row *rows, int count);

/* --perf-dump-path: the same as JSON, whole or not at all. */
pf_status report_write(const char *path, const pf_engine *engine,
                       const pf_request *request, const pf_profile_row *rows,
                       int count, pf_error *error);

/* What a film needs, in a few lines on standard output. */
void report_prediction(const pf_prediction *prediction);

#endif
