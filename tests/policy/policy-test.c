/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy-test.h"

#include <glib/gstdio.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>

char *
test_path(const char *relative)
{
    const char *source = g_getenv("SEVMIG_SOURCE");

    g_assert_nonnull(source);
    return g_build_filename(source, relative, NULL);
}

static gint
compare_paths(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *
test_documents(const char *relative)
{
    GPtrArray *documents = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *path = test_path(relative);
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &error);
    const char *name;

    g_assert_no_error(error);
    while ((name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, ".xml"))
            g_ptr_array_add(documents, g_build_filename(path, name, NULL));
    }
    g_assert_cmpuint(documents->len, >, 0);
    g_ptr_array_sort(documents, compare_paths);
    return documents;
}

char *
test_read(const char *path, gsize *size)
{
    g_autoptr(GError) error = NULL;
    char *text;

    g_file_get_contents(path, &text, size, &error);
    g_assert_no_error(error);
    return text;
}

static void collect(void *data, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
collect(void *data, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_string_append_vprintf(data, format, args);
    va_end(args);
}

static void ignore(void *data, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
ignore(void *data, const char *format, ...)
{
}

static void
free_schema(gpointer data)
{
    xmlRelaxNGFree(data);
}

/* Each is compiled once. */
static GHashTable *schemas;

static xmlRelaxNGPtr
get_schema(const char *name)
{
    xmlRelaxNGPtr rng;

    if (!schemas)
        schemas = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_schema);
    rng = g_hash_table_lookup(schemas, name);
    if (!rng) {
        g_autofree char *relative = g_build_filename("xml-schemas", name, NULL);
        g_autofree char *path = test_path(relative);
        xmlRelaxNGParserCtxtPtr parser = xmlRelaxNGNewParserCtxt(path);

        rng = xmlRelaxNGParse(parser);
        xmlRelaxNGFreeParserCtxt(parser);
        g_assert_nonnull(rng);
        g_hash_table_insert(schemas, g_strdup(name), rng);
    }
    return rng;
}

char *
test_schema_refusal(const char *schema, const char *text, gsize size)
{
    xmlRelaxNGPtr rng = get_schema(schema);
    xmlRelaxNGValidCtxtPtr valid = xmlRelaxNGNewValidCtxt(rng);
    xmlDocPtr doc = xmlReadMemory(text, (int)size, NULL, NULL, XML_PARSE_NONET);
    GString *messages = g_string_new(NULL);
    int result;

    g_assert_nonnull(doc);
    xmlRelaxNGSetValidErrors(valid, collect, ignore, messages);
    result = xmlRelaxNGValidateDoc(valid, doc);
    g_assert_cmpint(result, >=, 0);
    xmlFreeDoc(doc);
    xmlRelaxNGFreeValidCtxt(valid);
    if (result != 0 && messages->len == 0)
        g_string_append(messages, "refused without a message");
    if (result != 0)
        return g_string_free(messages, FALSE);
    g_string_free(messages, TRUE);
    return NULL;
}

void
test_golden(const char *document, const char *actual)
{
    g_autofree char *stem = g_strndup(document, strlen(document) - strlen(".xml"));
    g_autofree char *path = g_strconcat(stem, ".expected", NULL);
    g_autofree char *expected = NULL;

    if (g_getenv("TEST_UPDATE")) {
        g_assert_true(g_file_set_contents(path, actual, -1, NULL));
        return;
    }
    expected = test_read(path, NULL);
    if (strcmp(actual, expected))
        g_test_message("%s", document);
    g_assert_cmpstr(actual, ==, expected);
}

char *
test_issue_lines(const GPtrArray *issues)
{
    GString *out = g_string_new(NULL);

    for (guint i = 0; i < issues->len; i++) {
        const SevmigPolicyIssue *issue = g_ptr_array_index(issues, i);

        g_assert_null(strchr(issue->text, '\n'));
        g_string_append_printf(out, "%u:%u: %s\n", issue->line, issue->column, issue->text);
    }
    return g_string_free(out, FALSE);
}

char *
test_make_directory(void)
{
    g_autoptr(GError) error = NULL;
    char *path = g_dir_make_tmp("sevmig-policy-XXXXXX", &error);

    g_assert_no_error(error);
    return path;
}

void
test_remove_directory(char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_assert_cmpint(g_remove(file), ==, 0);
    }
    g_assert_cmpint(g_rmdir(path), ==, 0);
    g_free(path);
}

void
test_write(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}
