/* SPDX-License-Identifier: Apache-2.0 */
/* job.json: what the store knows of a video, once more beside its film.
 *
 * A film whose store was lost can be taken in again from it (adopt.h).  Written when the
 * job is accepted, when it ends and when it is starred, each time whole or not at all.
 */
#ifndef PF_SERVER_JOB_FILE_H
#define PF_SERVER_JOB_FILE_H

#include "server/video.h"

/* Writes FOLDER/job.json. */
pf_status pf_job_file_write(const char *folder, const pf_video *video, pf_error *error);

/* Reads it into a fresh video, whose settings the caller owns as well (json_decref,
 * pf_free).  PF_E_INPUT: it is no description of a job; PF_E_NOT_FOUND: there is none. */
pf_status pf_job_file_read(const char *folder, pf_video **out, pf_error *error);

/* Reads it from its text; `name` is for messages. */
pf_status pf_job_file_parse(const char *text, size_t bytes, const char *name,
                            pf_video **out, pf_error *error);

#endif
