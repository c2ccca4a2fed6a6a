/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded files; the build turns each into a list of bytes.  See assets.h. */
#include "server/assets.h"

#include <string.h>

static const unsigned char index_html[] = {
#include "index.html.inc"
};
static const unsigned char style_css[] = {
#include "style.css.inc"
};
static const unsigned char app_js[] = {
#include "app.js.inc"
};
static const unsigned char icon_svg[] = {
#include "icon.svg.inc"
};
static const unsigned char openapi_json[] = {
#include "openapi.json.inc"
};

static const pf_asset assets[] = {
    {"/", "text/html; charset=utf-8", index_html, sizeof index_html},
    {"/style.css", "text/css; charset=utf-8", style_css, sizeof style_css},
    {"/app.js", "text/javascript; charset=utf-8", app_js, sizeof app_js},
    {"/icon.svg", "image/svg+xml", icon_svg, sizeof icon_svg},
    {"/openapi.json", "application/json", openapi_json, sizeof openapi_json},
};

const pf_asset *pf_asset_find(const char *path)
{
    for (size_t i = 0; i < sizeof assets / sizeof assets[0]; i++)
        if (strcmp(assets[i].path, path) == 0)
            return &assets[i];
    return NULL;
}
