/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sevmig-error.h"

#include <gio/gio.h>

static const GDBusErrorEntry entries[] = {
    {SEVMIG_ERROR_FAILED, "org.sevmig1.Error.Failed"},
    {SEVMIG_ERROR_INVALID, "org.sevmig1.Error.Invalid"},
    {SEVMIG_ERROR_NOT_FOUND, "org.sevmig1.Error.NotFound"},
    {SEVMIG_ERROR_NOT_AUTHORIZED, "org.sevmig1.Error.NotAuthorized"},
    {SEVMIG_ERROR_NOT_SUPPORTED, "org.sevmig1.Error.NotSupported"},
    {SEVMIG_ERROR_REFUSED, "org.sevmig1.Error.Refused"},
    {SEVMIG_ERROR_UNAVAILABLE, "org.sevmig1.Error.Unavailable"},
    {SEVMIG_ERROR_TIMED_OUT, "org.sevmig1.Error.TimedOut"},
    {SEVMIG_ERROR_BUSY, "org.sevmig1.Error.Busy"},
    {SEVMIG_ERROR_PROTOCOL, "org.sevmig1.Error.Protocol"},
    {SEVMIG_ERROR_IO, "org.sevmig1.Error.Io"},
};
G_STATIC_ASSERT(G_N_ELEMENTS(entries) == SEVMIG_ERROR_COUNT);

GQuark
sevmig_error_quark(void)
{
    static gsize quark;

    g_dbus_error_register_error_domain("sevmig-error-quark", &quark, entries,
                                       G_N_ELEMENTS(entries));
    return (GQuark)quark;
}

const char *
sevmig_error_bus_name(SevmigErrorCode code)
{
    for (gsize i = 0; i < G_N_ELEMENTS(entries); i++) {
        if (entries[i].error_code == (gint)code)
            return entries[i].dbus_error_name;
    }
    return entries[SEVMIG_ERROR_FAILED].dbus_error_name;
}
