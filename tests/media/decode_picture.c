/* SPDX-License-Identifier: Apache-2.0 */
/* decode_picture: the program's picture reading alone, for tests.
 *
 *     decode_picture FILE                  RGB of the whole picture on standard output
 *     decode_picture FILE WIDTH HEIGHT     the same, cut and scaled to a film's shape
 *
 * The first line is "WIDTH HEIGHT".  A refusal is one line on standard error, exit 1; so
 * is a note about the picture, exit 0.
 */
#include <stdio.h>
#include <stdlib.h>

#include "media/picture.h"
#include "pipeline/image.h"

static int refuse(const pf_error *error)
{
    fprintf(stderr, "%s\n", error->message);
    return 1;
}

static int print(const uint8_t *rgb, int64_t width, int64_t height)
{
    size_t bytes = (size_t)(3 * width * height);
    printf("%lld %lld\n", (long long)width, (long long)height);
    return fwrite(rgb, 1, bytes, stdout) == bytes ? 0 : 1;
}

static int print_fitted(const pf_picture *picture, int64_t width, int64_t height)
{
    pf_error error = {0};
    pf_image image = {picture->rgb, picture->width, picture->height,
                      3 * picture->width};
    uint8_t *out = malloc((size_t)(3 * width * height));
    if (!out)
        return 1;
    int code = pf_image_fit(&image, width, height, out, &error) == PF_OK
                   ? print(out, width, height)
                   : refuse(&error);
    free(out);
    return code;
}

int main(int argc, char **argv)
{
    pf_picture picture;
    pf_error error = {0};
    if (argc != 2 && argc != 4)
        return 2;
    if (pf_picture_read(argv[1], &picture, &error) != PF_OK)
        return refuse(&error);
    if (picture.note[0])
        fprintf(stderr, "%s\n", picture.note);
    int code = argc == 2 ? print(picture.rgb, picture.width, picture.height)
                         : print_fitted(&picture, atol(argv[2]), atol(argv[3]));
    pf_picture_free(&picture);
    return code;
}
