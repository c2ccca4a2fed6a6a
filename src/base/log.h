/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings on their way to whoever embeds the library; it never prints itself. */
#ifndef PF_BASE_LOG_H
#define PF_BASE_LOG_H

/* Takes a line of UTF-8 without a newline; called from any thread. */
typedef void (*pf_log_sink)(void *user, const char *line);

typedef struct pf_log {
    pf_log_sink sink;               /* NULL: nobody listens */
    void *user;
} pf_log;

/* A zeroed or NULL log drops the line. */
void pf_warn(const pf_log *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
