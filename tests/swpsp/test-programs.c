/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The programs' manners: options, files, restarts, swpspctl. */
#include "server-fixture.h"
#include "swpsp-proto.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void
test_restart(void)
{
    g_auto(Server) a = {0};
    struct stat st;

    server_start(&a, server_fast);
    g_assert_cmpint(g_stat(a.socket, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0660);
    g_autofree char *pid = NULL;
    g_assert_true(g_file_get_contents(a.pid_file, &pid, NULL, NULL));
    g_assert_cmpint(atoi(pid), ==, a.pid);
    SwpspClient *client = server_client(&a);
    g_autoptr(GByteArray) before = server_call(client, SWPSP_OP_PDH_CERT_EXPORT, NULL, 0);
    server_terminate(&a);
    swpsp_client_free(client);

    server_spawn(&a, server_fast);
    client = server_client(&a);
    g_autoptr(GByteArray) after = server_call(client, SWPSP_OP_PDH_CERT_EXPORT, NULL, 0);
    swpsp_client_free(client);
    g_assert_cmpmem(before->data, before->len, after->data, after->len);
}

/* A service manager is told that the socket is there. */
static void
test_notify(void)
{
    g_auto(Server) a = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[64] = "";

    server_init(&a);
    g_autofree char *path = g_build_filename(a.dir, "notify", NULL);
    g_assert_cmpuint(g_strlcpy(address.sun_path, path, sizeof(address.sun_path)), <,
                     sizeof(address.sun_path));
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (const void *)&address, sizeof(address)), ==, 0);
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    server_spawn(&a, server_fast);
    g_unsetenv("NOTIFY_SOCKET");
    g_assert_cmpint(recv(fd, text, sizeof(text) - 1, 0), >, 0);
    g_assert_cmpstr(text, ==, "READY=1");
    close(fd);
    g_assert_cmpint(g_unlink(path), ==, 0);
}

/* Runs a program; returns its exit status, and standard output if wanted. */
static int
run(char **output, const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *ignored = NULL;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                 output ? output : &ignored, NULL, &status, &error);
    g_assert_no_error(error);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A second one on the same socket, and wrong options, fail at once and harm nothing. */
static void
test_start_refused(void)
{
    g_auto(Server) a = {0};
    const char *exe = g_getenv("SWPSP_EXE");

    server_start(&a, server_fast);
    const char *const second[] = {exe,     "--socket", a.socket,     "--state",  a.state,
                                  "--log", a.log,      "--pid-file", a.pid_file, NULL};
    g_assert_cmpint(run(NULL, second), ==, 1);
    g_autofree char *pid = NULL;
    g_assert_true(g_file_get_contents(a.pid_file, &pid, NULL, NULL));
    g_assert_cmpint(atoi(pid), ==, a.pid);

    static const char *const wrong[] = {
        "--time-scale=0",     "--time-scale=-5",         "--cost-split=1.5",
        "--backing-page=3K",  "--backing-page=2X",       "--max-command-pages=0",
        "--max-clients=0",    "--socket-mode=9",         "--max-submit-commands=5000",
        "--contiguity=some",  "--contiguity=fragmented", "--api-version=1",
        "--api-version=1.56", "--api-version=2.0",       "--api-version=0.0",
        "--socket-mode="};
    g_autofree char *other = g_build_filename(a.dir, "other", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        const char *const argv[] = {exe,     "--socket", other,    "--state", a.state,
                                    "--log", a.log,      wrong[i], NULL};
        g_assert_cmpint(run(NULL, argv), !=, 0);
    }
    const char *const unknown[] = {exe, "--no-such-option", NULL};
    g_assert_cmpint(run(NULL, unknown), ==, 2);
    g_autoptr(SwpspClient) client = server_client(&a);
    g_byte_array_unref(server_call(client, SWPSP_OP_HELLO, NULL, 0));
}

/* A socket file that nobody serves, as a crash leaves it, is replaced. */
static void
test_stale_socket(void)
{
    g_auto(Server) a = {0};
    int status;

    server_start(&a, server_fast);
    g_assert_cmpint(kill(a.pid, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(a.pid, &status, 0), ==, a.pid);
    g_assert_true(g_file_test(a.socket, G_FILE_TEST_EXISTS));
    const char *const argv[] = {g_getenv("SWPSPCTL_EXE"), "--socket", a.socket, "status", NULL};
    g_assert_cmpint(run(NULL, argv), ==, 1);
    server_spawn(&a, server_fast);
    g_assert_cmpint(run(NULL, argv), ==, 0);
}

/* The control socket is found beside the firmware's when that is named by a link. */
static void
test_ctl_by_link(void)
{
    g_auto(Server) a = {0};

    server_start(&a, server_fast);
    g_autofree char *link = g_strconcat(a.socket, "-link", NULL);
    g_assert_cmpint(symlink(a.socket, link), ==, 0);
    const char *const argv[] = {g_getenv("SWPSPCTL_EXE"), "--socket", link, "reset", NULL};
    g_assert_cmpint(run(NULL, argv), ==, 0);
    unlink(link);
}

static void
test_ctl(void)
{
    g_auto(Server) a = {0};
    const char *exe = g_getenv("SWPSPCTL_EXE");

    server_start(&a, server_fast);
    const struct {
        const char *args[6];
        int status;
        const char *output; /* a part of it */
    } rows[] = {
        {{"status"}, 0, "max_command_bytes"},
        {{"stats"}, 0, "time scale 1000"},
        {{"--json", "stats"}, 0, "\"queue_depth_max\""},
        {{"set", "time-scale=50", "cost-split=0.2"}, 0, ""},
        {{"--json", "status"}, 0, "\"time_scale\": 50"},
        {{"set", "time-scale=0"}, 1, ""},
        {{"set", "time-scale"}, 1, ""},
        {{"set"}, 2, ""},
        {{"fault", "HELLO", "INACTIVE"}, 0, ""},
        {{"status"}, 1, ""},
        {{"status"}, 0, "max_command_bytes"},
        {{"fault", "HELLO", "INACTIVE", "5"}, 1, ""},
        {{"fault", "HELLO", "INACTIVE", "after=x"}, 1, ""},
        {{"fault", "HELLO", "INACTIVE", "often=5"}, 1, ""},
        {{"fault", "HELLO", "NONSENSE"}, 1, ""},
        {{"fault", "HELLO", "delay=0"}, 1, ""},
        {{"fault", "HELLO", "delay=1x"}, 1, ""},
        {{"fault", "HELLO", "wrong-mac"}, 1, ""},
        {{"fault", "HELLO"}, 2, ""},
        {{"fault", "HELLO", "INACTIVE", "after=5", "count=forever"}, 0, ""},
        {{"fault", "SEND_FINISH", "delay=20", "count=7"}, 0, ""},
        {{"fault", "SEND_UPDATE_DATA", "wrong-mac"}, 0, ""},
        {{"faults"}, 0, "delay=20"},
        {{"--json", "faults"}, 0, "\"wrong-mac\""},
        {{"clear-faults"}, 0, ""},
        {{"faults"}, 0, "hits\n"},
        {{"reset"}, 0, ""},
        {{"certs"}, 0, "PDH "},
        {{"--json", "certs"}, 0, "\"OCA\""},
        {{"nonsense"}, 2, ""},
        {{NULL}, 2, ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *argv[10] = {exe, "--socket", a.socket};
        g_autofree char *output = NULL;
        memcpy(argv + 3, rows[i].args, sizeof(rows[i].args));
        g_test_message("row %zu", i);
        g_assert_cmpint(run(&output, argv), ==, rows[i].status);
        g_assert_nonnull(strstr(output, rows[i].output));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/swpsp/programs/restart", test_restart);
    g_test_add_func("/swpsp/programs/notify", test_notify);
    g_test_add_func("/swpsp/programs/start-refused", test_start_refused);
    g_test_add_func("/swpsp/programs/stale-socket", test_stale_socket);
    g_test_add_func("/swpsp/programs/ctl", test_ctl);
    g_test_add_func("/swpsp/programs/ctl-by-link", test_ctl_by_link);
    return g_test_run();
}
