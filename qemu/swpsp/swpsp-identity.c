/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-identity.h"

#include "swpsp-crypto.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USUAL_ROOT "simulation"

#define FILE_NAME "identity"
#define FILE_MAGIC "SWPSPID1"

/* The platform's own keys, in the order of the file. */
enum { KEY_PDH, KEY_PEK, KEY_OCA, KEY_CEK, N_KEYS };

/* The file. The chain's ASK and ARK are in it so that what is exported never changes. */
typedef struct {
    char magic[8];
    uint8_t scalar[N_KEYS][SWPSP_P384_SIZE];
    SwpspCertChain chain;
} IdentityFile;

struct SwpspIdentity {
    SwpspKey *key[N_KEYS];
    SwpspKey *root; /* ARK */
    SwpspKey *ask;
    SwpspApi api;
    SwpspCertChain chain;
};

G_DEFINE_QUARK(swpsp - identity - error - quark, swpsp_identity_error)

static SwpspIdentity *
crypto_failed(GError **error)
{
    g_set_error(error, SWPSP_IDENTITY_ERROR, SWPSP_IDENTITY_ERROR_CRYPTO,
                "cannot make the platform's keys and certificates");
    return NULL;
}

static SwpspKey *
key_copy(const SwpspKey *key)
{
    uint8_t scalar[SWPSP_P384_SIZE];
    SwpspKey *copy = swpsp_key_scalar(key, scalar) ? swpsp_key_from_scalar(scalar) : NULL;
    swpsp_crypto_wipe(scalar, sizeof(scalar));
    return copy;
}

static SwpspKey *
root_key(const char *root, const char *which)
{
    g_autofree char *label =
        g_strdup_printf("swpsp %s %s: anyone can sign with this key", root, which);
    return swpsp_key_from_label(label);
}

/* An identity without keys of its own: root and version. NULL on error. */
static SwpspIdentity *
identity_blank(const SwpspPlatform *platform, GError **error)
{
    const char *root = platform && platform->root ? platform->root : USUAL_ROOT;
    const bool newest = !platform || (platform->api.major == 0 && platform->api.minor == 0);
    g_autoptr(SwpspIdentity) id = g_new0(SwpspIdentity, 1);

    id->api = newest ? (SwpspApi){SWPSP_API_MAJOR, SWPSP_API_MINOR} : platform->api;
    id->root = root_key(root, "ARK");
    id->ask = root_key(root, "ASK");
    return id->root && id->ask ? g_steal_pointer(&id) : crypto_failed(error);
}

/* OCA certificate and the OCA's signature on the PEK. */
static bool
issue_domain(SwpspIdentity *id)
{
    SwpspCertChain *chain = &id->chain;
    return swpsp_cert_init(&chain->oca, SWPSP_USAGE_OCA, id->key[KEY_OCA], id->api) &&
           swpsp_cert_sign(&chain->oca, 0, SWPSP_USAGE_OCA, id->key[KEY_OCA]) &&
           swpsp_cert_sign(&chain->pek, 0, SWPSP_USAGE_OCA, id->key[KEY_OCA]);
}

static bool
issue_all(SwpspIdentity *id)
{
    SwpspCertChain *chain = &id->chain;
    return swpsp_cert_init(&chain->ark, SWPSP_USAGE_ARK, id->root, id->api) &&
           swpsp_cert_sign(&chain->ark, 0, SWPSP_USAGE_ARK, id->root) &&
           swpsp_cert_init(&chain->ask, SWPSP_USAGE_ASK, id->ask, id->api) &&
           swpsp_cert_sign(&chain->ask, 0, SWPSP_USAGE_ARK, id->root) &&
           swpsp_cert_init(&chain->cek, SWPSP_USAGE_CEK, id->key[KEY_CEK], id->api) &&
           swpsp_cert_sign(&chain->cek, 0, SWPSP_USAGE_ASK, id->ask) &&
           swpsp_cert_init(&chain->pek, SWPSP_USAGE_PEK, id->key[KEY_PEK], id->api) &&
           swpsp_cert_sign(&chain->pek, 1, SWPSP_USAGE_CEK, id->key[KEY_CEK]) &&
           swpsp_cert_init(&chain->pdh, SWPSP_USAGE_PDH, id->key[KEY_PDH], id->api) &&
           swpsp_cert_sign(&chain->pdh, 0, SWPSP_USAGE_PEK, id->key[KEY_PEK]) && issue_domain(id);
}

SwpspIdentity *
swpsp_identity_new(const SwpspPlatform *platform, GError **error)
{
    const SwpspKey *domain_ca = platform ? platform->domain_ca : NULL;
    g_autoptr(SwpspIdentity) id = identity_blank(platform, error);

    if (!id)
        return NULL;
    for (size_t i = 0; i < N_KEYS; i++) {
        id->key[i] = i == KEY_OCA && domain_ca ? key_copy(domain_ca) : swpsp_key_generate();
        if (!id->key[i])
            return crypto_failed(error);
    }
    return issue_all(id) ? g_steal_pointer(&id) : crypto_failed(error);
}

void
swpsp_identity_free(SwpspIdentity *id)
{
    if (!id)
        return;
    for (size_t i = 0; i < N_KEYS; i++)
        swpsp_key_free(id->key[i]);
    swpsp_key_free(id->root);
    swpsp_key_free(id->ask);
    g_free(id);
}

static bool
write_private(const char *path, const void *data, size_t len, GError **error)
{
    g_autoptr(GError) reason = NULL;
    if (g_file_set_contents_full(path, data, (gssize)len,
                                 G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                 &reason))
        return true;
    g_set_error(error, SWPSP_IDENTITY_ERROR, SWPSP_IDENTITY_ERROR_FILE, "%s", reason->message);
    return false;
}

static bool
store(const SwpspIdentity *id, const char *path, GError **error)
{
    IdentityFile file = {.chain = id->chain};
    bool ok = true;

    memcpy(file.magic, FILE_MAGIC, sizeof(file.magic));
    for (size_t i = 0; i < N_KEYS; i++)
        ok = ok && swpsp_key_scalar(id->key[i], file.scalar[i]);
    if (!ok)
        crypto_failed(error);
    ok = ok && write_private(path, &file, sizeof(file), error);
    swpsp_crypto_wipe(&file, sizeof(file));
    return ok;
}

/* Whether certificates and keys belong together and every signature is right. */
static bool
identity_verifies(const SwpspIdentity *id)
{
    const SwpspCert *const certs[] = {&id->chain.pdh, &id->chain.pek, &id->chain.oca,
                                      &id->chain.cek};
    static const uint32_t usages[] = {SWPSP_USAGE_PDH, SWPSP_USAGE_PEK, SWPSP_USAGE_OCA,
                                      SWPSP_USAGE_CEK};
    for (size_t i = 0; i < N_KEYS; i++) {
        g_autoptr(SwpspKey) key = swpsp_cert_key(certs[i], usages[i]);
        if (!key || !swpsp_key_same_public(key, id->key[i]))
            return false;
    }
    return swpsp_cert_chain_genuine(&id->chain, id->root) &&
           swpsp_cert_chain_same_domain(&id->chain, id->key[KEY_OCA]);
}

/* Fills a blank identity from the file; false if it is none, or does not verify under the root. */
static bool
parse(SwpspIdentity *id, const char *data, size_t len)
{
    const IdentityFile *file = (const void *)data;

    if (len != sizeof(*file) || memcmp(file->magic, FILE_MAGIC, sizeof(file->magic)) != 0)
        return false;
    id->chain = file->chain;
    for (size_t i = 0; i < N_KEYS; i++) {
        id->key[i] = swpsp_key_from_scalar(file->scalar[i]);
        if (!id->key[i])
            return false;
    }
    return identity_verifies(id);
}

static bool
join_domain(SwpspIdentity *id, const SwpspKey *domain_ca, const char *path, GError **error)
{
    if (!domain_ca || swpsp_key_same_public(id->key[KEY_OCA], domain_ca))
        return true;

    swpsp_key_free(id->key[KEY_OCA]);
    id->key[KEY_OCA] = key_copy(domain_ca);
    if (!id->key[KEY_OCA] || !issue_domain(id)) {
        crypto_failed(error);
        return false;
    }
    return store(id, path, error);
}

/* Reads a small private file. NULL without an error if there is none and that is `optional`. */
static char *
read_private(const char *path, bool optional, size_t *len, GError **error)
{
    g_autoptr(GError) reason = NULL;
    struct stat st;
    char *data = NULL;

    if (stat(path, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_size > 1024 * 1024)) {
        g_set_error(error, SWPSP_IDENTITY_ERROR, SWPSP_IDENTITY_ERROR_FILE,
                    "%s: not a regular file of a sane size", path);
        return NULL;
    }
    if (!g_file_get_contents(path, &data, len, &reason) &&
        !(optional && g_error_matches(reason, G_FILE_ERROR, G_FILE_ERROR_NOENT)))
        g_set_error(error, SWPSP_IDENTITY_ERROR, SWPSP_IDENTITY_ERROR_FILE, "%s", reason->message);
    return data;
}

SwpspIdentity *
swpsp_identity_load(const char *dir, const SwpspPlatform *platform, GError **error)
{
    g_autofree char *path = g_build_filename(dir, FILE_NAME, NULL);
    g_autoptr(GError) reason = NULL;
    size_t len = 0;

    if (g_mkdir_with_parents(dir, 0700) != 0) {
        g_set_error(error, SWPSP_IDENTITY_ERROR, SWPSP_IDENTITY_ERROR_FILE, "%s: %s", dir,
                    g_strerror(errno));
        return NULL;
    }
    char *data = read_private(path, true, &len, &reason);
    if (reason) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return NULL;
    }
    if (!data) {
        g_autoptr(SwpspIdentity) fresh = swpsp_identity_new(platform, error);
        return fresh && store(fresh, path, error) ? g_steal_pointer(&fresh) : NULL;
    }

    g_autoptr(SwpspIdentity) id = identity_blank(platform, error);
    const bool valid = id && parse(id, data, len);
    swpsp_crypto_wipe(data, len);
    g_free(data);
    if (id && !valid)
        g_set_error(error, SWPSP_IDENTITY_ERROR, SWPSP_IDENTITY_ERROR_CORRUPT,
                    "%s: not a platform identity that verifies under this root of trust; remove it "
                    "to make a new one",
                    path);
    if (!valid)
        return NULL;
    return join_domain(id, platform ? platform->domain_ca : NULL, path, error)
               ? g_steal_pointer(&id)
               : NULL;
}

/* Writes a new key under a name of its own and links it, so that of two starters one wins. */
static bool
make_domain_ca(const char *path, GError **error)
{
    g_autofree char *tmp = g_strdup_printf("%s.%ld", path, (long)getpid());
    g_autoptr(SwpspKey) key = swpsp_key_generate();
    char *pem = key ? swpsp_key_to_pem(key) : NULL;
    if (!pem) {
        crypto_failed(error);
        return false;
    }

    bool ok = write_private(tmp, pem, strlen(pem), error);
    swpsp_crypto_wipe(pem, strlen(pem));
    g_free(pem);
    if (ok && link(tmp, path) != 0 && errno != EEXIST) {
        g_set_error(error, SWPSP_IDENTITY_ERROR, SWPSP_IDENTITY_ERROR_FILE, "%s: %s", path,
                    g_strerror(errno));
        ok = false;
    }
    (void)g_unlink(tmp);
    return ok;
}

SwpspKey *
swpsp_identity_load_domain_ca(const char *path, GError **error)
{
    size_t len = 0;

    if (!g_file_test(path, G_FILE_TEST_EXISTS) && !make_domain_ca(path, error))
        return NULL;
    char *pem = read_private(path, false, &len, error);
    if (!pem)
        return NULL;

    SwpspKey *key = swpsp_key_from_pem(pem, len);
    swpsp_crypto_wipe(pem, len);
    g_free(pem);
    if (!key)
        g_set_error(error, SWPSP_IDENTITY_ERROR, SWPSP_IDENTITY_ERROR_CORRUPT,
                    "%s: not an unencrypted P-384 private key in PEM", path);
    return key;
}

const SwpspCertChain *
swpsp_identity_chain(const SwpspIdentity *id)
{
    return &id->chain;
}

const SwpspKey *
swpsp_identity_pdh(const SwpspIdentity *id)
{
    return id->key[KEY_PDH];
}

const SwpspKey *
swpsp_identity_oca(const SwpspIdentity *id)
{
    return id->key[KEY_OCA];
}

const SwpspKey *
swpsp_identity_root(const SwpspIdentity *id)
{
    return id->root;
}

SwpspApi
swpsp_identity_api(const SwpspIdentity *id)
{
    return id->api;
}
