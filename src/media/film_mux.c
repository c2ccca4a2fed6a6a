/* SPDX-License-Identifier: Apache-2.0 */
/* MP4 and WebM through libavformat and libavcodec.  docs/model/image.md#films.
 *
 *     rgb -- pf_yuv_from_rgb --> AVFrame 4:2:0 --> H.264 / VP9 --\
 *     f32 samples -- a packet's worth ----> AVFrame --> AAC / Opus --> packets
 *        packets -- times in units of the stream --> av_interleaved_write_frame
 *                -- film_io --> part file;   finish: trailer, and of an MP4 its index
 *                                            moved to the front
 *
 * Order: open_format (the part file), open_video, open_audio, write_header; then frames and
 * sound; finish sends NULL frames, which drain the encoders, before the trailer.  The header
 * needs the parameters of both opened encoders, so no packet exists before it.
 *
 * Interleaving: libavformat sorts packets by time and holds those of one track until the
 * other has caught up.  film.c gives sound only as far as the picture has come, so little
 * is held.
 *
 * Time bases: a picture counts in frames (1 / fps), sound in samples (1 / rate); the muxer
 * may choose another unit for the stream, to which drain() converts.
 *
 * Everything that would make two runs differ (dates, version strings, the number of
 * processors) is switched off.
 */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <string.h>

#include "base/memory.h"
#include "media/film_io.h"
#include "media/film_parts.h"
#include "media/libav.h"

enum {
    AUDIO_BIT_RATE = 192000,
    DEFAULT_QUALITY = 5,        /* constant rate factor: no loss that an eye finds */
    VIDEO_THREADS = 2,          /* fixed: x264's output depends on it */
    MIN_UNITS = 10000,          /* a second, of a silent film's length */
    MAX_FPS_TERM = 1001000      /* numerators and denominators of a frame rate */
};

/* Facts in which MP4 and WebM differ. */
typedef struct container {
    const char *format, *video, *audio, *other;
    enum AVSampleFormat samples;
    int rates[16];              /* Hz that the audio encoder takes; 0 ends */
} container;

static const container mp4 = {
    "mp4", "libx264", "aac", ".webm, .wav or .png", AV_SAMPLE_FMT_FLTP,
    {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000,
     7350},
};
static const container webm = {
    "webm", "libvpx-vp9", "libopus", ".mp4, .wav or .png", AV_SAMPLE_FMT_FLT,
    {48000, 24000, 16000, 12000, 8000},
};

typedef struct track {
    AVStream *stream;           /* NULL: there is no such track */
    AVCodecContext *encoder;
    AVFrame *frame;
    int64_t next;               /* frame or sample */
} track;

typedef struct mux {
    const pf_film_options *options;
    const container *kind;
    film_io io;
    AVFormatContext *format;
    AVPacket *packet;
    track video, audio;
} mux;

/* --- failures ------------------------------------------------------------------- */

/* A failure as libavformat's `code`, or, if the part file has failed, as that says: EIO is
 * all that passes through FFmpeg's callbacks (film_io.c). */
static pf_status fail_muxing(const mux *m, int code, pf_error *error)
{
    if (m->io.error.status != PF_OK)
        return pf_fail(error, m->io.error.status, "%s", m->io.error.message);
    return pf_libav_fail(error, PF_E_IO, code, "cannot write %s", m->options->path);
}

/* A muxer that buffers can return success after the file has failed: both are looked at. */
static pf_status check_muxing(const mux *m, int code, pf_error *error)
{
    return code < 0 || m->io.error.status != PF_OK ? fail_muxing(m, code, error)
                                                   : PF_OK;
}

/* --- encoders -------------------------------------------------------------------- */

/* Allocates encoder, frame and stream of a track, without settings.  destroy() frees them,
 * also after a failure half way. */
static pf_status make_track(mux *m, const char *name, track *t, pf_error *error)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(name);
    if (!codec)
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "this FFmpeg has no encoder \"%s\", which .%s needs; give the "
                       "film a name that ends in %s",
                       name, m->kind->format, m->kind->other);
    t->encoder = avcodec_alloc_context3(codec);
    t->frame = av_frame_alloc();
    t->stream = avformat_new_stream(m->format, NULL);
    if (!t->encoder || !t->frame || !t->stream)
        return pf_fail_memory(error, name, sizeof *t->encoder);
    t->encoder->flags |= AV_CODEC_FLAG_BITEXACT;
    if (m->format->oformat->flags & AVFMT_GLOBALHEADER)
        t->encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    return PF_OK;
}

/* Opens the encoder with the caller's settings and gives its parameters to the stream. */
static pf_status open_track(track *t, AVDictionary **settings, pf_error *error)
{
    const char *name = t->encoder->codec->name;
    int code = avcodec_open2(t->encoder, NULL, settings);
    if (code >= 0)
        code = avcodec_parameters_from_context(t->stream->codecpar, t->encoder);
    if (code >= 0)
        code = av_frame_get_buffer(t->frame, 0);
    if (code < 0)
        return pf_libav_fail(error, PF_E_UNSUPPORTED, code,
                             "the encoder \"%s\" does not take this film", name);
    t->stream->time_base = t->encoder->time_base;
    return PF_OK;
}

/* Tags of the file and of its frames; the samples themselves are film_yuv.c's. */
static void set_colours(AVCodecContext *encoder, AVFrame *frame)
{
    encoder->pix_fmt = AV_PIX_FMT_YUV420P;
    encoder->color_range = frame->color_range = AVCOL_RANGE_MPEG;
    encoder->color_primaries = frame->color_primaries = AVCOL_PRI_BT709;
    encoder->color_trc = frame->color_trc = AVCOL_TRC_BT709;
    encoder->colorspace = frame->colorspace = AVCOL_SPC_BT709;
    encoder->chroma_sample_location = frame->chroma_location = AVCHROMA_LOC_LEFT;
}

/* A factor below 1 is H.264's lossless mode, which is another profile: no browser and no
 * phone plays that, so the best is 1.  VP9's is lossless at 0, too. */
static int rate_factor(const mux *m)
{
    int quality = m->options->quality;
    return quality < 0 ? DEFAULT_QUALITY : quality < 1 ? 1 : quality;
}

/* Speed 4 of 0 (slowest) to 5; row-mt lets the encoder's threads share a frame. */
static void set_vp9(AVDictionary **settings)
{
    av_dict_set(settings, "deadline", "good", 0);
    av_dict_set(settings, "cpu-used", "4", 0);
    av_dict_set(settings, "row-mt", "1", 0);
}

/* Left alone, x264 lets a frame's bits depend on the processor's kind and on the contents
 * of uninitialised memory: one film came out in two versions. */
static pf_status set_h264(mux *m, AVDictionary **settings, pf_error *error)
{
    const pf_film_options *o = m->options;
    pf_film_level level;
    if (!pf_film_h264_level(o->width, o->height, o->fps, rate_factor(m), &level))
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "H.264 has no level for %dx%d pixels at %g frames a second; give "
                       "the film a name that ends in .webm or .png", o->width, o->height,
                       o->fps);
    m->video.encoder->level = level.number;
    av_dict_set(settings, "profile", "high", 0);
    av_dict_set(settings, "x264-params", "cpu-independent=1", 0);
    /* Bits a second, and a buffer of a second; 0: x264 is not bounded. */
    m->video.encoder->rc_max_rate = level.most_bits;
    m->video.encoder->rc_buffer_size = (int)level.most_bits;
    return PF_OK;
}

/* The frame rate becomes a fraction: 23.976 is 2997/125 (docs/model/image.md#films).  A
 * frame is a unit of the encoder's time, so pts is the frame's number. */
static pf_status open_video(mux *m, pf_error *error)
{
    const pf_film_options *options = m->options;
    track *t = &m->video;
    PF_TRY(make_track(m, m->kind->video, t, error));
    AVRational rate = av_d2q(options->fps, MAX_FPS_TERM);
    t->encoder->width = t->frame->width = options->width;
    t->encoder->height = t->frame->height = options->height;
    t->frame->format = AV_PIX_FMT_YUV420P;
    t->encoder->framerate = t->stream->avg_frame_rate = t->stream->r_frame_rate = rate;
    t->encoder->time_base = av_inv_q(rate);
    t->encoder->thread_count = VIDEO_THREADS;
    set_colours(t->encoder, t->frame);
    AVDictionary *settings = NULL;
    av_dict_set_int(&settings, "crf", rate_factor(m), 0);
    pf_status status = PF_OK;
    if (m->kind == &mp4)
        status = set_h264(m, &settings, error);
    else
        set_vp9(&settings);
    if (status == PF_OK)
        status = open_track(t, &settings, error);
    av_dict_free(&settings);
    return status;
}

/* Sound is never resampled: a rate that the encoder lacks is refused with the kinds of file
 * that take it. */
static pf_status check_rate(const mux *m, pf_error *error)
{
    char list[128] = "";
    for (const int *rate = m->kind->rates; *rate; rate++) {
        size_t used = strlen(list);
        if (*rate == m->options->sample_rate)
            return PF_OK;
        snprintf(list + used, sizeof list - used, "%s%d", used ? ", " : "", *rate);
    }
    return pf_fail(error, PF_E_UNSUPPORTED,
                   "the sound has %d samples a second, but .%s takes %s; give the film "
                   "a name that ends in %s",
                   m->options->sample_rate, m->kind->format, list, m->kind->other);
}

static pf_status open_audio(mux *m, pf_error *error)
{
    track *t = &m->audio;
    PF_TRY(check_rate(m, error));
    PF_TRY(make_track(m, m->kind->audio, t, error));
    const AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
    t->encoder->sample_fmt = m->kind->samples;
    t->encoder->sample_rate = m->options->sample_rate;
    t->encoder->bit_rate = AUDIO_BIT_RATE;
    t->encoder->time_base = (AVRational){1, m->options->sample_rate};
    t->encoder->ch_layout = mono;
    t->frame->format = m->kind->samples;
    t->frame->sample_rate = m->options->sample_rate;
    t->frame->ch_layout = mono;
    /* Replaced by the encoder's own frame size below: none has a larger one. */
    t->frame->nb_samples = 4096;
    return open_track(t, NULL, error);
}

/* --- packets --------------------------------------------------------------------- */

/* Opus begins with samples that are not heard.  WebM names them (CodecDelay), and players
 * take them from the time of every block, which therefore counts from the first sample
 * that is not heard on; libavformat before 59.30.101 leaves that to us, and all versions
 * count the delay into the film's length, where only what is heard belongs. */
static void place_opus(const track *t, AVPacket *packet)
{
    int64_t delay = t->encoder->initial_padding;
    if (avformat_version() < AV_VERSION_INT(59, 30, 101)) {
        packet->pts += delay;
        packet->dts += delay;
    }
    /* 0 in the file's milliseconds would be taken for "unknown". */
    int64_t least = t->encoder->sample_rate / 1000;
    packet->duration -= packet->duration < delay + least ? packet->duration - least : delay;
}

/* Writes the packets that the encoder has ready. */
static pf_status drain(mux *m, track *t, pf_error *error)
{
    for (;;) {
        int code = avcodec_receive_packet(t->encoder, m->packet);
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF)
            return PF_OK;
        if (code < 0)
            return fail_muxing(m, code, error);
        if (t == &m->video && m->packet->duration == 0)
            m->packet->duration = 1;
        if (t == &m->audio && m->kind == &webm)
            place_opus(t, m->packet);
        m->packet->stream_index = t->stream->index;
        av_packet_rescale_ts(m->packet, t->encoder->time_base, t->stream->time_base);
        code = av_interleaved_write_frame(m->format, m->packet);
        PF_TRY(check_muxing(m, code, error));
    }
}

/* Encodes a frame and writes the packets; NULL ends the track. */
static pf_status encode(mux *m, track *t, const AVFrame *frame, pf_error *error)
{
    int code = avcodec_send_frame(t->encoder, frame);
    if (code < 0)
        return fail_muxing(m, code, error);
    return drain(m, t, error);
}

/* The encoder may still refer to the buffer of the last frame (x264 keeps several), hence
 * av_frame_make_writable, which then takes a fresh one. */
static pf_status write_frame(void *self, const uint8_t *rgb, pf_error *error)
{
    mux *m = self;
    AVFrame *frame = m->video.frame;
    int code = av_frame_make_writable(frame);
    if (code < 0)
        return fail_muxing(m, code, error);
    pf_yuv_from_rgb(rgb, frame->width, frame->height, frame->data, frame->linesize);
    frame->pts = m->video.next++;
    return encode(m, &m->video, frame, error);
}

/* Whole packets (AAC: 1024 samples, Opus: 20 ms) until the last call, which alone may send
 * a shorter one: encoders take a short frame as the end of the track. */
static pf_status write_audio(void *self, const float *audio, int64_t end, bool last,
                             pf_error *error)
{
    mux *m = self;
    track *t = &m->audio;
    AVFrame *frame = t->frame;
    while (t->next < end && (last || end - t->next >= t->encoder->frame_size)) {
        int64_t count = end - t->next;
        if (count > t->encoder->frame_size)
            count = t->encoder->frame_size;
        int code = av_frame_make_writable(frame);
        if (code < 0)
            return fail_muxing(m, code, error);
        memcpy(frame->data[0], audio + t->next, (size_t)count * sizeof *audio);
        frame->nb_samples = (int)count;
        frame->pts = t->next;
        t->next += count;
        PF_TRY(encode(m, t, frame, error));
    }
    return PF_OK;
}

/* --- opening and closing --------------------------------------------------------- */

static void free_track(track *t)
{
    avcodec_free_context(&t->encoder);
    av_frame_free(&t->frame);
}

static void destroy(void *self)
{
    mux *m = self;
    if (!m)
        return;
    free_track(&m->video);
    free_track(&m->audio);
    av_packet_free(&m->packet);
    if (m->format)
        film_io_free(&m->format->pb);
    avformat_free_context(m->format);
    pf_part_discard(&m->io.file);
    pf_free(m);
}

static pf_status open_format(mux *m, pf_error *error)
{
    const pf_film_options *options = m->options;
    PF_TRY(pf_part_open(options->path, &m->io.file, error));
    m->packet = av_packet_alloc();
    int code = avformat_alloc_output_context2(&m->format, NULL, m->kind->format, NULL);
    if (code < 0)
        return pf_libav_fail(error, PF_E_UNSUPPORTED, code,
                             "this FFmpeg does not write .%s", m->kind->format);
    film_io_attach(&m->io, m->format);
    m->format->url = av_strdup(options->path);
    if (!m->packet || !m->format->pb || !m->format->url)
        return pf_fail_memory(error, options->path, FILM_IO_BYTES);
    m->format->flags |= AVFMT_FLAG_BITEXACT | AVFMT_FLAG_CUSTOM_IO;
    /* WebM keeps the start of Opus in a field of its own: the picture stays at 0. */
    m->format->avoid_negative_ts =
        m->kind == &webm ? AVFMT_AVOID_NEG_TS_DISABLED : AVFMT_AVOID_NEG_TS_AUTO;
    return PF_OK;
}

/* Units in which an MP4 counts the lengths of tracks.  The default is milliseconds,
 * which cut the end of the sound. */
static int units_a_second(const mux *m)
{
    if (m->audio.stream)
        return m->options->sample_rate;
    int units = m->video.encoder->time_base.den;
    while (units < MIN_UNITS)
        units *= 2;
    return units;
}

static pf_status write_header(mux *m, pf_error *error)
{
    const pf_film_options *options = m->options;
    int code = 0;
    for (int i = 0; code >= 0 && i < options->tag_count; i++)
        code = av_dict_set(&m->format->metadata, options->tags[i].key,
                           options->tags[i].value, 0);
    AVDictionary *settings = NULL;
    if (code >= 0 && m->kind == &mp4)
        code = av_dict_set(&settings, "movflags", "+faststart", 0);
    if (code >= 0 && m->kind == &mp4)
        code = av_dict_set_int(&settings, "movie_timescale", units_a_second(m), 0);
    if (code >= 0)
        code = avformat_write_header(m->format, &settings);
    av_dict_free(&settings);
    return check_muxing(m, code, error);
}

/* Opens all of a film; on failure whatever was opened is closed, the part file removed. */
static pf_status open_mux(const pf_film_options *options, const container *kind,
                          void **self, pf_error *error)
{
    pf_libav_quiet();
    *self = NULL;
    mux *m = pf_calloc(1, sizeof *m);
    if (!m)
        return pf_fail_memory(error, options->path, sizeof *m);
    m->options = options;
    m->kind = kind;
    pf_status status = open_format(m, error);
    if (status == PF_OK && options->video)
        status = open_video(m, error);
    if (status == PF_OK && options->audio_samples > 0)
        status = open_audio(m, error);
    if (status == PF_OK)
        status = write_header(m, error);
    if (status != PF_OK) {
        destroy(m);
        return status;
    }
    *self = m;
    return PF_OK;
}

static pf_status open_mp4(const pf_film_options *options, void **self, pf_error *error)
{
    return open_mux(options, &mp4, self, error);
}

static pf_status open_webm(const pf_film_options *options, void **self, pf_error *error)
{
    return open_mux(options, &webm, self, error);
}

/* Drains the encoders, writes the trailer (and moves the index, through film_io's reader),
 * and syncs the part file. */
static pf_status finish(void *self, pf_error *error)
{
    mux *m = self;
    if (m->video.stream)
        PF_TRY(encode(m, &m->video, NULL, error));
    if (m->audio.stream)
        PF_TRY(encode(m, &m->audio, NULL, error));
    int code = av_write_trailer(m->format);
    avio_flush(m->format->pb);
    if (code >= 0)
        code = m->format->pb->error;
    PF_TRY(check_muxing(m, code, error));
    return pf_part_finish(&m->io.file, error);
}

static pf_status publish(void *self, pf_error *error)
{
    return pf_part_publish(&((mux *)self)->io.file, error);
}

static void withdraw(void *self)
{
    pf_part_withdraw(&((mux *)self)->io.file);
}

const pf_film_writer pf_film_mp4_writer = {
    open_mp4, write_frame, write_audio, finish, publish, NULL, withdraw, destroy,
};
const pf_film_writer pf_film_webm_writer = {
    open_webm, write_frame, write_audio, finish, publish, NULL, withdraw, destroy,
};
