/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - the recorder's half: structures to lines */
#include "members.h"

#include <string.h>

/* Escapes all that is not ASCII: json-c's strict reader takes raw bytes above 127 for control
 * characters. */
static void
append_ascii(GString *line, const char *text)
{
    for (const char *at = text; *at != '\0'; at = g_utf8_next_char(at)) {
        gsize n_plain = 0;
        gunichar c;

        while (at[n_plain] != '\0' && (guchar)at[n_plain] < 0x80)
            n_plain++;
        g_string_append_len(line, at, (gssize)n_plain);
        at += n_plain;
        if (*at == '\0')
            break;
        c = g_utf8_get_char(at);
        if (c < 0x10000)
            g_string_append_printf(line, "\\u%04x", c);
        else
            g_string_append_printf(line, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                                   0xdc00 + ((c - 0x10000) & 0x3ff));
    }
}

static char *
to_line(json_object *object)
{
    GString *line = g_string_sized_new(2048);

    append_ascii(line, json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE));
    g_string_append_c(line, '\n');
    json_object_put(object);
    return g_string_free(line, FALSE);
}

/* JSON has no bytes outside UTF-8; a reason or a name that has some is made valid. */
static json_object *
new_text(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);

    return json_object_new_string(valid);
}

static json_object *
new_params(const SevmigControlParams *params)
{
    json_object *object = json_object_new_object();
    json_object *order = json_object_new_array();

    sevmig_members_write(&sevmig_members_params, params, object);
    for (int i = 0; i < SEVMIG_GOAL_COUNT; i++)
        json_object_array_add(order,
                              json_object_new_string(sevmig_goal_name(params->goal_order[i])));
    json_object_object_add(object, "goal-order", order);
    return object;
}

static json_object *
new_sample(const SevmigSample *sample)
{
    json_object *object = json_object_new_object();
    json_object *runs = json_object_new_array();
    json_object *vcpus = json_object_new_array();

    sevmig_members_write(&sevmig_members_sample, sample, object);
    for (int i = 0; i < SEVMIG_RUN_BUCKETS; i++)
        json_object_array_add(runs, json_object_new_uint64(sample->run_histogram[i]));
    json_object_object_add(object, "run-histogram", runs);
    for (gsize i = 0; i < sample->n_vcpus && sample->vcpus; i++) {
        json_object *vcpu = json_object_new_object();

        sevmig_members_write(&sevmig_members_vcpu, &sample->vcpus[i], vcpu);
        json_object_array_add(vcpus, vcpu);
    }
    json_object_object_add(object, "vcpus", vcpus);
    return object;
}

static json_object *
new_turn(const SevmigTurn *turn)
{
    json_object *object = json_object_new_object();

    sevmig_members_write(&sevmig_members_turn, turn, object);
    json_object_object_add(object, "reason", new_text(turn->reason));
    return object;
}

static json_object *
new_actions(const SevmigActions *actions)
{
    json_object *array = json_object_new_array();

    for (gsize i = 0; i < actions->n; i++) {
        const SevmigAction *action = &actions->list[i];
        json_object *object = json_object_new_object();

        json_object_object_add(object, "action",
                               json_object_new_string(sevmig_action_name(action->type)));
        if (action->type == SEVMIG_ACTION_VCPU_THROTTLE)
            json_object_object_add(object, "cpu-index", json_object_new_uint64(action->cpu_index));
        json_object_object_add(object, "value", json_object_new_int64(action->value));
        json_object_object_add(object, "reason", new_text(action->reason));
        json_object_array_add(array, object);
    }
    return array;
}

char *
sevmig_trace_format_header(const SevmigTraceHeader *header)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "sevmig-trace", json_object_new_int(SEVMIG_TRACE_VERSION));
    json_object_object_add(object, "domain", new_text(header->domain));
    json_object_object_add(object, "uuid", new_text(header->uuid));
    json_object_object_add(object, "policy", new_text(header->policy));
    json_object_object_add(object, "params", new_params(&header->params));
    return to_line(object);
}

void
sevmig_trace_origin_set(char to[SEVMIG_TRACE_ORIGIN_SIZE], const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    gsize length = strlen(valid);

    if (length >= SEVMIG_TRACE_ORIGIN_SIZE)
        length = SEVMIG_TRACE_ORIGIN_SIZE - 1;
    while (length > 0 && ((unsigned char)valid[length] & 0xC0) == 0x80)
        length--;
    memcpy(to, valid, length);
    to[length] = '\0';
}

static json_object *
new_origin(const SevmigTraceOrigin *origin)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "policy", new_text(origin->policy));
    json_object_object_add(object, "who", new_text(origin->who));
    json_object_object_add(object, "why", new_text(origin->why));
    return object;
}

char *
sevmig_trace_format_step(const SevmigEvent *event, const SevmigActions *actions,
                         const SevmigView *view)
{
    return sevmig_trace_format_change(event, NULL, actions, view);
}

char *
sevmig_trace_format_change(const SevmigEvent *event, const SevmigTraceOrigin *origin,
                           const SevmigActions *actions, const SevmigView *view)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "t", json_object_new_int64(event->now_us));
    json_object_object_add(object, "event", json_object_new_string(sevmig_event_name(event->type)));
    if (origin)
        json_object_object_add(object, "by", new_origin(origin));
    if (event->params)
        json_object_object_add(object, "params", new_params(event->params));
    if (event->sample)
        json_object_object_add(object, "sample", new_sample(event->sample));
    if (event->turn)
        json_object_object_add(object, "turn", new_turn(event->turn));
    if (actions) {
        json_object_object_add(object, "actions", new_actions(actions));
        json_object_object_add(object, "wake", json_object_new_int64(actions->wake_us));
    }
    if (view) {
        json_object *seen = json_object_new_object();

        sevmig_members_write(&sevmig_members_view, view, seen);
        json_object_object_add(object, "view", seen);
    }
    return to_line(object);
}
