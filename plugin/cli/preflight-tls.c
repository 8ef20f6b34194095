/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether this host forces migrations to use TLS, and has what its QEMU, the client, needs for it:
 * the authority's certificate, and its own, for which the destination asks.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "preflight.h"

#define OWN_DIRECTORY "/etc/pki/libvirt-migrate" /* if it exists */
#define QEMU_DIRECTORY "/etc/pki/qemu"

static const char no_tls_mend[] =
    "the client alone decides: \"virsh migrate --tls\", Nova's live_migration_with_native_tls";

/* By libvirt's order. */
static char *
find_directory(const QemuConf *conf)
{
    const char *fallback = g_file_test(OWN_DIRECTORY, G_FILE_TEST_IS_DIR) ? OWN_DIRECTORY : NULL;
    char *directory = qemu_conf_string(conf, "migrate_tls_x509_cert_dir", fallback);
    return directory != NULL ? directory
                             : qemu_conf_string(conf, "default_tls_x509_cert_dir", QEMU_DIRECTORY);
}

static gboolean
destination_verifies(const QemuConf *conf)
{
    gint64 all = qemu_conf_number(conf, "default_tls_x509_verify", 1);
    return qemu_conf_number(conf, "migrate_tls_x509_verify", all) != 0;
}

/* What is wrong with the time of one, NULL if nothing is. */
static const char *
judge_certificate(const X509 *certificate)
{
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
        return "has expired";
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
        return "is not valid yet";
    return NULL;
}

/* Of all in the file: QEMU takes none of a file in which one is past. Caller frees. */
static char *
judge_file(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    FILE *file = fopen(path, "re");
    const char *wrong = NULL;
    guint n = 0;
    if (file == NULL)
        return g_strdup_printf("%s: %s", path, g_strerror(errno));
    for (X509 *one; wrong == NULL && (one = PEM_read_X509(file, NULL, NULL, NULL)) != NULL; n++) {
        wrong = judge_certificate(one);
        X509_free(one);
    }
    ERR_clear_error(); /* the end of the file is one */
    fclose(file);
    if (n == 0)
        wrong = "is no certificate";
    return wrong != NULL ? g_strdup_printf("%s %s", path, wrong) : NULL;
}

/* What is missing or wrong first, NULL if nothing is. Caller frees. */
static char *
judge_directory(const QemuConf *conf, const char *directory)
{
    char *wrong = judge_file(directory, "ca-cert.pem");
    g_autofree char *own = g_build_filename(directory, "client-cert.pem", NULL);
    g_autofree char *key = g_build_filename(directory, "client-key.pem", NULL);
    gboolean needed = destination_verifies(conf) || g_file_test(own, G_FILE_TEST_EXISTS);
    if (wrong == NULL && needed)
        wrong = judge_file(directory, "client-cert.pem");
    if (wrong == NULL && needed && !g_file_test(key, G_FILE_TEST_EXISTS))
        wrong = g_strdup_printf("%s: %s", key, g_strerror(ENOENT));
    return wrong;
}

void
preflight_check_tls(Preflight *self, const GError *conf_error)
{
    gboolean forced = qemu_conf_number(&self->conf, "migrate_tls_force", 0) != 0;
    g_autofree char *directory = find_directory(&self->conf);
    g_autofree char *wrong = judge_directory(&self->conf, directory);
    g_autofree char *found = NULL;
    if (conf_error != NULL) {
        checks_add(self->checks, "TLS", CHECK_NOTE, conf_error->message,
                   "as root it is seen whether migrations must use TLS");
    } else if (!forced && (wrong == NULL || !g_file_test(directory, G_FILE_TEST_IS_DIR))) {
        checks_add(self->checks, "TLS", CHECK_GOOD, "if the client asks for it", "");
    } else if (!forced) {
        found = g_strdup_printf("not if a client asks for it: %s", wrong);
        checks_add(self->checks, "TLS", CHECK_NOTE, found, no_tls_mend);
    } else {
        found = g_strdup_printf("forced (migrate_tls_force)%s%s", wrong != NULL ? ", but " : "",
                                wrong != NULL ? wrong : "");
        checks_add(self->checks, "TLS", wrong != NULL ? CHECK_BAD : CHECK_GOOD, found,
                   "put certificates that are valid there, see \"virt-pki-validate\", or "
                   "change " QEMU_CONF);
    }
}
