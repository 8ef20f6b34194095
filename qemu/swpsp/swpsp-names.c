/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-names.h"

#include <glib.h>
#include <string.h>

typedef struct {
    unsigned value;
    const char *name;
} Name;

static const Name ops[] = {
    {SWPSP_OP_HELLO, "HELLO"},
    {SWPSP_OP_PDH_CERT_EXPORT, "PDH_CERT_EXPORT"},
    {SWPSP_OP_STATS, "STATS"},
    {SWPSP_OP_CONTROL, "CONTROL"},
    {SWPSP_OP_LAUNCH_START, "LAUNCH_START"},
    {SWPSP_OP_LAUNCH_FINISH, "LAUNCH_FINISH"},
    {SWPSP_OP_DECOMMISSION, "DECOMMISSION"},
    {SWPSP_OP_GUEST_STATUS, "GUEST_STATUS"},
    {SWPSP_OP_SEND_START, "SEND_START"},
    {SWPSP_OP_SEND_UPDATE_DATA, "SEND_UPDATE_DATA"},
    {SWPSP_OP_SEND_FINISH, "SEND_FINISH"},
    {SWPSP_OP_SEND_CANCEL, "SEND_CANCEL"},
    {SWPSP_OP_RECEIVE_START, "RECEIVE_START"},
    {SWPSP_OP_RECEIVE_UPDATE_DATA, "RECEIVE_UPDATE_DATA"},
    {SWPSP_OP_RECEIVE_FINISH, "RECEIVE_FINISH"},
};

static const Name statuses[] = {
    {SWPSP_OK, "SUCCESS"},
    {SWPSP_INVALID_PLATFORM_STATE, "INVALID_PLATFORM_STATE"},
    {SWPSP_INVALID_GUEST_STATE, "INVALID_GUEST_STATE"},
    {SWPSP_INVALID_LENGTH, "INVALID_LENGTH"},
    {SWPSP_INVALID_CERTIFICATE, "INVALID_CERTIFICATE"},
    {SWPSP_POLICY_FAILURE, "POLICY_FAILURE"},
    {SWPSP_INACTIVE, "INACTIVE"},
    {SWPSP_INVALID_ADDRESS, "INVALID_ADDRESS"},
    {SWPSP_BAD_MEASUREMENT, "BAD_MEASUREMENT"},
    {SWPSP_INVALID_GUEST, "INVALID_GUEST"},
    {SWPSP_UNSUPPORTED, "UNSUPPORTED"},
    {SWPSP_INVALID_PARAM, "INVALID_PARAM"},
    {SWPSP_RESOURCE_LIMIT, "RESOURCE_LIMIT"},
    {SWPSP_NOT_CONTIGUOUS, "NOT_CONTIGUOUS"},
};

static const Name states[] = {
    {SWPSP_GUEST_INVALID, "invalid"},     {SWPSP_GUEST_LAUNCHING, "launching"},
    {SWPSP_GUEST_RUNNING, "running"},     {SWPSP_GUEST_SENDING, "sending"},
    {SWPSP_GUEST_RECEIVING, "receiving"}, {SWPSP_GUEST_SENT, "sent"},
};

static const char *
name_of(const Name *table, size_t n, unsigned value)
{
    for (size_t i = 0; i < n; i++) {
        if (table[i].value == value)
            return table[i].name;
    }
    return "UNKNOWN";
}

static const Name *
row_of(const Name *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

const char *
swpsp_op_name(uint16_t op)
{
    return name_of(ops, G_N_ELEMENTS(ops), op);
}

const char *
swpsp_status_name(enum swpsp_status status)
{
    return name_of(statuses, G_N_ELEMENTS(statuses), status);
}

const char *
swpsp_state_name(enum swpsp_guest_state state)
{
    return name_of(states, G_N_ELEMENTS(states), state);
}

bool
swpsp_op_from_name(const char *name, uint16_t *op)
{
    const Name *row = row_of(ops, G_N_ELEMENTS(ops), name);
    if (row)
        *op = (uint16_t)row->value;
    return row != NULL;
}

bool
swpsp_status_from_name(const char *name, enum swpsp_status *status)
{
    const Name *row = row_of(statuses, G_N_ELEMENTS(statuses), name);
    if (row)
        *status = row->value;
    return row != NULL;
}
