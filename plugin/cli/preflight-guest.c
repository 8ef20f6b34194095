/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libvirt and the firmware would refuse, by what the domain is made of
 *
 * The rules are libvirt's (qemuMigrationSrcIsAllowed and qemuMigrationSrcIsSafe), which it tells
 * nobody before a migration begins. What QEMU has against one, sevmigd asks it.
 */
#include <gio/gunixmounts.h>
#include <stdlib.h>
#include <string.h>

#include "preflight.h"

/* Bits of an SEV guest's policy, SEV API, chapter 3. */
#define POLICY_ES (1u << 2)
#define POLICY_NOSEND (1u << 3)

static const SevmigXmlNode *
child(const SevmigXmlNode *node, const char *name)
{
    return node != NULL ? sevmig_xml_child(node, "", name) : NULL;
}

static const char *
attribute(const SevmigXmlNode *node, const char *name)
{
    const char *value = node != NULL ? sevmig_xml_attr(node, name) : NULL;
    return value != NULL ? value : "";
}

/* --- The guest's own policy, which the firmware keeps --- */

static void
check_sev_policy(Preflight *self, const SevmigXmlNode *domain)
{
    const SevmigXmlNode *policy = child(child(domain, "launchSecurity"), "policy");
    g_autofree char *text = policy != NULL ? sevmig_xml_text(policy) : g_strdup("");
    char *end;
    guint64 bits = g_ascii_strtoull(text, &end, 0);
    g_autofree char *value = g_strdup_printf("0x%04" G_GINT64_MODIFIER "x", bits);
    g_autofree char *found = NULL;
    if (end == text) {
        checks_add(self->checks, "SEV policy", CHECK_UNKNOWN, "libvirt does not say",
                   "look at <policy> of <launchSecurity> in \"virsh dumpxml\"");
    } else if (bits & POLICY_NOSEND) {
        found = g_strdup_printf("%s: bit 3 (NOSEND) forbids to send the guest", value);
        checks_add(self->checks, "SEV policy", CHECK_BAD, found,
                   "the firmware obeys it for as long as the guest runs: without that bit in "
                   "<launchSecurity>, the guest can be migrated from its next start on");
    } else if (bits & POLICY_ES) {
        found = g_strdup_printf("%s: bit 2 (ES) makes it an SEV-ES guest", value);
        checks_add(self->checks, "SEV policy", CHECK_BAD, found,
                   "KVM cannot migrate the encrypted registers of SEV-ES: only a guest that is "
                   "started without that bit can be migrated");
    } else {
        checks_add(self->checks, "SEV policy", CHECK_GOOD, value, "");
    }
}

/* Beyond it neither sevmigd nor the forecast can reckon. */
static void
check_size(Preflight *self, const SevmigDomain *domain)
{
    const SevmigXmlNode *vcpu = child(domain->doc->root, "vcpu");
    g_autofree char *text = vcpu != NULL ? sevmig_xml_text(vcpu) : g_strdup("1");
    guint64 vcpus = g_ascii_strtoull(text, NULL, 10);
    g_autofree char *memory = text_bytes(domain->memory_bytes);
    g_autofree char *most = text_bytes((guint64)SEVMIG_SIM_MAX_MIB << 20);
    g_autofree char *found = g_strdup_printf("%" G_GUINT64_FORMAT " vCPUs, %s", vcpus, memory);
    g_autofree char *mend = g_strdup_printf("sevmigd steers guests of at most %u vCPUs and %s; "
                                            "larger ones migrate, but as without it",
                                            SEVMIG_MAX_VCPUS, most);
    gboolean fits = vcpus <= SEVMIG_MAX_VCPUS && domain->memory_bytes >> 20 <= SEVMIG_SIM_MAX_MIB;
    checks_add(self->checks, "size", fits ? CHECK_GOOD : CHECK_BAD, found, mend);
}

/* KVM learns from the guest which of its pages are encrypted; QEMU shows to nobody whether. */
static void
check_guest_agrees(Preflight *self, const SevmigXmlNode *domain)
{
    if (strcmp(attribute(domain, "type"), "kvm") == 0)
        checks_add(self->checks, "guest is ready", CHECK_NOTE,
                   "cannot be seen: under KVM the guest must have said so",
                   "guests do with Linux 5.14 or newer and a UEFI that knows the variable "
                   "SevLiveMigrationEnabled; of others QEMU refuses the migration at its start");
}

/* --- Devices --- */

static void
check_devices(Preflight *self, const SevmigXmlNode *devices)
{
    g_autoptr(GString) refused = g_string_new(NULL);
    int n_snapshots = virDomainSnapshotNum(self->of.domain, 0);
    for (const SevmigXmlNode *node = devices != NULL ? devices->children : NULL; node != NULL;
         node = node->next) {
        if (strcmp(node->name, "shmem") == 0 && strcmp(attribute(node, "role"), "master") != 0)
            g_string_append_printf(refused, "%sshared memory %s (shmem)",
                                   refused->len > 0 ? "; " : "", attribute(node, "name"));
        else if (strcmp(node->name, "disk") == 0 && child(node, "transient") != NULL)
            g_string_append_printf(refused, "%stransient disk %s", refused->len > 0 ? "; " : "",
                                   attribute(child(node, "target"), "dev"));
    }
    if (n_snapshots > 0)
        g_string_append_printf(refused, "%s%d snapshots", refused->len > 0 ? "; " : "",
                               n_snapshots);
    if (refused->len == 0)
        checks_add(self->checks, "devices", CHECK_GOOD, "none that libvirt refuses", "");
    else
        checks_add(self->checks, "devices", CHECK_BAD, refused->str,
                   "libvirt migrates no domain with these: take them away first, with \"virsh "
                   "detach-device\" or \"virsh snapshot-delete\"");
}

/* --- Disks --- */

/* As the kernel calls what libvirt takes for shared, with a slash or by its end for FUSE. */
static gboolean
is_shared_type(const char *type)
{
    static const char *const shared[] = {
        "nfs",   "nfs4", "gfs2", "ocfs2", "afs",    "smb3",           "cifs",
        "smbfs", "ceph", "gpfs", "acfs",  "beegfs", "fuse.glusterfs", "fuse.quobyte",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(shared); i++) {
        if (strcmp(type, shared[i]) == 0)
            return TRUE;
    }
    return FALSE;
}

static gboolean
is_below(const char *path, const char *directory)
{
    gsize length = strlen(directory);
    while (length > 0 && directory[length - 1] == '/')
        length--;
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* Where the administrator says that it is shared, whatever it looks like. */
static gboolean
is_declared_shared(const QemuConf *conf, const char *path)
{
    g_auto(GStrv) directories = qemu_conf_strings(conf, "shared_filesystems");
    for (gsize i = 0; directories != NULL && directories[i] != NULL; i++) {
        if (is_below(path, directories[i]))
            return TRUE;
    }
    return FALSE;
}

/* The type of the file system that the path is on; NULL: it cannot be told. Caller frees. */
static char *
find_type(const char *path)
{
    /* newer names: GLib 2.84 */
    G_GNUC_BEGIN_IGNORE_DEPRECATIONS
    GUnixMountEntry *mount = path != NULL ? g_unix_mount_for(path, NULL) : NULL;
    char *type = mount != NULL ? g_strdup(g_unix_mount_get_fs_type(mount)) : NULL;
    if (mount != NULL)
        g_unix_mount_free(mount);
    G_GNUC_END_IGNORE_DEPRECATIONS
    return type;
}

static CheckState
judge_file(const char *file, const QemuConf *conf, GString *found)
{
    char *path = realpath(file, NULL);
    g_autofree char *type = find_type(path);
    CheckState state = CHECK_UNKNOWN;
    if (type == NULL)
        g_string_append_printf(found, "%s cannot be looked at", file);
    else if (is_shared_type(type) || is_declared_shared(conf, path))
        state = CHECK_GOOD;
    else
        state = CHECK_BAD;
    if (state == CHECK_BAD)
        g_string_append_printf(found, "%s is on this host alone (%s)", file, type);
    free(path);
    return state;
}

/* One disk by libvirt's rule; what is to be said of it is appended to `found`. */
static CheckState
judge_disk(const SevmigXmlNode *disk, const QemuConf *conf, GString *found)
{
    const char *type = attribute(disk, "type");
    const SevmigXmlNode *source = child(disk, "source");
    if (source == NULL || child(disk, "readonly") != NULL)
        return CHECK_GOOD;
    g_string_append_printf(found, "%s%s: ", found->len > 0 ? "; " : "",
                           attribute(child(disk, "target"), "dev"));
    gsize before = found->len;
    CheckState state = CHECK_GOOD;
    if (strcmp(type, "file") == 0) {
        state = judge_file(attribute(source, "file"), conf, found);
    } else if (strcmp(type, "nvme") == 0) {
        g_string_append(found, "an NVMe device of this host");
        state = CHECK_BAD;
    } else if (strcmp(type, "volume") == 0) {
        g_string_append_printf(found, "a volume of the pool %s", attribute(source, "pool"));
        state = CHECK_NOTE;
    }
    if (found->len == before)
        g_string_append_printf(found, "%s", strcmp(type, "file") == 0 ? "shared" : type);
    return state;
}

static void
check_disks(Preflight *self, const SevmigXmlNode *devices, gboolean copied)
{
    g_autoptr(GString) found = g_string_new(NULL);
    CheckState worst = CHECK_GOOD;
    for (const SevmigXmlNode *node = devices != NULL ? devices->children : NULL; node != NULL;
         node = node->next) {
        if (strcmp(node->name, "disk") != 0)
            continue;
        CheckState state = judge_disk(node, &self->conf, found);
        /* bad, then not known, then remarkable */
        if (worst == CHECK_GOOD || state == CHECK_BAD ||
            (state == CHECK_UNKNOWN && worst == CHECK_NOTE))
            worst = state;
    }
    if (found->len == 0)
        g_string_append(found, "none that is written to");
    if (copied && worst != CHECK_GOOD) {
        g_string_append(found, "; to be copied along");
        worst = CHECK_GOOD;
    }
    checks_add(
        self->checks, "disks", worst, found->str,
        "libvirt migrates only disks that both hosts see: put them on shared storage, or "
        "have them copied along (\"virsh migrate --copy-storage-all\"; --copy-storage here)");
}

/* Of a libvirt on another host the files are not here. */
static gboolean
is_remote(const Preflight *self)
{
    char *uri = virConnectGetURI(self->of.connection);
    g_autoptr(GUri) parsed = uri != NULL ? g_uri_parse(uri, G_URI_FLAGS_NONE, NULL) : NULL;
    const char *host = parsed != NULL ? g_uri_get_host(parsed) : NULL;
    gboolean remote = host != NULL && *host != '\0';
    free(uri);
    return remote;
}

void
preflight_check_guest(Preflight *self, const SevmigDomain *domain, gboolean copies_disks)
{
    const SevmigXmlNode *root = domain->doc->root;
    g_autoptr(GError) error = NULL;
    if (strcmp(domain->launch_security, "sev") == 0) {
        check_sev_policy(self, root);
        check_guest_agrees(self, root);
    }
    check_size(self, domain);
    check_devices(self, child(root, "devices"));
    if (is_remote(self)) {
        checks_add(self->checks, "disks", CHECK_NOTE, "libvirt is on another host",
                   "look at disks and TLS with sevmigctl on that host");
        return;
    }
    gboolean read = qemu_conf_read(&self->conf, QEMU_CONF, &error);
    if (!read)
        self->conf.text = g_strdup("");
    check_disks(self, child(root, "devices"), copies_disks);
    preflight_check_tls(self, error);
}
