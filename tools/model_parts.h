/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a stand-in model: what sizes it has, which tensors each component
 * holds, and how they are written.  docs/model/file-formats.md#model-folder. */
#ifndef PF_TOOLS_MODEL_PARTS_H
#define PF_TOOLS_MODEL_PARTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* A tower of the Wan family: video or audio. */
typedef struct tower_sizes {
    int dim, heads, layers, ffn_dim;
    int in_dim, out_dim;
} tower_sizes;

typedef struct text_sizes {
    int width, heads, head_width, ffn_width, layers, vocabulary;
} text_sizes;

typedef struct audio_vae_sizes {
    int encoder_dim, decoder_dim, latent_dim;
} audio_vae_sizes;

/* Defaults of a film: generation_config.json. */
typedef struct film_sizes {
    int height, width, frames, steps;
    double fps, guidance_scale;
} film_sizes;

typedef struct model_sizes {
    const char *name;                   /* of the preset */
    tower_sizes video, audio;
    int freq_dim;
    text_sizes text;
    int video_vae_base;
    audio_vae_sizes audio_vae;
    film_sizes film;
} model_sizes;

enum { LATENT_CHANNELS = 16, MASK_CHANNELS = 4, SHARDS = 3 };

/* NULL when there is no preset of this name. */
const model_sizes *find_preset(const char *name);

/* --- tensors ------------------------------------------------------------------ */

/* A tensor of centre + deviation * (random numbers of mean 0 and variance 1). */
typedef struct recipe {
    char name[104];
    int rank;
    int64_t shape[5];
    float centre, deviation;
} recipe;

typedef struct recipe_list {
    recipe *items;
    int64_t count, capacity;
    bool failed;                        /* out of memory */
} recipe_list;

void free_recipes(recipe_list *list);
int64_t recipe_count(const recipe *item);       /* elements */

/* A component folder. */
typedef struct component {
    const char *folder, *stem;
    int shards;                         /* 1: a single file without an index */
    void (*list)(recipe_list *list, const model_sizes *sizes);
    json_t *(*config)(const model_sizes *sizes);
} component;

enum { COMPONENTS = 7 };
extern const component components[COMPONENTS];

/* Writes the weights of a component below `root`; the values depend on seed,
 * component and tensor name alone. */
pf_status write_weights(const char *root, const component *part,
                        const recipe_list *list, const uint64_t *seed,
                        pf_error *error);

/* Gives `to` the weights of `from` as hard links. */
pf_status link_weights(const char *root, const component *from, const component *to,
                       pf_error *error);

/* Writes a JSON value to ROOT/NAME; takes the value over. */
pf_status write_json(const char *root, const char *name, json_t *value,
                     pf_error *error);

/* tokenizer.json and its companions in ROOT/tokenizer. */
pf_status write_tokenizer(const char *root, pf_error *error);
int tokenizer_size(void);               /* pieces */

#endif
