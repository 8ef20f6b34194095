/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-guest-table.h"

typedef struct {
    SwpspGuest *guest;
    uint64_t owner;
    uint32_t handle;
} Entry;

struct SwpspGuestTable {
    GHashTable *entries; /* handle -> Entry */
    uint32_t last_handle;
};

static void
entry_free(Entry *entry)
{
    swpsp_guest_free(entry->guest);
    g_free(entry);
}

SwpspGuestTable *
swpsp_guest_table_new(void)
{
    SwpspGuestTable *table = g_new0(SwpspGuestTable, 1);
    table->entries = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)entry_free);
    return table;
}

void
swpsp_guest_table_free(SwpspGuestTable *table)
{
    if (!table)
        return;
    g_hash_table_unref(table->entries);
    g_free(table);
}

unsigned
swpsp_guest_table_size(const SwpspGuestTable *table)
{
    return g_hash_table_size(table->entries);
}

bool
swpsp_guest_table_full(const SwpspGuestTable *table, uint64_t owner)
{
    unsigned own = 0;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, table->entries);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        own += ((const Entry *)value)->owner == owner;
    return own >= SWPSP_MAX_GUESTS_PER_OWNER || swpsp_guest_table_size(table) >= SWPSP_MAX_GUESTS;
}

uint32_t
swpsp_guest_table_add(SwpspGuestTable *table, uint64_t owner, SwpspGuest *guest)
{
    Entry *entry = g_new0(Entry, 1);

    do
        table->last_handle++;
    while (table->last_handle == 0 ||
           g_hash_table_contains(table->entries, GUINT_TO_POINTER(table->last_handle)));
    *entry = (Entry){guest, owner, table->last_handle};
    g_hash_table_insert(table->entries, GUINT_TO_POINTER(entry->handle), entry);
    return entry->handle;
}

SwpspGuest *
swpsp_guest_table_find(const SwpspGuestTable *table, uint64_t owner, uint32_t handle)
{
    const Entry *entry = g_hash_table_lookup(table->entries, GUINT_TO_POINTER(handle));
    return entry && entry->owner == owner ? entry->guest : NULL;
}

const SwpspGuest *
swpsp_guest_table_newest(const SwpspGuestTable *table, uint64_t owner, uint32_t *handle)
{
    const Entry *newest = NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, table->entries);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Entry *entry = value;
        if (entry->owner == owner && (!newest || entry->handle > newest->handle))
            newest = entry;
    }
    if (!newest)
        return NULL;
    *handle = newest->handle;
    return newest->guest;
}

void
swpsp_guest_table_remove(SwpspGuestTable *table, uint32_t handle)
{
    g_hash_table_remove(table->entries, GUINT_TO_POINTER(handle));
}

static gboolean
entry_is_of(gpointer key, gpointer value, gpointer data)
{
    return ((const Entry *)value)->owner == *(const uint64_t *)data;
}

void
swpsp_guest_table_remove_owner(SwpspGuestTable *table, uint64_t owner)
{
    g_hash_table_foreach_remove(table->entries, entry_is_of, &owner);
}
