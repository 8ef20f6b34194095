/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* swpsp-names.h - what commands, errors and states are called in logs and JSON */
#ifndef SWPSP_NAMES_H
#define SWPSP_NAMES_H

#include "swpsp-proto.h"

#include <stdbool.h>

/* Static strings; "UNKNOWN" for a value without a name. */
const char *swpsp_op_name(uint16_t op);
const char *swpsp_status_name(enum swpsp_status status);
const char *swpsp_state_name(enum swpsp_guest_state state);

/* The reverse; false, and the output untouched, if nothing is called that. */
bool swpsp_op_from_name(const char *name, uint16_t *op);
bool swpsp_status_from_name(const char *name, enum swpsp_status *status);

#endif
