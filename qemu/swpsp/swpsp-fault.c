/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-fault.h"

#include "swpsp-names.h"

#include <string.h>

typedef struct {
    uint16_t op;
    SwpspFault fault;    /* `after` and `count` are what is left of them */
    bool forever, spent; /* of `count` */
    uint64_t hits;
} Entry;

struct SwpspFaults {
    GArray *entries; /* Entry */
};

static const char *const kind_names[] = {
    [SWPSP_FAULT_NONE] = "none",   [SWPSP_FAULT_ERROR] = "error",
    [SWPSP_FAULT_DELAY] = "delay", [SWPSP_FAULT_HANG] = "hang",
    [SWPSP_FAULT_CRASH] = "crash", [SWPSP_FAULT_WRONG_MAC] = "wrong-mac",
};

const char *
swpsp_fault_kind_name(SwpspFaultKind kind)
{
    return kind_names[kind];
}

bool
swpsp_fault_kind_from_name(const char *name, SwpspFaultKind *kind)
{
    for (unsigned i = SWPSP_FAULT_ERROR; i < G_N_ELEMENTS(kind_names); i++) {
        if (strcmp(kind_names[i], name) == 0) {
            *kind = i;
            return true;
        }
    }
    return false;
}

SwpspFaults *
swpsp_faults_new(void)
{
    SwpspFaults *faults = g_new0(SwpspFaults, 1);

    faults->entries = g_array_new(FALSE, FALSE, sizeof(Entry));
    return faults;
}

void
swpsp_faults_free(SwpspFaults *faults)
{
    if (!faults)
        return;
    g_array_unref(faults->entries);
    g_free(faults);
}

static Entry *
entry_of(const SwpspFaults *faults, uint16_t op)
{
    for (guint i = 0; i < faults->entries->len; i++) {
        Entry *entry = &g_array_index(faults->entries, Entry, i);
        if (entry->op == op)
            return entry;
    }
    return NULL;
}

void
swpsp_faults_set(SwpspFaults *faults, uint16_t op, const SwpspFault *fault)
{
    const Entry entry = {.op = op, .fault = *fault, .forever = fault->count == 0};
    const Entry *old = entry_of(faults, op);

    if (old)
        g_array_remove_index(faults->entries, (guint)(old - (Entry *)faults->entries->data));
    if (fault->kind != SWPSP_FAULT_NONE)
        g_array_append_val(faults->entries, entry);
}

void
swpsp_faults_clear(SwpspFaults *faults)
{
    g_array_set_size(faults->entries, 0);
}

bool
swpsp_faults_empty(const SwpspFaults *faults)
{
    return faults->entries->len == 0;
}

const SwpspFault *
swpsp_faults_take(SwpspFaults *faults, uint16_t op)
{
    Entry *entry = entry_of(faults, op);

    if (!entry || entry->spent)
        return NULL;
    if (entry->fault.after > 0) {
        entry->fault.after--;
        return NULL;
    }
    if (!entry->forever)
        entry->spent = --entry->fault.count == 0;
    entry->hits++;
    return &entry->fault;
}

static json_object *
entry_to_json(const Entry *entry)
{
    const SwpspFault *fault = &entry->fault;
    json_object *object = json_object_new_object();

    json_object_object_add(object, "op", json_object_new_string(swpsp_op_name(entry->op)));
    json_object_object_add(object, "kind",
                           json_object_new_string(swpsp_fault_kind_name(fault->kind)));
    if (fault->kind == SWPSP_FAULT_ERROR)
        json_object_object_add(object, "error",
                               json_object_new_string(swpsp_status_name(fault->status)));
    if (fault->kind == SWPSP_FAULT_DELAY)
        json_object_object_add(object, "delay-ms", json_object_new_int64(fault->delay_ms));
    json_object_object_add(object, "after", json_object_new_uint64(fault->after));
    json_object_object_add(object, "count",
                           entry->forever ? json_object_new_string("forever")
                                          : json_object_new_uint64(fault->count));
    json_object_object_add(object, "hits", json_object_new_uint64(entry->hits));
    return object;
}

json_object *
swpsp_faults_to_json(const SwpspFaults *faults)
{
    json_object *array = json_object_new_array();

    for (guint i = 0; i < faults->entries->len; i++)
        json_object_array_add(array, entry_to_json(&g_array_index(faults->entries, Entry, i)));
    return array;
}
