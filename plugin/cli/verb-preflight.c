/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sevmigctl preflight: asks libvirt and sevmigd, and changes nothing */
#include <string.h>

#include "preflight.h"
#include "sevmig-error.h"

const char preflight_help[] =
    "Watches the domain for a second and plays its migration under load and firmware as they are\n"
    "and a quarter either way. Each figure says where it comes from; an assumption is to be\n"
    "doubted. sevmigd asks the domain's QEMU what it can, for which users other than root\n"
    "authenticate.\n\n"
    "Exit status: 0 if it can migrate and meets the goals throughout, 1 if not.";

void
preflight_options(GOptionContext *context, Cli *cli)
{
    const GOptionEntry entries[] = {
        {"to", 0, 0, G_OPTION_ARG_STRING, &cli->to,
         "look at this host too, a libvirt connection as for \"virsh migrate\"", "URI"},
        {"policy", 0, 0, G_OPTION_ARG_FILENAME, &cli->policy,
         "as if this policy of the host or in a file governed it", "NAME|FILE"},
        {"copy-storage", 0, 0, G_OPTION_ARG_NONE, &cli->copy_storage,
         "disks that are not shared will be copied along, as by \"virsh migrate "
         "--copy-storage-all\"",
         NULL},
        {NULL},
    };
    domain_options(context, cli);
    g_option_context_add_main_entries(context, entries, NULL);
}

void
preflight_clear(Preflight *self)
{
    domain_clear(&self->of);
    qemu_conf_clear(&self->conf);
    g_clear_pointer(&self->name, g_free);
    g_clear_pointer(&self->checks, g_array_unref);
    g_clear_pointer(&self->policy, sevmig_policy_unref);
    g_clear_pointer(&self->policy_why, g_free);
}

static gboolean
make_forecast(Cli *cli, Preflight *self, GError **error)
{
    g_autoptr(Progress) progress = progress_new();
    progress_say(progress, "watching %s", self->of.name);
    preflight_measure(cli, self);
    self->has_forecast =
        forecast_run(&self->inputs, self->policy, progress, &self->forecast, error);
    return self->has_forecast;
}

CliExit
verb_preflight(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(Preflight) self = {0};
    if (!domain_open(cli, cli->args[0], &self.of, &error))
        return cli_fail(cli, error);
    preflight_check(cli, &self);
    /* Of a domain that cannot migrate nothing is foretold. */
    if (preflight_can(&self) && !make_forecast(cli, &self, &error))
        return cli_fail(cli, error);
    if (cli->json) {
        preflight_json(out, &self);
        cli_put_json(out);
    } else {
        preflight_render(out, &self, cli_width());
        cli_put(out);
    }
    return self.has_forecast && forecast_good(&self.forecast) ? CLI_OK : CLI_FAILURE;
}
