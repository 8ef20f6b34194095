/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor.h"

#include <string.h>

#include "remote.h"
#include "sevmig-names.h"

#define POLKIT "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define ACTIONS "a(ssssssuuua{ss})"
#define PREFIX "org.sevmig1."

static guint
count_actions(GVariant *reply)
{
    g_autoptr(GVariant) actions = g_variant_get_child_value(reply, 0);
    guint n = 0;
    for (gsize i = 0; i < g_variant_n_children(actions); i++) {
        g_autoptr(GVariant) action = g_variant_get_child_value(actions, i);
        const char *id;
        g_variant_get_child(action, 0, "&s", &id);
        n += g_str_has_prefix(id, PREFIX);
    }
    return n;
}

static void
check_polkit(Doctor *self)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
        self->cli->bus, POLKIT, POLKIT_PATH, POLKIT ".Authority", "EnumerateActions",
        g_variant_new("(s)", ""), G_VARIANT_TYPE("(" ACTIONS ")"), G_DBUS_CALL_FLAGS_NONE,
        self->cli->timeout_s * 1000, NULL, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        g_autofree char *late = g_strdup_printf("did not answer within %d s", self->cli->timeout_s);
        checks_add(self->checks, "polkit", CHECK_BAD, late,
                   "\"systemctl restart polkit\"; until it answers, sevmigd refuses everyone");
        return;
    }
    if (reply == NULL) {
        g_dbus_error_strip_remote_error(error);
        checks_add(self->checks, "polkit", CHECK_BAD, error->message,
                   "install and start polkit: without it sevmigd refuses everyone");
        return;
    }
    guint n = count_actions(reply);
    g_autofree char *found = g_strdup_printf("runs, and knows %u actions of sevmig", n);
    checks_add(self->checks, "polkit", n > 0 ? CHECK_GOOD : CHECK_BAD, found,
               "/usr/share/polkit-1/actions/org.sevmig1.policy is missing: install sevmig again");
}

static void
check_policies(Doctor *self, GVariant *manager)
{
    g_autofree char *wrong = text_member(manager, "PolicyError");
    checks_add(self->checks, "policies", *wrong == '\0' ? CHECK_GOOD : CHECK_BAD,
               *wrong == '\0' ? "in force as they are on disk, or were at the last reload" : wrong,
               "mend the file, \"sevmigctl policy lint\" it, then \"sevmigctl policy reload\"");
}

static void
check_sevmigd(Doctor *self)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) manager =
        remote_properties(self->cli, SEVMIG_MANAGER_PATH, SEVMIG_MANAGER_INTERFACE, &error);
    if (manager == NULL) {
        checks_add(self->checks, "sevmigd", CHECK_BAD, error->message,
                   "\"systemctl enable --now sevmigd\"; \"journalctl -xu sevmigd\" tells why not");
        return;
    }
    g_autofree char *version = text_member(manager, "Version");
    g_autofree char *libvirt = text_member(manager, "LibvirtState");
    gboolean connected = strcmp(libvirt, "connected") == 0;
    gboolean same = strcmp(version, SEVMIG_VERSION) == 0;
    g_autofree char *found = g_strdup_printf("%s%s; libvirt: %s", version,
                                             same ? "" : ", sevmigctl is " SEVMIG_VERSION, libvirt);
    checks_add(self->checks, "sevmigd", connected && same ? CHECK_GOOD : CHECK_BAD, found,
               connected ? "\"systemctl restart sevmigd\" after an upgrade"
                         : "libvirt must run, and let the user sevmig in: see sevmigd(8)");
    check_policies(self, manager);
}

void
doctor_check_bus(Doctor *self)
{
    g_autoptr(GError) error = NULL;
    if (!remote_open(self->cli, &error)) {
        checks_add(self->checks, "bus", CHECK_BAD, error->message,
                   "\"systemctl start dbus\"; nothing of sevmigd can be seen without it");
        return;
    }
    checks_add(self->checks, "bus", CHECK_GOOD, "reached", "");
    check_polkit(self);
    check_sevmigd(self);
}
