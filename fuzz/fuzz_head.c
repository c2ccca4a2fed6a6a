/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of requests: one is refused, or it is taken apart into texts that hold no line
 * ends and no control characters, with one host and one length. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fuzz_main.h"
#include "server/http/head.h"

static void check_text(const char *text)
{
    for (; *text; text++)
        if (*text == '\r' || *text == '\n')
            abort();
}

static void check(const pf_head *head)
{
    int hosts = 0;
    if (!head->method[0] || head->field_count > PF_HEAD_FIELDS ||
        head->argument_count > PF_HEAD_ARGUMENTS || (head->chunked && head->length >= 0))
        abort();
    for (int i = 0; i < head->field_count; i++) {
        check_text(head->fields[i].name);
        check_text(head->fields[i].value);
        hosts += strcasecmp(head->fields[i].name, "Host") == 0;
    }
    if (hosts != 1 || head->path[0] != '/')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pf_head head;
    pf_head_fault fault;
    size_t at = 0;
    int64_t length = 0, whole;
    /* A head ends at the same place, however it comes. */
    size_t again = 0;
    whole = pf_head_find((const char *)data, size, &again, &fault);
    for (size_t bytes = 1; bytes <= size && length == 0; bytes += 1 + bytes / 8)
        length = pf_head_find((const char *)data, bytes, &at, &fault);
    if (length == 0)
        length = pf_head_find((const char *)data, size, &at, &fault);
    if ((length > 0 || whole > 0) && length != whole)
        abort();
    if (length <= 0)
        return 0;
    char *text = malloc((size_t)length + 1);
    if (!text)
        return 0;
    memcpy(text, data, (size_t)length);
    text[length] = '\0';
    if (pf_head_parse(text, (size_t)length, &head, &fault))
        check(&head);
    else if (fault.status < 400 || !fault.message[0])
        abort();
    free(text);
    return 0;
}
