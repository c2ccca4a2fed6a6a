/* SPDX-License-Identifier: Apache-2.0 */
/* Tracing the first character of the prompt.  See trace.h. */
#include "text/trace.h"

#include "text/buffer.h"

void pf_trace_begin(pf_trace *trace, const char *text, size_t bytes, size_t start)
{
    *trace = (pf_trace){.text = text, .bytes = bytes, .old_start = start};
}

/* Goes over an old character; at the end there is none left, which a miscounted change
 * (charsmap.c) can bring about. */
static void skip(pf_trace *trace)
{
    if (trace->at < trace->bytes)
        pf_utf8_next(trace->text, trace->at, &trace->at);
}

/* Places the character that was held back.  Once a character stands for an old one behind
 * the first, all after it do, too (`past`). */
static void settle(pf_trace *trace)
{
    if (!trace->pending)
        return;
    trace->pending = false;
    size_t place = trace->at;
    if (trace->change > 0 && place > 0)
        place--;                        /* shares the place of the one before */
    if (place >= trace->old_start)
        trace->past = true;
    if (!trace->past)
        trace->start += trace->length;
    for (long i = trace->change; i <= 0; i++)
        skip(trace);
}

void pf_trace_add(pf_trace *trace, size_t length, long change)
{
    settle(trace);
    trace->pending = true;
    trace->length = length;
    trace->change = change;
}

bool pf_trace_amend(pf_trace *trace, long change)
{
    if (trace->pending)
        trace->change += change;
    return trace->pending;
}

size_t pf_trace_end(pf_trace *trace)
{
    settle(trace);
    return trace->start;
}
