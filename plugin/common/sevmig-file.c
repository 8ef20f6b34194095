/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sevmig-file.h"

#include <string.h>
#include <glib/gstdio.h>

typedef struct {
    char *name;
    guint64 size_bytes;
} Entry;

static void
entry_clear(gpointer data)
{
    Entry *entry = data;

    g_free(entry->name);
}

static gint
entry_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(((const Entry *)a)->name, ((const Entry *)b)->name);
}

static GArray *
entries_read(const char *directory, const char *suffix, const char *spare, guint64 *total_bytes)
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    GArray *entries = g_array_new(FALSE, FALSE, sizeof(Entry));
    const char *name;

    g_array_set_clear_func(entries, entry_clear);
    *total_bytes = 0;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        GStatBuf st;
        Entry entry;

        if (!g_str_has_suffix(name, suffix) || g_lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
            continue;
        *total_bytes += (guint64)st.st_size;
        if (g_strcmp0(name, spare) == 0)
            continue;
        entry = (Entry){.name = g_strdup(name), .size_bytes = (guint64)st.st_size};
        g_array_append_val(entries, entry);
    }
    g_array_sort(entries, entry_compare);
    return entries;
}

guint
sevmig_directory_trim(const char *directory, const char *suffix, guint keep_files,
                      guint64 keep_bytes, const char *spare)
{
    guint64 total_bytes;
    g_autoptr(GArray) entries = entries_read(directory, suffix, spare, &total_bytes);
    guint left = entries->len + (spare != NULL ? 1 : 0);
    guint removed = 0;

    for (guint i = 0; i < entries->len; i++) {
        const Entry *entry = &g_array_index(entries, Entry, i);
        g_autofree char *path = g_build_filename(directory, entry->name, NULL);

        if (left <= keep_files && total_bytes <= keep_bytes)
            break;
        if (g_unlink(path) < 0)
            continue;
        left--;
        total_bytes -= entry->size_bytes;
        removed++;
    }
    return removed;
}
