/* SPDX-License-Identifier: Apache-2.0 */
/* The job store: what it gives back is what it was given, also after an upgrade, and a
 * change is whole or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/memory.h"
#include "server/store.h"

static char folder[40], path[60];
static pf_store *store;
static pf_error error;

static int begin(void **state)
{
    (void)state;
    error = (pf_error){0};
    store = NULL;
    strcpy(folder, "/tmp/test_store_XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/phonofilm.db", folder);
    return 0;
}

static int end(void **state)
{
    char name[80];
    (void)state;
    pf_store_close(store);
    unlink(path);
    snprintf(name, sizeof name, "%s-wal", path);
    unlink(name);
    return rmdir(folder);
}

static void open_store(void)
{
    if (pf_store_open(path, &store, &error) != PF_OK)
        fail_msg("%s", error.message);
}

static void open_again(void)
{
    pf_store_close(store);
    open_store();
}

/* Runs SQL on a store that nobody has open. */
static void execute(const char *sql)
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    sqlite3_close(db);
}

/* Takes all videos; `list` has room for 4. */
typedef struct shelf {
    pf_video *list[4];
    int count;
} shelf;

static pf_status take(void *user, pf_video *video)
{
    shelf *s = user;
    s->list[s->count++] = video;
    return PF_OK;
}

static void free_video(pf_video *video)
{
    json_decref(video->settings);
    pf_free(video);
}

static void empty(shelf *s)
{
    while (s->count > 0)
        free_video(s->list[--s->count]);
}

static shelf load(void)
{
    shelf s = {.count = 0};
    assert_int_equal(pf_store_load(store, take, &s, &error), PF_OK);
    return s;
}

/* A video with another value in each member that is stored. */
static pf_video *make_video(const char *id)
{
    pf_video *v = pf_video_new();
    snprintf(v->id, sizeof v->id, "%s", id);
    strcpy(v->owner, "ann");
    v->settings = json_pack("{s:s, s:i}", "prompt", "a red ball", "seed", 7);
    v->created = 1000.25;
    v->started = 1001.5;
    v->completed = 1002.75;
    v->status = PF_VIDEO_FAILED;
    strcpy(v->error_code, "io_error");
    strcpy(v->error_message, "a file cannot be read");
    strcpy(v->remixed_from, "video_0");
    v->bytes = INT64_C(5000000000);
    v->run_seconds = 12.5;
    v->starts = 3;
    strcpy(v->idempotency_key, "key-1");
    strcpy(v->idempotency_hash, "abcdef");
    v->fraction = 0.625;
    v->starred = true;
    return v;
}

static void expect_same(const pf_video *a, const pf_video *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->owner, b->owner);
    assert_true(json_equal(a->settings, b->settings));
    assert_true(a->created == b->created && a->started == b->started);
    assert_true(a->completed == b->completed && a->run_seconds == b->run_seconds);
    assert_int_equal(a->status, b->status);
    assert_string_equal(a->error_code, b->error_code);
    assert_string_equal(a->error_message, b->error_message);
    assert_string_equal(a->remixed_from, b->remixed_from);
    assert_true(a->bytes == b->bytes);
    assert_int_equal(a->starts, b->starts);
    assert_string_equal(a->idempotency_key, b->idempotency_key);
    assert_string_equal(a->idempotency_hash, b->idempotency_hash);
    assert_true(a->fraction == b->fraction);
    assert_int_equal(a->starred, b->starred);
}

static void expect_stored(const pf_video *wanted)
{
    shelf s = load();
    assert_int_equal(s.count, 1);
    expect_same(s.list[0], wanted);
    empty(&s);
}

/* --- videos ----------------------------------------------------------------------- */

static void videos_come_back_as_they_were(void **unused)
{
    (void)unused;
    pf_video *v = make_video("video_1");
    open_store();
    assert_int_equal(pf_store_insert(store, v, &error), PF_OK);
    expect_stored(v);
    open_again();
    expect_stored(v);
    free_video(v);
}

static void videos_come_by_id(void **unused)
{
    (void)unused;
    static const char *const ids[] = {"video_2", "video_3", "video_1"};
    open_store();
    for (int i = 0; i < 3; i++) {
        pf_video *v = make_video(ids[i]);
        assert_int_equal(pf_store_insert(store, v, &error), PF_OK);
        free_video(v);
    }
    assert_int_equal(pf_store_delete(store, "video_2", &error), PF_OK);
    shelf s = load();
    assert_int_equal(s.count, 2);
    assert_string_equal(s.list[0]->id, "video_1");
    assert_string_equal(s.list[1]->id, "video_3");
    empty(&s);
}

/* All that an update writes, and the star, which has a way of its own. */
static void change(pf_video *v)
{
    v->started += 1;
    v->completed += 1;
    v->status = PF_VIDEO_COMPLETED;
    v->error_code[0] = '\0';
    strcpy(v->error_message, "\xc3\xa4");
    v->bytes++;
    v->run_seconds *= 2;
    v->starts = 0;
    v->fraction = 1;
}

static void updates_write_what_changes(void **unused)
{
    (void)unused;
    pf_video *v = make_video("video_1"), *sent = make_video("video_1");
    open_store();
    assert_int_equal(pf_store_insert(store, v, &error), PF_OK);
    change(v);
    change(sent);
    strcpy(sent->owner, "bob");         /* never changes */
    sent->starred = false;              /* not by an update */
    assert_int_equal(pf_store_update(store, sent, NULL, &error), PF_OK);
    expect_stored(v);
    v->starred = false;
    assert_int_equal(pf_store_star(store, "video_1", false, &error), PF_OK);
    open_again();
    expect_stored(v);
    free_video(v);
    free_video(sent);
}

/* --- deliveries ------------------------------------------------------------------- */

static void expect_next(pf_hands *hands, const char *id)
{
    pf_delivery d;
    assert_int_equal(pf_store_delivery_next(store, hands, &d, &error), PF_OK);
    assert_string_equal(d.url ? d.id : "", id);
    pf_delivery_free(&d);
}

static void deliveries_come_when_they_are_due(void **unused)
{
    (void)unused;
    char url[] = "http://a.example/", body[] = "{}";
    pf_hands hands = {""};
    pf_delivery d;
    open_store();
    expect_next(&hands, "");
    pf_delivery late = {"evt_1", url, body, 2, 50.5}, soon = {"evt_2", url, body, 0, 0};
    assert_int_equal(pf_store_delivery_put(store, &late, &error), PF_OK);
    assert_int_equal(pf_store_delivery_put(store, &soon, &error), PF_OK);
    expect_next(&hands, "evt_2");
    strcpy(hands[2], "evt_2");          /* somebody has it in hand */
    assert_int_equal(pf_store_delivery_next(store, &hands, &d, &error), PF_OK);
    assert_string_equal(d.id, "evt_1");
    assert_string_equal(d.url, url);
    assert_string_equal(d.body, body);
    assert_int_equal(d.attempts, 2);
    assert_true(d.next == 50.5);
    pf_delivery_free(&d);
    soon.next = 60;
    hands[2][0] = '\0';
    assert_int_equal(pf_store_delivery_put(store, &soon, &error), PF_OK);
    expect_next(&hands, "evt_1");
    assert_int_equal(pf_store_delivery_delete(store, "evt_1", &error), PF_OK);
    expect_next(&hands, "evt_2");
}

/* Whichever statement fails: the end of a video and its delivery, or neither. */
static void an_end_and_its_delivery_are_one(void **unused)
{
    (void)unused;
    char url[] = "http://a.example/", body[] = "{}";
    pf_delivery d = {"evt_1", url, body, 0, 0};
    pf_hands hands = {""};
    pf_video *v = make_video("video_1"), *changed = make_video("video_1");
    open_store();
    assert_int_equal(pf_store_insert(store, v, &error), PF_OK);
    change(changed);
    for (int nth = 1; nth <= 4; nth++) {
        pf_fault_arm(PF_FAULT_BUSY, nth, false);
        assert_int_equal(pf_store_update(store, changed, &d, &error), PF_E_IO);
        pf_fault_arm(PF_FAULT_BUSY, 0, false);
        expect_next(&hands, "");
        expect_stored(v);
    }
    assert_int_equal(pf_store_update(store, changed, &d, &error), PF_OK);
    expect_next(&hands, "evt_1");
    expect_stored(changed);
    free_video(v);
    free_video(changed);
}

/* --- the store itself ------------------------------------------------------------- */

static void the_secret_stays(void **unused)
{
    (void)unused;
    uint8_t first[PF_DIGEST_BYTES], later[PF_DIGEST_BYTES];
    open_store();
    assert_int_equal(pf_store_secret(store, first, &error), PF_OK);
    assert_int_equal(pf_store_probe(store, &error), PF_OK);
    open_again();
    assert_int_equal(pf_store_secret(store, later, &error), PF_OK);
    assert_memory_equal(first, later, sizeof first);
}

/* Tables of version 1, with a video that had ended.  Their columns stand in another order
 * than those of a fresh store, which must not matter. */
static const char version_1[] =
    "CREATE TABLE videos("
    "  owner TEXT NOT NULL, id TEXT PRIMARY KEY, settings TEXT NOT NULL,"
    "  run_seconds REAL NOT NULL, starts INTEGER NOT NULL,"
    "  idempotency_hash TEXT NOT NULL, idempotency_key TEXT NOT NULL,"
    "  created REAL NOT NULL, completed REAL NOT NULL, started REAL NOT NULL,"
    "  bytes INTEGER NOT NULL, remixed_from TEXT NOT NULL, status INTEGER NOT NULL,"
    "  error_message TEXT NOT NULL, error_code TEXT NOT NULL) STRICT;"
    "INSERT INTO videos(id, owner, settings, created, started, completed, status,"
    "  error_code, error_message, remixed_from, bytes, run_seconds, starts,"
    "  idempotency_key, idempotency_hash) VALUES('video_1', 'ann',"
    "  '{\"prompt\":\"a red ball\",\"seed\":7}', 1000.25, 1001.5, 1002.75, 3, 'io_error',"
    "  'a file cannot be read', 'video_0', 5000000000, 12.5, 3, 'key-1', 'abcdef');"
    "PRAGMA user_version=1;";

static const char to_version_2[] =
    "ALTER TABLE videos ADD COLUMN fraction REAL NOT NULL DEFAULT 0;"
    "UPDATE videos SET fraction=0.625;"
    "PRAGMA user_version=2;";

static void older_stores_are_upgraded(void **unused)
{
    (void)unused;
    pf_video *v = make_video("video_1");
    execute(version_1);
    open_store();
    v->fraction = 0;
    v->starred = false;
    expect_stored(v);
    change(v);
    assert_int_equal(pf_store_update(store, v, NULL, &error), PF_OK);
    assert_int_equal(pf_store_probe(store, &error), PF_OK);     /* has all tables */
    open_again();
    expect_stored(v);
    free_video(v);
}

static void version_2_keeps_what_it_has_added(void **unused)
{
    (void)unused;
    pf_video *v = make_video("video_1");
    execute(version_1);
    execute(to_version_2);
    open_store();
    v->starred = false;
    expect_stored(v);
    free_video(v);
}

static void later_stores_are_refused(void **unused)
{
    (void)unused;
    execute("PRAGMA user_version=1000;");
    assert_int_equal(pf_store_open(path, &store, &error), PF_E_UNSUPPORTED);
    assert_null(store);
    assert_non_null(strstr(error.message, "version 1000"));
}

/* Nobody would find again what is written into a file that has no name. */
static void a_removed_store_is_noticed(void **unused)
{
    (void)unused;
    pf_video *v = make_video("video_1");
    open_store();
    assert_int_equal(pf_store_check_place(store, &error), PF_OK);
    unlink(path);
    assert_int_equal(pf_store_check_place(store, &error), PF_E_IO);
    assert_int_equal(pf_store_insert(store, v, &error), PF_E_IO);
    assert_int_equal(pf_store_probe(store, &error), PF_E_IO);
    free_video(v);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(videos_come_back_as_they_were),
        TEST(videos_come_by_id),
        TEST(updates_write_what_changes),
        TEST(deliveries_come_when_they_are_due),
        TEST(an_end_and_its_delivery_are_one),
        TEST(the_secret_stays),
        TEST(older_stores_are_upgraded),
        TEST(version_2_keeps_what_it_has_added),
        TEST(later_stores_are_refused),
        TEST(a_removed_store_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
