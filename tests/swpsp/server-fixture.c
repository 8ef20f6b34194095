/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server-fixture.h"

#include "support.h"
#include "swpsp-control.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

char *
server_log(const Server *s)
{
    char *text = NULL;
    g_assert_true(g_file_get_contents(s->log, &text, NULL, NULL));
    return text;
}

/* In the child: a test that aborts must not leave servers behind. */
static void
die_with_parent(gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* 0 if there is no such file. */
static ino_t
inode_of(const char *path)
{
    GStatBuf st;
    return g_stat(path, &st) == 0 ? st.st_ino : 0;
}

void
server_spawn(Server *s, const char *const *options)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    const char *fixed[] = {g_getenv("SWPSP_EXE"),
                           "--config",
                           "/dev/null",
                           "--socket",
                           s->socket,
                           "--state",
                           s->state,
                           "--log",
                           s->log,
                           "--pid-file",
                           s->pid_file};

    const ino_t old = inode_of(s->socket);

    for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++)
        g_ptr_array_add(argv, (char *)fixed[i]);
    for (; options && *options; options++)
        g_ptr_array_add(argv, (char *)*options);
    g_ptr_array_add(argv, NULL);
    g_spawn_async(NULL, (char **)argv->pdata, NULL, G_SPAWN_DO_NOT_REAP_CHILD, die_with_parent,
                  NULL, &s->pid, &error);
    g_assert_no_error(error);

    /* The socket is the sign that it is ready; another one than a crash may have left. */
    while (inode_of(s->socket) == old) {
        g_assert_cmpint(waitpid(s->pid, NULL, WNOHANG), ==, 0);
        g_usleep(2000);
    }
}

void
server_init(Server *s)
{
    g_autoptr(GError) error = NULL;

    s->dir = g_dir_make_tmp("swpsp-XXXXXX", &error);
    g_assert_no_error(error);
    s->socket = g_build_filename(s->dir, "sev", NULL);
    s->state = g_build_filename(s->dir, "state", NULL);
    s->log = g_build_filename(s->dir, "log", NULL);
    s->pid_file = g_build_filename(s->dir, "pid", NULL);
}

void
server_start(Server *s, const char *const *options)
{
    server_init(s);
    server_spawn(s, options);
}

void
server_terminate(Server *s)
{
    int status;

    g_assert_cmpint(kill(s->pid, SIGTERM), ==, 0);
    g_assert_cmpint(waitpid(s->pid, &status, 0), ==, s->pid);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    g_assert_false(g_file_test(s->socket, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(s->pid_file, G_FILE_TEST_EXISTS));
    s->pid = 0;
}

void
server_stop(Server *s)
{
    g_autofree char *identity = g_build_filename(s->state, "identity", NULL);

    if (s->pid)
        server_terminate(s);
    g_unlink(identity);
    g_rmdir(s->state);
    g_unlink(s->log);
    g_assert_cmpint(g_rmdir(s->dir), ==, 0);
    g_free(s->dir);
    g_free(s->socket);
    g_free(s->state);
    g_free(s->log);
    g_free(s->pid_file);
    *s = (Server){0};
}

const char *const server_fast[] = {"--time-scale", "1000", NULL};

static SwpspClient *
connect_to(const char *path)
{
    g_autoptr(GError) error = NULL;
    SwpspClient *client = swpsp_client_new(path, TEST_TIMEOUT_MS, &error);

    g_assert_no_error(error);
    return client;
}

SwpspClient *
server_client(const Server *s)
{
    return connect_to(s->socket);
}

SwpspClient *
server_control_client(const Server *s)
{
    g_autofree char *path = g_strconcat(s->socket, SWPSP_CONTROL_SUFFIX, NULL);

    return connect_to(path);
}

GByteArray *
server_call(SwpspClient *client, uint16_t op, const void *payload, size_t len)
{
    g_autoptr(GError) error = NULL;
    enum swpsp_status status;
    GByteArray *answer = swpsp_client_call(client, op, payload, len, &status, &error);

    g_assert_no_error(error);
    g_assert_cmpint(status, ==, SWPSP_OK);
    return answer;
}

void
server_call_away(SwpspClient *client, uint16_t op, GByteArray *payload)
{
    g_byte_array_unref(server_call(client, op, payload->data, payload->len));
    g_byte_array_unref(payload);
}

void
server_control(const Server *s, const char *json)
{
    g_autoptr(SwpspClient) client = server_control_client(s);
    g_autoptr(GByteArray) answer = server_call(client, SWPSP_OP_CONTROL, json, strlen(json));
    g_assert_cmpstr((const char *)answer->data, ==, "{\"return\":{}}");
}

json_object *
server_stats(SwpspClient *client)
{
    g_autoptr(GByteArray) answer = server_call(client, SWPSP_OP_STATS, NULL, 0);
    json_object *object = json_tokener_parse((const char *)answer->data);

    g_assert_nonnull(object);
    return object;
}

int64_t
server_stats_number(json_object *object, const char *name)
{
    json_object *value;

    g_assert_true(json_object_object_get_ex(object, name, &value));
    return json_object_get_int64(value);
}

GByteArray *
server_handle(uint32_t handle)
{
    const struct swpsp_guest guest = {.handle = GUINT32_TO_LE(handle)};
    return g_byte_array_append(g_byte_array_new(), (const guint8 *)&guest, sizeof(guest));
}

uint32_t
server_first_word(const GByteArray *payload)
{
    uint32_t le;

    g_assert_cmpuint(payload->len, >=, sizeof(le));
    memcpy(&le, payload->data, sizeof(le));
    return GUINT32_FROM_LE(le);
}

uint32_t
server_sending_guest(SwpspClient *from, SwpspClient *to, uint8_t session[SWPSP_SESSION_SIZE])
{
    const struct swpsp_launch launch = {0};
    g_autoptr(GByteArray) launched =
        server_call(from, SWPSP_OP_LAUNCH_START, &launch, sizeof(launch));
    g_autoptr(GByteArray) certs = server_call(to, SWPSP_OP_PDH_CERT_EXPORT, NULL, 0);
    const uint32_t handle = server_first_word(launched);

    server_call_away(from, SWPSP_OP_LAUNCH_FINISH, server_handle(handle));
    g_assert_cmpuint(certs->len, ==, sizeof(SwpspCertChain));
    g_autoptr(GByteArray) request = test_send_start(handle, (const void *)certs->data);
    g_autoptr(GByteArray) started =
        server_call(from, SWPSP_OP_SEND_START, request->data, request->len);
    g_assert_cmpuint(started->len, ==, sizeof(struct swpsp_send_started));
    memcpy(session, started->data + 8, SWPSP_SESSION_SIZE);
    return handle;
}

GByteArray *
server_one_page(uint32_t handle)
{
    static const uint8_t page[TEST_PAGE];
    const struct swpsp_command command = test_command(0, TEST_PAGE);
    return test_submission(handle, &command, 1, page, sizeof(page));
}
