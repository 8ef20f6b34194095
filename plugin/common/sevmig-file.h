/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-file.h - directories that hold a bounded number of files
 */
#ifndef SEVMIG_FILE_H
#define SEVMIG_FILE_H

#include <glib.h>

/*
 * Removes the oldest files of `directory` that end in `suffix` until at most `keep_files` of them
 * and `keep_bytes` in all are left. "Oldest" is by name: names begin with a sortable time. `spare`
 * (NULL: none) is the name of a file that is never removed. A file that cannot be removed is left
 * alone. Returns how many were removed.
 */
guint sevmig_directory_trim(const char *directory, const char *suffix, guint keep_files,
                            guint64 keep_bytes, const char *spare);

#endif
