/* SPDX-License-Identifier: Apache-2.0 */
/* write_film: a film of known colours and a known tone, for tests of the files.
 *
 *     write_film PATH WIDTH HEIGHT FRAMES FPS SAMPLES QUALITY [SHEET.png]
 *
 * Frame i is flat, of colour i of the list below, beginning again at its end; without
 * frames it is sound alone, without samples a silent film.  The sound is a sine of
 * 440 Hz at half of full scale, 48,000 samples a second.  QUALITY -1 is the default.
 * A refusal is one line on standard error, exit 1; what an older film left is one, too.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/film.h"

static const uint8_t colours[][3] = {
    {255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 255}, {0, 0, 0},
    {128, 128, 128}, {200, 120, 40}, {30, 90, 160},
};

static void say(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "%s\n", line);
}

static pf_status write_frames(pf_film *film, const pf_film_options *o, pf_error *error)
{
    size_t pixels = (size_t)o->width * (size_t)o->height;
    uint8_t *rgb = malloc(3 * pixels + 1);
    pf_status status = rgb ? PF_OK : PF_E_MEMORY;
    for (int64_t i = 0; status == PF_OK && i < o->frames; i++) {
        const uint8_t *colour = colours[(size_t)i % (sizeof colours / 3)];
        for (size_t k = 0; k < pixels; k++)
            memcpy(rgb + 3 * k, colour, 3);
        status = pf_film_write_frames(film, rgb, 1, error);
    }
    free(rgb);
    return status;
}

static pf_status write_sound(pf_film *film, const pf_film_options *o, pf_error *error)
{
    pf_status status = PF_OK;
    for (int64_t i = 0; status == PF_OK && i < o->audio_samples; i++) {
        float sample = 0.5f * (float)sin(2.0 * 3.14159265358979 * 440.0 * (double)i /
                                         o->sample_rate);
        status = pf_film_write_audio(film, &sample, 1, error);
    }
    return status;
}

static pf_status write_all(const pf_film_options *options, pf_error *error)
{
    pf_film *film = NULL;
    pf_status status = pf_film_open(options, &film, error);
    if (status != PF_OK)
        return status;
    status = write_sound(film, options, error);
    if (status == PF_OK && options->video)
        status = write_frames(film, options, error);
    if (status == PF_OK)
        return pf_film_close(film, error);
    pf_film_abort(film);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 8 && argc != 9)
        return 2;
    const pf_film_tag tags[] = {
        {"title", "T\xc3\xb6ne"}, {"comment", "{\"seed\":7}"}, {"encoder", "phonofilm"},
    };
    pf_film_options options = {
        .path = argv[1],
        .video = atol(argv[4]) > 0,
        .width = atoi(argv[2]),
        .height = atoi(argv[3]),
        .frames = atol(argv[4]),
        .fps = atof(argv[5]),
        .sample_rate = 48000,
        .audio_samples = atol(argv[6]),
        .quality = atoi(argv[7]),
        .contact_sheet = argc == 9 ? argv[8] : NULL,
        .tags = tags,
        .tag_count = 3,
        .say = say,
    };
    pf_error error = {0};
    if (write_all(&options, &error) == PF_OK)
        return 0;
    fprintf(stderr, "%s\n", error.message);
    return 1;
}
