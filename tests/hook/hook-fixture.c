/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hook-fixture.h"

#include <glib/gstdio.h>
#include <string.h>

void
put(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

void
host_set_up(Host *host, gconstpointer data)
{
    host->root = g_dir_make_tmp("sevmig-hook-XXXXXX", NULL);
    host->admin = g_build_filename(host->root, "admin", NULL);
    host->vendor = g_build_filename(host->root, "vendor", NULL);
    host->ceiling = g_build_filename(host->root, "ceiling.xml", NULL);
    host->strict = g_build_filename(host->root, "incoming-strict", NULL);
    host->device = g_strdup("/dev/null"); /* a character device, as /dev/sev is */
    g_assert_cmpint(g_mkdir(host->admin, 0700), ==, 0);
    g_assert_cmpint(g_mkdir(host->vendor, 0700), ==, 0);
    put(host->vendor, "known.xml", POLICY("known", NEEDS_DEVICE("warn")));
    put(host->vendor, "strict.xml", POLICY("strict", NEEDS_DEVICE("refuse")));
    put(host->vendor, "default.xml", POLICY("default", NEEDS_DEVICE("warn")));
}

static void
empty_directory(char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_assert_cmpint(g_remove(file), ==, 0);
    }
}

void
host_tear_down(Host *host, gconstpointer data)
{
    empty_directory(host->admin);
    empty_directory(host->vendor);
    empty_directory(host->root);
    g_assert_cmpint(g_rmdir(host->root), ==, 0);
    g_free(host->root);
    g_free(host->admin);
    g_free(host->vendor);
    g_free(host->ceiling);
    g_free(host->device);
    g_free(host->strict);
}

void
set_up_launcher(GSubprocessLauncher *launcher, const Host *host, const char *deadline_ms)
{
    g_subprocess_launcher_setenv(launcher, "SEVMIG_TEST_ADMIN_DIR", host->admin, TRUE);
    g_subprocess_launcher_setenv(launcher, "SEVMIG_TEST_VENDOR_DIR", host->vendor, TRUE);
    g_subprocess_launcher_setenv(launcher, "SEVMIG_TEST_CEILING", host->ceiling, TRUE);
    g_subprocess_launcher_setenv(launcher, "SEVMIG_TEST_DEVICE", host->device, TRUE);
    g_subprocess_launcher_setenv(launcher, "SEVMIG_TEST_STRICT_FILE", host->strict, TRUE);
    g_subprocess_launcher_setenv(launcher, "SEVMIG_TEST_DEADLINE_MS", deadline_ms, TRUE);
}

GSubprocess *
start(const Host *host, const char *program, const char *const *arguments, const char *deadline_ms)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                                  G_SUBPROCESS_FLAGS_STDERR_PIPE);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    GSubprocess *child;

    set_up_launcher(launcher, host, deadline_ms);
    g_ptr_array_add(argv, (char *)g_getenv(program));
    g_assert_nonnull(g_getenv(program));
    for (; *arguments; arguments++)
        g_ptr_array_add(argv, (char *)*arguments);
    g_ptr_array_add(argv, NULL);
    child = g_subprocess_launcher_spawnv(launcher, (const char *const *)argv->pdata, &error);
    g_assert_no_error(error);
    return child;
}

Outcome
finish(GSubprocess *child, GBytes *input)
{
    g_autoptr(GBytes) output = NULL, errors = NULL;
    g_autoptr(GError) error = NULL;
    Outcome outcome;

    /* A hook that has seen enough may be gone before it has read everything; what it then says is
     * lost here. */
    if (!g_subprocess_communicate(child, input, NULL, &output, &errors, &error))
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
    g_assert_true(g_subprocess_wait(child, NULL, NULL));
    g_assert_true(g_subprocess_get_if_exited(child));
    outcome.status = g_subprocess_get_exit_status(child);
    if (output)
        g_assert_cmpuint(g_bytes_get_size(output), ==, 0);
    outcome.errors = errors && g_bytes_get_size(errors) > 0
                         ? g_strndup(g_bytes_get_data(errors, NULL), g_bytes_get_size(errors))
                         : g_strdup("");
    return outcome;
}

Outcome
run_sized(const Host *host, const char *operation, const char *sub, const char *xml, gsize size)
{
    const char *const arguments[] = {"vm", operation, sub, "-", NULL};
    g_autoptr(GSubprocess) child = start(host, "SEVMIG_HOOK_TESTING", arguments, "20000");
    g_autoptr(GBytes) input = g_bytes_new_static(xml, size);

    return finish(child, input);
}

Outcome
incoming(const Host *host, const char *xml)
{
    return run_sized(host, "migrate", "begin", xml, strlen(xml));
}

void
expect(Outcome outcome, int status, const char *line)
{
    g_autofree char *errors = outcome.errors;
    g_autofree char *wanted = line ? g_strconcat(line, "\n", NULL) : g_strdup("");

    g_assert_cmpstr(errors, ==, wanted);
    g_assert_cmpint(outcome.status, ==, status);
}
