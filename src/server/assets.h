/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are part of the program: the page and the description of the API. */
#ifndef PF_SERVER_ASSETS_H
#define PF_SERVER_ASSETS_H

#include <stddef.h>

typedef struct pf_asset {
    const char *path;                   /* "/app.js" */
    const char *type;
    const unsigned char *data;          /* [bytes] */
    size_t bytes;
} pf_asset;

/* NULL when there is no such path. */
const pf_asset *pf_asset_find(const char *path);

#endif
