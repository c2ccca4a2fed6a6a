/* SPDX-License-Identifier: Apache-2.0 */
/* Videos by id.  See video_list.h. */
#include "server/video_list.h"

#include <string.h>

#include "base/memory.h"

void pf_video_list_free(pf_video_list *list)
{
    pf_free(list->at);
    *list = (pf_video_list){.at = NULL};
}

pf_status pf_video_list_make_room(pf_video_list *list, pf_error *error)
{
    if (list->count < list->capacity)
        return PF_OK;
    int capacity = list->capacity ? 2 * list->capacity : 64;
    size_t bytes = (size_t)capacity * sizeof *list->at;
    pf_video **grown = pf_realloc(list->at, bytes);
    if (!grown)
        return pf_fail_memory(error, "videos", bytes);
    list->at = grown;
    list->capacity = capacity;
    return PF_OK;
}

void pf_video_list_append(pf_video_list *list, pf_video *video)
{
    list->at[list->count++] = video;
}

/* The index of the first id that is not less than `id`. */
static int lower_bound(const pf_video_list *list, const char *id)
{
    int low = 0, high = list->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (strcmp(list->at[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

pf_video *pf_video_list_find(const pf_video_list *list, const char *id)
{
    int at = lower_bound(list, id);
    return at < list->count && strcmp(list->at[at]->id, id) == 0 ? list->at[at] : NULL;
}

int pf_video_list_remove(pf_video_list *list, const pf_video *video)
{
    int at = lower_bound(list, video->id);
    if (at >= list->count || list->at[at] != video)
        return -1;
    memmove(list->at + at, list->at + at + 1,
            (size_t)(list->count - at - 1) * sizeof *list->at);
    list->count--;
    return at;
}
