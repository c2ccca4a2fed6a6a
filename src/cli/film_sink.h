/* From a job's sinks to a film file, and what goes into its metadata. */
#ifndef PF_CLI_FILM_SINK_H
#define PF_CLI_FILM_SINK_H

#include "media/film.h"
#include "phonofilm.h"

enum { FILM_METADATA_BYTES = 4096 };

typedef struct film_sink {
    pf_film *film;
    const char *save_latents;           /* or NULL */
    char parameters[FILM_METADATA_BYTES];   /* JSON of the request */
    char encoder[32];                   /* "phonofilm 0.1.0" */
} film_sink;

/* The film's path from the three flags (each may be NULL); makes the folder.  NULL
 * after a message; otherwise free() it. */
char *film_path_choose(const char *output, const char *folder, const char *name);

/* `quality` below 0 and `sheet` NULL are "not given".  Abort after any failure. */
pf_status film_sink_open(film_sink *sink, const pf_engine *engine,
                         const pf_request *request, const char *path,
                         const char *sheet, int quality, pf_error *error);
pf_status film_sink_close(film_sink *sink, pf_error *error);
void film_sink_abort(film_sink *sink);

/* Sinks that write into the film; `progress` is the caller's to set. */
pf_sinks film_sink_sinks(film_sink *sink);

#endif
