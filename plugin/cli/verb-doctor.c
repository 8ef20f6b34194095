/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor.h"
#include "domain.h"
#include "peer.h"

const char doctor_help[] = "Exit status: 0 if nothing is wrong, 1 otherwise. What could not be "
                           "told (?) is not wrong.";

void
doctor_options(GOptionContext *context, Cli *cli)
{
    domain_options(context, cli);
}

CliExit
verb_doctor(Cli *cli)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GArray) checks = checks_new();
    Doctor self = {.cli = cli, .checks = checks};
    doctor_check_libvirt(&self);
    doctor_check_host(&self);
    peer_check_host(checks);
    doctor_check_bus(&self);
    if (self.connection != NULL)
        virConnectClose(self.connection);
    gboolean good = checks_count(checks, CHECK_BAD) == 0;
    if (cli->json) {
        json_open(out, NULL, '{');
        json_bool(out, "good", good);
        checks_json(out, checks);
        json_close(out, '}');
        cli_put_json(out);
    } else {
        checks_put(out, checks, cli_width());
        cli_put(out);
    }
    return good ? CLI_OK : CLI_FAILURE;
}
