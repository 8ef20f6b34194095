/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pure parts: detection, tuning, samples, properties against the interface, log lines. */
#include <gio/gio.h>
#include <libvirt/virterror.h>

#include "detect.h"
#include "info.h"
#include "libvirt-link.h"
#include "bus.h"
#include "log.h"
#include "sample.h"
#include "sevmig-bus-info.h"
#include "sevmig-error.h"
#include "sevmig-names.h"
#include "tuning.h"

/* --- Detection --- */

typedef struct {
    QmpcMigrationStatus status;
    int state, reason;
    int job, operation;
    SevmigSide side;
} Seen;

#define UNASKED -2

/* Event sequences as seen on libvirt 11.3: what is asked, in order, and what it means. */
static const Seen seen[] = {
    /* a running source at setup, and one that its user had paused before */
    {QMPC_MIGRATION_SETUP, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, VIR_DOMAIN_JOB_UNBOUNDED,
     VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, SEVMIG_SIDE_SOURCE},
    {QMPC_MIGRATION_ACTIVE, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER, VIR_DOMAIN_JOB_UNBOUNDED,
     VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, SEVMIG_SIDE_SOURCE},
    /* a source that stands: without --live, or paused by the client or by a policy meanwhile */
    {QMPC_MIGRATION_SETUP, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION, VIR_DOMAIN_JOB_UNBOUNDED,
     VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, SEVMIG_SIDE_SOURCE},
    {QMPC_MIGRATION_ACTIVE, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION,
     VIR_DOMAIN_JOB_UNBOUNDED, VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN, SEVMIG_SIDE_DESTINATION},
    /* an incoming QEMU that is started */
    {QMPC_MIGRATION_SETUP, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, UNASKED, UNASKED,
     SEVMIG_SIDE_DESTINATION},
    /* saved or dumped to a file */
    {QMPC_MIGRATION_SETUP, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SAVE, UNASKED, UNASKED,
     SEVMIG_SIDE_NONE},
    {QMPC_MIGRATION_SETUP, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, VIR_DOMAIN_JOB_UNBOUNDED,
     VIR_DOMAIN_JOB_OPERATION_SAVE, SEVMIG_SIDE_NONE},
    {QMPC_MIGRATION_SETUP, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, VIR_DOMAIN_JOB_UNBOUNDED,
     VIR_DOMAIN_JOB_OPERATION_SNAPSHOT, SEVMIG_SIDE_NONE},
    /* over before we looked */
    {QMPC_MIGRATION_SETUP, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, VIR_DOMAIN_JOB_NONE, -1,
     SEVMIG_SIDE_NONE},
    {QMPC_MIGRATION_SETUP, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, VIR_DOMAIN_JOB_COMPLETED,
     VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, SEVMIG_SIDE_NONE},
    {QMPC_MIGRATION_SETUP, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_MIGRATED, UNASKED, UNASKED,
     SEVMIG_SIDE_NONE},
};

static void
test_detect(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(seen); i++) {
        SevmigSide side = sevmig_detect_side_of_state(seen[i].state, seen[i].reason);

        g_test_message("row %zu", i);
        g_assert_true(sevmig_detect_status_starts(seen[i].status));
        g_assert_cmpint(side == SEVMIG_SIDE_UNKNOWN, ==, seen[i].job != UNASKED);
        if (side == SEVMIG_SIDE_UNKNOWN)
            side = sevmig_detect_side_of_job(seen[i].job, seen[i].operation);
        g_assert_cmpint(side, ==, seen[i].side);
    }
}

static void
test_detect_others(void)
{
    for (int status = QMPC_MIGRATION_NONE; status <= QMPC_MIGRATION_UNKNOWN; status++)
        g_assert_cmpint(sevmig_detect_status_starts(status), ==,
                        status == QMPC_MIGRATION_SETUP || status == QMPC_MIGRATION_ACTIVE);
    g_assert_cmpint(sevmig_detect_side_of_error(VIR_ERR_OPERATION_UNSUPPORTED), ==,
                    SEVMIG_SIDE_DESTINATION);
    g_assert_cmpint(sevmig_detect_side_of_error(VIR_ERR_NO_DOMAIN), ==, SEVMIG_SIDE_NONE);
    g_assert_cmpint(sevmig_detect_side_of_error(VIR_ERR_OPERATION_TIMEOUT), ==,
                    SEVMIG_SIDE_UNKNOWN);
}

/* --- Tuning --- */

static void
add(SevmigTuning *tuning, SevmigActionType type, uint32_t cpu, int64_t value)
{
    SevmigAction action = {.type = type, .cpu_index = cpu, .value = value};

    g_assert_true(sevmig_tuning_add(tuning, &action));
}

static void
test_tuning_values(void)
{
    SevmigTuning tuning = {0};
    QmpcTune tune;

    add(&tuning, SEVMIG_ACTION_BATCH_PAGES, 0, 64);
    add(&tuning, SEVMIG_ACTION_GAP_PAGES, 0, 99);
    add(&tuning, SEVMIG_ACTION_THROTTLE, 0, 150);
    add(&tuning, SEVMIG_ACTION_SLICE_US, 0, 1);
    add(&tuning, SEVMIG_ACTION_SYNC_INTERVAL_US, 0, 20000);
    add(&tuning, SEVMIG_ACTION_SWITCHOVER, 0, SEVMIG_SWITCHOVER_HOLD);
    add(&tuning, SEVMIG_ACTION_DOWNTIME_LIMIT_US, 0, 250000);
    add(&tuning, SEVMIG_ACTION_HOLD_SENDING, 0, 1);
    tuning.lease_ms = 2000;
    tune = sevmig_tuning_get(&tuning);
    g_assert_cmpuint(tune.batch_pages, ==, 64);
    g_assert_cmpuint(tune.batch_gap_pages, ==, 16);
    g_assert_cmpuint(tune.vcpu_throttle_percent, ==, 99);
    g_assert_cmpuint(tune.throttle_slice_us, ==, 200);
    g_assert_cmpuint(tune.sync_interval_ms, ==, 50);
    g_assert_cmpint(tune.switchover, ==, QMPC_SEV_SWITCHOVER_HOLD);
    g_assert_cmpuint(tune.downtime_limit_us, ==, 250000);
    g_assert_true(tune.hold_sending);
    g_assert_cmpuint(tune.lease_ms, ==, 2000);
    g_assert_false(tune.present & QMPC_TUNE_VCPU_THROTTLES);
    sevmig_tuning_clear(&tuning);
    g_assert_cmpuint(sevmig_tuning_get(&tuning).present, ==, QMPC_TUNE_LEASE);
}

static void
test_tuning_not_qemus(void)
{
    SevmigTuning tuning = {0};
    const SevmigActionType others[] = {SEVMIG_ACTION_ABORT, SEVMIG_ACTION_NOTE,
                                       SEVMIG_ACTION_COUNT};

    for (gsize i = 0; i < G_N_ELEMENTS(others); i++) {
        SevmigAction action = {.type = others[i]};

        g_assert_false(sevmig_tuning_add(&tuning, &action));
    }
    g_assert_cmpuint(sevmig_tuning_get(&tuning).present, ==, 0);
}

static void
test_tuning_vcpus(void)
{
    SevmigTuning tuning = {0};
    QmpcTune tune;

    add(&tuning, SEVMIG_ACTION_VCPU_THROTTLE, 1, 50);
    sevmig_tuning_clear(&tuning);
    add(&tuning, SEVMIG_ACTION_VCPU_THROTTLE, 0, 20);
    add(&tuning, SEVMIG_ACTION_VCPU_THROTTLE, 1, 60);
    tune = sevmig_tuning_get(&tuning);
    g_assert_cmpuint(tune.n_vcpu_throttles, ==, 2); /* the whole list, always */
    g_assert_cmpuint(tune.vcpu_throttles[0].percent, ==, 60);
    g_assert_cmpuint(tune.vcpu_throttles[1].cpu_index, ==, 0);
    add(&tuning, SEVMIG_ACTION_THROTTLE, 0, 10);
    tune = sevmig_tuning_get(&tuning);
    g_assert_true(tune.present & QMPC_TUNE_VCPU_THROTTLES);
    g_assert_cmpuint(tune.n_vcpu_throttles, ==, 0);
    for (uint32_t cpu = 0; cpu < SEVMIG_MAX_VCPUS + 10; cpu++)
        add(&tuning, SEVMIG_ACTION_VCPU_THROTTLE, cpu, 30);
    g_assert_cmpuint(sevmig_tuning_get(&tuning).n_vcpu_throttles, ==, SEVMIG_MAX_VCPUS);
}

static void
test_tuning_put_back(void)
{
    SevmigTuning failed = {0}, tuning = {0};
    QmpcTune tune;

    add(&failed, SEVMIG_ACTION_BATCH_PAGES, 0, 8);
    add(&failed, SEVMIG_ACTION_THROTTLE, 0, 30);
    add(&tuning, SEVMIG_ACTION_THROTTLE, 0, 40);
    sevmig_tuning_put_back(&tuning, &failed);
    tune = sevmig_tuning_get(&tuning);
    g_assert_cmpuint(tune.present, ==, QMPC_TUNE_BATCH_PAGES | QMPC_TUNE_VCPU_THROTTLE);
    g_assert_cmpuint(tune.batch_pages, ==, 8);
    g_assert_cmpuint(tune.vcpu_throttle_percent, ==, 40);
}

static void
test_tuning_defaults(void)
{
    SevmigTuning tuning = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    QmpcTune tune;

    add(&tuning, SEVMIG_ACTION_VCPU_THROTTLE, 0, 20);
    sevmig_tuning_set_defaults(&tuning, 0, TRUE);
    tune = sevmig_tuning_get(&tuning);
    g_assert_false(tune.present & (QMPC_TUNE_BATCH_PAGES | QMPC_TUNE_DOWNTIME_LIMIT));
    g_assert_cmpuint(tune.n_vcpu_throttles, ==, 0);
    text = qmpc_tune_build(&tune, &error);
    g_assert_no_error(error);
}

/* --- Samples --- */

static void
test_sample(void)
{
    QmpcSevStatus status = {.n_vcpus = SEVMIG_MAX_VCPUS + 3};
    g_autofree SevmigVcpuSample *vcpus = g_new0(SevmigVcpuSample, SEVMIG_MAX_VCPUS);
    SevmigSample sample;

    status.vcpus = g_new0(QmpcSevVcpu, status.n_vcpus);
    status.vcpus[2] = (QmpcSevVcpu){7, 30, 100, 200, 300, true};
    status.send.n_run_buckets = 20;
    for (int i = 0; i < 20; i++)
        status.send.run_histogram[i] = 1;
    status.tune.sync_interval_ms = 250;
    status.tune.lease_remaining_ms = 1500;
    status.switchover.has_expected = true;
    status.switchover.expected_us = 4711;
    status.switchover.downtime_us = 99; /* not there: has_result is false */
    sevmig_sample_fill(&sample, vcpus, &status);
    g_assert_cmpuint(sample.n_vcpus, ==, SEVMIG_MAX_VCPUS);
    g_assert_cmpuint(sample.vcpus[2].cpu_index, ==, 7);
    g_assert_cmpuint(sample.vcpus[2].throttled_us, ==, 200);
    g_assert_cmpuint(sample.run_histogram[14], ==, 1);
    g_assert_cmpuint(sample.run_histogram[15], ==, 5);
    g_assert_cmpuint(sample.sync_interval_us, ==, 250000);
    g_assert_cmpuint(sample.lease_remaining_us, ==, 1500000);
    g_assert_cmpuint(sample.expected_downtime_us, ==, 4711);
    g_assert_false(sample.has_switchover);
    g_assert_cmpuint(sample.switchover_downtime_us, ==, 0);
    qmpc_sev_status_clear(&status);
}

/* --- Properties --- */

/* The table and the interface are the same list with the same types. */
static void
test_properties(void)
{
    SevmigInfo info;
    g_autoptr(GVariant) all = NULL;
    GDBusPropertyInfo **p = org_sevmig1_migration_interface.properties;
    gsize n = 0;

    sevmig_info_init(&info);
    sevmig_info_set(&info.domain, "not \xff UTF-8");
    all = g_variant_ref_sink(sevmig_info_properties(&info));
    for (; p[n] != NULL; n++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(all, p[n]->name, NULL);

        g_test_message("%s", p[n]->name);
        g_assert_nonnull(value);
        g_assert_cmpstr(g_variant_get_type_string(value), ==, p[n]->signature);
    }
    g_assert_cmpuint(g_variant_n_children(all), ==, n);
    sevmig_info_clear(&info);
}

/* The build makes the rows; what they are for is in the table of tests/hosts. */
static void
test_methods(void)
{
    g_assert_cmpstr(sevmig_bus_method_action(SEVMIG_MANAGER_INTERFACE, "ListPolicies"), ==,
                    "org.sevmig1.read");
    g_assert_cmpstr(sevmig_bus_method_action(SEVMIG_MIGRATION_INTERFACE, "Steer"), ==,
                    "org.sevmig1.steer");
    g_assert_cmpstr(sevmig_bus_method_action(SEVMIG_POLICY_INTERFACE, "GetAll"), ==,
                    "org.sevmig1.read");
    g_assert_null(sevmig_bus_method_action(SEVMIG_MANAGER_INTERFACE, "Set"));
    g_assert_null(sevmig_bus_method_action(SEVMIG_MANAGER_INTERFACE, "NoSuchMethod"));
    g_assert_null(sevmig_bus_method_action("org.example", "ListPolicies"));
}

static void
test_path(void)
{
    g_autofree char *path = sevmig_bus_path("/org/sevmig1/migration/", "20260101T000000.5-a/b");

    g_assert_true(g_variant_is_object_path(path));
    g_assert_cmpstr(path, ==, "/org/sevmig1/migration/20260101T000000_2e5_2da_2fb");
}

/* --- The rest --- */

static void
test_log(void)
{
    const GLogField fields[] = {
        {"MESSAGE",
         "first\nsecond\x1b[2J \x7f\xc2\x9b"
         "2J caf\xc3\xa9",
         -1},
        {"SEVMIG_DOMAIN", "a b\" level=error", -1},
        {"SEVMIG_PHASE", "bulk", -1},
        {"GLIB_DOMAIN", "sevmigd", -1},
    };
    g_autofree char *line = sevmig_log_format(G_LOG_LEVEL_WARNING, fields, G_N_ELEMENTS(fields));
    GLogLevelFlags level;

    g_assert_cmpstr(line, ==,
                    "sevmigd: warning: first\\nsecond?[2J ??2J caf\xc3\xa9 "
                    "domain=\"a b\\\" level=error\" phase=bulk");
    g_assert_true(sevmig_log_level_from_name("info", &level));
    g_assert_cmpint(level, ==, G_LOG_LEVEL_INFO);
    g_assert_false(sevmig_log_level_from_name("loud", &level));
}

static void
test_delays(void)
{
    guint previous = 0;

    for (guint n = 0; n < 100; n++) {
        g_assert_cmpuint(sevmig_link_delay_ms(n), >=, previous);
        previous = sevmig_link_delay_ms(n);
    }
    g_assert_cmpuint(sevmig_link_delay_ms(0), ==, 250);
    g_assert_cmpuint(previous, ==, 10000);
}

static void
test_error_names(void)
{
    for (int code = 0; code < SEVMIG_ERROR_COUNT; code++) {
        g_autoptr(GError) error = g_error_new(SEVMIG_ERROR, code, "text");
        g_autofree char *name = g_dbus_error_encode_gerror(error);
        g_autoptr(GError) back = g_dbus_error_new_for_dbus_error(name, "text");

        g_assert_cmpstr(name, ==, sevmig_error_bus_name(code));
        g_assert_true(g_str_has_prefix(name, "org.sevmig1.Error."));
        g_assert_error(back, SEVMIG_ERROR, code);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/detect/sequences", test_detect);
    g_test_add_func("/detect/others", test_detect_others);
    g_test_add_func("/tuning/values", test_tuning_values);
    g_test_add_func("/tuning/not-qemus", test_tuning_not_qemus);
    g_test_add_func("/tuning/vcpus", test_tuning_vcpus);
    g_test_add_func("/tuning/put-back", test_tuning_put_back);
    g_test_add_func("/tuning/defaults", test_tuning_defaults);
    g_test_add_func("/sample", test_sample);
    g_test_add_func("/info/properties", test_properties);
    g_test_add_func("/bus/methods", test_methods);
    g_test_add_func("/bus/path", test_path);
    g_test_add_func("/log/format", test_log);
    g_test_add_func("/link/delays", test_delays);
    g_test_add_func("/error/names", test_error_names);
    return g_test_run();
}
