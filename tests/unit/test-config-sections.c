/* SPDX-License-Identifier: MIT */
#include "config-text.h"

static void test_port_in_three_forms(void **state)
{
        static const char *const forms[] = { "[port 1000]",
                                             "[port 0x3e8]",
                                             "[port 0x3E8]",
                                             "[port  1000 ]",
                                             "[port 000003e8-facb-11e6-bd58-64006a7986d3]",
                                             "[port 000003E8-FACB-11E6-BD58-64006A7986D3]" };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                _cleanup_config_ Config *c = load(forms[i]);
                _cleanup_free_ char *text = NULL;

                assert_int_equal(c->listens[0]->address.port, 1000);
                assert_string_equal(c->listens[0]->section, "port 1000");
                text = text_format("[port 1000]\ntrust = nobody\n\n%s\npeers = host\n", forms[i]);
                expect_refusal(text, "f:4: ", "at line 1");
        }
}

static void test_bad_ports(void **state)
{
        static const char *const bad[] = {
                "4294967295",
                "0xffffffff",
                "4294967296",
                "-1",
                "x",
                "1000x",
                "10 00",
                "ffffffff-facb-11e6-bd58-64006a7986d3",
                "000003e8-facb-11e6-bd58-64006a7986d4",
                "00000000-0000-0000-0000-000000000000",
                "000003e8-facb-11e6-bd58",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *text = text_format("# c\n[port %s]\nhandler = rpc\n", bad[i]);

                expect_refusal(text, "f:2: [port N]: ", "port");
        }
        expect_refusal("[port]\n", "f:1: ", "needs a number");
}

/* What stands under a bad header is still looked at. */
static void test_keys_of_a_bad_header(void **state)
{
        _cleanup_free_ char *errors =
                refuse("[port 4294967295]\ntrsut = peers\npeers = foo\n[listen a b]\nmode = 9\n");
        const char *p = errors;

        for (unsigned line = 1; line <= 5; line++) {
                char begin[16];

                (void)snprintf(begin, sizeof(begin), "f:%u: ", line);
                assert_memory_equal(p, begin, strlen(begin));
                p = strchr(p, '\n') + 1;
        }
        assert_int_equal(*p, '\0');
}

static void test_unknown_sections(void **state)
{
        expect_refusal("[agnet]\nx = y\n", "f:1: unknown section [agnet]: ", "mean [agent]?");
        expect_refusal("[Port 1000]\n", "f:1: unknown section [Port 1000]: ", "mean [port N]?");
        expect_refusal("[listne x]\n", "f:1: ", "mean [listen NAME]?");
        expect_refusal("[database]\nx = y\n",
                       "f:1: ", "there are [agent], [port N], [listen NAME] and [method NAME]");
        expect_refusal("[agent x]\n", "f:1: ", "write [agent]");
        expect_refusal("[listen]\n", "f:1: ", "needs a name");
        expect_refusal("[listen a/b]\n", "f:1: ", "is no name");
        expect_refusal("[listen a b]\n", "f:1: ", "is no name");
}

static void test_unknown_keys(void **state)
{
        expect_refusal("[agent]\nmax_message = 1M\n",
                       "f:2: unknown key 'max_message' in [agent]: ", "did you mean max-message (");
        expect_refusal("[agent]\nLog-Level = info\n", "f:2: ", "did you mean log-level (");
        expect_refusal("[port 1]\npeer = host\n",
                       "f:2: unknown key 'peer' in [port N]: ", "did you mean peers (");
        expect_refusal("[port 1]\nlog_level = info\n", "f:2: ", "log-level of [agent]");
        expect_refusal("[port 1]\ncolour = red\n",
                       "f:2: unknown key 'colour' in [port N]: ", "guestwire.conf(5)");
        expect_refusal("[port 1]\nmax-calls = 3\n", "f:2: ", "put it under [agent]");
        expect_refusal("[port 1]\nmode = 0600\n", "f:2: ", "put it under [listen NAME]");
        expect_refusal("[port 1]\naddress = unix:/x\n", "f:2: ", "[listen NAME]");
        expect_refusal("[agent]\npeers = any\n", "f:2: ", "[port N] and [listen NAME]");
        /* "Absent" is no value of a key that does not exist. */
        expect_refusal("[port 1]\ncolour =\n", "f:2: ", "unknown key");
}

static void test_repeats_in_one_file(void **state)
{
        expect_refusal("[agent]\n\n[port 1]\n[agent]\n", "f:4: [agent] is in this file already",
                       "at line 1");
        expect_refusal("[listen a]\naddress = unix:/a\n[listen a]\n", "f:3: ", "at line 1");
        expect_refusal("[port 1]\ntrust = nobody\ntrust = nobody\n",
                       "f:3: trust is in this section already", "at line 2");
        expect_refusal("[port 1]\ntrust =\ntrust = nobody\n", "f:3: ", "at line 2");
        expect_refusal("[port 16]\n[port 0x10]\n", "f:2: [port 0x10] is [port 16], ", "at line 1");
}

/* The keys under a repeated header count as the first one's, so all is told at once. */
static void test_repeated_section_and_its_keys(void **state)
{
        _cleanup_free_ char *errors =
                refuse("[port 1]\ntrust = nobody\n[port 1]\ntrust = x\npeers = x\n");

        assert_non_null(strstr(errors, "f:3: [port 1] is in this file already"));
        assert_non_null(strstr(errors, "\nf:4: trust is in this section already, at line 2"));
        assert_non_null(strstr(errors, "\nf:5: peers: "));
}

static void test_collisions_of_addresses(void **state)
{
        expect_refusal("[port 1000]\n[listen x]\naddress = vsock:1000\n",
                       "f:3: [listen x] and [port 1000] (f:1)", "same address");
        expect_refusal("[listen x]\naddress = vsock:0x3e8\n[port 1000]\n",
                       "f:3: [port 1000] and [listen x] (f:1)", "same address");
        expect_refusal("[listen x]\naddress = unix:/a\n[listen y]\naddress = unix:/a\n",
                       "f:4: [listen y] and [listen x] (f:1)", "same address");
        expect_refusal("[listen x]\naddress = tcp:[::1]:7\n[listen y]\n"
                       "address = tcp:[0:0:0:0:0:0:0:1]:7\n",
                       "f:4: ", "same address");
}

static void test_listen_without_address(void **state)
{
        expect_refusal("[agent]\n[listen a]\nmode = 0600\n",
                       "f:2: [listen a] has no address: ", "unix:/PATH");
        expect_refusal("[listen a]\naddress =\n", "f:1: ", "has no address");
}

static void test_file_keys_need_a_unix_address(void **state)
{
        static const char *const keys[] = { "mode = 0660", "owner = root", "group = root" };
        static const char *const addresses[] = { "vsock:7", "tcp:127.0.0.1:7" };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                for (size_t j = 0; j < ELEMENTSOF(addresses); j++) {
                        _cleanup_free_ char *text = text_format("[listen a]\n%s\naddress = %s\n",
                                                                keys[i], addresses[j]);

                        expect_refusal(text, "f:2: ", "for a unix: address only");
                }
        config_unref(load("[listen a]\naddress = vsock:7\nmode =\n"));
}

static void test_rpc_on_tcp_binds_loopback(void **state)
{
        config_unref(load("[listen a]\naddress = tcp:127.0.0.1:7\n"));
        config_unref(load("[listen a]\naddress = tcp:[::1]:7\n"));
        expect_refusal("[listen a]\naddress = tcp:0.0.0.0:7\n", "f:2: ", "must bind loopback");
        expect_refusal("[listen a]\nhandler = rpc\naddress = tcp:192.0.2.1:7\n",
                       "f:3: ", "must bind loopback");
        expect_refusal("[listen a]\naddress = tcp:[::]:7\n", "f:2: ", "must bind loopback");
}

static void test_trust_of_peers(void **state)
{
        static const char *const wide[] = { "local", "any", "3", "2, 5-99", "host, local", "1-2" };

        config_unref(load("[port 1]\ntrust = peers\n"));
        config_unref(load("[port 1]\ntrust = peers\npeers = 2\n"));
        config_unref(load("[listen a]\naddress = unix:/a\ntrust = peers\n"));
        for (size_t i = 0; i < ELEMENTSOF(wide); i++) {
                _cleanup_free_ char *refused =
                        text_format("[port 1]\npeers = %s\ntrust = peers\n", wide[i]);
                _cleanup_free_ char *meant = text_format("%strust-unsafe = yes\n", refused);
                _cleanup_free_ char *not_meant = text_format("%strust-unsafe = no\n", refused);
                _cleanup_free_ char *other =
                        text_format("[port 1]\npeers = %s\ntrust = privileged\n", wide[i]);

                expect_refusal(refused, "f:3: trust = peers ", "trust-unsafe = yes");
                expect_refusal(not_meant, "f:3: trust = peers ", "trust-unsafe = yes");
                config_unref(load(meant));
                config_unref(load(other));
        }
        expect_refusal("[listen a]\ntrust = peers\naddress = tcp:127.0.0.1:7\n",
                       "f:2: trust = peers ", "TCP");
        config_unref(load("[listen a]\naddress = tcp:127.0.0.1:7\ntrust = peers\n"
                          "trust-unsafe = yes\n"));
        expect_refusal("[listen a]\naddress = vsock:7\npeers = any\ntrust = peers\n",
                       "f:4: trust = peers ", "more than the host");
}

static void test_all_errors_by_line(void **state)
{
        _cleanup_free_ char *errors = refuse("x = y\n"
                                             "[agent]\n"
                                             "max-calls = none\n"
                                             "colour = red\n"
                                             "[listen a]\n"
                                             "trust = peers\n"
                                             "peers = any\n"
                                             "mode: 0600\n"
                                             "handler = \"rpc\n"
                                             "[port 1\n"
                                             "[nothing]\n"
                                             "[listen a]\n");
        static const char *const begins[] = { "f:1: ", "f:3: ", "f:4: ",  "f:5: ",  "f:6: ",
                                              "f:8: ", "f:9: ", "f:10: ", "f:11: ", "f:12: " };
        const char *p = errors;

        for (size_t i = 0; i < ELEMENTSOF(begins); i++) {
                if (strncmp(p, begins[i], strlen(begins[i])) != 0)
                        fail_msg("expected %s in:\n%s", begins[i], errors);
                p = strchr(p, '\n') + 1;
        }
        assert_int_equal(*p, '\0');
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_port_in_three_forms),
                cmocka_unit_test(test_bad_ports),
                cmocka_unit_test(test_keys_of_a_bad_header),
                cmocka_unit_test(test_unknown_sections),
                cmocka_unit_test(test_unknown_keys),
                cmocka_unit_test(test_repeats_in_one_file),
                cmocka_unit_test(test_repeated_section_and_its_keys),
                cmocka_unit_test(test_collisions_of_addresses),
                cmocka_unit_test(test_listen_without_address),
                cmocka_unit_test(test_file_keys_need_a_unix_address),
                cmocka_unit_test(test_rpc_on_tcp_binds_loopback),
                cmocka_unit_test(test_trust_of_peers),
                cmocka_unit_test(test_all_errors_by_line),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
