/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "support.h"

#include "qemu/memalign.h"

const ConfidentialGuestMigrationOps *const ops = &sev_kvm_migration_ops;

void
must(bool ok, Error **err)
{
    if (!ok)
        g_error("%s", error_get_pretty(*err));
}

void
refused(bool ok, Error **err, ...)
{
    va_list words;
    const char *word;

    g_assert_false(ok);
    g_assert_nonnull(*err);
    va_start(words, err);
    while ((word = va_arg(words, const char *))) {
        if (!strstr(error_get_pretty(*err), word))
            g_error("'%s' is not in: %s", word, error_get_pretty(*err));
    }
    va_end(words);
    error_free(*err);
    *err = NULL;
}

void
pair_init(Pair *pair, uint32_t command_bytes, uint32_t policy, const char *amd_cert_file)
{
    *pair = (Pair){0};
    machine_init();
    pair->arrived = qemu_memalign(PAGE, RAM_BYTES);
    memset(pair->arrived, 0xee, RAM_BYTES);
    for (unsigned i = 0; i < RAM_BYTES; i++)
        machine.rb.host[i] = (uint8_t)(i * 7 + (i >> 12));
    pair->from = host_new(command_bytes);
    pair->to = host_new(command_bytes);
    pair->source.kvm = sev_kvm_new("sev0", host_fd(pair->from), policy, NULL, false, true);
    pair->destination.kvm =
        sev_kvm_new("sev0", host_fd(pair->to), policy, amd_cert_file, true, true);
    host_pin(pair->from, machine.rb.host, RAM_BYTES);
    host_pin(pair->to, pair->arrived, RAM_BYTES);
    host_launch(pair->from, policy);
}

static void
pair_forget_keys(Pair *pair)
{
    g_clear_pointer(&pair->peer.pdh, g_byte_array_unref);
    g_clear_pointer(&pair->peer.chain, g_byte_array_unref);
    g_clear_pointer(&pair->peer.amd, g_byte_array_unref);
    g_clear_pointer(&pair->session.pdh, g_byte_array_unref);
    g_clear_pointer(&pair->session.session, g_byte_array_unref);
}

void
pair_clear(Pair *pair)
{
    pair_forget_keys(pair);
    sev_kvm_free(pair->source.kvm);
    sev_kvm_free(pair->destination.kvm);
    host_free(pair->from);
    host_free(pair->to);
    qemu_vfree(pair->arrived);
    machine_clear();
}

bool
pair_send_start(Pair *pair, Error **errp)
{
    Error *err = NULL;

    pair_forget_keys(pair);
    must(ops->get_identity(guest_cgs(&pair->destination), &pair->peer, &err), &err);
    return ops->send_start(guest_cgs(&pair->source), &pair->peer, &pair->session, errp);
}

void
pair_start(Pair *pair)
{
    Error *err = NULL;

    must(pair_send_start(pair, &err), &err);
    must(ops->receive_start(guest_cgs(&pair->destination), &pair->session, &err), &err);
}

Batch *
batch_new(void)
{
    Batch *batch = g_new0(Batch, 1);

    batch->sub.packets = batch->packets;
    return batch;
}

void
batch_free(Batch *batch)
{
    g_free(batch->sub.data);
    g_free(batch);
}

void
batch_add(Batch *batch, unsigned page, uint32_t len)
{
    CgsMigrationSubmission *sub = &batch->sub;

    g_assert_cmpuint(sub->n_packets, <, G_N_ELEMENTS(batch->packets));
    batch->packets[sub->n_packets++] = (CgsMigrationPacket){
        .addr = page * PAGE, .len = len, .host = machine.rb.host + page * PAGE};
    sub->data = g_realloc(sub->data, sub->data_len + len);
    memset(sub->data + sub->data_len, 0, len);
    sub->data_len += len;
}

bool
batch_send(Pair *pair, Batch *batch, Error **errp)
{
    return ops->send_submit(guest_cgs(&pair->source), &batch->sub, errp) &&
           ops->send_collect(guest_cgs(&pair->source), &batch->sub, errp);
}

bool
batch_receive(Pair *pair, Batch *batch, Error **errp)
{
    for (unsigned i = 0; i < batch->sub.n_packets; i++)
        batch->packets[i].host = pair->arrived + batch->packets[i].addr;
    return ops->receive_submit(guest_cgs(&pair->destination), &batch->sub, errp) &&
           ops->receive_collect(guest_cgs(&pair->destination), &batch->sub, errp);
}
