/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-policy-xml-bounds.h - what makes libxml2 slow is refused before libxml2 reads it
 */
#ifndef SEVMIG_POLICY_XML_BOUNDS_H
#define SEVMIG_POLICY_XML_BOUNDS_H

#include "sevmig-policy-xml.h"

/*
 * Whether no tag of the text has more attributes than `limits` allows, and no element more
 * namespaces in force than 256. Else appends one issue. Takes time in proportion to the text.
 */
gboolean sevmig_xml_check_bounds(const SevmigXmlDoc *doc, const SevmigXmlLimits *limits,
                                 GPtrArray *issues);

#endif
