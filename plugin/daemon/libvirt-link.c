/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt-link.h"

#include <libvirt/virterror.h>

#include "libvirt-error.h"
#include "log.h"
#include "worker.h"

#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT 5
#define FIRST_DELAY_MS 250u
#define LONGEST_DELAY_MS 10000u
#define OPEN_TIMEOUT_MS 30000u
#define LASTED_US (30 * G_USEC_PER_SEC) /* a connection that lived this long was a good one */

struct SevmigLink {
    char *uri;
    const SevmigLinkOps *ops;
    gpointer user_data;
    virConnectPtr connection;
    char *state;
    guint attempts; /* that failed in a row, or did not last */
    gint64 opened_us;
    guint timer;  /* the next attempt */
    GSource *cut; /* made ready, from any thread, when the connection is lost */
    GCancellable *opening;
};

static void link_wait(SevmigLink *link);

guint
sevmig_link_delay_ms(guint n)
{
    return n >= 6 ? LONGEST_DELAY_MS : MIN(FIRST_DELAY_MS << n, LONGEST_DELAY_MS);
}

static void
link_set_state(SevmigLink *link, const char *state)
{
    if (g_strcmp0(link->state, state) == 0)
        return;
    g_free(link->state);
    link->state = g_strdup(state);
    if (link->ops->state_changed != NULL)
        link->ops->state_changed(link, link->user_data);
}

/* Hanging up may wait for the other side, so it has a thread of its own and nobody waits for it. */
static gpointer
hang_up_thread(gpointer data, GError **error)
{
    virConnectClose(data);
    return NULL;
}

static void
hang_up(virConnectPtr connection)
{
    sevmig_worker_run_async("libvirt", hang_up_thread, connection, NULL, NULL, 0, NULL, NULL, NULL);
}

static gboolean
link_cut(gpointer user_data)
{
    sevmig_link_drop(user_data, "the connection to libvirt was lost");
    return G_SOURCE_CONTINUE;
}

/* libvirt calls this in whichever thread found out, and within its own event handling, where the
   connection must not be closed: so, later and in the main context. */
static void
link_on_close(virConnectPtr connection, int reason, void *opaque)
{
    g_source_set_ready_time(opaque, 0);
}

static gboolean
cut_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    g_source_set_ready_time(source, -1);
    return callback(user_data);
}

static GSource *
cut_source_new(SevmigLink *link)
{
    static GSourceFuncs funcs = {.dispatch = cut_dispatch};
    GSource *source = g_source_new(&funcs, sizeof(GSource));

    g_source_set_callback(source, link_cut, link, NULL);
    g_source_attach(source, g_main_context_get_thread_default());
    return source;
}

static void
connection_close(gpointer data)
{
    virConnectClose(data);
}

static gpointer
open_thread(gpointer data, GError **error)
{
    virConnectPtr connection = virConnectOpen(data);

    if (connection == NULL) {
        sevmig_libvirt_error_set(error, "cannot connect to %s", (const char *)data);
        return NULL;
    }
    /* Drivers without a wire need none and say so. */
    if (virConnectSetKeepAlive(connection, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT) < 0)
        virResetLastError();
    return connection;
}

static void
link_opened(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GError) error = NULL;
    virConnectPtr connection = sevmig_worker_run_finish(result, &error);
    SevmigLink *link = user_data;

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* the link is no more */
    g_clear_object(&link->opening);
    if (connection == NULL) {
        /* Once per reason: the retries of a libvirtd that is down are no news. */
        if (g_strcmp0(link->state, error->message) != 0)
            sevmig_log(SEVMIG_MESSAGE_LIBVIRT_LOST, NULL, "%s, trying again", error->message);
        link->attempts++;
        link_set_state(link, error->message);
        link_wait(link);
        return;
    }
    link->connection = connection;
    link->opened_us = g_get_monotonic_time();
    if (virConnectRegisterCloseCallback(connection, link_on_close, link->cut, NULL) < 0)
        virResetLastError(); /* a driver without a wire is never cut off */
    link_set_state(link, "connected");
    sevmig_log(SEVMIG_MESSAGE_LIBVIRT_CONNECTED, NULL, "connected to %s", link->uri);
    link->ops->opened(link, connection, link->user_data);
}

static gboolean
link_open(gpointer user_data)
{
    SevmigLink *link = user_data;
    g_autofree char *what = g_strdup_printf("libvirt at %s", link->uri);

    link->timer = 0;
    link->opening = g_cancellable_new();
    sevmig_worker_run_async(what, open_thread, g_strdup(link->uri), g_free, connection_close,
                            OPEN_TIMEOUT_MS, link->opening, link_opened, link);
    return G_SOURCE_REMOVE;
}

static void
link_wait(SevmigLink *link)
{
    g_clear_handle_id(&link->timer, g_source_remove);
    link->timer = g_timeout_add(sevmig_link_delay_ms(link->attempts), link_open, link);
}

SevmigLink *
sevmig_link_new(const char *uri, const SevmigLinkOps *ops, gpointer user_data)
{
    SevmigLink *link = g_new0(SevmigLink, 1);

    link->uri = g_strdup(uri);
    link->ops = ops;
    link->user_data = user_data;
    link->state = g_strdup("not connected yet");
    link->cut = cut_source_new(link);
    return link;
}

void
sevmig_link_start(SevmigLink *link)
{
    if (link->connection == NULL && link->opening == NULL && link->timer == 0)
        link_open(link);
}

static void
link_release_connection(SevmigLink *link)
{
    virConnectPtr connection = g_steal_pointer(&link->connection);

    if (connection == NULL)
        return;
    /* Returns only once no callback is running, so what is ready now is about this connection. */
    if (virConnectUnregisterCloseCallback(connection, link_on_close) < 0)
        virResetLastError();
    g_source_set_ready_time(link->cut, -1);
    hang_up(connection);
}

void
sevmig_link_drop(SevmigLink *link, const char *reason)
{
    if (link->connection == NULL)
        return;
    sevmig_log(SEVMIG_MESSAGE_LIBVIRT_LOST, NULL, "%s, trying again", reason);
    link_release_connection(link);
    link_set_state(link, reason);
    link->ops->closed(link, reason, link->user_data);
    /* A connection may open and be of no use again and again. */
    link->attempts = g_get_monotonic_time() - link->opened_us > LASTED_US ? 0 : link->attempts + 1;
    link_wait(link);
}

void
sevmig_link_free(SevmigLink *link)
{
    if (link == NULL)
        return;
    g_clear_handle_id(&link->timer, g_source_remove);
    if (link->opening != NULL)
        g_cancellable_cancel(link->opening);
    g_clear_object(&link->opening);
    link_release_connection(link);
    g_source_destroy(link->cut);
    g_source_unref(link->cut);
    g_free(link->state);
    g_free(link->uri);
    g_free(link);
}

virConnectPtr
sevmig_link_connection(const SevmigLink *link)
{
    return link->connection;
}

const char *
sevmig_link_state(const SevmigLink *link)
{
    return link->state;
}
