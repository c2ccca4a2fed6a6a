/* SPDX-License-Identifier: Apache-2.0 */
/* Videos in the order of their ids, which is the order of their age.
 *
 * Thread-safety: none; the owner of the list has its lock. */
#ifndef PF_SERVER_VIDEO_LIST_H
#define PF_SERVER_VIDEO_LIST_H

#include "base/error.h"
#include "server/video.h"

/* Zero-initialised it is empty. */
typedef struct pf_video_list {
    pf_video **at;                      /* [count] */
    int count, capacity;
} pf_video_list;

void pf_video_list_free(pf_video_list *list);

/* Makes room for one more, so that pf_video_list_append does not fail. */
pf_status pf_video_list_make_room(pf_video_list *list, pf_error *error);
/* Appends a video whose id is greater than all others. */
void pf_video_list_append(pf_video_list *list, pf_video *video);
/* The index of the video, which is taken out; -1 when it is not there. */
int pf_video_list_remove(pf_video_list *list, const pf_video *video);
/* NULL when there is none. */
pf_video *pf_video_list_find(const pf_video_list *list, const char *id);

#endif
