/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "history.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "sevmig-error.h"
#include "sevmig-file.h"
#include "summary.h"

#define SUFFIX ".json"
#define KEEP_FILES 256u
#define KEEP_BYTES (G_GUINT64_CONSTANT(4) << 20)
#define LEARN_FROM 9u /* switchovers; odd, so that the median is one of them */
#define LARGEST_FILE 65536
/* Records go when others come; to look for all of them at each call would be for callers to ask. */
#define LOOK_INTERVAL_US (2 * G_USEC_PER_SEC)

struct SevmigHistory {
    char *directory;
    GPtrArray *entries;           /* of SevmigInfo, oldest first */
    GPtrArray *shown;             /* of GVariant, the same as they are shown; NULL: not made yet */
    gint64 looked_us;             /* when their records were last looked for */
    guint64 fixed_us[LEARN_FROM]; /* ring */
    guint n_fixed;                /* ever added */
};

static void
history_learn(SevmigHistory *self, const SevmigInfo *entry)
{
    if (entry->fixed_downtime_us > 0)
        self->fixed_us[self->n_fixed++ % LEARN_FROM] = entry->fixed_downtime_us;
}

static void
entry_free(gpointer data)
{
    sevmig_info_clear(data);
    g_free(data);
}

static SevmigInfo *
entry_new(void)
{
    SevmigInfo *entry = g_new0(SevmigInfo, 1);

    sevmig_info_init(entry);
    return entry;
}

static guint
count_of(const SevmigHistory *self, const char *uuid)
{
    guint n = 0;

    for (guint i = 0; i < self->entries->len; i++)
        n += strcmp(((const SevmigInfo *)self->entries->pdata[i])->uuid, uuid) == 0;
    return n;
}

/* As with the files: the domain with the most loses its oldest. */
static guint
history_next(const SevmigHistory *self)
{
    guint next = 0, most = 0;

    for (guint i = 0; i < self->entries->len; i++) {
        guint n = count_of(self, ((const SevmigInfo *)self->entries->pdata[i])->uuid);

        if (n > most) {
            most = n;
            next = i;
        }
    }
    return next;
}

static void
history_keep(SevmigHistory *self, SevmigInfo *entry)
{
    g_clear_pointer(&self->shown, g_ptr_array_unref);
    sevmig_info_set(&entry->state, "ended");
    g_ptr_array_add(self->entries, entry);
    if (self->entries->len > KEEP_FILES)
        g_ptr_array_remove_index(self->entries, history_next(self));
}

static gboolean
is_named_after(const SevmigInfo *entry, const char *name)
{
    return g_str_has_prefix(name, entry->id) && strcmp(name + strlen(entry->id), SUFFIX) == 0;
}

static void
history_read(SevmigHistory *self, const char *name)
{
    g_autofree char *path = g_build_filename(self->directory, name, NULL);
    g_autofree char *text = NULL;
    SevmigInfo *entry;
    GStatBuf st;

    if (g_lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > LARGEST_FILE ||
        !g_file_get_contents(path, &text, NULL, NULL))
        return;
    entry = entry_new();
    if (!sevmig_summary_parse(text, entry) || !is_named_after(entry, name)) {
        entry_free(entry);
        return;
    }
    history_learn(self, entry);
    history_keep(self, entry);
}

static gint
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

SevmigHistory *
sevmig_history_new(const char *directory)
{
    SevmigHistory *self = g_new0(SevmigHistory, 1);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    const char *name;

    self->directory = g_strdup(directory);
    self->entries = g_ptr_array_new_with_free_func(entry_free);
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        if (g_str_has_suffix(name, SUFFIX))
            g_ptr_array_add(names, g_strdup(name));
    }
    g_ptr_array_sort(names, compare_names);
    for (guint i = names->len > KEEP_FILES ? names->len - KEEP_FILES : 0; i < names->len; i++)
        history_read(self, names->pdata[i]);
    return self;
}

void
sevmig_history_free(SevmigHistory *self)
{
    if (self == NULL)
        return;
    g_clear_pointer(&self->shown, g_ptr_array_unref);
    g_ptr_array_unref(self->entries);
    g_free(self->directory);
    g_free(self);
}

gboolean
sevmig_history_add(SevmigHistory *self, const SevmigInfo *info, GError **error)
{
    g_autofree char *name = g_strconcat(info->id, SUFFIX, NULL);
    g_autofree char *path = g_build_filename(self->directory, name, NULL);
    g_autofree char *text = sevmig_summary_format(info);
    SevmigInfo *entry = entry_new();
    g_autoptr(GError) local = NULL;

    sevmig_info_copy(entry, info);
    history_learn(self, entry);
    history_keep(self, entry);
    if (g_mkdir_with_parents(self->directory, 0750) < 0) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "cannot make %s: %s", self->directory,
                    g_strerror(errno));
        return FALSE;
    }
    sevmig_directory_trim(self->directory, SUFFIX, KEEP_FILES - 1, KEEP_BYTES);
    if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0640, &local))
        return TRUE;
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "%s", local->message);
    return FALSE;
}

static gint
compare_us(gconstpointer a, gconstpointer b)
{
    guint64 x = *(const guint64 *)a, y = *(const guint64 *)b;

    return x < y ? -1 : x > y;
}

guint64
sevmig_history_fixed_downtime_us(const SevmigHistory *self)
{
    guint64 sorted[LEARN_FROM];
    guint n = MIN(self->n_fixed, LEARN_FROM);

    if (n == 0)
        return 0;
    memcpy(sorted, self->fixed_us, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), compare_us);
    return sorted[n / 2];
}

static gboolean
has_uuid(const SevmigHistory *self, const char *uuid)
{
    for (guint i = 0; i < self->entries->len; i++) {
        if (strcmp(((const SevmigInfo *)self->entries->pdata[i])->uuid, uuid) == 0)
            return TRUE;
    }
    return FALSE;
}

/* A domain may be named like another's UUID; the UUID is meant. */
static gboolean
is_meant(const SevmigInfo *entry, const char *which, gboolean by_uuid)
{
    return *which == '\0' || strcmp(entry->id, which) == 0 ||
           strcmp(by_uuid ? entry->uuid : entry->domain, which) == 0;
}

/* Whether the records named are still there. */
static void
look_for_records(SevmigHistory *self)
{
    gint64 now_us = g_get_monotonic_time();

    if (self->shown != NULL && now_us - self->looked_us < LOOK_INTERVAL_US)
        return;
    self->looked_us = now_us;
    for (guint i = 0; i < self->entries->len; i++) {
        SevmigInfo *entry = self->entries->pdata[i];

        if (*entry->record_file == '\0' || g_file_test(entry->record_file, G_FILE_TEST_EXISTS))
            continue;
        sevmig_info_set(&entry->record_file, "");
        g_clear_pointer(&self->shown, g_ptr_array_unref);
    }
}

static void
show(SevmigHistory *self)
{
    if (self->shown != NULL)
        return;
    self->shown = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
    for (guint i = 0; i < self->entries->len; i++)
        g_ptr_array_add(self->shown,
                        g_variant_ref_sink(sevmig_info_properties(self->entries->pdata[i])));
}

GVariant *
sevmig_history_list(SevmigHistory *self, const char *which, guint limit)
{
    guint most = limit > 0 ? limit : G_MAXUINT;
    gboolean by_uuid = has_uuid(self, which);
    GVariantBuilder builder;

    look_for_records(self);
    show(self);
    g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = self->entries->len; i > 0 && most > 0; i--) {
        if (!is_meant(self->entries->pdata[i - 1], which, by_uuid))
            continue;
        g_variant_builder_add_value(&builder, self->shown->pdata[i - 1]);
        most--;
    }
    return g_variant_builder_end(&builder);
}
