/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_DOMAIN "swpsp"

#include "swpsp-server.h"

#include "swpsp-connection.h"
#include "swpsp-control.h"
#include "swpsp-listener.h"
#include "swpsp-names.h"
#include "swpsp-sandbox.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* What one client may have waiting here before no more is read from it. */
#define CLIENT_REQUESTS_MAX 64
#define CLIENT_BYTES_MAX (8u * 1024 * 1024)

/* Connections to the control socket, which guests cannot use up. */
#define CONTROL_CLIENTS_MAX 8

/* Of address space, with libraries, without clients. */
#define OWN_BYTES_MAX ((size_t)512 * 1024 * 1024)

#define NS_PER_S 1000000000

/* How late the timer may be expected to be, at most; see timer_arm(). */
#define LATENESS_MAX_US 100

/* A sleep shorter than what setting and taking a timer costs makes the answer late, not punctual.
 */
#define SHORTEST_SLEEP_US 20

typedef struct {
    SwpspServer *server;
    SwpspConnection *connection;
    SwpspClientStats *stats;
    uint64_t id;
    pid_t pid;
    bool control;      /* of the control socket */
    unsigned requests; /* queued or being served */
    size_t bytes;      /* of their payloads */
} Client;

typedef struct {
    Client *client; /* NULL: gone meanwhile */
    struct swpsp_msg head;
    uint8_t *payload;
    int64_t arrival_us;
} Job;

struct SwpspServer {
    SwpspFirmware *firmware;
    SwpspStats *stats;
    SwpspListener *guests, *control;
    unsigned max_clients;
    int timer_fd;
    guint timer_source;
    GPtrArray *clients;
    uint64_t last_id;
    int64_t started_us;

    GQueue queue; /* Job */
    Job *current; /* being served, answer ready */
    SwpspAnswer answer;
    bool hung;          /* by a fault: the current request does not end */
    int64_t due_ns;     /* when the current request is due to end, or the last one was */
    double lateness_us; /* of the timer, a running mean */
};

static void start_next(SwpspServer *server);

static void
job_free(Job *job)
{
    if (job->client) {
        job->client->requests--;
        job->client->bytes -= job->head.length;
    }
    g_free(job->payload);
    g_free(job);
}

static void
client_update_hold(Client *client)
{
    swpsp_connection_hold(client->connection, client->requests >= CLIENT_REQUESTS_MAX ||
                                                  client->bytes >= CLIENT_BYTES_MAX);
}

static void
reply(Client *client, const struct swpsp_msg *request, enum swpsp_status status, uint8_t *payload,
      size_t len)
{
    const struct swpsp_msg head = {
        .magic = SWPSP_MAGIC,
        .version = SWPSP_VERSION,
        .op = request->op,
        .length = (uint32_t)len,
        .status = status,
        .tag = request->tag,
    };
    swpsp_connection_send(client->connection, &head, payload);
}

static void
log_refused(const Client *client, uint16_t op, const SwpspAnswer *answer)
{
    /* A contiguity refusal is part of normal service, and there may be thousands. */
    const GLogLevelFlags level =
        answer->status == SWPSP_NOT_CONTIGUOUS ? G_LOG_LEVEL_DEBUG : G_LOG_LEVEL_MESSAGE;

    g_log(G_LOG_DOMAIN, level, "%s: %s, guest %u, client %d, command %" G_GUINT64_FORMAT,
          swpsp_op_name(op), swpsp_status_name(answer->status), answer->handle, (int)client->pid,
          answer->commands);
}

/* Any QEMU may have the firmware's socket open; none of them may stop the firmware for all. */
static void
refuse_control(Client *client, const struct swpsp_msg *head)
{
    g_message("CONTROL: refused, client %d: it is served at %s only", (int)client->pid,
              swpsp_listener_path(client->server->control));
    reply(client, head, SWPSP_UNSUPPORTED, NULL, 0);
}

/* Requests to the server itself; false if this is not one. */
static bool
serve_own(Client *client, const struct swpsp_msg *head, const uint8_t *payload)
{
    SwpspServer *server = client->server;
    char *text;

    if (head->op == SWPSP_OP_CONTROL && !client->control) {
        refuse_control(client, head);
        return true;
    }
    if (head->op == SWPSP_OP_STATS)
        text = swpsp_control_stats(server->firmware, server->stats,
                                   g_get_monotonic_time() - server->started_us);
    else if (head->op == SWPSP_OP_CONTROL)
        text =
            swpsp_control_run(server->firmware, server->stats, (const char *)payload, head->length);
    else
        return false;
    reply(client, head, SWPSP_OK, (uint8_t *)text, strlen(text));
    return true;
}

/*
 * What the encryption itself took. Not the time on the clock: waiting for a processor is the
 * machine's delay, which the firmware's clock makes good, and not the firmware's.
 */
static int64_t
thread_cpu_us(void)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

/* Does what a fault in the current request leaves to the server. */
static void
strike(SwpspServer *server)
{
    const SwpspFaultKind fault = server->answer.fault;

    if (fault == SWPSP_FAULT_NONE)
        return;
    g_message("%s: fault: %s", swpsp_op_name(server->current->head.op),
              swpsp_fault_kind_name(fault));
    server->hung = fault == SWPSP_FAULT_HANG;
    if (fault == SWPSP_FAULT_CRASH)
        raise(SIGKILL);
}

/* Runs the job that is now current, and says when it is due to end. */
static void
execute_current(SwpspServer *server)
{
    Job *job = server->current;
    Client *client = job->client;
    const int64_t arrival_ns = job->arrival_us * 1000, start_ns = MAX(arrival_ns, server->due_ns);
    const int64_t cpu_us = thread_cpu_us();

    swpsp_firmware_execute(server->firmware, client->id, job->head.op, job->payload,
                           job->head.length, &server->answer);
    /* Nanoseconds: at high time scales, what rounding to microseconds loses adds up. */
    const int64_t model_ns = (int64_t)(server->answer.service_us * 1000 + 0.5);
    const int64_t real_us = server->answer.service_us > 0 ? thread_cpu_us() - cpu_us : 0;
    server->due_ns = start_ns + MAX(model_ns, real_us * 1000);

    const SwpspServed served = {
        .op = job->head.op,
        .status = server->answer.status,
        .commands = server->answer.commands,
        .pages = server->answer.pages,
        .service_us = (uint64_t)(server->due_ns - start_ns + 500) / 1000,
        .wait_us = (uint64_t)(start_ns - arrival_ns + 500) / 1000,
    };
    swpsp_firmware_stamp(job->head.op, &server->answer, served.service_us, served.wait_us);
    swpsp_stats_served(server->stats, client->stats, &served);
    swpsp_firmware_guest_of(server->firmware, client->id, &client->stats->handle,
                            &client->stats->state);
    if (server->answer.status != SWPSP_OK)
        log_refused(client, job->head.op, &server->answer);
    strike(server);
}

/* The requests of a client that is gone are dropped, but for the one the firmware is busy with. */
static void
drop_jobs(SwpspServer *server, Client *client)
{
    for (GList *l = server->queue.head, *next; l; l = next) {
        next = l->next;
        if (((Job *)l->data)->client != client)
            continue;
        job_free(l->data);
        g_queue_delete_link(&server->queue, l);
    }
    if (server->current && server->current->client == client)
        server->current->client = NULL;
}

static void
finish_current(SwpspServer *server)
{
    Job *job = g_steal_pointer(&server->current);
    SwpspAnswer *answer = &server->answer;
    Client *client = job->client;

    if (client && answer->malformed) {
        drop_jobs(server, client);
        swpsp_connection_close_later(client->connection, "malformed payload");
    } else if (client) {
        reply(client, &job->head, answer->status, g_steal_pointer(&answer->payload), answer->len);
    }
    swpsp_answer_clear(answer);
    job_free(job);
    if (client)
        client_update_hold(client);
}

/*
 * The timer wakes us somewhat after the time asked for; ask for earlier by what it was late lately,
 * so that answers are on time on the average. Nothing is ever spun for.
 */
static int64_t
wake_ns(const SwpspServer *server)
{
    return server->due_ns - (int64_t)(server->lateness_us * 1000);
}

static void
timer_arm(SwpspServer *server)
{
    const int64_t at_ns = wake_ns(server);
    const struct itimerspec spec = {
        .it_value = {.tv_sec = at_ns / NS_PER_S, .tv_nsec = at_ns % NS_PER_S},
    };
    timerfd_settime(server->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static gboolean
on_timer(gint fd, GIOCondition condition, gpointer data)
{
    SwpspServer *server = data;
    uint64_t expirations;

    if (read(fd, &expirations, sizeof(expirations)) != sizeof(expirations) || !server->current ||
        server->hung)
        return G_SOURCE_CONTINUE;

    const double asked_us = (double)wake_ns(server) / 1000;
    const double late_us = CLAMP((double)g_get_monotonic_time() - asked_us, 0, LATENESS_MAX_US);
    server->lateness_us += (late_us - server->lateness_us) / 16;
    finish_current(server);
    start_next(server);
    return G_SOURCE_CONTINUE;
}

static void
start_next(SwpspServer *server)
{
    while (!server->current && (server->current = g_queue_pop_head(&server->queue)) != NULL) {
        Job *job = server->current;

        if (serve_own(job->client, &job->head, job->payload)) {
            Client *client = job->client;
            server->current = NULL;
            job_free(job);
            client_update_hold(client);
            continue;
        }
        execute_current(server);
        if (server->hung)
            return;
        if (wake_ns(server) > (g_get_monotonic_time() + SHORTEST_SLEEP_US) * 1000) {
            timer_arm(server);
            return;
        }
        finish_current(server);
    }
}

/* A hang lasts until all faults are cleared; then it was only a long time. */
static void
end_hang(SwpspServer *server)
{
    if (!server->hung || !swpsp_faults_empty(swpsp_firmware_faults(server->firmware)))
        return;
    server->hung = false;
    server->due_ns = MAX(server->due_ns, g_get_monotonic_time() * 1000);
    finish_current(server);
    start_next(server);
}

static void
on_message(void *data, const struct swpsp_msg *head, uint8_t *payload)
{
    Client *client = data;
    SwpspServer *server = client->server;

    /* Behind the client's own requests it has to wait, for answers come in order. */
    if (client->requests == 0 && serve_own(client, head, payload)) {
        g_free(payload);
        end_hang(server);
        return;
    }
    Job *job = g_new0(Job, 1);
    *job = (Job){client, *head, payload, g_get_monotonic_time()};
    client->requests++;
    client->bytes += head->length;
    g_queue_push_tail(&server->queue, job);
    swpsp_stats_queue_depth(server->stats,
                            g_queue_get_length(&server->queue) + (server->current != NULL));
    client_update_hold(client);
    start_next(server);
}

static void
client_free(Client *client)
{
    SwpspServer *server = client->server;

    drop_jobs(server, client);
    swpsp_firmware_disown(server->firmware, client->id);
    swpsp_stats_client_gone(server->stats, client->stats);
    swpsp_connection_free(client->connection);
    g_free(client);
}

static void
on_closed(void *data, const char *reason)
{
    Client *client = data;

    if (g_str_has_prefix(reason, "closed"))
        g_debug("client %d: %s", (int)client->pid, reason);
    else
        g_message("client %d dropped: %s", (int)client->pid, reason);
    g_ptr_array_remove_fast(client->server->clients, client);
}

static const SwpspConnectionOps connection_ops = {on_message, on_closed};

static unsigned
count_clients(const SwpspServer *server, bool control)
{
    unsigned n = 0;

    for (guint i = 0; i < server->clients->len; i++)
        n += ((const Client *)server->clients->pdata[i])->control == control;
    return n;
}

void
swpsp_server_accept(SwpspServer *server, int fd, bool control)
{
    const unsigned most = control ? CONTROL_CLIENTS_MAX : server->max_clients;

    if (count_clients(server, control) >= most) {
        g_warning("too many %s, refusing one more", control ? "control clients" : "clients");
        close(fd);
        return;
    }

    Client *client = g_new0(Client, 1);
    client->server = server;
    client->control = control;
    client->id = ++server->last_id;
    client->connection = swpsp_connection_new(fd, &connection_ops, client);
    client->pid = swpsp_connection_pid(client->connection);
    client->stats = swpsp_stats_client_new(server->stats, client->id, client->pid);
    g_ptr_array_add(server->clients, client);
    g_debug("client %d connected", (int)client->pid);
}

static void
on_guest_accepted(void *data, int fd)
{
    swpsp_server_accept(data, fd, false);
}

static void
on_control_accepted(void *data, int fd)
{
    swpsp_server_accept(data, fd, true);
}

size_t
swpsp_server_memory_bytes(unsigned max_clients)
{
    /* Of each client: what waits, a message that made it too much, and the answers to them. */
    const size_t each = 2 * (CLIENT_BYTES_MAX + (size_t)SWPSP_MAX_PAYLOAD);
    return OWN_BYTES_MAX + (max_clients + CONTROL_CLIENTS_MAX) * each;
}

bool
swpsp_server_open(SwpspServer *server, GError **error)
{
    /* The firmware's socket last: who sees it finds the other one, too. */
    return swpsp_listener_open(server->control, error) &&
           swpsp_listener_open(server->guests, error);
}

static bool
listen_both(SwpspServer *server, const SwpspServerConfig *config, GError **error)
{
    g_autofree char *path = g_strconcat(config->path, SWPSP_CONTROL_SUFFIX, NULL);

    server->guests = swpsp_listener_new(config->path, config->mode, config->group,
                                        on_guest_accepted, server, error);
    server->control = server->guests ? swpsp_listener_new(path, 0600, (gid_t)-1,
                                                          on_control_accepted, server, error)
                                     : NULL;
    return server->control != NULL;
}

SwpspServer *
swpsp_server_new(SwpspFirmware *firmware, const SwpspServerConfig *config, GError **error)
{
    g_autoptr(SwpspServer) server = g_new0(SwpspServer, 1);

    server->firmware = firmware;
    server->stats = swpsp_stats_new();
    server->max_clients = config->max_clients;
    server->clients = g_ptr_array_new_with_free_func((GDestroyNotify)client_free);
    server->started_us = g_get_monotonic_time();
    g_queue_init(&server->queue);
    server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (server->timer_fd < 0) {
        g_set_error(error, SWPSP_LISTENER_ERROR, SWPSP_LISTENER_ERROR_SOCKET, "timer for %s: %s",
                    config->path, swpsp_sandbox_strerror(errno));
        return NULL;
    }
    if (!listen_both(server, config, error))
        return NULL;
    server->timer_source = g_unix_fd_add(server->timer_fd, G_IO_IN, on_timer, server);
    return g_steal_pointer(&server);
}

void
swpsp_server_free(SwpspServer *server)
{
    if (!server)
        return;
    swpsp_listener_free(server->guests);
    swpsp_listener_free(server->control);
    g_clear_handle_id(&server->timer_source, g_source_remove);
    g_ptr_array_unref(server->clients);
    if (server->current)
        job_free(server->current);
    swpsp_answer_clear(&server->answer);
    if (server->timer_fd >= 0)
        close(server->timer_fd);
    swpsp_stats_free(server->stats);
    swpsp_firmware_free(server->firmware);
    g_free(server);
}
