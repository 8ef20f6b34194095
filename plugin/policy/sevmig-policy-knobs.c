/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sevmig-policy-knobs.h"

#include "sevmig-policy-issue.h"

#define MS G_GUINT64_CONSTANT(1000)
#define SECOND (1000 * MS)
#define HOUR (3600 * SECOND)
#define KIB G_GUINT64_CONSTANT(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

#define MAX_DIGITS 15 /* so that value times the largest unit is far from overflowing 64 bits */

static const SevmigUnit time_units[] = {
    {"us", 1, TRUE},   {"ms", MS, TRUE}, {"s", SECOND, TRUE}, {"min", 60 * SECOND, TRUE},
    {"h", HOUR, TRUE}, {NULL},
};

static const SevmigUnit percent_units[] = {{"percent", 1, TRUE}, {NULL}};

const SevmigUnit sevmig_memory_units[] = {
    {"bytes", 1, TRUE}, {"b", 1},   {"KB", 1000},
    {"KiB", KIB, TRUE}, {"k", KIB}, {"MB", 1000 * 1000},
    {"MiB", MIB, TRUE}, {"M", MIB}, {"GB", 1000 * 1000 * 1000},
    {"GiB", GIB, TRUE}, {"G", GIB}, {"TB", G_GUINT64_CONSTANT(1000000000000)},
    {"TiB", TIB, TRUE}, {"T", TIB}, {NULL},
};

static const SevmigChoice goals[] = {
    {"downtime", SEVMIG_GOAL_DOWNTIME},
    {"duration", SEVMIG_GOAL_DURATION},
    {"slowdown", SEVMIG_GOAL_SLOWDOWN},
    {NULL},
};
static const SevmigChoice controls[] = {{"steer", FALSE}, {"observe", TRUE}, {NULL}};
static const SevmigChoice modes[] = {
    {"steered", SEVMIG_THROTTLE_STEERED},
    {"qemu", SEVMIG_THROTTLE_QEMU},
    {NULL},
};
static const SevmigChoice scopes[] = {{"guest", FALSE}, {"vcpu", TRUE}, {NULL}};
static const SevmigChoice stall_actions[] = {
    {"continue", SEVMIG_ON_STALL_CONTINUE},
    {"relax", SEVMIG_ON_STALL_RELAX},
    {"pause", SEVMIG_ON_STALL_PAUSE},
    {"abort", SEVMIG_ON_STALL_ABORT},
    {NULL},
};
static const SevmigChoice deadline_actions[] = {
    {"continue", SEVMIG_ON_DEADLINE_CONTINUE},
    {"pause", SEVMIG_ON_DEADLINE_PAUSE},
    {"abort", SEVMIG_ON_DEADLINE_ABORT},
    {NULL},
};
static const SevmigChoice proofs[] = {
    {"domain", SEVMIG_PEER_DOMAIN},
    {"sev", SEVMIG_PEER_SEV},
    {"tls", SEVMIG_PEER_TLS},
    {"pinned", SEVMIG_PEER_PINNED},
    {NULL},
};
static const SevmigChoice requirements[] = {
    {"sev-receive", SEVMIG_INCOMING_SEV_RECEIVE},
    {"schema", SEVMIG_INCOMING_SCHEMA},
    {NULL},
};
static const SevmigChoice failures[] = {
    {"warn", SEVMIG_ON_FAILURE_WARN},
    {"refuse", SEVMIG_ON_FAILURE_REFUSE},
    {NULL},
};

G_STATIC_ASSERT(sizeof(SevmigOnStall) == sizeof(guint32));
G_STATIC_ASSERT(sizeof(SevmigOnDeadline) == sizeof(guint32));
G_STATIC_ASSERT(sizeof(SevmigThrottleMode) == sizeof(guint32));
G_STATIC_ASSERT(sizeof(SevmigGoal) == sizeof(guint32));

#define AT(member) .offset = offsetof(SevmigPolicyValues, member)
#define TIME .kind = SEVMIG_KNOB_NUMBER, .units = time_units, .store = SEVMIG_STORE_U64
#define PERCENT                                                                                    \
    .kind = SEVMIG_KNOB_NUMBER, .units = percent_units, .unit = "percent", .store = SEVMIG_STORE_U32
#define BYTES                                                                                      \
    .kind = SEVMIG_KNOB_NUMBER, .units = sevmig_memory_units, .unit = "KiB",                       \
    .store = SEVMIG_STORE_U64
#define NUMBER .kind = SEVMIG_KNOB_NUMBER, .store = SEVMIG_STORE_U32
#define CHOICE(list) .kind = SEVMIG_KNOB_CHOICE, .choices = (list), .store = SEVMIG_STORE_U32
#define FLAG(list) .kind = SEVMIG_KNOB_CHOICE, .choices = (list), .store = SEVMIG_STORE_BOOL
#define INITIAL(value) .initial = (value), .has_initial = TRUE
#define AUTO(value) .word = "auto", .word_value = (value), INITIAL(value)

/* The order is that of a written document. The limits of downtime and gap are QEMU's; a batch
 * beyond 4096 pages would keep the firmware busy for seconds; a stop of ten seconds or a firmware
 * occupied for one would be outages in themselves. */
static const SevmigKnob knobs[] = {
    {"match", "priority", NUMBER, .min = 0, .max = 1000, INITIAL(50), AT(match_priority)},
    {"match/memory", "min", BYTES, .min = MIB, .max = 512 * TIB, AT(memory_min_bytes)},
    {"match/memory", "max", BYTES, .min = MIB, .max = 512 * TIB, AT(memory_max_bytes)},
    {"goals", "order", .kind = SEVMIG_KNOB_ORDER, .choices = goals, AT(params.goal_order)},
    {"goals/downtime", NULL, TIME, .unit = "ms", .min = MS, .max = 2000 * SECOND,
     AT(params.downtime_goal_us)},
    {"goals/downtime", "max", TIME, .unit = "ms", .min = MS, .max = 2000 * SECOND,
     AT(params.downtime_max_us)},
    {"goals/duration", NULL, TIME, .unit = "s", .min = SECOND, .max = 168 * HOUR,
     AT(params.duration_goal_us)},
    {"goals/slowdown", NULL, PERCENT, .min = 1, .max = 99, AT(params.slowdown_goal_percent)},
    {"control", NULL, FLAG(controls), INITIAL(FALSE), AT(params.observe_only)},
    {"throttle", "mode", CHOICE(modes), INITIAL(SEVMIG_THROTTLE_STEERED), AT(params.throttle_mode)},
    {"throttle/ceiling", NULL, PERCENT, .min = 0, .max = 99, INITIAL(95), .is_limit = TRUE,
     AT(params.throttle_ceiling_percent)},
    {"throttle/stun", NULL, TIME, .unit = "ms", .min = MS, .max = 10 * SECOND, INITIAL(100 * MS),
     .is_limit = TRUE, AT(params.stun_us)},
    {"throttle/scope", NULL, FLAG(scopes), INITIAL(FALSE), AT(params.throttle_per_vcpu)},
    {"batch/pages", NULL, NUMBER, .min = 1, .max = 4096, AUTO(0), AT(params.batch_pages)},
    {"batch/hold", NULL, TIME, .unit = "ms", .min = 100, .max = SECOND, INITIAL(10 * MS),
     .is_limit = TRUE, AT(params.batch_hold_us)},
    {"batch/gap-pages", NULL, NUMBER, .min = 0, .max = 16, AUTO(-1), AT(params.gap_pages)},
    {"priority", NULL, NUMBER, .min = 0, .max = 100, INITIAL(50), .is_limit = TRUE, AT(priority)},
    {"on-stall", NULL, CHOICE(stall_actions), INITIAL(SEVMIG_ON_STALL_CONTINUE),
     AT(params.on_stall)},
    {"on-deadline", NULL, CHOICE(deadline_actions), INITIAL(SEVMIG_ON_DEADLINE_CONTINUE),
     AT(params.on_deadline)},
    {"peer", "require", .kind = SEVMIG_KNOB_SET, .choices = proofs, .store = SEVMIG_STORE_U32,
     AT(peer)},
    {"incoming", "require", .kind = SEVMIG_KNOB_SET, .choices = requirements,
     .store = SEVMIG_STORE_U32, AT(incoming)},
    {"incoming", "on-failure", CHOICE(failures), INITIAL(SEVMIG_ON_FAILURE_WARN),
     AT(incoming_on_failure)},
};

const SevmigKnob *
sevmig_knobs(gsize *n)
{
    *n = G_N_ELEMENTS(knobs);
    return knobs;
}

gsize
sevmig_knob_index(const char *element, const char *attribute)
{
    for (gsize i = 0; i < G_N_ELEMENTS(knobs); i++) {
        if (!strcmp(knobs[i].element, element) && !g_strcmp0(knobs[i].attribute, attribute))
            return i;
    }
    g_assert_not_reached();
}

gint64
sevmig_knob_get(const SevmigKnob *knob, const SevmigPolicyValues *values)
{
    const char *at = (const char *)values + knob->offset;
    guint64 wide;
    gint32 narrow;
    bool flag;

    switch (knob->store) {
    case SEVMIG_STORE_U64:
        memcpy(&wide, at, sizeof wide);
        return (gint64)wide;
    case SEVMIG_STORE_U32:
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    case SEVMIG_STORE_BOOL:
        memcpy(&flag, at, sizeof flag);
        return flag;
    }
    g_assert_not_reached();
}

void
sevmig_knob_set(const SevmigKnob *knob, SevmigPolicyValues *values, gint64 value)
{
    char *at = (char *)values + knob->offset;
    guint64 wide = (guint64)value;
    gint32 narrow = (gint32)value;
    bool flag = value != 0;

    switch (knob->store) {
    case SEVMIG_STORE_U64:
        memcpy(at, &wide, sizeof wide);
        return;
    case SEVMIG_STORE_U32:
        memcpy(at, &narrow, sizeof narrow);
        return;
    case SEVMIG_STORE_BOOL:
        memcpy(at, &flag, sizeof flag);
        return;
    }
    g_assert_not_reached();
}

void
sevmig_policy_knobs_init(SevmigPolicyValues *values)
{
    memset(values, 0, sizeof *values);
    for (gsize i = 0; i < G_N_ELEMENTS(knobs); i++) {
        if (knobs[i].kind != SEVMIG_KNOB_ORDER)
            sevmig_knob_set(&knobs[i], values, knobs[i].initial);
    }
    for (guint i = 0; i < SEVMIG_GOAL_COUNT; i++)
        values->params.goal_order[i] = (SevmigGoal)i;
}

const SevmigUnit *
sevmig_unit_find(const SevmigUnit *units, const char *name)
{
    for (; units && units->name; units++) {
        if (!strcmp(units->name, name))
            return units;
    }
    return NULL;
}

char *
sevmig_units_list(const SevmigUnit *units)
{
    GString *out = g_string_new(NULL);

    for (; units->name; units++)
        g_string_append_printf(out, "%s%s", out->len ? ", " : "", units->name);
    return g_string_free(out, FALSE);
}

const SevmigUnit *
sevmig_unit_largest(const SevmigUnit *units, const gint64 *values, gsize n)
{
    const SevmigUnit *best = units;

    for (; units->name; units++) {
        gboolean whole = units->preferred && units->factor >= best->factor;

        for (gsize i = 0; i < n; i++)
            whole = whole && (guint64)values[i] % units->factor == 0 && values[i] != 0;
        if (whole)
            best = units;
    }
    return best;
}

static char *
list_choices(const SevmigChoice *choices)
{
    GString *out = g_string_new(NULL);

    for (; choices->name; choices++)
        g_string_append_printf(out, "%s%s", out->len ? ", " : "", choices->name);
    return g_string_free(out, FALSE);
}

static const SevmigChoice *
find_choice(const SevmigChoice *choices, const char *name)
{
    for (; choices->name; choices++) {
        if (!strcmp(choices->name, name))
            return choices;
    }
    return NULL;
}

static char *
format_number(const SevmigKnob *knob, guint64 value)
{
    gint64 as_signed = (gint64)value;
    const SevmigUnit *unit;

    if (!knob->units)
        return g_strdup_printf("%" G_GUINT64_FORMAT, value);
    unit = value == 0 ? sevmig_unit_find(knob->units, knob->unit)
                      : sevmig_unit_largest(knob->units, &as_signed, 1);
    return g_strdup_printf("%" G_GUINT64_FORMAT " %s", value / unit->factor, unit->name);
}

char *
sevmig_knob_expected(const SevmigKnob *knob)
{
    g_autofree char *choices = knob->choices ? list_choices(knob->choices) : NULL;
    g_autofree char *min = NULL, *max = NULL;
    const char *min_unit, *max_unit;

    switch (knob->kind) {
    case SEVMIG_KNOB_CHOICE:
        return g_strdup_printf("one of %s", choices);
    case SEVMIG_KNOB_SET:
        return g_strdup_printf("one or more of %s", choices);
    case SEVMIG_KNOB_ORDER:
        return g_strdup_printf("one to three of %s, each once", choices);
    case SEVMIG_KNOB_NUMBER:
        break;
    }
    min = format_number(knob, knob->min);
    max = format_number(knob, knob->max);
    min_unit = strchr(min, ' ');
    max_unit = strchr(max, ' ');
    if (min_unit && max_unit && !strcmp(min_unit, max_unit))
        min[min_unit - min] = '\0'; /* "0 to 99 percent" */
    return g_strdup_printf("%s%sa whole number from %s to %s", knob->word ? knob->word : "",
                           knob->word ? " or " : "", min, max);
}

static char *
parse_number(const SevmigKnob *knob, const char *text, const char *unit_name,
             SevmigPolicyValues *values)
{
    const SevmigUnit *unit =
        knob->units ? sevmig_unit_find(knob->units, unit_name ? unit_name : knob->unit) : NULL;
    guint64 factor = unit ? unit->factor : 1;
    guint64 number;
    gsize length = strlen(text);

    if (knob->word && !strcmp(text, knob->word)) {
        sevmig_knob_set(knob, values, knob->word_value);
        return NULL;
    }
    if (length == 0)
        return g_strdup("has no value");
    if (strspn(text, "0123456789") != length)
        return g_strdup("is not a whole number");
    number = length > MAX_DIGITS ? G_MAXUINT64 : g_ascii_strtoull(text, NULL, 10);
    if (number > G_MAXINT64 / factor || number * factor < knob->min || number * factor > knob->max)
        return g_strdup("is out of range");
    sevmig_knob_set(knob, values, (gint64)(number * factor));
    return NULL;
}

static char *
parse_words(const SevmigKnob *knob, const char *text, SevmigPolicyValues *values)
{
    g_auto(GStrv) words = g_strsplit_set(text, " \t\r\n", -1);
    gint64 order[SEVMIG_GOAL_COUNT];
    gint64 flags = 0;
    gsize n = 0;

    for (char **word = words; *word; word++) {
        const SevmigChoice *choice = **word ? find_choice(knob->choices, *word) : NULL;

        if (!**word)
            continue;
        if (!choice) {
            g_autofree char *shown = sevmig_quote(*word);
            return g_strdup_printf("holds %s, which is not known", shown);
        }
        if (knob->kind == SEVMIG_KNOB_ORDER && (flags & (1 << choice->value)))
            return g_strdup("repeats a goal");
        if (knob->kind == SEVMIG_KNOB_ORDER)
            order[n] = choice->value;
        flags |= knob->kind == SEVMIG_KNOB_ORDER ? 1 << choice->value : choice->value;
        n++;
    }
    if (n == 0)
        return g_strdup("has no value");
    if (knob->kind == SEVMIG_KNOB_SET) {
        sevmig_knob_set(knob, values, flags);
        return NULL;
    }
    for (gint64 goal = 0; goal < SEVMIG_GOAL_COUNT; goal++) {
        if (!(flags & (1 << goal)))
            order[n++] = goal;
    }
    for (gsize i = 0; i < SEVMIG_GOAL_COUNT; i++)
        values->params.goal_order[i] = (SevmigGoal)order[i];
    return NULL;
}

char *
sevmig_knob_parse(const SevmigKnob *knob, const char *text, const char *unit,
                  SevmigPolicyValues *values)
{
    g_autofree char *trimmed = g_strstrip(g_strdup(text));
    const SevmigChoice *choice;

    switch (knob->kind) {
    case SEVMIG_KNOB_NUMBER:
        return parse_number(knob, trimmed, unit, values);
    case SEVMIG_KNOB_CHOICE:
        choice = find_choice(knob->choices, trimmed);
        if (!choice)
            return g_strdup(*trimmed ? "is not known" : "has no value");
        sevmig_knob_set(knob, values, choice->value);
        return NULL;
    case SEVMIG_KNOB_SET:
    case SEVMIG_KNOB_ORDER:
        return parse_words(knob, trimmed, values);
    }
    g_assert_not_reached();
}

char *
sevmig_knob_format(const SevmigKnob *knob, gint64 value)
{
    if (knob->word && value == knob->word_value)
        return g_strdup(knob->word);
    if (knob->kind == SEVMIG_KNOB_NUMBER)
        return format_number(knob, (guint64)value);
    for (const SevmigChoice *choice = knob->choices; choice->name; choice++) {
        if (choice->value == value)
            return g_strdup(choice->name);
    }
    return g_strdup("");
}

static char *
format_words(const SevmigKnob *knob, const SevmigPolicyValues *values)
{
    GString *out = g_string_new(NULL);

    if (knob->kind == SEVMIG_KNOB_ORDER) {
        for (gsize i = 0; i < SEVMIG_GOAL_COUNT; i++)
            g_string_append_printf(out, "%s%s", i ? " " : "",
                                   knob->choices[values->params.goal_order[i]].name);
        return g_string_free(out, FALSE);
    }
    for (const SevmigChoice *choice = knob->choices; choice->name; choice++) {
        if (sevmig_knob_get(knob, values) & choice->value)
            g_string_append_printf(out, "%s%s", out->len ? " " : "", choice->name);
    }
    return g_string_free(out, FALSE);
}

char *
sevmig_knob_format_in(const SevmigKnob *knob, const SevmigPolicyValues *values,
                      const SevmigUnit *unit)
{
    gint64 value;

    if (knob->kind == SEVMIG_KNOB_SET || knob->kind == SEVMIG_KNOB_ORDER)
        return format_words(knob, values);
    value = sevmig_knob_get(knob, values);
    if (unit && knob->kind == SEVMIG_KNOB_NUMBER)
        return g_strdup_printf("%" G_GINT64_FORMAT, value / (gint64)unit->factor);
    return sevmig_knob_format(knob, value);
}
