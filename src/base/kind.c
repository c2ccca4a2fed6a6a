/* SPDX-License-Identifier: Apache-2.0 */
/* Files by their first bytes.  See kind.h. */
#include "base/kind.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum { HEAD_BYTES = 512, TAR_MAGIC_AT = 257, QUOTED_BYTES = 48 };

static const char again[] = "download it again";
static const char unpack[] = "unpack it, and give what was in it";
static const char convert[] = "give safetensors";
static const char other_picture[] = "convert it";
static const char a_frame[] = "save one of its frames";

typedef struct signature {
    const char *bytes;
    size_t count, at;
    const char *what, *advice;
} signature;

#define BEGINS(text) text, sizeof(text) - 1, 0

/* The first that matches counts: special ones stand before what they also begin with (CR2
 * before TIFF). */
static const signature signatures[] = {
    {BEGINS("version https://git-lfs.github.com/spec/"),
     "a Git LFS pointer, not the file itself",
     "run git lfs pull in its repository, or download the file"},
    {BEGINS("GGUF"), "GGUF", convert},
    {BEGINS("\x89HDF\r\n\x1a\n"), "HDF5", convert},
    {BEGINS("\x93NUMPY"), "a NumPy array", convert},
    {BEGINS("PK\x03\x04"), "a zip archive, as the files of torch.save are",
     "give safetensors; unpack a model that was packed"},
    {BEGINS("PK\x05\x06"), "an empty zip archive", again},
    {BEGINS("\x80\x02"), "a pickle, as old files of torch.save are", convert},
    {BEGINS("\x80\x03"), "a pickle of Python", convert},
    {BEGINS("\x80\x04"), "a pickle of Python", convert},
    {BEGINS("\x80\x05"), "a pickle of Python", convert},
    {BEGINS("\x1f\x8b"), "compressed with gzip", unpack},
    {BEGINS("\xfd""7zXZ"), "compressed with xz", unpack},
    {BEGINS("\x28\xb5\x2f\xfd"), "compressed with zstd", unpack},
    {BEGINS("BZh"), "compressed with bzip2", unpack},
    {BEGINS("7z\xbc\xaf\x27\x1c"), "a 7-Zip archive", unpack},
    {BEGINS("Rar!\x1a\x07"), "a RAR archive", unpack},
    {"ustar", 5, TAR_MAGIC_AT, "a tar archive", unpack},
    {BEGINS("\x89PNG\r\n\x1a\n"), "a PNG picture", again},
    {BEGINS("\xff\xd8\xff"), "a JPEG picture", again},
    {BEGINS("GIF8"), "a GIF picture", other_picture},
    {BEGINS("BM"), "a BMP picture", other_picture},
    {BEGINS("II*\0\x10\0\0\0CR"), "a raw picture of a camera (CR2)", other_picture},
    {BEGINS("II*\0"), "a TIFF, or a raw picture of a camera", other_picture},
    {BEGINS("MM\0*"), "a TIFF, or a raw picture of a camera", other_picture},
    {BEGINS("II+\0"), "a TIFF picture", other_picture},
    {BEGINS("MM\0+"), "a TIFF picture", other_picture},
    {BEGINS("IIRO"), "a raw picture of a camera (ORF)", other_picture},
    {BEGINS("IIU\0"), "a raw picture of a camera (RW2)", other_picture},
    {BEGINS("FUJIFILMCCD-RAW"), "a raw picture of a camera (RAF)", other_picture},
    {BEGINS("\0MRM"), "a raw picture of a camera (MRW)", other_picture},
    {BEGINS("FOVb"), "a raw picture of a camera (X3F)", other_picture},
    {BEGINS("\xff\x0a"), "a JPEG XL picture", other_picture},
    {BEGINS("\0\0\0\x0cJXL "), "a JPEG XL picture", other_picture},
    {BEGINS("\0\0\0\x0cjP  "), "a JPEG 2000 picture", other_picture},
    {BEGINS("\xff\x4f\xff\x51"), "a JPEG 2000 picture", other_picture},
    {BEGINS("8BPS"), "a Photoshop file", other_picture},
    {BEGINS("gimp xcf"), "a GIMP file", other_picture},
    {BEGINS("\0\0\1\0"), "an icon", other_picture},
    {BEGINS("DDS "), "a DDS texture", other_picture},
    {BEGINS("qoif"), "a QOI picture", other_picture},
    {BEGINS("v/1\1"), "an OpenEXR picture", other_picture},
    {BEGINS("#?RADIANCE"), "a Radiance HDR picture", other_picture},
    {BEGINS("\x8bJNG"), "a JNG picture", other_picture},
    {BEGINS("%PDF"), "a PDF document", other_picture},
    {BEGINS("%!PS"), "a PostScript file", other_picture},
    {BEGINS("\x1a\x45\xdf\xa3"), "a film (WebM or Matroska)", a_frame},
    {"AVI ", 4, 8, "a film (AVI)", a_frame},
    {"WAVE", 4, 8, "a sound (WAV)", NULL},
};

/* Texts, after white space, in any case. */
static const signature markups[] = {
    {BEGINS("<svg"), "an SVG drawing", other_picture},
    {BEGINS("<!doctype html"), "a web page (HTML), not the file itself", again},
    {BEGINS("<html"), "a web page (HTML), not the file itself", again},
    {BEGINS("<head"), "a web page (HTML), not the file itself", again},
    {BEGINS("<!--"), "a web page (HTML), not the file itself", again},
    {BEGINS("<?xml"), "an XML text, perhaps the error of a download", again},
    {BEGINS("<error"), "an XML text, perhaps the error of a download", again},
    {BEGINS("{"), "JSON text, perhaps the error of a download", again},
};

/* Brands in the first box of ISO media, special ones first; each begins so. */
static const signature brands[] = {
    {BEGINS("avi"), "an AVIF picture", other_picture},
    {BEGINS("crx"), "a raw picture of a camera (CR3)", other_picture},
    {BEGINS("hei"), "a HEIC picture (HEIF, of a phone)", other_picture},
    {BEGINS("hev"), "a HEIC picture (HEIF, of a phone)", other_picture},
    {BEGINS("mif1"), "a HEIC picture (HEIF, of a phone)", other_picture},
    {BEGINS("msf1"), "a HEIC picture (HEIF, of a phone)", other_picture},
};
static const signature other_brand = {BEGINS("ftyp"), "a film (MP4 or QuickTime)", a_frame};

static bool write_kind(const signature *s, char out[PF_KIND_BYTES])
{
    snprintf(out, PF_KIND_BYTES, "%s%s%s", s->what, s->advice ? ": " : "",
             s->advice ? s->advice : "");
    return true;
}

/* The kind of a box "ftyp", which lists the brands that the file obeys. */
static const signature *kind_of_boxes(const char *data, size_t bytes)
{
    const unsigned char *size = (const unsigned char *)data;
    size_t end = (size_t)size[2] << 8 | size[3];
    end = end < bytes ? end : bytes;
    for (size_t i = 0; i < sizeof brands / sizeof brands[0]; i++)
        for (size_t at = 8; at + 4 <= end; at += 4)
            if (memcmp(data + at, brands[i].bytes, brands[i].count) == 0)
                return &brands[i];
    return &other_brand;
}

static bool is_zero(const char *data, size_t bytes)
{
    size_t at = 0;
    while (at < bytes && !data[at])
        at++;
    return at == bytes;
}

/* Any other text, such as a server's page about a file that it does not give. */
static bool quote_text(const char *data, size_t bytes, char out[PF_KIND_BYTES])
{
    size_t line = 0, most = bytes < QUOTED_BYTES ? bytes : QUOTED_BYTES;
    while (line < most && data[line] >= ' ' && data[line] <= '~')
        line++;
    if (line < 4 || (line < most && data[line] != '\n' && data[line] != '\r'))
        return false;
    snprintf(out, PF_KIND_BYTES, "text that begins \"%.*s\": %s", (int)line, data, again);
    return true;
}

bool pf_kind_describe(const void *content, size_t bytes, char out[PF_KIND_BYTES])
{
    const char *data = content;
    size_t mark = pf_text_mark(data, bytes);
    data += mark;
    bytes -= mark;
    if (bytes == 0) {
        snprintf(out, PF_KIND_BYTES, "empty: %s", again);
        return true;
    }
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
        const signature *s = &signatures[i];
        if (bytes >= s->at + s->count && memcmp(data + s->at, s->bytes, s->count) == 0)
            return write_kind(s, out);
    }
    if (bytes >= 12 && memcmp(data + 4, "ftyp", 4) == 0)
        return write_kind(kind_of_boxes(data, bytes), out);
    const char *encoding = pf_text_other_encoding(data, bytes);
    if (encoding) {
        snprintf(out, PF_KIND_BYTES, "%s: save it as UTF-8", encoding);
        return true;
    }
    size_t head = bytes < HEAD_BYTES ? bytes : HEAD_BYTES, space = 0;
    if (is_zero(data, head)) {
        snprintf(out, PF_KIND_BYTES, "full of zeros, as an unfinished download is: %s",
                 again);
        return true;
    }
    while (space < head && isspace((unsigned char)data[space]))
        space++;
    if (head - space > 5 && memcmp(data + space, "<?xml", 5) == 0 &&
        memmem(data + space, head - space, "<svg", 4))
        space = (size_t)((const char *)memmem(data, head, "<svg", 4) - data);
    for (size_t i = 0; i < sizeof markups / sizeof markups[0]; i++)
        if (bytes - space >= markups[i].count &&
            strncasecmp(data + space, markups[i].bytes, markups[i].count) == 0)
            return write_kind(&markups[i], out);
    return quote_text(data + space, head - space, out);
}

bool pf_kind_is_unfinished_name(const char *name)
{
    static const char *const endings[] = {".incomplete", ".part", ".partial", ".aria2",
                                          ".crdownload", ".download", ".opdownload",
                                          ".tmp", ".!qB", ".filepart"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t tail = strlen(endings[i]);
        if (length > tail && strcmp(name + length - tail, endings[i]) == 0)
            return true;
    }
    return false;
}
