/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sevmig-hook.h"

#include <errno.h>
#include <sys/stat.h>

#include "sevmig-policy-issue.h"

void
sevmig_hook_verdict_clear(SevmigHookVerdict *verdict)
{
    g_clear_pointer(&verdict->text, g_free);
}

gboolean
sevmig_hook_is_strict(const SevmigHookPaths *paths)
{
    struct stat info;

    return stat(paths->strict_file, &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* One line for a person: libvirt puts stderr into its own error. */
static char *
say(const char *name, gboolean refuse, const char *text)
{
    g_autofree char *shown = sevmig_quote(name);

    return refuse ? g_strdup_printf("sevmig: domain %s may not come here: %s", shown, text)
                  : g_strdup_printf("sevmig: domain %s: %s; letting it come", shown, text);
}

/* The firmware's device is a character device on real hardware, the socket of the software
 * firmware elsewhere. */
static char *
check_device(const char *device)
{
    struct stat info;

    if (stat(device, &info) < 0)
        return g_strdup_printf("%s, which receiving an SEV guest needs: %s", device,
                               g_strerror(errno));
    if (!S_ISCHR(info.st_mode) && !S_ISSOCK(info.st_mode))
        return g_strdup_printf(
            "%s, which receiving an SEV guest needs, is neither a character device nor a socket",
            device);
    return NULL;
}

/* What the policy chosen requires of this host and does not get. NULL: nothing. */
static char *
check_requirements(const SevmigResolution *resolution, const char *device)
{
    unsigned required = resolution->policy ? sevmig_policy_incoming(resolution->policy) : 0;
    g_autofree char *failure = NULL;

    if ((required & SEVMIG_INCOMING_SCHEMA) && resolution->problem && !resolution->name_unknown)
        return g_strdup(resolution->problem);
    if (required & SEVMIG_INCOMING_SEV_RECEIVE)
        failure = check_device(device);
    if (!failure)
        return NULL;
    return g_strdup_printf("policy \"%s\" requires sev-receive: %s",
                           sevmig_policy_name(resolution->policy), failure);
}

static SevmigHookVerdict
verdict(const char *name, gboolean refuse, const char *text)
{
    return (SevmigHookVerdict){.refuse = refuse, .text = say(name, refuse, text)};
}

static SevmigHookVerdict
judge_resolution(const char *name, const SevmigResolution *resolution, const char *device)
{
    g_autofree char *failure = NULL;

    if (!resolution->policy)
        return verdict(name, TRUE, resolution->problem);
    failure = check_requirements(resolution, device);
    if (failure)
        return verdict(name, resolution->on_failure == SEVMIG_ON_FAILURE_REFUSE, failure);
    if (resolution->problem)
        return verdict(name, FALSE, resolution->problem);
    return (SevmigHookVerdict){0};
}

/* Nothing is known of what it needs. */
static SevmigHookVerdict
judge_unread(const char *name, const SevmigHookPaths *paths, const char *problem)
{
    g_autofree char *text = NULL;

    if (!sevmig_hook_is_strict(paths))
        return verdict(name, FALSE, problem);
    text = g_strdup_printf("%s, and %s has what cannot be checked refused", problem,
                           paths->strict_file);
    return verdict(name, TRUE, text);
}

/* This process has no older set to fall back to: with unreadable policies, what the domain asks for
 * cannot be honoured, and its metadata says what that means. */
static SevmigHookVerdict
judge_unloaded(const char *name, const SevmigHookPaths *paths, const SevmigResolution *carried,
               const GError *error)
{
    g_autofree char *text =
        g_strdup_printf("the policies of this host cannot be read: %s", error->message);
    gboolean strict = carried->has_metadata && carried->on_failure == SEVMIG_ON_FAILURE_REFUSE;

    return strict ? verdict(name, TRUE, text) : judge_unread(name, paths, text);
}

SevmigHookVerdict
sevmig_hook_judge_nothing(const char *name, const SevmigHookPaths *paths, const char *why)
{
    g_autofree char *text = g_strdup_printf("the domain XML cannot be read: %s", why);

    return judge_unread(name, paths, text);
}

SevmigHookVerdict
sevmig_hook_judge(const char *name, const char *xml, gsize size, const SevmigHookPaths *paths,
                  SevmigHookStrictFunc strict)
{
    g_autoptr(SevmigPolicyStore) store =
        sevmig_policy_store_new(paths->admin_dir, paths->vendor_dir, paths->ceiling_file);
    g_autoptr(GError) error = NULL;
    /* Against the empty store first: whether to be strict must be known before files are read. */
    g_autoptr(SevmigResolution) carried = sevmig_policy_resolve(store, xml, (gssize)size, &error);
    g_autoptr(SevmigResolution) resolution = NULL;

    if (!carried)
        return judge_unread(name, paths, error->message);
    if (!carried->has_sev)
        return (SevmigHookVerdict){0};
    if (carried->has_metadata && carried->on_failure == SEVMIG_ON_FAILURE_REFUSE)
        strict();
    if (!sevmig_policy_store_reload(store, NULL, &error))
        return judge_unloaded(name, paths, carried, error);
    resolution = sevmig_policy_resolve(store, xml, (gssize)size, &error);
    if (!resolution)
        return judge_unread(name, paths, error->message);
    return judge_resolution(name, resolution, paths->device);
}
