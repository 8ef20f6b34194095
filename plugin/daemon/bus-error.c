/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-error.h"

#include <gio/gio.h>

#include "sevmig-error.h"

typedef struct {
    gint code;
    SevmigErrorCode ours;
} Row;

static const Row io_rows[] = {
    {G_IO_ERROR_CANCELLED, SEVMIG_ERROR_UNAVAILABLE},
    {G_IO_ERROR_TIMED_OUT, SEVMIG_ERROR_TIMED_OUT},
    {G_IO_ERROR_INVALID_ARGUMENT, SEVMIG_ERROR_INVALID},
};

static SevmigErrorCode
find(const Row *rows, gsize n, gint code, SevmigErrorCode otherwise)
{
    for (gsize i = 0; i < n; i++) {
        if (rows[i].code == code)
            return rows[i].ours;
    }
    return otherwise;
}

GError *
sevmig_bus_error(GError *error)
{
    SevmigErrorCode code = SEVMIG_ERROR_FAILED;

    if (error->domain == SEVMIG_ERROR)
        return error;
    if (error->domain == G_IO_ERROR)
        code = find(io_rows, G_N_ELEMENTS(io_rows), error->code, code);
    error->domain = SEVMIG_ERROR;
    error->code = (gint)code;
    return error;
}
