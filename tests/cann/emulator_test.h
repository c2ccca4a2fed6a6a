/* SPDX-License-Identifier: Apache-2.0 */
/* The emulator behind a platform that tests have opened; include cmocka.h first. */
#ifndef TESTS_CANN_EMULATOR_TEST_H
#define TESTS_CANN_EMULATOR_TEST_H

#include <dlfcn.h>
#include <string.h>

#include "emulator.h"

static inline void *emulator_symbol(const char *name)
{
    void *library = dlopen("libascendcl.so", RTLD_NOLOAD | RTLD_LAZY);
    if (!library)
        library = dlopen("libacl_rt.so", RTLD_NOLOAD | RTLD_LAZY);
    void *symbol = library ? dlsym(library, name) : NULL;
    if (!symbol)
        fail_msg("the emulator is not loaded");
    dlclose(library);
    return symbol;
}

static inline cann_counters *counters(void)
{
    cann_counters *(*get)(void);
    void *symbol = emulator_symbol("cann_emulator_counters");
    memcpy(&get, &symbol, sizeof get);
    return get();
}

static inline void fail_nth(const char *call, int64_t nth, int code)
{
    void (*arm)(const char *call, int64_t nth, int code);
    void *symbol = emulator_symbol("cann_emulator_fail");
    memcpy(&arm, &symbol, sizeof arm);
    arm(call, nth, code);
}

/* Has the call come that was armed? */
static inline bool has_failed(void)
{
    int64_t (*left)(void);
    void *symbol = emulator_symbol("cann_emulator_left");
    memcpy(&left, &symbol, sizeof left);
    return left() == 0;
}

#endif
