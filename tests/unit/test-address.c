/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/un.h>
#include <cmocka.h>
#include <linux/vm_sockets.h>

#include "io/address.h"

#define PATH_107                                                                            \
        "/123456789/123456789/123456789/123456789/123456789/123456789/123456789/123456789/" \
        "123456789/123456789/123456"

typedef int (*ParseFunction)(const char *text, Address *ret, char **ret_problem);

static void assert_parsed(ParseFunction parse, const char *text, const char *printed)
{
        _cleanup_address_ Address a = ADDRESS_NULL, again = ADDRESS_NULL;
        _cleanup_free_ char *problem = NULL, *out = NULL;
        int r;

        r = parse(text, &a, &problem);
        if (r < 0)
                fail_msg("'%s' was refused: %s", text, problem ? problem : "");
        out = address_to_text(&a);
        assert_string_equal(out, printed);
        assert_int_equal(parse(out, &again, &problem), 0);
        assert_true(address_equal(&a, &again));
}

/* Refused with a sentence that holds `words`, the output untouched. */
static void assert_refused(ParseFunction parse, const char *text, const char *words)
{
        Address a = { .kind = ADDRESS_VSOCK, .cid = 77, .port = 78 };
        _cleanup_free_ char *problem = NULL;

        assert_int_equal(parse(text, &a, &problem), -EINVAL);
        assert_non_null(problem);
        if (!strstr(problem, words))
                fail_msg("'%s': no '%s' in '%s'", text, words, problem);
        assert_int_equal(a.kind, ADDRESS_VSOCK);
        assert_int_equal(a.cid, 77);
        assert_int_equal(a.port, 78);
        assert_null(a.path);
}

static void test_target_vsock(void **state)
{
        static const char *const forms[][2] = {
                { "21", "vsock:21:1000" },
                { "0x15", "vsock:21:1000" },
                { "21:8080", "vsock:21:8080" },
                { "local:1000", "vsock:1:1000" },
                { "host", "vsock:2:1000" },
                { "parent", "vsock:2:1000" },
                { "local", "vsock:1:1000" },
                { "loopback", "vsock:1:1000" },
                { "lo", "vsock:1:1000" },
                { "4294967294", "vsock:4294967294:1000" },
                { "vsock:21", "vsock:21:1000" },
                { "vsock:21:8080", "vsock:21:8080" },
                { "vsock:21:0x3e8", "vsock:21:1000" },
                { "vsock:21:00004a38-facb-11e6-bd58-64006a7986d3", "vsock:21:19000" },
                { "vsock:host:8080", "vsock:2:8080" },
                { "vsock:lo:0", "vsock:1:0" },
                { "vsock:3:4294967294", "vsock:3:4294967294" },
        };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++)
                assert_parsed(address_parse_target, forms[i][0], forms[i][1]);
}

static void test_target_vsock_refused(void **state)
{
        static const char *const forms[][2] = {
                { "", "write a CID such as 21" },
                { "-1", "is not a target" },
                { " 21", "is not a target" },
                { "guest", "is not a target" },
                { "any", "nobody can be called by it" },
                { "4294967295", "nobody can be called by it" },
                { "4294967296", "is too large for a CID" },
                { "vsock:any:1000", "nobody can be called by it" },
                { "vsock:", "is no CID" },
                { "vsock::1000", "is no CID" },
                { "vsock:21:", "is not a vsock port" },
                { "vsock:21:x", "is not a vsock port" },
                { "vsock:21:1:2", "is not a vsock port" },
                { "vsock:21:4294967295", "VMADDR_PORT_ANY" },
                { "vsock:21:4294967296", "too large for a vsock port" },
                { "/run/agent.sock", "unix: before it" },
                { "VSOCK:21", "is not a target" },
        };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++)
                assert_refused(address_parse_target, forms[i][0], forms[i][1]);
}

static void test_target_mux(void **state)
{
        static const char *const forms[][2] = {
                { "mux:/run/vm.sock", "mux:/run/vm.sock:1000" },
                { "mux:/run/vm.sock:52", "mux:/run/vm.sock:52" },
                { "mux:vm.sock:0x34", "mux:vm.sock:52" },
                { "mux:vm.sock:0X34", "mux:vm.sock:52" },
                { "mux:/run/a:b/vm.sock", "mux:/run/a:b/vm.sock:1000" },
                { "mux:/run/a:7/vm.sock", "mux:/run/a:7/vm.sock:1000" },
                { "mux:/run/vm:7:8", "mux:/run/vm:7:8" },
                { "mux:/run/vm:0x", "mux:/run/vm:0x:1000" },
                { "mux:/v:000003e8-facb-11e6-bd58-64006a7986d3", "mux:/v:1000" },
                { "mux:" PATH_107 ":9", "mux:" PATH_107 ":9" },
        };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++)
                assert_parsed(address_parse_target, forms[i][0], forms[i][1]);
        assert_refused(address_parse_target, "mux:", "path of the socket is missing");
        assert_refused(address_parse_target, "mux::9", "path of the socket is missing");
        assert_refused(address_parse_target, "mux:/vm.sock:", "drop the last colon");
        assert_refused(address_parse_target, "mux:/vm.sock:4294967295", "VMADDR_PORT_ANY");
        assert_refused(address_parse_target, "mux:/vm.sock:99999999999", "too large");
        assert_refused(address_parse_target, "mux:/v:00000000-0000-0000-0000-000000000000",
                       "XXXXXXXX-facb-11e6-bd58-64006a7986d3");
        assert_refused(address_parse_target, "mux:" PATH_107 "8:9", "107 bytes");
}

static void test_target_unix(void **state)
{
        assert_int_equal(strlen(PATH_107), ADDRESS_PATH_MAX);
        assert_parsed(address_parse_target, "unix:/run/agent.sock", "unix:/run/agent.sock");
        assert_parsed(address_parse_target, "unix:agent.sock", "unix:agent.sock");
        assert_parsed(address_parse_target, "unix:/a:1000", "unix:/a:1000");
        assert_parsed(address_parse_target, "unix:" PATH_107, "unix:" PATH_107);
        assert_refused(address_parse_target, "unix:", "path of the socket is missing");
        assert_refused(address_parse_target, "unix:" PATH_107 "8", "107 bytes");
}

static void test_target_tcp(void **state)
{
        static const char *const forms[][2] = {
                { "tcp:localhost:80", "tcp:localhost:80" },
                { "tcp:vm-1.example.org:65535", "tcp:vm-1.example.org:65535" },
                { "tcp:127.0.0.1:1", "tcp:127.0.0.1:1" },
                { "tcp:127.0.0.1", "tcp:127.0.0.1:1000" },
                { "tcp:[::1]:80", "tcp:[::1]:80" },
                { "tcp:[0:0:0::1]", "tcp:[::1]:1000" },
                { "tcp:[FE80::A%eth0]:80", "tcp:[fe80::a%eth0]:80" },
        };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++)
                assert_parsed(address_parse_target, forms[i][0], forms[i][1]);
        assert_refused(address_parse_target, "tcp:", "host is missing");
        assert_refused(address_parse_target, "tcp::80", "host is missing");
        assert_refused(address_parse_target, "tcp:localhost:", "from 1 to 65535");
        assert_refused(address_parse_target, "tcp:localhost:0", "from 1 to 65535");
        assert_refused(address_parse_target, "tcp:localhost:65536", "from 1 to 65535");
        assert_refused(address_parse_target, "tcp:localhost:http", "from 1 to 65535");
        assert_refused(address_parse_target, "tcp:::1:80", "in brackets");
        assert_refused(address_parse_target, "tcp:[::1", "tcp:[::1]:1000");
        assert_refused(address_parse_target, "tcp:[::1]80", "tcp:[::1]:1000");
        assert_refused(address_parse_target, "tcp:[::1]:80:90", "too many colons");
        assert_refused(address_parse_target, "tcp:[127.0.0.1]:80", "not an IPv6 address");
        assert_refused(address_parse_target, "tcp:[::1%]:80", "not an IPv6 address");
        assert_refused(address_parse_target, "tcp://localhost:80", "is not a host");
        assert_refused(address_parse_target, "tcp:a b:80", "is not a host");
}

static void test_listen(void **state)
{
        static const char *const forms[][2] = {
                { "unix:/run/guestwire/agent.sock", "unix:/run/guestwire/agent.sock" },
                { "unix:" PATH_107, "unix:" PATH_107 },
                { "tcp:127.0.0.1:5000", "tcp:127.0.0.1:5000" },
                { "tcp:[::1]:5000", "tcp:[::1]:5000" },
                { "tcp:0.0.0.0:5000", "tcp:0.0.0.0:5000" },
                { "vsock:1000", "vsock:1000" },
                { "vsock:0x3e8", "vsock:1000" },
                { "vsock:00000ac9-facb-11e6-bd58-64006a7986d3", "vsock:2761" },
        };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++)
                assert_parsed(address_parse_listen, forms[i][0], forms[i][1]);
}

static void test_listen_refused(void **state)
{
        static const char *const forms[][2] = {
                { "", "write unix:/run/guestwire/NAME.sock" },
                { "1000", "vsock:PORT" },
                { "mux:/run/vm.sock", "is not an address to listen on" },
                { "unix:", "path of the socket is missing" },
                { "unix:agent.sock", "absolute path" },
                { "unix:/run/", "names a folder" },
                { "unix:/", "names a folder" },
                { "unix:" PATH_107 "8", "107 bytes" },
                { "tcp:localhost:80", "numeric address" },
                { "tcp:127.1:80", "numeric address" },
                { "tcp:127.0.0.1", "has no port" },
                { "tcp:[::1]", "has no port" },
                { "tcp:127.0.0.1:0", "from 1 to 65535" },
                { "vsock:", "is not a vsock port" },
                { "vsock:21:1000", "write vsock:PORT" },
                { "vsock:4294967295", "VMADDR_PORT_ANY" },
                { "vsock:90db8b89-0d35-4f79-8ce9-49ea0ac8b7cd", "XXXXXXXX-facb-11e6" },
        };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++)
                assert_refused(address_parse_listen, forms[i][0], forms[i][1]);
}

static void test_port(void **state)
{
        static const struct {
                const char *text;
                uint32_t port;
        } good[] = {
                { "0", 0 },
                { "1000", 1000 },
                { "0x3e8", 1000 },
                { "0X3E8", 1000 },
                { "000003e8-facb-11e6-bd58-64006a7986d3", 1000 },
                { "00000AC9-FACB-11E6-BD58-64006A7986D3", 2761 },
                { "4294967294", 4294967294U },
                { "fffffffe-facb-11e6-bd58-64006a7986d3", 4294967294U },
        };
        static const char *const bad[][2] = {
                { "", "is not a vsock port" },
                { "-1", "is not a vsock port" },
                { "1000 ", "is not a vsock port" },
                { "rpc", "Hyper-V service GUID" },
                { "4294967295", "0 to 4294967294" },
                { "0xffffffff", "0 to 4294967294" },
                { "ffffffff-facb-11e6-bd58-64006a7986d3", "0 to 4294967294" },
                { "4294967296", "too large" },
                { "99999999999999999999", "too large" },
                { "000003e8-facb-11e6-bd58-64006a7986d4", "XXXXXXXX-facb-11e6" },
                { "a42e7cda-d03f-480c-9cc2-a4de20abb878", "XXXXXXXX-facb-11e6" },
                { "000003e8-facb-11e6-bd58-64006a7986d", "is not a vsock port" },
                { "\xff\n\x1b[31m", "'\\xff\\x0a\\x1b[31m' is not" },
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_free_ char *problem = NULL;
                uint32_t port = 77;

                assert_int_equal(address_parse_port(good[i].text, &port, &problem), 0);
                assert_int_equal(port, good[i].port);
                assert_null(problem);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *problem = NULL;
                uint32_t port = 77;

                assert_int_equal(address_parse_port(bad[i][0], &port, &problem), -EINVAL);
                assert_int_equal(port, 77);
                if (!strstr(problem, bad[i][1]))
                        fail_msg("'%s': no '%s' in '%s'", bad[i][0], bad[i][1], problem);
        }
}

/* Callers that want no sentence pass NULL. */
static void test_no_problem_wanted(void **state)
{
        Address a = ADDRESS_NULL;

        assert_int_equal(address_parse_target("nonsense", &a, NULL), -EINVAL);
        assert_int_equal(address_parse_listen("unix:", &a, NULL), -EINVAL);
}

static void test_copy_and_equal(void **state)
{
        static const char *const forms[] = { "21",       "vsock:21:7", "unix:/a", "unix:/b",
                                             "mux:/a:7", "tcp:a:7",    "tcp:b:7" };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++)
                for (size_t k = 0; k < ELEMENTSOF(forms); k++) {
                        _cleanup_address_ Address a = ADDRESS_NULL, b = ADDRESS_NULL;
                        _cleanup_address_ Address copy = ADDRESS_NULL;

                        assert_int_equal(address_parse_target(forms[i], &a, NULL), 0);
                        assert_int_equal(address_parse_target(forms[k], &b, NULL), 0);
                        assert_int_equal(address_copy(&b, &copy), 0);
                        assert_true(address_equal(&copy, &b));
                        assert_int_equal(address_equal(&a, &copy), i == k);
                }
}

static void test_is_loopback(void **state)
{
        static const struct {
                const char *text;
                bool loopback;
        } forms[] = {
                { "tcp:127.0.0.1:1", true },     { "tcp:127.255.255.254:1", true },
                { "tcp:[::1]:1", true },         { "tcp:128.0.0.1:1", false },
                { "tcp:0.0.0.0:1", false },      { "tcp:[::]:1", false },
                { "tcp:[fe80::1%lo]:1", false }, { "tcp:[::ffff:127.0.0.1]:1", false },
                { "tcp:10.127.0.1:1", false },   { "tcp:localhost:1", false },
                { "vsock:1:1", false },          { "unix:127.0.0.1", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                _cleanup_address_ Address a = ADDRESS_NULL;

                assert_int_equal(address_parse_target(forms[i].text, &a, NULL), 0);
                assert_int_equal(address_is_loopback(&a), forms[i].loopback);
        }
}

static socklen_t sockaddr_of(const char *text, struct sockaddr_storage *ret)
{
        _cleanup_address_ Address a = ADDRESS_NULL;
        socklen_t length = 0;

        assert_int_equal(address_parse_target(text, &a, NULL), 0);
        assert_int_equal(address_to_sockaddr(&a, ret, &length), 0);
        return length;
}

static void test_to_sockaddr(void **state)
{
        _cleanup_address_ Address name = ADDRESS_NULL;
        struct sockaddr_storage sa;
        struct sockaddr_in6 in6;
        struct sockaddr_in in;
        struct sockaddr_vm vm;
        struct sockaddr_un un;
        socklen_t length = 7;

        assert_int_equal(sockaddr_of("vsock:21:70000", &sa), sizeof(vm));
        memcpy(&vm, &sa, sizeof(vm));
        assert_int_equal(vm.svm_family, AF_VSOCK);
        assert_int_equal(vm.svm_cid, 21);
        assert_int_equal(vm.svm_port, 70000);

        assert_int_equal(sockaddr_of("unix:" PATH_107, &sa), sizeof(sa_family_t) + 108);
        memcpy(&un, &sa, sizeof(un));
        assert_int_equal(un.sun_family, AF_UNIX);
        assert_string_equal(un.sun_path, PATH_107);
        assert_int_equal(sockaddr_of("mux:/vm:9", &sa), sizeof(sa_family_t) + 4);

        assert_int_equal(sockaddr_of("tcp:127.0.0.1:258", &sa), sizeof(in));
        memcpy(&in, &sa, sizeof(in));
        assert_int_equal(in.sin_family, AF_INET);
        assert_int_equal(ntohl(in.sin_addr.s_addr), INADDR_LOOPBACK);
        assert_int_equal(ntohs(in.sin_port), 258);

        assert_int_equal(sockaddr_of("tcp:[::1]:258", &sa), sizeof(in6));
        memcpy(&in6, &sa, sizeof(in6));
        assert_int_equal(in6.sin6_family, AF_INET6);
        assert_memory_equal(&in6.sin6_addr, &in6addr_loopback, sizeof(in6.sin6_addr));
        assert_int_equal(ntohs(in6.sin6_port), 258);

        assert_int_equal(address_parse_target("tcp:localhost:1", &name, NULL), 0);
        assert_int_equal(address_to_sockaddr(&name, &sa, &length), -EINVAL);
        assert_int_equal(length, 7);
        assert_int_equal(address_to_sockaddr(&ADDRESS_NULL, &sa, &length), -EINVAL);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_target_vsock),
                cmocka_unit_test(test_target_vsock_refused),
                cmocka_unit_test(test_target_mux),
                cmocka_unit_test(test_target_unix),
                cmocka_unit_test(test_target_tcp),
                cmocka_unit_test(test_listen),
                cmocka_unit_test(test_listen_refused),
                cmocka_unit_test(test_port),
                cmocka_unit_test(test_no_problem_wanted),
                cmocka_unit_test(test_copy_and_equal),
                cmocka_unit_test(test_is_loopback),
                cmocka_unit_test(test_to_sockaddr),
        };

        return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
