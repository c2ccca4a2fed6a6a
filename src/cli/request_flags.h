/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of a request: one table for the request itself, for --from-latents and for a server.
 *
 * Settings of the library's table are flags without a line here.  The rows of this table are
 * the flags that are none: texts, pictures, and switches.  docs/adding-a-flag.md.
 */
#ifndef PF_CLI_REQUEST_FLAGS_H
#define PF_CLI_REQUEST_FLAGS_H

#include "cli/cli.h"
#include "cli/remote.h"

/* Values of the flags that are no settings. */
typedef struct request_flags {
    const char *prompt, *negative_prompt, *image_path, *last_image_path;
    bool t2va, adjust_frames, no_video_output, no_audio_output;
} request_flags;

/* Every flag of a request, by sections; values of rows in a request_flags. */
extern const cli_table request_flag_rows;

/* Reads the prompt from standard input if it is "-", into *owned, which is to be released
 * with pf_text_file_free; passes over byte order marks.  An exit code, after a message if it
 * is not EXIT_DONE. */
int request_flags_read_texts(request_flags *flags, bool quiet, char **owned);

/* Refuses flags without effect on a film of saved latents: `finished`, or to be gone on
 * with.  An exit code, after a message if it is not EXIT_DONE. */
int request_flags_check_latents(const cli_parser *parser, bool finished);

/* Refuses flags without effect on a film by a server.  An exit code likewise. */
int request_flags_check_remote(const cli_parser *parser);

/* Sets all that was given, but for pictures and text_only. */
void request_flags_fill(const cli_parser *parser, const request_flags *flags,
                        const pf_model_info *info, pf_request *request);

/* The fields that a server is sent, in the order of the rows.  `out` has room for
 * CLI_MAX_OPTIONS.  Returns how many; their texts belong to the parser and its settings. */
int request_flags_fields(const cli_parser *parser, remote_field *out);

/* "FLAG has no effect REASON; leave it out".  Returns EXIT_WRONG. */
int request_flags_complain_idle(const cli_parser *parser, const char *flag,
                                const char *reason);

#endif
