/* SPDX-License-Identifier: Apache-2.0 */
/* Colour profiles of a WebP, which has them as they are: pixels stay inside their
 * picture, and what is ignored is said. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_main.h"
#include "media/picture_parts.h"

enum { SIDE = 16, PIXELS = SIDE * SIDE };

static volatile unsigned sink;

static void fill(uint8_t *rgb)
{
    for (int i = 0; i < 3 * PIXELS; i++)
        rgb[i] = (uint8_t)(i * 7);
}

static void convert(const uint8_t *data, size_t size, bool grey)
{
    static uint8_t rgb[3 * PIXELS + 1];
    static pf_picture_header header;
    char note[PF_PICTURE_NOTE_BYTES] = "";
    pf_error error = {0};
    header = (pf_picture_header){.kind = PF_PICTURE_WEBP, .width = SIDE, .height = SIDE,
                                 .orientation = 1};
    header.colours.grey = grey;
    header.colours.profile[0] = (pf_picture_bytes){data, size};
    header.colours.profile_parts = header.colours.profile_given = 1;
    fill(rgb);
    rgb[3 * PIXELS] = 99;
    if (pf_picture_to_srgb(&header, "input", rgb, note, &error) != PF_OK ||
        rgb[3 * PIXELS] != 99)
        abort();
    for (int i = 0; i < 3 * PIXELS; i++)
        sink += rgb[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    convert(data, size, false);
    convert(data, size, true);
    return 0;
}
