/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch-screen.h"

#define NCURSES_NOMACROS 1
#include <curses.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct Screen {
    SCREEN *terminal;
    gboolean colour;
    gboolean blocks;
};

static const struct {
    short colour; /* -1: the terminal's own */
    attr_t attributes;
} styles[STYLE_COUNT] = {
    [STYLE_PLAIN] = {-1, A_NORMAL},
    [STYLE_STRONG] = {-1, A_BOLD},
    [STYLE_FAINT] = {-1, A_DIM},
    [STYLE_GOOD] = {COLOR_GREEN, A_BOLD},
    [STYLE_WARN] = {COLOR_YELLOW, A_NORMAL},
    [STYLE_BAD] = {COLOR_RED, A_BOLD},
    [STYLE_SWITCHOVER] = {COLOR_CYAN, A_BOLD},
    [STYLE_DIRTY] = {COLOR_YELLOW, A_NORMAL},
    [STYLE_ENCRYPT] = {COLOR_GREEN, A_NORMAL},
};

static gboolean
colours_start(void)
{
    if (!has_colors() || start_color() == ERR || use_default_colors() == ERR)
        return FALSE;
    for (short i = 0; i < STYLE_COUNT; i++)
        init_pair((short)(i + 1), styles[i].colour, -1);
    return TRUE;
}

Screen *
screen_new(gboolean colour)
{
    SCREEN *terminal = newterm(NULL, stdout, stdin);
    if (terminal == NULL)
        return NULL;
    Screen *self = g_new0(Screen, 1);
    self->terminal = terminal;
    self->colour = colour && colours_start();
    self->blocks = g_get_charset(NULL);
    cbreak();
    noecho();
    nodelay(stdscr, TRUE);
    curs_set(0);
    return self;
}

void
screen_free(Screen *self)
{
    if (self == NULL)
        return;
    endwin();
    delscreen(self->terminal);
    g_free(self);
}

ViewSize
screen_size(const Screen *self)
{
    return (ViewSize){
        .width = (guint)getmaxx(stdscr),
        .height = (guint)getmaxy(stdscr),
        .blocks = self->blocks,
    };
}

void
screen_resize(Screen *self)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        resizeterm(size.ws_row, size.ws_col);
    clearok(stdscr, TRUE); /* who knows what the terminal has made of its lines */
}

static void
draw_line(const Screen *self, int row, const GPtrArray *line)
{
    move(row, 0);
    for (guint i = 0; i < line->len; i++) {
        const ViewSpan *span = line->pdata[i];
        attr_set(styles[span->style].attributes, self->colour ? (short)(span->style + 1) : 0, NULL);
        addstr(span->text);
    }
    attr_set(A_NORMAL, 0, NULL);
}

void
screen_draw(Screen *self, const ViewFrame *frame)
{
    erase();
    for (guint i = 0; i < frame->len && (int)i < getmaxy(stdscr); i++)
        draw_line(self, (int)i, frame->pdata[i]);
    refresh();
}

gboolean
screen_wants_out(Screen *self)
{
    int key;
    while ((key = getch()) != ERR) {
        if (key == 'q' || key == 'Q')
            return TRUE;
    }
    return FALSE;
}
