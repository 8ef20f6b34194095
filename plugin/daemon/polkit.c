/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "polkit.h"

#include <polkit/polkit.h>

#include "sevmig-error.h"

/* polkit answers in milliseconds; a caller of ours waits for ten seconds or more. */
#define ANSWER_TIMEOUT_S 5u

struct SevmigPolkit {
    GCancellable *cancellable;
    PolkitAuthority *authority; /* kept alive: it is shared, and made anew if nobody holds it */
};

typedef struct {
    SevmigPolkit *polkit; /* not to be touched once cancelled */
    char *sender;
    char *action;
    GVariant *details;
    gboolean interactive;
    GCancellable *cancellable; /* of this check; follows that of the task */
    gulong follows;
    guint deadline; /* a source; none while a user is asked */
    gboolean late;
} Check;

static void
check_free(gpointer data)
{
    Check *check = data;

    g_clear_handle_id(&check->deadline, g_source_remove);
    g_object_unref(check->cancellable);
    g_free(check->sender);
    g_free(check->action);
    g_variant_unref(check->details);
    g_free(check);
}

SevmigPolkit *
sevmig_polkit_new(void)
{
    SevmigPolkit *self = g_new0(SevmigPolkit, 1);

    self->cancellable = g_cancellable_new();
    return self;
}

void
sevmig_polkit_free(SevmigPolkit *self)
{
    if (self == NULL)
        return;
    g_cancellable_cancel(self->cancellable);
    g_object_unref(self->cancellable);
    g_clear_object(&self->authority);
    g_free(self);
}

static gboolean
deadline_passed(gpointer user_data)
{
    Check *check = user_data;

    check->deadline = 0;
    check->late = TRUE;
    g_cancellable_cancel(check->cancellable);
    return G_SOURCE_REMOVE;
}

static void
follow(GCancellable *cancellable, gpointer user_data)
{
    g_cancellable_cancel(user_data);
}

/* The end of a check; the task may be gone afterwards. */
static void
check_end(GTask *task)
{
    Check *check = g_task_get_task_data(task);

    g_clear_handle_id(&check->deadline, g_source_remove);
    g_cancellable_disconnect(g_task_get_cancellable(task), check->follows);
    check->follows = 0;
}

/* Whatever goes wrong on the way to polkit is a no, with its reason. */
static void
task_deny(GTask *task, const GError *error)
{
    const Check *check = g_task_get_task_data(task);

    check_end(task);
    if (check->late)
        g_task_return_new_error(task, SEVMIG_ERROR, SEVMIG_ERROR_NOT_AUTHORIZED,
                                "not authorized: polkit did not answer within %u s about %s: "
                                "\"systemctl restart polkit\"",
                                ANSWER_TIMEOUT_S, check->action);
    else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        g_task_return_error(task, g_error_copy(error));
    else
        g_task_return_new_error(task, SEVMIG_ERROR, SEVMIG_ERROR_NOT_AUTHORIZED,
                                "not authorized: polkit cannot be asked about %s: %s",
                                check->action, error->message);
}

static void ask(GTask *task, PolkitAuthority *authority, gboolean interactive);

static void
checked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(PolkitAuthorizationResult) answer =
        polkit_authority_check_authorization_finish(POLKIT_AUTHORITY(source), result, &error);
    Check *check = g_task_get_task_data(task);

    if (answer == NULL) {
        task_deny(task, error);
        return;
    }
    g_clear_handle_id(&check->deadline, g_source_remove);
    if (check->interactive && polkit_authorization_result_get_is_challenge(answer)) {
        check->interactive = FALSE;
        ask(g_steal_pointer(&task), POLKIT_AUTHORITY(source), TRUE);
        return;
    }
    check_end(task);
    if (polkit_authorization_result_get_is_authorized(answer))
        g_task_return_boolean(task, TRUE);
    else if (polkit_authorization_result_get_is_challenge(answer))
        g_task_return_new_error(task, SEVMIG_ERROR, SEVMIG_ERROR_NOT_AUTHORIZED,
                                "not authorized: %s needs authentication", check->action);
    else
        g_task_return_new_error(task, SEVMIG_ERROR, SEVMIG_ERROR_NOT_AUTHORIZED,
                                "not authorized: polkit refuses %s", check->action);
}

static PolkitDetails *
details_new(GVariant *variant)
{
    PolkitDetails *details = polkit_details_new();
    GVariantIter iter;
    const char *key, *value;

    g_variant_iter_init(&iter, variant);
    while (g_variant_iter_next(&iter, "{&s&s}", &key, &value))
        polkit_details_insert(details, key, value);
    return details;
}

/* Takes over the task. */
static void
ask(GTask *task, PolkitAuthority *authority, gboolean interactive)
{
    const Check *check = g_task_get_task_data(task);
    g_autoptr(PolkitSubject) subject = polkit_system_bus_name_new(check->sender);
    g_autoptr(PolkitDetails) details = details_new(check->details);

    polkit_authority_check_authorization(
        authority, subject, check->action, details,
        interactive ? POLKIT_CHECK_AUTHORIZATION_FLAGS_ALLOW_USER_INTERACTION
                    : POLKIT_CHECK_AUTHORIZATION_FLAGS_NONE,
        check->cancellable, checked, task);
}

/* A user is asked only after polkit has said that it takes one: until then it has a deadline. */
static void
authority_got(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(PolkitAuthority) authority = polkit_authority_get_finish(result, &error);
    const Check *check = g_task_get_task_data(task);

    if (authority == NULL) {
        task_deny(task, error);
        return;
    }
    if (!g_cancellable_is_cancelled(g_task_get_cancellable(task)))
        g_set_object(&check->polkit->authority, authority);
    ask(g_steal_pointer(&task), authority, FALSE);
}

void
sevmig_polkit_check_async(SevmigPolkit *self, const char *sender, const char *action,
                          GVariant *details, gboolean interactive, GAsyncReadyCallback callback,
                          gpointer user_data)
{
    GTask *task = g_task_new(NULL, self->cancellable, callback, user_data);
    Check *check = g_new0(Check, 1);

    check->polkit = self;
    check->sender = g_strdup(sender);
    check->action = g_strdup(action);
    check->details = g_variant_ref_sink(details);
    check->interactive = interactive;
    check->cancellable = g_cancellable_new();
    g_task_set_task_data(task, check, check_free);
    check->follows =
        g_cancellable_connect(self->cancellable, G_CALLBACK(follow), check->cancellable, NULL);
    check->deadline = g_timeout_add_seconds(ANSWER_TIMEOUT_S, deadline_passed, check);
    polkit_authority_get_async(check->cancellable, authority_got, task);
}

gboolean
sevmig_polkit_check_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
