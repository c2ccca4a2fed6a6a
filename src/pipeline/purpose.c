/* SPDX-License-Identifier: Apache-2.0 */
/* Purposes of models.  See purpose.h. */
#include "pipeline/purpose.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "text/buffer.h"

enum { MOST_SIDE = 16384, MOST_FRAMES = 4093, ABOUT_BYTES = 200, WORD_BYTES = 64 };

/* --- letters ------------------------------------------------------------------- */

typedef enum script {
    NO_SCRIPT, LATIN, GREEK, CYRILLIC, HEBREW, ARABIC, DEVANAGARI, THAI, HANGUL, KANA, HAN,
    SCRIPTS
} script;

static const char *const script_names[SCRIPTS] = {
    NULL, "Latin", "Greek", "Cyrillic", "Hebrew", "Arabic", "Devanagari", "Thai", "Korean",
    "Japanese", "Chinese"};

/* Blocks of letters, ascending. */
static const struct {
    uint32_t first, last;
    script is;
} blocks[] = {
    {'A', 'Z', LATIN}, {'a', 'z', LATIN}, {0xC0, 0x24F, LATIN}, {0x370, 0x3FF, GREEK},
    {0x400, 0x52F, CYRILLIC}, {0x591, 0x5F4, HEBREW}, {0x600, 0x6FF, ARABIC},
    {0x900, 0x97F, DEVANAGARI}, {0xE00, 0xE7F, THAI}, {0x1100, 0x11FF, HANGUL},
    {0x1E00, 0x1EFF, LATIN}, {0x1F00, 0x1FFF, GREEK}, {0x3041, 0x30FF, KANA},
    {0x3400, 0x9FFF, HAN}, {0xAC00, 0xD7A3, HANGUL}, {0xF900, 0xFAFF, HAN},
    {0x20000, 0x3FFFF, HAN},
};

static script script_of(uint32_t code)
{
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        if (code >= blocks[i].first && code <= blocks[i].last)
            return blocks[i].is;
    return NO_SCRIPT;
}

/* Letters, digits, and the punctuation that stands within words. */
static bool is_of_word(uint32_t code)
{
    return (code >= '0' && code <= '9') || code == '\'' || code == '-' ||
           script_of(code) != NO_SCRIPT;
}

/* The next word of a text that has a letter, with ASCII in lower case and without quotes
 * and hyphens at its end; cut at WORD_BYTES - 1.  False at the end. */
static bool next_word(const char **text, char out[WORD_BYTES])
{
    bool letters = false;
    do {
        size_t bytes = 0, next;
        letters = false;
        while (**text && script_of(pf_utf8_next(*text, 0, &next)) == NO_SCRIPT)
            *text += next;
        for (uint32_t code; **text && is_of_word(code = pf_utf8_next(*text, 0, &next));
             *text += next) {
            letters = true;
            if (bytes + next < WORD_BYTES)
                for (size_t i = 0; i < next; i++)
                    out[bytes++] = (char)tolower((unsigned char)(*text)[i]);
        }
        while (bytes > 0 && strchr("'-", out[bytes - 1]))
            bytes--;
        out[bytes] = '\0';
    } while (letters && !out[0]);
    return letters;
}

/* --- reading ------------------------------------------------------------------- */

/* "FILE: made_for.KEY is VALUE, but must be WANTED". */
static pf_status wrong(const char *name, const char *key, const json_t *value,
                       const char *wanted, pf_error *error)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    pf_status status = pf_fail(error, PF_E_MODEL, "%s: made_for.%s is %.60s, but must be %s",
                               name, key, text ? text : "something", wanted);
    free(text);
    return status;
}

/* A list of 1 to PF_MADE_FOR_MOST entries, or nothing (*out is NULL then). */
static pf_status find_list(const json_t *object, const char *name, const char *key,
                           const char *wanted, const json_t **out, pf_error *error)
{
    *out = json_object_get(object, key);
    if (!*out || json_is_null(*out)) {
        *out = NULL;
        return PF_OK;
    }
    if (json_is_array(*out) && json_array_size(*out) > 0)
        return PF_OK;
    return wrong(name, key, *out, wanted, error);
}

/* "WIDTHxHEIGHT", such as 64x64. */
static bool parse_size(const char *text, pf_size *out)
{
    char end;
    return text && *text >= '1' && *text <= '9' &&
           sscanf(text, "%5dx%5d%c", &out->width, &out->height, &end) == 2 &&
           strspn(text, "0123456789x") == strlen(text) && out->width <= MOST_SIDE &&
           out->height >= 1 && out->height <= MOST_SIDE;
}

static pf_status read_sizes(const json_t *object, const char *name, pf_made_for *m,
                            pf_error *error)
{
    static const char wanted[] = "a list of 1 to 32 sizes such as \"64x64\"";
    const json_t *list;
    PF_TRY(find_list(object, name, "sizes", wanted, &list, error));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        if (i == PF_MADE_FOR_MOST ||
            !parse_size(json_string_value(value), &m->sizes[m->size_count]))
            return wrong(name, "sizes", value, wanted, error);
        m->size_count++;
    }
    return PF_OK;
}

static pf_status read_frames(const json_t *object, const char *name, pf_made_for *m,
                             pf_error *error)
{
    static const char wanted[] = "a list of 1 to 32 whole numbers from 1 to 4093";
    const json_t *list;
    PF_TRY(find_list(object, name, "num_frames", wanted, &list, error));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        json_int_t frames = json_integer_value(value);
        if (i == PF_MADE_FOR_MOST || frames < 1 || frames > MOST_FRAMES)
            return wrong(name, "num_frames", value, wanted, error);
        m->num_frames[m->num_frames_count++] = (int)frames;
    }
    return PF_OK;
}

/* "en", "pt-BR": letters first, then letters and digits between hyphens. */
static bool is_language(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    size_t first = text ? strspn(text, letters) : 0;
    return first >= 2 && first <= 3 && strlen(text) <= 35 &&
           (!text[first] || (text[first] == '-' && isalnum((unsigned char)text[first + 1])));
}

static pf_status read_languages(const json_t *object, const char *name, pf_made_for *m,
                                pf_error *error)
{
    static const char wanted[] = "a list of 1 to 32 languages such as \"en\" (BCP 47)";
    const json_t *list;
    PF_TRY(find_list(object, name, "languages", wanted, &list, error));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        const char *text = json_string_value(value);
        if (i == PF_MADE_FOR_MOST || !is_language(text))
            return wrong(name, "languages", value, wanted, error);
        m->languages[i] = pf_strdup(text);
        if (!m->languages[i])
            return pf_fail_memory(error, "languages", strlen(text));
        m->language_count++;
    }
    return PF_OK;
}

/* A word, cut as those of prompts are. */
static bool is_word(const char *text)
{
    char word[WORD_BYTES];
    const char *at = text;
    return text && next_word(&at, word) && !*at && strcmp(word, text) == 0;
}

static pf_status read_subjects(const json_t *object, const char *name, pf_made_for *m,
                               pf_error *error)
{
    static const char wanted[] = "a list of 1 to 32 lower-case words such as \"ball\"";
    const json_t *list;
    PF_TRY(find_list(object, name, "subjects", wanted, &list, error));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        const char *text = json_string_value(value);
        if (i == PF_MADE_FOR_MOST || !is_word(text))
            return wrong(name, "subjects", value, wanted, error);
        m->subjects[i] = pf_strdup(text);
        if (!m->subjects[i])
            return pf_fail_memory(error, "subjects", strlen(text));
        m->subject_count++;
    }
    return PF_OK;
}

/* Words with single blanks between. */
static pf_status read_words(const json_t *object, const char *name, pf_made_for *m,
                            pf_error *error)
{
    static const char wanted[] = "a text of lower-case words with single blanks between";
    const json_t *value = json_object_get(object, "words");
    const char *at = json_string_value(value);
    char word[WORD_BYTES];
    if (!value || json_is_null(value))
        return PF_OK;
    if (!at || !*at)
        return wrong(name, "words", value, wanted, error);
    m->words = json_object();
    while (*at) {
        const char *begin = at;
        if (!next_word(&at, word) || strlen(word) != (size_t)(at - begin) ||
            strncmp(word, begin, strlen(word)) != 0 || (*at && (*at != ' ' || !at[1])))
            return wrong(name, "words", value, wanted, error);
        if (json_object_set_new(m->words, word, json_null()) != 0)
            return pf_fail_memory(error, "words", sizeof word);
        at += *at == ' ';
    }
    return PF_OK;
}

static pf_status read_about(const json_t *object, const char *name, pf_made_for *m,
                            pf_error *error)
{
    static const char wanted[] = "a sentence of 1 to 200 bytes on one line";
    const json_t *value = json_object_get(object, "about");
    const char *text = json_string_value(value);
    if (!value || json_is_null(value))
        return PF_OK;
    if (!text || !*text || strlen(text) > ABOUT_BYTES)
        return wrong(name, "about", value, wanted, error);
    for (const char *c = text; *c; c++)
        if (iscntrl((unsigned char)*c))
            return wrong(name, "about", value, wanted, error);
    m->about = pf_strdup(text);
    return m->about ? PF_OK : pf_fail_memory(error, "about", strlen(text));
}

/* An unknown member is refused: it is a misspelt one, whose effect would be missed. */
static pf_status check_members(const json_t *object, const char *name, pf_error *error)
{
    static const char *const members[] = {"about", "sizes", "num_frames", "languages",
                                          "subjects", "words"};
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
        bool known = false;
        for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
            known = known || strcmp(key, members[i]) == 0;
        if (!known)
            return pf_fail(error, PF_E_MODEL,
                           "%s: made_for.%.60s is unknown; its members are about, sizes, "
                           "num_frames, languages, subjects and words", name, key);
    }
    return PF_OK;
}

static pf_status read_members(const json_t *object, const char *name, pf_made_for *m,
                              pf_error *error)
{
    PF_TRY(check_members(object, name, error));
    PF_TRY(read_about(object, name, m, error));
    PF_TRY(read_sizes(object, name, m, error));
    PF_TRY(read_frames(object, name, m, error));
    PF_TRY(read_languages(object, name, m, error));
    PF_TRY(read_subjects(object, name, m, error));
    return read_words(object, name, m, error);
}

pf_status pf_made_for_read(const json_t *config, const char *name, pf_made_for **out,
                           pf_error *error)
{
    const json_t *object = json_object_get(config, "made_for");
    *out = NULL;
    if (!object || json_is_null(object))
        return PF_OK;
    if (!json_is_object(object))
        return pf_fail(error, PF_E_MODEL, "%s: made_for must be an object with about, "
                       "sizes, num_frames, languages, subjects or words", name);
    *out = pf_calloc(1, sizeof **out);
    if (!*out)
        return pf_fail_memory(error, "made_for", sizeof **out);
    return read_members(object, name, *out, error);
}

void pf_made_for_free(pf_made_for *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->language_count; i++)
        pf_free(m->languages[i]);
    for (int i = 0; i < m->subject_count; i++)
        pf_free(m->subjects[i]);
    pf_free(m->about);
    json_decref(m->words);
    pf_free(m);
}

pf_status pf_made_for_check(const pf_made_for *m, int size_multiple, int frame_multiple,
                            pf_error *error)
{
    for (int i = 0; m && i < m->size_count; i++)
        if (m->sizes[i].width % size_multiple || m->sizes[i].height % size_multiple)
            return pf_fail(error, PF_E_MODEL,
                           "generation_config.json: made_for.sizes has %dx%d, but sides "
                           "must be multiples of %d", m->sizes[i].width,
                           m->sizes[i].height, size_multiple);
    for (int i = 0; m && i < m->num_frames_count; i++)
        if ((m->num_frames[i] - 1) % frame_multiple)
            return pf_fail(error, PF_E_MODEL,
                           "generation_config.json: made_for.num_frames has %d, but must "
                           "be %dk + 1", m->num_frames[i], frame_multiple);
    return PF_OK;
}

pf_purpose pf_made_for_view(const pf_made_for *m)
{
    if (!m)
        return (pf_purpose){0};
    return (pf_purpose){
        .about = m->about,
        .sizes = m->sizes, .size_count = m->size_count,
        .num_frames = m->num_frames, .num_frames_count = m->num_frames_count,
        .languages = (const char *const *)m->languages,
        .language_count = m->language_count,
        .subjects = (const char *const *)m->subjects,
        .subject_count = m->subject_count,
    };
}

/* --- languages and scripts --------------------------------------------------------- */

/* Languages whose names and scripts are known here. */
static const struct {
    const char *tag, *name;
    unsigned scripts;                       /* bits 1 << script */
} languages[] = {
    {"ar", "Arabic", 1u << ARABIC}, {"cs", "Czech", 1u << LATIN},
    {"da", "Danish", 1u << LATIN}, {"de", "German", 1u << LATIN},
    {"el", "Greek", 1u << GREEK}, {"en", "English", 1u << LATIN},
    {"es", "Spanish", 1u << LATIN}, {"fa", "Persian", 1u << ARABIC},
    {"fi", "Finnish", 1u << LATIN}, {"fr", "French", 1u << LATIN},
    {"he", "Hebrew", 1u << HEBREW}, {"hi", "Hindi", 1u << DEVANAGARI},
    {"id", "Indonesian", 1u << LATIN}, {"it", "Italian", 1u << LATIN},
    {"ja", "Japanese", 1u << KANA | 1u << HAN}, {"ko", "Korean", 1u << HANGUL | 1u << HAN},
    {"nl", "Dutch", 1u << LATIN}, {"no", "Norwegian", 1u << LATIN},
    {"pl", "Polish", 1u << LATIN}, {"pt", "Portuguese", 1u << LATIN},
    {"ru", "Russian", 1u << CYRILLIC}, {"sv", "Swedish", 1u << LATIN},
    {"th", "Thai", 1u << THAI}, {"tr", "Turkish", 1u << LATIN},
    {"uk", "Ukrainian", 1u << CYRILLIC}, {"vi", "Vietnamese", 1u << LATIN},
    {"zh", "Chinese", 1u << HAN},
};
enum { LANGUAGES = sizeof languages / sizeof languages[0] };

/* Index in the table of the language whose tag begins so; -1: it has no row. */
static int find_language(const char *tag)
{
    size_t length = strcspn(tag, "-");
    for (int i = 0; i < LANGUAGES; i++)
        if (strlen(languages[i].tag) == length &&
            strncmp(languages[i].tag, tag, length) == 0)
            return i;
    return -1;
}

/* "A, B and C", as far as there is room. */
static void name_list(const char *const *names, int count, const char *last, char *out,
                      size_t room)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < count && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s%s",
                                 i == 0 ? "" : i == count - 1 ? last : ", ", names[i]);
}

void pf_made_for_name_languages(const pf_made_for *m, char *out, size_t room)
{
    const char *names[PF_MADE_FOR_MOST];
    for (int i = 0; i < m->language_count; i++) {
        int at = find_language(m->languages[i]);
        names[i] = at >= 0 ? languages[at].name : m->languages[i];
    }
    name_list(names, m->language_count, " and ", out, room);
}

/* The scripts of the model's languages as bits; 0: some language has no row. */
static unsigned scripts_of(const pf_made_for *m)
{
    unsigned scripts = 0;
    for (int i = 0; i < m->language_count; i++) {
        int at = find_language(m->languages[i]);
        if (at < 0)
            return 0;
        scripts |= languages[at].scripts;
    }
    return scripts;
}

/* Counts letters by script.  A prompt counts as foreign when letters of scripts that no
 * language of the model uses are the majority, so that a foreign name in it does no harm. */
const char *pf_made_for_foreign_script(const pf_made_for *m, const char *prompt)
{
    size_t letters[SCRIPTS] = {0}, bytes = strlen(prompt), own = 0, foreign = 0;
    unsigned known = scripts_of(m);
    int most = NO_SCRIPT;
    for (size_t at = 0; at < bytes;)
        letters[script_of(pf_utf8_next(prompt, at, &at))]++;
    for (int s = LATIN; s < SCRIPTS; s++) {
        bool is_own = known >> s & 1u;
        own += is_own ? letters[s] : 0;
        foreign += is_own ? 0 : letters[s];
        if (!is_own && letters[s] > letters[most == NO_SCRIPT ? s : most])
            most = s;
        else if (!is_own && most == NO_SCRIPT && letters[s] > 0)
            most = s;
    }
    return known && foreign > own ? script_names[most] : NULL;
}

/* --- words and subjects --------------------------------------------------------------- */

/* The subject, or its plural with s or es. */
static bool is_subject(const char *subject, const char *word)
{
    size_t length = strlen(subject);
    return strncmp(word, subject, length) == 0 &&
           (!word[length] || strcmp(word + length, "s") == 0 ||
            strcmp(word + length, "es") == 0 || strcmp(word + length, "'s") == 0);
}

/* "toy-ball" names a ball. */
static bool names_subject(const pf_made_for *m, const char *word)
{
    const char *last = strrchr(word, '-');
    for (int i = 0; i < m->subject_count; i++)
        if (is_subject(m->subjects[i], word) ||
            (last && is_subject(m->subjects[i], last + 1)))
            return true;
    return false;
}

bool pf_made_for_knows_few(const pf_made_for *m, const char *prompt)
{
    char word[WORD_BYTES];
    int64_t known = 0, all = 0;
    while (m->words && next_word(&prompt, word)) {
        known += json_object_get(m->words, word) || names_subject(m, word);
        all++;
    }
    return 2 * known < all;
}

bool pf_made_for_lacks_subject(const pf_made_for *m, const char *prompt)
{
    char word[WORD_BYTES];
    bool words = false;
    while (next_word(&prompt, word)) {
        if (names_subject(m, word))
            return false;
        words = true;
    }
    return words && m->subject_count > 0;
}

void pf_made_for_name_subjects(const pf_made_for *m, char *out, size_t room)
{
    name_list((const char *const *)m->subjects, m->subject_count, " or ", out, room);
}
