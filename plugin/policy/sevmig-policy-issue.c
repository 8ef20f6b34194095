/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sevmig-policy-issue.h"

#define QUOTE_MAX_BYTES 60

static void
issue_free(gpointer data)
{
    SevmigPolicyIssue *issue = data;

    g_free(issue->file);
    g_free(issue->text);
    g_free(issue);
}

GPtrArray *
sevmig_policy_issues_new(void)
{
    return g_ptr_array_new_with_free_func(issue_free);
}

/* Messages go to terminals and logs: what a hostile document or file name brings along must not
 * move the cursor or begin a new line. */
static char *
printable(const char *text, gssize length)
{
    const char *end = text + (length < 0 ? (gssize)strlen(text) : length);
    GString *out = g_string_new(NULL);

    while (text < end) {
        gunichar c = g_utf8_get_char_validated(text, end - text);

        if (c >= (gunichar)-2) {
            g_string_append_printf(out, "\\x%02x", (unsigned char)*text++);
            continue;
        }
        if (g_unichar_isprint(c))
            g_string_append_unichar(out, c);
        else
            g_string_append_printf(out, "\\u%04x", c);
        text = g_utf8_next_char(text);
    }
    return g_string_free(out, FALSE);
}

char *
sevmig_quote(const char *value)
{
    g_autofree char *shown = NULL;
    gsize length = strlen(value);
    const char *dots = "";

    if (length > QUOTE_MAX_BYTES) {
        length = QUOTE_MAX_BYTES;
        while (length > 0 && ((unsigned char)value[length] & 0xC0) == 0x80)
            length--;
        dots = "...";
    }
    shown = printable(value, (gssize)length);
    return g_strdup_printf("\"%s%s\"", shown, dots);
}

void
sevmig_issue_add(GPtrArray *issues, const char *file, unsigned line, unsigned column,
                 const char *format, ...)
{
    SevmigPolicyIssue *issue = g_new0(SevmigPolicyIssue, 1);
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    issue->file = printable(file, -1);
    issue->line = line;
    issue->column = column;
    issue->text = printable(text, -1);
    g_ptr_array_add(issues, issue);
}

char *
sevmig_policy_issue_format(const SevmigPolicyIssue *issue)
{
    if (issue->line == 0)
        return g_strdup_printf("%s: %s", issue->file, issue->text);
    return g_strdup_printf("%s:%u:%u: %s", issue->file, issue->line, issue->column, issue->text);
}

void
sevmig_issues_to_error(const GPtrArray *issues, guint from, SevmigErrorCode code, GError **error)
{
    g_autofree char *first = NULL;
    guint more;

    g_return_if_fail(from < issues->len);
    first = sevmig_policy_issue_format(g_ptr_array_index(issues, from));
    more = issues->len - from - 1;
    if (more == 0)
        g_set_error_literal(error, SEVMIG_ERROR, (gint)code, first);
    else
        g_set_error(error, SEVMIG_ERROR, (gint)code, "%s (and %u more)", first, more);
}

static gint
compare_position(gconstpointer a, gconstpointer b)
{
    const SevmigPolicyIssue *left = *(const SevmigPolicyIssue *const *)a;
    const SevmigPolicyIssue *right = *(const SevmigPolicyIssue *const *)b;

    if (left->line != right->line)
        return left->line < right->line ? -1 : 1;
    if (left->column != right->column)
        return left->column < right->column ? -1 : 1;
    return strcmp(left->text, right->text);
}

void
sevmig_issues_sort(GPtrArray *issues)
{
    g_ptr_array_sort(issues, compare_position);
}

void
sevmig_issues_move(GPtrArray *from, GPtrArray *to)
{
    if (to)
        g_ptr_array_extend_and_steal(to, g_ptr_array_ref(from));
    if (!to)
        g_ptr_array_set_size(from, 0);
}
