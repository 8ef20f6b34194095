/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-policy-issue.h - how the parts of the policy library report what is wrong
 */
#ifndef SEVMIG_POLICY_ISSUE_H
#define SEVMIG_POLICY_ISSUE_H

#include "sevmig-policy.h"

/* Appends one issue; `line` 0 means the file as a whole. Control characters are made visible. */
void sevmig_issue_add(GPtrArray *issues, const char *file, unsigned line, unsigned column,
                      const char *format, ...) G_GNUC_PRINTF(5, 6);

/* Sets `error` from the issues at index `from` and after: the first, and how many more. */
void sevmig_issues_to_error(const GPtrArray *issues, guint from, SevmigErrorCode code,
                            GError **error);

/* Orders by position; issues of equal position keep no particular order. */
void sevmig_issues_sort(GPtrArray *issues);

/* Moves all issues of `from` to the end of `to` (NULL: drops them). */
void sevmig_issues_move(GPtrArray *from, GPtrArray *to);

/* The value in double quotes, printable and no longer than about 60 bytes. Free with g_free(). */
char *sevmig_quote(const char *value);

#endif
