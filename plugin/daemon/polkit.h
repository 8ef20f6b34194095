/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * polkit.h - may this caller do that?
 */
#ifndef SEVMIGD_POLKIT_H
#define SEVMIGD_POLKIT_H

#include <gio/gio.h>

typedef struct SevmigPolkit SevmigPolkit;

/* Asks the polkit that is on the system bus; it need not be there yet. */
SevmigPolkit *sevmig_polkit_new(void);
/* Checks under way end with G_IO_ERROR_CANCELLED. */
void sevmig_polkit_free(SevmigPolkit *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigPolkit, sevmig_polkit_free)

/* `sender` is the caller's unique bus name. `details` (a{ss}; consumed if floating) is what
   polkit's rules may decide by. `interactive`: polkit may ask the user, which takes as long as the
   user takes; all else it must answer within seconds. */
void sevmig_polkit_check_async(SevmigPolkit *self, const char *sender, const char *action,
                               GVariant *details, gboolean interactive,
                               GAsyncReadyCallback callback, gpointer user_data);

/* TRUE: allowed. Else SEVMIG_ERROR_NOT_AUTHORIZED, also where polkit does not answer. */
gboolean sevmig_polkit_check_finish(GAsyncResult *result, GError **error);

#endif
