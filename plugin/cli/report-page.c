/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report-page.h"

#include <gio/gio.h>

#include "report-resources.h"
#include "sevmig-names.h"
#include "text.h"

#define RESOURCES "/org/sevmig1/report/"

/* Compiled in, so it is there. */
static GBytes *
part(const char *name)
{
    g_autofree char *path = g_strconcat(RESOURCES, name, NULL);
    GBytes *bytes =
        g_resource_lookup_data(report_get_resource(), path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
    g_assert(bytes != NULL);
    return bytes;
}

static void
put_part(GString *out, GBytes *bytes)
{
    gsize length;
    const char *text = g_bytes_get_data(bytes, &length);
    g_string_append_len(out, text, (gssize)length);
}

/* " 'sha256-...'", as a content security policy names what it allows. */
static void
put_digest(GString *out, GBytes *bytes)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    guint8 digest[32];
    gsize length = sizeof(digest);
    gsize size;
    const guchar *text = g_bytes_get_data(bytes, &size);
    g_checksum_update(checksum, text, (gssize)size);
    g_checksum_get_digest(checksum, digest, &length);
    g_autofree char *base64 = g_base64_encode(digest, length);
    g_string_append_printf(out, " 'sha256-%s'", base64);
}

static void
put_head(GString *out, const char *domain, GBytes *style, GBytes *library, GBytes *script)
{
    g_autofree char *printable = text_printable(domain);
    g_autofree char *title = g_markup_escape_text(printable, -1);
    g_string_append(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                         "<meta http-equiv=\"Content-Security-Policy\" content=\""
                         "default-src 'none'; base-uri 'none'; form-action 'none'; script-src");
    put_digest(out, library);
    put_digest(out, script);
    g_string_append(out, "; style-src");
    put_digest(out, style);
    g_string_append_printf(out,
                           "\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
                           "<meta name=\"viewport\" content=\"width=device-width\">\n"
                           "<meta name=\"color-scheme\" content=\"light dark\">\n"
                           "<meta name=\"generator\" content=\"sevmigctl %s\">\n"
                           "<title>Migration of %s</title>\n<style>",
                           SEVMIG_VERSION, title);
    put_part(out, style);
    g_string_append(out, "</style>\n</head>\n");
}

/* In JSON these stand within strings only, where an escape means the same; so nothing in it can end
   the element or begin a comment. */
static void
put_inert(GString *out, const GString *json)
{
    for (const char *c = json->str; *c != '\0'; c++) {
        if (*c == '<' || *c == '>' || *c == '&')
            g_string_append_printf(out, "\\u%04x", (unsigned)*c);
        else
            g_string_append_c(out, *c);
    }
}

GString *
report_page(const ReportData *data)
{
    g_autoptr(GBytes) style = part("report.css");
    g_autoptr(GBytes) library = part("chart.min.js");
    g_autoptr(GBytes) script = part("report.js");
    g_autoptr(GBytes) body = part("report.html");
    g_autoptr(GString) json = g_string_new(NULL);
    GString *out = g_string_new(NULL);
    put_head(out, report_data_domain(data), style, library, script);
    put_part(out, body);
    report_data_json(json, data);
    g_string_append(out, "<script type=\"application/json\" id=\"data\">");
    put_inert(out, json);
    g_string_append(out, "</script>\n<script>");
    put_part(out, library);
    g_string_append(out, "</script>\n<script>");
    put_part(out, script);
    g_string_append(out, "</script>\n</body>\n</html>\n");
    return out;
}
