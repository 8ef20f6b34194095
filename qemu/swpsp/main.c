/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main.c - swpsp: options, log, pid file, main loop */
#define G_LOG_DOMAIN "swpsp"

#include "sevmig-config.h"
#include "swpsp-server.h"

#include <glib-unix.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/swpsp/sev"
#define DEFAULT_STATE "/var/lib/swpsp"

typedef struct {
    char *socket, *state, *domain_ca, *log, *pid_file, *group;
    char *socket_mode, *backing_page, *contiguity;
    gint time_scale, max_command_pages, max_submit_commands, max_clients;
    gdouble split, page_us, receive_factor, start_us, finish_us;
    gboolean version, verbose;
} Options;

static void
options_clear(Options *options)
{
    g_free(options->socket);
    g_free(options->state);
    g_free(options->domain_ca);
    g_free(options->log);
    g_free(options->pid_file);
    g_free(options->group);
    g_free(options->socket_mode);
    g_free(options->backing_page);
    g_free(options->contiguity);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

/* Where log lines go; standard error unless --log. */
static FILE *log_file;

static GLogWriterOutput
log_write(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer data)
{
    const char *message = "";
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *stamp = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%f");

    if (level & G_LOG_LEVEL_DEBUG && !*(const gboolean *)data)
        return G_LOG_WRITER_HANDLED;
    for (gsize i = 0; i < n_fields; i++) {
        if (g_str_equal(fields[i].key, "MESSAGE"))
            message = fields[i].value;
    }
    fprintf(log_file, "%s swpsp[%d]: %s\n", stamp, (int)getpid(), message);
    fflush(log_file);
    return G_LOG_WRITER_HANDLED;
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

static bool
bad_option(GError **error, const char *what)
{
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s", what);
    return false;
}

static bool
make_limits(const Options *options, SwpspLimits *limits, GError **error)
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

static bool
make_cost(const Options *options, SwpspCost *cost, GError **error)
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

static bool
make_config(const Options *options, SwpspServerConfig *config, GError **error)
{
    char *end;
    const guint64 mode = g_ascii_strtoull(options->socket_mode, &end, 8);
    const struct group *group = options->group ? getgrnam(options->group) : NULL;

    if (*end || mode > 0777)
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

static SwpspServer *
start(const Options *options, GError **error)
{
    SwpspLimits limits;
    SwpspCost cost;
    SwpspServerConfig config;
    g_autoptr(SwpspKey) domain_ca = NULL;

    if (!make_limits(options, &limits, error) || !make_cost(options, &cost, error) ||
        !make_config(options, &config, error))
        return NULL;
    if (options->domain_ca &&
        !(domain_ca = swpsp_identity_load_domain_ca(options->domain_ca, error)))
        return NULL;

    g_autoptr(SwpspIdentity) identity = swpsp_identity_load(options->state, domain_ca, error);
    if (!identity)
        return NULL;
    SwpspFirmware *firmware = swpsp_firmware_new(g_steal_pointer(&identity), &limits, &cost);
    g_autoptr(SwpspServer) server = swpsp_server_new(firmware, &config, error);
    if (!server)
        return NULL;

    /* Not before it is known that no other one serves that socket; the socket itself comes last. */
    if (options->pid_file) {
        g_autofree char *pid = g_strdup_printf("%ld\n", (long)getpid());
        if (!g_file_set_contents(options->pid_file, pid, -1, error))
            return NULL;
    }
    return swpsp_server_open(server, error) ? g_steal_pointer(&server) : NULL;
}

static void
set_default(char **option, const char *value)
{
    if (!*option)
        *option = g_strdup(value);
}

static bool
parse_options(Options *options, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"socket", 's', 0, G_OPTION_ARG_FILENAME, &options->socket, "Listen here", "PATH"},
        {"socket-mode", 0, 0, G_OPTION_ARG_STRING, &options->socket_mode, "Its mode", "OCTAL"},
        {"socket-group", 0, 0, G_OPTION_ARG_STRING, &options->group, "Its group", "NAME"},
        {"state", 'd', 0, G_OPTION_ARG_FILENAME, &options->state, "Where the identity is", "DIR"},
        {"domain-ca", 0, 0, G_OPTION_ARG_FILENAME, &options->domain_ca,
         "Private key of the OCA, made if it is not there", "FILE"},
        {"time-scale", 't', 0, G_OPTION_ARG_INT, &options->time_scale, "Divide costs by", "N"},
        {"cost-split", 'f', 0, G_OPTION_ARG_DOUBLE, &options->split,
         "Fixed share of the cost of a page", "0..1"},
        {"page-cost-us", 0, 0, G_OPTION_ARG_DOUBLE, &options->page_us, "Cost of a page", "US"},
        {"receive-factor", 0, 0, G_OPTION_ARG_DOUBLE, &options->receive_factor,
         "Cost of receiving over sending", "X"},
        {"start-cost-us", 0, 0, G_OPTION_ARG_DOUBLE, &options->start_us, "Cost of *_START", "US"},
        {"finish-cost-us", 0, 0, G_OPTION_ARG_DOUBLE, &options->finish_us, "Cost of *_FINISH",
         "US"},
        {"max-command-pages", 0, 0, G_OPTION_ARG_INT, &options->max_command_pages,
         "Most pages in a command", "N"},
        {"max-submit-commands", 0, 0, G_OPTION_ARG_INT, &options->max_submit_commands,
         "Most commands in a submission", "N"},
        {"backing-page", 0, 0, G_OPTION_ARG_STRING, &options->backing_page,
         "Memory is contiguous within pages of this size; 0: all of it", "SIZE"},
        {"contiguity", 0, 0, G_OPTION_ARG_STRING, &options->contiguity,
         "hugepage, or fragmented:SEED[:MEAN]", "MODEL"},
        {"max-clients", 0, 0, G_OPTION_ARG_INT, &options->max_clients, "Most connections", "N"},
        {"pid-file", 0, 0, G_OPTION_ARG_FILENAME, &options->pid_file, "Write the pid", "FILE"},
        {"log", 'l', 0, G_OPTION_ARG_FILENAME, &options->log, "Append to this file", "FILE"},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose, "Log connections too", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Print the version", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- software SEV firmware");

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return false;
    set_default(&options->socket, DEFAULT_SOCKET);
    set_default(&options->state, DEFAULT_STATE);
    set_default(&options->socket_mode, "0660");
    set_default(&options->backing_page, "2M");
    set_default(&options->contiguity, "hugepage");
    return *argc == 1 || bad_option(error, "takes options only");
}

static gboolean
on_signal(gpointer data)
{
    g_main_loop_quit(data);
    return G_SOURCE_CONTINUE;
}

static int
serve(const Options *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(SwpspServer) server = start(options, &error);

    if (!server) {
        g_warning("%s", error->message);
        return EXIT_FAILURE;
    }
    g_unix_signal_add(SIGTERM, on_signal, loop);
    g_unix_signal_add(SIGINT, on_signal, loop);
    g_message("serving %s, time scale %d", options->socket, options->time_scale);
    g_main_loop_run(loop);
    g_message("stopping");
    if (options->pid_file)
        (void)g_unlink(options->pid_file);
    return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
    SwpspCost cost;
    g_autoptr(GError) error = NULL;

    setlocale(LC_ALL, "");
    log_file = stderr;
    swpsp_cost_init(&cost);
    g_auto(Options) options = {
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

    if (!parse_options(&options, &argc, &argv, &error)) {
        fprintf(stderr, "swpsp: %s\n", error->message);
        return 2;
    }
    if (options.version) {
        printf("swpsp %s\n", SEVMIG_VERSION);
        return EXIT_SUCCESS;
    }
    if (options.log && !(log_file = fopen(options.log, "ae"))) {
        perror(options.log);
        return EXIT_FAILURE;
    }
    g_log_set_writer_func(log_write, &options.verbose, NULL);
    return serve(&options);
}
