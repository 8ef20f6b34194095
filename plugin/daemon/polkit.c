/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "polkit.h"

#include <polkit/polkit.h>

#include "sevmig-error.h"

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
} Check;

static void
check_free(gpointer data)
{
    Check *check = data;

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

/* Whatever goes wrong on the way to polkit is a no, with its reason. */
static void
task_deny(GTask *task, const GError *error)
{
    const Check *check = g_task_get_task_data(task);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        g_task_return_error(task, g_error_copy(error));
    else
        g_task_return_new_error(task, SEVMIG_ERROR, SEVMIG_ERROR_NOT_AUTHORIZED,
                                "not authorized: polkit cannot be asked about %s: %s",
                                check->action, error->message);
}

static void
checked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(PolkitAuthorizationResult) answer =
        polkit_authority_check_authorization_finish(POLKIT_AUTHORITY(source), result, &error);
    const Check *check = g_task_get_task_data(task);

    if (answer == NULL)
        task_deny(task, error);
    else if (polkit_authorization_result_get_is_authorized(answer))
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

static void
authority_got(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(PolkitAuthority) authority = polkit_authority_get_finish(result, &error);
    const Check *check = g_task_get_task_data(task);
    g_autoptr(PolkitSubject) subject = NULL;
    g_autoptr(PolkitDetails) details = NULL;
    GCancellable *cancellable = g_task_get_cancellable(task);

    if (authority == NULL) {
        task_deny(task, error);
        return;
    }
    if (!g_cancellable_is_cancelled(cancellable))
        g_set_object(&check->polkit->authority, authority);
    subject = polkit_system_bus_name_new(check->sender);
    details = details_new(check->details);
    polkit_authority_check_authorization(
        authority, subject, check->action, details,
        check->interactive ? POLKIT_CHECK_AUTHORIZATION_FLAGS_ALLOW_USER_INTERACTION
                           : POLKIT_CHECK_AUTHORIZATION_FLAGS_NONE,
        cancellable, checked, g_steal_pointer(&task));
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
    g_task_set_task_data(task, check, check_free);
    polkit_authority_get_async(self->cancellable, authority_got, task);
}

gboolean
sevmig_polkit_check_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
