/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-control.h"

#include "swpsp-names.h"

#include <string.h>

#define MAX_TEXT (64 * 1024)
#define MAX_DEPTH 8

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_tokener, json_tokener_free)

static json_object *
cost_to_json(const SwpspCost *cost)
{
    json_object *object = json_object_new_object();
    const struct {
        const char *name;
        double value;
    } members[] = {
        {"page_us", cost->page_us},
        {"split", cost->split},
        {"receive_factor", cost->receive_factor},
        {"submit_us", swpsp_cost_submit_us(cost)},
        {"command_us", swpsp_cost_command_us(cost)},
        {"per_page_us", swpsp_cost_byte_us(cost) * 4096},
        {"start_us", cost->start_us},
        {"finish_us", cost->finish_us},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
        json_object_object_add(object, members[i].name, json_object_new_double(members[i].value));
    return object;
}

static char *
to_text(json_object *object)
{
    return g_strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE));
}

char *
swpsp_control_stats(SwpspFirmware *firmware, const SwpspStats *stats, int64_t uptime_us)
{
    g_autoptr(json_object) object = json_object_new_object();
    const SwpspCost *cost = swpsp_firmware_cost(firmware);

    json_object_object_add(object, "version", json_object_new_int(SWPSP_VERSION));
    json_object_object_add(object, "uptime_us", json_object_new_int64(uptime_us));
    json_object_object_add(object, "time_scale", json_object_new_int64(cost->time_scale));
    json_object_object_add(object, "cost_model", cost_to_json(cost));
    json_object_object_add(object, "guests",
                           json_object_new_int64(swpsp_firmware_guests(firmware)));
    swpsp_stats_to_json(stats, object);
    json_object_object_add(object, "faults", swpsp_faults_to_json(swpsp_firmware_faults(firmware)));
    return to_text(object);
}

/* One request to control: its effect on the firmware, or what is wrong with it (static text). */
typedef struct {
    SwpspFirmware *firmware;
    SwpspStats *stats;
    json_object *arguments;
} Control;

typedef struct {
    const char *name;
    const char *(*run)(Control *control);
} ControlCommand;

static const char *
run_reset(Control *control)
{
    swpsp_stats_reset(control->stats);
    return NULL;
}

/* Reads a number if it is there; false if it is there and is none. */
static bool
get_number(json_object *object, const char *name, double *value)
{
    json_object *member;

    if (!json_object_object_get_ex(object, name, &member))
        return true;
    if (!json_object_is_type(member, json_type_double) &&
        !json_object_is_type(member, json_type_int))
        return false;
    *value = json_object_get_double(member);
    return true;
}

static const char *
run_set(Control *control)
{
    SwpspCost cost = *swpsp_firmware_cost(control->firmware);
    double scale = cost.time_scale;

    if (!get_number(control->arguments, "time-scale", &scale) ||
        !get_number(control->arguments, "cost-split", &cost.split) ||
        !get_number(control->arguments, "page-cost-us", &cost.page_us) ||
        !get_number(control->arguments, "receive-factor", &cost.receive_factor))
        return "set: not a number";
    if (!(scale >= 1 && scale <= SWPSP_TIME_SCALE_MAX))
        return "set: time-scale out of range";
    cost.time_scale = (uint32_t)scale;
    if (!swpsp_cost_valid(&cost))
        return "set: value out of range";
    *swpsp_firmware_cost(control->firmware) = cost;
    return NULL;
}

static const char *
get_string(json_object *object, const char *name)
{
    json_object *member;
    return json_object_object_get_ex(object, name, &member) &&
                   json_object_is_type(member, json_type_string)
               ? json_object_get_string(member)
               : NULL;
}

/* Reads a whole number up to `max` if it is there; false if it is there and is none. */
static bool
get_count(json_object *object, const char *name, double max, uint64_t *value)
{
    double number = (double)*value;

    if (!get_number(object, name, &number) || !(number >= 0 && number <= max))
        return false;
    *value = (uint64_t)number;
    return true;
}

/* What the fault does: its kind, and the error or delay that belongs to it. */
static const char *
get_fault_kind(json_object *object, SwpspFault *fault)
{
    const char *kind = get_string(object, "kind"), *error = get_string(object, "error");
    uint64_t delay_ms = 0;

    fault->kind = SWPSP_FAULT_ERROR;
    if (kind && !swpsp_fault_kind_from_name(kind, &fault->kind))
        return "fault: \"kind\" is not error, delay, hang, crash or wrong-mac";
    if (fault->kind == SWPSP_FAULT_ERROR) {
        if (!error || !swpsp_status_from_name(error, &fault->status) ||
            fault->status == SWPSP_NOT_CONTIGUOUS) /* which is not the firmware's */
            return "fault: \"error\" is not the name of an error";
        if (fault->status == SWPSP_OK)
            fault->kind = SWPSP_FAULT_NONE;
    }
    if (fault->kind == SWPSP_FAULT_DELAY) {
        if (!get_count(object, "delay-ms", SWPSP_FAULT_DELAY_MAX_MS, &delay_ms) || delay_ms == 0)
            return "fault: \"delay-ms\" is not 1 to 600000";
        fault->delay_ms = (uint32_t)delay_ms;
    }
    return NULL;
}

static const char *
run_fault(Control *control)
{
    const char *op_name = get_string(control->arguments, "op");
    const char *count_name = get_string(control->arguments, "count");
    SwpspFault fault = {.count = 1};
    uint16_t op;

    if (!op_name || !swpsp_op_from_name(op_name, &op))
        return "fault: \"op\" is not the name of a command";
    const char *wrong = get_fault_kind(control->arguments, &fault);
    if (wrong)
        return wrong;
    if (!get_count(control->arguments, "after", 1e15, &fault.after))
        return "fault: \"after\" is not a number of commands";
    if (count_name && strcmp(count_name, "forever") == 0)
        fault.count = 0;
    else if (!get_count(control->arguments, "count", 1e15, &fault.count))
        return "fault: \"count\" is not a number of commands nor \"forever\"";
    if (!swpsp_firmware_set_fault(control->firmware, op, &fault))
        return "fault: not a command of the firmware, or one without a MAC";
    return NULL;
}

static const char *
run_clear_faults(Control *control)
{
    swpsp_firmware_clear_faults(control->firmware);
    return NULL;
}

static const ControlCommand control_commands[] = {
    {"reset-stats", run_reset},
    {"set", run_set},
    {"fault", run_fault},
    {"clear-faults", run_clear_faults},
};

/* The parsed object, or NULL: JSON of an object, all of it, not too deep. */
static json_object *
parse(const char *text, size_t len)
{
    if (len == 0 || len > MAX_TEXT)
        return NULL;

    g_autoptr(json_tokener) tokener = json_tokener_new_ex(MAX_DEPTH);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    g_autofree char *copy = g_strndup(text, len); /* the tokener wants the end of the text marked */
    g_autoptr(json_object) object = json_tokener_parse_ex(tokener, copy, (int)len + 1);
    if (json_tokener_get_error(tokener) != json_tokener_success ||
        !json_object_is_type(object, json_type_object))
        return NULL;
    return g_steal_pointer(&object);
}

static const char *
run(SwpspFirmware *firmware, SwpspStats *stats, const char *text, size_t len)
{
    g_autoptr(json_object) object = parse(text, len);
    Control control = {firmware, stats, object};
    const char *name = object ? get_string(object, "command") : NULL;

    if (!name)
        return "not a JSON object with a \"command\"";
    for (size_t i = 0; i < G_N_ELEMENTS(control_commands); i++) {
        if (strcmp(control_commands[i].name, name) == 0)
            return control_commands[i].run(&control);
    }
    return "unknown command";
}

char *
swpsp_control_run(SwpspFirmware *firmware, SwpspStats *stats, const char *text, size_t len)
{
    const char *error = run(firmware, stats, text, len);
    g_autoptr(json_object) answer = json_object_new_object();

    if (error)
        json_object_object_add(answer, "error", json_object_new_string(error));
    else
        json_object_object_add(answer, "return", json_object_new_object());
    return to_text(answer);
}
