/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory is cut into stretches of addresses, each stretch into classes of pages that are written
 * equally often (one class, but for a Zipf load). Of each class only numbers are kept: its pages,
 * those to be sent, those logged. What is approximated:
 *   - numbers are expectation values, so they do not scatter; the seed acts elsewhere;
 *   - within a class log and bitmap are independent, which holds for loads that write at random;
 *     a scan crosses a stretch in order, but stretches are short against what it writes in a pass;
 *   - a stretch counts as not yet passed until the last of its pages was taken;
 *   - the ranks of a Zipf load within a class (a factor of two in rank at most) count as equal.
 */
#include "memory.h"
#include "shape.h"

#include <math.h>
#include <string.h>

#define STRETCHES 256 /* of each part of memory between two working sets' ends */
#define CLASSES 32
#define NOTHING 0.5 /* pages: less than this is none */

typedef struct {
    double pages;
    double dirty; /* to be sent */
    double logged;
} Class;

typedef struct {
    guint64 first, pages; /* addresses */
    Class *classes;       /* n_classes of them, in the memory's array */
    double dirty;         /* sum over the classes */
    double ahead;         /* share not passed by the cursor */
} Stretch;

typedef struct {
    SevmigSimMemory base;
    const SevmigSimScenario *scenario;
    guint n, n_classes;
    Stretch *list;
    Class *classes;
    double share[CLASSES];  /* of pages, where a Zipf load writes */
    double writes[CLASSES]; /* of that load's writes */
    guint cursor;
    double due[SEVMIG_SIM_MAX_PHASES]; /* pages written since the sync */
    double scanned[SEVMIG_SIM_MAX_PHASES];
    SevmigSimShapes shapes;
} Grouped;

static void
grouped_free(SevmigSimMemory *base)
{
    Grouped *self = (Grouped *)base;

    g_free(self->list);
    g_free(self->classes);
    g_free(self);
}

static SevmigSimMemory *
grouped_clone(const SevmigSimMemory *base, SevmigSimRandom *random)
{
    const Grouped *self = (const Grouped *)base;
    Grouped *copy = g_memdup2(self, sizeof(*self));

    copy->list = g_memdup2(self->list, self->n * sizeof(self->list[0]));
    copy->classes =
        g_memdup2(self->classes, (gsize)self->n * self->n_classes * sizeof(self->classes[0]));
    for (guint i = 0; i < self->n; i++)
        copy->list[i].classes = copy->classes + (gsize)i * self->n_classes;
    return &copy->base;
}

static void
grouped_write(SevmigSimMemory *base, guint phase, double pages)
{
    ((Grouped *)base)->due[phase] += pages;
}

static gboolean
in_phase(const Stretch *stretch, const SevmigSimPhase *phase)
{
    return stretch->first >= phase->first_page &&
           stretch->first < phase->first_page + phase->working_set_pages;
}

/* Writes at random: each page of a class stays unwritten with the probability `spared`. */
static void
log_random(Grouped *self, const SevmigSimPhase *phase, double pages)
{
    double spared[CLASSES], per_page = pages / (double)phase->working_set_pages;

    for (guint c = 0; c < self->n_classes; c++)
        spared[c] = exp(-per_page *
                        (phase->pattern == SEVMIG_SIM_ZIPF ? self->writes[c] / self->share[c] : 1));
    for (guint i = 0; i < self->n; i++) {
        Stretch *s = &self->list[i];

        for (guint c = 0; in_phase(s, phase) && c < self->n_classes; c++)
            s->classes[c].logged =
                s->classes[c].pages - (s->classes[c].pages - s->classes[c].logged) * spared[c];
    }
}

static double
overlap(double a, double a_end, double b, double b_end)
{
    return fmax(0, fmin(a_end, b_end) - fmax(a, b));
}

static void
log_scan(Grouped *self, guint index, double pages)
{
    const SevmigSimPhase *phase = &self->scenario->phases[index];
    double all = (double)phase->working_set_pages, from = self->scanned[index];
    double to = from + fmin(pages, all);

    for (guint i = 0; i < self->n; i++) {
        Stretch *s = &self->list[i];
        double first = (double)(s->first - phase->first_page), end = first + (double)s->pages;
        double part;

        if (!in_phase(s, phase))
            continue;
        part = (overlap(first, end, from, to) + overlap(first, end, from - all, to - all)) /
               (double)s->pages;
        for (guint c = 0; c < self->n_classes; c++)
            s->classes[c].logged =
                fmin(s->classes[c].pages, s->classes[c].logged + part * s->classes[c].pages);
    }
    self->scanned[index] = fmod(from + pages, all);
}

static void
flush(Grouped *self)
{
    for (guint i = 0; i < self->scenario->n_phases; i++) {
        const SevmigSimPhase *phase = &self->scenario->phases[i];

        if (self->due[i] <= 0 || phase->working_set_pages == 0)
            continue;
        if (phase->pattern == SEVMIG_SIM_SCAN)
            log_scan(self, i, self->due[i]);
        else
            log_random(self, phase, self->due[i]);
        self->due[i] = 0;
    }
}

static double
grouped_sync(SevmigSimMemory *base)
{
    Grouped *self = (Grouped *)base;
    double dirtied = 0, remaining = 0;

    flush(self);
    for (guint i = 0; i < self->n; i++) {
        Stretch *s = &self->list[i];
        double found = 0;

        for (guint c = 0; c < self->n_classes; c++) {
            Class *class = &s->classes[c];
            double fresh =
                class->pages > 0 ? class->logged * (1 - fmin(1, class->dirty / class->pages)) : 0;

            class->dirty += fresh;
            class->logged = 0;
            found += fresh;
        }
        if (found > 0)
            s->ahead = 1;
        s->dirty += found;
        dirtied += found;
        remaining += s->dirty;
    }
    base->remaining = remaining;
    return dirtied;
}

static void
remove_pages(Stretch *s, guint n_classes, double pages)
{
    double kept = pages < s->dirty ? 1 - pages / s->dirty : 0;

    for (guint c = 0; c < n_classes; c++)
        s->classes[c].dirty *= kept;
    s->dirty *= kept;
    s->ahead = kept > 0 ? s->ahead * kept : 1;
}

static void
next_stretch(Grouped *self)
{
    if (++self->cursor < self->n)
        return;
    self->cursor = 0;
    self->base.passes++;
}

/* From one stretch, up to `most` submissions; returns their number. */
static double
take_stretch(Grouped *self, const SevmigSimOrder *order, double most, SevmigSimTaken *taken)
{
    Stretch *s = &self->list[self->cursor];
    double density = s->dirty / fmax(s->dirty, (double)s->pages * s->ahead);
    const SevmigSimShape *shape = sevmig_sim_shape(&self->shapes, self->scenario, order, density);
    double pages = fmin(s->dirty, most * shape->dirty);
    double submissions = pages / shape->dirty;

    taken->pages += pages + submissions * shape->gap_pages;
    taken->gap_pages += submissions * shape->gap_pages;
    taken->commands += submissions * shape->commands;
    if (density < 1)
        sevmig_sim_shape_runs(self->scenario, density, pages, taken->runs);
    else
        taken->runs[SEVMIG_RUN_BUCKETS - 1] += pages / (double)self->scenario->pages;
    self->base.remaining -= pages;
    remove_pages(s, self->n_classes, pages);
    return submissions;
}

static void
grouped_take(SevmigSimMemory *base, const SevmigSimOrder *order, SevmigSimTaken *taken)
{
    Grouped *self = (Grouped *)base;
    double most = MAX(1, floor(order->submissions)), submissions = 0;
    guint empty = 0; /* stretches in a row: sums of fractions do not end at 0 exactly */

    while (base->remaining >= NOTHING && empty <= self->n && most - submissions > 1e-6) {
        if (self->list[self->cursor].dirty > 1e-9) {
            submissions += take_stretch(self, order, most - submissions, taken);
            empty = 0;
        } else {
            next_stretch(self);
            empty++;
        }
    }
    taken->submissions += ceil(submissions - 1e-6);
    if (base->remaining >= NOTHING && empty <= self->n)
        return;
    base->remaining = 0;
    for (guint i = 0; i < self->n; i++)
        remove_pages(&self->list[i], self->n_classes, self->list[i].dirty);
}

/*
 * Layout
 */

/* Ranks by powers of a constant: as many classes as give each at least one block. */
static void
divide_ranks(Grouped *self, const SevmigSimPhase *phase)
{
    double n = (double)(phase->working_set_pages / self->scenario->block_pages), from = 1;

    self->n_classes = 0;
    for (guint i = 1; i <= CLASSES; i++) {
        double to = i < CLASSES ? floor(pow(n + 1, (double)i / CLASSES)) : n + 1;

        if (to <= from)
            continue;
        self->share[self->n_classes] = (to - from) / n;
        self->writes[self->n_classes++] = sevmig_sim_zipf_share(to, n, phase->zipf_exponent) -
                                          sevmig_sim_zipf_share(from, n, phase->zipf_exponent);
        from = to;
    }
}

static void
add_stretches(Grouped *self, guint64 from, guint64 to)
{
    guint64 count = MIN(STRETCHES, MAX(1, (to - from) / self->scenario->block_pages));

    for (guint64 i = 0; i < count; i++) {
        Stretch *s = &self->list[self->n++];

        s->first = from + (to - from) * i / count;
        s->pages = from + (to - from) * (i + 1) / count - s->first;
        s->dirty = (double)s->pages;
        s->ahead = 1;
        s->classes = self->classes + (gsize)(self->n - 1) * self->n_classes;
        for (guint c = 0; c < self->n_classes; c++)
            s->classes[c].pages = s->classes[c].dirty = (double)s->pages * self->share[c];
    }
}

static int
compare(gconstpointer a, gconstpointer b)
{
    guint64 x = *(const guint64 *)a, y = *(const guint64 *)b;

    return x < y ? -1 : x > y;
}

SevmigSimMemory *
sevmig_sim_memory_new_grouped(const SevmigSimScenario *scenario)
{
    static const SevmigSimMemoryOps ops = {grouped_free, grouped_clone, grouped_write, grouped_sync,
                                           grouped_take};
    guint64 ends[2 * SEVMIG_SIM_MAX_PHASES + 2] = {0, scenario->pages};
    Grouped *self = g_new0(Grouped, 1);
    guint n_ends = 2;

    self->base.ops = &ops;
    self->base.remaining = (double)scenario->pages;
    self->scenario = scenario;
    self->n_classes = 1;
    self->share[0] = 1;
    for (guint i = 0; i < scenario->n_phases; i++) {
        const SevmigSimPhase *phase = &scenario->phases[i];

        ends[n_ends++] = phase->first_page;
        ends[n_ends++] = phase->first_page + phase->working_set_pages;
        if (phase->pattern == SEVMIG_SIM_ZIPF)
            divide_ranks(self, phase);
    }
    qsort(ends, n_ends, sizeof(ends[0]), compare);
    self->list = g_new0(Stretch, (gsize)n_ends * STRETCHES);
    self->classes = g_new0(Class, (gsize)n_ends * STRETCHES * self->n_classes);
    for (guint i = 0; i + 1 < n_ends; i++) {
        if (ends[i] < ends[i + 1])
            add_stretches(self, ends[i], ends[i + 1]);
    }
    return &self->base;
}
