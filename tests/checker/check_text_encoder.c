/* SPDX-License-Identifier: Apache-2.0 */
/* The text encoder on the prompts of tokenizer_cases.json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "checker.h"
#include "model/umt5.h"

enum { ROWS = 512, MAX_CASES_BYTES = 64 << 20 };

typedef struct encoder_case {
    checker *check;
    const char *name;
    pf_weights *file;
    json_t *prompts;                    /* tokenizer_cases.json */
    pf_params *params;
    pf_umt5 *encoder;
} encoder_case;

static pf_status load_cases(encoder_case *e, pf_error *error)
{
    char *path = pf_path_join(e->check->folder, "tokenizer_cases.json");
    if (!path)
        return pf_fail_memory(error, "path", 1);
    pf_status status = pf_json_load(path, MAX_CASES_BYTES, &e->prompts, error);
    pf_free(path);
    return status;
}

static pf_status open_encoder(encoder_case *e, const json_t *meta, pf_error *error)
{
    const char *model = json_string_value(json_object_get(meta, "model"));
    char *folder = pf_format("%s/%s/text_encoder", e->check->folder,
                             model ? model : "model");
    pf_weights *weights = NULL;
    const pf_numerics numerics = {.multiply = check_multiply(e->check)};
    if (!folder)
        return pf_fail_memory(error, "path", 1);
    pf_status status = pf_weights_open(folder, "model", &weights, error);
    if (status == PF_OK)
        status = pf_params_open(weights, numerics, &e->params, error);
    if (status == PF_OK)
        status = pf_umt5_bind(e->params, json_object_get(meta, "config"), folder,
                              &e->encoder, error);
    if (status == PF_OK)
        status = pf_params_load(e->params, e->check->platform, error);
    pf_free(folder);
    return status;
}

/* ids of case `index` to rows of `out` [512, d], zero past the end. */
static pf_status encode(encoder_case *e, const json_t *list, float *out,
                        pf_error *error)
{
    int32_t ids[ROWS];
    int64_t count = (int64_t)json_array_size(list);
    int64_t width = pf_umt5_width(e->encoder);
    pf_ops ops;
    pf_tensor rows;
    if (count < 1 || count > ROWS)
        return pf_fail(error, PF_E_INPUT, "the case has %lld ids", (long long)count);
    for (int64_t i = 0; i < count; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    pf_ops_init(&ops, e->check->platform, (pf_numerics){check_multiply(e->check), false}, false,
                error);
    memset(out, 0, (size_t)(ROWS * width) * sizeof *out);
    pf_status status = pf_ops_matrix(&ops, count, width, &rows);
    if (status == PF_OK)
        status = pf_umt5_encode(e->encoder, &ops, ids, count, &rows);
    if (status == PF_OK)
        status = pf_ops_download(&ops, out, &rows);
    pf_ops_release(&ops);
    return status;
}

static void compare(encoder_case *e, const char *tensor)
{
    pf_error error = {0};
    char *end;
    long index = strtol(tensor, &end, 10);
    if (end == tensor || strcmp(end, ".embed") != 0)
        return;
    const json_t *ids = json_object_get(json_array_get(e->prompts, (size_t)index),
                                        "ids");
    int64_t count = ROWS * pf_umt5_width(e->encoder);
    float *ours = pf_alloc((size_t)count * sizeof *ours);
    float *golden = check_tensor(e->file, tensor, NULL);
    if (!ours || !golden || encode(e, ids, ours, &error) != PF_OK)
        check_broken(e->check, e->name, error.message);
    else
        check_values(e->check, e->name, tensor, JUDGE_RELATIVE, 2e-5, ours, golden,
                     count);
    pf_free(ours);
    pf_free(golden);
}

void check_text_encoder(checker *c, const char *name)
{
    pf_error error = {0};
    encoder_case e = {.check = c, .name = name, .file = check_open(c, name)};
    if (!e.file)
        return;
    pf_status status = load_cases(&e, &error);
    if (status == PF_OK)
        status = open_encoder(&e, check_meta(c, name), &error);
    if (status != PF_OK)
        check_broken(c, name, error.message);
    for (int64_t i = 0; status == PF_OK && i < pf_weights_count(e.file); i++)
        compare(&e, pf_weights_name(e.file, i));
    pf_params_close(e.params);
    pf_umt5_unbind(e.encoder);
    json_decref(e.prompts);
    pf_weights_close(e.file);
}
