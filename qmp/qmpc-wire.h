/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmpc-wire.h - QMP as bytes: framing, classification, encoding
 *
 * Pure: no I/O, no clock. QMP separates its messages by nothing but the end of the JSON object, so
 * the framer follows the nesting itself and hands out whole objects; only then are they parsed.
 * Nothing in here trusts the peer: hostile bytes yield a GError.
 */
#ifndef QMPC_WIRE_H
#define QMPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qmpc-error.h"

#define QMPC_WIRE_MAX_BYTES                                                                        \
    (16u * 1024 * 1024) /* one message; query-qmp-schema is about 300 KiB                          \
                         */
#define QMPC_WIRE_MAX_DEPTH 64u

/* --- Framing --- */

typedef struct QmpcFramer QmpcFramer;

/* 0 means the limit named above. */
QmpcFramer *qmpc_framer_new(size_t max_bytes, unsigned max_depth);
void qmpc_framer_free(QmpcFramer *framer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpcFramer, qmpc_framer_free)

/* Appends what was read. No limit is applied here; drain with qmpc_framer_next() after each push.
 */
void qmpc_framer_push(QmpcFramer *framer, const char *bytes, size_t n_bytes);

/*
 * Takes the next complete object: true with *json set (caller frees), or NULL when more bytes are
 * needed. false with `error` on bytes no QMP peer sends or a limit passed; the stream has lost its
 * framing then, and each later call fails in the same way.
 */
bool qmpc_framer_next(QmpcFramer *framer, char **json, GError **error);

/* Bytes pushed and not yet handed out: an end of the stream with any left is a truncated message.
 */
size_t qmpc_framer_pending_bytes(const QmpcFramer *framer);

/* --- Messages from QEMU --- */

typedef enum {
    QMPC_MESSAGE_GREETING,
    QMPC_MESSAGE_RETURN,
    QMPC_MESSAGE_ERROR,
    QMPC_MESSAGE_EVENT,
} QmpcMessageKind;

typedef struct QmpcMessage QmpcMessage;

/* NULL with `error` if the text is not one QMP message. */
QmpcMessage *qmpc_message_parse(const char *json, GError **error);
void qmpc_message_free(QmpcMessage *message);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpcMessage, qmpc_message_free)

/* Strings belong to the message. */
QmpcMessageKind qmpc_message_kind(const QmpcMessage *message);
/* The id as a number; false if there is none or it is not one of ours (an unsigned integer). */
bool qmpc_message_id(const QmpcMessage *message, uint64_t *id);
/* RETURN: the value; EVENT: its data, or NULL; GREETING: the "QMP" member. As JSON text. */
const char *qmpc_message_data(const QmpcMessage *message);
const char *qmpc_message_event(const QmpcMessage *message); /* EVENT, else NULL */
int64_t
qmpc_message_event_realtime_us(const QmpcMessage *message);       /* EVENT; -1: host clock failed */
const char *qmpc_message_error_class(const QmpcMessage *message); /* ERROR, else NULL */
const char *qmpc_message_error_desc(const QmpcMessage *message);  /* ERROR, else NULL */
/* GREETING: the version numbers; false for other kinds. */
bool qmpc_message_version(const QmpcMessage *message, unsigned *major, unsigned *minor,
                          unsigned *micro);

/* --- Commands --- */

/*
 * {"execute": name, "arguments": …} without id, as text on one line; `arguments` is JSON text of an
 * object, or NULL. The caller frees it. This is the form that transports take.
 */
char *qmpc_command_build(const char *name, const char *arguments, GError **error);

/* The same command with an id, ended by a newline: what goes over a monitor socket. */
char *qmpc_command_with_id(const char *command, uint64_t id, GError **error);

/*
 * The reply to `command` (used for messages only): the value of "return" as JSON text (caller
 * frees), or NULL with QMPC_ERROR_COMMAND, _COMMAND_NOT_FOUND if it is QEMU's error, and
 * QMPC_ERROR_PARSE, _PROTOCOL if it is no reply at all.
 */
char *qmpc_reply_parse(const char *command, const char *reply, GError **error);

#endif
