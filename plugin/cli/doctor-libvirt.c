/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor.h"

#include <libvirt/virterror.h>
#include <string.h>

#include "capabilities.h"
#include "domain.h"
#include "libvirt-error.h"

#define OLDEST_VERSION 9000000ul /* major * 1000000 + minor * 1000 + release */
#define PATCHED_QEMU "/usr/lib/sevmig/qemu-system-x86_64"
#define COMMAND "x-sev-migration-tune"
#define PDH_BYTES 2084u
#define CHAIN_BYTES 6252u /* PEK, OCA and CEK */

static void
check_connection(Doctor *self)
{
    g_autoptr(GError) error = NULL;
    unsigned long version = 0;
    self->connection = domain_connect(self->cli, &error);
    if (self->connection == NULL) {
        checks_add(self->checks, "libvirt", CHECK_BAD, error->message,
                   "\"systemctl start libvirtd\", or virtqemud; and this user must be let in");
        return;
    }
    g_autofree char *uri = virConnectGetURI(self->connection);
    g_autofree char *name = capabilities_libvirt_version(self->connection, &version);
    g_autofree char *found = g_strdup_printf("%s at %s", name, uri);
    checks_add(self->checks, "libvirt", version < OLDEST_VERSION ? CHECK_BAD : CHECK_GOOD, found,
               "sevmig needs libvirt 9.0 or newer");
}

/* QMP commands stand by their names in the program. */
static gboolean
knows_command(const char *program, GError **error)
{
    GMappedFile *file = g_mapped_file_new(program, FALSE, error);
    if (file == NULL)
        return FALSE;
    gboolean found = memmem(g_mapped_file_get_contents(file), g_mapped_file_get_length(file),
                            COMMAND, strlen(COMMAND)) != NULL;
    g_mapped_file_unref(file);
    return found;
}

static void
check_program(Doctor *self)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *found = NULL;
    if (knows_command(PATCHED_QEMU, &error))
        found = g_strdup(PATCHED_QEMU);
    else
        found = error != NULL ? g_strdup(error->message)
                              : g_strdup_printf("%s does not know %s", PATCHED_QEMU, COMMAND);
    checks_add(self->checks, "patched QEMU",
               g_str_equal(found, PATCHED_QEMU) ? CHECK_GOOD : CHECK_BAD, found,
               "install qemu-sevmig, and name it in the domains' <emulator>");
}

/* What libvirt has asked of that QEMU, which in turn asks the firmware. */
static void
check_capabilities(Doctor *self)
{
    g_autoptr(GError) error = NULL;
    char *xml =
        virConnectGetDomainCapabilities(self->connection, PATCHED_QEMU, NULL, NULL, NULL, 0);
    const char *mend = "with the firmware there, restart libvirtd: it keeps what it once was told";
    if (xml == NULL) {
        sevmig_libvirt_error_set(&error, "libvirt does not know this QEMU");
        checks_add(self->checks, "SEV in libvirt", CHECK_UNKNOWN, error->message, mend);
        return;
    }
    g_autoptr(SevmigXmlDoc) doc = capabilities_read(xml);
    gboolean supported = capabilities_have_sev(doc);
    checks_add(self->checks, "SEV in libvirt", supported ? CHECK_GOOD : CHECK_BAD,
               supported ? "supported" : "not supported: the firmware did not answer", mend);
}

static gsize
decoded_bytes(const virTypedParameterPtr params, int n, const char *name)
{
    const char *text = NULL;
    gsize size = 0;
    if (virTypedParamsGetString(params, n, name, &text) == 1)
        g_free(g_base64_decode(text, &size));
    return size;
}

/* The Diffie-Hellman key and the chain that vouches for it: what a source asks a destination for.
 */
static void
check_certificates(Doctor *self)
{
    g_autoptr(GError) error = NULL;
    virTypedParameterPtr params = NULL;
    int n = 0;
    const char *mend = "look at the firmware: \"swpspctl status\", or sevctl(1) on hardware";
    if (virNodeGetSEVInfo(self->connection, &params, &n, 0) < 0) {
        sevmig_libvirt_error_set(&error, "libvirt cannot tell by its default QEMU");
        checks_add(self->checks, "certificates", CHECK_UNKNOWN, error->message, mend);
        return;
    }
    gsize pdh = decoded_bytes(params, n, VIR_NODE_SEV_PDH);
    gsize chain = decoded_bytes(params, n, VIR_NODE_SEV_CERT_CHAIN);
    gboolean whole = pdh == PDH_BYTES && chain == CHAIN_BYTES;
    g_autofree char *found = g_strdup_printf("key of %zu bytes, chain of %zu", pdh, chain);
    checks_add(self->checks, "certificates", whole ? CHECK_GOOD : CHECK_BAD, found, mend);
    virTypedParamsFree(params, n);
}

void
doctor_check_libvirt(Doctor *self)
{
    check_connection(self);
    check_program(self);
    if (self->connection == NULL)
        return;
    check_capabilities(self);
    check_certificates(self);
}
