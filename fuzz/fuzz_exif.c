/* SPDX-License-Identifier: Apache-2.0 */
/* EXIF blocks: an orientation, whatever they hold. */
#include <stdlib.h>

#include "fuzz_main.h"
#include "media/picture_exif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int orientation = pf_exif_orientation(data, size);
    if (orientation < 1 || orientation > 8)
        abort();
    return 0;
}
