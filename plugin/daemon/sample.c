/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sample.h"

#include <glib.h>
#include <string.h>

#define US_PER_MS 1000u

/* QEMU may have more buckets than the controller: longer runs count as its longest. */
static void
histogram_fill(uint64_t *buckets, const QmpcSevTransfer *send)
{
    memset(buckets, 0, SEVMIG_RUN_BUCKETS * sizeof(*buckets));
    for (size_t i = 0; i < send->n_run_buckets && i < QMPC_SEV_MAX_RUN_BUCKETS; i++)
        buckets[MIN(i, SEVMIG_RUN_BUCKETS - 1)] += send->run_histogram[i];
}

static void
send_fill(SevmigSample *sample, const QmpcSevTransfer *send)
{
    sample->submissions = send->submissions;
    sample->commands = send->commands;
    sample->pages = send->pages;
    sample->gap_pages = send->gap_pages;
    sample->bytes = send->bytes;
    sample->service_us = send->service_us;
    sample->wait_us = send->wait_us;
    sample->channel_us = send->channel_us;
    sample->contiguity_splits = send->contiguity_splits;
    histogram_fill(sample->run_histogram, send);
}

static void
ram_fill(SevmigSample *sample, const QmpcSevStatus *status)
{
    sample->page_size_bytes = status->ram.page_size_bytes;
    sample->private_pages = status->ram.private_pages;
    sample->shared_pages = status->ram.shared_pages;
    sample->remaining_pages = status->ram.remaining_pages;
    sample->pass = status->ram.pass;
    sample->pass_elapsed_us = status->ram.pass_elapsed_us;
    sample->sync_count = status->ram.sync_count;
    sample->sync_dirtied_pages = status->ram.sync_dirtied_pages;
    sample->sync_interval_measured_us = status->ram.sync_interval_us;
    sample->sync_guest_cpu_us = status->ram.sync_guest_cpu_us;
}

static void
switchover_fill(SevmigSample *sample, const QmpcSevStatus *status)
{
    if (status->switchover.has_expected)
        sample->expected_downtime_us = status->switchover.expected_us;
    if (!status->switchover.has_result)
        return;
    sample->has_switchover = true;
    sample->switchover_stop_us = status->switchover.stop_us;
    sample->switchover_ram_us = status->switchover.ram_us;
    sample->switchover_device_us = status->switchover.device_us;
    sample->switchover_finish_us = status->switchover.finish_us;
    sample->switchover_downtime_us = status->switchover.downtime_us;
}

static void
vcpus_fill(SevmigSample *sample, SevmigVcpuSample *vcpus, const QmpcSevStatus *status)
{
    sample->n_vcpus = MIN(status->n_vcpus, (size_t)SEVMIG_MAX_VCPUS);
    sample->vcpus = vcpus;
    for (size_t i = 0; i < sample->n_vcpus; i++) {
        vcpus[i] = (SevmigVcpuSample){
            .cpu_index = status->vcpus[i].cpu_index,
            .throttle_percent = status->vcpus[i].throttle_percent,
            .cpu_us = status->vcpus[i].cpu_us,
            .throttled_us = status->vcpus[i].throttled_us,
            .dirtied_pages = status->vcpus[i].dirtied_pages,
            .has_dirtied_pages = status->vcpus[i].has_dirtied_pages,
        };
    }
}

void
sevmig_sample_fill(SevmigSample *sample, SevmigVcpuSample *vcpus, const QmpcSevStatus *status)
{
    *sample = (SevmigSample){
        .max_command_pages = status->limits.max_command_pages,
        .max_batch_pages = status->limits.max_batch_pages,
        .batch_pages = status->tune.batch_pages,
        .batch_gap_pages = status->tune.batch_gap_pages,
        .vcpu_throttle_percent = status->tune.vcpu_throttle_percent,
        .throttle_slice_us = status->tune.throttle_slice_us,
        .sync_interval_us = (uint64_t)status->tune.sync_interval_ms * US_PER_MS,
        .can_pause = status->tune.has_pause,
        .paused = status->tune.has_pause && status->tune.pause,
        .lease_remaining_us = (uint64_t)status->tune.lease_remaining_ms * US_PER_MS,
    };
    ram_fill(sample, status);
    send_fill(sample, &status->send);
    switchover_fill(sample, status);
    vcpus_fill(sample, vcpus, status);
}
