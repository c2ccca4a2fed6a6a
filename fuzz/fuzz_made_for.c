/* SPDX-License-Identifier: Apache-2.0 */
/* The purpose of a model, and prompts judged by it: the first line is made_for as JSON,
 * the rest a prompt, as far as it is UTF-8. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fuzz_main.h"
#include "pipeline/purpose.h"
#include "text/buffer.h"

/* Lists end within their room. */
static void judge(const pf_made_for *m, const char *prompt)
{
    char names[24];
    for (size_t room = 1; room <= sizeof names; room += 23) {
        pf_made_for_name_languages(m, names, room);
        if (strnlen(names, room) == room)
            abort();
        pf_made_for_name_subjects(m, names, room);
        if (strnlen(names, room) == room)
            abort();
    }
    const char *script = pf_made_for_foreign_script(m, prompt);
    if (script && (m->language_count == 0 || !*prompt))
        abort();
    if (pf_made_for_lacks_subject(m, prompt) && m->subject_count == 0)
        abort();
    if (pf_made_for_knows_few(m, prompt) && !m->words)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    size_t head = line ? (size_t)(line - data) : size;
    size_t rest = line ? size - head - 1 : 0;
    json_t *config = json_object();
    json_object_set_new(config, "made_for",
                        json_loadb((const char *)data, head, JSON_DECODE_ANY, NULL));
    pf_error error = {0};
    pf_made_for *m = NULL;
    pf_status status = pf_made_for_read(config, "config", &m, &error);
    if ((status != PF_OK) != (error.message[0] != '\0'))
        abort();
    char *prompt = pf_alloc(rest + 1);
    if (!prompt)
        abort();
    if (rest)
        memcpy(prompt, line + 1, rest);
    prompt[pf_utf8_valid_prefix(prompt, rest)] = '\0';
    if (status == PF_OK && m)
        judge(m, prompt);
    pf_free(prompt);
    pf_made_for_free(m);
    json_decref(config);
    return 0;
}
