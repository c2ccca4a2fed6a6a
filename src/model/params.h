/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a component: found and checked when the component opens,
 * brought to the platform when it is needed, given back afterwards.
 *
 * A component asks for each parameter once, with the place where it wants it; the
 * list that results is what loading, evicting and predicting walk over.
 */
#ifndef PF_MODEL_PARAMS_H
#define PF_MODEL_PARAMS_H

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"
#include "weights/weights.h"

typedef struct pf_params pf_params;

/* A linear or convolution layer; `bias` is null where there is none. */
typedef struct pf_layer {
    pf_weight weight;
    pf_tensor bias;                     /* [out] F32 */
} pf_layer;

/* Takes over `weights` (also when it fails). */
pf_status pf_params_open(pf_weights *weights, pf_params **out, pf_error *error);
void pf_params_close(pf_params *params);

pf_weights *pf_params_weights(pf_params *params);

/* STEM.weight of shape [out, in] and, with `bias`, STEM.bias [out].  `layer` must
 * stay where it is as long as the params live.  Names are printf'ed. */
typedef enum pf_bias { PF_BIAS_NONE, PF_BIAS } pf_bias;
pf_status pf_params_linear(pf_params *params, pf_layer *layer, int64_t out,
                           int64_t in, pf_bias bias, pf_error *error,
                           const char *stem, ...)
    __attribute__((format(printf, 7, 8)));

/* The same with the on-disk shape [out, in, ...] of rank `rank`, whose elements
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

/* A weight that is computed from two stored tensors: when the component opens, and again
 * when its file is read anew. */
typedef struct pf_computed {
    pf_tensor g, v;                     /* the stored ones */
    float *values;                      /* the result, as many as v has; of the params */
    const char *path;                   /* of the weights, for messages */
    char *name;                         /* of the layer; of the params */
    pf_status (*compute)(const struct pf_computed *self, pf_error *error);
} pf_computed;

/* Takes g, v and compute from `what`, copies the name, and computes; *values stays with
 * the params. */
pf_status pf_params_compute(pf_params *params, const pf_computed *what, float **values,
                            pf_error *error);
/* Uses `source` (computed, or a view into a stored tensor) as a layer's weight. */
pf_status pf_params_layer_from(pf_params *params, pf_layer *layer,
                               pf_weight_kind kind, const pf_tensor *source,
                               pf_error *error);

/* A vector likewise: a view into a stored or computed tensor. */
pf_status pf_params_vector_from(pf_params *params, pf_tensor *vector,
                                const pf_tensor *source, pf_error *error);

/* From the next loading on, weights and vectors that are not stored as bf16 are
 * rounded to it: what a bf16 pipeline does to a model when it opens it. */
void pf_params_round(pf_params *params, bool to_bf16);

/* What weights will be prepared for: dry runs find it in them before they are loaded. */
void pf_params_expect(pf_params *params, pf_multiply multiply);

/* Reads files anew that are not what they were when they were opened, unloads and computes
 * again what came from them.  Nobody may use the component meanwhile. */
pf_status pf_params_renew(pf_params *params, pf_error *error);

/* Prepares every weight and uploads every vector; loading twice is fine. */
pf_status pf_params_load(pf_params *params, pf_platform *platform, pf_multiply multiply,
                         pf_error *error);
void pf_params_unload(pf_params *params);
bool pf_params_loaded(const pf_params *params);

/* What is held while loaded: prepared forms and vectors on the device; in the process
 * the bytes of the map that stay in use (weights used in place) and rounded copies. */
typedef struct pf_params_size {
    int64_t device_bytes;
    int64_t mapped_bytes;               /* read again and again */
    int64_t rounded_bytes;
    int64_t table_bytes;                /* tables: only some rows are touched */
    int64_t stored_bytes;               /* all of the component's tensors */
} pf_params_size;
pf_params_size pf_params_measure(const pf_params *params, pf_platform *platform,
                                 pf_multiply multiply);

#endif
