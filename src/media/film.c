/* Films: the queue between whoever makes frames and the thread that encodes them.
 * See film.h; the kinds of file are in film_*.c. */
#include "media/film.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/fault.h"
#include "base/memory.h"
#include "media/film_parts.h"

enum { QUEUE_FRAMES = 8, MAX_TAGS = 16 };

struct pf_film {
    pf_film_options options;            /* with strings of our own */
    pf_film_tag tags[MAX_TAGS];
    char *owned[2 + 2 * MAX_TAGS];
    int owned_count;
    const pf_film_writer *writer;
    void *self;                         /* the writer's */
    pf_sheet *sheet;                    /* or NULL */

    pthread_t thread;
    bool threaded;
    pthread_mutex_t lock;               /* guards what follows */
    pthread_cond_t changed;
    uint8_t *queue;                     /* [QUEUE_FRAMES][height][width][3] */
    int64_t taken, given;               /* frames encoded, frames handed in */
    float *audio;                       /* [audio_samples] */
    int64_t audio_count;
    bool closing, aborting, failed;
    pf_error error;                     /* of the thread, when failed */
};

/* --- kinds ------------------------------------------------------------------------ */

typedef struct film_kind {
    const char *ending;
    const pf_film_writer *writer;
} film_kind;

static const film_kind kinds[] = {
    [PF_FILM_MP4] = {".mp4", &pf_film_mp4_writer},
    [PF_FILM_WEBM] = {".webm", &pf_film_webm_writer},
    [PF_FILM_WAV] = {".wav", &pf_film_wav_writer},
    [PF_FILM_PNG] = {".png", &pf_film_png_writer},
};

pf_status pf_film_kind_of(const char *path, pf_film_kind *out, pf_error *error)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');
    for (size_t i = 0; dot && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcasecmp(dot, kinds[i].ending) == 0) {
            *out = (pf_film_kind)i;
            return PF_OK;
        }
    return pf_fail(error, PF_E_ARGUMENT,
                   "the film's name is %s, but must end in .mp4, .webm, .wav or .png",
                   path);
}

/* --- the thread --------------------------------------------------------------------- */

static size_t frame_bytes(const pf_film *film)
{
    return (size_t)3 * (size_t)film->options.width * (size_t)film->options.height;
}

/* Where the sound of `frames` frames ends. */
static int64_t sound_end(const pf_film *film, int64_t frames)
{
    if (!film->options.video)
        return film->audio_count;
    double samples =
        (double)frames * film->options.sample_rate / film->options.fps;
    int64_t end = (int64_t)samples;
    return end < film->audio_count ? end : film->audio_count;
}

/* Encodes frame number `index`, then the sound that belongs to it. */
static pf_status write_frame(pf_film *film, int64_t index, int64_t audio_count,
                             pf_error *error)
{
    const uint8_t *rgb =
        film->queue + (size_t)(index % QUEUE_FRAMES) * frame_bytes(film);
    PF_TRY(film->writer->frame(film->self, rgb, error));
    if (film->sheet)
        pf_sheet_take(film->sheet, index, rgb);
    if (!film->writer->audio || audio_count == 0)
        return PF_OK;
    int64_t end = sound_end(film, index + 1);
    return film->writer->audio(film->self, film->audio,
                               end < audio_count ? end : audio_count, false, error);
}

static void *encode_frames(void *argument)
{
    pf_film *film = argument;
    pthread_mutex_lock(&film->lock);
    for (;;) {
        while (film->taken == film->given && !film->closing && !film->aborting)
            pthread_cond_wait(&film->changed, &film->lock);
        if (film->aborting || film->failed || film->taken == film->given)
            break;
        int64_t index = film->taken, audio_count = film->audio_count;
        pthread_mutex_unlock(&film->lock);
        pf_error error = {0};
        pf_status status = write_frame(film, index, audio_count, &error);
        pthread_mutex_lock(&film->lock);
        film->taken++;
        if (status != PF_OK) {
            film->failed = true;
            film->error = error;
            film->error.status = status;
        }
        pthread_cond_broadcast(&film->changed);
    }
    pthread_mutex_unlock(&film->lock);
    return NULL;
}

static pf_status start_thread(pf_film *film, pf_error *error)
{
    if (!film->options.video)
        return PF_OK;
    film->queue = pf_alloc(QUEUE_FRAMES * frame_bytes(film));
    if (!film->queue)
        return pf_fail_memory(error, "frames", QUEUE_FRAMES * frame_bytes(film));
    int reason = pf_fault_hit(PF_FAULT_THREAD)
                     ? EAGAIN
                     : pthread_create(&film->thread, NULL, encode_frames, film);
    if (reason != 0)
        return pf_fail_errno(error, reason, "cannot start the encoder's thread");
    film->threaded = true;
    return PF_OK;
}

static void stop_thread(pf_film *film, bool aborting)
{
    if (!film->threaded)
        return;
    pthread_mutex_lock(&film->lock);
    film->closing = true;
    film->aborting = aborting;
    pthread_cond_broadcast(&film->changed);
    pthread_mutex_unlock(&film->lock);
    pthread_join(film->thread, NULL);
    film->threaded = false;
}

/* --- opening -------------------------------------------------------------------------- */

static pf_status check_options(const pf_film_options *o, pf_film_kind kind,
                               pf_error *error)
{
    if (o->video && (o->width < 2 || o->height < 2 || o->width % 2 || o->height % 2))
        return pf_fail(error, PF_E_ARGUMENT,
                       "the film is %dx%d, but sides must be even", o->width,
                       o->height);
    if (o->video && !(o->fps >= 1.0 && o->fps <= 120.0))
        return pf_fail(error, PF_E_ARGUMENT, "fps is %g, but must be 1 to 120", o->fps);
    if (!o->video && o->audio_samples <= 0)
        return pf_fail(error, PF_E_ARGUMENT, "the film has neither picture nor sound");
    if (kind == PF_FILM_WAV && o->video)
        return pf_fail(error, PF_E_ARGUMENT, "a .wav file holds no picture: %s",
                       o->path);
    if (kind == PF_FILM_PNG && !o->video)
        return pf_fail(error, PF_E_ARGUMENT, "a .png file holds no sound: %s", o->path);
    if (o->tag_count < 0 || o->tag_count > MAX_TAGS)
        return pf_fail(error, PF_E_ARGUMENT, "%d tags, but at most %d are kept",
                       o->tag_count, MAX_TAGS);
    return PF_OK;
}

static pf_status own_string(pf_film *film, const char **text, pf_error *error)
{
    if (!*text)
        return PF_OK;
    char *copy = pf_strdup(*text);
    if (!copy)
        return pf_fail_memory(error, "film", strlen(*text));
    *text = film->owned[film->owned_count++] = copy;
    return PF_OK;
}

static pf_status copy_options(pf_film *film, const pf_film_options *options,
                              pf_error *error)
{
    film->options = *options;
    film->options.tags = film->tags;
    if (options->quality < 0)
        film->options.quality = 5;
    PF_TRY(own_string(film, &film->options.path, error));
    PF_TRY(own_string(film, &film->options.contact_sheet, error));
    for (int i = 0; i < options->tag_count; i++) {
        film->tags[i] = options->tags[i];
        PF_TRY(own_string(film, &film->tags[i].key, error));
        PF_TRY(own_string(film, &film->tags[i].value, error));
    }
    return PF_OK;
}

static pf_status open_parts(pf_film *film, const pf_film_options *options,
                            pf_film_kind kind, pf_error *error)
{
    PF_TRY(copy_options(film, options, error));
    film->writer = kinds[kind].writer;
    if (options->audio_samples > 0) {
        size_t bytes = (size_t)options->audio_samples * sizeof *film->audio;
        film->audio = pf_alloc(bytes);
        if (!film->audio)
            return pf_fail_memory(error, "sound", bytes);
    }
    PF_TRY(film->writer->open(&film->options, &film->self, error));
    if (options->contact_sheet)
        PF_TRY(pf_sheet_open(&film->options, &film->sheet, error));
    return start_thread(film, error);
}

pf_status pf_film_open(const pf_film_options *options, pf_film **out,
                       pf_error *error)
{
    pf_film_kind kind = PF_FILM_MP4;
    *out = NULL;
    PF_TRY(pf_film_kind_of(options->path, &kind, error));
    PF_TRY(check_options(options, kind, error));
    pf_film *film = pf_calloc(1, sizeof *film);
    if (!film)
        return pf_fail_memory(error, "film", sizeof *film);
    pthread_mutex_init(&film->lock, NULL);
    pthread_cond_init(&film->changed, NULL);
    pf_status status = open_parts(film, options, kind, error);
    if (status != PF_OK) {
        pf_film_abort(film);
        return status;
    }
    *out = film;
    return PF_OK;
}

/* --- writing -------------------------------------------------------------------------- */

/* Passes on what went wrong in the thread. */
static pf_status thread_status(const pf_film *film, pf_error *error)
{
    if (!film->failed)
        return PF_OK;
    return pf_fail(error, film->error.status, "%s", film->error.message);
}

pf_status pf_film_write_frames(pf_film *film, const uint8_t *rgb, int64_t count,
                               pf_error *error)
{
    pf_status status = PF_OK;
    pthread_mutex_lock(&film->lock);
    for (int64_t i = 0; i < count && status == PF_OK; i++) {
        while (film->given - film->taken == QUEUE_FRAMES && !film->failed)
            pthread_cond_wait(&film->changed, &film->lock);
        status = thread_status(film, error);
        if (status != PF_OK)
            break;
        memcpy(film->queue +
                   (size_t)(film->given % QUEUE_FRAMES) * frame_bytes(film),
               rgb + (size_t)i * frame_bytes(film), frame_bytes(film));
        film->given++;
        pthread_cond_broadcast(&film->changed);
    }
    pthread_mutex_unlock(&film->lock);
    return status;
}

pf_status pf_film_write_audio(pf_film *film, const float *samples, int64_t count,
                              pf_error *error)
{
    pthread_mutex_lock(&film->lock);
    int64_t room = film->options.audio_samples - film->audio_count;
    int64_t taken = count < room ? count : room;
    if (taken > 0) {
        memcpy(film->audio + film->audio_count, samples,
               (size_t)taken * sizeof *samples);
        film->audio_count += taken;
    }
    pf_status status = thread_status(film, error);
    pthread_mutex_unlock(&film->lock);
    return status;
}

/* --- ending --------------------------------------------------------------------------- */

static pf_status finish(pf_film *film, pf_error *error)
{
    PF_TRY(thread_status(film, error));
    int64_t end = sound_end(film, film->given);
    if (film->writer->audio && film->options.audio_samples > 0)
        PF_TRY(film->writer->audio(film->self, film->audio, end, true, error));
    PF_TRY(film->writer->finish(film->self, error));
    if (film->sheet)
        PF_TRY(pf_sheet_finish(film->sheet, film->audio, end, error));
    PF_TRY(film->writer->publish(film->self, error));
    if (!film->sheet)
        return PF_OK;
    pf_status status = pf_sheet_publish(film->sheet, error);
    if (status != PF_OK)
        film->writer->withdraw(film->self);
    return status;
}

static void free_film(pf_film *film)
{
    if (film->writer && film->self)
        film->writer->destroy(film->self);
    pf_sheet_destroy(film->sheet);
    pthread_cond_destroy(&film->changed);
    pthread_mutex_destroy(&film->lock);
    for (int i = 0; i < film->owned_count; i++)
        pf_free(film->owned[i]);
    pf_free(film->queue);
    pf_free(film->audio);
    pf_free(film);
}

pf_status pf_film_close(pf_film *film, pf_error *error)
{
    stop_thread(film, false);
    pf_status status = finish(film, error);
    free_film(film);
    return status;
}

void pf_film_abort(pf_film *film)
{
    if (!film)
        return;
    stop_thread(film, true);
    free_film(film);
}
