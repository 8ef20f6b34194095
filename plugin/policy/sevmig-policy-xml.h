/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-policy-xml.h - XML from untrusted hands, as a small tree that knows where it came from
 *
 * No network, no document type, no entities but the five of XML itself, UTF-8 only; size, depth
 * and the number of elements are bounded. Positions are byte offsets into the text, turned into
 * line and column only when a message needs them.
 */
#ifndef SEVMIG_POLICY_XML_H
#define SEVMIG_POLICY_XML_H

#include <glib.h>
#include <string.h>

typedef struct SevmigXmlAttr SevmigXmlAttr;
struct SevmigXmlAttr {
    SevmigXmlAttr *next;
    char *name;  /* as written, with its prefix */
    char *value; /* normalised as XML has it */
};

typedef struct SevmigXmlNode SevmigXmlNode;
struct SevmigXmlNode {
    SevmigXmlNode *parent;
    SevmigXmlNode *next;
    SevmigXmlNode *children;
    SevmigXmlNode *last_child;
    SevmigXmlAttr *attrs; /* in document order, without the namespace declarations */
    SevmigXmlAttr *last_attr;
    char *ns;      /* "" for none */
    char *name;    /* without the prefix */
    GString *text; /* all character data directly inside; NULL: none */
    gsize offset;  /* of its '<' */
};

typedef struct {
    char *file;
    char *text;
    gsize size;
    SevmigXmlNode *root;
} SevmigXmlDoc;

typedef struct {
    const char *what; /* "a policy": what has these limits, for messages */
    gsize max_bytes;
    guint max_depth;
    guint max_elements;
    guint max_attributes; /* of one element */
} SevmigXmlLimits;

/* g_str_has_prefix() measures the whole text first: asked of each tag it takes the square of it. */
static inline gboolean
sevmig_xml_begins(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

/* Parses `size` bytes. On failure appends one issue and returns NULL. */
SevmigXmlDoc *sevmig_xml_parse(const char *text, gsize size, const char *file,
                               const SevmigXmlLimits *limits, GPtrArray *issues);
void sevmig_xml_doc_free(SevmigXmlDoc *doc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigXmlDoc, sevmig_xml_doc_free)

/* Line and column (in characters), both from 1, of a byte of the text. */
void sevmig_xml_position(const SevmigXmlDoc *doc, gsize offset, unsigned *line, unsigned *column);
/* Where the value of an attribute, or the first character data of an element, begins; the element
 * itself if there is none. */
gsize sevmig_xml_attr_offset(const SevmigXmlDoc *doc, const SevmigXmlNode *node, const char *name);
gsize sevmig_xml_text_offset(const SevmigXmlDoc *doc, const SevmigXmlNode *node);

/* NULL if there is none. */
const char *sevmig_xml_attr(const SevmigXmlNode *node, const char *name);
/* The first child of that namespace and name, or NULL. */
SevmigXmlNode *sevmig_xml_child(const SevmigXmlNode *node, const char *ns, const char *name);
/* Its character data without white space around it; "" if none. Free with g_free(). */
char *sevmig_xml_text(const SevmigXmlNode *node);

/* Building a tree, for writing. The node is appended to `parent` (NULL: a root). */
SevmigXmlNode *sevmig_xml_node_new(SevmigXmlNode *parent, const char *ns, const char *name);
void sevmig_xml_attr_add(SevmigXmlNode *node, const char *name, const char *value);
void sevmig_xml_node_free(SevmigXmlNode *node);

/* The tree as text, indented by two spaces; namespaces become default namespaces, and prefixed
 * attributes are left out. Elements with children lose their character data. */
char *sevmig_xml_to_text(const SevmigXmlNode *root);

#endif
