/* SPDX-License-Identifier: Apache-2.0 */
/* Film files, written while frames and sound are made.
 *
 *     pf_film_open(&options, &film, &error);
 *     pf_film_write_audio(film, samples, count, &error);   // any order,
 *     pf_film_write_frames(film, rgb, count, &error);      // any pieces
 *     pf_film_close(film, &error);                         // or pf_film_abort
 *
 * The name's ending says what the file is:
 *   .mp4   H.264 High (libx264) and AAC at 192 kbit/s; playable while it loads
 *   .webm  VP9 and Opus
 *   .wav   16-bit PCM, the sound alone (title, comment and encoder of the tags)
 *   .png   one picture a frame, without sound: NAME-0001.png, NAME-0002.png ...;
 *          if the name holds %d or %04d, the frame's number goes there
 *
 * A thread of the film encodes while the caller makes the next frames; its failures
 * come back from the next call.  Everything is written under a temporary name
 * (PATH.part, or PATH.part2 ... if that is taken) and renamed by pf_film_close: until
 * then PATH is untouched, and after a failure or pf_film_abort nothing is left.  Where
 * there is nothing to rename (a pipe, a device), pf_film_close copies it.  Numbered
 * pictures take the place of an older film: its further frames are removed, too, if its
 * first one was ours and they follow without a gap.  Sound is cut to the length of the
 * picture.  A film is used from one thread at a time.
 */
#ifndef PF_MEDIA_FILM_H
#define PF_MEDIA_FILM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct pf_film pf_film;

typedef enum pf_film_kind {
    PF_FILM_MP4,
    PF_FILM_WEBM,
    PF_FILM_WAV,
    PF_FILM_PNG
} pf_film_kind;

/* The kind by the name's ending, in upper or lower case.  PF_E_ARGUMENT: none of the kinds,
 * which the message lists. */
pf_status pf_film_kind_of(const char *path, pf_film_kind *out, pf_error *error);

/* The file of frame `number`, from 1 on, of a .png film called `path`; false when it is
 * longer than `bytes` hold. */
bool pf_film_frame_path(const char *path, int64_t number, char *out, size_t bytes);

/* A piece of metadata.  Every kind keeps "title" and "comment". */
typedef struct pf_film_tag {
    const char *key, *value;            /* UTF-8 */
} pf_film_tag;

typedef struct pf_film_options {
    const char *path;
    const pf_film_kind *kind;           /* NULL: as the name's ending says */
    bool video;                         /* false: sound alone */
    int width, height;                  /* pixels, even */
    double fps;                         /* 1 to 120 */
    int64_t frames;                     /* expected; for the contact sheet */
    int sample_rate;                    /* Hz, mono */
    int64_t audio_samples;              /* at most; 0: silent film */
    int quality;                        /* constant rate factor, 0 (best) to 51;
                                         * below 0: 5 */
    const char *contact_sheet;          /* .png of frames and waveform, or NULL */
    const pf_film_tag *tags;
    int tag_count;
    /* For .png; both lists and `user` must outlive the film. */
    const char *const *kept;            /* [kept_count] files, or NULLs, that are never
                                         * removed as frames of an older film */
    int kept_count;
    void (*say)(void *user, const char *line);  /* hears what was removed, or NULL */
    void *user;
} pf_film_options;

/* Checks the options, opens the temporary file and the encoders, and starts the film's
 * thread.  Copies path, contact_sheet and tags.  PF_E_ARGUMENT: options that contradict each
 * other; PF_E_UNSUPPORTED: the FFmpeg at hand lacks an encoder or does not take the size or
 * rate; PF_E_IO, PF_E_NO_SPACE and others: of the file.  *out is NULL on failure. */
pf_status pf_film_open(const pf_film_options *options, pf_film **out,
                       pf_error *error);

/* rgb: [count][height][width][3], 0..255, sRGB; copied.  Waits while the thread is eight
 * frames behind, which is how a slow encoder holds a fast decoder back. */
pf_status pf_film_write_frames(pf_film *film, const uint8_t *rgb, int64_t count,
                               pf_error *error);

/* samples: [count], -1..1 (values beyond are clipped, NaN is silence); copied, never
 * waits.  More than `audio_samples` in all are PF_E_ARGUMENT. */
pf_status pf_film_write_audio(pf_film *film, const float *samples, int64_t count,
                              pf_error *error);

/* Waits for the thread, gives the files their names (both or neither) and frees the film,
 * also on failure, after which nothing of it is left on the disk. */
pf_status pf_film_close(pf_film *film, pf_error *error);

/* Removes everything and frees the film; NULL is fine. */
void pf_film_abort(pf_film *film);

#endif
