/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmigctl policy explain
 *
 * A domain of this host is explained by sevmigd. One that is not here yet, known by its XML, is put
 * to sevmigd as well, since its policies are those in force; without it, or where directories are
 * named, the files themselves are read.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "choose.h"
#include "remote.h"
#include "sevmig-config.h"
#include "sevmig-error.h"
#include "sevmig-policy-resolve.h"

const char explain_help[] =
    "With --xml the domain need not be on this host: FILE is what \"virsh dumpxml\" prints, - is\n"
    "standard input. sevmigd is asked, whose policies are in force; if it does not run, or with\n"
    "--policy-dir or --ceiling, the files are read instead. The last line says which it was.";

void
explain_options(GOptionContext *context, Cli *cli)
{
    CliExplain *explain = &cli->explain;
    const GOptionEntry entries[] = {
        {"xml", 0, 0, G_OPTION_ARG_FILENAME, &explain->xml, "a domain that need not be here",
         "FILE"},
        {"policy-dir", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &explain->policy_dirs,
         "policies; given twice, the first lies over the second", "DIR"},
        {"ceiling", 0, 0, G_OPTION_ARG_FILENAME, &explain->ceiling,
         "limits to the policies that domains bring (" SEVMIG_CEILING_FILE ")", "FILE"},
        {NULL},
    };
    g_option_context_add_main_entries(context, entries, NULL);
}

/* The answer, and where it is from. */
typedef struct {
    const char *subject; /* as the user named it */
    GVariant *answer;    /* (saa{sv}) */
    const char *files;   /* why the files were read; NULL: they were not */
} Explanation;

/* One byte more than may be is read, so that the parser can tell. NULL if reading fails. */
static GString *
read_stream(FILE *file)
{
    g_autofree char *buffer = g_malloc(SEVMIG_DOMAIN_MAX_BYTES + 1);
    gsize n = fread(buffer, 1, SEVMIG_DOMAIN_MAX_BYTES + 1, file);
    return ferror(file) == 0 ? g_string_new_len(buffer, (gssize)n) : NULL;
}

static GString *
read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return NULL;
    GString *text = read_stream(file);
    int saved = errno;
    fclose(file);
    errno = saved;
    return text;
}

static GString *
read_xml(const char *path, GError **error)
{
    g_autoptr(GString) text = strcmp(path, "-") == 0 ? read_stream(stdin) : read_file(path);
    if (text == NULL)
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "%s: %s", path, g_strerror(errno));
    else if (!g_utf8_validate_len(text->str, text->len, NULL))
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID, "%s: not text; expected domain XML",
                    path);
    else
        return g_steal_pointer(&text);
    return NULL;
}

/* Whoever reads a domain's XML does not know what it was read from. */
static void
name_file(GError *error, const char *path)
{
    static const char unnamed[] = "domain XML:";
    const char *rest = error->message + strlen(unnamed);
    if (!g_str_has_prefix(error->message, unnamed))
        return;
    char *message =
        g_strdup_printf("%s:%s", strcmp(path, "-") == 0 ? "standard input" : path, rest);
    g_free(error->message);
    error->message = message;
}

static GVariant *
explain_by_files(const Cli *cli, const char *xml, GError **error)
{
    const CliExplain *explain = &cli->explain;
    g_autoptr(SevmigPolicyStore) store =
        choose_store((const char *const *)explain->policy_dirs, explain->ceiling, error);
    if (store == NULL)
        return NULL;
    g_autoptr(SevmigResolution) resolution = sevmig_policy_resolve(store, xml, -1, error);
    if (resolution == NULL)
        return NULL;
    return g_variant_ref_sink(sevmig_resolution_to_variant(resolution));
}

static gboolean
explain_xml(Cli *cli, Explanation *to, GError **error)
{
    const CliExplain *explain = &cli->explain;
    g_autoptr(GString) xml = read_xml(explain->xml, error);
    g_autoptr(GError) problem = NULL;
    if (xml == NULL)
        return FALSE;
    if (explain->policy_dirs != NULL || explain->ceiling != NULL) {
        to->files = "as the options say";
    } else {
        to->answer =
            remote_call(cli, "ExplainXml", g_variant_new("(s)", xml->str), "(saa{sv})", &problem);
        /* Whoever names a bus wants the sevmigd that is there. */
        if (to->answer == NULL && cli->connect == NULL &&
            (cli->bus == NULL || remote_is_absent(problem)))
            to->files = "sevmigd does not run";
    }
    if (to->files != NULL) {
        g_clear_error(&problem);
        to->answer = explain_by_files(cli, xml->str, &problem);
    }
    if (to->answer == NULL) {
        name_file(problem, explain->xml);
        g_propagate_error(error, g_steal_pointer(&problem));
    }
    return to->answer != NULL;
}

/* The directories that were read, the one that lies over the other first. */
static GStrv
directories(const CliExplain *explain)
{
    static const char *const installed[] = {SEVMIG_POLICY_DIR_ADMIN, SEVMIG_POLICY_DIR_VENDOR,
                                            NULL};
    return g_strdupv(explain->policy_dirs != NULL ? explain->policy_dirs : (char **)installed);
}

static char *
chosen_file(GVariant *candidates)
{
    for (gsize i = 0; i < g_variant_n_children(candidates); i++) {
        g_autoptr(GVariant) candidate = g_variant_get_child_value(candidates, i);
        gboolean chosen = FALSE;
        if (g_variant_lookup(candidate, "chosen", "b", &chosen) && chosen)
            return text_member(candidate, "file");
    }
    return g_strdup("");
}

static void
put_candidates(GString *out, GVariant *candidates)
{
    static const TextColumn columns[] = {
        {"", FALSE, 0}, {"POLICY", FALSE, 0}, {"SOURCE", FALSE, 1}, {"REASON", FALSE, 0}};
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
    for (gsize i = 0; i < g_variant_n_children(candidates); i++) {
        g_autoptr(GVariant) candidate = g_variant_get_child_value(candidates, i);
        gboolean chosen = FALSE;
        g_variant_lookup(candidate, "chosen", "b", &chosen);
        g_ptr_array_add(rows, g_strdup(chosen ? "*" : "-"));
        g_ptr_array_add(rows, text_member(candidate, "name"));
        g_ptr_array_add(rows, text_member(candidate, "source"));
        g_ptr_array_add(rows, text_member(candidate, "reason"));
    }
    if (rows->len > 0)
        text_table(out, columns, G_N_ELEMENTS(columns), rows, cli_width());
}

static void
put_text(const Cli *cli, const Explanation *explanation, const char *policy, GVariant *candidates)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *subject = text_printable(explanation->subject);
    g_autofree char *name = text_printable(policy);
    g_autofree char *file = chosen_file(candidates);
    g_auto(GStrv) dirs = directories(&cli->explain);
    g_autofree char *where = g_strjoinv(" over ", dirs);
    g_string_append_printf(out, *name != '\0' ? "%s: governed by %s" : "%s: refused%s", subject,
                           name);
    g_string_append_printf(out, *file != '\0' ? " (%s)\n" : "%s\n", file);
    put_candidates(out, candidates);
    if (explanation->files != NULL)
        g_string_append_printf(out, "by the files in %s (%s)\n", where, explanation->files);
    else
        g_string_append(out, "by the policies that sevmigd has in force\n");
    cli_put(out);
}

static void
put_json(const Cli *cli, const Explanation *explanation, const char *policy, GVariant *candidates)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(GStrv) dirs = directories(&cli->explain);
    json_open(out, NULL, '{');
    json_string(out, cli->explain.xml != NULL ? "xml" : "domain", explanation->subject);
    json_string(out, "policy", policy);
    json_open(out, "directories", '['); /* none: sevmigd's, in force */
    for (char **dir = dirs; explanation->files != NULL && *dir != NULL; dir++)
        json_string(out, NULL, *dir);
    json_close(out, ']');
    json_variants(out, "candidates", candidates);
    json_close(out, '}');
    cli_put_json(out);
}

static CliExit
check_arguments(const Cli *cli)
{
    const CliExplain *explain = &cli->explain;
    if ((cli->args[0] != NULL) == (explain->xml != NULL))
        return cli_misuse(cli, "needs either a DOMAIN of this host or --xml FILE");
    if (explain->xml == NULL && (explain->policy_dirs != NULL || explain->ceiling != NULL))
        return cli_misuse(cli, "--policy-dir and --ceiling need --xml: sevmigd has its own");
    if (explain->policy_dirs != NULL && g_strv_length(explain->policy_dirs) > 2)
        return cli_misuse(cli, "at most two policy directories can be given");
    return CLI_OK;
}

CliExit
verb_policy_explain(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    Explanation explanation = {.subject = cli->args[0]};
    const char *policy;
    CliExit result = check_arguments(cli);
    if (result != CLI_OK)
        return result;
    if (cli->explain.xml != NULL) {
        explanation.subject = cli->explain.xml;
        explain_xml(cli, &explanation, &error);
    } else {
        explanation.answer = remote_call(cli, "Explain", g_variant_new("(s)", explanation.subject),
                                         "(saa{sv})", &error);
    }
    if (explanation.answer == NULL)
        return cli_fail(cli, error);
    g_autoptr(GVariant) answer = explanation.answer;
    g_autoptr(GVariant) candidates = NULL;
    g_variant_get(answer, "(&s@aa{sv})", &policy, &candidates);
    (cli->json ? put_json : put_text)(cli, &explanation, policy, candidates);
    return CLI_OK;
}
