/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of linear layers in the format FRACTAL_NZ: blocks of 16 x 16, as the cube cores
 * read them.  docs/ascend.md, "Operators: products".
 */
#include "platform/ascend/limits.h"
#include "platform/ascend/operators.h"

static bool is_blocked(const ascend *a, const pf_weight_source *source, pf_multiply multiply)
{
    const int64_t *shape = source->values.shape;
    return a->facts.blocked_weights && source->kind == PF_WEIGHT_LINEAR &&
           multiply == PF_MULTIPLY_BF16 && pf_ascend_nz_fits(shape[0], shape[1]);
}

bool pf_ascend_weight_is_blocked(const ascend *a, const pf_weight *weight)
{
    return is_blocked(a, &weight->source, weight->multiply);
}

/* The operator makes the result in its workspace and copies it over the matrix. */
static int64_t room_for(int64_t matrix_bytes)
{
    enum { MORE = 1 << 16 };
    return matrix_bytes + MORE;
}

int64_t pf_ascend_block_room(const ascend *a, const pf_weight_source *source,
                             pf_multiply multiply)
{
    int64_t bytes = pf_dtype_bytes(PF_BF16, pf_tensor_count(&source->values));
    return is_blocked(a, source, multiply) ? room_for(bytes) : 0;
}

pf_status pf_ascend_block_weight(ascend *a, pf_tensor matrix)
{
    ascend_call call = {.op = ASCEND_TransMatmulWeight, .in = {matrix}};
    return pf_ascend_launch_once(a, &call, room_for(pf_tensor_bytes(&matrix)));
}

/* --- is it there, and is it right? ------------------------------------------------------ */

enum { ROWS = 2, N = 32, K = 48 };

/* Small integers, so that every sum of products is exact, in bf16 as well. */
static float pattern(int row, int column)
{
    return (float)((row * 7 + column * 3) % 5 - 2);
}

/* x W^T + bias, on the host; bias n is n. */
static float expected(int row, int n, bool bias)
{
    float sum = bias ? (float)n : 0.0f;
    for (int k = 0; k < K; k++)
        sum += pattern(row, k) * pattern(n + 1, k);
    return sum;
}

typedef struct trial {
    ascend *a;
    pf_tensor weight, x, bias, wide, narrow;    /* on the device; the results F32, BF16 */
    bool right;
} trial;

static void place(trial *t, char *memory)
{
    t->bias = pf_vector(memory, PF_F32, N);
    t->x = pf_matrix(memory + 512, PF_BF16, ROWS, K);
    t->wide = pf_matrix(memory + 1024, PF_F32, ROWS, N);
    t->narrow = pf_matrix(memory + 1024, PF_BF16, ROWS, N);
    t->weight = pf_matrix(memory + 1536, PF_BF16, N, K);
}

static pf_status fill(trial *t)
{
    float weight[N * K], x[ROWS * K], bias[N];
    for (int i = 0; i < N * K; i++)
        weight[i] = pattern(i / K + 1, i % K);
    for (int i = 0; i < ROWS * K; i++)
        x[i] = pattern(i / K, i % K);
    for (int i = 0; i < N; i++)
        bias[i] = (float)i;
    PF_TRY(pf_device_upload(&t->a->device, t->weight.data, PF_BF16, weight, PF_F32, N * K));
    PF_TRY(pf_device_upload(&t->a->device, t->x.data, PF_BF16, x, PF_F32, ROWS * K));
    return pf_device_upload(&t->a->device, t->bias.data, PF_F32, bias, PF_F32, N);
}

static ascend_call trial_product(const trial *t, bool bias, bool narrow)
{
    pf_tensor none = {0}, w = pf_tensor_permute(t->weight, (int[]){1, 0});
    return pf_ascend_product_call(t->x, w, bias ? t->bias : none,
                                  narrow ? t->narrow : t->wide, true);
}

static pf_status multiply(trial *t, bool bias, bool narrow)
{
    ascend_call call = trial_product(t, bias, narrow);
    float wide[ROWS * N];
    uint16_t half[ROWS * N];
    PF_TRY(pf_ascend_launch(t->a, &call));
    PF_TRY(narrow ? pf_device_download(&t->a->device, half, t->narrow.data, sizeof half)
                  : pf_device_download(&t->a->device, wide, t->wide.data, sizeof wide));
    for (int i = 0; i < ROWS * N; i++) {
        float y = narrow ? pf_bf16_to_f32(half[i]) : wide[i];
        t->right = t->right && y == expected(i / N, i % N, bias);
    }
    return PF_OK;
}

/* Runs each operator that will be used once. */
static pf_status try_products(trial *t)
{
    bool *mixed = &t->a->facts.mixed_products, *narrow = &t->a->facts.narrow_products;
    ascend_call into_f32 = trial_product(t, true, false);
    ascend_call into_bf16 = trial_product(t, true, true);
    if (*mixed)
        PF_TRY(pf_ascend_accepts(t->a, &into_f32, mixed));
    if (*narrow)
        PF_TRY(pf_ascend_accepts(t->a, &into_bf16, narrow));
    PF_TRY(fill(t));
    PF_TRY(pf_ascend_block_weight(t->a, t->weight));
    PF_TRY(multiply(t, false, true));
    if (*mixed)
        PF_TRY(multiply(t, true, false));
    return *narrow ? multiply(t, true, true) : PF_OK;
}

static bool has_all(const ascend *a)
{
    return pf_ascend_has(a, ASCEND_TransMatmulWeight) && pf_ascend_has(a, ASCEND_MatmulWeightNz) &&
           pf_ascend_has(a, ASCEND_AddmmWeightNz);
}

pf_status pf_ascend_ask_blocked(ascend *a)
{
    void *memory;
    trial t = {.a = a, .right = true};
    if (!has_all(a))
        return pf_fail(a->device.error, PF_E_UNSUPPORTED,
                       "PHONOFILM_ASCEND_NZ is 1, but this version of CANN has no "
                       "aclnnAddmmWeightNz and what belongs to it: leave it out");
    PF_TRY(pf_device_allocate(&a->device, 1536 + N * K * 2, &memory));
    place(&t, memory);
    pf_status status = try_products(&t);
    pf_device_release(&a->device, memory);
    if (status == PF_OK && !t.right)
        return pf_fail(a->device.error, PF_E_PLATFORM,
                       "PHONOFILM_ASCEND_NZ is 1, but products with weights in the format "
                       "NZ are wrong with this version of CANN: leave it out");
    a->facts.blocked_weights = status == PF_OK;
    return status;
}
