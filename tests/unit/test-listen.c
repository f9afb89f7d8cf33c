/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/vm_sockets.h>

#include "base/fd.h"
#include "base/text.h"
#include "io/listen.h"
#include "tests/unit/child.h"
#include "tests/unit/scratch.h"

static void test_unix(void **state)
{
        struct sockaddr_un un = { 0 };
        socklen_t length = sizeof(un);
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;
        mode_t mask;

        mask = umask(0002);
        fd = scratch_listen(s, &private_file);
        assert_int_equal(umask(mask), 0002);
        assert_true(fd >= 0);
        assert_null(s->problem);
        assert_int_equal(mode_of(s->path), S_IFSOCK | 0600);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_answers(s->path);
        /* What ss(8) shows is the path of the configuration. */
        assert_int_equal(getsockname(fd, (struct sockaddr *)&un, &length), 0);
        assert_string_equal(un.sun_path, s->path);
}

static void test_unix_mode(void **state)
{
        static const mode_t modes[] = { 0600, 0660, 0666, 0000, 0777 };
        Scratch *s = *state;

        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                const ListenFile file = { .mode = modes[i], .uid = (uid_t)-1, .gid = (gid_t)-1 };
                int fd = scratch_listen(s, &file);

                assert_true(fd >= 0);
                assert_int_equal(mode_of(s->path), S_IFSOCK | modes[i]);
                close(fd);
                assert_int_equal(unlink(s->path), 0);
        }
}

static void test_unix_owner(void **state)
{
        const ListenFile file = { .mode = 0660, .uid = CHILD_NOBODY, .gid = 12345 };
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        if (geteuid() != 0)
                cannot_run("only root can give files away");
        fd = scratch_listen(s, &file);
        assert_true(fd >= 0);
        assert_int_equal(stat(s->path, &st), 0);
        assert_int_equal(st.st_uid, CHILD_NOBODY);
        assert_int_equal(st.st_gid, 12345);
        assert_int_equal(st.st_mode, S_IFSOCK | 0660);
        assert_answers(s->path);
        /* What a crash would leave is replaced again, although it is not root's any more. */
        fd = fd_close(fd);
        fd = scratch_listen(s, &file);
        assert_true(fd >= 0);
}

static int nobody_listens_on_low_port(void *userdata)
{
        return nobody_listens(userdata, "CAP_NET_BIND_SERVICE");
}

static void test_file_change(void **state)
{
        const ListenFile wide = { .mode = 0666, .uid = (uid_t)-1, .gid = (gid_t)-1 };
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;

        assert_int_equal(listen_file_change(&s->address, &wide), -ENOENT);
        fd = scratch_listen(s, &private_file);
        assert_true(fd >= 0);
        assert_int_equal(listen_file_change(&s->address, &wide), 0);
        assert_int_equal(mode_of(s->path), S_IFSOCK | 0666);
        assert_answers(s->path);

        assert_int_equal(unlink(s->path), 0);
        close(open(s->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        assert_int_equal(listen_file_change(&s->address, &wide), -EEXIST);
        assert_int_equal(mode_of(s->path), S_IFREG | 0600);
        assert_int_equal(unlink(s->path), 0);
        assert_int_equal(symlink("/etc/passwd", s->path), 0);
        assert_int_equal(listen_file_change(&s->address, &wide), -EEXIST);
        assert_int_equal(chmod(s->folder, 0777), 0);
        assert_int_equal(listen_file_change(&s->address, &wide), -EPERM);
}

static void test_file_remove(void **state)
{
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;
        _cleanup_address_ Address otherwise = { .kind = ADDRESS_UNIX };
        const Address elsewhere = { .kind = ADDRESS_UNIX, .path = (char *)"/nowhere/a.sock" };

        fd = scratch_listen(s, &private_file);
        assert_true(fd >= 0);
        listen_file_remove(&elsewhere, fd);
        listen_file_remove(&s->address, -EBADF);
        assert_answers(s->path);

        /* Under its name there is something else by now. */
        assert_int_equal(unlink(s->path), 0);
        close(open(s->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        listen_file_remove(&s->address, fd);
        assert_int_equal(mode_of(s->path), S_IFREG | 0600);
        assert_int_equal(unlink(s->path), 0);
        close(unix_socket_at(s->path, SOCK_STREAM));
        listen_file_remove(&s->address, fd);
        assert_int_equal(mode_of(s->path) & S_IFMT, S_IFSOCK);

        fd = fd_close(fd);
        fd = scratch_listen(s, &private_file);
        assert_true(fd >= 0);
        listen_file_remove(&s->address, fd);
        assert_int_equal(access(s->path, F_OK), -1);
        listen_file_remove(&s->address, fd);

        /* Taken from a store by a section that writes the path otherwise. */
        fd = fd_close(fd);
        fd = scratch_listen(s, &private_file);
        assert_true(fd >= 0);
        otherwise.path = text_format("%s/.//%s", s->folder, strrchr(s->path, '/') + 1);
        listen_file_remove(&otherwise, fd);
        assert_int_equal(access(s->path, F_OK), -1);
}

typedef struct Successor Successor;

struct Successor {
        const char *path;
        int ready; /* closed once it listens */
        int stop;  /* reads EOF when it is to end */
};

static int successor_run(void *userdata)
{
        const Successor *c = userdata;
        _cleanup_close_ int fd = -EBADF;
        char byte;

        if (unlink(c->path) < 0)
                return 1;
        fd = unix_socket_at(c->path, SOCK_STREAM);
        if (listen(fd, 1) < 0 || write(c->ready, "r", 1) != 1)
                return 1;
        return read(c->stop, &byte, 1) == 1 ? 0 : 1;
}

/* A daemon that ends late must not take away the socket of the one that replaced it. */
static void test_file_of_successor_stays(void **state)
{
        Scratch *s = *state;
        _cleanup_close_ int fd = -EBADF;
        int ready[2], stop[2], status;
        char byte;
        pid_t pid;

        fd = scratch_listen(s, &private_file);
        assert_true(fd >= 0);
        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        assert_int_equal(pipe2(stop, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Successor c = { .path = s->path, .ready = ready[1], .stop = stop[0] };

                close(ready[0]);
                close(stop[1]);
                _exit(successor_run(&c));
        }
        close(ready[1]);
        close(stop[0]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        listen_file_remove(&s->address, fd);
        assert_answers(s->path);
        assert_int_equal(write(stop[1], "s", 1), 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        close(ready[0]);
        close(stop[1]);
}

/*
 * A TCP port that is free and stays so: bound but not listened on, which SO_REUSEADDR on
 * both sides lets another socket share.
 */
static int reserve_tcp_port(int family, struct sockaddr_storage *sa)
{
        _cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t length =
                family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        const int on = 1;

        if (fd < 0)
                return -errno;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)sa, length) < 0 ||
            getsockname(fd, (struct sockaddr *)sa, &length) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int option_of(int fd, int level, int option)
{
        socklen_t length = sizeof(int);
        int value = -1;

        assert_int_equal(getsockopt(fd, level, option, &value, &length), 0);
        return value;
}

static void test_tcp(void **state)
{
        struct sockaddr_in in = { .sin_family = AF_INET };
        struct sockaddr_storage sa = { 0 };
        _cleanup_close_ int reserved = -EBADF, fd = -EBADF;
        Address a = { .kind = ADDRESS_TCP, .host = (char *)"127.0.0.1" };
        _cleanup_free_ char *problem = NULL;

        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(&sa, &in, sizeof(in));
        reserved = reserve_tcp_port(AF_INET, &sa);
        assert_true(reserved >= 0);
        memcpy(&in, &sa, sizeof(in));
        a.port = ntohs(in.sin_port);
        fd = listen_open(&a, NULL, &problem);
        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
        assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEADDR), 1);
        assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
        assert_int_equal(listen_open(&a, NULL, &problem), -EADDRINUSE);
        assert_non_null(strstr(problem, "is taken: stop what listens there"));
}

static void test_tcp6(void **state)
{
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        struct sockaddr_storage sa = { 0 };
        _cleanup_close_ int reserved = -EBADF, fd = -EBADF;
        Address a = { .kind = ADDRESS_TCP, .host = (char *)"::1" };
        _cleanup_free_ char *problem = NULL;

        memcpy(&sa, &in6, sizeof(in6));
        reserved = reserve_tcp_port(AF_INET6, &sa);
        if (reserved < 0)
                cannot_run("no IPv6 loopback here");
        memcpy(&in6, &sa, sizeof(in6));
        a.port = ntohs(in6.sin6_port);
        fd = listen_open(&a, NULL, &problem);
        assert_true(fd >= 0);
        assert_int_equal(option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
}

static void test_tcp_refused(void **state)
{
        /* TEST-NET-1 of RFC 5737: on no interface. */
        const Address foreign = { .kind = ADDRESS_TCP, .host = (char *)"192.0.2.1", .port = 5000 };
        const Address name = { .kind = ADDRESS_TCP, .host = (char *)"localhost", .port = 5000 };
        _cleanup_free_ char *problem = NULL, *second = NULL;

        assert_int_equal(listen_open(&foreign, NULL, &problem), -EADDRNOTAVAIL);
        assert_non_null(strstr(problem, "no interface of this machine"));
        assert_int_equal(listen_open(&name, NULL, &second), -EINVAL);
        assert_non_null(second);
}

static void test_tcp_low_port(void **state)
{
        Address a = { .kind = ADDRESS_TCP, .host = (char *)"127.0.0.1", .port = 1 };
        FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
        unsigned first = 1024;

        if (f) {
                assert_int_equal(fscanf(f, "%u", &first), 1);
                (void)fclose(f);
        }
        if (geteuid() != 0 || first <= a.port)
                cannot_run("needs root, and low TCP ports that need a capability");
        assert_int_equal(child_run(nobody_listens_on_low_port, &a), 0);
}

static int listen_without_vsock(void *userdata)
{
        const Address a = { .kind = ADDRESS_VSOCK, .cid = VMADDR_CID_ANY, .port = 1000 };
        _cleanup_free_ char *problem = NULL;
        int r;

        if (!child_deny(SYS_socket, AF_VSOCK, EAFNOSUPPORT))
                return CHILD_CANNOT;
        r = listen_open(&a, NULL, &problem);
        return r == -EAFNOSUPPORT && problem &&
                               strncmp(problem, "no AF_VSOCK in this kernel: modprobe vsock", 42) ==
                                       0
                       ? 0
                       : 1;
}

static void test_no_vsock(void **state)
{
        int r = child_run(listen_without_vsock, NULL);

        if (r == CHILD_CANNOT)
                cannot_run("no seccomp filters here");
        assert_int_equal(r, 0);
}

static void test_not_to_be_listened_on(void **state)
{
        const Address mux = { .kind = ADDRESS_MUX, .path = (char *)"/run/vm.sock", .port = 1000 };
        _cleanup_free_ char *problem = NULL;

        assert_int_equal(listen_open(&mux, NULL, &problem), -EINVAL);
        assert_non_null(strstr(problem, "mux:/run/vm.sock:1000"));
        assert_int_equal(listen_file_change(&mux, &private_file), -EINVAL);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                with_scratch(test_unix),
                with_scratch(test_unix_mode),
                with_scratch(test_unix_owner),
                with_scratch(test_file_change),
                with_scratch(test_file_remove),
                with_scratch(test_file_of_successor_stays),
                cmocka_unit_test(test_tcp),
                cmocka_unit_test(test_tcp6),
                cmocka_unit_test(test_tcp_refused),
                cmocka_unit_test(test_tcp_low_port),
                cmocka_unit_test(test_no_vsock),
                cmocka_unit_test(test_not_to_be_listened_on),
        };

        return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
