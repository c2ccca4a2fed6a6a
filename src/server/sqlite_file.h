/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a SQLite database, as the file system shows them: whether they are whole,
 * and whether they still lie where they were opened. */
#ifndef PF_SERVER_SQLITE_FILE_H
#define PF_SERVER_SQLITE_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* Advice about a store that cannot be used as it is. */
#define PF_SQLITE_ADVICE                                                                  \
    "put back a copy of phonofilm.db and phonofilm.db-wal, or move both away and run "    \
    "\"phonofilm jobs adopt\", which takes the films in again"

/* A file, by its inode and not by its name. */
typedef struct pf_file_identity {
    bool known;
    dev_t device;
    ino_t inode;
} pf_file_identity;

typedef struct pf_sqlite_file {
    char *path, *log_path;              /* the database, and its write-ahead log */
    pf_file_identity file, log;
} pf_sqlite_file;

/* Makes the paths; close also after a failure. */
pf_status pf_sqlite_file_open(pf_sqlite_file *file, const char *path, pf_error *error);
void pf_sqlite_file_close(pf_sqlite_file *file);

/* Before SQLite opens them: PF_E_IO when it would begin a damaged database anew, or drop
 * what its log holds. */
pf_status pf_sqlite_file_check(const pf_sqlite_file *file, pf_error *error);

/* While SQLite has them open: notes which files they are. */
void pf_sqlite_file_note(pf_sqlite_file *file);
/* PF_E_IO when other files, or none, lie there by now. */
pf_status pf_sqlite_file_check_place(const pf_sqlite_file *file, pf_error *error);

#endif
