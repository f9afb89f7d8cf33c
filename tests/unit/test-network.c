/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "child.h"
#include "tests/lib/world.h"

/* Several times what one answer of the kernel's holds. */
#define ADDRESSES 2000U
#define ODD_NAME "l\xff"
#define ODD_NAME_SHOWN "l\xef\xbf\xbd"

static void test_network(void **state)
{
        _cleanup_(world_freep) World *w = world_new(&vsock_peer, false);
        struct if_nameindex *interfaces = if_nameindex();
        _cleanup_json_ json_object *network = NULL;
        json_object *list, *i, *address;
        size_t n = 0;

        assert_non_null(interfaces);
        while (interfaces[n].if_index != 0)
                n++;
        network = world_call(w, "system.network");
        assert_as_declared(w, "system.network", network);
        list = member(network, "interfaces");
        assert_int_equal(json_object_array_length(list), n);
        for (size_t k = 0; k < n; k++) {
                char name[IF_NAMESIZE];

                i = json_object_array_get_idx(list, k);
                assert_non_null(if_indextoname((unsigned)member_unsigned(i, "index"), name));
                assert_string_equal(member_text(i, "name"), name);
                if (strcmp(name, "lo") != 0)
                        continue;
                assert_string_equal(member_text(i, "mac"), "00:00:00:00:00:00");
                assert_string_equal(json_object_get_string(
                                            json_object_array_get_idx(member(i, "flags"), 1)),
                                    "loopback");
                address = json_object_array_get_idx(member(i, "addresses"), 0);
                assert_string_equal(json_object_to_json_string_ext(address, JSON_C_TO_STRING_PLAIN),
                                    "{\"family\":\"inet\",\"address\":\"127.0.0.1\",\"prefix\":8}");
        }
        if_freenameindex(interfaces);
}

/* For good. Whether that is permitted. */
static bool enter_namespace(int flag)
{
        return unshare(flag) == 0 || unshare(CLONE_NEWUSER | flag) == 0;
}

static void interface_ioctl(unsigned long request, struct ifreq *ifr)
{
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(ioctl(fd, request, ifr), 0);
}

/* Index 1, where a network namespace has its loopback interface: renames it and brings it up. */
static void interface_prepare(void)
{
        struct ifreq ifr = { .ifr_name = "lo" };

        strcpy(ifr.ifr_newname, ODD_NAME);
        interface_ioctl(SIOCSIFNAME, &ifr);
        strcpy(ifr.ifr_name, ODD_NAME);
        ifr.ifr_flags = IFF_UP;
        interface_ioctl(SIOCSIFFLAGS, &ifr);
        ifr.ifr_mtu = 1280;
        interface_ioctl(SIOCSIFMTU, &ifr);
}

static struct in_addr address_of(unsigned i)
{
        return (struct in_addr){ .s_addr = htonl(0x0a000000U + i) };
}

static void addresses_add(unsigned n)
{
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

        assert_true(fd >= 0);
        for (unsigned i = 0; i < n; i++) {
                struct {
                        struct nlmsghdr header;
                        struct ifaddrmsg body;
                        struct rtattr attribute;
                        struct in_addr address;
                } request = {
                        .header = { .nlmsg_len = sizeof request,
                                    .nlmsg_type = RTM_NEWADDR,
                                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK },
                        .body = { .ifa_family = AF_INET, .ifa_prefixlen = 30, .ifa_index = 1 },
                        .attribute = { .rta_len = RTA_LENGTH(sizeof(struct in_addr)),
                                       .rta_type = IFA_LOCAL },
                        .address = address_of(i),
                };
                struct {
                        struct nlmsghdr header;
                        struct nlmsgerr body;
                        char request[sizeof request];
                } answer;

                assert_int_equal(send(fd, &request, sizeof request, 0), sizeof request);
                assert_true(recv(fd, &answer, sizeof answer, 0) >= (ssize_t)NLMSG_HDRLEN);
                assert_int_equal(answer.body.error, 0);
        }
}

/* A network of the test's own. The last test: there is no way back. */
static void test_thousands_of_addresses(void **state)
{
        _cleanup_(world_freep) World *w = NULL;
        _cleanup_json_ json_object *network = NULL;
        json_object *i, *addresses;
        static bool seen[ADDRESSES];
        unsigned found = 0;
        size_t n;

        if (!enter_namespace(CLONE_NEWNET))
                cannot_run("no network namespace here");
        interface_prepare();
        addresses_add(ADDRESSES);

        w = world_new(&vsock_peer, false);
        network = world_call(w, "system.network");
        assert_as_declared(w, "system.network", network);
        i = json_object_array_get_idx(member(network, "interfaces"), 0);
        assert_int_equal(member_unsigned(i, "index"), 1);
        assert_string_equal(member_text(i, "name"), ODD_NAME_SHOWN);
        assert_int_equal(member_unsigned(i, "mtu"), 1280);
        addresses = member(i, "addresses");
        n = json_object_array_length(addresses);
        for (size_t k = 0; k < n; k++) {
                json_object *a = json_object_array_get_idx(addresses, k);
                struct in_addr address;
                uint32_t number;

                if (inet_pton(AF_INET, member_text(a, "address"), &address) != 1)
                        continue;
                number = ntohl(address.s_addr) - ntohl(address_of(0).s_addr);
                if (number >= ADDRESSES)
                        continue;
                assert_false(seen[number]);
                seen[number] = true;
                assert_string_equal(member_text(a, "family"), "inet");
                assert_int_equal(member_unsigned(a, "prefix"), 30);
                found++;
        }
        assert_int_equal(found, ADDRESSES);
}

/* As above, of a host name. */
static void test_odd_hostname(void **state)
{
        _cleanup_(world_freep) World *w = NULL;
        _cleanup_json_ json_object *agent = NULL, *system = NULL;

        if (!enter_namespace(CLONE_NEWUTS))
                cannot_run("no UTS namespace here");
        w = world_new(&vsock_peer, false);
        assert_int_equal(sethostname(ODD_NAME, strlen(ODD_NAME)), 0);
        agent = world_call(w, "agent.info");
        assert_string_equal(member_text(agent, "hostname"), ODD_NAME_SHOWN);
        system = world_call(w, "system.info");
        assert_string_equal(member_text(system, "hostname"), ODD_NAME_SHOWN);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_network),
                cmocka_unit_test(test_thousands_of_addresses),
                cmocka_unit_test(test_odd_hostname),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
