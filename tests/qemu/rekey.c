/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded: changes the keys of a TLS session five times a second, in the thread that sends and
 * asking the peer to do the same, as GnuTLS does by itself after 2^24 records. (It takes no more
 * than eight changes a second.)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>
#include <gnutls/gnutls.h>

#define INTERVAL_NS 200000000LL

ssize_t
gnutls_record_send(gnutls_session_t session, const void *data, size_t size)
{
    static ssize_t (*send)(gnutls_session_t, const void *, size_t);
    static long long last_ns;
    struct timespec now;
    long long now_ns;

    if (!send) {
        send = dlsym(RTLD_NEXT, "gnutls_record_send");
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    now_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
    if (now_ns - last_ns > INTERVAL_NS && gnutls_protocol_get_version(session) == GNUTLS_TLS1_3) {
        int ret = gnutls_session_key_update(session, GNUTLS_KU_PEER);

        last_ns = now_ns;
        fprintf(stderr, "rekey: %s\n", gnutls_strerror(ret));
    }
    return send(session, data, size);
}
