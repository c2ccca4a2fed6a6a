/* SPDX-License-Identifier: Apache-2.0 */
/* The sound alone: RIFF/WAVE, 16-bit PCM, mono.  docs/model/image.md#sound.
 *
 *     "RIFF" size "WAVE" | "fmt " 16 bytes | "LIST" size "INFO" tags | "data" size | samples
 *
 * The header is written twice: first as a place holder, at the end with the lengths.  Its
 * own length never changes, because the tags are known when the film opens.  Numbers are
 * little endian on every machine; chunks have even lengths, padded by a zero that their
 * size does not count.
 *
 * Samples are clipped to -1..1, multiplied with 32767 and truncated toward zero, as
 * the reference does.  Metadata is a LIST INFO chunk before the samples.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "media/film_parts.h"
#include "media/part_file.h"

enum { BLOCK = 4096 };                  /* samples that are converted at a time */

typedef struct wav {
    const pf_film_options *options;
    pf_part_file file;
    uint8_t *header;                    /* [header_bytes] */
    size_t header_bytes;
    int64_t written;                    /* samples */
} wav;

/* --- header ---------------------------------------------------------------------- */

static uint8_t *put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

static uint8_t *put_name(uint8_t *at, const char *name)
{
    memcpy(at, name, 4);
    return at + 4;
}

/* The chunk for a key, or NULL: WAV has no others. */
static const char *info_name(const char *key)
{
    static const char *const names[][2] = {
        {"title", "INAM"}, {"comment", "ICMT"}, {"artist", "IART"},
        {"date", "ICRD"}, {"encoder", "ISFT"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(key, names[i][0]) == 0)
            return names[i][1];
    return NULL;
}

static size_t padded(size_t bytes)
{
    return bytes + (bytes & 1);
}

/* Bytes of all tags that WAV has chunks for, each with its 8 bytes of head. */
static size_t info_bytes(const pf_film_options *options)
{
    size_t bytes = 0;
    for (int i = 0; i < options->tag_count; i++)
        if (info_name(options->tags[i].key))
            bytes += 8 + padded(strlen(options->tags[i].value) + 1);
    return bytes;
}

/* `at` points to zeroed memory. */
static uint8_t *put_info(uint8_t *at, const pf_film_options *options, size_t bytes)
{
    at = put_name(put32(put_name(at, "LIST"), (uint32_t)(4 + bytes)), "INFO");
    for (int i = 0; i < options->tag_count; i++) {
        const char *name = info_name(options->tags[i].key);
        if (!name)
            continue;
        size_t length = strlen(options->tags[i].value) + 1;
        at = put32(put_name(at, name), (uint32_t)length);
        memcpy(at, options->tags[i].value, length);
        at += padded(length);
    }
    return at;
}

/* The header for the samples that were written. */
static void fill_header(wav *w)
{
    const pf_film_options *options = w->options;
    uint32_t data = (uint32_t)(2 * w->written), rate = (uint32_t)options->sample_rate;
    size_t info = info_bytes(options);
    memset(w->header, 0, w->header_bytes);
    uint8_t *at = put_name(w->header, "RIFF");
    at = put_name(put32(at, (uint32_t)w->header_bytes - 8 + data), "WAVE");
    at = put32(put_name(at, "fmt "), 16);
    at = put32(at, 1 | 1 << 16);                /* PCM, one channel */
    at = put32(put32(at, rate), 2 * rate);
    at = put32(at, 2 | 16 << 16);               /* bytes and bits a sample */
    if (info > 0)
        at = put_info(at, options, info);
    put32(put_name(at, "data"), data);
}

/* --- samples --------------------------------------------------------------------- */

static int16_t quantise(float sample)
{
    float clipped = sample > 1.0f ? 1.0f : sample < -1.0f ? -1.0f : sample;
    return (int16_t)(clipped * 32767.0f);
}

static pf_status write_audio(void *self, const float *audio, int64_t end, bool last,
                             pf_error *error)
{
    wav *w = self;
    uint8_t block[2 * BLOCK];
    (void)last;
    while (w->written < end) {
        int64_t count = end - w->written < BLOCK ? end - w->written : BLOCK;
        for (int64_t i = 0; i < count; i++) {
            uint16_t bits = (uint16_t)quantise(audio[w->written + i]);
            block[2 * i] = (uint8_t)bits;
            block[2 * i + 1] = (uint8_t)(bits >> 8);
        }
        PF_TRY(pf_part_write(&w->file, block, (size_t)(2 * count), error));
        w->written += count;
    }
    return PF_OK;
}

/* --- file ------------------------------------------------------------------------ */

static void destroy(void *self)
{
    wav *w = self;
    if (!w)
        return;
    pf_part_discard(&w->file);
    pf_free(w->header);
    pf_free(w);
}

static pf_status open_file(wav *w, pf_error *error)
{
    size_t info = info_bytes(w->options);
    w->header_bytes = 44 + (info > 0 ? 12 + info : 0);
    w->header = pf_alloc(w->header_bytes);
    if (!w->header)
        return pf_fail_memory(error, w->options->path, w->header_bytes);
    fill_header(w);
    PF_TRY(pf_part_open(w->options->path, &w->file, error));
    return pf_part_write(&w->file, w->header, w->header_bytes, error);
}

static pf_status open_wav(const pf_film_options *options, void **self, pf_error *error)
{
    wav *w = pf_calloc(1, sizeof *w);
    *self = NULL;
    if (!w)
        return pf_fail_memory(error, options->path, sizeof *w);
    w->options = options;
    pf_status status = open_file(w, error);
    if (status != PF_OK) {
        destroy(w);
        return status;
    }
    *self = w;
    return PF_OK;
}

/* The header again, now with the length. */
static pf_status finish(void *self, pf_error *error)
{
    wav *w = self;
    fill_header(w);
    if (lseek(w->file.fd, 0, SEEK_SET) != 0)
        return pf_fail_errno(error, errno, "cannot write %s", w->options->path);
    PF_TRY(pf_part_write(&w->file, w->header, w->header_bytes, error));
    return pf_part_finish(&w->file, error);
}

static pf_status publish(void *self, pf_error *error)
{
    return pf_part_publish(&((wav *)self)->file, error);
}

static void withdraw(void *self)
{
    pf_part_withdraw(&((wav *)self)->file);
}

const pf_film_writer pf_film_wav_writer = {
    .open = open_wav,
    .audio = write_audio,
    .finish = finish,
    .publish = publish,
    .withdraw = withdraw,
    .destroy = destroy,
};
