/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* swpsp-version.h - the SEV API version swpsp claims; a guest policy may demand a newer one */
#ifndef SWPSP_VERSION_H
#define SWPSP_VERSION_H

#define SWPSP_API_MAJOR 1
#define SWPSP_API_MINOR 55
#define SWPSP_API_BUILD 1

#endif
