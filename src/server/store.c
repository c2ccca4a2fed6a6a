/* SPDX-License-Identifier: Apache-2.0 */
/* The job store.  See store.h. */
#include "server/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/json.h"
#include "base/memory.h"
#include "server/wal.h"

enum { BUSY_MS = 2000, SCHEMA_VERSION = 3, LEAST_PAGE = 512 };

/* A file, by what it is and not by its name. */
typedef struct identity {
    bool known;
    dev_t device;
    ino_t inode;
} identity;

struct pf_store {
    sqlite3 *db;
    pthread_mutex_t lock;
    char *path, *log_path;
    identity file, log;
};

/* From nothing, or from version 1, which has the tables or is about to, to version 2. */
static const char upgrade_to_2[] =
    "BEGIN IMMEDIATE;"
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
    "ALTER TABLE videos ADD COLUMN fraction REAL NOT NULL DEFAULT 0;"
    "PRAGMA user_version=2;"
    "COMMIT;";

static const char upgrade_to_3[] =
    "BEGIN IMMEDIATE;"
    "ALTER TABLE videos ADD COLUMN starred INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version=3;"
    "COMMIT;";

static const struct {
    int version;                        /* that it leads to */
    const char *sql;
} upgrades[] = {{2, upgrade_to_2}, {3, upgrade_to_3}};

/* Advice about a store that cannot be used as it is. */
#define ADVICE                                                                            \
    "put back a copy of phonofilm.db and phonofilm.db-wal, or move both away and run "    \
    "\"phonofilm jobs adopt\", which takes the films in again"

/* --- SQLite's ways ---------------------------------------------------------------- */

static pf_status fail(pf_store *store, int code, pf_error *error)
{
    if (code == SQLITE_BUSY)
        return pf_fail(error, PF_E_IO,
                       "the job store is in use by another server; give each its folder");
    if (code == SQLITE_NOMEM)
        return pf_fail_memory(error, "job store", 1);
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        return pf_fail(error, PF_E_IO, "the job store is damaged: %s; " ADVICE,
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

static pf_status prepare(pf_store *store, const char *sql, sqlite3_stmt **out,
                         pf_error *error)
{
    int code = sqlite3_prepare_v2(store->db, sql, -1, out, NULL);
    return code == SQLITE_OK ? PF_OK : fail(store, code, error);
}

/* Runs a statement that gives no rows, and finishes it. */
static pf_status run(pf_store *store, sqlite3_stmt *statement, pf_error *error)
{
    int code = step(statement);
    pf_status status = code == SQLITE_DONE ? PF_OK : fail(store, code, error);
    sqlite3_finalize(statement);
    return status;
}

static pf_status execute(pf_store *store, const char *sql, pf_error *error)
{
    int code = pf_fault_hit(PF_FAULT_BUSY)
                   ? SQLITE_BUSY
                   : sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? PF_OK : fail(store, code, error);
}

static void copy_column(sqlite3_stmt *row, int column, char *out, size_t room)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    snprintf(out, room, "%s", text ? (const char *)text : "");
}

/* --- opening ---------------------------------------------------------------------- */

/* The size of PATH and SUFFIX, 0 when it is not there; below 0: out of memory. */
static int64_t size_of(const char *path, const char *suffix)
{
    struct stat info;
    char *whole = pf_format("%s%s", path, suffix);
    int64_t size = !whole ? -1 : stat(whole, &info) == 0 ? (int64_t)info.st_size : 0;
    pf_free(whole);
    return size;
}

/* A file that has been cut below a page, or below its log, would be begun anew, and the
 * log thrown away.  (One with a rollback journal is mended by SQLite.) */
static pf_status check_size(const char *path, pf_error *error)
{
    int64_t bytes = size_of(path, ""), log = size_of(path, "-wal");
    int64_t journal = size_of(path, "-journal");
    if (bytes < 0 || log < 0 || journal < 0)
        return pf_fail_memory(error, "job store", strlen(path));
    bool cut = bytes < LEAST_PAGE && (bytes > 0 || log > 0);
    if (!cut || journal > 0)
        return PF_OK;
    return pf_fail(error, PF_E_IO,
                   "the job store is damaged: it has %lld bytes, but must have %d or more; "
                   ADVICE, (long long)bytes, LEAST_PAGE);
}

/* SQLite would drop what does not check, and begin where that ends. */
static pf_status check_log(const char *log_path, pf_error *error)
{
    pf_error inner = {0};
    pf_status status = pf_wal_check(log_path, &inner);
    if (status != PF_E_IO)
        return status == PF_OK ? PF_OK : pf_fail(error, status, "%s", inner.message);
    return pf_fail(error, status, "%s; " ADVICE, inner.message);
}

/* --- where it lies ---------------------------------------------------------------- */

static bool identify(const char *path, identity *out)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return false;
    *out = (identity){true, info.st_dev, info.st_ino};
    return true;
}

static bool is_in_place(const char *path, const identity *wanted)
{
    identity found;
    return !wanted->known || (identify(path, &found) && found.device == wanted->device &&
                              found.inode == wanted->inode);
}

/* Locked. */
static pf_status check_place(const pf_store *store, pf_error *error)
{
    bool file = is_in_place(store->path, &store->file);
    if (file && is_in_place(store->log_path, &store->log))
        return PF_OK;
    return pf_fail(error, PF_E_IO,
                   "%s was removed or replaced while the server runs; put it back, or stop "
                   "the server and run \"phonofilm jobs adopt\"",
                   file ? store->log_path : store->path);
}

pf_status pf_store_check_place(pf_store *store, pf_error *error)
{
    pthread_mutex_lock(&store->lock);
    pf_status status = check_place(store, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

static pf_status read_version(pf_store *store, int *version, pf_error *error)
{
    sqlite3_stmt *row;
    PF_TRY(prepare(store, "PRAGMA user_version", &row, error));
    int code = step(row);
    *version = code == SQLITE_ROW ? sqlite3_column_int(row, 0) : -1;
    sqlite3_finalize(row);
    if (code != SQLITE_ROW)
        return fail(store, code, error);
    if (*version >= 0 && *version <= SCHEMA_VERSION)
        return PF_OK;
    return pf_fail(error, PF_E_UNSUPPORTED,
                   "the job store is of version %d, but this program knows version %d",
                   *version, SCHEMA_VERSION);
}

/* Every page of the file, but not what indices say of tables: that would take long. */
static pf_status check_pages(pf_store *store, pf_error *error)
{
    sqlite3_stmt *row;
    PF_TRY(prepare(store, "PRAGMA quick_check(1)", &row, error));
    int code = step(row);
    char found[200] = "";
    if (code == SQLITE_ROW)
        copy_column(row, 0, found, sizeof found);
    sqlite3_finalize(row);
    if (code != SQLITE_ROW)
        return fail(store, code, error);
    if (strcmp(found, "ok") == 0)
        return PF_OK;
    return pf_fail(error, PF_E_IO, "the job store is damaged: %s; " ADVICE, found);
}

static pf_status set_up(pf_store *store, pf_error *error)
{
    int version;
    sqlite3_busy_timeout(store->db, BUSY_MS);
    PF_TRY(read_version(store, &version, error));
    PF_TRY(execute(store, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                          "PRAGMA locking_mode=EXCLUSIVE;",
                   error));
    PF_TRY(check_pages(store, error));
    for (size_t i = 0; i < sizeof upgrades / sizeof upgrades[0]; i++)
        if (version < upgrades[i].version)
            PF_TRY(execute(store, upgrades[i].sql, error));
    identify(store->path, &store->file);
    identify(store->log_path, &store->log);
    return PF_OK;
}

static pf_status open_file(pf_store *store, pf_error *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    PF_TRY(check_size(store->path, error));
    PF_TRY(check_log(store->log_path, error));
    if (sqlite3_open_v2(store->path, &store->db, flags, NULL) != SQLITE_OK)
        return pf_fail(error, PF_E_IO, "the job store cannot be opened: %s",
                       store->db ? sqlite3_errmsg(store->db) : "out of memory");
    return set_up(store, error);
}

pf_status pf_store_open(const char *path, pf_store **out, pf_error *error)
{
    *out = NULL;
    pf_store *store = pf_calloc(1, sizeof *store);
    if (!store)
        return pf_fail_memory(error, "job store", sizeof *store);
    pthread_mutex_init(&store->lock, NULL);
    store->path = pf_strdup(path);
    store->log_path = pf_format("%s-wal", path);
    pf_error inner = {0};
    pf_status status = store->path && store->log_path
                           ? open_file(store, &inner)
                           : pf_fail_memory(&inner, "paths", strlen(path));
    if (status != PF_OK) {
        pf_store_close(store);
        return pf_fail(error, status, "%s: %s", path, inner.message);
    }
    *out = store;
    return PF_OK;
}

void pf_store_close(pf_store *store)
{
    if (!store)
        return;
    sqlite3_close(store->db);
    pthread_mutex_destroy(&store->lock);
    pf_free(store->path);
    pf_free(store->log_path);
    pf_free(store);
}

/* --- videos ----------------------------------------------------------------------- */

static pf_status read_row(sqlite3_stmt *row, pf_video *video, pf_error *error)
{
    const char *settings = (const char *)sqlite3_column_text(row, 2);
    size_t bytes = (size_t)sqlite3_column_bytes(row, 2);
    copy_column(row, 0, video->id, sizeof video->id);
    copy_column(row, 1, video->owner, sizeof video->owner);
    if (!settings)
        return pf_fail_memory(error, "job store", 1);
    PF_TRY(pf_json_parse(settings, bytes, video->id, &video->settings, error));
    video->created = sqlite3_column_double(row, 3);
    video->started = sqlite3_column_double(row, 4);
    video->completed = sqlite3_column_double(row, 5);
    int state = sqlite3_column_int(row, 6);
    if (state < PF_VIDEO_QUEUED || state > PF_VIDEO_FAILED)
        return pf_fail(error, PF_E_IO, "the job store is damaged: %s has state %d",
                       video->id, state);
    video->status = (pf_video_status)state;
    copy_column(row, 7, video->error_code, sizeof video->error_code);
    copy_column(row, 8, video->error_message, sizeof video->error_message);
    copy_column(row, 9, video->remixed_from, sizeof video->remixed_from);
    video->bytes = sqlite3_column_int64(row, 10);
    video->run_seconds = sqlite3_column_double(row, 11);
    video->starts = sqlite3_column_int(row, 12);
    copy_column(row, 13, video->idempotency_key, sizeof video->idempotency_key);
    copy_column(row, 14, video->idempotency_hash, sizeof video->idempotency_hash);
    video->fraction = sqlite3_column_double(row, 15);
    video->starred = sqlite3_column_int(row, 16) != 0;
    return PF_OK;
}

static pf_status load_row(sqlite3_stmt *row, pf_status (*take)(void *user, pf_video *),
                          void *user, pf_error *error)
{
    pf_video *video = pf_video_new();
    if (!video)
        return pf_fail_memory(error, "video", sizeof *video);
    pf_status status = read_row(row, video, error);
    if (status != PF_OK) {
        json_decref(video->settings);
        pf_free(video);
        return status;
    }
    return take(user, video);
}

pf_status pf_store_load(pf_store *store, pf_status (*take)(void *user, pf_video *video),
                        void *user, pf_error *error)
{
    sqlite3_stmt *rows;
    PF_TRY(prepare(store, "SELECT * FROM videos ORDER BY id", &rows, error));
    pf_status status = PF_OK;
    int code = SQLITE_DONE;
    while (status == PF_OK && (code = step(rows)) == SQLITE_ROW)
        status = load_row(rows, take, user, error);
    if (status == PF_OK && code != SQLITE_DONE)
        status = fail(store, code, error);
    sqlite3_finalize(rows);
    return status;
}

static pf_status insert(pf_store *store, const pf_video *v, const char *settings,
                        pf_error *error)
{
    sqlite3_stmt *s;
    PF_TRY(prepare(store, "INSERT INTO videos VALUES"
                          "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", &s, error));
    bind(s, 1, v->id);
    bind(s, 2, v->owner);
    bind(s, 3, settings);
    sqlite3_bind_double(s, 4, v->created);
    sqlite3_bind_double(s, 5, v->started);
    sqlite3_bind_double(s, 6, v->completed);
    sqlite3_bind_int(s, 7, (int)v->status);
    bind(s, 8, v->error_code);
    bind(s, 9, v->error_message);
    bind(s, 10, v->remixed_from);
    sqlite3_bind_int64(s, 11, v->bytes);
    sqlite3_bind_double(s, 12, v->run_seconds);
    sqlite3_bind_int(s, 13, v->starts);
    bind(s, 14, v->idempotency_key);
    bind(s, 15, v->idempotency_hash);
    sqlite3_bind_double(s, 16, v->fraction);
    sqlite3_bind_int(s, 17, v->starred);
    return run(store, s, error);
}

pf_status pf_store_insert(pf_store *store, const pf_video *video, pf_error *error)
{
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

static pf_status update(pf_store *store, const pf_video *v, pf_error *error)
{
    sqlite3_stmt *s;
    PF_TRY(prepare(store, "UPDATE videos SET started=?, completed=?, status=?,"
                          " error_code=?, error_message=?, bytes=?, run_seconds=?,"
                          " starts=?, fraction=? WHERE id=?", &s, error));
    sqlite3_bind_double(s, 1, v->started);
    sqlite3_bind_double(s, 2, v->completed);
    sqlite3_bind_int(s, 3, (int)v->status);
    bind(s, 4, v->error_code);
    bind(s, 5, v->error_message);
    sqlite3_bind_int64(s, 6, v->bytes);
    sqlite3_bind_double(s, 7, v->run_seconds);
    sqlite3_bind_int(s, 8, v->starts);
    sqlite3_bind_double(s, 9, v->fraction);
    bind(s, 10, v->id);
    return run(store, s, error);
}

static pf_status delete_from(pf_store *store, const char *sql, const char *id,
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

pf_status pf_store_delete(pf_store *store, const char *id, pf_error *error)
{
    return delete_from(store, "DELETE FROM videos WHERE id=?", id, error);
}

static pf_status set_star(pf_store *store, const char *id, bool starred, pf_error *error)
{
    sqlite3_stmt *s;
    PF_TRY(check_place(store, error));
    PF_TRY(prepare(store, "UPDATE videos SET starred=? WHERE id=?", &s, error));
    sqlite3_bind_int(s, 1, starred);
    bind(s, 2, id);
    return run(store, s, error);
}

pf_status pf_store_star(pf_store *store, const char *id, bool starred, pf_error *error)
{
    pthread_mutex_lock(&store->lock);
    pf_status status = set_star(store, id, starred, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

/* --- the secret ------------------------------------------------------------------- */

static pf_status make_secret(pf_store *store, uint8_t out[PF_DIGEST_BYTES],
                             pf_error *error)
{
    sqlite3_stmt *s;
    if (!pf_random_bytes(out, PF_DIGEST_BYTES))
        return pf_fail(error, PF_E_IO, "the system gives no random numbers");
    PF_TRY(prepare(store, "INSERT INTO secrets VALUES('session', ?)", &s, error));
    sqlite3_bind_blob(s, 1, out, PF_DIGEST_BYTES, SQLITE_TRANSIENT);
    return run(store, s, error);
}

pf_status pf_store_secret(pf_store *store, uint8_t out[PF_DIGEST_BYTES], pf_error *error)
{
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

pf_status pf_store_probe(pf_store *store, pf_error *error)
{
    pthread_mutex_lock(&store->lock);
    pf_status status = check_place(store, error);
    if (status == PF_OK)
        status = execute(store, "INSERT OR REPLACE INTO secrets VALUES"
                                "('probe', randomblob(8))", error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

/* --- deliveries ------------------------------------------------------------------- */

static pf_status put_delivery(pf_store *store, const pf_delivery *d, pf_error *error)
{
    sqlite3_stmt *s;
    PF_TRY(prepare(store, "INSERT OR REPLACE INTO deliveries VALUES(?,?,?,?,?)", &s,
                   error));
    bind(s, 1, d->id);
    bind(s, 2, d->url);
    bind(s, 3, d->body);
    sqlite3_bind_int(s, 4, d->attempts);
    sqlite3_bind_double(s, 5, d->next);
    return run(store, s, error);
}

pf_status pf_store_delivery_put(pf_store *store, const pf_delivery *delivery,
                                pf_error *error)
{
    pthread_mutex_lock(&store->lock);
    pf_status status = check_place(store, error);
    if (status == PF_OK)
        status = put_delivery(store, delivery, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

static pf_status update_with(pf_store *store, const pf_video *video,
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

pf_status pf_store_update(pf_store *store, const pf_video *video,
                          const pf_delivery *delivery, pf_error *error)
{
    pthread_mutex_lock(&store->lock);
    pf_status status = check_place(store, error);
    if (status == PF_OK)
        status = delivery ? update_with(store, video, delivery, error)
                          : update(store, video, error);
    pthread_mutex_unlock(&store->lock);
    return status;
}

pf_status pf_store_delivery_delete(pf_store *store, const char *id, pf_error *error)
{
    return delete_from(store, "DELETE FROM deliveries WHERE id=?", id, error);
}

static pf_status next_delivery(pf_store *store, pf_hands *hands, pf_delivery *out,
                               pf_error *error)
{
    sqlite3_stmt *row;
    PF_TRY(prepare(store, "SELECT * FROM deliveries WHERE id NOT IN (?,?,?,?)"
                          " ORDER BY next LIMIT 1", &row, error));
    for (int i = 0; i < PF_HANDS; i++)
        bind(row, i + 1, (*hands)[i]);
    int code = step(row);
    pf_status status = code == SQLITE_ROW || code == SQLITE_DONE
                           ? PF_OK
                           : fail(store, code, error);
    if (code == SQLITE_ROW) {
        copy_column(row, 0, out->id, sizeof out->id);
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

pf_status pf_store_delivery_next(pf_store *store, pf_hands *hands, pf_delivery *out,
                                 pf_error *error)
{
    *out = (pf_delivery){.url = NULL};
    pthread_mutex_lock(&store->lock);
    pf_status status = next_delivery(store, hands, out, error);
    pthread_mutex_unlock(&store->lock);
    if (status != PF_OK)
        pf_delivery_free(out);
    return status;
}

void pf_delivery_free(pf_delivery *delivery)
{
    pf_free(delivery->url);
    pf_free(delivery->body);
    *delivery = (pf_delivery){.url = NULL};
}
