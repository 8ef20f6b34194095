/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_DOMAIN "sevmigd"

static const struct {
    const char *name;
    GLogLevelFlags level;
    const char *priority; /* of syslog */
} levels[] = {
    {"error", G_LOG_LEVEL_CRITICAL, "3"},  {"warning", G_LOG_LEVEL_WARNING, "4"},
    {"message", G_LOG_LEVEL_MESSAGE, "5"}, {"info", G_LOG_LEVEL_INFO, "6"},
    {"debug", G_LOG_LEVEL_DEBUG, "7"},
};

/* The fields a text line shows after the message, and as what. */
static const struct {
    const char *field;
    const char *key;
} shown[] = {
    {"SEVMIG_DOMAIN", "domain"},
    {"SEVMIG_UUID", "uuid"},
    {"SEVMIG_MIGRATION", "migration"},
    {"SEVMIG_PHASE", "phase"},
};

gboolean
sevmig_log_level_from_name(const char *name, GLogLevelFlags *level)
{
    for (gsize i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (g_strcmp0(name, levels[i].name) == 0) {
            *level = levels[i].level;
            return TRUE;
        }
    }
    return FALSE;
}

static gsize
level_index(GLogLevelFlags level)
{
    for (gsize i = 0; i < G_N_ELEMENTS(levels); i++) {
        if ((level & G_LOG_LEVEL_MASK) <= levels[i].level)
            return i;
    }
    return G_N_ELEMENTS(levels) - 1;
}

static const char *
field_find(const GLogField *fields, gsize n_fields, const char *key)
{
    for (gsize i = 0; i < n_fields; i++) {
        if (strcmp(fields[i].key, key) == 0 && fields[i].length < 0)
            return fields[i].value;
    }
    return NULL;
}

/* Quoted where a reader that splits at blanks would err. */
static void
value_append(GString *line, const char *value)
{
    g_autofree char *escaped = g_strescape(value, NULL);

    if (*escaped == '\0' || strpbrk(value, " =\"\t") != NULL)
        g_string_append_printf(line, "\"%s\"", escaped);
    else
        g_string_append(line, escaped);
}

char *
sevmig_log_format(GLogLevelFlags level, const GLogField *fields, gsize n_fields)
{
    GString *line = g_string_new(NULL);
    const char *domain = field_find(fields, n_fields, "GLIB_DOMAIN");
    const char *message = field_find(fields, n_fields, "MESSAGE");
    g_autofree char *valid = g_utf8_make_valid(message != NULL ? message : "", -1);

    g_string_append_printf(line, "%s: %s: ", domain != NULL ? domain : LOG_DOMAIN,
                           levels[level_index(level)].name);
    for (const char *c = valid; *c != '\0'; c = g_utf8_next_char(c)) {
        gunichar u = g_utf8_get_char(c);

        if (u == '\n')
            g_string_append(line, "\\n");
        else
            g_string_append_unichar(line, g_unichar_isprint(u) ? u : '?');
    }
    for (gsize i = 0; i < G_N_ELEMENTS(shown); i++) {
        const char *value = field_find(fields, n_fields, shown[i].field);

        if (value == NULL)
            continue;
        g_string_append_printf(line, " %s=", shown[i].key);
        value_append(line, value);
    }
    return g_string_free(line, FALSE);
}

static GLogWriterOutput
log_write(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
    GLogLevelFlags least = (GLogLevelFlags)GPOINTER_TO_INT(user_data);
    g_autofree char *line = NULL;
    g_autofree char *stamped = NULL;
    g_autoptr(GDateTime) now = NULL;
    g_autofree char *stamp = NULL;

    if ((level & G_LOG_LEVEL_MASK) > least)
        return G_LOG_WRITER_HANDLED;
    if (g_log_writer_is_journald(STDERR_FILENO) &&
        g_log_writer_journald(level, fields, n_fields, NULL) == G_LOG_WRITER_HANDLED)
        return G_LOG_WRITER_HANDLED;
    now = g_date_time_new_now_utc();
    stamp = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%f");
    line = sevmig_log_format(level, fields, n_fields);
    /* One write per line, so that lines of several threads do not mix. */
    stamped = g_strdup_printf("%sZ %s\n", stamp, line);
    if (fputs(stamped, stderr) < 0)
        return G_LOG_WRITER_UNHANDLED;
    return G_LOG_WRITER_HANDLED;
}

void
sevmig_log_install(GLogLevelFlags level)
{
    g_log_set_writer_func(log_write, GINT_TO_POINTER((gint)level), NULL);
}

void
sevmig_log(SevmigMessage message, const SevmigLogContext *context, const char *format, ...)
{
    static const SevmigLogContext none = {0};
    const SevmigLogContext *c = context != NULL ? context : &none;
    const char *values[] = {c->domain, c->uuid, c->migration, c->phase};
    const char *id = sevmig_message_id(message);
    GLogLevelFlags level = sevmig_message_level(message);
    GLogField fields[4 + G_N_ELEMENTS(shown)];
    g_autofree char *text = NULL;
    gsize n = 0;
    va_list args;

    G_STATIC_ASSERT(G_N_ELEMENTS(values) == G_N_ELEMENTS(shown));
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    fields[n++] = (GLogField){"MESSAGE", text, -1};
    if (id != NULL)
        fields[n++] = (GLogField){"MESSAGE_ID", id, -1};
    fields[n++] = (GLogField){"PRIORITY", levels[level_index(level)].priority, -1};
    fields[n++] = (GLogField){"GLIB_DOMAIN", LOG_DOMAIN, -1};
    for (gsize i = 0; i < G_N_ELEMENTS(shown); i++) {
        if (values[i] != NULL)
            fields[n++] = (GLogField){shown[i].field, values[i], -1};
    }
    g_log_structured_array(level, fields, n);
}
