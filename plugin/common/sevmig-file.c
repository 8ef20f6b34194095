/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sevmig-file.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

typedef struct {
    char *name;
    char *owner; /* see the header */
    guint64 size_bytes;
} Entry;

/* What one owner's files come to. */
typedef struct {
    guint files;
    guint64 bytes;
} Share;

typedef struct {
    GArray *entries;    /* of Entry, oldest first */
    GHashTable *shares; /* owner, of an entry -> Share */
    guint files;
    guint64 bytes;
} Listing;

static void
entry_clear(gpointer data)
{
    Entry *entry = data;

    g_free(entry->name);
    g_free(entry->owner);
}

static gint
entry_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(((const Entry *)a)->name, ((const Entry *)b)->name);
}

static void
listing_clear(Listing *self)
{
    g_hash_table_unref(self->shares);
    g_array_unref(self->entries);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Listing, listing_clear)

char *
sevmig_file_owner(const char *name)
{
    const char *begin = strchr(name, '-');
    const char *end = begin != NULL ? strchr(begin + 1, '-') : NULL;

    return end != NULL ? g_strndup(begin + 1, (gsize)(end - begin - 1)) : g_strdup("");
}

static void
listing_add(Listing *self, const char *name, guint64 size_bytes)
{
    Entry entry = {g_strdup(name), sevmig_file_owner(name), size_bytes};
    Share *share = g_hash_table_lookup(self->shares, entry.owner);

    if (share == NULL) {
        share = g_new0(Share, 1);
        g_hash_table_insert(self->shares, g_strdup(entry.owner), share);
    }
    share->files++;
    share->bytes += size_bytes;
    self->files++;
    self->bytes += size_bytes;
    g_array_append_val(self->entries, entry);
}

static void
listing_read(Listing *self, const char *directory, const char *suffix)
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    const char *name;

    self->entries = g_array_new(FALSE, FALSE, sizeof(Entry));
    g_array_set_clear_func(self->entries, entry_clear);
    self->shares = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        GStatBuf st;

        if (g_str_has_suffix(name, suffix) && g_lstat(path, &st) == 0 && S_ISREG(st.st_mode))
            listing_add(self, name, (guint64)st.st_size);
    }
    g_array_sort(self->entries, entry_compare);
}

static const Share *
share_of(const Listing *self, guint i)
{
    return g_hash_table_lookup(self->shares, g_array_index(self->entries, Entry, i).owner);
}

/* The oldest of the owner that has the most, in files or, where those are few enough, in bytes. */
static guint
listing_next(const Listing *self, gboolean by_files)
{
    guint next = 0;

    for (guint i = 1; i < self->entries->len; i++) {
        const Share *share = share_of(self, i), *most = share_of(self, next);

        if (by_files ? share->files > most->files : share->bytes > most->bytes)
            next = i;
    }
    return next;
}

/* Its writer holds a lock on it: see sevmig_file_claim(). */
static gboolean
is_claimed(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    gboolean claimed = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;

    if (fd >= 0)
        close(fd);
    return claimed;
}

gboolean
sevmig_file_claim(int fd)
{
    return flock(fd, LOCK_SH | LOCK_NB) == 0;
}

guint
sevmig_directory_trim(const char *directory, const char *suffix, guint keep_files,
                      guint64 keep_bytes)
{
    g_auto(Listing) listing = {0};
    guint removed = 0;

    listing_read(&listing, directory, suffix);
    while (listing.entries->len > 0 && (listing.files > keep_files || listing.bytes > keep_bytes)) {
        guint at = listing_next(&listing, listing.files > keep_files);
        const Entry *entry = &g_array_index(listing.entries, Entry, at);
        g_autofree char *path = g_build_filename(directory, entry->name, NULL);
        Share *share = g_hash_table_lookup(listing.shares, entry->owner);

        share->files--;
        share->bytes -= entry->size_bytes;
        if (!is_claimed(path) && g_unlink(path) == 0) {
            listing.files--;
            listing.bytes -= entry->size_bytes;
            removed++;
        }
        g_array_remove_index(listing.entries, at);
    }
    return removed;
}
