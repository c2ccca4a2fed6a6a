/* SPDX-License-Identifier: Apache-2.0 */
/* Films.  See film.h; docs/model/image.md#films.  The writers are in film_mux.c,
 * film_wav.c and film_png.c.
 *
 * The caller copies frames into a ring of a few; a thread takes them out, hands them
 * to the writer, and after each frame as much sound as belongs beside it.  So picture and
 * sound are interleaved whatever the order in which they come, and sound never becomes
 * longer than the picture.
 *
 *     caller's thread                          film's thread
 *     pf_film_write_frames --> ring [frames] --\
 *     pf_film_write_audio  --> audio [samples] --> writer (film_mux, film_wav, film_png)
 *     next call            <-- failure --------/
 *
 * `lock` guards the counts and the failure; a frame of the ring belongs to the side whose
 * count says so.
 */
#include "media/film.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/fault.h"
#include "base/memory.h"
#include "media/film_parts.h"

/* The video VAE hands over four frames for a latent frame: eight let the thread encode four
 * while the next four are made.  51 is the largest factor of x264. */
enum { RING_FRAMES = 8, MAX_SIDE = 16384, MAX_RATE = 768000, MAX_QUALITY = 51 };
/* 4 GiB of f32; a WAV of them, 2 GiB, still fits its 32-bit lengths. */
#define MAX_AUDIO_SAMPLES ((int64_t)1 << 30)

struct pf_film {
    pf_film_options options;            /* strings are our own */
    pf_film_tag *tags;                  /* [options.tag_count] */
    const pf_film_writer *writer;
    void *file;                         /* the writer's */
    pf_sheet *sheet;                    /* or NULL */
    size_t frame_bytes;
    uint8_t *ring;                      /* [RING_FRAMES][frame_bytes] */
    float *audio;                       /* [options.audio_samples], of the whole film */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;               /* guards the members below */
    pthread_cond_t changed;
    int64_t frames_in, frames_out;      /* written by the caller, by the thread */
    int64_t audio_in;                   /* samples of `audio` that have come */
    bool closing, aborted;
    pf_error failure;                   /* of the thread, or none */
};

/* --- names ------------------------------------------------------------------------ */

pf_status pf_film_kind_of(const char *path, pf_film_kind *out, pf_error *error)
{
    static const char *const endings[] = {".mp4", ".webm", ".wav", ".png"};
    const char *dot = strrchr(path, '.');
    for (int i = 0; dot && i < 4; i++) {
        if (strcasecmp(dot, endings[i]) == 0 && dot != path && dot[-1] != '/') {
            *out = (pf_film_kind)i;
            return PF_OK;
        }
    }
    return pf_fail(error, PF_E_ARGUMENT,
                   "the name \"%s\" does not say what kind of file the film is to be: "
                   "it must end in .mp4, .webm, .wav or .png",
                   path);
}

/* In the order of pf_film_kind. */
static const pf_film_writer *writer_of(pf_film_kind kind)
{
    static const pf_film_writer *const writers[] = {
        &pf_film_mp4_writer, &pf_film_webm_writer, &pf_film_wav_writer,
        &pf_film_png_writer,
    };
    return writers[kind];
}

/* --- checks ----------------------------------------------------------------------- */

static pf_status check_kind(const pf_film_options *o, pf_film_kind kind, pf_error *error)
{
    if (kind == PF_FILM_WAV && (o->video || o->audio_samples == 0))
        return pf_fail(error, PF_E_ARGUMENT, "%s: a .wav file holds sound alone",
                       o->path);
    if (kind == PF_FILM_PNG && (!o->video || o->audio_samples > 0))
        return pf_fail(error, PF_E_ARGUMENT, "%s: .png files hold pictures alone",
                       o->path);
    if (!o->video && o->audio_samples == 0)
        return pf_fail(error, PF_E_ARGUMENT,
                       "%s: nothing is left of a film without picture and sound",
                       o->path);
    return PF_OK;
}

/* Sides are even because 4:2:0 has a chroma sample for two columns and two rows. */
static pf_status check_video(const pf_film_options *o, pf_error *error)
{
    if (o->width < 2 || o->width > MAX_SIDE || o->width % 2 || o->height < 2 ||
        o->height > MAX_SIDE || o->height % 2)
        return pf_fail(error, PF_E_ARGUMENT,
                       "the film has %dx%d pixels, but each side must be even and at "
                       "most %d",
                       o->width, o->height, MAX_SIDE);
    if (!(o->fps >= 1.0 && o->fps <= 120.0))
        return pf_fail(error, PF_E_ARGUMENT, "fps is %g, but must be 1 to 120", o->fps);
    if (o->quality > MAX_QUALITY)
        return pf_fail(error, PF_E_ARGUMENT, "quality is %d, but must be 0 to %d",
                       o->quality, MAX_QUALITY);
    return PF_OK;
}

static pf_status check_audio(const pf_film_options *o, pf_error *error)
{
    if (o->audio_samples < 0 || o->audio_samples > MAX_AUDIO_SAMPLES)
        return pf_fail(error, PF_E_ARGUMENT,
                       "the film has %lld samples of sound, but must have at most %lld",
                       (long long)o->audio_samples, (long long)MAX_AUDIO_SAMPLES);
    if (o->audio_samples > 0 && (o->sample_rate < 1 || o->sample_rate > MAX_RATE))
        return pf_fail(error, PF_E_ARGUMENT, "sample_rate is %d, but must be 1 to %d",
                       o->sample_rate, MAX_RATE);
    return PF_OK;
}

static pf_status check_sheet(const pf_film_options *o, pf_error *error)
{
    pf_film_kind kind = PF_FILM_MP4;
    if (!o->contact_sheet)
        return PF_OK;
    if (!o->video || o->frames < 1)
        return pf_fail(error, PF_E_ARGUMENT,
                       "contact_sheet has no effect on a film without frames");
    if (pf_film_kind_of(o->contact_sheet, &kind, NULL) != PF_OK || kind != PF_FILM_PNG)
        return pf_fail(error, PF_E_ARGUMENT,
                       "the contact sheet is called \"%s\", but must end in .png",
                       o->contact_sheet);
    if (strcmp(o->contact_sheet, o->path) == 0)
        return pf_fail(error, PF_E_ARGUMENT, "film and contact sheet are both called %s",
                       o->path);
    return PF_OK;
}

static pf_status check_options(const pf_film_options *o, pf_film_kind kind,
                               pf_error *error)
{
    PF_TRY(check_audio(o, error));
    PF_TRY(check_kind(o, kind, error));
    if (o->video)
        PF_TRY(check_video(o, error));
    return check_sheet(o, error);
}

/* --- the encoding thread ---------------------------------------------------------- */

/* Number of samples that belong beside `frames` frames.  The slack of 1e-6 keeps a product
 * that is whole, such as 24 frames at 24/s, from falling short of it in f64. */
static int64_t samples_beside(const pf_film *film, int64_t frames)
{
    const pf_film_options *o = &film->options;
    return (int64_t)floor((double)frames * o->sample_rate / o->fps + 1e-6);
}

/* Writes the sound that has come, up to the end of frame `frames`. */
static pf_status write_sound(pf_film *film, int64_t frames, int64_t come, bool last,
                             pf_error *error)
{
    if (film->options.audio_samples == 0)
        return PF_OK;
    int64_t end = come;
    if (film->options.video && samples_beside(film, frames) < end)
        end = samples_beside(film, frames);
    return film->writer->audio(film->file, film->audio, end, last, error);
}

static pf_status write_one(pf_film *film, int64_t index, int64_t sound, pf_error *error)
{
    const uint8_t *rgb = film->ring + (size_t)(index % RING_FRAMES) * film->frame_bytes;
    if (film->sheet)
        pf_sheet_take(film->sheet, index, rgb);
    PF_TRY(film->writer->frame(film->file, rgb, error));
    return write_sound(film, index + 1, sound, false, error);
}

/* After the last frame: the rest of the sound, up to the end of the picture, the trailer,
 * and the contact sheet, whose waveform needs the whole sound. */
static pf_status write_rest(pf_film *film, pf_error *error)
{
    const pf_film_options *o = &film->options;
    if (o->video && film->frames_in == 0)
        return pf_fail(error, PF_E_ARGUMENT, "%s: no frame was written", o->path);
    if (o->audio_samples > 0 && film->audio_in == 0)
        return pf_fail(error, PF_E_ARGUMENT, "%s: no sound was written", o->path);
    PF_TRY(write_sound(film, film->frames_in, film->audio_in, true, error));
    PF_TRY(film->writer->finish(film->file, error));
    if (!film->sheet)
        return PF_OK;
    int64_t sound = samples_beside(film, film->frames_in);
    return pf_sheet_finish(film->sheet, film->audio,
                           sound < film->audio_in ? sound : film->audio_in, error);
}

/* Called and left with the lock held; the work itself is done without it. */
static pf_status write_next(pf_film *film, pf_error *error)
{
    pf_status status;
    int64_t index = film->frames_out, sound = film->audio_in;
    bool rest = index == film->frames_in;
    pthread_mutex_unlock(&film->lock);
    status = rest ? write_rest(film, error) : write_one(film, index, sound, error);
    pthread_mutex_lock(&film->lock);
    if (!rest)
        film->frames_out++;
    return status;
}

/* The film's thread.  It encodes frame after frame; sound that comes without a frame waits
 * for the next one or the end.  With `closing` set and no frame left the thread writes the
 * rest and ends; after a failure it ends, and the callers find `failure`. */
static void *encode_all(void *argument)
{
    pf_film *film = argument;
    bool done = false;
    pthread_mutex_lock(&film->lock);
    while (!done && !film->aborted) {
        if (film->frames_out == film->frames_in && !film->closing) {
            pthread_cond_wait(&film->changed, &film->lock);
            continue;
        }
        pf_error error = {0};
        done = film->frames_out == film->frames_in;
        if (write_next(film, &error) != PF_OK) {
            film->failure = error;
            done = true;
        }
        pthread_cond_broadcast(&film->changed);
    }
    pthread_mutex_unlock(&film->lock);
    return NULL;
}

/* --- opening ---------------------------------------------------------------------- */

static void free_film(pf_film *film)
{
    if (film->file)
        film->writer->destroy(film->file);
    pf_sheet_destroy(film->sheet);
    for (int i = 0; film->tags && i < film->options.tag_count; i++) {
        pf_free((void *)(uintptr_t)film->tags[i].key);
        pf_free((void *)(uintptr_t)film->tags[i].value);
    }
    pf_free(film->tags);
    pf_free((void *)(uintptr_t)film->options.path);
    pf_free((void *)(uintptr_t)film->options.contact_sheet);
    pf_free(film->ring);
    pf_free(film->audio);
    pthread_cond_destroy(&film->changed);
    pthread_mutex_destroy(&film->lock);
    pf_free(film);
}

static bool copy_tags(pf_film *film, const pf_film_options *options)
{
    film->tags = pf_calloc((size_t)options->tag_count, sizeof *film->tags);
    if (!film->tags)
        return false;
    for (int i = 0; i < options->tag_count; i++) {
        film->tags[i].key = pf_strdup(options->tags[i].key);
        film->tags[i].value = pf_strdup(options->tags[i].value);
        if (!film->tags[i].key || !film->tags[i].value)
            return false;
    }
    film->options.tags = film->tags;
    return true;
}

/* Strings are copied, because the caller's may be gone when the thread reads them; `kept`
 * and `user` are not (film.h). */
static bool copy_options(pf_film *film, const pf_film_options *options)
{
    const char *sheet = options->contact_sheet;
    film->options = *options;
    film->options.contact_sheet = NULL;
    film->options.kind = NULL;          /* the writer has been chosen */
    film->options.path = pf_strdup(options->path);
    if (sheet)
        film->options.contact_sheet = pf_strdup(sheet);
    return copy_tags(film, options) && film->options.path &&
           (!sheet || film->options.contact_sheet);
}

static pf_status allocate(pf_film *film, const pf_film_options *o, pf_error *error)
{
    film->frame_bytes = o->video ? 3 * (size_t)o->width * (size_t)o->height : 0;
    size_t ring = RING_FRAMES * film->frame_bytes;
    size_t audio = (size_t)o->audio_samples * sizeof *film->audio;
    film->ring = pf_alloc(ring);
    film->audio = pf_alloc(audio);
    if (copy_options(film, o) && film->ring && film->audio)
        return PF_OK;
    return pf_fail_memory(error, "film", ring + audio);
}

static pf_status start(pf_film *film, pf_error *error)
{
    if (pf_fault_hit(PF_FAULT_THREAD) ||
        pthread_create(&film->thread, NULL, encode_all, film) != 0)
        return pf_fail(error, PF_E_MEMORY, "the encoding thread does not start");
    film->started = true;
    return PF_OK;
}

pf_status pf_film_open(const pf_film_options *options, pf_film **out, pf_error *error)
{
    pf_film_kind kind = PF_FILM_MP4;
    *out = NULL;
    if (options->kind)
        kind = *options->kind;
    else
        PF_TRY(pf_film_kind_of(options->path, &kind, error));
    PF_TRY(check_options(options, kind, error));
    pf_film *film = pf_calloc(1, sizeof *film);
    if (!film)
        return pf_fail_memory(error, "film", sizeof *film);
    pthread_mutex_init(&film->lock, NULL);
    pthread_cond_init(&film->changed, NULL);
    film->writer = writer_of(kind);
    pf_status status = allocate(film, options, error);
    if (status == PF_OK)
        status = film->writer->open(&film->options, &film->file, error);
    if (status == PF_OK && options->contact_sheet)
        status = pf_sheet_open(&film->options, &film->sheet, error);
    if (status == PF_OK)
        status = start(film, error);
    if (status != PF_OK) {
        free_film(film);
        return status;
    }
    *out = film;
    return PF_OK;
}

/* --- writing ---------------------------------------------------------------------- */

/* The thread's failure, if it has failed.  With the lock held. */
static pf_status pass_failure(const pf_film *film, pf_error *error)
{
    if (film->failure.status == PF_OK)
        return PF_OK;
    return pf_fail(error, film->failure.status, "%s", film->failure.message);
}

/* Waits for a free slot, fills it without the lock (the slot is the caller's as long as
 * frames_in does not count it), then counts it. */
static pf_status write_frame(pf_film *film, const uint8_t *rgb, pf_error *error)
{
    pthread_mutex_lock(&film->lock);
    while (film->frames_in - film->frames_out == RING_FRAMES &&
           film->failure.status == PF_OK)
        pthread_cond_wait(&film->changed, &film->lock);
    pf_status status = pass_failure(film, error);
    int64_t slot = film->frames_in % RING_FRAMES;
    pthread_mutex_unlock(&film->lock);
    if (status != PF_OK)
        return status;
    memcpy(film->ring + (size_t)slot * film->frame_bytes, rgb, film->frame_bytes);
    pthread_mutex_lock(&film->lock);
    film->frames_in++;
    pthread_cond_broadcast(&film->changed);
    pthread_mutex_unlock(&film->lock);
    return PF_OK;
}

pf_status pf_film_write_frames(pf_film *film, const uint8_t *rgb, int64_t count,
                               pf_error *error)
{
    if (!film->options.video)
        return pf_fail(error, PF_E_ARGUMENT, "%s was opened without picture",
                       film->options.path);
    for (int64_t i = 0; i < count; i++)
        PF_TRY(write_frame(film, rgb + (size_t)i * film->frame_bytes, error));
    return PF_OK;
}

/* NaN becomes silence. */
static float clip(float sample)
{
    if (sample > 1.0f)
        return 1.0f;
    if (sample >= -1.0f)
        return sample;
    return sample < -1.0f ? -1.0f : 0.0f;
}

pf_status pf_film_write_audio(pf_film *film, const float *samples, int64_t count,
                              pf_error *error)
{
    /* The caller's thread alone changes audio_in, so reading needs no lock; the samples are
     * written before they are counted. */
    int64_t room = film->options.audio_samples - film->audio_in;
    if (count > room)
        return pf_fail(error, PF_E_ARGUMENT,
                       "%lld samples of sound are more than the %lld that the film was "
                       "opened for",
                       (long long)(film->audio_in + count),
                       (long long)film->options.audio_samples);
    for (int64_t i = 0; i < count; i++)
        film->audio[film->audio_in + i] = clip(samples[i]);
    pthread_mutex_lock(&film->lock);
    film->audio_in += count;
    pf_status status = pass_failure(film, error);
    pthread_mutex_unlock(&film->lock);
    return status;
}

/* --- closing ---------------------------------------------------------------------- */

/* Ends the thread: after the frames that it has been given, or, aborted, after this one. */
static void stop(pf_film *film, bool aborted)
{
    pthread_mutex_lock(&film->lock);
    film->closing = true;
    film->aborted = aborted;
    pthread_cond_broadcast(&film->changed);
    pthread_mutex_unlock(&film->lock);
    if (film->started)
        pthread_join(film->thread, NULL);
}

/* Both files get their names, or none. */
static pf_status publish(pf_film *film, pf_error *error)
{
    PF_TRY(film->writer->publish(film->file, error));
    pf_status status = film->sheet ? pf_sheet_publish(film->sheet, error) : PF_OK;
    if (status != PF_OK)
        film->writer->withdraw(film->file);
    else if (film->writer->settle)
        film->writer->settle(film->file);
    return status;
}

pf_status pf_film_close(pf_film *film, pf_error *error)
{
    stop(film, false);
    pf_status status = pass_failure(film, error);
    if (status == PF_OK)
        status = publish(film, error);
    free_film(film);
    return status;
}

void pf_film_abort(pf_film *film)
{
    if (!film)
        return;
    stop(film, true);
    free_film(film);
}
