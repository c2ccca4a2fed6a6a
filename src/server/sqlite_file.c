/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a SQLite database.  See sqlite_file.h. */
#include "server/sqlite_file.h"

#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "server/wal.h"

enum { LEAST_PAGE = 512 };

pf_status pf_sqlite_file_open(pf_sqlite_file *file, const char *path, pf_error *error)
{
    *file = (pf_sqlite_file){.path = pf_strdup(path), .log_path = pf_format("%s-wal", path)};
    return file->path && file->log_path ? PF_OK
                                        : pf_fail_memory(error, "paths", strlen(path));
}

void pf_sqlite_file_close(pf_sqlite_file *file)
{
    pf_free(file->path);
    pf_free(file->log_path);
    *file = (pf_sqlite_file){.path = NULL};
}

/* --- whole ------------------------------------------------------------------------ */

/* Bytes of the file PATH and SUFFIX, 0 when it is not there; below 0: out of memory. */
static int64_t size_of(const char *path, const char *suffix)
{
    struct stat info;
    char *whole = pf_format("%s%s", path, suffix);
    int64_t size = !whole ? -1 : stat(whole, &info) == 0 ? (int64_t)info.st_size : 0;
    pf_free(whole);
    return size;
}

/* SQLite begins a file anew that is shorter than a page, and throws its log away.  (A file
 * with a rollback journal it mends.) */
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
                   PF_SQLITE_ADVICE, (long long)bytes, LEAST_PAGE);
}

/* SQLite drops the frames of a log from the first damaged one on. */
static pf_status check_log(const char *log_path, pf_error *error)
{
    pf_error inner = {0};
    pf_status status = pf_wal_check(log_path, &inner);
    if (status != PF_E_IO)
        return status == PF_OK ? PF_OK : pf_fail(error, status, "%s", inner.message);
    return pf_fail(error, status, "%s; " PF_SQLITE_ADVICE, inner.message);
}

pf_status pf_sqlite_file_check(const pf_sqlite_file *file, pf_error *error)
{
    PF_TRY(check_size(file->path, error));
    return check_log(file->log_path, error);
}

/* --- in place --------------------------------------------------------------------- */

static bool identify(const char *path, pf_file_identity *out)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return false;
    *out = (pf_file_identity){true, info.st_dev, info.st_ino};
    return true;
}

static bool is_in_place(const char *path, const pf_file_identity *wanted)
{
    pf_file_identity found;
    return !wanted->known || (identify(path, &found) && found.device == wanted->device &&
                              found.inode == wanted->inode);
}

void pf_sqlite_file_note(pf_sqlite_file *file)
{
    identify(file->path, &file->file);
    identify(file->log_path, &file->log);
}

pf_status pf_sqlite_file_check_place(const pf_sqlite_file *file, pf_error *error)
{
    bool in_place = is_in_place(file->path, &file->file);
    if (in_place && is_in_place(file->log_path, &file->log))
        return PF_OK;
    return pf_fail(error, PF_E_IO,
                   "%s was removed or replaced while the server runs; put it back, or stop "
                   "the server and run \"phonofilm jobs adopt\"",
                   in_place ? file->log_path : file->path);
}
