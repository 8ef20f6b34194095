/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-hook.h - whether this host can serve a domain that is about to arrive
 */
#ifndef SEVMIG_HOOK_H
#define SEVMIG_HOOK_H

#include "sevmig-policy-resolve.h"

typedef struct {
    const char *admin_dir; /* NULL: as built; so the next two */
    const char *vendor_dir;
    const char *ceiling_file;
    const char *device; /* of the SEV firmware */
} SevmigHookPaths;

typedef struct {
    gboolean refuse;
    char *text; /* NULL: nothing is wrong; else one line without a newline */
} SevmigHookVerdict;

/* Called once, as soon as it is known that a check that cannot be finished is to refuse. */
typedef void (*SevmigHookStrictFunc)(void);

/* Judges the domain XML; `name` is the domain as libvirt calls it. Free with
 * sevmig_hook_verdict_clear(). */
SevmigHookVerdict sevmig_hook_judge(const char *name, const char *xml, gsize size,
                                    const SevmigHookPaths *paths, SevmigHookStrictFunc strict);
void sevmig_hook_verdict_clear(SevmigHookVerdict *verdict);

#endif
