/* SPDX-License-Identifier: Apache-2.0 */
/* Emulated attention and rotary embedding.  docs/ascend.md, "Operators: attention"
 * and "Operators: rotary".
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op.h"

#define COUNT(name) \
    __atomic_fetch_add(&cann_emulator_counters()->name, 1, __ATOMIC_RELAXED)

/* --- attention --------------------------------------------------------------------- */

#if CANN_PROFILE > 80

enum { HEADS = 0, SCALE = 1, LSE = 2 };

/* A query of a head: scores in f32, P rounded to the inputs' dtype before it
 * meets v, sums in f32. */
static float attend(op *o, const float *q, const float *k, const float *v,
                    const float *shift, float *scores, float *out)
{
    const view *key = &o->in[1];
    int64_t keys = key->shape[1], heads = key->shape[2], width = key->shape[3];
    float most = -INFINITY, sum = 0.0f;
    for (int64_t j = 0; j < keys; j++) {
        float s = 0.0f;
        for (int64_t d = 0; d < width; d++)
            s += q[d] * k[j * heads * width + d];
        scores[j] = (float)o->number[SCALE] * s + (shift ? shift[j] : 0.0f);
        most = fmaxf(most, scores[j]);
    }
    memset(out, 0, (size_t)width * sizeof *out);
    for (int64_t j = 0; j < keys; j++) {
        float p = expf(scores[j] - most);
        sum += p;
        p = round_bf16(p);
        for (int64_t d = 0; d < width; d++)
            out[d] += p * v[j * heads * width + d];
    }
    for (int64_t d = 0; d < width; d++)
        out[d] /= sum;
    return most + logf(sum);
}

static int run_Attention(op *o)
{
    const view *q = &o->in[0], *k = &o->in[1];
    int64_t queries = q->shape[1], heads = q->shape[2], width = q->shape[3];
    int64_t keys = k->shape[1];
    const float *qv = op_load(o, q), *kv = op_load(o, k), *vv = op_load(o, &o->in[2]);
    const float *pse = op_has(&o->in[3]) ? op_load(o, &o->in[3]) : NULL;
    int64_t pse_rows = pse ? o->in[3].shape[2] : 0, pse_keys = pse ? o->in[3].shape[3] : 0;
    float *out = op_memory(o, view_count(q)), *scores = op_memory(o, keys);
    float *lse = op_memory(o, q->shape[0] * heads * queries);
    for (int64_t bh = 0; bh < q->shape[0] * heads; bh++)
        for (int64_t i = 0; i < queries; i++) {
            int64_t b = bh / heads, h = bh % heads, keys_at = (b * keys * heads + h) * width;
            int64_t at = ((b * queries + i) * heads + h) * width;
            lse[bh * queries + i] = attend(
                o, qv + at, kv + keys_at, vv + keys_at,
                pse ? pse + (h * pse_rows + i) * pse_keys : NULL, scores, out + at);
        }
    op_store(&o->out[0], out);
    if (op_has(&o->out[1]))
        op_store(&o->out[1], lse);
    return 0;
}

static void require_attention(op *o)
{
    const view *q = &o->in[0], *k = &o->in[1], *v = &o->in[2], *y = &o->out[0];
    const view *list[] = {q, k, v, y};
    for (int i = 0; i < 4; i++) {
        OP_REQUIRE(o, list[i]->rank == 4, "BSND wants rank 4");
        OP_REQUIRE(o, view_dense(list[i]), "query, key, value and out must be contiguous");
        OP_REQUIRE(o, list[i]->dtype == q->dtype, "dtypes differ");
    }
    if (o->status)
        return;
    int64_t heads = q->shape[2], width = q->shape[3];
    OP_REQUIRE(o, view_same_shape(k, v) && view_same_shape(q, y), "shapes differ");
    OP_REQUIRE(o, q->shape[0] == k->shape[0], "key and query differ in batch");
    OP_REQUIRE(o, q->shape[0] <= 65536, "B is %lld, beyond 65536", (long long)q->shape[0]);
    OP_REQUIRE(o, k->shape[2] == heads && k->shape[3] == width,
               "key and query differ in heads or width");
    OP_REQUIRE(o, heads == (int64_t)o->number[HEADS], "numHeads is not N");
    OP_REQUIRE(o, width % 16 == 0, "D is %lld, no multiple of 16", (long long)width);
    OP_REQUIRE(o, width <= 512, "D is %lld, beyond 512", (long long)width);
    OP_REQUIRE(o, heads <= 256, "N is %lld, beyond 256", (long long)heads);
    OP_REQUIRE(o, heads * width < 65535, "N D is %lld, not below 65535",
               (long long)(heads * width));
    OP_REQUIRE(o, q->shape[1] <= 20971520 && k->shape[1] <= 20971520, "S is too long");
    const view *pse = &o->in[3];
    if (op_has(pse))
        OP_REQUIRE(o, pse->dtype == q->dtype && pse->rank == 4 && view_dense(pse) &&
                          pse->shape[0] == 1 && pse->shape[1] == heads &&
                          pse->shape[2] >= q->shape[1] && pse->shape[3] >= k->shape[1],
                   "pseShift must be [1, N, >=Sq, >=Skv] of the query's dtype");
}

static void require_lse(op *o, bool flag)
{
    const view *q = &o->in[0], *lse = &o->out[1];
    OP_REQUIRE(o, flag == op_has(lse), "softmaxLse goes with softmaxLseFlag");
    if (o->status || !flag)
        return;
    OP_REQUIRE(o, lse->rank == 4 && lse->shape[0] == q->shape[0] &&
                      lse->shape[1] == q->shape[2] &&
                      lse->shape[2] == q->shape[1] && lse->shape[3] == 1,
               "softmaxLse must be [B, N, Sq, 1]");
}

PHASE_ONE(FusedInferAttentionScoreV2, const aclTensor *query, const aclTensorList *key,
          const aclTensorList *value, const aclTensor *pseShift,
          const aclTensor *attenMask, const aclIntArray *actualSeqLengths,
          const aclIntArray *actualSeqLengthsKv, const aclTensor *deqScale1,
          const aclTensor *quantScale1, const aclTensor *deqScale2,
          const aclTensor *quantScale2, const aclTensor *quantOffset2,
          const aclTensor *antiquantScale, const aclTensor *antiquantOffset,
          const aclTensor *blockTable, const aclTensor *queryPaddingSize,
          const aclTensor *kvPaddingSize, const aclTensor *keyAntiquantScale,
          const aclTensor *keyAntiquantOffset, const aclTensor *valueAntiquantScale,
          const aclTensor *valueAntiquantOffset, const aclTensor *keySharedPrefix,
          const aclTensor *valueSharedPrefix, const aclIntArray *actualSharedPrefixLen,
          int64_t numHeads, double scaleValue, int64_t preTokens, int64_t nextTokens,
          char *inputLayout, int64_t numKeyValueHeads, int64_t sparseMode,
          int64_t innerPrecise, int64_t blockSize, int64_t antiquantMode,
          bool softmaxLseFlag, int64_t keyAntiquantMode, int64_t valueAntiquantMode,
          const aclTensor *attentionOut, const aclTensor *softmaxLse)
{
    OP_BEGIN(FusedInferAttentionScoreV2);
    op_input(o, query, T_F16 | T_BF16);
    op_input_list(o, key, T_F16 | T_BF16);
    op_input_list(o, value, T_F16 | T_BF16);
    op_optional(o, pseShift, T_F16 | T_BF16);
    op_output(o, attentionOut, T_F16 | T_BF16);
    op_optional_output(o, softmaxLse, T_F32);
    bool plain = !attenMask && !actualSeqLengths && !actualSeqLengthsKv && !deqScale1 &&
                 !quantScale1 && !deqScale2 && !quantScale2 && !quantOffset2 &&
                 !antiquantScale && !antiquantOffset && !blockTable &&
                 !queryPaddingSize && !kvPaddingSize && !keyAntiquantScale &&
                 !keyAntiquantOffset && !valueAntiquantScale && !valueAntiquantOffset &&
                 !keySharedPrefix && !valueSharedPrefix && !actualSharedPrefixLen &&
                 blockSize == 0 && antiquantMode == 0 && keyAntiquantMode == 0 &&
                 valueAntiquantMode == 0;
    OP_REQUIRE(o, plain, "masks, lengths, pages and quantisation are not emulated");
    OP_REQUIRE(o, inputLayout && strcmp(inputLayout, "BSND") == 0,
               "only the layout BSND is emulated");
    OP_REQUIRE(o, numKeyValueHeads == 0 || numKeyValueHeads == numHeads,
               "grouped heads are not emulated");
    OP_REQUIRE(o, sparseMode == 0 && preTokens == 2147483647 && nextTokens == 2147483647,
               "sparse modes are not emulated");
    OP_REQUIRE(o, innerPrecise >= 0 && innerPrecise <= 3, "innerPrecise is %lld",
               (long long)innerPrecise);
    o->number[HEADS] = (double)numHeads;
    o->number[SCALE] = scaleValue;
    require_attention(o);
    require_lse(o, softmaxLseFlag);
    COUNT(fused_attention);
    return op_end(o, run_Attention);
}

#endif

/* --- rotary ---------------------------------------------------------------------------- */

#if CANN_PROFILE > 81

/* x cos + rotate(x) sin, with full-width cos and sin repeated over the heads. */
static int run_Rotary(op *o)
{
    const view *x = &o->in[0];
    int64_t width = x->shape[3], rows = view_count(x) / (width ? width : 1);
    const float *in = op_load(o, x);
    const float *cosines = op_load_like(o, &o->in[1], x);
    const float *sines = op_load_like(o, &o->in[2], x);
    float *out = op_memory(o, view_count(x));
    bool half = o->number[0] == 0.0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t d = 0; d < width; d++) {
            int64_t at = i * width + d, partner;
            bool first = half ? d < width / 2 : d % 2 == 0;
            if (half)
                partner = first ? at + width / 2 : at - width / 2;
            else
                partner = first ? at + 1 : at - 1;
            float rotated = first ? -in[partner] : in[partner];
            out[at] = in[at] * cosines[at] + rotated * sines[at];
        }
    op_store(&o->out[0], out);
    return 0;
}

/* mode 0: halves; 1: adjacent pairs. */
PHASE_ONE(RotaryPositionEmbedding, const aclTensor *x, const aclTensor *cos,
          const aclTensor *sin, int64_t mode, aclTensor *out)
{
    OP_BEGIN(RotaryPositionEmbedding);
    op_input(o, x, T_FLOATS);
    op_input(o, cos, T_FLOATS);
    op_input(o, sin, T_FLOATS);
    op_output(o, out, T_FLOATS);
    const view *v = &o->in[0];
    OP_REQUIRE(o, mode == 0 || mode == 1, "mode is %lld", (long long)mode);
    OP_REQUIRE(o, v->rank == 4 && o->in[1].rank == 4 && o->in[2].rank == 4,
               "x, cos and sin must have rank 4");
    OP_REQUIRE(o, o->in[1].dtype == v->dtype && o->in[2].dtype == v->dtype,
               "cos and sin must have the dtype of x");
    OP_REQUIRE(o, view_same_shape(&o->in[1], &o->in[2]), "cos and sin differ in shape");
    OP_REQUIRE(o, view_same_shape(v, &o->out[0]) && view_dense(&o->out[0]),
               "out must be like x and contiguous");
    if (o->status == 0) {
        const int64_t *c = o->in[1].shape;
        OP_REQUIRE(o, v->shape[3] % 2 == 0 && v->shape[3] < 896, "D is %lld",
                   (long long)v->shape[3]);
        OP_REQUIRE(o, c[3] == v->shape[3] && c[1] == v->shape[1] && c[2] == 1 &&
                          (c[0] == 1 || (mode == 0 && c[0] == v->shape[0])),
                   "cos must be [1, S, 1, D] for x [B, S, N, D]");
        OP_REQUIRE(o, mode == 0 ? v->shape[0] < 1000 && v->shape[2] < 1000
                                : v->shape[0] * v->shape[2] < 1000,
                   "too many heads or batches");
    }
    o->number[0] = (double)mode;
    COUNT(fused_rope);
    return op_end(o, run_Rotary);
}

#endif
