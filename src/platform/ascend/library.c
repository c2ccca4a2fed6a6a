/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and loading CANN.  docs/ascend.md, "Where CANN is looked for". */
#include "platform/ascend/library.h"

#include <dlfcn.h>
#include <elf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIBRARIES = 6, PATH_BYTES = 512, WHY_BYTES = PATH_BYTES + 64, PARTS = 3 };

/* Libraries that are open, in the order in which symbols are looked for. */
typedef struct library_set {
    void *handle[LIBRARIES];
    int count;
    char broken[WHY_BYTES];             /* why the first that is there does not load */
} library_set;

/* Two forms of the operator libraries: one of them is loaded, never parts of both. */
typedef struct choice {
    const char *part[2][PARTS];
} choice;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ascend_api api;
static bool ready;

/* Keeps the most useful error of dlopen: "found but does not load" (mostly for want of the
 * driver's libraries) and "missing beside its other parts" beat "not found". */
static void keep_reason(library_set *set, const char *path, bool in_folder, bool parts)
{
    const char *why = dlerror();
    bool there = in_folder ? parts || access(path, F_OK) == 0
                           : why && strncmp(why, path, strlen(path)) != 0;
    if (there && why && !set->broken[0])
        snprintf(set->broken, sizeof set->broken, "%s", why);
}

/* Does the file end before the last byte that its headers tell the linker to map? */
static bool ends_early(FILE *file)
{
    Elf64_Ehdr head;
    Elf64_Phdr segment;
    if (fread(&head, sizeof head, 1, file) != 1 ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64 || fseek(file, 0, SEEK_END) != 0)
        return false;                   /* the dynamic linker reports such a file itself */
    uint64_t bytes = (uint64_t)ftell(file);
    bool early = fseek(file, (long)head.e_phoff, SEEK_SET) != 0;
    for (int i = 0; i < head.e_phnum && !early; i++)
        early = fread(&segment, sizeof segment, 1, file) != 1 ||
                (segment.p_type == PT_LOAD && segment.p_offset + segment.p_filesz > bytes);
    return early;
}

/* Refuses a file that was cut off: loading it would end the process. */
static bool is_cut_off(library_set *set, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    bool cut = ends_early(file);
    fclose(file);
    if (cut && !set->broken[0])
        snprintf(set->broken, sizeof set->broken, "%s: the file is cut off", path);
    return cut;
}

static bool open_at(library_set *set, const char *folder, const char *name, bool parts)
{
    char path[PATH_BYTES];
    int length = snprintf(path, sizeof path, "%s%s%s", folder, folder[0] ? "/" : "",
                          name);
    if (length >= PATH_BYTES || set->count == LIBRARIES)
        return false;
    if (folder[0] && is_cut_off(set, path))
        return false;
    void *handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (handle)
        set->handle[set->count++] = handle;
    else
        keep_reason(set, path, folder[0] != '\0', parts);
    return handle != NULL;
}

static void close_to(library_set *set, int count)
{
    while (set->count > count)
        dlclose(set->handle[--set->count]);
}

static bool open_parts(library_set *set, const char *folder, const char *const part[PARTS])
{
    int before = set->count;
    for (int i = 0; i < PARTS && part[i]; i++)
        if (!open_at(set, folder, part[i], i > 0)) {
            close_to(set, before);
            return false;
        }
    return true;
}

/* Loads the form that the first folder has, so that several installed versions are not
 * mixed. */
static bool open_in(library_set *set, const char *folder, const choice *c)
{
    return open_parts(set, folder, c->part[0]) ||
           (c->part[1][0] && open_parts(set, folder, c->part[1]));
}

/* Folders to look in, in order; "" leaves the search to the dynamic linker. */
static bool open_library(library_set *set, const choice *c)
{
    static const char *const variables[] = {"ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"};
    static const char *const folders[] = {
        "", "/usr/local/Ascend/cann/lib64",
        "/usr/local/Ascend/ascend-toolkit/latest/lib64",
        "/usr/local/Ascend/nnrt/latest/lib64",
    };
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        char folder[PATH_BYTES];
        const char *home = getenv(variables[i]);
        if (!home || !home[0])
            continue;
        snprintf(folder, sizeof folder, "%.480s/lib64", home);
        if (open_in(set, folder, c))
            return true;
    }
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (open_in(set, folders[i], c))
            return true;
    return false;
}

static pf_status open_all(library_set *set, pf_error *error)
{
    static const choice choices[] = {
        {{{"libascendcl.so"}, {"libacl_rt.so"}}},
        {{{"libnnopbase.so"}}},
        {{{"libopapi_math.so", "libopapi_nn.so", "libopapi_transformer.so"},
          {"libopapi.so"}}},
    };
    static const char *const names[] = {"libascendcl.so", "libnnopbase.so", "libopapi.so"};
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        if (open_library(set, &choices[i])) {
            set->broken[0] = '\0';
            continue;
        }
        if (set->broken[0])
            return pf_fail(error, PF_E_PLATFORM, "CANN does not load (is the driver "
                           "installed?): %s", set->broken);
        return pf_fail(error, PF_E_PLATFORM,
                       "CANN is not installed: %s was found neither in "
                       "$ASCEND_HOME_PATH/lib64 nor in the usual places", names[i]);
    }
    return PF_OK;
}

/* Copies the address of a function, of any type, from the first library that has it. */
static bool find(const library_set *set, const char *name, void *function)
{
    for (int i = 0; i < set->count; i++) {
        void *symbol = dlsym(set->handle[i], name);
        if (symbol) {
            memcpy(function, &symbol, sizeof symbol);
            return true;
        }
    }
    return false;
}

static pf_status find_one(const library_set *set, const char *name, bool needed,
                          void *function, pf_error *error)
{
    if (find(set, name, function) || !needed)
        return PF_OK;
    return pf_fail(error, PF_E_PLATFORM, "CANN lacks the function %s", name);
}

static pf_status find_all(const library_set *set, ascend_api *out, pf_error *error)
{
#define FIND(needed, result, name, parameters) \
    PF_TRY(find_one(set, #name, needed, &out->name, error));
    ACL_RUNTIME_LIST(FIND)
    ACL_BASE_LIST(FIND)
#undef FIND
#define FIND_OPERATOR(needed, name, parameters, arguments)                     \
    PF_TRY(find_one(set, "aclnn" #name "GetWorkspaceSize", needed,             \
                    &out->name##_prepare, error));                                \
    PF_TRY(find_one(set, "aclnn" #name, needed, &out->name, error));           \
    if (!out->name)                                                            \
        out->name##_prepare = NULL;
    ACL_OPERATOR_LIST(FIND_OPERATOR)
#undef FIND_OPERATOR
    return PF_OK;
}

/* aclInit has one counterpart a process. */
static void finish(void)
{
    static bool done;
    if (!done)
        api.aclFinalize();
    done = true;
}

static pf_status load(pf_error *error)
{
    library_set set = {0};
    ascend_api found = {0};
    pf_status status = open_all(&set, error);
    if (status == PF_OK)
        status = find_all(&set, &found, error);
    if (status == PF_OK) {
        aclError code = found.aclInit(NULL);
        if (code != 0 && code != ACL_REPEAT_INITIALIZE)
            status = pf_fail(error, PF_E_PLATFORM,
                             "CANN does not start: aclInit gave %d (is the driver "
                             "installed?)", code);
    }
    if (status != PF_OK) {
        close_to(&set, 0);
        return status;
    }
    api = found;
    ready = true;
    atexit(finish);
    return PF_OK;
}

pf_status pf_ascend_library(const ascend_api **out, pf_error *error)
{
    pthread_mutex_lock(&lock);
    pf_status status = ready ? PF_OK : load(error);
    pthread_mutex_unlock(&lock);
    *out = &api;
    return status;
}

void pf_ascend_library_rest(void)
{
    static bool rested;
    pthread_mutex_lock(&lock);
    if (ready && !rested)
        rested = atexit(finish) == 0;
    pthread_mutex_unlock(&lock);
}
