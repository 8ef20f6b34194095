/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A full reply of x-query-sev-migration, in the middle of a migration. */
#ifndef SEV_REPLY_H
#define SEV_REPLY_H

#define SEV_STATUS                                                                                 \
    "{\"firmware\": \"soft\", \"guest-state\": \"sending\", "                                      \
    "\"limits\": {\"max-command-pages\": 4, \"max-batch-pages\": 4096}, "                          \
    "\"tune\": {\"batch-pages\": 64, \"batch-gap-pages\": 0, \"vcpu-throttle\": 35, "              \
    "\"vcpu-throttles\": [], \"throttle-slice-us\": 10000, \"sync-interval-ms\": 0, "              \
    "\"switchover\": \"auto\", \"hold-sending\": false, \"lease-ms\": 1000, "                      \
    "\"lease-remaining-ms\": 985}, "                                                               \
    "\"ram\": {\"page-size\": 4096, \"private-pages\": 65536, \"shared-pages\": 2304, "            \
    "\"remaining-pages\": 1200, \"pass\": 3, \"pass-elapsed-us\": 41000, \"sync-count\": 3, "      \
    "\"sync-dirtied-pages\": 1500, \"sync-interval-us\": 902000, "                                 \
    "\"sync-guest-cpu-us\": 583000}, "                                                             \
    "\"send\": {\"submissions\": 2200, \"commands\": 18000, \"pages\": 71000, "                    \
    "\"gap-pages\": 0, \"bytes\": 292000000, \"service-us\": 44000000, \"wait-us\": 1000, "        \
    "\"channel-us\": 120000, \"contiguity-splits\": 12, "                                          \
    "\"run-histogram\": [ 310, 120, 45, 9, 2 ]}, "                                                 \
    "\"receive\": {\"submissions\": 0, \"commands\": 0, \"pages\": 0, \"gap-pages\": 0, "          \
    "\"bytes\": 0, \"service-us\": 0, \"wait-us\": 0, \"channel-us\": 0, "                         \
    "\"contiguity-splits\": 0, \"run-histogram\": [ ]}, "                                          \
    "\"vcpus\": [{\"cpu-index\": 0, \"throttle\": 35, \"cpu-us\": 31000000, "                      \
    "\"throttled-us\": 420000}, {\"cpu-index\": 1, \"throttle\": 0, \"cpu-us\": 5, "               \
    "\"throttled-us\": 0, \"dirtied-pages\": 18446744073709551615}], "                             \
    "\"switchover\": {\"expected-us\": 750000}}"

#define SEV_REPLY "{\"return\": " SEV_STATUS ", \"id\": \"libvirt-17\"}"

#endif
