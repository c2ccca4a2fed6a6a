/* SPDX-License-Identifier: Apache-2.0 */
/* JPEG to RGB through libjpeg-turbo, with the settings that Pillow leaves alone:
 * the accurate integer IDCT and smooth chroma upsampling.
 * docs/model/image.md#decoding.
 *
 * libjpeg goes on after damage and only counts warnings; here the first one ends it.
 * libjpeg reports a failure by a function that must not return: give_up jumps back to
 * read_rows.  So read_rows allocates nothing and changes no variable of its own behind
 * setjmp; libjpeg's memory is freed by the caller, whatever happened.
 */
#include <setjmp.h>
#include <stdio.h>
/* jpeglib.h needs the line above. */
#include <jerror.h>
#include <jpeglib.h>

#include "media/picture_parts.h"

typedef struct failure {
    struct jpeg_error_mgr base;         /* first: libjpeg knows only this */
    jmp_buf escape;
    bool no_memory;
    char reason[JMSG_LENGTH_MAX];
} failure;

static void give_up(j_common_ptr jpeg)
{
    failure *f = (failure *)jpeg->err;
    f->no_memory = f->base.msg_code == JERR_OUT_OF_MEMORY;
    f->base.format_message(jpeg, f->reason);
    longjmp(f->escape, 1);
}

/* Odd, but every pixel is as it was meant. */
static bool is_harmless(int code)
{
    return code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM ||
           code == JWRN_JFIF_MAJOR || code == JWRN_BOGUS_PROGRESSION;
}

/* A negative level is a warning, the others are chatter. */
static void hear(j_common_ptr jpeg, int level)
{
    if (level < 0 && !is_harmless(jpeg->err->msg_code))
        give_up(jpeg);
}

/* Decodes to rgb.  False: f->reason or f->no_memory says why. */
static bool read_rows(struct jpeg_decompress_struct *jpeg, failure *f,
                      const uint8_t *data, const pf_picture_header *header, uint8_t *rgb)
{
    if (setjmp(f->escape))
        return false;
    jpeg_create_decompress(jpeg);
    jpeg_mem_src(jpeg, data, (unsigned long)header->bytes);
    jpeg_read_header(jpeg, TRUE);
    jpeg->out_color_space = JCS_RGB;
    jpeg_start_decompress(jpeg);
    if (jpeg->output_width != header->width || jpeg->output_height != header->height) {
        snprintf(f->reason, sizeof f->reason, "it has two sizes");
        return false;
    }
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = rgb + (size_t)jpeg->output_scanline * 3 * jpeg->output_width;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
    return true;
}

pf_status pf_picture_decode_jpeg(const uint8_t *data, const pf_picture_header *header,
                                 const char *name, uint8_t *rgb, pf_error *error)
{
    struct jpeg_decompress_struct jpeg = {0};
    failure f = {0};
    jpeg.err = jpeg_std_error(&f.base);
    f.base.error_exit = give_up;
    f.base.emit_message = hear;
    bool good = read_rows(&jpeg, &f, data, header, rgb);
    jpeg_destroy_decompress(&jpeg);
    if (good)
        return PF_OK;
    if (f.no_memory)
        return pf_fail(error, PF_E_MEMORY, "%s: out of memory: JPEG decoder", name);
    return pf_fail(error, PF_E_INPUT, "%s is damaged: %s", name, f.reason);
}
