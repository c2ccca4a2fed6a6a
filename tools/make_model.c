/* SPDX-License-Identifier: Apache-2.0 */
/* make_model: writes a whole model folder with seeded random weights, in the layout
 * of MOVA, of any of three sizes.  docs/model/file-formats.md#stand-in-models.
 *
 *     make_model --preset tiny|small|mova-360p [options] FOLDER
 *
 * For tests, for demonstrations before there is a trained model, and for measuring
 * memory and speed at full size.  The same options give the same bytes everywhere.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "model_parts.h"

typedef struct options {
    model_sizes sizes;
    uint64_t seed;
    bool dry_run, share_experts, hollow;
    const char *folder;
} options;

static void print_help(void)
{
    puts("make_model [options] FOLDER\n"
         "Writes a model folder with random weights.  FOLDER must be new or empty.\n\n"
         "  --preset NAME        tiny (tests), small (demonstrations), mova-360p (75 GB);\n"
         "                       default tiny\n"
         "  --seed N             of the weights; default 0\n"
         "  --layers-video N     blocks of each video expert\n"
         "  --layers-audio N     blocks of the audio tower, at most those of the video\n"
         "  --layers-text N      blocks of the text encoder\n"
         "  --share-experts      video_dit_2 links to the weights of video_dit\n"
         "  --hollow             weights of zeros that take no room: for shapes alone\n"
         "  --dry-run            only says what would be written");
}

/* --- options ------------------------------------------------------------------ */

static bool read_number(const char *name, const char *text, uint64_t low,
                        uint64_t high, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < low || value > high) {
        fprintf(stderr, "make_model: --%s is %s, but must be a number from %llu to "
                "%llu\n", name, text, (unsigned long long)low,
                (unsigned long long)high);
        return false;
    }
    *out = value;
    return true;
}

static bool choose_preset(options *o, const char *name)
{
    const model_sizes *found = find_preset(name);
    if (!found) {
        fprintf(stderr, "make_model: --preset is %s, but must be tiny, small or "
                "mova-360p\n", name);
        return false;
    }
    o->sizes = *found;
    return true;
}

/* The blocks that were asked for; 0: as the preset has them. */
typedef struct layer_options {
    uint64_t video, audio, text;
} layer_options;

static bool apply_layers(options *o, const layer_options *layers)
{
    if (layers->video)
        o->sizes.video.layers = (int)layers->video;
    if (layers->audio)
        o->sizes.audio.layers = (int)layers->audio;
    if (layers->text)
        o->sizes.text.layers = (int)layers->text;
    if (o->sizes.audio.layers <= o->sizes.video.layers)
        return true;
    fprintf(stderr, "make_model: there are %d audio blocks, but must be at most as "
            "many as the %d video blocks\n", o->sizes.audio.layers,
            o->sizes.video.layers);
    return false;
}

static const struct option long_options[] = {
    {"preset", required_argument, NULL, 'p'},
    {"seed", required_argument, NULL, 's'},
    {"layers-video", required_argument, NULL, 'v'},
    {"layers-audio", required_argument, NULL, 'a'},
    {"layers-text", required_argument, NULL, 't'},
    {"share-experts", no_argument, NULL, 'e'},
    {"hollow", no_argument, NULL, 'o'},
    {"dry-run", no_argument, NULL, 'd'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool read_option(options *o, layer_options *layers, int which)
{
    switch (which) {
    case 'p': return choose_preset(o, optarg);
    case 's': return read_number("seed", optarg, 0, UINT64_MAX, &o->seed);
    case 'v': return read_number("layers-video", optarg, 1, 1000, &layers->video);
    case 'a': return read_number("layers-audio", optarg, 1, 1000, &layers->audio);
    case 't': return read_number("layers-text", optarg, 1, 1000, &layers->text);
    case 'e': o->share_experts = true; return true;
    case 'o': o->hollow = true; return true;
    case 'd': o->dry_run = true; return true;
    default: return false;
    }
}

static bool read_options(int argc, char **argv, options *o)
{
    layer_options layers = {0};
    int which;
    choose_preset(o, "tiny");
    while ((which = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (which == 'h') {
            print_help();
            exit(0);
        }
        if (!read_option(o, &layers, which))
            return false;
    }
    if (argc - optind != 1) {
        fprintf(stderr, "make_model: give one FOLDER (--help shows the options)\n");
        return false;
    }
    o->folder = argv[optind];
    return apply_layers(o, &layers);
}

/* --- folders ------------------------------------------------------------------ */

static pf_status make_folder(const char *path, pf_error *error)
{
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && pf_path_is_folder(path)))
        return PF_OK;
    return pf_fail_errno(error, errno, "cannot make the folder %s", path);
}

static pf_status make_below(const char *root, const char *name, pf_error *error)
{
    char *path = pf_path_join(root, name);
    if (!path)
        return pf_fail_memory(error, name, strlen(root));
    pf_status status = make_folder(path, error);
    pf_free(path);
    return status;
}

static pf_status make_root(const char *path, pf_error *error)
{
    PF_TRY(make_folder(path, error));
    DIR *folder = opendir(path);
    const struct dirent *found;
    bool empty = true;
    if (!folder)
        return pf_fail_errno(error, errno, "cannot open %s", path);
    while ((found = readdir(folder)))
        if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0)
            empty = false;
    closedir(folder);
    if (!empty)
        return pf_fail(error, PF_E_ARGUMENT,
                       "%s is not empty; give a new folder", path);
    return PF_OK;
}

/* --- components --------------------------------------------------------------- */

static void print_summary(const component *part, const recipe_list *list)
{
    int64_t parameters = 0;
    for (int64_t i = 0; i < list->count; i++)
        parameters += recipe_count(&list->items[i]);
    printf("%-18s %5lld tensors %12lld parameters %8.2f MB\n", part->folder,
           (long long)list->count, (long long)parameters, (double)parameters * 2e-6);
    fflush(stdout);
}

static pf_status write_config(const options *o, const component *part,
                              pf_error *error)
{
    char *name = pf_format("%s/config.json", part->folder);
    if (!name)
        return pf_fail_memory(error, part->folder, 1);
    pf_status status = write_json(o->folder, name, part->config(&o->sizes), error);
    pf_free(name);
    return status;
}

static pf_status write_component(const options *o, int index, pf_error *error)
{
    const component *part = &components[index];
    bool linked = o->share_experts && strcmp(part->folder, "video_dit_2") == 0;
    recipe_list list = {0};
    pf_status status = PF_OK;
    part->list(&list, &o->sizes);
    if (list.failed)
        status = pf_fail_memory(error, part->folder, sizeof(recipe));
    if (status == PF_OK)
        print_summary(part, &list);
    if (status == PF_OK && !o->dry_run) {
        status = make_below(o->folder, part->folder, error);
        if (status == PF_OK)
            status = write_config(o, part, error);
        if (status == PF_OK && linked)
            status = link_weights(o->folder, &components[index - 1], part, error);
        else if (status == PF_OK)
            status = write_weights(o->folder, part, &list, o->hollow ? NULL : &o->seed,
                                   error);
    }
    free_recipes(&list);
    return status;
}

/* --- the files beside the components ------------------------------------------ */

static json_t *model_index(void)
{
    return json_pack(
        "{s:s, s:s, s:s, s:f, s:[ss], s:[ss], s:[ss], s:[ss], s:[ss], s:[ss], s:[ss],"
        " s:[ss], s:[ss]}",
        "_class_name", "MOVA", "_diffusers_version", "0.36.0", "audio_vae_type", "dac",
        "boundary_ratio", 0.9, "audio_dit", "mova.diffusion.models", "WanAudioModel",
        "audio_vae", "mova.diffusion.models", "DAC", "dual_tower_bridge",
        "mova.diffusion.models", "DualTowerConditionalBridge", "scheduler",
        "mova.diffusion.schedulers", "FlowMatchPairScheduler", "text_encoder",
        "transformers", "UMT5EncoderModel", "tokenizer", "transformers",
        "T5TokenizerFast", "video_dit", "mova.diffusion.models", "WanModel",
        "video_dit_2", "mova.diffusion.models", "WanModel", "video_vae", "diffusers",
        "AutoencoderKLWan");
}

static json_t *scheduler_config(void)
{
    return json_pack("{s:s, s:i, s:f, s:f, s:f, s:b}", "_class_name",
                     "FlowMatchPairScheduler", "num_train_timesteps", 1000, "shift",
                     5.0, "sigma_min", 0.0, "sigma_max", 1.0, "extra_one_step", 1);
}

static json_t *generation_config(const film_sizes *f)
{
    return json_pack("{s:i, s:i, s:i, s:f, s:i, s:f}", "height", f->height, "width",
                     f->width, "num_frames", f->frames, "fps", f->fps,
                     "num_inference_steps", f->steps, "guidance_scale",
                     f->guidance_scale);
}

static pf_status write_rest(const options *o, pf_error *error)
{
    PF_TRY(make_below(o->folder, "tokenizer", error));
    PF_TRY(make_below(o->folder, "scheduler", error));
    PF_TRY(write_tokenizer(o->folder, error));
    PF_TRY(write_json(o->folder, "scheduler/scheduler_config.json",
                      scheduler_config(), error));
    PF_TRY(write_json(o->folder, "generation_config.json",
                      generation_config(&o->sizes.film), error));
    return write_json(o->folder, "model_index.json", model_index(), error);
}

static pf_status write_model(const options *o, pf_error *error)
{
    if (!o->dry_run)
        PF_TRY(make_root(o->folder, error));
    for (int i = 0; i < COMPONENTS; i++)
        PF_TRY(write_component(o, i, error));
    return o->dry_run ? PF_OK : write_rest(o, error);
}

int main(int argc, char **argv)
{
    pf_error error = {0};
    options o = {0};
    if (!read_options(argc, argv, &o))
        return 2;
    if (write_model(&o, &error) == PF_OK)
        return 0;
    fprintf(stderr, "make_model: %s\n", error.message);
    return 1;
}
