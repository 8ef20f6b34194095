/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What comes at the sockets of the software firmware: framing, requests with a payload and without,
 * control. Chunks for one of four connections, the upper two at the control socket: a byte that
 * says which, two for the length, the bytes. Bit 6 of the first: a good header stands before them,
 * with the first of them as its operation. Bit 7: the connection is closed afterwards.
 */
#include "fuzz.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"
#include "swpsp-server.h"

#define CLIENTS 4
#define TOP_OP 0x60

int __wrap_raise(int signal);

/* The fault "crash" is meant to end the process, but not this one. */
int
__wrap_raise(int signal)
{
    return 0;
}

typedef struct {
    SwpspServer *server; /* its keys take long to read, so one serves many inputs */
    SwpspFirmware *firmware;
    int clients[CLIENTS];
} Run;

static Run run;
static char *dir; /* with the identity and the sockets */

static void
clean_up(void)
{
    static const char *const names[] = {"state/identity", "state", ""};

    swpsp_server_free(run.server);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(dir, names[i], NULL);

        (void)g_remove(path);
    }
}

static const char *
directory(void)
{
    if (dir == NULL) {
        dir = g_dir_make_tmp("fuzz-XXXXXX", NULL);
        atexit(clean_up);
    }
    return dir;
}

static void
begin(Run *self)
{
    g_autofree char *state = g_build_filename(directory(), "state", NULL);
    g_autofree char *path = g_build_filename(directory(), "sev", NULL);
    const SwpspServerConfig config = {path, 0600, (gid_t)-1, CLIENTS};
    g_autoptr(GError) error = NULL;
    SwpspIdentity *identity = swpsp_identity_load(state, NULL, &error);
    SwpspCost cost;

    g_assert_no_error(error);
    swpsp_cost_init(&cost);
    self->firmware = swpsp_firmware_new(identity, &test_limits, &cost);
    self->server = swpsp_server_new(self->firmware, &config, &error);
    g_assert_no_error(error);
    for (int i = 0; i < CLIENTS; i++)
        self->clients[i] = -1;
}

/* No cost of an earlier input, nor a fault. */
static void
reset(Run *self)
{
    swpsp_firmware_clear_faults(self->firmware);
    swpsp_cost_init(swpsp_firmware_cost(self->firmware));
    swpsp_firmware_cost(self->firmware)->time_scale = SWPSP_TIME_SCALE_MAX;
}

static void
disconnect(Run *self, int i)
{
    if (self->clients[i] >= 0)
        close(self->clients[i]);
    self->clients[i] = -1;
}

static int
connection(Run *self, int i)
{
    int pair[2];

    if (self->clients[i] >= 0)
        return self->clients[i];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), ==,
                    0);
    swpsp_server_accept(self->server, pair[0], i >= CLIENTS / 2);
    return self->clients[i] = pair[1];
}

/* Until nothing is to be done at once; an answer that a fault or a cost delays is not waited for.
 */
static void
serve(Run *self)
{
    uint8_t bytes[4096];

    while (g_main_context_iteration(NULL, FALSE))
        ;
    for (int i = 0; i < CLIENTS; i++) {
        while (self->clients[i] >= 0 && recv(self->clients[i], bytes, sizeof(bytes), 0) > 0)
            ;
    }
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

static void
chunk(Run *self, uint8_t how, const uint8_t *data, size_t len)
{
    int i = how & 3, fd = connection(self, i);

    if (how & 0x40 && len > 0) {
        const struct swpsp_msg head = {
            .magic = GUINT32_TO_LE(SWPSP_MAGIC),
            .version = GUINT16_TO_LE(SWPSP_VERSION),
            .op = GUINT16_TO_LE((uint16_t)(data[0] % TOP_OP)),
            .length = GUINT32_TO_LE((uint32_t)(len - 1)),
        };

        (void)!send(fd, &head, sizeof(head), MSG_NOSIGNAL);
        data++;
        len--;
    }
    (void)!send(fd, data, len, MSG_NOSIGNAL);
    serve(self);
    if (how & 0x80) {
        disconnect(self, i);
        serve(self);
    }
}

/* Whether it answers at once, which one that hangs or is busy for days does not. */
static bool
answers(Run *self)
{
    const struct swpsp_msg hello = {
        .magic = GUINT32_TO_LE(SWPSP_MAGIC),
        .version = GUINT16_TO_LE(SWPSP_VERSION),
        .op = GUINT16_TO_LE(SWPSP_OP_HELLO),
    };
    uint8_t answer[sizeof(hello)];
    int fd = connection(self, 0);

    reset(self);
    (void)!send(fd, &hello, sizeof(hello), MSG_NOSIGNAL);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    const bool answered = recv(fd, answer, sizeof(answer), 0) == sizeof(answer);
    disconnect(self, 0);
    serve(self);
    return answered;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double began_s = fuzz_cpu_s();

    if (run.server == NULL)
        begin(&run);
    reset(&run);
    while (size >= 3) {
        size_t len = MIN((size_t)(data[1] | data[2] << 8), size - 3);

        chunk(&run, data[0], data + 3, len);
        data += 3 + len;
        size -= 3 + len;
    }
    for (int i = 0; i < CLIENTS; i++)
        disconnect(&run, i);
    serve(&run);
    if (!answers(&run))
        g_clear_pointer(&run.server, swpsp_server_free);
    g_assert_cmpfloat(fuzz_cpu_s() - began_s, <, 10 * FUZZ_MOST_CALLER_S);
    return 0;
}
