/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Certificates, chains, and the identity that is kept on disk. */
#include "support.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    char *dir;
    char *file;      /* the identity in it */
    char *domain_ca; /* a path in it, not made */
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    f->dir = g_dir_make_tmp("swpsp-XXXXXX", &error);
    g_assert_no_error(error);
    f->file = g_build_filename(f->dir, "identity", NULL);
    f->domain_ca = g_build_filename(f->dir, "oca.pem", NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_unlink(f->file);
    g_unlink(f->domain_ca);
    g_assert_cmpint(g_rmdir(f->dir), ==, 0); /* nothing else was left there */
    g_free(f->dir);
    g_free(f->file);
    g_free(f->domain_ca);
}

static SwpspIdentity *
load(const char *dir, const SwpspKey *domain_ca)
{
    g_autoptr(GError) error = NULL;
    SwpspIdentity *id = swpsp_identity_load(dir, &(SwpspPlatform){.domain_ca = domain_ca}, &error);

    g_assert_no_error(error);
    return id;
}

static void
test_persists(Fixture *f, gconstpointer data)
{
    g_autoptr(SwpspIdentity) first = load(f->dir, NULL);
    g_autoptr(SwpspIdentity) second = load(f->dir, NULL);
    struct stat st;

    g_assert_cmpmem(swpsp_identity_chain(first), sizeof(SwpspCertChain),
                    swpsp_identity_chain(second), sizeof(SwpspCertChain));
    g_assert_true(swpsp_key_same_public(swpsp_identity_pdh(first), swpsp_identity_pdh(second)));
    g_assert_cmpint(g_stat(f->file, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
}

static void
assert_corrupt(const char *dir, const char *data, size_t len)
{
    g_autofree char *file = g_build_filename(dir, "identity", NULL);
    g_autofree char *after = NULL;
    g_autoptr(GError) error = NULL;
    size_t after_len;

    g_assert_true(g_file_set_contents(file, data, (gssize)len, NULL));
    g_assert_null(swpsp_identity_load(dir, NULL, &error));
    g_assert_error(error, SWPSP_IDENTITY_ERROR, SWPSP_IDENTITY_ERROR_CORRUPT);
    /* Not replaced behind anyone's back. */
    g_assert_true(g_file_get_contents(file, &after, &after_len, NULL));
    g_assert_cmpmem(data, len, after, after_len);
}

/* A byte in the magic, each key and each certificate's key and first signature. */
static void
test_corrupt(Fixture *f, gconstpointer data)
{
    swpsp_identity_free(load(f->dir, NULL));
    g_autofree char *good = NULL;
    size_t len;
    g_assert_true(g_file_get_contents(f->file, &good, &len, NULL));

    const size_t keys = 8, certs = keys + 4 * SWPSP_P384_SIZE;
    for (size_t i = 0; i < 1 + 4 + 2 * 6; i++) {
        const size_t at = i == 0  ? 0
                          : i < 5 ? keys + (i - 1) * SWPSP_P384_SIZE + 40
                                  : certs + (i - 5) / 2 * SWPSP_CERT_SIZE + (i % 2 ? 0x20 : 0x420);
        g_autofree char *bad = g_memdup2(good, len);
        bad[at] ^= 1;
        assert_corrupt(f->dir, bad, len);
    }
    assert_corrupt(f->dir, good, len - 1);
    assert_corrupt(f->dir, "", 0);
}

static void
test_unwritable(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *below = g_build_filename(f->file, "below", NULL);

    g_assert_true(g_file_set_contents(f->file, "a file, not a directory", -1, NULL));
    g_assert_null(swpsp_identity_load(below, NULL, &error));
    g_assert_error(error, SWPSP_IDENTITY_ERROR, SWPSP_IDENTITY_ERROR_FILE);
}

static void
test_domain_ca(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SwpspKey) oca = swpsp_identity_load_domain_ca(f->domain_ca, &error);
    g_assert_no_error(error);
    g_autoptr(SwpspKey) again = swpsp_identity_load_domain_ca(f->domain_ca, &error);
    g_assert_no_error(error);
    struct stat st;

    g_assert_true(swpsp_key_same_public(oca, again));
    g_assert_cmpint(g_stat(f->domain_ca, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);

    g_assert_true(g_file_set_contents(f->domain_ca, "no PEM", -1, NULL));
    g_assert_null(swpsp_identity_load_domain_ca(f->domain_ca, &error));
    g_assert_error(error, SWPSP_IDENTITY_ERROR, SWPSP_IDENTITY_ERROR_CORRUPT);
}

/* An existing platform joins a domain: the OCA changes and stays so, the rest does not. */
static void
test_join_domain(Fixture *f, gconstpointer data)
{
    g_autoptr(SwpspKey) oca = swpsp_key_generate();
    g_autoptr(SwpspIdentity) before = load(f->dir, NULL);
    g_autoptr(SwpspIdentity) joined = load(f->dir, oca);
    g_autoptr(SwpspIdentity) after = load(f->dir, NULL);
    const SwpspCertChain *a = swpsp_identity_chain(before), *b = swpsp_identity_chain(after);

    g_assert_false(swpsp_cert_chain_same_domain(a, oca));
    g_assert_true(swpsp_cert_chain_same_domain(swpsp_identity_chain(joined), oca));
    g_assert_true(swpsp_cert_chain_same_domain(b, oca));
    g_assert_true(swpsp_cert_chain_genuine(b, swpsp_identity_root(after)));
    g_assert_cmpmem(&a->pdh, sizeof(a->pdh), &b->pdh, sizeof(b->pdh));
    g_assert_cmpmem(&a->cek, sizeof(a->cek), &b->cek, sizeof(b->cek));
}

/* The chain of one platform is valid on another: they share the root, and nothing else. */
static void
test_chain(Fixture *f, gconstpointer data)
{
    g_autoptr(SwpspIdentity) a = swpsp_identity_new(NULL, NULL);
    g_autoptr(SwpspIdentity) b = swpsp_identity_new(NULL, NULL);
    g_autoptr(SwpspKey) other_root = swpsp_key_generate();
    const SwpspCertChain *chain = swpsp_identity_chain(a);

    g_assert_true(swpsp_cert_chain_genuine(chain, swpsp_identity_root(b)));
    g_assert_false(swpsp_cert_chain_genuine(chain, other_root));
    g_assert_true(swpsp_cert_chain_same_domain(chain, swpsp_identity_oca(a)));
    g_assert_false(swpsp_cert_chain_same_domain(chain, swpsp_identity_oca(b)));
}

/* Any certificate of the path changed, or taken from another platform, breaks it. */
static void
test_chain_broken(Fixture *f, gconstpointer data)
{
    g_autoptr(SwpspIdentity) a = swpsp_identity_new(NULL, NULL);
    g_autoptr(SwpspIdentity) b = swpsp_identity_new(NULL, NULL);
    const SwpspCertChain *good = swpsp_identity_chain(a);
    enum { PDH, PEK, OCA, CEK, ASK, ARK };

    for (size_t i = PDH; i <= ARK; i++) {
        SwpspCertChain bad = *good;
        uint8_t *cert = (uint8_t *)&bad + i * SWPSP_CERT_SIZE;
        cert[5] ^= 1; /* the API's minor version: signed, else without effect */
        g_assert_cmpint(swpsp_cert_chain_genuine(&bad, swpsp_identity_root(a)), ==, i == OCA);
        g_assert_cmpint(swpsp_cert_chain_same_domain(&bad, swpsp_identity_oca(a)), ==, i >= CEK);
    }
    SwpspCertChain mixed = *good;
    mixed.pdh = swpsp_identity_chain(b)->pdh;
    g_assert_false(swpsp_cert_chain_genuine(&mixed, swpsp_identity_root(a)));
    mixed = *good;
    mixed.cek = swpsp_identity_chain(b)->cek;
    g_assert_false(swpsp_cert_chain_genuine(&mixed, swpsp_identity_root(a)));
}

static void
test_cert_form(Fixture *f, gconstpointer data)
{
    g_autoptr(SwpspKey) key = swpsp_key_generate();
    SwpspCert good, bad;
    static const size_t offsets[] = {
        0x000,        /* version */
        0x008,        /* usage */
        0x00c,        /* algorithm */
        0x010,        /* curve */
        0x014 + 71,   /* Qx beyond 384 bits */
        0x014 + 0x10, /* Qx: not on the curve */
        0x05c + 0x10, /* Qy: not on the curve */
    };

    g_assert_true(swpsp_cert_init(&good, SWPSP_USAGE_PDH, key, test_newest));
    g_autoptr(SwpspKey) read = swpsp_cert_key(&good, SWPSP_USAGE_PDH);
    g_assert_true(swpsp_key_same_public(key, read));
    g_assert_null(swpsp_cert_key(&good, SWPSP_USAGE_PEK));
    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        bad = good;
        ((uint8_t *)&bad)[offsets[i]] ^= 0x10;
        g_assert_null(swpsp_cert_key(&bad, SWPSP_USAGE_PDH));
    }
    memset(&bad.pubkey.qx, 0, sizeof(bad.pubkey.qx));
    memset(&bad.pubkey.qy, 0, sizeof(bad.pubkey.qy));
    g_assert_null(swpsp_cert_key(&bad, SWPSP_USAGE_PDH));
}

/* Numbers are little-endian in the certificate. */
static void
test_cert_endian(Fixture *f, gconstpointer data)
{
    g_autoptr(SwpspKey) key = swpsp_key_generate();
    uint8_t x[SWPSP_P384_SIZE], y[SWPSP_P384_SIZE];
    SwpspCert cert;

    g_assert_true(swpsp_key_point(key, x, y));
    g_assert_true(swpsp_cert_init(&cert, SWPSP_USAGE_PEK, key, test_newest));
    g_assert_cmpuint(cert.pubkey.qx[0], ==, x[SWPSP_P384_SIZE - 1]);
    g_assert_cmpuint(cert.pubkey.qy[SWPSP_P384_SIZE - 1], ==, y[0]);
    g_assert_cmpuint(cert.pubkey.qx[SWPSP_P384_SIZE], ==, 0);
}

/* Either place will do for a signature, and its usage must be the issuer's. */
static void
test_signature_places(Fixture *f, gconstpointer data)
{
    g_autoptr(SwpspKey) key = swpsp_key_generate();
    g_autoptr(SwpspKey) issuer = swpsp_key_generate();
    SwpspCert cert;

    for (unsigned slot = 0; slot < 2; slot++) {
        g_assert_true(swpsp_cert_init(&cert, SWPSP_USAGE_PEK, key, test_newest));
        g_assert_false(swpsp_cert_signed_by(&cert, SWPSP_USAGE_OCA, issuer));
        g_assert_true(swpsp_cert_sign(&cert, slot, SWPSP_USAGE_OCA, issuer));
        g_assert_true(swpsp_cert_signed_by(&cert, SWPSP_USAGE_OCA, issuer));
        g_assert_false(swpsp_cert_signed_by(&cert, SWPSP_USAGE_CEK, issuer));
        g_assert_false(swpsp_cert_signed_by(&cert, SWPSP_USAGE_OCA, key));
    }
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*run)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/swpsp/identity/persists", test_persists},
        {"/swpsp/identity/corrupt", test_corrupt},
        {"/swpsp/identity/unwritable", test_unwritable},
        {"/swpsp/identity/domain-ca", test_domain_ca},
        {"/swpsp/identity/join-domain", test_join_domain},
        {"/swpsp/cert/chain", test_chain},
        {"/swpsp/cert/chain-broken", test_chain_broken},
        {"/swpsp/cert/form", test_cert_form},
        {"/swpsp/cert/endian", test_cert_endian},
        {"/swpsp/cert/signature-places", test_signature_places},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].run, tear_down);
    return g_test_run();
}
