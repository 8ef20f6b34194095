/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A policy: what is accepted is written as it was meant, so that reading that gives it again. */
#include "fuzz.h"

#include "sevmig-policy.h"

static void
take(const uint8_t *data, size_t size)
{
    g_autoptr(SevmigPolicy) policy =
        sevmig_policy_parse((const char *)data, (gssize)size, "input", NULL, NULL);
    g_autoptr(SevmigPolicy) again = NULL;
    g_autofree char *xml = NULL, *same = NULL;

    if (policy == NULL)
        return;
    xml = sevmig_policy_to_xml(policy);
    again = sevmig_policy_parse(xml, -1, "again", NULL, NULL);
    g_assert_nonnull(again);
    same = sevmig_policy_to_xml(again);
    g_assert_cmpstr(xml, ==, same);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double began_s = fuzz_cpu_s();

    take(data, size);
    g_assert_cmpfloat(fuzz_cpu_s() - began_s, <, FUZZ_MOST_CALLER_S);
    return 0;
}
