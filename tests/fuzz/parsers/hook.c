/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt hands to the hook: whatever it is, there is a verdict of at most one line. */
#include "fuzz.h"

#include <string.h>

#include "sevmig-hook.h"

static void
strict(void)
{
}

static void
take(const uint8_t *data, size_t size)
{
    const SevmigHookPaths paths = {"", "", "", "/dev/null", "/nonexistent"};
    SevmigHookVerdict verdict = sevmig_hook_judge("vm", (const char *)data, size, &paths, strict);

    if (verdict.text != NULL)
        g_assert_null(strpbrk(verdict.text, "\n\x1b"));
    else
        g_assert_false(verdict.refuse);
    sevmig_hook_verdict_clear(&verdict);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double began_s = fuzz_cpu_s();

    take(data, size);
    g_assert_cmpfloat(fuzz_cpu_s() - began_s, <, FUZZ_MOST_CALLER_S);
    return 0;
}
