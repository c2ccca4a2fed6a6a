/* SPDX-License-Identifier: Apache-2.0 */
/* driver: runs a fuzz target a bounded number of times, without libFuzzer.
 *
 *     fuzz_NAME RUNS CORPUS
 *
 * First every file of the corpus folder as it is, then RUNS inputs that are made from
 * them by a seeded generator: the same on every machine, so that what fails here
 * fails anywhere.  A crash leaves the input in crash-NAME.bin of the working folder.
 * (With -Dfuzz=true libFuzzer takes this file's place: `make fuzz`.)
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz_main.h"

enum { MAX_SEEDS = 256, MAX_SIZE = 1 << 16, MAX_CHANGES = 8 };

typedef struct input {
    uint8_t *data;
    size_t size;
} input;

static input seeds[MAX_SEEDS], current;
static int seed_count;
static uint64_t state = 0x9e3779b97f4a7c15u;
static char crash_name[256];

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static size_t below(size_t limit)
{
    return limit ? (size_t)(next() % limit) : 0;
}

/* --- the corpus --------------------------------------------------------------- */

static int is_seed(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool read_seed(const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(MAX_SIZE);
    if (!file || !data) {
        fprintf(stderr, "driver: %s can't be read\n", path);
        return false;
    }
    size_t size = fread(data, 1, MAX_SIZE, file);
    fclose(file);
    seeds[seed_count++] = (input){data, size};
    return true;
}

static bool read_corpus(const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_seed, alphasort);
    bool good = count > 0 && count <= MAX_SEEDS;
    for (int i = 0; i < count; i++) {
        good = good && read_seed(folder, entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    if (!good)
        fprintf(stderr, "driver: %s must hold 1 to %d readable files\n", folder,
                MAX_SEEDS);
    return good;
}

/* --- changes ------------------------------------------------------------------ */

static const uint8_t telling_bytes[] = {0, 1, 0x7f, 0x80, 0xff, '"', '\\', '{', '}',
                                        '[', ']', ',', ':', '-', '.', '0', '9', ' ',
                                        'e', '/', '<', '&', ';', 0xc0, 0xe2, 0xf4};

static void change_byte(input *in)
{
    if (in->size)
        in->data[below(in->size)] = (uint8_t)next();
}

static void set_telling_byte(input *in)
{
    if (in->size)
        in->data[below(in->size)] = telling_bytes[below(sizeof telling_bytes)];
}

static void flip_bit(input *in)
{
    if (in->size)
        in->data[below(in->size)] ^= (uint8_t)(1u << below(8));
}

static void truncate_input(input *in)
{
    in->size = below(in->size + 1);
}

static void remove_span(input *in)
{
    size_t at = below(in->size + 1), length = below(in->size - at + 1);
    memmove(in->data + at, in->data + at + length, in->size - at - length);
    in->size -= length;
}

static void insert_span(input *in, const input *from)
{
    size_t begin = below(from->size + 1), at = below(in->size + 1);
    size_t length = below(from->size - begin + 1);
    if (length > MAX_SIZE - in->size)
        length = MAX_SIZE - in->size;
    memmove(in->data + at + length, in->data + at, in->size - at);
    memcpy(in->data + at, from->data + begin, length);
    in->size += length;
}

static void change(input *in)
{
    switch (below(7)) {
    case 0: change_byte(in); break;
    case 1: set_telling_byte(in); break;
    case 2: flip_bit(in); break;
    case 3: truncate_input(in); break;
    case 4: remove_span(in); break;
    default: insert_span(in, &seeds[below((size_t)seed_count)]); break;
    }
}

/* --- running ------------------------------------------------------------------ */

static void keep_crash(int signal_number)
{
    int file = open(crash_name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file >= 0 && write(file, current.data, current.size) >= 0)
        close(file);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* In a block of its own size, so that a sanitizer sees reads past the end. */
static bool run(const input *in)
{
    uint8_t *exact = malloc(in->size ? in->size : 1);
    if (!exact)
        return false;
    memcpy(exact, in->data, in->size);
    LLVMFuzzerTestOneInput(exact, in->size);
    free(exact);
    return true;
}

static bool run_seed(int i)
{
    current.size = seeds[i].size;
    memcpy(current.data, seeds[i].data, current.size);
    return run(&current);
}

static bool run_changed(void)
{
    const input *seed = &seeds[below((size_t)seed_count)];
    current.size = seed->size;
    memcpy(current.data, seed->data, seed->size);
    for (size_t changes = 1 + below(MAX_CHANGES); changes > 0; changes--)
        change(&current);
    return run(&current);
}

static void watch_for_crashes(const char *program)
{
    const char *base = strrchr(program, '/');
    snprintf(crash_name, sizeof crash_name, "crash-%s.bin", base ? base + 1 : program);
    const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        signal(fatal[i], keep_crash);
}

int main(int argc, char **argv)
{
    char *end = NULL;
    long runs = argc == 3 ? strtol(argv[1], &end, 10) : -1;
    if (runs < 0 || *end) {
        fprintf(stderr, "usage: %s RUNS CORPUS\n", argv[0]);
        return 2;
    }
    current.data = malloc(MAX_SIZE);
    if (!current.data || !read_corpus(argv[2]))
        return 1;
    watch_for_crashes(argv[0]);
    bool good = true;
    for (int i = 0; good && i < seed_count; i++)
        good = run_seed(i);
    for (long i = 0; good && i < runs; i++)
        good = run_changed();
    printf("%d seeds and %ld inputs made from them\n", seed_count, runs);
    for (int i = 0; i < seed_count; i++)
        free(seeds[i].data);
    free(current.data);
    return good ? 0 : 1;
}
