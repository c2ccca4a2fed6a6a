/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures against Pillow's pixels, films against their formulas.  What whole programs
 * make of the files (ffprobe, ffmpeg) is tests/cli/test_media_files.py's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/memory.h"
#include "media/film.h"
#include "media/film_parts.h"
#include "media/picture.h"

static const char *pictures;            /* tests/fixtures/pictures */
static char folder[] = "/tmp/test_media_XXXXXX";

static char *in_folder(const char *name)
{
    static char path[4][512];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static int count_files(void)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, NULL);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return count - 2;                   /* . and .. */
}

/* --- pictures --------------------------------------------------------------------- */

/* The largest difference of NAME's pixels from NAME.ppm's. */
static int picture_error(const char *expected_path)
{
    char path[512], *ppm = NULL;
    size_t bytes = 0;
    int width = 0, height = 0, skip = 0, worst = 0;
    pf_error error = {0};
    pf_picture picture;
    snprintf(path, sizeof path, "%.*s", (int)strlen(expected_path) - 4, expected_path);
    assert_int_equal(pf_read_file(expected_path, 1 << 20, &ppm, &bytes, &error), PF_OK);
    assert_int_equal(sscanf(ppm, "P6\n%d %d\n255%n", &width, &height, &skip), 2);
    assert_int_equal(bytes - (size_t)skip - 1, 3 * width * height);
    if (pf_picture_read(path, &picture, &error) != PF_OK)
        fail_msg("%s", error.message);
    assert_true(picture.width == width && picture.height == height);
    for (int i = 0; i < 3 * width * height; i++) {
        int difference = abs(picture.rgb[i] - (uint8_t)ppm[skip + 1 + i]);
        worst = difference > worst ? difference : worst;
    }
    pf_picture_free(&picture);
    pf_free(ppm);
    return worst;
}

static int is_ppm(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".ppm") == 0;
}

/* PNG and WebP to the bit; JPEG within one level, whichever libjpeg is installed. */
static void pictures_are_pillows(void **unused)
{
    struct dirent **entries;
    int count = scandir(pictures, &entries, is_ppm, alphasort);
    (void)unused;
    assert_true(count >= 30);
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", pictures, entries[i]->d_name);
        int most = strstr(path, ".jpg") ? 1 : 0, error = picture_error(path);
        if (error > most)
            fail_msg("%s: %d levels", entries[i]->d_name, error);
        free(entries[i]);
    }
    free(entries);
}

static void expect_refused(const uint8_t *data, size_t bytes, const char *name)
{
    pf_picture picture;
    pf_error error = {0};
    assert_int_not_equal(pf_picture_decode(data, bytes, name, &picture, &error), PF_OK);
    assert_null(picture.rgb);
    assert_non_null(strstr(error.message, name));
}

/* Every beginning of every kind of file. */
static void cut_pictures_are_refused(void **unused)
{
    static const char *const names[] = {"c2d8.png", "c6d8-adam7.png", "420.jpg",
                                        "progressive.jpg", "lossy.webp",
                                        "lossless.webp"};
    (void)unused;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[512], *data;
        size_t bytes;
        pf_error error = {0};
        snprintf(path, sizeof path, "%s/%s", pictures, names[i]);
        assert_int_equal(pf_read_file(path, 1 << 20, &data, &bytes, &error), PF_OK);
        for (size_t size = 0; size < bytes; size += 1 + bytes / 97)
            expect_refused((const uint8_t *)data, size, "cut");
        expect_refused((const uint8_t *)data, bytes - 1, "cut");
        pf_free(data);
    }
}

static pf_status read_one(const char *name, pf_error *error)
{
    char path[512];
    pf_picture picture;
    snprintf(path, sizeof path, "%s/%s", pictures, name);
    pf_status status = pf_picture_read(path, &picture, error);
    pf_picture_free(&picture);
    return status;
}

static void reading_survives_faults(void **unused)
{
    static const char *const names[] = {"c2d8.png", "turned.jpg", "lossy.webp",
                                        "../../../fuzz/corpus/picture/icc.png",
                                        "../../../fuzz/corpus/picture/exif-icc.webp"};
    const pf_fault_kind kinds[] = {PF_FAULT_ALLOCATION, PF_FAULT_READ};
    (void)unused;
    for (int i = 0; i < 10; i++) {
        int64_t nth = 1;
        for (;; nth++) {
            pf_error error = {0};
            pf_fault_arm(kinds[i % 2], nth, false);
            pf_status status = read_one(names[i / 2], &error);
            int64_t seen = pf_fault_count(kinds[i % 2]);
            pf_fault_arm(kinds[i % 2], 0, false);
            assert_int_equal(status == PF_OK, seen < nth);
            if (seen < nth)
                break;
            assert_true(error.message[0] != '\0');
        }
        assert_true(nth > 1);
    }
}

/* --- sound ------------------------------------------------------------------------ */

static pf_film_options sound_options(const char *path, int64_t samples)
{
    return (pf_film_options){.path = path, .sample_rate = 48000,
                             .audio_samples = samples, .quality = -1};
}

static uint32_t little32(const char *at)
{
    const uint8_t *b = (const uint8_t *)at;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* The samples of a .wav that was made of these. */
static int16_t *wav_of(const float *samples, int64_t count)
{
    pf_error error = {0};
    pf_film *film;
    char *path = in_folder("sound.wav"), *data;
    size_t bytes;
    pf_film_options options = sound_options(path, count);
    assert_int_equal(pf_film_open(&options, &film, &error), PF_OK);
    assert_int_equal(pf_film_write_audio(film, samples, count, &error), PF_OK);
    assert_int_equal(pf_film_close(film, &error), PF_OK);
    assert_int_equal(pf_read_file(path, 1 << 20, &data, &bytes, &error), PF_OK);
    unlink(path);
    assert_int_equal(bytes, 44 + 2 * count);
    assert_memory_equal(data, "RIFF", 4);
    assert_int_equal(little32(data + 4), bytes - 8);
    assert_memory_equal(data + 8, "WAVEfmt \x10\0\0\0\1\0\1\0\x80\xbb\0\0\0\x77\1\0\2\0\x10\0"
                                  "data", 32);
    assert_int_equal(little32(data + 40), 2 * count);
    int16_t *out = malloc(2 * (size_t)count);
    assert_non_null(out);
    memcpy(out, data + 44, 2 * (size_t)count);
    pf_free(data);
    return out;
}

/* Truncation toward zero: exact halves and what is next to them, the ends, beyond. */
static void sound_is_truncated(void **unused)
{
    const struct {
        float sample;
        int value;
    } cases[] = {
        {0.0f, 0}, {-0.0f, 0}, {0.5f, 16383}, {-0.5f, -16383},       /* 16383.5 */
        {0.25f, 8191}, {-0.25f, -8191}, {0.75f, 24575}, {-0.75f, -24575},
        {1.0f, 32767}, {-1.0f, -32767},
        {0x1.fffffep-1f, 32766}, {-0x1.fffffep-1f, -32766},          /* next to 1 */
        {0x1.000002p-1f, 16383}, {-0x1.000002p-1f, -16383},
        {1.0f / 65536, 0}, {-1.0f / 65536, 0}, {1.0f / 32768, 0}, {1.0f / 32766, 1},
        {1.000001f, 32767}, {-1.5f, -32767}, {1e30f, 32767},
        {INFINITY, 32767}, {-INFINITY, -32767}, {NAN, 0}, {1e-40f, 0},
    };
    enum { COUNT = sizeof cases / sizeof cases[0] };
    float samples[COUNT];
    (void)unused;
    for (int i = 0; i < COUNT; i++)
        samples[i] = cases[i].sample;
    int16_t *values = wav_of(samples, COUNT);
    for (int i = 0; i < COUNT; i++)
        if (values[i] != cases[i].value)
            fail_msg("%a became %d, not %d", (double)cases[i].sample, values[i],
                     cases[i].value);
    free(values);
}

/* All 16-bit values, from below and above. */
static void every_value_can_be_reached(void **unused)
{
    enum { COUNT = 65535 };
    static float samples[COUNT];
    (void)unused;
    for (int i = 0; i < COUNT; i++) {
        int value = i - 32767;
        samples[i] = (float)((value + (value > 0 ? 0.25 : value < 0 ? -0.25 : 0)) / 32767);
    }
    int16_t *values = wav_of(samples, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(values[i], i - 32767);
    free(values);
}

/* --- colours ---------------------------------------------------------------------- */

static void yuv_of(const uint8_t rgb[3], double out[3])
{
    double r = rgb[0] / 255.0, g = rgb[1] / 255.0, b = rgb[2] / 255.0;
    double luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    out[0] = 16 + 219 * luma;
    out[1] = 128 + 224 * (b - luma) / 1.8556;
    out[2] = 128 + 224 * (r - luma) / 1.5748;
}

/* Flat 4x2 pictures of many colours, against BT.709 in f64. */
static void colours_are_bt709(void **unused)
{
    (void)unused;
    for (int i = 0; i < 9 * 9 * 9; i++) {
        uint8_t rgb[24], y[8], u[2], v[2], *planes[3] = {y, u, v};
        const int strides[3] = {4, 2, 2};
        double wanted[3];
        for (int k = 0; k < 24; k++) {
            int level = k % 3 == 0 ? i / 81 : k % 3 == 1 ? i / 9 % 9 : i % 9;
            rgb[k] = (uint8_t)(level * 255 / 8);
        }
        pf_yuv_from_rgb(rgb, 4, 2, planes, strides);
        yuv_of(rgb, wanted);
        assert_true(fabs(y[0] - wanted[0]) <= 0.51 && y[7] == y[0]);
        assert_true(fabs(u[0] - wanted[1]) <= 0.51 && u[1] == u[0]);
        assert_true(fabs(v[0] - wanted[2]) <= 0.51 && v[1] == v[0]);
        if (rgb[0] == rgb[1] && rgb[1] == rgb[2])
            assert_true(u[0] == 128 && v[0] == 128);
    }
}

/* --- levels ----------------------------------------------------------------------- */

static void levels_hold_size_rate_and_bits(void **unused)
{
    const struct {
        int width, height;
        double fps;
        int quality, number;
        int64_t bits;
    } cases[] = {
        {64, 64, 24, 5, 40, 0}, {16, 16, 120, 1, 40, 0}, {640, 352, 24, 20, 40, 0},
        {640, 352, 24, 1, 42, 0}, {1280, 720, 24, 5, 51, 0}, {1280, 720, 24, 40, 40, 0},
        {2560, 1440, 24, 40, 51, 0}, {2560, 1440, 24, 1, 52, 300000000},
        {16, 4096, 24, 51, 40, 0}, {16, 4112, 24, 51, 42, 0},
        {1920, 1088, 50, 51, 42, 0}, {1920, 1088, 120, 51, 51, 0},
        {4096, 2304, 24, 51, 51, 0}, {4096, 2304, 120, 51, 61, 0},
        {8192, 4352, 24, 51, 60, 300000000}, {8192, 4368, 24, 51, 0, 0},
        {16384, 16384, 1, 5, 0, 0},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pf_film_level level = {0};
        bool found = pf_film_h264_level(cases[i].width, cases[i].height, cases[i].fps,
                                        cases[i].quality, &level);
        assert_int_equal(found, cases[i].number > 0);
        assert_int_equal(level.number, cases[i].number);
        assert_int_equal(level.most_bits, cases[i].bits);
    }
}

/* --- files ------------------------------------------------------------------------ */

static void kinds_by_name(void **unused)
{
    const struct {
        const char *name;
        int kind;
    } cases[] = {
        {"a.mp4", PF_FILM_MP4}, {"a.MP4", PF_FILM_MP4}, {"b/c.webm", PF_FILM_WEBM},
        {"x.y.wav", PF_FILM_WAV}, {"%04d.png", PF_FILM_PNG}, {"a", -1}, {".mp4", -1},
        {"b/.mp4", -1}, {"a.mp4/film", -1}, {"a.mp4.txt", -1}, {"a.avi", -1}, {"", -1},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pf_film_kind kind;
        pf_error error = {0};
        pf_status status = pf_film_kind_of(cases[i].name, &kind, &error);
        assert_int_equal(status == PF_OK ? (int)kind : -1, cases[i].kind);
    }
}

static void names_of_frames(void **unused)
{
    char path[64];
    (void)unused;
    assert_true(pf_film_frame_path("a/b.png", 7, path, sizeof path));
    assert_string_equal(path, "a/b-0007.png");
    assert_true(pf_film_frame_path("a%d/b%03d.png", 12345, path, sizeof path));
    assert_string_equal(path, "a%d/b12345.png");
    assert_true(pf_film_frame_path("100%-%02d-%d.png", 3, path, sizeof path));
    assert_string_equal(path, "100%-03-%d.png");
    assert_false(pf_film_frame_path("b.png", 1, path, 10));
    assert_true(pf_film_frame_path("b.png", 1, path, 11));
}

static void odd_targets_are_refused(void **unused)
{
    pf_error error = {0};
    pf_film *film;
    char *pipe = in_folder("pipe.wav"), *inner = in_folder("folder.wav");
    (void)unused;
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(mkdir(inner, 0700), 0);
    const char *const paths[] = {inner, in_folder("none/x.wav")};
    for (int i = 0; i < 2; i++) {
        pf_film_options options = sound_options(paths[i], 10);
        assert_int_not_equal(pf_film_open(&options, &film, &error), PF_OK);
        assert_null(film);
        assert_non_null(strstr(error.message, paths[i]));
    }
    pf_picture picture;
    assert_int_not_equal(pf_picture_read(pipe, &picture, &error), PF_OK);
    assert_non_null(strstr(error.message, "regular file"));
    unlink(pipe);
    rmdir(inner);
    assert_int_equal(count_files(), 0);
}

/* --- films ------------------------------------------------------------------------ */

enum { SIDE = 32, FRAMES = 3, SAMPLES = 24000 };

static pf_status write_film(const char *path, int64_t frames, int64_t samples,
                            pf_error *error)
{
    static const pf_film_tag tags[] = {{"title", "T"}, {"comment", "{}"}};
    pf_film_options options = {
        .path = path, .video = frames > 0, .width = SIDE, .height = SIDE, .fps = 24,
        .frames = frames, .sample_rate = 48000, .audio_samples = samples,
        .quality = 20, .tags = tags, .tag_count = 2,
        .contact_sheet = frames > 0 ? in_folder("sheet.png") : NULL,
    };
    static uint8_t rgb[FRAMES * 3 * SIDE * SIDE];
    static float audio[SAMPLES];
    pf_film *film;
    PF_TRY(pf_film_open(&options, &film, error));
    pf_status status = samples > 0 ? pf_film_write_audio(film, audio, samples, error)
                                   : PF_OK;
    if (status == PF_OK && frames > 0)
        status = pf_film_write_frames(film, rgb, frames, error);
    if (status == PF_OK)
        return pf_film_close(film, error);
    pf_film_abort(film);
    return status;
}

static void remove_all(void)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, NULL);
    for (int i = 0; i < count; i++) {
        unlink(in_folder(entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
}

/* Whatever fails, at whatever moment, nothing stays. */
static void films_survive_faults(void **unused)
{
    static const struct {
        const char *name;
        int64_t frames, samples;
    } films[] = {{"f.mp4", 2, 4000}, {"f.webm", 2, 4000}, {"f.wav", 0, SAMPLES},
                 {"f.png", 3, 0}};
    const pf_fault_kind kinds[] = {PF_FAULT_ALLOCATION, PF_FAULT_WRITE, PF_FAULT_THREAD};
    (void)unused;
    for (int i = 0; i < 12; i++) {
        int64_t nth = 1, step = 1;
        for (;; nth += step) {
            pf_error error = {0};
            pf_fault_arm(kinds[i % 3], nth, false);
            pf_status status = write_film(in_folder(films[i / 3].name),
                                          films[i / 3].frames, films[i / 3].samples,
                                          &error);
            int64_t seen = pf_fault_count(kinds[i % 3]);
            pf_fault_arm(kinds[i % 3], 0, false);
            assert_int_equal(status == PF_OK, seen < nth);
            if (seen < nth)
                break;
            assert_true(error.message[0] != '\0');
            assert_int_equal(count_files(), 0);
        }
        assert_true(nth > 1);
        remove_all();
    }
}

static void wrong_films_are_refused(void **unused)
{
    pf_error error = {0};
    pf_film *film;
    const pf_film_options good = {
        .path = in_folder("f.mp4"), .video = true, .width = SIDE, .height = SIDE,
        .fps = 24, .frames = 2, .sample_rate = 48000, .audio_samples = 100};
    pf_film_options wrong[9];
    (void)unused;
    for (int i = 0; i < 9; i++)
        wrong[i] = good;
    wrong[0].width = 31;
    wrong[1].height = 0;
    wrong[2].fps = NAN;
    wrong[3].fps = 121;
    wrong[4].quality = 52;
    wrong[5].audio_samples = -1;
    wrong[6].sample_rate = 12345;
    wrong[7].contact_sheet = "sheet.jpg";
    wrong[8].contact_sheet = wrong[8].path = in_folder("f.png");
    for (int i = 0; i < 9; i++) {
        assert_int_not_equal(pf_film_open(&wrong[i], &film, &error), PF_OK);
        assert_null(film);
    }
    assert_int_equal(count_files(), 0);
}

static void too_much_or_nothing_is_refused(void **unused)
{
    pf_error error = {0};
    pf_film *film;
    static const float silence[8];
    static const uint8_t black[3 * SIDE * SIDE];
    pf_film_options options = sound_options(in_folder("s.wav"), 4);
    (void)unused;
    assert_int_equal(pf_film_open(&options, &film, &error), PF_OK);
    assert_int_not_equal(pf_film_write_frames(film, black, 1, &error), PF_OK);
    assert_int_not_equal(pf_film_write_audio(film, silence, 5, &error), PF_OK);
    assert_int_equal(pf_film_write_audio(film, silence, 3, &error), PF_OK);
    assert_int_not_equal(pf_film_write_audio(film, silence, 2, &error), PF_OK);
    assert_true(exists(in_folder("s.wav.part")) && !exists(in_folder("s.wav")));
    pf_film_abort(film);
    assert_int_equal(count_files(), 0);
    assert_int_equal(pf_film_open(&options, &film, &error), PF_OK);
    assert_int_not_equal(pf_film_close(film, &error), PF_OK);
    assert_non_null(strstr(error.message, "no sound"));
    assert_int_equal(count_files(), 0);
}

/* Eight random bits. */
static uint8_t next_noise(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return (uint8_t)(*state >> 24);
}

/* Frames are in the file before the film is closed: encoding goes on beside decoding. */
static void encoding_runs_while_frames_come(void **unused)
{
    enum { WIDE = 128, MANY = 120 };
    static uint8_t noise[3 * WIDE * WIDE];
    pf_error error = {0};
    pf_film *film;
    struct stat info = {0};
    char *path = in_folder("f.mp4"), *part = in_folder("f.mp4.part");
    pf_film_options options = {.path = path, .video = true, .width = WIDE,
                               .height = WIDE, .fps = 24, .frames = MANY,
                               .quality = -1};
    uint32_t state = 1;
    (void)unused;
    assert_int_equal(pf_film_open(&options, &film, &error), PF_OK);
    for (int i = 0; i < MANY; i++) {
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = next_noise(&state);
        assert_int_equal(pf_film_write_frames(film, noise, 1, &error), PF_OK);
    }
    assert_int_equal(stat(part, &info), 0);
    assert_true(info.st_size > 100000);
    pf_film_abort(film);
    assert_int_equal(count_files(), 0);
}

/* A film of moving noise and sound; its bytes. */
static char *noisy_film(const char *name, size_t *bytes)
{
    enum { WIDE = 160, HIGH = 96, MANY = 33, RATE = 48000 };
    static uint8_t rgb[3 * WIDE * HIGH];
    static float audio[RATE];
    pf_error error = {0};
    pf_film *film;
    char *path = in_folder(name), *data = NULL;
    pf_film_options options = {.path = path, .video = true, .width = WIDE, .height = HIGH,
                               .fps = 24, .frames = MANY, .sample_rate = RATE,
                               .audio_samples = RATE, .quality = -1};
    uint32_t state = 1;
    for (int k = 0; k < RATE; k++)
        audio[k] = 0.1f * (float)sin(0.03 * k);
    assert_int_equal(pf_film_open(&options, &film, &error), PF_OK);
    assert_int_equal(pf_film_write_audio(film, audio, RATE, &error), PF_OK);
    for (int i = 0; i < MANY; i++) {
        for (size_t k = 0; k < sizeof rgb; k++)
            rgb[k] = (uint8_t)((k / 3 % WIDE + (size_t)i * 3) % 200 + next_noise(&state) / 8);
        assert_int_equal(pf_film_write_frames(film, rgb, 1, &error), PF_OK);
    }
    assert_int_equal(pf_film_close(film, &error), PF_OK);
    assert_int_equal(pf_read_file(path, 1 << 24, &data, bytes, &error), PF_OK);
    unlink(path);
    return data;
}

/* A film is the same whatever lies in the memory that its encoders get. */
static void films_do_not_depend_on_memory(void **unused)
{
    static const char *const names[] = {"f.mp4", "f.webm"};
    static const int fills[] = {1, 33, 128, 254};
    (void)unused;
    for (int i = 0; i < 2; i++) {
        size_t bytes = 0, wanted_bytes = 0;
        mallopt(M_PERTURB, 0);
        char *wanted = noisy_film(names[i], &wanted_bytes);
        for (size_t k = 0; k < sizeof fills / sizeof fills[0]; k++) {
            mallopt(M_PERTURB, fills[k]);
            char *film = noisy_film(names[i], &bytes);
            assert_int_equal(bytes, wanted_bytes);
            assert_memory_equal(film, wanted, bytes);
            pf_free(film);
        }
        pf_free(wanted);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_are_pillows),
        cmocka_unit_test(cut_pictures_are_refused),
        cmocka_unit_test(reading_survives_faults),
        cmocka_unit_test(sound_is_truncated),
        cmocka_unit_test(every_value_can_be_reached),
        cmocka_unit_test(colours_are_bt709),
        cmocka_unit_test(levels_hold_size_rate_and_bits),
        cmocka_unit_test(kinds_by_name),
        cmocka_unit_test(names_of_frames),
        cmocka_unit_test(odd_targets_are_refused),
        cmocka_unit_test(films_survive_faults),
        cmocka_unit_test(encoding_runs_while_frames_come),
        cmocka_unit_test(wrong_films_are_refused),
        cmocka_unit_test(too_much_or_nothing_is_refused),
        cmocka_unit_test(films_do_not_depend_on_memory),     /* last: it changes malloc */
    };
    if (argc != 2 || !mkdtemp(folder))
        return 2;
    pictures = argv[1];
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
