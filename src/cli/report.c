/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and JSON about a run.  See report.h. */
#include "cli/report.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "media/part_file.h"

static const double mib = 1024.0 * 1024.0;

/* Rows with a step below 0 sum up a stage; memory is known for those alone. */
void report_print(const pf_profile_row *rows, int count)
{
    fprintf(stderr, "%-14s %6s %10s %10s %9s %10s %10s\n", "stage", "step",
            "seconds", "GFLOP/s", "launches", "arena MiB", "weight MiB");
    for (int i = 0; i < count; i++) {
        const pf_profile_row *row = &rows[i];
        char step[16] = "";
        if (row->step >= 0)
            snprintf(step, sizeof step, "%d", row->step);
        fprintf(stderr, "%-14s %6s %10.3f %10.1f %9lld", row->stage, step,
                row->seconds,
                row->seconds > 0 ? row->flops / row->seconds * 1e-9 : 0.0,
                (long long)row->launches);
        if (row->step < 0)
            fprintf(stderr, " %10.1f %10.1f", (double)row->arena_bytes / mib,
                    (double)row->weight_bytes / mib);
        fputc('\n', stderr);
    }
}

static json_t *row_json(const pf_profile_row *row)
{
    json_t *object = json_pack("{s:s, s:f, s:f, s:I}", "stage", row->stage,
                               "seconds", row->seconds, "flops", row->flops,
                               "launches", (json_int_t)row->launches);
    if (object && row->step >= 0)
        json_object_set_new(object, "step", json_integer(row->step));
    else if (object) {
        json_object_set_new(object, "arena_bytes", json_integer(row->arena_bytes));
        json_object_set_new(object, "weight_bytes",
                            json_integer(row->weight_bytes));
    }
    return object;
}

static json_t *run_json(const report_run *run)
{
    const pf_model_info *info = pf_engine_info(run->engine);
    const pf_request *request = run->request;
    char model[2 * PATH_MAX];           /* a folder's name need not be UTF-8 */
    json_t *list = json_array(), *warnings = json_array();
    double seconds = 0.0;
    for (int i = 0; i < run->count; i++) {
        json_array_append_new(list, row_json(&run->rows[i]));
        if (run->rows[i].step < 0)
            seconds += run->rows[i].seconds;
    }
    for (int i = 0; i < run->warnings->count; i++)
        json_array_append_new(warnings, json_string(run->warnings->text[i]));
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:f, s:o, s:o}", "version",
        pf_version(), "model", pf_escape(info->path, model, sizeof model), "platform",
        info->platform, "isa", info->isa, "device", info->device, "threads", info->threads,
        "height", request->height, "width", request->width, "num_frames",
        request->num_frames, "num_inference_steps", request->num_inference_steps,
        "seconds", seconds, "warnings", warnings, "profile",
        list);
}

pf_status report_write(const char *path, const report_run *run, pf_error *error)
{
    json_t *root = run_json(run);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    if (!text) {
        *error = (pf_error){PF_E_MEMORY, "out of memory: profile", ""};
        return PF_E_MEMORY;
    }
    pf_part_file file;
    pf_status status = pf_part_open(path, &file, error);
    if (status == PF_OK) {
        status = pf_part_write(&file, text, strlen(text), error);
        if (status == PF_OK)
            status = pf_part_finish(&file, error);
        if (status == PF_OK)
            status = pf_part_publish(&file, error);
        pf_part_discard(&file);
    }
    free(text);
    return status;
}

void report_prediction(const pf_prediction *p)
{
    char time[CLI_DURATION_BYTES];
    printf("memory    %.1f MiB at the highest\n", (double)p->peak_bytes / mib);
    if (p->device_bytes > 0)
        printf("device    %.1f MiB of its memory\n", (double)p->device_bytes / mib);
    cli_duration(p->seconds, time);
    printf("time      %s%s on this machine, if it does nothing else\n",
           p->seconds < 0.5 ? "" : "about ", p->seconds < 0.5 ? "less than 1 s" : time);
    printf("work      %.3g TFLOP\n", p->flops * 1e-12);
    printf("latents   video [%lld, %lld, %lld, %lld], audio [%lld, %lld]\n",
           (long long)p->video_shape[0], (long long)p->video_shape[1],
           (long long)p->video_shape[2], (long long)p->video_shape[3],
           (long long)p->audio_shape[0], (long long)p->audio_shape[1]);
    printf("experts   high noise before step %d, low noise from there\n",
           p->switch_step);
}
