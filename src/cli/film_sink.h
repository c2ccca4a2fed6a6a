/* SPDX-License-Identifier: Apache-2.0 */
/* From a job's sinks to a film file with its metadata. */
#ifndef PF_CLI_FILM_SINK_H
#define PF_CLI_FILM_SINK_H

#include "media/film.h"
#include "phonofilm.h"

/* The caller fills the members below `film` before opening. */
typedef struct film_sink {
    pf_film *film;                      /* open between film_sink_open and close or abort */
    const char *save_latents;           /* or NULL; set before opening, as is */
    const char *own_prompt;             /* the user's, where another one was made of it */
    const char *rewrite_error;          /* why there is none; "": there is, or NULL */
    const char *precision;              /* its name, for the metadata */
    const char *const *kept;            /* [kept_count] of pf_film_options */
    int kept_count;
    pf_film_kind kind;
} film_sink;

/* `quality` below 0 and `sheet` NULL are "not given".  Abort after any failure. */
pf_status film_sink_open(film_sink *sink, const pf_engine *engine,
                         const pf_request *request, const char *path,
                         const char *sheet, int quality, pf_error *error);
/* Waits for the encoder and gives the film its name. */
pf_status film_sink_close(film_sink *sink, pf_error *error);
/* Leaves nothing of the film. */
void film_sink_abort(film_sink *sink);

/* Sinks that write into the film; `progress` is the caller's to set. */
pf_sinks film_sink_sinks(film_sink *sink);

#endif
