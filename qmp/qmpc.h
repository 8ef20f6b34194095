/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qmpc.h - the QMP client library: everything public */
#ifndef QMPC_H
#define QMPC_H

#include "qmpc-client.h"
#include "qmpc-error.h"
#include "qmpc-migration.h"
#include "qmpc-schema.h"
#include "qmpc-sev.h"
#include "qmpc-transport.h"
#include "qmpc-wire.h"

#endif
