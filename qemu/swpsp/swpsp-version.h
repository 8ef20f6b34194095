/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* swpsp-version.h - versions of the SEV API: which swpsp claims, which a guest policy demands */
#ifndef SWPSP_VERSION_H
#define SWPSP_VERSION_H

#include <stdbool.h>
#include <stdint.h>

/* The newest, which is the default. */
#define SWPSP_API_MAJOR 1
#define SWPSP_API_MINOR 55
#define SWPSP_API_BUILD 1

typedef struct {
    uint8_t major, minor;
} SwpspApi;

/* Whether a platform of this version may have a guest with that policy. */
static inline bool
swpsp_api_meets(SwpspApi api, uint32_t policy)
{
    const uint8_t major = policy >> 16 & 0xff, minor = policy >> 24;
    return api.major > major || (api.major == major && api.minor >= minor);
}

#endif
