#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/text/html_entities.c from Python's table of HTML5 entity names.

Usage: tools/make_html_entities.py > src/text/html_entities.c
"""
import html.entities

HEAD = '''/* SPDX-License-Identifier: Apache-2.0 */
/* HTML5 entity names, in order of name.  See html_entities.h.
 * Written by tools/make_html_entities.py; do not edit. */
#include "text/html_entities.h"

#include <stdlib.h>
#include <string.h>

static const pf_entity entities[] = {'''

TAIL = '''};

static int by_name(const void *key, const void *entity)
{
    return strcmp(key, ((const pf_entity *)entity)->name);
}

const char *pf_entity_text(const char *name)
{
    const pf_entity *found = bsearch(name, entities,
                                     sizeof entities / sizeof entities[0],
                                     sizeof entities[0], by_name);
    return found ? found->text : NULL;
}'''


def literal(text):
    return "".join("\\%03o" % byte for byte in text.encode())


def main():
    print(HEAD)
    line = "   "
    for name, text in sorted(html.entities.html5.items(), key=lambda e: e[0].encode()):
        entry = ' {"%s", "%s"},' % (name, literal(text))
        if len(line) + len(entry) > 100:
            print(line)
            line = "   "
        line += entry
    print(line)
    print(TAIL)


main()
