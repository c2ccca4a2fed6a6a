/* SPDX-License-Identifier: Apache-2.0 */
/* Write-ahead logs: sound, or refused with a sentence. */
#include <stdlib.h>

#include "fuzz_main.h"
#include "input_file.h"
#include "server/wal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_file file;
    pf_error error = {0};
    if (input_file_open(&file, data, size) && pf_wal_check(file.path, &error) != PF_OK &&
        error.message[0] == '\0')
        abort();
    input_file_close(&file);
    return 0;
}
