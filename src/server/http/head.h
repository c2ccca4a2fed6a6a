/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an HTTP/1 request: request line and headers, as RFC 9112 has them, and
 * nothing beside.  Bytes that another reader, such as a proxy, could take for another
 * request are refused: lines that end with a bare LF or CR, folded headers, blanks before
 * the colon, control characters, two lengths, a length beside chunks, doubled headers of
 * which one alone counts, hosts that are none.
 */
#ifndef PF_SERVER_HEAD_H
#define PF_SERVER_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PF_HEAD_BYTES = 32 << 10,           /* with the empty line at its end */
    PF_HEAD_LINE = 8 << 10,             /* the request line */
    PF_HEAD_FIELDS = 100,
    PF_HEAD_ARGUMENTS = 64
};

typedef struct pf_head_field {
    const char *name, *value;
} pf_head_field;

typedef struct pf_head {
    const char *method, *path;          /* the path without its %XX; %2F and %00 stay */
    int minor;                          /* of HTTP/1.minor: 0, or 1 for all later ones */
    pf_head_field fields[PF_HEAD_FIELDS];
    int field_count;
    pf_head_field arguments[PF_HEAD_ARGUMENTS];     /* of the query; "" without a = */
    int argument_count;
    bool chunked;
    int64_t length;                     /* of the body; -1: there is no Content-Length */
    bool expects;                       /* 100-continue */
    bool keeps;                         /* the client keeps the connection open */
} pf_head;

typedef struct pf_head_fault {
    int status;
    const char *param;                  /* the header, or NULL */
    char message[240];
} pf_head_fault;

/* Looks for the end of a head in text[bytes].  @return its length with the empty line; 0:
 * more has to come; -1: this is no head.  *at is 0 at first, and kept between calls. */
int64_t pf_head_find(const char *text, size_t bytes, size_t *at, pf_head_fault *fault);

/* Takes apart text[length], as pf_head_find measured it, in place: `out` points into it.
 * Headers that were read before a fault are in `out`. */
bool pf_head_parse(char *text, size_t length, pf_head *out, pf_head_fault *fault);

/* The first header of that name, whatever its case; NULL: there is none. */
const char *pf_head_get(const pf_head *head, const char *name);

/* Decodes %41 to A, in place.  Malformed codes and %00 stay as they are; so does %2F,
 * unless `slashes`. */
void pf_head_unescape(char *text, bool slashes);

#endif
