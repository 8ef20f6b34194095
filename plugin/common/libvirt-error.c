/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt-error.h"

#include <libvirt/virterror.h>

#include "sevmig-error.h"

/* What has no row is FAILED. */
static const struct {
    int libvirt;
    SevmigErrorCode code;
} codes[] = {
    {VIR_ERR_NO_CONNECT, SEVMIG_ERROR_UNAVAILABLE},
    {VIR_ERR_INVALID_CONN, SEVMIG_ERROR_UNAVAILABLE},
    {VIR_ERR_RPC, SEVMIG_ERROR_UNAVAILABLE},
    {VIR_ERR_SYSTEM_ERROR, SEVMIG_ERROR_UNAVAILABLE},
    {VIR_ERR_NO_DOMAIN, SEVMIG_ERROR_NOT_FOUND},
    {VIR_ERR_NO_SUPPORT, SEVMIG_ERROR_NOT_SUPPORTED},
    {VIR_ERR_OPERATION_UNSUPPORTED, SEVMIG_ERROR_NOT_SUPPORTED},
    {VIR_ERR_OPERATION_INVALID, SEVMIG_ERROR_REFUSED},
    {VIR_ERR_OPERATION_DENIED, SEVMIG_ERROR_NOT_AUTHORIZED},
    {VIR_ERR_ACCESS_DENIED, SEVMIG_ERROR_NOT_AUTHORIZED},
    {VIR_ERR_AUTH_FAILED, SEVMIG_ERROR_NOT_AUTHORIZED},
    {VIR_ERR_AUTH_UNAVAILABLE, SEVMIG_ERROR_NOT_AUTHORIZED},
    {VIR_ERR_OPERATION_TIMEOUT, SEVMIG_ERROR_TIMED_OUT},
    {VIR_ERR_INVALID_ARG, SEVMIG_ERROR_INVALID},
};

static SevmigErrorCode
code_of(int libvirt)
{
    for (gsize i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (codes[i].libvirt == libvirt)
            return codes[i].code;
    }
    return SEVMIG_ERROR_FAILED;
}

void
sevmig_libvirt_error_set(GError **error, const char *format, ...)
{
    const virError *last = virGetLastError();
    gboolean says = last != NULL && last->message != NULL;
    /* Translated, so in the locale's encoding; the bus takes nothing but UTF-8. */
    g_autofree char *reason = g_utf8_make_valid(says ? last->message : "no reason given", -1);
    g_autofree char *what = NULL;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, SEVMIG_ERROR, code_of(last != NULL ? last->code : VIR_ERR_OK), "%s: %s",
                what, reason);
}

static void
say_nothing(void *user_data, virErrorPtr error)
{
}

void
sevmig_libvirt_silence(void)
{
    virSetErrorFunc(NULL, say_nothing);
}
