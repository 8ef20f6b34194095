/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sevmigctl version */
#include "remote.h"
#include "sevmig-names.h"

static const struct {
    const char *property;
    const char *key;
    const char *label;
} rows[] = {
    {"Version", "daemon", "sevmigd"},
    {"Host", "host", "host"},
    {"LibvirtState", "libvirt", "libvirt"},
};

/* A daemon that does not run is an answer here, not a failure. */
CliExit
verb_version(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new("sevmigctl " SEVMIG_VERSION "\n");
    g_autoptr(GString) json = g_string_new(NULL);
    g_autoptr(GVariant) manager =
        remote_properties(cli, SEVMIG_MANAGER_PATH, SEVMIG_MANAGER_INTERFACE, &error);
    if (manager == NULL && !remote_is_absent(error))
        return cli_fail(cli, error);

    json_open(json, NULL, '{');
    json_string(json, "client", SEVMIG_VERSION);
    for (gsize i = 0; manager != NULL && i < G_N_ELEMENTS(rows); i++) {
        const char *value = "";
        g_variant_lookup(manager, rows[i].property, "&s", &value);
        g_autofree char *printable = text_printable(value);
        g_string_append_printf(text, "%s %s\n", rows[i].label, printable);
        json_string(json, rows[i].key, value);
    }
    json_close(json, '}');
    if (manager == NULL)
        g_string_append(text, "sevmigd is not running on this bus\n");
    if (cli->json)
        cli_put_json(json);
    else
        cli_put(text);
    return CLI_OK;
}
