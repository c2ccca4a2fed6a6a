/* SPDX-License-Identifier: Apache-2.0 */
/* golden DIR: runs every case of a folder of goldens.  See checker.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "checker.h"

enum { MAX_INDEX_BYTES = 256 << 20, WRONG_USE = 2 };

/* Which runner a case belongs to, by the beginning of its name. */
typedef struct kind {
    const char *name;
    bool folder;                        /* NAME/..., or NAME alone */
    void (*run)(checker *c, const char *name);
} kind;

static const kind kinds[] = {
    {"step", true, check_step},
    {"scheduler", false, check_scheduler},
    {"rng", false, check_rng},
    {"video_vae", true, check_video_vae},
    {"audio_vae", true, check_audio_vae},
    {"image", true, check_image},
    {"text_encoder", false, check_text_encoder},
    {"run", true, check_run},
};

static bool is_kind(const kind *k, const char *name)
{
    size_t length = strlen(k->name);
    if (strncmp(name, k->name, length) != 0)
        return false;
    return k->folder ? name[length] == '/' : name[length] == '\0';
}

/* Weights are data of other cases. */
static bool is_data(const char *name)
{
    size_t length = strlen(name);
    return length > 8 && strcmp(name + length - 8, ".weights") == 0;
}

static bool is_wanted(const checker *c, const char *name)
{
    return !c->only || strncmp(name, c->only, strlen(c->only)) == 0;
}

static void run_case(checker *c, const char *name)
{
    if (is_data(name) || !is_wanted(c, name))
        return;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (is_kind(&kinds[i], name)) {
            kinds[i].run(c, name);
            fflush(stdout);
            return;
        }
    check_broken(c, name, "no such kind of case is known");
}

static int usage(const char *text)
{
    fprintf(stderr,
            "golden: %s\nUsage: golden DIR [--platform NAME] [--isa MASK] "
            "[--threads N] [--only PREFIX] [--precision f32|fast]\n", text);
    return WRONG_USE;
}

static int parse_arguments(int argc, char **argv, checker *c,
                           pf_platform_options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strncmp(argv[i], "--", 2) != 0) {
            if (c->folder)
                return usage("more than one folder");
            c->folder = argv[i];
            continue;
        }
        if (!value)
            return usage("a value is missing");
        if (strcmp(argv[i], "--platform") == 0)
            options->name = value;
        else if (strcmp(argv[i], "--isa") == 0)
            options->isa = value;
        else if (strcmp(argv[i], "--threads") == 0)
            options->threads = (int)strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--precision") == 0 &&
                 (strcmp(value, "fast") == 0 || strcmp(value, "f32") == 0))
            c->fast = strcmp(value, "fast") == 0;
        else if (strcmp(argv[i], "--only") == 0)
            c->only = value;
        else
            return usage("unknown option");
        i++;
    }
    return c->folder ? 0 : usage("DIR is missing");
}

static pf_status open_all(checker *c, const pf_platform_options *options,
                          pf_error *error)
{
    char *path = pf_path_join(c->folder, "index.json");
    if (!path)
        return pf_fail_memory(error, "path", 1);
    pf_status status = pf_json_load(path, MAX_INDEX_BYTES, &c->index, error);
    pf_free(path);
    if (status == PF_OK)
        status = pf_platform_open(options, &c->platform, error);
    return status;
}

int main(int argc, char **argv)
{
    checker c = {0};
    pf_platform_options options = {0};
    pf_error error = {0};
    int code = parse_arguments(argc, argv, &c, &options);
    if (code)
        return code;
    if (open_all(&c, &options, &error) != PF_OK) {
        json_decref(c.index);
        return usage(error.message);
    }
    const char *name;
    json_t *entry;
    json_object_foreach(c.index, name, entry)
        run_case(&c, name);
    if (is_wanted(&c, "tokenizer"))
        check_tokenizers(&c);
    pf_platform_close(c.platform);
    json_decref(c.index);
    printf("%d passed, %d failed, %d skipped\n", c.passed, c.failed, c.skipped);
    return c.failed > 0 || c.passed == 0;
}
