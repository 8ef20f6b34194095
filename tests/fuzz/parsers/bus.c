/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arguments of Steer, as bytes of a message's body. */
#include "fuzz.h"

#include "hand.h"

static void
take(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(GVariant) raw =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE_VARDICT, bytes, FALSE));
    g_autoptr(GVariant) values = g_variant_get_normal_form(raw);
    const SevmigInfo info = {.pages = 1000, .service_us = 1000000, .batch_pages = 4};
    SevmigControlParams params;
    SevmigHand hand;

    sevmig_control_params_default(&params);
    if (!sevmig_hand_parse(&hand, values, NULL))
        return;
    if (sevmig_hand_apply(&hand, &info, &params, NULL))
        g_assert_cmpuint(params.throttle_ceiling_percent, <=, 99);
    g_free(sevmig_hand_describe(&hand));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double began_s = fuzz_cpu_s();

    take(data, size);
    g_assert_cmpfloat(fuzz_cpu_s() - began_s, <, FUZZ_MOST_CALLER_S);
    return 0;
}
