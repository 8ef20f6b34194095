/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The JSON of STATS and CONTROL. */
#include "support.h"

#include "swpsp-control.h"

#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)

typedef struct {
    TestPlatform platform;
    SwpspStats *stats;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    test_platform_init(&f->platform, NULL);
    f->stats = swpsp_stats_new();
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    swpsp_stats_free(f->stats);
    test_platform_clear(&f->platform);
}

/* Runs a command; NULL if it worked, else the error's text, to be freed. */
static char *
control(Fixture *f, const char *text)
{
    g_autofree char *answer = swpsp_control_run(f->platform.firmware, f->stats, text, strlen(text));
    g_autoptr(json_object) object = json_tokener_parse(answer);
    json_object *error;

    g_assert_nonnull(object);
    if (json_object_object_get_ex(object, "error", &error))
        return g_strdup(json_object_get_string(error));
    g_assert_true(json_object_object_get_ex(object, "return", NULL));
    return NULL;
}

static void
test_set(Fixture *f, gconstpointer data)
{
    const SwpspCost *cost = swpsp_firmware_cost(f->platform.firmware);

    g_assert_null(control(f, "{\"command\":\"set\",\"time-scale\":20,\"cost-split\":0.8}"));
    g_assert_cmpuint(cost->time_scale, ==, 20);
    g_assert_cmpfloat(cost->split, ==, 0.8);
    g_assert_cmpfloat(cost->page_us, ==, 1003);
    g_assert_null(control(f, "{\"command\":\"set\",\"page-cost-us\":500,\"receive-factor\":1.25}"));
    g_assert_cmpfloat(cost->page_us, ==, 500);
    g_assert_cmpfloat(cost->receive_factor, ==, 1.25);
}

/* Everything that is not right changes nothing and says so. */
static void
test_refused(Fixture *f, gconstpointer data)
{
    static const char *const texts[] = {
        "",
        "nonsense",
        "[]",
        "{}",
        "null",
        "{\"command\":1}",
        "{\"command\":\"unknown\"}",
        "{\"command\":\"set\",\"time-scale\":0}",
        "{\"command\":\"set\",\"time-scale\":-1}",
        "{\"command\":\"set\",\"time-scale\":1e300}",
        "{\"command\":\"set\",\"time-scale\":\"20\"}",
        "{\"command\":\"set\",\"cost-split\":1.5,\"time-scale\":30}",
        "{\"command\":\"set\",\"cost-split\":NaN}",
        "{\"command\":\"fault\"}",
        "{\"command\":\"fault\",\"op\":\"SEND_FINISH\"}",
        "{\"command\":\"fault\",\"op\":\"SEND_FINISH\",\"error\":\"NOPE\"}",
        "{\"command\":\"fault\",\"op\":\"SEND_UPDATE_DATA\",\"error\":\"NOT_CONTIGUOUS\"}",
        "{\"command\":\"fault\",\"op\":\"STATS\",\"error\":\"INACTIVE\"}",
        "{\"command\":\"fault\",\"op\":\"NOPE\",\"error\":\"INACTIVE\"}",
        "{\"command\":\"fault\",\"op\":\"SEND_FINISH\",\"error\":\"INACTIVE\",\"after\":-1}",
        "{\"command\":\"fault\",\"op\":\"SEND_FINISH\",\"kind\":\"nope\"}",
        "{\"command\":\"fault\",\"op\":\"SEND_FINISH\",\"kind\":\"none\"}",
        "{\"command\":\"fault\",\"op\":\"SEND_FINISH\",\"kind\":\"error\"}",
        "{\"command\":\"fault\",\"op\":\"SEND_FINISH\",\"kind\":\"delay\"}",
        "{\"command\":\"fault\",\"op\":\"SEND_FINISH\",\"kind\":\"delay\",\"delay-ms\":600001}",
        "{\"command\":\"fault\",\"op\":\"SEND_FINISH\",\"kind\":\"wrong-mac\"}",
        "{\"command\":\"fault\",\"op\":\"SEND_FINISH\",\"kind\":\"hang\",\"count\":-1}",
        "{\"command\":\"fault\",\"op\":\"SEND_FINISH\",\"kind\":\"hang\",\"count\":\"ever\"}",
        "{\"command\":\"reset-stats\"} trailing",
        "{\"command\":\"reset-stats\"",
    };
    const SwpspCost before = *swpsp_firmware_cost(f->platform.firmware);

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *error = control(f, texts[i]);
        g_test_message("%s: %s", texts[i], error);
        g_assert_nonnull(error);
    }
    g_assert_cmpmem(&before, sizeof(before), swpsp_firmware_cost(f->platform.firmware),
                    sizeof(before));
    g_assert_true(swpsp_faults_empty(swpsp_firmware_faults(f->platform.firmware)));
}

/* Very deep, very long, or with a zero byte in it. */
static void
test_hostile(Fixture *f, gconstpointer data)
{
    g_autofree char *deep = g_strnfill(50000, '[');
    g_autofree char *error = control(f, deep);
    g_assert_nonnull(error);

    g_autofree char *space = g_strnfill(100000, ' ');
    g_autofree char *error2 = control(f, space);
    g_assert_nonnull(error2);

    static const char zero[] = "{\"command\":\"reset-\0stats\"}";
    g_autofree char *answer =
        swpsp_control_run(f->platform.firmware, f->stats, zero, sizeof(zero) - 1);
    g_assert_nonnull(strstr(answer, "error"));
}

static void
test_fault(Fixture *f, gconstpointer data)
{
    g_auto(SwpspAnswer) answer = {0};

    g_assert_null(
        control(f, "{\"command\":\"fault\",\"op\":\"HELLO\",\"after\":1,\"error\":\"INACTIVE\"}"));
    for (unsigned i = 0; i < 3; i++) {
        swpsp_answer_clear(&answer);
        swpsp_firmware_execute(f->platform.firmware, 1, SWPSP_OP_HELLO, NULL, 0, &answer);
        g_assert_cmpint(answer.status, ==, i == 1 ? SWPSP_INACTIVE : SWPSP_OK);
    }
    g_assert_null(control(f, "{\"command\":\"fault\",\"op\":\"HELLO\",\"error\":\"INACTIVE\"}"));
    g_assert_null(control(f, "{\"command\":\"clear-faults\"}"));
    swpsp_answer_clear(&answer);
    swpsp_firmware_execute(f->platform.firmware, 1, SWPSP_OP_HELLO, NULL, 0, &answer);
    g_assert_cmpint(answer.status, ==, SWPSP_OK);
}

static json_object *
stats_json(Fixture *f)
{
    g_autofree char *text = swpsp_control_stats(f->platform.firmware, f->stats, 1234);
    json_object *object = json_tokener_parse(text);

    g_assert_nonnull(object);
    return object;
}

static json_object *
member(json_object *object, const char *name)
{
    json_object *value = NULL;

    g_assert_true(json_object_object_get_ex(object, name, &value));
    return value;
}

static int64_t
number(json_object *object, const char *name)
{
    return json_object_get_int64(member(object, name));
}

static void
test_stats(Fixture *f, gconstpointer data)
{
    SwpspClientStats *client = swpsp_stats_client_new(f->stats, 5, 4711);
    const SwpspServed served = {SWPSP_OP_SEND_UPDATE_DATA, SWPSP_OK, 3, 10, 700, 40};
    const SwpspServed failed = {SWPSP_OP_SEND_FINISH, SWPSP_INVALID_GUEST, 0, 0, 50, 2};
    const SwpspServed split = {SWPSP_OP_SEND_UPDATE_DATA, SWPSP_NOT_CONTIGUOUS, 1, 1, 0, 0};

    swpsp_stats_served(f->stats, client, &served);
    swpsp_stats_served(f->stats, client, &served);
    swpsp_stats_served(f->stats, client, &failed);
    swpsp_stats_served(f->stats, client, &split);
    swpsp_stats_queue_depth(f->stats, 3);
    swpsp_stats_queue_depth(f->stats, 2);
    client->handle = 9;
    client->state = SWPSP_GUEST_SENDING;

    g_autoptr(json_object) stats = stats_json(f);
    g_assert_cmpint(number(stats, "uptime_us"), ==, 1234);
    g_assert_cmpint(number(stats, "time_scale"), ==, 1);
    g_assert_cmpint(number(stats, "queue_depth_max"), ==, 3);
    g_assert_cmpint(number(stats, "submissions"), ==, 3);
    g_assert_cmpint(number(stats, "pages"), ==, 21);
    g_assert_cmpint(number(stats, "contiguity_splits"), ==, 1);
    g_assert_cmpint(number(stats, "service_us"), ==, 1450);
    json_object *ops = member(stats, "ops");
    g_assert_cmpint(json_object_object_length(ops), ==, 2);
    g_assert_cmpint(number(member(ops, "SEND_UPDATE_DATA"), "count"), ==, 3);
    g_assert_cmpint(number(member(ops, "SEND_UPDATE_DATA"), "errors"), ==, 0);
    g_assert_cmpint(number(member(ops, "SEND_FINISH"), "errors"), ==, 1);
    json_object *row = json_object_array_get_idx(member(stats, "clients"), 0);
    g_assert_cmpint(number(row, "pid"), ==, 4711);
    g_assert_cmpint(number(row, "wait_us"), ==, 82);
    g_assert_cmpint(number(row, "commands"), ==, 7);
    g_assert_cmpint(number(row, "errors"), ==, 1);
    g_assert_cmpint(number(row, "contiguity_splits"), ==, 1);
    g_assert_cmpstr(json_object_get_string(member(row, "state")), ==, "sending");
    g_assert_cmpfloat(json_object_get_double(member(member(stats, "cost_model"), "submit_us")), ==,
                      250.75);
}

/* Who used the firmware is remembered when gone, in bounds; a reset forgets. */
static void
test_stats_gone(Fixture *f, gconstpointer data)
{
    const SwpspServed served = {SWPSP_OP_SEND_FINISH, SWPSP_OK, 0, 0, 50, 0};
    SwpspClientStats *stays = swpsp_stats_client_new(f->stats, 1, 1);

    swpsp_stats_client_gone(f->stats, swpsp_stats_client_new(f->stats, 2, 2)); /* did nothing */
    for (unsigned i = 0; i < SWPSP_STATS_GONE + 10; i++) {
        SwpspClientStats *client = swpsp_stats_client_new(f->stats, 100 + i, 3);
        swpsp_stats_served(f->stats, client, &served);
        swpsp_stats_client_gone(f->stats, client);
    }
    g_autoptr(json_object) stats = stats_json(f);
    json_object *clients = member(stats, "clients");
    g_assert_cmpuint(json_object_array_length(clients), ==, 1 + SWPSP_STATS_GONE);
    g_assert_cmpint(number(json_object_array_get_idx(clients, 0), "id"), ==, 1);
    g_assert_cmpint(number(json_object_array_get_idx(clients, 1), "id"), ==, 110);

    swpsp_stats_served(f->stats, stays, &served);
    g_assert_null(control(f, "{\"command\":\"reset-stats\"}"));
    g_autoptr(json_object) after = stats_json(f);
    g_assert_cmpuint(json_object_array_length(member(after, "clients")), ==, 1);
    g_assert_cmpint(number(after, "service_us"), ==, 0);
    g_assert_cmpuint(stays->service_us, ==, 0);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*run)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/swpsp/control/set", test_set},         {"/swpsp/control/refused", test_refused},
        {"/swpsp/control/hostile", test_hostile}, {"/swpsp/control/fault", test_fault},
        {"/swpsp/control/stats", test_stats},     {"/swpsp/control/stats-gone", test_stats_gone},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].run, tear_down);
    return g_test_run();
}
