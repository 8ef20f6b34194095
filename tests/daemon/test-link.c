/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads for blocking calls, and a connection that comes back, with libvirt's own test driver. */
#include <gio/gio.h>
#include <libvirt-glib/libvirt-glib.h>
#include <libvirt/libvirt.h>

#include "actuator.h"
#include "libvirt-error.h"
#include "libvirt-link.h"
#include "libvirt-transport.h"
#include "log.h"
#include "outgoing.h"
#include "sevmig-error.h"
#include "worker.h"

/* --- Workers --- */

typedef struct {
    GMutex gate; /* the thread waits for it */
    guint n_freed;
    guint n_results_freed;
    guint n_called;
    guint n_freed_when_called;
    gpointer result;
    GError *error;
} Call;

static Call *current; /* for the destroy functions, which get no other argument */

static gpointer
wait_thread(gpointer data, GError **error)
{
    Call *call = data;

    g_mutex_lock(&call->gate);
    g_mutex_unlock(&call->gate);
    return (gpointer) "result";
}

static gpointer
fail_thread(gpointer data, GError **error)
{
    g_set_error_literal(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED, "no");
    return NULL;
}

static void
data_freed(gpointer data)
{
    ((Call *)data)->n_freed++;
}

static void
result_freed(gpointer result)
{
    current->n_results_freed++;
}

static void
called(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    Call *call = user_data;

    call->n_called++;
    call->n_freed_when_called = call->n_freed;
    call->result = sevmig_worker_run_finish(result, &call->error);
}

static void
wait_for(const guint *counter)
{
    while (*counter == 0)
        g_main_context_iteration(NULL, TRUE);
}

static void
test_worker_result(void)
{
    Call call = {0};

    current = &call;
    sevmig_worker_run_async("it", wait_thread, &call, data_freed, result_freed, 5000, NULL, called,
                            &call);
    g_assert_cmpuint(call.n_called, ==, 0);
    wait_for(&call.n_called);
    g_assert_cmpuint(call.n_freed_when_called, ==, 1);
    g_assert_no_error(call.error);
    g_assert_cmpstr(call.result, ==, "result");
    g_assert_cmpuint(call.n_results_freed, ==, 0);
}

static void
test_worker_error(void)
{
    Call call = {0};

    sevmig_worker_run_async("it", fail_thread, &call, data_freed, NULL, 0, NULL, called, &call);
    wait_for(&call.n_called);
    g_assert_cmpuint(call.n_freed_when_called, ==, 1);
    g_assert_error(call.error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED);
    g_clear_error(&call.error);
}

/* The caller is answered in time; what the thread holds stays until the thread is back. */
static void
test_worker_timeout(void)
{
    Call call = {0};

    current = &call;
    g_mutex_lock(&call.gate);
    sevmig_worker_run_async("it", wait_thread, &call, data_freed, result_freed, 10, NULL, called,
                            &call);
    wait_for(&call.n_called);
    g_assert_error(call.error, SEVMIG_ERROR, SEVMIG_ERROR_TIMED_OUT);
    g_assert_cmpstr(call.error->message, ==, "it did not answer within 10 ms");
    g_assert_cmpuint(call.n_freed, ==, 0);
    g_mutex_unlock(&call.gate);
    wait_for(&call.n_freed);
    g_assert_cmpuint(call.n_results_freed, ==, 1);
    g_assert_cmpuint(call.n_called, ==, 1);
    g_clear_error(&call.error);
}

static void
test_worker_cancel(void)
{
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    Call call = {0};

    current = &call;
    g_mutex_lock(&call.gate);
    sevmig_worker_run_async("it", wait_thread, &call, data_freed, result_freed, 0, cancellable,
                            called, &call);
    g_cancellable_cancel(cancellable);
    wait_for(&call.n_called);
    g_assert_error(call.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_mutex_unlock(&call.gate);
    wait_for(&call.n_freed);
    g_assert_cmpuint(call.n_results_freed, ==, 1);
    g_clear_error(&call.error);
}

/* --- The monitor --- */

typedef struct {
    QmpcTransport *transport;
    guint n_left;
    guint n_answers;
} Talk;

static void
answered(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    Talk *talk = user_data;
    g_autoptr(GError) error = NULL;
    g_autofree char *reply = qmpc_transport_send_finish(talk->transport, result, &error);

    /* The test driver has no monitor, but a call that was made is refused by libvirt itself. */
    g_assert_null(reply);
    g_assert_error(error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_SUPPORTED);
    talk->n_answers++;
    if (talk->n_left-- > 0)
        qmpc_transport_send(talk->transport, "{}", 5000, NULL, answered, talk);
}

/* A release follows the answer to the tick's call from within its callback. */
static void
test_transport_next_call_from_callback(void)
{
    virConnectPtr connection = virConnectOpen("test:///default");
    virDomainPtr domain = virDomainLookupByName(connection, "test");
    Talk talk = {.transport = sevmig_libvirt_transport_new(domain), .n_left = 2};

    qmpc_transport_send(talk.transport, "{}", 5000, NULL, answered, &talk);
    while (talk.n_answers < 3)
        g_main_context_iteration(NULL, TRUE);
    sevmig_libvirt_transport_free(talk.transport);
    virDomainFree(domain);
    virConnectClose(connection);
}

/* --- Commands --- */

typedef struct {
    SevmigActuator *actuator;
    guint n_done;
    GError *error;
} Order;

static void
ordered(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    Order *order = user_data;

    order->actuator->ops->command_finish(order->actuator, result, &order->error);
    order->n_done++;
}

/* The test driver's domain does not migrate: an abort that comes too late must not end whatever job
 * it has since. This driver knows no jobs at all, and an abort would say so. */
static void
test_command_abort_too_late(void)
{
    virConnectPtr connection = virConnectOpen("test:///default");
    virDomainPtr domain = virDomainLookupByName(connection, "test");
    Order order = {.actuator = sevmig_actuator_new_libvirt(domain)};

    order.actuator->ops->command(order.actuator, SEVMIG_COMMAND_ABORT, NULL, ordered, &order);
    wait_for(&order.n_done);
    g_assert_no_error(order.error);
    sevmig_actuator_free(order.actuator);
    virDomainFree(domain);
    virConnectClose(connection);
}

/* --- The link --- */

typedef struct {
    guint n_opened;
    guint n_closed;
    guint n_states;
    virConnectPtr connection;
} Heard;

static void
on_opened(SevmigLink *link, virConnectPtr connection, gpointer user_data)
{
    Heard *heard = user_data;

    heard->n_opened++;
    heard->connection = connection;
    g_assert_true(connection == sevmig_link_connection(link));
    g_assert_cmpstr(sevmig_link_state(link), ==, "connected");
}

static void
on_closed(SevmigLink *link, const char *reason, gpointer user_data)
{
    ((Heard *)user_data)->n_closed++;
    g_assert_null(sevmig_link_connection(link));
}

static void
on_state(SevmigLink *link, gpointer user_data)
{
    ((Heard *)user_data)->n_states++;
}

static const SevmigLinkOps ops = {on_opened, on_closed, on_state};

static void
test_link_reopens(void)
{
    Heard heard = {0};
    g_autoptr(SevmigLink) link = sevmig_link_new("test:///default", &ops, &heard);

    g_assert_null(sevmig_link_connection(link));
    sevmig_link_start(link);
    sevmig_link_start(link); /* harmless */
    wait_for(&heard.n_opened);
    sevmig_link_drop(link, "because");
    g_assert_cmpuint(heard.n_closed, ==, 1);
    g_assert_cmpstr(sevmig_link_state(link), ==, "because");
    sevmig_link_drop(link, "again"); /* nothing is open */
    g_assert_cmpuint(heard.n_closed, ==, 1);
    heard.n_opened = 0;
    wait_for(&heard.n_opened);
    g_assert_cmpuint(heard.n_opened, ==, 1);
}

static void
test_link_fails(void)
{
    Heard heard = {0};
    g_autoptr(SevmigLink) link =
        sevmig_link_new("test+unix:///default?socket=/nonexistent", &ops, &heard);

    sevmig_link_start(link);
    wait_for(&heard.n_states);
    g_assert_cmpuint(heard.n_opened, ==, 0);
    g_assert_nonnull(strstr(sevmig_link_state(link), "/nonexistent"));
}

static void
test_link_freed_while_opening(void)
{
    Heard heard = {0};
    SevmigLink *link = sevmig_link_new("test:///default", &ops, &heard);

    sevmig_link_start(link);
    sevmig_link_free(link);
    for (guint i = 0; i < 50; i++) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
    }
    g_assert_cmpuint(heard.n_opened, ==, 0);
}

/* A domain that is named like another's UUID is not that one. */
static void
assert_uuid_before_name(virConnectPtr connection, const char *uuid)
{
    g_autofree char *xml =
        g_strdup_printf("<domain type='test'><name>%s</name><memory>1024</memory>"
                        "<os><type>hvm</type></os></domain>",
                        uuid);
    virDomainPtr namesake = virDomainDefineXML(connection, xml);
    g_autofree char *described = sevmig_outgoing_describe(connection, uuid, NULL);

    g_assert_nonnull(namesake);
    g_assert_nonnull(described);
    g_assert_nonnull(strstr(described, "<name>test</name>"));
    g_assert_cmpint(virDomainUndefine(namesake), ==, 0);
    virDomainFree(namesake);
}

/* --- Looking at domains --- */

static void
test_outgoing(void)
{
    virConnectPtr connection = virConnectOpen("test:///default");
    virDomainPtr domain = virDomainLookupByName(connection, "test");
    char uuid[SEVMIG_UUID_SIZE];
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = NULL;
    g_autofree char *by_name = NULL;
    g_autofree char *by_uuid = NULL;

    g_assert_nonnull(domain);
    virDomainGetUUIDString(domain, uuid);
    by_name = sevmig_outgoing_describe(connection, "test", &error);
    g_assert_no_error(error);
    by_uuid = sevmig_outgoing_describe(connection, uuid, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(by_name, ==, by_uuid);
    assert_uuid_before_name(connection, uuid);
    g_assert_null(sevmig_outgoing_describe(connection, "nobody", &error));
    g_assert_error(error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND);
    g_clear_error(&error);
    list = sevmig_outgoing_list(connection, &error); /* none migrates */
    g_assert_no_error(error);
    g_assert_cmpuint(list->len, ==, 0);
    virDomainFree(domain);
    virConnectClose(connection);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    gvir_init(NULL, NULL);
    gvir_event_register();
    sevmig_libvirt_silence();
    sevmig_log_install(G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/worker/result", test_worker_result);
    g_test_add_func("/worker/error", test_worker_error);
    g_test_add_func("/worker/timeout", test_worker_timeout);
    g_test_add_func("/worker/cancel", test_worker_cancel);
    g_test_add_func("/transport/next-call-from-callback", test_transport_next_call_from_callback);
    g_test_add_func("/command/abort-too-late", test_command_abort_too_late);
    g_test_add_func("/link/reopens", test_link_reopens);
    g_test_add_func("/link/fails", test_link_fails);
    g_test_add_func("/link/freed-while-opening", test_link_freed_while_opening);
    g_test_add_func("/outgoing", test_outgoing);
    return g_test_run();
}
