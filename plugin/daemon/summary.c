/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "summary.h"

#include <json-c/json.h>
#include <math.h>

#define VERSION_MEMBER "sevmig-summary"

#define ROW(group, name, type, member)                                                             \
    {                                                                                              \
        group, name, type, G_STRUCT_OFFSET(SevmigInfo, member)                                     \
    }

/* One row serves writing and reading. `group` is the object that the member stands in; NULL: the
   summary itself. */
static const struct {
    const char *group;
    const char *name;
    char type;
    gsize offset;
} rows[] = {
    ROW(NULL, "id", 's', id),
    ROW(NULL, "domain", 's', domain),
    ROW(NULL, "uuid", 's', uuid),
    ROW(NULL, "policy", 's', policy),
    ROW(NULL, "policy-source", 's', policy_source),
    ROW(NULL, "result", 's', phase),
    ROW(NULL, "note", 's', note),
    ROW(NULL, "error", 's', error),
    ROW("peer", "verified", 's', peer),
    ROW("peer", "digest", 's', peer_digest),
    ROW("peer", "subject", 's', peer_subject),
    ROW(NULL, "started-realtime-us", 't', started_realtime_us),
    ROW("promised", "downtime-goal-us", 't', downtime_goal_us),
    ROW("promised", "downtime-predicted-us", 't', promised_downtime_us),
    ROW("promised", "duration-goal-us", 't', duration_goal_us),
    ROW("actual", "downtime-us", 't', downtime_us),
    ROW("actual", "duration-us", 't', elapsed_us),
    ROW(NULL, "setup-us", 't', setup_us),
    ROW(NULL, "held-us", 't', held_us),
    ROW(NULL, "fixed-downtime-us", 't', fixed_downtime_us),
    ROW("actual", "guest-lost-us", 't', guest_lost_us),
    ROW(NULL, "passes", 't', passes),
    ROW(NULL, "pass", 't', pass),
    ROW(NULL, "private-pages", 't', private_pages),
    ROW(NULL, "remaining-pages", 't', remaining_pages),
    ROW(NULL, "page-size", 'u', page_size),
    ROW(NULL, "pages", 't', pages),
    ROW(NULL, "commands", 't', commands),
    ROW(NULL, "submissions", 't', submissions),
    ROW(NULL, "bytes", 't', sent_bytes),
    ROW(NULL, "service-us", 't', service_us),
    ROW(NULL, "wait-us", 't', wait_us),
    ROW(NULL, "dirty-pages-per-s", 'd', dirty_rate),
    ROW(NULL, "encrypted-pages-per-s", 'd', encryption_rate),
    ROW(NULL, "batch-pages", 'u', batch_pages),
    ROW(NULL, "throttle-percent", 'u', throttle_percent),
    ROW(NULL, "max-throttle-percent", 'u', max_throttle_percent),
    ROW(NULL, "decisions", 't', decisions),
    ROW(NULL, "last-decision", 's', last_decision),
    ROW(NULL, "samples", 't', samples),
    ROW(NULL, "samples-missed", 't', samples_missed),
    ROW(NULL, "record-file", 's', record_file),
};

/* --- Writing --- */

static struct json_object *
row_write(const SevmigInfo *info, gsize row)
{
    gsize offset = rows[row].offset;

    switch (rows[row].type) {
    case 's':
        return json_object_new_string(G_STRUCT_MEMBER(char *, info, offset));
    case 't':
        return json_object_new_uint64(G_STRUCT_MEMBER(guint64, info, offset));
    case 'u':
        return json_object_new_uint64(G_STRUCT_MEMBER(guint32, info, offset));
    case 'd':
        return json_object_new_double(G_STRUCT_MEMBER(double, info, offset));
    default:
        g_assert_not_reached();
    }
}

/* The object of that name within `object`, made when it is first asked for. */
static struct json_object *
group_of(struct json_object *object, const char *name)
{
    struct json_object *group;

    if (name == NULL)
        return object;
    if (!json_object_object_get_ex(object, name, &group)) {
        group = json_object_new_object();
        json_object_object_add(object, name, group);
    }
    return group;
}

/* For whoever reads the file without doing sums. */
static void
add_derived(struct json_object *object, const SevmigInfo *info)
{
    double per_command = info->commands > 0 ? (double)info->pages / (double)info->commands : 0;
    double per_submission =
        info->submissions > 0 ? (double)info->pages / (double)info->submissions : 0;

    json_object_object_add(object, "pages-per-command", json_object_new_double(per_command));
    json_object_object_add(object, "pages-per-submission", json_object_new_double(per_submission));
}

char *
sevmig_summary_format(const SevmigInfo *info)
{
    struct json_object *object = json_object_new_object();
    char *text;

    json_object_object_add(object, VERSION_MEMBER, json_object_new_int(1));
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        json_object_object_add(group_of(object, rows[i].group), rows[i].name, row_write(info, i));
    add_derived(object, info);
    text = g_strconcat(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE),
                       "\n", NULL);
    json_object_put(object);
    return text;
}

/* --- Reading --- */

static gboolean
get_number(struct json_object *value, guint64 most, guint64 *number)
{
    if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0 ||
        json_object_get_uint64(value) > most)
        return FALSE;
    *number = json_object_get_uint64(value);
    return TRUE;
}

static void
row_read(SevmigInfo *info, gsize row, struct json_object *value)
{
    gpointer to = G_STRUCT_MEMBER_P(info, rows[row].offset);
    guint64 number;

    switch (rows[row].type) {
    case 's':
        if (json_object_is_type(value, json_type_string))
            sevmig_info_set(to, json_object_get_string(value));
        break;
    case 't':
        if (get_number(value, G_MAXUINT64, &number))
            *(guint64 *)to = number;
        break;
    case 'u':
        if (get_number(value, G_MAXUINT32, &number))
            *(guint32 *)to = (guint32)number;
        break;
    default:
        if (json_object_is_type(value, json_type_double) && isfinite(json_object_get_double(value)))
            *(double *)to = json_object_get_double(value);
    }
}

static gboolean
is_summary(struct json_object *object)
{
    struct json_object *version;

    return json_object_is_type(object, json_type_object) &&
           json_object_object_get_ex(object, VERSION_MEMBER, &version) &&
           json_object_is_type(version, json_type_int) && json_object_get_int64(version) == 1;
}

static void
summary_read(struct json_object *object, SevmigInfo *info)
{
    struct json_object *value;

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct json_object *from = object;

        if ((rows[i].group == NULL || json_object_object_get_ex(object, rows[i].group, &from)) &&
            json_object_object_get_ex(from, rows[i].name, &value))
            row_read(info, i, value);
    }
}

gboolean
sevmig_summary_parse(const char *text, SevmigInfo *info)
{
    struct json_object *object = json_tokener_parse(text);
    gboolean ok = is_summary(object);

    if (ok)
        summary_read(object, info);
    json_object_put(object);
    return ok;
}
