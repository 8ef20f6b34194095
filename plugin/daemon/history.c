/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "history.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <string.h>

#include "sevmig-error.h"
#include "sevmig-file.h"

#define SUFFIX ".json"
#define KEEP_FILES 256u
#define KEEP_BYTES (G_GUINT64_CONSTANT(4) << 20)
#define LEARN_FROM 9u /* switchovers; odd, so that the median is one of them */
#define LARGEST_FILE 65536
#define FIXED_MEMBER "fixed-downtime-us"

struct SevmigHistory {
    char *directory;
    guint64 fixed_us[LEARN_FROM]; /* ring */
    guint n_fixed;                /* ever added */
};

static void
history_learn(SevmigHistory *self, guint64 fixed_us)
{
    self->fixed_us[self->n_fixed++ % LEARN_FROM] = fixed_us;
}

/* The fixed part of a switchover; FALSE where it was not measured. */
static gboolean
info_fixed_us(const SevmigInfo *info, guint64 *fixed_us)
{
    if (!info->has_switchover || info->downtime_us <= info->switchover_ram_us)
        return FALSE;
    *fixed_us = info->downtime_us - info->switchover_ram_us;
    return TRUE;
}

static void
add_string(struct json_object *object, const char *name, const char *value)
{
    json_object_object_add(object, name, json_object_new_string(value));
}

static void
add_number(struct json_object *object, const char *name, guint64 value)
{
    json_object_object_add(object, name, json_object_new_uint64(value));
}

static void
add_plan(struct json_object *object, const SevmigInfo *info)
{
    struct json_object *promised = json_object_new_object();
    struct json_object *actual = json_object_new_object();

    add_number(promised, "downtime-goal-us", info->downtime_goal_us);
    add_number(promised, "downtime-predicted-us", info->promised_downtime_us);
    add_number(promised, "duration-goal-us", info->duration_goal_us);
    add_number(actual, "downtime-us", info->downtime_us);
    add_number(actual, "duration-us", info->elapsed_us);
    add_number(actual, "guest-lost-us", info->guest_lost_us);
    json_object_object_add(object, "promised", promised);
    json_object_object_add(object, "actual", actual);
}

static void
add_figures(struct json_object *object, const SevmigInfo *info)
{
    double per_command = info->commands > 0 ? (double)info->pages / (double)info->commands : 0;
    double per_submission =
        info->submissions > 0 ? (double)info->pages / (double)info->submissions : 0;
    guint64 fixed_us;

    add_number(object, "passes", info->passes);
    add_number(object, "private-pages", info->private_pages);
    add_number(object, "page-size", info->page_size);
    add_number(object, "pages", info->pages);
    add_number(object, "commands", info->commands);
    add_number(object, "submissions", info->submissions);
    add_number(object, "bytes", info->sent_bytes);
    add_number(object, "service-us", info->service_us);
    add_number(object, "wait-us", info->wait_us);
    add_number(object, "max-throttle-percent", info->max_throttle_percent);
    json_object_object_add(object, "pages-per-command", json_object_new_double(per_command));
    json_object_object_add(object, "pages-per-submission", json_object_new_double(per_submission));
    add_number(object, "decisions", info->decisions);
    add_number(object, "samples", info->samples);
    add_number(object, "samples-missed", info->samples_missed);
    if (info_fixed_us(info, &fixed_us))
        add_number(object, FIXED_MEMBER, fixed_us);
}

char *
sevmig_history_format(const SevmigInfo *info)
{
    struct json_object *object = json_object_new_object();
    char *text;

    add_number(object, "sevmig-summary", 1);
    add_string(object, "id", info->id);
    add_string(object, "domain", info->domain);
    add_string(object, "uuid", info->uuid);
    add_string(object, "policy", info->policy);
    add_string(object, "policy-source", info->policy_source);
    add_string(object, "result", info->phase);
    add_string(object, "note", info->note);
    add_string(object, "error", info->error);
    add_number(object, "started-realtime-us", info->started_realtime_us);
    add_plan(object, info);
    add_figures(object, info);
    add_string(object, "record-file", info->record_file);
    text = g_strconcat(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE),
                       "\n", NULL);
    json_object_put(object);
    return text;
}

static void
history_read(SevmigHistory *self, const char *name)
{
    g_autofree char *path = g_build_filename(self->directory, name, NULL);
    g_autofree char *text = NULL;
    struct json_object *object, *member;
    GStatBuf st;

    if (g_stat(path, &st) < 0 || st.st_size > LARGEST_FILE ||
        !g_file_get_contents(path, &text, NULL, NULL))
        return;
    object = json_tokener_parse(text);
    if (json_object_is_type(object, json_type_object) &&
        json_object_object_get_ex(object, FIXED_MEMBER, &member) &&
        json_object_is_type(member, json_type_int) && json_object_get_int64(member) > 0)
        history_learn(self, (guint64)json_object_get_int64(member));
    json_object_put(object);
}

static gint
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

SevmigHistory *
sevmig_history_new(const char *directory)
{
    SevmigHistory *self = g_new0(SevmigHistory, 1);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    const char *name;

    self->directory = g_strdup(directory);
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        if (g_str_has_suffix(name, SUFFIX))
            g_ptr_array_add(names, g_strdup(name));
    }
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++)
        history_read(self, names->pdata[i]);
    return self;
}

void
sevmig_history_free(SevmigHistory *self)
{
    if (self == NULL)
        return;
    g_free(self->directory);
    g_free(self);
}

gboolean
sevmig_history_add(SevmigHistory *self, const SevmigInfo *info, GError **error)
{
    g_autofree char *name = g_strconcat(info->id, SUFFIX, NULL);
    g_autofree char *path = g_build_filename(self->directory, name, NULL);
    g_autofree char *text = sevmig_history_format(info);
    g_autoptr(GError) local = NULL;
    guint64 fixed_us;

    if (info_fixed_us(info, &fixed_us))
        history_learn(self, fixed_us);
    if (g_mkdir_with_parents(self->directory, 0750) < 0) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "cannot make %s: %s", self->directory,
                    g_strerror(errno));
        return FALSE;
    }
    sevmig_directory_trim(self->directory, SUFFIX, KEEP_FILES - 1, KEEP_BYTES, NULL);
    if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0640, &local))
        return TRUE;
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "%s", local->message);
    return FALSE;
}

static gint
compare_us(gconstpointer a, gconstpointer b)
{
    guint64 x = *(const guint64 *)a, y = *(const guint64 *)b;

    return x < y ? -1 : x > y;
}

guint64
sevmig_history_fixed_downtime_us(const SevmigHistory *self)
{
    guint64 sorted[LEARN_FROM];
    guint n = MIN(self->n_fixed, LEARN_FROM);

    if (n == 0)
        return 0;
    memcpy(sorted, self->fixed_us, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), compare_us);
    return sorted[n / 2];
}
