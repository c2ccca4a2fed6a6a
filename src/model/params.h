/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a component: found and checked when the component is bound, brought to
 * the platform when it is needed, given back afterwards.
 *
 * A component asks for each parameter once, with the place where it wants it.  The list of
 * slots that results is what predicting, loading and evicting walk, group by group:
 *
 *     pf_params_open     weights, numerics         (pipeline/components.c)
 *     pf_tower_bind ...  slots: stem, group, place (the component's bind function)
 *     pf_params_measure  bytes of every group      (prediction)
 *     pf_params_load     places filled             (pipeline/residency.c)
 *     pf_params_enter    a block is about to run   (the component's forward pass)
 *     pf_params_unload   places as before loading
 *
 * A group is a block of the component: its weights are needed together.  Vectors (biases,
 * norms) and tables are small or stay on the host, and belong to PF_GROUP_ALWAYS.
 *
 * Where a parameter lies:
 *
 *     weight   mapped file --weight_fill--> the platform's form, or the file itself
 *     vector   mapped file --f32--> one block of device memory for all of a component
 *     table    mapped file (rows are copied when a kernel asks for them)
 *
 * Errors: a tensor that is missing or has another shape is PF_E_MODEL, and the message has its
 * name.  Thread-safety: binding by one thread; loading, unloading and renewing while nobody
 * else uses the component (engine.h, `residency`); measuring at any time between.
 */
#ifndef PF_MODEL_PARAMS_H
#define PF_MODEL_PARAMS_H

#include "base/error.h"
#include "base/log.h"
#include "ops/ops.h"
#include "platform/platform.h"
#include "weights/weights.h"

typedef struct pf_params pf_params;

/* A linear or convolution layer; `bias` is null where there is none. */
typedef struct pf_layer {
    pf_weight weight;
    pf_tensor bias;                     /* [out] F32 */
} pf_layer;

/* Takes over `weights` (also when it fails).  `numerics` are those that the component will
 * compute with: weights are filled for numerics.multiply; with round_bf16 weights and
 * vectors that are not stored as bf16 are rounded to it when they are loaded, as a bf16
 * pipeline does.  Close them before the component is unbound: its places are filled. */
pf_status pf_params_open(pf_weights *weights, pf_numerics numerics, pf_params **out,
                         pf_error *error);
void pf_params_close(pf_params *params);                /* NULL is fine */

/* The weights that were taken over, which stay those of the params. */
pf_weights *pf_params_weights(pf_params *params);

/* --- asking for parameters (bind) --------------------------------------------- */

enum { PF_GROUP_ALWAYS = -1 };

/* The group of the weights asked for from now on: block 0, 1, 2 ... or PF_GROUP_ALWAYS,
 * which is the group at the beginning. */
void pf_params_group(pf_params *params, int group);

/* STEM.weight of shape [out, in] and, with `bias`, STEM.bias [out].  `layer` must
 * stay where it is as long as the params live.  Names are printf'ed. */
typedef enum pf_bias { PF_BIAS_NONE, PF_BIAS } pf_bias;
pf_status pf_params_linear(pf_params *params, pf_layer *layer, int64_t out,
                           int64_t in, pf_bias bias, pf_error *error,
                           const char *stem, ...)
    __attribute__((format(printf, 7, 8)));

/* pf_params_linear for a shape on disk of [out, in, ...] of rank `rank`, whose elements
 * after `out` make the row: a patch embedding as a matrix, a convolution as
 * PF_WEIGHT_CONV (shape completed with 1s in front of the kernel's axes), or a
 * transposed one. */
typedef struct pf_layer_spec {
    pf_weight_kind kind;
    int rank;
    int64_t shape[5];                   /* as stored */
    pf_bias bias;
    int64_t bias_count;                 /* [out] of the bias */
} pf_layer_spec;
pf_status pf_params_layer(pf_params *params, pf_layer *layer,
                          const pf_layer_spec *spec, pf_error *error,
                          const char *stem, ...)
    __attribute__((format(printf, 5, 6)));

/* A parameter used element by element: any rank on disk, [count] F32 here. */
pf_status pf_params_vector(pf_params *params, pf_tensor *vector, int rank,
                           const int64_t *shape, pf_error *error,
                           const char *name, ...)
    __attribute__((format(printf, 6, 7)));

/* The parameters "stem.0.name", "stem.1.name" ... of one shape as one, F32: the shape that
 * `stack` has when it is given, [how many, ...]. */
pf_status pf_params_stack(pf_params *params, pf_tensor *stack, const char *stem,
                          const char *name, pf_error *error);

/* A table that stays on the host as stored (embeddings). */
pf_status pf_params_table(pf_params *params, pf_tensor *table, int64_t rows,
                          int64_t columns, pf_error *error,
                          const char *name, ...)
    __attribute__((format(printf, 6, 7)));

/* A weight that is computed from two stored tensors: when the component is bound, and
 * again when its file is renewed. */
typedef struct pf_computed {
    pf_tensor g, v;                     /* as stored */
    float *values;                      /* the result, as many as v has; of the params */
    const char *path;                   /* of the weights, for messages */
    char *name;                         /* of the layer; of the params */
    pf_status (*compute)(const struct pf_computed *self, pf_error *error);
} pf_computed;

/* Takes g, v and compute from `what`, copies the name, and computes; *values stays with
 * the params. */
pf_status pf_params_compute(pf_params *params, const pf_computed *what, float **values,
                            pf_error *error);
/* Uses `source` (computed, or a view into a stored tensor) as a layer's weight; `stem` is
 * its name in the file, for messages and adapters. */
pf_status pf_params_layer_from(pf_params *params, pf_layer *layer, pf_weight_kind kind,
                               const pf_tensor *source, const char *stem,
                               pf_error *error);

/* A vector likewise: a view into a stored or computed tensor. */
pf_status pf_params_vector_from(pf_params *params, pf_tensor *vector,
                                const pf_tensor *source, const char *name,
                                pf_error *error);

/* --- residence ------------------------------------------------------------------- */

/* Reads files again that changed since they were opened; if any did, unloads everything and
 * repeats pf_params_compute.  No thread may use the component meanwhile. */
pf_status pf_params_renew(pf_params *params, pf_error *error);

/* Uploads every vector and fills every weight, group by group; loading twice is fine. */
pf_status pf_params_load(pf_params *params, pf_platform *platform, pf_error *error);
/* Gives everything back; places are as before loading.  Harmless when nothing is loaded. */
void pf_params_unload(pf_params *params);
bool pf_params_loaded(const pf_params *params);

/* To be called before kernels use weights of a group; asserts that they are there, which
 * a dry run does not need. */
pf_status pf_params_enter(const pf_params *params, const pf_ops *ops, int group);

/* Bytes held while loaded: weights in the platform's own form and vectors on the device; in
 * the process, the parts of the map that stay in use and rounded copies. */
typedef struct pf_params_size {
    int64_t device_bytes;
    int64_t mapped_bytes;               /* weights used in place, read again and again */
    int64_t rounded_bytes;
    int64_t table_bytes;                /* tables, of which some rows are touched */
    int64_t loading_bytes;              /* of the device while weights are filled, at most:
                                         * device_bytes or more */
} pf_params_size;

/* Sizes of one group on `platform`, loaded or not: measured from shapes, not from memory. */
pf_params_size pf_params_measure_group(const pf_params *params, pf_platform *platform,
                                       int group);
/* The sum over all groups. */
pf_params_size pf_params_measure(const pf_params *params, pf_platform *platform);

#endif
