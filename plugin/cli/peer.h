/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peer.h - how platforms know each other: their digests, and what this host says of its peers
 */
#ifndef SEVMIGCTL_PEER_H
#define SEVMIGCTL_PEER_H

#include <libvirt/libvirt.h>

#include "checks.h"

#define PEER_FILE "/etc/sevmig/qemu.conf"

/* Of PEK and OCA, which outlives a new PDH, and of the PDH. Zeroed is empty. */
typedef struct {
    char *platform;
    char *pdh;
} PeerDigests;

void peer_digests_clear(PeerDigests *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PeerDigests, peer_digests_clear)

/* As that libvirt has heard from its firmware, by its default QEMU. */
gboolean peer_digests_read(virConnectPtr connection, PeerDigests *self, GError **error);

/* What sevmig-qemu.conf(5) says on this host. */
typedef struct {
    gboolean migratable;
    gboolean allow_unverified;
    GHashTable *names; /* digest in lower case -> name */
} PeerRules;

void peer_rules_clear(PeerRules *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PeerRules, peer_rules_clear)

/* A file that is not there says nothing. `path` is that of PEER_FILE, but for tests. */
gboolean peer_rules_read(const char *path, PeerRules *self, GError **error);
/* Under which name one of the digests is known; NULL: it is not. The rules' own. */
const char *peer_rules_name(const PeerRules *self, const PeerDigests *digests);

/* The checks of doctor. */
void peer_check_host(GArray *checks);

#endif
