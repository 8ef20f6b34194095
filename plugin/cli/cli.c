/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT_S 10
#define DEFAULT_INTERVAL_S 0.5
#define DEFAULT_LIMIT 20
#define ANY_NUMBER G_MAXINT

typedef struct {
    const char *name; /* one word or two */
    const char *arguments;
    const char *summary;
    int min_args;
    int max_args;
    CliExit (*run)(Cli *cli);
    void (*options)(GOptionContext *context, Cli *cli); /* NULL: none of its own */
    const char *help;                                   /* below the options; may be NULL */
} Verb;

static void list_options(GOptionContext *context, Cli *cli);
static void watch_options(GOptionContext *context, Cli *cli);

static const Verb verbs[] = {
    {"list", "", "list the running migrations", 0, 0, verb_list, list_options},
    {"show", "ID|DOMAIN", "tell all about one migration", 1, 1, verb_show},
    {"watch", "[DOMAIN]", "follow migrations as they run", 0, 1, verb_watch, watch_options},
    {"history", "", "list the migrations that have ended, newest first", 0, 0, verb_history,
     history_options},
    {"policy list", "", "list the policies of this host", 0, 0, verb_policy_list},
    {"policy show", "NAME", "print a policy as XML", 1, 1, verb_policy_show},
    {"policy lint", "FILE...", "check policy files or directories, without sevmigd", 1, ANY_NUMBER,
     verb_policy_lint},
    {"policy explain", "DOMAIN | --xml FILE", "tell which policy governs a domain, and why", 0, 1,
     verb_policy_explain, explain_options, explain_help},
    {"policy assign", "DOMAIN NAME", "write into a domain which policy governs it", 2, 2,
     verb_policy_assign, assign_options, assign_help},
    {"policy unassign", "DOMAIN", "take the policy out of a domain", 1, 1, verb_policy_unassign,
     unassign_options, assign_help},
    {"policy switch", "ID|DOMAIN NAME", "give a running migration another policy", 2, 2,
     verb_policy_switch, switch_options, switch_help},
    {"policy reload", "", "read all policies anew, all or nothing", 0, 0, verb_policy_reload},
    {"steer", "ID|DOMAIN", "set throttle and batch of a running migration by hand", 1, 1,
     verb_steer, steer_options, steer_help},
    {"preflight", "DOMAIN", "tell whether and how a domain would migrate", 1, 1, verb_preflight,
     preflight_options, preflight_help},
    {"evacuate", "", "tell how all guests of this host would leave it together", 0, 0,
     verb_evacuate, evacuate_options, evacuate_help},
    {"simulate", "", "try a policy on a simulated guest, without sevmigd", 0, 0, verb_simulate,
     simulate_options, simulate_help},
    {"replay", "FILE", "decide a recorded migration again, without sevmigd", 1, 1, verb_replay,
     replay_options, replay_help},
    {"tune", "FILE... | --history DOMAIN", "propose a policy from recorded migrations", 0,
     ANY_NUMBER, verb_tune, tune_options, tune_help},
    {"report", "ID|DOMAIN|FILE", "write a page that shows how a migration went", 1, 1, verb_report,
     report_options, report_help},
    {"doctor", "", "check that this host has what SEV guests need", 0, 0, verb_doctor,
     doctor_options, doctor_help},
    {"version", "", "tell the versions of sevmigctl and sevmigd", 0, 0, verb_version},
};

/* --- Output --- */

CliExit
cli_fail(const Cli *cli, const GError *error)
{
    g_autofree char *message = text_printable(error->message);
    fprintf(stderr, "sevmigctl: %s: %s\n", cli->verb, message);
    return CLI_FAILURE;
}

CliExit
cli_misuse(const Cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *message = text_printable(text);
    fprintf(stderr, "sevmigctl: %s: %s\n", cli->verb, message);
    return CLI_USAGE;
}

void
cli_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr, "sevmigctl: %s\n", text);
}

void
cli_put(const GString *out)
{
    fwrite(out->str, 1, out->len, stdout);
    fflush(stdout);
}

void
cli_put_json(const GString *out)
{
    fwrite(out->str, 1, out->len, stdout);
    fputc('\n', stdout);
    fflush(stdout);
}

gboolean
cli_on_terminal(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

gboolean
cli_can_draw(void)
{
    const char *term = g_getenv("TERM");
    return term != NULL && strcmp(term, "dumb") != 0;
}

gboolean
cli_wants_colour(void)
{
    return cli_can_draw() && g_getenv("NO_COLOR") == NULL;
}

guint
cli_width(void)
{
    struct winsize size;
    const char *columns = g_getenv("COLUMNS");
    guint64 width;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    if (columns != NULL && g_ascii_string_to_unsigned(columns, 10, 1, 10000, &width, NULL))
        return (guint)width;
    return 0;
}

/* --- Finding the verb --- */

static CliExit
usage_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr, "sevmigctl: %s\n", text);
    return CLI_USAGE;
}

static void
print_verbs(const char *prefix)
{
    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++) {
        g_autofree char *usage = g_strdup_printf("%s %s", verbs[i].name, verbs[i].arguments);
        if (g_str_has_prefix(verbs[i].name, prefix))
            printf("  %-24s %s\n", usage, verbs[i].summary);
    }
}

static void
print_help(void)
{
    printf("Usage: sevmigctl [OPTION...] VERB [ARGUMENT...]\n\n"
           "Watches and explains how sevmigd steers the migrations of SEV guests, and tries out\n"
           "policies before they are in force.\n\nVerbs:\n");
    print_verbs("");
    printf("\nOptions:\n"
           "  --json                   print JSON\n"
           "  --connect BUSADDRESS     the bus sevmigd is on (default: the system bus)\n"
           "  --timeout SECONDS        wait this long for an answer (default: %d)\n"
           "  -h, --help               this help; after a verb, help on the verb\n\n"
           "Exit status: 0 success, 1 failure, 2 wrong usage. See sevmigctl(1).\n",
           DEFAULT_TIMEOUT_S);
}

/* The words of `args` a verb's name takes; 0 if it is another verb. */
static int
match_verb(const Verb *verb, char **args)
{
    const char *space = strchr(verb->name, ' ');
    if (space == NULL)
        return strcmp(args[0], verb->name) == 0 ? 1 : 0;
    gsize length = (gsize)(space - verb->name);
    if (strlen(args[0]) != length || strncmp(args[0], verb->name, length) != 0 || args[1] == NULL)
        return 0;
    return strcmp(args[1], space + 1) == 0 ? 2 : 0;
}

static const Verb *
find_verb(char **args, int *words)
{
    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++) {
        *words = match_verb(&verbs[i], args);
        if (*words > 0)
            return &verbs[i];
    }
    return NULL;
}

/* No verb: either help, or a usage error that says what there would have been. */
static CliExit
no_verb(char **args)
{
    gboolean help =
        args[0] != NULL && (strcmp(args[0], "--help") == 0 || strcmp(args[0], "-h") == 0);
    if (help) {
        print_help();
        return CLI_OK;
    }
    if (args[0] == NULL)
        return usage_error("a verb is missing: \"sevmigctl --help\" lists them");
    if (strcmp(args[0], "policy") != 0)
        return usage_error("unknown verb \"%s\": \"sevmigctl --help\" lists them", args[0]);
    if (args[1] != NULL && (strcmp(args[1], "--help") == 0 || strcmp(args[1], "-h") == 0)) {
        printf("Usage: sevmigctl policy VERB [ARGUMENT...]\n\nVerbs:\n");
        print_verbs("policy ");
        return CLI_OK;
    }
    return usage_error("\"policy\" needs one of list, show, lint, explain, assign, unassign, "
                       "switch, reload%s%s%s",
                       args[1] != NULL ? ", not \"" : "", args[1] != NULL ? args[1] : "",
                       args[1] != NULL ? "\"" : "");
}

/* --- Options --- */

static void
add_global_options(GOptionContext *context, Cli *cli)
{
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &cli->json, "print JSON", NULL},
        {"connect", 0, 0, G_OPTION_ARG_STRING, &cli->connect,
         "the bus sevmigd is on (default: the system bus)", "BUSADDRESS"},
        {"timeout", 0, 0, G_OPTION_ARG_INT, &cli->timeout_s, "wait this long for an answer",
         "SECONDS"},
        {NULL},
    };
    g_option_context_add_main_entries(context, entries, NULL);
}

static void
list_options(GOptionContext *context, Cli *cli)
{
    const GOptionEntry entries[] = {
        {"all", 0, 0, G_OPTION_ARG_NONE, &cli->all, "those that have ended, too", NULL}, {NULL}};
    g_option_context_add_main_entries(context, entries, NULL);
}

static void
watch_options(GOptionContext *context, Cli *cli)
{
    const GOptionEntry entries[] = {
        {"once", 0, 0, G_OPTION_ARG_NONE, &cli->once, "show the present state and end", NULL},
        {"interval", 0, 0, G_OPTION_ARG_DOUBLE, &cli->interval_s, "look this often (default: 0.5)",
         "SECONDS"},
        {NULL},
    };
    g_option_context_add_main_entries(context, entries, NULL);
}

/* Options before the verb; parsing stops at the first word that is none. */
static gboolean
parse_leading(Cli *cli, char ***args, GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_strict_posix(context, TRUE);
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_ignore_unknown_options(context, TRUE); /* --help, and no_verb() the rest */
    add_global_options(context, cli);
    return g_option_context_parse_strv(context, args, error);
}

static gboolean
parse_verb(Cli *cli, const Verb *verb, char ***args, GError **error)
{
    g_autofree char *parameters = g_strdup_printf("%s %s", verb->name, verb->arguments);
    g_strchomp(parameters);
    g_autoptr(GOptionContext) context = g_option_context_new(parameters);
    g_option_context_set_summary(context, verb->summary);
    add_global_options(context, cli);
    if (verb->options != NULL)
        verb->options(context, cli);
    g_option_context_set_description(context, verb->help);
    return g_option_context_parse_strv(context, args, error);
}

static CliExit
check_values(const Cli *cli, const Verb *verb)
{
    int n = (int)g_strv_length(cli->args);
    if (n < verb->min_args)
        return usage_error("%s: %s is missing", verb->name, verb->arguments);
    if (n > verb->max_args)
        return usage_error("%s: \"%s\" is one argument too many", verb->name,
                           cli->args[verb->max_args]);
    if (cli->timeout_s < 1 || cli->timeout_s > 3600)
        return usage_error("--timeout takes 1 to 3600 seconds, not %d", cli->timeout_s);
    if (!(cli->interval_s >= 0.1 && cli->interval_s <= 3600))
        return usage_error("--interval takes 0.1 to 3600 seconds, not %g", cli->interval_s);
    return CLI_OK;
}

/* args[0] is the program's name, then come the verb's words. Takes over nothing. */
static CliExit
run_verb(Cli *cli, char **args)
{
    g_autoptr(GError) error = NULL;
    int words = 0;
    const Verb *verb = args[1] != NULL ? find_verb(args + 1, &words) : NULL;
    if (verb == NULL)
        return no_verb(args + 1);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_strv_builder_add(builder, args[0]);
    g_strv_builder_addv(builder, (const char **)args + 1 + words);
    g_auto(GStrv) rest = g_strv_builder_end(builder);
    if (!parse_verb(cli, verb, &rest, &error))
        return usage_error("%s: %s", verb->name, error->message);
    cli->verb = verb->name;
    cli->args = rest + 1;
    if (cli->args[0] != NULL && strcmp(cli->args[0], "--") == 0)
        cli->args++;
    CliExit result = check_values(cli, verb);
    return result != CLI_OK ? result : verb->run(cli);
}

static void
clear_trial(CliTrial *trial)
{
    g_strfreev(trial->policies);
    g_strfreev(trial->workloads);
    g_strfreev(trial->sets);
    g_free(trial->policy_dir);
    g_free(trial->memory);
    g_free(trial->vcpus);
    g_free(trial->working_set);
    g_free(trial->dirty_rate);
    g_free(trial->seed);
}

static void
clear_explain(CliExplain *explain)
{
    g_free(explain->xml);
    g_strfreev(explain->policy_dirs);
    g_free(explain->ceiling);
}

static void
clear_assign(CliAssign *assign)
{
    g_free(assign->on_failure);
}

CliExit
cli_run(int argc, char **argv)
{
    Cli cli = {.timeout_s = DEFAULT_TIMEOUT_S,
               .interval_s = DEFAULT_INTERVAL_S,
               .limit = DEFAULT_LIMIT,
               .steer = {.throttle_percent = -1, .batch_pages = -1}};
    g_autoptr(GError) error = NULL;
    setlocale(LC_CTYPE, "");
    g_set_prgname("sevmigctl");
    g_auto(GStrv) args = g_strdupv(argv);
    CliExit result = parse_leading(&cli, &args, &error) ? run_verb(&cli, args)
                                                        : usage_error("%s", error->message);
    g_clear_object(&cli.bus);
    clear_explain(&cli.explain);
    clear_assign(&cli.assign);
    g_free(cli.connect);
    g_free(cli.reason);
    g_free(cli.domain);
    g_free(cli.policy);
    g_free(cli.to);
    g_free(cli.uri);
    g_free(cli.output);
    clear_trial(&cli.trial);
    return result;
}
