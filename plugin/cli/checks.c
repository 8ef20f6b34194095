/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checks.h"

#include "json.h"
#include "text.h"

static const struct {
    const char *mark, *word;
} states[] = {
    [CHECK_GOOD] = {"+", "good"},
    [CHECK_BAD] = {"!", "bad"},
    [CHECK_UNKNOWN] = {"?", "unknown"},
    [CHECK_NOTE] = {"~", "note"},
};

static void
check_clear(gpointer data)
{
    Check *check = data;
    g_free(check->found);
    g_free(check->mend);
}

GArray *
checks_new(void)
{
    GArray *checks = g_array_new(FALSE, FALSE, sizeof(Check));
    g_array_set_clear_func(checks, check_clear);
    return checks;
}

void
checks_add(GArray *checks, const char *name, CheckState state, const char *found, const char *mend)
{
    Check check = {name, state, text_printable(found), g_strdup(state == CHECK_GOOD ? "" : mend)};
    g_array_append_val(checks, check);
}

guint
checks_count(const GArray *checks, CheckState state)
{
    guint n = 0;
    for (guint i = 0; i < checks->len; i++)
        n += g_array_index(checks, Check, i).state == state;
    return n;
}

void
checks_put(GString *out, const GArray *checks, guint width)
{
    static const TextColumn columns[] = {{"", FALSE, 0}, {"CHECK", FALSE, 0}, {"FOUND", FALSE, 0}};
    g_autoptr(GPtrArray) rows = g_ptr_array_new();
    for (guint i = 0; i < checks->len; i++) {
        const Check *check = &g_array_index(checks, Check, i);
        g_ptr_array_add(rows, (gpointer)states[check->state].mark);
        g_ptr_array_add(rows, (gpointer)check->name);
        g_ptr_array_add(rows, check->found);
    }
    text_table(out, columns, G_N_ELEMENTS(columns), rows, width);
    for (guint i = 0; i < checks->len; i++) {
        const Check *check = &g_array_index(checks, Check, i);
        if (*check->mend != '\0')
            g_string_append_printf(out, "%s: %s\n", check->name, check->mend);
    }
}

void
checks_json(GString *out, const GArray *checks)
{
    json_open(out, "checks", '[');
    for (guint i = 0; i < checks->len; i++) {
        const Check *check = &g_array_index(checks, Check, i);
        json_open(out, NULL, '{');
        json_string(out, "check", check->name);
        json_string(out, "state", states[check->state].word);
        json_string(out, "found", check->found);
        json_string(out, "mend", check->mend);
        json_close(out, '}');
    }
    json_close(out, ']');
}
