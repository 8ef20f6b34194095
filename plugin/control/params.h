/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SEVMIG_PARAMS_H
#define SEVMIG_PARAMS_H

#include "sevmig-control.h"

/* Copies what a policy asks (NULL: the defaults), with values that make no sense made harmless: the
 * policy's own checks report them, a migration must not fail on them. */
void sevmig_params_copy(SevmigControlParams *to, const SevmigControlParams *from);

#endif
