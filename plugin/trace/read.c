/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* read.c - the replay's half: lines to structures, strictly */
#include "members.h"

#include <string.h>

#define DEPTH_MOST 8

G_DEFINE_QUARK(sevmig - trace - error, sevmig_trace_error)

struct SevmigTraceReader {
    char *name;
    char *text; /* NULL when the caller keeps the data */
    const char *at, *end;
    guint line;
    SevmigTraceHeader header;
    json_tokener *tokener;
};

static const Member member_version = {"sevmig-trace", MEMBER_I64, 0, NULL, 0};
static const Member member_time = {"t", MEMBER_I64, 0, NULL, 0};
static const Member member_wake = {"wake", MEMBER_I64, 0, NULL, 0};
static const Member member_value = {"value", MEMBER_I64, 0, NULL, 0};
static const Member member_cpu_index = {"cpu-index", MEMBER_U32, 0, NULL, 0};
static const Member member_run = {"run-histogram", MEMBER_U64, 0, NULL, 0};
static const Members no_members = {NULL, 0};

/* Reads one member that stands alone. */
static gboolean
read_one(json_object *object, const char *where, const Member *member, gpointer to, GError **error)
{
    json_object *value;

    if (!json_object_object_get_ex(object, member->name, &value)) {
        g_set_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_MEMBER, "%s%s'%s' is missing",
                    where, where[0] ? ": " : "", member->name);
        return FALSE;
    }
    return sevmig_member_read_value(member, value, where, to, error);
}

static gboolean
refuse(GError **error, const char *where, const char *name, const char *what)
{
    g_set_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_MEMBER, "%s: '%s' %s", where, name,
                what);
    return FALSE;
}

static gboolean
read_params(json_object *object, SevmigControlParams *params, GError **error)
{
    static const char *const others[] = {"goal-order", NULL};
    json_object *order;

    if (!sevmig_members_read(&sevmig_members_params, object, "params", others, params, error))
        return FALSE;
    order = sevmig_members_get(object, "params", "goal-order", json_type_array, error);
    if (!order)
        return FALSE;
    if (json_object_array_length(order) != SEVMIG_GOAL_COUNT)
        return refuse(error, "params", "goal-order", "does not have every goal once");
    for (gsize i = 0; i < SEVMIG_GOAL_COUNT; i++) {
        if (!sevmig_member_read_value(&sevmig_member_goal, json_object_array_get_idx(order, i),
                                      "params", &params->goal_order[i], error))
            return FALSE;
        for (gsize j = 0; j < i; j++) {
            if (params->goal_order[j] == params->goal_order[i])
                return refuse(error, "params", "goal-order", "does not have every goal once");
        }
    }
    return TRUE;
}

static gboolean
read_runs(json_object *object, SevmigSample *sample, GError **error)
{
    json_object *runs =
        sevmig_members_get(object, "sample", "run-histogram", json_type_array, error);

    if (!runs)
        return FALSE;
    if (json_object_array_length(runs) != SEVMIG_RUN_BUCKETS)
        return refuse(error, "sample", "run-histogram", "has not 16 buckets");
    for (gsize i = 0; i < SEVMIG_RUN_BUCKETS; i++) {
        if (!sevmig_member_read_value(&member_run, json_object_array_get_idx(runs, i), "sample",
                                      &sample->run_histogram[i], error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
read_sample(json_object *object, SevmigTraceStep *step, GError **error)
{
    static const char *const others[] = {"run-histogram", "vcpus", NULL};
    json_object *vcpus;

    if (!sevmig_members_read(&sevmig_members_sample, object, "sample", others, &step->sample,
                             error) ||
        !read_runs(object, &step->sample, error))
        return FALSE;
    vcpus = sevmig_members_get(object, "sample", "vcpus", json_type_array, error);
    if (!vcpus)
        return FALSE;
    if (json_object_array_length(vcpus) > SEVMIG_MAX_VCPUS)
        return refuse(error, "sample", "vcpus", "has too many elements");
    step->sample.n_vcpus = json_object_array_length(vcpus);
    step->sample.vcpus = step->vcpus;
    for (gsize i = 0; i < step->sample.n_vcpus; i++) {
        if (!sevmig_members_read(&sevmig_members_vcpu, json_object_array_get_idx(vcpus, i), "vcpus",
                                 NULL, &step->vcpus[i], error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
read_reason(json_object *object, const char *where, char reason[SEVMIG_REASON_SIZE], GError **error)
{
    json_object *text = sevmig_members_get(object, where, "reason", json_type_string, error);

    if (!text)
        return FALSE;
    if (json_object_get_string_len(text) >= SEVMIG_REASON_SIZE)
        return refuse(error, where, "reason", "is too long");
    g_strlcpy(reason, json_object_get_string(text), SEVMIG_REASON_SIZE);
    return TRUE;
}

static gboolean
read_turn(json_object *object, SevmigTurn *turn, GError **error)
{
    static const char *const others[] = {"reason", NULL};

    return sevmig_members_read(&sevmig_members_turn, object, "turn", others, turn, error) &&
           read_reason(object, "turn", turn->reason, error);
}

static gboolean
read_action(json_object *object, SevmigAction *action, GError **error)
{
    static const char *const known[] = {"action", "value", "reason", NULL};
    static const char *const known_vcpu[] = {"action", "cpu-index", "value", "reason", NULL};

    if (!json_object_is_type(object, json_type_object))
        return refuse(error, "actions", "action", "is not an object");
    if (!read_one(object, "actions", &sevmig_member_action, &action->type, error) ||
        !sevmig_members_read(&no_members, object, "actions",
                             action->type == SEVMIG_ACTION_VCPU_THROTTLE ? known_vcpu : known, NULL,
                             error) ||
        !read_one(object, "actions", &member_value, &action->value, error))
        return FALSE;
    if (action->type == SEVMIG_ACTION_VCPU_THROTTLE &&
        !read_one(object, "actions", &member_cpu_index, &action->cpu_index, error))
        return FALSE;
    return read_reason(object, "actions", action->reason, error);
}

static gboolean
read_actions(json_object *array, SevmigActions *actions, GError **error)
{
    if (!json_object_is_type(array, json_type_array) ||
        json_object_array_length(array) > SEVMIG_MAX_ACTIONS)
        return refuse(error, "line", "actions", "is not an array of at most 16");
    actions->n = json_object_array_length(array);
    for (gsize i = 0; i < actions->n; i++) {
        if (!read_action(json_object_array_get_idx(array, i), &actions->list[i], error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
read_origin(json_object *object, SevmigTraceOrigin *origin, GError **error)
{
    static const char *const known[] = {"policy", "who", "why", NULL};
    char *const to[] = {origin->policy, origin->who, origin->why};

    if (!sevmig_members_read(&no_members, object, "by", known, NULL, error))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(to); i++) {
        json_object *text = sevmig_members_get(object, "by", known[i], json_type_string, error);

        if (!text)
            return FALSE;
        if (json_object_get_string_len(text) >= SEVMIG_TRACE_ORIGIN_SIZE)
            return refuse(error, "by", known[i], "is too long");
        g_strlcpy(to[i], json_object_get_string(text), SEVMIG_TRACE_ORIGIN_SIZE);
    }
    return TRUE;
}

/* Which events carry what; params and sample otherwise have no business in a line. */
static gboolean
check_payload(const SevmigTraceStep *step, GError **error)
{
    SevmigEventType type = step->event.type;
    gboolean takes_params = type == SEVMIG_EVENT_START || type == SEVMIG_EVENT_POLICY;
    gboolean takes_sample = type == SEVMIG_EVENT_SAMPLE || type == SEVMIG_EVENT_COMPLETED;

    if (step->has_origin && type != SEVMIG_EVENT_POLICY)
        return refuse(error, "line", "by", "does not belong to this event");
    if (step->event.params && !takes_params)
        return refuse(error, "line", "params", "does not belong to this event");
    if (!step->event.params && takes_params)
        return refuse(error, "line", "params", "is missing");
    if (step->event.turn && type != SEVMIG_EVENT_TURN)
        return refuse(error, "line", "turn", "does not belong to this event");
    if (!step->event.turn && type == SEVMIG_EVENT_TURN)
        return refuse(error, "line", "turn", "is missing");
    if (step->event.sample && !takes_sample)
        return refuse(error, "line", "sample", "does not belong to this event");
    if (!step->event.sample && type == SEVMIG_EVENT_SAMPLE)
        return refuse(error, "line", "sample", "is missing");
    return TRUE;
}

static gboolean
read_step(json_object *object, SevmigTraceStep *step, GError **error)
{
    static const char *const known[] = {"t",    "event",   "by",   "params", "sample",
                                        "turn", "actions", "wake", "view",   NULL};
    json_object *value;

    if (!sevmig_members_read(&no_members, object, "line", known, NULL, error) ||
        !read_one(object, "", &member_time, &step->event.now_us, error) ||
        !read_one(object, "", &sevmig_member_event, &step->event.type, error))
        return FALSE;
    if (json_object_object_get_ex(object, "by", &value)) {
        if (!read_origin(value, &step->origin, error))
            return FALSE;
        step->has_origin = TRUE;
    }
    if (json_object_object_get_ex(object, "params", &value)) {
        if (!read_params(value, &step->params, error))
            return FALSE;
        step->event.params = &step->params;
    }
    if (json_object_object_get_ex(object, "sample", &value)) {
        if (!read_sample(value, step, error))
            return FALSE;
        step->event.sample = &step->sample;
    }
    if (json_object_object_get_ex(object, "turn", &value)) {
        if (!read_turn(value, &step->turn, error))
            return FALSE;
        step->event.turn = &step->turn;
    }
    if (json_object_object_get_ex(object, "actions", &value)) {
        if (!read_actions(value, &step->actions, error) ||
            !read_one(object, "", &member_wake, &step->actions.wake_us, error))
            return FALSE;
        step->has_actions = TRUE;
    } else if (json_object_object_get_ex(object, "wake", NULL)) {
        return refuse(error, "line", "wake", "stands without 'actions'");
    }
    if (json_object_object_get_ex(object, "view", &value)) {
        if (!sevmig_members_read(&sevmig_members_view, value, "view", NULL, &step->view, error))
            return FALSE;
        step->has_view = TRUE;
    }
    return check_payload(step, error);
}

static gboolean
read_header(json_object *object, SevmigTraceHeader *header, GError **error)
{
    static const char *const known[] = {"sevmig-trace", "domain", "uuid", "policy", "params", NULL};
    const struct {
        const char *name;
        char **to;
    } texts[] = {{"domain", &header->domain}, {"uuid", &header->uuid}, {"policy", &header->policy}};
    gint64 version = 0;
    json_object *value;

    if (!json_object_object_get_ex(object, member_version.name, &value) ||
        !sevmig_member_read_value(&member_version, value, "", &version, NULL)) {
        g_set_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_VERSION,
                    "not a trace: '%s' does not give its version", member_version.name);
        return FALSE;
    }
    if (version != SEVMIG_TRACE_VERSION) {
        g_set_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_VERSION,
                    "a trace of version %" G_GINT64_FORMAT ", this reader knows version %d",
                    version, SEVMIG_TRACE_VERSION);
        return FALSE;
    }
    if (!sevmig_members_read(&no_members, object, "header", known, NULL, error))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        value = sevmig_members_get(object, "header", texts[i].name, json_type_string, error);
        if (!value)
            return FALSE;
        *texts[i].to = g_strdup(json_object_get_string(value));
    }
    value = sevmig_members_get(object, "header", "params", json_type_object, error);
    return value && read_params(value, &header->params, error);
}

static json_object *
parse(SevmigTraceReader *self, const char *text, gsize len, GError **error)
{
    json_object *object;

    json_tokener_reset(self->tokener);
    object = json_tokener_parse_ex(self->tokener, text, (int)len);
    if (json_tokener_get_error(self->tokener) != json_tokener_success ||
        json_tokener_get_parse_end(self->tokener) != len ||
        !json_object_is_type(object, json_type_object)) {
        enum json_tokener_error problem = json_tokener_get_error(self->tokener);

        g_set_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_SYNTAX, "not one JSON object%s%s",
                    problem != json_tokener_success ? ": " : "",
                    problem != json_tokener_success ? json_tokener_error_desc(problem) : "");
        json_object_put(object);
        return NULL;
    }
    return object;
}

/* The next line as an object; NULL at the end (`error` unset) and on failure. */
static json_object *
next_object(SevmigTraceReader *self, GError **error)
{
    const char *start = self->at, *newline;
    gsize len;

    if (start == self->end)
        return NULL;
    self->line++;
    newline = memchr(start, '\n', (gsize)(self->end - start));
    if (!newline) {
        g_set_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_SYNTAX, "the line is cut short");
        return NULL;
    }
    self->at = newline + 1;
    len = (gsize)(newline - start);
    if (len > SEVMIG_TRACE_MAX_LINE) {
        g_set_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_SYNTAX, "the line is too long");
        return NULL;
    }
    if (!g_utf8_validate_len(start, len, NULL)) {
        g_set_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_SYNTAX, "the line is not UTF-8");
        return NULL;
    }
    /* The terminator is part of what is parsed: a number at the end would else be incomplete. */
    return parse(self, start, len + 1, error);
}

static void
set_place(SevmigTraceReader *self, GError **error)
{
    if (error)
        g_prefix_error(error, "%s:%u: ", self->name, self->line);
}

static SevmigTraceReader *
reader_begin(SevmigTraceReader *self, GError **error)
{
    g_autoptr(SevmigTraceReader) reader = self;
    json_object *object;
    gboolean ok;

    reader->tokener = json_tokener_new_ex(DEPTH_MOST);
    json_tokener_set_flags(reader->tokener, JSON_TOKENER_STRICT);
    if (reader->at == reader->end) {
        g_set_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_VERSION, "%s: empty file",
                    reader->name);
        return NULL;
    }
    object = next_object(reader, error);
    ok = object && read_header(object, &reader->header, error);
    json_object_put(object);
    if (!ok) {
        set_place(reader, error);
        return NULL;
    }
    return g_steal_pointer(&reader);
}

SevmigTraceReader *
sevmig_trace_reader_new_for_data(const char *name, const char *data, gsize len, GError **error)
{
    SevmigTraceReader *self = g_new0(SevmigTraceReader, 1);

    self->name = g_strdup(name);
    self->at = data;
    self->end = data + len;
    return reader_begin(self, error);
}

SevmigTraceReader *
sevmig_trace_reader_new(const char *path, GError **error)
{
    g_autoptr(GError) problem = NULL;
    SevmigTraceReader *self;
    char *text;
    gsize len;

    /* Not mapped: a record may be cut while it is read, and what is then missing would be a signal. */
    if (!g_file_get_contents(path, &text, &len, &problem)) {
        g_set_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_IO, "%s: %s", path,
                    problem->message);
        return NULL;
    }
    self = g_new0(SevmigTraceReader, 1);
    self->name = g_strdup(path);
    self->text = text;
    self->at = text;
    self->end = text + len;
    return reader_begin(self, error);
}

void
sevmig_trace_header_clear(SevmigTraceHeader *header)
{
    g_clear_pointer(&header->domain, g_free);
    g_clear_pointer(&header->uuid, g_free);
    g_clear_pointer(&header->policy, g_free);
}

void
sevmig_trace_reader_free(SevmigTraceReader *self)
{
    if (!self)
        return;
    sevmig_trace_header_clear(&self->header);
    g_clear_pointer(&self->tokener, json_tokener_free);
    g_clear_pointer(&self->text, g_free);
    g_free(self->name);
    g_free(self);
}

const SevmigTraceHeader *
sevmig_trace_reader_header(const SevmigTraceReader *self)
{
    return &self->header;
}

guint
sevmig_trace_reader_line(const SevmigTraceReader *self)
{
    return self->line;
}

gboolean
sevmig_trace_reader_next(SevmigTraceReader *self, SevmigTraceStep *step, GError **error)
{
    GError *problem = NULL;
    json_object *object = next_object(self, &problem);
    gboolean ok;

    if (!object && !problem)
        return FALSE;
    memset(step, 0, sizeof(*step));
    ok = object && read_step(object, step, &problem);
    json_object_put(object);
    if (!ok) {
        set_place(self, &problem);
        g_propagate_error(error, problem);
    }
    return ok;
}
