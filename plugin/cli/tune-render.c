/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tune.h"

#include <math.h>
#include <string.h>

#include "json.h"
#include "text.h"
#include "trial.h"

#define COLUMNS 6

static char *
duration_of(double us)
{
    return text_duration(trial_whole(us));
}

/* --- The records --- */

static char *
against(double recorded_us, double simulated_us)
{
    g_autofree char *was = duration_of(recorded_us);
    g_autofree char *is = duration_of(simulated_us);
    return g_strdup_printf("%s, %s", was, is);
}

static void
add_record(GPtrArray *rows, const DerivedRecord *record)
{
    const DeriveFigures *was = &record->recorded, *is = &record->simulated;
    gboolean played = is->total_s > 0;
    g_autofree char *base = g_path_get_basename(record->path);
    g_ptr_array_add(rows, text_printable(base));
    g_ptr_array_add(rows, text_printable(record->policy));
    g_ptr_array_add(rows, played ? against(was->total_s * 1e6, is->total_s * 1e6) : g_strdup("-"));
    g_ptr_array_add(rows, played ? against(was->downtime_ms * 1e3, is->downtime_ms * 1e3)
                                 : g_strdup("-"));
    g_ptr_array_add(rows, isfinite(record->off) && played
                              ? g_strdup_printf("%.0f %%", 100 * (record->off - 1))
                              : g_strdup("-"));
    g_ptr_array_add(rows, record->refused != NULL ? g_strdup_printf("left out: %s", record->refused)
                                                  : g_strdup("used"));
}

static void
put_records(GString *out, const Tune *tune, guint width)
{
    static const TextColumn columns[COLUMNS] = {
        {"RECORD", FALSE, 0},
        {"POLICY", FALSE, 2},
        {"TOTAL, SIMULATED", TRUE, 0},
        {"DOWNTIME, SIMULATED", TRUE, 1},
        {"OFF", TRUE, 0},
        {"", FALSE, 0},
    };
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < tune->records->len; i++)
        add_record(rows, tune->records->pdata[i]);
    text_table(out, columns, COLUMNS, rows, width);
}

/* --- The candidates --- */

/* "4.5 s (-12 %)" */
static char *
compared(double us, double today_us, gboolean today)
{
    char *time = duration_of(us);
    if (today || today_us <= 0)
        return time;
    g_autofree char *alone = time;
    return g_strdup_printf("%s (%+.0f %%)", alone, 100 * (us / today_us - 1));
}

static void
add_candidate(GPtrArray *rows, const Tune *tune, const TuneCandidate *candidate)
{
    const TuneCandidate *today = tune->candidates->pdata[0];
    gboolean is = candidate == today || today->ended < tune->used;
    g_ptr_array_add(rows, g_strdup(candidate == tune->proposal ? "*" : ""));
    g_ptr_array_add(rows, g_strdup(candidate->name));
    g_ptr_array_add(rows, g_strdup_printf("%u of %u", candidate->met, tune->used));
    if (candidate->ended < tune->used) {
        g_ptr_array_add(rows, g_strdup_printf("%u endless", tune->used - candidate->ended));
        g_ptr_array_add(rows, g_strdup("-"));
        g_ptr_array_add(rows, g_strdup("-"));
        return;
    }
    g_ptr_array_add(rows, compared(candidate->total_s * 1e6, today->total_s * 1e6, is));
    g_ptr_array_add(rows, compared(candidate->downtime_ms * 1e3, today->downtime_ms * 1e3, is));
    g_ptr_array_add(rows, compared(candidate->lost_s * 1e6, today->lost_s * 1e6, is));
}

static void
put_candidates(GString *out, const Tune *tune, guint width)
{
    static const TextColumn columns[COLUMNS] = {
        {"", FALSE, 0},     {"CANDIDATE", FALSE, 0}, {"MET", TRUE, 0},
        {"TOTAL", TRUE, 1}, {"DOWNTIME", TRUE, 0},   {"GUEST LOST", TRUE, 0},
    };
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < tune->candidates->len; i++)
        add_candidate(rows, tune, tune->candidates->pdata[i]);
    text_table(out, columns, COLUMNS, rows, width);
}

void
tune_render(GString *out, const Tune *tune, guint width)
{
    put_records(out, tune, width);
    if (tune->used == 0)
        return;
    g_string_append_c(out, '\n');
    put_candidates(out, tune, width);
    g_string_append_c(out, '\n');
    if (tune->proposal != NULL)
        g_string_append_printf(out,
                               "proposed: %s of %s, met in %u of %u; see what it costs above\n",
                               tune->proposal->name, sevmig_policy_name(tune->proposal->policy),
                               tune->proposal->met, tune->used);
    else
        g_string_append(out, "nothing that was tried is better than today's policy\n");
}

/* --- The document --- */

/* A comment holds no "--", and a name in it must not end it. */
static void
put_comment_text(GString *out, const char *text)
{
    g_autofree char *printable = text_printable(text);
    for (const char *at = printable; *at != '\0'; at++)
        g_string_append_c(out, *at == '-' && at[1] == '-' ? '_' : *at);
}

static void
put_comment(GString *out, const Tune *tune)
{
    const TuneCandidate *is = tune->proposal, *was = tune->candidates->pdata[0];
    g_autofree char *lost = duration_of(is->lost_s * 1e6);
    g_autofree char *before = duration_of(was->lost_s * 1e6);
    g_autofree char *down = duration_of(is->downtime_ms * 1e3);
    g_autofree char *down_before = duration_of(was->downtime_ms * 1e3);
    g_string_append_printf(out,
                           "<!-- Proposed by sevmigctl tune, to be reviewed: %s.\n"
                           "     In the simulation %u of %u migrations meet its goals, %u those of "
                           "the policy before;\n"
                           "     guest time lost %s, before %s; longest downtime %s, before %s.\n"
                           "     Derived from:",
                           is->name, is->met, tune->used, was->met, lost, before, down,
                           down_before);
    for (guint i = 0; i < tune->records->len; i++) {
        const DerivedRecord *record = tune->records->pdata[i];
        g_autofree char *base = g_path_get_basename(record->path);
        if (record->refused != NULL)
            continue;
        g_string_append(out, "\n       ");
        put_comment_text(out, base);
        g_string_append(out, " of ");
        put_comment_text(out, record->domain);
    }
    g_string_append(out, " -->\n");
}

char *
tune_document(const Tune *tune, GError **error)
{
    g_autoptr(GString) out = g_string_new("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    g_autofree char *xml = sevmig_policy_to_xml(tune->proposal->policy);
    put_comment(out, tune);
    g_string_append(out, xml);
    g_autoptr(SevmigPolicy) read =
        sevmig_policy_parse(out->str, (gssize)out->len, "the proposal", NULL, error);
    return read != NULL ? g_strdup(out->str) : NULL;
}

/* --- JSON --- */

static void
put_figures_json(GString *out, const char *key, const DeriveFigures *figures)
{
    json_open(out, key, '{');
    json_uint(out, "total_us", trial_whole(figures->total_s * 1e6));
    json_uint(out, "downtime_us", trial_whole(figures->downtime_ms * 1e3));
    json_uint(out, "guest_lost_us", trial_whole(figures->lost_s * 1e6));
    json_uint(out, "pages", trial_whole(figures->pages));
    json_close(out, '}');
}

static void
put_record_json(GString *out, const DerivedRecord *record)
{
    json_open(out, NULL, '{');
    json_string(out, "file", record->path);
    json_string(out, "domain", record->domain);
    json_string(out, "policy", record->policy);
    json_bool(out, "used", record->refused == NULL);
    json_string(out, "refused", record->refused != NULL ? record->refused : "");
    if (record->simulated.total_s > 0) {
        put_figures_json(out, "recorded", &record->recorded);
        put_figures_json(out, "simulated", &record->simulated);
        json_double(out, "off_factor", record->off);
    }
    json_close(out, '}');
}

static void
put_candidate_json(GString *out, const Tune *tune, const TuneCandidate *candidate)
{
    json_open(out, NULL, '{');
    json_string(out, "name", candidate->name);
    json_string(out, "changes", candidate->element != NULL ? candidate->element : "");
    json_uint(out, "ended", candidate->ended);
    json_uint(out, "met", candidate->met);
    json_uint(out, "of", tune->used);
    json_uint(out, "total_us", trial_whole(candidate->total_s * 1e6));
    json_uint(out, "longest_downtime_us", trial_whole(candidate->downtime_ms * 1e3));
    json_uint(out, "guest_lost_us", trial_whole(candidate->lost_s * 1e6));
    json_bool(out, "proposed", candidate == tune->proposal);
    json_close(out, '}');
}

void
tune_json(GString *out, const Tune *tune, const char *document)
{
    json_open(out, NULL, '{');
    json_open(out, "records", '[');
    for (guint i = 0; i < tune->records->len; i++)
        put_record_json(out, tune->records->pdata[i]);
    json_close(out, ']');
    json_open(out, "candidates", '[');
    for (guint i = 0; i < tune->candidates->len; i++)
        put_candidate_json(out, tune, tune->candidates->pdata[i]);
    json_close(out, ']');
    json_string(out, "proposal", document != NULL ? document : "");
    json_close(out, '}');
}
