/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client against a real QEMU: $SEVMIG_QEMU, or the installed one. Skipped where there is none;
 * what needs our patches says so and is skipped on a QEMU without them.
 */
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "qmpc.h"

#define WAIT_MS 60000 /* only a stuck QEMU ever takes this long */

typedef struct {
    GSubprocess *qemu;
    char *directory;
    char *socket;
    QmpcClient *client;
    QmpcTransport *transport;
    GString *events;
} Fixture;

static const char *
qemu_binary(void)
{
    const char *given = g_getenv("SEVMIG_QEMU");
    return given != NULL ? given : "/usr/bin/qemu-system-x86_64";
}

typedef struct {
    bool done;
    GAsyncResult *result;
} Wait;

static void
on_done(GObject *source, GAsyncResult *result, gpointer data)
{
    Wait *wait = data;
    wait->result = g_object_ref(result);
    wait->done = true;
}

static GAsyncResult *
wait_for(Wait *wait)
{
    while (!wait->done)
        g_main_context_iteration(NULL, TRUE);
    return wait->result;
}

static void
on_event(const char *event, const char *data, int64_t realtime_us, gpointer user_data)
{
    QmpcEvent typed;
    g_autoptr(GError) error = NULL;
    g_assert_true(qmpc_event_parse(event, data, &typed, &error));
    g_assert_cmpint(realtime_us, >, 0);
    g_string_append_printf(user_data, "%s;", event);
}

/* GSubprocess sends signals from a thread of its own, some time later; a test must know when. */
static void
signal_qemu(Fixture *fixture, int number)
{
    const char *pid = g_subprocess_get_identifier(fixture->qemu);
    if (pid != NULL) /* it has not ended yet */
        kill(atoi(pid), number);
}

static void
wait_until_stopped(Fixture *fixture)
{
    const char *pid = g_subprocess_get_identifier(fixture->qemu);
    g_autofree char *path = g_strdup_printf("/proc/%s/stat", pid);
    for (int i = 0; i < WAIT_MS / 10; i++) {
        g_autofree char *stat = NULL;
        g_assert_true(g_file_get_contents(path, &stat, NULL, NULL));
        if (strncmp(strrchr(stat, ')'), ") T", 3) == 0)
            return;
        g_usleep(10000);
    }
    g_error("QEMU does not stop");
}

/* In the child: a test that aborts must not leave a QEMU behind. */
static void
die_with_parent(gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Until QEMU listens. */
static QmpcClient *
connect_patiently(Fixture *fixture)
{
    for (int i = 0; i < WAIT_MS / 10; i++) {
        QmpcClient *client = qmpc_client_new_unix(fixture->socket, NULL);
        if (client != NULL)
            return client;
        g_usleep(10000);
    }
    g_error("QEMU does not listen at %s", fixture->socket);
}

static void
setup(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GAsyncResult) result = NULL;
    Wait opened = {0};
    if (!g_file_test(qemu_binary(), G_FILE_TEST_IS_EXECUTABLE))
        return;
    fixture->directory = g_dir_make_tmp("qmpc-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->socket = g_build_filename(fixture->directory, "qmp", NULL);
    g_autofree char *option = g_strdup_printf("unix:%s,server=on,wait=off", fixture->socket);
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
    g_subprocess_launcher_set_child_setup(launcher, die_with_parent, NULL, NULL);
    fixture->qemu =
        g_subprocess_launcher_spawn(launcher, &error, qemu_binary(), "-machine", "none", "-accel",
                                    "tcg", "-nodefaults", "-display", "none", "-qmp", option, NULL);
    g_assert_no_error(error);
    fixture->client = connect_patiently(fixture);
    fixture->transport = qmpc_client_transport(fixture->client);
    fixture->events = g_string_new(NULL);
    qmpc_client_set_event_func(fixture->client, on_event, fixture->events);
    qmpc_client_open_async(fixture->client, WAIT_MS, NULL, on_done, &opened);
    result = wait_for(&opened);
    g_assert_true(qmpc_client_open_finish(fixture->client, result, &error));
    g_assert_no_error(error);
}

static void
teardown(Fixture *fixture, gconstpointer data)
{
    if (fixture->qemu == NULL)
        return;
    g_clear_pointer(&fixture->client, qmpc_client_free);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    signal_qemu(fixture, SIGTERM);
    g_assert_true(g_subprocess_wait(fixture->qemu, NULL, NULL));
    g_clear_object(&fixture->qemu);
    g_unlink(fixture->socket);
    g_rmdir(fixture->directory);
    g_free(fixture->socket);
    g_free(fixture->directory);
    g_string_free(fixture->events, TRUE);
}

static bool
skip_without_qemu(Fixture *fixture)
{
    if (fixture->qemu != NULL)
        return false;
    g_test_skip("no QEMU here: set SEVMIG_QEMU");
    return true;
}

static char *
call(Fixture *fixture, const char *command)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GAsyncResult) result = NULL;
    Wait wait = {0};
    g_autofree char *text = qmpc_command_build(command, NULL, &error);
    qmpc_transport_send(fixture->transport, text, WAIT_MS, NULL, on_done, &wait);
    result = wait_for(&wait);
    char *reply = qmpc_transport_send_finish(fixture->transport, result, &error);
    g_assert_no_error(error);
    return reply;
}

static void
test_version(Fixture *fixture, gconstpointer data)
{
    unsigned major, minor, micro;
    if (skip_without_qemu(fixture))
        return;
    qmpc_client_version(fixture->client, &major, &minor, &micro);
    g_test_message("QEMU %u.%u.%u", major, minor, micro);
    g_assert_cmpuint(major, >=, 7);
}

static void
test_stop_cont(Fixture *fixture, gconstpointer data)
{
    if (skip_without_qemu(fixture))
        return;
    g_autofree char *stop = call(fixture, "stop");
    g_autofree char *cont = call(fixture, "cont");
    g_assert_nonnull(strstr(stop, "\"return\""));
    g_assert_nonnull(strstr(cont, "\"return\""));
    g_assert_cmpstr(fixture->events->str, ==, "STOP;RESUME;");
}

static void
test_unknown_command(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    if (skip_without_qemu(fixture))
        return;
    g_autofree char *reply = call(fixture, "no-such-command");
    g_assert_null(qmpc_reply_parse("no-such-command", reply, &error));
    g_assert_error(error, QMPC_ERROR, QMPC_ERROR_COMMAND_NOT_FOUND);
}

static QmpcSchema *
query_schema(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GAsyncResult) result = NULL;
    Wait wait = {0};
    qmpc_schema_query_async(fixture->transport, WAIT_MS, NULL, on_done, &wait);
    result = wait_for(&wait);
    QmpcSchema *schema = qmpc_schema_query_finish(fixture->transport, result, &error);
    g_assert_no_error(error);
    return schema;
}

static void
test_schema(Fixture *fixture, gconstpointer data)
{
    if (skip_without_qemu(fixture))
        return;
    g_autoptr(QmpcSchema) schema = query_schema(fixture);
    g_assert_true(qmpc_schema_has_command(schema, "query-migrate"));
    g_assert_true(qmpc_schema_has_event(schema, "MIGRATION"));
    g_assert_true(qmpc_schema_has_argument(schema, "migrate", "uri"));
    g_assert_false(qmpc_schema_has_argument(schema, "migrate", "url"));
    g_assert_false(qmpc_schema_has_command(schema, "no-such-command"));
}

static void
test_migration_queries(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_auto(QmpcMigrationInfo) info = {0};
    QmpcMigrationCapabilities capabilities;
    QmpcMigrationParameters parameters;
    if (skip_without_qemu(fixture))
        return;
    g_autofree char *migrate = call(fixture, "query-migrate");
    g_autofree char *caps = call(fixture, "query-migrate-capabilities");
    g_autofree char *params = call(fixture, "query-migrate-parameters");
    g_assert_true(qmpc_migration_info_parse(migrate, &info, &error));
    g_assert_cmpint(info.status, ==, QMPC_MIGRATION_NONE);
    g_assert_true(qmpc_migration_capabilities_parse(caps, &capabilities, &error));
    g_assert_true(qmpc_migration_parameters_parse(params, &parameters, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(parameters.downtime_limit_ms, ==, 300); /* QEMU's documented default */
}

/* A patched QEMU: the contract is there, and a guest without SEV is told apart. */
static void
test_sev_contract(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GAsyncResult) result = NULL;
    QmpcSevStatus status;
    Wait wait = {0};
    if (skip_without_qemu(fixture))
        return;
    g_autoptr(QmpcSchema) schema = query_schema(fixture);
    if (!qmpc_schema_has_command(schema, QMPC_SEV_TUNE_COMMAND)) {
        g_assert_false(qmpc_schema_check_sev_migration(schema, &error));
        g_assert_error(error, QMPC_ERROR, QMPC_ERROR_COMMAND_NOT_FOUND);
        g_test_skip("this QEMU is not patched: set SEVMIG_QEMU");
        return;
    }
    g_assert_true(qmpc_schema_check_sev_migration(schema, &error));
    g_assert_no_error(error);
    qmpc_sev_query_async(fixture->transport, WAIT_MS, NULL, on_done, &wait);
    result = wait_for(&wait);
    g_assert_false(qmpc_sev_query_finish(fixture->transport, result, &status, &error));
    g_assert_error(error, QMPC_ERROR, QMPC_ERROR_COMMAND);
    g_assert_nonnull(strstr(error->message, "no SEV"));
}

static void
test_killed(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GAsyncResult) result = NULL;
    Wait wait = {0};
    if (skip_without_qemu(fixture))
        return;
    signal_qemu(fixture, SIGSTOP);
    wait_until_stopped(fixture);
    g_autofree char *text = qmpc_command_build("query-status", NULL, NULL);
    qmpc_transport_send(fixture->transport, text, WAIT_MS, NULL, on_done, &wait);
    signal_qemu(fixture, SIGKILL);
    result = wait_for(&wait);
    g_assert_null(qmpc_transport_send_finish(fixture->transport, result, &error));
    g_assert_error(error, QMPC_ERROR, QMPC_ERROR_CLOSED);
}

#define ADD(name, func) g_test_add(name, Fixture, NULL, setup, func, teardown)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/real/version", test_version);
    ADD("/real/stop-cont", test_stop_cont);
    ADD("/real/unknown-command", test_unknown_command);
    ADD("/real/schema", test_schema);
    ADD("/real/migration-queries", test_migration_queries);
    ADD("/real/sev-contract", test_sev_contract);
    ADD("/real/killed", test_killed);
    return g_test_run();
}
