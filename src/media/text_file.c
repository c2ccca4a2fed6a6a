/* SPDX-License-Identifier: Apache-2.0 */
/* Text files and pipes.  See text_file.h.  A path may lead to a pipe, as in
 * --config <(command), so the text is read in one go and its length found by reading. */
#include "media/text_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

enum { FIRST_ROOM = 4096 };             /* bytes; doubled: a pipe does not tell its length */

/* Reads all and appends a NUL; stops one byte beyond the allowed number, which refuses. */
static pf_status read_stream(FILE *in, const char *name, size_t max_bytes, char **out,
                             size_t *out_bytes, pf_error *error)
{
    size_t room = 0, bytes = 0;
    char *text = NULL;
    do {
        room = room ? 2 * room : FIRST_ROOM;
        char *grown = pf_realloc(text, room + 1);
        if (!grown) {
            pf_free(text);
            return pf_fail_memory(error, name, room);
        }
        text = grown;
        bytes += fread(text + bytes, 1, room - bytes, in);
    } while (bytes == room && bytes <= max_bytes);
    text[bytes] = '\0';
    pf_status status = PF_OK;
    if (ferror(in) || pf_fault_hit(PF_FAULT_READ))
        status = pf_fail_errno(error, errno ? errno : EIO, "cannot read %s", name);
    else if (bytes > max_bytes)
        status = pf_fail(error, PF_E_INPUT, "%s has more than the %zu bytes allowed", name,
                         max_bytes);
    else
        status = pf_text_tidy(name, text, &bytes, error);
    if (status != PF_OK) {
        pf_free(text);
        return status;
    }
    *out = text;
    *out_bytes = bytes;
    return PF_OK;
}

pf_status pf_text_file_read(const char *path, const char *name, size_t max_bytes,
                            char **out, size_t *out_bytes, pf_error *error)
{
    *out = NULL;
    if (path && pf_path_is_folder(path))
        return pf_fail(error, PF_E_INPUT, "%s: it is a folder", name);
    FILE *in = path ? fopen(path, "re") : stdin;
    if (!in)
        return pf_fail_errno(error, errno, "cannot open %s", name);
    errno = 0;
    pf_status status = read_stream(in, name, max_bytes, out, out_bytes, error);
    if (path)
        fclose(in);
    return status;
}

void pf_text_file_free(char *text)
{
    pf_free(text);
}

const char *pf_text_file_begin(const char *text)
{
    return text ? text + pf_text_mark(text, strlen(text)) : NULL;
}
