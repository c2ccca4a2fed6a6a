/* SPDX-License-Identifier: Apache-2.0 */
/* Colours that are not sRGB, through Little CMS.  docs/model/image.md#colours.
 *
 *     cICP, iCCP, gAMA + cHRM (PNG)  \                           no colour of a cube moves
 *     ICC_PROFILE parts (JPEG)        > open_profile -> profile -> by more than 2 levels:
 *     ICCP (WebP)                    /                           untouched; else converted
 *
 * A profile counts when it changes a colour visibly: those of sRGB itself, of which
 * there are many, leave every byte as it is, as in Pillow without profiles, so that
 * ordinary pictures agree with the reference to the bit.
 *
 * A profile that cannot be followed is no failure: `why` says so and the picture is taken
 * as sRGB, as viewers do.  Each call has a context of Little CMS of its own, so that any
 * number of threads may convert.
 */
#include <lcms2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "media/picture_parts.h"

enum {
    PNG_UNIT = 100000,                  /* of gAMA and cHRM */
    PNG_KEYWORD_BYTES = 79,
    SRGB_GAMA = 45455,
    GAMA_SLACK = 20,                    /* a twentieth, as libpng takes it */
    CHRM_SLACK = 1000,                  /* a hundredth, likewise */
    CUBE = 9, SEEN_LEVELS = 2,          /* of 0..255; rounding alone moves colours, too */
    STEP = 255 / (CUBE - 1)
};

/* Facts about the picture's colours. */
typedef struct colours {
    const pf_picture_header *header;
    const char *name;
    cmsContext cms;
    cmsHPROFILE profile;                /* NULL: as sRGB */
    const char *why;                    /* the file's colours are ignored, or NULL */
} colours;

static uint32_t big32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* --- embedded profiles ------------------------------------------------------------ */

/* The parts of a profile in one piece; *out is NULL if some are missing, or they are too
 * large. */
static pf_status join_parts(const colours *c, uint8_t **out, size_t *bytes,
                            pf_error *error)
{
    const pf_picture_colours *given = &c->header->colours;
    *bytes = 0;
    for (int i = 0; i < given->profile_parts; i++)
        *bytes += given->profile[i].bytes;
    if (given->profile_given != given->profile_parts || *bytes > PF_PICTURE_PROFILE_BYTES)
        return PF_OK;
    uint8_t *at = *out = pf_alloc(*bytes + 1);
    if (!at)
        return pf_fail_memory(error, c->name, *bytes);
    for (int i = 0; i < given->profile_parts; i++) {
        memcpy(at, given->profile[i].data, given->profile[i].bytes);
        at += given->profile[i].bytes;
    }
    return PF_OK;
}

/* Name, 0, 0 (deflate), and the profile deflated; *out is NULL if that is not so, or more
 * than the limit comes out. */
static pf_status inflate_profile(const colours *c, uint8_t **out, size_t *bytes,
                                 pf_error *error)
{
    const pf_picture_bytes *chunk = &c->header->colours.profile[0];
    size_t most = chunk->bytes < PNG_KEYWORD_BYTES + 1 ? chunk->bytes
                                                       : PNG_KEYWORD_BYTES + 1;
    const uint8_t *end = memchr(chunk->data, 0, most);
    size_t head = end ? (size_t)(end - chunk->data) + 2 : chunk->bytes;
    if (head >= chunk->bytes || end[1] != 0)
        return PF_OK;
    uLongf size = PF_PICTURE_PROFILE_BYTES;
    *out = pf_alloc(size);
    if (!*out)
        return pf_fail_memory(error, c->name, size);
    int code = uncompress(*out, &size, chunk->data + head, chunk->bytes - head);
    *bytes = size;
    if (code == Z_OK)
        return PF_OK;
    pf_free(*out);
    *out = NULL;
    return code == Z_MEM_ERROR ? pf_fail_memory(error, c->name, size) : PF_OK;
}

/* Profiles of links, names and abstract effects convert nothing; one of grey needs a picture
 * of grey, and CMYK has been refused. */
static bool fits_picture(const colours *c, cmsHPROFILE profile)
{
    cmsProfileClassSignature kind = cmsGetDeviceClass(profile);
    cmsColorSpaceSignature space = cmsGetColorSpace(profile);
    return (kind == cmsSigInputClass || kind == cmsSigDisplayClass ||
            kind == cmsSigOutputClass || kind == cmsSigColorSpaceClass) &&
           (space == cmsSigRgbData ||
            (space == cmsSigGrayData && c->header->colours.grey));
}

/* The profile that the file carries.  A fault of it goes to `why`; memory alone fails. */
static pf_status open_embedded(colours *c, pf_error *error)
{
    size_t bytes = 0;
    uint8_t *data = NULL;
    PF_TRY(c->header->kind == PF_PICTURE_PNG ? inflate_profile(c, &data, &bytes, error)
                                             : join_parts(c, &data, &bytes, error));
    cmsHPROFILE profile =
        data ? cmsOpenProfileFromMemTHR(c->cms, data, (cmsUInt32Number)bytes) : NULL;
    pf_free(data);
    c->why = !profile ? "its colour profile is broken"
             : !fits_picture(c, profile) ? "its colour profile is for other pictures"
                                         : NULL;
    if (c->why && profile)
        cmsCloseProfile(profile);
    else
        c->profile = profile;
    return PF_OK;
}

/* --- colours by numbers ----------------------------------------------------------- */

/* x and y of white (D65), red, green, blue, in units of 1 / PNG_UNIT, as cHRM has them. */
static const int srgb_points[8] = {31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000};

/* IEC 61966-2-1 as Little CMS's type 4: ((x + 0.055) / 1.055)^2.4 from 0.04045 on, else
 * x / 12.92. */
static cmsToneCurve *srgb_curve(cmsContext cms)
{
    const double parameters[5] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
    return cmsBuildParametricToneCurve(cms, 4, parameters);
}

/* Makes a profile; gamma 0 stands for the curve of sRGB. */
static void open_numbers(colours *c, const int points[8], double gamma)
{
    const double u = PNG_UNIT;
    const cmsCIExyY white = {points[0] / u, points[1] / u, 1};
    const cmsCIExyYTRIPLE primaries = {{points[2] / u, points[3] / u, 1},
                                       {points[4] / u, points[5] / u, 1},
                                       {points[6] / u, points[7] / u, 1}};
    cmsToneCurve *curve = gamma > 0 ? cmsBuildGamma(c->cms, gamma) : srgb_curve(c->cms);
    cmsToneCurve *const curves[3] = {curve, curve, curve};
    if (curve)
        c->profile = cmsCreateRGBProfileTHR(c->cms, &white, &primaries, curves);
    if (!c->profile)
        c->why = "its chromaticities are those of no screen";
    cmsFreeToneCurve(curve);
}

/* Three corners with some area between them, and a white. */
static bool are_points_sound(const int p[8])
{
    for (int i = 0; i < 8; i++)
        if (p[i] < 0 || p[i] > PNG_UNIT)
            return false;
    double area = (double)(p[4] - p[2]) * (p[7] - p[3]) -
                  (double)(p[6] - p[2]) * (p[5] - p[3]);
    return p[1] > PNG_UNIT / 100 && (area > 1e7 || area < -1e7);
}

static void read_points(const pf_picture_bytes *chunk, int points[8])
{
    memcpy(points, srgb_points, sizeof srgb_points);
    for (int i = 0; chunk->data && i < 8; i++) {
        uint32_t value = big32(chunk->data + 4 * i);
        points[i] = value > INT32_MAX ? -1 : (int)value;
    }
}

static bool are_srgb_points(const int points[8])
{
    for (int i = 0; i < 8; i++)
        if (abs(points[i] - srgb_points[i]) > CHRM_SLACK)
            return false;
    return true;
}

/* gAMA (the file's exponent, 1 / 2.2 for most) and cHRM; either may be missing and is
 * sRGB's then.  Values near sRGB's are sRGB: writers round them differently. */
static void open_gamma(colours *c)
{
    const pf_picture_colours *given = &c->header->colours;
    int64_t gama = given->gama.data ? big32(given->gama.data) : SRGB_GAMA;
    int64_t off = gama > SRGB_GAMA ? gama - SRGB_GAMA : SRGB_GAMA - gama;
    bool srgb_gamma = off * GAMA_SLACK <= SRGB_GAMA;
    int points[8];
    read_points(&given->chrm, points);
    if (gama < PNG_UNIT / 10 || gama > 10 * PNG_UNIT)
        c->why = "its gamma is that of no screen";
    else if (!are_points_sound(points))
        c->why = "its chromaticities are those of no screen";
    else if (!srgb_gamma || !are_srgb_points(points))
        open_numbers(c, points, srgb_gamma ? 0 : (double)PNG_UNIT / (double)gama);
}

/* Code points of ITU-T H.273. */
enum {
    PRIMARIES_BT709 = 1, PRIMARIES_BT2020 = 9, PRIMARIES_P3 = 12,
    TRANSFER_GAMMA22 = 4, TRANSFER_LINEAR = 8, TRANSFER_PQ = 16, TRANSFER_HLG = 18
};

/* BT.709, BT.601, sRGB, BT.2020: all meant for screens like sRGB's. */
static bool is_screen_transfer(int transfer)
{
    return transfer == 1 || transfer == 6 || transfer == 13 || transfer == 14 ||
           transfer == 15;
}

/* cICP: primaries, transfer, matrix (0: RGB), full range (1).  HDR is refused rather than
 * ignored: its picture taken as sRGB would be flat and dark. */
static pf_status open_code_points(colours *c, pf_error *error)
{
    static const int bt2020[8] = {31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600};
    static const int p3[8] = {31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000};
    const uint8_t *code = c->header->colours.cicp.data;
    const int *points = code[0] == PRIMARIES_BT709    ? srgb_points
                        : code[0] == PRIMARIES_BT2020 ? bt2020
                        : code[0] == PRIMARIES_P3     ? p3
                                                      : NULL;
    double gamma = code[1] == TRANSFER_GAMMA22 ? 2.2
                   : code[1] == TRANSFER_LINEAR ? 1 : 0;
    if (code[1] == TRANSFER_PQ || code[1] == TRANSFER_HLG)
        return pf_fail(error, PF_E_UNSUPPORTED,
                       "%s is an HDR picture, which is not read; save it as sRGB",
                       c->name);
    if (!points || (gamma == 0 && !is_screen_transfer(code[1])) || code[2] != 0 ||
        code[3] != 1)
        c->why = "its colour description (cICP) is not known";
    else if (points != srgb_points || gamma > 0)
        open_numbers(c, points, gamma);
    return PF_OK;
}

/* Takes the most specific chunk, as the PNG specification orders them. */
static pf_status open_profile(colours *c, pf_error *error)
{
    const pf_picture_colours *given = &c->header->colours;
    if (given->cicp.data)
        PF_TRY(open_code_points(c, error));
    else if (given->profile_parts > 0)
        return open_embedded(c, error);
    else if (!given->srgb.data && (given->gama.data || given->chrm.data))
        open_gamma(c);
    return PF_OK;
}

/* --- conversion ------------------------------------------------------------------- */

/* Whether no colour of the cube changes by more than SEEN_LEVELS. */
static bool is_srgb(cmsHTRANSFORM transform, bool grey)
{
    for (int i = 0; i < CUBE * CUBE * CUBE; i++) {
        const uint8_t in[3] = {(uint8_t)(i % CUBE * STEP), (uint8_t)(i / CUBE % CUBE * STEP),
                               (uint8_t)(i / CUBE / CUBE * STEP)};
        uint8_t out[3];
        cmsDoTransform(transform, in, out, 1);
        for (int k = 0; k < 3; k++)
            if (abs(out[k] - in[grey ? 0 : k]) > SEEN_LEVELS)
                return false;
    }
    return true;
}

/* Every level on its own: Little CMS would interpolate between few of them. */
static void convert_grey(cmsHTRANSFORM transform, uint8_t *rgb, int64_t pixels)
{
    uint8_t levels[256], table[256][3];
    for (int i = 0; i < 256; i++)
        levels[i] = (uint8_t)i;
    cmsDoTransform(transform, levels, table, 256);
    for (int64_t i = 0; i < pixels; i++)
        memcpy(rgb + 3 * i, table[rgb[3 * i]], 3);
}

static void convert_pixels(cmsHTRANSFORM transform, bool grey,
                           const pf_picture_header *header, uint8_t *rgb)
{
    if (grey) {
        convert_grey(transform, rgb, header->width * header->height);
        return;
    }
    for (int64_t y = 0; y < header->height; y++, rgb += 3 * header->width)
        cmsDoTransform(transform, rgb, rgb, (cmsUInt32Number)header->width);
}

/* 8 bits to 8 bits, perceptual intent, as viewers and Pillow's profileToProfile do. */
static void convert(colours *c, uint8_t *rgb)
{
    bool grey = cmsGetColorSpace(c->profile) == cmsSigGrayData;
    cmsHPROFILE srgb = cmsCreate_sRGBProfileTHR(c->cms);
    cmsHTRANSFORM transform =
        srgb ? cmsCreateTransformTHR(c->cms, c->profile, grey ? TYPE_GRAY_8 : TYPE_RGB_8,
                                     srgb, TYPE_RGB_8, INTENT_PERCEPTUAL,
                                     grey ? cmsFLAGS_NOOPTIMIZE : 0)
             : NULL;
    if (srgb)
        cmsCloseProfile(srgb);
    if (!transform) {
        c->why = "its colour profile is broken";
        return;
    }
    if (!is_srgb(transform, grey))
        convert_pixels(transform, grey, c->header, rgb);
    cmsDeleteTransform(transform);
}

pf_status pf_picture_to_srgb(const pf_picture_header *header, const char *name,
                             uint8_t *rgb, char *note, pf_error *error)
{
    const pf_picture_colours *given = &header->colours;
    note[0] = '\0';
    if (!given->cicp.data && !given->profile_parts && !given->gama.data &&
        !given->chrm.data)
        return PF_OK;
    colours c = {.header = header, .name = name, .cms = cmsCreateContext(NULL, NULL)};
    if (!c.cms)
        return pf_fail_memory(error, name, 1);
    pf_status status = open_profile(&c, error);
    if (c.profile) {
        convert(&c, rgb);
        cmsCloseProfile(c.profile);
    }
    cmsDeleteContext(c.cms);
    if (c.why)
        snprintf(note, PF_PICTURE_NOTE_BYTES, "%s: %s; its colours are taken as sRGB", name,
                 c.why);
    return status;
}
