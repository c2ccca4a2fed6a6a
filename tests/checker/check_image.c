/* SPDX-License-Identifier: Apache-2.0 */
/* Crop and resize against Pillow's. */
#include "base/memory.h"
#include "checker.h"
#include "pipeline/image.h"

/* u8 tensors are not what check_tensor reads: the values as they are. */
static const uint8_t *find_bytes(pf_weights *file, const char *tensor,
                                 pf_tensor *shape, pf_error *error)
{
    if (pf_weights_find_any(file, tensor, shape, error) != PF_OK)
        return NULL;
    if (shape->dtype != PF_U8 || shape->rank != 3 || shape->shape[2] != 3) {
        pf_fail(error, PF_E_INPUT, "%s is no picture", tensor);
        return NULL;
    }
    return shape->data;
}

/* check_values compares floats. */
static float *widen(const uint8_t *values, int64_t count)
{
    float *out = pf_alloc((size_t)count * sizeof *out);
    for (int64_t i = 0; out && i < count; i++)
        out[i] = values[i];
    return out;
}

static void compare_resized(checker *c, const char *name, const uint8_t *ours,
                            const uint8_t *golden, int64_t count)
{
    float *a = widen(ours, count), *b = widen(golden, count);
    if (a && b)
        check_values(c, name, "resized", JUDGE_EXACT, 0.0, a, b, count);
    else
        check_broken(c, name, "out of memory");
    pf_free(a);
    pf_free(b);
}

static void compare_normalized(checker *c, const char *name, pf_weights *file,
                               const uint8_t *rgb, const pf_tensor *shape)
{
    int64_t count = pf_tensor_count(shape);
    float *golden = check_tensor(file, "normalized", NULL);
    float *ours = pf_alloc((size_t)count * sizeof *ours);
    if (golden && ours) {
        pf_image_normalize(rgb, shape->shape[0], shape->shape[1], ours);
        check_values(c, name, "normalized", JUDGE_RELATIVE, 1e-6, ours, golden, count);
    } else {
        check_broken(c, name, "normalized is missing");
    }
    pf_free(golden);
    pf_free(ours);
}

static void compare(checker *c, const char *name, pf_weights *file)
{
    pf_error error = {0};
    pf_tensor in, resized;
    const uint8_t *from = find_bytes(file, "in", &in, &error);
    const uint8_t *golden = from ? find_bytes(file, "resized", &resized, &error) : NULL;
    if (!golden) {
        check_broken(c, name, error.message);
        return;
    }
    int64_t count = pf_tensor_count(&resized);
    uint8_t *ours = pf_alloc((size_t)count);
    pf_status status =
        ours ? pf_image_fit(&(pf_image){from, in.shape[1], in.shape[0],
                                        3 * in.shape[1]},
                            resized.shape[1], resized.shape[0], ours, &error)
             : pf_fail_memory(&error, name, (unsigned long long)count);
    if (status == PF_OK) {
        compare_resized(c, name, ours, golden, count);
        compare_normalized(c, name, file, ours, &resized);
    } else {
        check_broken(c, name, error.message);
    }
    pf_free(ours);
}

void check_image(checker *c, const char *name)
{
    pf_weights *file = check_open(c, name);
    if (!file)
        return;
    compare(c, name, file);
    pf_weights_close(file);
}
