/* SPDX-License-Identifier: Apache-2.0 */
/* How the weights of a convolution lie once packed: panels of TILE_COLUMNS output
 * channels, [panel][tap][unit][TILE_COLUMNS].  A unit is 32 bits wide and holds
 * one input channel, or two neighbouring ones, by the form (tile.h).  Taps keep the
 * order of the source, channels that are not there are 0.
 */
#ifndef PF_PLATFORM_CPU_CONV_H
#define PF_PLATFORM_CPU_CONV_H

#include "platform/cpu/tile.h"
#include "platform/platform.h"

typedef struct conv_panels {
    int64_t panels, taps, units;
    int64_t panel_floats;           /* from one panel to the next */
    tile_form form;
} conv_panels;

static inline conv_panels conv_panels_of(const pf_weight_source *source,
                                         pf_multiply multiply)
{
    bool transposed = source->kind == PF_WEIGHT_CONV_TRANSPOSED;
    const int64_t *s = source->values.shape;
    conv_panels p = {.form = tile_form_of(multiply)};
    int64_t out = transposed ? s[1] : s[0], in = transposed ? s[0] : s[1];
    p.panels = (out + TILE_COLUMNS - 1) / TILE_COLUMNS;
    p.taps = transposed ? s[2] : s[2] * s[3] * s[4];
    p.units = tile_steps(in, p.form);
    p.panel_floats = p.taps * p.units * TILE_COLUMNS;
    return p;
}

#endif
