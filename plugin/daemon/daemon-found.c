/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Migrations that have been found, while their domain's XML is read in a thread: what the watcher
 * tells of one meanwhile is kept, and told again to its session.
 */
#include "daemon-private.h"

#define MOST_KEPT 64u

typedef struct {
    SevmigDaemon *daemon; /* NULL: dropped */
    SevmigOutgoing
        outgoing; /* its strings and its reference to the domain are owned, without XML */
    gint64 found_us;
    GArray *kept; /* of SevmigTold */
} Found;

static void
found_free(Found *self)
{
    virDomainFree(self->outgoing.domain);
    g_free((char *)self->outgoing.name);
    g_free((char *)self->outgoing.uuid);
    g_array_unref(self->kept);
    g_free(self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Found, found_free)

static void
tell(SevmigDaemon *self, const char *uuid, const SevmigTold *told)
{
    const SevmigWatcherOps *ops = &SEVMIG_DAEMON_WATCHER_OPS;

    if (!g_hash_table_contains(self->running, uuid))
        return;
    switch (told->what) {
    case SEVMIG_TOLD_EVENT:
        ops->event(uuid, &told->event, self);
        break;
    case SEVMIG_TOLD_COMPLETED:
        ops->job_completed(uuid, &told->result, self);
        break;
    case SEVMIG_TOLD_SUSPENDED:
        ops->suspended(uuid, self);
        break;
    case SEVMIG_TOLD_RESUMED:
        ops->resumed(uuid, self);
        break;
    }
}

static void
found_resolved(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(Found) found = user_data;
    SevmigDaemon *self = found->daemon;
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigResolution) resolution = sevmig_reading_run_finish(result, &error);

    if (self == NULL)
        return;
    g_hash_table_remove(self->found, found->outgoing.uuid);
    if (resolution == NULL || self->stopping)
        return;
    found->outgoing.elapsed_us += (guint64)(g_get_monotonic_time() - found->found_us);
    sevmig_daemon_begin(self, &found->outgoing, resolution);
    for (guint i = 0; i < found->kept->len; i++)
        tell(self, found->outgoing.uuid, &g_array_index(found->kept, SevmigTold, i));
}

void
sevmig_daemon_found(SevmigDaemon *self, const SevmigOutgoing *outgoing)
{
    Found *found;

    if (self->stopping)
        return;
    found = g_new0(Found, 1);
    virDomainRef(outgoing->domain);
    found->daemon = self;
    found->outgoing = *outgoing;
    found->outgoing.name = g_strdup(outgoing->name);
    found->outgoing.uuid = g_strdup(outgoing->uuid);
    found->outgoing.xml = NULL;
    found->found_us = g_get_monotonic_time();
    found->kept = g_array_new(FALSE, FALSE, sizeof(SevmigTold));
    g_hash_table_insert(self->found, (char *)found->outgoing.uuid, found);
    sevmig_reading_run_async(self->reading, SEVMIG_READING_MIGRATES,
                             sevmig_policies_store(self->policies), outgoing->xml, outgoing->name,
                             outgoing->uuid, found_resolved, found);
}

gboolean
sevmig_daemon_keep(SevmigDaemon *self, const char *uuid, const SevmigTold *told)
{
    Found *found = g_hash_table_lookup(self->found, uuid);

    if (found != NULL && found->kept->len < MOST_KEPT)
        g_array_append_val(found->kept, *told);
    return found != NULL;
}

gboolean
sevmig_daemon_begin_again(SevmigDaemon *self, const char *uuid)
{
    Found *found = g_hash_table_lookup(self->found, uuid);

    if (found == NULL)
        return FALSE;
    g_array_set_size(found->kept, 0);
    found->outgoing.elapsed_us = 0;
    found->found_us = g_get_monotonic_time();
    return TRUE;
}

gboolean
sevmig_daemon_drop(SevmigDaemon *self, const char *uuid)
{
    Found *found = g_hash_table_lookup(self->found, uuid);

    if (found == NULL)
        return FALSE;
    g_hash_table_remove(self->found, uuid);
    found->daemon = NULL;
    return TRUE;
}

void
sevmig_daemon_drop_all(SevmigDaemon *self)
{
    GHashTableIter iter;
    gpointer found;

    g_hash_table_iter_init(&iter, self->found);
    while (g_hash_table_iter_next(&iter, NULL, &found))
        ((Found *)found)->daemon = NULL;
    g_hash_table_remove_all(self->found);
}
