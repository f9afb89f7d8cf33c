/* SPDX-License-Identifier: MIT */
#include <linux/vm_sockets.h>
#include <stdbool.h>

#include "config-text.h"
#include "config/table.h"

/* One key of the port 1000 or of [agent], as it is printed. */
static void expect_printed(const char *section, const char *key, const char *value,
                           const char *printed)
{
        _cleanup_free_ char *text = text_format("[%s]\n%s = %s\n", section, key, value);
        _cleanup_free_ char *expected =
                text_format("\n%s =%s%s\n", key, *printed ? " " : "", printed);
        _cleanup_free_ char *all = NULL, *found = NULL;
        _cleanup_config_ Config *c = load(text);

        all = print(c);
        found = strstr(all, section) ? strdup(strstr(all, section)) : NULL;
        assert_non_null(found);
        if (!strstr(found, expected))
                fail_msg("expected \"%s\" in:\n%s", expected, found);
}

static void expect_bad_value(const char *section, const char *key, const char *value,
                             const char *words)
{
        _cleanup_free_ char *text = text_format("[%s]\n\n%s = %s\n", section, key, value);
        _cleanup_free_ char *begin = text_format("f:3: %s: ", key);

        expect_refusal(text, begin, words);
}

static void test_defaults(void **state)
{
        _cleanup_config_ Config *c =
                load("[port 1000]\n[listen admin]\naddress = unix:/run/guestwire/agent.sock\n");
        _cleanup_free_ char *printed = print(c);
        _cleanup_free_ char *expected =
                text_format("%s%s%s", defaults_of_agent, defaults_of_port, defaults_of_listen);
        const ListenSettings *l = c->listens[0];

        assert_string_equal(printed, expected);

        assert_int_equal(c->agent.log_level, 6);
        assert_int_equal(c->agent.max_connections, 1024);
        assert_int_equal(c->agent.max_message, 1048576);
        assert_int_equal(c->agent.max_values, 16384);
        assert_int_equal(c->agent.max_calls, 64);
        assert_int_equal(c->agent.message_timeout, 30000000);
        assert_int_equal(c->agent.shutdown_timeout, 5000000);

        assert_int_equal(c->n_listens, 2);
        assert_string_equal(l->section, "port 1000");
        assert_int_equal(l->address.kind, ADDRESS_VSOCK);
        assert_int_equal(l->address.cid, VMADDR_CID_ANY);
        assert_int_equal(l->address.port, 1000);
        assert_string_equal(l->description, "Guest agent");
        assert_int_equal(l->handler, HANDLER_RPC);
        assert_true(cid_set_has(&l->peers, VMADDR_CID_HOST));
        assert_false(cid_set_has(&l->peers, VMADDR_CID_LOCAL));
        assert_false(cid_set_has(&l->peers, 3));
        assert_int_equal(l->trust, TRUST_PRIVILEGED);
        assert_false(l->trust_unsafe);
        assert_int_equal(text_list_length(l->methods), 1);
        assert_string_equal(l->methods[0], "*");
        assert_non_null(l->block_methods);
        assert_int_equal(text_list_length(l->block_methods), 0);
        assert_int_equal(l->max_connections, 64);
        assert_int_equal(l->idle_timeout, 0);

        l = c->listens[1];
        assert_int_equal(l->address.kind, ADDRESS_UNIX);
        assert_string_equal(l->address.path, "/run/guestwire/agent.sock");
        assert_int_equal(l->file.mode, 0600);
        assert_int_equal(l->file.uid, (uid_t)-1);
        assert_int_equal(l->file.gid, (gid_t)-1);
}

static void test_empty_configuration(void **state)
{
        _cleanup_config_ Config *c = load("");
        _cleanup_free_ char *printed = print(c);

        assert_string_equal(printed, defaults_of_agent);
        assert_int_equal(c->n_listens, 0);
}

static void test_good_values(void **state)
{
        expect_printed("agent", "log-level", "error", "error");
        expect_printed("agent", "log-level", "warning", "warning");
        expect_printed("agent", "log-level", "notice", "notice");
        expect_printed("agent", "log-level", "debug", "debug");
        expect_printed("agent", "max-connections", "1", "1");
        expect_printed("agent", "max-connections", "1048576", "1048576");
        expect_printed("agent", "max-message", "1K", "1K");
        expect_printed("agent", "max-message", "1024", "1K");
        expect_printed("agent", "max-message", "256M", "256M");
        expect_printed("agent", "max-message", "1025", "1025");
        expect_printed("agent", "max-values", "1", "1");
        expect_printed("agent", "max-values", "16777216", "16777216");
        expect_printed("agent", "max-calls", "65536", "65536");
        expect_printed("agent", "message-timeout", "500ms", "500ms");
        expect_printed("agent", "message-timeout", "2min", "2min");
        expect_printed("agent", "message-timeout", "infinity", "infinity");
        expect_printed("agent", "shutdown-timeout", "0", "0");
        expect_printed("agent", "shutdown-timeout", "infinity", "infinity");
        expect_printed("port 1000", "description", "Two  spaces = kept", "Two  spaces = kept");
        expect_printed("port 1000", "description", "\" x\\x20\\x3b \"", "\" x \\x3b \"");
        expect_printed("port 1000", "peers", "2, 5-99", "host, 5-99");
        expect_printed("port 1000", "peers", "local", "local");
        expect_printed("port 1000", "peers", "any", "any");
        expect_printed("port 1000", "trust", "nobody", "nobody");
        expect_printed("port 1000", "trust", "peers", "peers");
        expect_printed("port 1000", "trust-unsafe", "on", "yes");
        expect_printed("port 1000", "methods", "agent.*,system.info", "agent.*, system.info");
        expect_printed("port 1000", "block-methods", "*.[a-c]?", "*.[a-c]?");
        expect_printed("port 1000", "max-connections", "1048576", "1048576");
        expect_printed("port 1000", "idle-timeout", "1h 30min", "1h 30min");
        /* Never, either way. */
        expect_printed("port 1000", "idle-timeout", "infinity", "0");
}

static void test_bad_values(void **state)
{
        expect_bad_value("agent", "log-level", "loud", "error, warning, notice, info or debug");
        expect_bad_value("agent", "max-connections", "0", "from 1 to 1048576");
        expect_bad_value("agent", "max-connections", "1048577", "from 1 to 1048576");
        expect_bad_value("agent", "max-connections", "-1", "is not a number");
        expect_bad_value("agent", "max-connections", "many", "is not a number");
        expect_bad_value("agent", "max-connections", "18446744073709551616", "out of range");
        expect_bad_value("agent", "max-message", "63", "from 64 to 256M");
        expect_bad_value("agent", "max-message", "1G", "from 64 to 256M");
        expect_bad_value("agent", "max-message", "1X", "is not a size");
        expect_bad_value("agent", "max-message", "infinity", "is not a size");
        expect_bad_value("agent", "max-values", "0", "from 1 to 16777216");
        expect_bad_value("agent", "max-calls", "65537", "from 1 to 65536");
        expect_bad_value("agent", "message-timeout", "0", "out of range");
        expect_bad_value("agent", "message-timeout", "999us", "from 1ms to ");
        expect_bad_value("agent", "shutdown-timeout", "soon", "is not a time");
        expect_bad_value("agent", "shutdown-timeout", "10y", "from 0 to 52w, or infinity");
        expect_bad_value("port 7", "handler", "rcp", "there is rpc");
        expect_bad_value("port 7", "peers", "host,,local", "empty");
        expect_bad_value("port 7", "peers", "4294967295", "nobody's CID");
        expect_bad_value("port 7", "trust", "everybody", "privileged, token, peers and nobody");
        expect_bad_value("port 7", "trust-unsafe", "maybe", "neither yes nor no");
        expect_bad_value("port 7", "methods", "a,,b", "empty entry");
        expect_bad_value("port 7", "methods", "a,", "empty entry");
        expect_bad_value("port 7", "methods", "a b", "commas between them");
        expect_bad_value("port 7", "block-methods", "a/b", "globs such as agent.*");
        expect_bad_value("port 7", "idle-timeout", "-1s", "is not a time");
}

static void test_file_values(void **state)
{
        _cleanup_config_ Config *c = load("[listen a]\naddress = unix:/run/a.sock\nmode = 0660\n"
                                          "owner = root\ngroup = root\n"
                                          "[listen b]\naddress = unix:/run/b.sock\nmode = 777\n"
                                          "owner = 4294967294\ngroup = 12\n");

        assert_int_equal(c->listens[0]->file.mode, 0660);
        assert_int_equal(c->listens[0]->file.uid, 0);
        assert_int_equal(c->listens[0]->file.gid, 0);
        assert_int_equal(c->listens[1]->file.mode, 0777);
        assert_int_equal(c->listens[1]->file.uid, 4294967294U);
        assert_int_equal(c->listens[1]->file.gid, 12);
}

static void test_bad_file_values(void **state)
{
        static const char *const bad[][2] = {
                { "mode = 0888", "is no file mode" },
                { "mode = 1777", "is no file mode" },
                { "mode = rw", "is no file mode" },
                { "owner = no-such-user-here", "is no user in /etc/passwd" },
                { "owner = 4294967295", "is no user's number" },
                { "group = no-such-group-here", "is no group in /etc/group" },
                { "group = 99999999999", "is no group's number" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *text =
                        text_format("[listen a]\naddress = unix:/a\n%s\n", bad[i][0]);

                expect_refusal(text, "f:3: ", bad[i][1]);
        }
}

static void test_addresses(void **state)
{
        _cleanup_config_ Config *c =
                load("[listen a]\naddress = unix:/a\n[listen b]\naddress = tcp:127.0.0.1:1000\n"
                     "[listen c]\naddress = tcp:[::1]:1000\n[listen d]\naddress = vsock:0x3e8\n");

        assert_int_equal(c->n_listens, 4);
        assert_int_equal(c->listens[0]->address.kind, ADDRESS_UNIX);
        assert_int_equal(c->listens[1]->address.kind, ADDRESS_TCP);
        assert_string_equal(c->listens[2]->address.host, "::1");
        assert_int_equal(c->listens[3]->address.kind, ADDRESS_VSOCK);
        assert_int_equal(c->listens[3]->address.port, 1000);

        expect_refusal("[listen a]\naddress = udp:1\n", "f:2: address: ", "unix:");
        expect_refusal("[listen a]\naddress = vsock:4294967295\n", "f:2: address: ", "4294967295");
        expect_refusal("[listen a]\naddress = unix:a\n", "f:2: address: ", "absolute");
}

static void test_long_value_by_continuation(void **state)
{
        char text[4096] = "[port 1000]\nmethods = a.first";
        _cleanup_free_ char *printed = NULL, *again = NULL;
        _cleanup_config_ Config *c = NULL, *d = NULL;

        for (unsigned i = 0; i < 50; i++)
                (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                               ",\n    group%u.method-of-some-length", i);
        c = load(text);
        assert_int_equal(text_list_length(c->listens[0]->methods), 51);
        assert_string_equal(c->listens[0]->methods[50], "group49.method-of-some-length");

        printed = print(c);
        d = load(printed);
        again = print(d);
        assert_string_equal(again, printed);
        assert_int_equal(text_list_length(d->listens[0]->methods), 51);
}

static void test_too_long_values(void **state)
{
        _cleanup_free_ char *text = NULL;
        size_t n = 0;
        FILE *f;

        f = open_memstream(&text, &n);
        assert_non_null(f);
        fputs("[port 1000]\ndescription =", f);
        for (unsigned i = 0; i < 16385; i++)
                fputs(i % 100 ? "x" : "\n x", f);
        assert_int_equal(fclose(f), 0);
        expect_refusal(text, "f:2: ", "use at most 16384 bytes");
}

static void test_references(void **state)
{
        Config *c = load("[port 1000]\n[listen a]\naddress = unix:/a\n");

        assert_ptr_equal(config_ref(c), c);
        assert_null(config_unref(c));
        assert_int_equal(c->n_listens, 2);
        assert_null(config_unref(c));
        assert_null(config_unref(NULL));
}

static void test_names(void **state)
{
        assert_string_equal(handler_kind_to_text(HANDLER_RPC), "rpc");
}

/* A section that takes the row, complete but for the row's key. */
static char *section_of(const ConfigOption *o)
{
        if (o->sections == CONFIG_SECTION_AGENT)
                return strdup("[agent]\n");
        if (o->sections == CONFIG_SECTION_METHOD)
                return strdup(o->handlers & (1U << CONFIG_METHOD_PROGRAM)
                                      ? "[method a.b]\ncommand = /bin/true\n"
                                      : "[method a.*]\nto = unix:/a\n");
        for (unsigned i = 0; i < HANDLER_KIND_MAX; i++)
                if (o->handlers & (1U << i))
                        return text_format("[listen a]\naddress = unix:/a\nhandler = %s\n%s",
                                           handler_kind_to_text((HandlerKind)i),
                                           i == HANDLER_FORWARD ? "to = unix:/b\n"
                                           : i == HANDLER_EXEC  ? "command = /bin/true\n"
                                                                : "");
        return NULL;
}

static void test_empty_value_is_the_default(void **state)
{
        for (const ConfigOption *o = config_options; o->key; o++) {
                _cleanup_free_ char *with = NULL, *without = section_of(o), *a = NULL, *b = NULL;
                _cleanup_free_ char *line = text_format("\n%s =", o->key);
                _cleanup_config_ Config *c = NULL, *d = NULL;

                /* Those that must be given. */
                if (strstr(without, line) || strcmp(o->key, "handler") == 0)
                        continue;
                with = text_format("%s%s =\n", without, o->key);
                c = load(without);
                d = load(with);
                a = print(c);
                b = print(d);
                assert_string_equal(a, b);
                assert_non_null(strstr(a, line));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_empty_configuration),
                cmocka_unit_test(test_good_values),
                cmocka_unit_test(test_bad_values),
                cmocka_unit_test(test_file_values),
                cmocka_unit_test(test_bad_file_values),
                cmocka_unit_test(test_addresses),
                cmocka_unit_test(test_long_value_by_continuation),
                cmocka_unit_test(test_too_long_values),
                cmocka_unit_test(test_references),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_empty_value_is_the_default),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
