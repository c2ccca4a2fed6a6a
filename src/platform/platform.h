/* The platform seam: everything that the rest of the library knows about the
 * machine it computes on.
 *
 * A platform is a table of functions and a few plain facts.  `reference` is the
 * definition of right (scalar, straight from docs/model); `cpu` takes its table
 * and overrides what it does faster.  Callers go through src/ops, which has
 * checked shapes and dtypes: a kernel may assert them but never judges them.
 *
 * Activations are f32 tensors in device memory.  Where the numerics ask for the
 * rounding of a bf16 pipeline (`round_bf16`, written r() below), the value is
 * rounded to the nearest bf16 and kept as f32.  Weight matrices come as F32, BF16
 * or F16; vectors (biases, norm weights) as F32.
 *
 * Every kernel gives the same bits for every number of threads and on every run.
 * Outputs never overlap inputs unless a field says so.
 */
#ifndef PF_PLATFORM_PLATFORM_H
#define PF_PLATFORM_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/thread.h"
#include "tensor/tensor.h"

typedef struct pf_platform pf_platform;

/* How a kernel may compute.  Accumulation is f32 in every mode. */
typedef enum pf_math {
    PF_MATH_F32,        /* multiplicands f32: weights are widened, never rounded */
    PF_MATH_FAST        /* multiplicands may be rounded to bf16, and so may the result
                         * of a product where capabilities.rounds_products says so */
} pf_math;

typedef struct pf_numerics {
    pf_math math;
    bool round_bf16;    /* apply the r() of each formula; otherwise r() is identity */
} pf_numerics;

/* Filled once when the platform opens; plain facts, never asked "who are you". */
typedef struct pf_capabilities {
    char name[16];                  /* "reference", "cpu" */
    char isa[32];                   /* "avx512bf16", "avx2", "scalar", "Ascend910B1" */
    char device[96];                /* "AMD EPYC 9B14", for people */
    int threads;
    int64_t memory_bytes;           /* available to this process now */
    bool own_memory;                /* that is memory of a device, not of the process */
    bool records;                   /* see record_begin: asked for and possible */
    bool maps_channels_last;        /* layout that feature maps should have */
    bool costly_launches;           /* starting a kernel costs: rather few and large ones,
                                     * where memory allows */
    bool wide_tables;               /* see pf_rope_table */
    bool rounds_products;           /* see PF_MATH_FAST */
    bool narrow_keys;               /* see pf_attend_args */
    int tensor_slack;               /* bytes that must be free behind each tensor, for
                                     * vector units that fetch whole units */
    int block_unit, block_extra;    /* what `allocate` takes from the memory: a multiple of
                                     * the one, and the other; 0: what is asked for */
} pf_capabilities;

/* What a block of so many bytes takes from the memory. */
static inline int64_t pf_block_bytes(const pf_capabilities *c, int64_t bytes)
{
    int64_t unit = c->block_unit > 0 ? c->block_unit : 1;
    return bytes > 0 ? (bytes + unit - 1) / unit * unit + c->block_extra : 0;
}

/* --- weights ---------------------------------------------------------------- */

typedef enum pf_weight_kind {
    PF_WEIGHT_LINEAR,               /* [out, in] */
    PF_WEIGHT_CONV,                 /* [out, in, kt, kh, kw] */
    PF_WEIGHT_CONV_TRANSPOSED       /* [in, out, k] */
} pf_weight_kind;

/* A weight as the platform keeps it.  `source` stays valid as long as the weight
 * does (it points into a mapped file, at any byte alignment). */
typedef struct pf_weight {
    pf_weight_kind kind;
    pf_math math;                   /* what it was prepared for */
    pf_tensor source;               /* shape and dtype; data as loaded */
    void *prepared;                 /* the platform's own form, or NULL */
    int64_t prepared_bytes;
} pf_weight;

/* --- kernel arguments ------------------------------------------------------- */

typedef enum pf_activation {
    PF_ACTIVATION_NONE,
    PF_ACTIVATION_GELU_TANH,        /* 0.5 x (1 + tanh(sqrt(2/pi)(x + .044715 x^3))) */
    PF_ACTIVATION_SILU              /* x / (1 + exp(-x)) */
} pf_activation;

/* y = r(residual + r(gate * r(act(r(x W^T + bias)) * mul)))
 * where absent parts are skipped together with their r().
 * x [M, K], y [M, N], mul [M, N], residual [M, N]: rows may be strided, elements
 * of a row are adjacent.  residual may be y itself; mul may be y itself. */
typedef struct pf_linear_args {
    pf_numerics numerics;
    pf_tensor x;
    const pf_weight *weight;        /* [N, K] */
    pf_tensor bias;                 /* [N], or null */
    pf_activation activation;
    pf_tensor mul;                  /* or null */
    pf_tensor gate;                 /* [N], or null */
    pf_tensor residual;             /* or null */
    pf_tensor y;
} pf_linear_args;

/* out = softmax(scale * q k^T + bias) v, for each head on its own columns.
 * q [G*Lq, H*D], k and v [G*Lk, H*D], out [G*Lq, H*D]: rows may be strided.  The
 * rows are G groups of equal size, each of which attends to itself alone.
 * With round_bf16: P = exp(s - max) is rounded before P v, the sum is taken of
 * the unrounded P, and the quotient is rounded. */
typedef struct pf_attention_args {
    pf_numerics numerics;
    pf_tensor q, k, v;
    int heads;
    int groups;                     /* G; 0 is 1 */
    float scale;
    pf_tensor bias;                 /* [H, Lq, Lk] of every group, any strides (0
                                     * repeats), or null */
    pf_tensor out;
} pf_attention_args;

typedef enum pf_norm_kind {
    PF_NORM_LAYER,                  /* (x - mean) / sqrt(var + eps), biased variance */
    PF_NORM_RMS                     /* x / sqrt(mean(x^2) + eps) */
} pf_norm_kind;

/* a = r(norm(x) * weight + bias); y = r(r(a * factor) + shift); with `plus` sum =
 * r(x + plus) comes first and takes the place of x.
 * x, y, plus, sum [M, C], y may be x, sum is another.  weight, bias [C] or null.
 * shift and factor: both null, or both [C], or both [M, C].  Statistics in f32 or
 * better, and sound for a mean much larger than the deviation (two passes). */
typedef struct pf_norm_args {
    pf_numerics numerics;
    pf_norm_kind kind;
    float epsilon;
    pf_tensor x;
    pf_tensor weight, bias;
    pf_tensor plus, sum;            /* both or none */
    pf_tensor shift, factor;
    pf_tensor y;
} pf_norm_args;

typedef enum pf_rope_form {
    PF_ROPE_INTERLEAVED,            /* pairs (2j, 2j+1); one r() at the end */
    PF_ROPE_HALF                    /* pairs (j, j+D/2); r() of each product, then of
                                     * the sum */
} pf_rope_form;

/* cos and sin [P, D/2] of the pairs' angles, or, where capabilities.wide_tables asks
 * for it, [P, D] with an entry for each column of a head; rows_per_position is then 1. */
typedef struct pf_rope_table {
    pf_tensor cos, sin;
    int64_t rows_per_position;
} pf_rope_table;

/* Rotates x [L, H*D] in place, each head alike.  Row i of x uses row i /
 * rows_per_position of the table, which begins anew behind its last row. */
typedef struct pf_rope_args {
    pf_numerics numerics;
    pf_rope_form form;
    pf_tensor x;
    int heads;
    pf_rope_table table;
} pf_rope_args;

/* --- layers of several kernels ---------------------------------------------------
 * What can be left between them to the platform: each is defined by the kernels that
 * it is made of, roundings included, and has memory to keep their results in.
 */

/* rope(rms(x weight^T + bias)): without `norm` no norm, without `table.cos` no rotation. */
typedef struct pf_projection {
    const pf_weight *weight;        /* [D, C] */
    pf_tensor bias;                 /* [D], or null */
    pf_tensor norm;                 /* [D], or null */
    pf_rope_table table;
} pf_projection;

/* y = [residual + gate *] (attention(q(x), k(condition), v(condition)) out^T + bias).
 * Keys and values may be there already. */
typedef struct pf_attend_args {
    pf_numerics numerics;
    pf_tensor x;                    /* [G*Lq, C]: rows may be strided */
    pf_tensor condition;            /* [G*Lk, K], may be x; null: keys and values are kept */
    pf_tensor kept;                 /* [2, G*Lk, D]: keys, values; or null.  BF16 with
                                     * PF_MATH_FAST where capabilities.narrow_keys */
    pf_projection q, k, v, out;     /* out [N, D], without norm and rotation */
    float epsilon;                  /* of the norms */
    pf_rope_form form;
    int heads, groups;              /* of attention, as is: */
    float scale;
    pf_tensor bias;
    pf_tensor work;                 /* [G*Lq + 2*G*Lk, D], or, with kept, [G*Lq, D];
                                     * contiguous */
    pf_tensor attended;             /* [G*Lq, D], contiguous; may be x, which is then lost */
    pf_tensor gate, residual, y;    /* of the last linear layer; y [G*Lq, N] */
} pf_attend_args;

/* y = [residual + gate *] (act(x in^T + bias) out^T + bias) */
typedef struct pf_feed_forward_args {
    pf_numerics numerics;
    pf_tensor x;                    /* [M, C] */
    pf_projection in, out;          /* [F, C], [N, F], without norm and rotation */
    pf_activation activation;
    pf_tensor hidden;               /* [M, F], contiguous: work memory */
    pf_tensor gate, residual, y;    /* of the last linear layer; y [M, N] */
} pf_feed_forward_args;

/* A feature map has the logical shape [C, T, H, W]; its strides say how it lies
 * in memory (capabilities.maps_channels_last).  Maps passed to kernels are
 * either channels-last ([T, H, W, C] without gaps inside a frame) or channels-
 * first; frames (T) may be sliced.
 *
 * y[o,t,h,w] = bias[o] + sum W[o,i,a,p,q] x[i, t*st + a*dt - pad_front[0],
 *              h*sh + p*dh - pad_front[1], w*sw + q*dw - pad_front[2]]  (+ residual)
 * with x = 0 outside.  The extents of y say how far the padding behind goes.
 * A 1-d convolution has T = H = 1. */
typedef struct pf_conv_args {
    pf_numerics numerics;
    pf_tensor x;                    /* [Ci, T, H, W] */
    const pf_weight *weight;        /* [Co, Ci, kt, kh, kw] */
    pf_tensor bias;                 /* [Co], or null */
    int stride[3], dilation[3], pad_front[3];
    pf_tensor residual;             /* like y, or null; may be y itself */
    pf_tensor y;                    /* [Co, To, Ho, Wo] */
} pf_conv_args;

/* y[o,n] = bias[o] + sum_t sum_i W[i,o,n + pad - t*stride] x[i,t], taps outside
 * 0..k-1 left out.  x [Ci, 1, 1, L], y [Co, 1, 1, Lo], weight [Ci, Co, k]. */
typedef struct pf_conv_transposed_args {
    pf_numerics numerics;
    pf_tensor x;
    const pf_weight *weight;
    pf_tensor bias;
    int stride, pad;
    pf_tensor y;
} pf_conv_transposed_args;

/* y = x / max(|x|_2 over channels, 1e-12) * sqrt(C) * gamma[c], then SiLU if
 * asked; x, y [C, T, H, W], y may be x. */
typedef struct pf_channel_norm_args {
    pf_numerics numerics;
    pf_tensor x, gamma, y;
    bool silu;
} pf_channel_norm_args;

/* y = x + sin(alpha[c] x)^2 / (alpha[c] + 1e-9); x, y [C, T, H, W], y may be x. */
typedef struct pf_snake_args {
    pf_tensor x, alpha, y;
} pf_snake_args;

typedef enum pf_unary {
    PF_UNARY_SILU,
    PF_UNARY_TANH,
    PF_UNARY_AFFINE,                /* a * x, then + b (two roundings) */
    PF_UNARY_ROUND_BF16             /* always rounds */
} pf_unary;

/* y = r(f(x)), same shape, any strides; y may be x. */
typedef struct pf_unary_args {
    pf_numerics numerics;
    pf_unary kind;
    float a, b;
    pf_tensor x, y;
} pf_unary_args;

/* y = r(a + b), same shape, any strides (0 repeats); y may be a or b. */
typedef struct pf_add_args {
    pf_numerics numerics;
    pf_tensor a, b, y;
} pf_add_args;

/* Classifier-free guidance over the velocities of one modality, every operation
 * rounded to f32 on its own (docs/model/guidance.md):
 *   two branches    v = n + s_t (p - n)
 *   three branches  v = n0 + s_b (n1 - n0) + s_t (p - n1)   (n = n1)
 *   rescale g > 0   v = g (v std(p) / std(v)) + (1 - g) v
 * All [count] f32, contiguous; v may be any input. */
typedef struct pf_guidance_args {
    pf_tensor bridge_off;           /* n0, or null: two branches */
    pf_tensor negative, positive;   /* n or n1, p */
    float bridge_scale, scale, rescale;
    pf_tensor v;
} pf_guidance_args;

/* to = r(from), same shape, any strides, F32; or to BF16 where capabilities.narrow_keys. */
typedef struct pf_copy_args {
    pf_numerics numerics;
    pf_tensor from, to;
} pf_copy_args;

/* Every element of y (F32, any strides) becomes value. */
typedef struct pf_fill_args {
    float value;
    pf_tensor y;
} pf_fill_args;

/* Each pixel becomes 2x2: x [C, T, H, W], y [C, T, 2H, 2W]. */
typedef struct pf_upsample_args {
    pf_tensor x, y;
} pf_upsample_args;

/* y[i] = table[ids[i]]: table [V, C] F32, BF16 or F16 at any alignment (host
 * memory), ids [L] I32 (host memory), y [L, C] F32. */
typedef struct pf_embedding_args {
    pf_tensor table, ids, y;
} pf_embedding_args;

/* y[f] = r((1 - u) x[i0] + u x[i1]) with s = max(0, (f + .5) T / L - .5),
 * i0 = floor(s), i1 = min(i0 + 1, T - 1), u = s - i0: x [T, C], y [L, C]. */
typedef struct pf_lerp_rows_args {
    pf_numerics numerics;
    pf_tensor x, y;
} pf_lerp_rows_args;

/* x = x + v * delta, product and sum each rounded to f32; [count], contiguous. */
typedef struct pf_step_args {
    pf_tensor x, v;
    pf_tensor delta;                /* [1]: every step has its own in the same place */
} pf_step_args;

/* --- the table -------------------------------------------------------------- */

/* Copies to the host that may be under way at a time, each with a number. */
enum { PF_TRANSFERS = 3 };

/* X(slot, argument type).  tests/kernels makes one check a line from this list. */
#define PF_KERNEL_LIST(X)                               \
    X(linear, pf_linear_args)                           \
    X(attention, pf_attention_args)                     \
    X(norm, pf_norm_args)                               \
    X(rope, pf_rope_args)                               \
    X(attend, pf_attend_args)                           \
    X(feed_forward, pf_feed_forward_args)               \
    X(conv, pf_conv_args)                               \
    X(conv_transposed, pf_conv_transposed_args)         \
    X(channel_norm, pf_channel_norm_args)               \
    X(snake, pf_snake_args)                             \
    X(unary, pf_unary_args)                             \
    X(add, pf_add_args)                                 \
    X(copy, pf_copy_args)                               \
    X(fill, pf_fill_args)                               \
    X(upsample, pf_upsample_args)                       \
    X(embedding, pf_embedding_args)                     \
    X(lerp_rows, pf_lerp_rows_args)                     \
    X(guidance, pf_guidance_args)                       \
    X(step, pf_step_args)

/* Speed of register-only loops on all threads, in 1e9 operations (a multiply-add
 * is two) per second; 0 where the instruction set lacks it. */
typedef struct pf_ceilings {
    double f32, bf16, int8;
} pf_ceilings;

typedef struct pf_platform_table {
#define PF_KERNEL_SLOT(slot, type) \
    pf_status (*slot)(pf_platform *platform, const type *args, pf_error *error);
    PF_KERNEL_LIST(PF_KERNEL_SLOT)
#undef PF_KERNEL_SLOT

    /* Device memory, 64-byte aligned, uninitialised. */
    pf_status (*allocate)(pf_platform *platform, int64_t bytes, void **out,
                          pf_error *error);
    void (*release)(pf_platform *platform, void *memory);
    pf_status (*upload)(pf_platform *platform, void *device, const void *host,
                        int64_t bytes, pf_error *error);
    pf_status (*download)(pf_platform *platform, void *host, const void *device,
                          int64_t bytes, pf_error *error);

    /* A copy to the host of what the memory holds once all that was asked for before
     * is done; what is asked for later need not wait for it.  `host` is filled when
     * download_end comes back at the latest; *there: it is filled already. */
    pf_status (*download_begin)(pf_platform *platform, int number, void *host,
                                const void *device, int64_t bytes, bool *there,
                                pf_error *error);
    pf_status (*download_end)(pf_platform *platform, int number, void *host,
                              int64_t bytes, pf_error *error);

    /* Kernels will need `bytes` of device memory of their own at a time: takes it, in place
     * of what was taken before, so that none of them has to.  NULL: they need none. */
    pf_status (*reserve)(pf_platform *platform, int64_t bytes, pf_error *error);

    /* Fills *out with a platform that computes nothing and has no memory: its kernels may
     * be called with any addresses, from any thread, and its tally grows by what this one
     * would need.  `out` has this one's table and capabilities already.  NULL where
     * reserve is. */
    pf_status (*open_counter)(const pf_platform *platform, pf_platform *out,
                              pf_error *error);

    /* Where capabilities.records: kernels between begin and end are not run but kept,
     * with their addresses, all of whose memory must stay until record_drop; replay runs
     * them.  One recording at a time, on one thread, and nothing may be under way when it
     * begins; record_end keeps nothing if it fails or if not `keep`. */
    pf_status (*record_begin)(pf_platform *platform, pf_error *error);
    pf_status (*record_end)(pf_platform *platform, bool keep, pf_error *error);
    pf_status (*replay)(pf_platform *platform, pf_error *error);
    void (*record_drop)(pf_platform *platform);

    /* Makes `out` from a host tensor that outlives it; release frees `prepared`.
     * weight_bytes predicts prepared_bytes from kind, shape and dtype alone. */
    pf_status (*weight_prepare)(pf_platform *platform, pf_weight_kind kind,
                                pf_math math, const pf_tensor *source,
                                pf_weight *out, pf_error *error);
    int64_t (*weight_bytes)(pf_platform *platform, pf_weight_kind kind,
                            pf_math math, const pf_tensor *source);
    void (*weight_release)(pf_platform *platform, pf_weight *weight);

    /* Runs the ceiling loops for about `seconds` of processor time each.  What else runs on
     * the machine hardly changes the result. */
    pf_status (*ceilings)(pf_platform *platform, double seconds,
                          pf_ceilings *out, pf_error *error);

    void (*close)(pf_platform *platform);
} pf_platform_table;

/* What a device was given so far; platforms that compute on the host leave it 0.
 * What follows the waits is known while counting only. */
typedef struct pf_tally {
    int64_t launches, waits;
    double flops, bytes;
    double seconds;                 /* at least: arithmetic or memory, each operator */
    int64_t own_bytes;              /* most memory of their own that kernels had at a
                                     * time: what `reserve` wants */
    int64_t fixed_bytes;            /* what the platform holds beside that, always */
} pf_tally;

struct pf_platform {
    pf_platform_table table;
    pf_capabilities capabilities;
    pf_tally tally;
    pf_pool *pool;                  /* for platforms that compute on the host */
    void *state;                    /* the platform's own */
};

/* --- opening ---------------------------------------------------------------- */

typedef struct pf_platform_options {
    const char *name;               /* of the registry; NULL or "auto": the first
                                     * that opens here */
    const char *isa;                /* "avx512bf16" "avx512" "avx2" "neon" "scalar":
                                     * the highest that may be used; NULL: all */
    int threads;                    /* 0: as many as the process may use; refused where
                                     * a device computes */
    int device;                     /* number of the device, where there are several */
    const char *plan;               /* a kind of device that need not be here: nothing is
                                     * computed, the tally grows; NULL: compute */
    bool graph;                     /* record and replay; refused where that is not known */
} pf_platform_options;

pf_status pf_platform_open(const pf_platform_options *options,
                           pf_platform **out, pf_error *error);
/* A platform of its own beside `platform`, which must outlive it: see open_counter.
 * *out is NULL where there is none. */
pf_status pf_platform_open_counter(const pf_platform *platform, pf_platform **out,
                                   pf_error *error);
void pf_platform_close(pf_platform *platform);

/* The registry: one line a platform, in order of preference. */
typedef struct pf_platform_entry {
    const char *name;
    bool has_devices;               /* options.device, .plan and .graph mean something,
                                     * .threads does not */
    /* Fills *out (zeroed but for `pool`); on failure the error says why this
     * machine cannot do it. */
    pf_status (*open)(pf_platform *out, const pf_platform_options *options,
                      pf_error *error);
} pf_platform_entry;

const pf_platform_entry *pf_platform_entries(int *count);

#endif
