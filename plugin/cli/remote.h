/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * remote.h - sevmigd over the bus
 *
 * Errors are one line that names the object, the reason and, where there is one, the mend.
 */
#ifndef SEVMIGCTL_REMOTE_H
#define SEVMIGCTL_REMOTE_H

#include "cli.h"

/* The bus of --connect, once for all calls, which do it themselves. */
gboolean remote_open(Cli *cli, GError **error);

/* Calls a method of the manager; the reply must be of type `reply`. */
GVariant *remote_call(Cli *cli, const char *method, GVariant *parameters, const char *reply,
                      GError **error);

/* The same of the migration at that path. */
GVariant *remote_call_migration(Cli *cli, const char *path, const char *method,
                                GVariant *parameters, const char *reply, GError **error);

/* All properties of an object, as a{sv}. */
GVariant *remote_properties(Cli *cli, const char *path, const char *interface, GError **error);

/* Notes "WHAT: value" of a string property of the manager, unless it has its usual value. */
gboolean remote_note(Cli *cli, const char *property, const char *usual, const char *what,
                     GError **error);

/* Whether the error says that sevmigd is not there at all. */
gboolean remote_is_absent(const GError *error);

#endif
