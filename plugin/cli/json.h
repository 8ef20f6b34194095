/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * json.h - writes JSON on one line
 *
 * `key` is NULL within arrays and at the top. Text that is not UTF-8 is made so.
 */
#ifndef SEVMIGCTL_JSON_H
#define SEVMIGCTL_JSON_H

#include <glib.h>

void json_open(GString *out, const char *key, char bracket); /* '{' or '[' */
void json_close(GString *out, char bracket);                 /* '}' or ']' */
void json_string(GString *out, const char *key, const char *value);
void json_uint(GString *out, const char *key, guint64 value);
void json_int(GString *out, const char *key, gint64 value);
void json_double(GString *out, const char *key, double value); /* null if not finite */
void json_bool(GString *out, const char *key, gboolean value);

/* A basic value or dictionary as the bus brings it; other types as their GVariant text. */
void json_variant(GString *out, const char *key, GVariant *value);
/* An array of those that `list`, itself an array, holds. */
void json_variants(GString *out, const char *key, GVariant *list);

#endif
