/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options: the file, the command line, which of them wins, and what errors name. */
#include "swpsp-options.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char *path;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    int fd = g_file_open_tmp("swpsp-XXXXXX.conf", &f->path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_unlink(f->path);
    g_free(f->path);
}

/* Parses a file with that text, and two more arguments, which may be NULL. */
static bool
parse(Fixture *f, const char *text, const char *first, const char *second, SwpspOptions *options,
      GError **error)
{
    const char *argv[] = {"swpsp", "--config", f->path, first, second, NULL};

    g_assert_true(g_file_set_contents(f->path, text, -1, NULL));
    return swpsp_options_parse(options, (char **)argv, error);
}

/* What is printed is a file that gives the same values, whichever they are. */
static void
test_print(Fixture *f, gconstpointer data)
{
    static const char changed[] = "[swpsp]\n"
                                  "socket=/tmp/a b\n"
                                  "pid-file=\\s/tmp/a\\\\b\n"
                                  "time-scale=20\n"
                                  "cost-split=0.8\n"
                                  "contiguity=fragmented:7:3\n"
                                  "verbose=true\n";
    const char *const texts[] = {"", changed};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_auto(SwpspOptions) once = {0}, twice = {0};
        g_autoptr(GError) error = NULL;
        g_assert_true(parse(f, texts[i], NULL, NULL, &once, &error));
        g_assert_no_error(error);
        g_autofree char *first = swpsp_options_to_text(&once);
        g_assert_true(parse(f, first, NULL, NULL, &twice, &error));
        g_assert_no_error(error);
        g_autofree char *second = swpsp_options_to_text(&twice);
        g_assert_cmpstr(first, ==, second);
        for (const char *line = texts[i]; *line; line = strchr(line, '\n') + 1) {
            g_autofree char *expected = g_strndup(line, strcspn(line, "\n"));
            g_assert_nonnull(strstr(first, expected));
        }
    }
}

static void
test_precedence(Fixture *f, gconstpointer data)
{
    static const char text[] = "# comment\n[swpsp]\ntime-scale = 20\nmax-clients=7\nsocket=/a\n";
    g_auto(SwpspOptions) options = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(parse(f, text, "--time-scale=5", "--socket=/b", &options, &error));
    g_assert_no_error(error);
    g_assert_cmpint(options.time_scale, ==, 5);
    g_assert_cmpint(options.max_clients, ==, 7);
    g_assert_cmpstr(options.socket, ==, "/b");
    g_assert_cmpint(options.max_command_pages, ==, 4);
    g_assert_false(options.verbose);
}

/* An error says where: file and line if it is about a key. */
static void
test_refused(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *text, *where, *what;
    } rows[] = {
        {"[swpsp]\ntime-scale=2\nno-such-key=1\n", ":3: ", "no-such-key: no such key"},
        {"[swpsp]\n\n# x\ntime-scale=two\n", ":4: ", "two"},
        {"[swpsp]\ncost-split=0.5x\n", ":2: ", "0.5x"},
        {"[swpsp]\nverbose=perhaps\n", ":2: ", "verbose"},
        {"[swpsp]\nconfig=/etc/other\n", ":2: ", "config: no such key"},
        {"[swpsp]\nversion=true\n", ":2: ", "version: no such key"},
        {"[swpsp]\ntime-scale\n", "", "time-scale"},
        {"time-scale=2\n", "", "group"},
        {"[other]\ntime-scale=2\n", "", "[other]"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(SwpspOptions) options = {0};
        g_autoptr(GError) error = NULL;
        g_autofree char *prefix = g_strconcat(f->path, rows[i].where, NULL);
        g_assert_false(parse(f, rows[i].text, NULL, NULL, &options, &error));
        g_test_message("%s", error->message);
        g_assert_true(g_str_has_prefix(error->message, prefix));
        g_assert_nonnull(strstr(error->message, rows[i].what));
    }
}

/* A file that was asked for must be there. */
static void
test_missing(Fixture *f, gconstpointer data)
{
    const char *argv[] = {"swpsp", "--config", "/nonexistent/swpsp.conf", NULL};
    g_auto(SwpspOptions) options = {0};
    g_autoptr(GError) error = NULL;

    g_assert_false(swpsp_options_parse(&options, (char **)argv, &error));
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

static void
test_command_line_refused(Fixture *f, gconstpointer data)
{
    static const char *const arguments[] = {"--time-scale=x", "--nonsense", "argument"};

    for (size_t i = 0; i < G_N_ELEMENTS(arguments); i++) {
        g_auto(SwpspOptions) options = {0};
        g_autoptr(GError) error = NULL;
        g_assert_false(parse(f, "", arguments[i], NULL, &options, &error));
        g_assert_nonnull(error);
    }
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*run)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/swpsp/options/print", test_print},
        {"/swpsp/options/precedence", test_precedence},
        {"/swpsp/options/refused", test_refused},
        {"/swpsp/options/missing", test_missing},
        {"/swpsp/options/command-line-refused", test_command_line_refused},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].run, tear_down);
    return g_test_run();
}
