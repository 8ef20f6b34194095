/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* swpspctl.c - look at a running swpsp and control its simulation */
#include "sevmig-config.h"
#include "swpsp-cert.h"
#include "swpsp-client.h"
#include "swpsp-control.h"
#include "swpsp-fault.h"
#include "swpsp-names.h"

#include <glib.h>
#include <json-c/json.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SOCKET "/run/swpsp/sev"
#define TIMEOUT_MS 10000

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)

typedef struct {
    SwpspClient *client;
    bool json;
    int argc;
    char **argv; /* of the verb */
} Context;

typedef struct {
    const char *name, *arguments, *help;
    bool control; /* changes something: only the control socket takes it */
    int min_args, max_args;
    bool (*run)(Context *context, GError **error);
} Verb;

static bool
fail(GError **error, const char *format, const char *what)
{
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, format, what);
    return false;
}

static GByteArray *
call(Context *context, enum swpsp_op op, const char *text, GError **error)
{
    enum swpsp_status status;
    g_autoptr(GByteArray) answer = swpsp_client_call(context->client, (uint16_t)op, text,
                                                     text ? strlen(text) : 0, &status, error);
    if (answer && status != SWPSP_OK) {
        fail(error, "the firmware refused: %s", swpsp_status_name(status));
        return NULL;
    }
    return g_steal_pointer(&answer);
}

static json_object *
call_json(Context *context, enum swpsp_op op, const char *text, GError **error)
{
    g_autoptr(GByteArray) answer = call(context, op, text, error);
    if (!answer)
        return NULL;

    g_autoptr(json_object) object = json_tokener_parse((const char *)answer->data);
    json_object *refusal;
    if (!json_object_is_type(object, json_type_object)) {
        fail(error, "%s", "the answer is not JSON");
        return NULL;
    }
    if (json_object_object_get_ex(object, "error", &refusal)) {
        fail(error, "%s", json_object_get_string(refusal));
        return NULL;
    }
    return g_steal_pointer(&object);
}

/* Sends a command, takes over the object, prints nothing if it worked. */
static bool
control(Context *context, json_object *command, GError **error)
{
    g_autoptr(json_object) request = command;
    g_autoptr(json_object) answer =
        call_json(context, SWPSP_OP_CONTROL, json_object_to_json_string(request), error);
    if (answer && context->json)
        puts(json_object_to_json_string(answer));
    return answer != NULL;
}

static json_object *
command_new(const char *name)
{
    json_object *command = json_object_new_object();
    json_object_object_add(command, "command", json_object_new_string(name));
    return command;
}

static const char *
member_text(json_object *object, const char *name)
{
    json_object *member;
    return json_object_object_get_ex(object, name, &member) && member
               ? json_object_get_string(member)
               : "-";
}

static int64_t
member_int(json_object *object, const char *name)
{
    json_object *member;
    return json_object_object_get_ex(object, name, &member) ? json_object_get_int64(member) : 0;
}

static void
print_json(json_object *object)
{
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED));
}

static bool
run_status(Context *context, GError **error)
{
    g_autoptr(GByteArray) answer = call(context, SWPSP_OP_HELLO, NULL, error);
    struct swpsp_hello hello;
    if (!answer)
        return false;
    if (answer->len != sizeof(hello))
        return fail(error, "%s", "the answer has a wrong size");
    memcpy(&hello, answer->data, sizeof(hello));

    g_autoptr(json_object) stats = call_json(context, SWPSP_OP_STATS, NULL, error);
    if (!stats)
        return false;
    g_autoptr(json_object) out = json_object_new_object();
    g_autofree char *api =
        g_strdup_printf("%u.%u build %u", hello.api_major, hello.api_minor, hello.build);
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"max_command_bytes", GUINT32_FROM_LE(hello.max_command_bytes)},
        {"max_submit_commands", GUINT32_FROM_LE(hello.max_submit_commands)},
        {"backing_page_bytes", GUINT32_FROM_LE(hello.backing_page_bytes)},
        {"send_boundary_bytes", GUINT32_FROM_LE(hello.send_boundary_bytes)},
        {"time_scale", GUINT32_FROM_LE(hello.time_scale)},
        {"uptime_us", member_int(stats, "uptime_us")},
        {"guests", member_int(stats, "guests")},
    };
    json_object_object_add(out, "api", json_object_new_string(api));
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        json_object_object_add(out, numbers[i].name, json_object_new_int64(numbers[i].value));
    if (context->json) {
        print_json(out);
        return true;
    }
    json_object_object_foreach(out, name, value)
    {
        printf("%-20s %s\n", name, json_object_get_string(value));
    }
    return true;
}

static void
print_ops(json_object *ops)
{
    printf("%-22s %10s %8s %14s %14s\n", "command", "count", "errors", "service_us", "wait_us");
    json_object_object_foreach(ops, name, op)
    {
        printf("%-22s %10s %8s %14s %14s\n", name, member_text(op, "count"),
               member_text(op, "errors"), member_text(op, "service_us"),
               member_text(op, "wait_us"));
    }
}

static void
print_clients(json_object *clients)
{
    printf("%8s %6s %-10s %5s %11s %10s %12s %12s\n", "pid", "guest", "state", "here",
           "submissions", "pages", "service_us", "wait_us");
    for (size_t i = 0; i < json_object_array_length(clients); i++) {
        json_object *client = json_object_array_get_idx(clients, i);
        json_object *connected;
        const bool here = json_object_object_get_ex(client, "connected", &connected) &&
                          json_object_get_boolean(connected);
        printf("%8s %6s %-10s %5s %11s %10s %12s %12s\n", member_text(client, "pid"),
               member_text(client, "handle"), member_text(client, "state"), here ? "yes" : "no",
               member_text(client, "submissions"), member_text(client, "pages"),
               member_text(client, "service_us"), member_text(client, "wait_us"));
    }
}

static bool
run_stats(Context *context, GError **error)
{
    g_autoptr(json_object) stats = call_json(context, SWPSP_OP_STATS, NULL, error);
    json_object *ops, *clients;
    if (!stats)
        return false;
    if (context->json) {
        print_json(stats);
        return true;
    }
    if (!json_object_object_get_ex(stats, "ops", &ops) ||
        !json_object_object_get_ex(stats, "clients", &clients) ||
        !json_object_is_type(clients, json_type_array))
        return fail(error, "%s", "the answer lacks members");
    printf("time scale %s, longest queue %s, %s pages in %s submissions\n\n",
           member_text(stats, "time_scale"), member_text(stats, "queue_depth_max"),
           member_text(stats, "pages"), member_text(stats, "submissions"));
    print_ops(ops);
    putchar('\n');
    print_clients(clients);
    return true;
}

static bool
run_reset(Context *context, GError **error)
{
    return control(context, command_new("reset-stats"), error);
}

static bool
run_set(Context *context, GError **error)
{
    g_autoptr(json_object) command = command_new("set");

    for (int i = 0; i < context->argc; i++) {
        g_auto(GStrv) pair = g_strsplit(context->argv[i], "=", 2);
        char *end;
        if (!pair[0] || !pair[1])
            return fail(error, "%s: not NAME=NUMBER", context->argv[i]);
        const double value = g_ascii_strtod(pair[1], &end);
        if (end == pair[1] || *end || !isfinite(value))
            return fail(error, "%s: not NAME=NUMBER", context->argv[i]);
        json_object_object_add(command, pair[0], json_object_new_double(value));
    }
    return control(context, g_steal_pointer(&command), error);
}

/* "hang", "delay=20" or the name of an error. */
static bool
add_fault_kind(json_object *command, const char *text, GError **error)
{
    SwpspFaultKind kind;
    char *end;

    if (g_str_has_prefix(text, "delay=")) {
        const guint64 ms = g_ascii_strtoull(text + strlen("delay="), &end, 10);
        if (*end || ms == 0 || ms > SWPSP_FAULT_DELAY_MAX_MS)
            return fail(error, "%s: not delay=MILLISECONDS, 1 to 600000", text);
        json_object_object_add(command, "kind", json_object_new_string("delay"));
        json_object_object_add(command, "delay-ms", json_object_new_uint64(ms));
    } else if (swpsp_fault_kind_from_name(text, &kind)) {
        json_object_object_add(command, "kind", json_object_new_string(text));
    } else {
        json_object_object_add(command, "error", json_object_new_string(text));
    }
    return true;
}

/* "after=N", "count=N" or "count=forever". */
static bool
add_fault_range(json_object *command, const char *text, GError **error)
{
    g_auto(GStrv) pair = g_strsplit(text, "=", 2);
    const bool count = g_strcmp0(pair[0], "count") == 0;
    guint64 value;

    if (count && g_strcmp0(pair[1], "forever") == 0)
        value = 0;
    else if (!pair[0] || !pair[1] || (!count && strcmp(pair[0], "after") != 0) ||
             !g_ascii_string_to_unsigned(pair[1], 10, 0, G_MAXINT64, &value, NULL))
        return fail(error, "%s: not after=N, count=N or count=forever", text);
    json_object_object_add(command, pair[0], json_object_new_uint64(value));
    return true;
}

static bool
run_fault(Context *context, GError **error)
{
    g_autoptr(json_object) command = command_new("fault");

    json_object_object_add(command, "op", json_object_new_string(context->argv[0]));
    if (!add_fault_kind(command, context->argv[1], error))
        return false;
    for (int i = 2; i < context->argc; i++) {
        if (!add_fault_range(command, context->argv[i], error))
            return false;
    }
    return control(context, g_steal_pointer(&command), error);
}

static bool
run_faults(Context *context, GError **error)
{
    g_autoptr(json_object) stats = call_json(context, SWPSP_OP_STATS, NULL, error);
    json_object *faults;

    if (!stats)
        return false;
    if (!json_object_object_get_ex(stats, "faults", &faults) ||
        !json_object_is_type(faults, json_type_array))
        return fail(error, "%s", "the answer lacks members");
    if (context->json) {
        print_json(faults);
        return true;
    }
    printf("%-22s %-26s %10s %10s %10s\n", "command", "kind", "after", "count", "hits");
    for (size_t i = 0; i < json_object_array_length(faults); i++) {
        json_object *fault = json_object_array_get_idx(faults, i);
        const char *kind = member_text(fault, "kind");
        g_autofree char *text = strcmp(kind, "error") == 0 ? g_strdup(member_text(fault, "error"))
                                : strcmp(kind, "delay") == 0
                                    ? g_strdup_printf("delay=%s", member_text(fault, "delay-ms"))
                                    : g_strdup(kind);
        printf("%-22s %-26s %10s %10s %10s\n", member_text(fault, "op"), text,
               member_text(fault, "after"), member_text(fault, "count"),
               member_text(fault, "hits"));
    }
    return true;
}

static bool
run_clear_faults(Context *context, GError **error)
{
    return control(context, command_new("clear-faults"), error);
}

static bool
run_certs(Context *context, GError **error)
{
    static const char *const names[] = {"PDH", "PEK", "OCA", "CEK", "ASK", "ARK"};
    g_autoptr(GByteArray) answer = call(context, SWPSP_OP_PDH_CERT_EXPORT, NULL, error);
    g_autoptr(json_object) out = json_object_new_object();
    if (!answer)
        return false;
    if (answer->len != sizeof(SwpspCertChain))
        return fail(error, "%s", "the answer has a wrong size");

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const SwpspCert *cert = (const void *)(answer->data + i * SWPSP_CERT_SIZE);
        /* The key, not the certificate: the same OCA may have signed for itself more than once. */
        g_autofree char *sum = g_compute_checksum_for_data(
            G_CHECKSUM_SHA256, (const guchar *)&cert->pubkey, sizeof(cert->pubkey));
        json_object_object_add(out, names[i], json_object_new_string(sum));
    }
    if (context->json) {
        print_json(out);
        return true;
    }
    puts("SHA-256 of the public keys (ASK and ARK are the simulation's, not AMD's)");
    json_object_object_foreach(out, name, sum)
    {
        printf("%s %s\n", name, json_object_get_string(sum));
    }
    return true;
}

static const Verb verbs[] = {
    {"status", "", "what the firmware is and allows", false, 0, 0, run_status},
    {"stats", "", "what it did, by command and by client", false, 0, 0, run_stats},
    {"reset", "", "zero the statistics", true, 0, 0, run_reset},
    {"set", "NAME=NUMBER...", "time-scale, cost-split, page-cost-us, receive-factor", true, 1, 4,
     run_set},
    {"fault", "COMMAND KIND [after=N] [count=N]", "let a command go wrong", true, 2, 4, run_fault},
    {"faults", "", "the faults that are set, and how often they struck", false, 0, 0, run_faults},
    {"clear-faults", "", "no faults any more; ends a hang", true, 0, 0, run_clear_faults},
    {"certs", "", "fingerprints of the platform's keys", false, 0, 0, run_certs},
};

static char *
verbs_help(void)
{
    GString *text = g_string_new("Commands:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
        g_string_append_printf(text, "  %-12s %-32s %s\n", verbs[i].name, verbs[i].arguments,
                               verbs[i].help);
    return g_string_free(text, FALSE);
}

static const Verb *
verb_find(const char *name, int n_args, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (strcmp(verbs[i].name, name) != 0)
            continue;
        if (n_args >= verbs[i].min_args && n_args <= verbs[i].max_args)
            return &verbs[i];
        fail(error, "%s: wrong number of arguments; see --help", name);
        return NULL;
    }
    fail(error, "%s: no such command; see --help", name);
    return NULL;
}

/* The control socket is beside the firmware's, to which the name may be a link. */
static char *
socket_path(const char *named, bool control)
{
    g_autofree char *real = control ? realpath(named, NULL) : NULL;

    return g_strconcat(real ? real : named, control ? SWPSP_CONTROL_SUFFIX : "", NULL);
}

/* 0: done; 1: failed; 2: wrong usage. */
static int
run(int argc, char **argv, GError **error)
{
    g_autofree char *socket = NULL;
    gboolean json = FALSE, version = FALSE;
    const GOptionEntry entries[] = {
        {"socket", 's', 0, G_OPTION_ARG_FILENAME, &socket, "The firmware's socket", "PATH"},
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) options = g_option_context_new("COMMAND [ARGUMENT...]");
    g_autofree char *help = verbs_help();

    g_option_context_add_main_entries(options, entries, NULL);
    g_option_context_set_description(options, help);
    if (!g_option_context_parse(options, &argc, &argv, error))
        return 2;
    if (version) {
        printf("swpspctl %s\n", SEVMIG_VERSION);
        return 0;
    }
    const Verb *verb = verb_find(argc > 1 ? argv[1] : "", argc - 2, error);
    if (!verb)
        return 2;

    const char *named = socket ? socket : g_getenv("SWPSP_SOCKET");
    g_autofree char *path = socket_path(named ? named : DEFAULT_SOCKET, verb->control);
    g_autoptr(SwpspClient) client = swpsp_client_new(path, TIMEOUT_MS, error);
    Context context = {client, json, argc - 2, argv + 2};
    return client && verb->run(&context, error) ? 0 : 1;
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;

    setlocale(LC_ALL, "");
    int status = run(argc, argv, &error);
    if (error)
        fprintf(stderr, "swpspctl: %s\n", error->message);
    return status;
}
