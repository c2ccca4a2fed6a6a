/* Error messages.  See error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const status_text[] = {
#define PF_STATUS_TEXT(symbol, text, http) text,
    PF_STATUS_LIST(PF_STATUS_TEXT)
#undef PF_STATUS_TEXT
};

static const int status_http[] = {
#define PF_STATUS_HTTP(symbol, text, http) http,
    PF_STATUS_LIST(PF_STATUS_HTTP)
#undef PF_STATUS_HTTP
};

const char *pf_status_text(pf_status status)
{
    if ((unsigned)status >= PF_STATUS_COUNT)
        return "unknown status";
    return status_text[status];
}

int pf_status_http(pf_status status)
{
    if ((unsigned)status >= PF_STATUS_COUNT)
        return 500;
    return status_http[status];
}

/* A message may quote somebody's file: it stays one line, and harmless to terminals. */
static void keep_printable(char *message)
{
    for (; *message; message++)
        if ((unsigned char)*message < 0x20 || *message == 0x7f)
            *message = '?';
}

pf_status pf_fail(pf_error *error, pf_status status, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->message, sizeof error->message, format, args);
        va_end(args);
        keep_printable(error->message);
        error->status = status;
    }
    return status;
}

static pf_status status_of_errno(int error_number)
{
    switch (error_number) {
    case ENOMEM: return PF_E_MEMORY;
    case ENOSPC:
    case EDQUOT: return PF_E_NO_SPACE;
    case ENOENT:
    case ENOTDIR: return PF_E_NOT_FOUND;
    default: return PF_E_IO;
    }
}

pf_status pf_fail_errno(pf_error *error, int error_number,
                        const char *format, ...)
{
    pf_status status = status_of_errno(error_number);
    if (error) {
        char what[400];
        char buffer[96];
        va_list args;
        va_start(args, format);
        vsnprintf(what, sizeof what, format, args);
        va_end(args);
        const char *text = strerror_r(error_number, buffer, sizeof buffer);
        snprintf(error->message, sizeof error->message, "%s: %s", what, text);
        keep_printable(error->message);
        error->status = status;
    }
    return status;
}

pf_status pf_fail_memory(pf_error *error, const char *what,
                         unsigned long long bytes)
{
    return pf_fail(error, PF_E_MEMORY, "out of memory: %s (%llu bytes)",
                   what, bytes);
}
