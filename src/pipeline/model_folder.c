/* SPDX-License-Identifier: Apache-2.0 */
/* Refusing folders that hold no model, with what they are and which folder is meant.
 * docs/model/file-formats.md#model-folder.
 *
 * People give the folder above, the folder below, a cache of the hub, an archive or half a
 * download.  Looking around costs nothing, since it happens only once a folder was refused. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/kind.h"
#include "base/memory.h"
#include "pipeline/engine.h"

static const char index_name[] = "model_index.json";

static bool holds(const char *folder, const char *name)
{
    char *path = pf_path_join(folder, name);
    bool there = path && pf_path_exists(path);
    pf_free(path);
    return there;
}

static bool has_index(const char *folder)
{
    return holds(folder, index_name);
}

/* Counts the folders of FOLDER that hold a model; *first is the first of them (pf_free). */
static int find_models(const char *folder, char **first)
{
    DIR *directory = opendir(folder);
    struct dirent *found;
    int count = 0;
    *first = NULL;
    while (directory && (found = readdir(directory))) {
        char *path = found->d_name[0] == '.' ? NULL : pf_path_join(folder, found->d_name);
        bool is_model = path && has_index(path);
        count += is_model;
        if (is_model && (!*first || strcmp(path, *first) < 0)) {
            pf_free(*first);
            *first = path;
            path = NULL;
        }
        pf_free(path);
    }
    if (directory)
        closedir(directory);
    return count;
}

/* Looks for a model one level below, or two in a cache of the hub. */
static bool is_below(const char *folder, const char *place, pf_error *error)
{
    char *first, *path = pf_path_join(folder, place);
    int count = path ? find_models(path, &first) : 0;
    if (count > 0)
        pf_fail(error, PF_E_NOT_FOUND, "%s is no model itself, but %s%s is%s: give that folder",
                folder, count > 1 ? "each of its folders such as " : "", first,
                *place ? ", in this cache of the hub" : "");
    if (count > 0)
        pf_free(first);
    pf_free(path);
    return count > 0;
}

/* Does any file of the folder have the name of a download that goes on? */
static bool is_unfinished(const char *folder)
{
    DIR *directory = opendir(folder);
    struct dirent *found = NULL;
    while (directory && (found = readdir(directory)) &&
           !pf_kind_is_unfinished_name(found->d_name))
        continue;
    if (directory)
        closedir(directory);
    return found != NULL;
}

/* The most helpful sentence for a folder without an index: the model is above, is below, is
 * in parts, is being downloaded, or there is none. */
static pf_status explain(const char *folder, pf_error *error)
{
    char *above = pf_path_join(folder, "..");
    char *real = above && has_index(above) ? realpath(above, NULL) : NULL;
    pf_free(above);
    if (real) {
        pf_fail(error, PF_E_NOT_FOUND,
                "%s is a part of a model: give the folder above it, %s", folder, real);
        free(real);
        return PF_E_NOT_FOUND;
    }
    if (is_below(folder, "", error) || is_below(folder, "snapshots", error) ||
        is_below(folder, "../snapshots", error))
        return PF_E_NOT_FOUND;
    if (holds(folder, "video_dit") || holds(folder, "text_encoder"))
        return pf_fail(error, PF_E_NOT_FOUND,
                       "%s has parts of a model, but no %s: download the whole model", folder,
                       index_name);
    if (is_unfinished(folder))
        return pf_fail(error, PF_E_NOT_FOUND,
                       "%s has no %s: the download of this model is not finished", folder,
                       index_name);
    return pf_fail(error, PF_E_NOT_FOUND,
                   "%s is no model: a model folder holds %s and the folders tokenizer, "
                   "text_encoder, video_vae, audio_vae, video_dit, video_dit_2, audio_dit "
                   "and dual_tower_bridge", folder, index_name);
}

/* Is this a name of the hub ("OpenMOSS/MOVA-360p") and no path? */
static bool is_name_of_hub(const char *path)
{
    const char *slash = strchr(path, '/');
    return slash && slash != path && slash[1] && !strchr(slash + 1, '/') && path[0] != '.';
}

static bool is_archive(const char *path)
{
    static const char *const endings[] = {".zip", ".tar", ".gz", ".tgz", ".xz", ".zst", ".7z"};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t tail = strlen(endings[i]);
        if (length > tail && strcmp(path + length - tail, endings[i]) == 0)
            return true;
    }
    return false;
}

pf_status pf_model_folder_check(const char *path, pf_error *error)
{
    if (pf_path_is_folder(path))
        return has_index(path) ? PF_OK : explain(path, error);
    if (!pf_path_is_file(path))
        return pf_fail(error, PF_E_NOT_FOUND, "there is no model folder %s%s", path,
                       is_name_of_hub(path) ? "; one of the hub must be downloaded first"
                                            : "");
    return pf_fail(error, PF_E_NOT_FOUND,
                   "%s is a file, but a model is a folder with %s and its parts%s", path,
                   index_name, is_archive(path) ? ": unpack it" : "");
}
