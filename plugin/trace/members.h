/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * members.h - structures as JSON objects, by table
 *
 * One row per member serves writing and reading, so that the two cannot differ. Nested arrays
 * (histogram, vCPUs, goal order) are the reader's and writer's own affair.
 */
#ifndef SEVMIG_TRACE_MEMBERS_H
#define SEVMIG_TRACE_MEMBERS_H

#include <json-c/json.h>

#include "sevmig-trace.h"

typedef enum {
    MEMBER_U32,
    MEMBER_U64,
    MEMBER_I32,
    MEMBER_I64,
    MEMBER_BOOL,
    MEMBER_DOUBLE,
    MEMBER_ENUM,
} MemberType;

typedef struct {
    const char *name;
    MemberType type;
    gsize offset;
    const char *(*value_name)(guint value); /* MEMBER_ENUM; "?" from `n_values` on */
    guint n_values;
    gboolean optional; /* in what an earlier version wrote it is missing, and 0 */
} Member;

typedef struct {
    const Member *members;
    gsize n;
} Members;

extern const Members sevmig_members_params, sevmig_members_sample, sevmig_members_turn,
    sevmig_members_vcpu, sevmig_members_view;

/* The enumerations that stand alone in a line. */
extern const Member sevmig_member_event, sevmig_member_action, sevmig_member_goal;

void sevmig_members_write(const Members *members, gconstpointer structure, json_object *to);

/*
 * Reads every member into the zeroed structure. Members of `object` that are neither in the table
 * nor in `others` (NULL-terminated, may be NULL) are refused. `where` names the object in messages.
 */
gboolean sevmig_members_read(const Members *members, json_object *object, const char *where,
                             const char *const *others, gpointer structure, GError **error);

/* Reads one value of the member's type to `to`. */
gboolean sevmig_member_read_value(const Member *member, json_object *value, const char *where,
                                  gpointer to, GError **error);

/* The member of that name and JSON type, or NULL and `error`. */
json_object *sevmig_members_get(json_object *object, const char *where, const char *name,
                                json_type type, GError **error);

#endif
