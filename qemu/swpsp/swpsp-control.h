/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* swpsp-control.h - the JSON of STATS and CONTROL; see swpspctl(1) */
#ifndef SWPSP_CONTROL_H
#define SWPSP_CONTROL_H

#include "swpsp-firmware.h"
#include "swpsp-stats.h"

/* The control socket is beside the firmware's, with this at the end of its name. */
#define SWPSP_CONTROL_SUFFIX ".control"

/* Text of the statistics, to be freed with g_free(). */
char *swpsp_control_stats(SwpspFirmware *firmware, const SwpspStats *stats, int64_t uptime_us);

/*
 * Carries out a command given as JSON text (not terminated) and returns the answer's text, to be
 * freed with g_free(): {"return": {}} or {"error": "..."}. Nothing is changed on error.
 */
char *swpsp_control_run(SwpspFirmware *firmware, SwpspStats *stats, const char *text, size_t len);

#endif
