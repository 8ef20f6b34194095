/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hand.h"

#include <string.h>

#include "sevmig-error.h"

#define MOST_BATCH_PAGES 4096u /* as a policy's */

static const struct {
    const char *key;
    gsize has;
    gsize value;
} keys[] = {
    {"throttle-percent", G_STRUCT_OFFSET(SevmigHand, has_throttle),
     G_STRUCT_OFFSET(SevmigHand, throttle_percent)},
    {"batch-pages", G_STRUCT_OFFSET(SevmigHand, has_batch),
     G_STRUCT_OFFSET(SevmigHand, batch_pages)},
};

static gboolean
parse_one(SevmigHand *hand, const char *key, GVariant *value, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (strcmp(keys[i].key, key) != 0 || !g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32))
            continue;
        G_STRUCT_MEMBER(gboolean, hand, keys[i].has) = TRUE;
        G_STRUCT_MEMBER(guint32, hand, keys[i].value) = g_variant_get_uint32(value);
        return TRUE;
    }
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID,
                "\"%s\" of type %s cannot be set by hand; expected throttle-percent, batch-pages "
                "of type u",
                key, g_variant_get_type_string(value));
    return FALSE;
}

gboolean
sevmig_hand_parse(SevmigHand *hand, GVariant *values, GError **error)
{
    SevmigHand read = {0};
    GVariantIter iter;
    const char *key;
    GVariant *value;

    g_variant_iter_init(&iter, values);
    while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
        g_autoptr(GVariant) owned = value;

        if (!parse_one(&read, key, owned, error))
            return FALSE;
    }
    *hand = read;
    return TRUE;
}

/* What the policy's hold comes to in pages, but at least what is in force now. The mean cost so far
 * is that of smaller batches, which cost more a page: the bound errs on the short side. */
static guint32
most_batch_pages(const SevmigInfo *info, const SevmigControlParams *params)
{
    double page_us = info->pages > 0 ? (double)info->service_us / (double)info->pages : 0;
    double most = page_us > 0 ? (double)params->batch_hold_us / page_us : 0;

    if (params->batch_pages > 0)
        return params->batch_pages;
    return (guint32)CLAMP(MAX(most, info->batch_pages), 1, MOST_BATCH_PAGES);
}

gboolean
sevmig_hand_apply(const SevmigHand *hand, const SevmigInfo *info, SevmigControlParams *params,
                  GError **error)
{
    guint32 most = most_batch_pages(info, params);
    const char *refusal = NULL;

    if (params->observe_only)
        refusal = "the policy only watches";
    else if (hand->has_throttle && params->throttle_mode == SEVMIG_THROTTLE_QEMU)
        refusal = "the policy leaves the throttle to QEMU";
    if (refusal != NULL) {
        g_set_error_literal(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED, refusal);
        return FALSE;
    }
    if (hand->has_throttle && hand->throttle_percent > params->throttle_ceiling_percent) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED,
                    "a throttle of %u %% is beyond the policy; expected at most %u %%",
                    hand->throttle_percent, params->throttle_ceiling_percent);
        return FALSE;
    }
    if (hand->has_batch && (hand->batch_pages < 1 || hand->batch_pages > most)) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED,
                    "a batch of %u pages is beyond what the policy allows here; expected 1 to %u",
                    hand->batch_pages, most);
        return FALSE;
    }
    if (hand->has_throttle)
        params->throttle_ceiling_percent = hand->throttle_percent;
    if (hand->has_batch)
        params->batch_pages = hand->batch_pages;
    return TRUE;
}

char *
sevmig_hand_describe(const SevmigHand *hand)
{
    GString *text = g_string_new(NULL);

    if (hand->has_throttle)
        g_string_append_printf(text, "throttle at most %u %%", hand->throttle_percent);
    if (hand->has_batch)
        g_string_append_printf(text, "%sbatch of %u pages", text->len > 0 ? ", " : "",
                               hand->batch_pages);
    if (text->len == 0)
        g_string_append(text, "nothing");
    return g_string_free(text, FALSE);
}
