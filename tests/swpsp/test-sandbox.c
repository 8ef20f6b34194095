/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sandbox: that it is in force, and that it kills. That everything can be served in it is what
 * all other tests of the running program show, for it is always on.
 */
#include "server-fixture.h"
#include "support.h"

#include "swpsp-sandbox.h"

#include <glib/gstdio.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* What /proc says of the process, in one line of its status or limits; to be freed. */
static char *
proc_line(GPid pid, const char *file, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, file);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    const char *line = strstr(text, name);
    g_assert_nonnull(line);
    line += strlen(name);
    return g_strstrip(g_strndup(line, strcspn(line, "\n")));
}

static void
assert_status(const Server *s, const char *name, const char *value)
{
    g_autofree char *found = proc_line(s->pid, "status", name);

    g_test_message("%s %s", name, found);
    g_assert_cmpstr(found, ==, value);
}

static void
test_in_force(void)
{
    g_auto(Server) a = {0};

    server_start(&a, server_fast);
    assert_status(&a, "\nSeccomp:", "2");
    assert_status(&a, "\nNoNewPrivs:", "1");
    assert_status(&a, "\nThreads:", "1");
    assert_status(&a, "\nCapEff:", "0000000000000000");
    assert_status(&a, "\nCapPrm:", "0000000000000000");
    assert_status(&a, "\nCapInh:", "0000000000000000");
    assert_status(&a, "\nCapAmb:", "0000000000000000");
    g_autofree char *core = proc_line(a.pid, "limits", "Max core file size");
    g_assert_true(g_str_has_prefix(core, "0 "));
    g_autofree char *files = proc_line(a.pid, "limits", "Max open files");
    g_assert_cmpint(atoi(files), <, 128); /* 64 clients and some */
}

/* Whoever starts as root need not stay it, and what it makes is then not root's. */
static void
test_user(void)
{
    const bool root = geteuid() == 0;
    const struct passwd *user = root ? getpwnam("nobody") : getpwuid(geteuid());
    g_auto(Server) a = {0};

    g_assert_nonnull(user);
    const uid_t uid = user->pw_uid;
    const char *const options[] = {"--time-scale", "1000", "--user", user->pw_name, NULL};
    server_init(&a);
    g_assert_cmpint(chown(a.dir, uid, user->pw_gid), ==, 0);
    server_spawn(&a, options);

    g_autofree char *uids = proc_line(a.pid, "status", "\nUid:");
    g_autofree char *expected = g_strdup_printf("%u\t%u\t%u\t%u", (unsigned)uid, (unsigned)uid,
                                                (unsigned)uid, (unsigned)uid);
    g_assert_cmpstr(uids, ==, expected);
    struct stat st;
    g_assert_cmpint(g_stat(a.socket, &st), ==, 0);
    g_assert_cmpint(st.st_uid, ==, uid);
    g_autoptr(SwpspClient) client = server_client(&a);
    g_byte_array_unref(server_call(client, SWPSP_OP_HELLO, NULL, 0));
}

/* Runs a program on a directory in the socket's place; the text it ends with is to be freed. */
static char *
run_refused(const Server *s)
{
    const char *const argv[] = {g_getenv("SWPSP_EXE"), "--config", "/dev/null", "--socket",
                                s->socket,             "--state",  s->state,    NULL};
    g_autoptr(GError) error = NULL;
    char *text = NULL;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, &text, &status,
                 &error);
    g_assert_no_error(error);
    g_test_message("%#x: %s", (unsigned)status, text);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    return text;
}

/* One that is there already: making it meets errors, and what they need is then loaded. */
static void
make_platform(Server *s)
{
    server_start(s, server_fast);
    server_terminate(s);
}

/* To say why it cannot start, it must not need a file: a catalogue, say. */
static void
test_start_error(void)
{
    g_auto(Server) a = {0};

    make_platform(&a);
    g_assert_cmpint(g_mkdir(a.socket, 0700), ==, 0);
    g_autofree char *text = run_refused(&a);
    g_assert_nonnull(strstr(text, "Is a directory"));
    g_assert_cmpint(g_rmdir(a.socket), ==, 0);
}

/* Nor does it when it serves: without a free descriptor, it says so and waits for one. */
static void
test_no_descriptors(void)
{
    g_auto(Server) a = {0};
    struct rlimit normal;

    make_platform(&a);
    server_spawn(&a, server_fast);
    g_assert_cmpint(prlimit(a.pid, RLIMIT_NOFILE, NULL, &normal), ==, 0);
    /* All below it are in use; poll() wants one for each descriptor it looks at. */
    const struct rlimit few = {6, normal.rlim_max};
    g_assert_cmpint(prlimit(a.pid, RLIMIT_NOFILE, &few, NULL), ==, 0);
    g_autoptr(SwpspClient) client = server_client(&a);
    for (bool told = false; !told;) {
        g_autofree char *log = server_log(&a);
        told = strstr(log, "accept: Too many open files") != NULL;
        g_assert_cmpint(waitpid(a.pid, NULL, WNOHANG), ==, 0);
        g_usleep(2000);
    }
    g_assert_cmpint(prlimit(a.pid, RLIMIT_NOFILE, &normal, NULL), ==, 0);
    g_byte_array_unref(server_call(client, SWPSP_OP_HELLO, NULL, 0));
}

static void
open_socket(void)
{
    syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static void
run_program(void)
{
    const char *const argv[] = {"/bin/true", NULL};
    syscall(SYS_execve, argv[0], argv, NULL);
}

static void
signal_parent(void)
{
    syscall(SYS_kill, getppid(), 0);
}

static void
signal_other_thread(void)
{
    syscall(SYS_tgkill, 1, 1, 0);
}

static void
map_code(void)
{
    syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void
make_directory(void)
{
    syscall(SYS_mkdir, "/nonexistent/directory", 0700);
}

static void
become_root(void)
{
    syscall(SYS_setuid, 0);
}

/* Runs it in the sandbox, in a process of its own; returns how that ended. */
static int
in_sandbox(void (*run)(void))
{
    int status;
    const pid_t pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        if (!swpsp_sandbox_enter(1, (size_t)1 << 40, NULL))
            _exit(2);
        if (run)
            run();
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

/* As glibc ends a process whose heap or stack it finds damaged. */
static void
say_and_abort(void)
{
    const struct iovec nothing = {0};

    syscall(SYS_writev, STDERR_FILENO, &nothing, 1);
    abort();
}

/* Which has to be known from a violation. */
static void
test_fatal(void)
{
    const int status = in_sandbox(say_and_abort);

    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* Each of these is the end of the process; doing nothing is not. */
static void
test_violations(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } rows[] = {
        {"socket", open_socket},         {"execve", run_program}, {"kill", signal_parent},
        {"tgkill", signal_other_thread}, {"mmap", map_code},      {"mkdir", make_directory},
        {"setuid", become_root},
    };

    int status = in_sandbox(NULL);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        status = in_sandbox(rows[i].run);
        g_test_message("%s: %#x", rows[i].name, (unsigned)status);
        g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LC_ALL", "C", TRUE); /* a character set that GLib has to convert from */
    g_test_add_func("/swpsp/sandbox/in-force", test_in_force);
    g_test_add_func("/swpsp/sandbox/user", test_user);
    g_test_add_func("/swpsp/sandbox/start-error", test_start_error);
    g_test_add_func("/swpsp/sandbox/no-descriptors", test_no_descriptors);
    g_test_add_func("/swpsp/sandbox/fatal", test_fatal);
    g_test_add_func("/swpsp/sandbox/violations", test_violations);
    return g_test_run();
}
