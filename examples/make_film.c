/* SPDX-License-Identifier: Apache-2.0 */
/* The library in forty lines.  Usage: make_film MODEL PROMPT; writes film.rgb (raw
 * frames, 8-bit RGB) and film.f32 (raw samples). */
#include <phonofilm.h>
#include <stdio.h>

typedef struct film {
    FILE *frames, *sound;
    size_t frame_bytes;
} film;

static pf_status save_frames(void *user, int64_t first, int64_t count,
                             const uint8_t *rgb, pf_error *error)
{
    film *f = user;
    (void)first, (void)error;
    size_t written = fwrite(rgb, f->frame_bytes, (size_t)count, f->frames);
    return written == (size_t)count ? PF_OK : PF_E_IO;
}

static pf_status save_sound(void *user, const float *samples, int64_t count,
                            pf_error *error)
{
    film *f = user;
    (void)error;
    size_t written = fwrite(samples, sizeof *samples, (size_t)count, f->sound);
    return written == (size_t)count ? PF_OK : PF_E_IO;
}

int main(int argc, char **argv)
{
    pf_error error = {0};
    pf_engine *engine = NULL;
    pf_job *job = NULL;
    pf_request request = PF_INIT(pf_request);
    film f = {fopen("film.rgb", "wb"), fopen("film.f32", "wb"), 0};
    pf_engine_options options = {.model_path = argc > 2 ? argv[1] : NULL};
    pf_sinks sinks = {.user = &f, .frames = save_frames, .audio = save_sound};
    pf_status status = f.frames && f.sound ? PF_OK : PF_E_IO;
    if (status == PF_OK)
        status = pf_engine_open(&options, &engine, &error);
    if (status == PF_OK) {
        pf_request_init(engine, &request);
        request.prompt = argv[2];
        request.text_only = true;       /* no picture: a white first frame */
        f.frame_bytes = (size_t)3 * (size_t)request.width * (size_t)request.height;
        status = pf_job_create(engine, &request, &sinks, &job, &error);
    }
    if (status == PF_OK)
        status = pf_job_run(job, &error);
    if (status != PF_OK)
        fprintf(stderr, "%s: %s\n", pf_status_text(status), error.message);
    pf_job_destroy(job);
    pf_engine_close(engine);
    return status != PF_OK;
}
