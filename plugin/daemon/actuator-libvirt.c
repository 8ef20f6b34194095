/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "actuator.h"

#include <libvirt/virterror.h>

#include "libvirt-error.h"
#include "libvirt-transport.h"
#include "outgoing.h"
#include "qmpc-migration.h"
#include "sevmig-error.h"
#include "worker.h"

/* libvirt gives up waiting for its job lock after 30 s. */
#define COMMAND_TIMEOUT_MS 40000u

typedef struct {
    SevmigActuator parent;
    virDomainPtr domain;
    QmpcTransport *transport;
    gboolean tuning; /* the exchange under way is a tune, not a query */
} LibvirtActuator;

/* --- exchange --- */

static void
libvirt_exchange(SevmigActuator *actuator, const QmpcTune *tune, guint timeout_ms,
                 GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
    LibvirtActuator *self = (LibvirtActuator *)actuator;

    self->tuning = tune != NULL;
    if (self->tuning)
        qmpc_tune_async(self->transport, tune, timeout_ms, cancellable, callback, user_data);
    else
        qmpc_sev_query_async(self->transport, timeout_ms, cancellable, callback, user_data);
}

static gboolean
libvirt_exchange_finish(SevmigActuator *actuator, GAsyncResult *result, QmpcSevStatus *status,
                        GError **error)
{
    LibvirtActuator *self = (LibvirtActuator *)actuator;

    if (self->tuning)
        return qmpc_tune_finish(self->transport, result, status, error);
    return qmpc_sev_query_finish(self->transport, result, status, error);
}

/* --- commands --- */

/* By now the migration may be over and the domain be backed up, dumped or saved: that is not ours.
 */
static int
domain_abort(virDomainPtr domain)
{
    int is_source = sevmig_outgoing_is_source(domain);

    return is_source > 0 ? virDomainAbortJob(domain) : is_source;
}

static const struct {
    const char *what;
    int (*call)(virDomainPtr domain);
} commands[SEVMIG_COMMAND_COUNT] = {
    [SEVMIG_COMMAND_ABORT] = {"cannot cancel the migration of domain", domain_abort},
};

typedef struct {
    virDomainPtr domain;
    SevmigCommand command;
} Order;

static void
order_free(gpointer data)
{
    Order *order = data;

    virDomainFree(order->domain);
    g_free(order);
}

static gpointer
order_thread(gpointer data, GError **error)
{
    Order *order = data;
    const char *name = virDomainGetName(order->domain);

    if (commands[order->command].call(order->domain) < 0)
        sevmig_libvirt_error_set(error, "%s %s", commands[order->command].what, name);
    return NULL;
}

static void
libvirt_command(SevmigActuator *actuator, SevmigCommand command, GCancellable *cancellable,
                GAsyncReadyCallback callback, gpointer user_data)
{
    LibvirtActuator *self = (LibvirtActuator *)actuator;
    g_autofree char *what =
        g_strdup_printf("libvirt, asked about domain %s,", virDomainGetName(self->domain));
    Order *order = g_new0(Order, 1);

    virDomainRef(self->domain);
    order->domain = self->domain;
    order->command = command;
    sevmig_worker_run_async(what, order_thread, order, order_free, NULL, COMMAND_TIMEOUT_MS,
                            cancellable, callback, user_data);
}

static gboolean
libvirt_command_finish(SevmigActuator *actuator, GAsyncResult *result, GError **error)
{
    g_autoptr(GError) local = NULL;

    sevmig_worker_run_finish(result, &local);
    if (local == NULL)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* --- reason --- */

static void
libvirt_reason(SevmigActuator *actuator, guint timeout_ms, GCancellable *cancellable,
               GAsyncReadyCallback callback, gpointer user_data)
{
    LibvirtActuator *self = (LibvirtActuator *)actuator;

    qmpc_migration_query_async(self->transport, timeout_ms, cancellable, callback, user_data);
}

static char *
libvirt_reason_finish(SevmigActuator *actuator, GAsyncResult *result)
{
    LibvirtActuator *self = (LibvirtActuator *)actuator;
    g_auto(QmpcMigrationInfo) info = {0};

    if (!qmpc_migration_query_finish(self->transport, result, &info, NULL))
        return NULL;
    return g_steal_pointer(&info.error_desc);
}

static void
libvirt_free(SevmigActuator *actuator)
{
    LibvirtActuator *self = (LibvirtActuator *)actuator;

    sevmig_libvirt_transport_free(self->transport);
    virDomainFree(self->domain);
    g_free(self);
}

static const SevmigActuatorOps libvirt_ops = {
    .name = "libvirt",
    .exchange = libvirt_exchange,
    .exchange_finish = libvirt_exchange_finish,
    .command = libvirt_command,
    .command_finish = libvirt_command_finish,
    .reason = libvirt_reason,
    .reason_finish = libvirt_reason_finish,
    .free = libvirt_free,
};

SevmigActuator *
sevmig_actuator_new_libvirt(virDomainPtr domain)
{
    LibvirtActuator *self = g_new0(LibvirtActuator, 1);

    self->parent.ops = &libvirt_ops;
    virDomainRef(domain);
    self->domain = domain;
    self->transport = sevmig_libvirt_transport_new(domain);
    return &self->parent;
}
