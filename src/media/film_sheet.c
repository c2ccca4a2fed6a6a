/* SPDX-License-Identifier: Apache-2.0 */
/* The contact sheet of a film: a few frames in a row, the waveform below them.
 *
 *     | GAP | cell | GAP | cell | ... | GAP |        up to MAX_CELLS frames, even
 *     | GAP |        waveform         | GAP |        distances, first and last among them
 *
 * Frames are made smaller by averaging, on the film's thread as they pass, so that none is
 * kept.  The choice needs the number of frames beforehand (`options->frames`); a film that
 * ends earlier leaves its last cells empty.
 */
#include <string.h>

#include "base/memory.h"
#include "media/film_parts.h"
#include "media/png.h"

enum {
    MAX_CELLS = 6,
    MAX_CELL_WIDTH = 320,               /* pixels, as all that follow */
    GAP = 8,
    WAVE_HEIGHT = 96
};

static const uint8_t background[3] = {18, 18, 20};
static const uint8_t wave_colour[3] = {236, 180, 84};

struct pf_sheet {
    const pf_film_options *options;
    int cells, cell_width, cell_height;
    int width, height;                  /* of the whole sheet */
    uint8_t *rgb;                       /* [height][width][3] */
    pf_part_file file;
};

static uint8_t *pixel(const pf_sheet *sheet, int x, int y)
{
    return sheet->rgb + 3 * ((int64_t)y * sheet->width + x);
}

/* Cells keep the film's shape and are never larger than its frames. */
static void lay_out(pf_sheet *sheet)
{
    const pf_film_options *options = sheet->options;
    int width = options->width, height = options->height;
    sheet->cells = options->frames < MAX_CELLS ? (int)options->frames : MAX_CELLS;
    sheet->cell_width = width < MAX_CELL_WIDTH ? width : MAX_CELL_WIDTH;
    sheet->cell_height = (int)((int64_t)height * sheet->cell_width / width);
    if (sheet->cell_height < 1)
        sheet->cell_height = 1;
    sheet->width = GAP + sheet->cells * (sheet->cell_width + GAP);
    sheet->height = sheet->cell_height + 2 * GAP +
                    (options->audio_samples > 0 ? WAVE_HEIGHT + GAP : 0);
}

pf_status pf_sheet_open(const pf_film_options *options, pf_sheet **out,
                        pf_error *error)
{
    *out = NULL;
    pf_sheet *sheet = pf_calloc(1, sizeof *sheet);
    if (!sheet)
        return pf_fail_memory(error, "contact sheet", sizeof *sheet);
    sheet->options = options;
    sheet->file.fd = sheet->file.target = -1;
    lay_out(sheet);
    int64_t pixels = (int64_t)sheet->width * sheet->height;
    sheet->rgb = pf_alloc((size_t)(3 * pixels));
    /* Looked at now, so that a bad name is known before the film is made. */
    pf_status status = sheet->rgb ? pf_place_check(options->contact_sheet, error)
                                  : pf_fail_memory(error, "contact sheet",
                                                   (unsigned long long)(3 * pixels));
    if (status != PF_OK) {
        pf_sheet_destroy(sheet);
        return status;
    }
    for (int64_t i = 0; i < pixels; i++)
        memcpy(sheet->rgb + 3 * i, background, 3);
    *out = sheet;
    return PF_OK;
}

/* --- frames ---------------------------------------------------------------------- */

/* The mean of source pixels [x0, x1) x [y0, y1). */
static void average(const uint8_t *rgb, int64_t stride, const int64_t box[4],
                    uint8_t *out)
{
    int64_t sum[3] = {0, 0, 0}, count = (box[1] - box[0]) * (box[3] - box[2]);
    for (int64_t y = box[2]; y < box[3]; y++)
        for (int64_t x = box[0]; x < box[1]; x++)
            for (int c = 0; c < 3; c++)
                sum[c] += rgb[y * stride + 3 * x + c];
    for (int c = 0; c < 3; c++)
        out[c] = (uint8_t)((sum[c] + count / 2) / count);
}

static void draw_cell(pf_sheet *sheet, int cell, const uint8_t *rgb)
{
    int64_t width = sheet->options->width, height = sheet->options->height;
    int left = GAP + cell * (sheet->cell_width + GAP);
    for (int y = 0; y < sheet->cell_height; y++) {
        for (int x = 0; x < sheet->cell_width; x++) {
            int64_t box[4] = {x * width / sheet->cell_width,
                              (x + 1) * width / sheet->cell_width,
                              y * height / sheet->cell_height,
                              (y + 1) * height / sheet->cell_height};
            average(rgb, 3 * width, box, pixel(sheet, left + x, GAP + y));
        }
    }
}

void pf_sheet_take(pf_sheet *sheet, int64_t index, const uint8_t *rgb)
{
    int64_t last = sheet->options->frames - 1;
    int gaps = sheet->cells > 1 ? sheet->cells - 1 : 1;
    for (int cell = 0; cell < sheet->cells; cell++)
        if (index == cell * last / gaps)
            draw_cell(sheet, cell, rgb);
}

/* --- waveform -------------------------------------------------------------------- */

/* The row of a value in -1..1. */
static int wave_row(float value)
{
    float clipped = value > 1.0f ? 1.0f : value < -1.0f ? -1.0f : value;
    return (int)((1.0f - clipped) * 0.5f * (WAVE_HEIGHT - 1) + 0.5f);
}

/* Draws a column: from the highest to the lowest sample of its stretch of time, at least
 * one, where there are fewer samples than columns. */
static void draw_column(pf_sheet *sheet, int x, const float *audio, int64_t count)
{
    int columns = sheet->width - 2 * GAP, top = sheet->cell_height + 2 * GAP;
    int64_t begin = count * x / columns, end = count * (x + 1) / columns;
    if (end == begin)
        end = begin + 1;
    float low = audio[begin], high = audio[begin];
    for (int64_t i = begin; i < end; i++) {
        low = audio[i] < low ? audio[i] : low;
        high = audio[i] > high ? audio[i] : high;
    }
    for (int row = wave_row(high); row <= wave_row(low); row++)
        memcpy(pixel(sheet, GAP + x, top + row), wave_colour, 3);
}

pf_status pf_sheet_finish(pf_sheet *sheet, const float *audio, int64_t count,
                          pf_error *error)
{
    const pf_film_options *options = sheet->options;
    for (int x = 0; count > 0 && x < sheet->width - 2 * GAP; x++)
        draw_column(sheet, x, audio, count);
    pf_png png = {sheet->rgb, sheet->width, sheet->height, options->tags,
                  options->tag_count};
    return pf_png_write(options->contact_sheet, &png, &sheet->file, error);
}

pf_status pf_sheet_publish(pf_sheet *sheet, pf_error *error)
{
    return pf_part_publish(&sheet->file, error);
}

void pf_sheet_destroy(pf_sheet *sheet)
{
    if (!sheet)
        return;
    pf_part_discard(&sheet->file);
    pf_free(sheet->rgb);
    pf_free(sheet);
}
