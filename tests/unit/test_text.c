/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt cleaning, the tokenizer's settings, and what both refuse.
 *
 * Expected texts and ids marked "seen" are what ftfy 6.3 (without its repair of wrongly
 * decoded text), Python's html and tokenizers 0.23 give; tests/text compares many more
 * where those are installed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/memory.h"
#include "text/clean.h"
#include "text/tokenizer.h"

#define MARK "\xe2\x96\x81"
#define SNOWMAN "\xe2\x98\x83"

/* --- cleaning ------------------------------------------------------------------ */

static void assert_cleaned(const char *prompt, const char *expected)
{
    pf_error error = {0};
    char *cleaned = NULL;
    if (pf_prompt_clean(prompt, strlen(prompt), &cleaned, &error) != PF_OK)
        fail_msg("%s", error.message);
    assert_string_equal(cleaned, expected);
    pf_free(cleaned);
}

/* Seen; one line a rule. */
static void test_each_rule_of_cleaning(void **state)
{
    static const char *const table[][2] = {
        {"", ""},
        {" \xc2\xa0" "a\xe2\x80\x83\xe2\x80\x83" "b\x1c", "a b"},
        {"a\r\nb\rc\xe2\x80\xa8" "d", "a b c d"},
        {"\xe2\x80\x9cIt\xe2\x80\x99s\xe2\x80\x9d, \xe2\x80\x98so\xe2\x80\x99",
         "\"It's\", 'so'"},
        {"\xef\xbc\xa1\xef\xbc\x8c\xe3\x80\x80\xef\xbd\xb6\xef\xbe\x9e\xef\xbd\x9e",
         "A, \xe3\x82\xac~"},
        {"e\xcc\x81 \xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xc3\xa9 \xea\xb0\x81"},
        {"\xc2\x91" "a\xc2\x85\xc2\x81", "'a\xe2\x80\xa6\xc2\x81"},
        {"\xef\xac\x81\xc4\xb3\xc5\x89", "fiij'n"},
        {"\xef\xac\x81\xcc\x81", "f\xc3\xad"},
        {"\x1b[1;31mred\x1b[0m\x1b[\xd9\xa3mx\x1b[x", "redx"},
        {"a\x07\x7f\xef\xbb\xbf" "b", "ab"},
        {"\xcc\x81" "a\xe2\x80\x8d\xe2\x9d\xa4\xef\xb8\x8f",
         "\xcc\x81" "a\xe2\x80\x8d\xe2\x9d\xa4\xef\xb8\x8f"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_cleaned(table[i][0], table[i][1]);
}

/* Seen. */
static void test_entities(void **state)
{
    static const char *const table[][2] = {
        {"&lt;b&gt; &copy2024 &notit; &notin;",
         "<b> \xc2\xa9" "2024 \xc2\xacit; \xe2\x88\x89"},
        {"&amp;amp;amp;lt;", "<"},
        {"<p>&amp;amp;amp;lt;\n&amp;lt;", "<p>&amp;lt; <"},
        {"&NTILDE;&HEARTS;&SZLIG;&LTIMES;", "\xc3\x91\xe2\x99\xa5SS<IMES;"},
        {"&#0;|&#x80;|&#xd800;|&#1114112;|&#11;|&#xfdd0;",
         "\xef\xbf\xbd|\xe2\x82\xac|\xef\xbf\xbd|\xef\xbf\xbd||"},
        {"&amp&#59;", "&;"},
        {"&#12ab; &; &# &#x; &", "ab; &; &# &#x; &"},
        {"\xef\xbc\x86" "amp\xef\xbc\x9b", "&"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_cleaned(table[i][0], table[i][1]);
}

static void assert_refused(const char *prompt, size_t bytes, const char *words)
{
    pf_error error = {0};
    char *cleaned = NULL;
    assert_int_equal(pf_prompt_clean(prompt, bytes, &cleaned, &error), PF_E_INPUT);
    assert_null(cleaned);
    assert_non_null(strstr(error.message, words));
}

/* Unicode's list of what is no UTF-8: stray, overlong, surrogates, too high, cut. */
static void test_invalid_utf8_is_refused_with_its_place(void **state)
{
    static const char *const bad[] = {
        "ab\x80", "ab\xc0\xaf", "ab\xe0\x80\xaf", "ab\xed\xa0\x80", "ab\xf4\x90\x80\x80",
        "ab\xf8\x88\x80\x80\x80", "ab\xff", "ab\xe2\x82", "ab\xe2\x28\xa1", "ab\xc3",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(bad[i], strlen(bad[i]), "not valid UTF-8 at byte 2");
    assert_refused("a\0b", 3, "NUL");
    assert_cleaned("\xef\xbf\xbe\xf4\x8f\xbf\xbf", "\xef\xbf\xbe\xf4\x8f\xbf\xbf");
}

static void test_the_longest_prompt(void **state)
{
    char *prompt = pf_alloc(PF_PROMPT_MAX_BYTES + 2);
    (void)state;
    memset(prompt, 'a', PF_PROMPT_MAX_BYTES + 1);
    prompt[PF_PROMPT_MAX_BYTES + 1] = '\0';
    assert_refused(prompt, PF_PROMPT_MAX_BYTES + 1, "65537 bytes, but at most 65536");
    prompt[PF_PROMPT_MAX_BYTES] = '\0';
    assert_cleaned(prompt, prompt);
    pf_free(prompt);
}

/* "&amp;amp;amp;...": each round of ftfy takes one away. */
static void test_nested_entities_are_followed_or_refused(void **state)
{
    char prompt[4 * 300 + 2] = "&";
    (void)state;
    for (int i = 0; i < 200; i++)
        memcpy(prompt + 1 + 4 * i, "amp;", 4);
    assert_cleaned(prompt, "&");
    for (int i = 200; i < 300; i++)
        memcpy(prompt + 1 + 4 * i, "amp;", 4);
    assert_refused(prompt, strlen(prompt), "256");
}

/* --- tokenizers ------------------------------------------------------------------ */

#define METASPACE(members) \
    "{\"type\":\"Metaspace\",\"replacement\":\"" MARK "\"" members "}"
#define ADDED(content, id, flags) \
    "{\"id\":" #id ",\"content\":\"" content "\",\"special\":true" flags "}"

/* "A" to "a", e + acute to one, a wide space to a space, a control to nothing, "fi". */
static const char charsmap[] =
    "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\""
    "hAIAAAA8AQAAAACAzAACAIEdAAACAACAoA0AAAUAAIAHAACArAACAIENAAAIAACACwAAgP8A"
    "AID/AACAQT0AAP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA"
    "/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8A"
    "AID/AACA/wAAgGWQAwD/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA"
    "/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgA0l"
    "AQD/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgAElAQD/AACA"
    "/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8A"
    "AID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA"
    "/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8A"
    "AID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA"
    "/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgMKgAAD/AACA/wAAgP8AAID/AACA/wAAgP8A"
    "AID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAID/AACA/wAAgP8AAIDvEAAA"
    "YQDDqQAgAABmaQAgAA=="
    "\"}";

/* The parts of a tokenizer.json that tests change; NULL: as usual. */
typedef struct setting {
    const char *normalizer, *pre_tokenizer;
    const char *added;                  /* elements of added_tokens */
    const char *model;                  /* more members */
    const char *pieces;                 /* more of the vocabulary, from id 13 */
    const char *post_processor;
} setting;

static const char usual_end[] =
    "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}},"
    "{\"SpecialToken\":{\"id\":\"</s>\"}}],"
    "\"special_tokens\":{\"</s>\":{\"ids\":[1]}}}";

/* ids 0..12; a, b and ab tie, and a stands there twice. */
static const char usual_pieces[] =
    "[\"<pad>\",0],[\"</s>\",0],[\"<s>\",0],[\"<unk>\",0],[\"" MARK "\",-2],[\"a\",-2],"
    "[\"b\",-2],[\"ab\",-4],[\"" MARK "a\",-3],[\"" MARK "ab\",-5],[\"\xc3\xa9\",-3],"
    "[\"fi\",-2],[\"a\",-2.5]";

static const char *or_usual(const char *text, const char *usual)
{
    return text ? text : usual;
}

/* The file's text; pf_free. */
static char *compose(const setting *s)
{
    char *text = pf_format(
        "{\"added_tokens\":[%s],\"normalizer\":%s,\"pre_tokenizer\":%s,"
        "\"post_processor\":%s,\"model\":{\"type\":\"Unigram\",%s\"vocab\":[%s%s]}}",
        or_usual(s->added, ""), or_usual(s->normalizer, "null"),
        or_usual(s->pre_tokenizer, METASPACE("")),
        or_usual(s->post_processor, usual_end), or_usual(s->model, "\"unk_id\":3,"),
        usual_pieces, or_usual(s->pieces, ""));
    assert_non_null(text);
    return text;
}

static pf_status open_text(const char *text, pf_tokenizer **out, pf_error *error)
{
    char path[] = "/tmp/phonofilm-test-XXXXXX";
    int file = mkstemp(path);
    size_t bytes = strlen(text);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, bytes), bytes);
    close(file);
    pf_status status = pf_tokenizer_open(path, out, error);
    unlink(path);
    return status;
}

static pf_tokenizer *open_setting(const setting *s)
{
    pf_error error = {0};
    pf_tokenizer *tokenizer = NULL;
    char *text = compose(s);
    if (open_text(text, &tokenizer, &error) != PF_OK)
        fail_msg("%s", error.message);
    pf_free(text);
    return tokenizer;
}

enum { MOST = 16 };

/* `expected` ends with the end token, 1, which occurs nowhere else. */
static void assert_ids(const setting *s, const char *text, const int32_t *expected)
{
    pf_error error = {0};
    int32_t ids[MOST];
    int64_t count = 0, wanted = 1;
    pf_tokenizer *tokenizer = open_setting(s);
    if (pf_tokenizer_encode(tokenizer, text, ids, MOST, &count, &error) != PF_OK)
        fail_msg("%s", error.message);
    while (expected[wanted - 1] != 1)
        wanted++;
    assert_int_equal(count, wanted);
    assert_memory_equal(ids, expected, (size_t)count * sizeof *ids);
    pf_tokenizer_close(tokenizer);
}

#define IDS(...) ((const int32_t[]){__VA_ARGS__, 1})

/* Seen: the earliest start wins a tie, the last of two alike counts. */
static void test_ties_and_doubles(void **state)
{
    const setting s = {0};
    (void)state;
    assert_ids(&s, "", (const int32_t[]){1});
    assert_ids(&s, "ab", IDS(9));
    assert_ids(&s, "a b", IDS(8, 4, 6));
    assert_ids(&s, "  a", IDS(4, 8));
    assert_ids(&s, "aab", IDS(8, 7));
}

/* Seen: neighbours are one, not across pieces; a literal <unk> is a neighbour. */
static void test_unknown_characters_are_fused(void **state)
{
    const setting s = {0};
    (void)state;
    assert_ids(&s, SNOWMAN SNOWMAN "a" SNOWMAN, IDS(4, 3, 12, 3));
    assert_ids(&s, SNOWMAN " " SNOWMAN, IDS(4, 3, 4, 3));
    assert_ids(&s, "<unk>" SNOWMAN, IDS(4, 3));
}

/* Seen: each unknown stretch is spelt if all of its own bytes have pieces. */
static void test_byte_fallback(void **state)
{
    const setting s = {
        .model = "\"unk_id\":3,\"byte_fallback\":true,",
        .pieces = ",[\"<0xE2>\",-9],[\"<0x98>\",-9],[\"<0x83>\",-9],[\"<0xC3>\",-9]"};
    (void)state;
    assert_ids(&s, SNOWMAN, IDS(4, 13, 14, 15));
    assert_ids(&s, SNOWMAN SNOWMAN, IDS(4, 13, 14, 15, 13, 14, 15));
    assert_ids(&s, SNOWMAN "\xc3\xa0", IDS(4, 3));
    assert_ids(&s, "\xc3\xa9", IDS(4, 10));
}

/* Seen. */
static void test_metaspace(void **state)
{
    const setting never = {.pre_tokenizer = METASPACE(",\"prepend_scheme\":\"never\"")};
    const setting old = {.pre_tokenizer = METASPACE(",\"add_prefix_space\":false")};
    const setting whole = {.pre_tokenizer = METASPACE(",\"split\":false"),
                           .pieces = ",[\"a" MARK "a\",-1]"};
    const setting cut = {.pieces = ",[\"a" MARK "a\",-1]"};
    const setting letter = {
        .pre_tokenizer = "{\"type\":\"Metaspace\",\"replacement\":\"b\"}"};
    (void)state;
    assert_ids(&never, "ab a", IDS(7, 8));
    assert_ids(&old, "ab a", IDS(7, 8));
    assert_ids(&whole, "a a", IDS(4, 13));
    assert_ids(&cut, "a a", IDS(8, 8));
    assert_ids(&letter, "a a", IDS(6, 12, 6, 12));
    assert_ids(&letter, "ba", IDS(6, 12));
}

/* Seen: "first" asks where the stretch began before it was normalised. */
static void test_the_first_scheme(void **state)
{
    const char *first = METASPACE(",\"prepend_scheme\":\"first\"");
    char *stripped = pf_format("{\"type\":\"Sequence\",\"normalizers\":[%s,{\"type\":"
                               "\"Strip\",\"strip_left\":true,\"strip_right\":true}]}",
                               charsmap);
    const setting plain = {.pre_tokenizer = first, .added = ADDED("[m]", 13, "")};
    const setting strip = {.pre_tokenizer = first, .normalizer = stripped};
    const setting white = {
        .pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
                         "\"WhitespaceSplit\"},"
                         METASPACE(",\"prepend_scheme\":\"first\"") "]}"};
    (void)state;
    assert_ids(&plain, "a[m]a", IDS(8, 13, 12));
    assert_ids(&plain, "[m]a", IDS(13, 12));
    assert_ids(&strip, "\xc2\xa0" "a", IDS(12));
    assert_ids(&strip, "a\xc2\xa0", IDS(8));
    assert_ids(&white, "a a", IDS(8, 12));
    assert_ids(&white, "\xe3\x80\x80" "a", IDS(12));
    pf_free(stripped);
}

/* Seen. */
static void test_added_tokens(void **state)
{
    const setting flags = {
        .added = ADDED("[l]", 13, ",\"lstrip\":true") "," ADDED(
            "[r]", 14, ",\"rstrip\":true") "," ADDED("word", 15, ",\"single_word\":true")};
    const setting normalized = {
        .normalizer = "{\"type\":\"NFKC\"}",
        .added = ADDED("\xef\xac\x81n", 13, ",\"normalized\":true")};
    const setting longest = {.added = ADDED("[m]", 13, "") "," ADDED("[m][m]", 14, "")};
    const setting known = {.added = ADDED("ab", 3, "") "," ADDED("[m]", 13, "")};
    (void)state;
    assert_ids(&flags, "a [l] a", IDS(8, 13, 8));
    assert_ids(&flags, "a [r] a", IDS(8, 4, 14, 8));
    assert_ids(&flags, "[r] [l]", IDS(14, 13));
    assert_ids(&flags, "a word a", IDS(8, 4, 15, 8));
    assert_ids(&flags, "words word_", IDS(4, 3, 4, 3));
    assert_ids(&flags, "\xe2\x92\xb6word", IDS(4, 3));
    assert_ids(&normalized, "a\xef\xac\x81na", IDS(8, 13, 8));
    assert_ids(&normalized, "fin", IDS(13));
    assert_ids(&longest, "[m][m][m]", IDS(14, 13));
    assert_ids(&known, "aab[m]", IDS(8, 7, 13));
}

/* Seen. */
static void test_normalizers(void **state)
{
    const setting map = {.normalizer = charsmap};
    const setting nmt = {.normalizer = "{\"type\":\"Nmt\"}"};
    const setting nfc = {.normalizer = "{\"type\":\"NFC\"}"};
    const setting list = {
        .normalizer = "{\"type\":\"Sequence\",\"normalizers\":["
                      "{\"type\":\"Replace\",\"pattern\":{\"String\":\"x\"},"
                      "\"content\":\"ab\"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":"
                      "\" {2,}\"},\"content\":\"" MARK "\"}]}",
        .pre_tokenizer = METASPACE(",\"prepend_scheme\":\"never\"")};
    (void)state;
    assert_ids(&map, "Ae\xcc\x81", IDS(8, 10));
    assert_ids(&map, "\xef\xac\x81", IDS(4, 11));
    assert_ids(&map, "A\xc2\xa0" "a", IDS(8, 8));
    assert_ids(&map, "\x01" "a", IDS(8));
    assert_ids(&nmt, "\x07" "a\xe2\x80\x8b" "b", IDS(8, 4, 6));
    assert_ids(&nfc, "e\xcc\x81", IDS(4, 10));
    assert_ids(&nfc, "\xef\xac\x81", IDS(4, 3));
    assert_ids(&list, "x", IDS(7));
    assert_ids(&list, "a   a a", IDS(12, 8, 8));
}

/* From the definition: first ids as far as there is room, then the end token. */
static void test_long_texts_are_cut_before_the_end_token(void **state)
{
    const setting s = {0};
    char text[2 * 600] = "";
    int32_t ids[512 + 1];
    int64_t count = 0;
    pf_tokenizer *tokenizer = open_setting(&s);
    (void)state;
    for (int i = 0; i < 599; i++)
        memcpy(text + 2 * i, "a ", 3);
    ids[512] = -7;
    assert_int_equal(pf_tokenizer_encode(tokenizer, text, ids, 512, &count, NULL),
                     PF_OK);
    assert_int_equal(count, 512);
    for (int i = 0; i < 511; i++)
        assert_int_equal(ids[i], 8);
    assert_int_equal(ids[511], 1);
    assert_int_equal(ids[512], -7);
    pf_tokenizer_close(tokenizer);
}

static void test_a_tokenizer_without_unknown_token(void **state)
{
    const setting s = {.model = ""};
    pf_error error = {0};
    int32_t ids[MOST];
    int64_t count = 0;
    pf_tokenizer *tokenizer = open_setting(&s);
    (void)state;
    assert_int_equal(pf_tokenizer_encode(tokenizer, "ab", ids, MOST, &count, NULL),
                     PF_OK);
    assert_int_equal(pf_tokenizer_encode(tokenizer, "a" SNOWMAN, ids, MOST, &count,
                                         &error), PF_E_INPUT);
    assert_non_null(strstr(error.message, SNOWMAN));
    assert_non_null(strstr(error.message, "unk_id"));
    pf_tokenizer_close(tokenizer);
}

/* --- what is refused ----------------------------------------------------------------- */

static void assert_unfit(const char *text, pf_status expected, const char *words)
{
    pf_error error = {0};
    pf_tokenizer *tokenizer = NULL;
    assert_int_equal(open_text(text, &tokenizer, &error), expected);
    assert_null(tokenizer);
    if (!strstr(error.message, words))
        fail_msg("\"%s\" does not name %s", error.message, words);
}

static void test_settings_that_are_not_honoured_are_named(void **state)
{
    static const struct {
        setting s;
        pf_status status;
        const char *words;
    } table[] = {
        {{.normalizer = "{\"type\":\"Lowercase\"}"}, PF_E_UNSUPPORTED, "Lowercase"},
        {{.normalizer = "{}"}, PF_E_UNSUPPORTED, "normalizer"},
        {{.normalizer = "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+\"},"
                        "\"content\":\"\"}"}, PF_E_UNSUPPORTED, "a+"},
        {{.normalizer = "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"A?==\"}"},
         PF_E_MODEL, "precompiled_charsmap"},
        {{.normalizer = "{\"type\":\"Precompiled\",\"precompiled_charsmap\":"
                        "\"/////wAAAAA=\"}"}, PF_E_MODEL, "precompiled_charsmap"},
        {{.normalizer = "{\"type\":\"Precompiled\",\"precompiled_charsmap\":"
                        "\"BAAAAAAAAAD/AA==\"}"}, PF_E_MODEL, "precompiled_charsmap"},
        {{.pre_tokenizer = "{\"type\":\"ByteLevel\"}"}, PF_E_UNSUPPORTED, "ByteLevel"},
        {{.pre_tokenizer = METASPACE(",\"prepend_scheme\":\"often\"")},
         PF_E_UNSUPPORTED, "often"},
        {{.pre_tokenizer = METASPACE(",\"prepend_scheme\":\"first\","
                                     "\"add_prefix_space\":false")},
         PF_E_MODEL, "prepend_scheme is first"},
        {{.pre_tokenizer = "{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"},
         PF_E_MODEL, "\"ab\""},
        {{.pre_tokenizer = METASPACE(",\"split\":1")}, PF_E_MODEL, "split"},
        {{.post_processor = "{\"type\":\"BertProcessing\"}"}, PF_E_UNSUPPORTED,
         "BertProcessing"},
        {{.post_processor = "{\"type\":\"TemplateProcessing\",\"single\":[]}"},
         PF_E_UNSUPPORTED, "template"},
        {{.post_processor = "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":"
                            "{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"</s>\"}}]}"},
         PF_E_MODEL, "</s>"},
        {{.model = "\"unk_id\":99,"}, PF_E_MODEL, "unk_id"},
        {{.model = "\"byte_fallback\":\"yes\","}, PF_E_MODEL, "byte_fallback"},
        {{.pieces = ",[\"c\"]"}, PF_E_MODEL, "entry 13"},
        {{.pieces = ",[\"c\",\"-1\"]"}, PF_E_MODEL, "entry 13"},
        {{.added = ADDED("", 13, "")}, PF_E_MODEL, "added token"},
        {{.added = "{\"content\":\"x\"}"}, PF_E_MODEL, "added token"},
        {{.added = ADDED("x", 13, ",\"lstrip\":3")}, PF_E_MODEL, "lstrip"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *text = compose(&table[i].s);
        assert_unfit(text, table[i].status, table[i].words);
        pf_free(text);
    }
}

static void test_files_that_are_no_tokenizer(void **state)
{
    pf_error error = {0};
    pf_tokenizer *tokenizer = NULL;
    (void)state;
    assert_unfit("", PF_E_MODEL, "is empty");
    assert_unfit("[]", PF_E_MODEL, "object");
    assert_unfit("{}", PF_E_UNSUPPORTED, "model");
    assert_unfit("{\"model\":{\"type\":\"BPE\"}}", PF_E_UNSUPPORTED, "BPE");
    assert_unfit("{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", PF_E_MODEL, "vocab");
    assert_unfit("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\\u0000\",0]]}}",
                 PF_E_MODEL, "u0000");
    assert_unfit("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"\\ud800\",0]]}}",
                 PF_E_MODEL, "JSON");
    assert_int_equal(pf_tokenizer_open("/nonexistent", &tokenizer, &error),
                     PF_E_NOT_FOUND);
    pf_tokenizer_close(NULL);
}

/* From the definition: a replacement must not let the text explode. */
static void test_growing_texts_are_refused(void **state)
{
    const setting s = {
        .normalizer = "{\"type\":\"Sequence\",\"normalizers\":["
                      "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},"
                      "\"content\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"},"
                      "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},"
                      "\"content\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}"};
    pf_error error = {0};
    char text[1001];
    int32_t ids[MOST];
    int64_t count;
    pf_tokenizer *tokenizer = open_setting(&s);
    (void)state;
    memset(text, 'a', 1000);
    text[1000] = '\0';
    assert_int_equal(pf_tokenizer_encode(tokenizer, text, ids, MOST, &count, &error),
                     PF_E_INPUT);
    assert_non_null(strstr(error.message, "2500000 bytes"));
    pf_tokenizer_close(tokenizer);
}

/* Opens, cleans and encodes once; what fails must say so and leave nothing behind. */
static pf_status use_everything(const char *text, pf_error *error)
{
    const char *prompt = "A &amp; \xef\xac\x81 [m] e\xcc\x81 " SNOWMAN "\n<b>";
    int32_t ids[MOST];
    int64_t count;
    pf_tokenizer *tokenizer = NULL;
    char *cleaned = NULL;
    pf_status status = open_text(text, &tokenizer, error);
    if (status == PF_OK)
        status = pf_prompt_clean(prompt, strlen(prompt), &cleaned, error);
    if (status == PF_OK)
        status = pf_tokenizer_encode(tokenizer, cleaned, ids, MOST, &count, error);
    pf_free(cleaned);
    pf_tokenizer_close(tokenizer);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    char *rules = pf_format("{\"type\":\"Sequence\",\"normalizers\":[%s,{\"type\":"
                            "\"Replace\",\"pattern\":{\"String\":\"x\"},"
                            "\"content\":\"y\"}]}", charsmap);
    const setting s = {.normalizer = rules,
                       .added = ADDED("[m]", 13, ",\"normalized\":true")};
    char *text = compose(&s);
    pf_error error = {0};
    (void)state;
    pf_fault_arm(PF_FAULT_ALLOCATION, 0, false);
    assert_int_equal(use_everything(text, &error), PF_OK);
    int64_t events = pf_fault_count(PF_FAULT_ALLOCATION);
    assert_true(events > 100);
    for (int64_t n = 1; n <= events; n++) {
        error = (pf_error){0};
        pf_fault_arm(PF_FAULT_ALLOCATION, n, false);
        pf_status status = use_everything(text, &error);
        pf_fault_arm(PF_FAULT_ALLOCATION, 0, false);
        assert_int_equal(status, PF_E_MEMORY);
        assert_non_null(strstr(error.message, "memory"));
    }
    pf_free(text);
    pf_free(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule_of_cleaning),
        cmocka_unit_test(test_entities),
        cmocka_unit_test(test_invalid_utf8_is_refused_with_its_place),
        cmocka_unit_test(test_the_longest_prompt),
        cmocka_unit_test(test_nested_entities_are_followed_or_refused),
        cmocka_unit_test(test_ties_and_doubles),
        cmocka_unit_test(test_unknown_characters_are_fused),
        cmocka_unit_test(test_byte_fallback),
        cmocka_unit_test(test_metaspace),
        cmocka_unit_test(test_the_first_scheme),
        cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_normalizers),
        cmocka_unit_test(test_long_texts_are_cut_before_the_end_token),
        cmocka_unit_test(test_a_tokenizer_without_unknown_token),
        cmocka_unit_test(test_settings_that_are_not_honoured_are_named),
        cmocka_unit_test(test_files_that_are_no_tokenizer),
        cmocka_unit_test(test_growing_texts_are_refused),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
