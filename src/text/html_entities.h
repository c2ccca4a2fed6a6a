/* SPDX-License-Identifier: Apache-2.0 */
/* The HTML5 names of characters.  docs/model/text.md#cleaning. */
#ifndef PF_TEXT_HTML_ENTITIES_H
#define PF_TEXT_HTML_ENTITIES_H

typedef struct pf_entity {
    const char *name;                   /* "amp;", or "amp" where HTML allows that */
    const char *text;                   /* UTF-8 */
} pf_entity;

/* The text of a name with (or, for old names, without) its semicolon; or NULL. */
const char *pf_entity_text(const char *name);

#endif
