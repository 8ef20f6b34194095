/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qemu.conf as administrators write it. */
#include "qemu-conf.h"

static const char text[] = "# migrate_tls_force = 1\n"
                           "migrate_tls_forced = 7\n"
                           "  migrate_tls_force=0\n"
                           "migrate_tls_force = 1  # since spring\n"
                           "default_tls_x509_cert_dir = \"/etc/pki/a b\"\n"
                           "user = 'qemu'\n"
                           "empty = []\n"
                           "shared_filesystems = [\n"
                           "  \"/mnt/one\", # the old one\n"
                           "  # \"/mnt/gone\",\n"
                           "  '/mnt/two'\n"
                           "]\n"
                           "open = \"never closed\n";

static void
test_values(void)
{
    g_auto(QemuConf) conf = {g_strdup(text)};
    g_autofree char *directory = qemu_conf_string(&conf, "default_tls_x509_cert_dir", "unset");
    g_autofree char *user = qemu_conf_string(&conf, "user", NULL);
    g_autofree char *unset = qemu_conf_string(&conf, "migrate_tls_x509_cert_dir", "unset");
    g_autofree char *empty = qemu_conf_string(&conf, "empty", NULL);
    g_auto(GStrv) shared = qemu_conf_strings(&conf, "shared_filesystems");
    g_auto(GStrv) open = qemu_conf_strings(&conf, "open");

    g_assert_cmpint(qemu_conf_number(&conf, "migrate_tls_force", 0), ==, 1);
    g_assert_cmpint(qemu_conf_number(&conf, "migrate_tls_x509_verify", 9), ==, 9);
    g_assert_cmpint(qemu_conf_number(&conf, "user", 9), ==, 9);
    g_assert_cmpstr(directory, ==, "/etc/pki/a b");
    g_assert_cmpstr(user, ==, "qemu");
    g_assert_cmpstr(unset, ==, "unset");
    g_assert_null(empty);
    g_assert_cmpuint(g_strv_length(shared), ==, 2);
    g_assert_cmpstr(shared[0], ==, "/mnt/one");
    g_assert_cmpstr(shared[1], ==, "/mnt/two");
    g_assert_cmpuint(g_strv_length(open), ==, 0);
    g_assert_null(qemu_conf_strings(&conf, "user_"));
}

static void
test_files(void)
{
    g_auto(QemuConf) none = {0};
    g_auto(QemuConf) unreadable = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(qemu_conf_read(&none, "/nonexistent/qemu.conf", &error));
    g_assert_no_error(error);
    g_assert_cmpint(qemu_conf_number(&none, "migrate_tls_force", 0), ==, 0);
    g_assert_false(qemu_conf_read(&unreadable, "/", &error));
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_ISDIR);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qemu-conf/values", test_values);
    g_test_add_func("/qemu-conf/files", test_files);
    return g_test_run();
}
