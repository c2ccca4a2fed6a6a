/* SPDX-License-Identifier: Apache-2.0 */
/* job.json: refused with a sentence, or a video whose id can become a path. */
#include <stdlib.h>

#include "base/memory.h"
#include "fuzz_main.h"
#include "server/job_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pf_video *video = NULL;
    pf_error error = {0};
    if (pf_job_file_parse((const char *)data, size, "job.json", &video, &error) != PF_OK) {
        if (error.message[0] == '\0' || video)
            abort();
        return 0;
    }
    if (!pf_video_id_is_sound(video->id) || video->status > PF_VIDEO_FAILED)
        abort();
    json_decref(video->settings);
    pf_free(video);
    return 0;
}
