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
    const char *strict_file;
} SevmigHookPaths;

/* Whether the administrator has what cannot be checked refused: that file is there, or it cannot be
 * told whether it is. Says nothing of the domain, so it can be asked before anything of it is read.
 */
gboolean sevmig_hook_is_strict(const SevmigHookPaths *paths);

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
/* The same where there is no XML, for the reason `why`. */
SevmigHookVerdict sevmig_hook_judge_nothing(const char *name, const SevmigHookPaths *paths,
                                            const char *why);
void sevmig_hook_verdict_clear(SevmigHookVerdict *verdict);

#endif
