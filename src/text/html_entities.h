/* SPDX-License-Identifier: Apache-2.0 */
/* The HTML5 names of characters, as html.entities.html5 of Python has them (the list of the
 * HTML standard).  docs/model/text.md#cleaning. */
#ifndef PF_TEXT_HTML_ENTITIES_H
#define PF_TEXT_HTML_ENTITIES_H

typedef struct pf_entity {
    const char *name;                   /* "amp;", or "amp" where HTML allows that */
    const char *text;                   /* UTF-8 */
} pf_entity;

/* The text (one or two characters) of a name with or, for the names of HTML 4 and older,
 * without its semicolon; or NULL.  Upper and lower case are different names. */
const char *pf_entity_text(const char *name);

#endif
