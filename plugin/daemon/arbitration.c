/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "arbitration.h"

#include "sevmig-arbiter.h"

struct SevmigArbitration {
    GHashTable *sessions;
    SevmigArbiter *arbiter;
    GArray *guests;       /* of SevmigArbiterGuest, ... */
    GPtrArray *described; /* ... and whose they are */
    GArray *words;        /* of SevmigArbiterWord */
    guint source;
};

SevmigArbitration *
sevmig_arbitration_new(GHashTable *sessions)
{
    SevmigArbitration *self = g_new0(SevmigArbitration, 1);

    self->sessions = g_hash_table_ref(sessions);
    self->arbiter = sevmig_arbiter_init(g_malloc0(sevmig_arbiter_size()));
    self->guests = g_array_new(FALSE, FALSE, sizeof(SevmigArbiterGuest));
    self->described = g_ptr_array_new();
    self->words = g_array_new(FALSE, FALSE, sizeof(SevmigArbiterWord));
    return self;
}

void
sevmig_arbitration_free(SevmigArbitration *self)
{
    if (self == NULL)
        return;
    g_clear_handle_id(&self->source, g_source_remove);
    g_hash_table_unref(self->sessions);
    g_free(self->arbiter);
    g_array_unref(self->guests);
    g_ptr_array_unref(self->described);
    g_array_unref(self->words);
    g_free(self);
}

static void
gather(SevmigArbitration *self)
{
    GHashTableIter iter;
    gpointer session;

    g_array_set_size(self->guests, 0);
    g_ptr_array_set_size(self->described, 0);
    g_hash_table_iter_init(&iter, self->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &session)) {
        SevmigArbiterGuest guest;

        if (!sevmig_session_describe(session, &guest))
            continue;
        g_array_append_val(self->guests, guest);
        g_ptr_array_add(self->described, session);
    }
    g_array_set_size(self->words, self->guests->len);
}

/* A session that is told wakes us again, and then no word has changed. It cannot end by it. */
static gboolean
decide(gpointer user_data)
{
    SevmigArbitration *self = user_data;

    self->source = 0;
    gather(self);
    sevmig_arbiter_decide(self->arbiter, g_get_monotonic_time(),
                          (const SevmigArbiterGuest *)(gpointer)self->guests->data,
                          self->guests->len, (SevmigArbiterWord *)(gpointer)self->words->data);
    for (guint i = 0; i < self->described->len; i++) {
        const SevmigArbiterWord *word = &g_array_index(self->words, SevmigArbiterWord, i);

        sevmig_session_place(self->described->pdata[i],
                             self->described->len > 1 ? word : &(SevmigArbiterWord){0});
        if (word->changed)
            sevmig_session_turn(self->described->pdata[i], word);
    }
    return G_SOURCE_REMOVE;
}

void
sevmig_arbitration_wake(SevmigArbitration *self)
{
    if (self->source == 0)
        self->source = g_idle_add_full(G_PRIORITY_DEFAULT, decide, self, NULL);
}
