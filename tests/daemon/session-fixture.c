/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session-fixture.h"

#include <glib/gstdio.h>

#define PATIENCE_MS 10000u

#define POLICY(name, body) "<policy xmlns='urn:sevmig:policy:1' name='" name "'>" body "</policy>"

static const struct {
    const char *name;
    const char *text;
} policies[] = {
    {"default", POLICY("default", "<goals><downtime unit='ms'>300</downtime></goals>")},
    {"pinned", POLICY("pinned", "<throttle mode='qemu'/><batch><pages>1</pages></batch>")},
    {"hurried", POLICY("hurried", "<goals><duration unit='s'>1</duration></goals>"
                                  "<on-deadline>pause</on-deadline>")},
    {"guarded", POLICY("guarded", "<peer require='tls pinned'/>")},
    {"watching", POLICY("watching", "<control>observe</control>")},
    {"single", POLICY("single", "<batch><pages>1</pages></batch>")},
    {"impatient", POLICY("impatient", "<goals><duration unit='s'>1</duration></goals>"
                                      "<on-deadline>abort</on-deadline>")},
};

static void
on_changed(SevmigSession *session, gpointer user_data)
{
    ((Fixture *)user_data)->n_changed++;
}

static void
on_ended(SevmigSession *session, gpointer user_data)
{
    ((Fixture *)user_data)->n_ended++;
}

static const SevmigSessionOps ops = {.changed = on_changed, .ended = on_ended};

void
fixture_set_up(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    f->dir = g_dir_make_tmp("sevmig-session-XXXXXX", &error);
    g_assert_no_error(error);
    for (gsize i = 0; i < G_N_ELEMENTS(policies); i++) {
        g_autofree char *file = g_strdup_printf("%s/%s.xml", f->dir, policies[i].name);

        g_file_set_contents(file, policies[i].text, -1, &error);
        g_assert_no_error(error);
    }
    f->store = sevmig_policy_store_new("", f->dir, "");
    sevmig_policy_store_reload(f->store, NULL, &error);
    g_assert_no_error(error);
    f->fake = fake_new();
}

static void
remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_remove(path);
}

void
fixture_tear_down(Fixture *f, gconstpointer data)
{
    sevmig_session_free(f->session);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    fake_free(f->fake);
    sevmig_policy_store_free(f->store);
    remove_tree(f->dir);
    g_free(f->dir);
}

void
start(Fixture *f, const char *policy, gboolean sev, gboolean observe)
{
    g_autofree char *metadata =
        policy == NULL ? g_strdup("")
                       : g_strdup_printf("<metadata><s:policy xmlns:s='urn:sevmig:domain:1' "
                                         "name='%s'/></metadata>",
                                         policy);
    g_autofree char *xml = g_strdup_printf(
        "<domain type='qemu'><name>db</name>"
        "<uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>%s<memory>262144</memory>%s</domain>",
        metadata,
        sev ? "<launchSecurity type='sev'><cbitpos>47</cbitpos>"
              "<reducedPhysBits>1</reducedPhysBits><policy>0x3</policy></launchSecurity>"
            : "");
    g_autofree char *records = g_build_filename(f->dir, "records", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigResolution) resolution = sevmig_policy_resolve(f->store, xml, -1, &error);
    SevmigSessionSetup setup = {
        .id = "20260101T000000-test",
        .number = MAX(1, f->number),
        .domain = "db",
        .uuid = "c7a5fdbd-edaf-9455-926a-d65c16db1809",
        .resolution = resolution,
        .actuator = &f->fake->actuator,
        .records_dir = records,
        .tick_ms = TICK_MS,
    };

    g_assert_no_error(error);
    if (observe)
        setup.actuator = sevmig_actuator_new_observe(setup.actuator);
    f->session = sevmig_session_new(&setup, &ops, f);
    sevmig_session_start(f->session);
}

static gboolean
wake_up(gpointer user_data)
{
    return G_SOURCE_CONTINUE;
}

void
wait_for(const guint *counter, guint value)
{
    gint64 until_us = g_get_monotonic_time() + PATIENCE_MS * 1000;
    guint source = g_timeout_add(1, wake_up, NULL);

    while (*counter < value && g_get_monotonic_time() < until_us)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(source);
    g_assert_cmpuint(*counter, >=, value);
}

void
run_for(guint ms)
{
    gint64 until_us = g_get_monotonic_time() + ms * 1000;
    guint source = g_timeout_add(1, wake_up, NULL);

    while (g_get_monotonic_time() < until_us)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(source);
}

void
say(Fixture *f, QmpcMigrationStatus status)
{
    QmpcEvent event = {.type = QMPC_EVENT_MIGRATION, .status = status};

    sevmig_session_migration_event(f->session, &event);
}

const SevmigInfo *
info(Fixture *f)
{
    return sevmig_session_info(f->session);
}

void
complete(Fixture *f)
{
    SevmigJobResult job = {.downtime_us = 90000, .elapsed_us = 1000000};

    fake_forbid(f->fake, TRUE);
    say(f, QMPC_MIGRATION_PRE_SWITCHOVER);
    run_for(10 * TICK_MS);
    say(f, QMPC_MIGRATION_DEVICE);
    run_for(10 * TICK_MS);
    fake_forbid(f->fake, FALSE);
    f->fake->status.switchover.has_result = true;
    f->fake->status.switchover.ram_us = 50000;
    f->fake->status.switchover.downtime_us = 80000;
    say(f, QMPC_MIGRATION_COMPLETED);
    sevmig_session_job_completed(f->session, &job);
    wait_for(&f->n_ended, 1);
}
