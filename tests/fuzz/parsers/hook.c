/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt hands to the hook: whatever it is, there is a verdict of at most one line. */
#include "fuzz.h"

#include <string.h>

#include "sevmig-hook.h"

static void
strict(void)
{
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const SevmigHookPaths paths = {"", "", "", "/dev/null"};
    SevmigHookVerdict verdict = sevmig_hook_judge("vm", (const char *)data, size, &paths, strict);

    if (verdict.text != NULL)
        g_assert_null(strpbrk(verdict.text, "\n\x1b"));
    else
        g_assert_false(verdict.refuse);
    sevmig_hook_verdict_clear(&verdict);
    return 0;
}
