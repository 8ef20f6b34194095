/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-options.h - swpsp's options, from its configuration file and its command line
 *
 * A key of the file is the long name of an option, see swpsp.conf(5); the command line wins. Only
 * numbers that are no numbers are found here; ranges are checked when the values are used.
 */
#ifndef SWPSP_OPTIONS_H
#define SWPSP_OPTIONS_H

#include "swpsp-cost.h"
#include "swpsp-guest.h"
#include "swpsp-server.h"

#include <glib.h>

typedef struct {
    char *socket, *socket_mode, *group, *state, *domain_ca, *user, *pid_file, *log;
    char *backing_page, *contiguity, *root, *api_version;
    gint time_scale, max_command_pages, max_submit_commands, max_clients;
    gdouble split, page_us, receive_factor, start_us, finish_us;
    gboolean verbose;
    /* Not in the file. */
    char *config;
    gboolean print_config, version;
} SwpspOptions;

void swpsp_options_clear(SwpspOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SwpspOptions, swpsp_options_clear)

/* Reads both; options must be empty. An error names the option, or file and line. */
bool swpsp_options_parse(SwpspOptions *options, char **argv, GError **error);

/* The values in force, as a configuration file; to be freed. */
char *swpsp_options_to_text(SwpspOptions *options);

/* The domain's key is not among it: it is in a file. */
bool swpsp_options_platform(const SwpspOptions *options, SwpspPlatform *platform, GError **error);

/* What the options mean. Each checks the ranges of the options it reads. */
bool swpsp_options_limits(const SwpspOptions *options, SwpspLimits *limits, GError **error);
bool swpsp_options_cost(const SwpspOptions *options, SwpspCost *cost, GError **error);
bool swpsp_options_server(const SwpspOptions *options, SwpspServerConfig *config, GError **error);

#endif
