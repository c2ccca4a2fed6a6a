/* The library in forty lines: frames as PPM pictures, sound as raw f32 samples.
 * Usage: make_film MODEL PROMPT; writes frame-000.ppm ... and sound.f32. */
#include <phonofilm.h>
#include <stdio.h>

static pf_status save_frames(void *user, int64_t first, int64_t count,
                             const uint8_t *rgb, pf_error *error)
{
    const pf_request *request = user;
    size_t bytes = (size_t)3 * (size_t)request->width * (size_t)request->height;
    (void)error;
    for (int64_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "frame-%03d.ppm", (int)(first + i));
        FILE *file = fopen(name, "wb");
        if (!file)
            return PF_E_IO;
        fprintf(file, "P6\n%d %d\n255\n", request->width, request->height);
        fwrite(rgb + (size_t)i * bytes, 1, bytes, file);
        fclose(file);
    }
    return PF_OK;
}

static pf_status save_sound(void *user, const float *samples, int64_t count,
                            pf_error *error)
{
    FILE *file = fopen("sound.f32", "wb");
    (void)user, (void)error;
    if (!file)
        return PF_E_IO;
    fwrite(samples, sizeof *samples, (size_t)count, file);
    fclose(file);
    return PF_OK;
}

int main(int argc, char **argv)
{
    pf_error error = {0};
    pf_engine *engine = NULL;
    pf_job *job = NULL;
    pf_request request;
    pf_engine_options options = {.model_path = argc > 2 ? argv[1] : NULL};
    pf_sinks sinks = {.user = &request, .frames = save_frames, .audio = save_sound};
    pf_status status = pf_engine_open(&options, &engine, &error);
    if (status == PF_OK) {
        pf_request_init(engine, &request);
        request.prompt = argv[2];
        request.text_only = true;       /* no picture: a white first frame */
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
