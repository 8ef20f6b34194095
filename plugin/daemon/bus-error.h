/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-error.h - any error as one of the names that org.sevmig1 documents
 */
#ifndef SEVMIGD_BUS_ERROR_H
#define SEVMIGD_BUS_ERROR_H

#include <glib.h>

/* Takes over `error`; same message, our domain. */
GError *sevmig_bus_error(GError *error);

#endif
