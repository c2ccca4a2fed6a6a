/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 that clients send: checked, and repaired where it is only shown. */
#ifndef PF_SERVER_HTTP_UTF8_H
#define PF_SERVER_HTTP_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* @return whether text[bytes] is UTF-8: whole, shortest sequences and no surrogates. */
bool pf_utf8_is_valid(const char *text, size_t bytes);

/* Replaces each byte that belongs to no character by '?'. */
void pf_utf8_repair(char *text);

#endif
