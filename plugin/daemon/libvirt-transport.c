/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt-transport.h"

#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <stdlib.h>

#include "libvirt-error.h"
#include "sevmig-error.h"
#include "worker.h"

/* Counted by references: a thread that hangs may outlive its transport. */
typedef struct {
    QmpcTransport parent;
    virDomainPtr domain;
    gboolean busy; /* main context only */
} LibvirtTransport;

typedef struct {
    LibvirtTransport *transport;
    char *command;
} Call;

static void
transport_clear(gpointer data)
{
    LibvirtTransport *self = data;

    virDomainFree(self->domain);
}

static void
transport_unref(LibvirtTransport *self)
{
    g_rc_box_release_full(self, transport_clear);
}

static void
call_free(gpointer data)
{
    Call *call = data;

    call->transport->busy = FALSE;
    transport_unref(call->transport);
    g_free(call->command);
    g_free(call);
}

static gpointer
call_thread(gpointer data, GError **error)
{
    Call *call = data;
    virDomainPtr domain = call->transport->domain;
    const char *name = virDomainGetName(domain);
    char *reply = NULL;

    if (virDomainQemuMonitorCommand(domain, call->command, &reply, 0) < 0) {
        sevmig_libvirt_error_set(error, "monitor of domain %s", name);
        return NULL;
    }
    return reply;
}

static void
transport_send(QmpcTransport *transport, const char *command, unsigned timeout_ms,
               GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
    LibvirtTransport *self = (LibvirtTransport *)transport;
    g_autofree char *what = NULL;
    Call *call;

    if (self->busy) {
        g_task_report_new_error(NULL, callback, user_data, NULL, SEVMIG_ERROR,
                                SEVMIG_ERROR_TIMED_OUT,
                                "the monitor of domain %s has not answered the previous command",
                                virDomainGetName(self->domain));
        return;
    }
    what = g_strdup_printf("the monitor of domain %s", virDomainGetName(self->domain));
    call = g_new0(Call, 1);
    call->transport = g_rc_box_acquire(self);
    call->command = g_strdup(command);
    self->busy = TRUE;
    sevmig_worker_run_async(what, call_thread, call, call_free, free, timeout_ms, cancellable,
                            callback, user_data);
}

static char *
transport_send_finish(QmpcTransport *transport, GAsyncResult *result, GError **error)
{
    char *reply = sevmig_worker_run_finish(result, error);
    /* libvirt allocates with malloc, which is GLib's own allocator; still two different names. */
    char *copy = g_strdup(reply);

    free(reply);
    return copy;
}

static const QmpcTransportOps transport_ops = {
    .name = "libvirt",
    .send = transport_send,
    .send_finish = transport_send_finish,
};

QmpcTransport *
sevmig_libvirt_transport_new(virDomainPtr domain)
{
    LibvirtTransport *self = g_rc_box_new0(LibvirtTransport);

    self->parent.ops = &transport_ops;
    virDomainRef(domain);
    self->domain = domain;
    return &self->parent;
}

void
sevmig_libvirt_transport_free(QmpcTransport *transport)
{
    if (transport != NULL)
        transport_unref((LibvirtTransport *)transport);
}
