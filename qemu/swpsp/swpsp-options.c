/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-options.h"

#include "sevmig-config.h"

#include <grp.h>
#include <string.h>

#define GROUP "swpsp" /* the one group of the file */
#define MAX_ENTRIES 40

void
swpsp_options_clear(SwpspOptions *o)
{
    char *const texts[] = {o->socket, o->socket_mode, o->group,       o->state,  o->domain_ca,
                           o->user,   o->pid_file,    o->log,         o->config, o->contiguity,
                           o->root,   o->api_version, o->backing_page};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    *o = (SwpspOptions){0};
}

static bool
bad_option(GError **error, const char *what)
{
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s", what);
    return false;
}

static void
set_defaults(SwpspOptions *o)
{
    SwpspCost cost;

    swpsp_cost_init(&cost);
    *o = (SwpspOptions){
        .socket = g_strdup("/run/swpsp/sev"),
        .socket_mode = g_strdup("0660"),
        .state = g_strdup("/var/lib/swpsp"),
        .backing_page = g_strdup("2M"),
        .contiguity = g_strdup("hugepage"),
        .root = g_strdup("simulation"),
        .api_version = g_strdup_printf("%u.%u", SWPSP_API_MAJOR, SWPSP_API_MINOR),
        .time_scale = (gint)cost.time_scale,
        .max_command_pages = 4,
        .max_submit_commands = SWPSP_MAX_COMMANDS,
        .max_clients = 64,
        .split = cost.split,
        .page_us = cost.page_us,
        .receive_factor = cost.receive_factor,
        .start_us = cost.start_us,
        .finish_us = cost.finish_us,
    };
}

/*
 * The options, the first `n` of which may be in the file. Each stands for one place in `o`.
 */
static void
make_entries(SwpspOptions *o, GOptionEntry out[MAX_ENTRIES], size_t *n)
{
    const GOptionEntry entries[] = {
        {"socket", 's', 0, G_OPTION_ARG_FILENAME, &o->socket, "Listen here", "PATH"},
        {"socket-mode", 0, 0, G_OPTION_ARG_STRING, &o->socket_mode, "Its mode", "OCTAL"},
        {"socket-group", 0, 0, G_OPTION_ARG_STRING, &o->group, "Its group", "NAME"},
        {"state", 'd', 0, G_OPTION_ARG_FILENAME, &o->state, "Where the identity is", "DIR"},
        {"domain-ca", 0, 0, G_OPTION_ARG_FILENAME, &o->domain_ca,
         "Private key of the OCA, made if it is not there", "FILE"},
        {"root", 0, 0, G_OPTION_ARG_STRING, &o->root,
         "Root of trust; another name is a foreign platform", "NAME"},
        {"api-version", 0, 0, G_OPTION_ARG_STRING, &o->api_version, "Version of the firmware",
         "MAJOR.MINOR"},
        {"user", 'u', 0, G_OPTION_ARG_STRING, &o->user, "Become this user", "NAME"},
        {"time-scale", 't', 0, G_OPTION_ARG_INT, &o->time_scale, "Divide costs by", "N"},
        {"cost-split", 'f', 0, G_OPTION_ARG_DOUBLE, &o->split, "Fixed share of the cost of a page",
         "0..1"},
        {"page-cost-us", 0, 0, G_OPTION_ARG_DOUBLE, &o->page_us, "Cost of a page", "US"},
        {"receive-factor", 0, 0, G_OPTION_ARG_DOUBLE, &o->receive_factor,
         "Cost of receiving over sending", "X"},
        {"start-cost-us", 0, 0, G_OPTION_ARG_DOUBLE, &o->start_us, "Cost of *_START", "US"},
        {"finish-cost-us", 0, 0, G_OPTION_ARG_DOUBLE, &o->finish_us, "Cost of *_FINISH", "US"},
        {"max-command-pages", 0, 0, G_OPTION_ARG_INT, &o->max_command_pages,
         "Most pages in a command", "N"},
        {"max-submit-commands", 0, 0, G_OPTION_ARG_INT, &o->max_submit_commands,
         "Most commands in a submission", "N"},
        {"backing-page", 0, 0, G_OPTION_ARG_STRING, &o->backing_page,
         "Memory is contiguous within pages of this size; 0: all of it", "SIZE"},
        {"contiguity", 0, 0, G_OPTION_ARG_STRING, &o->contiguity,
         "hugepage, or fragmented:SEED[:MEAN]", "MODEL"},
        {"max-clients", 0, 0, G_OPTION_ARG_INT, &o->max_clients, "Most connections", "N"},
        {"pid-file", 0, 0, G_OPTION_ARG_FILENAME, &o->pid_file, "Write the pid", "FILE"},
        {"log", 'l', 0, G_OPTION_ARG_FILENAME, &o->log, "Append to this file", "FILE"},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &o->verbose, "Log connections too", NULL},
        /* From here on not in the file. */
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &o->config, "Configuration file", "FILE"},
        {"print-config", 0, 0, G_OPTION_ARG_NONE, &o->print_config,
         "Print the values in force and exit", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &o->version, "Print the version", NULL},
        G_OPTION_ENTRY_NULL,
    };

    G_STATIC_ASSERT(G_N_ELEMENTS(entries) <= MAX_ENTRIES);
    memcpy(out, entries, sizeof(entries));
    for (*n = 0; strcmp(entries[*n].long_name, "config") != 0; (*n)++)
        ;
}

static bool
is_text(const GOptionEntry *entry)
{
    return entry->arg == G_OPTION_ARG_STRING || entry->arg == G_OPTION_ARG_FILENAME;
}

/* Reads arguments, whose first is skipped, over what is in the options. */
static bool
parse_arguments(SwpspOptions *options, const char *const *arguments, GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new("- software SEV firmware");
    g_auto(GStrv) copy = g_strdupv((char **)arguments);
    /* It takes arguments out of the list it is given, but does not free them. */
    g_autofree char **argv = g_memdup2(copy, (g_strv_length(copy) + 1) * sizeof(char *));
    int argc = (int)g_strv_length(copy);
    GOptionEntry entries[MAX_ENTRIES];
    size_t n;

    make_entries(options, entries, &n);
    char *old[MAX_ENTRIES] = {0};
    for (size_t i = 0; entries[i].long_name; i++)
        old[i] = is_text(&entries[i]) ? *(char **)entries[i].arg_data : NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error)) /* which then restores all */
        return false;
    for (size_t i = 0; entries[i].long_name; i++) {
        if (is_text(&entries[i]) && *(char **)entries[i].arg_data != old[i])
            g_free(old[i]);
    }
    return argc == 1 || bad_option(error, "takes options only");
}

/* The line of a key in the text; keys are unique, or the last one counts. */
static unsigned
line_of(const char *text, const char *key)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    unsigned found = 0;

    for (unsigned i = 0; lines[i]; i++) {
        const char *line = g_strchug(lines[i]);
        const size_t len = strlen(key);
        if (strncmp(line, key, len) == 0 && strchr("= \t", line[len]))
            found = i + 1;
    }
    return found;
}

static const GOptionEntry *
entry_of(const GOptionEntry *entries, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(entries[i].long_name, key) == 0)
            return &entries[i];
    }
    return NULL;
}

/* One key of the file, as if it were on the command line. */
static bool
apply_key(SwpspOptions *options, GKeyFile *file, const char *key, GError **error)
{
    GOptionEntry entries[MAX_ENTRIES];
    size_t n;
    g_autoptr(GError) reason = NULL;

    make_entries(options, entries, &n);
    const GOptionEntry *entry = entry_of(entries, n, key);
    if (!entry) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION, "%s: no such key", key);
        return false;
    }
    if (entry->arg == G_OPTION_ARG_NONE) {
        const gboolean value = g_key_file_get_boolean(file, GROUP, key, &reason);
        if (reason) {
            g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                        "%s: neither true nor false", key);
            return false;
        }
        *(gboolean *)entry->arg_data = value;
        return true;
    }
    g_autofree char *value = g_key_file_get_string(file, GROUP, key, error);
    if (!value)
        return false;
    g_autofree char *argument = g_strdup_printf("--%s=%s", key, value);
    const char *const arguments[] = {"swpsp", argument, NULL};
    return parse_arguments(options, arguments, error);
}

static bool
apply_text(SwpspOptions *options, const char *text, const char *path, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    if (!g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_NONE, error)) {
        g_prefix_error(error, "%s: ", path);
        return false;
    }
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (unsigned i = 0; groups[i]; i++) {
        if (strcmp(groups[i], GROUP) != 0) {
            g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
                        "%s: [%s]: the only group is [" GROUP "]", path, groups[i]);
            return false;
        }
    }
    g_auto(GStrv) keys = g_key_file_get_keys(file, GROUP, NULL, NULL);
    for (unsigned i = 0; keys && keys[i]; i++) {
        if (!apply_key(options, file, keys[i], error)) {
            g_prefix_error(error, "%s:%u: ", path, line_of(text, keys[i]));
            return false;
        }
    }
    return true;
}

/* The file that was named, or the default one if it is there. */
static bool
apply_file(SwpspOptions *options, const char *named, GError **error)
{
    const char *path = named ? named : SWPSP_CONFIG_FILE;
    g_autofree char *text = NULL;
    g_autoptr(GError) reason = NULL;

    if (g_file_get_contents(path, &text, NULL, &reason))
        return apply_text(options, text, path, error);
    if (!named && g_error_matches(reason, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return true;
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}

bool
swpsp_options_parse(SwpspOptions *options, char **argv, GError **error)
{
    const char *const *arguments = (const char *const *)argv;
    g_auto(SwpspOptions) first = {0};

    /* Once for the name of the file, and to be told of --version and --help whatever is in it. */
    set_defaults(&first);
    set_defaults(options);
    if (!parse_arguments(&first, arguments, error))
        return false;
    return (first.version || apply_file(options, first.config, error)) &&
           parse_arguments(options, arguments, error);
}

char *
swpsp_options_to_text(SwpspOptions *options)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    GOptionEntry entries[MAX_ENTRIES];
    size_t n;

    make_entries(options, entries, &n);
    for (size_t i = 0; i < n; i++) {
        const GOptionEntry *entry = &entries[i];
        const char *key = entry->long_name;
        if (entry->arg == G_OPTION_ARG_NONE)
            g_key_file_set_boolean(file, GROUP, key, *(gboolean *)entry->arg_data);
        else if (entry->arg == G_OPTION_ARG_INT)
            g_key_file_set_integer(file, GROUP, key, *(gint *)entry->arg_data);
        else if (entry->arg == G_OPTION_ARG_DOUBLE)
            g_key_file_set_double(file, GROUP, key, *(gdouble *)entry->arg_data);
        else if (*(char **)entry->arg_data)
            g_key_file_set_string(file, GROUP, key, *(char **)entry->arg_data);
    }
    return g_key_file_to_data(file, NULL, NULL);
}

/* Bytes, with an optional K, M or G; false if it is not that. */
static bool
parse_size(const char *text, guint64 *bytes)
{
    static const char suffixes[] = "KMG";
    char *end;
    guint64 value = g_ascii_strtoull(text, &end, 10);
    unsigned shift = 0;

    if (end == text || value > G_MAXUINT32)
        return false;
    if (*end) {
        const char *suffix = strchr(suffixes, *end++);
        if (!suffix || *end)
            return false;
        shift = 10 * (unsigned)(suffix - suffixes + 1);
    }
    *bytes = value << shift;
    return true;
}

bool
swpsp_options_limits(const SwpspOptions *options, SwpspLimits *limits, GError **error)
{
    guint64 backing;

    if (!parse_size(options->backing_page, &backing) || backing > 1u << 30 ||
        (backing & (backing - 1)) != 0 || (backing != 0 && backing < 4096))
        return bad_option(error, "--backing-page: 0 or a power of two from 4K to 1G");
    if (options->max_command_pages < 1 || options->max_command_pages > 512)
        return bad_option(error, "--max-command-pages: 1 to 512");
    if (options->max_submit_commands < 1 || options->max_submit_commands > SWPSP_MAX_COMMANDS)
        return bad_option(error, "--max-submit-commands: 1 to 4096");
    *limits = (SwpspLimits){
        .max_command_bytes = (uint32_t)options->max_command_pages * 4096,
        .max_submit_commands = (uint32_t)options->max_submit_commands,
        .contiguity.backing_page_bytes = (uint32_t)backing,
    };
    return swpsp_contiguity_parse(&limits->contiguity, options->contiguity) ||
           bad_option(error, "--contiguity: hugepage or fragmented:SEED[:MEAN], MEAN 1 to 4096");
}

bool
swpsp_options_cost(const SwpspOptions *options, SwpspCost *cost, GError **error)
{
    *cost = (SwpspCost){
        .page_us = options->page_us,
        .split = options->split,
        .receive_factor = options->receive_factor,
        .start_us = options->start_us,
        .finish_us = options->finish_us,
        .time_scale = (uint32_t)MAX(options->time_scale, 0),
    };
    return swpsp_cost_valid(cost) ||
           bad_option(error, "--time-scale, --cost-split, --page-cost-us, --receive-factor, "
                             "--start-cost-us or --finish-cost-us: out of range");
}

bool
swpsp_options_server(const SwpspOptions *options, SwpspServerConfig *config, GError **error)
{
    char *end;
    const guint64 mode = g_ascii_strtoull(options->socket_mode, &end, 8);
    const struct group *group = options->group ? getgrnam(options->group) : NULL;

    if (end == options->socket_mode || *end || mode > 0777)
        return bad_option(error, "--socket-mode: not a file mode");
    if (options->group && !group)
        return bad_option(error, "--socket-group: no such group");
    if (options->max_clients < 1 || options->max_clients > 4096)
        return bad_option(error, "--max-clients: 1 to 4096");
    *config = (SwpspServerConfig){
        .path = options->socket,
        .mode = (unsigned)mode,
        .group = group ? group->gr_gid : (gid_t)-1,
        .max_clients = (unsigned)options->max_clients,
    };
    return true;
}

bool
swpsp_options_platform(const SwpspOptions *options, SwpspPlatform *platform, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(options->api_version, ".", 2);
    guint64 major, minor;

    if (g_strv_length(parts) != 2 ||
        !g_ascii_string_to_unsigned(parts[0], 10, 0, SWPSP_API_MAJOR, &major, NULL) ||
        !g_ascii_string_to_unsigned(parts[1], 10, 1, G_MAXUINT8, &minor, NULL) ||
        (major == SWPSP_API_MAJOR && minor > SWPSP_API_MINOR))
        return bad_option(error, "--api-version: 0.1 to 1.55");
    *platform = (SwpspPlatform){
        .root = options->root,
        .api = {(uint8_t)major, (uint8_t)minor},
    };
    return true;
}
