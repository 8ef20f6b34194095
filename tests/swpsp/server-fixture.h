/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * server-fixture.h - a swpsp process with a directory of its own, and clients of it
 *
 * The programs under test are named by SWPSP_EXE and SWPSPCTL_EXE. Whatever fails ends the test.
 */
#ifndef SWPSP_TEST_SERVER_FIXTURE_H
#define SWPSP_TEST_SERVER_FIXTURE_H

#include "swpsp-client.h"

#include <glib.h>
#include <json-c/json.h>

#define TEST_TIMEOUT_MS 60000 /* generous: only a hang should meet it */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)

typedef struct {
    char *dir, *socket, *state, *log, *pid_file;
    GPid pid; /* 0: not running */
} Server;

/* Costs that do not matter. */
extern const char *const server_fast[];

/* A new directory for one that is not started yet. */
void server_init(Server *s);

/* The same, and starts it, with further options (NULL-terminated, or NULL); it is ready. */
void server_start(Server *s, const char *const *options);

/* Starts it again, after it ended. */
void server_spawn(Server *s, const char *const *options);

/* SIGTERM; it must end well and leave neither socket nor pid file. */
void server_terminate(Server *s);

/* The same, and removes the directory, in which nothing unexpected may be left. */
void server_stop(Server *s);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Server, server_stop)

char *server_log(const Server *s);

SwpspClient *server_client(const Server *s);

/* The same, at the control socket. */
SwpspClient *server_control_client(const Server *s);

/* A call that must be granted. */
GByteArray *server_call(SwpspClient *client, uint16_t op, const void *payload, size_t len);

/* The same, when nobody wants the answer; takes the payload. */
void server_call_away(SwpspClient *client, uint16_t op, GByteArray *payload);

/* Sends a command to CONTROL, which must be granted. */
void server_control(const Server *s, const char *json);

/* The payload of a command about a guest. */
GByteArray *server_handle(uint32_t handle);
/* A submission of one page of zeroes. */
GByteArray *server_one_page(uint32_t handle);
/* The first member of an answer: mostly a handle. */
uint32_t server_first_word(const GByteArray *payload);

/* A guest on `from` that is being sent to the platform of `to`, which may be the same. */
uint32_t server_sending_guest(SwpspClient *from, SwpspClient *to,
                              uint8_t session[SWPSP_SESSION_SIZE]);

json_object *server_stats(SwpspClient *client);
int64_t server_stats_number(json_object *object, const char *name);

#endif
