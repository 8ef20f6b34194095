/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preflight.h - whether a domain can migrate, under which policy, and what is known of its load
 */
#ifndef SEVMIGCTL_PREFLIGHT_H
#define SEVMIGCTL_PREFLIGHT_H

#include "checks.h"
#include "domain.h"
#include "forecast.h"
#include "qemu-conf.h"
#include "sevmig-policy-domain.h"

typedef struct {
    Domain of;
    char *name; /* of the domain, and its UUID */
    char uuid[VIR_UUID_STRING_BUFLEN];
    QemuConf conf;
    GArray *checks;       /* of Check */
    SevmigPolicy *policy; /* NULL: none governs it, or it is not known */
    char *policy_why;     /* one line */
    gboolean stands;      /* it is paused: what it does when it runs cannot be measured */
    ForecastInputs inputs;
    gboolean has_forecast;
    Forecast forecast;
} Preflight;

void preflight_clear(Preflight *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Preflight, preflight_clear)

/* Looks at everything; what cannot be told is a check that says so. Finds the policy as well. */
void preflight_check(Cli *cli, Preflight *self);
/* Part of it: asks libvirt at `uri` whether that domain (NULL: it could not be read) can come
 * there. */
void preflight_check_target(Preflight *self, const SevmigDomain *domain, const char *uri);
/* Parts of it: by what libvirt and the firmware refuse of a domain that is made like that, and by
 * what this host has for TLS (`conf_error`: why qemu.conf cannot be read, or NULL). */
void preflight_check_guest(Preflight *self, const SevmigDomain *domain, gboolean copies_disks);
void preflight_check_tls(Preflight *self, const GError *conf_error);
/* Part of it: whether the destination's platform will be known as it must be; `target` NULL: that
 * is not there to be asked. */
void preflight_check_peer(Preflight *self, const SevmigDomain *domain, virConnectPtr target);
/* No check is bad or could not be told. */
gboolean preflight_can(const Preflight *self);

/* Fills the inputs, the best that there are. Takes a second: it watches a running domain. */
void preflight_measure(Cli *cli, Preflight *self);

void preflight_render(GString *out, const Preflight *self, guint width);
void preflight_json(GString *out, const Preflight *self);

#endif
