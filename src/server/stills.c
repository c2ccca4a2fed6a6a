/* SPDX-License-Identifier: Apache-2.0 */
/* Still pictures.  See stills.h. */
#include "server/stills.h"

#include <jansson.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "media/webp.h"
#include "base/digest.h"

enum {
    SHEET_TILES = 16,
    SHEET_COLUMNS = 4,
    TILE_WIDTH = 160,
    STRIP_FRAMES = 6,
    QUALITY = 80,
    PREVIEW_QUALITY = 60
};

pf_status pf_stills_open(int width, int height, int64_t frames, pf_stills *out,
                         pf_error *error)
{
    int tiles = frames < SHEET_TILES ? (int)frames : SHEET_TILES;
    int columns = tiles < SHEET_COLUMNS ? tiles : SHEET_COLUMNS;
    int tile_width = width < TILE_WIDTH ? width : TILE_WIDTH;
    int tile_height = (int)((int64_t)tile_width * height / width);
    *out = (pf_stills){
        .width = width, .height = height, .frames = frames, .tiles = tiles,
        .columns = columns, .rows = (tiles + columns - 1) / columns,
        .tile_width = tile_width, .tile_height = tile_height > 0 ? tile_height : 1,
    };
    size_t whole = 3 * (size_t)width * (size_t)height;
    size_t sheet = 3 * (size_t)(out->columns * out->tile_width) *
                   (size_t)(out->rows * out->tile_height);
    out->thumbnail = pf_alloc(whole);
    out->sheet = pf_calloc(1, sheet);
    if (out->thumbnail && out->sheet)
        return PF_OK;
    pf_stills_close(out);
    return pf_fail_memory(error, "stills", whole + sheet);
}

/* Index of the frame that a tile shows. */
static int64_t frame_of(const pf_stills *s, int tile)
{
    return s->tiles < 2 ? 0 : tile * (s->frames - 1) / (s->tiles - 1);
}

void pf_stills_take(pf_stills *s, int64_t index, const uint8_t *rgb)
{
    size_t stride = 3 * (size_t)(s->columns * s->tile_width);
    if (index == s->frames / 2)
        memcpy(s->thumbnail, rgb, 3 * (size_t)s->width * (size_t)s->height);
    for (int tile = 0; tile < s->tiles; tile++) {
        if (frame_of(s, tile) != index)
            continue;
        size_t x = 3 * (size_t)(tile % s->columns * s->tile_width);
        size_t y = (size_t)(tile / s->columns * s->tile_height);
        pf_picture_shrink(&(pf_shrink){rgb, s->width, s->height, s->sheet + y * stride + x,
                                       s->tile_width, s->tile_height, stride});
    }
}

static pf_status write_webp(const uint8_t *rgb, int width, int height, const char *folder,
                            const char *name, pf_error *error)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    PF_TRY(pf_webp_encode(rgb, width, height, QUALITY, &data, &bytes, error));
    char *path = pf_path_join(folder, name);
    pf_status status = path ? pf_write_file(path, data, bytes, error)
                            : pf_fail_memory(error, name, 1);
    pf_free(path);
    pf_free(data);
    return status;
}

pf_status pf_stills_write(const pf_stills *s, const char *folder, pf_error *error)
{
    PF_TRY(write_webp(s->thumbnail, s->width, s->height, folder, "thumbnail.webp",
                      error));
    return write_webp(s->sheet, s->columns * s->tile_width, s->rows * s->tile_height,
                      folder, "spritesheet.webp", error);
}

void pf_stills_close(pf_stills *s)
{
    pf_free(s->thumbnail);
    pf_free(s->sheet);
    *s = (pf_stills){0};
}

/* --- previews --------------------------------------------------------------------- */

/* [height][frames * width][3] from frames spread over the film. */
static uint8_t *make_strip(const pf_preview *p, int frames)
{
    size_t row = 3 * (size_t)p->width, plane = row * (size_t)p->height;
    uint8_t *strip = pf_alloc(plane * (size_t)frames);
    for (int i = 0; strip && i < frames; i++) {
        int64_t frame = frames < 2 ? 0 : i * (p->frames - 1) / (frames - 1);
        for (int64_t y = 0; y < p->height; y++)
            memcpy(strip + ((size_t)y * (size_t)frames + (size_t)i) * row,
                   p->rgb + (size_t)frame * plane + (size_t)y * row, row);
    }
    return strip;
}

static char *preview_event(const pf_preview *p, int frames, const uint8_t *webp,
                           size_t bytes)
{
    char *encoded = pf_base64_encode(webp, bytes);
    char *uri = encoded ? pf_format("data:image/webp;base64,%s", encoded) : NULL;
    json_t *object =
        uri ? json_pack("{s:i, s:i, s:i, s:i, s:i, s:s}", "step", p->step, "steps",
                        p->steps, "frames", frames, "width", (int)p->width, "height",
                        (int)p->height, "image", uri)
            : NULL;
    char *data = object ? json_dumps(object, JSON_COMPACT) : NULL, *text = NULL;
    if (!data || asprintf(&text, "event: preview\ndata: %s\n\n", data) < 0)
        text = NULL;
    free(data);
    json_decref(object);
    pf_free(encoded);
    pf_free(uri);
    return text;
}

char *pf_preview_event(const pf_preview *p)
{
    int frames = p->frames < STRIP_FRAMES ? (int)p->frames : STRIP_FRAMES;
    uint8_t *strip = make_strip(p, frames), *data = NULL;
    size_t bytes = 0;
    char *text = NULL;
    if (strip && pf_webp_encode(strip, frames * (int)p->width, (int)p->height,
                                PREVIEW_QUALITY, &data, &bytes, NULL) == PF_OK)
        text = preview_event(p, frames, data, bytes);
    pf_free(strip);
    pf_free(data);
    return text;
}
