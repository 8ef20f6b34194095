/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cli.h - one invocation of sevmigctl
 *
 * Results go to standard output, everything else to standard error.
 */
#ifndef SEVMIGCTL_CLI_H
#define SEVMIGCTL_CLI_H

#include <gio/gio.h>

#include "json.h"
#include "text.h"

typedef enum {
    CLI_OK = 0,
    CLI_FAILURE = 1, /* what was asked for could not be done, or did not go well */
    CLI_USAGE = 2,   /* what was asked for makes no sense */
} CliExit;

/* Options of the verbs that try out policies. Text as the user wrote it. */
typedef struct {
    char **policies; /* names or files */
    char *policy_dir;
    char **workloads; /* names or files */
    char **sets;      /* GROUP.KEY=VALUE */
    char *memory;
    char *vcpus;
    char *working_set;
    char *dirty_rate;
    char *seed;
    gboolean compare;
    gboolean decisions;
    gboolean list;
} CliTrial;

/* Options of `policy explain`. */
typedef struct {
    char *xml; /* a file with domain XML, "-": standard input */
    char **policy_dirs;
    char *ceiling;
} CliExplain;

/* Options of `policy assign` and `policy unassign`. */
typedef struct {
    gboolean config;
    gboolean live;
    char *on_failure;
    gboolean unknown;
} CliAssign;

/* Options of `steer`. */
typedef struct {
    int throttle_percent; /* negative: not given */
    int batch_pages;      /* negative: not given */
    gboolean automatic;
} CliSteer;

typedef struct {
    gboolean json;
    char *connect; /* bus address; NULL: the system bus */
    int timeout_s;
    gboolean all;          /* list */
    gboolean once;         /* watch */
    double interval_s;     /* watch */
    int limit;             /* history */
    char *domain;          /* history, tune */
    char *output;          /* report, tune */
    char *uri;             /* of libvirt; NULL: its own default, or else the system's QEMU */
    CliTrial trial;        /* simulate, replay, tune */
    CliExplain explain;    /* policy explain */
    CliAssign assign;      /* policy assign, unassign */
    char *policy;          /* preflight: a name or file */
    gboolean plan;         /* evacuate */
    gboolean copy_storage; /* preflight, evacuate */
    char *to;              /* preflight: libvirt on the destination; NULL: not asked */
    char *reason;          /* policy switch, steer */
    CliSteer steer;        /* steer */
    char **args;           /* what remains after verb and options */
    const char *verb;      /* as the user wrote it: "policy show" */
    GDBusConnection *bus;  /* once remote_call() needed it */
} Cli;

/* The whole of main(). Options may stand before or after the verb. */
CliExit cli_run(int argc, char **argv);

/* Says "sevmigctl: VERB: MESSAGE" on standard error and returns CLI_FAILURE, or CLI_USAGE. */
CliExit cli_fail(const Cli *cli, const GError *error);
CliExit cli_misuse(const Cli *cli, const char *format, ...) G_GNUC_PRINTF(2, 3);
void cli_note(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Writes to standard output, a newline after JSON. */
void cli_put(const GString *out);
void cli_put_json(const GString *out);

/* Of the terminal, or $COLUMNS; 0 if standard output has no width. */
guint cli_width(void);
gboolean cli_on_terminal(void);
gboolean cli_can_draw(void);     /* $TERM names a terminal that can do more than print */
gboolean cli_wants_colour(void); /* where there is any: $NO_COLOR is not set, and it can draw */

/* The verbs. */
CliExit verb_list(Cli *cli);
CliExit verb_show(Cli *cli);
CliExit verb_watch(Cli *cli);
CliExit verb_history(Cli *cli);
CliExit verb_policy_list(Cli *cli);
CliExit verb_policy_show(Cli *cli);
CliExit verb_policy_lint(Cli *cli);
CliExit verb_policy_explain(Cli *cli);
CliExit verb_policy_assign(Cli *cli);
CliExit verb_policy_unassign(Cli *cli);
CliExit verb_policy_switch(Cli *cli);
CliExit verb_policy_reload(Cli *cli);
CliExit verb_steer(Cli *cli);
CliExit verb_preflight(Cli *cli);
CliExit verb_simulate(Cli *cli);
CliExit verb_replay(Cli *cli);
CliExit verb_tune(Cli *cli);
CliExit verb_report(Cli *cli);
CliExit verb_doctor(Cli *cli);
CliExit verb_evacuate(Cli *cli);
CliExit verb_version(Cli *cli);

/* Their options, where they have some of their own, and what --help says below them. */
void steer_options(GOptionContext *context, Cli *cli);
void switch_options(GOptionContext *context, Cli *cli);
void assign_options(GOptionContext *context, Cli *cli);
void unassign_options(GOptionContext *context, Cli *cli);
void explain_options(GOptionContext *context, Cli *cli);
void history_options(GOptionContext *context, Cli *cli);
void report_options(GOptionContext *context, Cli *cli);
void tune_options(GOptionContext *context, Cli *cli);
void preflight_options(GOptionContext *context, Cli *cli);
void doctor_options(GOptionContext *context, Cli *cli);
void evacuate_options(GOptionContext *context, Cli *cli);
void simulate_options(GOptionContext *context, Cli *cli);
void replay_options(GOptionContext *context, Cli *cli);
extern const char assign_help[];
extern const char explain_help[];
extern const char switch_help[];
extern const char steer_help[];
extern const char preflight_help[];
extern const char doctor_help[];
extern const char evacuate_help[];
extern const char simulate_help[];
extern const char replay_help[];
extern const char report_help[];
extern const char tune_help[];

#endif
