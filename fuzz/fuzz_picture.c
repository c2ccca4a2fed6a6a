/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures: a file is refused with a message, or its pixels can be cut and scaled. */
#include <stdlib.h>

#include "fuzz_main.h"
#include "media/picture.h"
#include "pipeline/image.h"

enum { WIDTH = 48, HEIGHT = 32 };

static volatile unsigned sink;

/* The shape follows from the picture's own, so that both passes come first at times. */
static unsigned fit(const pf_picture *picture)
{
    static uint8_t out[3 * WIDTH * HEIGHT];
    bool turned = picture->width % 2;
    pf_error error = {0};
    pf_image image = {picture->rgb, picture->width, picture->height,
                      3 * picture->width};
    pf_status status = pf_image_fit(&image, turned ? HEIGHT : WIDTH,
                                    turned ? WIDTH : HEIGHT, out, &error);
    unsigned sum = 0;
    for (size_t i = 0; status == PF_OK && i < sizeof out; i++)
        sum += out[i];
    if (status != PF_OK && error.message[0] == '\0')
        abort();
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pf_picture picture;
    pf_error error = {0};
    if (pf_picture_decode(data, size, "input", &picture, &error) == PF_OK) {
        sink += fit(&picture);
        pf_picture_free(&picture);
    } else if (error.message[0] == '\0' || picture.rgb) {
        abort();                        /* a refusal without a sentence, or half of one */
    }
    return 0;
}
