/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation: libxml2's SAX2 interface drives the building of the tree, so nothing of
 * libxml2's own tree, DTD or entity machinery is reached. At the start-element callback the
 * parser stands behind the last attribute; a '<' cannot occur inside a tag, so the tag begins at
 * the last '<' before that. Attribute and text positions are found by reading the (well-formed)
 * tag again, when a message wants them.
 */
#include "sevmig-policy-xml.h"

#include <libxml/parser.h>
#include <libxml/parserInternals.h>

#include "sevmig-policy-issue.h"
#include "sevmig-policy-xml-bounds.h"

typedef struct {
    xmlParserCtxtPtr ctxt;
    SevmigXmlDoc *doc;
    SevmigXmlNode *current;
    const SevmigXmlLimits *limits;
    GPtrArray *issues;
    guint depth;
    guint elements;
    gboolean failed;
} Builder;

#if LIBXML_VERSION >= 21200
typedef const xmlError *XmlErrorArg;
#else
typedef xmlErrorPtr XmlErrorArg;
#endif

void
sevmig_xml_node_free(SevmigXmlNode *node)
{
    SevmigXmlAttr *attr = node->attrs;
    SevmigXmlNode *child = node->children;

    while (child) {
        SevmigXmlNode *next = child->next;
        sevmig_xml_node_free(child);
        child = next;
    }
    while (attr) {
        SevmigXmlAttr *next = attr->next;
        g_free(attr->name);
        g_free(attr->value);
        g_free(attr);
        attr = next;
    }
    if (node->text)
        g_string_free(node->text, TRUE);
    g_free(node->ns);
    g_free(node->name);
    g_free(node);
}

void
sevmig_xml_doc_free(SevmigXmlDoc *doc)
{
    if (doc->root)
        sevmig_xml_node_free(doc->root);
    g_free(doc->file);
    g_free(doc->text);
    g_free(doc);
}

SevmigXmlNode *
sevmig_xml_node_new(SevmigXmlNode *parent, const char *ns, const char *name)
{
    SevmigXmlNode *node = g_new0(SevmigXmlNode, 1);

    node->ns = g_strdup(ns);
    node->name = g_strdup(name);
    node->parent = parent;
    if (parent && parent->last_child)
        parent->last_child->next = node;
    else if (parent)
        parent->children = node;
    if (parent)
        parent->last_child = node;
    return node;
}

void
sevmig_xml_attr_add(SevmigXmlNode *node, const char *name, const char *value)
{
    SevmigXmlAttr *attr = g_new0(SevmigXmlAttr, 1);

    attr->name = g_strdup(name);
    attr->value = g_strdup(value);
    if (node->last_attr)
        node->last_attr->next = attr;
    else
        node->attrs = attr;
    node->last_attr = attr;
}

/* Only the first failure is reported: what follows is its consequence. */
static void G_GNUC_PRINTF(3, 4) builder_fail(Builder *self, gsize offset, const char *format, ...)
{
    g_autofree char *text = NULL;
    unsigned line, column;
    va_list args;

    xmlStopParser(self->ctxt);
    if (self->failed)
        return;
    self->failed = TRUE;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    sevmig_xml_position(self->doc, offset, &line, &column);
    sevmig_issue_add(self->issues, self->doc->file, line, column, "%s", text);
}

static gsize
builder_offset(const Builder *self)
{
    long consumed = xmlByteConsumed(self->ctxt);

    return consumed < 0 ? 0 : MIN((gsize)consumed, self->doc->size);
}

static gsize
builder_last(const Builder *self, const char *wanted)
{
    const char *text = self->doc->text;
    gsize offset = builder_offset(self);

    /* Backwards, so that it costs what lies between: g_strrstr_len() begins at the beginning. */
    for (const char *p = memrchr(text, wanted[0], offset); p;
         p = memrchr(text, wanted[0], (gsize)(p - text))) {
        if (sevmig_xml_begins(p, wanted))
            return (gsize)(p - text);
    }
    return offset;
}

static void
add_attributes(SevmigXmlNode *node, int n, const xmlChar **attributes)
{
    /* libxml2 hands over five pointers each: name, prefix, URI, value and the value's end. */
    for (int i = 0; i < n; i++, attributes += 5) {
        g_autofree char *value =
            g_strndup((const char *)attributes[3], (gsize)(attributes[4] - attributes[3]));
        g_autofree char *name = attributes[1]
                                    ? g_strdup_printf("%s:%s", attributes[1], attributes[0])
                                    : g_strdup((const char *)attributes[0]);
        sevmig_xml_attr_add(node, name, value);
    }
}

static void
on_start_element(void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                 int n_namespaces, const xmlChar **namespaces, int n_attributes, int n_defaulted,
                 const xmlChar **attributes)
{
    Builder *self = data;
    gsize offset = builder_last(self, "<");
    SevmigXmlNode *node;

    if (self->failed)
        return;
    if (self->depth >= self->limits->max_depth) {
        builder_fail(self, offset, "<%s>: elements nest deeper than %u levels, %s has at most that",
                     name, self->limits->max_depth, self->limits->what);
        return;
    }
    if (self->elements >= self->limits->max_elements) {
        builder_fail(self, offset, "<%s>: more than %u elements, %s has at most that", name,
                     self->limits->max_elements, self->limits->what);
        return;
    }
    node = sevmig_xml_node_new(self->current, uri ? (const char *)uri : "", (const char *)name);
    node->offset = offset;
    add_attributes(node, n_attributes, attributes);
    if (!self->current)
        self->doc->root = node;
    self->current = node;
    self->depth++;
    self->elements++;
}

static void
on_end_element(void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    Builder *self = data;

    if (self->failed || !self->current)
        return;
    self->current = self->current->parent;
    self->depth--;
}

static void
on_characters(void *data, const xmlChar *text, int length)
{
    Builder *self = data;

    if (self->failed || !self->current)
        return;
    if (!self->current->text)
        self->current->text = g_string_new(NULL);
    g_string_append_len(self->current->text, (const char *)text, length);
}

static void
on_doctype(void *data, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    Builder *self = data;

    builder_fail(self, builder_last(self, "<!DOCTYPE"),
                 "a document type declaration is not allowed here; expected none, and no entities");
}

static xmlEntityPtr
on_entity(void *data, const xmlChar *name)
{
    return xmlGetPredefinedEntity(name);
}

static void
on_error(void *data, XmlErrorArg error)
{
    Builder *self = data;
    g_autofree char *text = NULL;

    if (error->level < XML_ERR_ERROR)
        return;
    text = g_strstrip(g_strdup(error->message ? error->message : "unknown error"));
    builder_fail(self, builder_offset(self), "not well-formed XML: %s", text);
}

/* An encoding other than UTF-8 would make offsets wrong and bytes unreadable in messages. */
static gboolean
check_encoding(const SevmigXmlDoc *doc, GPtrArray *issues)
{
    g_autofree char *declaration = NULL;
    g_autoptr(GRegex) regex = NULL;
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *encoding = NULL;
    const char *bad, *end;
    unsigned line, column;

    if (!g_utf8_validate_len(doc->text, doc->size, &bad)) {
        sevmig_xml_position(doc, (gsize)(bad - doc->text), &line, &column);
        sevmig_issue_add(issues, doc->file, line, column,
                         "byte 0x%02x is not text; expected XML in UTF-8", (unsigned char)*bad);
        return FALSE;
    }
    end = sevmig_xml_begins(doc->text, "<?xml") ? strstr(doc->text, "?>") : NULL;
    if (!end)
        return TRUE;
    declaration = g_strndup(doc->text, (gsize)(end - doc->text));
    regex = g_regex_new("encoding\\s*=\\s*[\"']([^\"']*)[\"']", G_REGEX_DEFAULT, 0, NULL);
    if (!g_regex_match(regex, declaration, 0, &match))
        return TRUE;
    encoding = g_match_info_fetch(match, 1);
    if (!g_ascii_strcasecmp(encoding, "UTF-8") || !g_ascii_strcasecmp(encoding, "US-ASCII"))
        return TRUE;
    end = strstr(doc->text, encoding);
    sevmig_xml_position(doc, (gsize)(end - doc->text), &line, &column);
    sevmig_issue_add(issues, doc->file, line, column, "encoding \"%s\"; expected UTF-8", encoding);
    return FALSE;
}

static void
run_parser(Builder *self)
{
    xmlSAXHandler handler = {
        .initialized = XML_SAX2_MAGIC,
        .startElementNs = on_start_element,
        .endElementNs = on_end_element,
        .characters = on_characters,
        .cdataBlock = on_characters,
        .ignorableWhitespace = on_characters,
        .internalSubset = on_doctype,
        .getEntity = on_entity,
        .serror = on_error,
    };

    xmlInitParser();
    self->ctxt = xmlCreateMemoryParserCtxt(self->doc->text, (int)self->doc->size);
    if (!self->ctxt)
        g_error("libxml2: out of memory");
    *self->ctxt->sax = handler;
    self->ctxt->userData = self;
    /* NOENT has "&amp;" in an attribute come out as "&", not as "&#38;". There are no other
     * entities: on_doctype() refuses whatever could declare one, and on_entity() knows none. */
    xmlCtxtUseOptions(self->ctxt, XML_PARSE_NONET | XML_PARSE_IGNORE_ENC | XML_PARSE_NOENT);
    xmlParseDocument(self->ctxt);
    if (!self->failed && !self->ctxt->wellFormed)
        builder_fail(self, builder_offset(self), "not well-formed XML");
    xmlFreeParserCtxt(self->ctxt);
}

SevmigXmlDoc *
sevmig_xml_parse(const char *text, gsize size, const char *file, const SevmigXmlLimits *limits,
                 GPtrArray *issues)
{
    g_autoptr(SevmigXmlDoc) doc = g_new0(SevmigXmlDoc, 1);
    Builder builder = {.doc = doc, .limits = limits, .issues = issues};

    doc->file = g_strdup(file);
    if (size > limits->max_bytes) {
        sevmig_issue_add(issues, file, 0, 0, "too large; %s has at most %" G_GSIZE_FORMAT " bytes",
                         limits->what, limits->max_bytes);
        return NULL;
    }
    doc->text = g_malloc(size + 1);
    if (size > 0)
        memcpy(doc->text, text, size);
    doc->text[size] = '\0';
    doc->size = size;
    if (size == 0) {
        sevmig_issue_add(issues, file, 1, 1, "the document is empty; expected XML");
        return NULL;
    }
    if (!check_encoding(doc, issues) || !sevmig_xml_check_bounds(doc, limits, issues))
        return NULL;
    run_parser(&builder);
    if (builder.failed || !doc->root)
        return NULL;
    return g_steal_pointer(&doc);
}

void
sevmig_xml_position(const SevmigXmlDoc *doc, gsize offset, unsigned *line, unsigned *column)
{
    const char *start = doc->text, *at = doc->text + MIN(offset, doc->size);

    *line = 1;
    for (const char *p = doc->text; p < at; p++) {
        if (*p == '\n') {
            *line += 1;
            start = p + 1;
        }
    }
    if (start == doc->text && sevmig_xml_begins(start, "\xEF\xBB\xBF") && at >= start + 3)
        start += 3; /* a byte order mark takes no column */
    *column = 1;
    for (const char *p = start; p < at; p++)
        *column += ((unsigned char)*p & 0xC0) != 0x80;
}

static const char *
skip_space(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* Steps over one attribute of a well-formed tag. */
static const char *
next_attribute(const char *p, const char **name, gsize *name_length, const char **value)
{
    char quote[2] = "";

    *name = p;
    *name_length = strcspn(p, "= \t\r\n");
    p = skip_space(p + *name_length);
    if (*p == '=')
        p = skip_space(p + 1);
    quote[0] = *p;
    *value = *p ? p + 1 : p;
    p = *value + strcspn(*value, quote);
    return *p ? p + 1 : p;
}

/* The '>' or '/' that ends the attributes of a tag, or, if `wanted` is there, its value. */
static const char *
scan_tag(const SevmigXmlDoc *doc, const SevmigXmlNode *node, const char *wanted)
{
    const char *p = doc->text + node->offset;

    p = skip_space(p + strcspn(p, " \t\r\n/>"));
    while (*p && *p != '>' && *p != '/') {
        const char *name, *value;
        gsize length;

        p = skip_space(next_attribute(p, &name, &length, &value));
        if (wanted && strlen(wanted) == length && !strncmp(name, wanted, length))
            return value;
    }
    return wanted ? NULL : p;
}

gsize
sevmig_xml_attr_offset(const SevmigXmlDoc *doc, const SevmigXmlNode *node, const char *name)
{
    const char *value = scan_tag(doc, node, name);

    return value ? (gsize)(value - doc->text) : node->offset;
}

gsize
sevmig_xml_text_offset(const SevmigXmlDoc *doc, const SevmigXmlNode *node)
{
    static const char *const skipped[][2] = {{"<!--", "-->"}, {"<?", "?>"}};
    const char *p = scan_tag(doc, node, NULL);

    if (*p != '>')
        return node->offset;
    p = skip_space(p + 1);
    for (gsize i = 0; i < G_N_ELEMENTS(skipped); i++) {
        const char *end = sevmig_xml_begins(p, skipped[i][0]) ? strstr(p, skipped[i][1]) : NULL;

        if (end) {
            p = skip_space(end + strlen(skipped[i][1]));
            i = (gsize)-1; /* begin again: they may follow each other */
        }
    }
    if (sevmig_xml_begins(p, "<![CDATA["))
        p += strlen("<![CDATA[");
    else if (*p == '<')
        return node->offset;
    return (gsize)(p - doc->text);
}

const char *
sevmig_xml_attr(const SevmigXmlNode *node, const char *name)
{
    for (const SevmigXmlAttr *attr = node->attrs; attr; attr = attr->next) {
        if (!strcmp(attr->name, name))
            return attr->value;
    }
    return NULL;
}

SevmigXmlNode *
sevmig_xml_child(const SevmigXmlNode *node, const char *ns, const char *name)
{
    for (SevmigXmlNode *child = node->children; child; child = child->next) {
        if (!strcmp(child->name, name) && !strcmp(child->ns, ns))
            return child;
    }
    return NULL;
}

char *
sevmig_xml_text(const SevmigXmlNode *node)
{
    return g_strstrip(g_strdup(node->text ? node->text->str : ""));
}

static void
write_node(GString *out, const SevmigXmlNode *node, const char *outer_ns, guint indent)
{
    g_string_append_printf(out, "%*s<%s", (int)indent * 2, "", node->name);
    if (strcmp(node->ns, outer_ns)) {
        g_autofree char *ns = g_markup_escape_text(node->ns, -1);
        g_string_append_printf(out, " xmlns=\"%s\"", ns);
    }
    for (const SevmigXmlAttr *attr = node->attrs; attr; attr = attr->next) {
        g_autofree char *value = g_markup_escape_text(attr->value, -1);
        if (!strchr(attr->name, ':'))
            g_string_append_printf(out, " %s=\"%s\"", attr->name, value);
    }
    if (node->children) {
        g_string_append(out, ">\n");
        for (const SevmigXmlNode *child = node->children; child; child = child->next)
            write_node(out, child, node->ns, indent + 1);
        g_string_append_printf(out, "%*s</%s>\n", (int)indent * 2, "", node->name);
    } else if (node->text && node->text->len > 0) {
        g_autofree char *text = g_markup_escape_text(node->text->str, -1);
        g_string_append_printf(out, ">%s</%s>\n", text, node->name);
    } else {
        g_string_append(out, "/>\n");
    }
}

char *
sevmig_xml_to_text(const SevmigXmlNode *root)
{
    GString *out = g_string_new(NULL);

    write_node(out, root, "", 0);
    return g_string_free(out, FALSE);
}
