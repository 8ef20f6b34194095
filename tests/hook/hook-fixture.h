/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hook-fixture.h - a host, and the hook as libvirt runs it there
 */
#ifndef HOOK_FIXTURE_H
#define HOOK_FIXTURE_H

#include <gio/gio.h>

#define SEV "<launchSecurity type='sev'><cbitpos>51</cbitpos></launchSecurity>"
#define META(inside) "<metadata>" inside "</metadata>"
#define NAMED(name, more)                                                                          \
    META("<sevmig:policy xmlns:sevmig='urn:sevmig:domain:1' name='" name "' " more "/>")
#define DOMAIN(inside) "<domain type='kvm'><name>vm</name>" inside "</domain>"
#define POLICY(name, inside)                                                                       \
    "<policy xmlns='urn:sevmig:policy:1' name='" name "'>" inside "</policy>"
#define INLINED(more, inside)                                                                      \
    META("<sevmig:policy xmlns:sevmig='urn:sevmig:domain:1' " more                                 \
         ">" POLICY("own", inside) "</sevmig:policy>")
#define NEEDS_DEVICE(how) "<incoming require='sev-receive schema' on-failure='" how "'/>"

typedef struct {
    char *root;
    char *admin;
    char *vendor;
    char *ceiling;
    char *device;
    char *strict; /* not there until a test makes it */
} Host;

typedef struct {
    int status;
    char *errors;
} Outcome;

/* A file of that text. */
void put(const char *directory, const char *name, const char *text);
/* A host with three policies of the vendor's; for g_test_add(). */
void host_set_up(Host *host, gconstpointer data);
void host_tear_down(Host *host, gconstpointer data);
/* The hook of the tests' build shall find that host. */
void set_up_launcher(GSubprocessLauncher *launcher, const Host *host, const char *deadline_ms);
/* `program` is the variable that names it; `deadline_ms` is for the tests' build. */
GSubprocess *start(const Host *host, const char *program, const char *const *arguments,
                   const char *deadline_ms);
/* Hands it its input and waits; nothing may be on its standard output. */
Outcome finish(GSubprocess *child, GBytes *input);
/* An operation of libvirt's, with that much of `xml`. */
Outcome run_sized(const Host *host, const char *operation, const char *sub, const char *xml,
                  gsize size);
/* The operation that is looked at. */
Outcome incoming(const Host *host, const char *xml);
/* An outcome with its one line of stderr (NULL: none). Frees it. */
void expect(Outcome outcome, int status, const char *line);

#endif
