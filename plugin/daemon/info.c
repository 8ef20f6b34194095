/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "info.h"

#include <string.h>

#define ROW(name, type, member)                                                                    \
    {                                                                                              \
        name, type, G_STRUCT_OFFSET(SevmigInfo, member)                                            \
    }

/* One row for each property of the interface; a test compares the two. */
static const struct {
    const char *name;
    char type;
    gsize offset;
} rows[] = {
    ROW("Id", 's', id),
    ROW("Domain", 's', domain),
    ROW("Uuid", 's', uuid),
    ROW("Policy", 's', policy),
    ROW("PolicySource", 's', policy_source),
    ROW("Phase", 's', phase),
    ROW("State", 's', state),
    ROW("Note", 's', note),
    ROW("StartedRealtimeUs", 't', started_realtime_us),
    ROW("ElapsedUs", 't', elapsed_us),
    ROW("SetupUs", 't', setup_us),
    ROW("Pass", 't', pass),
    ROW("PageSize", 'u', page_size),
    ROW("PrivatePages", 't', private_pages),
    ROW("RemainingPages", 't', remaining_pages),
    ROW("DirtyRate", 'd', dirty_rate),
    ROW("EncryptionRate", 'd', encryption_rate),
    ROW("BatchPages", 'u', batch_pages),
    ROW("ThrottlePercent", 'u', throttle_percent),
    ROW("MaxThrottlePercent", 'u', max_throttle_percent),
    ROW("PredictedDowntimeUs", 't', predicted_downtime_us),
    ROW("PromisedDowntimeUs", 't', promised_downtime_us),
    ROW("DowntimeGoalUs", 't', downtime_goal_us),
    ROW("DurationGoalUs", 't', duration_goal_us),
    ROW("EtaUs", 't', eta_us),
    ROW("TurnPlace", 'u', turn_place),
    ROW("TurnBeginsUs", 't', turn_begins_us),
    ROW("TurnEndsUs", 't', turn_ends_us),
    ROW("HeldUs", 't', held_us),
    ROW("StillUs", 't', still_us),
    ROW("PausedUs", 't', paused_us),
    ROW("GuestLostUs", 't', guest_lost_us),
    ROW("Submissions", 't', submissions),
    ROW("Commands", 't', commands),
    ROW("Pages", 't', pages),
    ROW("SentBytes", 't', sent_bytes),
    ROW("ServiceUs", 't', service_us),
    ROW("WaitUs", 't', wait_us),
    ROW("DowntimeUs", 't', downtime_us),
    ROW("FixedDowntimeUs", 't', fixed_downtime_us),
    ROW("Peer", 's', peer),
    ROW("PeerDigest", 's', peer_digest),
    ROW("PeerSubject", 's', peer_subject),
    ROW("LastDecision", 's', last_decision),
    ROW("RecordFile", 's', record_file),
    ROW("Error", 's', error),
};

void
sevmig_info_init(SevmigInfo *info)
{
    memset(info, 0, sizeof(*info));
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].type == 's')
            G_STRUCT_MEMBER(char *, info, rows[i].offset) = g_strdup("");
    }
}

void
sevmig_info_clear(SevmigInfo *info)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].type == 's')
            g_clear_pointer(&G_STRUCT_MEMBER(char *, info, rows[i].offset), g_free);
    }
}

void
sevmig_info_copy(SevmigInfo *to, const SevmigInfo *from)
{
    sevmig_info_clear(to);
    *to = *from;
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].type == 's')
            G_STRUCT_MEMBER(char *, to, rows[i].offset) =
                g_strdup(G_STRUCT_MEMBER(char *, from, rows[i].offset));
    }
}

void
sevmig_info_set(char **member, const char *text)
{
    char *valid = g_utf8_make_valid(text != NULL ? text : "", -1);

    g_free(*member);
    *member = valid;
}

void
sevmig_info_take_sample(SevmigInfo *info, const SevmigSample *sample)
{
    info->page_size = sample->page_size_bytes;
    info->private_pages = sample->private_pages;
    info->remaining_pages = sample->remaining_pages;
    info->pass = sample->pass;
    info->passes = MAX(info->passes, sample->pass);
    info->batch_pages = sample->batch_pages;
    info->submissions = sample->submissions;
    info->commands = sample->commands;
    info->pages = sample->pages;
    info->sent_bytes = sample->bytes;
    info->service_us = sample->service_us;
    info->wait_us = sample->wait_us;
    info->throttle_percent = sample->vcpu_throttle_percent;
    /* By the vCPUs, so that what QEMU's own auto-converge does is seen too. */
    for (size_t i = 0; i < sample->n_vcpus; i++)
        info->throttle_percent = MAX(info->throttle_percent, sample->vcpus[i].throttle_percent);
    info->max_throttle_percent = MAX(info->max_throttle_percent, info->throttle_percent);
    if (info->setup_us == 0 && sample->pass == 1)
        info->setup_us = info->elapsed_us - MIN(sample->pass_elapsed_us, info->elapsed_us);
    if (!sample->has_switchover)
        return;
    info->downtime_us = sample->switchover_downtime_us;
    info->fixed_downtime_us = info->downtime_us - MIN(sample->switchover_ram_us, info->downtime_us);
}

void
sevmig_info_take_view(SevmigInfo *info, const SevmigView *view)
{
    sevmig_info_set(&info->phase, sevmig_phase_name(view->phase));
    info->dirty_rate = view->dirty_pages_per_s;
    info->encryption_rate = view->encrypt_pages_per_s;
    info->max_throttle_percent = MAX(info->max_throttle_percent, view->max_throttle_percent);
    info->predicted_downtime_us = view->predicted_downtime_us;
    info->downtime_goal_us = view->downtime_goal_us;
    info->eta_us = view->eta_us;
    info->guest_lost_us = view->guest_lost_us;
    info->still_us = view->still_us;
    info->paused_us = view->paused_us;
}

static GVariant *
row_value(const SevmigInfo *info, gsize row)
{
    gsize offset = rows[row].offset;

    switch (rows[row].type) {
    case 's':
        return g_variant_new_string(G_STRUCT_MEMBER(char *, info, offset));
    case 't':
        return g_variant_new_uint64(G_STRUCT_MEMBER(guint64, info, offset));
    case 'u':
        return g_variant_new_uint32(G_STRUCT_MEMBER(guint32, info, offset));
    case 'd':
        return g_variant_new_double(G_STRUCT_MEMBER(double, info, offset));
    default:
        g_assert_not_reached();
    }
}

static gsize
number_size(gsize row)
{
    return rows[row].type == 'u' ? sizeof(guint32) : sizeof(guint64);
}

static gboolean
take_row(SevmigInfo *shown, const SevmigInfo *now, gsize row)
{
    gpointer to = G_STRUCT_MEMBER_P(shown, rows[row].offset);
    gconstpointer from = G_STRUCT_MEMBER_P(now, rows[row].offset);

    if (rows[row].type == 's') {
        const char *text = *(char *const *)from;

        if (strcmp(*(char **)to, text) == 0)
            return FALSE;
        sevmig_info_set(to, text);
        return TRUE;
    }
    if (memcmp(to, from, number_size(row)) == 0)
        return FALSE;
    memcpy(to, from, number_size(row));
    return TRUE;
}

GVariant *
sevmig_info_take_changes(SevmigInfo *shown, const SevmigInfo *now)
{
    GVariantBuilder builder;
    gsize n = 0;

    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (!take_row(shown, now, i))
            continue;
        g_variant_builder_add(&builder, "{sv}", rows[i].name, row_value(now, i));
        n++;
    }
    if (n > 0)
        return g_variant_builder_end(&builder);
    g_variant_builder_clear(&builder);
    return NULL;
}

GVariant *
sevmig_info_properties(const SevmigInfo *info)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        g_variant_builder_add(&builder, "{sv}", rows[i].name, row_value(info, i));
    return g_variant_builder_end(&builder);
}
