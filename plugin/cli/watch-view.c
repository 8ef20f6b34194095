/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch-view.h"

#include <string.h>

#include "render.h"

#define INDENT "  "
#define MOST_CURVE 60u
#define LEAST_CURVE 8u
#define LEAST_BAR 10u
#define WIDE 90u       /* from here on both curves stand side by side */
#define UNLIMITED 100u /* what bars and curves take for a width where there is none */
#define MOST_WORDS 3u  /* lines of one decision, note or error */
#define ELSEWHERE "and %u more: enlarge the window, or name a domain"

/* --- What is watched --- */

static void
take_rates(Watched *self)
{
    guint at = (guint)(self->n_rates++ % WATCH_MOST_RATES);
    self->dirty[at] = self->migration->dirty_pages_per_s;
    self->encrypt[at] = self->migration->encrypt_pages_per_s;
}

Watched *
watched_new(Migration *migration)
{
    Watched *self = g_new0(Watched, 1);
    self->migration = migration;
    take_rates(self);
    return self;
}

void
watched_update(Watched *self, Migration *migration)
{
    migration_free(self->migration);
    self->migration = migration;
    take_rates(self);
}

void
watched_free(Watched *self)
{
    migration_free(self->migration);
    g_free(self);
}

/* --- Frames --- */

static void
span_free(gpointer data)
{
    ViewSpan *span = data;
    g_free(span->text);
    g_free(span);
}

static void
line_free(gpointer data)
{
    g_ptr_array_unref(data);
}

static GPtrArray *
frame_line(ViewFrame *frame)
{
    GPtrArray *line = g_ptr_array_new_with_free_func(span_free);
    g_ptr_array_add(frame, line);
    return line;
}

static guint
line_width(const GPtrArray *line)
{
    guint width = 0;
    for (guint i = 0; i < line->len; i++)
        width += text_width(((ViewSpan *)line->pdata[i])->text);
    return width;
}

/* Takes `text` over; clips it to what is left of the line. */
static void
line_add(GPtrArray *line, const ViewSize *size, ViewStyle style, char *text)
{
    g_autofree char *owned = text;
    guint used = line_width(line);
    if (size->width > 0 && used >= size->width)
        return;
    ViewSpan *span = g_new0(ViewSpan, 1);
    span->style = style;
    span->text = text_clip(owned, size->width > 0 ? size->width - used : 0);
    g_ptr_array_add(line, span);
}

static guint
drawing_width(const ViewSize *size)
{
    return size->width > 0 ? size->width : UNLIMITED;
}

/* --- Bars and curves --- */

static const char *const block_levels[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const ascii_levels[] = {" ", "_", ".", ":", "-", "=", "+", "*", "#"};
#define TOP_LEVEL (G_N_ELEMENTS(block_levels) - 1)

static double
rate_at(const double *rates, guint64 index)
{
    return rates[index % WATCH_MOST_RATES];
}

/* Both curves of a migration have one scale, or they could not be compared. */
static double
highest_rate(const Watched *watched, guint64 first)
{
    double highest = 0;
    for (guint64 i = first; i < watched->n_rates; i++)
        highest = MAX(highest, MAX(rate_at(watched->dirty, i), rate_at(watched->encrypt, i)));
    return highest;
}

static char *
curve(const Watched *watched, const double *rates, guint width, gboolean blocks)
{
    guint64 n = MIN(MIN(watched->n_rates, width), WATCH_MOST_RATES);
    guint64 first = watched->n_rates - n;
    double highest = highest_rate(watched, first);
    GString *out = g_string_new(NULL);
    for (guint64 i = n; i < width; i++)
        g_string_append_c(out, ' ');
    for (guint64 i = first; i < watched->n_rates; i++) {
        double share = highest > 0 ? rate_at(rates, i) / highest : 0;
        gsize level = (gsize)(CLAMP(share, 0, 1) * TOP_LEVEL + 0.5);
        g_string_append(out, blocks ? block_levels[level] : ascii_levels[level]);
    }
    return g_string_free(out, FALSE);
}

static char *
repeat(const char *text, guint n)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < n; i++)
        g_string_append(out, text);
    return g_string_free(out, FALSE);
}

/* --- One migration --- */

static const struct {
    const char *phase;
    ViewStyle style;
} phase_styles[] = {
    {"stalled", STYLE_WARN}, {"switchover", STYLE_SWITCHOVER}, {"done", STYLE_GOOD},
    {"failed", STYLE_BAD},   {"cancelled", STYLE_WARN},        {"released", STYLE_WARN},
};

static ViewStyle
style_of(const char *phase)
{
    for (gsize i = 0; i < G_N_ELEMENTS(phase_styles); i++) {
        if (strcmp(phase_styles[i].phase, phase) == 0)
            return phase_styles[i].style;
    }
    return STYLE_STRONG;
}

static void
put_title(ViewFrame *frame, const Migration *m, const ViewSize *size)
{
    GPtrArray *line = frame_line(frame);
    g_autofree char *elapsed = text_duration(m->elapsed_us);
    line_add(line, size, style_of(m->phase), g_strdup_printf("%s: %s", m->domain, m->phase));
    line_add(line, size, STYLE_PLAIN,
             g_strdup_printf(", pass %" G_GUINT64_FORMAT ", %s", m->pass, elapsed));
    if (m->eta_us > 0 && !migration_ended(m)) {
        g_autofree char *eta = text_duration(m->eta_us);
        line_add(line, size, STYLE_PLAIN, g_strdup_printf(", %s left", eta));
    }
    line_add(line, size, STYLE_FAINT,
             g_strdup_printf(", policy %s%s", *m->policy != '\0' ? m->policy : "none",
                             strcmp(m->state, "observed") == 0 ? ", observed only" : ""));
}

/* "98 %  4.7 MiB of 256.0 MiB left", shorter where it leaves no room for a bar. */
static char *
progress_text(const Migration *m, guint width)
{
    guint64 total = m->private_pages;
    guint64 left_pages = MIN(m->remaining_pages, total);
    g_autofree char *percent = text_percent(total - left_pages, total);
    g_autofree char *left = text_bytes(left_pages * m->page_size_bytes);
    g_autofree char *whole = text_bytes(total * m->page_size_bytes);
    g_autofree char *text = g_strdup_printf("%s  %s of %s left", percent, left, whole);
    if (text_width(text) + LEAST_BAR <= width)
        return g_steal_pointer(&text);
    return g_strdup_printf("%s  %s left", percent, left);
}

static void
put_progress(ViewFrame *frame, const Migration *m, const ViewSize *size)
{
    GPtrArray *line = frame_line(frame);
    guint64 total = m->private_pages;
    guint64 sent = total - MIN(m->remaining_pages, total);
    guint room = drawing_width(size) - MIN(drawing_width(size), 2 * (guint)strlen(INDENT));
    g_autofree char *text = progress_text(m, room);
    guint bar = MIN(room / 2, room - MIN(room, text_width(text)));
    guint full = total > 0 ? (guint)((double)bar * (double)sent / (double)total) : 0;
    line_add(line, size, STYLE_PLAIN, g_strdup(INDENT));
    line_add(line, size, STYLE_ENCRYPT, repeat(size->blocks ? "█" : "#", full));
    line_add(line, size, STYLE_FAINT, repeat(size->blocks ? "░" : ".", bar - full));
    line_add(line, size, STYLE_STRONG, g_strdup_printf("  %s", text));
}

static void
add_rate(GPtrArray *line, const Watched *watched, gboolean dirty, guint width, const ViewSize *size)
{
    const Migration *m = watched->migration;
    ViewStyle style = dirty ? STYLE_DIRTY : STYLE_ENCRYPT;
    g_autofree char *rate = text_rate(dirty ? m->dirty_pages_per_s : m->encrypt_pages_per_s);
    line_add(line, size, STYLE_PLAIN,
             g_strdup_printf(INDENT "%-10s", dirty ? "dirty" : "encrypted"));
    if (watched->n_rates > 1) {
        line_add(line, size, style,
                 curve(watched, dirty ? watched->dirty : watched->encrypt, width, size->blocks));
        line_add(line, size, STYLE_PLAIN, g_strdup("  "));
    }
    line_add(line, size, style, g_strdup_printf("%-14s", rate));
}

static void
put_rates(ViewFrame *frame, const Watched *watched, const ViewSize *size)
{
    gboolean wide = drawing_width(size) >= WIDE;
    guint room = drawing_width(size) / (wide ? 2 : 1);
    guint width = CLAMP(room - MIN(room, 30), LEAST_CURVE, MOST_CURVE);
    GPtrArray *line = frame_line(frame);
    add_rate(line, watched, TRUE, width, size);
    add_rate(wide ? line : frame_line(frame), watched, FALSE, width, size);
}

/* Lines of plain text from `text`, which has them already. */
static void
put_lines(ViewFrame *frame, ViewStyle style, const char *text, const ViewSize *size)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (gsize i = 0; lines[i] != NULL && *lines[i] != '\0'; i++)
        line_add(frame_line(frame), size, style, g_strdup(lines[i]));
}

static char *
throttle_item(const Migration *m)
{
    if (m->max_throttle_percent > m->throttle_percent)
        return g_strdup_printf("throttle %u %%, highest %u %%", m->throttle_percent,
                               m->max_throttle_percent);
    return g_strdup_printf("throttle %u %%", m->throttle_percent);
}

static void
put_figures(ViewFrame *frame, const Migration *m, const ViewSize *size)
{
    g_autofree char *downtime = render_downtime(m);
    g_autofree char *lost = text_duration(m->guest_lost_us);
    g_autofree char *downtime_item = g_strdup_printf("downtime %s", downtime);
    g_autofree char *throttle = throttle_item(m);
    g_autofree char *batch = g_strdup_printf("batch %u", m->batch_pages);
    g_autofree char *lost_item = g_strdup_printf("guest lost %s", lost);
    const char *items[] = {downtime_item, throttle, batch, lost_item, NULL};
    g_autoptr(GString) out = g_string_new(NULL);
    text_flow(out, items, (guint)strlen(INDENT), size->width);
    put_lines(frame, STYLE_PLAIN, out->str, size);
}

/* Word by word; what does not fit in MOST_WORDS lines is clipped. */
static void
put_words(ViewFrame *frame, ViewStyle style, const char *text, const ViewSize *size)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    g_autoptr(GString) line = g_string_new(INDENT);
    guint lines = 1;
    if (*text == '\0')
        return;
    for (gsize i = 0; words[i] != NULL; i++) {
        gboolean first = line->len == strlen(INDENT);
        if (!first && size->width > 0 && lines < MOST_WORDS &&
            text_width(line->str) + 1 + text_width(words[i]) > size->width) {
            line_add(frame_line(frame), size, style, g_strdup(line->str));
            g_string_assign(line, INDENT);
            lines++;
            first = TRUE;
        }
        g_string_append_printf(line, "%s%s", first ? "" : " ", words[i]);
    }
    line_add(frame_line(frame), size, style, g_strdup(line->str));
}

/* For one of several that leave the host together. */
static void
put_turn(ViewFrame *frame, const Migration *m, const ViewSize *size)
{
    if (m->turn_place == 0)
        return;
    g_autofree char *begins = text_duration(m->turn_begins_us);
    g_autofree char *ends = text_duration(m->turn_ends_us);
    gboolean waits = m->turn_begins_us > 0;
    line_add(
        frame_line(frame), size, waits ? STYLE_WARN : STYLE_PLAIN,
        waits ? g_strdup_printf(INDENT "turn %u: waits %s, sent in %s", m->turn_place, begins, ends)
              : g_strdup_printf(INDENT "turn %u: sends, sent in %s", m->turn_place, ends));
}

static void
put_whole(ViewFrame *frame, const Watched *watched, const ViewSize *size)
{
    const Migration *m = watched->migration;
    put_title(frame, m, size);
    put_progress(frame, m, size);
    put_rates(frame, watched, size);
    put_figures(frame, m, size);
    put_turn(frame, m, size);
    put_words(frame, STYLE_FAINT, m->last_decision, size);
    put_words(frame, STYLE_WARN, m->note, size);
    put_words(frame, STYLE_BAD, m->error, size);
}

static void
put_short(ViewFrame *frame, const Watched *watched, const ViewSize *size)
{
    put_title(frame, watched->migration, size);
    put_progress(frame, watched->migration, size);
}

static gint
by_turn(gconstpointer a, gconstpointer b)
{
    const Watched *left = *(Watched *const *)a, *right = *(Watched *const *)b;
    guint32 l = left->migration->turn_place - 1, r = right->migration->turn_place - 1;
    return l < r ? -1 : l > r; /* 0, no turn, is the last now */
}

/* --- All of them --- */

typedef void (*PutFunc)(ViewFrame *frame, const Watched *watched, const ViewSize *size);

static ViewFrame *
build(const GPtrArray *watched, const ViewSize *size, PutFunc put, gboolean apart)
{
    ViewFrame *frame = g_ptr_array_new_with_free_func(line_free);
    for (guint i = 0; i < watched->len; i++) {
        if (apart && i > 0)
            frame_line(frame);
        put(frame, watched->pdata[i], size);
    }
    return frame;
}

/* As many short ones as have room, and how many have not. */
static ViewFrame *
build_some(const GPtrArray *watched, const ViewSize *size)
{
    ViewFrame *frame = g_ptr_array_new_with_free_func(line_free);
    guint shown = 0;
    while (shown < watched->len && frame->len + 3 <= size->height)
        put_short(frame, watched->pdata[shown++], size);
    line_add(frame_line(frame), size, STYLE_WARN, g_strdup_printf(ELSEWHERE, watched->len - shown));
    return frame;
}

ViewFrame *
view_frame(const GPtrArray *all, const ViewSize *size)
{
    static const struct {
        PutFunc put;
        gboolean apart;
    } ways[] = {{put_whole, TRUE}, {put_whole, FALSE}, {put_short, FALSE}};
    g_autoptr(GPtrArray) watched = g_ptr_array_new();
    for (guint i = 0; i < all->len; i++)
        g_ptr_array_add(watched, all->pdata[i]);
    g_ptr_array_sort(watched, by_turn);
    if (watched->len == 0) {
        ViewFrame *frame = g_ptr_array_new_with_free_func(line_free);
        line_add(frame_line(frame), size, STYLE_FAINT, g_strdup("no migrations"));
        return frame;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(ways); i++) {
        ViewFrame *frame = build(watched, size, ways[i].put, ways[i].apart);
        if (size->height == 0 || frame->len <= size->height)
            return frame;
        g_ptr_array_unref(frame);
    }
    return build_some(watched, size);
}

static const char *const ansi[STYLE_COUNT] = {
    [STYLE_PLAIN] = "",
    [STYLE_STRONG] = "\033[1m",
    [STYLE_FAINT] = "\033[2m",
    [STYLE_GOOD] = "\033[32m",
    [STYLE_WARN] = "\033[33m",
    [STYLE_BAD] = "\033[31m",
    [STYLE_SWITCHOVER] = "\033[36m",
    [STYLE_DIRTY] = "\033[33m",
    [STYLE_ENCRYPT] = "\033[32m",
};

static void
put_line(GString *out, const GPtrArray *line, gboolean colour)
{
    gsize start = out->len;
    for (guint i = 0; i < line->len; i++) {
        const ViewSpan *span = line->pdata[i];
        gboolean styled = colour && *ansi[span->style] != '\0';
        g_string_append_printf(out, "%s%s%s", styled ? ansi[span->style] : "", span->text,
                               styled ? "\033[0m" : "");
    }
    while (out->len > start && out->str[out->len - 1] == ' ')
        g_string_truncate(out, out->len - 1);
    g_string_append_c(out, '\n');
}

void
view_put(GString *out, const ViewFrame *frame, gboolean colour)
{
    for (guint i = 0; i < frame->len; i++)
        put_line(out, frame->pdata[i], colour);
}
