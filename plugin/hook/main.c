/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-hook - libvirt's qemu hook: vetoes an incoming migration that this host cannot serve
 *
 * Theory of operation: libvirt runs this for every lifecycle operation of every domain, holding
 * locks and without a timeout, and for some operations a non-zero exit would hurt (that of
 * `reconnect` kills a running guest). So the operations that are looked at stand in a table, and
 * without a row there it is over before anything is read. Where there is one, a deadline covers
 * all that follows; libvirt is never called; nothing goes to stdout, which would change the domain;
 * and what cannot be judged is let through, unless the domain itself says otherwise, or the host's
 * administrator: his word is asked for before anything of the domain is read, for who sends it may
 * make it as slow to read as he likes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <syslog.h>
#include <unistd.h>

#include "sevmig-config.h"
#include "sevmig-hook.h"
#include "sevmig-policy-issue.h"

#define DEADLINE_MS 3000
#define DEVICE "/dev/sev"

enum { EXIT_LET = 0, EXIT_REFUSE = 1 };

typedef struct {
    const char *operation;
    const char *sub_operation;
} Checked;

/* On the destination libvirt runs `migrate begin` before anything of the domain exists there. */
static const Checked checked[] = {
    {"migrate", "begin"},
};

#define LET_TEXT "sevmig: the check took too long; letting the domain come\n"
#define REFUSE_TEXT                                                                                \
    "sevmig: the check took too long, and the domain's metadata says on-failure=\"refuse\"\n"

#define HOST_TEXT                                                                                  \
    "sevmig: the check took too long, and " SEVMIG_INCOMING_STRICT_FILE                            \
    " has what cannot be checked refused\n"

/* What is done and said at the deadline. */
typedef struct {
    int status;
    const char *text;
    gsize length;
} Late;

static const Late late_let = {EXIT_LET, LET_TEXT, sizeof LET_TEXT - 1};
static const Late late_refuse = {EXIT_REFUSE, REFUSE_TEXT, sizeof REFUSE_TEXT - 1};
static const Late late_host = {EXIT_REFUSE, HOST_TEXT, sizeof HOST_TEXT - 1};
static const Late *volatile late = &late_let;

/* What it is too late for may be that nobody reads stderr: so not a word where that would block. */
static void
on_deadline(int signal_number)
{
    struct pollfd errors = {.fd = STDERR_FILENO, .events = POLLOUT};
    const Late *now = late;
    ssize_t ignored = 0;

    if (poll(&errors, 1, 0) == 1)
        ignored = write(STDERR_FILENO, now->text, now->length);
    (void)ignored;
    _exit(now->status);
}

#ifdef SEVMIG_HOOK_TESTING
static gboolean hang_when_strict;
#endif

static void
be_strict(void)
{
    late = &late_refuse;
#ifdef SEVMIG_HOOK_TESTING
    while (hang_when_strict)
        pause();
#endif
}

static gboolean
is_checked(int argc, char **argv)
{
    for (gsize i = 0; argc >= 4 && i < G_N_ELEMENTS(checked); i++) {
        if (!strcmp(argv[2], checked[i].operation) && !strcmp(argv[3], checked[i].sub_operation))
            return TRUE;
    }
    return FALSE;
}

static void
start_deadline(unsigned milliseconds)
{
    struct sigaction action = {.sa_handler = on_deadline};
    struct itimerval timer = {
        .it_value = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000},
    };
    sigset_t none;

    sigemptyset(&none);
    sigaction(SIGALRM, &action, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* Descriptors 0 to 2 exist, stdout leads nowhere, and no variable reaches the libraries. */
static void
prepare_process(void)
{
    int null = open("/dev/null", O_RDWR);

    while (null >= 0 && null <= STDERR_FILENO)
        null = dup(null);
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        close(null);
    } else {
        close(STDOUT_FILENO);
    }
    clearenv();
    signal(SIGPIPE, SIG_IGN);
}

/* All of stdin, at most `max` + 1 bytes of it. NULL with errno set on failure. */
static char *
read_input(gsize max, gsize *size)
{
    g_autofree char *text = g_malloc(max + 1);
    gsize used = 0;

    while (used <= max) {
        ssize_t n = read(STDIN_FILENO, text + used, max + 1 - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return NULL;
        if (n == 0)
            break;
        used += (gsize)n;
    }
    *size = used;
    return g_steal_pointer(&text);
}

/* libvirt drops the stderr of a hook that succeeds, hence the system log too. */
static void
report(const char *text)
{
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    ssize_t ignored = write(STDERR_FILENO, line, strlen(line));

    (void)ignored;
    openlog("sevmig-hook", LOG_PID, LOG_DAEMON);
    syslog(LOG_WARNING, "%s", text);
}

static int
check(const char *name, const SevmigHookPaths *paths)
{
    gsize size = 0;
    g_autofree char *xml = read_input(SEVMIG_DOMAIN_MAX_BYTES, &size);
    int failure = xml ? 0 : errno;
    SevmigHookVerdict verdict = xml ? sevmig_hook_judge(name, xml, size, paths, be_strict)
                                    : sevmig_hook_judge_nothing(name, paths, g_strerror(failure));
    int status = verdict.refuse ? EXIT_REFUSE : EXIT_LET;

    if (!verdict.refuse)
        late = &late_let;
    else if (late == &late_let)
        late = &late_refuse;
    if (verdict.text)
        report(verdict.text);
    sevmig_hook_verdict_clear(&verdict);
    return status;
}

#ifdef SEVMIG_HOOK_TESTING
/* The tests' build takes its paths and its deadline from the environment; the one that is installed
 * does not contain this. */
static unsigned
testing_overrides(SevmigHookPaths *paths)
{
    const char *deadline_ms = getenv("SEVMIG_TEST_DEADLINE_MS");

    hang_when_strict = getenv("SEVMIG_TEST_HANG") != NULL;
    paths->admin_dir = g_strdup(getenv("SEVMIG_TEST_ADMIN_DIR"));
    paths->vendor_dir = g_strdup(getenv("SEVMIG_TEST_VENDOR_DIR"));
    paths->ceiling_file = g_strdup(getenv("SEVMIG_TEST_CEILING"));
    paths->device = g_strdup(getenv("SEVMIG_TEST_DEVICE"));
    if (getenv("SEVMIG_TEST_STRICT_FILE") != NULL)
        paths->strict_file = g_strdup(getenv("SEVMIG_TEST_STRICT_FILE"));
    return deadline_ms ? (unsigned)atoi(deadline_ms) : DEADLINE_MS;
}
#endif

int
main(int argc, char **argv)
{
    static SevmigHookPaths paths = {.device = DEVICE, .strict_file = SEVMIG_INCOMING_STRICT_FILE};
    unsigned deadline_ms = DEADLINE_MS;

    if (!is_checked(argc, argv))
        return EXIT_LET;
#ifdef SEVMIG_HOOK_TESTING
    deadline_ms = testing_overrides(&paths);
#endif
    prepare_process();
    if (sevmig_hook_is_strict(&paths))
        late = &late_host;
    start_deadline(deadline_ms);
    return check(argv[1], &paths);
}
