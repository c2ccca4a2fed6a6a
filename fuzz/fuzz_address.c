/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of webhooks and pictures: a host that is not listed is never allowed,
 * however it is written. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fuzz_main.h"
#include "server/outbound.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char url[512];
    if (size >= sizeof url || memchr(data, '\0', size))
        return 0;
    memcpy(url, data, size);
    url[size] = '\0';
    bool one = pf_outbound_allows("a.example", url);
    bool other = pf_outbound_allows("b.example:8080", url);
    if (one && other)
        abort();                        /* an address has one host */
    if (one && strncasecmp(url, "http", 4) != 0)
        abort();
    return 0;
}
