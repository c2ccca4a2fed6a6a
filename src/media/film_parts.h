/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a film: the writers for each kind of file.  For film*.c alone.
 *
 *     open --> frame, audio ... --> finish --> publish --+--> settle --> destroy
 *       |           |                 |          |       `--> withdraw --^
 *       `-----------+------- destroy at any time (failure, abort)
 *
 * `open`, `publish`, `settle`, `withdraw` and `destroy` run on the caller's thread, while
 * the film's thread is not there; `frame`, `audio` and `finish` on the film's. */
#ifndef PF_MEDIA_FILM_PARTS_H
#define PF_MEDIA_FILM_PARTS_H

#include "media/film.h"

/* How one kind of file is written.  All functions but `open` take the pointer that
 * `open` gave; the options are valid as long as the film.  They are called from one
 * thread at a time. */
typedef struct pf_film_writer {
    /* *self is NULL on failure. */
    pf_status (*open)(const pf_film_options *options, void **self, pf_error *error);
    /* The next frame, [height][width][3]; NULL in the WAV writer, which never gets one. */
    pf_status (*frame)(void *self, const uint8_t *rgb, pf_error *error);
    /* `audio` is the film's sound from its beginning; samples not taken by an earlier call
     * are written up to sample `end`.  Fewer than a whole packet may wait, unless the call
     * is the `last`.  NULL in the PNG writer. */
    pf_status (*audio)(void *self, const float *audio, int64_t end, bool last,
                       pf_error *error);
    /* Completes the temporary file: trailers, lengths in headers, sync. */
    pf_status (*finish)(void *self, pf_error *error);
    /* Gives the file, or all numbered files, the name.  On failure none has it. */
    pf_status (*publish)(void *self, pf_error *error);
    /* After the film and its contact sheet have their names; NULL: there is nothing to
     * do. */
    void (*settle)(void *self);
    /* Removes it again, after `publish` was good: the contact sheet failed. */
    void (*withdraw)(void *self);
    /* Frees; removes files that are not published. */
    void (*destroy)(void *self);
} pf_film_writer;

/* The frame whose file is called `name`, if `path` leads to that; film_png.c. */
bool pf_film_frame_number(const char *path, const char *name, int64_t *number);

/* Whether the file is the first frame of a film of ours; PF_E_MEMORY. */
pf_status pf_film_is_ours(const char *first_frame, bool *out, pf_error *error);

/* Removes an older film's frames behind number `frames`, if its first frame was `ours`, and
 * says so (options->say); names other files that could be taken for frames. */
void pf_film_clear_older(const pf_film_options *options, int64_t frames, bool ours);

extern const pf_film_writer pf_film_mp4_writer;
extern const pf_film_writer pf_film_webm_writer;
extern const pf_film_writer pf_film_wav_writer;
extern const pf_film_writer pf_film_png_writer;

/* The contact sheet: a few frames in a row, the sound's waveform below. */
typedef struct pf_sheet pf_sheet;

pf_status pf_sheet_open(const pf_film_options *options, pf_sheet **out,
                        pf_error *error);
/* Frame `index` of the film; kept if it is one of those to be shown. */
void pf_sheet_take(pf_sheet *sheet, int64_t index, const uint8_t *rgb);
/* Draws and writes the temporary file; `audio` [count], none if count is 0. */
pf_status pf_sheet_finish(pf_sheet *sheet, const float *audio, int64_t count,
                          pf_error *error);
pf_status pf_sheet_publish(pf_sheet *sheet, pf_error *error);
void pf_sheet_destroy(pf_sheet *sheet);         /* NULL is fine */

/* Needs that an H.264 stream declares. */
typedef struct pf_film_level {
    int number;                 /* ten times the level's name: 40 is 4.0 */
    int64_t most_bits;          /* a second, to be kept by the encoder; 0: it will be */
} pf_film_level;

/* The lowest level from 4.0 on that a film of this size, rate and quality (constant rate
 * factor) is within; false when it is beyond all of them. */
bool pf_film_h264_level(int width, int height, double fps, int quality,
                        pf_film_level *out);

/* RGB [height][width][3] to BT.709 Y, Cb, Cr of limited range, 4:2:0, chroma
 * sited on the left.  Sides are even. */
void pf_yuv_from_rgb(const uint8_t *rgb, int width, int height, uint8_t *planes[3],
                     const int strides[3]);

#endif
