/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the model that is used when none is named.  See default_model.h. */
#include "cli/default_model.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/say.h"

/* Paths from the program's folder: installed (PREFIX/bin), in a build folder. */
static const char *const places[] = {
    "../share/phonofilm/models/nano",
    "../models/nano",
};

/* The program's folder; false when the system does not tell. */
static bool program_folder(char out[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (length <= 0)
        return false;
    out[length] = '\0';
    char *slash = strrchr(out, '/');
    if (slash)
        *slash = '\0';
    return slash != NULL;
}

/* The model that the environment names; NULL after a message. */
static const char *check_chosen(const char *chosen)
{
    struct stat info;
    if (stat(chosen, &info) == 0 && S_ISDIR(info.st_mode))
        return chosen;
    cli_say("PHONOFILM_MODEL is '%s', but must be a model folder", chosen);
    return NULL;
}

/* The model that comes with the program, or NULL. */
static const char *find_model(void)
{
    static char found[PATH_MAX];
    char folder[PATH_MAX], path[PATH_MAX], index[PATH_MAX];
    if (!program_folder(folder))
        return NULL;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int length = snprintf(path, sizeof path, "%s/%s", folder, places[i]);
        int with_name = snprintf(index, sizeof index, "%s/%s/model_index.json", folder,
                                 places[i]);
        if (length < PATH_MAX && with_name < PATH_MAX && access(index, R_OK) == 0 &&
            realpath(path, found))
            return found;
    }
    return NULL;
}

const char *cli_default_model(const char *missing)
{
    const char *chosen = getenv("PHONOFILM_MODEL");
    if (chosen && *chosen)
        return check_chosen(chosen);
    const char *found = find_model();
    if (!found)
        cli_say("%s is missing: give a model folder", missing);
    return found;
}
