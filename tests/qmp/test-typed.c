/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The typed commands, replies and events, as text. */
#include <string.h>

#include "qmpc.h"
#include "sev-reply.h"

static void
test_tune_empty(void)
{
    g_autoptr(GError) error = NULL;
    QmpcTune tune = {0};
    g_autofree char *text = qmpc_tune_build(&tune, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, "{\"execute\":\"x-sev-migration-tune\",\"arguments\":{}}");
}

static void
test_tune_full(void)
{
    static const QmpcSevVcpuThrottle throttles[] = {{0, 20}, {3, 99}};
    g_autoptr(GError) error = NULL;
    QmpcTune tune = {
        .present = (QMPC_TUNE_PAUSE << 1) - 1,
        .batch_pages = 64,
        .batch_gap_pages = 2,
        .vcpu_throttle_percent = 35,
        .vcpu_throttles = throttles,
        .n_vcpu_throttles = 2,
        .throttle_slice_us = 200,
        .sync_interval_ms = 50,
        .switchover = QMPC_SEV_SWITCHOVER_HOLD,
        .downtime_limit_us = 2000000000,
        .hold_sending = false,
        .lease_ms = 1000,
        .pause = true,
    };
    g_autofree char *text = qmpc_tune_build(&tune, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==,
                    "{\"execute\":\"x-sev-migration-tune\",\"arguments\":{\"batch-pages\":64,"
                    "\"batch-gap-pages\":2,\"vcpu-throttle\":35,\"throttle-slice-us\":200,"
                    "\"sync-interval-ms\":50,\"downtime-limit-us\":2000000000,\"lease-ms\":1000,"
                    "\"vcpu-throttles\":[{\"cpu-index\":0,\"percentage\":20},"
                    "{\"cpu-index\":3,\"percentage\":99}],\"switchover\":\"hold\","
                    "\"hold-sending\":false,\"pause\":true}}");
}

static void
test_tune_bad(void)
{
    static const QmpcSevVcpuThrottle bad_throttle = {1, 100};
    static const struct {
        QmpcTune tune;
        const char *names; /* what the message must name */
    } cases[] = {
        {{.present = QMPC_TUNE_BATCH_PAGES}, "batch-pages"},
        {{.present = QMPC_TUNE_BATCH_GAP_PAGES, .batch_gap_pages = 17}, "batch-gap-pages"},
        {{.present = QMPC_TUNE_VCPU_THROTTLE | QMPC_TUNE_LEASE,
          .vcpu_throttle_percent = 100,
          .lease_ms = 1000},
         "vcpu-throttle"},
        {{.present = QMPC_TUNE_VCPU_THROTTLES | QMPC_TUNE_LEASE,
          .vcpu_throttles = &bad_throttle,
          .n_vcpu_throttles = 1,
          .lease_ms = 1000},
         "vcpu-throttles"},
        {{.present = QMPC_TUNE_THROTTLE_SLICE, .throttle_slice_us = 199}, "throttle-slice-us"},
        {{.present = QMPC_TUNE_SYNC_INTERVAL, .sync_interval_ms = 49}, "sync-interval-ms"},
        {{.present = QMPC_TUNE_DOWNTIME_LIMIT, .downtime_limit_us = 999}, "downtime-limit-us"},
        {{.present = QMPC_TUNE_LEASE, .lease_ms = 60001}, "lease-ms"},
        {{.present = QMPC_TUNE_VCPU_THROTTLE}, "lease-ms"},
        {{.present = QMPC_TUNE_VCPU_THROTTLES}, "lease-ms"},
        {{.present = QMPC_TUNE_SWITCHOVER}, "lease-ms"},
        {{.present = QMPC_TUNE_HOLD_SENDING}, "lease-ms"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(qmpc_tune_build(&cases[i].tune, &error));
        g_assert_error(error, QMPC_ERROR, QMPC_ERROR_ARGUMENT);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, cases[i].names));
    }
    QmpcTune off = {.present = QMPC_TUNE_SYNC_INTERVAL};
    g_autofree char *text = qmpc_tune_build(&off, NULL);
    g_assert_nonnull(strstr(text, "\"sync-interval-ms\":0"));
}

static void
check_status(const QmpcSevStatus *status)
{
    g_assert_cmpint(status->firmware, ==, QMPC_SEV_FIRMWARE_SOFT);
    g_assert_cmpint(status->guest_state, ==, QMPC_SEV_GUEST_SENDING);
    g_assert_cmpuint(status->limits.max_batch_pages, ==, 4096);
    g_assert_cmpuint(status->tune.vcpu_throttle_percent, ==, 35);
    g_assert_false(status->tune.has_downtime_limit);
    g_assert_cmpuint(status->tune.lease_remaining_ms, ==, 985);
    g_assert_cmpuint(status->ram.remaining_pages, ==, 1200);
    g_assert_cmpuint(status->ram.sync_guest_cpu_us, ==, 583000);
    g_assert_cmpuint(status->send.service_us, ==, 44000000);
    g_assert_cmpuint(status->send.n_run_buckets, ==, 5);
    g_assert_cmpuint(status->send.run_histogram[0], ==, 310);
    g_assert_cmpuint(status->send.run_histogram[4], ==, 2);
    g_assert_cmpuint(status->receive.n_run_buckets, ==, 0);
    g_assert_cmpuint(status->n_vcpus, ==, 2);
    g_assert_false(status->vcpus[0].has_dirtied_pages);
    g_assert_true(status->vcpus[1].has_dirtied_pages);
    g_assert_cmpuint(status->vcpus[1].dirtied_pages, ==, UINT64_MAX);
    g_assert_true(status->switchover.has_expected);
    g_assert_false(status->switchover.has_result);
    g_assert_cmpuint(status->switchover.expected_us, ==, 750000);
}

static void
test_status(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(QmpcSevStatus) status = {0};
    g_assert_true(qmpc_sev_status_parse(SEV_REPLY, &status, &error));
    g_assert_no_error(error);
    check_status(&status);
}

/* SEV_REPLY with one piece of its text replaced. */
static char *
reply_with(const char *from, const char *to)
{
    g_auto(GStrv) parts = g_strsplit(SEV_REPLY, from, 2);
    g_assert_cmpuint(g_strv_length(parts), ==, 2);
    return g_strconcat(parts[0], to, parts[1], NULL);
}

/* A QEMU that does not know the argument does not show its value. */
static void
test_status_pause(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(QmpcSevStatus) status = {0};
    g_auto(QmpcSevStatus) without = {0};
    g_autofree char *reply =
        reply_with("\"hold-sending\": false", "\"hold-sending\": false, \"pause\": true");

    g_assert_true(qmpc_sev_status_parse(SEV_REPLY, &without, &error));
    g_assert_false(without.tune.has_pause);
    g_assert_true(qmpc_sev_status_parse(reply, &status, &error));
    g_assert_true(status.tune.has_pause);
    g_assert_true(status.tune.pause);
}

static void
test_status_after_switchover(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(QmpcSevStatus) status = {0};
    g_autofree char *reply =
        reply_with("\"expected-us\": 750000", "\"stop-us\":1,\"ram-us\":2,\"device-us\":3,"
                                              "\"finish-us\":4,\"downtime-us\":5");
    g_assert_true(qmpc_sev_status_parse(reply, &status, &error));
    g_assert_false(status.switchover.has_expected);
    g_assert_true(status.switchover.has_result);
    g_assert_cmpuint(status.switchover.finish_us, ==, 4);
    g_assert_cmpuint(status.switchover.downtime_us, ==, 5);
}

/* Who the destination is: from the exchange of keys on, and only what is known speaks for it. */
static void
test_status_peer(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(QmpcSevStatus) status = {0};
    g_autofree char *reply = reply_with(
        "\"switchover\": {", "\"peer\": {\"address\": \"tcp:b:1\", \"pdh-digest\": \"12ab\", "
                             "\"subject\": \"CN=b\", \"verified\": [\"tls\", \"new\", "
                             "\"pinned\"]}, \"switchover\": {");

    g_assert_true(qmpc_sev_status_parse(SEV_REPLY, &status, &error));
    g_assert_false(status.peer.known);
    qmpc_sev_status_clear(&status);
    g_assert_true(qmpc_sev_status_parse(reply, &status, &error));
    g_assert_no_error(error);
    g_assert_true(status.peer.known);
    g_assert_cmpuint(status.peer.verified, ==, QMPC_SEV_PEER_TLS | QMPC_SEV_PEER_PINNED);
    g_assert_cmpstr(status.peer.pdh_digest, ==, "12ab");
    g_assert_cmpstr(status.peer.platform_digest, ==, "");
    g_assert_cmpstr(status.peer.subject, ==, "CN=b");
}

static void
test_status_bad(void)
{
    static const struct {
        const char *from;
        const char *to;
        const char *path;
    } cases[] = {
        {"\"pass\": 3,", "", "return.ram.pass: missing"},
        {"\"pass\": 3,", "\"pass\": -3,", "return.ram.pass"},
        {"\"pass\": 3,", "\"pass\": \"3\",", "return.ram.pass"},
        {"\"pass\": 3,", "\"pass\": 3.5,", "return.ram.pass"},
        {"\"pass\": 3,", "\"pass\": null,", "return.ram.pass"},
        {"\"page-size\": 4096", "\"page-size\": 4294967296", "return.ram.page-size"},
        {"\"firmware\": \"soft\"", "\"firmware\": \"hard\"", "return.firmware"},
        {"\"guest-state\": \"sending\", ", "", "return.guest-state: missing"},
        {"\"switchover\": \"auto\"", "\"switchover\": 1", "return.tune.switchover"},
        {"\"hold-sending\": false", "\"hold-sending\": 0", "return.tune.hold-sending"},
        {"\"vcpus\": [", "\"vcpus\": [7, ", "return.vcpus[0]"},
        {"\"throttle\": 35", "\"throttl\": 35", "return.vcpus[0].throttle: missing"},
        {"18446744073709551615", "{}", "return.vcpus[1].dirtied-pages"},
        {"[ 310, 120", "[ 310, -1", "return.send.run-histogram[1]"},
        {"\"run-histogram\": [ ]", "\"run-histogram\": {}", "return.receive.run-histogram"},
        {"\"expected-us\": 750000", "\"downtime-us\": 5", "return.switchover.stop-us: missing"},
        {"\"limits\": {", "\"limits\": 5, \"x\": {", "return.limits"},
        {"\"limits\": {", "\"peer\": [], \"limits\": {", "return.peer"},
        {"\"limits\": {", "\"peer\": {\"pdh-digest\": \"1\"}, \"limits\": {",
         "return.peer.verified: missing"},
        {"\"limits\": {", "\"peer\": {\"verified\": []}, \"limits\": {",
         "return.peer.pdh-digest: missing"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        QmpcSevStatus status = {.n_vcpus = 42};
        g_autofree char *reply = reply_with(cases[i].from, cases[i].to);
        g_assert_false(qmpc_sev_status_parse(reply, &status, &error));
        g_test_message("%s", error->message);
        g_assert_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER);
        g_assert_nonnull(strstr(error->message, cases[i].path));
        g_assert_cmpuint(status.n_vcpus, ==, 42); /* not touched on failure */
    }
}

static void
test_status_too_many(void)
{
    g_autoptr(GError) error = NULL;
    QmpcSevStatus status;
    g_autoptr(GString) list = g_string_new("[ 0");
    for (unsigned i = 0; i < QMPC_SEV_MAX_RUN_BUCKETS; i++)
        g_string_append(list, ", 0");
    g_string_append(list, ", 310");
    g_autofree char *reply = reply_with("[ 310", list->str);
    g_assert_false(qmpc_sev_status_parse(reply, &status, &error));
    g_assert_error(error, QMPC_ERROR, QMPC_ERROR_LIMIT);
}

static void
test_status_refused(void)
{
    g_autoptr(GError) error = NULL;
    QmpcSevStatus status;
    g_assert_false(qmpc_sev_status_parse(
        "{\"error\":{\"class\":\"GenericError\",\"desc\":\"this guest has no SEV\"},\"id\":\"1\"}",
        &status, &error));
    g_assert_error(error, QMPC_ERROR, QMPC_ERROR_COMMAND);
    g_assert_nonnull(strstr(error->message, "this guest has no SEV"));
}

static void
test_migration_info(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(QmpcMigrationInfo) none = {0};
    g_assert_true(qmpc_migration_info_parse("{\"return\":{}}", &none, &error));
    g_assert_cmpint(none.status, ==, QMPC_MIGRATION_NONE);
    g_assert_false(none.has_ram);

    g_auto(QmpcMigrationInfo) info = {0};
    g_assert_true(qmpc_migration_info_parse(
        "{\"return\":{\"status\":\"failed\",\"total-time\":12,\"error-desc\":\"why\","
        "\"cpu-throttle-percentage\":40,\"ram\":{\"transferred\":1,\"remaining\":2,\"total\":3,"
        "\"dirty-sync-count\":4,\"dirty-pages-rate\":5,\"page-size\":4096}}}",
        &info, &error));
    g_assert_no_error(error);
    g_assert_true(qmpc_migration_status_is_final(info.status));
    g_assert_cmpstr(info.error_desc, ==, "why");
    g_assert_true(info.has_ram && info.has_total_time && !info.has_downtime);
    g_assert_cmpuint(info.dirty_sync_count, ==, 4);
    g_assert_cmpuint(info.auto_converge_throttle_percent, ==, 40);

    QmpcMigrationInfo untouched = {0};
    g_assert_false(qmpc_migration_info_parse("{\"return\":{\"status\":\"active\",\"ram\":{}}}",
                                             &untouched, &error));
    g_assert_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER);
    g_assert_nonnull(strstr(error->message, "return.ram.transferred"));
}

static void
test_blocked_reasons(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(QmpcMigrationInfo) info = {0};
    g_auto(QmpcMigrationInfo) free_to_go = {0};
    g_assert_true(qmpc_migration_info_parse(
        "{\"return\":{\"blocked-reasons\":[\"a shared device\",\"another\"]}}", &info, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(g_strv_length(info.blocked_reasons), ==, 2);
    g_assert_cmpstr(info.blocked_reasons[0], ==, "a shared device");
    g_assert_true(
        qmpc_migration_info_parse("{\"return\":{\"blocked-reasons\":[]}}", &free_to_go, &error));
    g_assert_null(free_to_go.blocked_reasons);

    QmpcMigrationInfo untouched = {0};
    g_assert_false(
        qmpc_migration_info_parse("{\"return\":{\"blocked-reasons\":[1]}}", &untouched, &error));
    g_assert_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER);
    g_assert_nonnull(strstr(error->message, "return.blocked-reasons[0]"));
    g_assert_null(untouched.blocked_reasons);
}

static void
test_status_names(void)
{
    for (int i = 0; i < QMPC_MIGRATION_UNKNOWN; i++) {
        const char *name = qmpc_migration_status_name((QmpcMigrationStatus)i);
        g_assert_cmpint(qmpc_migration_status_from_name(name), ==, i);
    }
    g_assert_cmpint(qmpc_migration_status_from_name("teleport"), ==, QMPC_MIGRATION_UNKNOWN);
}

static void
test_capabilities(void)
{
    g_autoptr(GError) error = NULL;
    QmpcMigrationCapabilities capabilities;
    g_assert_true(qmpc_migration_capabilities_parse(
        "{\"return\":[{\"capability\":\"auto-converge\",\"state\":true},"
        "{\"capability\":\"events\",\"state\":true},{\"capability\":\"xbzrle\",\"state\":false},"
        "{\"capability\":\"pause-before-switchover\",\"state\":false},"
        "{\"capability\":\"return-path\",\"state\":true},{\"capability\":\"new\",\"state\":true},"
        "{\"capability\":\"multifd\",\"state\":false},"
        "{\"capability\":\"postcopy-ram\",\"state\":false}]}",
        &capabilities, &error));
    g_assert_no_error(error);
    g_assert_true(capabilities.auto_converge && capabilities.events && capabilities.return_path);
    g_assert_false(capabilities.multifd || capabilities.xbzrle);

    g_assert_false(qmpc_migration_capabilities_parse(
        "{\"return\":[{\"capability\":\"events\",\"state\":true}]}", &capabilities, &error));
    g_assert_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER);
}

static void
test_parameters(void)
{
    g_autoptr(GError) error = NULL;
    QmpcMigrationParameters parameters;
    g_assert_true(qmpc_migration_parameters_parse(
        "{\"return\":{\"downtime-limit\":300,\"max-bandwidth\":134217728,"
        "\"cpu-throttle-initial\":20,\"cpu-throttle-increment\":10,\"max-cpu-throttle\":99}}",
        &parameters, &error));
    g_assert_cmpuint(parameters.downtime_limit_ms, ==, 300);
    g_assert_cmpuint(parameters.max_cpu_throttle_percent, ==, 99);
    g_assert_false(qmpc_migration_parameters_parse("{\"return\":{}}", &parameters, &error));
    g_assert_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER);
}

static void
test_events(void)
{
    g_autoptr(GError) error = NULL;
    QmpcEvent event;
    g_assert_true(qmpc_event_parse("MIGRATION", "{\"status\":\"setup\"}", &event, &error));
    g_assert_cmpint(event.type, ==, QMPC_EVENT_MIGRATION);
    g_assert_cmpint(event.status, ==, QMPC_MIGRATION_SETUP);
    g_assert_true(qmpc_event_parse("MIGRATION_PASS", "{\"pass\":2}", &event, &error));
    g_assert_cmpuint(event.pass, ==, 2);
    g_assert_true(qmpc_event_parse("X_SEV_MIGRATION_LEASE_EXPIRED", NULL, &event, &error));
    g_assert_cmpint(event.type, ==, QMPC_EVENT_SEV_LEASE_EXPIRED);
    g_assert_true(qmpc_event_parse("STOP", "", &event, &error));
    g_assert_cmpint(event.type, ==, QMPC_EVENT_STOP);
    g_assert_true(qmpc_event_parse("VSERPORT_CHANGE", "{}", &event, &error));
    g_assert_cmpint(event.type, ==, QMPC_EVENT_OTHER);
    g_assert_no_error(error);

    static const char *const bad[] = {"{}", "[]", "{\"status\":1}", "{"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) bad_error = NULL;
        g_assert_false(qmpc_event_parse("MIGRATION", bad[i], &event, &bad_error));
        g_assert_nonnull(strstr(bad_error->message, "MIGRATION"));
    }
}

#define SCHEMA(command, arguments, event)                                                          \
    "{\"return\":[{\"name\":\"" command "\",\"meta-type\":\"command\",\"arg-type\":\"7\","         \
    "\"ret-type\":\"8\"},{\"name\":\"x-query-sev-migration\",\"meta-type\":\"command\","           \
    "\"arg-type\":\"0\",\"ret-type\":\"8\"},{\"name\":\"" event                                    \
    "\",\"meta-type\":\"event\",\"arg-type\":\"0\"},{\"name\":\"0\",\"meta-type\":\"object\","     \
    "\"members\":[]},{\"name\":\"7\",\"meta-type\":\"object\",\"members\":[" arguments "]}]}"
#define ARG(name) "{\"name\":\"" name "\",\"default\":null,\"type\":\"int\"}"
#define MOST_ARGS                                                                                  \
    ARG("batch-pages")                                                                             \
    "," ARG("batch-gap-pages") "," ARG("vcpu-throttle") "," ARG("vcpu-throttles") "," ARG(         \
        "throttle-slice-us") "," ARG("sync-interval-ms") "," ARG("switchover") "," ARG("downtime-" \
                                                                                       "limit-us")
#define ALL_ARGS MOST_ARGS "," ARG("hold-sending") "," ARG("lease-ms")
#define TUNE "x-sev-migration-tune"
#define LEASE "X_SEV_MIGRATION_LEASE_EXPIRED"

static void
test_schema(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(QmpcSchema) schema = qmpc_schema_parse(SCHEMA(TUNE, ALL_ARGS, LEASE), &error);
    g_assert_no_error(error);
    g_assert_true(qmpc_schema_has_argument(schema, TUNE, "lease-ms"));
    g_assert_false(qmpc_schema_has_argument(schema, TUNE, "lease"));
    g_assert_false(qmpc_schema_has_argument(schema, "stop", "lease-ms"));
    g_assert_true(qmpc_schema_check_sev_migration(schema, &error));

    static const struct {
        const char *reply;
        const char *names;
    } lacking[] = {
        {SCHEMA("stop", ALL_ARGS, LEASE), TUNE},
        {SCHEMA(TUNE, MOST_ARGS, LEASE), "hold-sending"},
        {SCHEMA(TUNE, ALL_ARGS, "STOP"), LEASE},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(lacking); i++) {
        g_autoptr(GError) why = NULL;
        g_autoptr(QmpcSchema) lacks = qmpc_schema_parse(lacking[i].reply, &error);
        g_assert_no_error(error);
        g_assert_false(qmpc_schema_check_sev_migration(lacks, &why));
        g_assert_error(why, QMPC_ERROR, QMPC_ERROR_COMMAND_NOT_FOUND);
        g_assert_nonnull(strstr(why->message, lacking[i].names));
    }
}

static void
test_schema_bad(void)
{
    static const char *const bad[] = {
        "{\"return\":{}}",
        "{\"return\":[1]}",
        "{\"return\":[{\"name\":\"a\"}]}",
        "{\"return\":[{\"name\":\"a\",\"meta-type\":\"command\"}]}",
        "{\"return\":[{\"name\":\"a\",\"meta-type\":\"command\",\"arg-type\":\"9\"}]}",
        "{\"return\":[{\"name\":\"a\",\"meta-type\":\"command\",\"arg-type\":\"9\"},"
        "{\"name\":\"9\",\"meta-type\":\"object\",\"members\":[{}]}]}",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(qmpc_schema_parse(bad[i], &error));
        g_assert_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/typed/tune/empty", test_tune_empty);
    g_test_add_func("/typed/tune/full", test_tune_full);
    g_test_add_func("/typed/tune/bad", test_tune_bad);
    g_test_add_func("/typed/status", test_status);
    g_test_add_func("/typed/status/pause", test_status_pause);
    g_test_add_func("/typed/status/after-switchover", test_status_after_switchover);
    g_test_add_func("/typed/status/peer", test_status_peer);
    g_test_add_func("/typed/status/bad", test_status_bad);
    g_test_add_func("/typed/status/too-many", test_status_too_many);
    g_test_add_func("/typed/status/refused", test_status_refused);
    g_test_add_func("/typed/migration/info", test_migration_info);
    g_test_add_func("/typed/migration/blocked-reasons", test_blocked_reasons);
    g_test_add_func("/typed/migration/names", test_status_names);
    g_test_add_func("/typed/migration/capabilities", test_capabilities);
    g_test_add_func("/typed/migration/parameters", test_parameters);
    g_test_add_func("/typed/events", test_events);
    g_test_add_func("/typed/schema", test_schema);
    g_test_add_func("/typed/schema/bad", test_schema_bad);
    return g_test_run();
}
