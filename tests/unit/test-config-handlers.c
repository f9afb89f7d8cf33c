/* SPDX-License-Identifier: MIT */

/* The handlers echo, forward and exec in sections, and which keys are whose. */
#include <linux/vm_sockets.h>

#include "config-text.h"
#include "config/table.h"

static Config *load_same(const char *text, char **ret_printed)
{
        _cleanup_free_ char *printed = NULL, *again = NULL;
        _cleanup_config_ Config *d = NULL;
        Config *c = load(text);

        printed = print(c);
        d = load(printed);
        again = print(d);
        assert_string_equal(printed, again);
        if (ret_printed)
                *ret_printed = TAKE_PTR(printed);
        return c;
}

static void test_echo(void **state)
{
        _cleanup_free_ char *printed = NULL, *defaults = NULL;
        _cleanup_config_ Config *c = load_same("[port 4321]\nhandler = echo\nprefix = \"Hello: \"\n"
                                               "once = yes\nidle-timeout = 1min\n",
                                               &printed);
        _cleanup_config_ Config *d = load_same("[port 7]\nhandler = echo\n", &defaults);

        assert_int_equal(c->listens[0]->handler, HANDLER_ECHO);
        assert_string_equal(c->listens[0]->prefix, "Hello: ");
        assert_true(c->listens[0]->once);
        assert_int_equal(c->listens[0]->idle_timeout, 60000000);
        assert_non_null(strstr(printed, "\nprefix = \"Hello: \"\nonce = yes\n"));

        assert_string_equal(d->listens[0]->prefix, "");
        assert_false(d->listens[0]->once);
        assert_non_null(strstr(defaults, "\n[port 7]\ndescription = Guest echo\nhandler = echo\n"
                                         "peers = host\ntrust = peers\nmax-connections = 64\n"
                                         "idle-timeout = 0\nprefix =\nonce = no\n"));
}

static void test_forward(void **state)
{
        _cleanup_free_ char *printed = NULL;
        _cleanup_config_ Config *c =
                load_same("[port 22]\nhandler = forward\nto = tcp:localhost:22\n", &printed);

        assert_int_equal(c->listens[0]->handler, HANDLER_FORWARD);
        assert_int_equal(c->listens[0]->to.kind, ADDRESS_TCP);
        assert_string_equal(c->listens[0]->to.host, "localhost");
        assert_int_equal(c->listens[0]->to.port, 22);
        assert_int_equal(c->listens[0]->connect_timeout, 10000000);
        assert_non_null(strstr(printed, "\n[port 22]\ndescription = Guest forward\n"
                                        "handler = forward\npeers = host\ntrust = peers\n"
                                        "max-connections = 64\nidle-timeout = 0\n"
                                        "to = tcp:localhost:22\nconnect-timeout = 10s\n"));
}

static void test_forward_addresses(void **state)
{
        static const char *const good[][2] = {
                { "tcp:192.0.2.1:80", "tcp:192.0.2.1:80" },
                { "tcp:[::1]:80", "tcp:[::1]:80" },
                { "tcp:some-host.example:65535", "tcp:some-host.example:65535" },
                { "unix:/run/docker.sock", "unix:/run/docker.sock" },
                { "unix:/run/a b", "unix:/run/a b" },
                { "vsock:host:8080", "vsock:2:8080" },
                { "vsock:local:0x10", "vsock:1:16" },
                { "vsock:21:1000", "vsock:21:1000" },
                { "mux:/run/vm.sock:1000", "mux:/run/vm.sock:1000" },
                { "mux:/run/a:b:1000", "mux:/run/a:b:1000" },
        };
        static const char *const bad[][2] = {
                { "localhost:22", "is nowhere to go" },
                { "22", "is nowhere to go" },
                { "21", "is nowhere to go" },
                { "/run/x.sock", "is nowhere to go" },
                { "udp:a:1", "is nowhere to go" },
                { "tcp:localhost", "has no port" },
                { "tcp:[::1]", "has no port" },
                { "tcp:a:0", "is not a TCP port" },
                { "tcp:a:65536", "is not a TCP port" },
                { "tcp::22", "host is missing" },
                { "tcp:a b:22", "is not a host" },
                { "unix:run/x.sock", "not absolute" },
                { "unix:/run/", "names a folder" },
                { "unix:", "is missing" },
                { "vsock:2", "has no port" },
                { "vsock:host", "has no port" },
                { "vsock:host:4294967295", "VMADDR_PORT_ANY" },
                { "vsock:4294967295:1", "is the CID that listeners bind" },
                { "mux:/run/vm.sock", "has no port" },
                { "mux:vm.sock:1000", "not absolute" },
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_free_ char *text =
                        text_format("[port 7]\nhandler = forward\nto = %s\n", good[i][0]);
                _cleanup_free_ char *line = text_format("\nto = %s\n", good[i][1]);
                _cleanup_free_ char *printed = NULL;

                config_unref(load_same(text, &printed));
                if (!strstr(printed, line))
                        fail_msg("expected %s in:\n%s", line, printed);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *text =
                        text_format("[port 7]\nhandler = forward\nto = %s\n", bad[i][0]);

                expect_refusal(text, "f:3: to: ", bad[i][1]);
        }
        expect_refusal("[port 7]\nhandler = forward\nto = tcp:a:1\nconnect-timeout = 0\n",
                       "f:4: connect-timeout: ", "from 1ms to");
}

static void test_what_must_be_given(void **state)
{
        expect_refusal("[port 7]\nhandler = forward\n", "f:2: [port 7] forwards to nowhere",
                       "add to = tcp:HOST:PORT");
        expect_refusal("[port 7]\nhandler = forward\nto =\n", "f:2: [port 7] forwards to nowhere",
                       "add to =");
        expect_refusal("[port 7]\nhandler = exec\n", "f:2: [port 7] has no program", "add command");
        expect_refusal("[port 7]\nhandler = exec\ncommand =\n", "f:2: [port 7] has no program",
                       "add command");
}

static void test_forward_to_itself(void **state)
{
        expect_refusal("[listen a]\naddress = unix:/a\nhandler = forward\nto = unix:/a\n",
                       "f:4: [listen a] would forward to itself", "change to");
        expect_refusal("[listen a]\naddress = tcp:127.0.0.1:7\nhandler = forward\n"
                       "to = tcp:127.0.0.1:7\n",
                       "f:4: ", "would forward to itself");
        expect_refusal("[port 7]\nhandler = forward\nto = vsock:local:7\n",
                       "f:3: ", "would forward to itself");
        config_unref(load("[port 7]\nhandler = forward\nto = vsock:local:8\n"));
        config_unref(load("[port 7]\nhandler = forward\nto = vsock:host:7\n"));
}

static void test_keys_of_other_handlers(void **state)
{
        static const char *const bad[][3] = {
                { "rpc", "prefix = x", "echo" },
                { "rpc", "once = yes", "echo" },
                { "rpc", "to = tcp:a:1", "forward" },
                { "rpc", "connect-timeout = 1s", "forward" },
                { "rpc", "command = /x", "exec" },
                { "rpc", "user = root", "exec" },
                { "rpc", "directory = /", "exec" },
                { "rpc", "environment = A=b", "exec" },
                { "rpc", "timeout = 1s", "exec" },
                { "rpc", "kill-timeout = 1s", "exec" },
                { "rpc", "max-instances = 1", "exec" },
                { "echo", "to = tcp:a:1", "forward" },
                { "echo", "command = /x", "exec" },
                { "echo", "methods = *", "rpc" },
                { "echo", "block-methods = *", "rpc" },
                { "echo", "trust-unsafe = yes", "rpc or exec" },
                { "forward\nto = tcp:a:1", "prefix = x", "echo" },
                { "forward\nto = tcp:a:1", "methods = *", "rpc" },
                { "forward\nto = tcp:a:1", "trust-unsafe = yes", "rpc or exec" },
                { "exec\ncommand = /x", "once = yes", "echo" },
                { "exec\ncommand = /x", "to = tcp:a:1", "forward" },
                { "exec\ncommand = /x", "methods = *", "rpc" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *name = strndup(bad[i][0], strcspn(bad[i][0], "\n"));
                _cleanup_free_ char *key = strndup(bad[i][1], strcspn(bad[i][1], " "));
                _cleanup_free_ char *text =
                        text_format("[port 7]\n%s\nhandler = %s\n", bad[i][1], bad[i][0]);
                _cleanup_free_ char *begin =
                        text_format("f:2: the handler %s takes no %s (", name, key);
                _cleanup_free_ char *words =
                        text_format("): remove it, or choose the handler that does: %s\n",
                                    bad[i][2]);

                expect_refusal(text, begin, words);
        }
}

/* Of a handler that is none, nobody can say what it takes. */
static void test_keys_of_a_bad_handler(void **state)
{
        expect_refusal("[port 7]\nhandler = exce\ncommand = /x\n",
                       "f:2: handler: ", "there is rpc, echo, forward, exec");
}

static void test_bind_addresses(void **state)
{
        static const char *const everywhere[] = { "tcp:0.0.0.0:7", "tcp:192.0.2.1:7",
                                                  "tcp:[::]:7" };

        for (size_t i = 0; i < ELEMENTSOF(everywhere); i++) {
                _cleanup_free_ char *echo =
                        text_format("[listen a]\naddress = %s\nhandler = echo\n", everywhere[i]);
                _cleanup_free_ char *forward =
                        text_format("[listen a]\naddress = %s\nhandler = forward\nto = tcp:a:1\n",
                                    everywhere[i]);
                _cleanup_free_ char *exec =
                        text_format("[listen a]\naddress = %s\nhandler = exec\ncommand = /x\n",
                                    everywhere[i]);

                config_unref(load(echo));
                config_unref(load(forward));
                expect_refusal(exec, "f:2: the handler exec on TCP ", "must bind loopback");
        }
}

static void test_trust(void **state)
{
        static const char *const wide[] = { "[port 1]\npeers = any\n",
                                            "[listen a]\naddress = tcp:127.0.0.1:7\n" };
        _cleanup_config_ Config *c =
                load_same("[port 7]\nhandler = forward\nto = tcp:a:1\ntrust = privileged\n"
                          "[port 8]\nhandler = echo\ntrust = nobody\n"
                          "[port 9]\nhandler = exec\ncommand = /x\ntrust = peers\n"
                          "[port 10]\nhandler = echo\ntrust =\n"
                          "[port 11]\nhandler = exec\ncommand = /x\ntrust =\n",
                          NULL);

        assert_int_equal(c->listens[0]->trust, TRUST_PRIVILEGED);
        assert_int_equal(c->listens[1]->trust, TRUST_NOBODY);
        assert_int_equal(c->listens[2]->trust, TRUST_PEERS);
        assert_int_equal(c->listens[3]->trust, TRUST_PEERS);
        assert_int_equal(c->listens[4]->trust, TRUST_PRIVILEGED);

        for (size_t i = 0; i < ELEMENTSOF(wide); i++) {
                _cleanup_free_ char *echo =
                        text_format("%shandler = echo\ntrust = peers\n", wide[i]);
                _cleanup_free_ char *exec =
                        text_format("%shandler = exec\ncommand = /x\ntrust = peers\n", wide[i]);
                _cleanup_free_ char *meant = text_format("%strust-unsafe = yes\n", exec);

                config_unref(load(echo));
                expect_refusal(exec, "f:5: trust = peers ", "run the program");
                config_unref(load(meant));
        }
}

/* Several words say who is trusted, in any order; they are printed in one. */
static void test_trust_is_a_list(void **state)
{
        static const struct {
                const char *written;
                unsigned trust;
                const char *printed;
        } lists[] = {
                { "token", TRUST_TOKEN, "token" },
                { "privileged, token", TRUST_PRIVILEGED | TRUST_TOKEN, "privileged, token" },
                { "token,privileged", TRUST_PRIVILEGED | TRUST_TOKEN, "privileged, token" },
                { "token , token", TRUST_TOKEN, "token" },
                { "token, peers", TRUST_PEERS | TRUST_TOKEN, "peers, token" },
                { "token, peers, privileged", TRUST_PRIVILEGED | TRUST_PEERS | TRUST_TOKEN,
                  "privileged, peers, token" },
                { "nobody", TRUST_NOBODY, "nobody" },
        };

        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
                _cleanup_free_ char *text = text_format("[port 7]\ntrust = %s\n", lists[i].written);
                _cleanup_free_ char *line = text_format("\ntrust = %s\n", lists[i].printed);
                _cleanup_config_ Config *c = load_same(text, NULL);
                _cleanup_free_ char *printed = print(c);

                assert_int_equal(c->listens[0]->trust, lists[i].trust);
                assert_non_null(strstr(printed, line));
        }
        expect_refusal("[port 7]\ntrust = nobody, token\n", "f:2: trust: 'nobody' stands alone",
                       "");
        expect_refusal("[port 7]\ntrust = token, nobody\n", "f:2: trust: 'nobody' stands alone",
                       "");
        expect_refusal("[port 7]\ntrust = token,\n", "f:2: trust: ", "empty entry");
        expect_refusal("[port 7]\ntrust = ,token\n", "f:2: trust: ", "empty entry");
        expect_refusal("[port 7]\ntrust = privileged token\n",
                       "f:2: trust: ", "'privileged token' is none of");
        expect_refusal("[port 7]\ntrust = Token\n", "f:2: trust: ", "is none of");
        /* What lets everybody in is as unsafe beside others. */
        expect_refusal("[port 7]\npeers = any\ntrust = token, peers\n", "f:3: trust = peers ",
                       "more than the host");
        config_unref(load("[port 7]\npeers = any\ntrust = privileged, token\n"));
        config_unref(load("[listen a]\naddress = tcp:127.0.0.1:7\ntrust = token\n"));
        /* Where there are no calls there is nothing to prove it by. */
        expect_refusal("[port 7]\nhandler = echo\ntrust = token\n", "f:3: ", "handler = echo");
        expect_refusal("[port 7]\nhandler = exec\ncommand = /x\ntrust = privileged, token\n",
                       "f:4: ", "handler = exec");
        expect_refusal("[port 7]\nhandler = forward\nto = tcp:a:1\ntrust = peers, token\n",
                       "f:4: ", "handler = forward");
}

/* A later file may give a port another handler: keys, presets and all. */
static void test_handler_decides_at_the_end(void **state)
{
        _cleanup_config_ Config *c = load("[port 7]\nto = tcp:a:1\nidle-timeout = 5s\n"
                                          "handler = forward\n[listen b]\nhandler = exec\n"
                                          "command = /x\naddress = unix:/b\n");

        assert_int_equal(c->listens[0]->handler, HANDLER_FORWARD);
        assert_int_equal(c->listens[0]->trust, TRUST_PEERS);
        assert_int_equal(c->listens[0]->idle_timeout, 5000000);
        assert_int_equal(c->listens[1]->trust, TRUST_PRIVILEGED);
}

static void test_names_of_handlers(void **state)
{
        static const char *const names[] = { "rpc", "echo", "forward", "exec" };

        assert_int_equal(ELEMENTSOF(names), HANDLER_KIND_MAX);
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                assert_string_equal(handler_kind_to_text((HandlerKind)i), names[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_echo),
                cmocka_unit_test(test_forward),
                cmocka_unit_test(test_forward_addresses),
                cmocka_unit_test(test_what_must_be_given),
                cmocka_unit_test(test_forward_to_itself),
                cmocka_unit_test(test_keys_of_other_handlers),
                cmocka_unit_test(test_keys_of_a_bad_handler),
                cmocka_unit_test(test_bind_addresses),
                cmocka_unit_test(test_trust),
                cmocka_unit_test(test_trust_is_a_list),
                cmocka_unit_test(test_handler_decides_at_the_end),
                cmocka_unit_test(test_names_of_handlers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
