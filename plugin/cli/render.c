/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "render.h"

static guint64
bytes_of(const Migration *m, guint64 pages)
{
    return pages * m->page_size_bytes;
}

static char *
duration_or_unknown(guint64 us)
{
    return us == 0 ? g_strdup("unknown") : text_duration(us);
}

/* --- Details: a function for each row; NULL leaves the row out --- */

static char *
text_or_none(const char *text)
{
    return *text != '\0' ? g_strdup(text) : NULL;
}

static char *
row_id(const Migration *m)
{
    return g_strdup(m->id);
}

static char *
row_domain(const Migration *m)
{
    return g_strdup_printf("%s (%s)", m->domain, m->uuid);
}

static char *
row_policy(const Migration *m)
{
    if (*m->policy == '\0')
        return g_strdup("none");
    return g_strdup_printf("%s (%s)", m->policy, m->policy_source);
}

static char *
row_phase(const Migration *m)
{
    g_autofree char *still = text_duration(m->still_us);
    g_autofree char *paused = text_duration(m->paused_us);
    return g_strdup_printf(
        "%s (%s)%s%s%s%s", m->phase, m->state, m->paused_us > 0 ? ", the guest is paused for " : "",
        m->paused_us > 0 ? paused : "", m->still_us > 0 ? ", nothing has moved for " : "",
        m->still_us > 0 ? still : "");
}

static char *
row_note(const Migration *m)
{
    return text_or_none(m->note);
}

char *
render_started(const Migration *m)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(
        (gint64)MIN(m->started_realtime_us / G_USEC_PER_SEC, G_MAXINT32 * (guint64)64));
    return time != NULL ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S") : NULL;
}

static char *
row_elapsed(const Migration *m)
{
    return text_duration(m->elapsed_us);
}

static char *
row_pass(const Migration *m)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT, m->pass);
}

static char *
remaining_text(const Migration *m)
{
    g_autofree char *left = text_bytes(bytes_of(m, m->remaining_pages));
    g_autofree char *total = text_bytes(bytes_of(m, m->private_pages));
    return g_strdup_printf("%s of %s", left, total);
}

static char *
row_remaining(const Migration *m)
{
    g_autofree char *sizes = remaining_text(m);
    return g_strdup_printf("%s (%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " pages)", sizes,
                           m->remaining_pages, m->private_pages);
}

static char *
row_dirty(const Migration *m)
{
    return text_rate(m->dirty_pages_per_s);
}

static char *
row_encrypt(const Migration *m)
{
    return text_rate(m->encrypt_pages_per_s);
}

static char *
row_batch(const Migration *m)
{
    return g_strdup_printf("%u pages", m->batch_pages);
}

static char *
row_throttle(const Migration *m)
{
    return g_strdup_printf("%u %% (highest %u %%)", m->throttle_percent, m->max_throttle_percent);
}

static char *
row_lost(const Migration *m)
{
    return text_duration(m->guest_lost_us);
}

char *
render_downtime(const Migration *m)
{
    g_autofree char *predicted = duration_or_unknown(m->predicted_downtime_us);
    g_autofree char *goal =
        m->downtime_goal_us > 0 ? text_duration(m->downtime_goal_us) : g_strdup("none");
    g_autofree char *real = text_duration(m->downtime_us);
    g_autofree char *promised = text_duration(m->promised_downtime_us);
    if (m->promised_downtime_us > 0)
        return g_strdup_printf("%s%spromised %s, goal %s", m->downtime_us > 0 ? real : "",
                               m->downtime_us > 0 ? ", " : "", promised, goal);
    return g_strdup_printf("%s%spredicted %s, goal %s", m->downtime_us > 0 ? real : "",
                           m->downtime_us > 0 ? ", " : "", predicted, goal);
}

static char *
row_eta(const Migration *m)
{
    return migration_ended(m) ? NULL : duration_or_unknown(m->eta_us);
}

static char *
row_sent(const Migration *m)
{
    g_autofree char *bytes = text_bytes(m->sent_bytes);
    double per_command = m->commands > 0 ? (double)m->pages / (double)m->commands : 0;
    return g_strdup_printf("%s: %" G_GUINT64_FORMAT " pages in %" G_GUINT64_FORMAT
                           " commands (%.1f each), %" G_GUINT64_FORMAT " submissions",
                           bytes, m->pages, m->commands, per_command, m->submissions);
}

static char *
row_firmware(const Migration *m)
{
    g_autofree char *service = text_duration(m->service_us);
    g_autofree char *wait = text_duration(m->wait_us);
    return g_strdup_printf("busy for %s, waited for %s", service, wait);
}

static char *
row_destination(const Migration *m)
{
    g_autoptr(GString) out = g_string_new(NULL);

    if (*m->peer == '\0')
        return NULL;
    g_string_append_printf(out, "known by %s", m->peer);
    if (*m->peer_subject != '\0')
        g_string_append_printf(out, ", %s", m->peer_subject);
    g_string_append_printf(out, ", digest %s", m->peer_digest);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static char *
row_decision(const Migration *m)
{
    return text_or_none(m->last_decision);
}

static char *
row_record(const Migration *m)
{
    return text_or_none(m->record_file);
}

static char *
row_error(const Migration *m)
{
    return text_or_none(m->error);
}

static const struct {
    const char *label;
    char *(*text)(const Migration *m);
} rows[] = {
    {"id", row_id},
    {"domain", row_domain},
    {"policy", row_policy},
    {"phase", row_phase},
    {"note", row_note},
    {"started", render_started},
    {"elapsed", row_elapsed},
    {"time left", row_eta},
    {"pass", row_pass},
    {"remaining", row_remaining},
    {"dirty rate", row_dirty},
    {"encryption rate", row_encrypt},
    {"batch", row_batch},
    {"throttle", row_throttle},
    {"guest time lost", row_lost},
    {"downtime", render_downtime},
    {"sent", row_sent},
    {"firmware", row_firmware},
    {"destination", row_destination},
    {"last decision", row_decision},
    {"record", row_record},
    {"error", row_error},
};

void
render_details(GString *out, const Migration *migration)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = rows[i].text(migration);
        if (text != NULL)
            g_string_append_printf(out, "%-16s %s\n", rows[i].label, text);
    }
}

void
render_line(GString *out, const Migration *m)
{
    g_autofree char *elapsed = text_duration(m->elapsed_us);
    g_autofree char *remaining = remaining_text(m);
    g_autofree char *dirty = text_rate(m->dirty_pages_per_s);
    g_autofree char *encrypt = text_rate(m->encrypt_pages_per_s);
    g_autofree char *downtime = render_downtime(m);
    g_autofree char *eta = duration_or_unknown(m->eta_us);
    g_string_append_printf(out, "%s %s: %s, pass %" G_GUINT64_FORMAT ", remaining %s, ", elapsed,
                           m->domain, m->phase, m->pass, remaining);
    g_string_append_printf(out, "dirty %s, encryption %s, batch %u, throttle %u %%, downtime %s",
                           dirty, encrypt, m->batch_pages, m->throttle_percent, downtime);
    if (!migration_ended(m))
        g_string_append_printf(out, ", time left %s", eta);
    if (*m->error != '\0')
        g_string_append_printf(out, ", error: %s", m->error);
    else if (*m->last_decision != '\0')
        g_string_append_printf(out, ", decision: %s", m->last_decision);
    g_string_append_c(out, '\n');
}
