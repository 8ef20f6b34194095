/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watcher.h"

#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>

#include "detect.h"
#include "libvirt-error.h"
#include "log.h"
#include "outgoing.h"
#include "sevmig-error.h"
#include "worker.h"

#define EVENTS "^(MIGRATION|X_SEV|GUEST_PANICKED)"
/* Looking at a domain may have to wait for libvirt's job lock, which gives up after 30 s. */
#define LOOK_TIMEOUT_MS 35000u
/* Between `setup` and the end of a look there are few events; a flood is somebody's bug. */
#define MOST_KEPT_EVENTS 64u
#define US_PER_MS 1000
/* Where libvirt could not say: from ... to. */
#define AGAIN_LEAST_MS 1000u
#define AGAIN_MOST_MS 30000u
#define TOLD_AGAIN_US 1000000 /* between two migrations of one domain */
/* Two answers of libvirt about when its job began differ by less; no migration is over so soon. */
#define SAME_JOB_US 250000
#define MOST_TOLD 4096u /* domains whose newest migration is remembered */

/*
 * Counted by references (g_atomic_rc_box): a look under way holds one, so does each registration
 * with libvirt, which may give it back in any thread. All else is the main context's.
 */
struct SevmigWatcher {
    const SevmigWatcherOps *ops; /* NULL once freed */
    gpointer user_data;
    virConnectPtr connection; /* a reference, given back by the hanging up */
    GHashTable *looks;        /* uuid -> Candidate: domains that are being looked at */
    GHashTable *told;         /* uuid -> Told */
    int monitor_id;           /* -1: not registered */
    int lifecycle_id;
    int job_id;
    gboolean beginning; /* a thread uses connection and ids */
};

/* A domain that may migrate; the main context's. */
typedef struct {
    SevmigWatcher *watcher;
    virDomainPtr domain;
    char uuid[SEVMIG_UUID_SIZE];
    GArray *kept;      /* of QmpcEvent: said meanwhile */
    gint64 heard_us;   /* when its QEMU said that it migrates; 0: it has not */
    gboolean at_setup; /* and that was the beginning */
    guint failures;    /* looks that were not answered, in a row */
    guint timer;       /* source id: to the next look */
} Candidate;

/* The newest migration of a domain that was told of. */
typedef struct {
    gint64 at_us;
    gint64 job_began_us;
} Told;

typedef struct {
    SevmigWatcher *watcher;
    char uuid[SEVMIG_UUID_SIZE];
} Look;

static void
candidate_free(gpointer data)
{
    Candidate *self = data;

    g_clear_handle_id(&self->timer, g_source_remove);
    g_array_unref(self->kept);
    virDomainFree(self->domain);
    g_free(self);
}

static void
watcher_clear(gpointer data)
{
    SevmigWatcher *self = data;

    g_hash_table_unref(self->looks); /* empty by now */
    g_hash_table_unref(self->told);
}

static void
watcher_unref(SevmigWatcher *self)
{
    g_atomic_rc_box_release_full(self, watcher_clear);
}

/* --- Looking at one domain --- */

static void
look_free(Look *look)
{
    watcher_unref(look->watcher);
    g_free(look);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Look, look_free)

static gpointer
look_thread(gpointer data, GError **error)
{
    return sevmig_outgoing_look(data, error);
}

static void
domain_unref(gpointer data)
{
    virDomainFree(data);
}

static void candidate_look(Candidate *self);

static gboolean
candidate_due(gpointer user_data)
{
    Candidate *self = user_data;

    self->timer = 0;
    candidate_look(self);
    return G_SOURCE_REMOVE;
}

static void
candidate_wait(Candidate *self, guint ms)
{
    self->timer = g_timeout_add(ms, candidate_due, self);
}

/* libvirt did not say; there is no other news of a migration that goes on. */
static void
candidate_wait_again(Candidate *self, const GError *error)
{
    guint doublings = MIN(self->failures, 5);

    if (self->failures++ == 0)
        sevmig_log(SEVMIG_MESSAGE_LOOK_FAILED, NULL, "a migration, perhaps: %s, looking again",
                   error->message);
    candidate_wait(self, MIN(AGAIN_LEAST_MS << doublings, AGAIN_MOST_MS));
}

/* How long until this one may be told of; -1: never, it has been. */
static gint64
watcher_told_again_us(const SevmigWatcher *self, const SevmigFound *found)
{
    const Told *told = g_hash_table_lookup(self->told, found->uuid);

    if (told == NULL)
        return 0;
    if (ABS(found->job_began_us - told->job_began_us) < SAME_JOB_US)
        return -1;
    return MAX(0, told->at_us + TOLD_AGAIN_US - g_get_monotonic_time());
}

static void
watcher_remember(SevmigWatcher *self, const SevmigFound *found)
{
    Told *told = g_new0(Told, 1);

    if (g_hash_table_size(self->told) >= MOST_TOLD)
        g_hash_table_remove_all(self->told);
    *told = (Told){g_get_monotonic_time(), found->job_began_us};
    g_hash_table_insert(self->told, g_strdup(found->uuid), told);
}

static void
watcher_tell(SevmigWatcher *self, const SevmigFound *found)
{
    SevmigOutgoing outgoing = {
        .domain = found->domain,
        .name = found->name,
        .uuid = found->uuid,
        .xml = found->xml,
        .elapsed_us = found->elapsed_us,
        .stands = found->stands,
    };

    if (self->ops->follows(found->uuid, self->user_data))
        return;
    watcher_remember(self, found);
    self->ops->found(&outgoing, self->user_data);
}

/* The candidate is gone after this. */
static void
watcher_tell_all(SevmigWatcher *self, Candidate *candidate, const SevmigFound *found)
{
    g_autoptr(GArray) kept = g_array_ref(candidate->kept);
    g_autofree char *uuid = g_strdup(candidate->uuid);

    g_hash_table_remove(self->looks, uuid);
    watcher_tell(self, found);
    for (guint i = 0; i < kept->len; i++) {
        if (self->ops == NULL || !self->ops->follows(uuid, self->user_data))
            return;
        self->ops->event(uuid, &g_array_index(kept, QmpcEvent, i), self->user_data);
    }
}

static void
candidate_found(Candidate *self, SevmigFound *found)
{
    gint64 wait_us = watcher_told_again_us(self->watcher, found);

    if (wait_us < 0 || (!found->begun && self->heard_us == 0)) {
        g_hash_table_remove(self->watcher->looks, found->uuid);
    } else if (wait_us > 0) {
        candidate_wait(self, (guint)(wait_us / US_PER_MS) + 1);
    } else {
        if (self->at_setup) /* libvirt's own job may have copied disks before */
            found->elapsed_us = (guint64)(g_get_monotonic_time() - self->heard_us);
        watcher_tell_all(self->watcher, self, found);
    }
}

static void
look_done(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(Look) look = user_data;
    SevmigWatcher *self = look->watcher;
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigFound) found = sevmig_worker_run_finish(result, &error);
    Candidate *candidate;

    if (self->ops == NULL)
        return;
    candidate = g_hash_table_lookup(self->looks, look->uuid);
    if (error != NULL)
        candidate_wait_again(candidate, error);
    else if (found == NULL)
        g_hash_table_remove(self->looks, look->uuid);
    else
        candidate_found(candidate, found);
}

/* One at a time: it stays a candidate until this is answered. */
static void
candidate_look(Candidate *self)
{
    g_autofree char *what =
        g_strdup_printf("libvirt, asked about domain %s,", virDomainGetName(self->domain));
    Look *look = g_new0(Look, 1);

    virDomainRef(self->domain);
    look->watcher = g_atomic_rc_box_acquire(self->watcher);
    g_strlcpy(look->uuid, self->uuid, sizeof(look->uuid));
    sevmig_worker_run_async(what, look_thread, self->domain, domain_unref,
                            (GDestroyNotify)sevmig_found_free, LOOK_TIMEOUT_MS, NULL, look_done,
                            look);
}

static Candidate *
watcher_add(SevmigWatcher *self, virDomainPtr domain, const char *uuid)
{
    Candidate *candidate = g_new0(Candidate, 1);

    virDomainRef(domain);
    candidate->watcher = self;
    candidate->domain = domain;
    candidate->kept = g_array_new(FALSE, FALSE, sizeof(QmpcEvent));
    g_strlcpy(candidate->uuid, uuid, sizeof(candidate->uuid));
    g_hash_table_insert(self->looks, g_strdup(uuid), candidate);
    return candidate;
}

/* --- What libvirt says --- */

static void
on_monitor_event(virConnectPtr connection, virDomainPtr domain, const char *name, long long seconds,
                 unsigned int micros, const char *details, void *opaque)
{
    SevmigWatcher *self = opaque;
    char uuid[SEVMIG_UUID_SIZE];
    g_autoptr(GError) error = NULL;
    QmpcEvent event;
    Candidate *candidate;
    gboolean starts;

    if (self->ops == NULL || virDomainGetUUIDString(domain, uuid) < 0)
        return;
    if (!qmpc_event_parse(name, details, &event, &error)) {
        sevmig_log(SEVMIG_MESSAGE_EVENT_NOT_UNDERSTOOD, NULL, "event of domain %s: %s, ignoring",
                   virDomainGetName(domain), error->message);
        return;
    }
    sevmig_log(SEVMIG_MESSAGE_DEBUG, NULL, "domain %s: %s %s", virDomainGetName(domain), name,
               details != NULL ? details : "");
    starts = event.type == QMPC_EVENT_MIGRATION && sevmig_detect_status_starts(event.status);
    if (starts && event.status == QMPC_MIGRATION_SETUP && self->ops->follows(uuid, self->user_data))
        self->ops->superseded(uuid, self->user_data);
    if (self->ops->follows(uuid, self->user_data)) {
        self->ops->event(uuid, &event, self->user_data);
        return;
    }
    candidate = g_hash_table_lookup(self->looks, uuid);
    if (candidate != NULL && candidate->kept->len < MOST_KEPT_EVENTS)
        g_array_append_val(candidate->kept, event);
    if (candidate == NULL && starts) {
        candidate = watcher_add(self, domain, uuid);
        candidate_look(candidate);
    }
    if (starts && candidate->heard_us == 0) {
        candidate->heard_us = g_get_monotonic_time();
        candidate->at_setup = event.status == QMPC_MIGRATION_SETUP;
    }
}

/* What libvirt says of a guest that panicked, or of a QEMU that ended by itself. */
static gboolean
is_crash(int event, int detail)
{
    return event == VIR_DOMAIN_EVENT_CRASHED ||
           (event == VIR_DOMAIN_EVENT_STOPPED && (detail == VIR_DOMAIN_EVENT_STOPPED_CRASHED ||
                                                  detail == VIR_DOMAIN_EVENT_STOPPED_FAILED));
}

static int
on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *opaque)
{
    SevmigWatcher *self = opaque;
    char uuid[SEVMIG_UUID_SIZE];

    if (self->ops == NULL || virDomainGetUUIDString(domain, uuid) < 0 ||
        !self->ops->follows(uuid, self->user_data))
        return 0;
    if (is_crash(event, detail))
        self->ops->crashed(uuid, self->user_data);
    if (event == VIR_DOMAIN_EVENT_STOPPED)
        self->ops->gone(uuid, self->user_data);
    else if (event == VIR_DOMAIN_EVENT_SUSPENDED)
        self->ops->suspended(uuid, self->user_data);
    else if (event == VIR_DOMAIN_EVENT_RESUMED)
        self->ops->resumed(uuid, self->user_data);
    return 0;
}

static void
on_job_completed(virConnectPtr connection, virDomainPtr domain, virTypedParameterPtr params,
                 int n_params, void *opaque)
{
    SevmigWatcher *self = opaque;
    unsigned long long downtime_ms = 0, elapsed_ms = 0;
    char uuid[SEVMIG_UUID_SIZE];
    SevmigJobResult result;

    if (self->ops == NULL || virDomainGetUUIDString(domain, uuid) < 0 ||
        !self->ops->follows(uuid, self->user_data))
        return;
    virTypedParamsGetULLong(params, n_params, VIR_DOMAIN_JOB_DOWNTIME, &downtime_ms);
    virTypedParamsGetULLong(params, n_params, VIR_DOMAIN_JOB_TIME_ELAPSED, &elapsed_ms);
    result = (SevmigJobResult){downtime_ms * US_PER_MS, elapsed_ms * US_PER_MS};
    self->ops->job_completed(uuid, &result, self->user_data);
}

/* --- Beginning and end --- */

static void
registration_unref(void *opaque)
{
    watcher_unref(opaque);
}

/* Blocking; -1 for what could not be registered. */
static gboolean
watcher_register(SevmigWatcher *self, GError **error)
{
    virConnectPtr c = self->connection;

    self->monitor_id = virConnectDomainQemuMonitorEventRegister(
        c, NULL, EVENTS, on_monitor_event, g_atomic_rc_box_acquire(self), registration_unref,
        VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_REGEX);
    if (self->monitor_id < 0)
        goto failed;
    self->lifecycle_id = virConnectDomainEventRegisterAny(
        c, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle),
        g_atomic_rc_box_acquire(self), registration_unref);
    if (self->lifecycle_id < 0)
        goto failed;
    self->job_id = virConnectDomainEventRegisterAny(
        c, NULL, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, VIR_DOMAIN_EVENT_CALLBACK(on_job_completed),
        g_atomic_rc_box_acquire(self), registration_unref);
    if (self->job_id >= 0)
        return TRUE;

failed:
    /* libvirt did not take over the reference of the one that failed. */
    sevmig_libvirt_error_set(error, "cannot listen to QEMU's events");
    watcher_unref(self);
    return FALSE;
}

/* Registrations hold references to the connection, so they are taken back one by one. */
static gpointer
hang_up_thread(gpointer data, GError **error)
{
    SevmigWatcher *self = data;

    if (self->monitor_id >= 0)
        virConnectDomainQemuMonitorEventDeregister(self->connection, self->monitor_id);
    if (self->lifecycle_id >= 0)
        virConnectDomainEventDeregisterAny(self->connection, self->lifecycle_id);
    if (self->job_id >= 0)
        virConnectDomainEventDeregisterAny(self->connection, self->job_id);
    virConnectClose(self->connection);
    return NULL;
}

static void
watcher_hang_up(SevmigWatcher *self)
{
    sevmig_worker_run_async("libvirt", hang_up_thread, g_atomic_rc_box_acquire(self),
                            (GDestroyNotify)watcher_unref, NULL, 0, NULL, NULL, NULL);
}

static gpointer
begin_thread(gpointer data, GError **error)
{
    SevmigWatcher *self = data;

    if (!watcher_register(self, error))
        return NULL;
    /* After registering, so that a migration which starts in between is seen at least once. */
    return sevmig_outgoing_list(self->connection, error);
}

/* What events have led to a look meanwhile is told of by that; what has not begun, by its event. */
static void
watcher_begin_with(SevmigWatcher *self, const SevmigFound *found)
{
    g_autoptr(GError) error = NULL;

    if (g_hash_table_contains(self->looks, found->uuid))
        return;
    if (found->xml == NULL) {
        g_set_error(&error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "libvirt cannot say of domain %s",
                    found->name);
        candidate_wait_again(watcher_add(self, found->domain, found->uuid), error);
    } else if (found->begun) {
        watcher_tell(self, found);
    }
}

static void
begun(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    SevmigWatcher *self = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) found = sevmig_worker_run_finish(result, &error);

    self->beginning = FALSE;
    if (self->ops == NULL) {
        watcher_hang_up(self); /* freed meanwhile */
    } else if (found == NULL) {
        self->ops->failed(error, self->user_data);
    } else {
        for (guint i = 0; i < found->len && self->ops != NULL; i++)
            watcher_begin_with(self, found->pdata[i]);
        if (self->ops != NULL)
            self->ops->ready(self->user_data);
    }
    watcher_unref(self);
}

SevmigWatcher *
sevmig_watcher_new(virConnectPtr connection, const SevmigWatcherOps *ops, gpointer user_data)
{
    SevmigWatcher *self = g_atomic_rc_box_new0(SevmigWatcher);

    virConnectRef(connection);
    self->connection = connection;
    self->ops = ops;
    self->user_data = user_data;
    self->looks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, candidate_free);
    self->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    self->monitor_id = self->lifecycle_id = self->job_id = -1;
    self->beginning = TRUE;
    sevmig_worker_run_async("libvirt", begin_thread, g_atomic_rc_box_acquire(self),
                            (GDestroyNotify)watcher_unref, NULL, 0, NULL, begun,
                            g_atomic_rc_box_acquire(self));
    return self;
}

void
sevmig_watcher_free(SevmigWatcher *self)
{
    if (self == NULL)
        return;
    self->ops = NULL;
    g_hash_table_remove_all(self->looks);
    if (!self->beginning)
        watcher_hang_up(self); /* else when the thread that uses the connection has ended */
    watcher_unref(self);
}
