/* Finding and loading CANN.  docs/ascend.md, "Where CANN is looked for". */
#include "platform/ascend/library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIBRARIES = 6, PATH_BYTES = 512 };

/* Libraries that are open, in the order in which symbols are looked for. */
typedef struct library_set {
    void *handle[LIBRARIES];
    int count;
} library_set;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ascend_api api;
static bool ready;

static bool open_at(library_set *set, const char *folder, const char *name)
{
    char path[PATH_BYTES];
    int length = snprintf(path, sizeof path, "%s%s%s", folder, folder[0] ? "/" : "",
                          name);
    void *handle = length < PATH_BYTES && set->count < LIBRARIES
                       ? dlopen(path, RTLD_LAZY | RTLD_LOCAL) : NULL;
    if (!handle)
        return false;
    set->handle[set->count++] = handle;
    return true;
}

/* Folders in order; "" leaves the search to the dynamic linker. */
static bool open_library(library_set *set, const char *name)
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
        if (open_at(set, folder, name))
            return true;
    }
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (open_at(set, folders[i], name))
            return true;
    return false;
}

/* The split operator libraries may not be mixed with the one they replace. */
static bool open_operators(library_set *set)
{
    static const char *const parts[] = {"libopapi_math.so", "libopapi_nn.so",
                                        "libopapi_transformer.so"};
    int before = set->count;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!open_library(set, parts[i])) {
            while (set->count > before)
                dlclose(set->handle[--set->count]);
            return open_library(set, "libopapi.so");
        }
    return true;
}

static void close_all(library_set *set)
{
    while (set->count > 0)
        dlclose(set->handle[--set->count]);
}

static pf_status open_all(library_set *set, pf_error *error)
{
    const char *missing = NULL;
    if (!open_library(set, "libascendcl.so") && !open_library(set, "libacl_rt.so"))
        missing = "libascendcl.so";
    else if (!open_library(set, "libnnopbase.so"))
        missing = "libnnopbase.so";
    else if (!open_operators(set))
        missing = "libopapi.so";
    if (!missing)
        return PF_OK;
    return pf_fail(error, PF_E_PLATFORM,
                   "CANN is not installed: %s was found neither in "
                   "$ASCEND_HOME_PATH/lib64 nor in the usual places", missing);
}

/* A function of any type from the first library that has it. */
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
                    &out->name##_plan, error));                                \
    PF_TRY(find_one(set, "aclnn" #name, needed, &out->name, error));           \
    if (!out->name)                                                            \
        out->name##_plan = NULL;
    ACL_OPERATOR_LIST(FIND_OPERATOR)
#undef FIND_OPERATOR
    return PF_OK;
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
        close_all(&set);
        return status;
    }
    api = found;
    ready = true;
    return PF_OK;
}

pf_status ascend_library(const ascend_api **out, pf_error *error)
{
    pthread_mutex_lock(&lock);
    pf_status status = ready ? PF_OK : load(error);
    pthread_mutex_unlock(&lock);
    *out = &api;
    return status;
}

/* aclInit has one counterpart a process. */
__attribute__((destructor)) static void finish(void)
{
    if (ready)
        api.aclFinalize();
}
