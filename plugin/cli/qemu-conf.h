/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu-conf.h - what libvirt's qemu.conf says of migrations; libvirt itself does not tell
 */
#ifndef SEVMIGCTL_QEMU_CONF_H
#define SEVMIGCTL_QEMU_CONF_H

#include <glib.h>

#define QEMU_CONF "/etc/libvirt/qemu.conf"

typedef struct {
    char *text;
} QemuConf;

/* A file that is not there sets nothing. FALSE with `error` if it cannot be read. */
gboolean qemu_conf_read(QemuConf *self, const char *path, GError **error);
void qemu_conf_clear(QemuConf *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QemuConf, qemu_conf_clear)

/* The number of `key`, `unset` if it is not set. */
gint64 qemu_conf_number(const QemuConf *self, const char *key, gint64 unset);
/* The strings of `key`, of one alone or of a list; NULL if it is not set. Caller frees. */
char **qemu_conf_strings(const QemuConf *self, const char *key);
/* The first of them, or a copy of `unset`, which may be NULL. Caller frees. */
char *qemu_conf_string(const QemuConf *self, const char *key, const char *unset);

#endif
