/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For LD_PRELOAD: a GnuTLS that renews the key of what is sent every quarter of a second.
 *
 * GnuTLS renews it by itself after 2^24 records, in TLS 1.3, unless the cipher needs it not or the
 * program forbade it (gnutls_init, GNUTLS_NO_AUTO_REKEY). The number is written into
 * _gnutls_send_int(); no priority string, file or variable changes it, and 2^24 records are 64 GiB
 * and more. So each record that is due here is preceded by what GnuTLS itself does then:
 * gnutls_session_key_update(s, 0) in the thread that sends. No oftener, since a peer allows eight
 * in a second; and not for the few records that a migration's destination sends, which never are so
 * many.
 *
 * gnutls_record_recv() takes its state of an epoch, waits for data, and then uses that state
 * (_gnutls_recv_in_buffers()); the second renewal in the meantime frees it (_gnutls_epoch_gc()).
 * The next epoch usually gets the same memory, so that nobody notices. Here memory that was freed
 * is overwritten and never used again.
 */
#include <dlfcn.h>
#include <gnutls/gnutls.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INTERVAL_MS 250
#define LEAST_RECORDS 100
#define SESSIONS 64
#define KEPT_BYTES 4000 /* larger ones are no state of GnuTLS's, and a page is larger */

struct session {
    gnutls_session_t handle;
    unsigned flags;
    unsigned records;
    int64_t renewed_ms;
    bool begun; /* GnuTLS could not write all of the message that tells the peer */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct session sessions[SESSIONS];

static int64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *
real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (!function)
        abort();
    return function;
}

/* The entry of a session; for a new one, NULL asks for a free entry. */
static struct session *
find(gnutls_session_t handle)
{
    struct session *found = NULL;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < SESSIONS && !found; i++)
        if (sessions[i].handle == handle)
            found = &sessions[i];
    pthread_mutex_unlock(&lock);
    if (!found)
        abort();
    return found;
}

int
gnutls_init(gnutls_session_t *handle, unsigned int flags)
{
    int (*init)(gnutls_session_t *, unsigned int) = real("gnutls_init");
    int status = init(handle, flags);

    if (status == GNUTLS_E_SUCCESS)
        *find(NULL) = (struct session){.handle = *handle, .flags = flags};
    return status;
}

void
gnutls_deinit(gnutls_session_t handle)
{
    void (*deinit)(gnutls_session_t) = real("gnutls_deinit");

    *find(handle) = (struct session){0};
    deinit(handle);
}

/* GnuTLS's own conditions, but for the number. */
static bool
may_renew(const struct session *session)
{
    return gnutls_protocol_get_version(session->handle) == GNUTLS_TLS1_3 &&
           !(session->flags & GNUTLS_NO_AUTO_REKEY) &&
           gnutls_cipher_get(session->handle) != GNUTLS_CIPHER_CHACHA20_POLY1305;
}

ssize_t
gnutls_record_send(gnutls_session_t handle, const void *data, size_t size)
{
    ssize_t (*record_send)(gnutls_session_t, const void *, size_t) = real("gnutls_record_send");
    struct session *session = find(handle);
    int status;

    session->records++;
    if (session->begun ||
        (session->records >= LEAST_RECORDS && now_ms() - session->renewed_ms >= INTERVAL_MS)) {
        if (may_renew(session)) {
            status = gnutls_session_key_update(handle, 0);
            session->begun = status == GNUTLS_E_AGAIN || status == GNUTLS_E_INTERRUPTED;
            if (status < 0)
                return status;
        }
        session->renewed_ms = now_ms();
        fprintf(stderr, "rekey: %s with %s\n", may_renew(session) ? "renewed" : "never due",
                gnutls_cipher_get_name(gnutls_cipher_get(handle)));
    }
    return record_send(handle, data, size);
}

extern void __libc_free(void *memory);

void
free(void *memory)
{
    if (memory && malloc_usable_size(memory) <= KEPT_BYTES)
        memset(memory, 0x55, malloc_usable_size(memory));
    else
        __libc_free(memory);
}
