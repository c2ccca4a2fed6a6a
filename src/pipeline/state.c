/* SPDX-License-Identifier: Apache-2.0 */
/* A pf_state on disk.  See phonofilm.h "latents"; docs/model/file-formats.md.
 *
 * A safetensors file of two F32 tensors, latents.video [z, T, h, w] and latents.audio [C, L],
 * with step, steps and fps in its metadata.  Other programs' latents have none of these: they
 * count as finished. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/sized.h"
#include "phonofilm.h"
#include "weights/weights.h"

pf_status pf_state_write(const char *path, const pf_state *state, pf_error *error)
{
    char step[16], steps[16], fps[40];
    PF_TRY(pf_sized_check(state, sizeof *state, "pf_state", error));
    snprintf(step, sizeof step, "%d", state->step);
    snprintf(steps, sizeof steps, "%d", state->steps);
    snprintf(fps, sizeof fps, "%.17g", state->fps);
    const char *metadata[] = {"format", "phonofilm-latents", "step", step,
                              "steps", steps, "fps", fps, NULL};
    const pf_named_tensor tensors[] = {
        {"latents.video", pf_tensor_make((void *)(uintptr_t)state->video, PF_F32, 4,
                                         state->video_shape)},
        {"latents.audio", pf_tensor_make((void *)(uintptr_t)state->audio, PF_F32, 2,
                                         state->audio_shape)},
    };
    return pf_safetensors_write(path, tensors, 2, metadata, error);
}

/* Reads a tensor of F32 into fresh memory. */
static pf_status read_latents(pf_weights *file, const char *name, int rank,
                              const float **out, int64_t *shape, pf_error *error)
{
    pf_tensor tensor;
    PF_TRY(pf_weights_find_any(file, name, &tensor, error));
    int64_t count = pf_tensor_count(&tensor);
    if (tensor.dtype != PF_F32 || tensor.rank != rank || count == 0)
        return pf_fail(error, PF_E_INPUT,
                       "%s: %s is %s of rank %d, but must be F32 of rank %d",
                       pf_weights_path(file), name, pf_dtype_name(tensor.dtype),
                       tensor.rank, rank);
    float *values = pf_alloc((size_t)count * sizeof *values);
    if (!values)
        return pf_fail_memory(error, name, (unsigned long long)count * 4);
    pf_to_f32(tensor.data, PF_F32, count, values);
    for (int i = 0; i < rank; i++)
        shape[i] = tensor.shape[i];
    *out = values;
    return PF_OK;
}

/* Reads a number of the metadata; `missing` if there is none. */
static pf_status read_number(pf_weights *file, const char *key, double missing,
                             double low, double high, double *out, pf_error *error)
{
    const char *text = pf_weights_metadata(file, key);
    char *end = NULL;
    *out = text ? strtod(text, &end) : missing;
    bool whole = !text || (end != text && *end == '\0');
    if (whole && *out >= low && *out <= high)
        return PF_OK;
    return pf_fail(error, PF_E_INPUT,
                   "%s: metadata %s is %s, but must be a number from %g to %g",
                   pf_weights_path(file), key, text ? text : "missing", low, high);
}

static pf_status read_all(pf_weights *file, pf_state *out, pf_error *error)
{
    double step, steps;
    PF_TRY(read_number(file, "steps", 1, 1, 1000, &steps, error));
    PF_TRY(read_number(file, "step", steps, 0, steps, &step, error));
    PF_TRY(read_number(file, "fps", 24, 1, 120, &out->fps, error));
    out->step = (int)step;
    out->steps = (int)steps;
    PF_TRY(read_latents(file, "latents.video", 4, &out->video, out->video_shape,
                        error));
    return read_latents(file, "latents.audio", 2, &out->audio, out->audio_shape,
                        error);
}

static pf_status read_file(const char *path, pf_state *out, pf_error *error)
{
    pf_weights *file = NULL;
    PF_TRY(pf_weights_open_file(path, "", &file, error));
    pf_status status = read_all(file, out, error);
    if (status == PF_OK)
        status = pf_weights_check(file, false, error);
    pf_weights_close(file);
    return status;
}

pf_status pf_state_read(const char *path, pf_state *out, pf_error *error)
{
    pf_state found = PF_INIT(pf_state);
    PF_TRY(pf_sized_check(out, sizeof *out, "pf_state", error));
    pf_status status = read_file(path, &found, error);
    if (status != PF_OK)
        pf_state_free(&found);
    pf_sized_give(out, &found, sizeof found);
    if (status != PF_E_MODEL)
        return status;
    if (error)                          /* the file is the request's, not the model's */
        error->status = PF_E_INPUT;
    return PF_E_INPUT;
}

void pf_state_free(pf_state *state)
{
    pf_free((void *)(uintptr_t)state->video);
    pf_free((void *)(uintptr_t)state->audio);
    state->video = state->audio = NULL;
}
