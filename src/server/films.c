/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of the films.  See films.h. */
#include "server/films.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

enum { PROBE_BYTES = 4096 };

static const pf_trouble folder_away = {
    {503, "no_folder", NULL, 30},
    "the folder of the server's films cannot be reached; films are taken again when it is "
    "back"};
static const pf_trouble store_away = {
    {503, "no_store", NULL, 30},
    "the job store of the server cannot be reached; films are taken again when it is back"};
static const pf_trouble disk_full = {
    {507, "no_space", NULL, 0},
    "the disk of the server is nearly full; films are taken again when there is room"};
static const pf_trouble disk_fails = {
    {503, "disk_error", NULL, 30},
    "the disk of the server cannot be read or written; films are taken again when it can"};

/* --- opening ---------------------------------------------------------------------- */

static pf_status make_folder(const char *path, pf_error *error)
{
    int reason = mkdir(path, 0750) == 0 ? 0 : errno;
    if (reason == 0 || pf_path_is_folder(path))
        return PF_OK;
    if (reason == EEXIST)
        return pf_fail(error, PF_E_IO, "%s is there, but is no folder", path);
    return pf_fail_errno(error, reason, "cannot make the folder %s", path);
}

pf_status pf_films_open(pf_films *films, const char *output_dir, int64_t min_free,
                        pf_error *error)
{
    struct stat info;
    *films = (pf_films){.min_free = min_free};
    films->output_dir = pf_strdup(output_dir);
    films->videos_dir = pf_path_join(output_dir, "videos");
    if (!films->output_dir || !films->videos_dir)
        return pf_fail_memory(error, "paths", strlen(output_dir));
    PF_TRY(make_folder(output_dir, error));
    PF_TRY(make_folder(films->videos_dir, error));
    if (stat(films->videos_dir, &info) != 0)
        return pf_fail_errno(error, errno, "cannot look at %s", films->videos_dir);
    films->device = info.st_dev;
    films->inode = info.st_ino;
    return PF_OK;
}

void pf_films_close(pf_films *films)
{
    pf_free(films->output_dir);
    pf_free(films->videos_dir);
    pf_free(films->unknown);
    *films = (pf_films){.output_dir = NULL};
}

/* --- what lies there -------------------------------------------------------------- */

bool pf_films_exist(const pf_films *films)
{
    DIR *folder = opendir(films->videos_dir);
    struct dirent *entry = NULL;
    while (folder && (entry = readdir(folder)) != NULL &&
           !pf_video_id_is_sound(entry->d_name))
        continue;
    if (folder)
        closedir(folder);
    return entry != NULL;
}

/* "ID.new" to "ID"; false when it is no such name. */
static bool read_fresh_name(const char *name, char id[PF_VIDEO_ID_BYTES])
{
    const char *dot = strrchr(name, '.');
    size_t length = dot ? (size_t)(dot - name) : 0;
    if (!dot || strcmp(dot, ".new") != 0 || length >= PF_VIDEO_ID_BYTES)
        return false;
    memcpy(id, name, length);
    id[length] = '\0';
    return pf_video_id_is_sound(id);
}

static pf_status note_unknown(pf_films *films, const char *id, pf_error *error)
{
    size_t bytes = (size_t)(films->unknown_count + 1) * sizeof *films->unknown;
    char (*grown)[PF_VIDEO_ID_BYTES] = pf_realloc(films->unknown, bytes);
    if (!grown)
        return pf_fail_memory(error, "folders", bytes);
    films->unknown = grown;
    memcpy(grown[films->unknown_count++], id, strlen(id) + 1);      /* a sound id fits */
    return PF_OK;
}

/* Removes an empty folder, which holds nothing that could be kept. */
static bool remove_if_empty(const pf_films *films, const char *id)
{
    char *path = pf_video_folder(films->output_dir, id);
    bool removed = path && rmdir(path) == 0;
    pf_free(path);
    return removed;
}

static pf_status sort_settled(pf_films *films, const char *id, bool known, pf_error *error)
{
    bool marked = pf_video_is_marked_deleted(films->output_dir, id);
    if (known && marked)
        pf_video_mark_deleted(films->output_dir, id, false);    /* the store kept it */
    else if (marked)
        pf_video_remove_files(films->output_dir, id);
    else if (!known && !remove_if_empty(films, id))
        return note_unknown(films, id, error);
    return PF_OK;
}

static pf_status sort_one(pf_films *films, pf_videos *videos, const char *name, bool *seen,
                          pf_error *error)
{
    char id[PF_VIDEO_ID_BYTES];
    if (pf_video_id_is_sound(name)) {
        *seen = true;
        return sort_settled(films, name, pf_videos_knows(videos, name), error);
    }
    if (!read_fresh_name(name, id))
        return PF_OK;
    *seen = true;
    if (pf_videos_knows(videos, id))
        return pf_video_settle(films->output_dir, id, error);
    pf_video_remove_files(films->output_dir, name);     /* it was never accepted */
    return PF_OK;
}

/* Whether any video has files, or will have some.  Takes the lock. */
static bool has_live_video(pf_videos *videos)
{
    bool found = false;
    pthread_mutex_lock(&videos->lock);
    for (int i = 0; i < videos->all.count && !found; i++)
        found = videos->all.at[i]->status != PF_VIDEO_FAILED;
    pthread_mutex_unlock(&videos->lock);
    return found;
}

pf_status pf_films_sort(pf_films *films, pf_videos *videos, pf_error *error)
{
    DIR *folder = opendir(films->videos_dir);
    struct dirent *entry;
    bool seen = false;
    if (!folder)
        return pf_fail_errno(error, errno, "cannot read the folder %s", films->videos_dir);
    pf_status status = PF_OK;
    while (status == PF_OK && (entry = readdir(folder)) != NULL)
        status = sort_one(films, videos, entry->d_name, &seen, error);
    closedir(folder);
    if (status != PF_OK || seen || !has_live_video(videos))
        return status;
    return pf_fail(error, PF_E_IO,
                   "the job store knows films, but %s has none: mount its disk or put the "
                   "folder back; if they are gone for good, move %s/phonofilm.db away",
                   films->videos_dir, films->output_dir);
}

/* --- trouble ---------------------------------------------------------------------- */

bool pf_films_are_away(const pf_films *films)
{
    struct stat info;
    return stat(films->videos_dir, &info) != 0 || !S_ISDIR(info.st_mode) ||
           info.st_dev != films->device || info.st_ino != films->inode;
}

/* Bytes of disk for anybody; below 0: unknown. */
static int64_t free_bytes(const pf_films *films)
{
    struct statvfs disk;
    if (statvfs(films->videos_dir, &disk) != 0)
        return -1;
    double bytes = (double)disk.f_bavail * (double)disk.f_frsize;
    return bytes < (double)INT64_MAX ? (int64_t)bytes : INT64_MAX;
}

static bool has_space(const pf_films *films, int64_t bytes)
{
    int64_t left = free_bytes(films);
    return left >= 0 && left - films->promised - bytes >= films->min_free;
}

const pf_trouble *pf_films_look(pf_films *films, pf_store *store, int64_t bytes)
{
    if (pf_films_are_away(films))
        return &folder_away;
    if (pf_store_check_place(store, NULL) != PF_OK)
        return &store_away;
    if (!has_space(films, bytes))
        return &disk_full;
    /* Space and places are fine; whether the disk takes writes again, only
     * pf_films_examine finds out. */
    return films->standing == &disk_fails ? &disk_fails : NULL;
}

static int write_block(const char *path)
{
    static const char block[PROBE_BYTES];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    ssize_t put = write(fd, block, sizeof block);
    int reason = put < 0 ? errno : put < (ssize_t)sizeof block ? ENOSPC : 0;
    if (reason == 0 && fsync(fd) != 0)
        reason = errno;
    close(fd);
    return reason;
}

static int read_block(const char *path)
{
    char block[PROBE_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int reason = read(fd, block, sizeof block) < 0 ? errno : 0;
    close(fd);
    return reason;
}

/* Does in small what a film asks of its disk.  @return 0, or the errno.  Files that are
 * left after a failure are taken over by the next rehearsal. */
static int rehearse(const char *folder, const char *part, const char *whole)
{
    int reason = mkdir(folder, 0700) == 0 || errno == EEXIST ? 0 : errno;
    if (reason == 0)
        reason = write_block(part);
    if (reason == 0 && rename(part, whole) != 0)
        reason = errno;
    if (reason == 0)
        reason = read_block(whole);
    if (unlink(reason == 0 ? whole : part) != 0 && reason == 0)
        reason = errno;
    if (rmdir(folder) != 0 && reason == 0)
        reason = errno;
    return reason;
}

static int try_disk(const pf_films *films)
{
    char *folder = pf_path_join(films->videos_dir, ".probe");
    char *part = folder ? pf_path_join(folder, "file.part") : NULL;
    char *whole = folder ? pf_path_join(folder, "file") : NULL;
    int reason = part && whole ? rehearse(folder, part, whole) : ENOMEM;
    pf_free(folder);
    pf_free(part);
    pf_free(whole);
    return reason;
}

static const pf_trouble *trouble_of(int reason)
{
    switch (reason) {
    case 0:
    case ENOMEM:
    case EMFILE:
    case ENFILE: return NULL;           /* not the disk's */
    case ENOSPC:
    case EDQUOT: return &disk_full;
    default: return &disk_fails;
    }
}

const pf_trouble *pf_films_examine(pf_films *films, pf_store *store)
{
    if (pf_films_are_away(films))
        return &folder_away;
    if (pf_store_check_place(store, NULL) != PF_OK)
        return &store_away;
    if (!has_space(films, 0))
        return &disk_full;
    const pf_trouble *trouble = trouble_of(try_disk(films));
    if (trouble)
        return trouble;
    pf_status status = pf_store_probe(store, NULL);
    return status == PF_E_NO_SPACE ? &disk_full : status == PF_E_IO ? &disk_fails : NULL;
}

const pf_trouble *pf_films_explain(pf_films *films, pf_store *store, pf_status status)
{
    const pf_trouble *trouble = pf_films_examine(films, store);
    return trouble                     ? trouble
           : status == PF_E_NO_SPACE ? &disk_full
                                       : &disk_fails;
}

/* --- space ------------------------------------------------------------------------ */

bool pf_films_promise(pf_films *films, int64_t bytes)
{
    atomic_fetch_add(&films->promised, bytes);
    if (has_space(films, 0))
        return true;
    atomic_fetch_sub(&films->promised, bytes);
    return false;
}

void pf_films_redeem(pf_films *films, int64_t bytes)
{
    atomic_fetch_sub(&films->promised, bytes);
}
