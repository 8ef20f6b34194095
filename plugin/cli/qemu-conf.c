/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The format is libvirt's own: `key = value` at the start of a line, where a value is a number, a
 * string in either quotes, or a list of strings in brackets, over several lines if need be.
 */
#include "qemu-conf.h"

#include <string.h>

gboolean
qemu_conf_read(QemuConf *self, const char *path, GError **error)
{
    g_autoptr(GError) local = NULL;
    if (g_file_get_contents(path, &self->text, NULL, &local))
        return TRUE;
    if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        self->text = g_strdup("");
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

void
qemu_conf_clear(QemuConf *self)
{
    g_clear_pointer(&self->text, g_free);
}

/* Where the value of `key` begins; the last one counts. NULL: it is not set. */
static const char *
find_value(const QemuConf *self, const char *key)
{
    const char *found = NULL;
    for (const char *line = self->text; line != NULL;) {
        const char *at = line + strspn(line, " \t");
        if (g_str_has_prefix(at, key)) {
            at += strlen(key);
            at += strspn(at, " \t");
            if (*at == '=')
                found = at + 1 + strspn(at + 1, " \t");
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return found;
}

gint64
qemu_conf_number(const QemuConf *self, const char *key, gint64 unset)
{
    const char *value = find_value(self, key);
    char *end;
    if (value == NULL)
        return unset;
    gint64 number = g_ascii_strtoll(value, &end, 10);
    return end != value ? number : unset;
}

/* Of a list that begins at `at`: the next string or its end; a comment lasts until the line's. */
static const char *
skip_to_item(const char *at)
{
    for (;;) {
        at += strspn(at, " \t\r\n,");
        if (*at != '#')
            return at;
        at += strcspn(at, "\n");
    }
}

char **
qemu_conf_strings(const QemuConf *self, const char *key)
{
    const char *at = find_value(self, key);
    if (at == NULL)
        return NULL;
    gboolean list = *at == '[';
    g_autoptr(GStrvBuilder) strings = g_strv_builder_new();
    at = list ? skip_to_item(at + 1) : at;
    while (*at == '"' || *at == '\'') {
        const char *end = strchr(at + 1, *at);
        if (end == NULL)
            break;
        g_autofree char *string = g_strndup(at + 1, (gsize)(end - at - 1));
        g_strv_builder_add(strings, string);
        if (!list)
            break;
        at = skip_to_item(end + 1);
    }
    return g_strv_builder_end(strings);
}

char *
qemu_conf_string(const QemuConf *self, const char *key, const char *unset)
{
    g_auto(GStrv) strings = qemu_conf_strings(self, key);
    return g_strdup(strings != NULL && strings[0] != NULL ? strings[0] : unset);
}
