/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * choose.h - the policies and guests that a user names on the command line
 *
 * A word with a '/' or the usual ending is a file; any other is a name.
 */
#ifndef SEVMIGCTL_CHOOSE_H
#define SEVMIGCTL_CHOOSE_H

#include "cli.h"
#include "sevmig-policy-store.h"
#include "sevmig-policy.h"
#include "sevmig-simulation.h"

/* The policy of that name on this host (or in --policy-dir), or in that file. */
SevmigPolicy *choose_policy(const CliTrial *trial, const char *word, GError **error);

gboolean choose_is_policy_file(const char *word);

/* The policies of this host, or of `dirs` (NULL or empty: none are named; at most two, the first
 * lies over the second), with that ceiling (NULL: the host's). */
SevmigPolicyStore *choose_store(const char *const *dirs, const char *ceiling, GError **error);

/*
 * The workload of that name, or the scenario in that file, with what the options change. `own`: it
 * brings a policy of its own. FALSE and `error` on failure, SEVMIG_SIM_ERROR where an option is to
 * blame; the scenario is then undefined.
 */
gboolean choose_scenario(const CliTrial *trial, const char *word, SevmigSimScenario *scenario,
                         gboolean *own, GError **error);

/* FALSE and `error` if it is no regular file, or not for this user to read. */
gboolean choose_check_file(const char *path, GError **error);

#endif
