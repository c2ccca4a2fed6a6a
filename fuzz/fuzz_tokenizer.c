/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json: refused with a message, or every text gives ids of its vocabulary. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_main.h"
#include "input_file.h"
#include "text/tokenizer.h"

enum { MOST = 64 };

static const char *const texts[] = {
    "",
    "a film  of the sea </s> <extra_id_0>\xc2\xa0<unk>",
    "\xe2\x96\x81\xe2\x96\x81 e\xcc\x81 \xef\xac\x81 \xe1\x84\x80\xe1\x85\xa1",
    "\xe2\x98\x83\xf0\x9f\x98\x80\x01\r\n[m] word words ",
};

static void encode(const pf_tokenizer *tokenizer, const char *text, int64_t most)
{
    int32_t ids[MOST];
    int64_t count = -1;
    pf_error error = {0};
    if (pf_tokenizer_encode(tokenizer, text, ids, most, &count, &error) != PF_OK) {
        if (error.message[0] == '\0')
            abort();
        return;
    }
    if (count < 0 || count > most)
        abort();
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= pf_tokenizer_vocabulary(tokenizer))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_file input;
    pf_tokenizer *tokenizer = NULL;
    pf_error error = {0};
    if (!input_file_open(&input, data, size))
        abort();
    if (pf_tokenizer_open(input.path, &tokenizer, &error) != PF_OK) {
        if (error.message[0] == '\0' || tokenizer)
            abort();
    }
    for (size_t i = 0; tokenizer && i < sizeof texts / sizeof texts[0]; i++) {
        encode(tokenizer, texts[i], MOST);
        encode(tokenizer, texts[i], 1);
    }
    pf_tokenizer_close(tokenizer);
    input_file_close(&input);
    return 0;
}
