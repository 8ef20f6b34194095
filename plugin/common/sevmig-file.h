/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-file.h - directories that hold a bounded number of files
 */
#ifndef SEVMIG_FILE_H
#define SEVMIG_FILE_H

#include <glib.h>

/*
 * Removes files of `directory` that end in `suffix` until at most `keep_files` of them and
 * `keep_bytes` in all are left. The owner with the most of them loses its oldest first, so that
 * nobody's files push out another's; "oldest" is by name, and names begin with a sortable time. A
 * file that is claimed, or cannot be removed, is left alone, even if more are left then. Returns
 * how many were removed.
 */
guint sevmig_directory_trim(const char *directory, const char *suffix, guint keep_files,
                            guint64 keep_bytes);

/* As long as `fd` is open its file is not removed by the above, by whichever process. */
gboolean sevmig_file_claim(int fd);

/* Whose file it is: what stands between the first two dashes of its name, "" if nothing does.
 * Caller frees. */
char *sevmig_file_owner(const char *name);

#endif
