/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests to the software firmware, one after the other: a byte for the operation, two for the
 * payload's length, the payload. */
#include "fuzz.h"

#include "support.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static TestPlatform platform;

    if (platform.firmware == NULL)
        test_platform_init(&platform, NULL); /* its keys take long to make */
    while (size >= 3) {
        size_t len = MIN((size_t)(data[1] | data[2] << 8), size - 3);
        g_auto(SwpspAnswer) answer = {0};

        swpsp_firmware_execute(platform.firmware, 1, data[0], len > 0 ? data + 3 : NULL, len,
                               &answer);
        data += 3 + len;
        size -= 3 + len;
    }
    swpsp_firmware_disown(platform.firmware, 1);
    return 0;
}
