/* SPDX-License-Identifier: Apache-2.0 */
/* A video: one job of the server, from acceptance to deletion.
 *
 * The upper half is what the store keeps; the lower half lives as long as the
 * process.  Everything but `id`, `owner`, `created` and `settings`, which never
 * change, is guarded by the lock of the table (videos.h).
 */
#ifndef PF_SERVER_VIDEO_H
#define PF_SERVER_VIDEO_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "phonofilm.h"
#include "base/digest.h"

enum {
    PF_VIDEO_ID_BYTES = 48,
    PF_OWNER_BYTES = 64,
    PF_IDEMPOTENCY_BYTES = 256
};

typedef enum pf_video_status {
    PF_VIDEO_QUEUED,
    PF_VIDEO_RUNNING,
    PF_VIDEO_COMPLETED,
    PF_VIDEO_FAILED
} pf_video_status;

/* A sleeper until a video changes.  Both functions are called with the table's lock held,
 * `wake` once at most. */
typedef struct pf_waiter {
    void (*wake)(struct pf_waiter *waiter);
    bool (*is_gone)(struct pf_waiter *waiter);
    bool alone;                         /* nobody else wants the video */
    struct pf_waiter *next;
} pf_waiter;

typedef struct pf_video {
    char id[PF_VIDEO_ID_BYTES];         /* ordered by time: older ids are less */
    char owner[PF_OWNER_BYTES];         /* the name of the key, "" without keys */
    json_t *settings;                   /* settings.h */
    double created, started, completed; /* Unix time; 0: not yet */
    pf_video_status status;
    char error_code[40];
    char error_message[512];
    char remixed_from[PF_VIDEO_ID_BYTES];
    int64_t bytes;                      /* of its pictures; at its end, of all its files */
    double run_seconds;                 /* of computing, over all runs */
    double fraction;                    /* of the film that is done, as told */
    int starts;                         /* runs since a step was last finished; one
                                         * that the server survives is taken back */
    bool starred;                       /* its owner keeps it: it never expires */
    char idempotency_key[PF_IDEMPOTENCY_BYTES];
    char idempotency_hash[PF_DIGEST_HEX];

    int references;
    bool cancel;                        /* the run is to stop */
    bool abandoned;                     /* nobody waits for it any longer */
    bool deleted;                       /* no longer in the table */
    bool unsaved;                       /* the store does not know all of it yet */
    bool described;                     /* job.json was seen, or written by this process */
    bool interrupted;                   /* was running when the server stopped */
    double rests_until;                 /* if interrupted; on the clock of pf_seconds */
    int failures;                       /* transient failures since a step was last finished */
    uint64_t version;                   /* grows with every change that shows */
    int position;                       /* place in the queue, from 1; 0: not queued */
    double predicted_seconds;
    char stage[24];
    int step, steps;
    double seconds_left;                /* below 0: unknown */
    char *event;                        /* text of the status event, or NULL; of */
    uint64_t event_version;             /* this version: many readers share it */
    char *preview;                      /* text of the latest one's event, or NULL */
    uint64_t preview_version;
    pf_job *job;                        /* while it runs */
    pf_waiter *waiters;
} pf_video;

/* Zeroed, with one reference; NULL when out of memory. */
pf_video *pf_video_new(void);
/* Locked: one reference less; frees the video after the last one. */
void pf_video_drop(pf_video *video);
/* Locked: the video shows something that it did not before.  Wakes all waiters. */
void pf_video_touch(pf_video *video);
/* Locked, or of a copy: completed (`code` is "") or failed at that Unix time. */
void pf_video_set_outcome(pf_video *video, const char *code, const char *message,
                          double completed);

/* The API's object of a video, whole, or NULL when out of memory.  The caller holds
 * the table's lock, if the video is in the table. */
json_t *pf_video_json(const pf_video *video, const char *model_name, double retention);

/* OUTPUT/videos/ID, and a file in it; pf_free, NULL when out of memory. */
char *pf_video_folder(const char *output_dir, const char *id);
char *pf_video_file(const char *output_dir, const char *id, const char *name);
/* "film.mp4" */
const char *pf_video_film_name(const pf_video *video);
/* Where latents are saved while the film is made; pf_free(). */
char *pf_video_state(const char *output_dir, const char *id);
/* Removes the latents. */
void pf_video_remove_state(const char *output_dir, const char *id);
/* Bytes that a film of these settings takes on the disk, about, with its stills; and its
 * latents while it is made, which are replaced by later ones. */
int64_t pf_video_expected_bytes(const json_t *settings);
int64_t pf_video_expected_latents(const json_t *settings);
/* Removes the folder and what is in it. */
void pf_video_remove_files(const char *output_dir, const char *id);

/* Folders have other names, or a mark in them, while a film comes or goes, so that what a
 * start finds is never guessed at (films.h).
 *
 *     ID.new       its files are written; the store may not know it yet
 *     ID           the store knows it
 *     ID/deleted   the store is about to forget it
 */
enum { PF_VIDEO_FRESH_BYTES = PF_VIDEO_ID_BYTES + 8 };
void pf_video_fresh_name(const char *id, char out[PF_VIDEO_FRESH_BYTES]);
/* Renames ID.new to ID. */
pf_status pf_video_settle(const char *output_dir, const char *id, pf_error *error);
/* Marks the folder, or takes the mark away; a full disk need not take the mark. */
void pf_video_mark_deleted(const char *output_dir, const char *id, bool deleted);
bool pf_video_is_marked_deleted(const char *output_dir, const char *id);

/* Whether this server could have given the id.  Only such ids become paths. */
bool pf_video_id_is_sound(const char *id);

/* Unix time in seconds. */
double pf_now(void);

#endif
