/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * firmware.h - what the SEV firmware charges, learnt while it works
 *
 * The firmware is one serial server. A submission of m commands over n pages occupies it for
 *     a_submit + m a_cmd + n b
 * and QEMU's own part (copying, the socket, queueing behind other guests) comes on top. The three
 * parameters are learnt from the counters' increments; the rest is kept apart, because contention
 * by others says nothing about what a batch costs.
 */
#ifndef SEVMIG_FIRMWARE_H
#define SEVMIG_FIRMWARE_H

#include "sevmig-control.h"

typedef struct {
    double a_submit_us;
    double a_cmd_us;
    double b_us;     /* per page */
    double extra_us; /* per page: wall time beyond service */
    double wait_us;  /* per page: the queued share of extra_us, shows contention */
    bool learnt;     /* false: the prior */
    /* normal equations of the fit, with forgetting */
    double xx[3][3];
    double xy[3];
    double page_us; /* newest service per page, smoothed */
    double scale;   /* service per page over what the prior expects for the same shape */
    unsigned fits;
    /* shape of what is being sent */
    double most_commands_per_page;   /* the highest seen: beyond it the split is a guess */
    double commands_per_page;        /* newest passes, from the commands themselves */
    double runs[SEVMIG_RUN_BUCKETS]; /* dirty runs of the later passes, fading */
    double runs_total;
    double late_pages; /* sent in the later passes */
} SevmigFirmware;

/* The counters' increments between two samples. */
typedef struct {
    double wall_us;
    double submissions;
    double commands;
    double pages; /* all that was encrypted, gap pages included */
    double service_us;
    double wait_us;
    double runs[SEVMIG_RUN_BUCKETS];
    bool busy; /* there was more to send than was sent: the wall time was spent on it */
    bool late; /* second pass or later */
} SevmigSent;

void sevmig_firmware_init(SevmigFirmware *self);
void sevmig_firmware_learn(SevmigFirmware *self, const SevmigSent *sent);

/* Whether enough was sent in later passes to tell what a page of them costs. */
bool sevmig_firmware_knows_late(const SevmigFirmware *self);

/* Commands per page, at most 1, of the newest dirty set when no command exceeds
 * `max_command_pages`; 1 as long as too few runs of later passes have been seen. */
double sevmig_firmware_late_commands_per_page(const SevmigFirmware *self,
                                              uint32_t max_command_pages);

/* The same of a dirty set so sparse that no two places where the guest writes touch: its runs are
 * what it writes at once, the shortest of those seen. */
double sevmig_firmware_sparse_commands_per_page(const SevmigFirmware *self,
                                                uint32_t max_command_pages);

/* Time one submission of `batch_pages` holds the firmware. */
double sevmig_firmware_hold_us(const SevmigFirmware *self, double batch_pages,
                               double commands_per_page);

/* Wall time per page at that batch and shape. For a shape not seen yet (many more commands a page)
 * it is the dearer end of what is possible. */
double sevmig_firmware_page_us(const SevmigFirmware *self, double batch_pages,
                               double commands_per_page);

#endif
