/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the table of videos in SQLite: one list of columns, of which the statements, their
 * parameters and the reading of rows are made.  Every statement names its columns, so that
 * their order in a file, which is the order in which they came to be, means nothing. */
#ifndef PF_SERVER_SQLITE_ROWS_H
#define PF_SERVER_SQLITE_ROWS_H

#include <sqlite3.h>

#include "base/error.h"
#include "server/video.h"

enum { PF_SQLITE_SQL_BYTES = 600 };

/* SELECT of all columns, for pf_sqlite_read_row. */
void pf_sqlite_select(char sql[PF_SQLITE_SQL_BYTES]);
/* INSERT of all columns, for pf_sqlite_bind_row. */
void pf_sqlite_insert(char sql[PF_SQLITE_SQL_BYTES]);
/* UPDATE of the columns that change, for pf_sqlite_bind_changes. */
void pf_sqlite_update(char sql[PF_SQLITE_SQL_BYTES]);

/* Fills a fresh video; its settings are the caller's, also after a failure. */
pf_status pf_sqlite_read_row(sqlite3_stmt *row, pf_video *video, pf_error *error);
/* `settings` is the text of the video's; video and text outlive the statement. */
void pf_sqlite_bind_row(sqlite3_stmt *s, const pf_video *video, const char *settings);
void pf_sqlite_bind_changes(sqlite3_stmt *s, const pf_video *video);

/* Copies the text of a column; "" for NULL. */
void pf_sqlite_text(sqlite3_stmt *row, int at, char *out, size_t room);

#endif
