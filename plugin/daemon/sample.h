/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sample.h - QEMU's statistics as the controller takes them
 */
#ifndef SEVMIGD_SAMPLE_H
#define SEVMIGD_SAMPLE_H

#include "qmpc-sev.h"
#include "sevmig-control.h"

/*
 * Fills `sample` from `status`. The vCPUs go to `vcpus`, which has room for SEVMIG_MAX_VCPUS and
 * which `sample` then points to; further ones are left out.
 */
void sevmig_sample_fill(SevmigSample *sample, SevmigVcpuSample *vcpus, const QmpcSevStatus *status);

#endif
