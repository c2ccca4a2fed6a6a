/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of chat models: refused with a sentence, or one tidy line of text. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "chat/answer.h"
#include "fuzz_main.h"

static bool is_tidy(const char *text)
{
    size_t bytes = strlen(text);
    if (bytes == 0 || bytes > PF_ANSWER_PROMPT_BYTES || text[0] == ' ' ||
        text[bytes - 1] == ' ' || strstr(text, "  "))
        return false;
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pf_error error = {0};
    char *prompt = NULL;
    if (pf_answer_read((const char *)data, size, &prompt, &error) == PF_OK) {
        if (!is_tidy(prompt))
            abort();
    } else if (error.message[0] == '\0' || prompt) {
        abort();                        /* a refusal without a sentence */
    }
    pf_free(prompt);
    return 0;
}
