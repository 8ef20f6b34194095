/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-policy-knobs.h - the table of everything a policy can set, and scaled integers
 *
 * One row per knob. Parser, writer, ceiling and the test that compares schema and manual page all
 * walk this table; a new knob is a row here, a pattern in the RELAX NG, one valid and one invalid
 * document, and a row in sevmig-policy(5).
 */
#ifndef SEVMIG_POLICY_KNOBS_H
#define SEVMIG_POLICY_KNOBS_H

#include "sevmig-policy.h"

/* What the table's offsets point into. */
typedef struct {
    SevmigControlParams params;
    guint32 priority;
    guint32 peer;     /* SevmigPeer flags */
    guint32 incoming; /* SevmigIncoming flags */
    guint32 incoming_on_failure;
    guint32 match_priority;
    guint64 memory_min_bytes; /* 0: no condition */
    guint64 memory_max_bytes;
} SevmigPolicyValues;

typedef struct {
    const char *name;
    guint64 factor;     /* in the knob's base unit: microseconds, bytes, percent */
    gboolean preferred; /* used when writing */
} SevmigUnit;

typedef struct {
    const char *name;
    gint64 value;
} SevmigChoice;

typedef enum {
    SEVMIG_KNOB_NUMBER,
    SEVMIG_KNOB_CHOICE,
    SEVMIG_KNOB_SET,   /* words in any order; values are flags */
    SEVMIG_KNOB_ORDER, /* distinct words, the most important first; the others follow as declared */
} SevmigKnobKind;

typedef enum {
    SEVMIG_STORE_U64,
    SEVMIG_STORE_U32, /* also int32_t and enumerations, which have its size */
    SEVMIG_STORE_BOOL,
} SevmigKnobStore;

typedef struct {
    const char *element;   /* path below the root, "goals/downtime" */
    const char *attribute; /* NULL: the element's text */
    SevmigKnobKind kind;
    const SevmigUnit *units;     /* NULL: a plain number; ends with a row without a name */
    const char *unit;            /* the one meant where the document gives none */
    guint64 min, max;            /* in the base unit */
    const char *word;            /* accepted instead of a number, NULL: none */
    gint64 word_value;           /* what it stands for */
    const SevmigChoice *choices; /* ends with a row without a name */
    gint64 initial;              /* the value of a policy that does not say; base unit */
    gboolean has_initial;        /* FALSE: not given means no such goal or condition */
    gboolean is_limit;           /* may stand in a ceiling; more is looser */
    SevmigKnobStore store;
    gsize offset;
} SevmigKnob;

const SevmigKnob *sevmig_knobs(gsize *n);
/* The row of that path, which must exist. */
gsize sevmig_knob_index(const char *element, const char *attribute);

gint64 sevmig_knob_get(const SevmigKnob *knob, const SevmigPolicyValues *values);
void sevmig_knob_set(const SevmigKnob *knob, SevmigPolicyValues *values, gint64 value);
/* Every knob at its initial value. */
void sevmig_policy_knobs_init(SevmigPolicyValues *values);

/*
 * Reads `text` into `values`. `unit` is the element's unit, NULL if it gives none. On failure
 * nothing is written and a reason comes back, to be freed with g_free(); NULL on success.
 */
char *sevmig_knob_parse(const SevmigKnob *knob, const char *text, const char *unit,
                        SevmigPolicyValues *values);

/* What may stand there, as a phrase: "a whole number from 0 to 99". Free with g_free(). */
char *sevmig_knob_expected(const SevmigKnob *knob);
/* The value as a document spells it with its unit ("300 ms", "auto"), and in parts; `unit` NULL:
 * the knob has none, or the word stands for it. Free with g_free(). */
char *sevmig_knob_format(const SevmigKnob *knob, gint64 value);
char *sevmig_knob_format_in(const SevmigKnob *knob, const SevmigPolicyValues *values,
                            const SevmigUnit *unit);
/* "min, h": the names of a unit set. Free with g_free(). */
char *sevmig_units_list(const SevmigUnit *units);
const SevmigUnit *sevmig_unit_find(const SevmigUnit *units, const char *name);
/* The largest preferred unit in which all of `n` values are whole. */
const SevmigUnit *sevmig_unit_largest(const SevmigUnit *units, const gint64 *values, gsize n);

/* The memory units of libvirt, for <memory> of a domain too. */
extern const SevmigUnit sevmig_memory_units[];

#endif
