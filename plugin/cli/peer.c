/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <libvirt/virterror.h>
#include <string.h>

#include "libvirt-error.h"
#include "sevmig-error.h"

#define GROUP "sev-guest"
#define PEERS "peers"
#define CERT_BYTES 2084u
#define DEVICE "/dev/sev"
#define PATCHED_QEMU "/usr/lib/sevmig/qemu-system-x86_64"
#define ASK_TIMEOUT_S 10
#define AMD_CERTIFICATES "/etc/sevmig/ask-ark.cert"

void
peer_digests_clear(PeerDigests *self)
{
    g_clear_pointer(&self->platform, g_free);
    g_clear_pointer(&self->pdh, g_free);
}

/* Of the first `bytes` of what stands in base64 (NULL: nothing); NULL: it has fewer. */
static char *
digest_of(const char *base64, gsize bytes)
{
    gsize size = 0;
    g_autofree guchar *data = base64 != NULL ? g_base64_decode(base64, &size) : NULL;

    return size >= bytes ? g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, bytes) : NULL;
}

static gboolean
digests_fill(PeerDigests *self, const char *pdh, const char *chain, GError **error)
{
    self->pdh = digest_of(pdh, CERT_BYTES);
    self->platform = digest_of(chain, 2 * CERT_BYTES);
    if (self->pdh != NULL && self->platform != NULL)
        return TRUE;
    peer_digests_clear(self);
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID, "certificates of the wrong length");
    return FALSE;
}

gboolean
peer_digests_read(virConnectPtr connection, PeerDigests *self, GError **error)
{
    virTypedParameterPtr params = NULL;
    int n = 0;

    if (virNodeGetSEVInfo(connection, &params, &n, 0) < 0) {
        sevmig_libvirt_error_set(error, "libvirt cannot tell by its default QEMU");
        return FALSE;
    }
    const char *pdh = NULL, *chain = NULL;
    virTypedParamsGetString(params, n, VIR_NODE_SEV_PDH, &pdh);
    virTypedParamsGetString(params, n, VIR_NODE_SEV_CERT_CHAIN, &chain);
    gboolean ok = digests_fill(self, pdh, chain, error);
    virTypedParamsFree(params, n);
    return ok;
}

/* --- The firmware's own word, through a QEMU without a guest --- */

/* What stands behind the first `"name": "`, NULL if it is not there. */
static char *
text_behind(const char *answer, const char *name)
{
    g_autofree char *key = g_strdup_printf("\"%s\": \"", name);
    const char *start = strstr(answer, key);

    return start != NULL ? g_strndup(start + strlen(key), strcspn(start + strlen(key), "\""))
                         : NULL;
}

static gboolean
give_up(gpointer cancellable)
{
    g_cancellable_cancel(cancellable);
    return G_SOURCE_REMOVE;
}

static void
asked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    *(GAsyncResult **)user_data = g_object_ref(result);
}

/* All that it prints; NULL with `error`. Bounded in time. */
static char *
converse(GSubprocess *qemu, const char *input, GError **error)
{
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GAsyncResult) result = NULL;
    guint timer = g_timeout_add_seconds(ASK_TIMEOUT_S, give_up, cancellable);
    char *output = NULL;

    g_subprocess_communicate_utf8_async(qemu, input, cancellable, asked, &result);
    while (result == NULL)
        g_main_context_iteration(NULL, TRUE);
    if (!g_subprocess_communicate_utf8_finish(qemu, result, &output, NULL, error))
        g_subprocess_force_exit(qemu);
    if (!g_cancellable_is_cancelled(cancellable))
        g_source_remove(timer);
    return output;
}

static gboolean
ask_firmware(PeerDigests *self, GError **error)
{
    static const char *const argv[] = {
        PATCHED_QEMU, "-machine", "none",        "-accel",          "kvm",  "-accel", "tcg",
        "-display",   "none",     "-nodefaults", "-no-user-config", "-qmp", "stdio",  NULL};
    g_autoptr(GSubprocess) qemu =
        g_subprocess_newv(argv,
                          G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                              G_SUBPROCESS_FLAGS_STDERR_SILENCE,
                          error);
    g_autofree char *answer = qemu != NULL ? converse(qemu,
                                                      "{\"execute\":\"qmp_capabilities\"}\n"
                                                      "{\"execute\":\"query-sev-capabilities\"}\n"
                                                      "{\"execute\":\"quit\"}\n",
                                                      error)
                                           : NULL;
    if (answer == NULL)
        return FALSE;
    g_autofree char *pdh = text_behind(answer, "pdh");
    g_autofree char *chain = text_behind(answer, "cert-chain");
    g_autofree char *refusal = text_behind(answer, "desc");
    if (pdh != NULL && chain != NULL)
        return digests_fill(self, pdh, chain, error);
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "QEMU does not say: %s",
                refusal != NULL ? refusal : "no answer");
    return FALSE;
}

/* --- The host's file --- */

void
peer_rules_clear(PeerRules *self)
{
    g_clear_pointer(&self->names, g_hash_table_unref);
}

/* "on" and "off", as QEMU reads them; FALSE with `error` for anything else. */
static gboolean
read_switch(GKeyFile *file, const char *path, const char *key, gboolean *value, GError **error)
{
    static const char *const on[] = {"on", "yes", "true", "y", NULL};
    static const char *const off[] = {"off", "no", "false", "n", NULL};
    g_autofree char *text = g_key_file_get_string(file, GROUP, key, NULL);

    *value = FALSE;
    if (text == NULL || g_strv_contains(off, g_strchomp(text)))
        return TRUE;
    *value = TRUE;
    if (g_strv_contains(on, text))
        return TRUE;
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID, "%s: %s is \"%s\"; expected on or off",
                path, key, text);
    return FALSE;
}

gboolean
peer_rules_read(const char *path, PeerRules *self, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) reason = NULL;
    g_auto(GStrv) names = NULL;

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &reason) &&
        !g_error_matches(reason, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "%s: %s", path, reason->message);
        return FALSE;
    }
    if (!read_switch(file, path, "migratable", &self->migratable, error) ||
        !read_switch(file, path, "allow-unverified-peer", &self->allow_unverified, error))
        return FALSE;
    self->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    names = g_key_file_get_keys(file, PEERS, NULL, NULL);
    for (gsize i = 0; names != NULL && names[i] != NULL; i++) {
        g_autofree char *digest = g_key_file_get_string(file, PEERS, names[i], NULL);

        if (digest != NULL)
            g_hash_table_insert(self->names, g_ascii_strdown(g_strchomp(digest), -1),
                                g_strdup(names[i]));
    }
    return TRUE;
}

const char *
peer_rules_name(const PeerRules *self, const PeerDigests *digests)
{
    const char *name = g_hash_table_lookup(self->names, digests->platform);

    return name != NULL ? name : g_hash_table_lookup(self->names, digests->pdh);
}

/* --- doctor --- */

static gboolean
has_own_firmware(void)
{
    GStatBuf st;

    return g_stat(DEVICE, &st) == 0 && S_ISCHR(st.st_mode);
}

static void
check_platform(GArray *checks)
{
    g_auto(PeerDigests) own = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *found = NULL;

    if (!ask_firmware(&own, &error)) {
        checks_add(checks, "platform", CHECK_UNKNOWN, error->message,
                   "look as root; the patched QEMU and the firmware (" DEVICE ") must be there");
        return;
    }
    found = g_strdup_printf("digest %s", own.platform);
    checks_add(checks, "platform", CHECK_GOOD, found, "");
}

/* Guests of a firmware that protects nothing lose nothing to a stranger. */
static void
check_rules(GArray *checks)
{
    g_auto(PeerRules) rules = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *found = NULL;

    if (!peer_rules_read(PEER_FILE, &rules, &error)) {
        checks_add(checks, "migratable", CHECK_BAD, error->message,
                   "nothing is migrated until that is gone; sevmig-qemu.conf(5)");
        return;
    }
    checks_add(checks, "migratable", rules.migratable ? CHECK_GOOD : CHECK_BAD,
               rules.migratable ? "yes" : "nobody has decided that guests may leave this host",
               "migratable=on in group sev-guest of " PEER_FILE ", sevmig-qemu.conf(5)");
    found = rules.allow_unverified
                ? g_strdup("anyone: allow-unverified-peer is on")
                : g_strdup_printf("%u known by digest; else the guest's policy or TLS",
                                  g_hash_table_size(rules.names));
    checks_add(checks, "peers",
               rules.allow_unverified && has_own_firmware() ? CHECK_BAD : CHECK_GOOD, found,
               "whoever answers on the network can read the guests: take "
               "allow-unverified-peer out of " PEER_FILE);
}

static void
check_amd_certificates(GArray *checks)
{
    gboolean there = g_file_test(AMD_CERTIFICATES, G_FILE_TEST_IS_REGULAR);

    if (has_own_firmware())
        checks_add(checks, "ASK and ARK", there ? CHECK_GOOD : CHECK_BAD,
                   there ? AMD_CERTIFICATES
                         : "not there: no guest with the policy bit SEV can come",
                   "put AMD's certificates for these processors into " AMD_CERTIFICATES
                   ", sevmig-qemu.conf(5)");
}

void
peer_check_host(GArray *checks)
{
    check_platform(checks);
    check_rules(checks);
    check_amd_certificates(checks);
}
