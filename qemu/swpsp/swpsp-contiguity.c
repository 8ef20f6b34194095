/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-contiguity.h"

#include <glib.h>
#include <string.h>

#define FRAGMENTED "fragmented:"

bool
swpsp_contiguity_parse(SwpspContiguity *contiguity, const char *text)
{
    guint64 seed, mean = SWPSP_MEAN_PAGES_DEFAULT;

    if (strcmp(text, "hugepage") == 0) {
        contiguity->mean_pages = 0;
        return true;
    }
    if (!g_str_has_prefix(text, FRAGMENTED))
        return false;

    g_auto(GStrv) numbers = g_strsplit(text + strlen(FRAGMENTED), ":", 2);
    if (!g_ascii_string_to_unsigned(numbers[0] ? numbers[0] : "", 10, 0, G_MAXUINT64, &seed, NULL))
        return false;
    if (numbers[1] &&
        !g_ascii_string_to_unsigned(numbers[1], 10, 1, SWPSP_MEAN_PAGES_MAX, &mean, NULL))
        return false;
    contiguity->seed = seed;
    contiguity->mean_pages = (uint32_t)mean;
    return true;
}

/* A well mixed function of its input (the finalizer of SplitMix64). */
static uint64_t
mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Whether a run starts with this page: for one in mean_pages of them, which makes the mean. */
static bool
starts_run(const SwpspContiguity *contiguity, uint64_t page)
{
    return mix(contiguity->seed ^ mix(page)) <= UINT64_MAX / contiguity->mean_pages;
}

static uint64_t
bytes_in_run(const SwpspContiguity *contiguity, uint64_t address, uint64_t len)
{
    uint64_t bytes = SWPSP_FRAGMENT_BYTES - address % SWPSP_FRAGMENT_BYTES;

    while (bytes < len && !starts_run(contiguity, (address + bytes) / SWPSP_FRAGMENT_BYTES))
        bytes += SWPSP_FRAGMENT_BYTES;
    return bytes;
}

uint32_t
swpsp_contiguity_bytes(const SwpspContiguity *contiguity, uint64_t address, uint32_t len)
{
    uint64_t bytes = len;

    if (contiguity->mean_pages > 0)
        bytes = bytes_in_run(contiguity, address, len);
    else if (contiguity->backing_page_bytes > 0)
        bytes = contiguity->backing_page_bytes - address % contiguity->backing_page_bytes;
    return (uint32_t)MIN(bytes, len);
}

uint32_t
swpsp_contiguity_receive_boundary(const SwpspContiguity *contiguity)
{
    return contiguity->mean_pages > 0 ? SWPSP_FRAGMENT_BYTES : contiguity->backing_page_bytes;
}

uint32_t
swpsp_contiguity_send_boundary(const SwpspContiguity *contiguity)
{
    return contiguity->mean_pages > 0 ? 0 : contiguity->backing_page_bytes;
}
