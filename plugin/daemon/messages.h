/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * messages.h - what sevmigd has to say to an administrator
 *
 * Each message has an id in the journal, by which sevmig.catalog tells what it means, why it comes
 * and what to do about it; a test holds the two together.
 */
#ifndef SEVMIGD_MESSAGES_H
#define SEVMIGD_MESSAGES_H

#include <glib.h>

typedef enum {
    SEVMIG_MESSAGE_DEBUG, /* of this and the next there are many, for who looks closely: no id */
    SEVMIG_MESSAGE_INFO,
    SEVMIG_MESSAGE_STARTED,
    SEVMIG_MESSAGE_CANNOT_START,
    SEVMIG_MESSAGE_NAME_LOST,
    SEVMIG_MESSAGE_LIBVIRT_CONNECTED,
    SEVMIG_MESSAGE_LIBVIRT_LOST,
    SEVMIG_MESSAGE_WATCHING,
    SEVMIG_MESSAGE_LOOK_FAILED,
    SEVMIG_MESSAGE_EVENT_NOT_UNDERSTOOD,
    SEVMIG_MESSAGE_UNREAD,
    SEVMIG_MESSAGE_POLICIES_IN_FORCE,
    SEVMIG_MESSAGE_POLICY_FAULT,
    SEVMIG_MESSAGE_POLICIES_NOT_RELOADED,
    SEVMIG_MESSAGE_NOT_ON_BUS,
    SEVMIG_MESSAGE_CALLER_BUSY,
    SEVMIG_MESSAGE_HISTORY_NOT_WRITTEN,
    SEVMIG_MESSAGE_METRICS_NOT_WRITTEN,
    SEVMIG_MESSAGE_MIGRATION_FOUND,
    SEVMIG_MESSAGE_OBSERVING,
    SEVMIG_MESSAGE_PHASE,
    SEVMIG_MESSAGE_NO_STATISTICS,
    SEVMIG_MESSAGE_TUNE_REFUSED,
    SEVMIG_MESSAGE_LEASE_EXPIRED,
    SEVMIG_MESSAGE_COMMAND_FAILED,
    SEVMIG_MESSAGE_PAUSING,
    SEVMIG_MESSAGE_CANCELLING,
    SEVMIG_MESSAGE_CHANGED,
    SEVMIG_MESSAGE_RECORD_STOPPED,
    SEVMIG_MESSAGE_MIGRATION_ENDED,
    SEVMIG_MESSAGE_RELEASING,
    SEVMIG_MESSAGE_NOT_RELEASED,
    SEVMIG_MESSAGE_COUNT
} SevmigMessage;

GLogLevelFlags sevmig_message_level(SevmigMessage message);
/* 32 hexadecimal digits; NULL: it has none. */
const char *sevmig_message_id(SevmigMessage message);

#endif
