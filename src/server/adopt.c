/* SPDX-License-Identifier: Apache-2.0 */
/* Taking in films that the store does not know.  See adopt.h. */
#include "server/adopt.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "server/job_file.h"

/* --- opening ---------------------------------------------------------------------- */

static pf_status know(pf_adoption *adoption, const char *id)
{
    size_t bytes = (size_t)(adoption->count + 1) * sizeof *adoption->known;
    char (*grown)[PF_VIDEO_ID_BYTES] = pf_realloc(adoption->known, bytes);
    if (!grown)
        return PF_E_MEMORY;
    adoption->known = grown;
    snprintf(grown[adoption->count++], PF_VIDEO_ID_BYTES, "%s", id);
    return PF_OK;
}

static pf_status take_loaded(void *user, pf_video *video)
{
    pf_status status = know(user, video->id);
    json_decref(video->settings);
    pf_free(video);
    return status;
}

pf_status pf_adoption_open(const char *output_dir, bool make, pf_adoption *out,
                           pf_error *error)
{
    *out = (pf_adoption){.output_dir = output_dir};
    char *videos = pf_path_join(output_dir, "videos");
    char *store = pf_path_join(output_dir, "phonofilm.db");
    pf_status status = videos && store ? PF_OK : pf_fail_memory(error, "paths", 1);
    if (status == PF_OK && !pf_path_is_folder(videos))
        status = pf_fail(error, PF_E_NOT_FOUND,
                         "%s is no folder of a server: there is no %s", output_dir, videos);
    if (status == PF_OK && !make && !pf_path_is_file(store))
        status = pf_fail(error, PF_E_NOT_FOUND, "there is no job store %s", store);
    if (status == PF_OK)
        status = pf_store_open(store, &out->store, error);
    if (status == PF_OK)
        status = pf_store_load(out->store, take_loaded, out, error);
    pf_free(videos);
    pf_free(store);
    return status;
}

void pf_adoption_close(pf_adoption *adoption)
{
    pf_store_close(adoption->store);
    pf_free(adoption->known);
    *adoption = (pf_adoption){.store = NULL};
}

static bool knows(const pf_adoption *adoption, const char *id)
{
    for (int i = 0; i < adoption->count; i++)
        if (strcmp(adoption->known[i], id) == 0)
            return true;
    return false;
}

/* --- one folder ------------------------------------------------------------------- */

/* Moves the folder to where the server looks for it. */
static pf_status move_into_place(const pf_adoption *adoption, const char *folder,
                                 const char *id, pf_error *error)
{
    struct stat from, to;
    char *place = pf_video_folder(adoption->output_dir, id);
    if (!place)
        return pf_fail_memory(error, "paths", 1);
    pf_status status = PF_OK;
    if (stat(folder, &from) != 0)
        status = pf_fail_errno(error, errno, "cannot look at %s", folder);
    bool there = status == PF_OK && stat(place, &to) == 0;
    bool is_same = there && from.st_dev == to.st_dev && from.st_ino == to.st_ino;
    if (there && !is_same)
        status = pf_fail(error, PF_E_INPUT, "%s cannot be taken in: %s is there, too",
                         folder, place);
    else if (status == PF_OK && !there && rename(folder, place) != 0)
        status = errno == EXDEV
                     ? pf_fail(error, PF_E_INPUT,
                               "%s lies on another disk; copy it to %s first", folder, place)
                     : pf_fail_errno(error, errno, "cannot move %s to %s", folder, place);
    pf_free(place);
    return status;
}

/* A job.json that says "completed" must have its film. */
static pf_status check_film(const char *folder, const pf_video *video, pf_error *error)
{
    char *film = pf_path_join(folder, pf_video_film_name(video));
    if (!film)
        return pf_fail_memory(error, "paths", 1);
    bool fine = video->status != PF_VIDEO_COMPLETED || pf_path_is_file(film);
    pf_free(film);
    return fine ? PF_OK
                : pf_fail(error, PF_E_INPUT, "%s is said to be completed, but has no %s",
                          folder, pf_video_film_name(video));
}

/* An interrupted run goes back to the queue, from which it continues at its latents. */
static void rest(pf_video *video)
{
    if (video->status == PF_VIDEO_RUNNING)
        video->status = PF_VIDEO_QUEUED;
    video->starts = 0;
}

static pf_status take_in(pf_adoption *adoption, const char *folder, pf_video *video,
                         pf_error *error)
{
    PF_TRY(check_film(folder, video, error));
    rest(video);
    PF_TRY(move_into_place(adoption, folder, video->id, error));
    PF_TRY(pf_store_insert(adoption->store, video, error));
    return know(adoption, video->id) == PF_OK ? PF_OK : pf_fail_memory(error, "ids", 1);
}

pf_status pf_adoption_take(pf_adoption *adoption, const char *folder, pf_adopted *out,
                           pf_error *error)
{
    pf_error inner = {0};
    pf_video *video = NULL;
    pf_status status = pf_job_file_read(folder, &video, &inner);
    if (status == PF_E_NOT_FOUND)
        return pf_fail(error, status,
                       "%s cannot be taken in: it has no job.json, which says what it is",
                       folder);
    if (status != PF_OK)
        return pf_fail(error, status, "%s", inner.message);
    *out = (pf_adopted){.was_known = knows(adoption, video->id)};
    if (!out->was_known)
        status = take_in(adoption, folder, video, error);
    memcpy(out->id, video->id, sizeof out->id);
    out->status = video->status;
    json_decref(video->settings);
    pf_free(video);
    return status;
}

/* --- listing ---------------------------------------------------------------------- */

typedef struct listing {
    void (*see)(void *user, const pf_video *video);
    void *user;
} listing;

static pf_status list_one(void *user, pf_video *video)
{
    const listing *l = user;
    l->see(l->user, video);
    json_decref(video->settings);
    pf_free(video);
    return PF_OK;
}

pf_status pf_adoption_list(const pf_adoption *adoption,
                           void (*see)(void *user, const pf_video *video), void *user,
                           pf_error *error)
{
    listing l = {see, user};
    return pf_store_load(adoption->store, list_one, &l, error);
}

static bool is_unknown(const pf_adoption *adoption, const char *name)
{
    return pf_video_id_is_sound(name) && !knows(adoption, name) &&
           !pf_video_is_marked_deleted(adoption->output_dir, name);
}

pf_status pf_adoption_list_unknown(pf_adoption *adoption,
                                   void (*see_unknown)(void *user, pf_adoption *adoption,
                                                       const char *folder),
                                   void *user, pf_error *error)
{
    char *videos = pf_path_join(adoption->output_dir, "videos");
    DIR *dir = videos ? opendir(videos) : NULL;
    struct dirent *entry;
    pf_status status = dir      ? PF_OK
                       : videos ? pf_fail_errno(error, errno, "cannot read %s", videos)
                                : pf_fail_memory(error, "paths", 1);
    while (status == PF_OK && (entry = readdir(dir)) != NULL) {
        if (!is_unknown(adoption, entry->d_name))
            continue;
        char *folder = pf_path_join(videos, entry->d_name);
        if (folder)
            see_unknown(user, adoption, folder);
        else
            status = pf_fail_memory(error, "paths", 1);
        pf_free(folder);
    }
    if (dir)
        closedir(dir);
    pf_free(videos);
    return status;
}
