/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds where one JSON object ends. All it has to know of JSON is that braces and brackets nest and
 * that those within strings do not count; everything else is left to the parser, which sees whole
 * objects of bounded size and depth only. Each byte is looked at once.
 */
#include "qmpc-wire.h"

struct QmpcFramer {
    GByteArray *buffer;
    size_t scanned; /* bytes of the buffer already looked at */
    size_t max_bytes;
    unsigned max_depth;
    unsigned depth; /* open braces and brackets; 0: between messages */
    bool in_string;
    bool escaped; /* the byte before was a backslash */
    GError *failure;
};

QmpcFramer *
qmpc_framer_new(size_t max_bytes, unsigned max_depth)
{
    QmpcFramer *framer = g_new0(QmpcFramer, 1);
    framer->buffer = g_byte_array_new();
    framer->max_bytes = max_bytes != 0 ? max_bytes : QMPC_WIRE_MAX_BYTES;
    framer->max_depth = max_depth != 0 ? max_depth : QMPC_WIRE_MAX_DEPTH;
    return framer;
}

void
qmpc_framer_free(QmpcFramer *framer)
{
    if (framer == NULL)
        return;
    g_byte_array_unref(framer->buffer);
    g_clear_error(&framer->failure);
    g_free(framer);
}

void
qmpc_framer_push(QmpcFramer *framer, const char *bytes, size_t n_bytes)
{
    g_byte_array_append(framer->buffer, (const guint8 *)bytes, (guint)n_bytes);
}

size_t
qmpc_framer_pending_bytes(const QmpcFramer *framer)
{
    return framer->buffer->len;
}

static void
drop(QmpcFramer *framer, size_t n_bytes)
{
    g_byte_array_remove_range(framer->buffer, 0, (guint)n_bytes);
    framer->scanned = 0;
}

/* White space between messages, which is all that QMP allows there. */
static bool
skip_space(QmpcFramer *framer)
{
    size_t n = 0;
    while (n < framer->buffer->len && g_ascii_isspace(framer->buffer->data[n]))
        n++;
    if (n > 0)
        drop(framer, n);
    if (framer->buffer->len > 0 && framer->buffer->data[0] != '{') {
        g_set_error(&framer->failure, QMPC_ERROR, QMPC_ERROR_PARSE,
                    "byte 0x%02x where a QMP message should begin", framer->buffer->data[0]);
        return false;
    }
    return true;
}

static void
scan_string_byte(QmpcFramer *framer, guint8 byte)
{
    if (framer->escaped)
        framer->escaped = false;
    else if (byte == '\\')
        framer->escaped = true;
    else if (byte == '"')
        framer->in_string = false;
}

/* Takes one more byte into account; true if it ends the message. */
static bool
scan_byte(QmpcFramer *framer, guint8 byte)
{
    if (framer->in_string) {
        scan_string_byte(framer, byte);
        return false;
    }
    switch (byte) {
    case '"':
        framer->in_string = true;
        return false;
    case '{':
    case '[':
        framer->depth++;
        return false;
    case '}':
    case ']':
        framer->depth--;
        return framer->depth == 0;
    default:
        return false;
    }
}

/* Moves to the end of the message; *end is one past it, or 0 if it is not there yet. */
static bool
scan(QmpcFramer *framer, size_t *end)
{
    *end = 0;
    while (framer->scanned < framer->buffer->len && *end == 0) {
        guint8 byte = framer->buffer->data[framer->scanned++];
        if (byte == 0) {
            g_set_error_literal(&framer->failure, QMPC_ERROR, QMPC_ERROR_PARSE,
                                "NUL within a QMP message");
            return false;
        }
        if (scan_byte(framer, byte))
            *end = framer->scanned;
        if (framer->depth > framer->max_depth) {
            g_set_error(&framer->failure, QMPC_ERROR, QMPC_ERROR_LIMIT,
                        "QMP message nested deeper than %u levels", framer->max_depth);
            return false;
        }
        if (framer->scanned > framer->max_bytes) {
            g_set_error(&framer->failure, QMPC_ERROR, QMPC_ERROR_LIMIT,
                        "QMP message longer than %zu bytes", framer->max_bytes);
            return false;
        }
    }
    return true;
}

bool
qmpc_framer_next(QmpcFramer *framer, char **json, GError **error)
{
    size_t end = 0;
    if (framer->failure == NULL && framer->depth == 0)
        skip_space(framer);
    if (framer->failure == NULL)
        scan(framer, &end);
    if (framer->failure != NULL) {
        g_propagate_error(error, g_error_copy(framer->failure));
        return false;
    }
    *json = NULL;
    if (end > 0) {
        *json = g_strndup((const char *)framer->buffer->data, end);
        drop(framer, end);
    }
    return true;
}
