/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text.h"

#include <string.h>

char *
text_duration(guint64 us)
{
    guint64 s = us / G_USEC_PER_SEC;
    if (us == 0)
        return g_strdup("0 s");
    if (us < 1000)
        return g_strdup_printf("%" G_GUINT64_FORMAT " us", us);
    if (us < 10000)
        return g_strdup_printf("%.1f ms", (double)us / 1e3);
    if (us < G_USEC_PER_SEC)
        return g_strdup_printf("%" G_GUINT64_FORMAT " ms", us / 1000);
    if (s < 60)
        return g_strdup_printf("%.1f s", (double)(us / 100000) / 10);
    if (s < 3600)
        return g_strdup_printf("%" G_GUINT64_FORMAT " min %" G_GUINT64_FORMAT " s", s / 60, s % 60);
    return g_strdup_printf("%" G_GUINT64_FORMAT " h %" G_GUINT64_FORMAT " min", s / 3600,
                           s / 60 % 60);
}

char *
text_bytes(guint64 bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    guint unit = 0;
    if (bytes < 1024)
        return g_strdup_printf("%" G_GUINT64_FORMAT " B", bytes);
    for (value /= 1024; value >= 1023.95 && unit + 1 < G_N_ELEMENTS(units); unit++)
        value /= 1024;
    return g_strdup_printf("%.1f %s", value, units[unit]);
}

char *
text_rate(double pages_per_s)
{
    return g_strdup_printf(pages_per_s > 0 && pages_per_s < 10 ? "%.1f pages/s" : "%.0f pages/s",
                           pages_per_s);
}

char *
text_percent(guint64 part, guint64 whole)
{
    if (whole == 0)
        return g_strdup("-");
    return g_strdup_printf("%.0f %%", 100 * (double)MIN(part, whole) / (double)whole);
}

char *
text_printable(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *out = g_string_new(NULL);
    for (const char *p = valid; *p != '\0'; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (c == '\n' || c == '\t')
            g_string_append_c(out, ' ');
        else
            g_string_append_unichar(out, g_unichar_isprint(c) ? c : '?');
    }
    return g_string_free(out, FALSE);
}

static guint
char_width(gunichar c)
{
    return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

char *
text_member(GVariant *dictionary, const char *name)
{
    const char *text = "";
    g_variant_lookup(dictionary, name, "&s", &text);
    return text_printable(text);
}

guint
text_width(const char *text)
{
    guint width = 0;
    for (const char *p = text; *p != '\0'; p = g_utf8_next_char(p))
        width += char_width(g_utf8_get_char(p));
    return width;
}

char *
text_clip(const char *text, guint width)
{
    static const char mark[] = "...";
    if (width == 0 || text_width(text) <= width)
        return g_strdup(text);
    guint room = width > strlen(mark) ? width - (guint)strlen(mark) : 0;
    const char *p = text;
    for (guint used = 0; *p != '\0'; p = g_utf8_next_char(p)) {
        used += char_width(g_utf8_get_char(p));
        if (used > room)
            break;
    }
    return g_strdup_printf("%.*s%.*s", (int)(p - text), text, (int)MIN(width, strlen(mark)), mark);
}

void
text_flow(GString *out, const char *const *items, guint indent, guint width)
{
    guint used = 0;
    for (gsize i = 0; items[i] != NULL; i++) {
        guint needs = text_width(items[i]);
        if (used > 0 && width > 0 && used + 3 + needs > width) {
            g_string_append_c(out, '\n');
            used = 0;
        }
        g_string_append_printf(out, "%*s", used == 0 ? (int)indent : 3, "");
        used += used == 0 ? indent : 3;
        g_autofree char *item = text_clip(items[i], width > indent ? width - indent : width);
        g_string_append(out, item);
        used += text_width(item);
    }
    g_string_append_c(out, '\n');
}

/* --- Tables --- */

typedef struct {
    const TextColumn *columns;
    guint n_columns;
    GPtrArray *rows;
    guint *widths;
    gboolean *hidden;
} Table;

static const char *
cell(const Table *table, guint row, guint column)
{
    return table->rows->pdata[row * table->n_columns + column];
}

static void
measure(Table *table)
{
    for (guint c = 0; c < table->n_columns; c++) {
        table->widths[c] = text_width(table->columns[c].title);
        for (guint r = 0; r < table->rows->len / table->n_columns; r++)
            table->widths[c] = MAX(table->widths[c], text_width(cell(table, r, c)));
    }
}

static guint
total_width(const Table *table)
{
    guint total = 0;
    for (guint c = 0; c < table->n_columns; c++) {
        if (!table->hidden[c])
            total += table->widths[c] + (total > 0 ? 2 : 0);
    }
    return total;
}

/* Hides columns in the order of their sacrifice, then narrows the last one that is left. */
static void
fit(Table *table, guint width)
{
    for (int next = 1; next <= (int)table->n_columns && total_width(table) > width; next++) {
        for (guint c = 0; c < table->n_columns; c++) {
            if (table->columns[c].sacrifice == next)
                table->hidden[c] = TRUE;
        }
    }
    guint last = table->n_columns - 1;
    while (last > 0 && table->hidden[last])
        last--;
    guint total = total_width(table);
    if (total > width && table->widths[last] > total - width)
        table->widths[last] -= total - width;
}

static void
put_row(GString *out, const Table *table, int row)
{
    GString *line = g_string_new(NULL);
    for (guint c = 0; c < table->n_columns; c++) {
        if (table->hidden[c])
            continue;
        const char *text = row < 0 ? table->columns[c].title : cell(table, (guint)row, c);
        g_autofree char *shown = text_clip(text, table->widths[c]);
        int padding = (int)(table->widths[c] - text_width(shown));
        if (line->len > 0)
            g_string_append(line, "  ");
        g_string_append_printf(line, "%*s%s%*s", table->columns[c].right ? padding : 0, "", shown,
                               table->columns[c].right ? 0 : padding, "");
    }
    g_strchomp(line->str);
    g_string_append_printf(out, "%s\n", line->str);
    g_string_free(line, TRUE);
}

void
text_table(GString *out, const TextColumn *columns, guint n_columns, GPtrArray *rows, guint width)
{
    g_autofree guint *widths = g_new0(guint, n_columns);
    g_autofree gboolean *hidden = g_new0(gboolean, n_columns);
    Table table = {columns, n_columns, rows, widths, hidden};
    measure(&table);
    if (width > 0)
        fit(&table, width);
    for (int row = -1; row < (int)(rows->len / n_columns); row++)
        put_row(out, &table, row);
}
