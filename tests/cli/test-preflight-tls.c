/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What preflight says of TLS, by qemu.conf and by certificates of any age. */
#include <glib/gstdio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "preflight.h"

#define DAY_S (24 * 60 * 60)

typedef struct {
    char *directory;
} Fixture;

static void
fixture_set_up(Fixture *self, gconstpointer data)
{
    self->directory = g_dir_make_tmp("sevmig-tls-XXXXXX", NULL);
    g_assert_nonnull(self->directory);
}

static void
remove_file(const Fixture *self, const char *name)
{
    g_autofree char *path = g_build_filename(self->directory, name, NULL);
    (void)g_remove(path);
}

static void
fixture_tear_down(Fixture *self, gconstpointer data)
{
    remove_file(self, "ca-cert.pem");
    remove_file(self, "client-cert.pem");
    remove_file(self, "client-key.pem");
    (void)g_rmdir(self->directory);
    g_free(self->directory);
}

static void
write_text(const Fixture *self, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(self->directory, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Signed by itself, valid from and until so many days from now; appended to the file. */
static void
add_certificate(const Fixture *self, const char *name, int from_days, int until_days)
{
    g_autofree char *path = g_build_filename(self->directory, name, NULL);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    FILE *file = fopen(path, "ae");

    g_assert_true(key != NULL && certificate != NULL && file != NULL);
    X509_gmtime_adj(X509_getm_notBefore(certificate), (long)from_days * DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(certificate), (long)until_days * DAY_S);
    X509_set_pubkey(certificate, key);
    g_assert_cmpint(X509_sign(certificate, key, EVP_sha256()), >, 0);
    g_assert_cmpint(PEM_write_X509(file, certificate), ==, 1);
    g_assert_cmpint(fclose(file), ==, 0);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void
expect(const Fixture *self, const char *conf, CheckState state, const char *found)
{
    g_autoptr(GArray) checks = checks_new();
    Preflight preflight = {.checks = checks};

    preflight.conf.text =
        g_strdup_printf("migrate_tls_x509_cert_dir = \"%s\"\n%s\n", self->directory, conf);
    preflight_check_tls(&preflight, NULL);
    qemu_conf_clear(&preflight.conf);
    g_assert_cmpuint(checks->len, ==, 1);
    const Check *check = &g_array_index(checks, Check, 0);
    g_test_message("%s", check->found);
    g_assert_cmpstr(check->name, ==, "TLS");
    g_assert_cmpint(check->state, ==, state);
    g_assert_nonnull(strstr(check->found, found));
    g_assert_true(state == CHECK_GOOD || *check->mend != '\0');
}

#define FORCED "migrate_tls_force = 1"

static void
test_missing(Fixture *self, gconstpointer data)
{
    expect(self, FORCED, CHECK_BAD, "ca-cert.pem: No such file");
    add_certificate(self, "ca-cert.pem", -1, 1);
    expect(self, FORCED, CHECK_BAD, "client-cert.pem: No such file");
    expect(self, FORCED "\nmigrate_tls_x509_verify = 0", CHECK_GOOD, "forced");
    expect(self, FORCED "\ndefault_tls_x509_verify = 0", CHECK_GOOD, "forced");
    add_certificate(self, "client-cert.pem", -1, 1);
    expect(self, FORCED, CHECK_BAD, "client-key.pem: No such file");
    write_text(self, "client-key.pem", "secret");
    expect(self, FORCED, CHECK_GOOD, "forced");
}

static void
test_times(Fixture *self, gconstpointer data)
{
    write_text(self, "client-key.pem", "secret");
    add_certificate(self, "ca-cert.pem", -1, 1);
    add_certificate(self, "client-cert.pem", -2, -1);
    expect(self, FORCED, CHECK_BAD, "client-cert.pem has expired");
    remove_file(self, "client-cert.pem");
    add_certificate(self, "client-cert.pem", 1, 2);
    expect(self, FORCED, CHECK_BAD, "client-cert.pem is not valid yet");
    write_text(self, "client-cert.pem", "hello");
    expect(self, FORCED, CHECK_BAD, "client-cert.pem is no certificate");
    remove_file(self, "client-cert.pem");
    add_certificate(self, "client-cert.pem", -1, 1);
    add_certificate(self, "ca-cert.pem", -2, -1);
    expect(self, FORCED, CHECK_BAD, "ca-cert.pem has expired");
}

static void
test_not_forced(Fixture *self, gconstpointer data)
{
    expect(self, "migrate_tls_force = 0", CHECK_NOTE, "ca-cert.pem: No such file");
    write_text(self, "client-key.pem", "secret");
    add_certificate(self, "ca-cert.pem", -1, 1);
    add_certificate(self, "client-cert.pem", -1, 1);
    expect(self, "", CHECK_GOOD, "if the client asks");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                        \
    g_test_add("/preflight-tls/" name, Fixture, NULL, fixture_set_up, function, fixture_tear_down)
    ADD("missing", test_missing);
    ADD("times", test_times);
    ADD("not-forced", test_not_forced);
#undef ADD
    return g_test_run();
}
