/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy-test.h - what the tests of the policy library share
 */
#ifndef POLICY_TEST_H
#define POLICY_TEST_H

#include "sevmig-policy.h"

/* A path below the source tree. Free with g_free(). */
char *test_path(const char *relative);
/* The XML documents of a directory below the source tree, sorted; fails the test if there is none.
 */
GPtrArray *test_documents(const char *relative);
/* The whole of a file; fails the test if that cannot be read. Free with g_free(). */
char *test_read(const char *path, gsize *size);

/* NULL, or what libxml2 has against the document under the schema of that file name, validated as
 * any other tool would: from the files. Free with g_free(). */
char *test_schema_refusal(const char *schema, const char *text, gsize size);

/* Compares with the file beside the document that ends in .expected; with TEST_UPDATE set in the
 * environment it writes that file instead. */
void test_golden(const char *document, const char *actual);

/* The issues one a line, without the file names. Free with g_free(). */
char *test_issue_lines(const GPtrArray *issues);

/* A fresh directory; removed, with the files directly in it, by test_remove_directory(), which
 * frees the path too. */
char *test_make_directory(void);
void test_remove_directory(char *path);
void test_write(const char *directory, const char *name, const char *text);

#endif
