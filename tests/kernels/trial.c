/* SPDX-License-Identifier: Apache-2.0 */
/* Building, running and comparing trials.  See trial.h. */
#include "trial.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GUARD = 24, ALIGNED = 32 };      /* floats */

/* A quiet NaN that no arithmetic makes. */
static const uint32_t guard_bits = 0x7fd5a5a5u;
static const uint32_t poison_bits = 0x7fc0dead;

static void *take(size_t bytes)
{
    void *memory = calloc(bytes + 1, 1);
    if (!memory) {
        fprintf(stderr, "out of memory\n");
        exit(2);
    }
    return memory;
}

static void require(pf_status status, const trial *t)
{
    if (status == PF_OK)
        return;
    fprintf(stderr, "%s: %s\n", t->text, t->error.message);
    exit(2);
}

/* --- random numbers ----------------------------------------------------------- */

uint64_t prng_next(prng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t prng_below(prng *r, int64_t limit)
{
    return (int64_t)(prng_next(r) % (uint64_t)limit);
}

/* Four uniform numbers of 16 bits each. */
float prng_normal(prng *r)
{
    uint64_t bits = prng_next(r);
    double sum = 0.0;
    for (int i = 0; i < 4; i++)
        sum += (double)((bits >> (16 * i)) & 0xffffu) / 32768.0 - 1.0;
    return (float)(sum * 0.86602540378443864676);
}

static float draw(prng *r, values v)
{
    return v.mean + v.spread * prng_normal(r);
}

/* --- views ---------------------------------------------------------------------- */

pf_tensor view_make(int rank, const int64_t *shape)
{
    return pf_tensor_make(NULL, PF_F32, rank, shape);
}

pf_tensor view_rows(int64_t rows, int64_t columns, int64_t gap)
{
    pf_tensor view = pf_matrix(NULL, PF_F32, rows, columns);
    view.stride[0] = columns + gap;
    return view;
}

pf_tensor view_map(map_layout layout, const int64_t shape[4])
{
    bool last = layout == MAP_LAST || layout == MAP_LAST_EVERY_OTHER;
    int64_t c = shape[0], t = shape[1], h = shape[2], w = shape[3];
    pf_tensor view = view_make(4, shape);
    if (last) {
        int64_t frame = h * w * c;
        int64_t stride[4] = {1, frame, w * c, c};
        memcpy(view.stride, stride, sizeof stride);
    }
    if (layout == MAP_FIRST_SLICED)
        view.stride[0] = (t + 3) * h * w;
    if (layout == MAP_LAST_EVERY_OTHER)
        view.stride[1] *= 2;
    return view;
}

pf_tensor view_hidden(const trial *t, pf_tensor view)
{
    view.dtype = t->rounds_hidden ? PF_BF16 : PF_F32;
    return view;
}

/* Elements from the first to the last of a view. */
static int64_t extent(const pf_tensor *view)
{
    int64_t last = 0;
    for (int i = 0; i < view->rank; i++) {
        if (view->shape[i] == 0)
            return 0;
        last += (view->shape[i] - 1) * view->stride[i];
    }
    return last + 1;
}

/* Where element `index` (in row-major order of the shape) lies. */
static int64_t offset_of(const pf_tensor *view, int64_t index)
{
    int64_t offset = 0;
    for (int i = view->rank - 1; i >= 0; i--) {
        offset += index % view->shape[i] * view->stride[i];
        index /= view->shape[i];
    }
    return offset;
}

/* --- tensors -------------------------------------------------------------------- */

static float nearest(float value, pf_dtype dtype)
{
    return dtype == PF_BF16 ? pf_round_bf16(value) : value;
}

/* `dtype`: of the values, which the memory may hold as F32. */
static void fill_buffer(trial *t, buffer *b, values fill, pf_dtype dtype)
{
    for (int64_t i = 0; i < b->count; i++)
        memcpy(&b->before[i], &guard_bits, sizeof guard_bits);
    int64_t count = pf_tensor_count(&b->view);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = b->first + offset_of(&b->view, i);
        b->inside[at] = 1;
        if (b->role == ROLE_OUTPUT || b->role == ROLE_WORK)
            memcpy(&b->before[at], &poison_bits, sizeof poison_bits);
        else
            b->before[at] = draw(&t->random, fill);
    }
    for (int64_t i = 0; i < b->count; i++)
        b->before[i] = nearest(b->before[i], dtype);
}

void trial_upload(trial *t, const buffer *b)
{
    pf_platform *p = t->platform;
    int64_t bytes = pf_dtype_bytes(b->view.dtype, b->count);
    void *memory = take((size_t)bytes);
    pf_from_f32(b->before, b->count, memory, b->view.dtype);
    require(pf_platform_upload(p, b->device, memory, bytes, &t->error), t);
    free(memory);
}

static void download(trial *t, const buffer *b)
{
    pf_platform *p = t->platform;
    int64_t bytes = pf_dtype_bytes(b->view.dtype, b->count);
    void *memory = take((size_t)bytes);
    require(pf_platform_download(p, memory, b->device, bytes, &t->error), t);
    pf_to_f32(memory, b->view.dtype, b->count, b->after);
    free(memory);
}

/* The view begins `first` elements behind the begin of its memory, where the guard zone ends.
 * An input ends where its memory ends, so that sanitizers see who reads on. */
static buffer *place(trial *t, const char *name, pf_tensor view, buffer_role role,
                     values fill, int64_t first)
{
    buffer *b = &t->buffers[t->count++];
    int64_t behind = role == ROLE_INPUT ? 0 : GUARD;
    pf_dtype values_dtype = view.dtype;
    if (values_dtype == PF_BF16)
        view.dtype = pf_hidden_dtype(t->platform, t->numerics);
    *b = (buffer){.name = name, .role = role, .view = view};
    b->first = first;
    b->count = b->first + extent(&view) + behind;
    size_t bytes = (size_t)b->count * sizeof(float);
    b->before = take(bytes);
    b->after = take(bytes);
    b->inside = take((size_t)b->count);
    fill_buffer(t, b, fill, values_dtype);
    pf_platform *p = t->platform;
    require(p->table.allocate(p, (int64_t)bytes, &b->device, &t->error), t);
    trial_upload(t, b);
    b->view.data = (char *)b->device + pf_dtype_bytes(view.dtype, b->first);
    return b;
}

pf_tensor trial_place(trial *t, const char *name, pf_tensor view, buffer_role role,
                      values fill)
{
    int64_t first = GUARD + prng_below(&t->random, 16);
    return place(t, name, view, role, fill, first)->view;
}

pf_tensor trial_input(trial *t, const char *name, pf_tensor view)
{
    return trial_place(t, name, view, ROLE_INPUT, NORMAL);
}

pf_tensor trial_output(trial *t, const char *name, pf_tensor view,
                       limits allowed)
{
    pf_tensor placed = trial_place(t, name, view, ROLE_OUTPUT, NORMAL);
    t->buffers[t->count - 1].allowed = allowed;
    return placed;
}

pf_tensor trial_inout(trial *t, const char *name, pf_tensor view,
                      limits allowed)
{
    pf_tensor placed = trial_place(t, name, view, ROLE_INOUT, NORMAL);
    t->buffers[t->count - 1].allowed = allowed;
    return placed;
}

/* Draws no random number, since platforms ask for different sizes. */
pf_scratch trial_scratch(trial *t, pf_kernel which, const void *args)
{
    pf_platform *p = t->platform;
    int64_t bytes = p->table.scratch_bytes(p, which, args);
    int64_t floats = (bytes + (int64_t)sizeof(float) - 1) / (int64_t)sizeof(float);
    if (bytes == 0)
        return (pf_scratch){0};
    buffer *b = place(t, "scratch", view_make(1, &floats), ROLE_WORK, NORMAL, ALIGNED);
    return (pf_scratch){b->view.data, bytes};
}

void *trial_host(trial *t, int64_t bytes, int misalign)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = ((size_t)bytes + (size_t)misalign + page - 1) / page * page;
    host_block *block = &t->blocks[t->block_count++];
    block->bytes = room + page;
    block->pages = mmap(NULL, block->bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block->pages == MAP_FAILED ||
        mprotect((char *)block->pages + room, page, PROT_NONE) != 0) {
        perror("mmap");
        exit(2);
    }
    return (char *)block->pages + room - bytes - misalign;
}

pf_tensor trial_host_tensor(trial *t, pf_dtype dtype, int rank,
                            const int64_t *shape, float spread, bool odd)
{
    pf_tensor tensor = pf_tensor_make(NULL, dtype, rank, shape);
    int64_t count = pf_tensor_count(&tensor);
    char *data = trial_host(t, pf_dtype_bytes(dtype, count), odd ? 1 : 0);
    for (int64_t i = 0; i < count; i++) {
        float value = spread * prng_normal(&t->random);
        pf_from_f32(&value, 1, data + pf_dtype_bytes(dtype, i), dtype);
    }
    tensor.data = data;
    trial_say(t, " %s%s", pf_dtype_name(dtype), odd ? "@odd" : "");
    return tensor;
}

/* Memory of weight_bytes for a weight, with a guard behind it; NULL where it needs none. */
static char *place_weight(trial *t, int64_t bytes)
{
    uint32_t guard[GUARD];
    void *memory = NULL;
    pf_platform *p = t->platform;
    if (bytes == 0)
        return NULL;
    for (int i = 0; i < GUARD; i++)
        guard[i] = guard_bits;
    require(p->table.allocate(p, bytes + (int64_t)sizeof guard, &memory, &t->error), t);
    require(pf_platform_upload(p, (char *)memory + bytes, guard, sizeof guard, &t->error), t);
    return memory;
}

static void check_guard(trial *t, const char *memory, int64_t bytes)
{
    uint32_t guard[GUARD];
    pf_platform *p = t->platform;
    require(pf_platform_download(p, guard, memory + bytes, sizeof guard, &t->error), t);
    for (int i = 0; i < GUARD; i++)
        if (guard[i] != guard_bits)
            require(pf_fail(&t->error, PF_E_INTERNAL,
                            "weight_fill wrote behind the %lld bytes of weight_bytes",
                            (long long)bytes), t);
}

const pf_weight *trial_weight(trial *t, pf_weight_kind kind, pf_tensor stored)
{
    pf_platform *p = t->platform;
    pf_multiply multiply = t->numerics.multiply;
    const pf_weight_source source = {.kind = kind, .values = stored};
    int64_t bytes = p->table.weight_bytes(p, &source, multiply);
    char *memory = place_weight(t, bytes);
    pf_weight *weight = &t->weights[t->weight_count];
    require(p->table.weight_fill(p, &source, multiply, memory, weight, &t->error), t);
    t->weight_memory[t->weight_count++] = memory;
    if (memory)
        check_guard(t, memory, bytes);
    if (weight->prepared != memory || weight->taken)
        require(pf_fail(&t->error, PF_E_INTERNAL,
                        "weight_fill left the memory that it was given"), t);
    return weight;
}

/* Every entry at all the rows and columns that use it. */
static pf_tensor wide_copy(trial *t, const char *name, pf_rope_form form, int64_t each,
                           const buffer *narrow)
{
    int64_t rows = narrow->view.shape[0] * each, pairs = narrow->view.shape[1];
    pf_tensor placed = trial_input(t, name, view_rows(rows, 2 * pairs, 0));
    buffer *wide = &t->buffers[t->count - 1];
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < 2 * pairs; j++) {
            int64_t pair = form == PF_ROPE_HALF ? j % pairs : j / 2;
            int64_t from = i / each * narrow->view.stride[0] + pair;
            wide->before[wide->first + i * 2 * pairs + j] =
                narrow->before[narrow->first + from];
        }
    trial_upload(t, wide);
    return placed;
}

/* Both forms are made on every platform, so that the random numbers stay the same. */
pf_rope_table trial_table(trial *t, pf_rope_form form, int64_t rows_per_position,
                          pf_tensor view)
{
    pf_rope_table narrow = {trial_input(t, "cos", view), trial_input(t, "sin", view),
                            rows_per_position};
    const buffer *b = &t->buffers[t->count - 2];
    pf_rope_table wide = {
        wide_copy(t, "wide cos", form, rows_per_position, b),
        wide_copy(t, "wide sin", form, rows_per_position, b + 1), 1};
    return t->platform->capabilities.table_columns == 2 ? wide : narrow;
}

void trial_say(trial *t, const char *format, ...)
{
    size_t used = strlen(t->text);
    va_list list;
    va_start(list, format);
    vsnprintf(t->text + used, sizeof t->text - used, format, list);
    va_end(list);
}

/* --- tolerances ------------------------------------------------------------------ */

static const double flips_allowed = 0.02;
static const double bf16_step = 1.0 / 128.0;

/* A hidden result is off by half a step of bf16, and so is what is made of it. */
limits tolerance_of(const trial *t, double relative)
{
    return (limits){
        .relative = t->rounds_hidden ? fmax(relative, bf16_step / 2) : relative,
        .flips = t->numerics.round_bf16 ? flips_allowed : 0.0,
    };
}

limits tolerance_of_products(const trial *t)
{
    limits result = tolerance_of(t, 1e-5);
    if (t->numerics.multiply == PF_MULTIPLY_BF16) {
        result.relative = t->platform->capabilities.products == PF_BF16 ? 1.5e-2 : 1e-2;
        result.cosine = 0.9999;
    }
    return result;
}

/* --- building --------------------------------------------------------------------- */

/* Case numbers count the modes fastest, then the variants, then the shapes. */
static int modes_of(const kernel_check *check)
{
    return ((int)check->multiply + 1) * (check->round ? 2 : 1);
}

int kernel_check_cases(const kernel_check *check, bool bench)
{
    int shapes = check->shapes + (bench ? check->bench_shapes : 0);
    return shapes * check->variants * modes_of(check);
}

void trial_build(trial *t, const kernel_check *check, pf_platform *platform,
                 const trial_case *c)
{
    static const char *const names[] = {" f32", " bf16"};
    int formats = (int)check->multiply + 1;
    int modes = modes_of(check), mode = c->number % modes;
    int variant = c->number / modes % check->variants;
    int shape = c->number / modes / check->variants;
    bool hidden = check->hidden && c->hidden == PF_BF16;
    memset(t, 0, sizeof *t);
    t->platform = platform;
    t->random.state = c->seed * 1000003u + (uint64_t)c->number;
    t->numerics.multiply = (pf_multiply)(mode % formats);
    if (formats == 1 && hidden)
        t->numerics.multiply = PF_MULTIPLY_BF16;
    t->numerics.round_bf16 = check->round && mode >= modes / 2;
    t->rounds_hidden = hidden && t->numerics.multiply == PF_MULTIPLY_BF16 &&
                       !t->numerics.round_bf16;
    check->build(t, shape, variant);
    if (formats > 1)
        trial_say(t, "%s", names[t->numerics.multiply]);
    if (t->numerics.round_bf16)
        trial_say(t, " rounded");
    if (t->rounds_hidden)
        trial_say(t, " hidden bf16");
}

void trial_download(trial *t)
{
    for (int i = 0; i < t->count; i++)
        download(t, &t->buffers[i]);
}

void trial_release(trial *t)
{
    pf_platform *p = t->platform;
    for (int i = 0; i < t->weight_count; i++) {
        p->table.weight_release(p, &t->weights[i]);
        p->table.release(p, t->weight_memory[i]);
    }
    for (int i = 0; i < t->count; i++) {
        buffer *b = &t->buffers[i];
        p->table.release(p, b->device);
        free(b->before);
        free(b->after);
        free(b->inside);
    }
    for (int i = 0; i < t->block_count; i++)
        munmap(t->blocks[i].pages, t->blocks[i].bytes);
}

/* --- comparing --------------------------------------------------------------------- */

static bool same_bits(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

bool trial_guards_hold(const trial *t, char *why)
{
    for (int i = 0; i < t->count; i++) {
        const buffer *b = &t->buffers[i];
        for (int64_t k = 0; k < b->count; k++) {
            bool may_change = b->inside[k] && b->role != ROLE_INPUT;
            if (may_change || same_bits(b->before[k], b->after[k]))
                continue;
            snprintf(why, WHY, "wrote %g at %lld of %s, %s", (double)b->after[k],
                     (long long)(k - b->first), b->name,
                     b->inside[k] ? "an input" : "outside of the tensor");
            return false;
        }
    }
    return true;
}

static bool buffer_same_bits(const buffer *a, const buffer *b, char *why)
{
    for (int64_t k = 0; k < a->count; k++) {
        if (same_bits(a->after[k], b->after[k]))
            continue;
        snprintf(why, WHY, "%s at %lld is %.9g, but was %.9g", a->name,
                 (long long)(k - a->first), (double)a->after[k], (double)b->after[k]);
        return false;
    }
    return true;
}

bool trial_same_bits(const trial *t, const trial *first, char *why)
{
    for (int i = 0; i < t->count; i++)
        if (!buffer_same_bits(&t->buffers[i], &first->buffers[i], why))
            return false;
    return true;
}

static bool is_result(const buffer *b)
{
    return b->role == ROLE_OUTPUT || b->role == ROLE_INOUT;
}

bool trial_same_results(const trial *t, const trial *first, char *why)
{
    for (int i = 0; i < t->count; i++)
        if (is_result(&t->buffers[i]) &&
            !buffer_same_bits(&t->buffers[i], &first->buffers[i], why))
            return false;
    return true;
}

/* Findings of a pass over an output. */
typedef struct finding {
    double scale;                       /* what `relative` is relative to */
    int64_t worst, beyond;              /* index; how many beyond the tolerance */
    double error;                       /* at worst */
    double cosine;
} finding;

static double largest(const buffer *b)
{
    double most = b->allowed.floor;
    for (int64_t k = 0; k < b->count; k++)
        if (b->inside[k])
            most = fmax(most, fabs((double)b->after[k]));
    return most;
}

static finding measure(const buffer *found, const buffer *expected)
{
    finding f = {.scale = largest(expected), .error = -1.0};
    double dot = 0.0, a2 = 0.0, b2 = 0.0;
    for (int64_t k = 0; k < found->count; k++) {
        if (!found->inside[k])
            continue;
        double a = found->after[k], b = expected->after[k];
        double error = a == b ? 0.0 : fabs(a - b);
        if (isnan(error))
            error = INFINITY;
        f.beyond += error > found->allowed.relative * f.scale;
        if (error > f.error) {
            f.error = error;
            f.worst = k;
        }
        dot += a * b;
        a2 += a * a;
        b2 += b * b;
    }
    f.cosine = a2 == b2 && dot == a2 ? 1.0 : dot / sqrt(a2 * b2);
    return f;
}

static bool is_near(const buffer *found, const buffer *expected, char *why)
{
    const limits *allowed = &found->allowed;
    finding f = measure(found, expected);
    int64_t count = pf_tensor_count(&expected->view);
    double flips = allowed->flips > 0.0 ? 2.0 + allowed->flips * (double)count : 0.0;
    double limit = allowed->relative + (flips > 0.0 ? bf16_step : 0.0);
    if (count == 0)
        return true;
    if (f.error > limit * f.scale || (double)f.beyond > flips) {
        snprintf(why, WHY,
                 "%s at %lld is %.9g, expected %.9g: %.2g of the maximum %.3g, "
                 "allowed %.2g; %lld of %lld are beyond it",
                 found->name, (long long)(f.worst - found->first),
                 (double)found->after[f.worst], (double)expected->after[f.worst],
                 f.error / f.scale, f.scale, allowed->relative, (long long)f.beyond,
                 (long long)count);
        return false;
    }
    if (allowed->cosine > 0.0 && !(f.cosine >= allowed->cosine)) {
        snprintf(why, WHY, "%s has cosine %.7f, at least %.7f is wanted",
                 found->name, f.cosine, allowed->cosine);
        return false;
    }
    return true;
}

bool trial_near(const trial *t, const trial *reference, char *why)
{
    for (int i = 0; i < t->count; i++)
        if (is_result(&t->buffers[i]) &&
            !is_near(&t->buffers[i], &reference->buffers[i], why))
            return false;
    return true;
}
