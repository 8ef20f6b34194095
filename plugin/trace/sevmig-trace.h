/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-trace.h - the flight recorder's file, which is also the trace a test replays
 *
 * Text, one JSON object a line. The first line is the header, each further line one step of the
 * controller: the event it was given, the actions it answered with, what a watcher saw afterwards.
 *
 *   {"sevmig-trace":1,"domain":"db","uuid":"...","policy":"default","params":{...}}
 *   {"t":1200000,"event":"sample","sample":{...},"actions":[...],"wake":1300000,"view":{...}}
 *   {"t":1250000,"event":"policy","by":{"policy":"gentle","who":"...","why":"..."},"params":{...},...}
 *   {"t":1260000,"event":"turn","turn":{"sends":false,"most-hold-us":0,"reason":"held: ..."},...}
 *
 * Times are microseconds on the monotonic clock of the host that recorded. Member names are those
 * of the structures with '-' for '_'. The reader is strict: every member must be there, be of its
 * type and in range, and no other; errors name the line and the member. Writing what was read
 * gives the same bytes.
 */
#ifndef SEVMIG_TRACE_H
#define SEVMIG_TRACE_H

#include <glib.h>

#include "sevmig-control.h"

#define SEVMIG_TRACE_VERSION 1
#define SEVMIG_TRACE_MAX_LINE (1024 * 1024) /* bytes; longer ones are refused */

#define SEVMIG_TRACE_ERROR (sevmig_trace_error_quark())
GQuark sevmig_trace_error_quark(void);

typedef enum {
    SEVMIG_TRACE_ERROR_IO,      /* the file cannot be read */
    SEVMIG_TRACE_ERROR_SYNTAX,  /* a line is not one JSON object, too long or cut short */
    SEVMIG_TRACE_ERROR_MEMBER,  /* a member is missing, unknown, of another type or out of range */
    SEVMIG_TRACE_ERROR_VERSION, /* not a trace, or of a version this reader does not know */
} SevmigTraceError;

typedef struct {
    char *domain; /* never NULL after reading; NULL is written as "" */
    char *uuid;
    char *policy;
    SevmigControlParams params;
} SevmigTraceHeader;

/* Frees the strings, not the structure itself; safe on a zeroed one and twice. */
void sevmig_trace_header_clear(SevmigTraceHeader *header);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SevmigTraceHeader, sevmig_trace_header_clear)

/* Who gave a running migration other parameters: the policy they are from, and why. The controller
 * is not told. */
#define SEVMIG_TRACE_ORIGIN_SIZE 256
typedef struct {
    char policy[SEVMIG_TRACE_ORIGIN_SIZE];
    char who[SEVMIG_TRACE_ORIGIN_SIZE];
    char why[SEVMIG_TRACE_ORIGIN_SIZE];
} SevmigTraceOrigin;

/* Sets one of the three: made valid UTF-8, and cut between characters if it is too long. */
void sevmig_trace_origin_set(char to[SEVMIG_TRACE_ORIGIN_SIZE], const char *text);

/*
 * One line each, with its '\n', newly allocated (g_free). `actions` and `view` may be NULL: then
 * the line has none, which is how an input-only trace is written.
 */
char *sevmig_trace_format_header(const SevmigTraceHeader *header);
char *sevmig_trace_format_step(const SevmigEvent *event, const SevmigActions *actions,
                               const SevmigView *view);
/* The same of a POLICY event that someone asked for; `origin` NULL: nobody is known to have. */
char *sevmig_trace_format_change(const SevmigEvent *event, const SevmigTraceOrigin *origin,
                                 const SevmigActions *actions, const SevmigView *view);

/* One step as read. `event` points into this structure: do not copy it by value. */
typedef struct {
    SevmigEvent event;
    SevmigActions actions;
    SevmigView view;
    bool has_actions;
    bool has_view;
    bool has_origin;
    SevmigTraceOrigin origin;
    /* storage behind event.params, event.sample and event.turn */
    SevmigControlParams params;
    SevmigSample sample;
    SevmigTurn turn;
    SevmigVcpuSample vcpus[SEVMIG_MAX_VCPUS];
} SevmigTraceStep;

typedef struct SevmigTraceReader SevmigTraceReader;

/* Opens a file and reads its header. NULL and `error` on failure. */
SevmigTraceReader *sevmig_trace_reader_new(const char *path, GError **error);
/* The same over memory that the caller keeps until the reader is freed; `name` is for messages. */
SevmigTraceReader *sevmig_trace_reader_new_for_data(const char *name, const char *data, gsize len,
                                                    GError **error);
void sevmig_trace_reader_free(SevmigTraceReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigTraceReader, sevmig_trace_reader_free)

/* Owned by the reader. */
const SevmigTraceHeader *sevmig_trace_reader_header(const SevmigTraceReader *reader);
/* The number of the line read last, from 1. */
guint sevmig_trace_reader_line(const SevmigTraceReader *reader);

/*
 * Reads the next step into `step`. FALSE at the end (`error` unset) and on failure (`error` set;
 * `step` is then undefined). A last line without its '\n' was cut short by a crash: it is a SYNTAX
 * error, and everything before it has been read by then.
 */
gboolean sevmig_trace_reader_next(SevmigTraceReader *reader, SevmigTraceStep *step, GError **error);

#endif
