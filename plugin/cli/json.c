/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"

#include <math.h>
#include <string.h>

/* As UTF-16, with a surrogate pair beyond the first plane. */
static void
put_escaped(GString *out, gunichar c)
{
    if (c > 0xffff) {
        g_string_append_printf(out, "\\u%04x", 0xd800 + ((c - 0x10000) >> 10));
        c = 0xdc00 + (c & 0x3ff);
    }
    g_string_append_printf(out, "\\u%04x", c);
}

static void
put_quoted(GString *out, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_string_append_c(out, '"');
    for (const char *p = valid; *p != '\0'; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (c == '"' || c == '\\')
            g_string_append_printf(out, "\\%c", *p);
        else if (!g_unichar_isprint(c)) /* a terminal may obey it, or turn what it shows about */
            put_escaped(out, c);
        else
            g_string_append_unichar(out, c);
    }
    g_string_append_c(out, '"');
}

/* What separates this value from the one before, and its key. */
static void
begin(GString *out, const char *key)
{
    if (out->len > 0 && strchr("{[", out->str[out->len - 1]) == NULL)
        g_string_append(out, ", ");
    if (key != NULL) {
        put_quoted(out, key);
        g_string_append(out, ": ");
    }
}

void
json_open(GString *out, const char *key, char bracket)
{
    begin(out, key);
    g_string_append_c(out, bracket);
}

void
json_close(GString *out, char bracket)
{
    g_string_append_c(out, bracket);
}

void
json_string(GString *out, const char *key, const char *value)
{
    begin(out, key);
    put_quoted(out, value);
}

void
json_uint(GString *out, const char *key, guint64 value)
{
    begin(out, key);
    g_string_append_printf(out, "%" G_GUINT64_FORMAT, value);
}

void
json_int(GString *out, const char *key, gint64 value)
{
    begin(out, key);
    g_string_append_printf(out, "%" G_GINT64_FORMAT, value);
}

void
json_double(GString *out, const char *key, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    begin(out, key);
    if (isfinite(value))
        g_string_append(out, g_ascii_formatd(text, sizeof(text), "%.3f", value));
    else
        g_string_append(out, "null");
}

void
json_bool(GString *out, const char *key, gboolean value)
{
    begin(out, key);
    g_string_append(out, value ? "true" : "false");
}

static void
put_dictionary(GString *out, const char *key, GVariant *dictionary)
{
    GVariantIter iter;
    const char *name;
    GVariant *value;
    json_open(out, key, '{');
    g_variant_iter_init(&iter, dictionary);
    while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
        json_variant(out, name, value);
        g_variant_unref(value);
    }
    json_close(out, '}');
}

void
json_variant(GString *out, const char *key, GVariant *value)
{
    g_autofree char *text = NULL;
    switch (g_variant_classify(value)) {
    case G_VARIANT_CLASS_STRING:
        json_string(out, key, g_variant_get_string(value, NULL));
        return;
    case G_VARIANT_CLASS_BOOLEAN:
        json_bool(out, key, g_variant_get_boolean(value));
        return;
    case G_VARIANT_CLASS_UINT32:
        json_uint(out, key, g_variant_get_uint32(value));
        return;
    case G_VARIANT_CLASS_UINT64:
        json_uint(out, key, g_variant_get_uint64(value));
        return;
    case G_VARIANT_CLASS_DOUBLE:
        json_double(out, key, g_variant_get_double(value));
        return;
    default:
        if (g_variant_is_of_type(value, G_VARIANT_TYPE_VARDICT)) {
            put_dictionary(out, key, value);
            return;
        }
        text = g_variant_print(value, FALSE);
        json_string(out, key, text);
    }
}

void
json_variants(GString *out, const char *key, GVariant *list)
{
    json_open(out, key, '[');
    for (gsize i = 0; i < g_variant_n_children(list); i++) {
        g_autoptr(GVariant) item = g_variant_get_child_value(list, i);
        json_variant(out, NULL, item);
    }
    json_close(out, ']');
}
