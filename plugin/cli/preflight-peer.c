/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What will speak for the destination's platform when QEMU asks, and the policy after it. */
#include <stdlib.h>

#include "peer.h"
#include "preflight.h"

#define ROW "peer"
#define POLICY_DOMAIN 0x10u
#define POLICY_SEV 0x20u
#define ANY (SEVMIG_PEER_DOMAIN | SEVMIG_PEER_SEV | SEVMIG_PEER_TLS | SEVMIG_PEER_PINNED)

typedef struct {
    unsigned bits;     /* the guest's own policy */
    unsigned accepted; /* SevmigPeer flags: what counts */
    unsigned proofs;   /* what there is of it; not TLS, which is said with the migration */
    gboolean anyone;
    gboolean asked;    /* the libvirt there */
    PeerDigests there; /* empty: not known */
} Outlook;

static void
outlook_clear(Outlook *self)
{
    peer_digests_clear(&self->there);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Outlook, outlook_clear)

static unsigned
guest_policy(const SevmigXmlNode *domain)
{
    const SevmigXmlNode *security = sevmig_xml_child(domain, "", "launchSecurity");
    const SevmigXmlNode *policy =
        security != NULL ? sevmig_xml_child(security, "", "policy") : NULL;
    g_autofree char *text = policy != NULL ? sevmig_xml_text(policy) : NULL;

    return text != NULL ? (unsigned)strtoul(text, NULL, 0) : 0;
}

static gboolean
look(Preflight *self, const SevmigDomain *domain, virConnectPtr target, Outlook *out,
     GError **error)
{
    g_auto(PeerRules) rules = {0};
    unsigned demanded = self->policy != NULL ? sevmig_policy_peer(self->policy) : 0;

    if (!peer_rules_read(PEER_FILE, &rules, error))
        return FALSE;
    out->bits = guest_policy(domain->doc->root);
    out->accepted = demanded != 0 ? demanded : ANY;
    out->anyone = demanded == 0 && rules.allow_unverified;
    out->asked = target != NULL;
    if (out->bits & POLICY_DOMAIN)
        out->proofs |= SEVMIG_PEER_DOMAIN;
    if (out->bits & POLICY_SEV)
        out->proofs |= SEVMIG_PEER_SEV;
    if (target != NULL && peer_digests_read(target, &out->there, NULL) &&
        peer_rules_name(&rules, &out->there) != NULL)
        out->proofs |= SEVMIG_PEER_PINNED;
    out->proofs &= out->accepted;
    return TRUE;
}

/* What would have to happen, by what counts. */
static char *
missing(const Outlook *self)
{
    g_autofree char *accepted = sevmig_peer_format(self->accepted);
    g_autofree char *digest = self->there.platform != NULL
                                  ? g_strdup_printf(", digest %s", self->there.platform)
                              : self->asked ? g_strdup(", libvirt there does not tell its digest")
                                            : g_strdup("");

    return g_strdup_printf("nothing known yet of %s (guest policy 0x%x)%s", accepted, self->bits,
                           digest);
}

void
preflight_check_peer(Preflight *self, const SevmigDomain *domain, virConnectPtr target)
{
    g_auto(Outlook) outlook = {0};
    g_autoptr(GError) error = NULL;

    if (!look(self, domain, target, &outlook, &error)) {
        checks_add(self->checks, ROW, CHECK_BAD, error->message,
                   "QEMU migrates no SEV guest until that is gone; sevmig-qemu.conf(5)");
        return;
    }
    if (outlook.proofs != 0 || outlook.anyone) {
        g_autofree char *proofs = sevmig_peer_format(outlook.proofs);
        g_autofree char *found = outlook.proofs != 0
                                     ? g_strdup_printf("known by %s", proofs)
                                     : g_strdup("anyone: allow-unverified-peer is on");
        checks_add(self->checks, ROW, CHECK_GOOD, found, "");
        return;
    }
    gboolean open = outlook.accepted & SEVMIG_PEER_TLS ||
                    (outlook.accepted & SEVMIG_PEER_PINNED && outlook.there.platform == NULL);
    g_autofree char *found = missing(&outlook);
    checks_add(
        self->checks, ROW, open ? CHECK_UNKNOWN : CHECK_BAD, found,
        "migrate over TLS (virsh migrate --tls), or add NAME=DIGEST, as \"sevmigctl doctor\" "
        "says there, to group peers of " PEER_FILE "; a policy may demand one of them");
}
