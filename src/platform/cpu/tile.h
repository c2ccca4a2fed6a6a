/* SPDX-License-Identifier: Apache-2.0 */
/* The product that linear layers, convolutions and attention are made of: a tile of
 * TILE_ROWS x TILE_COLUMNS sums that stays in registers.
 *
 * Both operands are packed into panels of 32-bit units.  A panel of the rows is
 * [steps][TILE_ROWS], a panel of the columns [steps][TILE_COLUMNS].  A step loads the
 * columns as vectors and takes each row's unit into all lanes.
 *
 *     form         unit                                        elements a step
 *     TILE_F32     one f32                                     1
 *     TILE_BF16    two bf16, neighbours along the summed axis  2
 *
 * The form is chosen once a call (tile_form_of); VF_BY_DTYPE and TILE_BY_FORM are the only
 * places where stored dtypes and forms become code of their own.
 *
 * Sums go along the axis in order, so that a result does not depend on the tile
 * that it falls into.
 */
#ifndef PF_PLATFORM_CPU_TILE_H
#define PF_PLATFORM_CPU_TILE_H

#include <stdbool.h>

#include "platform/cpu/vec.h"
#include "platform/weight.h"

/* As many sums as fit beside two column vectors and one row: 24 of 32 registers,
 * 12 of 16.  Rows come in thirds, for the end of a matrix. */
#if VF_WIDTH == 16 || VF_WIDTH == 4
enum { TILE_ROWS = 12 };
#else
enum { TILE_ROWS = 6 };
#endif
enum {
    TILE_VECTORS = 2,
    TILE_COLUMNS = TILE_VECTORS * VF_WIDTH,
    TILE_THIRD = TILE_ROWS / 3
};

typedef enum tile_form { TILE_F32, TILE_BF16 } tile_form;

/* The form in which this instruction set multiplies; bf16 takes its dot products. */
VF_INLINE tile_form tile_form_of(pf_multiply multiply)
{
    return VF_BF16_DOT && multiply == PF_MULTIPLY_BF16 ? TILE_BF16 : TILE_F32;
}

/* `call` with `constant` as the form, which the compiler then knows. */
#define TILE_BY_FORM(form, constant, call)                  \
    do {                                                    \
        if (VF_BF16_DOT && (form) == TILE_BF16) {           \
            const tile_form constant = TILE_BF16;           \
            call;                                           \
        } else {                                            \
            const tile_form constant = TILE_F32;            \
            call;                                           \
        }                                                   \
    } while (0)

/* Elements of the summed axis in a step. */
VF_INLINE int64_t tile_depth(tile_form form)
{
    return form == TILE_BF16 ? 2 : 1;
}

VF_INLINE int64_t tile_steps(int64_t elements, tile_form form)
{
    return (elements + tile_depth(form) - 1) / tile_depth(form);
}

/* Writes element i of the summed axis into units that are `stride` units apart. */
VF_INLINE void tile_put(float *units, int64_t i, int64_t stride, tile_form form,
                        float value)
{
    float *unit = units + i / tile_depth(form) * stride;
    if (form == TILE_BF16)
        ((uint16_t *)(void *)unit)[i % 2] = pf_f32_to_bf16(value);
    else
        *unit = value;
}

VF_INLINE int64_t tile_round_up(int64_t value, int64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

/* --- the product ------------------------------------------------------------ */

/* acc + row * columns for one vector of columns. */
VF_INLINE vf tile_multiply(vf acc, const float *row, vf columns, tile_form form)
{
#if VF_BF16_DOT
    if (form == TILE_BF16)
        return vf_dot(acc, vb_set(row), vf_pairs(columns));
#endif
    (void)form;
    return vf_fma(vf_set(*row), columns, acc);
}

/* c[rows][TILE_COLUMNS] = (accumulate ? c : 0) + sum over steps. */
VF_INLINE void tile_product_of(const float *a, const float *b, int64_t steps, float *c,
                               bool accumulate, tile_form form, int rows, int vectors)
{
    vf sum[TILE_ROWS][TILE_VECTORS];
    VF_UNROLL
    for (int i = 0; i < rows; i++) {
        VF_UNROLL
        for (int j = 0; j < vectors; j++)
            sum[i][j] = accumulate ? vf_load(c + i * TILE_COLUMNS + j * VF_WIDTH)
                                   : vf_zero();
    }
    for (int64_t s = 0; s < steps; s++) {
        vf column[TILE_VECTORS];
        VF_UNROLL
        for (int j = 0; j < vectors; j++)
            column[j] = vf_load(b + s * TILE_COLUMNS + j * VF_WIDTH);
        VF_UNROLL
        for (int i = 0; i < rows; i++) {
            VF_UNROLL
            for (int j = 0; j < vectors; j++)
                sum[i][j] = tile_multiply(sum[i][j], a + s * TILE_ROWS + i,
                                          column[j], form);
        }
    }
    VF_UNROLL
    for (int i = 0; i < rows; i++) {
        VF_UNROLL
        for (int j = 0; j < vectors; j++)
            vf_store(c + i * TILE_COLUMNS + j * VF_WIDTH, sum[i][j]);
    }
}

/* Operands of a call of tile_product. */
typedef struct tile_job {
    const float *a;                 /* [steps][TILE_ROWS] */
    const float *b;                 /* [steps][TILE_COLUMNS] */
    int64_t steps;
    float *c;                       /* [TILE_ROWS][TILE_COLUMNS] */
    bool accumulate;
    tile_form form;
    int64_t rows, columns;          /* in use; the rest of c is undefined */
} tile_job;

VF_INLINE void tile_product_rows(const tile_job *t, tile_form form, int rows)
{
    if (t->columns > VF_WIDTH)
        tile_product_of(t->a, t->b, t->steps, t->c, t->accumulate, form, rows, 2);
    else
        tile_product_of(t->a, t->b, t->steps, t->c, t->accumulate, form, rows, 1);
}

VF_INLINE void tile_product_form(const tile_job *t, tile_form form)
{
    if (t->rows > 2 * TILE_THIRD)
        tile_product_rows(t, form, TILE_ROWS);
    else if (t->rows > TILE_THIRD)
        tile_product_rows(t, form, 2 * TILE_THIRD);
    else
        tile_product_rows(t, form, TILE_THIRD);
}

static inline void tile_product(const tile_job *t)
{
    TILE_BY_FORM(t->form, form, tile_product_form(t, form));
}

/* --- packing ---------------------------------------------------------------- */

/* A matrix whose rows run along the summed axis. */
typedef struct tile_matrix {
    const char *data;               /* any alignment */
    pf_dtype dtype;
    int64_t row_bytes;              /* from one row to the next */
} tile_matrix;

/* VF_WIDTH units from `p` on, of `left` elements that there are. */
VF_INLINE vf tile_load_units(const char *p, pf_dtype dtype, int64_t left, tile_form form)
{
#if VF_BF16_DOT
    if (form == TILE_BF16 && dtype == PF_BF16)
        return vb_float(vb_load_part(p, left));
    if (form == TILE_BF16) {
        int64_t high = left > VF_WIDTH ? left - VF_WIDTH : 0;
        return vb_float(vb_pack(vf_load_as_part(p, dtype, 0, left),
                                vf_load_as_part(p, dtype, high ? VF_WIDTH : 0, high)));
    }
#endif
    (void)form;
    return left >= VF_WIDTH ? vf_load_as(p, dtype, 0)
                            : vf_load_as_part(p, dtype, 0, left);
}

/* Up to VF_WIDTH rows of `elements` from p on, into lanes [0, lanes) of a panel
 * whose steps are `width` units apart.  Rows and elements that are not there
 * become 0.  A vector that is wider than its lanes runs over into the next step,
 * which is written later; the last one is cut. */
VF_INLINE void tile_pack_group(const tile_matrix *m, const char *p, int64_t rows,
                               int64_t elements, tile_form form, pf_dtype dtype,
                               float *out, int width, int lanes)
{
    int64_t steps = tile_steps(elements, form), depth = tile_depth(form);
    for (int64_t s = 0; s < steps; s += VF_WIDTH) {
        vf unit[VF_WIDTH];
        const char *at = p + pf_dtype_bytes(dtype, s * depth);
        VF_UNROLL
        for (int r = 0; r < VF_WIDTH; r++)
            unit[r] = r < rows ? tile_load_units(at + r * m->row_bytes, dtype,
                                                 elements - s * depth, form)
                               : vf_zero();
        vf_transpose(unit);
        VF_UNROLL
        for (int i = 0; i < VF_WIDTH; i++) {
            if (s + i < steps - 1)
                vf_store(out + (s + i) * width, unit[i]);
            else if (s + i == steps - 1)
                vf_store_part(out + (s + i) * width, unit[i], lanes);
        }
    }
}

VF_INLINE void tile_pack_as(const tile_matrix *m, const char *p, int64_t rows,
                            int64_t elements, tile_form form, pf_dtype dtype,
                            float *out, int width)
{
    for (int at = 0; at < width; at += VF_WIDTH) {
        int lanes = width - at < VF_WIDTH ? width - at : VF_WIDTH;
        int64_t here = rows - at < 0 ? 0 : rows - at;
        tile_pack_group(m, p + at * m->row_bytes, here, elements, form, dtype,
                        out + at, width, lanes);
    }
}

/* The part of a matrix that goes into one panel. */
typedef struct tile_part {
    int64_t row, rows;              /* rows at most the width of the panel */
    int64_t first, elements;        /* along the summed axis */
} tile_part;

static inline void tile_pack(const tile_matrix *m, tile_part part, tile_form form,
                             float *out, int width)
{
    const char *p = m->data + part.row * m->row_bytes +
                    pf_dtype_bytes(m->dtype, part.first);
    VF_BY_DTYPE(m->dtype, dtype, TILE_BY_FORM(form, known,
        tile_pack_as(m, p, part.rows, part.elements, known, dtype, out, width)));
}

/* Panels of rows ([steps][TILE_ROWS]) and of columns ([steps][TILE_COLUMNS]). */
static inline void tile_pack_rows(const tile_matrix *m, tile_part part, tile_form form,
                                  float *out)
{
    tile_pack(m, part, form, out, TILE_ROWS);
}

static inline void tile_pack_columns(const tile_matrix *m, tile_part part, tile_form form,
                                     float *out)
{
    tile_pack(m, part, form, out, TILE_COLUMNS);
}

#endif
