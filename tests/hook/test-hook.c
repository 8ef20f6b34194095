/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hook as libvirt runs it: arguments, domain XML on stdin; exit status and stderr are judged,
 * and that nothing is ever on stdout.
 */
#include "hook-fixture.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void
test_clean(Host *host, gconstpointer data)
{
    expect(incoming(host, DOMAIN(SEV)), 0, NULL);
    expect(incoming(host, DOMAIN(SEV NAMED("known", "on-failure='refuse'"))), 0, NULL);
    expect(incoming(host, DOMAIN(SEV NAMED("strict", ""))), 0, NULL);
    expect(incoming(host, DOMAIN(SEV INLINED("on-failure='refuse'", "<priority>3</priority>"))), 0,
           NULL);
}

static void
test_unknown_refused(Host *host, gconstpointer data)
{
    expect(incoming(host, DOMAIN(SEV NAMED("gold", "on-failure='refuse'"))), 1,
           "sevmig: domain \"vm\" may not come here: the domain's metadata names the policy "
           "\"gold\", which this host does not have");
}

static void
test_unknown_warned(Host *host, gconstpointer data)
{
    const char *line = "sevmig: domain \"vm\": the domain's metadata names the policy \"gold\", "
                       "which this host does not have; letting it come";

    expect(incoming(host, DOMAIN(SEV NAMED("gold", "on-failure='warn'"))), 0, line);
    expect(incoming(host, DOMAIN(SEV NAMED("gold", ""))), 0, line);
}

static void
test_bad_inlined(Host *host, gconstpointer data)
{
    const char *xml = DOMAIN(SEV INLINED("on-failure='refuse'", "<priority>900</priority>"));
    g_autofree char *line = g_strdup_printf(
        "sevmig: domain \"vm\" may not come here: the policy in the domain's metadata is not "
        "valid: domain XML:1:%u: <priority>: \"900\" is out of range; expected a whole number "
        "from 0 to 100",
        (guint)(strstr(xml, "900") - xml) + 1);

    expect(incoming(host, xml), 1, line);
}

/* The policy that applies instead says that this host must accept what a domain carries. */
static void
test_schema_required(Host *host, gconstpointer data)
{
    Outcome outcome;

    put(host->admin, "default.xml", POLICY("default", NEEDS_DEVICE("refuse")));
    outcome = incoming(host, DOMAIN(SEV INLINED("", "<priority>900</priority>")));
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_nonnull(strstr(outcome.errors, "is not valid"));
    g_free(outcome.errors);
    outcome = incoming(host, DOMAIN(SEV NAMED("gold", "")));
    g_assert_cmpint(outcome.status, ==, 0);
    g_free(outcome.errors);
}

static void
test_ceiling(Host *host, gconstpointer data)
{
    Outcome outcome;

    put(host->root, "ceiling.xml",
        "<ceiling xmlns='urn:sevmig:policy:1'><priority>60</priority></ceiling>");
    expect(incoming(host, DOMAIN(SEV INLINED("on-failure='refuse'", "<priority>60</priority>"))), 0,
           NULL);
    outcome = incoming(host, DOMAIN(SEV INLINED("on-failure='refuse'", "<priority>61</priority>")));
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_nonnull(strstr(outcome.errors, "61 is looser than this host allows"));
    g_free(outcome.errors);
}

static void
test_no_device(Host *host, gconstpointer data)
{
    g_free(host->device);
    host->device = g_strdup("/nonexistent/sev");
    expect(incoming(host, DOMAIN(SEV NAMED("strict", ""))), 1,
           "sevmig: domain \"vm\" may not come here: policy \"strict\" requires sev-receive: "
           "/nonexistent/sev, which receiving an SEV guest needs: No such file or directory");
    expect(incoming(host, DOMAIN(SEV NAMED("known", "on-failure='refuse'"))), 1,
           "sevmig: domain \"vm\" may not come here: policy \"known\" requires sev-receive: "
           "/nonexistent/sev, which receiving an SEV guest needs: No such file or directory");
    expect(incoming(host, DOMAIN(SEV)), 0,
           "sevmig: domain \"vm\": policy \"default\" requires sev-receive: /nonexistent/sev, "
           "which receiving an SEV guest needs: No such file or directory; letting it come");
}

static void
test_device_kinds(Host *host, gconstpointer data)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    Outcome outcome;

    g_free(host->device);
    host->device = g_build_filename(host->root, "sev", NULL);
    put(host->root, "sev", "a regular file");
    outcome = incoming(host, DOMAIN(SEV NAMED("strict", "")));
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_nonnull(strstr(outcome.errors, "neither a character device nor a socket"));
    g_free(outcome.errors);

    g_assert_cmpint(g_remove(host->device), ==, 0);
    g_strlcpy(address.sun_path, host->device, sizeof address.sun_path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    expect(incoming(host, DOMAIN(SEV NAMED("strict", ""))), 0, NULL);
    close(fd);
}

static void
test_no_concern(Host *host, gconstpointer data)
{
    g_free(host->device);
    host->device = g_strdup("/nonexistent/sev");
    put(host->admin, "broken.xml", "<policy");
    expect(incoming(host, DOMAIN("")), 0, NULL);
    expect(incoming(host, DOMAIN(NAMED("gold", "on-failure='refuse'"))), 0, NULL);
    expect(incoming(host, DOMAIN("<launchSecurity type='sev-snp'/>")), 0, NULL);
}

/* Whatever is on stdin, and even if nothing can be read: no operation but the one of the table may
 * ever fail, least of all `reconnect`, where that would kill the guest. */
static void
test_other_operations(Host *host, gconstpointer data)
{
    static const char *const operations[][2] = {
        {"reconnect", "begin"}, {"stopped", "end"},   {"release", "end"},   {"prepare", "begin"},
        {"start", "begin"},     {"started", "begin"}, {"restore", "begin"}, {"attach", "begin"},
        {"migrate", "end"},     {"migrate", ""},      {"MIGRATE", "begin"}, {"", ""},
    };
    const char *xml = DOMAIN(SEV NAMED("gold", "on-failure='refuse'"));

    put(host->admin, "broken.xml", "<policy");
    for (gsize i = 0; i < G_N_ELEMENTS(operations); i++) {
        g_test_message("%s %s", operations[i][0], operations[i][1]);
        expect(run_sized(host, operations[i][0], operations[i][1], xml, strlen(xml)), 0, NULL);
    }
}

static void
test_few_arguments(Host *host, gconstpointer data)
{
    static const char *const lists[][4] = {{NULL}, {"vm", NULL}, {"vm", "migrate", NULL}};

    for (gsize i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_autoptr(GSubprocess) child = start(host, "SEVMIG_HOOK_TESTING", lists[i], "20000");
        g_autoptr(GBytes) nothing = g_bytes_new(NULL, 0);

        expect(finish(child, nothing), 0, NULL);
    }
}

static void
test_bad_policies_here(Host *host, gconstpointer data)
{
    g_autofree char *file = g_build_filename(host->admin, "broken.xml", NULL);
    g_autofree char *let = g_strdup_printf(
        "sevmig: domain \"vm\": the policies of this host cannot be read: %s:1:9: <policy>: "
        "namespace \"\"; expected \"urn:sevmig:policy:1\"; letting it come",
        file);
    g_autofree char *refuse = g_strdup_printf(
        "sevmig: domain \"vm\" may not come here: the policies of this host cannot be read: "
        "%s:1:9: <policy>: namespace \"\"; expected \"urn:sevmig:policy:1\"",
        file);

    put(host->admin, "broken.xml", "<!----> <policy name='broken'/>");
    expect(incoming(host, DOMAIN(SEV)), 0, let);
    expect(incoming(host, DOMAIN(SEV NAMED("known", ""))), 0, let);
    expect(incoming(host, DOMAIN(SEV NAMED("known", "on-failure='refuse'"))), 1, refuse);
}

/* What cannot be judged comes: the veto is a service, not a boundary. */
static void
test_hostile(Host *host, gconstpointer data)
{
    static const char *const inputs[] = {
        "",
        "\n",
        "<domain>",
        "not XML",
        "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain>&a;</domain>",
        "<domain><name>\x1b[2J</name></domain>",
        "<network/>",
        "\xff\xfe<",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(inputs); i++) {
        Outcome outcome = incoming(host, inputs[i]);

        g_test_message("%u: %s", (guint)i, outcome.errors);
        g_assert_cmpint(outcome.status, ==, 0);
        g_assert_true(g_str_has_prefix(outcome.errors, "sevmig: domain \"vm\": domain XML"));
        g_assert_true(g_str_has_suffix(outcome.errors, "; letting it come\n"));
        g_assert_null(strchr(outcome.errors, '\x1b'));
        g_assert_true(strchr(outcome.errors, '\n') == strrchr(outcome.errors, '\n'));
        g_free(outcome.errors);
    }
}

static void
test_large(Host *host, gconstpointer data)
{
    g_autofree char *padding = g_strnfill(2 * 1024 * 1024, ' ');
    g_autofree char *large = g_strconcat(DOMAIN(SEV), padding, NULL);
    g_autofree char *deep = g_strnfill(300 * 1000, 'a');
    Outcome outcome;

    expect(run_sized(host, "migrate", "begin", large, strlen(large)), 0, NULL); /* not all read */
    expect(run_sized(host, "migrate", "begin", large, 1024 * 1024 + 1), 0,
           "sevmig: domain \"vm\": domain XML: too large; domain XML has at most 1048576 bytes; "
           "letting it come");
    for (gsize i = 0; i + 2 < 300 * 1000; i += 3)
        memcpy(deep + i, "<a>", 3);
    outcome = incoming(host, deep);
    g_assert_cmpint(outcome.status, ==, 0);
    g_assert_nonnull(strstr(outcome.errors, "nest deeper than 64"));
    g_free(outcome.errors);
}

/* stdin that delivers part of a domain and then neither more nor an end. */
static void
test_stalled_input(Host *host, gconstpointer data)
{
    static const char *const arguments[] = {"vm", "migrate", "begin", "-", NULL};
    g_autoptr(GSubprocess) child = start(host, "SEVMIG_HOOK_TESTING", arguments, "200");
    GOutputStream *input = g_subprocess_get_stdin_pipe(child);
    char errors[256] = "";

    g_assert_true(g_output_stream_write_all(input, "<domain>", 8, NULL, NULL, NULL));
    g_assert_true(g_output_stream_flush(input, NULL, NULL));
    g_assert_true(g_subprocess_wait(child, NULL, NULL));
    g_assert_true(g_subprocess_get_if_exited(child));
    g_assert_cmpint(g_subprocess_get_exit_status(child), ==, 0);
    g_assert_cmpint(g_input_stream_read(g_subprocess_get_stderr_pipe(child), errors,
                                        sizeof errors - 1, NULL, NULL),
                    >, 0);
    g_assert_cmpstr(errors, ==, "sevmig: the check took too long; letting the domain come\n");
}

/* The domain is known to be strict by the time the check hangs. */
static void
test_stalled_strict(Host *host, gconstpointer data)
{
    static const char *const arguments[] = {"vm", "migrate", "begin", "-", NULL};
    const char *xml = DOMAIN(SEV NAMED("known", "on-failure='refuse'"));
    g_autoptr(GBytes) input = g_bytes_new_static(xml, strlen(xml));
    g_autoptr(GSubprocess) child = NULL;

    g_setenv("SEVMIG_TEST_HANG", "1", TRUE);
    child = start(host, "SEVMIG_HOOK_TESTING", arguments, "2000");
    g_unsetenv("SEVMIG_TEST_HANG");
    expect(finish(child, input), 1,
           "sevmig: the check took too long, and the domain's metadata says "
           "on-failure=\"refuse\"");
}

/* Nobody reads what it has to say, and the pipe is full. */
static void
test_deaf_reader(Host *host, gconstpointer data)
{
    const char *const argv[] = {
        g_getenv("SEVMIG_HOOK_TESTING"), "vm", "migrate", "begin", "-", NULL};
    const char *const xmls[] = {DOMAIN(SEV NAMED("gold", "on-failure='refuse'")),
                                DOMAIN(SEV NAMED("gold", "on-failure='warn'"))};

    for (gsize i = 0; i < G_N_ELEMENTS(xmls); i++) {
        g_autoptr(GSubprocessLauncher) launcher =
            g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_PIPE);
        g_autoptr(GSubprocess) child = NULL;
        g_autofree char *full = g_strnfill(4096, 'x');
        int pipe_fds[2];

        g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), ==, 0);
        while (write(pipe_fds[1], full, 4096) > 0)
            ;
        while (write(pipe_fds[1], full, 1) > 0)
            ;
        g_assert_cmpint(fcntl(pipe_fds[1], F_SETFL, 0), ==, 0); /* it would block now */
        set_up_launcher(launcher, host, "500");
        g_subprocess_launcher_take_stderr_fd(launcher, pipe_fds[1]);
        child = g_subprocess_launcher_spawnv(launcher, argv, NULL);
        g_assert_nonnull(child);
        g_assert_true(g_output_stream_write_all(g_subprocess_get_stdin_pipe(child), xmls[i],
                                                strlen(xmls[i]), NULL, NULL, NULL));
        g_assert_true(g_output_stream_close(g_subprocess_get_stdin_pipe(child), NULL, NULL));
        g_assert_true(g_subprocess_wait(child, NULL, NULL));
        g_assert_true(g_subprocess_get_if_exited(child));
        g_assert_cmpint(g_subprocess_get_exit_status(child), ==, i == 0 ? 1 : 0);
        close(pipe_fds[0]);
    }
}

/* What may stand in a directory of policies instead of one: nothing of it is waited for. */
static void
test_odd_files(Host *host, gconstpointer data)
{
    g_autofree char *odd = g_build_filename(host->admin, "odd.xml", NULL);
    const char *xml = DOMAIN(SEV NAMED("known", "on-failure='refuse'"));
    Outcome outcome;

    g_assert_cmpint(mkfifo(odd, 0600), ==, 0);
    outcome = incoming(host, xml);
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_nonnull(strstr(outcome.errors, "odd.xml"));
    g_assert_null(strstr(outcome.errors, "took too long"));
    g_free(outcome.errors);
    g_assert_cmpint(g_remove(odd), ==, 0);
    g_assert_cmpint(symlink("odd.xml", odd), ==, 0); /* to itself */
    outcome = incoming(host, xml);
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_nonnull(strstr(outcome.errors, "odd.xml"));
    g_free(outcome.errors);
}

/* The program that is installed: no variable changes where it looks. */
static void
test_installed(Host *host, gconstpointer data)
{
    static const char *const arguments[] = {"vm", "migrate", "begin", "-", NULL};
    const char *xml = DOMAIN(SEV NAMED("no-host-has-this-policy", "on-failure='refuse'"));
    g_autoptr(GBytes) input = g_bytes_new_static(xml, strlen(xml));
    g_autoptr(GSubprocess) child = NULL;
    Outcome outcome;

    put(host->admin, "known.xml", POLICY("no-host-has-this-policy", ""));
    child = start(host, "SEVMIG_HOOK", arguments, "1");
    outcome = finish(child, input);
    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_true(g_str_has_prefix(outcome.errors, "sevmig: domain \"vm\" may not come here: "));
    g_free(outcome.errors);
}

/* Descriptors closed by a careless parent. */
static void
test_closed_descriptors(Host *host, gconstpointer data)
{
    g_autofree char *command =
        g_strdup_printf("exec \"$SEVMIG_HOOK_TESTING\" vm migrate begin - <&- >&- 2>&-");
    const char *const argv[] = {"/bin/sh", "-c", command, NULL};
    g_autoptr(GSubprocess) child = g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_NONE, NULL);

    g_assert_nonnull(child);
    g_assert_true(g_subprocess_wait(child, NULL, NULL));
    g_assert_true(g_subprocess_get_if_exited(child));
    g_assert_cmpint(g_subprocess_get_exit_status(child), ==, 0);
}

/* A directory can be opened, but not read; and a name may hold what a message must not. */
static void
test_unreadable_input(Host *host, gconstpointer data)
{
    const char *const argv[] = {
        "/bin/sh", "-c", "exec \"$SEVMIG_HOOK_TESTING\" \"$0\" migrate begin - </", "v\nm", NULL};
    g_autoptr(GSubprocess) child = g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_STDERR_PIPE, NULL);
    g_autofree char *errors = NULL;

    g_assert_nonnull(child);
    g_assert_true(g_subprocess_communicate_utf8(child, NULL, NULL, NULL, &errors, NULL));
    g_assert_true(g_subprocess_get_if_exited(child));
    g_assert_cmpint(g_subprocess_get_exit_status(child), ==, 0);
    g_assert_cmpstr(errors, ==,
                    "sevmig: domain \"v\\u000am\": the domain XML cannot be read: Is a directory; "
                    "letting it come\n");
}

#define STRICT_WORDS ", and %s has what cannot be checked refused"

/* A refusal that says so, and why. */
static void
expect_strict(const Host *host, Outcome outcome, const char *why)
{
    g_autofree char *errors = outcome.errors;
    g_autofree char *words = g_strdup_printf(STRICT_WORDS, host->strict);

    g_assert_cmpint(outcome.status, ==, 1);
    g_assert_nonnull(strstr(errors, "may not come here: "));
    g_assert_nonnull(strstr(errors, why));
    g_assert_nonnull(strstr(errors, words));
}

/* The administrator's word is before whatever the domain is made of: too long, no XML, beyond what
 * this host can read. What can be checked is judged as ever. */
static void
test_strict_host(Host *host, gconstpointer data)
{
    static const char *const arguments[] = {"vm", "migrate", "begin", "-", NULL};
    g_autofree char *large = g_strnfill((1 << 20) + 1, ' ');
    g_autoptr(GSubprocess) child = NULL;

    put(host->root, "incoming-strict", "");
    expect_strict(host, incoming(host, large), "too large");
    expect_strict(host, incoming(host, "<domain>"), "not well-formed XML");
    expect_strict(host, incoming(host, ""), "the document is empty");
    expect(incoming(host, DOMAIN(SEV NAMED("known", ""))), 0, NULL);
    expect(incoming(host, DOMAIN("")), 0, NULL);
    put(host->admin, "bad.xml", "<policy");
    expect_strict(host, incoming(host, DOMAIN(SEV)), "the policies of this host cannot be read");
    child = start(host, "SEVMIG_HOOK_TESTING", arguments, "200");
    g_assert_true(g_output_stream_write_all(g_subprocess_get_stdin_pipe(child), "<domain>", 8, NULL,
                                            NULL, NULL));
    g_assert_true(g_output_stream_flush(g_subprocess_get_stdin_pipe(child), NULL, NULL));
    g_assert_true(g_subprocess_wait(child, NULL, NULL));
    g_assert_cmpint(g_subprocess_get_exit_status(child), ==, 1);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Host *, gconstpointer);
    } tests[] = {
        {"/hook/clean", test_clean},
        {"/hook/unknown-refused", test_unknown_refused},
        {"/hook/unknown-warned", test_unknown_warned},
        {"/hook/bad-inlined", test_bad_inlined},
        {"/hook/schema-required", test_schema_required},
        {"/hook/ceiling", test_ceiling},
        {"/hook/no-device", test_no_device},
        {"/hook/device-kinds", test_device_kinds},
        {"/hook/no-concern", test_no_concern},
        {"/hook/other-operations", test_other_operations},
        {"/hook/few-arguments", test_few_arguments},
        {"/hook/bad-policies-here", test_bad_policies_here},
        {"/hook/hostile", test_hostile},
        {"/hook/large", test_large},
        {"/hook/stalled-input", test_stalled_input},
        {"/hook/stalled-strict", test_stalled_strict},
        {"/hook/strict-host", test_strict_host},
        {"/hook/deaf-reader", test_deaf_reader},
        {"/hook/odd-files", test_odd_files},
        {"/hook/installed", test_installed},
        {"/hook/closed-descriptors", test_closed_descriptors},
        {"/hook/unreadable-input", test_unreadable_input},
    };

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Host, NULL, host_set_up, tests[i].test, host_tear_down);
    return g_test_run();
}
