/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of videos.  See sqlite_rows.h. */
#include "server/sqlite_rows.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

/* --- columns ---------------------------------------------------------------------- */

typedef enum column_kind {
    COLUMN_TEXT,                        /* char[] */
    COLUMN_REAL,                        /* double */
    COLUMN_INT,
    COLUMN_INT64,
    COLUMN_SWITCH,                      /* bool */
    COLUMN_STATUS,                      /* pf_video_status */
    COLUMN_SETTINGS                     /* json_t *, as its text */
} column_kind;

/* A column of `videos` and its member of pf_video. */
typedef struct column {
    const char *name;
    column_kind kind;
    bool changes;                       /* pf_store_update writes it */
    size_t offset, bytes;
} column;

#define COLUMN(member, kind, changes)                                                     \
    {#member, COLUMN_##kind, changes, offsetof(pf_video, member),                         \
     sizeof((pf_video *)0)->member}

static const column columns[] = {
    COLUMN(id, TEXT, false),
    COLUMN(owner, TEXT, false),
    COLUMN(settings, SETTINGS, false),
    COLUMN(created, REAL, false),
    COLUMN(started, REAL, true),
    COLUMN(completed, REAL, true),
    COLUMN(status, STATUS, true),
    COLUMN(error_code, TEXT, true),
    COLUMN(error_message, TEXT, true),
    COLUMN(remixed_from, TEXT, false),
    COLUMN(bytes, INT64, true),
    COLUMN(run_seconds, REAL, true),
    COLUMN(starts, INT, true),
    COLUMN(idempotency_key, TEXT, false),
    COLUMN(idempotency_hash, TEXT, false),
    COLUMN(fraction, REAL, true),
    COLUMN(starred, SWITCH, false),     /* pf_store_star does */
};

enum { COLUMNS = sizeof columns / sizeof columns[0] };

static void *member_of(const pf_video *video, const column *c)
{
    return (char *)video + c->offset;
}

/* --- statements ------------------------------------------------------------------- */

/* Appends "NAME SUFFIX, NAME SUFFIX ..." of all columns, or of those that change; without
 * names the suffixes alone. */
static void list_columns(char sql[PF_SQLITE_SQL_BYTES], bool changing, bool names,
                         const char *suffix)
{
    const char *comma = "";
    for (int i = 0; i < COLUMNS; i++) {
        size_t used = strlen(sql);
        if (changing && !columns[i].changes)
            continue;
        snprintf(sql + used, PF_SQLITE_SQL_BYTES - used, "%s%s%s", comma,
                 names ? columns[i].name : "", suffix);
        comma = ", ";
    }
}

static void append(char sql[PF_SQLITE_SQL_BYTES], const char *text)
{
    size_t used = strlen(sql);
    snprintf(sql + used, PF_SQLITE_SQL_BYTES - used, "%s", text);
}

void pf_sqlite_select(char sql[PF_SQLITE_SQL_BYTES])
{
    sql[0] = '\0';
    append(sql, "SELECT ");
    list_columns(sql, false, true, "");
    append(sql, " FROM videos ORDER BY id");
}

void pf_sqlite_insert(char sql[PF_SQLITE_SQL_BYTES])
{
    sql[0] = '\0';
    append(sql, "INSERT INTO videos(");
    list_columns(sql, false, true, "");
    append(sql, ") VALUES(");
    list_columns(sql, false, false, "?");
    append(sql, ")");
}

void pf_sqlite_update(char sql[PF_SQLITE_SQL_BYTES])
{
    sql[0] = '\0';
    append(sql, "UPDATE videos SET ");
    list_columns(sql, true, true, "=?");
    append(sql, " WHERE id=?");
}

/* --- reading ---------------------------------------------------------------------- */

void pf_sqlite_text(sqlite3_stmt *row, int at, char *out, size_t room)
{
    const unsigned char *text = sqlite3_column_text(row, at);
    snprintf(out, room, "%s", text ? (const char *)text : "");
}

static pf_status read_settings(sqlite3_stmt *row, int at, pf_video *video, pf_error *error)
{
    const char *text = (const char *)sqlite3_column_text(row, at);
    size_t bytes = (size_t)sqlite3_column_bytes(row, at);
    return text ? pf_json_parse(text, bytes, video->id, &video->settings, error)
                : pf_fail_memory(error, "job store", 1);
}

static pf_status read_status(sqlite3_stmt *row, int at, pf_video *video, pf_error *error)
{
    int state = sqlite3_column_int(row, at);
    if (state < PF_VIDEO_QUEUED || state > PF_VIDEO_FAILED)
        return pf_fail(error, PF_E_IO, "the job store is damaged: %s has state %d",
                       video->id, state);
    video->status = (pf_video_status)state;
    return PF_OK;
}

static pf_status read_column(sqlite3_stmt *row, int at, pf_video *video, pf_error *error)
{
    const column *c = &columns[at];
    void *member = member_of(video, c);
    switch (c->kind) {
    case COLUMN_TEXT: pf_sqlite_text(row, at, member, c->bytes); break;
    case COLUMN_REAL: *(double *)member = sqlite3_column_double(row, at); break;
    case COLUMN_INT: *(int *)member = sqlite3_column_int(row, at); break;
    case COLUMN_INT64: *(int64_t *)member = sqlite3_column_int64(row, at); break;
    case COLUMN_SWITCH: *(bool *)member = sqlite3_column_int(row, at) != 0; break;
    case COLUMN_STATUS: return read_status(row, at, video, error);
    case COLUMN_SETTINGS: return read_settings(row, at, video, error);
    }
    return PF_OK;
}

pf_status pf_sqlite_read_row(sqlite3_stmt *row, pf_video *video, pf_error *error)
{
    for (int i = 0; i < COLUMNS; i++)
        PF_TRY(read_column(row, i, video, error));
    return PF_OK;
}

/* --- binding ---------------------------------------------------------------------- */

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

static void bind_column(sqlite3_stmt *s, int at, const pf_video *video, const column *c,
                        const char *settings)
{
    const void *member = member_of(video, c);
    switch (c->kind) {
    case COLUMN_TEXT: bind_text(s, at, member); break;
    case COLUMN_REAL: sqlite3_bind_double(s, at, *(const double *)member); break;
    case COLUMN_INT: sqlite3_bind_int(s, at, *(const int *)member); break;
    case COLUMN_INT64: sqlite3_bind_int64(s, at, *(const int64_t *)member); break;
    case COLUMN_SWITCH: sqlite3_bind_int(s, at, *(const bool *)member); break;
    case COLUMN_STATUS: sqlite3_bind_int(s, at, (int)video->status); break;
    case COLUMN_SETTINGS: bind_text(s, at, settings); break;
    }
}

void pf_sqlite_bind_row(sqlite3_stmt *s, const pf_video *video, const char *settings)
{
    for (int i = 0; i < COLUMNS; i++)
        bind_column(s, i + 1, video, &columns[i], settings);
}

void pf_sqlite_bind_changes(sqlite3_stmt *s, const pf_video *video)
{
    int bound = 0;
    for (int i = 0; i < COLUMNS; i++)
        if (columns[i].changes)
            bind_column(s, ++bound, video, &columns[i], NULL);
    bind_text(s, bound + 1, video->id);
}
