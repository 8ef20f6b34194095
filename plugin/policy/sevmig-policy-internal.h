/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-policy-internal.h - what the files of the policy library share
 */
#ifndef SEVMIG_POLICY_INTERNAL_H
#define SEVMIG_POLICY_INTERNAL_H

#include "sevmig-names.h"
#include "sevmig-policy-knobs.h"
#include "sevmig-policy-xml.h"

typedef struct {
    char *name;
    char *value;
} SevmigExtraSpec;

/* The conditions under which a policy governs a domain; memory stands among the values. */
typedef struct {
    gboolean present;
    char **domains; /* patterns, any of which; NULL: no condition */
    char *launch_security;
    char *nova_flavor;
    char *nova_project;
    GArray *extra_specs; /* of SevmigExtraSpec; NULL: no condition */
} SevmigMatch;

struct SevmigPolicy {
    gatomicrefcount refs;
    char *name;
    char *description;
    char *file;
    SevmigPolicyValues values;
    guint64 given; /* bit i: the document sets knob i */
    SevmigMatch match;
};

/* Limits for policies that domains bring along; counted by references (g_atomic_rc_box). */
typedef struct {
    char *file;
    SevmigPolicyValues values;
    guint64 given;
} SevmigCeiling;

void sevmig_ceiling_unref(SevmigCeiling *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigCeiling, sevmig_ceiling_unref)

/* One document, or the part of one, that is being read. */
typedef struct {
    const SevmigXmlDoc *doc;
    const SevmigXmlNode *root; /* the policy or ceiling element */
    GPtrArray *issues;
} SevmigReader;

/* Whether so many faults are listed that no more will be: a check may stop. */
gboolean sevmig_reader_is_full(const SevmigReader *self);
void sevmig_reader_issue(const SevmigReader *self, gsize offset, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* The element of a path below the root, or NULL. */
const SevmigXmlNode *sevmig_reader_find(const SevmigReader *self, const char *path);
/* Where a knob's value stands in the document, its place as messages name it ("<downtime max>"). */
gsize sevmig_reader_knob_offset(const SevmigReader *self, const SevmigKnob *knob);
char *sevmig_knob_label(const SevmigKnob *knob);

extern const SevmigXmlLimits sevmig_policy_limits;

/* The policy that `root`, an element of `doc`, holds; `ceiling` may be NULL. All that is wrong is
 * appended to `issues`, in document order. */
SevmigPolicy *sevmig_policy_from_node(const SevmigXmlDoc *doc, const SevmigXmlNode *root,
                                      const SevmigCeiling *ceiling, GPtrArray *issues);
SevmigCeiling *sevmig_ceiling_parse(const char *text, gsize size, const char *file,
                                    GPtrArray *issues);

/* Whether elements, attributes and text stand where the language allows them. */
void sevmig_structure_check(const SevmigReader *self);
/* What no schema can say: values that contradict each other. */
void sevmig_sense_check(const SevmigReader *self, const SevmigPolicy *policy);
/* Takes over the limits that the policy does not state and refuses looser ones. */
void sevmig_ceiling_apply(const SevmigReader *self, const SevmigCeiling *ceiling,
                          SevmigPolicy *policy);
/* Validates against the RELAX NG that is built in. */
void sevmig_schema_check(const SevmigReader *self);
/* Reads the conditions of <match>, except those on memory. */
void sevmig_match_read(const SevmigReader *self, SevmigMatch *match);
void sevmig_match_clear(SevmigMatch *match);

/* Whether `text` as a whole matches a pattern of literal characters, '*' and '?'. */
gboolean sevmig_glob_match(const char *pattern, const char *text);

/* What the attributes of conditions hold. */
#define SEVMIG_MATCH_STRING_MAX 255
#define SEVMIG_MATCH_STRING_EXPECTED "1 to 255 characters"

/* The whole of a regular file of at most `max` bytes (one more is read, so that a longer one can be
 * told); NULL with an issue otherwise. */
char *sevmig_file_read(const char *path, gsize max, gsize *size, GPtrArray *issues);

#endif
