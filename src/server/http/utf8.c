/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8.  See utf8.h. */
#include "server/http/utf8.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the character at s; 0: no character begins there. */
static size_t character(const unsigned char *s, size_t bytes)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    unsigned c = s[0];
    int more = c < 0x80 ? 0 : c >> 5 == 6 ? 1 : c >> 4 == 14 ? 2 : c >> 3 == 30 ? 3 : -1;
    if (more < 0 || (size_t)more >= bytes)
        return 0;
    uint32_t point = more ? c & (0x3fu >> more) : c;
    for (int k = 1; k <= more; k++) {
        if (s[k] >> 6 != 2)
            return 0;
        point = point << 6 | (s[k] & 0x3fu);
    }
    bool sound = point >= least[more] && point <= 0x10ffff &&
                 (point < 0xd800 || point >= 0xe000);
    return sound ? (size_t)more + 1 : 0;
}

bool pf_utf8_is_valid(const char *text, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        size_t length = character((const unsigned char *)text + at, bytes - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

void pf_utf8_repair(char *text)
{
    size_t bytes = strlen(text);
    for (size_t at = 0; at < bytes;) {
        size_t length = character((const unsigned char *)text + at, bytes - at);
        if (length == 0)
            text[at] = '?';
        at += length ? length : 1;
    }
}
