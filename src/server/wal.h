/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite's write-ahead log, looked at before SQLite opens it.
 *
 * SQLite takes a log up to its first frame that does not check, and drops the rest
 * without a word: right after a loss of power, when the last transaction is half
 * written, and wrong when the file was damaged later.  Both are told apart here.
 * Format: https://www.sqlite.org/fileformat2.html, "The Write-Ahead Log".
 */
#ifndef PF_SERVER_WAL_H
#define PF_SERVER_WAL_H

#include "base/error.h"

/* PF_E_IO when committed transactions of the log would be dropped; a log that is
 * missing or empty is sound.  `path` is that of the log. */
pf_status pf_wal_check(const char *path, pf_error *error);

#endif
