/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a session tells of the destination, and what a policy demands of it. */
#include <string.h>

#include "session-fixture.h"
#include "summary.h"

#define DIGEST "12ab"

/* QEMU has exchanged keys with a destination for which that much speaks. */
static void
meet(Fixture *f, unsigned verified)
{
    QmpcSevPeer *peer = &f->fake->status.peer;

    peer->known = true;
    peer->verified = verified;
    g_strlcpy(peer->pdh_digest, "34cd", sizeof(peer->pdh_digest));
    g_strlcpy(peer->platform_digest, DIGEST, sizeof(peer->platform_digest));
    g_strlcpy(peer->subject, "CN=b", sizeof(peer->subject));
}

static void
assert_goes_on(Fixture *f)
{
    wait_for(&f->fake->n_tunes, f->fake->n_tunes + 5);
    g_assert_cmpuint(f->fake->n_commands[SEVMIG_COMMAND_ABORT], ==, 0);
    complete(f);
    g_assert_cmpstr(info(f)->error, ==, "");
}

static void
test_told(Fixture *f, gconstpointer data)
{
    g_autofree char *text = NULL;
    SevmigInfo read;

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    g_assert_cmpstr(info(f)->peer, ==, "");
    meet(f, QMPC_SEV_PEER_DOMAIN | QMPC_SEV_PEER_TLS);
    assert_goes_on(f);
    g_assert_cmpstr(info(f)->peer, ==, "domain tls");
    g_assert_cmpstr(info(f)->peer_digest, ==, DIGEST);
    g_assert_cmpstr(info(f)->peer_subject, ==, "CN=b");

    /* The history keeps it. */
    text = sevmig_summary_format(info(f));
    sevmig_info_init(&read);
    g_assert_true(sevmig_summary_parse(text, &read));
    g_assert_cmpstr(read.peer, ==, "domain tls");
    g_assert_cmpstr(read.peer_digest, ==, DIGEST);
    g_assert_cmpstr(read.peer_subject, ==, "CN=b");
    sevmig_info_clear(&read);
}

/* A policy that demands nothing leaves it to QEMU; the digest without a signed PDH is the PDH's. */
static void
test_nothing_demanded(Fixture *f, gconstpointer data)
{
    meet(f, 0);
    f->fake->status.peer.platform_digest[0] = '\0';
    start(f, NULL, TRUE, FALSE);
    assert_goes_on(f);
    g_assert_cmpstr(info(f)->peer, ==, "nothing");
    g_assert_cmpstr(info(f)->peer_digest, ==, "34cd");
}

static void
test_demand_met(Fixture *f, gconstpointer data)
{
    meet(f, QMPC_SEV_PEER_SEV | QMPC_SEV_PEER_PINNED);
    start(f, "guarded", TRUE, FALSE);
    assert_goes_on(f);
}

static void
assert_refused(Fixture *f, const char *found)
{
    wait_for(&f->fake->n_commands[SEVMIG_COMMAND_ABORT], 1);
    run_for(5 * TICK_MS);
    g_assert_cmpuint(f->fake->n_commands[SEVMIG_COMMAND_ABORT], ==, 1);
    say(f, QMPC_MIGRATION_CANCELLING);
    say(f, QMPC_MIGRATION_CANCELLED);
    g_assert_cmpuint(f->n_ended, ==, 1);
    for (const char *const *word =
             (const char *const[]){"policy guarded", "\"tls pinned\"", found, DIGEST, NULL};
         *word; word++)
        g_assert_nonnull(strstr(info(f)->error, *word));
}

static void
test_refused(Fixture *f, gconstpointer data)
{
    meet(f, 0);
    start(f, "guarded", TRUE, FALSE);
    assert_refused(f, "there is nothing");
}

/* The firmware's word is not what this policy wants; and the first looks know no destination. */
static void
test_other_proof(Fixture *f, gconstpointer data)
{
    start(f, "guarded", TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    g_assert_cmpuint(f->fake->n_commands[SEVMIG_COMMAND_ABORT], ==, 0);
    meet(f, QMPC_SEV_PEER_SEV);
    assert_refused(f, "there is sev");
}

/* Who only looks on, changes nothing. */
static void
test_observed(Fixture *f, gconstpointer data)
{
    meet(f, 0);
    start(f, "guarded", TRUE, TRUE);
    wait_for(&f->fake->n_queries, 5);
    g_assert_cmpstr(info(f)->peer, ==, "nothing");
    g_assert_cmpuint(f->fake->n_commands[SEVMIG_COMMAND_ABORT], ==, 0);
}

#define ADD(name, func)                                                                            \
    g_test_add("/peer/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("told", test_told);
    ADD("nothing-demanded", test_nothing_demanded);
    ADD("demand-met", test_demand_met);
    ADD("refused", test_refused);
    ADD("other-proof", test_other_proof);
    ADD("observed", test_observed);
    return g_test_run();
}
