/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "policy-test.h"
#include "sevmig-policy-internal.h"
#include "sevmig-policy-resolve.h"

#define NS "xmlns='urn:sevmig:policy:1'"
#define POLICY(name, inside) "<policy " NS " name='" name "'>" inside "</policy>"
#define NOVA_NS "http://openstack.org/xmlns/libvirt/nova/1.1"
#define DOMAIN(inside)                                                                             \
    "<domain type='kvm'><name>db-1</name><uuid>6f9619ff-8b86-d011-b42d-00cf4fc964ff</uuid>"        \
    "<memory unit='KiB'>8388608</memory><launchSecurity type='sev'/>" inside "</domain>"
#define META(inside) "<metadata>" inside "</metadata>"
#define NAMED(name, more)                                                                          \
    "<sevmig:policy xmlns:sevmig='urn:sevmig:domain:1' name='" name "' " more "/>"
#define WRAPPED(more, inside)                                                                      \
    "<sevmig:policy xmlns:sevmig='urn:sevmig:domain:1' " more ">" inside "</sevmig:policy>"
#define NOVA                                                                                       \
    "<nova:instance xmlns:nova='" NOVA_NS "'><nova:flavor name='m1.secure'><nova:memory>8192"      \
    "</nova:memory><nova:extraSpecs><nova:extraSpec name='hw:mem_encryption'>True"                 \
    "</nova:extraSpec></nova:extraSpecs></nova:flavor><nova:owner><nova:user uuid='u'>x"           \
    "</nova:user><nova:project uuid='5f0c'>p</nova:project></nova:owner></nova:instance>"

typedef struct {
    char *directory;
    char *ceiling;
    SevmigPolicyStore *store;
} Fixture;

static void
set_up(Fixture *self, gconstpointer data)
{
    self->directory = test_make_directory();
    self->ceiling = g_build_filename(self->directory, "limits", NULL);
    self->store = sevmig_policy_store_new(self->directory, "/nonexistent", self->ceiling);
}

static void
tear_down(Fixture *self, gconstpointer data)
{
    sevmig_policy_store_free(self->store);
    test_remove_directory(self->directory);
    g_free(self->ceiling);
}

static void
add(Fixture *self, const char *name, const char *text)
{
    g_autofree char *file = g_strconcat(name, ".xml", NULL);

    test_write(self->directory, file, text);
}

static SevmigResolution *
resolve(Fixture *self, const char *xml)
{
    g_autoptr(GError) error = NULL;
    SevmigResolution *resolution;

    g_assert_true(sevmig_policy_store_reload(self->store, NULL, &error));
    g_assert_no_error(error);
    resolution = sevmig_policy_resolve(self->store, xml, -1, &error);
    g_assert_no_error(error);
    return resolution;
}

/* The decision and its candidates as text: "* name source: reason" for the chosen one. */
static void
expect(Fixture *self, const char *xml, const char *expected)
{
    g_autoptr(SevmigResolution) resolution = resolve(self, xml);
    g_autoptr(GString) out = g_string_new(NULL);
    guint chosen = 0;

    for (guint i = 0; i < resolution->candidates->len; i++) {
        const SevmigCandidate *candidate = g_ptr_array_index(resolution->candidates, i);

        g_string_append_printf(out, "%s%s %s: %s\n", candidate->chosen ? "* " : "", candidate->name,
                               sevmig_policy_source_name(candidate->source), candidate->reason);
        chosen += candidate->chosen;
        if (candidate->chosen)
            g_assert_cmpstr(candidate->name, ==, sevmig_policy_name(resolution->policy));
    }
    g_assert_cmpuint(chosen, ==, resolution->policy ? 1 : 0);
    g_assert_cmpstr(out->str, ==, expected);
}

static void
test_default(Fixture *self, gconstpointer data)
{
    g_autoptr(SevmigResolution) resolution = NULL;

    add(self, "by-name-only", POLICY("by-name-only", ""));
    expect(self, DOMAIN(""), "* default default: nothing else applies\n");
    resolution = resolve(self, DOMAIN(""));
    g_assert_cmpstr(resolution->domain, ==, "db-1");
    g_assert_cmpstr(resolution->uuid, ==, "6f9619ff-8b86-d011-b42d-00cf4fc964ff");
    g_assert_true(resolution->has_sev);
    g_assert_false(resolution->has_metadata);
    g_assert_null(resolution->problem);
}

/* An attribute's "&amp;" is a character as any other, in the domain, in the policy, and when shown.
 */
static void
test_ampersand(Fixture *self, gconstpointer data)
{
    static const char xml[] =
        "<domain><name>R&amp;D build</name><metadata>"
        "<nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'>"
        "<nova:flavor name='a&amp;b'><nova:extraSpecs><nova:extraSpec "
        "name='sevmig:class'>x&lt;y&amp;z"
        "</nova:extraSpec></nova:extraSpecs></nova:flavor></nova:instance></metadata></domain>";
    g_autoptr(SevmigPolicy) again = NULL;
    g_autofree char *shown = NULL, *twice = NULL;

    add(self, "rnd",
        POLICY("rnd",
               "<match priority='60'><domain name='R&amp;D *'/><domain name='R&#38;E'/></match>"));
    add(self, "flavor",
        POLICY("flavor", "<match priority='50'><nova flavor='a?b'><extra-spec name='sevmig:class' "
                         "value='x&lt;y&amp;z'/></nova></match>"));
    expect(self, xml,
           "* rnd match: matches with priority 60 and 1 condition\n"
           "flavor match: matches with priority 50 and 2 conditions, but rnd has priority 60\n"
           "default default: rnd comes first\n");
    shown = sevmig_policy_to_xml(sevmig_policy_store_lookup(self->store, "rnd"));
    g_assert_nonnull(strstr(shown, "name=\"R&amp;D *\""));
    g_assert_nonnull(strstr(shown, "name=\"R&amp;E\""));
    again = sevmig_policy_parse(shown, -1, "again", NULL, NULL);
    twice = sevmig_policy_to_xml(again);
    g_assert_cmpstr(twice, ==, shown);
}

static void
test_named(Fixture *self, gconstpointer data)
{
    add(self, "gentle", POLICY("gentle", ""));
    add(self, "any", POLICY("any", "<match><domain name='*'/></match>"));
    expect(self, DOMAIN(META(NAMED("gentle", ""))),
           "* gentle metadata: named in the domain's metadata\n"
           "any match: matches with priority 50 and 1 condition, but the metadata comes first\n"
           "default default: gentle comes first\n");
}

static void
test_unknown_warn(Fixture *self, gconstpointer data)
{
    g_autoptr(SevmigResolution) resolution = NULL;

    add(self, "any", POLICY("any", "<match><domain name='*'/></match>"));
    expect(self, DOMAIN(META(NAMED("gold", "on-failure='warn'"))),
           "gold metadata: the domain's metadata names the policy \"gold\", which this host does "
           "not have\n"
           "* any match: matches with priority 50 and 1 condition\n"
           "default default: any comes first\n");
    resolution = resolve(self, DOMAIN(META(NAMED("gold", ""))));
    g_assert_cmpuint(resolution->on_failure, ==, SEVMIG_ON_FAILURE_WARN);
    g_assert_true(resolution->name_unknown);
    g_assert_cmpuint(resolution->source, ==, SEVMIG_SOURCE_MATCH);
    g_assert_nonnull(resolution->problem);
}

static void
test_unknown_refuse(Fixture *self, gconstpointer data)
{
    const char *xml = DOMAIN(META(NAMED("gold", "on-failure='refuse'")));
    g_autoptr(SevmigResolution) resolution = NULL;

    add(self, "any", POLICY("any", "<match><domain name='*'/></match>"));
    expect(self, xml,
           "gold metadata: the domain's metadata names the policy \"gold\", which this host does "
           "not have\n"
           "any match: matches with priority 50 and 1 condition, but the metadata refuses "
           "others\n"
           "default default: the metadata refuses others\n");
    resolution = resolve(self, xml);
    g_assert_null(resolution->policy);
    g_assert_cmpuint(resolution->on_failure, ==, SEVMIG_ON_FAILURE_REFUSE);
}

static void
test_inlined(Fixture *self, gconstpointer data)
{
    const char *inside = POLICY("own", "<priority>7</priority>");
    g_autofree char *bare = g_strdup_printf(DOMAIN(META("%s")), inside);
    g_autofree char *wrapped = g_strdup_printf(DOMAIN(META(WRAPPED("", "%s"))), inside);
    const char *expected = "* own inline: contained in the domain's metadata\n"
                           "default default: own comes first\n";
    g_autoptr(SevmigResolution) resolution = NULL;

    expect(self, bare, expected);
    expect(self, wrapped, expected);
    resolution = resolve(self, wrapped);
    g_assert_cmpuint(sevmig_policy_priority(resolution->policy), ==, 7);
    g_assert_cmpstr(sevmig_policy_file(resolution->policy), ==, "domain XML");
}

static void
test_inlined_bad(Fixture *self, gconstpointer data)
{
    expect(self, DOMAIN(META("\n" WRAPPED("", POLICY("own", "<control>x</control>")))),
           "own inline: the policy in the domain's metadata is not valid: domain XML:2:108: "
           "<control>: \"x\" is not known; expected one of steer, observe\n"
           "* default default: nothing else applies\n");
}

static void
test_ceiling(Fixture *self, gconstpointer data)
{
    g_autoptr(SevmigResolution) resolution = NULL;

    test_write(self->directory, "limits",
               "<ceiling " NS "><throttle><ceiling>80</ceiling></throttle><batch><hold>4</hold>"
               "</batch><priority>60</priority></ceiling>");
    /* tighter stays, not stated is taken over */
    resolution =
        resolve(self, DOMAIN(META(POLICY("own", "<throttle><ceiling>70</ceiling></throttle>"))));
    g_assert_cmpuint(sevmig_policy_params(resolution->policy)->throttle_ceiling_percent, ==, 70);
    g_assert_cmpuint(sevmig_policy_params(resolution->policy)->batch_hold_us, ==, 4000);
    g_assert_cmpuint(sevmig_policy_params(resolution->policy)->stun_us, ==, 100 * 1000);
    g_assert_cmpuint(sevmig_policy_priority(resolution->policy), ==, 50);
    g_clear_pointer(&resolution, sevmig_resolution_free);

    resolution = resolve(self, DOMAIN(META(POLICY("own", ""))));
    g_assert_cmpuint(sevmig_policy_params(resolution->policy)->throttle_ceiling_percent, ==, 80);
    g_clear_pointer(&resolution, sevmig_resolution_free);

    /* a default that the downtime goal has made tighter stays so */
    resolution =
        resolve(self, DOMAIN(META(POLICY("own", "<goals><downtime>2</downtime></goals>"))));
    g_assert_cmpuint(sevmig_policy_params(resolution->policy)->batch_hold_us, ==, 2000);
    g_clear_pointer(&resolution, sevmig_resolution_free);

    /* looser is refused */
    resolution =
        resolve(self, DOMAIN(META(POLICY("own", "<throttle><ceiling>81</ceiling></throttle>"))));
    g_assert_cmpuint(resolution->source, ==, SEVMIG_SOURCE_DEFAULT);
    g_assert_nonnull(strstr(resolution->problem,
                            "<ceiling>: 81 percent is looser than this host allows; expected at "
                            "most 80 percent ("));
    g_clear_pointer(&resolution, sevmig_resolution_free);

    resolution = resolve(self, DOMAIN(META(POLICY("own", "<throttle mode='qemu'/>"))));
    g_assert_nonnull(strstr(resolution->problem, "qemu is looser than this host allows"));
    g_clear_pointer(&resolution, sevmig_resolution_free);

    /* the host's own policies are not bound by it */
    add(self, "free", POLICY("free", "<throttle><ceiling>99</ceiling></throttle>"));
    resolution = resolve(self, DOMAIN(META(NAMED("free", ""))));
    g_assert_cmpuint(sevmig_policy_params(resolution->policy)->throttle_ceiling_percent, ==, 99);
}

static void
test_on_failure(Fixture *self, gconstpointer data)
{
    static const struct {
        const char *policy;
        const char *metadata;
        SevmigOnFailure expected;
    } rows[] = {
        {"lax", "", SEVMIG_ON_FAILURE_WARN},
        {"lax", "refuse", SEVMIG_ON_FAILURE_REFUSE},
        {"strict", "warn", SEVMIG_ON_FAILURE_REFUSE},
        {"strict", "", SEVMIG_ON_FAILURE_REFUSE},
    };

    add(self, "lax", POLICY("lax", "<incoming require='schema'/>"));
    add(self, "strict", POLICY("strict", "<incoming require='schema' on-failure='refuse'/>"));
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *attribute =
            *rows[i].metadata ? g_strdup_printf("on-failure='%s'", rows[i].metadata) : g_strdup("");
        g_autofree char *xml =
            g_strdup_printf(DOMAIN(META(NAMED("%s", "%s"))), rows[i].policy, attribute);
        g_autoptr(SevmigResolution) resolution = resolve(self, xml);

        g_assert_cmpuint(resolution->on_failure, ==, rows[i].expected);
    }
}

/* A strictness that cannot be read is taken for the stricter one. */
static void
test_on_failure_unreadable(Fixture *self, gconstpointer data)
{
    g_autoptr(SevmigResolution) resolution =
        resolve(self, DOMAIN(META(NAMED("default", "on-failure='refuze'"))));

    g_assert_null(resolution->policy);
    g_assert_nonnull(strstr(resolution->problem, "\"refuze\" is not known"));
}

static void
test_two_elements(Fixture *self, gconstpointer data)
{
    g_autoptr(SevmigResolution) resolution =
        resolve(self, DOMAIN(META(NAMED("default", "") POLICY("own", ""))));

    g_assert_cmpuint(resolution->source, ==, SEVMIG_SOURCE_DEFAULT);
    g_assert_nonnull(strstr(resolution->problem, "more than one policy"));
}

static void
test_conditions(Fixture *self, gconstpointer data)
{
    static const char *const spec =
        "<match><nova><extra-spec name='%s' value='%s'/></nova></match>";
    g_autofree char *yes = g_strdup_printf(spec, "hw:mem_encryption", "True");
    g_autofree char *no = g_strdup_printf(spec, "hw:mem_encryption", "False");
    g_autofree char *none = g_strdup_printf(spec, "hw:other", "*");
    const struct {
        const char *match;
        const char *reason;
    } rows[] = {
        {"<match><domain name='web-*'/><domain name='db-?'/></match>", NULL},
        {"<match><domain name='web-*'/><domain name='db-?x'/></match>",
         "domain: the name \"db-1\" does not match web-*, db-?x"},
        {"<match><launch-security type='sev'/></match>", NULL},
        {"<match><memory min='8' unit='GiB'/></match>", NULL},
        {"<match><memory min='8388609'/></match>",
         "memory: the domain has 8 GiB, less than 8388609 KiB"},
        {"<match><memory max='8' unit='GiB'/></match>", NULL},
        {"<match><memory max='4' unit='GiB'/></match>",
         "memory: the domain has 8 GiB, more than 4 GiB"},
        {"<match><nova flavor='m1.*'/></match>", NULL},
        {"<match><nova flavor='m2.*'/></match>",
         "nova: the flavor \"m1.secure\" does not match m2.*"},
        {"<match><nova project='5f0c'/></match>", NULL},
        {"<match><nova project='5f0d'/></match>", "nova: the project \"5f0c\" does not match 5f0d"},
        {yes, NULL},
        {no, "nova: the extra spec hw:mem_encryption \"True\" does not match False"},
        {none, "nova: the domain's metadata names no extra spec hw:other"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text =
            g_strdup_printf("<policy " NS " name='p'>%s</policy>", rows[i].match);
        g_autofree char *expected =
            rows[i].reason
                ? g_strdup_printf("p match: %s\n* default default: nothing else applies\n",
                                  rows[i].reason)
                : g_strdup("* p match: matches with priority 50 and 1 condition\n"
                           "default default: p comes first\n");

        add(self, "p", text);
        expect(self, DOMAIN(META(NOVA)), expected);
    }
}

static void
test_no_security(Fixture *self, gconstpointer data)
{
    g_autoptr(SevmigResolution) resolution = NULL;

    add(self, "p", POLICY("p", "<match><launch-security type='sev'/></match>"));
    add(self, "n", POLICY("n", "<match><nova flavor='*'/></match>"));
    expect(self, "<domain><name>plain</name></domain>",
           "n match: nova: the domain's metadata names no flavor\n"
           "p match: launch-security: the domain has none, not sev\n"
           "* default default: nothing else applies\n");
    resolution = resolve(self, "<domain><name>plain</name></domain>");
    g_assert_false(resolution->has_sev);
}

/* Priority, then the number of conditions, then the name. */
static void
test_ranking(Fixture *self, gconstpointer data)
{
    add(self, "a",
        POLICY("a", "<match priority='40'><domain name='*'/><memory min='1' unit='GiB'/>"
                    "</match>"));
    add(self, "c", POLICY("c", "<match><domain name='*'/></match>"));
    add(self, "b", POLICY("b", "<match><domain name='*'/></match>"));
    add(self, "z", POLICY("z", "<match><domain name='*'/><memory min='1' unit='GiB'/></match>"));
    add(self, "no", POLICY("no", "<match priority='900'><domain name='x'/></match>"));
    expect(self, DOMAIN(""),
           "no match: domain: the name \"db-1\" does not match x\n"
           "* z match: matches with priority 50 and 2 conditions\n"
           "b match: matches with priority 50 and 1 condition, but z has 2 conditions\n"
           "c match: matches with priority 50 and 1 condition, but z has 2 conditions\n"
           "a match: matches with priority 40 and 2 conditions, but z has priority 50\n"
           "default default: z comes first\n");
}

/* Equal in all else, the name decides. */
static void
test_name_decides(Fixture *self, gconstpointer data)
{
    add(self, "c", POLICY("c", "<match><domain name='*'/></match>"));
    add(self, "b", POLICY("b", "<match><domain name='*'/></match>"));
    expect(self, DOMAIN(""),
           "* b match: matches with priority 50 and 1 condition\n"
           "c match: matches with priority 50 and 1 condition, but b comes first by name\n"
           "default default: b comes first\n");
}

static void
test_bad_domains(Fixture *self, gconstpointer data)
{
    static const char *const domains[] = {"", "<domain>", "<network/>", "<!DOCTYPE d><domain/>"};

    for (gsize i = 0; i < G_N_ELEMENTS(domains); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(sevmig_policy_resolve(self->store, domains[i], -1, &error));
        g_assert_error(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID);
        g_assert_true(g_str_has_prefix(error->message, "domain XML:"));
    }
}

/* Whoever may ask for an explanation may send the largest domain: it is read in time that grows
 * with its size, or everything else that the daemon does would wait. */
static void
test_largest_domain(Fixture *self, gconstpointer data)
{
    g_autoptr(GString) xml = g_string_new("<domain>");
    g_autoptr(SevmigResolution) resolution = NULL;
    clock_t before = clock();

    for (guint i = 0; i < 65000; i++)
        g_string_append(xml, "<a b='c'/>");
    g_string_append(xml, "</domain>");
    resolution = resolve(self, xml->str);
    g_assert_cmpuint(resolution->source, ==, SEVMIG_SOURCE_DEFAULT);
    g_assert_cmpint((clock() - before) / CLOCKS_PER_SEC, <, 2); /* of the processor's */
}

/* The same for a policy within it, which is no larger than one that stands alone. */
static void
test_largest_inlined(Fixture *self, gconstpointer data)
{
    g_autoptr(GString) xml = g_string_new("<domain><metadata><policy " NS " name='p'><match>");
    g_autoptr(SevmigResolution) resolution = NULL;
    clock_t before = clock();

    for (guint i = 0; i < 60000; i++)
        g_string_append(xml, "<domain/>");
    g_string_append(xml, "</match></policy></metadata></domain>");
    resolution = resolve(self, xml->str);
    g_assert_nonnull(strstr(resolution->problem, "<policy>: more than 4096 elements"));
    g_assert_cmpint((clock() - before) / CLOCKS_PER_SEC, <, 2);
}

/* Documents of the metadata element, embedded in a domain and under sevmig-domain.rng. */
static char *
metadata_problem(Fixture *self, const char *path)
{
    g_autofree char *text = test_read(path, NULL);
    g_autofree char *xml = g_strdup_printf("<domain><metadata>\n%s</metadata></domain>", text);
    g_autoptr(SevmigResolution) resolution = resolve(self, xml);

    g_assert_true(resolution->has_metadata);
    return g_strdup(resolution->problem);
}

static void
test_metadata_valid(Fixture *self, gconstpointer data)
{
    g_autoptr(GPtrArray) documents = test_documents("tests/policy/metadata/valid");

    add(self, "gentle", POLICY("gentle", ""));
    for (guint i = 0; i < documents->len; i++) {
        const char *path = g_ptr_array_index(documents, i);
        gsize size;
        g_autofree char *text = test_read(path, &size);
        g_autofree char *refusal = test_schema_refusal("sevmig-domain.rng", text, size);
        g_autofree char *problem = metadata_problem(self, path);

        g_test_message("%s", path);
        g_assert_cmpstr(refusal, ==, NULL);
        g_assert_cmpstr(problem, ==, NULL);
    }
}

static void
test_metadata_invalid(Fixture *self, gconstpointer data)
{
    g_autoptr(GPtrArray) documents = test_documents("tests/policy/metadata/invalid");

    for (guint i = 0; i < documents->len; i++) {
        const char *path = g_ptr_array_index(documents, i);
        gsize size;
        g_autofree char *text = test_read(path, &size);
        g_autofree char *refusal = test_schema_refusal("sevmig-domain.rng", text, size);
        g_autofree char *problem = metadata_problem(self, path);
        g_autofree char *line = g_strconcat(problem, "\n", NULL);

        g_assert_cmpstr(refusal, !=, NULL);
        g_assert_cmpstr(problem, !=, NULL);
        test_golden(path, line);
    }
}

static void
test_glob(void)
{
    static const struct {
        const char *pattern, *text;
        gboolean matches;
    } rows[] = {
        {"", "", TRUE},          {"", "a", FALSE},          {"*", "", TRUE},
        {"*", "abc", TRUE},      {"?", "", FALSE},          {"?", "a", TRUE},
        {"?", "\xc3\xa4", TRUE}, {"??", "\xc3\xa4", FALSE}, {"a*c", "abbc", TRUE},
        {"a*c", "abcb", FALSE},  {"*b*", "abc", TRUE},      {"a?c", "abc", TRUE},
        {"[ab]", "a", FALSE},    {"[ab]", "[ab]", TRUE},    {"a**b", "ab", TRUE},
        {"*ab", "aab", TRUE},    {"*aab*", "aaab", TRUE},   {"a", "A", FALSE},
    };
    g_autofree char *stars = g_strnfill(255, '*');
    g_autofree char *text = g_strnfill(4096, 'a');

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s %s", rows[i].pattern, rows[i].text);
        g_assert_cmpint(sevmig_glob_match(rows[i].pattern, rows[i].text), ==, rows[i].matches);
    }
    /* what takes a naive matcher beyond the age of the universe */
    for (gsize i = 1; i < 254; i += 2)
        stars[i] = 'a';
    stars[254] = 'b';
    g_assert_false(sevmig_glob_match(stars, text));
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Fixture *, gconstpointer);
    } tests[] = {
        {"/policy/resolve/default", test_default},
        {"/policy/resolve/ampersand", test_ampersand},
        {"/policy/resolve/named", test_named},
        {"/policy/resolve/unknown-warn", test_unknown_warn},
        {"/policy/resolve/unknown-refuse", test_unknown_refuse},
        {"/policy/resolve/inlined", test_inlined},
        {"/policy/resolve/inlined-bad", test_inlined_bad},
        {"/policy/resolve/ceiling", test_ceiling},
        {"/policy/resolve/on-failure", test_on_failure},
        {"/policy/resolve/on-failure-unreadable", test_on_failure_unreadable},
        {"/policy/resolve/two-elements", test_two_elements},
        {"/policy/resolve/conditions", test_conditions},
        {"/policy/resolve/no-security", test_no_security},
        {"/policy/resolve/ranking", test_ranking},
        {"/policy/resolve/name-decides", test_name_decides},
        {"/policy/resolve/bad-domains", test_bad_domains},
        {"/policy/resolve/largest-domain", test_largest_domain},
        {"/policy/resolve/largest-inlined", test_largest_inlined},
        {"/policy/resolve/metadata-valid", test_metadata_valid},
        {"/policy/resolve/metadata-invalid", test_metadata_invalid},
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
    g_test_add_func("/policy/resolve/glob", test_glob);
    return g_test_run();
}
