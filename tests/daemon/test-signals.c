/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the bus tells by itself: objects that come and go, and changes, not too often. */
#include <gio/gio.h>

#include "bus.h"
#include "sevmig-names.h"

typedef struct {
    GTestDBus *daemon;
    GDBusConnection *listener;
    guint subscription;
    SevmigBus *bus;
    guint n_names;
    guint n_added;
    guint n_removed;
    guint n_ended;
    guint n_changes;
    GVariant *last_change; /* a{sv} of a migration */
    guint32 active;        /* of the manager, as last told */
} Fixture;

static const char *
nothing(gpointer user_data)
{
    return "";
}

static GVariant *
no_policies(gpointer user_data)
{
    return g_variant_new_array(G_VARIANT_TYPE_VARDICT, NULL, 0);
}

static void
name_changed(gboolean owned, gpointer user_data)
{
    ((Fixture *)user_data)->n_names += owned;
}

static const SevmigBusOps ops = {
    .libvirt_state = nothing,
    .policy_error = nothing,
    .list_policies = no_policies,
    .name_changed = name_changed,
};

static void
on_signal(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
          const char *signal, GVariant *parameters, gpointer user_data)
{
    Fixture *f = user_data;
    g_autoptr(GVariant) changed = NULL;
    const char *about;

    f->n_added += g_str_equal(signal, "MigrationAdded");
    f->n_removed += g_str_equal(signal, "MigrationRemoved");
    f->n_ended += g_str_equal(signal, "Ended");
    if (!g_str_equal(signal, "PropertiesChanged"))
        return;
    g_variant_get(parameters, "(&s@a{sv}as)", &about, &changed, NULL);
    if (g_str_equal(about, SEVMIG_MANAGER_INTERFACE)) {
        g_variant_lookup(changed, "ActiveMigrations", "u", &f->active);
        return;
    }
    f->n_changes++;
    g_clear_pointer(&f->last_change, g_variant_unref);
    f->last_change = g_steal_pointer(&changed);
}

static void
run_for(guint ms)
{
    gint64 until_us = g_get_monotonic_time() + ms * 1000;

    while (g_get_monotonic_time() < until_us) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(500);
    }
}

static void
wait_for(const guint *counter, guint value)
{
    for (guint i = 0; i < 10000 && *counter < value; i++)
        run_for(1);
    g_assert_cmpuint(*counter, >=, value);
}

static void
fixture_set_up(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    const char *address;

    f->daemon = g_test_dbus_new(G_TEST_DBUS_NONE);
    g_test_dbus_up(f->daemon);
    address = g_test_dbus_get_bus_address(f->daemon);
    f->bus = sevmig_bus_new(address, &ops, f, &error);
    g_assert_no_error(error);
    f->listener =
        g_dbus_connection_new_for_address_sync(address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL, NULL, &error);
    g_assert_no_error(error);
    f->subscription =
        g_dbus_connection_signal_subscribe(f->listener, SEVMIG_BUS_NAME, NULL, NULL, NULL, NULL,
                                           G_DBUS_SIGNAL_FLAGS_NONE, on_signal, f, NULL);
    wait_for(&f->n_names, 1);
    run_for(50);
}

static void
fixture_tear_down(Fixture *f, gconstpointer data)
{
    sevmig_bus_free(f->bus);
    g_dbus_connection_signal_unsubscribe(f->listener, f->subscription);
    g_dbus_connection_close_sync(f->listener, NULL, NULL);
    g_object_unref(f->listener);
    g_clear_pointer(&f->last_change, g_variant_unref);
    run_for(20);
    g_test_dbus_down(f->daemon);
    g_object_unref(f->daemon);
}

static void
test_life(Fixture *f, gconstpointer data)
{
    SevmigInfo info;

    sevmig_info_init(&info);
    sevmig_info_set(&info.id, "a-b");
    sevmig_bus_add(f->bus, &info, TRUE);
    wait_for(&f->n_added, 1);
    wait_for(&f->active, 1);
    sevmig_info_set(&info.phase, "done");
    sevmig_bus_ended(f->bus, &info);
    wait_for(&f->n_ended, 1);
    g_assert_cmpuint(f->n_changes, ==, 1); /* the final values come before the end */
    sevmig_bus_ended(f->bus, &info);
    sevmig_bus_remove(f->bus, &info);
    sevmig_bus_remove(f->bus, &info);
    sevmig_bus_changed(f->bus, &info); /* unknown by now */
    wait_for(&f->n_removed, 1);
    /* At most four changes a second are told of; on a busy machine the last may come late. */
    for (guint i = 0; i < 10000 && f->active > 0; i++)
        run_for(1);
    run_for(300);
    g_assert_cmpuint(f->n_ended, ==, 1);
    g_assert_cmpuint(f->n_removed, ==, 1);
    g_assert_cmpuint(f->active, ==, 0);
    sevmig_info_clear(&info);
}

/* A hundred changes a second are told of at most four times, only what differs, the last one last.
 */
static void
test_rate(Fixture *f, gconstpointer data)
{
    gint64 start_us = g_get_monotonic_time();
    guint64 pages = 0;
    double seconds;
    SevmigInfo info;

    sevmig_info_init(&info);
    sevmig_info_set(&info.id, "a");
    sevmig_bus_add(f->bus, &info, TRUE);
    for (guint i = 1; i <= 150; i++) {
        info.remaining_pages = i;
        sevmig_bus_changed(f->bus, &info);
        run_for(10);
    }
    run_for(300);
    seconds = (double)(g_get_monotonic_time() - start_us) / G_USEC_PER_SEC;
    g_assert_cmpuint(f->n_changes, >=, 3);
    g_assert_cmpfloat(f->n_changes, <=, seconds * 4 + 2);
    g_assert_cmpuint(g_variant_n_children(f->last_change), ==, 1);
    g_assert_true(g_variant_lookup(f->last_change, "RemainingPages", "t", &pages));
    g_assert_cmpuint(pages, ==, 150);
    sevmig_bus_remove(f->bus, &info);
    sevmig_info_clear(&info);
}

#define CASE(name, func) g_test_add(name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    CASE("/signals/life", test_life);
    CASE("/signals/rate", test_rate);
    return g_test_run();
}
