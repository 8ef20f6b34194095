/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain's XML with its metadata: which policy governs it. */
#include "fuzz.h"

#include "sevmig-policy-resolve.h"
#include "sevmig-policy-store.h"

static void
take(const uint8_t *data, size_t size)
{
    g_autoptr(SevmigPolicyStore) store = sevmig_policy_store_new("", "", "");
    g_autoptr(SevmigResolution) resolution =
        sevmig_policy_resolve(store, (const char *)data, (gssize)size, NULL);

    if (resolution != NULL)
        g_variant_unref(g_variant_ref_sink(sevmig_resolution_to_variant(resolution)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double began_s = fuzz_cpu_s();

    take(data, size);
    g_assert_cmpfloat(fuzz_cpu_s() - began_s, <, FUZZ_MOST_CALLER_S);
    return 0;
}
