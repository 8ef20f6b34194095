/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h - structured log lines of sevmigd
 *
 * Under systemd each line goes to the journal with the fields SEVMIG_DOMAIN, SEVMIG_UUID,
 * SEVMIG_MIGRATION and SEVMIG_PHASE, and with MESSAGE_ID where it has one; elsewhere to standard
 * error as text with key=value pairs. Only the daemon's outer parts log; what they call returns
 * errors.
 */
#ifndef SEVMIGD_LOG_H
#define SEVMIGD_LOG_H

#include <glib.h>

#include "messages.h"

/* What a line is about; any member may be NULL. */
typedef struct {
    const char *domain;
    const char *uuid;
    const char *migration;
    const char *phase;
} SevmigLogContext;

/* "error", "warning", "message", "info", "debug"; false if `name` is none of them. */
gboolean sevmig_log_level_from_name(const char *name, GLogLevelFlags *level);

/* From now on drops what is less urgent than `level`. To be called once, before any thread. */
void sevmig_log_install(GLogLevelFlags level);

/* `context` may be NULL. G_LOG_LEVEL_CRITICAL is an error here: G_LOG_LEVEL_ERROR would abort. */
void sevmig_log(SevmigMessage message, const SevmigLogContext *context, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* The text form of one record, without the newline; caller frees. Control characters are escaped,
   so that a domain's name cannot forge a line. */
char *sevmig_log_format(GLogLevelFlags level, const GLogField *fields, gsize n_fields);

#endif
