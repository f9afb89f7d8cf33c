/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "io/peer.h"
#include "io/vsock.h"

static struct sockaddr_storage vsock_address(uint32_t cid, uint32_t port)
{
        struct sockaddr_vm vm = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
        struct sockaddr_storage sa = { 0 };

        memcpy(&sa, &vm, sizeof(vm));
        return sa;
}

static Peer vsock_peer(uint32_t cid, uint32_t port)
{
        const struct sockaddr_storage sa = vsock_address(cid, port);
        Peer p;

        assert_int_equal(peer_from_accept(-1, AF_VSOCK, &sa, sizeof(struct sockaddr_vm), &p), 0);
        return p;
}

static CidSet cids(const char *text)
{
        CidSet s = CID_SET_NULL;

        assert_int_equal(cid_set_parse(text, &s, NULL), 0);
        return s;
}

static void test_vsock(void **state)
{
        Peer p = vsock_peer(2, 1023);

        assert_int_equal(p.kind, PEER_VSOCK);
        assert_int_equal(p.cid, 2);
        assert_int_equal(p.port, 1023);
        assert_string_equal(p.text, "vsock:2:1023");
        p = vsock_peer(4294967295U, 4294967295U);
        assert_string_equal(p.text, "vsock:4294967295:4294967295");
}

/* An address cut short could read as CID 0 or as one left over: it must never pass. */
static void test_cut_short(void **state)
{
        static const struct {
                int family;
                socklen_t whole;
        } families[] = {
                { AF_VSOCK, sizeof(struct sockaddr_vm) },
                { AF_INET, sizeof(struct sockaddr_in) },
                { AF_INET6, sizeof(struct sockaddr_in6) },
        };

        for (size_t i = 0; i < ELEMENTSOF(families); i++) {
                struct sockaddr_storage sa = { .ss_family = (sa_family_t)families[i].family };
                Peer p = { .cid = 77 };

                for (socklen_t n = 0; n < families[i].whole; n++)
                        assert_int_equal(peer_from_accept(-1, families[i].family, &sa, n, &p),
                                         -EPROTO);
                assert_int_equal(p.cid, 77);
                assert_int_equal(peer_from_accept(-1, families[i].family, &sa, families[i].whole,
                                                  &p),
                                 0);
        }
}

static void test_other_family(void **state)
{
        static const int families[] = {
                AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_VSOCK, AF_NETLINK
        };

        for (size_t i = 0; i < ELEMENTSOF(families); i++)
                for (size_t k = 0; k < ELEMENTSOF(families); k++) {
                        struct sockaddr_storage sa = { .ss_family = (sa_family_t)families[k] };
                        Peer p = { .cid = 77 };

                        if (i == k && families[i] != AF_UNSPEC && families[i] != AF_NETLINK)
                                continue;
                        assert_int_equal(peer_from_accept(-1, families[i], &sa, sizeof(sa), &p),
                                         -EPROTO);
                        assert_int_equal(p.cid, 77);
                }
}

/* Connects `client` to a listener of its own and returns the accepted end and its address. */
static int accept_one(int family, struct sockaddr *listening, socklen_t length, int *ret_client,
                      struct sockaddr_storage *ret, socklen_t *ret_length)
{
        _cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        _cleanup_close_ int client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int accepted;

        if (fd < 0 || bind(fd, listening, length) < 0)
                return -errno;
        assert_int_equal(listen(fd, 1), 0);
        length = sizeof(struct sockaddr_storage);
        assert_int_equal(getsockname(fd, listening, &length), 0);
        assert_int_equal(connect(client, listening, length), 0);
        *ret_length = sizeof(*ret);
        accepted = accept4(fd, (struct sockaddr *)ret, ret_length, SOCK_CLOEXEC);
        assert_true(accepted >= 0);
        *ret_client = TAKE_FD(client);
        return accepted;
}

static void test_unix(void **state)
{
        _cleanup_close_ int accepted = -EBADF, client = -EBADF, plain = -EBADF;
        struct sockaddr_storage listening = { .ss_family = AF_UNIX }, sa;
        socklen_t length;
        char text[64];
        Peer p;

        /* Bound to its family alone it gets an abstract name, which leaves no file. */
        accepted = accept_one(AF_UNIX, (struct sockaddr *)&listening, sizeof(sa_family_t), &client,
                              &sa, &length);
        assert_true(accepted >= 0);
        assert_int_equal(length, sizeof(sa_family_t));
        assert_int_equal(peer_from_accept(accepted, AF_UNIX, &sa, length, &p), 0);
        assert_int_equal(p.kind, PEER_UNIX);
        assert_int_equal(p.uid, getuid());
        assert_int_equal(p.gid, getgid());
        assert_int_equal(p.pid, getpid());
        (void)snprintf(text, sizeof(text), "unix:uid=%u,pid=%d", (unsigned)getuid(), (int)getpid());
        assert_string_equal(p.text, text);

        assert_int_equal(peer_from_accept(accepted, AF_UNIX, &sa, 0, &p), -EPROTO);
        assert_int_equal(peer_from_accept(accepted, AF_UNIX, &sa, 1, &p), -EPROTO);
        /* What the kernel does not tell is an error, not uid 0. */
        plain = dup(STDERR_FILENO);
        assert_int_equal(peer_from_accept(plain, AF_UNIX, &sa, length, &p), -ENOTSOCK);
}

static void test_tcp(void **state)
{
        struct sockaddr_storage sa, listening = { 0 };
        struct sockaddr_in in = { .sin_family = AF_INET };
        _cleanup_close_ int accepted = -EBADF, client = -EBADF;
        struct sockaddr_in source;
        char text[64];
        socklen_t length;
        Peer p;

        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(&listening, &in, sizeof(in));
        accepted = accept_one(AF_INET, (struct sockaddr *)&listening, sizeof(in), &client, &sa,
                              &length);
        assert_true(accepted >= 0);
        assert_int_equal(peer_from_accept(accepted, AF_INET, &sa, length, &p), 0);
        memcpy(&source, &sa, sizeof(source));
        (void)snprintf(text, sizeof(text), "tcp:127.0.0.1:%u", ntohs(source.sin_port));
        assert_int_equal(p.kind, PEER_TCP);
        assert_int_equal(p.port, ntohs(source.sin_port));
        assert_string_equal(p.text, text);
}

/* The longest text there is must not be cut. */
static void test_tcp6(void **state)
{
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(65535) };
        struct sockaddr_storage sa = { 0 };
        Peer p;

        memset(&in6.sin6_addr, 0xff, sizeof(in6.sin6_addr));
        memcpy(&sa, &in6, sizeof(in6));
        assert_int_equal(peer_from_accept(-1, AF_INET6, &sa, sizeof(in6), &p), 0);
        assert_string_equal(p.text, "tcp:[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void test_is_allowed(void **state)
{
        static const struct {
                const char *peers;
                uint32_t cid;
                bool allowed;
        } cases[] = {
                { "host", 2, true },
                { "host", 1, false },
                { "host", 0, false },
                { "host", 3, false },
                { "host", 4294967295U, false },
                { "", 2, false },
                { "local", 1, true },
                { "local", 2, false },
                { "any", 1, true },
                { "any", 4294967294U, true },
                { "any", 4294967295U, false },
                { "2, 5-99", 5, true },
                { "2, 5-99", 4, false },
                { "2, 5-99", 100, false },
        };
        const Peer unix_peer = { .kind = PEER_UNIX }, tcp_peer = { .kind = PEER_TCP };
        const CidSet nobody = CID_SET_NULL;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                CidSet s = cids(cases[i].peers);
                Peer p = vsock_peer(cases[i].cid, 5000);

                assert_int_equal(peer_is_allowed(&p, &s), cases[i].allowed);
                cid_set_done(&s);
        }
        assert_true(peer_is_allowed(&unix_peer, &nobody));
        assert_true(peer_is_allowed(&tcp_peer, &nobody));
}

static void test_is_root_vsock(void **state)
{
        static const struct {
                const char *peers;
                uint32_t cid;
                uint32_t port;
                unsigned transports;
                bool root;
        } cases[] = {
                { "host", 2, 1023, VSOCK_TRANSPORT_VIRTIO, true },
                { "host", 2, 0, VSOCK_TRANSPORT_VIRTIO, true },
                { "host", 2, 1024, VSOCK_TRANSPORT_VIRTIO, false },
                { "host", 2, 1U << 30, VSOCK_TRANSPORT_VIRTIO, false },
                { "host", 2, 1023, VSOCK_TRANSPORT_VMCI, true },
                { "host", 2, 1023, VSOCK_TRANSPORT_HYPERV, false },
                { "host", 2, 1023, VSOCK_TRANSPORT_HYPERV | VSOCK_TRANSPORT_VIRTIO, false },
                { "host", 2, 1023, VSOCK_TRANSPORT_UNKNOWN, false },
                { "local", 1, 1023, VSOCK_TRANSPORT_LOOPBACK, true },
                { "1", 1, 1023, VSOCK_TRANSPORT_LOOPBACK, true },
                { "local", 1, 1024, VSOCK_TRANSPORT_LOOPBACK, false },
                { "any", 1, 1023, VSOCK_TRANSPORT_LOOPBACK, false },
                { "0-5", 1, 1023, VSOCK_TRANSPORT_LOOPBACK, false },
                { "host", 1, 1023, VSOCK_TRANSPORT_LOOPBACK, false },
                { "any, local", 1, 1023, VSOCK_TRANSPORT_LOOPBACK, true },
                { "any", 0, 1023, VSOCK_TRANSPORT_VIRTIO, false },
                { "any", 3, 1023, VSOCK_TRANSPORT_VIRTIO, false },
                { "3", 3, 1023, VSOCK_TRANSPORT_VIRTIO, false },
                { "any", 4294967295U, 1023, VSOCK_TRANSPORT_VIRTIO, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                CidSet s = cids(cases[i].peers);
                Peer p = vsock_peer(cases[i].cid, cases[i].port);

                if (peer_is_root(&p, &s, cases[i].transports) != cases[i].root)
                        fail_msg("case %zu: %s, peers = %s", i, p.text, cases[i].peers);
                cid_set_done(&s);
        }
}

static void test_is_root_elsewhere(void **state)
{
        const CidSet nobody = CID_SET_NULL;
        Peer p = { .kind = PEER_UNIX, .uid = 0 };

        assert_true(peer_is_root(&p, &nobody, 0));
        p.uid = geteuid();
        assert_true(peer_is_root(&p, &nobody, 0));
        p.uid = geteuid() + 1;
        assert_false(peer_is_root(&p, &nobody, 0));
        p.uid = (uid_t)-1;
        assert_false(peer_is_root(&p, &nobody, 0));
        /* Not even from a low port: on TCP that shows nothing. */
        p = (Peer){ .kind = PEER_TCP, .uid = 0, .port = 1 };
        assert_false(peer_is_root(&p, &nobody, 0));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_vsock),
                cmocka_unit_test(test_cut_short),
                cmocka_unit_test(test_other_family),
                cmocka_unit_test(test_unix),
                cmocka_unit_test(test_tcp),
                cmocka_unit_test(test_tcp6),
                cmocka_unit_test(test_is_allowed),
                cmocka_unit_test(test_is_root_vsock),
                cmocka_unit_test(test_is_root_elsewhere),
        };

        return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
