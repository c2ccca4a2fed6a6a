/* SPDX-License-Identifier: Apache-2.0 */
/* Still pictures of a film: a thumbnail and a sheet of frames, taken while frames pass,
 * and previews of a film that is still noise. */
#ifndef PF_SERVER_STILLS_H
#define PF_SERVER_STILLS_H

#include "phonofilm.h"

typedef struct pf_stills {
    int width, height;                  /* of the film */
    int64_t frames;
    int tile_width, tile_height, columns, rows, tiles;
    uint8_t *thumbnail;                 /* [height][width][3]: the middle frame */
    uint8_t *sheet;                     /* [rows * tile_height][columns * tile_width][3] */
} pf_stills;

pf_status pf_stills_open(int width, int height, int64_t frames, pf_stills *out,
                         pf_error *error);
/* Frame `index`: [height][width][3]. */
void pf_stills_take(pf_stills *stills, int64_t index, const uint8_t *rgb);
/* Writes thumbnail.webp and spritesheet.webp into the folder. */
pf_status pf_stills_write(const pf_stills *stills, const char *folder, pf_error *error);
void pf_stills_close(pf_stills *stills);

/* A preview event (events.c) in fresh memory (free()): a strip of a few frames side by
 * side.  NULL when it cannot be made. */
char *pf_preview_event(const pf_preview *preview);

#endif
