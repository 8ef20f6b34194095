/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Validation against the RELAX NG, which is built in so that no file can be missing. The checks
 * before it say more precisely what is wrong; what only the schema refuses is a disagreement
 * between the two, and is refused as well.
 */
#include <libxml/parser.h>
#include <libxml/relaxng.h>

#include "sevmig-policy-internal.h"
#include "sevmig-policy-issue.h"
#include "sevmig-policy-rng.h"

#if LIBXML_VERSION >= 21200
typedef const xmlError *XmlErrorArg;
#else
typedef xmlErrorPtr XmlErrorArg;
#endif

static void
keep_first(void *data, XmlErrorArg error)
{
    char **message = data;

    if (!*message)
        *message = g_strstrip(g_strdup(error->message ? error->message : "not valid"));
}

/* A compiled schema is only read by validations, so all threads share one. */
static xmlRelaxNGPtr
schema(void)
{
    static gsize compiled;

    if (g_once_init_enter(&compiled)) {
        g_autofree char *message = NULL;
        xmlRelaxNGParserCtxtPtr parser =
            xmlRelaxNGNewMemParserCtxt(sevmig_policy_rng, (int)strlen(sevmig_policy_rng));
        xmlRelaxNGPtr result;

        xmlRelaxNGSetParserStructuredErrors(parser, keep_first, &message);
        result = xmlRelaxNGParse(parser);
        xmlRelaxNGFreeParserCtxt(parser);
        if (!result)
            g_error("the built-in schema: %s", message ? message : "out of memory");
        g_once_init_leave(&compiled, (gsize)result);
    }
    return (xmlRelaxNGPtr)compiled;
}

void
sevmig_schema_check(const SevmigReader *self)
{
    g_autofree char *text = sevmig_xml_to_text(self->root);
    g_autofree char *message = NULL;
    xmlRelaxNGPtr rng = schema();
    xmlDocPtr doc = xmlReadMemory(text, (int)strlen(text), NULL, "UTF-8", XML_PARSE_NONET);
    xmlRelaxNGValidCtxtPtr valid = xmlRelaxNGNewValidCtxt(rng);

    if (!doc || !valid)
        g_error("libxml2: out of memory");
    xmlRelaxNGSetValidStructuredErrors(valid, keep_first, &message);
    if (xmlRelaxNGValidateDoc(valid, doc) != 0)
        sevmig_reader_issue(self, self->root->offset, "<%s>: refused by the schema: %s",
                            self->root->name, message ? message : "not valid");
    xmlRelaxNGFreeValidCtxt(valid);
    xmlFreeDoc(doc);
}
