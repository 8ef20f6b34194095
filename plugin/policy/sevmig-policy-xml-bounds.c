/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxml2 compares each attribute of a tag with those before it, and looks each prefix up among
 * all namespaces in force, before a SAX handler sees the tag. A megabyte made of one tag takes it
 * twelve seconds. So the tags are counted here first, in one pass over the text.
 *
 * The pass need not understand what is not well-formed: it only has to count no fewer attributes
 * and namespaces than libxml2 reads before it gives up.
 */
#include "sevmig-policy-xml-bounds.h"

#include "sevmig-policy-issue.h"

/* In force at one element. Domain XML has about five: libvirt's own and one of each tool. 65536
 * elements that each look through 256 of them take libxml2 20 ms. */
#define MOST_NAMESPACES 256u

typedef struct {
    const SevmigXmlDoc *doc;
    const SevmigXmlLimits *limits;
    GPtrArray *issues;
    GArray *declared; /* guint: namespaces that each open element declares */
    guint in_force;   /* their sum */
} Scan;

typedef struct {
    guint attributes;
    guint namespaces;
    gboolean empty; /* <a/>: nothing stays open */
} Tag;

/* Behind the next `mark`, or the end. Not strstr(): under sanitizers that measures the whole rest,
 * for each comment of thousands. */
static const char *
skip_to(const SevmigXmlDoc *doc, const char *p, const char *mark)
{
    const char *end = doc->text + doc->size;
    const char *found = memmem(p, (gsize)(end - p), mark, strlen(mark));

    return found ? found + strlen(mark) : end;
}

/* From behind the '<' of a start tag to behind its '>'. Each '=' outside of a value is one
 * attribute; its name is what stands before it. */
static const char *
scan_tag(const char *p, Tag *tag)
{
    const char *name = p;

    for (; *p && *p != '>' && *p != '<'; p++) {
        if (*p == '=') {
            if (sevmig_xml_begins(name, "xmlns"))
                tag->namespaces++;
            else
                tag->attributes++;
        } else if (*p == '"' || *p == '\'') {
            p = strchr(p + 1, *p);
            if (!p)
                return name + strlen(name);
            name = p + 1;
        } else if (strchr(" \t\r\n", *p)) {
            name = p[1] == '=' || strchr(" \t\r\n", p[1]) ? name : p + 1;
        }
    }
    tag->empty = p[-1] == '/';
    return *p == '>' ? p + 1 : p;
}

static void G_GNUC_PRINTF(3, 4)
    scan_fail(const Scan *self, const char *tag, const char *format, ...)
{
    g_autofree char *name = g_strndup(tag, MIN(strcspn(tag, " \t\r\n/>"), 60));
    g_autofree char *text = NULL;
    unsigned line, column;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    sevmig_xml_position(self->doc, (gsize)(tag - 1 - self->doc->text), &line, &column);
    sevmig_issue_add(self->issues, self->doc->file, line, column, "<%s>: %s", name, text);
}

static gboolean
open_element(Scan *self, const char *start, const Tag *tag)
{
    if (tag->attributes > self->limits->max_attributes) {
        scan_fail(self, start, "more than %u attributes, an element of %s has at most that",
                  self->limits->max_attributes, self->limits->what);
        return FALSE;
    }
    if (self->in_force + tag->namespaces > MOST_NAMESPACES) {
        scan_fail(self, start, "more than %u namespaces, %s has at most that in force",
                  MOST_NAMESPACES, self->limits->what);
        return FALSE;
    }
    if (tag->empty)
        return TRUE;
    g_array_append_val(self->declared, tag->namespaces);
    self->in_force += tag->namespaces;
    return TRUE;
}

static void
close_element(Scan *self)
{
    guint last = self->declared->len;

    if (last == 0)
        return;
    self->in_force -= g_array_index(self->declared, guint, last - 1);
    g_array_set_size(self->declared, last - 1);
}

gboolean
sevmig_xml_check_bounds(const SevmigXmlDoc *doc, const SevmigXmlLimits *limits, GPtrArray *issues)
{
    g_autoptr(GArray) declared = g_array_new(FALSE, FALSE, sizeof(guint));
    Scan self = {.doc = doc, .limits = limits, .issues = issues, .declared = declared};
    const char *p = doc->text;

    /* Deeper than the limit the parser goes no further, so nothing needs to be counted there. */
    while ((p = strchr(p, '<')) && declared->len <= limits->max_depth) {
        const char *start = ++p;
        Tag tag = {0};

        if (sevmig_xml_begins(p, "!--")) {
            p = skip_to(doc, p + 3, "-->");
        } else if (sevmig_xml_begins(p, "![CDATA[")) {
            p = skip_to(doc, p, "]]>");
        } else if (*p == '?') {
            p = skip_to(doc, p, "?>");
        } else if (*p == '!') {
            return TRUE; /* a document type: the parser goes no further */
        } else if (*p == '/') {
            close_element(&self);
        } else {
            p = scan_tag(p, &tag);
            if (!open_element(&self, start, &tag))
                return FALSE;
        }
    }
    return TRUE;
}
