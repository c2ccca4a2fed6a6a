/* SPDX-License-Identifier: Apache-2.0 */
/* The job store in SQLite: a file in WAL mode, which one server has for itself.
 *
 *     table       key     holds
 *     videos      id      a row a video (sqlite_rows.h)
 *     deliveries  id      webhooks that are still to be made
 *     secrets     name    "session": signs sessions; "probe": means nothing
 *
 * Every change is on disk (synchronous=FULL) when its call returns.  See
 * store_driver.h. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/memory.h"
#include "server/sqlite_file.h"
#include "server/sqlite_rows.h"
#include "server/store_driver.h"

enum { BUSY_MS = 2000 };

typedef struct sqlite_store {
    pf_store base;                      /* first */
    sqlite3 *db;
    pthread_mutex_t lock;               /* SQLite is opened without locks of its own */
    pf_sqlite_file file;
} sqlite_store;

static sqlite_store *sqlite_of(pf_store *store)
{
    return (sqlite_store *)store;
}

/* --- versions --------------------------------------------------------------------- */

/* How a store of an older version becomes one of this version, a row each; a fresh one has
 * version 0 and takes all.  A row never changes once it is released: a new column is a new
 * row, and a row in sqlite_rows.c. */
static const struct upgrade {
    int version;                        /* of the store afterwards */
    const char *sql;
} upgrades[] = {
    /* Version 1 has the tables, or was about to make them. */
    {2,
     "CREATE TABLE IF NOT EXISTS videos("
     "  id TEXT PRIMARY KEY, owner TEXT NOT NULL, settings TEXT NOT NULL,"
     "  created REAL NOT NULL, started REAL NOT NULL, completed REAL NOT NULL,"
     "  status INTEGER NOT NULL, error_code TEXT NOT NULL, error_message TEXT NOT NULL,"
     "  remixed_from TEXT NOT NULL, bytes INTEGER NOT NULL, run_seconds REAL NOT NULL,"
     "  starts INTEGER NOT NULL, idempotency_key TEXT NOT NULL,"
     "  idempotency_hash TEXT NOT NULL) STRICT;"
     "CREATE TABLE IF NOT EXISTS deliveries("
     "  id TEXT PRIMARY KEY, url TEXT NOT NULL, body TEXT NOT NULL,"
     "  attempts INTEGER NOT NULL, next REAL NOT NULL) STRICT;"
     "CREATE TABLE IF NOT EXISTS secrets("
     "  name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;"
     "ALTER TABLE videos ADD COLUMN fraction REAL NOT NULL DEFAULT 0;"},
    {3, "ALTER TABLE videos ADD COLUMN starred INTEGER NOT NULL DEFAULT 0;"},
};

enum { UPGRADES = sizeof upgrades / sizeof upgrades[0] };

static int newest_version(void)
{
    return upgrades[UPGRADES - 1].version;
}

/* --- SQLite's ways ---------------------------------------------------------------- */

static pf_status fail(sqlite_store *store, int code, pf_error *error)
{
    if (code == SQLITE_BUSY)
        return pf_fail(error, PF_E_IO,
                       "the job store is in use by another server; give each its folder");
    if (code == SQLITE_NOMEM)
        return pf_fail_memory(error, "job store", 1);
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        return pf_fail(error, PF_E_IO, "the job store is damaged: %s; " PF_SQLITE_ADVICE,
                       sqlite3_errmsg(store->db));
    return pf_fail(error, code == SQLITE_FULL ? PF_E_NO_SPACE : PF_E_IO,
                   "the job store fails: %s", sqlite3_errmsg(store->db));
}

static void bind(sqlite3_stmt *statement, int at, const char *text)
{
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

static int step(sqlite3_stmt *statement)
{
    return pf_fault_hit(PF_FAULT_BUSY) ? SQLITE_BUSY : sqlite3_step(statement);
}

static pf_status prepare(sqlite_store *store, const char *sql, sqlite3_stmt **out,
                         pf_error *error)
{
    int code = sqlite3_prepare_v2(store->db, sql, -1, out, NULL);
    return code == SQLITE_OK ? PF_OK : fail(store, code, error);
}

/* Runs a statement that gives no rows, and finishes it. */
static pf_status run(sqlite_store *store, sqlite3_stmt *statement, pf_error *error)
{
    int code = step(statement);
    pf_status status = code == SQLITE_DONE ? PF_OK : fail(store, code, error);
    sqlite3_finalize(statement);
    return status;
}

static pf_status execute(sqlite_store *store, const char *sql, pf_error *error)
{
    int code = pf_fault_hit(PF_FAULT_BUSY)
                   ? SQLITE_BUSY
                   : sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? PF_OK : fail(store, code, error);
}

/* --- opening ---------------------------------------------------------------------- */

/* Locked. */
static pf_status check_place(const sqlite_store *store, pf_error *error)
{
    return pf_sqlite_file_check_place(&store->file, error);
}

static pf_status sqlite_check_place(pf_store *base, pf_error *error)
{
    sqlite_store *store = sqlite_of(base);
    pthread_mutex_lock(&store->lock);
    pf_status status = check_place(store, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

static pf_status read_version(sqlite_store *store, int *version, pf_error *error)
{
    sqlite3_stmt *row;
    PF_TRY(prepare(store, "PRAGMA user_version", &row, error));
    int code = step(row);
    *version = code == SQLITE_ROW ? sqlite3_column_int(row, 0) : -1;
    sqlite3_finalize(row);
    if (code != SQLITE_ROW)
        return fail(store, code, error);
    if (*version >= 0 && *version <= newest_version())
        return PF_OK;
    return pf_fail(error, PF_E_UNSUPPORTED,
                   "the job store is of version %d, but this program knows version %d",
                   *version, newest_version());
}

/* Checks every page of the file, but not that indices agree with tables, which would take
 * long. */
static pf_status check_pages(sqlite_store *store, pf_error *error)
{
    sqlite3_stmt *row;
    PF_TRY(prepare(store, "PRAGMA quick_check(1)", &row, error));
    int code = step(row);
    char found[200] = "";
    if (code == SQLITE_ROW)
        pf_sqlite_text(row, 0, found, sizeof found);
    sqlite3_finalize(row);
    if (code != SQLITE_ROW)
        return fail(store, code, error);
    if (strcmp(found, "ok") == 0)
        return PF_OK;
    return pf_fail(error, PF_E_IO, "the job store is damaged: %s; " PF_SQLITE_ADVICE, found);
}

static pf_status upgrade(sqlite_store *store, const struct upgrade *u, pf_error *error)
{
    char *sql = pf_format("BEGIN IMMEDIATE; %s PRAGMA user_version=%d; COMMIT;", u->sql,
                          u->version);
    if (!sql)
        return pf_fail_memory(error, "job store", strlen(u->sql));
    pf_status status = execute(store, sql, error);
    pf_free(sql);
    return status;
}

static pf_status set_up(sqlite_store *store, pf_error *error)
{
    int version;
    sqlite3_busy_timeout(store->db, BUSY_MS);
    PF_TRY(read_version(store, &version, error));
    PF_TRY(execute(store, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                          "PRAGMA locking_mode=EXCLUSIVE;",
                   error));
    PF_TRY(check_pages(store, error));
    for (int i = 0; i < UPGRADES; i++)
        if (version < upgrades[i].version)
            PF_TRY(upgrade(store, &upgrades[i], error));
    pf_sqlite_file_note(&store->file);
    return PF_OK;
}

static pf_status open_file(sqlite_store *store, const char *path, pf_error *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    PF_TRY(pf_sqlite_file_open(&store->file, path, error));
    PF_TRY(pf_sqlite_file_check(&store->file, error));
    if (sqlite3_open_v2(path, &store->db, flags, NULL) != SQLITE_OK)
        return pf_fail(error, PF_E_IO, "the job store cannot be opened: %s",
                       store->db ? sqlite3_errmsg(store->db) : "out of memory");
    return set_up(store, error);
}

static void sqlite_close(pf_store *base)
{
    sqlite_store *store = sqlite_of(base);
    sqlite3_close(store->db);
    pthread_mutex_destroy(&store->lock);
    pf_sqlite_file_close(&store->file);
    pf_free(store);
}

static pf_status sqlite_open(const char *path, pf_store **out, pf_error *error)
{
    *out = NULL;
    sqlite_store *store = pf_calloc(1, sizeof *store);
    if (!store)
        return pf_fail_memory(error, "job store", sizeof *store);
    store->base.driver = &pf_store_sqlite;
    pthread_mutex_init(&store->lock, NULL);
    pf_error inner = {0};
    pf_status status = open_file(store, path, &inner);
    if (status != PF_OK) {
        sqlite_close(&store->base);
        return pf_fail(error, status, "%s: %s", path, inner.message);
    }
    *out = &store->base;
    return PF_OK;
}

/* --- reading videos --------------------------------------------------------------- */

static pf_status load_row(sqlite3_stmt *row, pf_status (*take)(void *user, pf_video *),
                          void *user, pf_error *error)
{
    pf_video *video = pf_video_new();
    if (!video)
        return pf_fail_memory(error, "video", sizeof *video);
    pf_status status = pf_sqlite_read_row(row, video, error);
    if (status != PF_OK) {
        json_decref(video->settings);
        pf_free(video);
        return status;
    }
    return take(user, video);
}

static pf_status sqlite_load(pf_store *base, pf_status (*take)(void *user, pf_video *video),
                             void *user, pf_error *error)
{
    sqlite_store *store = sqlite_of(base);
    sqlite3_stmt *rows;
    char sql[PF_SQLITE_SQL_BYTES];
    pf_sqlite_select(sql);
    PF_TRY(prepare(store, sql, &rows, error));
    pf_status status = PF_OK;
    int code = SQLITE_DONE;
    while (status == PF_OK && (code = step(rows)) == SQLITE_ROW)
        status = load_row(rows, take, user, error);
    if (status == PF_OK && code != SQLITE_DONE)
        status = fail(store, code, error);
    sqlite3_finalize(rows);
    return status;
}

/* --- writing videos --------------------------------------------------------------- */

static pf_status insert(sqlite_store *store, const pf_video *video, const char *settings,
                        pf_error *error)
{
    sqlite3_stmt *s;
    char sql[PF_SQLITE_SQL_BYTES];
    pf_sqlite_insert(sql);
    PF_TRY(prepare(store, sql, &s, error));
    pf_sqlite_bind_row(s, video, settings);
    return run(store, s, error);
}

static pf_status sqlite_insert(pf_store *base, const pf_video *video, pf_error *error)
{
    sqlite_store *store = sqlite_of(base);
    char *settings = json_dumps(video->settings, JSON_COMPACT);
    if (!settings)
        return pf_fail_memory(error, "settings", 1);
    pthread_mutex_lock(&store->lock);
    pf_status status = check_place(store, error);
    if (status == PF_OK)
        status = insert(store, video, settings, error);
    pthread_mutex_unlock(&store->lock);
    free(settings);
    return status;
}

static pf_status update(sqlite_store *store, const pf_video *video, pf_error *error)
{
    sqlite3_stmt *s;
    char sql[PF_SQLITE_SQL_BYTES];
    pf_sqlite_update(sql);
    PF_TRY(prepare(store, sql, &s, error));
    pf_sqlite_bind_changes(s, video);
    return run(store, s, error);
}

static pf_status remove_from(sqlite_store *store, const char *sql, const char *id,
                             pf_error *error)
{
    sqlite3_stmt *s;
    pthread_mutex_lock(&store->lock);
    pf_status status = check_place(store, error);
    if (status == PF_OK)
        status = prepare(store, sql, &s, error);
    if (status == PF_OK) {
        bind(s, 1, id);
        status = run(store, s, error);
    }
    pthread_mutex_unlock(&store->lock);
    return status;
}

static pf_status sqlite_remove(pf_store *base, const char *id, pf_error *error)
{
    sqlite_store *store = sqlite_of(base);
    return remove_from(store, "DELETE FROM videos WHERE id=?", id, error);
}

static pf_status set_star(sqlite_store *store, const char *id, bool starred, pf_error *error)
{
    sqlite3_stmt *s;
    PF_TRY(check_place(store, error));
    PF_TRY(prepare(store, "UPDATE videos SET starred=? WHERE id=?", &s, error));
    sqlite3_bind_int(s, 1, starred);
    bind(s, 2, id);
    return run(store, s, error);
}

static pf_status sqlite_star(pf_store *base, const char *id, bool starred, pf_error *error)
{
    sqlite_store *store = sqlite_of(base);
    pthread_mutex_lock(&store->lock);
    pf_status status = set_star(store, id, starred, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

/* --- the secret ------------------------------------------------------------------- */

static pf_status make_secret(sqlite_store *store, uint8_t out[PF_DIGEST_BYTES],
                             pf_error *error)
{
    sqlite3_stmt *s;
    if (!pf_random_bytes(out, PF_DIGEST_BYTES))
        return pf_fail(error, PF_E_IO, "the system gives no random numbers");
    PF_TRY(prepare(store, "INSERT INTO secrets(name, value) VALUES('session', ?)", &s,
                   error));
    sqlite3_bind_blob(s, 1, out, PF_DIGEST_BYTES, SQLITE_TRANSIENT);
    return run(store, s, error);
}

static pf_status sqlite_secret(pf_store *base, uint8_t out[PF_DIGEST_BYTES], pf_error *error)
{
    sqlite_store *store = sqlite_of(base);
    sqlite3_stmt *row;
    PF_TRY(prepare(store, "SELECT value FROM secrets WHERE name='session'", &row, error));
    int code = step(row);
    bool found = code == SQLITE_ROW && sqlite3_column_bytes(row, 0) == PF_DIGEST_BYTES;
    if (found)
        memcpy(out, sqlite3_column_blob(row, 0), PF_DIGEST_BYTES);
    sqlite3_finalize(row);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return fail(store, code, error);
    return found ? PF_OK : make_secret(store, out, error);
}

static pf_status sqlite_probe(pf_store *base, pf_error *error)
{
    sqlite_store *store = sqlite_of(base);
    pthread_mutex_lock(&store->lock);
    pf_status status = check_place(store, error);
    if (status == PF_OK)
        status = execute(store, "INSERT OR REPLACE INTO secrets(name, value)"
                                " VALUES('probe', randomblob(8))", error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

/* --- deliveries ------------------------------------------------------------------- */

static pf_status put_delivery(sqlite_store *store, const pf_delivery *d, pf_error *error)
{
    sqlite3_stmt *s;
    PF_TRY(prepare(store, "INSERT OR REPLACE INTO deliveries"
                          "(id, url, body, attempts, next) VALUES(?, ?, ?, ?, ?)",
                   &s, error));
    bind(s, 1, d->id);
    bind(s, 2, d->url);
    bind(s, 3, d->body);
    sqlite3_bind_int(s, 4, d->attempts);
    sqlite3_bind_double(s, 5, d->next);
    return run(store, s, error);
}

static pf_status sqlite_delivery_put(pf_store *base, const pf_delivery *delivery,
                                     pf_error *error)
{
    sqlite_store *store = sqlite_of(base);
    pthread_mutex_lock(&store->lock);
    pf_status status = check_place(store, error);
    if (status == PF_OK)
        status = put_delivery(store, delivery, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

static pf_status update_with(sqlite_store *store, const pf_video *video,
                             const pf_delivery *delivery, pf_error *error)
{
    PF_TRY(execute(store, "BEGIN IMMEDIATE", error));
    pf_status status = update(store, video, error);
    if (status == PF_OK)
        status = put_delivery(store, delivery, error);
    if (status == PF_OK)
        status = execute(store, "COMMIT", error);
    if (status != PF_OK)
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static pf_status sqlite_update(pf_store *base, const pf_video *video,
                               const pf_delivery *delivery, pf_error *error)
{
    sqlite_store *store = sqlite_of(base);
    pthread_mutex_lock(&store->lock);
    pf_status status = check_place(store, error);
    if (status == PF_OK)
        status = delivery ? update_with(store, video, delivery, error)
                          : update(store, video, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

static pf_status sqlite_delivery_remove(pf_store *base, const char *id, pf_error *error)
{
    sqlite_store *store = sqlite_of(base);
    return remove_from(store, "DELETE FROM deliveries WHERE id=?", id, error);
}

static pf_status next_delivery(sqlite_store *store, pf_hands *hands, pf_delivery *out,
                               pf_error *error)
{
    sqlite3_stmt *row;
    PF_TRY(prepare(store, "SELECT id, url, body, attempts, next FROM deliveries"
                          " WHERE id NOT IN (?, ?, ?, ?) ORDER BY next LIMIT 1",
                   &row, error));
    for (int i = 0; i < PF_HANDS; i++)
        bind(row, i + 1, (*hands)[i]);
    int code = step(row);
    pf_status status = code == SQLITE_ROW || code == SQLITE_DONE
                           ? PF_OK
                           : fail(store, code, error);
    if (code == SQLITE_ROW) {
        pf_sqlite_text(row, 0, out->id, sizeof out->id);
        out->url = pf_format("%s", (const char *)sqlite3_column_text(row, 1));
        out->body = pf_format("%s", (const char *)sqlite3_column_text(row, 2));
        out->attempts = sqlite3_column_int(row, 3);
        out->next = sqlite3_column_double(row, 4);
        if (!out->url || !out->body)
            status = pf_fail_memory(error, "delivery", 1);
    }
    sqlite3_finalize(row);
    return status;
}

static pf_status sqlite_delivery_next(pf_store *base, pf_hands *hands, pf_delivery *out,
                                      pf_error *error)
{
    sqlite_store *store = sqlite_of(base);
    pthread_mutex_lock(&store->lock);
    pf_status status = next_delivery(store, hands, out, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

const pf_store_driver pf_store_sqlite = {
    .scheme = "",
    .open = sqlite_open,
    .close = sqlite_close,
    .check_place = sqlite_check_place,
    .probe = sqlite_probe,
    .secret = sqlite_secret,
    .load = sqlite_load,
    .insert = sqlite_insert,
    .update = sqlite_update,
    .star = sqlite_star,
    .remove = sqlite_remove,
    .delivery_put = sqlite_delivery_put,
    .delivery_remove = sqlite_delivery_remove,
    .delivery_next = sqlite_delivery_next,
};
