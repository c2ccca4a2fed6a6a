/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing and printing.  See checker.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "checker.h"

void check_result(checker *c, const char *name, const char *tensor, bool ok,
                  double value, double limit)
{
    printf("%-32s %-28s %10.3g %10.3g %s\n", name, tensor, value, limit,
           ok ? "ok" : "FAIL");
    if (ok)
        c->passed++;
    else
        c->failed++;
}

/* max |a - b|; infinite where one of the two is not finite and they differ. */
static double largest_difference(const float *a, const float *b, int64_t count)
{
    double most = 0.0;
    for (int64_t i = 0; i < count; i++) {
        if (a[i] == b[i] || (isnan(a[i]) && isnan(b[i])))
            continue;
        double difference = fabs((double)a[i] - (double)b[i]);
        if (!isfinite(difference))
            return INFINITY;
        most = difference > most ? difference : most;
    }
    return most;
}

static double largest(const float *values, int64_t count)
{
    double most = 0.0;
    for (int64_t i = 0; i < count; i++)
        most = fabs((double)values[i]) > most ? fabs((double)values[i]) : most;
    return most;
}

static double cosine(const float *a, const float *b, int64_t count)
{
    double ab = 0.0, aa = 0.0, bb = 0.0;
    for (int64_t i = 0; i < count; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    if (aa == 0.0 && bb == 0.0)
        return 1.0;
    return ab / sqrt(aa * bb);
}

void check_values(checker *c, const char *name, const char *tensor, judge how,
                  double limit, const float *ours, const float *golden,
                  int64_t count)
{
    if (c->fast && how == JUDGE_RELATIVE) {
        how = JUDGE_COSINE;
        limit = strncmp(name, "run/", 4) == 0 ? 0.999 : 0.9995;
    }
    if (how == JUDGE_COSINE) {
        double value = cosine(ours, golden, count);
        check_result(c, name, tensor, value >= limit, value, limit);
        return;
    }
    double value = largest_difference(ours, golden, count);
    double scale = largest(golden, count);
    if (how == JUDGE_RELATIVE && scale > 0.0)
        value /= scale;
    check_result(c, name, tensor, value <= limit, value, limit);
}

void check_broken(checker *c, const char *name, const char *reason)
{
    printf("%-32s FAIL: %s\n", name, reason);
    c->failed++;
}

void check_skipped(checker *c, const char *name, const char *reason)
{
    printf("%-32s skipped: %s\n", name, reason);
    c->skipped++;
}

pf_weights *check_open(checker *c, const char *name)
{
    pf_error error = {0};
    pf_weights *file = NULL;
    char *path = pf_format("%s/%s.safetensors", c->folder, name);
    if (!path)
        check_broken(c, name, "out of memory");
    else if (pf_weights_open_file(path, "", &file, &error) != PF_OK)
        check_broken(c, name, error.message);
    pf_free(path);
    return file;
}

/* U8 and F16 tensors are data here, too, so the map is read directly. */
float *check_tensor(pf_weights *file, const char *tensor, pf_tensor *shape)
{
    if (!pf_weights_has(file, tensor))
        return NULL;
    for (int64_t i = 0; i < pf_weights_count(file); i++) {
        if (strcmp(pf_weights_name(file, i), tensor) != 0)
            continue;
        pf_tensor found = pf_weights_tensor(file, i);
        int64_t count = pf_tensor_count(&found);
        float *values = pf_alloc((size_t)count * sizeof *values);
        if (shape)
            *shape = found;
        if (values && found.dtype == PF_U8)
            for (int64_t k = 0; k < count; k++)
                values[k] = ((const unsigned char *)found.data)[k];
        else if (values)
            pf_to_f32(found.data, found.dtype, count, values);
        return values;
    }
    return NULL;
}

const json_t *check_meta(checker *c, const char *name)
{
    return json_object_get(json_object_get(c->index, name), "meta");
}
