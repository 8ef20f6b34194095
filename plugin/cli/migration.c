/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "migration.h"

#include <string.h>

#include "remote.h"
#include "sevmig-error.h"
#include "sevmig-names.h"

/* How a property arrives, where it goes, and its key in JSON, which states the unit. */
static const struct {
    const char *property;
    const char *type; /* as D-Bus spells it */
    gsize offset;
    const char *key;
} fields[] = {
    {"Id", "s", offsetof(Migration, id), "id"},
    {"Domain", "s", offsetof(Migration, domain), "domain"},
    {"Uuid", "s", offsetof(Migration, uuid), "uuid"},
    {"Policy", "s", offsetof(Migration, policy), "policy"},
    {"PolicySource", "s", offsetof(Migration, policy_source), "policy_source"},
    {"Phase", "s", offsetof(Migration, phase), "phase"},
    {"State", "s", offsetof(Migration, state), "state"},
    {"Note", "s", offsetof(Migration, note), "note"},
    {"StartedRealtimeUs", "t", offsetof(Migration, started_realtime_us), "started_realtime_us"},
    {"ElapsedUs", "t", offsetof(Migration, elapsed_us), "elapsed_us"},
    {"SetupUs", "t", offsetof(Migration, setup_us), "setup_us"},
    {"Pass", "t", offsetof(Migration, pass), "pass"},
    {"PageSize", "u", offsetof(Migration, page_size_bytes), "page_size_bytes"},
    {"PrivatePages", "t", offsetof(Migration, private_pages), "private_pages"},
    {"RemainingPages", "t", offsetof(Migration, remaining_pages), "remaining_pages"},
    {"DirtyRate", "d", offsetof(Migration, dirty_pages_per_s), "dirty_pages_per_s"},
    {"EncryptionRate", "d", offsetof(Migration, encrypt_pages_per_s), "encrypt_pages_per_s"},
    {"BatchPages", "u", offsetof(Migration, batch_pages), "batch_pages"},
    {"ThrottlePercent", "u", offsetof(Migration, throttle_percent), "throttle_percent"},
    {"MaxThrottlePercent", "u", offsetof(Migration, max_throttle_percent), "max_throttle_percent"},
    {"PredictedDowntimeUs", "t", offsetof(Migration, predicted_downtime_us),
     "predicted_downtime_us"},
    {"PromisedDowntimeUs", "t", offsetof(Migration, promised_downtime_us), "promised_downtime_us"},
    {"DowntimeGoalUs", "t", offsetof(Migration, downtime_goal_us), "downtime_goal_us"},
    {"DurationGoalUs", "t", offsetof(Migration, duration_goal_us), "duration_goal_us"},
    {"EtaUs", "t", offsetof(Migration, eta_us), "eta_us"},
    {"TurnPlace", "u", offsetof(Migration, turn_place), "turn_place"},
    {"TurnBeginsUs", "t", offsetof(Migration, turn_begins_us), "turn_begins_us"},
    {"TurnEndsUs", "t", offsetof(Migration, turn_ends_us), "turn_ends_us"},
    {"HeldUs", "t", offsetof(Migration, held_us), "held_us"},
    {"StillUs", "t", offsetof(Migration, still_us), "still_us"},
    {"PausedUs", "t", offsetof(Migration, paused_us), "paused_us"},
    {"GuestLostUs", "t", offsetof(Migration, guest_lost_us), "guest_lost_us"},
    {"Submissions", "t", offsetof(Migration, submissions), "submissions"},
    {"Commands", "t", offsetof(Migration, commands), "commands"},
    {"Pages", "t", offsetof(Migration, pages), "pages"},
    {"SentBytes", "t", offsetof(Migration, sent_bytes), "sent_bytes"},
    {"ServiceUs", "t", offsetof(Migration, service_us), "service_us"},
    {"WaitUs", "t", offsetof(Migration, wait_us), "wait_us"},
    {"DowntimeUs", "t", offsetof(Migration, downtime_us), "downtime_us"},
    {"FixedDowntimeUs", "t", offsetof(Migration, fixed_downtime_us), "fixed_downtime_us"},
    {"Peer", "s", offsetof(Migration, peer), "peer"},
    {"PeerDigest", "s", offsetof(Migration, peer_digest), "peer_digest"},
    {"PeerSubject", "s", offsetof(Migration, peer_subject), "peer_subject"},
    {"LastDecision", "s", offsetof(Migration, last_decision), "last_decision"},
    {"RecordFile", "s", offsetof(Migration, record_file), "record_file"},
    {"Error", "s", offsetof(Migration, error), "error"},
};

static void
store(GVariant *value, void *place)
{
    switch (g_variant_classify(value)) {
    case G_VARIANT_CLASS_STRING:
        *(char **)place = text_printable(g_variant_get_string(value, NULL));
        return;
    case G_VARIANT_CLASS_UINT32:
        *(guint32 *)place = g_variant_get_uint32(value);
        return;
    case G_VARIANT_CLASS_UINT64:
        *(guint64 *)place = g_variant_get_uint64(value);
        return;
    default:
        *(double *)place = g_variant_get_double(value);
    }
}

static Migration *
from_properties(const char *path, GVariant *properties, GError **error)
{
    g_autoptr(Migration) migration = g_new0(Migration, 1);
    migration->path = g_strdup(path);
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_autoptr(GVariant) value =
            g_variant_lookup_value(properties, fields[i].property, G_VARIANT_TYPE(fields[i].type));
        if (value == NULL) {
            g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_PROTOCOL,
                        "%s: sevmigd tells no property %s of type %s: is it another version?", path,
                        fields[i].property, fields[i].type);
            return NULL;
        }
        store(value, (char *)migration + fields[i].offset);
    }
    return g_steal_pointer(&migration);
}

Migration *
migration_load(Cli *cli, const char *path, GError **error)
{
    g_autoptr(GVariant) properties =
        remote_properties(cli, path, SEVMIG_MIGRATION_INTERFACE, error);
    return properties != NULL ? from_properties(path, properties, error) : NULL;
}

void
migration_free(Migration *migration)
{
    if (migration == NULL)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (fields[i].type[0] == 's')
            g_free(*(char **)((char *)migration + fields[i].offset));
    }
    g_free(migration->path);
    g_free(migration);
}

static int
by_start(gconstpointer a, gconstpointer b)
{
    const Migration *left = *(Migration *const *)a;
    const Migration *right = *(Migration *const *)b;
    if (left->started_realtime_us != right->started_realtime_us)
        return left->started_realtime_us < right->started_realtime_us ? -1 : 1;
    return strcmp(left->id, right->id);
}

/* An object may end between being listed and being read. */
static gboolean
is_gone(const GError *error)
{
    return g_error_matches(error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD);
}

GPtrArray *
migration_load_all(Cli *cli, gboolean all, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)migration_free);
    g_autoptr(GVariant) reply =
        remote_call(cli, "ListMigrations", g_variant_new("(b)", all), "(ao)", error);
    if (reply == NULL)
        return NULL;
    g_autofree const char **paths = NULL;
    g_variant_get(reply, "(^a&o)", &paths);
    for (gsize i = 0; paths[i] != NULL; i++) {
        g_autoptr(GError) failure = NULL;
        Migration *migration = migration_load(cli, paths[i], &failure);
        if (migration != NULL) {
            g_ptr_array_add(list, migration);
        } else if (!is_gone(failure)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return NULL;
        }
    }
    g_ptr_array_sort(list, by_start);
    return g_steal_pointer(&list);
}

gboolean
migration_ended(const Migration *migration)
{
    return strcmp(migration->state, "ended") == 0;
}

/* How well it is meant: a domain may be named like another's UUID, or like an id. */
typedef enum {
    MEANT_NOT,
    MEANT_BY_NAME,
    MEANT_BY_UUID,
    MEANT_BY_ID,
} Meant;

static Meant
meant(const Migration *migration, const char *id_or_domain)
{
    return strcmp(migration->id, id_or_domain) == 0       ? MEANT_BY_ID
           : strcmp(migration->uuid, id_or_domain) == 0   ? MEANT_BY_UUID
           : strcmp(migration->domain, id_or_domain) == 0 ? MEANT_BY_NAME
                                                          : MEANT_NOT;
}

gboolean
migration_is(const Migration *migration, const char *id_or_domain)
{
    return meant(migration, id_or_domain) != MEANT_NOT;
}

GPtrArray *
migration_load_history(Cli *cli, const char *which, guint limit, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)migration_free);
    g_autoptr(GVariant) reply =
        remote_call(cli, "ListHistory", g_variant_new("(su)", which, limit), "(aa{sv})", error);
    if (reply == NULL)
        return NULL;
    g_autoptr(GVariant) entries = g_variant_get_child_value(reply, 0);
    for (gsize i = 0; i < g_variant_n_children(entries); i++) {
        g_autoptr(GVariant) properties = g_variant_get_child_value(entries, i);
        Migration *migration = from_properties("history", properties, error);
        if (migration == NULL)
            return NULL;
        g_ptr_array_add(list, migration);
    }
    return g_steal_pointer(&list);
}

/* Among those that the daemon remembers; NULL without an error: none. */
static Migration *
find_remembered(Cli *cli, const char *id_or_domain, GError **error)
{
    g_autoptr(GPtrArray) list = migration_load_all(cli, TRUE, error);
    int found = -1;
    Meant best = MEANT_NOT;
    if (list == NULL)
        return NULL;
    for (guint i = 0; i < list->len; i++) {
        const Migration *migration = list->pdata[i];
        Meant is = meant(migration, id_or_domain);
        if (is == MEANT_NOT || is < best)
            continue;
        if (is > best || !migration_ended(migration) || migration_ended(list->pdata[found]))
            found = (int)i;
        best = is;
    }
    return found >= 0 ? g_ptr_array_steal_index(list, (guint)found) : NULL;
}

Migration *
migration_find(Cli *cli, const char *id_or_domain, GError **error)
{
    GError *problem = NULL;
    Migration *migration = find_remembered(cli, id_or_domain, &problem);
    if (migration != NULL)
        return migration;
    if (problem != NULL) {
        g_propagate_error(error, problem);
        return NULL;
    }
    g_autoptr(GPtrArray) list = migration_load_history(cli, id_or_domain, 1, error);
    if (list == NULL)
        return NULL;
    if (list->len > 0)
        return g_ptr_array_steal_index(list, 0);
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND,
                "no migration or domain \"%s\" is known: \"sevmigctl list\" shows those that run, "
                "\"sevmigctl history\" those that have ended",
                id_or_domain);
    return NULL;
}

Migration *
migration_find_steerable(Cli *cli, const char *id_or_domain, GError **error)
{
    GError *problem = NULL;
    Migration *migration = find_remembered(cli, id_or_domain, &problem);
    if (problem != NULL)
        g_propagate_error(error, problem);
    else if (migration == NULL)
        g_set_error(
            error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND,
            "no running migration or domain \"%s\" is known: \"sevmigctl list\" shows those "
            "that run",
            id_or_domain);
    return migration;
}

void
migration_json(GString *out, const Migration *migration)
{
    json_open(out, NULL, '{');
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        const void *place = (const char *)migration + fields[i].offset;
        switch (fields[i].type[0]) {
        case 's':
            json_string(out, fields[i].key, *(char *const *)place);
            break;
        case 'u':
            json_uint(out, fields[i].key, *(const guint32 *)place);
            break;
        case 't':
            json_uint(out, fields[i].key, *(const guint64 *)place);
            break;
        default:
            json_double(out, fields[i].key, *(const double *)place);
        }
    }
    json_close(out, '}');
}
