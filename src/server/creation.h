/* SPDX-License-Identifier: Apache-2.0 */
/* A creation: a request for a film between its first look and its acceptance.
 *
 * The functions are the steps; each returns false when it has replied, mostly with a
 * refusal.  Which lane takes which step: create.c.
 */
#ifndef PF_SERVER_CREATION_H
#define PF_SERVER_CREATION_H

#include "media/picture.h"
#include "server/api.h"
#include "server/order.h"

typedef struct pf_creation {
    pf_http_request *request;           /* whose context owns the creation */
    pf_api_context *context;
    pf_server *server;
    pf_fields fields;
    pf_order order;
    pf_video *original;                 /* of a remix; held */
    char hash[PF_DIGEST_HEX];           /* of the fields, for Idempotency-Key */
    pf_image first, last;               /* sizes of the pictures, without their pixels */
    char notes[2][PF_PICTURE_NOTE_BYTES];       /* parts of the pictures that were passed
                                                 * over, or "" */
    bool asked;                         /* the chat model, for a prompt */
    bool rewritten;                     /* and the settings have it */
    double predicted_seconds;
    pf_http_handler next;               /* when the film is accepted */
} pf_creation;

/* --- before the order is read ------------------------------------------------------- */

/* The key may make another film now (its rate). */
bool pf_creation_may_ask(pf_creation *c);
bool pf_creation_read_fields(pf_creation *c);
/* True when the request was made before (its video is the context's then), or has a
 * reply. */
bool pf_creation_is_repeated(pf_creation *c);
/* Disk and queue have room for one more film, and the server goes on.  Asked after
 * pf_creation_is_repeated: a film that was accepted before is told, however little room
 * there is by now. */
bool pf_creation_has_room(pf_creation *c);

/* --- the order ---------------------------------------------------------------------- */

bool pf_creation_read_order(pf_creation *c);
/* A remix: the original's settings with other prompts, and perhaps another seed. */
bool pf_creation_take_remix(pf_creation *c);
/* A remix: the original's pictures, from their files. */
bool pf_creation_take_pictures(pf_creation *c);
/* Fetches pictures by address, of which there may be none. */
bool pf_creation_fetch_pictures(pf_creation *c);
/* Decodes the pictures: whether they are some, and how large. */
bool pf_creation_decode_pictures(pf_creation *c);
/* The engine can make the film, and the webhook's host is allowed.  A rewritten prompt that it
 * cannot use gives way to the user's own. */
bool pf_creation_is_sound(pf_creation *c);
/* Whether the prompt is still to be rewritten. */
bool pf_creation_wants_rewriting(const pf_creation *c);
/* Asks the chat model: the settings have another prompt, or why not.  False also when the
 * client has left or the server closes. */
bool pf_creation_rewrite(pf_creation *c);
/* The film is made from the user's words, and tells why. */
pf_status pf_creation_keep_words(pf_creation *c, const char *why, pf_error *error);
/* Replies with the warnings of a film of these fields. */
void pf_creation_look(pf_creation *c);

/* --- the film ----------------------------------------------------------------------- */

/* Writes the film's files and its row: the context has the video then, or the request a
 * reply. */
void pf_creation_accept(pf_creation *c);

/* Frees the creation. */
void pf_creation_free(pf_creation *c);

#endif
